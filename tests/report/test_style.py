"""Colours and letters by where the text goes and what the reader asked for."""

from __future__ import annotations

import io
import os
import pty

import pytest

from stagebook.report.style import GLYPHS, MARKS, Style, choose, speaks_utf8


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "color", "environ", "painted"),
    [
        (Terminal(), "auto", {"TERM": "xterm"}, True),
        (Terminal(), "auto", {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), "auto", {"TERM": "xterm", "NO_COLOR": ""}, True),
        (Terminal(), "auto", {"TERM": "dumb"}, False),
        (Terminal(), "never", {"TERM": "xterm"}, False),
        (io.StringIO(), "auto", {"TERM": "xterm"}, False),
        (io.StringIO(), "always", {"NO_COLOR": "1"}, True),
    ],
)
def test_colour_follows_the_reader(stream: io.StringIO, color: str, environ: dict[str, str], painted: bool) -> None:
    assert choose(stream, color, environ=environ).color == painted


@pytest.mark.parametrize(
    ("environ", "utf8"),
    [
        ({}, True),
        ({"LANG": "C"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C.UTF-8"}, True),
        ({"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, True),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, False),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "C"}, True),
    ],
)
def test_ascii_is_for_locales_without_utf8(environ: dict[str, str], utf8: bool) -> None:
    assert speaks_utf8(Terminal(), environ) == utf8


def test_a_stream_of_another_encoding_gets_ascii() -> None:
    with io.TextIOWrapper(io.BytesIO(), encoding="latin-1") as stream:
        assert choose(stream, environ={"LANG": "en_US.UTF-8"}).ascii
    with io.TextIOWrapper(io.BytesIO(), encoding="utf-8") as stream:
        assert not choose(stream, environ={"LANG": "en_US.UTF-8"}).ascii


def test_the_width_is_the_terminals() -> None:
    assert choose(io.StringIO(), environ={}).width == 80
    assert choose(io.StringIO(), environ={"COLUMNS": "120"}).width == 120
    assert choose(io.StringIO(), environ={"COLUMNS": "7"}).width == 40
    for many in ("99999999", "9" * 5000):
        assert choose(io.StringIO(), environ={"COLUMNS": many}).width == 1000, "not what takes a minute to draw"
    leader, follower = pty.openpty()
    os.close(leader)
    with open(follower, "w", encoding="utf-8") as stream:
        assert choose(stream, environ={}).width >= 40


def test_every_symbol_has_an_ascii_twin_and_states_differ_without_colour() -> None:
    for table in (GLYPHS, MARKS):
        assert all(narrow.isascii() and not wide.isascii() for wide, narrow in table.values() if wide != "!")
    outcomes = ("success", "flaky", "failure", "error", "timeout", "cancellation", "skip", "running")
    for column in (0, 1):
        assert len({GLYPHS[outcome][column] for outcome in outcomes}) == len(outcomes)


def test_what_ascii_lacks_becomes_an_escape() -> None:
    assert Style(ascii=True).plain("a ← b × 漢") == "a <- b x \\u6f22"
    assert Style().plain("a ← b × 漢") == "a ← b × 漢"
