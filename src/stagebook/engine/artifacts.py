"""What is asked of the files of stages in one run: up to date or not, whole before a consumer starts, published after
success, and what an attempt made that had none set aside. Decides nothing: what it finds is told to the loop (`Ear`).

An attempt of a stage with files is *open* from the decision to start it until its end may be told. What takes long is
done in a child (`hasher`); nothing of a stage waits for another's. How files are judged is `freshness`, how they are
closed `closing`, what is set aside `setting_aside`.
"""

from __future__ import annotations

from functools import partial
from time import time_ns

from stagebook.artifact.digest import File
from stagebook.artifact.store import Store
from stagebook.engine import closing
from stagebook.engine.aside import Found, Moved
from stagebook.engine.attempts import Finished
from stagebook.engine.closing import Closed
from stagebook.engine.freshness import SETTING, UNMATCHED, UP_TO_DATE, VALUES, Freshness, Seen, shown, unmatched
from stagebook.engine.hasher import Failed, Hasher, Told, done_here
from stagebook.engine.outputs import Outputs
from stagebook.engine.published import Began, Published
from stagebook.engine.setting_aside import SettingAside, answered, sentences
from stagebook.engine.wakeup import Wakeup
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.observe.cores import usable
from stagebook.record import faults
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.vocabulary import Kill, Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Mapping, Protocol, Sequence

    from stagebook.artifact.state import Last
    from stagebook.engine.attempt import Attempt
    from stagebook.engine.secrets import Secrets
    from stagebook.record.mask import Mask
    from stagebook.record.story import Story
else:
    Protocol = object

EARLY_US = 50_000  #: how often it is looked whether a stage has announced an output
FAR_US = 1 << 62  #: no run gets so far


class Ear(Protocol):
    """Who is told. Any of these may be called before the question returns."""

    def judged(self, stage: int, verdict: str, reason: str | None) -> None: ...
    def cleared(self, start: Start) -> None: ...
    def published(
        self, stage: int, attempt: int, files: Sequence[File], is_early: bool, dependents: tuple[int, ...]
    ) -> None: ...
    def closed(self, stage: int, attempt: int, end: Finished, process: Attempt | None) -> None: ...
    def reading(self, stage: int, told: Told | None) -> None: ...
    def warned(self, text: str) -> None: ...


class _Open:
    """`step` is `verifying`, `running`, `closing` or `leaving`. `process` and `end` are there once it is over."""

    __slots__ = (
        "announced", "asked", "began", "end", "found", "parts", "process", "seen", "size", "stage", "start", "step",
        "withdrawn",
    )  # fmt: skip

    def __init__(self, start: Start, stage: Stage) -> None:
        self.start = start
        self.stage = stage
        self.step = "verifying"
        self.began = Began(0, 0)
        self.seen = Seen()
        self.parts: dict[str, Any] | None = None
        self.process: Attempt | None = None
        self.end = Finished("success", None)
        self.found: Found | None = Found()  #: what lay at its outputs before; None: not known, so all of it stays
        self.announced: dict[str, File] = {}
        self.asked: set[str] = set()  #: announced, and not hashed yet
        self.withdrawn: str | None = None  #: what it has used, and will never be published
        self.size = 0  #: how much of its `STAGEBOOK_OUTPUT` has been read


class Artifacts:
    """The files of one run. `ear` is set before anything is asked."""

    ear: Ear

    def __init__(
        self, pipeline: Pipeline, machine: Machine, freshness: Freshness, outputs: Outputs, wakeup: Wakeup, run: str,
        directory: str, is_forced: bool, store: Store, kept_s: float,
    ) -> None:  # fmt: skip
        """`directory` is that of the run; what is in the `store` ages in so many seconds."""
        self.hasher = Hasher(wakeup, usable())
        self.hasher.heard = lambda key, told: self.ear.reading(key[0], told)
        self._pipeline = pipeline
        self._machine = machine
        self._freshness = freshness
        self._outputs = outputs
        self._run = run
        self._is_forced = is_forced
        self._store = store
        self._kept_s = kept_s
        self._published = Published(pipeline, machine, freshness, run)
        self._aside = SettingAside(freshness, self._published, store, run, directory)
        self._open: dict[int, _Open] = {}
        self._said_unmatched: set[int] = set()
        self._then: dict[Any, Callable[[Any], None]] = {}
        self._has_early = any(output.early for stage in pipeline.stages for output in stage.outputs)
        self._secrets: Secrets | None = None  #: of the run; no name of a file that is recorded may hold one
        self._unkept: Mask | None = None  #: a file that holds what it finds does not go into the store
        #: What is to be recorded of successes as soon as what they have used early is published.
        self._held: dict[int, Callable[[], str | None]] = {}
        self._passed: set[str] = set()  #: what was said of files that are passed over
        self.look_at_us = FAR_US
        outputs.values_before = self._values_before

    @property
    def is_busy(self) -> bool:
        """Whether an attempt without a process is under way, or a question is."""
        return self.hasher.is_busy

    def hide(self, secrets: Secrets) -> None:
        """Before anything starts: keep the secrets of the run out of names, the store and what is set aside."""
        self._secrets, self._unkept, self._aside.mask = secrets, secrets.telling(), secrets.mask

    def grew(self, pipeline: Pipeline) -> None:
        """The run has further stages."""
        self._pipeline = pipeline
        self._freshness.grew(pipeline)
        self._published.grew(pipeline)
        self._has_early = any(output.early for stage in pipeline.stages for output in stage.outputs)

    def last(self, stage: int) -> Last | None:
        """The last success of a stage."""
        return self._freshness.last(stage)

    def concerns(self, stage: int) -> bool:
        planned = self._pipeline.stages[stage]
        return bool(planned.inputs or planned.outputs)

    def restore(self, story: Story) -> None:
        """Before a resume: what the journal says was published, and which stages were up to date."""
        self._published.restore(story)
        for stage, end in enumerate(story.ends):
            if end is not None and end.reason == UP_TO_DATE:
                self._published.keep(stage)

    def tidy(self) -> None:
        """Keep the store within its limits, if that is due."""
        self._store.tidy(self._kept_s)

    def close(self) -> None:
        self.hasher.close()
        self._freshness.state.close()

    # Work that is done here or by a child -----------------------------------------------------------------------

    def _do(self, key: Any, is_much: bool, work: Callable[[bool], Any], then: Callable[[Any], None]) -> None:
        """`work` is told whether it is in a child; `then` gets what it gave, or `Failed`."""
        if is_much:
            self._then[key] = then
            self._tell(self.hasher.begin(key, partial(work, True)))
        else:
            then(done_here(partial(work, False)))

    def _tell(self, finished: Sequence[tuple[Any, Any]]) -> None:
        for key, answer in finished:
            self._then.pop(key)(answer)

    def pump(self, fd: int) -> bool:
        """Take what a child says; False if the descriptor is of none."""
        finished = self.hasher.pump(fd)
        if finished is None:
            return False
        self._tell(finished)
        return True

    def _stop(self, key: Any) -> None:
        if self._then.pop(key, None) is not None:
            self._tell(self.hasher.stop(key))

    # Up to date ---------------------------------------------------------------------------------------------------

    def judges(self, stage: int) -> bool:
        return bool(self._pipeline.stages[stage].inputs)

    def judge(self, stage: int, reason: str | None) -> None:
        """Tell whether the stage is up to date. `reason` is why its condition lets it run, if that says more."""
        if not self._is_forced and self._freshness.is_same(stage):
            self._skip(stage)
            return
        why = "--force" if self._is_forced else self._freshness.settled(stage)
        if why is not None:
            self.ear.judged(stage, "run", _joined(reason, why))
            return
        known = self._freshness.known_of(stage)
        look, then = partial(self._look, stage, known), partial(self._seen, stage, reason)
        self._do((stage, "judge"), self._freshness.is_much(stage, known), look, then)

    def _look(self, stage: int, known: Mapping[str, File], is_child: bool) -> Seen:
        faults.hit("artifact.hash")
        return self._freshness.look(stage, known, is_child)

    def _seen(self, stage: int, reason: str | None, answer: Seen | Failed) -> None:
        seen = Seen(trouble=str(answer)) if isinstance(answer, Failed) else self._freshness.own(stage, answer)
        differences = self._freshness.differences(self._filled(stage), stage, seen)
        self._freshness.remember((*seen.inputs, *seen.outputs))
        if differences:
            self.ear.judged(stage, "run", _joined(reason, shown(differences)))
            return
        missing = unmatched(self._pipeline.stages[stage], seen)
        self._say_unmatched(stage, missing)
        self._refresh(stage, seen, {SETTING: self._freshness.setting, UNMATCHED: missing})
        self._skip(stage)

    def _say_unmatched(self, stage: int, globs: Sequence[str]) -> None:
        """Once: the next attempt finds the same."""
        if globs and stage not in self._said_unmatched:
            self._said_unmatched.add(stage)
            for glob in globs:
                self.ear.warned(f"{self._pipeline.stages[stage].id}: input {glob} matches no file")

    def _skip(self, stage: int) -> None:
        if self._has_early:
            last = self._freshness.last(stage)
            self._published.use(stage, last.inputs if last is not None else ())
        self._published.keep(stage)
        self.ear.judged(stage, "skip", UP_TO_DATE)

    def _refresh(self, stage: int, seen: Seen, setting: Mapping[str, Any]) -> None:
        """What was looked at here need not be looked at again the next time: files that were too new when they were
        last read, and words that are the same though the pipeline's file is not."""
        last = self._freshness.last(stage)
        assert last is not None and last.parts is not None
        if last.parts.get(SETTING) != self._freshness.setting or any(file.at is not None and file.at != before.at
               for files, known in ((seen.inputs, last.inputs), (seen.outputs, last.outputs))
               for file, before in zip(files, known)):  # fmt: skip
            name = self._pipeline.stages[stage].id
            self._freshness.state.done(
                name, last.run, last.attempt, {**last.parts, **setting}, seen.inputs, seen.outputs, last.program
            )  # fmt: skip

    def ended(self, stage: int) -> None:
        """The stage has ended: whether it is up to date is not asked any more."""
        self._stop((stage, "judge"))
        if self._has_early and self._machine.state(stage) != "success":
            self._withdraw(stage)

    def _withdraw(self, stage: int) -> None:
        """What it announced it will never publish."""
        names = [each.id for each in self._pipeline.stages]
        for user, path in self._published.settle(stage).items():
            if user in self._open:
                self._open[user].withdrawn = f"{path} was withdrawn: {names[stage]} did not end well"
            else:
                self._held.pop(user, None)
                self.ear.warned(f"{names[user]} used {path}, which {names[stage]} announced and then did not publish")

    def _filled(self, stage: int) -> Stage:
        """With what it is given of others; where that is missing it is as the file has it, and its start will fail."""
        planned = self._pipeline.stages[stage]
        if not (planned.env_from or planned.cmd_from):
            return planned
        from stagebook.condition.outputs import Absent

        try:
            return self._outputs.filled(planned)
        except Absent:
            return planned

    def printed(self, stage: int) -> str | None:
        """Where lies what a stage printed when it last ran, if it does not run in this one for being up to date, or for
        not being chosen."""
        is_done = self._published.is_kept(stage) or self._machine.plan.stages[stage].skip is not None
        return self._freshness.printed(stage) if is_done else None

    def _values_before(self, stage: int) -> dict[str, str] | None:
        """What a stage that is up to date said of itself when it ran."""
        if not self._published.is_kept(stage) or self._machine.attempt(stage):
            return None
        last = self._freshness.last(stage)
        return dict(last.parts.get(VALUES, {})) if last is not None and last.parts is not None else {}

    # Before a start -----------------------------------------------------------------------------------------------

    def begin(self, start: Start) -> None:
        """An attempt is to start: its inputs are read once more, and held against what was published."""
        stage = self._pipeline.stages[start.stage]
        attempt = self._open[start.stage] = _Open(start, stage)
        if not stage.inputs:
            self._clear(attempt, Seen())
            return
        self._published.ask(start.stage)
        known = self._freshness.known_of(start.stage, but=partial(self._published.is_of_other, start.stage))
        self._do(
            (start.stage, "verify"), self._freshness.is_much(start.stage, known),
            partial(self._look_again, start.stage, known), partial(self._verified, attempt),
        )  # fmt: skip

    def _look_again(self, stage: int, known: Mapping[str, File], is_child: bool) -> Seen:
        faults.hit("artifact.verify")
        return self._freshness.look_at_inputs(stage, known, is_child)

    def _verified(self, attempt: _Open, seen: Seen | Failed) -> None:
        if isinstance(seen, Failed):
            self._leave(attempt, Finished("error", f"its inputs cannot be read: {seen}"))
            return
        why = self._named(attempt.stage, "input", seen.inputs) or seen.trouble
        why = why or self._published.mismatch(attempt.start.stage, seen.inputs)
        if why is not None:
            self._leave(attempt, Finished("failure", f"integrity: {why}", is_final=True))
            return
        self._clear(attempt, seen)

    def _clear(self, attempt: _Open, seen: Seen) -> None:
        """It may start."""
        index, number = attempt.start[:2]
        for text in seen.odd:
            if text not in self._passed:
                self._passed.add(text)
                self.ear.warned(f"{attempt.stage.id}: an input is passed over: {text}")
        if self._has_early:
            self._published.use(index, seen.inputs)
            self._held.pop(index, None)
        attempt.seen = seen
        self._freshness.remember(seen.inputs)
        attempt.parts = self._freshness.parts(self._filled(index), seen)
        self._say_unmatched(index, attempt.parts[UNMATCHED])
        if not attempt.stage.outputs:
            self._run_it(attempt)
            return
        for text in self._aside.clear_away(index, attempt.stage):
            self._warn(text)
        if not self._aside.may_be_there(attempt.stage):
            self._noted(attempt, Found())
            return
        self._do((index, "found"), self._freshness.is_much_made(index), partial(self._look_before, attempt),
                 partial(self._noted, attempt))  # fmt: skip

    def _look_before(self, attempt: _Open, is_child: bool) -> Found | None:
        return self._aside.look(attempt.start.stage, attempt.stage)

    def _noted(self, attempt: _Open, found: Found | Failed | None) -> None:
        """What lay at its outputs is known, and kept for a resume."""
        attempt.found = None if isinstance(found, Failed) else found
        self._warn(self._aside.note(attempt.stage, attempt.start.attempt, attempt.found))
        self._run_it(attempt)

    def _run_it(self, attempt: _Open) -> None:
        index, number = attempt.start[:2]
        self._warn(self._freshness.state.begun(attempt.stage.id, self._run, number))
        attempt.step = "running"
        attempt.began = Began(self._published.turns, time_ns())
        if self._has_early and any(output.early for output in attempt.stage.outputs):
            self.look_at_us = 0
        self.ear.cleared(attempt.start)

    def never_began(self, stage: int) -> None:
        """No process came to be."""
        attempt = self._open.pop(stage, None)
        if attempt is not None and attempt.stage.outputs:
            self._aside.forget(attempt.stage, attempt.start.attempt)

    # After its end ------------------------------------------------------------------------------------------------

    def take(self, process: Attempt, end: Finished) -> bool:
        """A process is over; False if it is of no stage with files. Else `closed` tells how the attempt ended."""
        attempt = self._open.get(process.stage)
        if attempt is None:
            return False
        self._hear(attempt)
        attempt.process, attempt.end = process, end
        index = process.stage
        for path in attempt.asked:
            self._stop((index, "early", path))
        if end.outcome != "success":
            self._put_aside(attempt)
            return True
        attempt.step = "closing"
        self._do(
            (index, "close"), self._freshness.is_much_made(index), partial(self._read, attempt),
            partial(self._read_all, attempt),
        )  # fmt: skip
        return True

    def _read(self, attempt: _Open, is_child: bool) -> Closed:
        faults.hit("artifact.hash")
        store = None if attempt.stage.secrets else self._store
        closed = closing.read(self._freshness, attempt.stage, attempt.seen.inputs, store, is_child, self._unkept)
        if closed.why is None and closed.changed is None:
            made = [file.path for file in closed.files]
            reports = self._aside.reports(attempt.stage, attempt.start.attempt)
            closing.keep_reports(self._freshness.root, made, reports, self._aside.mask)
        return closed

    def _read_all(self, attempt: _Open, closed: Closed | Failed) -> None:
        if isinstance(closed, Failed):
            self._end_badly(attempt, "error", f"its outputs cannot be read: {closed}")
            return
        stage = attempt.start.stage
        final = attempt.withdrawn
        if final is None and closed.why is None:
            final = self._published.used_otherwise(stage, closed.files)
        if final is not None:
            self._end_badly(attempt, "failure", f"integrity: {final}", is_final=True)
            return
        why = closed.why or self._named(attempt.stage, "output", closed.files)
        why = why or self._published.changed_since(stage, attempt.announced, closed.files)
        files, both = self._published.own(stage, closed.files, attempt.began)
        why = why or both
        if why is None:
            why = closed.changed
        if why is not None:
            self._end_badly(attempt, "failure", f"integrity: {why}")
            return
        try:
            faults.hit("artifact.publish")
        except OSError as error:
            self._end_badly(attempt, "error", f"its outputs are not published: {error.strerror}")
            return
        self._publish(attempt, closed, files)

    def _end_badly(self, attempt: _Open, outcome: str, reason: str, is_final: bool = False) -> None:
        attempt.end = attempt.end._replace(outcome=outcome, reason=reason, is_final=is_final)
        self._put_aside(attempt)

    def _publish(self, attempt: _Open, closed: Closed, files: Sequence[File]) -> None:
        index, number = attempt.start[:2]
        if attempt.stage.outputs:
            self.ear.published(index, number, files, False, ())
        self._published.add(index, files)
        self._freshness.remember(files)
        for text in closed.warnings:
            self._warn(text)
        if attempt.parts is not None:
            values = {} if attempt.stage.secrets else dict(self._outputs.of(attempt.stage.id))
            parts = {**attempt.parts, VALUES: values}
            program = self._freshness.program(self._filled(index))
            record = partial(
                self._freshness.state.done,
                attempt.stage.id, self._run, number, parts, attempt.seen.inputs, files, program,
            )  # fmt: skip
            if self._has_early and self._published.is_early(index):
                self._held[index] = record
            else:
                self._warn(record())
        if self._has_early:
            self._release(self._published.settle(index))
        self._leave(attempt, attempt.end)

    def _release(self, users: Iterable[int]) -> None:
        """What these have used early is published."""
        for user in users:
            if user in self._held and not self._published.is_early(user):
                self._warn(self._held.pop(user)())

    def _put_aside(self, attempt: _Open) -> None:
        """What an attempt without success left at its outputs is not to be taken for its work."""
        attempt.step = "leaving"
        index = attempt.start.stage
        self._published.withdraw(index)
        self._published.catch_up()
        if not attempt.stage.outputs or attempt.found is None:
            self._leave(attempt, attempt.end)
            return
        self._do((index, "aside"), self._freshness.is_much_made(index), partial(self._move, attempt),
                 partial(self._moved, attempt))  # fmt: skip

    def _move(self, attempt: _Open, is_child: bool) -> Moved:
        faults.hit("artifact.aside")
        assert attempt.found is not None
        return self._aside.move(attempt.start.stage, attempt.stage, attempt.start.attempt, attempt.found)

    def _named(self, stage: Stage, kind: str, files: Iterable[File]) -> str | None:
        """That the name of a file holds a secret. What the pipeline's file says itself is on record in any case."""
        if self._secrets is None:
            return None
        held = self._secrets.held(file.path for file in files)
        said = held and self._secrets.held((*stage.inputs, *[output.path for output in stage.outputs]))
        return next((f"the name of an {kind} holds the secret {name}" for name in held if name not in said), None)

    def _moved(self, attempt: _Open, answer: Moved | Failed) -> None:
        moved = answered(answer)
        if moved.troubles:
            attempt.found = None  # what is noted stays: before the next attempt this is tried again
        for text in sentences(attempt.stage, attempt.start.attempt, moved):
            self._warn(text)
        self._leave(attempt, attempt.end)

    def _leave(self, attempt: _Open, end: Finished) -> None:
        index, number = attempt.start[:2]
        del self._open[index]
        if attempt.stage.outputs and attempt.step != "verifying" and attempt.found is not None:
            self._aside.forget(attempt.stage, attempt.start.attempt)
        if self._has_early and end.outcome != "success":
            self._published.forget(index)
        self.ear.closed(index, number, end, attempt.process)

    def kill(self, decision: Kill) -> bool:
        """End an attempt that has no process, or none any more; False if it has one, or is not known here."""
        attempt = self._open.get(decision.stage)
        if attempt is None or attempt.start.attempt != decision.attempt or attempt.step == "running":
            return False
        if attempt.step == "leaving":
            return True
        outcome = "timeout" if decision.why == "timeout" else "cancellation"
        attempt.end = attempt.end._replace(outcome=outcome, reason=decision.why)
        for kind in ("verify", "found", "close"):
            self._stop((decision.stage, kind))
        if attempt.step == "verifying":
            self._leave(attempt, attempt.end)
        else:
            self._put_aside(attempt)
        return True

    # Announced before the end -------------------------------------------------------------------------------------

    def look(self, us: int) -> None:
        """Hear which stages have announced an output."""
        self.look_at_us = FAR_US
        for attempt in list(self._open.values()):
            if attempt.step == "running" and any(output.early for output in attempt.stage.outputs):
                self._hear(attempt)
                self.look_at_us = us + EARLY_US

    def _hear(self, attempt: _Open) -> None:
        if not self._has_early:
            return
        index, number = attempt.start[:2]
        attempt.size, said = closing.announced(self._outputs.path(index, number), attempt.size)
        for word in said:
            path = closing.from_root(attempt.stage, self._freshness.root, word)
            if path is None or not self._published.may_be_announced(attempt.stage, path):
                self.ear.warned(f"{attempt.stage.id}: ready={word} is none of its outputs that are `ready: early`")
            elif path not in attempt.announced and path not in attempt.asked:
                attempt.asked.add(path)
                self._do(
                    (index, "early", path), self._freshness.is_much_of([path], {}),
                    partial(closing.read_one, self._freshness, path), partial(self._announced, attempt, path),
                )  # fmt: skip

    def _announced(self, attempt: _Open, path: str, file: File | str | Failed) -> None:
        attempt.asked.discard(path)
        if not isinstance(file, File):
            self.ear.warned(f"{attempt.stage.id}: ready={path}: {file}")
            return
        index, number = attempt.start[:2]
        attempt.announced[path] = file
        self._published.announce(index, file)
        self.ear.published(index, number, [file], True, self._published.dependents(index, attempt.announced))

    def _warn(self, text: str | None) -> None:
        if text is not None:
            self.ear.warned(text)


def _joined(*said: str | None) -> str | None:
    return "; ".join([text for text in said if text]) or None
