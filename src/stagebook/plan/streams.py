"""Stages that work through items, as assembly lines: how many items a second, which step holds up the others, and how
many workers each step should have. Bounds by rates only; how long a run takes is simulated.

By operational analysis (Denning and Buzen, *The operational analysis of queueing network models*, 1978): an item
demands of a step what a try takes, times its tries, times the share of items that come so far. A step gets through
as many items a second as its workers, over this demand; a pool as many as its units, over the units that an item's
steps hold, times how long. The least of these is the most that the whole can do.
"""

from __future__ import annotations

from math import ceil

from stagebook.model.value import NamedTuple
from stagebook.plan.forecast import typical
from stagebook.plan.recommendation import Change, Evidence, confidence
from stagebook.report.durations import span
from stagebook.scheduler import build
from stagebook.simulate.work import ItemWork, StepWork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from stagebook.model.pipeline import Pipeline, Stage
    from stagebook.plan.known import Known
    from stagebook.scheduler.plan import Choice, Plan, PlannedStep

#: Rates that differ by less are the same.
_SAME = 1e-9
#: Workers that save less than this share of a run are not worth a change of the file.
WORTH = 0.05


class StreamKnown(NamedTuple):
    """What a run on record tells of the items of a stage."""

    run: str
    work: ItemWork


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
    """`per_s` items of the source a second, held up by `binds`: a step, or a pool as in `Plan.pools`; `best_per_s` and
    `best_binds` with as many workers as each step should have. None: the items take no time that can be told."""

    stage: str
    total: int
    run: str
    per_s: float | None
    binds: str | None
    best_per_s: float | None
    best_binds: str | None
    steps: tuple[StepRate, ...]


def known(pipeline: Pipeline, documents: Sequence[Mapping[str, Any]]) -> dict[str, StreamKnown]:
    """By stage, what the first of these documents of runs tells in which all its steps were done with some items."""
    found: dict[str, StreamKnown] = {}
    for document in documents:
        told = {stage["stage"]: stage for stage in document["stages"]}
        for stage in pipeline.stages:
            if stage.each is None or stage.id in found or stage.id not in told:
                continue
            names = [f"{stage.id}.{step.name}" for step in stage.each.steps]
            work = _work(told[stage.id], names)
            if work is not None:
                found[stage.id] = StreamKnown(document["run"], work)
    return found


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
        works.append(StepWork(step["wall_s"] / tries, bad / tries))
    items = told["items"]
    total = items["known"] - items["skipped"]
    return ItemWork(total, tuple(works), told["wall_s"] or 1.0) if total else None


def rate(plan: Plan, stage: int, known: StreamKnown) -> StreamRate:
    """What the items of that stage come to under a plan."""
    planned = plan.stages[stage]
    assert planned.each is not None, "it works through items"
    steps = planned.each.steps
    demands = _demands(steps, known.work.steps)
    most = [
        demand and _workers(step) / demand for step, demand in zip(steps, demands)
    ]  # fmt: skip
    pools = _pools(plan, steps, demands)
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
        for step, work, demand, alone in zip(steps, known.work.steps, demands, most)
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


def _least(rates: Mapping[str, float]) -> tuple[str | None, float | None]:
    """The first of those that are least."""
    if not rates:
        return None, None
    least = min(rates.values())
    return next(name for name, per_s in rates.items() if per_s <= least * (1 + _SAME)), least


def plain(plan: Plan, known: Mapping[str, StreamKnown]) -> list[dict[str, Any]]:
    """Rows of the document of `plan`, under `streams`. Of a stage of which nothing is known all is null."""
    rows = []
    for index, stage in enumerate(plan.stages):
        if stage.each is None or stage.skip is not None:
            continue
        if stage.id in known:
            found = rate(plan, index, known[stage.id])
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


def changes(pipeline: Pipeline, choice: Choice, known: Known) -> list[Change]:
    """One for each stage whose items would come through sooner with more workers, by so much of a usual run."""
    works = known.basis.items
    if not works:
        return []
    plan = build.build(pipeline, choice)
    before_s = typical(pipeline, choice, known.basis).end_s
    made = []
    for index, stage in enumerate(pipeline.stages):
        if stage.each is None or stage.id not in works:
            continue
        found = rate(plan, index, StreamKnown("", works[stage.id]))
        should = {row.step: row.should for row in found.steps if row.workers is not None and row.should > row.workers}
        if not should:
            continue
        wider = _with_workers(stage, should)
        stages = [wider if other.id == stage.id else other for other in pipeline.stages]
        saves_s = before_s - typical(pipeline._replace(stages=tuple(stages)), choice, known.basis).end_s
        if saves_s >= before_s * WORTH:
            made.append(_change(stage, found, should, saves_s))
    return made


def _with_workers(stage: Stage, should: Mapping[str, int]) -> Stage:
    assert stage.each is not None
    steps = [step._replace(workers=should.get(f"{stage.id}.{step.name}", step.workers)) for step in stage.each.steps]
    return stage._replace(each=stage.each._replace(steps=tuple(steps)))


def _change(stage: Stage, found: StreamRate, should: Mapping[str, int], saves_s: float) -> Change:
    assert stage.each is not None and found.per_s is not None and found.best_per_s is not None
    rows = [row for row in found.steps if row.step in should]
    words = ", ".join([f"{row.step} {row.should} instead of {row.workers}" for row in rows])
    lines = [step.line for step in stage.each.steps if f"{stage.id}.{step.name}" in should]
    took = ", ".join([f"{row.step} {span(row.item_s)}" for row in found.steps])
    return Change(
        "pipeline",
        (stage.id,),
        f"workers: {words}",
        f"{found.binds} holds up the others at {found.per_s:.3g} items/s, with these it is {found.best_per_s:.3g}; "
        f"saves ~{span(saves_s)} in the simulated run",
        saves_s,
        (Evidence("history", 1, f"an item takes {took}, over {found.total} items"),),
        confidence(1.0, 1),
        line=lines[0],
    )


def items(pipeline: Pipeline, known: Mapping[str, StreamKnown], medians_s: Sequence[float]) -> dict[str, ItemWork]:
    """What simulated runs of the pipeline work through: `medians_s` are what its stages usually take."""
    return {
        stage.id: known[stage.id].work._replace(whole_s=median_s)
        for stage, median_s in zip(pipeline.stages, medians_s)
        if stage.id in known and median_s > 0
    }
