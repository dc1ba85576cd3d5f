"""The logs of parallel stages as one story in order of time, by the engine's notes of when which log grew.

A note says how large a log was at a time; the lines that end before that size are older than the note. What came
after the last note of an attempt is placed at its end. Only what is being printed is in memory.
"""

from __future__ import annotations

import os
import time

from stagebook.model.value import NamedTuple
from stagebook.record import growth
from stagebook.report.rows import instants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

_CHUNK = 1 << 18
_LINE_MAX = 1 << 20  #: a longer line is given in parts


class _Piece(NamedTuple):
    us: int
    stage: int
    attempt: int
    size: int


def lines(document: dict[str, Any], logs_directory: str, only: str | None = None) -> Iterator[tuple[int, str, bytes]]:
    """(microseconds since 1970, stage, line) in order of time."""
    read = instants()
    begin = read(document["started"])
    names = [stage["stage"] for stage in document["stages"]]
    paths: dict[tuple[int, int], str] = {}
    ends: list[_Piece] = []
    last = 0
    for index, stage in enumerate(document["stages"]):
        if only is not None and stage["stage"] != only:
            continue
        for attempt in stage["attempts"]:
            if attempt["log"]:
                key = (index, attempt["attempt"])
                paths[key] = attempt["log"]
                end = read(attempt["finished"]) - begin if attempt["finished"] else 1 << 62
                ends.append(_Piece(end, *key, -1))
                last = max(last, end if end < 1 << 62 else 0)
    notes = [_Piece(*note) for note in growth.read(logs_directory) if (note.stage, note.attempt) in paths]
    pieces = sorted([*notes, *ends], key=lambda piece: piece.us)
    offsets: dict[tuple[int, int], int] = {}
    rests: dict[tuple[int, int], bytes] = {}
    for piece in pieces:
        key = (piece.stage, piece.attempt)
        us = begin + (piece.us if piece.us < 1 << 62 else last)
        for line in _read(paths[key], key, piece.size, offsets, rests):
            yield us, names[piece.stage], line


def _read(
    path: str,
    key: tuple[int, int],
    until: int,
    offsets: dict[tuple[int, int], int],
    rests: dict[tuple[int, int], bytes],
) -> Iterator[bytes]:
    """Whole lines up to size `until`; -1: to the end, where a line without an end is one too."""
    offset = offsets.get(key, 0)
    rest = rests.get(key, b"")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return
    try:
        while until < 0 or offset < until:
            data = os.pread(fd, _CHUNK if until < 0 else min(_CHUNK, until - offset), offset)
            if not data:
                break
            offset += len(data)
            *whole, rest = (rest + data).split(b"\n")
            yield from whole
            if len(rest) > _LINE_MAX:
                yield rest
                rest = b""
    finally:
        os.close(fd)
    if until < 0 and rest:
        yield rest
        rest = b""
    offsets[key], rests[key] = offset, rest


def label(us: int, stage: str) -> str:
    """`07:12:50 unit | `, which goes before a line."""
    return f"{time.strftime('%H:%M:%S', time.localtime(us // 1_000_000))} {stage} | "
