"""The seam between a run that goes on and the people who watch it: what the engine tells, and who listens.

The engine calls these methods and imports nothing from here; `choose` picks the listener. Times are whole
microseconds since the run began. A listener never raises and never stops a run: where its reader has gone it falls
silent, where its output is full it says so once on standard error.
"""

from __future__ import annotations

import errno
import os
import select
import sys

from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Callable, Iterable, Mapping, Sequence, TypeAlias

    from stagebook.model.outcome import AttemptEnd, ItemsTold

#: (stage id, attempt, how many lines) to (line number or 0, line) of its output's end, from whoever has the files
Tail: TypeAlias = "Callable[[str, int, int], list[tuple[int, bytes]]]"
#: (stage id, attempt, whether it has ended) to lines that were not yet given
More: TypeAlias = "Callable[[str, int, bool], Iterable[bytes]]"
Document: TypeAlias = "Mapping[str, Any]"

KEPT_MAX = 1 << 20  #: bytes that wait for a reader before the run does
PATIENCE_MS = 2000  #: for a reader who takes nothing of the last words of a run that was asked to stop
_SLICE_MS = 100  #: so often it is looked whether the run is asked to stop


class Watcher:
    """Says nothing; those who say something replace the methods."""

    #: how often `tick` is wanted, in microseconds; 0: never
    interval_us = 0
    #: whether it is worth telling that a stage waits for something else than was told, or that another one has it
    follows_waits = False
    #: what a command adds to find the run from where it was called
    look = ""
    #: whether `key` wants the characters that a person types
    wants_keys = False
    #: the gate at which a person has just answered by keys, whether it is approved, and the comment
    typed: tuple[str, bool, str | None] | None = None

    def began(self, facts: Document) -> None:
        """The run begins. `facts` has the keys of the run's document: run, pipeline, file, jobs, mode, policy, stages
        (each with stage, needs, critical); `total`, a number, stands in for stages where nobody draws them."""

    def started(self, stage_id: str, attempt: int, us: int, wait_us: int, waited: str | None) -> None:
        """An attempt runs. It waited `wait_us` for `waited` (slot, cpu, memory, pool:NAME, lock:NAME)."""

    def waits(self, stage_id: str, reason: str, holder: str | None) -> None:
        """Its needs are done, and it waits for `reason`, which `holder` has."""

    def grew(self, maker: str, news: Sequence[Document], count: int) -> None:
        """A stage has generated `count` others. `news` has them, last, and before them those that wait for them: each
        with the keys stage, needs and critical of the run's document."""

    def reading(self, stage_id: str, told: tuple[int, int, str] | None) -> None:
        """Work on its files takes long: bytes done and in all, what is done (`reading outputs`). None: it is over."""

    def gate(self, card: Document) -> None:
        """A person is asked at a gate, or has voted there. `card` has `run`, `stage` and `gate` as the document has."""

    def items(self, stage_id: str, told: ItemsTold) -> None:
        """How far the items of a stage are; told now and then."""

    def exited(self, end: AttemptEnd) -> None:
        """An attempt is over."""

    def ended(self, stage_id: str, outcome: str, reason: str | None, us: int) -> None:
        """A stage has its final outcome."""

    def tick(self, us: int) -> None:
        """Time has passed; called at least every `interval_us`."""

    def key(self, char: str) -> str | None:
        """A person pressed a key. `cancel` is given back where that asks to cancel the run, `answer` where it ends an
        answer at a gate, which is `typed` then."""
        return None

    def note(self, text: str) -> None:
        """A warning that should not wait for the end."""

    def flush(self) -> bool:
        """What was said so far should now be seen: the engine is about to wait. True: call again soon, as whoever
        reads has not taken all of it."""
        return False

    def hurry(self) -> None:
        """The run is asked to stop: words must hold it up no more. Called by a signal's handler, at any time."""

    def finished(self, document: Document) -> None:
        """The run is over and on record. `document` is as `run --json` prints it, or what a summary reads of it."""


class Quiet(Watcher):
    """Silent while it goes on; at the end all but a success is told."""

    def __init__(self, stream: IO[str], style: Style, tail: Tail | None, short: Callable[[str], str] | None) -> None:
        self._outlet = Outlet(stream)
        self._style = style
        self._tail = tail
        self._short = short or short_id

    def finished(self, document: Document) -> None:
        if document["outcome"] == "success":
            return
        from stagebook.report import failure, summary

        short = self._short(str(document["run"]))
        block = failure.block(document, self._style, self._tail, short)
        self._outlet.parts += [line + "\n" for line in block + summary.closing(document, self._style, short)]
        self._outlet.end()

    def hurry(self) -> None:
        self._outlet.hurry()


class Outlet:
    """A buffer before a stream that may be slow, full, stuck or gone. Nothing it meets stops a run.

    What the stream does not take at once is kept; only where that is more than `KEPT_MAX` the run waits for the reader,
    and it does not wait for any reader once it is asked to stop.
    """

    __slots__ = ("stream", "parts", "failed", "_fd", "_poll", "_kept", "_is_hurried")

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.parts: list[str] = []
        self.failed: int | None = None  #: errno of what went wrong; from then on everything is dropped
        self._kept = b""
        self._is_hurried = False
        self._fd = -1  #: none: a stream without a descriptor takes all at once
        try:
            self._fd = stream.fileno()
            stream.flush()
        except (OSError, ValueError, AttributeError):
            return
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    @property
    def is_behind(self) -> bool:
        """Whether the reader has not taken all of what was put out."""
        return bool(self._kept)

    def hurry(self) -> None:
        """The run is asked to stop. May be called at any time, by a signal's handler."""
        self._is_hurried = True

    def flush(self) -> bool:
        """Put out what can be; True: not all, so call again."""
        return self._put(KEPT_MAX)

    def end(self) -> None:
        """Put out everything: nothing but the reader is waited for any more."""
        self._put(0)

    def _put(self, kept_max: int) -> bool:
        if self.parts:
            text = "".join(self.parts)
            self.parts.clear()
            if self.failed is None:
                if self._fd < 0:
                    self._attempt(lambda: (self.stream.write(text), self.stream.flush()))
                else:
                    self._kept += text.encode(getattr(self.stream, "encoding", None) or "utf-8", "backslashreplace")
        if self._kept:
            self._attempt(lambda: self._write(kept_max))
        return bool(self._kept)

    def _write(self, kept_max: int) -> None:
        view = memoryview(self._kept)
        waited_ms = 0
        while view:
            has_room = len(view) <= kept_max
            if self._poll.poll(0 if has_room else _SLICE_MS):
                # So much fits where anything does, and more might have to wait for the reader.
                view = view[os.write(self._fd, view[: select.PIPE_BUF]) :]
                waited_ms = 0
            elif has_room:
                break
            else:
                waited_ms += _SLICE_MS
                if self._is_hurried and waited_ms >= (0 if kept_max else PATIENCE_MS):
                    raise BrokenPipeError
        self._kept = bytes(view)

    def _attempt(self, put: Callable[[], object]) -> None:
        try:
            put()
        except BrokenPipeError:
            self.failed = errno.EPIPE
        except (OSError, ValueError) as error:
            self.failed = getattr(error, "errno", None) or errno.EIO
            try:
                sys.stderr.write(f"warning: progress is no longer shown: {getattr(error, 'strerror', None) or error}\n")
                sys.stderr.flush()
            except (OSError, ValueError):
                pass
        if self.failed is not None:
            self._kept = b""


def choose(
    stream: IO[str],
    style: Style,
    *,
    quiet: bool = False,
    verbose: bool = False,
    live: bool | None = None,
    output: str = "fail-only",
    tail: Tail | None = None,
    more: More | None = None,
    cpu: Callable[[], tuple[float, float] | None] | None = None,
    keys: bool = False,
    short: Callable[[str], str] | None = None,
) -> Watcher:
    """The listener for `stream`: none if `quiet`, a live region on a terminal, else lines.

    `live` False asks for lines on a terminal too. `output` is group, interleave or fail-only. `cpu` gives cores in
    use and cores there are. `keys` says whether what a person types is given to `key`. `short` shortens a run's id as
    far as it stays unambiguous.
    """
    if quiet:
        return Quiet(stream, style, tail, short)
    if live is None:
        live = is_live(stream)
    if live and output != "interleave":
        from stagebook.report.live import Live

        return Live(stream, style, tail=tail, cpu=cpu, keys=keys, short=short)
    from stagebook.report.plain import Plain

    return Plain(stream, style, output=output, verbose=verbose, tail=tail, more=more, short=short)


def is_live(stream: IO[str]) -> bool:
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def short_id(run: str) -> str:
    """The first eight characters, which tell runs apart in a list that a person reads."""
    return run[:8]
