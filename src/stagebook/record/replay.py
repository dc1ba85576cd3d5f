"""From a journal's lines to the machine as it stood: the same plan is built, the same batches are fed.

Fed are the lines that tell what happened; `stage.ended` and `run.ended` tell what the machine decided, so they are
compared with what it decides now. A difference means that the rules have changed since the journal was written, or
never were what it says: then nothing can be concluded from it.
"""

from __future__ import annotations

from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import DefectError, InputError, SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record.items import call_of
from stagebook.record.line import time_us
from stagebook.record.reader import Recording
from stagebook.record.retelling import ODD, Header, header, pipeline_in, pipeline_of, unfit
from stagebook.scheduler import replan
from stagebook.scheduler.build import build
from stagebook.scheduler.extend import extend
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import RULES, Cap, Choice, Plan
from stagebook.scheduler.vocabulary import (
    Announced,
    Began,
    CancelAsked,
    Decision,
    Ended,
    Event,
    Exited,
    Freed,
    GateAnswered,
    GateReopened,
    ItemFailed,
    ItemsDone,
    ItemsLot,
    ItemsReady,
    ItemsWorkers,
    Judged,
    Leased,
    Refused,
    RerunAnswered,
    Resumed,
    RunEnded,
    SetTimer,
    Shortage,
    StagesAdded,
    Started,
    TimerFired,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, TypeAlias

Record: TypeAlias = "dict[str, Any]"


class Replay(NamedTuple):
    """`owed` are ends, also of items, that the machine has decided and that stand in no line: the engine died in
    between. `timers` are those that have not fired; stale ones among them are ignored by the machine. `cancels` are
    stages (None: the run) whose cancelling was decided while no engine held the run, and that no engine has been told
    of since. `begun` are attempts from before the file was changed, by stage."""

    header: Header
    pipeline: Pipeline
    choice: Choice
    plan: Plan
    machine: Machine
    owed: list[Ended | RunEnded | ItemFailed]
    timers: list[SetTimer]
    cancels: list[int | None]
    begun: Mapping[str, int] = {}


def replay(recording: Recording) -> Replay:
    """Raises SurroundingsError if the journal is not that of a run, was written by other rules, or the rules disagree
    with it."""
    records = recording.records
    if not records:
        raise SurroundingsError(f"{recording.path} holds no whole record: the run ended before anything was started")
    head = header(records[0], recording.path)
    refuse_other_rules(head.run, head.rules)
    pipeline = pipeline_of(head)
    at = records[0]
    try:
        choice = choice_from_plain(head.choice)
        plan = build(pipeline, choice)
        begun: dict[str, int] = {}
        play = _Play(recording.path, Machine(plan))
        for at in records:
            if at["event"] == "run.resumed" and "plan" in at:
                play.feed()
                pipeline, plan = changed_plan(at, choice)
                begun = at["begun"]
                play = _Play(recording.path, Machine(plan))
            elif at["event"] == "stages.added":
                pipeline, plan = extend(pipeline, plan, choice, pipeline_in(at), at["stage"], begun)
                play.grew(plan, at)
            play.take(at)
        play.feed()
    except (*ODD, DefectError, InputError) as error:
        raise unfit(recording.path, at, error) from error
    return Replay(
        head, pipeline, choice, plan, play.machine, play.owed(), list(play.timers.values()), play.cancels,
        begun,
    )  # fmt: skip


def refuse_other_rules(run: str, rules: int) -> None:
    """Raises SurroundingsError for a journal that would be replayed by rules that did not write it."""
    if rules != RULES:
        raise SurroundingsError(
            f"run {run} was begun by another version of Stagebook (scheduler rules {rules}, here {RULES}) and cannot "
            "be gone on with; go on with that version, or begin anew without --resume"
        )


def changed_plan(record: Record, choice: Choice) -> tuple[Pipeline, Plan]:
    """The pipeline and plan with which a run went on after its file was changed, from the line `run.resumed`."""
    pipeline = pipeline_in(record)
    kept = {stage: (outcome, reason) for stage, (outcome, reason) in record["kept"].items()}
    return pipeline, replan.keep(build(pipeline, choice), kept, record["begun"])


def choice_from_plain(plain: dict[str, Any]) -> Choice:
    """The inverse, also of a choice that went through JSON; keys that are not known any more are left out."""
    values = {name: _frozen(value) for name, value in plain.items() if name in Choice._fields}
    if values.get("cap") is not None:
        values["cap"] = Cap(*values["cap"])
    return Choice(**values)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


class _Play:
    """The batch being gathered, and what the machine has decided that no line has told yet."""

    __slots__ = ("at", "batch", "cancels", "ends", "events", "failed", "machine", "path", "run_end", "timers")

    def __init__(self, path: str, machine: Machine) -> None:
        self.path = path
        self.machine = machine
        self.at = {stage.id: index for index, stage in enumerate(machine.plan.stages)}
        self.events: list[Event] = []
        self.batch = 0
        self.failed: dict[tuple[int, int], ItemFailed] = {}
        self.ends: dict[int, Ended] = {}
        self.run_end: RunEnded | None = None
        self.timers: dict[str, SetTimer] = {}
        self.cancels: list[int | None] = []

    def take(self, record: Record) -> None:
        name = record["event"]
        if name == "run.cancel" and self._is_pending(record):
            return
        is_early = name == "output.published" and record.get("early")
        if name in _EVENTS or name == "items.done" or is_early:
            self._in_batch(record)
            at, stage = time_us(record) // 1000, self._stage(record)
            if name == "items.done":
                calls = [call_of(row) for row in record["calls"]]
                self.events += [ItemsDone(at, stage, call.step, call.slot, call.bad) for call in calls]
                return
            event = self._announced(record, at, stage) if is_early else _EVENTS[name](record, at, stage)
            self.events.append(event)
            if type(event) is TimerFired:
                self.timers.pop(event.timer, None)
        elif name == "items.dead":
            self.feed()
            self.failed.pop((self._stage(record), record["item"]), None)
        elif name == "stage.ended":
            self.feed()
            self._compare_stage(record)
        elif name == "run.ended":
            self.feed()
            self._compare_run(record)

    def grew(self, plan: Plan, record: Record) -> None:
        """The line tells of stages that were generated; `plan` has them."""
        self._in_batch(record)
        self.events.append(StagesAdded(time_us(record) // 1000, self._stage(record), plan))
        self.at = {stage.id: index for index, stage in enumerate(plan.stages)}

    def _in_batch(self, record: Record) -> None:
        if record["batch"] != self.batch:
            self.feed()
            self.batch = record["batch"]

    def _is_pending(self, record: Record) -> bool:
        """Whether this is a decision that waits for the next engine; one that an engine took up waits no longer."""
        stage = self._stage(record)
        asked = stage if stage >= 0 else None
        if record.get("pending"):
            if asked not in self.cancels:  # to decide it twice is not to ask for it at once
                self.cancels.append(asked)
            return True
        if asked in self.cancels:
            self.cancels.remove(asked)
        return False

    def feed(self) -> None:
        """Give the machine the batch that was gathered."""
        events, self.events = self.events, []
        if not events:
            return
        for decision in self.machine.feed(*events):
            self._note(decision)
        if not self.machine.is_over:
            self.run_end = None

    def owed(self) -> list[Ended | RunEnded | ItemFailed]:
        ends: list[Ended | RunEnded | ItemFailed] = [*self.failed.values(), *self.ends.values()]
        return ends if self.run_end is None else [*ends, self.run_end]

    def _note(self, decision: Decision) -> None:
        if type(decision) is ItemFailed:
            self.failed[decision.stage, decision.item] = decision
        elif type(decision) is Ended:
            self.ends[decision.stage] = decision
        elif type(decision) is RunEnded:
            self.run_end = decision
        elif type(decision) is SetTimer:
            self.timers[decision.timer] = decision

    def _compare_stage(self, record: Record) -> None:
        decided = self.ends.pop(self.at[record["stage"]], None)
        said = (record["outcome"], record.get("reason"), record.get("flaky", False))
        if decided is None or decided[1:] != said:
            self._disagree(record, said, decided[1:] if decided is not None else "no end")

    def _compare_run(self, record: Record) -> None:
        decided, self.run_end = self.run_end, None
        said = (record["outcome"], record.get("reason"))
        if decided is None or tuple(decided) != said:
            self._disagree(record, said, tuple(decided) if decided is not None else "no end")

    def _disagree(self, record: Record, said: object, decided: object) -> None:
        raise SurroundingsError(
            f"{self.path}: record {record['seq']} ({record['event']} {record.get('stage', '')}) says {said}, "
            f"the rules of this version say {decided}"
        )

    def _announced(self, record: Record, at: int, stage: int) -> Event:
        dependents = [self._stage({**record, "stage": name}) for name in record.get("dependents", ())]
        return Announced(at, stage, record["attempt"], tuple(dependents))

    def _stage(self, record: Record) -> int:
        """The index of a line's stage, -1 if it names none."""
        stage = record.get("stage")
        if stage is None:
            return -1
        if stage not in self.at:
            raise SurroundingsError(f"{self.path}: record {record['seq']} names `{stage}`, which is not in its plan")
        return self.at[stage]


def _started(record: Record, at: int, stage: int) -> Event:
    return Started(at, stage, record["attempt"], record["pid"], record.get("start") or 0)


def _exited(record: Record, at: int, stage: int) -> Event:
    return Exited(
        at, stage, record["attempt"], record["outcome"], record.get("exit"), record.get("signal"), record.get("reason"),
        record.get("final", False),
    )  # fmt: skip


def _resumed(record: Record, at: int) -> Event:
    return Began(at) if "plan" in record else Resumed(at, record.get("takes_back", True))


def _cancel(record: Record, at: int, stage: int) -> Event:
    return CancelAsked(at, record["why"], stage if stage >= 0 else None)


def _answered(record: Record, at: int, stage: int) -> Event:
    """At a gate, or of a stage that is not safe to repeat."""
    if "approved" in record:
        return GateAnswered(at, stage, record["approved"], record.get("reason"))
    return RerunAnswered(at, stage, record["rerun"])


_EVENTS: dict[str, Callable[[Record, int, int], Event]] = {
    "run.started": lambda record, at, stage: Began(at),
    "run.resumed": lambda record, at, stage: _resumed(record, at),
    "run.cancel": _cancel,
    "stage.started": _started,
    "stage.exited": _exited,
    "timer.fired": lambda record, at, stage: TimerFired(at, record["timer"]),
    "condition.judged": lambda record, at, stage: Judged(at, stage, record["verdict"], record.get("reason")),
    "lease.taken": lambda record, at, stage: Leased(at, stage),
    "lease.refused": lambda record, at, stage: Refused(at, stage, record["by"]),
    "lease.freed": lambda record, at, stage: Freed(at, stage),
    "machine.short": lambda record, at, stage: Shortage(
        at, record.get("reason"), record.get("memory_free_bytes"), record["holds_all"]
    ),
    "gate.answered": _answered,
    "gate.held": lambda record, at, stage: Leased(at, stage),
    "gate.void": lambda record, at, stage: GateReopened(at, stage),
    "items.ready": lambda record, at, stage: ItemsReady(
        at, stage, record["more"], record.get("last", False), record.get("skipped", 0)
    ),
    "items.workers": lambda record, at, stage: ItemsWorkers(at, stage, record["step"], record["workers"]),
    "items.lot": lambda record, at, stage: ItemsLot(at, stage, record["step"], record["lot"]),
}
