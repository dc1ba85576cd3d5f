"""The end of a log, without reading the rest of it. Bytes as they were written; making them harmless is `report`'s."""

from __future__ import annotations

import os

BLOCK = 1 << 16
COUNTED_MAX = 64 << 20  #: in a longer log lines are not numbered, for that would read all of it


def tail(path: str, lines: int) -> list[tuple[int, bytes]]:
    """The last lines with their numbers, from 1; number 0 where the log is too long to count. Empty if unreadable."""
    try:
        with open(path, "rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            data = b""
            at = size
            while at > 0 and data.count(b"\n") <= lines and len(data) < (1 << 20):
                step = min(BLOCK, at)
                at -= step
                file.seek(at)
                data = file.read(step) + data
            before = _count(file, at) if size <= COUNTED_MAX else None
    except OSError:
        return []
    found = data.split(b"\n")
    if found[-1] == b"":
        found.pop()
    skipped = max(0, len(found) - lines)
    first = None if before is None else before + skipped + 1
    return [(0 if first is None else first + index, line) for index, line in enumerate(found[skipped:])]


def _count(file: object, end: int) -> int:
    """Line ends before `end`."""
    read = file.read  # type: ignore[attr-defined]
    file.seek(0)  # type: ignore[attr-defined]
    count = 0
    while end > 0:
        block = read(min(1 << 20, end))
        if not block:
            break
        count += block.count(b"\n")
        end -= len(block)
    return count
