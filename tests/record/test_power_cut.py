"""A power cut at any moment: every image of the disk that it could leave opens and holds what was announced (G3).

The writer's system calls are recorded. Then, for every moment, the disk is rebuilt: what was synced is there; of the
writes since then each may be there, be lost, be torn at any byte, or be there as zeros while a later one arrived.
"""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import pytest
from tests.record.scribe import EPOCH_US, Scribe

from stagebook.record import reader, writer
from stagebook.record.writer import Writer

SEED = 20_260_101


class Call(NamedTuple):
    """`kind` is write, cut, sync (of the file), names (of a directory) or told (that records up to `number` are)."""

    kind: str
    data: bytes = b""
    number: int = 0
    path: str = ""


class RecordingOS:
    """`os` as the writer sees it: everything is done, and noted."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls
        self._opened: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, *rest: Any) -> int:
        fd = os.open(path, *rest)
        self._opened[fd] = path
        return fd

    def write(self, fd: int, data: bytes) -> int:
        done = os.write(fd, data)
        self._calls.append(Call("write", bytes(data[:done])))
        return done

    def ftruncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)
        self._calls.append(Call("cut", number=size))

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)
        self._calls.append(Call("sync"))

    def fsync(self, fd: int) -> None:
        os.fsync(fd)
        self._calls.append(Call("names", path=self._opened[fd]))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    calls: list[Call] = []
    monkeypatch.setattr(writer, "os", RecordingOS(calls))
    return calls


def perform(scribe: Scribe, calls: list[Call]) -> None:
    """A run of some batches; what a sync has made safe is told to the world."""
    out = scribe.open()

    def sync() -> None:
        scribe.sync(out)
        calls.append(Call("told", number=scribe.announced))

    scribe.begin(out)
    for number in range(9):
        scribe.batch(out, f"s{number}", 1 + number % 2)
        if number % 4 == 3:
            sync()
    sync()
    out.close(scribe.us)


def images(synced: bytes, loose: list[bytes], chance: random.Random) -> Iterator[bytes]:
    """What may be in the file after its last sync, given the writes since."""
    whole = synced + b"".join(loose)
    newest = len(loose[-1]) if loose else 0  # where earlier writes were torn has been seen before this one
    for end in range(len(whole) - newest, len(whole) + 1):
        yield whole[:end]
    for kept in itertools.product([True, False], repeat=len(loose)):
        parts = [data if keep else bytes(len(data)) for data, keep in zip(loose, kept)]
        yield synced + b"".join(parts)
    for _ in range(40):
        torn = bytearray(whole)
        for at in range(len(synced), len(whole), 64):
            if chance.random() < 0.3:
                torn[at : at + 64] = bytes(len(torn[at : at + 64]))
        yield bytes(torn)


def test_every_image_opens_and_nothing_announced_is_missing(tmp_path: Path, calls: list[Call]) -> None:
    scribe = Scribe(tmp_path)
    perform(scribe, calls)
    original = reader.load(scribe.path).records
    chance = random.Random(SEED)
    path = str(tmp_path / "image")
    synced, loose, told, tried = b"", [], 0, 0
    for call in calls:
        if call.kind == "write":
            loose.append(call.data)
        elif call.kind == "sync":
            synced, loose = synced + b"".join(loose), []
        elif call.kind == "told":
            told = call.number
        for image in images(synced, loose, chance):
            tried += 1
            Path(path).write_bytes(image)
            recording = reader.load(path)
            assert len(recording.records) >= told
            assert recording.records == original[: len(recording.records)]
            assert recording.clean == (recording.length == len(image))
    assert told > 10
    assert tried > 1000


def test_a_run_goes_on_from_every_torn_end(tmp_path: Path, calls: list[Call]) -> None:
    scribe = Scribe(tmp_path)
    perform(scribe, calls)
    whole = Path(scribe.path).read_bytes()
    path = str(tmp_path / "image")
    for end in range(len(whole) - 700, len(whole) + 1, 7):
        Path(path).write_bytes(whole[:end])
        recording = reader.load(path)
        reader.repair(path, recording)
        again = Writer(path, scribe.run, EPOCH_US, recording.position)
        again.add("run.resumed", recording.us)
        again.close(recording.us)
        after = reader.load(path)
        assert after.clean
        assert [record["event"] for record in after.records[-2:]] == ["run.resumed", "journal.synced"]


def test_the_names_that_lead_to_the_file_are_durable_before_anything_is_told(tmp_path: Path, calls: list[Call]) -> None:
    scribe = Scribe(tmp_path)
    perform(scribe, calls)
    first_told = next(index for index, call in enumerate(calls) if call.kind == "told")
    named = [call.path for call in calls[:first_told] if call.kind == "names"]
    assert not [call for call in calls[first_told:] if call.kind == "names"], "once is enough"
    run = Path(scribe.directory)
    assert named == [str(run), str(run.parent), str(run.parent.parent), str(run.parent.parent.parent)]


def test_an_answer_about_a_run_that_goes_on_is_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Call] = []
    scribe = Scribe(tmp_path)
    out = scribe.open()
    scribe.begin(out)
    monkeypatch.setattr(reader, "os", RecordingOS(calls))
    reader.settle(scribe.path)
    assert [call.kind for call in calls] == ["sync"]
    out.abandon()
