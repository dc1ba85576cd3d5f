"""A run as it unfolds, in memory: fed by the engine while it goes on, or by a journal afterwards, and turned into the
document that `run --json` and `show --json` print. Knows nothing of files or processes, and decides nothing.

Stages are indices of the plan; times are whole microseconds since the run began.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Callable, Iterable, NamedTuple, Sequence

from stagebook.model.pipeline import Pipeline
from stagebook.record.clock import stamp
from stagebook.record.line import members
from stagebook.record.state import log_stem

if TYPE_CHECKING:
    from stagebook.record.reader import Recording

WAITING = "waiting"
RUNNING = "running"
BY_SIGNAL = "cancelled by SIG"  #: so begins the reason of what INT, TERM or HUP ended


class Usage(NamedTuple):
    """What an attempt used, with how it was counted: `cgroup`, `wait4` or `sampled`. None is unknown."""

    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    max_rss_bytes: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    ctx_voluntary: int | None = None
    ctx_involuntary: int | None = None
    method: str | None = None


UNKNOWN = Usage()


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


class End(NamedTuple):
    us: int
    outcome: str
    reason: str | None
    flaky: bool


class Story:
    """One run. `epoch_us` is the wall clock at time 0; `needs` are indices, taken from the pipeline if not given;
    `logs_directory` is put before the names of logs.

    `state[i]` is `waiting`, `running` or the outcome of stage `i`; `attempts[i]` its attempts, a running one last;
    `ends[i]` its end or None. All three may be read at any time, and only be changed by the methods.
    """

    __slots__ = (
        "_epochs",
        "_levels",
        "attempts",
        "clock_jump_s",
        "critical",
        "end_us",
        "ends",
        "epoch_us",
        "jobs",
        "log_names",
        "logs_directory",
        "max_parallel",
        "mode",
        "needs",
        "outcome",
        "pipeline",
        "policy",
        "reason",
        "run",
        "running",
        "state",
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
    ) -> None:
        self.pipeline = pipeline
        self.run = run
        self.epoch_us = epoch_us
        self.mode = mode
        self.jobs = jobs
        self.policy = policy or pipeline.policy
        self.critical = tuple(critical)
        self.logs_directory = logs_directory
        #: what the names of a stage's logs begin with; `.ATTEMPT.log` follows
        self.log_names = [log_stem(stage.id) for stage in pipeline.stages]
        self.needs = needs if needs is not None else _needs(pipeline)
        count = len(pipeline.stages)
        self.state: list[str] = [WAITING] * count
        self.attempts: list[tuple[Attempt, ...]] = [()] * count
        self.ends: list[End | None] = [None] * count
        self.warnings: list[str] = []
        self.running = 0  #: stages with a process now
        self.max_parallel = 0
        self.end_us: int | None = None
        self.outcome: str | None = None
        self.reason: str | None = None
        self.clock_jump_s: float | None = None
        self._levels: list[int] | None = None
        self._epochs = [(0, epoch_us)]  # from when on which wall clock belongs to time 0; one more a resume

    @classmethod
    def from_recording(cls, recording: Recording) -> Story:
        """The story a journal tells. Raises SurroundingsError if it is not that of a run."""
        from stagebook.record.retelling import retell  # which builds stories

        return retell(recording.records, recording.path)

    # What happens -----------------------------------------------------------------------------------------------

    def started(
        self, stage: int, attempt: int, us: int, ready_us: int, waited: str | None = None, log: str | None = None
    ) -> None:
        """A process of the stage exists. `log` is the file name of its log."""
        self.attempts[stage] += (Attempt(attempt, min(ready_us, us), us, waited, log),)
        self.state[stage] = RUNNING
        self.ends[stage] = None
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
    ) -> None:
        """That attempt is over. One that never had a process (a missing program) counts as begun at its end."""
        known = self.attempts[stage]
        if known and known[-1].number == attempt and known[-1].finished_us is None:
            begun, earlier = known[-1], known[:-1]
            self.running -= 1
        else:
            begun, earlier = Attempt(attempt, us, us, None, None), known
        over = Attempt(*begun[:5], us, outcome, reason, exit, signal, usage if usage is not None else UNKNOWN)
        self.attempts[stage] = (*earlier, over)
        self.state[stage] = WAITING

    def used(self, stage: int, attempt: int, usage: Usage) -> None:
        """What an attempt used, where that is known only after its end."""
        self.attempts[stage] = tuple(
            known._replace(usage=usage) if known.number == attempt else known for known in self.attempts[stage]
        )

    def ended(self, stage: int, us: int, outcome: str, reason: str | None = None, flaky: bool = False) -> None:
        """The stage is over."""
        self.ends[stage] = End(us, outcome, reason, flaky)
        self.state[stage] = outcome

    def resumed(
        self, waits_again: Iterable[int] | None = None, us: int | None = None, epoch_us: int | None = None
    ) -> None:
        """A new engine goes on; the ends of these stages, by default those of `waits_again`, no longer hold.

        The run's time stood still meanwhile: from `us` on, time 0 lies at `epoch_us` on the wall clock.
        """
        for stage in self.waits_again() if waits_again is None else waits_again:
            self.ends[stage] = None
            self.state[stage] = WAITING
        self.end_us = self.outcome = self.reason = None
        if us is not None and epoch_us is not None:
            self._epochs.append((us, epoch_us))

    def waits_again(self) -> list[int]:
        """The stages whose ends a resume takes back: those that a signal ended, and those skipped for them."""
        again = [
            stage
            for stage, end in enumerate(self.ends)
            if end is not None and end.outcome == "cancellation" and (end.reason or "").startswith(BY_SIGNAL)
        ]
        if not again:
            return []
        followers: list[list[int]] = [[] for _ in self.ends]
        for stage, needs in enumerate(self.needs):
            for need in needs:
                followers[need].append(stage)
        found = set(again)
        while again:
            stage = again.pop()
            skipped = f"needs {self.pipeline.stages[stage].id} ("
            for follower in followers[stage]:
                end = self.ends[follower]
                if end is None or end.outcome != "skip" or follower in found:
                    continue
                if (end.reason or "").startswith(skipped) or self.pipeline.stages[follower].join == "any":
                    found.add(follower)
                    again.append(follower)
        return sorted(found)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def clock_jumped(self, seconds: float) -> None:
        """Somebody set the wall clock. Times stay those of the clock with which the run began."""
        self.clock_jump_s = (self.clock_jump_s or 0.0) + seconds

    def finished(self, us: int, outcome: str, reason: str | None = None) -> None:
        """The run is over."""
        self.end_us, self.outcome, self.reason = us, outcome, reason

    # What it amounts to -----------------------------------------------------------------------------------------

    def critical_path(self) -> tuple[list[int], int]:
        """The measured chain, first stage first, and its work in microseconds, waiting left out.

        From the stage that ended last, back over the need that ended last (with `join: any` the first one to end),
        as long as they ran.
        """
        ran = [stage for stage in range(len(self.ends)) if self.attempts[stage]]
        if not ran:
            return [], 0
        chain = [max(ran, key=lambda stage: (self._last_us(stage), -stage))]
        while True:
            stage = chain[-1]
            before = self._nearest_that_ran(stage)
            if not before:
                break
            any_will_do = self.pipeline.stages[stage].join == "any"
            choose = min if any_will_do else max
            chain.append(choose(before, key=lambda need: (self._last_us(need), need)))
        chain.reverse()
        return chain, sum(self.work_us(stage) for stage in chain)

    def _nearest_that_ran(self, stage: int) -> list[int]:
        """The needs that ran; in place of one that was skipped, those that it waited for in turn."""
        found: list[int] = []
        seen = set(self.needs[stage])
        open_needs = list(seen)
        while open_needs:
            need = open_needs.pop()
            if self.attempts[need]:
                found.append(need)
            else:
                fresh = [above for above in self.needs[need] if above not in seen]
                seen.update(fresh)
                open_needs += fresh
        return found

    def work_us(self, stage: int) -> int:
        """How long processes of the stage ran, all ended attempts together."""
        return sum(
            attempt.finished_us - attempt.started_us
            for attempt in self.attempts[stage]
            if attempt.finished_us is not None
        )

    def waiting_by(self) -> dict[str, int]:
        """Microseconds of waiting by what was waited for, longest first: a capacity or lock by its name, `backoff`
        between attempts, `start` for what passed between being free to start and a process."""
        waits: Counter[str] = Counter()
        for attempts in self.attempts:
            before_us = None
            for attempt in attempts:
                waits[attempt.waited or "start"] += attempt.started_us - attempt.ready_us
                if before_us is not None and attempt.ready_us > before_us:
                    waits["backoff"] += attempt.ready_us - before_us
                before_us = attempt.finished_us
        return {name: us for name, us in waits.most_common() if us}

    def totals(self) -> dict[str, Any]:
        """What sums a run up, as the members of the document; kept in the line `run.ended` for lists of runs."""
        ids = self.pipeline.stages
        chain, chain_us = self.critical_path()
        sum_us = sum(map(self.work_us, range(len(ids))))
        cpu_s = self._cpu_s()
        wall_us = self.end_us
        return {
            "critical_path": [ids[stage].id for stage in chain],
            "critical_path_s": chain_us / 1e6,
            "max_parallel": self.max_parallel,
            "sum_s": sum_us / 1e6,
            "cpu_s": cpu_s,
            "effective_parallel": {
                "stages": round(sum_us / wall_us, 3) if wall_us else None,
                "cpu": round(cpu_s * 1e6 / wall_us, 3) if wall_us and cpu_s is not None else None,
            },
            "waiting_by": {name: us / 1e6 for name, us in self.waiting_by().items()},
            "clock_jump_s": self.clock_jump_s,
            "warnings": list(self.warnings),
        }

    def closing(self) -> str:
        """The tail of the line `run.ended`, once `finished` was called: the end and the totals, so that a list of runs
        need not read a whole journal."""
        assert self.end_us is not None
        return members(outcome=self.outcome, reason=self.reason, wall_s=self.end_us / 1e6, **self.totals())

    def document(self, waiting: Callable[[int], str | None] | None = None) -> dict[str, Any]:
        """The JSON of `run` and `show`. `waiting` says what a stage that is not over waits for, by index
        (`Machine.waiting`)."""
        totals = self.totals()
        warnings = totals.pop("warnings")
        critical = frozenset(self.critical)
        levels = self._level_list()
        return {
            "run": self.run,
            "pipeline": self.pipeline.name,
            "outcome": self.outcome,
            "reason": self.reason,
            "mode": self.mode,
            "jobs": self.jobs,
            "policy": self.policy,
            "file": self.pipeline.file,
            "started": stamp(self.epoch_us),
            "finished": self._stamp(self.end_us),
            "wall_s": self.end_us / 1e6 if self.end_us is not None else None,
            "waiting": self._run_waits(waiting),
            "critical_planned": list(self.critical),
            **totals,
            "stages": [self._stage_document(stage, critical, levels, waiting) for stage in range(len(self.ends))],
            "warnings": warnings,
        }

    def _stage_document(
        self, index: int, critical: frozenset[str], levels: list[int], waiting: Callable[[int], str | None] | None
    ) -> dict[str, Any]:
        stage = self.pipeline.stages[index]
        attempts = self.attempts[index]
        end = self.ends[index]
        outcome = reason = wall_s = wait_s = None
        flaky = False
        if end is not None:
            outcome, reason, flaky = end.outcome, end.reason, end.flaky
        if attempts:
            wait_s = sum([attempt.started_us - attempt.ready_us for attempt in attempts]) / 1e6
            if end is not None:
                wall_s = (end.us - attempts[0].started_us) / 1e6
        return {
            "stage": stage.id,
            "outcome": outcome,
            "flaky": flaky,
            "reason": reason,
            "started": self._stamp(attempts[0].started_us) if attempts else None,
            "finished": self._stamp(end.us) if end is not None else None,
            "wall_s": wall_s,
            "wait_s": wait_s,
            "waiting": self._waits(index, waiting),
            "waited": next((attempt.waited for attempt in attempts if attempt.waited), None),
            "attempts": [self._attempt_document(attempt) for attempt in attempts],
            "kind": stage.kind,
            "needs": [self.pipeline.stages[need].id for need in self.needs[index]],
            "level": levels[index],
            "line": stage.line,
            "critical": stage.id in critical,
        }

    def _attempt_document(self, attempt: Attempt) -> dict[str, Any]:
        used = attempt.usage
        user_s, system_s = used.cpu_user_s, used.cpu_system_s
        return {
            "attempt": attempt.number,
            "outcome": attempt.outcome,
            "reason": attempt.reason,
            "exit": attempt.exit,
            "signal": attempt.signal,
            "started": self._stamp(attempt.started_us),
            "finished": self._stamp(attempt.finished_us),
            "wait_s": (attempt.started_us - attempt.ready_us) / 1e6,
            "waited": attempt.waited,
            "log": self.log_path(attempt),
            "usage": {
                "cpu_s": round(user_s + system_s, 6) if user_s is not None and system_s is not None else None,
                "cpu_user_s": user_s,
                "cpu_system_s": system_s,
                "max_rss_bytes": used.max_rss_bytes,
                "read_bytes": used.read_bytes,
                "write_bytes": used.write_bytes,
                "ctx_voluntary": used.ctx_voluntary,
                "ctx_involuntary": used.ctx_involuntary,
                "method": used.method,
            },
        }

    def log_path(self, attempt: Attempt) -> str | None:
        """Where an attempt's output is, None if it never had any."""
        if attempt.log is None or self.logs_directory is None:
            return attempt.log
        return f"{self.logs_directory}/{attempt.log}"

    def _waits(self, stage: int, waiting: Callable[[int], str | None] | None) -> str | None:
        """What a stage waits for, in the words of the document; None for one that runs or is over."""
        if waiting is None or self.state[stage] != WAITING:
            return None
        reason = waiting(stage)
        return "gate" if reason == "person" else reason

    def _run_waits(self, waiting: Callable[[int], str | None] | None) -> str | None:
        """What the run as a whole waits for: nothing while something runs, else what its first stage waits for."""
        if self.running or self.end_us is not None:
            return None
        reasons = (self._waits(stage, waiting) for stage in range(len(self.state)))
        return next((reason for reason in reasons if reason not in (None, "needs")), None)

    def _last_us(self, stage: int) -> int:
        """When the last attempt ended, or began if it runs."""
        last = self.attempts[stage][-1]
        return last.finished_us if last.finished_us is not None else last.started_us

    def _cpu_s(self) -> float | None:
        """CPU seconds of all attempts whose use is known, None if no one's is."""
        known = [
            attempt.usage.cpu_user_s + attempt.usage.cpu_system_s
            for attempts in self.attempts
            for attempt in attempts
            if attempt.usage.cpu_user_s is not None and attempt.usage.cpu_system_s is not None
        ]
        return round(sum(known), 6) if known else None

    def _stamp(self, us: int | None) -> str | None:
        """The wall clock at a time of the run. A moment at which the run was resumed belongs to the new engine."""
        if us is None:
            return None
        if len(self._epochs) == 1:
            return stamp(self.epoch_us + us)
        return stamp(us + next(epoch_us for from_us, epoch_us in reversed(self._epochs) if us >= from_us))

    def _level_list(self) -> list[int]:
        if self._levels is None:
            self._levels = _levels(self.needs)
        return self._levels


def _needs(pipeline: Pipeline) -> list[tuple[int, ...]]:
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    return [tuple([at[need] for need in stage.needs]) for stage in pipeline.stages]


def _levels(needs: Sequence[Sequence[int]]) -> list[int]:
    """How many needs stand above each stage in its longest chain; a walk without recursion."""
    levels = [-1] * len(needs)
    for first in range(len(needs)):
        stack = [first]
        while stack:
            stage = stack[-1]
            if levels[stage] >= 0:
                stack.pop()
                continue
            open_needs = [need for need in needs[stage] if levels[need] < 0]
            if open_needs:
                stack += open_needs
            else:
                levels[stage] = 1 + max([levels[need] for need in needs[stage]], default=-1)
                stack.pop()
    return levels
