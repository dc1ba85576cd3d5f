"""How a text dresses for where it goes: colours or none, UTF-8 or ASCII, and how wide. Decides nothing else.

Only the 16 named colours, so that the reader's theme decides what they look like. Without them nothing is lost: each
state has a glyph and a word of its own.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Mapping

_SGR = {
    "success": "36",
    "running": "34",
    "failure": "31",
    "timeout": "31",
    "error": "35",
    "flaky": "33",
    "warning": "33",
    "gate": "35",
    "person": "35",
    "interrupted": "35",
    "mute": "90",
    "cancellation": "90",
    "skip": "90",
    "note": "90",
    "bold": "1",
    "failure-bold": "1;31",
}

#: state: (terminal, ascii)
GLYPHS = {
    "running": ("●", ">"),
    "success": ("✓", "ok"),
    "flaky": ("≈", "~"),
    "failure": ("✗", "FAIL"),
    "error": ("!", "ERR"),
    "timeout": ("◷", "TIME"),
    "cancellation": ("⊘", "stop"),
    "skip": ("»", "skip"),
    "needs": ("·", "."),
    "slot": ("◌", ":"),
    "gate": ("‖", "gate"),
    "person": ("‖", "gate"),
    "interrupted": ("!", "ERR"),
    "backoff": ("░", ":"),
}

#: symbols of pictures: (UTF-8, ASCII)
MARKS = {
    "critical": ("█", "#"),
    "work": ("▄", "="),
    "failed": ("▒", "x"),
    "stopped": ("▒", "x"),
    "wait": ("░", ":"),
    "gate": ("─", "-"),
    "post": ("‖", "|"),
    "now": ("▶", ">"),
    "expected": ("╌", "-"),
    "nothing": ("–", "-"),
    "minus": ("−", "-"),
    "because": ("←", "<-"),
    "then": ("→", "->"),
    "times": ("×", "x"),
    "bar": ("│", "|"),
    "cut": ("…", "..."),
    "path-first": ("┏", "*"),
    "path": ("┣", "*"),
    "path-last": ("┗", "*"),
    "path-past": ("┃", "|"),
    "path-bare": ("┇", ":"),
    "beside": ("∥", "||"),
    "beside-each-other": ("↔", "<->"),
    "folded": ("▸", "+"),
    "makes": ("⇢", "~>"),
    "bar-line": ("━", "="),
    "dot": ("●", "o"),
    "tail": ("─", "-"),
    "knee": ("◀", "<"),
    "limit": ("┊", ":"),
    "share-1": ("▁", "."),
    "share-2": ("▂", "-"),
    "share-3": ("▃", "~"),
    "share-4": ("▄", "="),
}

WIDTH_MAX = 1000  #: no terminal is wider, and pictures are drawn cell by cell


class Style:
    """`width` is of the terminal, or 80 where there is none; lines stay one cell below it."""

    __slots__ = ("color", "ascii", "width", "glyph_width", "_column")

    def __init__(self, color: bool = False, ascii: bool = False, width: int = 80) -> None:
        self.color = color
        self.ascii = ascii
        self.width = width
        self._column = 1 if ascii else 0
        self.glyph_width = 4 if ascii else 1

    def paint(self, text: str, token: str) -> str:
        return f"\x1b[{_SGR[token]}m{text}\x1b[0m" if self.color and token in _SGR else text

    def glyph(self, state: str) -> str:
        return GLYPHS[state][self._column]

    def mark(self, name: str) -> str:
        return MARKS[name][self._column]

    def plain(self, text: str) -> str:
        """Our own words where only ASCII goes; a user's letters that ASCII lacks become escapes."""
        if not self.ascii or text.isascii():
            return text
        for wide, narrow in MARKS.values():
            if wide in text:
                text = text.replace(wide, narrow)
        return text.encode("ascii", "backslashreplace").decode("ascii")


def choose(
    stream: IO[str],
    color: str = "auto",
    ascii: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Style:
    """The style for `stream`. `color` is auto, always or never; auto asks NO_COLOR, TERM, and for a terminal."""
    environ = os.environ if environ is None else environ
    is_terminal = stream.isatty()
    if color == "auto":
        painted = is_terminal and not environ.get("NO_COLOR") and environ.get("TERM", "") != "dumb"
    else:
        painted = color == "always"
    return Style(painted, ascii or not speaks_utf8(stream, environ), width_of(stream, environ))


def speaks_utf8(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Whether the locale has UTF-8. Python itself turns an unset or C locale into UTF-8, so that a C asked for by name
    has to be read from the environment."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    if encoding not in ("utf8", "utf8sig"):
        return False
    asked = environ.get("LC_ALL") or ""
    if not asked:
        asked = environ.get("LC_CTYPE") or ""
        if asked in ("", "C.UTF-8"):  # the latter is what Python writes there when it finds the C locale
            asked = environ.get("LANG") or asked
    return asked not in ("C", "POSIX")


def width_of(stream: IO[str], environ: Mapping[str, str]) -> int:
    """Columns of the terminal; `COLUMNS` where it says so; 80 where neither is known. From 40 to `WIDTH_MAX`."""
    said = environ.get("COLUMNS", "")
    if said.isdigit() and int(said[:9]) > 0:
        return max(40, min(WIDTH_MAX, int(said[:9])))
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 80
    return max(40, min(WIDTH_MAX, columns or 80))
