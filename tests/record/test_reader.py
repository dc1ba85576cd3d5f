"""Torn tails are cut and said, damage before the last sync is refused, and the file stays as it is (G5).

One journal of a hundred records, cut at many bytes (at night at every byte), bits flipped nearly everywhere (at night
every bit), records swapped, repeated and removed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.record.scribe import EPOCH_US, Scribe, journal_of

from stagebook.model.problem import SurroundingsError
from stagebook.record import line as line_module
from stagebook.record import reader
from stagebook.record.line import encode
from stagebook.record.reader import DamagedJournal, Recording
from stagebook.record.writer import Writer

RECORDS = 100
SYNC_EVERY = 8


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return journal_of(tmp_path_factory.mktemp("journal"), RECORDS, SYNC_EVERY)


@pytest.fixture(scope="module")
def lines(journal: bytes) -> list[bytes]:
    return journal.splitlines(keepends=True)


@pytest.fixture(scope="module")
def last_sync(lines: list[bytes]) -> int:
    """Index of the last line that tells of a sync. Some lines follow it."""
    found = max(index for index, text in enumerate(lines) if b"journal.synced" in text)
    assert 80 < found < RECORDS - 3
    return found


@pytest.fixture
def whole_lines_known(lines: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding of the hundred whole lines is looked up, so that only changed ones cost time."""
    known = {text: line_module.decode(text) for text in lines}

    def decode(text: bytes) -> dict[str, Any]:
        return known.get(text) or line_module.decode(text)

    monkeypatch.setattr(reader, "decode", decode)


def load(path: Path, data: bytes) -> Recording:
    """What the reader makes of these bytes; they must be in the file afterwards as before."""
    path.write_bytes(data)
    try:
        return reader.load(str(path))
    finally:
        assert path.read_bytes() == data


def sequence(recording: Recording) -> list[int]:
    return [record["seq"] for record in recording.records]


def test_a_whole_journal_is_clean(tmp_path: Path, journal: bytes) -> None:
    recording = load(tmp_path / "j", journal)
    assert recording.clean
    assert recording.tail_text is None
    assert sequence(recording) == list(range(1, RECORDS + 1))
    assert recording.position.offset == len(journal)
    assert list(reader.read(str(tmp_path / "j"))) == recording.records


@pytest.mark.usefixtures("whole_lines_known")
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.nightly)])
def test_cut_at_every_byte_the_state_is_that_of_the_last_whole_record(
    tmp_path: Path, journal: bytes, lines: list[bytes], step: int
) -> None:
    path = tmp_path / "j"
    path.write_bytes(journal)
    ends = [0]
    for text in lines:
        ends.append(ends[-1] + len(text))
    whole = len(lines)
    for size in range(len(journal), -1, -step):
        os.truncate(path, size)
        while ends[whole] > size:
            whole -= 1
        recording = reader.load(str(path))
        assert len(recording.records) == whole
        assert (recording.length, recording.tail_cut_bytes) == (ends[whole], size - ends[whole])
        assert recording.clean == (recording.tail_text is None) == (size == ends[whole])
        assert path.stat().st_size == size


@pytest.mark.usefixtures("whole_lines_known")
@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.nightly)])
def test_every_flipped_bit_is_refused_before_the_last_sync_and_cut_after_it(
    tmp_path: Path, journal: bytes, lines: list[bytes], last_sync: int, step: int
) -> None:
    """In steps of nine bits nearly every byte has its turn, and each of its bits somewhere."""
    path = tmp_path / "j"
    path.write_bytes(journal)
    offset = 0
    with open(path, "r+b", buffering=0) as file:
        for index, text in enumerate(lines):
            for bit in range(0, len(text) * 8, step):
                at = offset + bit // 8
                os.pwrite(file.fileno(), bytes([journal[at] ^ 1 << bit % 8]), at)
                if index < last_sync:
                    with pytest.raises(DamagedJournal) as caught:
                        reader.load(str(path))
                    assert (caught.value.record, caught.value.offset) == (index + 1, offset)
                else:
                    recording = reader.load(str(path))
                    assert len(recording.records) == index
                    assert recording.tail_cut_bytes == len(journal) - offset
                os.pwrite(file.fileno(), journal[at : at + 1], at)
            offset += len(text)
    assert path.read_bytes() == journal


@pytest.mark.usefixtures("whole_lines_known")
@pytest.mark.parametrize("what", ["swapped", "repeated", "removed"])
def test_records_out_of_order_are_refused_before_the_last_sync_and_cut_after_it(
    tmp_path: Path, lines: list[bytes], what: str
) -> None:
    last = RECORDS - 1
    for index in range(last):
        changed = {
            "swapped": [*lines[:index], lines[index + 1], lines[index], *lines[index + 2 :]],
            "repeated": [*lines[: index + 1], lines[index], *lines[index + 1 :]],
            "removed": [*lines[:index], *lines[index + 1 :]],
        }[what]
        sound = index + 1 if what == "repeated" else index
        if any(b'"event":"journal.synced"' in line for line in changed[sound:]):
            with pytest.raises(DamagedJournal, match="its number is") as caught:
                load(tmp_path / "j", b"".join(changed))
            assert caught.value.record == sound + 1
        else:
            recording = load(tmp_path / "j", b"".join(changed))
            assert len(recording.records) == sound
            assert recording.tail_cut_bytes == sum(map(len, changed[sound:]))
            assert recording.tail_why is not None and recording.tail_why.startswith("its number is")


def test_a_record_of_another_run_is_refused(tmp_path: Path, lines: list[bytes]) -> None:
    foreign = encode(51, 40, "01M86ACQ6N2NG1B6NHNQHWE882", 10**6, EPOCH_US, "stage.ended", '"s"')
    with pytest.raises(DamagedJournal, match=r"record 51 .*it belongs to run 01M86ACQ6N2NG1B6NHNQHWE882"):
        load(tmp_path / "j", b"".join([*lines[:50], foreign, *lines[51:]]))


def test_a_batch_before_the_one_before_it_is_refused(tmp_path: Path) -> None:
    made = [encode(seq, batch, "R", 0, EPOCH_US, "stage.ended", '"s"') for seq, batch in ((1, 1), (2, 3), (3, 2))]
    made.append(encode(4, 3, "R", 0, EPOCH_US, "journal.synced"))
    with pytest.raises(DamagedJournal, match=r"record 3 .*it is of batch 2, after one of batch 3"):
        load(tmp_path / "j", b"".join(made))


def test_the_message_names_file_record_and_byte(tmp_path: Path, lines: list[bytes]) -> None:
    broken = b"".join([*lines[:3], lines[3].replace(b"stage", b"stagE", 1), *lines[4:]])
    with pytest.raises(SurroundingsError) as caught:
        load(tmp_path / "j", broken)
    offset = sum(map(len, lines[:3]))
    assert str(caught.value) == (
        f"{tmp_path / 'j'} is damaged at record 4 (byte {offset}): its checksum does not match; "
        "the file was left as it is"
    )


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_done_to_the_bytes_nothing_false_is_read(
    tmp_path: Path, journal: bytes, data: st.DataObject
) -> None:
    """Any run of bytes replaced by any other, of any length: refused, or a beginning of what was written."""
    begin = data.draw(st.integers(0, len(journal)))
    end = data.draw(st.integers(begin, min(len(journal), begin + 600)))
    put = data.draw(st.binary(max_size=600) | st.sampled_from([journal[end : end + 300], journal[begin - 300 : begin]]))
    changed = journal[:begin] + put + journal[end:]
    (tmp_path / "whole").write_bytes(journal)
    original = reader.load(str(tmp_path / "whole")).records
    try:
        recording = load(tmp_path / "j", changed)
    except DamagedJournal:
        assert changed != journal
        return
    assert recording.records == original[: len(recording.records)]
    assert recording.clean == (changed == journal[: len(changed)] and recording.length == len(changed))


def test_zeros_after_the_last_write_are_a_tail(tmp_path: Path, journal: bytes) -> None:
    recording = load(tmp_path / "j", journal + bytes(4096))
    assert len(recording.records) == RECORDS
    assert recording.tail_cut_bytes == 4096


def test_a_lost_newline_does_not_hide_the_sync_after_it(tmp_path: Path, lines: list[bytes], last_sync: int) -> None:
    before = lines[last_sync - 1][:-1] + b"\x00"
    with pytest.raises(DamagedJournal):
        load(tmp_path / "j", b"".join([*lines[: last_sync - 1], before, *lines[last_sync:]]))


def test_a_newer_version_is_not_guessed_at(tmp_path: Path) -> None:
    from zlib import crc32

    body = b'{"v":2,"seq":1,"batch":1,"run":"R"'
    with pytest.raises(SurroundingsError, match="is of version 2; this Stagebook reads 1"):
        load(tmp_path / "j", b'%b,"crc":"%08x"}\n' % (body, crc32(body)))


def test_repair_cuts_exactly_the_tail_and_a_writer_goes_on(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    writer = scribe.open()
    scribe.begin(writer)
    scribe.batch(writer, "a", 3)
    scribe.sync(writer)
    scribe.batch(writer, "b", 2)
    writer.abandon()
    whole = Path(scribe.path).read_bytes()
    Path(scribe.path).write_bytes(whole + whole[-40:])
    recording = reader.load(scribe.path)
    assert recording.tail_text == (
        f"the journal's last 40 bytes, after record {len(recording.records)}, are not a whole record (its checksum "
        "does not match); the run is taken as it stood before them"
    )
    reader.repair(scribe.path, recording)
    assert Path(scribe.path).read_bytes() == whole
    resumed = Writer(scribe.path, scribe.run, EPOCH_US, recording.position)
    scribe.batch(resumed, "c", 1)
    resumed.close(scribe.us)
    again = reader.load(scribe.path)
    assert again.clean
    assert again.records[: len(recording.records)] == recording.records
    assert again.records[-2]["batch"] > recording.records[-1]["batch"]


def test_a_run_that_goes_on_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    writer = scribe.open()
    scribe.begin(writer)
    scribe.batch(writer, "a", 2)
    with open(scribe.path, "ab") as file:
        file.write(b'{"v":1,"seq":4,"ba')
    assert [record["seq"] for record in reader.read(scribe.path)] == [1, 2, 3]
    writer.abandon()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match=r"cannot read .*nowhere: No such file or directory"):
        reader.load(str(tmp_path / "nowhere"))


def test_a_long_journal_is_read_like_a_short_one_and_is_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "journal.jsonl")
    writer = Writer(path, "r", 0)
    for number in range(200):
        writer.add("run.cancel", number, tail='"why":"cancel"')
    writer.close(200)
    with open(path, "ab") as file:
        file.write(b'{"v":1,"torn')
    whole = reader.load(path)
    monkeypatch.setattr(reader, "LONG_BYTES", 100)
    long = reader.load(path)
    assert not isinstance(long.records, list)
    with open(path, "ab") as file:
        file.write(b"more\n")
    assert list(long.records) == whole.records == [*long.records]
    assert (long.records[0], long.records[-1], long.records[7]) == tuple(whole.records[at] for at in (0, -1, 7))
    assert long.records[-2:] == whole.records[-2:] and len(long.records) == len(whole.records) and long.records
    assert (long.us, long.run, long.tail_cut_bytes) == (whole.us, whole.run, whole.tail_cut_bytes)
