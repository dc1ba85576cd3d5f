"""The logs of parallel stages as one story in order of time, by the engine's notes of when which log grew.

A note says how large a log was at a time; the lines that end before that size are older than the note. What came
after the last note of an attempt is placed at its end. Only what is being printed is in memory.
"""

from __future__ import annotations

import os
import time
from collections import deque

from stagebook.model.value import NamedTuple
from stagebook.record import growth, reader, state
from stagebook.record.clock import epoch_us
from stagebook.record.line import time_us

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterator

    from stagebook.cli.grep import Grep

_CHUNK = 1 << 18
_LINE_MAX = 1 << 20  #: a longer line is given in parts
_NEVER_US = 1 << 62


class Line(NamedTuple):
    """`us` counts from the beginning of the run, `at_us` from 1970."""

    us: int
    at_us: int
    stage: str
    attempt: int
    data: bytes


class _Log:
    """The log of one attempt: how far it was read, and the beginning of a line whose end is yet to come."""

    __slots__ = ("attempt", "end_us", "name", "noted_us", "number", "offset", "path", "rest")

    def __init__(self, name: str, attempt: int, number: int, path: str) -> None:
        self.name = name
        self.attempt = attempt
        self.number = number  #: in the order in which attempts began
        self.path = path
        self.end_us = _NEVER_US
        self.noted_us = 0  #: the latest note of it
        self.offset = 0
        self.rest = b""


class _Piece(NamedTuple):
    """Until `size` the log was there at `us`; -1: that is its end. Pieces sort by time; what is of the same moment
    stands in the order in which the attempts began."""

    us: int
    number: int
    is_end: bool
    size: int


class Merger:
    """The story of one run, which may go on meanwhile."""

    def __init__(
        self, directory: str, only: Collection[str] | None = None, grep: Grep | None = None, tail: int | None = None
    ) -> None:  # fmt: skip
        """`directory` is the run's; `only` are ids of stages; of what is there at first, the last `tail` lines."""
        self.run = ""
        self._directory = directory
        self._only = only
        self._grep = grep
        self._tail = tail
        self._logs: dict[tuple[str, int], _Log] = {}
        self._ordered: list[_Log] = []
        self._journal_size = -1
        self._epochs: list[tuple[int, int]] = []  #: from when on which wall clock belongs to time 0
        self._names: list[tuple[int, list[str]]] = []  #: from when on notes mean which stages
        self._last_us = 0
        self._noted = 0  #: notes that were taken
        self._ended: set[int] = set()
        self._pieces: list[_Piece] = []

    def more(self, age_us: int | None = None) -> Iterator[Line]:
        """What has come since the last call; only what is at least so old, or (None) all: nothing more will come."""
        notes = list(growth.read(state.logs_directory(self._directory)))
        self._read_journal()
        until = _NEVER_US if age_us is None else self._now_us() - age_us
        self._take(notes, age_us is None)
        ready = [piece for piece in self._pieces if piece.us <= until]
        self._pieces = [piece for piece in self._pieces if piece.us > until]
        lines = (line for piece in sorted(ready) for line in self._lines(piece))
        if self._tail is None:
            return lines
        tail, self._tail = self._tail, None
        if self._grep is None:
            for log in self._ordered:
                log.offset = begin_of_tail(log.path, tail)
        return iter(deque(lines, tail))

    def _take(self, notes: list[growth.Note], is_over: bool) -> None:
        """Turn what is new into pieces."""
        names = iter(self._names)
        known: list[str] = []
        from_us, following = next(names, (_NEVER_US, known))
        for note in notes:
            while note.us >= from_us:
                known = following
                from_us, following = next(names, (_NEVER_US, known))
            self._noted -= 1
            if self._noted >= 0 or note.stage >= len(known):
                continue
            log = self._logs.get((known[note.stage], note.attempt))
            if log is not None and log.number not in self._ended:
                log.noted_us = note.us
                self._pieces.append(_Piece(note.us, log.number, False, note.size))
        self._noted = len(notes)
        for log in self._ordered:
            if log.number not in self._ended and (is_over or log.end_us < _NEVER_US):
                self._ended.add(log.number)
                end_us = max(min(log.end_us, self._last_us), log.noted_us)
                self._pieces.append(_Piece(end_us, log.number, True, -1))

    def _read_journal(self) -> None:
        path = state.journal_path(self._directory)
        size = os.stat(path).st_size
        if size == self._journal_size:
            return
        self._journal_size = size
        self._epochs, self._names = [], []
        cut_us = 0
        for record in reader.read(path):
            event = record["event"]
            before_us, self._last_us = self._last_us, time_us(record)
            us = self._last_us
            if event == "run.resumed":
                cut_us = before_us
            if event in ("run.started", "run.resumed"):
                self.run = record["run"]
                self._epochs.append((us, epoch_us(record["at"]) - us))
                if "plan" in record:
                    self._names.append((us, [stage["id"] for stage in record["plan"]["stages"]]))
            elif event == "stage.started" and record.get("log"):
                self._began(record["stage"], record["attempt"], record["log"])
            elif event == "stage.exited":
                log = self._logs.get((record["stage"], record["attempt"]))
                if log is not None:  # what nobody saw the end of ended with its engine, not when that was noticed
                    log.end_us = cut_us if record.get("reason") == "interrupted" else us

    def _began(self, stage: str, attempt: int, name: str) -> None:
        if (stage, attempt) not in self._logs and (self._only is None or stage in self._only):
            path = os.path.join(state.logs_directory(self._directory), os.path.basename(name))
            log = self._logs[stage, attempt] = _Log(stage, attempt, len(self._ordered), path)
            self._ordered.append(log)

    def _now_us(self) -> int:
        return time.time_ns() // 1000 - self._epochs[-1][1] if self._epochs else 0

    def _lines(self, piece: _Piece) -> Iterator[Line]:
        log = self._ordered[piece.number]
        epoch = next((epoch for from_us, epoch in reversed(self._epochs) if piece.us >= from_us), 0)
        for data in read_lines(log, piece.size, self._grep):
            yield Line(piece.us, epoch + piece.us, log.name, log.attempt, data)


def read_lines(log: _Log, until: int, grep: Grep | None) -> Iterator[bytes]:
    """Whole lines up to size `until`; -1: to the end, where a line without an end is one too."""
    try:
        fd = os.open(log.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return
    try:
        while until < 0 or log.offset < until:
            data = os.pread(fd, _CHUNK if until < 0 else min(_CHUNK, until - log.offset), log.offset)
            if not data:
                break
            log.offset += len(data)
            block, end, log.rest = (log.rest + data).rpartition(b"\n")
            if end and (grep is None or grep.may_be_in(block)):
                yield from (line for line in block.split(b"\n") if grep is None or grep.is_in(line))
            if len(log.rest) > _LINE_MAX:
                yield from _last(log, grep)
    finally:
        os.close(fd)
    if until < 0 and log.rest:
        yield from _last(log, grep)


def _last(log: _Log, grep: Grep | None) -> Iterator[bytes]:
    rest, log.rest = log.rest, b""
    if grep is None or grep.is_in(rest):
        yield rest


def lines_of(path: str, grep: Grep | None, offset: int = 0) -> Iterator[bytes]:
    """The lines of one log from an offset on."""
    log = _Log("", 0, 0, path)
    log.offset = offset
    return read_lines(log, -1, grep)


def begin_of_tail(path: str, count: int) -> int:
    """Where the last `count` lines of a file begin; it is read from its end, and no further than that."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        at = os.fstat(fd).st_size
        if count <= 0:
            return at
        missing = count + (os.pread(fd, 1, at - 1) == b"\n" if at else 0)
        while at > 0:
            begin = max(0, at - _CHUNK)
            data = os.pread(fd, at - begin, begin)
            found = data.count(b"\n")
            if found >= missing:
                end = len(data)
                for _ in range(missing):
                    end = data.rindex(b"\n", 0, end)
                return begin + end + 1
            missing -= found
            at = begin
        return 0
    finally:
        os.close(fd)


def label(line: Line) -> str:
    """`07:12:50 unit | `, which goes before a line."""
    return f"{time.strftime('%H:%M:%S', time.localtime(line.at_us // 1_000_000))} {line.stage} | "
