"""A run as it unfolds, in memory: fed by the engine while it goes on, or by a journal afterwards. Knows nothing of
files or processes, and decides nothing. What it amounts to is `document`, how a journal tells it `retelling`.

Stages are indices of the plan; times are whole microseconds since the run began.
"""

from __future__ import annotations

import os

from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.value import NamedTuple
from stagebook.record.clock import stamp
from stagebook.record.items import FailedItem, ItemBook, named
from stagebook.record.state import item_log_name, log_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Container, Iterable, Mapping, Sequence

    from stagebook.record.gates import Asked
    from stagebook.record.items import Call
    from stagebook.record.publication import Row
    from stagebook.record.reader import Recording

WAITING = "waiting"
RUNNING = "running"
FAILED = ("failure", "error", "timeout")


class Usage(NamedTuple):
    """What an attempt used, with how it was counted: `cgroup`, `wait4` or `sampled`. None is unknown.

    By `wait4` a peak of memory is that of the largest single process, so it has a method of its own.
    """

    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    max_rss_bytes: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    ctx_voluntary: int | None = None
    ctx_involuntary: int | None = None
    method: str | None = None
    max_rss_method: str | None = None


UNKNOWN = Usage()


class Around(NamedTuple):
    """What the machine did meanwhile. Shares are of the wall time, from 0 to 1; None is unknown.

    `over_s` is the time between the two looks behind the figures. `pressure_method` says whose stalls are told:
    `cgroup`, those of the attempt (the run) itself, or `machine`. The last two are known of a run only.
    """

    over_s: float | None = None
    pressure_method: str | None = None
    cpu_some: float | None = None
    cpu_full: float | None = None
    memory_some: float | None = None
    memory_full: float | None = None
    io_some: float | None = None
    io_full: float | None = None
    others_cores: float | None = None
    run_delay_s: float | None = None
    device: str | None = None
    device_busy: float | None = None
    throttled_s: float | None = None
    network_bytes: int | None = None
    cpu_limit_cores: float | None = None
    autogroup: bool | None = None


def around_of(plain: dict[str, Any] | None) -> Around | None:
    """As a line holds it; keys that are not there are unknown."""
    return None if plain is None else Around(*map(plain.get, Around._fields))


class Attempt(NamedTuple):
    """`ready_us` is when it could have started had nothing been in the way; `finished_us` None: it runs."""

    number: int
    ready_us: int
    started_us: int
    waited: str | None
    log: str | None
    finished_us: int | None = None
    outcome: str | None = None
    reason: str | None = None
    exit: int | None = None
    signal: int | None = None
    usage: Usage = UNKNOWN
    around: Around | None = None
    taken_back: bool = False  #: its stage had ended with it, and a resume took that back


class End(NamedTuple):
    """`ready_us` is since when a stage that never ran could have started; None if it ran, or never could."""

    us: int
    outcome: str
    reason: str | None
    flaky: bool
    ready_us: int | None = None


class Story:
    """One run. `epoch_us` is the wall clock at time 0; `needs` are indices, taken from the pipeline if not given;
    `logs_directory` is put before the names of logs.

    `state[i]` is `waiting`, `running` or the outcome of stage `i`; `attempts[i]` its attempts, a running one last;
    `ends[i]` its end or None. All three may be read at any time, and only be changed by the methods.
    """

    __slots__ = (
        "_announced",
        "_epochs",
        "around",
        "attempts",
        "because",
        "clock_jump_s",
        "critical",
        "critical_by",
        "edges",
        "end_us",
        "ends",
        "epoch_us",
        "gates",
        "items",
        "jobs",
        "jobs_because",
        "known_ms",
        "logs_directory",
        "max_parallel",
        "mode",
        "needs",
        "outcome",
        "published",
        "pipeline",
        "policy",
        "policy_because",
        "reason",
        "run",
        "running",
        "started_by",
        "state",
        "sums",
        "today",
        "traceparent",
        "used_early",
        "warnings",
    )  # fmt: skip

    def __init__(
        self,
        pipeline: Pipeline,
        run: str,
        epoch_us: int,
        *,
        mode: str,
        jobs: int,
        policy: str | None = None,
        critical: Sequence[str] = (),
        needs: Sequence[Sequence[int]] | None = None,
        logs_directory: str | None = None,
        critical_by: str | None = None,
        jobs_because: str | None = None,
        policy_because: str | None = None,
        today: str = "",
        known_ms: Mapping[str, int] | None = None,
        traceparent: str | None = None,
        started_by: str | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.run = run
        self.epoch_us = epoch_us
        self.mode = mode
        self.jobs = jobs
        self.policy = policy or pipeline.policy
        self.jobs_because = jobs_because  #: where the number of jobs comes from, where more than a number was asked for
        self.policy_because = policy_because  #: which rule of the file chose the policy
        self.today = today  #: the day on which the run began (ISO 8601), which ends quarantines
        self.traceparent = traceparent  #: of whoever started the run
        self.started_by = started_by  #: login name, of a run with gates
        self.known_ms: Mapping[str, int] = known_ms or {}  #: what stages took before, where that was known
        self.critical = tuple(critical)
        self.critical_by = critical_by  #: what chose them; None: not on record
        self.logs_directory = logs_directory
        self.needs = list(needs) if needs is not None else _needs(pipeline)
        self.edges: dict[int, str] = {}  #: of stages that were added while the run went on, what their needs are
        count = len(pipeline.stages)
        self.state: list[str] = [WAITING] * count
        self.attempts: list[tuple[Attempt, ...]] = [()] * count
        self.ends: list[End | None] = [None] * count
        self.warnings: list[str] = []
        self.because: dict[int, str] = {}  #: why a stage runs that was asked whether it does, where that is known
        self.published: dict[int, list[Row] | int] = {}  #: files of each stage's last success, or how many there were
        #: By producer and consumer: what had been announced when the latter began, path to digest, until the former has
        #: published.
        self.used_early: dict[int, dict[int, dict[str, str]]] = {}
        self._announced: dict[int, dict[str, str]] = {}  #: of attempts that run
        self.gates: dict[int, Asked] = {}  #: of gates: the latest question, with its votes
        self.items: dict[int, ItemBook] = _item_books(pipeline, self.jobs)  #: of stages that work through items
        self.running = 0  #: stages with a process now
        self.max_parallel = 0
        self.end_us: int | None = None
        self.outcome: str | None = None
        self.reason: str | None = None
        self.clock_jump_s: float | None = None
        self.around: Around | None = None  #: what the machine did from the start of the last engine to its end
        self.sums: dict[str, Any] | None = None  #: what the document says of all stages together, once it is closed
        self._epochs = [(0, epoch_us)]  # from when on which wall clock belongs to time 0; one more a resume

    @classmethod
    def from_recording(cls, recording: Recording) -> Story:
        """The story a journal tells. Raises SurroundingsError if it is not that of a run."""
        from stagebook.record.retelling import retell  # which builds stories

        return retell(recording.records, recording.path)

    # What happens -----------------------------------------------------------------------------------------------

    def added(self, stages: Sequence[Stage], edges: str) -> None:
        """The run has more stages than it began with. `edges` says what their needs are: `needs` that somebody
        declared, or the `order` that was measured."""
        first = len(self.pipeline.stages)
        self.pipeline = self.pipeline._replace(stages=(*self.pipeline.stages, *stages))
        at = {stage.id: index for index, stage in enumerate(self.pipeline.stages)}
        for index, stage in enumerate(stages, first):
            self.needs.append(tuple([at[need] for need in stage.needs]))
            self.edges[index] = edges
            self.state.append(WAITING)
            self.attempts.append(())
            self.ends.append(None)

    def grew(self, pipeline: Pipeline, critical: Sequence[str]) -> None:
        """Stages that one of them has generated have joined the run; `critical` are those of them that alone decide a
        lenient run."""
        more = len(pipeline.stages) - len(self.pipeline.stages)
        self.pipeline, self.needs = pipeline, _needs(pipeline)
        self.critical = (*self.critical, *critical)
        self.items |= {
            index: book for index, book in _item_books(pipeline, self.jobs).items() if index not in self.items
        }
        self.state += [WAITING] * more
        self.attempts += [()] * more
        self.ends += [None] * more
        known = len(pipeline.stages) - more
        self.items.update((stage, book) for stage, book in _item_books(pipeline, self.jobs).items() if stage >= known)

    def started(
        self, stage: int, attempt: int, us: int, ready_us: int, waited: str | None = None, log: str | None = None
    ) -> None:
        """A process of the stage exists. `log` is the file name of its log."""
        each = self.pipeline.stages[stage].each
        if each is not None and self.attempts[stage]:
            self.items[stage].begun_again(is_stopping=each.on_failure == "stop")
        self.attempts[stage] += (Attempt(attempt, min(ready_us, us), us, waited, log),)
        self.state[stage] = RUNNING
        self.ends[stage] = None
        if self._announced or self.used_early:
            self._note_use(stage)
        self.running += 1
        if self.running > self.max_parallel:
            self.max_parallel = self.running

    def exited(
        self,
        stage: int,
        attempt: int,
        us: int,
        outcome: str,
        reason: str | None = None,
        exit: int | None = None,
        signal: int | None = None,
        usage: Usage | None = None,
        ready_us: int | None = None,
        waited: str | None = None,
        around: Around | None = None,
    ) -> None:
        """That attempt is over. One that never had a process (a missing program) counts as begun at its end; since
        when it could have begun, and what it waited for, is given here and for no other."""
        known = self.attempts[stage]
        if known and known[-1].number == attempt and known[-1].finished_us is None:
            begun, earlier = known[-1], known[:-1]
            self.running -= 1
        else:
            begun, earlier = Attempt(attempt, us if ready_us is None else min(ready_us, us), us, waited, None), known
        over = Attempt(*begun[:5], us, outcome, reason, exit, signal, usage or UNKNOWN, around)
        self.attempts[stage] = (*earlier, over)
        self.state[stage] = WAITING
        self._announced.pop(stage, None)

    def judged(self, stage: int, verdict: str, reason: str | None) -> None:
        """It was asked whether the stage runs."""
        self.because.pop(stage, None)
        if verdict == "run" and reason is not None:
            self.because[stage] = reason

    def asked(self, stage: int, question: Asked) -> None:
        """A person is asked at a gate, or has voted there."""
        self.gates[stage] = question

    def published_by(self, stage: int, files: list[Row] | int, is_early: bool = False) -> None:
        """Outputs of the stage are there; with `is_early` it goes on."""
        if not is_early:
            self.published[stage] = files
            self._announced.pop(stage, None)
            self.used_early.pop(stage, None)
        elif not isinstance(files, int):
            self._announced.setdefault(stage, {}).update((path, digest) for path, _, digest in files)

    def _note_use(self, stage: int) -> None:
        """The stage begins, or is found to be up to date: with what its needs have announced until now."""
        for need in self.needs[stage]:
            if need in self._announced:
                self.used_early.setdefault(need, {})[stage] = dict(self._announced[need])
            elif need in self.used_early:
                self.used_early[need].pop(stage, None)

    def used(self, stage: int, attempt: int, usage: Usage) -> None:
        """What an attempt used, where that is known only after its end."""
        self.attempts[stage] = tuple(
            known._replace(usage=usage) if known.number == attempt else known for known in self.attempts[stage]
        )

    def ended(
        self, stage: int, us: int, outcome: str, reason: str | None = None, flaky: bool = False,
        ready_us: int | None = None, queue_max: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """The stage is over. `queue_max` are the most items that were queued before each of its steps."""
        if stage in self.items:
            reason = named(reason, self.items[stage].failures)
            self._items_over(stage, us, outcome, reason, queue_max)
        self.ends[stage] = End(us, outcome, reason, flaky, ready_us)
        if outcome == "skip" and self._announced:
            self._note_use(stage)
        if outcome in FAILED:
            self._warn_of_failure(stage, outcome)
        self.state[stage] = outcome

    def _items_over(
        self, stage: int, us: int, outcome: str, reason: str | None, queue_max: Sequence[int] | None
    ) -> None:  # fmt: skip
        """No line tells the end of an attempt that was no process: it ends with its stage."""
        book, known = self.items[stage], self.attempts[stage]
        if queue_max is not None:
            book.queued(queue_max)
        if known and known[-1].finished_us is None:
            usage = Usage(cpu_user_s=book.cpu_s(), cpu_system_s=0.0, method="wait4") if book.cpu_s() else None
            self.exited(stage, known[-1].number, us, outcome, reason, usage=usage)
        each = self.pipeline.stages[stage].each
        if outcome == "success" and book.failed and each is not None:
            kept = "kept as dead letters" if each.on_failure == "dead-letter" else "left out"
            self.warn(f"{self.pipeline.stages[stage].id}: {book.failed} of {book.known + book.skipped} items {kept}")

    def items_ready(self, stage: int, us: int, more: int, skipped: int, is_all: bool, position: int) -> None:
        self.items[stage].ready(us, more, skipped, is_all, position)

    def items_done(self, stage: int, us: int, calls: Iterable[Call], queue_max: Sequence[int] | None) -> None:
        self.items[stage].calls_over(us, calls, queue_max)

    def items_workers(self, stage: int, us: int, step: int, workers: int) -> None:
        self.items[stage].has_workers(step, workers, us)

    def item_failed(self, stage: int, failed: Sequence[Any]) -> None:
        step, item, outcome, exit, reason, text = failed
        self.items[stage].item_failed(FailedItem(item, step, outcome, exit, reason, text))

    def _warn_of_failure(self, stage: int, outcome: str) -> None:
        """A failure that does not fail the run stays visible, and one that does so although it once did not."""
        text = self.about(stage, outcome)
        if text is not None:
            self.warn(text)

    def about(self, stage: int, outcome: str) -> str | None:
        """What is to be warned of where a stage ends so; None: nothing."""
        planned = self.pipeline.stages[stage]
        if planned.allow_failure:
            return f"{planned.id}: {outcome}, allowed"
        if planned.quarantine is not None and planned.quarantine.holds(self.today):
            return f"{planned.id}: {outcome}, {planned.quarantine.said(self.today)}"
        if self.policy == "lenient" and planned.id not in self.critical:
            return f"{planned.id}: {outcome}, off the critical path"
        if planned.quarantine is not None:
            return f"{planned.id}: {outcome}, {planned.quarantine.said(self.today)}; owner: {planned.quarantine.owner}"
        return None

    def resumed(self, waits_again: Iterable[int], us: int | None = None, epoch_us: int | None = None) -> None:
        """A new engine goes on; the ends of these stages no longer hold, nor what was warned of them.

        The run's time stood still meanwhile: from `us` on, time 0 lies at `epoch_us` on the wall clock.
        """
        for stage in waits_again:
            end = self.ends[stage]
            if end is not None and self.about(stage, end.outcome) in self.warnings:
                self.warnings.remove(f"{self.about(stage, end.outcome)}")
            if end is not None and self.attempts[stage]:
                *earlier, last = self.attempts[stage]
                self.attempts[stage] = (*earlier, last._replace(taken_back=True))
            self.ends[stage] = None
            self.state[stage] = WAITING
            self.gates.pop(stage, None)
        self.end_us = self.outcome = self.reason = self.sums = self.around = None
        if us is not None and epoch_us is not None:
            self._epochs.append((us, epoch_us))

    def reopened(self, gate: int, text: str) -> None:
        """What was approved at a gate does not count any more, and why."""
        self.ends[gate], self.state[gate] = None, WAITING
        self.gates.pop(gate, None)
        self.warn(text)

    def replanned(
        self, pipeline: Pipeline, critical: Sequence[str], kept: Container[str], us: int, epoch_us: int,
        critical_by: str | None = None,
    ) -> None:  # fmt: skip
        """A new engine goes on by another plan. What was attempted stays told; only the ends of `kept` stages hold."""
        before = {stage.id: index for index, stage in enumerate(self.pipeline.stages)}
        attempts, ends, states = self.attempts, self.ends, self.state
        self.pipeline, self.critical, self.needs = pipeline, tuple(critical), _needs(pipeline)
        self.critical_by = critical_by
        count = len(pipeline.stages)
        self.attempts, self.ends, self.state = [()] * count, [None] * count, [WAITING] * count
        self.items = _item_books(pipeline, self.jobs)
        because, published, self.because, self.published = self.because, self.published, {}, {}
        for index, stage in enumerate(pipeline.stages):
            known = before.get(stage.id)
            if known is not None:
                self.attempts[index] = attempts[known]
                if known in because:
                    self.because[index] = because[known]
                if known in published:
                    self.published[index] = published[known]
                if stage.id in kept:
                    self.ends[index], self.state[index] = ends[known], states[known]
                elif ends[known] is not None and attempts[known]:
                    *earlier, last = attempts[known]
                    self.attempts[index] = (*earlier, last._replace(taken_back=True))
        at = {before[stage.id]: index for index, stage in enumerate(pipeline.stages) if stage.id in before}
        self._announced, self.gates = {}, {}  # who approved, approved the plan of before
        self.used_early = {
            at[need]: {at[user]: rows for user, rows in users.items() if user in at}
            for need, users in self.used_early.items()
            if need in at
        }
        self.resumed((), us, epoch_us)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def clock_jumped(self, seconds: float) -> None:
        """Somebody set the wall clock. Times stay those of the clock with which the run began."""
        self.clock_jump_s = (self.clock_jump_s or 0.0) + seconds
        self.warn(f"clock_jump: the wall clock was set by {seconds:+.1f} s meanwhile; durations are not touched by it")

    def finished(self, us: int, outcome: str, reason: str | None = None, around: Around | None = None) -> None:
        """The run is over."""
        self.end_us, self.outcome, self.reason, self.around = us, outcome, reason, around

    # What it amounts to -----------------------------------------------------------------------------------------

    def document(
        self, waiting: Callable[[int], str | None] | None = None, held_by: Callable[[int], list[str]] | None = None
    ) -> dict[str, Any]:
        """The JSON of `run` and `show`. `waiting` says what a stage that is not over waits for, by index
        (`Machine.waiting`), and `held_by` who has it."""
        from stagebook.record.document import document  # which reads stories

        return document(self, waiting, held_by)

    def outline(self, waiting: Callable[[int], str | None] | None = None) -> dict[str, Any]:
        """What a summary reads of the document, at half the price."""
        from stagebook.record.document import outline

        return outline(self, waiting)

    def closing(self) -> str:
        """The tail of the line `run.ended`, once `finished` was called."""
        from stagebook.record.document import closing

        return closing(self)

    def log_path(self, attempt: Attempt) -> str | None:
        """Where an attempt's output is, None if it never had any."""
        if attempt.log is None or self.logs_directory is None:
            return attempt.log
        return f"{self.logs_directory}/{attempt.log}"

    def step_log(self, step: str, slot: int) -> str:
        """Where the output of the calls in a slot of a step is, from 1 on."""
        return os.path.join(self.logs_directory or "", log_name(step, slot))

    def item_log(self, step: str, item: int) -> str:
        """Where lies what an item printed that failed in a step; nothing is there where it printed nothing."""
        return os.path.join(self.logs_directory or "", item_log_name(step, item))

    def stamp(self, us: int) -> str:
        """The wall clock at a time of the run. The moment at which a run was resumed belongs to the new engine."""
        if len(self._epochs) == 1:
            return stamp(self.epoch_us + us)
        return stamp(us + next(epoch_us for from_us, epoch_us in reversed(self._epochs) if us >= from_us))


def _item_books(pipeline: Pipeline, jobs: int) -> dict[int, ItemBook]:
    """More workers of a step than the run has jobs are never there."""
    return {
        index: ItemBook([max(1, min(step.workers, jobs)) for step in stage.each.steps])
        for index, stage in enumerate(pipeline.stages)
        if stage.each is not None
    }


def _needs(pipeline: Pipeline) -> list[tuple[int, ...]]:
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    return [tuple([at[need] for need in stage.needs]) for stage in pipeline.stages]
