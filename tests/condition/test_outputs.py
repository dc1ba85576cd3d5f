"""What a stage may append to STAGEBOOK_OUTPUT, and what is made of all else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stagebook.condition import outputs
from stagebook.model.pipeline import OutputOf


def read(tmp_path: Path, data: bytes) -> tuple[dict[str, str], list[str]]:
    file = tmp_path / "output"
    file.write_bytes(data)
    return outputs.read(str(file))


def test_the_last_of_a_name_counts_and_a_value_is_taken_as_it_is(tmp_path: Path) -> None:
    data = b"version=1\nurl=http://x/?a=b&c=d \nversion=2\n\nempty=\r\n_x1=\xc3\xa4"
    assert read(tmp_path, data) == ({"version": "2", "url": "http://x/?a=b&c=d ", "empty": "", "_x1": "ä"}, [])


def test_a_value_of_several_lines_stands_between_two_words(tmp_path: Path) -> None:
    data = b"a<<END\none=1\n\ntwo\nEND\nb-c=2\nd<<X\nX\ne=<<f\n"
    assert read(tmp_path, data) == ({"a": "one=1\n\ntwo", "b-c": "2", "d": "", "e": "<<f"}, [])
    found, said = read(tmp_path, b"a<<END\nb=1\n")
    assert found == {"b": "1"}
    assert said == ["STAGEBOOK_OUTPUT line 1: no line 'END' ends it, not 'a<<END'"]


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert outputs.read(str(tmp_path / "none")) == ({}, [])


def test_malformed_lines_are_named_by_number_and_the_rest_holds(tmp_path: Path) -> None:
    found, said = read(tmp_path, b"a=1\nno equals\n1b=2\nx y=3\nb=2\nc=\0\n" + b"=" + b"x" * 100 + b"\n")
    assert found == {"a": "1", "b": "2"}
    assert said[0] == "STAGEBOOK_OUTPUT line 2: NAME=VALUE expected, not 'no equals'"
    assert [line.split(":")[0].split()[-1] for line in said] == ["2", "3", "4", "6", "7"]
    assert all(len(line) < 150 for line in said)


def test_many_malformed_lines_are_counted(tmp_path: Path) -> None:
    _, said = read(tmp_path, b"nonsense\n" * 500)
    assert len(said) == outputs.WARNINGS_MAX + 1
    assert said[-1] == "STAGEBOOK_OUTPUT: 490 more lines are malformed"


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    assert read(tmp_path, b"a=\xff\xfe\n") == ({"a": "\ufffd\ufffd"}, [])


def test_what_is_beyond_the_limits_is_left_out_and_said(tmp_path: Path) -> None:
    found, said = read(tmp_path, b"".join(b"n%d=%d\n" % (number, number) for number in range(1003)) + b"n7=seven\n")
    assert len(found) == outputs.NAMES_MAX
    assert found["n7"] == "seven"
    assert said == ["STAGEBOOK_OUTPUT has more than 1000 names; 3 lines are left out"]
    found, said = read(tmp_path, b"a=1\n" + b"b=" + b"x" * outputs.BYTES_MAX + b"\n")
    assert found == {"a": "1"}
    assert said == ["STAGEBOOK_OUTPUT is larger than 1048576 bytes (1 MiB); the rest is left out"]


def test_what_is_no_file_blocks_nobody(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert outputs.read(str(fifo)) == ({}, ["STAGEBOOK_OUTPUT is no regular file any more"])
    assert outputs.read(str(tmp_path))[0] == {}
    assert outputs.read(str(tmp_path))[1][0].startswith("STAGEBOOK_OUTPUT ")


def test_an_output_that_was_not_said_is_named_with_those_that_were() -> None:
    assert outputs.value(OutputOf("build", "version"), {"version": "2"}) == "2"
    with pytest.raises(outputs.Absent, match=r"^no output version of build: it has none$"):
        outputs.value(OutputOf("build", "version"), {})
    with pytest.raises(outputs.Absent, match=r"^no output version of build: it has name, path$"):
        outputs.value(OutputOf("build", "version"), {"path": "", "name": ""})
