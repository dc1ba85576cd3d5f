"""A pipeline and a choice become a plan: capacities, demands, limits and seeds, all as whole numbers.

Pure and deterministic: the same pipeline and choice give the same plan, so a journal needs to hold only these two.
Which stages take part is `select`, which order and what is critical is `order`. Refuses what can never run, as an
`InputError` with every problem in it, at its line.
"""

from __future__ import annotations

from stagebook.model.pipeline import Pipeline, Resources, Retry, Stage, Step
from stagebook.model.problem import InputError, Problem
from stagebook.scheduler import order, select
from stagebook.scheduler.plan import Choice, Plan, PlannedEach, PlannedGate, PlannedStage, PlannedStep, Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

POLICIES = ("strict", "lenient", "fail-fast")

#: No delay is longer, however the factor grows: a year.
DELAY_MS_MAX = 365 * 24 * 3600 * 1000

#: Delays beyond this many attempts repeat the last one.
DELAYS_MAX = 64

#: Fewest jobs and cores when neither the user nor the file says: one job would never show what runs side by side.
JOBS_MIN_DEFAULT = 2

#: What is used of a provider's cap where nobody says.
PROVIDER_SHARE = 0.8

#: Who holds a machine-wide lock alone takes all of these, who shares it takes one.
MACHINE_LOCK_UNITS = 1024

#: Gaps between starts repeat after so many.
GAPS_MAX = 1024

#: No lot is longer: what a call costs beside its items is nothing by then.
LOT_MAX = 256


def build(pipeline: Pipeline, choice: Choice) -> Plan:
    """The plan for one run. Raises `InputError` for unknown names and parameters and for demands no pool can meet."""
    stages = pipeline.stages
    position = {stage.id: index for index, stage in enumerate(stages)}
    needs = _needs(pipeline, position)
    problems = select.param_problems(pipeline, choice.params)
    policy = choice.policy or pipeline.policy
    if policy not in POLICIES:
        problems.append(
            _problem(pipeline, "policy", f"unknown policy `{policy}`, expected one of {', '.join(POLICIES)}")
        )
    if choice.jobs is not None and choice.jobs < 1:
        problems.append(_problem(pipeline, "jobs", f"jobs must be at least 1, not {choice.jobs}"))
    selected, more = select.select(pipeline, choice, needs)
    problems += more
    pools, pool_of, more = _pools(pipeline, choice)
    problems += more
    demands, demand_of, steps_demands, more = _demands(pipeline, pools, pool_of)
    problems += more
    if problems:
        raise InputError(problems[0].message, problems)

    bound, late = select.behind_gates(pipeline, needs, selected)
    shape = order.measure(pipeline, choice, needs, selected)
    if choice.sequential:
        rank = shape.sequential_ranks()
    else:
        claims = [sum([units * 1000 // pools[pool].size for pool, units in demand if pool]) for demand in demands]
        rank = shape.ranks([claims[demand] for demand in demand_of])
    critical = shape.critical()
    limits = pipeline.limits
    group_of = _fail_fast_groups(pipeline, position)
    return Plan(
        stages=tuple(
            _planned(
                stage,
                needs[index],
                demand_of[index],
                rank[index],
                critical[index],
                group_of.get(index, -1),
                None if selected[index] else select.left_out(stage),
                choice.seed,
                choice.today,
                tuple([position[need] for need in stage.early]) if stage.early else (),
                _planned_each(stage, steps_demands[index], demands, pools, choice.seed) if stage.each else None,
                index in bound,
                index in late,
            )
            for index, stage in enumerate(stages)
        ),
        pools=tuple(pools),
        demands=tuple(demands),
        policy=policy,
        in_order=choice.sequential,
        timeout_ms=pipeline.timeout_ms,
        critical_by=order.critical_by(pipeline, choice),
        starts=None if limits.starts is None else (limits.starts.most, limits.starts.interval_ms),
        gaps_ms=_gaps(limits.stagger_ms, limits.stagger_jitter, choice.seed, len(stages)),
        jobs_because=jobs_because(pipeline, choice),
    )


def critical_planned(plan: Plan) -> tuple[str, ...]:
    """The ids of the stages that alone decide the outcome of a lenient run, in file order."""
    return tuple(stage.id for stage in plan.stages if stage.critical)


def mode(plan: Plan) -> str:
    """`sequential` or `parallel`, as `run --json` prints it."""
    return "sequential" if plan.in_order else "parallel"


def jobs(plan: Plan) -> int:
    """How many stages may run at once."""
    return plan.pools[0].size


def share(pipeline: Pipeline) -> float:
    """The part of jobs, cpu, memory and a provider's cap that is used."""
    if pipeline.limits.share is not None:
        return pipeline.limits.share
    return PROVIDER_SHARE if pipeline.limits.provider is not None else 1.0


def shared(amount: int, part: float) -> int:
    """A share of whole units: rounded down, at least 1. In whole thousandths of a percent, as 0.29 * 100 is 28.99…"""
    return max(1, amount * round(part * 100_000) // 100_000)


def jobs_because(pipeline: Pipeline, choice: Choice) -> str | None:
    """`80 % of 20, the cap of github-free as of 2026-07-01`; None where nothing but a number was asked for. Where the
    user asked for another number than the file comes to, both are told."""
    if choice.sequential:
        return None
    if choice.jobs is not None:
        unasked = choice._replace(jobs=None)
        because = jobs_because(pipeline, unasked)
        return None if because is None else f"asked for; {_jobs(pipeline, unasked)} would be {because}"
    part = f"{round(share(pipeline) * 100, 3):g} % of"
    if pipeline.limits.jobs is None and choice.cap is not None:
        return f"{part} {choice.cap.jobs}, the cap of {choice.cap.name} as of {choice.cap.as_of}"
    if share(pipeline) == 1:
        return None
    if pipeline.limits.jobs is not None:
        return f"{part} {pipeline.limits.jobs}"
    return f"{part} {max(choice.cores, JOBS_MIN_DEFAULT)} cores"


def is_quarantined(stage: Stage, today: str) -> bool:
    """Whether the failure of a stage is put up with today. The last day counts."""
    return stage.quarantine is not None and stage.quarantine.holds(today)


def _problem(
    pipeline: Pipeline, code: str, message: str, stage: Stage | None = None, step: Step | None = None
) -> Problem:  # fmt: skip
    line, col = (stage.line, stage.col) if stage is not None else (0, 0)
    if step is not None and step.line:
        line, col = step.line, 0
    return Problem(pipeline.file, line, col, code, "error", message)


def _needs(pipeline: Pipeline, position: dict[str, int]) -> list[tuple[int, ...]]:
    needs: list[tuple[int, ...]] = []
    problems: list[Problem] = []
    for stage in pipeline.stages:
        try:
            needs.append(tuple([position[need] for need in stage.needs]))
        except KeyError as unknown:
            problems.append(
                _problem(pipeline, "unknown-need", f"stage `{stage.id}` needs unknown stage `{unknown.args[0]}`", stage)
            )
    if problems:
        raise InputError(problems[0].message, problems)
    return needs


def _jobs(pipeline: Pipeline, choice: Choice) -> int:
    if choice.sequential:
        return 1
    if choice.jobs is not None:
        return choice.jobs
    most = pipeline.limits.jobs
    if most is None:
        most = choice.cap.jobs if choice.cap is not None else max(choice.cores, JOBS_MIN_DEFAULT)
    return shared(most, share(pipeline))


def _pools(pipeline: Pipeline, choice: Choice) -> tuple[list[Pool], dict[str, int], list[Problem]]:
    """Every kind of scarcity as a pool of whole units; only those that some stage uses, the slot aside."""
    pools = [Pool("slot", _jobs(pipeline, choice))]
    stages, limits = pipeline.stages, pipeline.limits
    problems: list[Problem] = []
    part = share(pipeline)
    asked = [stage.resources for stage in stages]
    asked += [step.resources for stage in stages if stage.each for step in stage.each.steps]
    if any(resources.cpu_milli for resources in asked):
        cpu_milli = limits.cpu_milli or max(choice.cores, JOBS_MIN_DEFAULT) * 1000
        pools.append(Pool("cpu", shared(cpu_milli, part)))
    memory_bytes = limits.memory_bytes or choice.memory_bytes
    if memory_bytes and any(resources.memory_bytes for resources in asked):
        pools.append(Pool("memory", shared(memory_bytes, part)))
    used = {
        outer
        for resources in asked
        if resources.pools
        for name in resources.pools
        for outer in (name, *with_outer(pipeline, name))
    }
    for name, pool in pipeline.pools.items():
        if name in used:
            rate = None if pool.rate is None else (pool.rate.most, pool.rate.interval_ms)
            pools.append(Pool(f"pool:{name}", pool.size, rate, pool.machine))
    if used - pipeline.pools.keys():
        for stage in stages:
            for step, resources in _takers(stage):
                for name in resources.pools:
                    if name not in pipeline.pools:
                        hint = select.suggestion(name, pipeline.pools)
                        text = f"{_who(stage, step)} asks for unknown pool `{name}`{hint}"
                        problems.append(_problem(pipeline, "unknown-pool", text, stage, step))
    lock_users: dict[str, int] = {}
    for stage in stages:
        for name in stage.locks:
            lock_users[name] = lock_users.get(name, 0) + 1
    for name, users in lock_users.items():
        is_machine = name in pipeline.machine_locks
        pools.append(Pool(f"lock:{name}", MACHINE_LOCK_UNITS if is_machine else users, None, is_machine))
    for name, matrix in pipeline.matrices.items():
        if matrix.max_parallel is not None and matrix.max_parallel < len(matrix.cells):
            pools.append(Pool(f"matrix:{name}", matrix.max_parallel))
    return pools, {pool.name: index for index, pool in enumerate(pools)}, problems


def with_outer(pipeline: Pipeline, name: str) -> list[str]:
    """A pool and those that it is part of, from the inside out."""
    names: list[str] = []
    at: str | None = name
    while at is not None and at in pipeline.pools and at not in names:
        names.append(at)
        at = pipeline.pools[at].inside
    return names


_Demand = tuple[tuple[int, int], ...]


def _demands(
    pipeline: Pipeline, pools: list[Pool], pool_of: dict[str, int]
) -> tuple[list[_Demand], list[int], dict[int, list[int]], list[Problem]]:
    """The distinct demands, and which of them each stage has; and by stage, which its steps have."""
    known: dict[_Demand, int] = {}
    demand_of: list[int] = []
    steps_demands: dict[int, list[int]] = {}
    problems: list[Problem] = []
    matrix_of = {
        cell: pool_of[f"matrix:{name}"]
        for name, matrix in pipeline.matrices.items()
        if f"matrix:{name}" in pool_of
        for cell in matrix.cells
    }
    plain: _Demand = ((0, 1),)
    for index, stage in enumerate(pipeline.stages):
        resources = stage.resources
        if stage.each is not None:
            steps_demands[index] = []
            for step in stage.each.steps:
                asked = _taken(pipeline, stage, step, pools, pool_of, problems)
                steps_demands[index].append(known.setdefault(tuple(sorted(asked)), len(known)))
        if stage.gate is not None:  # who waits for a person holds nothing
            demand_of.append(known.setdefault((), len(known)))
            continue
        if stage.each is not None:  # its items hold units, but for those that are asked for at other runs
            demand_of.append(known.setdefault(_held(pipeline, stage, pools, pool_of, problems), len(known)))
            continue
        if not (resources.cpu_milli or resources.memory_bytes or resources.pools or stage.locks or matrix_of):
            demand_of.append(known.setdefault(plain, len(known)))
            continue
        demand = _taken(pipeline, stage, None, pools, pool_of, problems)
        if stage.id in matrix_of:
            demand.append((matrix_of[stage.id], 1))
        demand.sort()
        demand_of.append(known.setdefault(tuple(demand), len(known)))
    return list(known) or [plain], demand_of, steps_demands, problems


def _takers(stage: Stage) -> list[tuple[Step | None, Resources]]:
    """Who takes units for a stage: it itself, and its steps."""
    steps = stage.each.steps if stage.each is not None else ()
    return [(None, stage.resources), *[(step, step.resources) for step in steps]]


def _who(stage: Stage, step: Step | None) -> str:
    return f"stage `{stage.id}`" if step is None else f"step `{stage.id}.{step.name}`"


def _taken(
    pipeline: Pipeline,
    stage: Stage,
    step: Step | None,
    pools: list[Pool],
    pool_of: dict[str, int],
    problems: list[Problem],
) -> list[tuple[int, int]]:
    """What a stage, or a call of a step, takes of which pools. What can never be had is added to the problems."""
    resources, locks = (stage.resources, stage.locks) if step is None else (step.resources, {})
    who = _who(stage, step)
    demand = [(0, 1)]
    for name, units in _asked(pipeline, resources, locks, pools, pool_of):
        pool = pool_of.get(name)
        if pool is None:
            continue
        rate = pools[pool].rate
        if units > pools[pool].size:
            text = f"{who} asks {_over(pipeline, resources, name, units, pools[pool].size)}"
            problems.append(_problem(pipeline, "demand-over-capacity", text, stage, step))
        elif rate is not None and units > rate[0]:
            text = f"{who} asks {units} of `{name}`, which gives out {rate[0]} in {rate[1]} ms"
            problems.append(_problem(pipeline, "demand-over-rate", text, stage, step))
        elif step is not None and pools[pool].machine and rate is not None:
            text = f"{who} asks for `{name[5:]}`, which runs share at a rate: only stages can, not items"
            problems.append(_problem(pipeline, "step-machine-rate", text, stage, step))
        if units > 0 and not (step is not None and pools[pool].machine):
            demand.append((pool, units))
    return demand


def _held(
    pipeline: Pipeline, stage: Stage, pools: list[Pool], pool_of: dict[str, int], problems: list[Problem]
) -> _Demand:  # fmt: skip
    """What a stage holds for its items from the first to the last, as other runs share it: to ask them about each item
    could take longer than the item. It is enough for all workers of all its steps."""
    assert stage.each is not None
    held: dict[int, int] = {}
    for step in stage.each.steps:
        for name, units in _asked(pipeline, step.resources, {}, pools, pool_of):
            pool = pool_of.get(name)
            if pool is not None and pools[pool].machine:
                held[pool] = held.get(pool, 0) + units * _workers_max(step, pools[0].size)
    for pool, units in held.items():
        if units > pools[pool].size:
            text = (
                f"stage `{stage.id}` holds {units} of `{pools[pool].name[5:]}` for all workers of its steps, and runs "
                f"share {pools[pool].size}: let steps have fewer `workers`"
            )
            problems.append(_problem(pipeline, "demand-over-capacity", text, stage))
    return tuple(sorted(held.items()))


def _workers_max(step: Step, jobs: int) -> int:
    return max(1, step.workers or step.workers_max or jobs)


def _over(pipeline: Pipeline, resources: Resources, name: str, units: int, size: int) -> str:
    """In words: how much is asked of what, how much there is, and why it is less than the file says at that place."""
    part = share(pipeline)
    of = f", {round(part * 100, 3):g} % of `limits`" if part < 1 else ""
    if name == "memory":
        return f"{_mib(units)} of memory, the run has {_mib(size)}{of}"
    if name == "cpu":
        return f"{units / 1000:g} cores, the run has {size / 1000:g}{of}"
    within = [inner for inner in resources.pools if f"pool:{inner}" != name]
    through = f", through `{within[0]}`, which is in it" if within and name[5:] not in resources.pools else ""
    return f"{units} of `{name}`, which has {size}{through}"


def _mib(size: int) -> str:
    return f"{size / 2**20:.6g}MiB" if size >= 2**20 else f"{size}B"


def _asked(
    pipeline: Pipeline, resources: Resources, locks: Mapping[str, str], pools: list[Pool], pool_of: dict[str, int]
) -> list[tuple[str, int]]:  # fmt: skip
    asked = []
    if resources.cpu_milli:
        # Where the file names no limit, the budget is this machine's: a stage that wants more gets all of it, alone.
        budget = pools[pool_of["cpu"]].size
        asked.append(("cpu", resources.cpu_milli if pipeline.limits.cpu_milli else min(resources.cpu_milli, budget)))
    if resources.memory_bytes and "memory" in pool_of:
        asked_bytes, budget = resources.memory_bytes, pools[pool_of["memory"]].size
        asked.append(("memory", asked_bytes if pipeline.limits.memory_bytes else min(asked_bytes, budget)))
    taken: dict[str, int] = {}
    for name, units in resources.pools.items():
        for outer in with_outer(pipeline, name):
            taken[outer] = taken.get(outer, 0) + units
    asked += [(f"pool:{name}", units) for name, units in taken.items()]
    for name, kind in locks.items():
        lock = f"lock:{name}"
        asked.append((lock, pools[pool_of[lock]].size if kind == "exclusive" else 1))
    return asked


def _fail_fast_groups(pipeline: Pipeline, position: dict[str, int]) -> dict[int, int]:
    group_of: dict[int, int] = {}
    for number, matrix in enumerate(pipeline.matrices.values()):
        if matrix.fail_fast and len(matrix.cells) > 1:
            for cell in matrix.cells:
                group_of[position[cell]] = number
    return group_of


def _gaps(stagger_ms: int, jitter: float, seed: int, starts: int) -> tuple[int, ...]:
    """The gap after each start. Jitter only adds: a gap is never below what was asked."""
    if not stagger_ms:
        return ()
    if not jitter:
        return (stagger_ms,)
    chance = _chance(seed, "stagger")
    gaps = []
    for _ in range(min(max(starts, 1), GAPS_MAX)):
        chance = _next_chance(chance)
        gaps.append(stagger_ms + round(stagger_ms * jitter * (chance / 2**64)))
    return tuple(gaps)


def _planned(
    stage: Stage,
    needs: tuple[int, ...],
    demand: int,
    rank: int,
    critical: bool,
    group: int,
    skip: str | None,
    seed: int,
    today: str,
    early: tuple[int, ...],
    each: PlannedEach | None,
    bound: bool,
    skips_late: bool,
) -> PlannedStage:
    retry, timeouts = stage.retry, stage.timeouts
    return PlannedStage(
        stage.id,
        needs,
        demand,
        rank,
        stage.join,
        stage.always,
        critical,
        stage.allow_failure or is_quarantined(stage, today),
        stage.retry_safe,
        retry.attempts,
        _delays(retry, seed, stage.id) if retry.backoff_ms else (),
        retry.only,
        timeouts.attempt_ms,
        timeouts.stage_ms,
        timeouts.queue_ms,
        group,
        skip,
        None,
        0,
        select.is_judged(stage),
        early,
        None if stage.gate is None else PlannedGate(stage.gate.timeout_ms, stage.gate.default),
        each,
        bound,
        skips_late,
    )


def _planned_each(
    stage: Stage, demand_of: list[int], demands: list[_Demand], pools: list[Pool], seed: int
) -> PlannedEach:  # fmt: skip
    """`workers: auto` begins with one, and has no more than units are there for; a batch fills no more than half a
    buffer that the file does not name."""
    assert stage.each is not None
    steps = []
    for step, demand in zip(stage.each.steps, demand_of):
        workers_max = _workers_max(step, pools[0].size)
        if not step.workers:
            workers_max = min([workers_max, *[pools[pool].size // units for pool, units in demands[demand]]])
        retry = step.retry
        lot_max = LOT_MAX if _takes_lots(step) and stage.retry_safe else 1
        steps.append(
            PlannedStep(
                step.name,
                demand,
                step.workers or 1,
                workers_max,
                2 * workers_max * step.batch if step.buffer is None else step.buffer,
                step.batch,
                step.ordered,
                retry.attempts,
                _delays(retry, seed, f"{stage.id}.{step.name}") if retry.backoff_ms else (),
                retry.only,
                step.timeout_ms,
                lot_max,
                lot_max > 1 and step.buffer is None,
            )
        )
    return PlannedEach(tuple(steps), stage.each.on_failure)


def _takes_lots(step: Step) -> bool:
    """Whether a call may have several items though each is answered for itself: then nothing is lost by it but time
    that is not spent between them. A `timeout` is of one."""
    return (step.worker or step.kind == "python") and step.batch == 1 and step.timeout_ms is None


def _delays(retry: Retry, seed: int, stage_id: str) -> tuple[int, ...]:
    """The wait before attempt 2, 3 …: backoff, grown by the factor, cut at the maximum, then spread by the jitter."""
    longest = DELAY_MS_MAX if retry.max_ms is None else min(retry.max_ms, DELAY_MS_MAX)
    delays = []
    delay = float(retry.backoff_ms)
    chance = _chance(seed, stage_id)
    for _ in range(min(retry.attempts - 1, DELAYS_MAX)):
        delay = min(delay, float(longest))
        chance = _next_chance(chance)
        spread = retry.jitter * (chance / 2**63 - 1)
        delays.append(min(round(delay * (1 + spread)), longest))
        delay *= retry.factor
    while len(delays) > 1 and delays[-1] == delays[-2]:
        delays.pop()
    return tuple(delays)


def _chance(seed: int, text: str) -> int:
    """A start for `_next_chance` of its own for each stage, so that one stage more does not change the others'."""
    value = 0xCBF29CE484222325 ^ seed
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def _next_chance(value: int) -> int:
    """The next of a row of numbers below 2**64 that look random: splitmix64, which needs no import to be the same
    on every Python."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)
