"""How a pipeline gains from more jobs: one forecast a job count, on the same draws, the knee, and what binds there.

Rows are shown as they come out: more jobs can take longer, and such points are not smoothed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise

from stagebook.graph.shape import shape
from stagebook.model.value import NamedTuple
from stagebook.plan.contention import Shares
from stagebook.plan.forecast import forecasts, typical, width
from stagebook.scheduler import build
from stagebook.simulate.play import play

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.model.pipeline import Pipeline, Stage
    from stagebook.plan.forecast import Basis, Forecast
    from stagebook.scheduler.plan import Choice, Plan
    from stagebook.simulate.work import Played, Span

#: Within this share of the best is as good as the best.
TOLERANCE = 0.05
#: What has a smaller part in the time that more jobs do not save is not named.
_NAMED = 0.15
_SAME_S = 1e-9
#: Of pipelines of more stages the knee is only looked for among powers of two up to so many jobs, or four a core where
#: that is more.
LARGE, LARGE_JOBS = 3_000, 16
#: Job counts that are asked about though fewer did as well, and what counts as doing better.
_BEYOND, _GAIN = 1, 0.01


class Row(NamedTuple):
    """One job count. `speedup` is over the sequential run, `efficiency` that by the jobs; `gain` is the share of time
    that it saves over the row before (negative: it loses), None in the first."""

    forecast: Forecast
    speedup: float
    efficiency: float
    gain: float | None


class Sweep(NamedTuple):
    """`sequential` is a run of one job in file order. `rows` ascend by jobs. `knee` is the place in `rows` of the
    fewest jobs within TOLERANCE of the best. `binds` says what keeps more jobs from saving more, what weighs most
    first: `path` (the chain of needs), `cores`, `disk` or `waiting` (stages slow each other down there), or pools as in
    `Plan.pools`; `slot`: jobs, so more of them than were asked about would. `path_s` is the critical path of the
    typical run."""

    sequential: Forecast
    rows: tuple[Row, ...]
    knee: int
    binds: tuple[str, ...]
    path_s: float


def sweep(
    pipeline: Pipeline, choice: Choice, basis: Basis, jobs: Sequence[int] = (), *, workers: int | None = None
) -> Sweep:
    """Forecast each of `jobs`; without any 1, 2, 4, 8 … up to what can be of use, and what lies between where the
    knee is. All else is as in `choice`.

    Raises InputError as `scheduler.build` does.
    """
    counts = sorted(set(jobs)) or _useful(pipeline, choice, basis)
    parallel = [choice._replace(jobs=each, sequential=False) for each in counts]
    in_order = choice._replace(jobs=None, sequential=True)
    sequential, *forecast = forecasts(pipeline, [in_order, *parallel], basis, workers=workers)
    found = dict(zip(counts, forecast))
    is_small = len(pipeline.stages) <= LARGE
    while not jobs and is_small and (between := _between(found)):
        more = [choice._replace(jobs=between, sequential=False)]
        found[between] = forecasts(pipeline, more, basis, runs=sequential.draws, workers=workers)[0]
    rows = _rows(sequential, [found[each] for each in sorted(found)])
    knee = _knee([row.forecast for row in rows])
    most = choice._replace(jobs=rows[-1].forecast.jobs, sequential=False)
    path_s = _path_s(build.build(pipeline, most), basis)
    return Sweep(sequential, tuple(rows), knee, binds(pipeline, most, basis), path_s)


def with_jobs(found: Sweep, pipeline: Pipeline, choice: Choice, basis: Basis, jobs: int) -> Sweep:
    """The same with a row for so many jobs, so that what is recommended can be looked up."""
    rows = {row.forecast.jobs: row.forecast for row in found.rows}
    if jobs in rows:
        return found
    more = [choice._replace(jobs=jobs, sequential=False)]
    rows[jobs] = forecasts(pipeline, more, basis, runs=found.sequential.draws)[0]
    made = _rows(found.sequential, [rows[each] for each in sorted(rows)])
    return found._replace(rows=tuple(made), knee=_knee([row.forecast for row in made]))


def binds(pipeline: Pipeline, choice: Choice, basis: Basis) -> tuple[str, ...]:
    """What `binding` says of a usual run under this choice."""
    plan = build.build(pipeline, choice)
    played = play(plan, basis.typical, basis.speeds, verdicts=basis.verdicts, items=basis.items_of(plan))
    return binding(plan, played, basis)


def plain(row: Row) -> dict[str, object]:
    """A row of the JSON document of `plan`, under `sweep`."""
    forecast = row.forecast
    return {
        "jobs": forecast.jobs, "makespan_s": forecast.makespan_s, "p95_s": forecast.p95_s,
        "low_s": forecast.low_s, "high_s": forecast.high_s, "speedup": row.speedup, "efficiency": row.efficiency,
        "gain": row.gain, "utilisation": forecast.utilisation, "beyond": forecast.beyond, "draws": forecast.draws,
        "cost": None,
    }  # fmt: skip


def _useful(pipeline: Pipeline, choice: Choice, basis: Basis) -> list[int]:
    """Powers of two up to the most that would ever run at once, and that number, within what a provider allows; no
    more than two beyond the best of the typical run. Of a small pipeline also what lies between two of them and does
    better than both."""
    most = max(1, sum(map(_calls_at_once, pipeline.stages)))
    if choice.cap is not None:
        most = min(most, choice.cap.jobs)
    plan = build.build(pipeline, choice._replace(jobs=most, sequential=False))
    widest = max(1, width(play(plan, basis.typical, verdicts=basis.verdicts, items=basis.items_of(plan))))
    if len(pipeline.stages) > LARGE:
        widest = min(widest, max(LARGE_JOBS, 4 * choice.cores))
    counts: list[int] = []
    best, best_s = 0, float("inf")
    before_s = 0.0

    def took(jobs: int) -> float:
        return typical(pipeline, choice._replace(jobs=jobs, sequential=False), basis).end_s

    for jobs in sorted({1 << power for power in range((widest - 1).bit_length())} | {widest}):
        if len(counts) - best > _BEYOND:
            break
        took_s = took(jobs)
        if counts and jobs - counts[-1] > 1 and len(pipeline.stages) <= LARGE:
            between = (jobs + counts[-1]) // 2
            between_s = took(between)
            if between_s < min(before_s, took_s) * (1 - _GAIN):
                counts.append(between)
                best, best_s = (len(counts), between_s) if between_s < best_s else (best, best_s)
        counts.append(jobs)
        before_s = took_s
        if took_s < best_s * (1 - _GAIN):
            best, best_s = len(counts), took_s
    return counts


def _calls_at_once(stage: Stage) -> int:
    """The most jobs that a stage takes. Workers that adjust themselves are taken for a few."""
    return 1 if stage.each is None else sum([step.workers or step.workers_max or 4 for step in stage.each.steps])


def _between(found: dict[int, Forecast]) -> int | None:
    """A job count that may be a better knee: half way between it and the next fewer; None if there is none."""
    counts = sorted(found)
    knee = _knee([found[each] for each in counts])
    if knee == 0 or counts[knee] - counts[knee - 1] < 2:
        return None
    return (counts[knee] + counts[knee - 1]) // 2


def _knee(forecasts: Sequence[Forecast]) -> int:
    best_s = min(each.makespan_s for each in forecasts)
    return next(at for at, each in enumerate(forecasts) if each.makespan_s <= best_s * (1 + TOLERANCE))


def _rows(sequential: Forecast, forecasts: Sequence[Forecast]) -> list[Row]:
    rows: list[Row] = []
    for each in forecasts:
        speedup = sequential.makespan_s / each.makespan_s if each.makespan_s else 1.0
        before_s = rows[-1].forecast.makespan_s if rows else 0.0
        gain = 1 - each.makespan_s / before_s if before_s else None
        rows.append(Row(each, speedup, speedup / each.jobs, gain))
    return rows


def _path_s(plan: Plan, basis: Basis) -> float:
    """The longest chain of needs when each stage takes what it takes alone."""
    works = [basis.typical(index, 1).wall_s for index in range(len(plan.stages))]
    return shape([stage.needs for stage in plan.stages], works).length


def binding(plan: Plan, played: Played, basis: Basis) -> tuple[str, ...]:
    """What a run's length came from, what weighs most first.

    Its end is followed back from attempt to attempt: over the need that was met last, or where a stage waited for a
    pool over the attempt that gave its units back. What the first took alone counts for `path`, what it took beyond
    that for what they shared; what the others took counts for their pool. The longest chain of needs comes first only
    of a run that is hardly longer than it: it cannot be what keeps a longer one from being shorter.
    """
    spans = played.spans
    longest_s = max([span.end_s - span.start_s for span in spans], default=0.0)
    starts_s = [span.start_s for span in spans]
    is_ascending = all(one <= other for one, other in pairwise(starts_s))
    ending: dict[int, list[int]] = {}
    for at, span in enumerate(spans):
        ending.setdefault(round(span.end_s * 1e6), []).append(at)
    weights: dict[str, float] = {}
    last = max(range(len(spans)), key=lambda at: spans[at].end_s, default=None)
    held_for = "path"
    while last is not None:
        span = spans[last]
        took_s = span.end_s - span.start_s
        alone_s = min(took_s, basis.typical(span.stage, span.attempt).wall_s)
        weights[held_for] = weights.get(held_for, 0.0) + alone_s
        if took_s > alone_s:
            near = spans
            if is_ascending:
                first = bisect_left(starts_s, span.start_s - longest_s)
                near = spans[first : bisect_right(starts_s, span.end_s)]
            scarce = _scarcest(near, span, basis)
            weights[scarce] = weights.get(scarce, 0.0) + took_s - alone_s
        before = [at for at in ending.get(round(span.start_s * 1e6), ()) if at < last]
        held_for, counted = "path", {span.stage, *plan.stages[span.stage].needs}
        if span.waited is not None and span.start_s - span.ready_s > _SAME_S:
            held_for, counted = span.waited, _users(plan, span.waited)
        named = [at for at in before if spans[at].stage in counted]
        last = max(named or before, default=None)
    whole_s = sum(weights.values()) or 1.0
    is_longer = played.end_s * (1 - _NAMED) > _path_s(plan, basis)
    by_weight = sorted(weights, key=lambda name: (is_longer and name == "path", -weights[name], name))
    return tuple(name for name in by_weight if weights[name] >= _NAMED * whole_s)


def _scarcest(spans: Sequence[Span], span: Span, basis: Basis) -> str:
    """What slowed an attempt down, by those that ran in the middle of it."""
    middle_s = (span.start_s + span.end_s) / 2
    running = sorted(each.stage for each in spans if each.start_s <= middle_s < each.end_s)
    return (basis.speeds.scarcest(running) if isinstance(basis.speeds, Shares) else None) or "cores"


def _users(plan: Plan, pool: str) -> set[int]:
    pools = {at for at, each in enumerate(plan.pools) if each.name == pool}
    demands = {at for at, demand in enumerate(plan.demands) if any(each in pools for each, _ in demand)}
    return {at for at, stage in enumerate(plan.stages) if stage.demand in demands}
