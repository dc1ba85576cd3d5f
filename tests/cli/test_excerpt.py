"""The end of a log and what is new in it, read without reading the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.cli.excerpt import Excerpts, shortened
from stagebook.cli.place import shortener
from stagebook.cli.pulse import Pulse


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.1.log"


@pytest.fixture
def excerpts(log: Path) -> Excerpts:
    return Excerpts(lambda stage, attempt: str(log) if stage == "a" else None)


def test_the_end_comes_with_its_line_numbers(log: Path, excerpts: Excerpts) -> None:
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(1, 101)))
    assert excerpts.tail("a", 1, 3) == [(98, b"line 98"), (99, b"line 99"), (100, b"line 100")]
    with log.open("ab") as more:
        more.write(b"and on")
    assert excerpts.tail("a", 1, 2) == [(100, b"line 100"), (101, b"and on")]


@pytest.mark.parametrize("lines", [1, 2, 5, 3000])
def test_numbers_are_right_far_into_a_log(log: Path, excerpts: Excerpts, lines: int) -> None:
    log.write_bytes(b"".join(b"%d\n" % number for number in range(1, 200_001)))
    found = excerpts.tail("a", 1, lines)
    assert len(found) == lines
    assert [data for _, data in found] == [b"%d" % number for number in range(200_001 - lines, 200_001)]
    if lines > 1:
        assert all(data == b"%d" % number for number, data in found)


def test_a_huge_log_costs_no_more_and_has_no_numbers(log: Path, excerpts: Excerpts) -> None:
    with log.open("wb") as file:
        file.truncate(1 << 36)  # sparse
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast but one\nlast\n")
    assert excerpts.tail("a", 1, 2) == [(0, b"last but one"), (0, b"last")]


def test_a_line_without_end_is_shown_with_its_gap_stated(log: Path, excerpts: Excerpts) -> None:
    log.write_bytes(b"x" * 5000 + b"end\n")
    ((_, line),) = excerpts.tail("a", 1, 3)
    assert line.endswith(b"end")
    assert b"bytes" in line
    assert len(line) < 4100


def test_what_is_not_there_is_nothing(excerpts: Excerpts) -> None:
    assert excerpts.tail("a", 1, 3) == []
    assert excerpts.tail("b", 1, 3) == []
    assert list(excerpts.more("a", 1, True)) == []


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_in_whatever_pieces_a_log_grows_each_line_is_given_once_and_whole(data: bytes, cuts: list[int]) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        excerpts = Excerpts(lambda stage, attempt: file.name)
        given_lines: list[bytes] = []
        before = 0
        for cut in sorted({min(cut, len(data)) for cut in cuts}):
            file.write(data[before:cut])
            file.flush()
            before = cut
            given_lines += excerpts.more("a", 1, False)
        file.write(data[before:])
        file.flush()
        given_lines += excerpts.more("a", 1, True)
        expected = data.split(b"\n")
        assert given_lines == (expected if expected[-1] else expected[:-1])


def test_short_lines_stay_as_they_are() -> None:
    assert shortened(b"x" * 4000) == b"x" * 4000


def test_ids_are_shortened_as_far_as_they_can_be_told_apart() -> None:
    known = ["01KYAK7Q3V8W", "01KYAK7Q3V9X", "01KYAK7P0000"]
    short = shortener(known)
    assert [short(run) for run in known] == ["01KYAK7Q3V8", "01KYAK7Q3V9", "01KYAK7P"]
    assert shortener([])("01KYAK7Q3V8W") == "01KYAK7Q"
    assert short("01KYAK7Q3V8Z") == "01KYAK7Q3V8Z"


def test_the_pulse_tells_cores_in_use_of_cores_there_are() -> None:
    pulse = Pulse()
    found = pulse()
    while found is None:  # the kernel counts in hundredths of a second
        found = pulse()
    used, there = found
    assert 0 <= used <= there
