"""What others wrote can be read on a terminal, and can do nothing there (G10)."""

from __future__ import annotations

import unicodedata

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.report.harmless import cells, cut, harmless, line_of_output, pad, without_color, wrap

ATTACKS = {
    "clipboard": "\x1b]52;c;aGVsbG8=\x07",
    "title": "\x1b]0;owned\x07",
    "title, string terminator": "\x1b]2;owned\x1b\\",
    "hyperlink": "\x1b]8;;javascript:alert(1)\x07x\x1b]8;;\x07",
    "device control": '\x1bP$q"p\x1b\\',
    "application command": "\x1b_evil\x1b\\",
    "cursor": "\x1b[2A\x1b[2K",
    "clear": "\x1b[2J\x1b[H",
    "report": "\x1b[6n\x1b[c",
    "alternate screen": "\x1b[?1049h",
    "concealed": "\x1b[8m hidden \x1b[0m",
    "long parameters": "\x1b[" + "1;" * 40 + "1m",
    "C1 CSI": "\x9b2J",
    "C1 OSC": "\x9d0;owned\x9c",
    "bare escape": "\x1bc",
    "carriage return": "stage passed\rstage failed",
    "back space": "failed\x08\x08\x08\x08\x08\x08passed",
    "bell": "\x07",
    "null": "a\x00b",
    "delete": "a\x7fb",
    "line separator": "a\u2028b\u2029c\x85d",
    "bidi override": "\u202efdp.exe\u202c",
    "bidi isolate": "\u2066a\u2069\u200e\u200f\u061c",
    "tag characters": "\U000e0041\U000e0042",
    "not UTF-8": b"\xff\x9b2J\xc3".decode("utf-8", "surrogateescape"),
}
CONTROL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def is_safe(text: str) -> bool:
    return not [ch for ch in text if unicodedata.category(ch) in CONTROL and ch not in "\u200c\u200d"]


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_nothing_of_an_attack_reaches_the_terminal_and_all_of_it_can_be_read(text: str) -> None:
    assert is_safe(harmless(text))
    assert is_safe(line_of_output(text))
    assert is_safe(without_color(line_of_output(text, color=True)))
    assert "\\" in harmless(text)


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_leaves_a_terminal_where_it_was(text: str) -> None:
    screen = pyte.Screen(400, 3)
    stream = pyte.Stream(screen)
    shown = line_of_output(text, color=True)
    stream.feed(shown)
    assert screen.title == ""
    assert screen.cursor.y == 0
    assert screen.display[0].rstrip() == without_color(shown).rstrip()


def test_escapes_are_those_that_programmers_know() -> None:
    assert harmless("\x1b[2J\ta\nb\x00\u202e") == "\\x1b[2J\\ta\\nb\\x00\\u202e"
    assert harmless(b"\xff".decode("utf-8", "surrogateescape")) == "\\xff"


def test_ordinary_names_of_all_scripts_stay_as_they_are() -> None:
    for name in ("unit[python=3.11]", "größe", "測試", "тест", "a b", "👩‍🚀", "nü-space"):
        assert harmless(name) == name


def test_colours_of_output_stay_only_where_they_are_wanted_and_end_with_their_line() -> None:
    line = b"\x1b[31mred\x1b[0m and \x1b[1;38;5;200mpink\n"
    assert line_of_output(line) == "red and pink"
    assert line_of_output(line, color=True) == "\x1b[31mred\x1b[0m and \x1b[1;38;5;200mpink\x1b[0m"


def test_a_carriage_return_before_the_line_end_is_part_of_it_and_tabs_are_spaces() -> None:
    assert line_of_output(b"a\tb\r\n") == "a       b"


@given(st.text(max_size=60))
def test_whatever_comes_one_line_stays_one_safe_line(text: str) -> None:
    assert is_safe(harmless(text))
    assert is_safe(without_color(line_of_output(text, color=True)))


@given(st.binary(max_size=80))
def test_whatever_bytes_come_they_are_safe(data: bytes) -> None:
    assert is_safe(without_color(line_of_output(data, color=True)))


@given(st.text(max_size=80).map(harmless), st.integers(2, 40))
def test_wrapping_loses_no_letter_and_keeps_the_width(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.text(max_size=80).map(harmless), st.integers(1, 40))
def test_cutting_keeps_the_width_and_says_that_it_cut(text: str, width: int) -> None:
    short = cut(text, width)
    assert cells(short) <= width
    assert short == text or short.endswith("…")


def test_wide_letters_count_twice_and_joined_marks_not_at_all() -> None:
    assert cells("漢字") == 4
    assert cells("e\u0301") == 1
    assert cells("\x1b[31mred\x1b[0m") == 3
    assert pad("漢", 4) == "漢  "
    assert cut("漢字漢字", 5) == "漢字…"
