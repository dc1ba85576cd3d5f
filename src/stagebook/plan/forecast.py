"""How long a pipeline would take under a choice: many simulated runs of what its profile says, as quantiles.

What is compared is given the same draws, so that a difference comes from the choice and not from chance (common random
numbers: Law, *Simulation Modeling and Analysis*, 2015, 11.2). What a forecast stands on is put together in `known`, the
runs are `simulate`'s.
"""

from __future__ import annotations

from math import ceil, exp, floor, sqrt

from stagebook.model.value import NamedTuple
from stagebook.observe import cores
from stagebook.scheduler import build
from stagebook.simulate.play import play
from stagebook.simulate.spread import End, Spread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.contention import Calibration
    from stagebook.scheduler.plan import Choice, Plan
    from stagebook.simulate.play import Verdicts
    from stagebook.simulate.work import CallSpan, Draw, ItemWork, Played, Span, Speeds

#: Simulated runs of one choice: at first, at most, and so many that they have no more stages in all than this; where
#: speeds are asked for, what that costs counts as so many more stages, by how many run at once.
DRAWS_FIRST, DRAWS_MAX, STAGES_MAX = 100, 500, 40_000
_SPEED_COST, _SPEED_COST_EACH = 1.0, 0.25
DRAWS_MIN = 5
#: Half the width of the 95 % intervals, over the quantile, below which no more runs are simulated.
MEDIAN_FIRM, P95_FIRM = 0.01, 0.02
#: A normal quantile.
_Z95 = 1.96
#: Misses that count before any is on record: so many, of this size, which is what the model did on the pipelines of
#: benchmarks/prediction.py (a median of 4.4 %, over 0.6745).
PRIOR_MISSES, PRIOR_MISS = 2, 0.065
#: The 97.5th percentile of Student's t, from 2 degrees of freedom on.
_T95 = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


class Forecast(NamedTuple):
    """`makespan_s` is the median of `draws` simulated runs, `p95_s` their 95th percentile; `low_s` and `high_s`
    bound the median in 95 of 100 cases, with what was predicted wrong before, and hold what it is under the least and
    the most load of the runs on record, and if waiting is shared where no run tells. `utilisation` is the share of each
    pool, by name, that is taken over the run (`slot`: the jobs), `waits_s` how long stages waited for each, both of the
    median run; so is `width`, how many ran at once at most. `beyond`: that is more than was ever measured. `failed`:
    share of runs that did not end as success, left out of the quantiles unless all are such."""

    jobs: int
    sequential: bool
    makespan_s: float
    p95_s: float
    low_s: float
    high_s: float
    draws: int
    utilisation: dict[str, float]
    waits_s: dict[str, float]
    beyond: bool
    width: int = 0
    failed: float = 0.0


class Basis(NamedTuple):
    """What forecasts stand on that are to be compared. `draws` are the runs drawn, one a simulated run; `typical` is
    one in which nothing is out of the ordinary. `speeds` None: stages do not slow each other down. `calibration`
    says how wrong that was, and up to how many at once it was measured. `verdicts` None: all conditions hold. `items`:
    what stages work through, by id, where that is known, and `alone` the same where one job is all there is, if that is
    known to be other. `bounds` are other speeds that are to be reckoned with."""

    draws: Sequence[Draw]
    typical: Draw
    speeds: Speeds | None = None
    calibration: Calibration | None = None
    verdicts: Verdicts | None = None
    items: Mapping[str, ItemWork] = {}
    bounds: tuple[Speeds, ...] = ()
    alone: Mapping[str, ItemWork] = {}

    def items_of(self, plan: Plan) -> dict[int, ItemWork]:
        """The same, by index."""
        if not self.items:
            return {}
        items = {**self.items, **self.alone} if plan.pools[0].size == 1 else self.items
        known = [(at, items.get(stage.id)) for at, stage in enumerate(plan.stages) if stage.each is not None]
        return {at: work for at, work in known if work is not None}


def forecast(pipeline: Pipeline, choice: Choice, basis: Basis, *, workers: int | None = None) -> Forecast:
    """Simulate runs of `basis` under a choice until the quantiles are firm.

    `workers` None: as many processes as there are cores, where that pays. The result is the same for any number.
    Raises InputError as `scheduler.build` does.
    """
    return forecasts(pipeline, [choice], basis, workers=workers)[0]


def forecasts(
    pipeline: Pipeline, choices: Sequence[Choice], basis: Basis, *, runs: int | None = None, workers: int | None = None
) -> list[Forecast]:
    """The same of several choices on the same draws, and as many of them for each: `runs`, or until all are firm."""
    plans = [build.build(pipeline, choice) for choice in choices]
    played = _play(plans, basis, runs, workers)
    return [_forecast(plan, found, basis) for plan, found in zip(plans, played)]


def ends(
    pipeline: Pipeline, choices: Sequence[Choice], basis: Basis, *, runs: int | None = None, workers: int | None = None
) -> list[list[End]]:
    """How each simulated run ends, by choice and draw: for comparisons draw by draw."""
    return _play([build.build(pipeline, choice) for choice in choices], basis, runs, workers)


def typical(pipeline: Pipeline, choice: Choice, basis: Basis) -> Played:
    """The one run in which all goes as usual: spans to be shown and explained."""
    plan = build.build(pipeline, choice)
    return play(plan, basis.typical, basis.speeds, verdicts=basis.verdicts, items=basis.items_of(plan))


def count(stages: int, sharing: int = 0) -> int:
    """How many runs are worth it for a pipeline of so many stages, of which `sharing` at once ask for speeds. Large
    ones vary little, and take long."""
    cost = stages * (1 + (_SPEED_COST + _SPEED_COST_EACH * sharing if sharing else 0))
    return max(DRAWS_MIN, min(DRAWS_MAX, int(STAGES_MAX / max(1, cost))))


def most_at_once(spans: Sequence[Span | CallSpan]) -> int:
    """How many of these ran at one time."""
    turns = sorted([(span.start_s, 1) for span in spans] + [(span.end_s, -1) for span in spans])
    now = most = 0
    for _, turn in turns:
        now += turn
        most = max(most, now)
    return most


def _play(plans: Sequence[Plan], basis: Basis, runs: int | None, workers: int | None) -> list[list[End]]:
    """With the first draws, then with twice as many, until all that is asked is firm."""
    found: list[list[End]] = [[] for _ in plans]
    most = min(len(basis.draws), min([_worth(plan, basis) for plan in plans], default=0) if runs is None else runs)
    done, goal = 0, DRAWS_FIRST if runs is None else most
    items = [basis.items_of(plan) for plan in plans]
    with Spread(plans, basis.draws, basis.speeds, basis.verdicts, workers or cores.usable(), items) as spread:
        while done < most:
            upto = min(goal, most)
            for known, more in zip(found, spread.ends(done, upto)):
                known += more
            done, goal = upto, goal * 2
            if runs is None and all(map(_is_firm, found)):
                break
    return found


def _worth(plan: Plan, basis: Basis) -> int:
    alone = count(len(plan.stages))
    if basis.speeds is None or alone == DRAWS_MIN:
        return alone
    played = play(plan, basis.typical, verdicts=basis.verdicts, items=basis.items_of(plan))
    return count(len(plan.stages) + len(played.calls), most_at_once(played.spans))


def width(played: Played) -> int:
    """How many jobs were taken at once at most: a stage that works through items takes none beside its calls."""
    through = {call.stage for call in played.calls}
    return most_at_once([*[span for span in played.spans if span.stage not in through], *played.calls])


def _is_firm(ends: Sequence[End]) -> bool:
    times = _times(ends)
    for share, limit in ((0.5, MEDIAN_FIRM), (0.95, P95_FIRM)):
        low, high = interval(times, share)
        if high - low > 2 * limit * quantile(times, share):
            return False
    return True


def _times(ends: Sequence[End]) -> list[float]:
    return sorted([each.end_s for each in _counted(ends)])


def _counted(ends: Sequence[End]) -> Sequence[End]:
    """Those that go well, as others are over before their time; all, if none does."""
    return [each for each in ends if each.outcome == "success"] or ends


def quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed."""
    return ascending[max(0, ceil(share * len(ascending)) - 1)]


def interval(ascending: Sequence[float], share: float) -> tuple[float, float]:
    """The order statistics between which the true quantile lies in 95 of 100 cases (binomial, normal approximation)."""
    many = len(ascending)
    wide = _Z95 * sqrt(many * share * (1 - share))
    low, high = floor(many * share - wide), ceil(many * share + wide)
    return ascending[min(max(low, 1), many) - 1], ascending[min(max(high, 1), many) - 1]


def _forecast(plan: Plan, ends: Sequence[End], basis: Basis) -> Forecast:
    times = _times(ends)
    middle = quantile(times, 0.5)
    number = ends.index(next(each for each in _counted(ends) if each.end_s == middle))
    played = play(plan, basis.draws[number], basis.speeds, verdicts=basis.verdicts, items=basis.items_of(plan))
    at_once = width(played)
    low, high = interval(times, 0.5)
    calibration = basis.calibration
    if calibration is not None:
        wide = exp(_miss(calibration, at_once > 1))
        low, high = low / wide, high * wide
    for speeds in basis.bounds:
        end_s = play(plan, basis.draws[number], speeds, verdicts=basis.verdicts, items=basis.items_of(plan)).end_s
        low, high = min(low, end_s), max(high, end_s)
    return Forecast(
        plan.pools[0].size,
        plan.in_order,
        middle,
        quantile(times, 0.95),
        low,
        high,
        len(ends),
        _utilisation(plan, played),
        _waits_s(played.spans),
        at_once > max(1, calibration.at_jobs if calibration is not None else 1),
        at_once,
        sum([each.outcome != "success" for each in ends]) / len(ends),
    )


def _miss(calibration: Calibration, at_once: bool) -> float:
    """Of 95 of 100 predictions the logarithm is off by no more than this: misses on record are taken as normal around
    zero, with a conjugate prior for how wide (A. Gelman et al., *Bayesian Data Analysis*, 2013, 2.6). 0 where no run
    is on record."""
    misses = calibration.misses if at_once else calibration.misses_alone
    if calibration.others is None and not misses:
        return 0.0
    many = PRIOR_MISSES + len(misses)
    size = sqrt((PRIOR_MISSES * PRIOR_MISS**2 + sum([miss * miss for miss in misses])) / many)
    return size * _T95[min(many, len(_T95) + 1) - 2]


def _utilisation(plan: Plan, played: Played) -> dict[str, float]:
    held_s = [0.0] * len(plan.pools)
    for span in played.spans:
        for pool, units in plan.demands[plan.stages[span.stage].demand]:
            held_s[pool] += units * (span.end_s - span.start_s)
    for call in played.calls:
        each = plan.stages[call.stage].each
        for pool, units in plan.demands[each.steps[call.step].demand] if each is not None else ():
            held_s[pool] += units * (call.end_s - call.start_s)
    whole_s = played.end_s or 1.0
    return {pool.name: held / (pool.size * whole_s) for pool, held in zip(plan.pools, held_s)}


def _waits_s(spans: Sequence[Span]) -> dict[str, float]:
    waits_s: dict[str, float] = {}
    for span in spans:
        if span.waited is not None:
            waits_s[span.waited] = waits_s.get(span.waited, 0.0) + span.start_s - span.ready_s
    return waits_s
