"""The simplest plan that is good enough: which orders to give up, how many jobs, and why the rest stays as it is.

Good enough is within `TOLERANCE` of the best, or, where the file has an `sla`, what keeps it in 95 of 100 simulated
runs. Simpler is: fewer changed needs, then fewer jobs. Of few changes all combinations are looked at; of many those
that save most are added one by one. What could be given up is judged by `orders`, what is said of it by `reasons`; what
nobody vouches for is put as a question and never part of the plan.
"""

from __future__ import annotations

from itertools import combinations

from stagebook import condition
from stagebook.graph import findings
from stagebook.model.problem import InputError, Problem
from stagebook.model.value import NamedTuple
from stagebook.plan import orders, reasons
from stagebook.plan import sweep as sweep_of
from stagebook.plan.forecast import DRAWS_MIN, Forecast, ends, forecasts, quantile, typical
from stagebook.plan.known import has_jobs
from stagebook.plan.orders import Freed
from stagebook.plan.recommendation import Recommendation
from stagebook.plan.sweep import TOLERANCE, Sweep
from stagebook.scheduler import build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator, Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.known import Known
    from stagebook.plan.recommendation import Change
    from stagebook.plan.suites import Suite
    from stagebook.scheduler.plan import Choice
    from stagebook.simulate.spread import End

#: What saves less than this share of a run is not worth a change of the file.
WORTH = 0.01
#: Of so many stages that could start earlier every combination is looked at.
EXACT_MAX = 6
#: Stages of all usual runs that are simulated to find out what is worth it, and runs at least; beyond, what is left is
#: not tried one by one.
STAGES_MAX, TRIES_MIN = 15_000, 10
#: So many jobs are looked at, or eight a core where that is more.
JOBS_MAX = 64
#: Of more they are added so many at a time that there are no more lots than this.
LOTS_MAX = 20
#: Of so many it is asked whether one more makes for a smaller change.
ROUNDED_MAX = 100
#: Options that are simulated in full, the simplest first.
CONFIRMED_MAX = 8
#: So much may a usual run be off its median.
_NEAR = 0.02
#: Questions that are asked, those that would save most.
QUESTIONS_MAX = 5


class Option(NamedTuple):
    """Some of the stages that could start earlier do, with so many jobs (None: one by one in file order)."""

    units: tuple[int, ...]
    jobs: int | None
    forecast: Forecast


class Advised(NamedTuple):
    """`found` is what is recommended; `pipeline` is the file with all its changes made, `forecast` what that comes to,
    `sequential` what it takes one by one as it stands. `met` says whether the `sla` is, None without one. `jobs` is
    what `limits.jobs` has to become, None where the file comes to as much as it stands."""

    found: Recommendation
    pipeline: Pipeline
    forecast: Forecast
    sequential: Forecast
    met: bool | None
    jobs: int | None = None


def advise(
    pipeline: Pipeline,
    choice: Choice,
    known: Known,
    sweep: Sweep,
    accepted: Iterable[tuple[str, str]] = (),
    suites: Sequence[Suite] = (),
    wider: Sequence[Change] = (),
) -> Advised:
    """What to do with a pipeline whose job counts have been swept. `accepted` are (need, stage) that a person vouches
    for, though nothing declared does; `suites` the tests of stages, by what they took; `wider` what of the pipeline's
    workers is not in the file yet. Raises InputError as `scheduler.build` does."""
    return _Search(pipeline, choice, known, sweep, frozenset(accepted), suites, wider).advised()


class _Search:
    def __init__(
        self,
        pipeline: Pipeline,
        choice: Choice,
        known: Known,
        sweep: Sweep,
        accepted: frozenset[tuple[str, str]],
        suites: Sequence[Suite],
        wider: Sequence[Change],
    ) -> None:
        self.file = pipeline
        self.choice = choice
        self.known = known
        self.sweep = sweep
        self.suites = suites
        self.wider = wider
        self.ids = [stage.id for stage in pipeline.stages]
        self.needs = orders.needs_of(pipeline)
        self.asked_for = condition.asked(pipeline)
        self.coupled = reasons.coupled(pipeline, findings.findings(pipeline, self.asked_for))
        self.locks = [lock for each in self.coupled for lock in each.locks]
        self.pipeline = orders.locked(pipeline, self.locks)
        self.sla_s = None if pipeline.sla_ms is None else pipeline.sla_ms / 1000
        self.units: list[Freed] = []
        self.questions: list[Freed] = []
        #: Without a history all simulated runs are the same.
        self.draws = sweep.sequential.draws if known.profile.runs else 1
        self.left = max(TRIES_MIN, STAGES_MAX // max(1, len(self.ids)))
        self.is_cut = False
        self._usual: dict[tuple[tuple[int, ...], int | None], float] = {}
        self._pipelines: dict[tuple[int, ...], Pipeline] = {}
        for unit in orders.freed(pipeline, self.asked_for):
            yes = tuple([of for of in unit.of if (self.ids[of], self.ids[unit.stage]) in accepted])
            no = tuple([of for of in unit.of if of not in yes])
            if unit.evidence == "declared":
                self.units.append(unit)
            else:
                self.units += [Freed(unit.stage, yes, "accepted")] if yes else []
                self.questions += [unit._replace(of=no)] if no else []
        self._refuse(accepted)
        self.is_accepted = any(unit.evidence == "accepted" for unit in self.units)
        self.units = self._parted(self.units)
        self.questions = self._parted(self.questions)

    def _parted(self, units: list[Freed]) -> list[Freed]:
        """Without pairs that stay in order even if all of these and of `units` are given up."""
        every = [*self.units, *units] if units else []
        needs = orders.loosened(self.needs, [pair for unit in every for pair in _pairs(unit)])
        return [unit for unit in orders.parted(units, needs) if unit.of]

    def _refuse(self, accepted: frozenset[tuple[str, str]]) -> None:
        """InputError for what was accepted and is given up on nobody's word."""
        units = {pair for unit in self.units for pair in _pairs(unit)}
        for first, second in sorted(accepted):
            pair = self.ids.index(first), self.ids.index(second)
            why = None if pair in units else orders.why_kept(self.file, *pair, self.asked_for)
            if why is not None:
                text = f"--accept '{first}→{second}' is not possible: {why}"
                line = self.file.stages[pair[1]].line
                raise InputError(text, [Problem(self.file.file, line, 1, "accept", "error", text)])

    # What to choose

    def advised(self) -> Advised:
        if not self.is_accepted and reasons.guessed(self.file, self.known) == len(self._timed()):
            return self._nothing_known()
        plain = self._plain()
        worthy = self._worthy()
        options = [*plain, *self._fastest(worthy)]
        best = min(options, key=lambda option: option.forecast.makespan_s)
        limit_s = best.forecast.makespan_s * (1 + TOLERANCE)

        def is_enough(forecast: Forecast) -> bool:
            return forecast.p95_s <= self.sla_s if self.sla_s is not None else forecast.makespan_s <= limit_s

        chosen = self._as_it_is(is_enough) or next((each for each in plain if is_enough(each.forecast)), None)
        if chosen is None:
            chosen = self._simplest(worthy, limit_s, is_enough)
            chosen = self._with_fewer_edges(chosen, is_enough)
        met = None if self.sla_s is None else chosen is not None
        if chosen is None:  # an SLA that nothing meets: as near as possible
            chosen = next(option for option in options if option.forecast.makespan_s <= limit_s)
        made = self._made(chosen.units)
        more = self._more(chosen)
        binds = self.sweep.binds
        if chosen.units and more is not None:
            binds = sweep_of.binds(made, self.choice._replace(jobs=more.jobs, sequential=False), self.known.basis)
        said = reasons.Reasons(self.file, self.known, self.sweep, chosen, best, met, binds)
        kept = said.kept(self._free_s(), self.asked_for)
        jobs = self._jobs_line(chosen, made, is_enough)
        changes = [*self.wider, *self._freed(chosen, said, made)]
        if jobs is not None:
            changes.append(said.jobs(jobs, self._forecast(chosen.units, None)))
        changes += [*self._coupled(), *self._questions(chosen, said), *said.splits(self.suites, made, self.choice)]
        found = Recommendation(
            chosen.jobs or 1,
            "sequential" if chosen.jobs is None else "parallel",
            tuple(said.told(kept, more, self._free_s(), self.is_cut)),
            tuple(changes),
            tuple(kept),
        )
        if not self.known.profile.runs:  # where nothing was measured, how many are of use is a guess
            jobs = None
        return Advised(found, made, chosen.forecast, self.sweep.sequential, met, jobs)

    def _timed(self) -> list[str]:
        return [stage.id for stage in self.file.stages if stage.kind != "gate"]

    def _nothing_known(self) -> Advised:
        """Where no duration is known, no figure is worth a word: the file stays as it is."""
        as_it_is = self._forecast((), None)
        mode = "sequential" if as_it_is.sequential else "parallel"
        found = Recommendation(as_it_is.jobs, mode, (reasons.NOTHING_KNOWN,), ())
        return Advised(found, self.file, as_it_is, self.sweep.sequential, None)

    def _plain(self) -> list[Option]:
        """The needs as they are, simplest first: one by one, then with more and more jobs."""
        rows = [row.forecast for row in self.sweep.rows]
        if self.locks:  # which the sweep does not know of
            choices = [self.choice._replace(jobs=row.jobs, sequential=False) for row in rows]
            rows = forecasts(self.pipeline, choices, self.known.basis, runs=self.draws)
        return [
            Option((), None, self.sweep.sequential),
            *(Option((), each.jobs, each) for each in rows if each.jobs > 1),
        ]

    def _as_it_is(self, is_enough: Callable[[Forecast], bool]) -> Option | None:
        """The file with the jobs that it says, if that meets its SLA: then there is nothing to change."""
        if self.sla_s is None or self.file.limits.jobs is None:
            return None
        forecast = self._forecast((), None)
        return Option((), forecast.jobs, forecast) if is_enough(forecast) else None

    def _worthy(self) -> tuple[int, ...]:
        """The units that are worth anything: those without which the others do as well are left out, first in large
        lots, then in smaller ones."""
        units = tuple(range(len(self.units)))
        if not units:
            return ()
        whole_s = self._usual_s(units)
        floor_s = self.sweep.sequential.makespan_s * WORTH
        if self._usual_s(()) - whole_s < floor_s:
            return ()
        if len(units) <= EXACT_MAX:
            return units
        left, lots = units, [units]
        while lots:
            lot = lots.pop()
            without = tuple([unit for unit in left if unit not in lot])
            if len(lot) < len(left) and not self._may_try():
                break
            if len(lot) < len(left) and self._usual_s(without) - whole_s < floor_s:
                left = without
            elif len(lot) > 1:
                half = len(lot) // 2
                lots += [lot[:half], lot[half:]]
        return left

    def _may_try(self) -> bool:
        self.is_cut = self.is_cut or self.left <= 0
        return self.left > 0

    def _fastest(self, units: tuple[int, ...]) -> list[Option]:
        """All of these with the job count at which a usual run is fastest."""
        if not units:
            return []
        counts = self._job_counts(units)
        jobs = min(counts, key=lambda count: (self._usual_s(units, count), count))
        return [Option(units, jobs, self._forecast(units, jobs))]

    def _simplest(self, units: tuple[int, ...], limit_s: float, is_enough: Callable[[Forecast], bool]) -> Option | None:
        """The first that is enough of those that may be, in order of simplicity."""
        sequential = self.sweep.sequential
        if self.sla_s is not None and sequential.p95_s:
            limit_s = self.sla_s * sequential.makespan_s / sequential.p95_s
        tried = 0
        for some in self._lots(units):
            if self._usual_s(some) > limit_s * (1 + _NEAR):
                continue
            for jobs in self._job_counts(some):
                if self._usual_s(some, jobs) > limit_s * (1 + _NEAR):
                    continue
                forecast = self._forecast(some, jobs)
                if is_enough(forecast):
                    return Option(some, jobs, forecast)
                tried += 1
                if tried == CONFIRMED_MAX:
                    break
            if tried >= CONFIRMED_MAX:
                break
        for jobs in self._job_counts(units) if units and tried else ():
            forecast = self._forecast(units, jobs)
            if is_enough(forecast):
                return Option(units, jobs, forecast)
        return None

    def _lots(self, units: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Which units to take, those first that change fewest needs."""
        if not units:
            return
        if len(units) <= EXACT_MAX:
            every = [some for count in range(1, len(units) + 1) for some in combinations(units, count)]
            yield from sorted(every, key=lambda some: (self._changed(some), len(some), some))
            return
        lost: dict[int, float] = {}
        for unit in units:
            if not self._may_try():
                break
            lost[unit] = self._usual_s(tuple([other for other in units if other != unit]))
        by_worth = sorted(units, key=lambda unit: (-lost.get(unit, 0.0), unit))
        step = 1 + len(units) // LOTS_MAX
        for count in range(step, len(by_worth), step):
            yield tuple(sorted(by_worth[:count]))
        yield units

    def _with_fewer_edges(self, chosen: Option | None, is_enough: Callable[[Forecast], bool]) -> Option | None:
        """The same with stages that could start earlier too, where that saves telling them to wait."""
        if chosen is None or not EXACT_MAX < len(self.units) <= ROUNDED_MAX:
            return chosen
        units = chosen.units
        for unit in set(range(len(self.units))) - set(units):
            more = tuple(sorted([*units, unit]))
            if self._changed(more) < self._changed(units):
                units = more
        forecast = self._forecast(units, chosen.jobs)
        return Option(units, chosen.jobs, forecast) if is_enough(forecast) else chosen

    def _changed(self, units: tuple[int, ...]) -> int:
        """How many needs are taken away or added."""
        made = self._made(units).stages
        return sum([len(set(old.needs) ^ set(new.needs)) for old, new in zip(self.file.stages, made)])

    def _job_counts(self, units: tuple[int, ...]) -> list[int]:
        """Those of the sweep, and more, as there may be more to run at once than in the file."""
        most = max(2, self._most(self._made(units)))
        powers = {1 << power for power in range(1, most.bit_length())}
        counts = {row.forecast.jobs for row in self.sweep.rows} | powers | {most} | set(range(2, min(most, 8) + 1))
        return sorted(count for count in counts if 1 < count <= most)

    def _most(self, made: Pipeline) -> int:
        cap = self.choice.cap.jobs if self.choice.cap is not None else len(self.ids)
        width = orders.width(orders.needs_of(made))
        return max(1, min(cap, width, max(JOBS_MAX, 8 * self.choice.cores)))

    def _made(self, units: tuple[int, ...]) -> Pipeline:
        if units not in self._pipelines:
            self._pipelines[units] = self._without([pair for unit in units for pair in _pairs(self.units[unit])])
        return self._pipelines[units]

    def _without(self, pairs: Sequence[tuple[int, int]]) -> Pipeline:
        return orders.changed(self.pipeline, orders.loosened(self.needs, pairs)) if pairs else self.pipeline

    def _forecast(self, units: tuple[int, ...], jobs: int | None) -> Forecast:
        choice = self.choice._replace(jobs=jobs, sequential=False)
        return forecasts(self._made(units), [choice], self.known.basis, runs=self.draws)[0]

    def _usual_s(self, units: tuple[int, ...], jobs: int | None = None) -> float:
        key = units, jobs
        if key not in self._usual:
            self._usual[key] = self._run_s(self._made(units), jobs)
        return self._usual[key]

    def _run_s(self, made: Pipeline, jobs: int | None = None) -> float:
        """A usual run, with as many jobs as can be of use, or about as many as there are cores."""
        most = max(2, self._most(made))
        counts = {jobs} if jobs is not None else {most, min(most, max(2, self.choice.cores))}
        self.left -= len(counts)
        choices = [self.choice._replace(jobs=count, sequential=False) for count in counts]
        return min([typical(made, choice, self.known.basis).end_s for choice in choices])

    def _jobs_line(self, chosen: Option, made: Pipeline, is_enough: Callable[[Forecast], bool]) -> int | None:
        if has_jobs(self.file):  # how many run at once is its system's to say
            return None
        jobs = chosen.jobs or 1
        as_it_is = build.jobs(build.build(made, self.choice))
        if as_it_is == jobs:
            return None
        if self.file.limits.jobs is None and is_enough(self._forecast(chosen.units, None)):
            return None
        return jobs

    # What to say of it

    def _freed(self, chosen: Option, said: reasons.Reasons, made: Pipeline) -> Iterator[Change]:
        """A change for each stage that starts earlier, with what it saves on top of the others."""
        if not chosen.units:
            return
        choice = self.choice._replace(jobs=chosen.jobs, sequential=False)
        tries = max(TRIES_MIN, STAGES_MAX // len(self.ids))
        runs = min(self.draws, max(DRAWS_MIN, tries // (len(chosen.units) + 1)))
        [whole] = ends(made, [choice], self.known.basis, runs=runs)
        freed = orders.parted([self.units[unit] for unit in chosen.units], orders.needs_of(made))
        edges = said.edges(freed, made)
        for number, unit in enumerate(chosen.units):
            if not freed[number].of:  # as long as others are not given up, it changes nothing
                continue
            gain: tuple[float | None, float] = None, 0.5
            if number < tries:
                without = self._made(tuple([other for other in chosen.units if other != unit]))
                [lacking] = ends(without, [choice], self.known.basis, runs=runs)
                gain = _gain(lacking, whole)
            yield said.freed(freed[number], *gain, edges[number])

    def _coupled(self) -> Iterator[Change]:
        for each in self.coupled:
            yield each.change(self.known.profile.runs, self.file.file)

    def _questions(self, chosen: Option, said: reasons.Reasons) -> Iterator[Change]:
        """What would save most if somebody knew that it need not wait."""
        base = [pair for unit in chosen.units for pair in _pairs(self.units[unit])]
        if not self.questions:
            return
        before_s = self._run_s(self._without(base))
        everything = self._without([*base, *(pair for freed in self.questions for pair in _pairs(freed))])
        if before_s - self._run_s(everything) < WORTH * before_s:
            return
        found = []
        for freed in self.questions:
            if not self._may_try():
                break
            made = self._without([*base, *_pairs(freed)])
            saves_s = before_s - self._run_s(made)
            if saves_s >= WORTH * before_s:
                found.append(self._question(freed, saves_s, made, said))
        if not found:  # each alone saves nothing, all together do
            saves_s = before_s - self._run_s(everything)
            found = [self._question(freed, saves_s, everything, said) for freed in self.questions[:1]]
        yield from sorted(found, key=lambda change: -(change.saves_s or 0.0))[:QUESTIONS_MAX]

    def _question(self, freed: Freed, saves_s: float, made: Pipeline, said: reasons.Reasons) -> Change:
        [left] = orders.parted([freed], orders.needs_of(made))
        return said.question(left if left.of else freed, saves_s, made)

    def _free_s(self) -> float:
        """A usual run in which nothing waits for anything."""
        return self._run_s(orders.changed(self.file, [[] for _ in self.needs]))

    def _more(self, chosen: Option) -> Forecast | None:
        """The most jobs that can be of use, if they are more than those chosen."""
        jobs = chosen.jobs or 1
        if not chosen.units:
            rows = [row.forecast for row in self.sweep.rows if row.forecast.jobs > jobs]
            return rows[-1] if rows else None
        counts = [count for count in self._job_counts(chosen.units) if count > jobs]
        return self._forecast(chosen.units, counts[-1]) if counts else None


def _pairs(freed: Freed) -> list[tuple[int, int]]:
    return [(of, freed.stage) for of in freed.of]


def _gain(lacking: Sequence[End], whole: Sequence[End]) -> tuple[float, float]:
    """Seconds saved in the median draw, and the share of draws in which anything is saved: draw by draw, as both had
    the same luck."""
    saved = sorted(one.end_s - other.end_s for one, other in zip(lacking, whole))
    if not saved:
        return 0.0, 0.0
    return max(0.0, quantile(saved, 0.5)), sum(each > 1e-9 for each in saved) / len(saved)
