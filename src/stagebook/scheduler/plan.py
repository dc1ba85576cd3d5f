"""What one run will do, in indices and whole numbers: checked once when it is built (`build`), then trusted.

Every capacity is a pool of whole units: the jobs, thousandths of a core, bytes of memory, named pools, and a
matrix's `max-parallel`. A lock is a pool as large as its users: shared takes one unit, exclusive takes all.
So the machine knows one kind of scarcity of units only. Beside it stands scarcity in time: a rate (so many starts, or
units of one pool, in any stretch of an interval) and the gaps between starts.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

#: The version of the rules by which a plan is made, ranked and run. Whatever changes a decision raises it, for a
#: journal is replayed only by the rules that wrote it. `tests/sim/test_rules.py` sees that it is raised.
RULES = 2


class Pool(NamedTuple):
    """`name` is what a waiting stage is told: `slot`, `cpu`, `memory`, `pool:NAME`, `lock:NAME`, `matrix:NAME`.

    `rate` is (units, interval in ms): so many units are given out in any such stretch of time. `machine`: whoever
    starts also needs a lease, as runs beside this one share the units."""

    name: str
    size: int
    rate: tuple[int, int] | None = None
    machine: bool = False


class PlannedGate(NamedTuple):
    timeout_ms: int | None = None
    default: str = "reject"


class PlannedStep(NamedTuple):
    """`workers` calls at once, between which and `workers_max` the driver may change it. At most `buffer` items wait
    for the step. A call takes up to `batch` items, or a lot, which is one until the driver has it grow; a buffer that
    `grows` holds two for each worker. The rest is as in `PlannedStage`, for each item."""

    name: str
    demand: int
    workers: int = 1
    workers_max: int = 1
    buffer: int = 2
    batch: int = 1
    ordered: bool = False
    attempts: int = 1
    delays_ms: tuple[int, ...] = ()
    retry_only: tuple[str, ...] = ()
    timeout_ms: int | None = None
    lot_max: int = 1
    grows: bool = False


class PlannedEach(NamedTuple):
    steps: tuple[PlannedStep, ...]
    on_failure: str = "stop"


class PlannedStage(NamedTuple):
    id: str
    needs: tuple[int, ...]
    demand: int  #: index into `Plan.demands`
    rank: int  #: smaller starts first; unique in a plan
    join: str = "all"
    always: bool = False
    critical: bool = False
    allow_failure: bool = False
    retry_safe: bool = True
    attempts: int = 1
    delays_ms: tuple[int, ...] = ()  #: wait before attempt 2, 3 …, jitter included; the last one repeats
    retry_only: tuple[str, ...] = ()  #: `timeout`, `exit 75` …; empty: any failure, error or timeout
    attempt_timeout_ms: int | None = None
    stage_timeout_ms: int | None = None
    queue_timeout_ms: int | None = None
    fail_fast_group: int = -1  #: stages of one number are cancelled when one of them fails; -1: none
    skip: str | None = None  #: ended as `skip` with this reason at the start, and counted as done
    kept: tuple[str, str | None] | None = None  #: (outcome, reason) it has from before the plan was changed
    begun: int = 0  #: attempts from before the plan was changed
    judged: bool = False  #: once its needs are done it is asked whether it runs: it has a condition, or inputs
    early: tuple[int, ...] = ()  #: those of `needs` that are met as soon as they have announced what it reads of them
    gate: PlannedGate | None = None  #: waits for a person, and holds nothing
    each: PlannedEach | None = None  #: works through items, which alone hold units
    bound: bool = False  #: asks for a lease before each start: what a person approved before it must still be so
    skips_late: bool = False  #: `skip`, and only once a gate above it is decided: what needs it must not pass the gate


class Plan(NamedTuple):
    """`demands` are distinct; each is (pool index, units) pairs in order of pool."""

    stages: tuple[PlannedStage, ...]
    pools: tuple[Pool, ...]
    demands: tuple[tuple[tuple[int, int], ...], ...]
    policy: str = "strict"
    in_order: bool = False  #: sequential: a stage starts only when all of smaller rank have ended
    timeout_ms: int | None = None
    passed_over_max: int = 64  #: starts that may pass a ready stage before it claims its pools
    critical_by: str = "number of stages"  #: what chose the critical stages: `order.critical_by`
    starts: tuple[int, int] | None = None  #: at most so many starts in any stretch of so many ms
    gaps_ms: tuple[int, ...] = ()  #: least time from each start to the next; over again when they are used up
    jobs_because: str | None = None  #: where the number of jobs comes from, if not from the file or the user alone


class Cap(NamedTuple):
    """What a provider allows at once. `name` is how the user called it, `as_of` the date of the table."""

    name: str
    jobs: int
    as_of: str


class Choice(NamedTuple):
    """How a user asked for a run of a pipeline; with the pipeline it makes the plan, again and again the same.

    `cores` and `memory_bytes` (0: not known) are what this machine offers; `durations_ms` are known durations by stage
    id; `seed` is for jitter; `today` is the day on which the run begins (ISO 8601), for quarantines; `base` is the
    revision that changes count from; `policy_because` says which rule of the file chose `policy`.
    """

    cores: int
    jobs: int | None = None
    sequential: bool = False
    policy: str | None = None
    only: tuple[str, ...] = ()
    from_: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    durations_ms: tuple[tuple[str, int], ...] = ()
    seed: int = 0
    today: str = ""
    cap: Cap | None = None
    base: str | None = None
    policy_because: str | None = None
    memory_bytes: int = 0
    force: bool = False  #: nothing is up to date
    dead_of: str = ""  #: a run: of items only those that failed for good there
