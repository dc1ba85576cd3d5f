"""What runs in parallel teach of a pipeline: how much dearer CPU time is in company, how many at once the disk and
what is waited for can serve. Found by replaying those runs on a virtual clock; how shares are dealt is `contention`'s.

What is said of how well runs are predicted is out of sample: each is predicted by what is known without it, as `plan`
would have. What a sequential profile cannot tell, whether waiting is private or shared, is said as a sentence
(`untold`).
"""

from __future__ import annotations

from math import exp, log
from statistics import median

from stagebook.graph.shape import order
from stagebook.model.problem import InputError
from stagebook.model.value import NamedTuple
from stagebook.plan import profile as profiles
from stagebook.plan.contention import UNTAUGHT, Calibration, Demand, Shares, capacity, demand
from stagebook.scheduler.build import build
from stagebook.scheduler.plan import Choice
from stagebook.simulate.play import play
from stagebook.simulate.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence, TypeAlias

    from stagebook.history.samples import Run, Sample, Samples
    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.profile import Profile
    from stagebook.scheduler.plan import Plan
    from stagebook.simulate.work import Played

Tried: TypeAlias = "tuple[float | None, float]"  #: how many waiting and the disk can serve

#: How many at once can be served of what is waited for, and of the disk. None and 1: as without any parallel run. Less
#: than one where whoever waits comes back late: SQLite sleeps up to a tenth of a second between two looks at a lock.
WAITINGS = (None, 1.0, 0.5, 0.7, 1.3, 1.6, 2.0, 3.0)
DISKS = (1.0, 0.4, 0.6, 0.8, 1.3, 1.6, 2.0, 3.0, 4.0)
NEITHER = (WAITINGS[0], DISKS[0])
#: What each of the two must explain before it is set, and so much more for each of the others that want a core: one
#: noisy run would invent sharing.
CHARGE, CHARGE_BUSY = 0.08, 0.04
#: The latest runs that are replayed, of those in parallel and of those that were not.
REPLAYED = 8
#: Stages that are replayed in all, so that it takes a moment only: of larger pipelines fewer runs, of the largest none
#: is tried with one thing shared and another. Not every pair of the two is tried either: one of them alone first, then
#: the other beside the best of it, which for runs that one thing explains finds the same.
STAGES_MAX = 40_000
#: Rows that are read in all to see what was known without each of these runs; of long histories of large pipelines
#: fewer are looked at, the latest one always.
ROWS_MAX = 50_000
#: Of so many of the newest runs it is asked what was known without one of them.
LATELY = 60
#: With fewer others beside it, on the average, a stage was alone; above COMPANY it was in company.
ALONE, COMPANY = 0.1, 0.5
#: No run got less of the machine than this.
LEAST_CORES = 0.05
#: Kernel's counts and chance make up for less than this.
GAMMA_LEAST, CPU_LEAST_S = 0.03, 0.05
_NAMED = 3


class Replayed(NamedTuple):
    """One run that is replayed. `number` is its index in the samples. `walls_s`: how long each stage took that ran, by
    its index; `others` as in a capacity; `jobs`: the most that ran at once."""

    number: int
    plan: Plan
    walls_s: dict[int, float]
    wall_s: float
    others: float
    jobs: int


def calibrate(pipeline: Pipeline, profile: Profile, samples: Samples | None, cores: int) -> Calibration:
    """Of the runs in which stages ran at once, on a machine with `cores`; as good as `UNTAUGHT` where there is none."""
    if samples is None or not samples.runs:
        return UNTAUGHT
    past = _Past(pipeline, profile, samples, cores)
    first = past.first()
    demands = [demand(stage, first) for stage in profile.stages]
    waitings = WAITINGS if _any_unordered(pipeline, [each.waiting > 0 for each in demands]) else WAITINGS[:1]
    disks = DISKS if any(each.disk > 0 for each in demands) else DISKS[:1]
    both = len(waitings) > 1 and len(disks) > 1
    many = len(waitings) + len(disks) - 1 + both * (max(len(waitings), len(disks)) - 1)
    most = STAGES_MAX // max(1, len(demands) * many)
    count = max(1, min(REPLAYED, most))
    alone = past.replayable(count, False)
    misses_alone = past.misses([(run, NEITHER) for run in alone])
    runs = past.replayable(count, True)
    if not runs:
        lack = untold(pipeline, profile)
        return first._replace(lacks=() if lack is None else (lack,), misses_alone=misses_alone)
    known = first._replace(at_jobs=max([run.jobs for run in runs]), runs=len(runs))
    works = [stage.median_s for stage in profile.stages]
    losses: dict[Tried, list[float]] = {}

    def best_of(some: Sequence[Tried]) -> Tried:
        for waiting, disk in some:
            if (waiting, disk) not in losses:
                taught = known._replace(waiting=waiting, disk=disk)
                losses[waiting, disk] = [_loss(run, demands, past.works(run, works), taught, cores) for run in runs]
        return _best(losses, [run.others for run in runs])

    waiting, disk = best_of([NEITHER])
    if most:
        waiting, disk = best_of([*[(each, DISKS[0]) for each in waitings], *[(WAITINGS[0], each) for each in disks]])
        other = [(waiting, each) for each in disks] if waiting != WAITINGS[0] else [(each, disk) for each in waitings]
        waiting, disk = best_of(other)
    misses = past.misses([(run, _best(*_without(at, losses, runs))) for at, run in enumerate(runs)])
    return known._replace(
        waiting=waiting,
        disk=disk,
        error=median([abs(exp(-miss) - 1) for miss in misses]) if misses else None,
        misses=misses,
        misses_alone=misses_alone,
    )


def _best(losses: Mapping[Tried, Sequence[float]], others: Sequence[float]) -> Tried:
    """Of what was tried, with the losses of each by run, that which explains the runs best; the first of no runs."""
    if not others:
        return NEITHER
    charge = CHARGE + CHARGE_BUSY * median(others)
    sums = {
        (waiting, disk): sum(its) / len(its) + charge * ((waiting != WAITINGS[0]) + (disk != DISKS[0]))
        for (waiting, disk), its in losses.items()
    }
    return min(sums, key=lambda each: sums[each])


def _without(
    at: int, losses: Mapping[Tried, Sequence[float]], runs: Sequence[Replayed]
) -> tuple[dict[Tried, list[float]], list[float]]:
    """Losses and others of all runs but one."""
    return (
        {each: [*its[:at], *its[at + 1 :]] for each, its in losses.items()},
        [run.others for run in (*runs[:at], *runs[at + 1 :])],
    )


def others_in(run: Run, rows: Sequence[Sample], cores: int) -> float:
    """How many of the rest of the machine wanted a core at a time during a run, on the average.

    What they got of the cores is to what the stages got as the one want is to the other, where cores were short; and
    stages wanted one while they computed or waited for it. Where cores were idle all got what they wanted, so it is no
    less than that.
    """
    used = run.others_cores or 0.0
    wanted_s = sum([(row.cpu_s or 0.0) + (row.delay_s or 0.0) for row in rows])
    if run.wall_s <= 0:
        return used
    return max(used, used * wanted_s / run.wall_s / max(LEAST_CORES, cores - used))


def untold(pipeline: Pipeline, profile: Profile) -> str | None:
    """What only a run in parallel can tell, as a sentence; None if there is nothing."""
    waits = [each.source == "history" and demand(each).waiting > 0 for each in profile.stages]
    if not _any_unordered(pipeline, waits):
        return None
    names = [stage.stage for stage, does in zip(profile.stages, waits) if does]
    named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return (
        f"{named} mostly wait, for neither a core nor the disk. If they wait for the same thing (a rate limit, a lock) "
        "they gain nothing from running at once, and no sequential run can show it: stagebook plan --probe"
    )


# Runs -------------------------------------------------------------------------------------------------------------


class _Past:
    """The runs on record of one pipeline, and what is known without one of them."""

    def __init__(self, pipeline: Pipeline, profile: Profile, samples: Samples, cores: int) -> None:
        self.pipeline, self.profile, self.samples, self.cores = pipeline, profile, samples, cores
        self.rows: list[list[Sample]] = [[] for _ in samples.runs]
        for row in samples.rows:
            self.rows[row.run].append(row)
        self.others = [
            None if run.others_cores is None else others_in(run, its, cores)
            for run, its in zip(samples.runs, self.rows)
        ]
        self.worked_s = samples.worked_s()
        self.lately = [row for row in samples.rows if row.run >= len(samples.runs) - LATELY]
        #: How long these take depends on how many items there are, which no earlier run tells.
        self.given = frozenset([at for at, stage in enumerate(pipeline.stages) if stage.each is not None])

    def works(self, run: Replayed, medians_s: Sequence[float]) -> list[float]:
        """What stages are taken to take in a run."""
        return [run.walls_s.get(at, took) if at in self.given else took for at, took in enumerate(medians_s)]

    def first(self, without: int | None = None) -> Calibration:
        """What is known without a replay, and without one of the runs."""
        loads = [None if number == without else load for number, load in enumerate(self.others)]
        lately = [load for load in loads[-profiles.LATELY :] if load is not None]
        return UNTAUGHT._replace(
            by_group=bool(self.samples.runs[-1].autogroup),
            gamma=_gammas(self.samples.rows if without is None else self._without(without)),
            others=profiles.usual(loads, self.worked_s),
            others_range=(min(lately), max(lately)) if lately else None,
        )

    def replayable(self, most: int, at_once: bool) -> list[Replayed]:
        """The latest `most` runs that went well at the first attempt, all of one state of the file, and in which stages
        ran at once, or in which none did."""
        position = {stage.id: index for index, stage in enumerate(self.pipeline.stages)}
        digest = None
        found: list[Replayed] = []
        for number in reversed(range(len(self.samples.runs))):
            run = self.samples.runs[number]
            ran = [row for row in self.rows[number] if row.wall_s is not None and row.outcome != "skip"]
            if ((run.max_parallel or 1) > 1) != at_once or run.outcome != "success" or run.wall_s <= 0 or not ran:
                continue
            if digest not in (None, run.digest) or any(row.stage not in position or row.attempts > 1 for row in ran):
                continue
            digest = run.digest
            plan = _plan(self.pipeline, run, [row.stage for row in ran], self.cores)
            if plan is None:
                continue
            walls = {position[row.stage]: row.wall_s or 0.0 for row in ran}
            others = self.others[number] or 0.0
            found.append(Replayed(number, plan, walls, run.wall_s, others, run.max_parallel or 1))
            if len(found) == most:
                break
        return found

    def _without(self, number: int) -> tuple[Sample, ...]:
        return tuple([row for row in self.lately if row.run != number])

    def misses(self, runs: Sequence[tuple[Replayed, Tried]]) -> tuple[float, ...]:
        """By how much each was off, with what is waited for and the disk able to serve so many at once, predicted by
        what is known without it; but for those without which too little is known, and runs of a part."""
        most = max(1, ROWS_MAX // max(1, len(self.lately)))
        whole = [each for each in runs if not self.samples.runs[each[0].number].part]
        found = [self._miss(run, waiting, disk) for run, (waiting, disk) in whole[:most]]
        return tuple([miss for miss in found if miss is not None])

    def _miss(self, run: Replayed, waiting: float | None, disk: float) -> float | None:
        rows = self._without(run.number)
        without = profiles.build(self.pipeline, self.samples._replace(rows=rows)).stages
        for at in run.walls_s:
            known, left = self.profile.stages[at], without[at]
            if at not in self.given and known.runs and (not left.runs or (known.lots()[0] and not left.lots()[0])):
                return None
        stages = [left if left.runs else known for known, left in zip(self.profile.stages, without)]
        taught = self.first(run.number)._replace(waiting=waiting, disk=disk)
        demands = [demand(stage, taught) for stage in stages]
        works = self.works(run, [stage.median_s for stage in stages])
        told_s = _replay(run._replace(others=taught.others or 0.0), demands, works, taught, self.cores).end_s
        return log(run.wall_s / told_s) if told_s > 0 else None


def _plan(pipeline: Pipeline, run: Run, ids: Sequence[str], cores: int) -> Plan | None:
    """How that run was planned, as far as is on record; None where that cannot be."""
    only = tuple(ids) if len(ids) < len(pipeline.stages) else ()
    params = tuple([(name, param.default or "") for name, param in pipeline.params.items()])
    try:
        return build(pipeline, Choice(cores, run.jobs, run.mode == "sequential", only=only, params=params))
    except InputError:
        return None


def _gammas(rows: Sequence[Sample]) -> dict[str, float]:
    """How much more CPU time each stage takes in company than alone, as a share, by id; without those that take no
    more. Measured against the dearer of the runs alone: a busy machine makes time dearer by itself."""
    alone: dict[str, list[float]] = {}
    beside: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.outcome != "success" or row.cpu_s is None or row.company is None:
            continue
        if row.company < ALONE:
            alone.setdefault(row.stage, []).append(row.cpu_s)
        elif row.company >= COMPANY:
            beside.setdefault(row.stage, []).append((row.cpu_s, min(1.0, row.company)))
    found = {}
    for stage, costs in beside.items():
        before = sorted(alone.get(stage, [0.0]))
        if (usual := before[len(before) * 3 // 4]) >= CPU_LEAST_S:
            gamma = median([(cpu_s / usual - 1) / company for cpu_s, company in costs])
            if gamma >= GAMMA_LEAST:
                found[stage] = round(gamma, 4)
    return found


# Replays ----------------------------------------------------------------------------------------------------------


def _replay(
    run: Replayed, demands: Sequence[Demand], works: Sequence[float], calibration: Calibration, cores: int
) -> Played:
    shares = Shares(demands, capacity(cores, run.others, calibration._replace(others=None)))
    return play(run.plan, lambda stage, attempt: Work(works[stage]), shares)


def _loss(
    run: Replayed, demands: Sequence[Demand], works: Sequence[float], calibration: Calibration, cores: int
) -> float:
    """How wrong a replay is: of the makespan, and half as much of the stages, by the work in them."""
    played = _replay(run, demands, works, calibration, cores)
    sum_log, sum_weight = 0.0, 0.0
    for span in played.spans:
        wall_s, replayed_s = run.walls_s.get(span.stage, 0.0), span.end_s - span.start_s
        if wall_s > 0 and replayed_s > 0:
            sum_log += works[span.stage] * abs(log(replayed_s / wall_s))
            sum_weight += works[span.stage]
    of_stages = sum_log / sum_weight if sum_weight else 0.0
    return abs(log(max(played.end_s, 1e-6) / run.wall_s)) + 0.5 * of_stages


def _any_unordered(pipeline: Pipeline, picked: Sequence[bool]) -> bool:
    """Whether two of those picked may run at once, by their needs."""
    position = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    needs = [[position[need] for need in stage.needs] for stage in pipeline.stages]
    before = [0] * len(needs)  # all that a stage needs, as bits
    earlier = 0
    for stage in order(needs):
        for need in needs[stage]:
            before[stage] |= before[need] | 1 << need
        if picked[stage]:
            if earlier & ~before[stage]:
                return True
            earlier |= 1 << stage
    return False
