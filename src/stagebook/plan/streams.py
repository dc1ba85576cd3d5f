"""Stages that work through items, as assembly lines: how many items a second, which step holds up the others, and how
many workers each step should have. Bounds by rates only; how long a run takes is simulated.

By operational analysis (Denning and Buzen, *The operational analysis of queueing network models*, 1978): an item
demands of a step what a try takes, times its tries, times the share of items that come so far. A step gets through
as many items a second as its workers, over this demand; a pool as many as its units, over the units that an item's
steps hold, times how long. The least of these is the most that the whole can do.
"""

from __future__ import annotations

from math import ceil
from statistics import median

from stagebook.model.value import NamedTuple
from stagebook.report.durations import count
from stagebook.scheduler import build
from stagebook.scheduler.plan import Choice
from stagebook.simulate.play import play
from stagebook.simulate.work import ItemWork, StepWork, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.scheduler.plan import Plan, PlannedStep

#: Rates that differ by less are the same.
_SAME = 1e-9
CORES = "cores"  #: of the machine, beside what a plan has as pools


class StreamKnown(NamedTuple):
    """What runs on record tell of the items of a stage: `run` is the latest of the kind that is expected. `costs` are
    seconds of work that an item took in each run, by its id; `said` is what is expected, where runs differ in it;
    `at_once` the most calls that have been seen to run. `alone`: the same items at what the latest of `one_by_one`
    tells, which are runs that did one thing at a time; None unless there are others, of which `work` is then."""

    run: str
    work: ItemWork
    costs: Mapping[str, float] = {}
    said: str = ""
    at_once: int = 1
    alone: ItemWork | None = None
    one_by_one: frozenset[str] = frozenset()

    def of(self, run: str) -> ItemWork:
        """What runs like that one are measured against."""
        return self.alone if self.alone is not None and run in self.one_by_one else self.work

    def under(self, plan: Plan) -> ItemWork:
        return self.alone if self.alone is not None and plan.pools[0].size == 1 else self.work


class Streams(NamedTuple):
    """By stage: what simulated runs work through, and how long that would take alone as the file has it, by what items
    took in each run. `at_once`: the most calls that have been seen to run. `alone`: works of runs in which one thing is
    done at a time, where they are others."""

    works: Mapping[str, ItemWork]
    walls_s: Mapping[str, Mapping[str, float]]
    at_once: int = 1
    alone: Mapping[str, ItemWork] = {}


class StepRate(NamedTuple):
    """`item_s` is what one try takes, `failed` the share of tries that do. `workers` None: they adjust themselves.
    `per_s`: items of the source a second that its workers could do; `use`: the share of their time that they work.
    `should`: with so many workers the step holds nothing up, where jobs and pools do not."""

    step: str
    item_s: float
    failed: float
    workers: int | None
    per_s: float | None
    use: float
    should: int


class StreamRate(NamedTuple):
    """`per_s` items of the source a second, held up by `binds`: a step, a pool as in `Plan.pools`, or `cores`;
    `best_per_s` and `best_binds` with as many workers as each step should have. None: the items take no
    time that can be told."""

    stage: str
    total: int
    run: str
    per_s: float | None
    binds: str | None
    best_per_s: float | None
    best_binds: str | None
    steps: tuple[StepRate, ...]


def known(pipeline: Pipeline, documents: Sequence[Mapping[str, Any]]) -> dict[str, StreamKnown]:
    """By stage, what these documents of runs tell, the latest first. Items that were up to date are none.

    How many are expected: all there are, unless most of the runs that did any found some up to date, as nightly runs
    over a growing folder do; then as many as those did."""
    found = {}
    slow = frozenset([document["run"] for document in documents if document.get("mode") == "sequential"])
    for stage in pipeline.stages:
        if stage.each is None:
            continue
        names = [f"{stage.id}.{step.name}" for step in stage.each.steps]
        told = [
            (document["run"], each) for document in documents for each in document["stages"]
            if each["stage"] == stage.id and each.get("items")
        ]  # fmt: skip
        works = [(run, each["items"], work) for run, each in told if (work := _work(each, names)) is not None]
        if works:
            items = [each["items"] for _, each in told]
            there_are = next((each["total"] for each in items if each.get("total") is not None), items[0]["known"])
            at_once = max([1 if run in slow else _at_once(each) for run, each in told])
            costs = {run: _cost_s(work) for run, _, work in works}
            expected = _expected(stage.id, works, there_are)._replace(costs=costs, at_once=at_once)
            found[stage.id] = _parted(expected, [(run, work) for run, _, work in works], slow)
    return found


def _parted(expected: StreamKnown, works: Sequence[tuple[str, ItemWork]], slow: frozenset[str]) -> StreamKnown:
    """What an item takes while others are at work is no measure of what it takes alone, nor the other way round."""
    alone = next((work for run, work in works if run in slow), None)
    beside = next((work for run, work in works if run not in slow), None)
    if alone is None or beside is None:
        return expected
    total = expected.work.total
    return expected._replace(work=beside._replace(total=total), alone=alone._replace(total=total), one_by_one=slow)


def _cost_s(work: ItemWork) -> float:
    return sum([step.wall_s for step in work.steps])


def _at_once(told: Mapping[str, Any]) -> int:
    courses = [step.get("course") for step in told.get("steps") or ()]
    most: list[float] = [max(course["at_once"]) for course in courses if course]
    return round(sum(most))


def _expected(stage: str, works: Sequence[tuple[str, Mapping[str, Any], ItemWork]], there_are: int) -> StreamKnown:
    whole = [each for each in works if not each[1]["skipped"]]
    some = [each for each in works if each[1]["skipped"]]
    if len(whole) >= len(some):
        run, _, work = whole[0]
        said = f"{stage} is taken to do all of its {count(there_are)} items" if some else ""
        return StreamKnown(run, work._replace(total=there_are), said=said)
    run, _, work = some[0]
    few = round(median([each.total for _, _, each in some]))
    said = f"{stage} is taken to do {count(few)} of its {count(there_are)} items, as lately; others were up to date"
    return StreamKnown(run, work._replace(total=max(1, few)), said=said)


def _work(told: Mapping[str, Any], names: Sequence[str]) -> ItemWork | None:
    steps = told.get("steps") or []
    if [step["step"] for step in steps] != names:
        return None
    works = []
    for step in steps:
        bad = step["failed"] + step["retried"]
        tries = step["done"] + bad
        if not step["done"]:
            return None
        works.append(StepWork(step["wall_s"] / tries, bad / tries, step["cpu_s"] / tries))
    items = told["items"]
    total = items["known"] - items["skipped"]
    return ItemWork(total, tuple(works)) if total else None


def streams(pipeline: Pipeline, choice: Choice, known: Mapping[str, StreamKnown]) -> Streams | None:
    """What simulated runs need to know of them; None where nothing is known."""
    works: dict[str, ItemWork] = {}
    walls_s: dict[str, dict[str, float]] = {}
    alone: dict[str, ItemWork] = {}
    for index, stage in enumerate(pipeline.stages):
        if stage.id not in known:
            continue
        alone_s = _alone_s(pipeline, choice, index, known[stage.id].work)
        if alone_s <= 0:
            continue
        told = known[stage.id]
        works[stage.id] = told.work._replace(whole_s=alone_s)
        if told.alone is not None:
            alone[stage.id] = told.alone._replace(whole_s=alone_s)
        walls_s[stage.id] = {run: alone_s * cost / (_cost_s(told.of(run)) or 1.0) for run, cost in told.costs.items()}
    return Streams(works, walls_s, max([each.at_once for each in known.values()]), alone) if works else None


def _alone_s(pipeline: Pipeline, choice: Choice, index: int, work: ItemWork) -> float:
    stage = pipeline.stages[index]._replace(needs=(), early=())
    plan = build.build(pipeline._replace(stages=(stage,)), Choice(choice.cores, memory_bytes=choice.memory_bytes))
    return play(plan, lambda stage, attempt: Work(1.0), items={0: work._replace(whole_s=1.0)}).end_s


def rate(plan: Plan, stage: int, known: StreamKnown, cores: int | None = None) -> StreamRate:
    """What the items of that stage come to under a plan, on a machine with so many cores where that is said."""
    planned = plan.stages[stage]
    assert planned.each is not None, "it works through items"
    steps = planned.each.steps
    works = known.under(plan).steps
    demands = _demands(steps, works)
    most = [
        demand and _workers(step) / demand for step, demand in zip(steps, demands)
    ]  # fmt: skip
    pools = _pools(plan, steps, demands)
    if cores is not None and (cpu_s := _cpu_s(demands, works)):
        pools[CORES] = cores / cpu_s
    by_step = {f"{planned.id}.{step.name}": per_s for step, per_s in zip(steps, most) if per_s}
    best_binds, best = _least(pools)
    binds, per_s = _least({**by_step, **pools})
    rows = [
        StepRate(
            f"{planned.id}.{step.name}",
            work.wall_s,
            work.failed,
            None if step.workers_max > step.workers else step.workers,
            alone or None,
            min(1.0, (per_s or 0.0) / alone) if alone else 0.0,
            max(1, ceil((best or 0.0) * demand - _SAME)),
        )
        for step, work, demand, alone in zip(steps, works, demands, most)
    ]
    return StreamRate(planned.id, known.work.total, known.run, per_s, binds, best, best_binds, tuple(rows))


def _workers(step: PlannedStep) -> int:
    return max(step.workers, step.workers_max)


def _demands(steps: Sequence[PlannedStep], works: Sequence[StepWork]) -> list[float]:
    """Seconds of each step's workers that an item of the source takes on average."""
    demands, share = [], 1.0
    for step, work in zip(steps, works):
        lost = work.failed**step.attempts
        tries = step.attempts if work.failed >= 1 else (1 - lost) / (1 - work.failed)
        demands.append(share * tries * work.wall_s)
        share *= 1 - lost
    return demands


def _pools(plan: Plan, steps: Sequence[PlannedStep], demands: Sequence[float]) -> dict[str, float]:
    """Of each pool, how many items a second its units are good for."""
    held: dict[int, float] = {}
    for step, demand in zip(steps, demands):
        for pool, units in plan.demands[step.demand]:
            held[pool] = held.get(pool, 0.0) + units * demand
    return {plan.pools[pool].name: plan.pools[pool].size / units_s for pool, units_s in held.items() if units_s > 0}


def _cpu_s(demands: Sequence[float], works: Sequence[StepWork]) -> float:
    """CPU time that an item takes of all steps."""
    return sum([demand * work.cpu_s / work.wall_s for demand, work in zip(demands, works) if work.wall_s])


def _least(rates: Mapping[str, float]) -> tuple[str | None, float | None]:
    """The first of those that are least."""
    if not rates:
        return None, None
    least = min(rates.values())
    return next(name for name, per_s in rates.items() if per_s <= least * (1 + _SAME)), least


def plain(plan: Plan, known: Mapping[str, StreamKnown], cores: int | None = None) -> list[dict[str, Any]]:
    """Rows of the document of `plan`, under `streams`. Of a stage of which nothing is known all is null."""
    rows = []
    for index, stage in enumerate(plan.stages):
        if stage.each is None or stage.skip is not None:
            continue
        if stage.id in known:
            found = rate(plan, index, known[stage.id], cores)
            told: dict[str, Any] = found._asdict()
            told["steps"] = [step._asdict() for step in found.steps]
        else:
            nothing = dict.fromkeys(("item_s", "failed", "per_s", "use", "should"))
            steps = [
                {
                    "step": f"{stage.id}.{step.name}",
                    **nothing,
                    "workers": None if step.workers_max > step.workers else step.workers,
                }
                for step in stage.each.steps
            ]
            told = {"stage": stage.id, **dict.fromkeys(StreamRate._fields[1:-1]), "steps": steps}
        rows.append(told)
    return rows
