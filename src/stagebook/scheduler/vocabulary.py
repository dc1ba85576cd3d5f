"""What the machine is told (events) and what it says (decisions): frozen records of plain values. No behaviour.

Times are whole milliseconds since the run began and arrive in events. A stage is its index in the plan. Compare
two of these together with their type: as tuples, different kinds with equal values are equal.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.scheduler.plan import Plan


class Began(NamedTuple):
    """First, once."""

    at: int


class Started(NamedTuple):
    """The process of an attempt exists. `start` is its start time as the kernel counts it, with `pid` its identity."""

    at: int
    stage: int
    attempt: int
    pid: int
    start: int


class Exited(NamedTuple):
    """That attempt will never report again. `reason` is None, or says more; `interrupted` means its end is unknown.
    `is_final`: another attempt would come to the same, whatever the plan grants."""

    at: int
    stage: int
    attempt: int
    outcome: str
    exit: int | None = None
    signal: int | None = None
    reason: str | None = None
    is_final: bool = False


class TimerFired(NamedTuple):
    """Comes back as it was set."""

    at: int
    timer: str


class CancelAsked(NamedTuple):
    """Stop the run, or one stage of it. `why` is SIGINT, SIGTERM, SIGHUP or `cancel`."""

    at: int
    why: str
    stage: int | None = None


class Resumed(NamedTuple):
    """A new engine goes on. Not `takes_back`: only to lead a cancelled run to its end, so that all ends stand."""

    at: int
    takes_back: bool = True


class RerunAnswered(NamedTuple):
    """A person has said what a `retry-safe: false` stage that has begun is: to run again, or done."""

    at: int
    stage: int
    again: bool


class Judged(NamedTuple):
    """The driver has evaluated the condition of a stage: `verdict` is `run`, `skip`, or `error` where it has no
    answer. `reason` says more; it is None for `run`."""

    at: int
    stage: int
    verdict: str
    reason: str | None = None


class Announced(NamedTuple):
    """That attempt, still running, has made all that these stages read of it: to them it is as good as done, until it
    ends. Only stages that have it in `PlannedStage.early` may be named."""

    at: int
    stage: int
    attempt: int
    dependents: tuple[int, ...]


class Leased(NamedTuple):
    """The driver holds all machine-wide units that the stage needs, and what was approved before it is still so. It
    gives the units back when the attempt has exited, and at once where no `Start` of the stage follows from this
    batch."""

    at: int
    stage: int


class Refused(NamedTuple):
    """Somebody else has what the stage needs across runs, or stands before it in the line for it. `by` says who."""

    at: int
    stage: int
    by: str


class Freed(NamedTuple):
    """What a refused stage needs across runs may be had now: try again."""

    at: int
    stage: int


class Shortage(NamedTuple):
    """The machine beneath is short: `reason` says of what, None that it is over. What asks for more than `memory_free`
    bytes is held (None: that is not what is short); with `holds_all` everything is, while something runs."""

    at: int
    reason: str | None
    memory_free: int | None = None
    holds_all: bool = False


class GateAnswered(NamedTuple):
    """It has been decided whether what waits at a gate may go on. `reason` says who decided, and what they said."""

    at: int
    stage: int
    approved: bool
    reason: str | None = None


class GateReopened(NamedTuple):
    """What was approved at a gate is not what lies there any more: the approval is void, people are asked anew, and
    what has not begun by it waits."""

    at: int
    stage: int


class StagesAdded(NamedTuple):
    """A running stage has generated others: `plan` holds all that the run's plan held, by the same numbers, and after
    them what is new. Needs may have been added to stages that wait for the one that generates, and ranks may differ."""

    at: int
    stage: int
    plan: Plan


class ItemsReady(NamedTuple):
    """The source of an `each` has so many more items, never more than it was asked for, numbered on from those before:
    the first of all is 1. `is_last`: no other will come. `skipped` others need nothing, and have no number."""

    at: int
    stage: int
    more: int
    is_last: bool = False
    skipped: int = 0


class ItemsDone(NamedTuple):
    """That call is over; said once. `bad` are those of its items that did not succeed, each with an outcome, what it
    exited with and a reason; all others did. `cancellation`, and `error` with reason `interrupted`, are not the doing
    of the item: it is done again."""

    at: int
    stage: int
    step: int
    slot: int
    bad: tuple[tuple[int, str, int | None, str | None], ...] = ()


class ItemsWorkers(NamedTuple):
    """The driver has found that a step goes better with so many calls at once; never over its `workers_max`."""

    at: int
    stage: int
    step: int
    workers: int


class ItemsLot(NamedTuple):
    """The driver has found that so many items make a good call of a step that takes a lot; never over its `lot_max`."""

    at: int
    stage: int
    step: int
    lot: int


Event = (
    Began | Started | Exited | TimerFired | CancelAsked | Resumed | RerunAnswered
    | Judged | Announced | Leased | Refused | Freed | Shortage | GateAnswered | GateReopened | StagesAdded | ItemsReady
    | ItemsDone | ItemsWorkers | ItemsLot
)  # fmt: skip


class Start(NamedTuple):
    """Launch; every unit it takes is already reserved. `waited` names what it last waited for (`slot`, `cpu`,
    `memory`, `pool:NAME`, `lock:NAME`) after its needs were done, None if it waited for nothing. `ready` is when
    its needs were done (for a later attempt: when its backoff was over)."""

    stage: int
    attempt: int
    ready: int
    waited: str | None


class Kill(NamedTuple):
    """End it, escalate if deaf, and still report `Exited`. `now`: without grace. `why` is timeout or cancelled."""

    stage: int
    attempt: int
    why: str
    now: bool


class SetTimer(NamedTuple):
    """Bring it back at that time; never needs cancelling, stale ones are ignored."""

    timer: str
    at: int


class AskRerun(NamedTuple):
    """A `retry-safe: false` stage that has begun could run again and waits for a person; go on meanwhile."""

    stage: int


class Judge(NamedTuple):
    """Evaluate the stage's condition over what is known now; answer `Judged`."""

    stage: int


class AskLease(NamedTuple):
    """Try to take all machine-wide units that the stage needs, without waiting; answer `Leased` or `Refused`. Of one
    that is `PlannedStage.bound`, see before whether what was approved is still so, and answer `GateReopened` of the
    gate if it is not. Its other units are reserved until then."""

    stage: int


class Ended(NamedTuple):
    """Record; said once per stage. `outcome` is an outcome word, `reason` says more."""

    stage: int
    outcome: str
    reason: str | None
    flaky: bool


class RunEnded(NamedTuple):
    """Close; said once. `reason` says more, as `timeout` of the whole run or `cancelled by SIGINT`."""

    outcome: str
    reason: str | None


class AskGate(NamedTuple):
    """A person is to decide whether what waits for the stage may go on; go on meanwhile."""

    stage: int


class WantItems(NamedTuple):
    """The source of an `each` may hand over so many more items."""

    stage: int
    more: int


class StartItems(NamedTuple):
    """Do a step with these items, by one call in that slot; every unit it takes is already reserved. Answer
    `ItemsDone`."""

    stage: int
    step: int
    slot: int
    items: tuple[int, ...]
    attempt: int


class KillItems(NamedTuple):
    """End that call as `Kill` does an attempt, and still report `ItemsDone`. An `each` gets no `Kill`: it ends when all
    its calls have."""

    stage: int
    step: int
    slot: int
    why: str
    now: bool


class ItemFailed(NamedTuple):
    """Record: that item is not tried again. Said once an item, unless the stage goes on in another attempt."""

    stage: int
    step: int
    item: int
    outcome: str
    exit: int | None
    reason: str | None


Decision = (
    Start
    | Kill
    | SetTimer
    | AskRerun
    | Judge
    | AskLease
    | Ended
    | RunEnded
    | AskGate
    | WantItems
    | StartItems
    | KillItems
    | ItemFailed
)
