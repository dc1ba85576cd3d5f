"""Jobs and workers together: for each number of jobs, as many workers of each step as those jobs, the pools and the
cores can feed, and what a usual run then takes. Neither helps without the other, so they are judged as one.

How many workers a step should have is `streams`' bound by rates; how long a run takes is simulated.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.plan import streams
from stagebook.plan.forecast import typical
from stagebook.plan.recommendation import Change, Evidence, confidence
from stagebook.plan.streams import StreamKnown, StreamRate
from stagebook.plan.sweep import TOLERANCE
from stagebook.report.durations import plural, span
from stagebook.scheduler import build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from stagebook.model.pipeline import Pipeline, Stage
    from stagebook.plan.known import Known
    from stagebook.scheduler.plan import Choice

JOBS = (1, 2, 4, 8)
#: Workers that save less than this share of a run are not worth a change of the file.
WORTH = 0.05


class Fitted(NamedTuple):
    """`pipeline` is the file with the workers that its steps should have for so many jobs, `rates` what that comes to,
    by stage, `makespan_s` a usual run."""

    jobs: int
    pipeline: Pipeline
    rates: Mapping[str, StreamRate]
    makespan_s: float


def rows(pipeline: Pipeline, choice: Choice, known: Known, flows: Mapping[str, StreamKnown]) -> list[Fitted]:
    """One for each of `JOBS` that a provider allows."""
    most = choice.cap.jobs if choice.cap is not None else JOBS[-1]
    return [
        _fitted(pipeline, choice._replace(jobs=jobs, sequential=False), known, flows)
        for jobs in JOBS if jobs == 1 or jobs <= most
    ]  # fmt: skip


def _fitted(pipeline: Pipeline, choice: Choice, known: Known, flows: Mapping[str, StreamKnown]) -> Fitted:
    plan = build.build(pipeline, choice)
    at = {stage.id: index for index, stage in enumerate(plan.stages) if stage.each is not None and stage.skip is None}
    should = {
        row.step: row.should
        for stage in flows if stage in at
        for row in streams.rate(plan, at[stage], flows[stage], choice.cores).steps
        if row.workers is not None
    }  # fmt: skip
    stages = tuple(
        [
            stage if stage.each is None or stage.made_by is not None else _with_workers(stage, should)
            for stage in pipeline.stages
        ]
    )
    made = pipeline._replace(stages=stages)
    plan = build.build(made, choice)
    rates = {stage: streams.rate(plan, at[stage], flows[stage], choice.cores) for stage in flows if stage in at}
    return Fitted(plan.pools[0].size, made, rates, typical(made, choice, known.basis).end_s)


def _with_workers(stage: Stage, should: Mapping[str, int]) -> Stage:
    """None has fewer than the file says."""
    assert stage.each is not None
    steps = [
        step._replace(workers=max(step.workers, should.get(f"{stage.id}.{step.name}", 0))) if step.workers else step
        for step in stage.each.steps
    ]
    return stage._replace(each=stage.each._replace(steps=tuple(steps)))


def best(found: Sequence[Fitted], as_it_is_s: float) -> Fitted | None:
    """With the fewest jobs of those that are as good as the best; None where the file, which takes `as_it_is_s` with as
    many jobs as are of use, does about as well."""
    if not found:
        return None
    limit_s = min([each.makespan_s for each in found]) * (1 + TOLERANCE)
    chosen = next(each for each in found if each.makespan_s <= limit_s)
    return chosen if chosen.makespan_s <= as_it_is_s * (1 - WORTH) else None


def changes(pipeline: Pipeline, chosen: Fitted, as_it_is_s: float) -> list[Change]:
    """One for each stage whose steps should have more workers."""
    made = []
    for old, new in zip(pipeline.stages, chosen.pipeline.stages):
        if old.each is None or new.each is None or old == new:
            continue
        wider = [
            (f"{old.id}.{before.name}", before, after.workers)
            for before, after in zip(old.each.steps, new.each.steps) if before.workers != after.workers
        ]  # fmt: skip
        rate = chosen.rates[old.id]
        words = ", ".join(f"{name} {workers} instead of {step.workers}" for name, step, workers in wider)
        took = ", ".join(f"{row.step} {span(row.item_s)}" for row in rate.steps)
        made.append(Change(
            "pipeline", (old.id,), f"workers: {words}",
            f"with {plural(chosen.jobs, 'job')} that is {rate.per_s or 0:.3g} items/s; saves "
            f"~{span(as_it_is_s - chosen.makespan_s)} in the simulated run",
            as_it_is_s - chosen.makespan_s,
            (Evidence("history", 1, f"an item takes {took}, over {rate.total} items"),),
            confidence(1.0, 1), line=wider[0][1].line,
        ))  # fmt: skip
    return made


def plain(found: Sequence[Fitted], stage: str) -> list[dict[str, Any]]:
    """Rows of the document of `plan`, under `streams[].by_jobs`."""
    return [
        {
            "jobs": each.jobs,
            "workers": {row.step: row.workers for row in each.rates[stage].steps},
            "per_s": each.rates[stage].per_s,
            "binds": each.rates[stage].binds,
            "makespan_s": each.makespan_s,
        }
        for each in found if stage in each.rates
    ]  # fmt: skip
