"""Runs that come one after another and share runners: how long they wait, whether they keep up, what others lose.

Arrivals are a Poisson process from a seed; each run is simulated by the scheduler's own machine (`simulate.crowd`).
More comes in than can be done where the rate is above what the scarcest thing gives: units by units times seconds a run
holds (the stability condition of any queue: Little, *A proof for the queuing formula L = λW*, Operations Research 9,
1961). Then no figure of a queue is one of a steady state, and it is said how fast it grows instead.
"""

from __future__ import annotations

from random import Random

from stagebook.model.value import NamedTuple
from stagebook.plan import contention
from stagebook.plan.contention import Shares
from stagebook.plan.forecast import quantile
from stagebook.scheduler import build
from stagebook.simulate.crowd import Arrival, crowd
from stagebook.simulate.play import play

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.known import Known
    from stagebook.scheduler.plan import Choice, Plan
    from stagebook.simulate.crowd import Trip
    from stagebook.simulate.work import Speeds

#: Runs that are simulated: at most, and so many that they have no more stages in all than this, but a few always.
RUNS_MAX, STAGES_MAX, RUNS_MIN = 600, 24_000, 20
#: The first ones find nobody there before them, and are left out of all figures.
WARM_UP = 0.1
#: Nearer than this to what is possible a queue is long and its length mostly chance.
NEAR = 0.95
HOUR_S = 3600.0


class Party(NamedTuple):
    """One pipeline that takes part: `per_h` runs an hour; None: one run, begun together with the others'."""

    pipeline: Pipeline
    choice: Choice
    known: Known
    per_h: float | None


class Met(NamedTuple):
    """How one pipeline fares. `alone_s`: a run with all runners to itself, the median. `run_s` and `run_p95_s`: with
    all the others. `wait_s` and `wait_p95_s`: what a stage waits for what is shared when else it could run.
    `before_s`: a run among those of its own pipeline only; `added_s` and `added_p95_s`: what the others add to that,
    run by run; None where there are none."""

    pipeline: str
    file: str
    per_h: float | None
    alone_s: float
    run_s: float
    run_p95_s: float
    wait_s: float
    wait_p95_s: float
    before_s: float | None
    added_s: float | None
    added_p95_s: float | None


class Traffic(NamedTuple):
    """`runners` are shared by all, `own` says that each is a machine of its own, so that stages do not slow each other
    down. `scarce` is the pool that is busiest (`slot`: the runners), `used` the share of it that these rates need.
    `stable_per_h`: as much of all together, in the same proportions, is still possible; None without rates. `grows`:
    what comes in is more than that, so figures are those of the first `runs` runs in `hours`. `grows_per_h`: by so many
    runs."""

    runners: int
    own: bool
    scarce: str
    used: float
    per_h: float | None
    stable_per_h: float | None
    grows: bool
    grows_per_h: float
    runs: int
    hours: float
    met: tuple[Met, ...]


def traffic(parties: Sequence[Party], runners: int, own: bool, seed: int) -> Traffic:
    """What happens to them all. `own`: runners are machines of their own, else jobs of this one machine, whose stages
    share its cores. Only one party may take part in the latter case. InputError as `scheduler.build` raises it."""
    return _Street(parties, runners, own, seed).traffic()


class _Street:
    def __init__(self, parties: Sequence[Party], runners: int, own: bool, seed: int) -> None:
        self.parties = parties
        self.runners, self.own, self.seed = runners, own, seed
        self.is_steady = parties[0].per_h is not None
        self.plans = [_plan(party, runners) for party in parties]
        self.first = [sum([len(plan.stages) for plan in self.plans[:at]]) for at in range(len(parties))]
        demands = [
            contention.demand(stage, party.known.calibration)
            for party in parties
            for stage in party.known.profile.stages
        ]
        profile, taught = parties[0].known.profile, parties[0].known.calibration
        room = contention.capacity(parties[0].known.cores, profile.others_cores, taught)
        self.speeds: Speeds | None = None if own else Shares(demands, room)
        self.shared = {"slot": runners}
        for plan in self.plans:
            for pool in plan.pools[1:]:
                if pool.machine:
                    self.shared[pool.name] = min(pool.size, self.shared.get(pool.name, pool.size))

    def traffic(self) -> Traffic:
        arrivals = self._arrivals()
        trips = crowd(arrivals, self.shared, self.speeds)
        scarce, used, stable_per_h = self._stable(arrivals)
        per_h = sum([party.per_h or 0.0 for party in self.parties]) if self.is_steady else None
        grows = per_h is not None and stable_per_h is not None and per_h >= stable_per_h
        met = []
        for kind in range(len(self.parties)):
            own = [each for each in arrivals if each.kind == kind]
            before = crowd(own, self.shared, self.speeds) if len(self.parties) > 1 else None
            met.append(self._met(kind, own, [trip for trip in trips if trip.kind == kind], before))
        return Traffic(
            self.runners,
            self.own,
            scarce,
            used,
            per_h,
            stable_per_h,
            grows,
            per_h - stable_per_h if grows and per_h is not None and stable_per_h is not None else 0.0,
            len(arrivals),
            arrivals[-1].at_s / HOUR_S,
            tuple(met),
        )

    def _arrivals(self) -> list[Arrival]:
        """In order of time. Without rates pairs of runs, so far apart that no pair meets the next."""
        count = max(RUNS_MIN, min(RUNS_MAX, STAGES_MAX // sum([len(plan.stages) for plan in self.plans])))
        if not self.is_steady:
            apart_s = 4 * sum([self._alone_s(kind, 0) for kind in range(len(self.parties))]) + 1.0
            return [
                self._arrival(number * apart_s, kind, number)
                for number in range(min(count, 100))
                for kind in self._in_turn(number)
            ]
        chance = Random(f"{self.seed} arrivals")
        rates = [party.per_h or 0.0 for party in self.parties]
        now_s, numbers = 0.0, [0] * len(rates)
        arrivals = []
        for _ in range(count * len(rates)):
            now_s += chance.expovariate(sum(rates) / HOUR_S)
            [kind] = chance.choices(range(len(rates)), rates)
            arrivals.append(self._arrival(now_s, kind, numbers[kind]))
            numbers[kind] += 1
        return arrivals

    def _in_turn(self, number: int) -> list[int]:
        """Who is first of those that begin together takes turns."""
        kinds = list(range(len(self.parties)))
        return kinds if number % 2 == 0 else kinds[::-1]

    def _arrival(self, at_s: float, kind: int, number: int) -> Arrival:
        basis = self.parties[kind].known.basis
        draw = basis.draws[number % len(basis.draws)]
        return Arrival(at_s, self.plans[kind], draw, kind, self.first[kind], basis.verdicts)

    def _alone_s(self, kind: int, number: int) -> float:
        basis = self.parties[kind].known.basis
        plan = _unshared(self.plans[kind])
        speeds = None if self.own else basis.speeds
        return play(plan, basis.draws[number % len(basis.draws)], speeds, verdicts=basis.verdicts).end_s

    def _stable(self, arrivals: Sequence[Arrival]) -> tuple[str, float, float | None]:
        """What is scarcest, which share of it is needed, and the highest rate of all together: by what the same runs
        hold when there is always more to do."""
        crowded = crowd([each._replace(at_s=0.0) for each in arrivals], self.shared, self.speeds)
        held = {name: sum([trip.held_s.get(name, 0.0) for trip in crowded]) for name in self.shared}
        loads = {name: held[name] / len(crowded) / size for name, size in self.shared.items()}  # seconds a run
        scarce = max(loads, key=lambda name: (loads[name], name == "slot"))
        if not self.is_steady:
            return scarce, 0.0, None
        per_h = sum([party.per_h or 0.0 for party in self.parties])
        stable_per_h = HOUR_S / loads[scarce] if loads[scarce] else None
        return scarce, per_h * loads[scarce] / HOUR_S, stable_per_h

    def _met(self, kind: int, arrivals: Sequence[Arrival], trips: Sequence[Trip], before: Sequence[Trip] | None) -> Met:
        party = self.parties[kind]
        skip = int(len(trips) * WARM_UP) if self.is_steady else 0
        took = [trip.end_s - trip.at_s for trip in trips]
        alone = sorted([self._alone_s(kind, number) for number in range(min(len(trips), 100))])
        waits = sorted([wait_s for trip in trips[skip:] for wait_s in trip.waits_s]) or [0.0]
        runs = sorted(took[skip:]) or [0.0]
        before_s = added_s = added_p95_s = None
        if before is not None:
            among_own = [trip.end_s - trip.at_s for trip in before]
            added = sorted([max(0.0, one - other) for one, other in zip(took[skip:], among_own[skip:])]) or [0.0]
            before_s = quantile(sorted(among_own[skip:]) or [0.0], 0.5)
            added_s, added_p95_s = quantile(added, 0.5), quantile(added, 0.95)
        return Met(
            party.pipeline.name,
            party.pipeline.file,
            party.per_h,
            quantile(alone or [0.0], 0.5),
            quantile(runs, 0.5),
            quantile(runs, 0.95),
            quantile(waits, 0.5),
            quantile(waits, 0.95),
            before_s,
            added_s,
            added_p95_s,
        )


def _plan(party: Party, runners: int) -> Plan:
    """That of one run, whose jobs are runners that all share; no more of them than there are."""
    plan = build.build(party.pipeline, party.choice)
    jobs = plan.pools[0]
    return plan._replace(pools=(jobs._replace(size=min(jobs.size, runners), machine=True), *plan.pools[1:]))


def _unshared(plan: Plan) -> Plan:
    return plan._replace(pools=tuple([pool._replace(machine=False) for pool in plan.pools]))


def document(found: Traffic) -> Mapping[str, object]:
    """The JSON of `plan`, under `arrivals`."""
    return {
        **{name: value for name, value in found._asdict().items() if name != "met"},
        "pipelines": [each._asdict() for each in found.met],
    }
