"""All stages of a run that work through items, as the loop sees them: what the machine wants of a source or a step is
done, and what came of it is told to the loop (`Ear`) once a turn, many calls in one line. Decides nothing.
"""

from __future__ import annotations

import os
from itertools import count

from stagebook.engine import command
from stagebook.engine.attempt import Attempt
from stagebook.engine.attempts import Attempts, Finished
from stagebook.engine.clock import Clock
from stagebook.engine.items import literal
from stagebook.engine.items.balance import LOOK_US, Balance, Lot
from stagebook.engine.items.calls import Calls
from stagebook.engine.items.done import Doing
from stagebook.engine.items.kept import LISTED, PRINTED, Kept, folder_of, read_names
from stagebook.engine.items.origin import Origin, nth_of
from stagebook.engine.items.source import Source, Taken
from stagebook.engine.wakeup import Wakeup
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.record.items import Call, FailedItem, ItemBook
from stagebook.record.state import journal_path, log_name, log_stem
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.vocabulary import (
    Decision,
    ItemFailed,
    ItemsDone,
    ItemsLot,
    ItemsReady,
    ItemsWorkers,
    KillItems,
    Start,
    StartItems,
    WantItems,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Container, Mapping, Protocol

    from stagebook.engine.bound import Approved
    from stagebook.record.mask import Mask
else:
    Protocol = object

NUMBERS_FROM = 1 << 30  #: no stage has such a number, but calls do
QUEUES_US = 200_000  #: how often the lengths of queues are told
FAR_US = 1 << 62  #: no run gets so far


class Ear(Protocol):
    """Who is told."""

    def items_ready(self, event: ItemsReady, us: int, taken: Taken) -> None: ...
    def items_done(
        self, events: list[ItemsDone], stage: int, us: int, calls: list[Call], queues: list[int] | None
    ) -> None: ...
    def items_told(self, stage: int) -> None: ...
    def items_over(self, stage: int) -> None: ...
    def items_workers(self, event: ItemsWorkers, us: int, why: str) -> None: ...
    def items_lot(self, event: ItemsLot, us: int) -> None: ...
    def closed(self, stage: int, attempt: int, end: Finished, process: Attempt | None) -> None: ...
    def began(self, decision: Start) -> None: ...
    def warned(self, text: str) -> None: ...


class _Stream:
    """One stage while it runs."""

    __slots__ = (
        "attempt",
        "balances",
        "balances_at",
        "calls",
        "doing",
        "done",
        "is_watched",
        "kept",
        "lots",
        "queues_at",
        "source",
        "taken",
        "wanted",
    )

    def __init__(self, attempt: int, kept: Kept, calls: Calls, doing: Doing) -> None:
        self.attempt = attempt
        self.kept = kept
        self.calls = calls
        self.doing = doing
        self.source: Source | None = None
        self.is_watched = False
        self.wanted = 0
        self.taken: list[Taken] = []  #: that nobody has been told of
        self.queues_at = 0
        self.balances: dict[int, Balance] = {}  #: of steps with `workers: auto`
        self.balances_at = FAR_US
        self.lots: dict[int, Lot] = {}  #: of steps that take lots
        self.done: list[int] = []  #: items that are, in lines that are not written yet


class Streams:
    """Those of one run. `ear` is set before anything is asked. `printed` tells where lies what a stage printed in an
    earlier run, if that is what counts in this one; `approved` what people have approved before a stage."""

    ear: Ear
    printed: Callable[[int], str | None] | None = None
    approved: Callable[[int], list[Approved]] | None = None

    def __init__(
        self, pipeline: Pipeline, machine: Machine, directory: str, attempts: Attempts, wakeup: Wakeup, clock: Clock,
        books: Mapping[int, ItemBook], params: Mapping[str, str], force: bool,
        dead_of: str = "", mask: Mask | None = None,
    ) -> None:  # fmt: skip
        """`directory` is that of the run; `books` tell up to where sources have been read; `dead_of` is a run of which
        only the items that failed for good are wanted."""
        self._pipeline = pipeline
        self._machine = machine
        self._directory = directory
        self._attempts = attempts
        self._wakeup = wakeup
        self._clock = clock
        self._books = books
        self._params = params
        self._force = force
        self._dead_of = dead_of
        self._mask = mask
        self._places: dict[str, int] = {}
        self.grew(pipeline)
        self._numbers = count(NUMBERS_FROM)
        self._open: dict[int, _Stream] = {}
        self._closing: dict[int, Calls] = {}  #: of stages that are over, while their workers end
        self._by_fd: dict[int, int] = {}  #: pipes of sources
        self._tidied: set[int] = set()  #: stages of which nothing is left that nobody needs

    @property
    def is_busy(self) -> bool:
        return bool(self._open)

    @property
    def look_at_us(self) -> int:
        """When `look` has something to do."""
        calls = [*self._closing.values(), *[stream.calls for stream in self._open.values()]]
        due = [each.look_at_us for each in calls] + [stream.balances_at for stream in self._open.values()]
        return min(due, default=FAR_US)

    def grew(self, pipeline: Pipeline) -> None:
        """The run has these stages."""
        self._pipeline = pipeline
        self._places.update((stage.id, index) for index, stage in enumerate(pipeline.stages))

    def concerns(self, stage: int) -> bool:
        return self._pipeline.stages[stage].each is not None

    # What the machine decides -------------------------------------------------------------------------------------

    def begin(self, start: Start) -> None:
        """An attempt of a stage: open its source where it was left."""
        index = start.stage
        stage = self._pipeline.stages[index]
        assert stage.each is not None
        self.ear.began(start)
        known = self._machine.items(index)
        try:
            us = self._clock.us()
            kept = self._kept(index, stage, known.known)
        except OSError as error:
            self._fail(index, start.attempt, f"items: {error.strerror or error}")
            return
        state = os.path.dirname(os.path.dirname(self._directory))
        done = os.path.join(state, "cache", "items", f"{log_stem(stage.id)}.keys")
        logs = os.path.join(self._directory, "logs")
        calls = Calls(
            stage, kept, self._attempts, self._wakeup, self._clock, logs, self._numbers, self.ear.warned, self._mask
        )  # fmt: skip
        calls.approved = self.approved(index) if self.approved is not None else []
        stream = self._open[index] = _Stream(start.attempt, kept, calls, Doing(done))
        planned = self._machine.plan.stages[index].each
        assert planned is not None
        for number, step in enumerate(stage.each.steps):
            if step.workers == 0:
                stream.balances[number] = Balance(planned.steps[number].workers_max, us)
                stream.balances_at = us + LOOK_US
            if planned.steps[number].lot_max > 1:
                stream.lots[number] = Lot(planned.steps[number].lot_max, known.steps[number].most)
        if known.is_all:
            return
        try:
            stream.source = Source(self._origin(index, stage, kept), "" if self._force else done)
        except OSError as error:
            self._fail(index, start.attempt, f"items: {error.strerror or error}")
            return
        self._by_fd[stream.source.fd] = index
        self._attempts.others.add(stream.source.pid)

    def _kept(self, index: int, stage: Stage, known: int) -> Kept:
        """What is kept of its items, and no longer what a dead engine has left of others. Raises OSError."""
        assert stage.each is not None
        kept = Kept(self._directory, stage.id, len(stage.each.steps), known, self._machine.on_way(index))
        dead: list[Container[int]] = []

        def is_dead(number: int) -> bool:  # asked of few, and seldom
            if not dead:
                dead.append(self._dead(self._directory, stage))
            return number in dead[0]

        kept.tidy(is_dead)
        if not self._position(index):
            kept.unlist()
        self._tidied.add(index)
        if self._mask:
            kept.hide(self._mask)
        return kept

    def obey(self, decisions: list[Decision]) -> None:
        """Those about items, in their order."""
        for decision in decisions:
            if isinstance(decision, StartItems):
                self._open[decision.stage].calls.start(decision)
            elif isinstance(decision, KillItems):
                if decision.stage in self._open:  # it may have ended in the same turn
                    self._open[decision.stage].calls.kill(decision)
            elif isinstance(decision, WantItems):
                self._want(decision)
        self.flush()

    def _want(self, decision: WantItems) -> None:
        stream = self._open.get(decision.stage)
        if stream is not None:
            stream.wanted += decision.more
            self._draw(decision.stage, stream)

    def text_of(self, stage: int, item: int) -> str | None:
        """What an item is, as a command sees it; None where nobody knows any more."""
        stream = self._open.get(stage)
        if stream is not None and item in stream.kept.items:
            return stream.kept.items[item].text
        found = read_names(folder_of(self._directory, self._pipeline.stages[stage].id), item)
        return next((literal.text_of(value) for _, value, _ in found), None)

    def failed(self, decision: ItemFailed) -> None:
        """An item is not tried again in this attempt of the stage; in another it is, where it has stopped this one."""
        each = self._pipeline.stages[decision.stage].each
        if decision.stage in self._open and each is not None and each.on_failure != "stop":
            self._open[decision.stage].kept.over(decision.item)

    def ended(self, stage: int) -> None:
        """A stage is over, whatever it was."""
        stream = self._open.pop(stage, None)
        if stream is None:
            return
        self._close_source(stream)
        stream.calls.dismiss()
        if stream.calls.has_processes:
            self._closing[stage] = stream.calls
        else:
            self.ear.items_over(stage)
        stream.kept.close()
        stream.doing.close()

    # What happens -------------------------------------------------------------------------------------------------

    def take(self, attempt: Attempt, end: Finished) -> bool:
        """A process has ended; False if it is none of a call."""
        if not attempt.is_call:
            return False
        if not any(stream.calls.take(attempt, end) for stream in self._open.values()):
            for stage, calls in list(self._closing.items()):
                calls.take(attempt, end)
                if not calls.has_processes:
                    del self._closing[stage]
                    self.ear.items_over(stage)
        return True

    def pump(self, fd: int) -> bool:
        """Take what there is to read; False if the descriptor is none of ours."""
        stage = self._by_fd.get(fd)
        if stage is not None:
            self._draw(stage, self._open[stage])
            return True
        return any(stream.calls.pump(fd) for stream in self._open.values()) or any(
            calls.pump(fd) for calls in self._closing.values()
        )

    def look(self, us: int) -> None:
        for calls in (*self._closing.values(), *[stream.calls for stream in self._open.values()]):
            calls.look(us)
        for stage, stream in self._open.items():
            if us >= stream.balances_at:
                self._balance(stage, stream, us)

    def flush(self) -> None:
        """Tell of all that has come of it since the last time."""
        for stage, stream in list(self._open.items()):
            if stream.calls.over:
                self._tell_calls(stage, stream)
            taken, stream.taken = stream.taken, []
            for each in taken:
                self._tell_taken(stage, stream, each)

    def written(self) -> None:
        """What has been told is in the journal: nothing is kept any more of items that are done."""
        for stream in self._open.values():
            if stream.done:
                done, stream.done = stream.done, []
                keys = stream.kept.done(done)
                if keys:
                    stream.doing.add(keys)

    def sync(self) -> None:
        """Before the journal is made durable. Raises OSError."""
        for stream in self._open.values():
            stream.kept.sync()

    def finish(self) -> None:
        """The run is over, or waits: nothing may be left behind."""
        for stage in list(self._open):
            self.ended(stage)
        for index, each in enumerate(self._pipeline.stages):
            if each.each is not None and index not in self._tidied:
                self._tidy(index, each)
        until_us = self._clock.us() + 2_000_000
        is_forced = False
        while self._closing:
            self._wakeup.wait(0.01)
            self._attempts.reap()
            us = self._clock.us()
            self._attempts.look(us)
            for attempt, end in self._attempts.finished():
                self.take(attempt, end)
            if us > until_us and not is_forced:
                is_forced = True
                for calls in self._closing.values():
                    calls.dismiss(now=True)

    # ----------------------------------------------------------------------------------------------------------------

    def _tidy(self, index: int, stage: Stage) -> None:
        """It was over before this engine began, and perhaps so shortly that the one before left something."""
        if os.path.isdir(folder_of(self._directory, stage.id)):
            try:
                self._kept(index, stage, self._machine.items(index).known).close()
            except OSError:
                pass  # what nobody needs harms nobody

    def _balance(self, stage: int, stream: _Stream, us: int) -> None:
        stream.balances_at = us + LOOK_US
        steps = self._machine.items(stage).steps
        for number, balance in stream.balances.items():
            found = balance.look(us, steps[number])
            if found is not None:
                workers, why = found
                self.ear.items_workers(ItemsWorkers(us // 1000, stage, number, workers), us, why)

    def _draw(self, stage: int, stream: _Stream) -> None:
        """Take from the source what is wanted and there."""
        source = stream.source
        if source is None:
            return
        if stream.wanted > 0:
            taken = source.take(stream.wanted)
            if not taken.is_nothing:
                try:
                    stream.kept.add(taken.values)
                except OSError as error:
                    taken = Taken([], 0, taken.position, [], False, (f"items: {error.strerror}", "error"))
                stream.wanted -= len(taken.values)
                stream.taken.append(taken)
                if taken.is_last or taken.failed:
                    self._close_source(stream)
                    return
        is_wanted = stream.wanted > 0
        if is_wanted is not stream.is_watched:
            stream.is_watched = is_wanted
            if is_wanted:
                self._wakeup.watch(source.fd)
            else:
                self._wakeup.forget(source.fd)

    def _close_source(self, stream: _Stream) -> None:
        source, stream.source = stream.source, None
        if source is None:
            return
        if stream.is_watched:
            self._wakeup.forget(source.fd)
            stream.is_watched = False
        del self._by_fd[source.fd]
        source.close()
        self._attempts.others.discard(source.pid)

    def _tell_calls(self, stage: int, stream: _Stream) -> None:
        calls, stream.calls.over = stream.calls.over, []
        us = self._clock.us()
        at = us // 1000
        last = len(stream.calls.works) - 1
        for call in calls:
            if call.step == last:
                stream.done += call.items if not call.bad else call.well()
        queues = None
        if us >= stream.queues_at:
            stream.queues_at = us + QUEUES_US
            queues = [step.queue_max for step in self._machine.items(stage).steps]
            self.ear.items_told(stage)
        events = [ItemsDone(at, stage, call.step, call.slot, call.bad) for call in calls]
        self.ear.items_done(events, stage, us, calls, queues)
        for call in calls if stream.lots else ():
            if call.step in stream.lots and not call.bad:
                size = stream.lots[call.step].took(len(call.items), call.wall_us)
                if size is not None:
                    self.ear.items_lot(ItemsLot(at, stage, call.step, size), us)

    def _tell_taken(self, stage: int, stream: _Stream, taken: Taken) -> None:
        for text in taken.warnings:
            self.ear.warned(text)
        if taken.values or taken.skipped or taken.is_last:
            is_last = taken.is_last and taken.failed is None
            us = self._clock.us()
            event = ItemsReady(us // 1000, stage, len(taken.values), is_last, taken.skipped)
            self.ear.items_ready(event, us, taken)
        if taken.failed is not None:
            self._fail(stage, stream.attempt, *taken.failed)

    def _fail(self, stage: int, attempt: int, why: str, outcome: str = "error") -> None:
        text = self._mask.text(why) if self._mask else why
        self.ear.closed(stage, attempt, Finished(outcome, text), None)

    def _origin(self, index: int, stage: Stage, kept: Kept) -> Origin:
        assert stage.each is not None
        items = stage.each.items
        root = os.path.join(self._pipeline.folder, stage.dir or "")
        log = None
        if items.kind in ("lines", "json"):
            maker = self._places[items.text]
            attempt = self._machine.attempt(maker)
            path = os.path.join(self._directory, "logs", log_name(items.text, attempt))
            log = (path if os.path.exists(path) else None) if attempt else self._printed(maker, kept)
        position = self._position(index)
        seen = {}
        if items.kind == "watch" and kept.known:
            seen = kept.seen()
        kind, text = items.kind, items.text
        if kind == "param":
            kind, text = "series", self._params.get(text, self._pipeline.params[text].default or "")
        if self._dead_of:
            self._list_dead(stage, kept)
            kind, text = "listed", kind
        return Origin(
            kind, text, root, items.first, items.last, items.until, log,
            os.path.join(kept.folder, LISTED), position, seen,
            self._fingerprint(stage, root),
        )  # fmt: skip

    def _position(self, index: int) -> int:
        """Up to where its source has been read."""
        book = self._books.get(index)  # none yet of a stage that has just joined the run
        return 0 if book is None else book.position

    def _printed(self, maker: int, kept: Kept) -> str | None:
        """What a stage that need not run printed when it last did: the same one as long as this run lasts, whatever
        becomes of that other."""
        link = os.path.join(kept.folder, PRINTED)
        if not os.path.exists(link):
            path = self.printed(maker) if self.printed is not None else None
            if path is None:
                return None
            try:
                os.link(path, link)
            except OSError:
                return path  # a file system without links
        return link

    def _list_dead(self, stage: Stage, kept: Kept) -> None:
        """Once for the run, what failed for good in another. Raises OSError."""
        path = os.path.join(kept.folder, LISTED)
        if os.path.exists(path):
            return
        directory = os.path.join(os.path.dirname(self._directory), self._dead_of)
        found = self._dead(directory, stage)
        with open(f"{path}.new", "wb") as file:
            for number, value, key in read_names(folder_of(directory, stage.id)):
                if number in found:
                    file.write(literal.write([value, nth_of(key)], is_ascii=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{path}.new", path)

    def _dead(self, directory: str, stage: Stage) -> dict[int, FailedItem]:
        """The items that failed for good in that run."""
        from stagebook.record import reader
        from stagebook.record.items import dead

        assert stage.each is not None
        return dead(reader.read(journal_path(directory)), stage.id, len(stage.each.steps))

    def _fingerprint(self, stage: Stage, root: str) -> bytes:
        """Of all that is done with an item, beside the item."""
        from hashlib import blake2b

        assert stage.each is not None
        given = os.environ
        env = {**self._pipeline.env, **stage.env}
        params = sorted(self._params.items())
        if stage.each.items.kind == "param":  # which items there are says nothing of what is done with one
            params = [each for each in params if each[0] != stage.each.items.text]
        made: list[object] = [
            self._pipeline.file, stage.id, stage.dir, stage.shell, dict(stage.cell or {}), sorted(env.items()),
            sorted((name, given.get(name)) for name in stage.env_inputs), params,
            sorted(stage.env_from.items()), sorted(stage.secrets),
        ]  # fmt: skip
        for step in stage.each.steps:
            said = step.kind, step.command, sorted(step.env.items()), step.worker, step.batch > 1
            made.append((step.name, said, _program(stage, step.kind, step.command, root)))
        return blake2b(repr(made).encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _program(stage: Stage, kind: str, said: str | tuple[str, ...], root: str) -> object:
    """What is started directly from a folder of the user's, and what a function's module holds."""
    from stagebook.engine.items.origin import content_of

    if kind == "python":
        return sorted(command.module_files(str(said), root, os.environ.get("PYTHONPATH", "")).items())
    name = command.argv_of(stage._replace(kind=kind, command=said))[0]
    return content_of(os.path.join(root, name)) if "/" in name and not name.startswith("/bin/") else None
