"""A journal whose checksums are right and whose content no engine wrote: damage that is told, never a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Iterator
from zlib import crc32

import pytest
from tests.record.play import Play, some_pipeline
from tests.record.scribe import Scribe

from stagebook.history import reading
from stagebook.model.problem import SurroundingsError
from stagebook.record import events, runs, shapes
from stagebook.record.reader import DamagedJournal, load
from stagebook.record.replay import replay
from stagebook.record.story import Story
from stagebook.scheduler.plan import Choice

ODD: list[Any] = [
    None, True, -1, 1.5, 1e308, 10**30, float("nan"), "", "x", [], {}, [1], {"a": 1}, "\ud800", "\0", [None], [["a"]],
    "9999-12-31T23:59:59+14:00", "9999-12-31T23:59:59.000000+00:00", "../../x", 2**63, -(2**64),
]  # fmt: skip


def sealed(record: dict[str, Any]) -> bytes:
    record.pop("crc", None)
    body = json.dumps(record, separators=(",", ":"))[:-1].encode()
    return body + b',"crc":"%08x"}\n' % crc32(body)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in members:
        yield (*above, key)
        yield from places(each, (*above, key))


def put(record: Any, place: tuple[Any, ...], value: Any) -> None:
    for key in place[:-1]:
        record = record[key]
    record[place[-1]] = value


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Of a whole run with retries and failures."""
    chance = random.Random(7)
    scribe = Scribe(tmp_path)
    Play.begin(scribe, some_pipeline(chance, 3), Choice(cores=2, jobs=2), 7).finish()
    return Path(scribe.path)


def test_what_no_engine_wrote_is_told_as_damage(journal: Path) -> None:
    """Each member of each line, and what stands in it, with several odd values instead."""
    chance = random.Random(5)
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = tried = 0
    for number, line in enumerate(lines):
        for place in places(json.loads(line)):
            if place == ("crc",):
                continue
            for value in chance.sample(ODD, 2):
                record = json.loads(line)
                put(record, place, value)
                journal.write_bytes(b"".join([*lines[:number], sealed(record), *lines[number + 1 :]]))
                tried += 1
                try:
                    damaged += told(journal, (number, place, value))
                except SurroundingsError as error:
                    said = str(error)
                    damaged += 1
                    if str(journal) not in said and journal.parent.name not in said:
                        raise
    assert tried / 3 < damaged < tried


def told(journal: Path, what: object) -> bool:
    """Whether it is listed as damaged; everything else that reads it may raise SurroundingsError and nothing else."""
    summary = runs.summarise(str(journal.parent))
    row = reading.read(str(journal.parent))
    try:
        recording = load(str(journal))
        replay(recording)
        json.dumps(Story.from_recording(recording).document())
    except SurroundingsError:
        raise
    except Exception as error:
        raise AssertionError(f"{what}: {error!r}") from error
    return summary is None or summary["state"] == "damaged" or row is None or row.run.get("damaged") is not None


def test_damage_is_told_with_its_record_and_its_member(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if b'"stage.started"' in line)
    journal.write_bytes(b"".join([*lines[:at], sealed({**json.loads(lines[at]), "attempt": 10**23}), *lines[at + 1 :]]))
    with pytest.raises(DamagedJournal, match="`attempt` holds what it cannot") as caught:
        load(str(journal))
    assert (caught.value.record, caught.value.offset) == (at + 1, sum(map(len, lines[:at])))


def test_a_number_too_large_for_a_database_is_damage_for_it_too(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if b'"stage.exited"' in line)
    record = {**json.loads(lines[at]), "exit": 10**30}
    journal.write_bytes(b"".join([*lines[:at], sealed(record), *lines[at + 1 :]]))
    row = reading.read(str(journal.parent), is_careful=True)
    assert row is not None and row.run["damaged"] is not None and row.stages == []


def test_each_key_of_the_table_is_judged_or_may_hold_anything() -> None:
    for name, event in events.EVENTS.items():
        for key, spec in event.keys.items():
            if spec.kind != "any":
                assert shapes.fault({"event": name, key: object()}) == f"`{key}` holds what it cannot", (name, key)


def test_keys_and_events_of_other_versions_are_passed_over() -> None:
    assert shapes.fault({"event": "stage.started", "new": object()}) is None
    assert shapes.fault({"event": "of.later", "pid": "x"}) is None
