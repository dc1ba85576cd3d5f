"""The first line of a step's log that was cut to its newest part: it says how much is left out in all, so that whoever
follows the log finds the place again. Who cuts is the engine.
"""

from __future__ import annotations

LOG_MAX = 16 << 20  #: bytes: the log of a step that is larger is cut
NOTE_MAX = 200  #: bytes: a line that says what is left out is shorter
_NOTE = b"[stagebook: "
_NOTE_END = b"bytes left out here, the log of a step keeps %d]" % LOG_MAX


def note(count: int) -> bytes:
    """The line for so many bytes that are left out."""
    return b"%s%d %s\n" % (_NOTE, count, _NOTE_END)


def left_out(head: bytes) -> tuple[int, int]:
    """How many bytes are left out of a log that begins so, and how many the line has that says it; 0 of a whole one."""
    line, end, _ = head.partition(b"\n")
    number, _, rest = line.removeprefix(_NOTE).partition(b" ")
    if not end or not line.startswith(_NOTE) or not number.isdigit() or rest != _NOTE_END:
        return 0, 0
    return int(number), len(line) + 1
