"""What a page quotes from logs: the end of what failed, a few lines of the rest, all of it within a number of bytes.

Only as much is read as is quoted, whatever the logs' sizes.
"""

from __future__ import annotations

import os

from stagebook.cli.excerpt import Excerpts, shortened
from stagebook.report.page.facts import Log
from stagebook.report.rows import FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FAILED_LINES = 40
FIRST_LINES, LAST_LINES = 3, 5
BUDGET = 4 << 20  #: bytes of all quotes together; what failed is quoted first
_BUDGET_FAILED = 3 << 20
_WHOLE_MAX = 1 << 16  #: of a larger log only both ends are read
_CHUNK = 1 << 14


def quotes(document: dict[str, Any]) -> dict[tuple[str, int], Log]:
    """Of each attempt that printed something, as long as there is room; what failed first."""
    attempts = [
        (attempt["outcome"] in FAILED, stage["stage"], attempt["attempt"], attempt["log"])
        for stage in document["stages"]
        for attempt in stage["attempts"]
        if attempt.get("log")
    ]
    paths = {(name, number): path for _, name, number, path in attempts}
    excerpts = Excerpts(lambda name, number: paths[name, number])
    found: dict[tuple[str, int], Log] = {}
    taken = 0
    for failed, name, number, path in sorted(attempts, key=lambda attempt: not attempt[0]):
        if taken > (_BUDGET_FAILED if failed else BUDGET):
            continue
        log = _failed(excerpts, name, number, path) if failed else _quiet(path)
        if log is not None:
            found[name, number] = log
            taken += sum(len(line) + 16 for _, line in (*log.first, *log.last))
    return found


def _failed(excerpts: Excerpts, name: str, number: int, path: str) -> Log | None:
    try:
        size = os.stat(path).st_size
    except OSError:
        return None
    return Log((), excerpts.tail(name, number, FAILED_LINES), size)


def _quiet(path: str) -> Log | None:
    """The first lines and the last ones; all of them where there are no more. Numbered from whichever end is known."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        size = os.fstat(fd).st_size
        if size <= _WHOLE_MAX:
            lines = _lines(os.pread(fd, size, 0))
            numbered = [(index, shortened(line)) for index, line in enumerate(lines, 1)]
            if len(lines) <= FIRST_LINES + LAST_LINES:
                return Log(numbered, (), size)
            return Log(numbered[:FIRST_LINES], numbered[-LAST_LINES:], size)
        first = _lines(os.pread(fd, _CHUNK, 0))[:FIRST_LINES]
        last = _lines(os.pread(fd, _CHUNK, size - _CHUNK))[-LAST_LINES:]
    except OSError:
        return None
    finally:
        os.close(fd)
    return Log(
        [(index, shortened(line)) for index, line in enumerate(first, 1)], [(0, shortened(line)) for line in last], size
    )


def _lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]
