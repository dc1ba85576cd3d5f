"""The simplest plan that is good enough: which orders to give up, how many jobs, and why the rest stays as it is.

Good enough is within `TOLERANCE` of the best, or, where the file has an `sla`, what keeps it in 95 of 100 simulated
runs. Simpler is: fewer changed needs, then fewer jobs. What could be given up is judged by `orders`; what nobody
vouches for is put as a question and never part of the plan.
"""

from __future__ import annotations

from stagebook.graph import findings
from stagebook.model.value import NamedTuple
from stagebook.plan import orders
from stagebook.plan.forecast import Forecast, ends, forecasts, quantile, typical
from stagebook.plan.orders import Freed
from stagebook.plan.profile import ENOUGH
from stagebook.plan.recommendation import Change, Evidence, Recommendation
from stagebook.plan.sweep import TOLERANCE, Sweep
from stagebook.report.durations import plural, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator, Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.known import Known
    from stagebook.scheduler.plan import Choice
    from stagebook.simulate.spread import End

#: What saves less than this share of a run is not worth a change of the file.
WORTH = 0.01

#: So many stages that could start earlier are tried one by one; beyond, all at once.
TRIED_MAX = 40

#: Questions that are asked, those that would save most.
QUESTIONS_MAX = 5


class Advised(NamedTuple):
    """`found` is what is recommended; `pipeline` is the file with all its changes made, `forecast` what that comes to,
    `sequential` what it takes one by one as it stands. `met` says whether the `sla` is, None without one."""

    found: Recommendation
    pipeline: Pipeline
    forecast: Forecast
    sequential: Forecast
    met: bool | None


def advise(
    pipeline: Pipeline, choice: Choice, known: Known, sweep: Sweep, accepted: Iterable[tuple[str, str]] = ()
) -> Advised:
    """What to do with a pipeline whose job counts have been swept. `accepted` are (need, stage) that a person vouches
    for, though nothing declared does. Raises InputError as `scheduler.build` does."""
    return _Search(pipeline, choice, known, sweep, frozenset(accepted)).advised()


class _Option(NamedTuple):
    """Some stages freed, so many jobs (None: one by one in file order)."""

    units: tuple[int, ...]
    jobs: int | None
    forecast: Forecast


class _Search:
    def __init__(
        self, pipeline: Pipeline, choice: Choice, known: Known, sweep: Sweep, accepted: frozenset[tuple[str, str]]
    ) -> None:
        self.pipeline = pipeline
        self.choice = choice
        self.known = known
        self.sweep = sweep
        self.ids = [stage.id for stage in pipeline.stages]
        self.needs = orders.needs_of(pipeline)
        self.jobs = [row.forecast.jobs for row in sweep.rows]
        self.units: list[Freed] = []
        self.asked: list[Freed] = []
        for unit in orders.freed(pipeline):
            yes = tuple([of for of in unit.of if (self.ids[of], self.ids[unit.stage]) in accepted])
            no = tuple([of for of in unit.of if of not in yes])
            if unit.evidence == "declared":
                self.units.append(unit)
            else:
                self.units += [Freed(unit.stage, yes, "accepted")] if yes else []
                self.asked += [unit._replace(of=no)] if no else []

    # What to choose

    def advised(self) -> Advised:
        sla_s = None if self.pipeline.sla_ms is None else self.pipeline.sla_ms / 1000
        order = self._by_worth()
        everything = self._options(tuple(sorted(order)))
        options = [*self._options(())] if not order else [*self._options(()), *everything]
        best = min(options, key=lambda option: option.forecast.makespan_s)
        limit_s = best.forecast.makespan_s * (1 + TOLERANCE)

        def is_enough(option: _Option) -> bool:
            if sla_s is not None:
                return option.forecast.p95_s <= sla_s
            return option.forecast.makespan_s <= limit_s

        chosen = next((option for option in self._options(()) if is_enough(option)), None)
        taken: list[int] = []
        for unit in order if chosen is None else ():
            taken.append(unit)
            chosen = next((option for option in self._options(tuple(sorted(taken))) if is_enough(option)), None)
            if chosen is not None:
                break
        met = None if sla_s is None else chosen is not None
        if chosen is None:  # an SLA that nothing meets: as near as possible
            chosen = next(option for option in options if option.forecast.makespan_s <= limit_s)
        made = self._made(chosen.units)
        changes = (*self._freed(chosen), *self._coupled(), *self._questions(chosen))
        kept = tuple(self._kept(chosen))
        found = Recommendation(
            chosen.jobs or 1,
            "sequential" if chosen.jobs is None else "parallel",
            tuple(self._reasons(chosen, best, sla_s, met, kept)),
            changes,
            kept,
        )
        return Advised(found, made, chosen.forecast, self.sweep.sequential, met)

    def _by_worth(self) -> list[int]:
        """The units that are worth anything, what saves most first: by what the run loses without each, all the others
        made."""
        units = list(range(len(self.units)))
        whole_s = self._typical_s(tuple(units))
        floor = self.sweep.sequential.makespan_s * WORTH
        if self._typical_s(()) - whole_s < floor:
            return []
        if len(units) > TRIED_MAX:
            return units
        left: list[int] = units[:]
        for unit in units:  # those without which the rest does as well
            without = tuple([other for other in left if other != unit])
            if self._typical_s(without) - whole_s < floor:
                left.remove(unit)
                whole_s = min(whole_s, self._typical_s(tuple(left)))
        loss = {unit: self._typical_s(tuple([other for other in left if other != unit])) for unit in left}
        return sorted(left, key=lambda unit: (-loss[unit], unit))

    def _options(self, units: tuple[int, ...]) -> list[_Option]:
        """Simplest first: one by one, then with more and more jobs."""
        if not units:
            sequential = _Option((), None, self.sweep.sequential)
            return [sequential, *(_Option((), row.forecast.jobs, row.forecast) for row in self.sweep.rows)]
        made = self._made(units)
        choices = [self.choice._replace(jobs=jobs, sequential=False) for jobs in self._job_counts(made)]
        found = forecasts(made, choices, self.known.basis, runs=self.sweep.sequential.draws)
        return [_Option(units, each.jobs, each) for each in found if each.jobs > 1]

    def _job_counts(self, made: Pipeline) -> list[int]:
        """Those of the sweep, and more, as there may be more to run at once than in the file."""
        most = self._most(made)
        counts = {*self.jobs, *(1 << power for power in range(1, most.bit_length()) if 1 << power <= most), most}
        return sorted(count for count in counts if 1 < count <= max(most, 2))

    def _most(self, made: Pipeline) -> int:
        cap = self.choice.cap.jobs if self.choice.cap is not None else len(self.ids)
        levels = orders.width(orders.needs_of(made))
        return max(1, min(cap, levels))

    def _made(self, units: Sequence[int]) -> Pipeline:
        return self._without([pair for unit in units for pair in _pairs(self.units[unit])])

    def _without(self, pairs: Sequence[tuple[int, int]]) -> Pipeline:
        return orders.changed(self.pipeline, orders.loosened(self.needs, pairs)) if pairs else self.pipeline

    def _typical_s(self, units: tuple[int, ...], jobs: int | None = None) -> float:
        return self._run_s(self._made(units), jobs)

    def _run_s(self, made: Pipeline, jobs: int | None = None) -> float:
        choice = self.choice._replace(jobs=jobs or max(2, self._most(made)), sequential=False)
        return typical(made, choice, self.known.basis).end_s

    # What to say of it

    def _freed(self, chosen: _Option) -> Iterator[Change]:
        """A change for each stage that starts earlier, with what it saves on top of the others."""
        if not chosen.units:
            return
        made = self._made(chosen.units)
        choice = self.choice._replace(jobs=chosen.jobs, sequential=False)
        runs = chosen.forecast.draws
        [whole] = ends(made, [choice], self.known.basis, runs=runs)
        for unit in chosen.units:
            freed = self.units[unit]
            without = self._made([other for other in chosen.units if other != unit])
            [lacking] = ends(without, [choice], self.known.basis, runs=runs)
            saves_s, share = _gain(lacking, whole)
            yield self._change(freed, saves_s, share, made)

    def _change(self, freed: Freed, saves_s: float, share: float, made: Pipeline, question: bool = False) -> Change:
        stage = self.pipeline.stages[freed.stage]
        before, after = set(stage.needs), set(made.stages[freed.stage].needs)
        gone = [self.ids[of] for of in freed.of if self.ids[of] in before] or [self.ids[of] for of in freed.of]
        of = _listed(gone)
        n = self.known.profile.runs
        if freed.evidence == "declared":
            evidence = Evidence("declared", n, f"neither reads or makes what the other makes: {stage.id}, {of}")
        elif freed.evidence == "accepted":
            evidence = Evidence("none", n, "accepted by a person; nothing in the file speaks for it or against it")
        else:
            evidence = Evidence("none", n, "nothing in the file says why this order stands, or that it need not")
        return Change(
            "parallel",
            (stage.id, *gone),
            f"start {stage.id} earlier: it needs nothing of {of}"
            if not question
            else f"does {stage.id} need anything of {of}?",
            f"saves ~{span(saves_s)} in the simulated run",
            saves_s,
            (evidence,),
            share,
            tuple([(need, stage.id) for need in stage.needs if need not in after]),
            tuple([(need, stage.id) for need in made.stages[freed.stage].needs if need not in before]),
            stage.line,
            question,
            f"stagebook run --only {stage.id}, in a fresh copy in which {of} never ran" if question else None,
        )

    def _questions(self, chosen: _Option) -> Iterator[Change]:
        """What would save most if somebody knew that it need not wait."""
        base = [pair for unit in chosen.units for pair in _pairs(self.units[unit])]
        before_s = self._run_s(self._without(base))
        found = []
        everything = self._without([*base, *(pair for freed in self.asked for pair in _pairs(freed))])
        if not self.asked or before_s - self._run_s(everything) < WORTH * before_s:
            return
        for freed in self.asked[:TRIED_MAX]:
            made = self._without([*base, *_pairs(freed)])
            saves_s = before_s - self._run_s(made)
            if saves_s >= WORTH * before_s:
                found.append(self._change(freed, saves_s, 0.0, made, question=True))
        if not found:  # each alone saves nothing, all together do
            saves_s = before_s - self._run_s(everything)
            found = [self._change(freed, saves_s, 0.0, everything, question=True) for freed in self.asked[:1]]
        yield from sorted(found, key=lambda change: -(change.saves_s or 0.0))[:QUESTIONS_MAX]

    def _coupled(self) -> Iterator[Change]:
        """Stages that may run at once and share what they should not."""
        for finding in findings.findings(self.pipeline):
            if finding.code == "possible-coupling":
                yield Change(
                    "pool", finding.stages, f"keep {' and '.join(finding.stages)} apart", finding.message, None,
                    (Evidence("declared", self.known.profile.runs, finding.message),), 0.5, line=finding.line,
                )  # fmt: skip

    def _kept(self, chosen: _Option) -> Iterator[Change]:
        """Orders that stay for a reason of their own, where giving them up would simulate faster."""
        for stage in self.pipeline.stages:
            why = orders.is_kept(stage)
            if why is None or not stage.needs or stage.always:
                continue
            stays = f"{_listed(stage.needs)} → {stage.id}"
            yield Change(
                "sequential", (*stage.needs, stage.id), f"keep {stays}", why, None,
                (Evidence("declared", self.known.profile.runs, why),), 1.0, line=stage.line,
            )  # fmt: skip

    def _reasons(
        self, chosen: _Option, best: _Option, sla_s: float | None, met: bool | None, kept: Sequence[Change]
    ) -> Iterator[str]:
        sequential_s, takes = self.sweep.sequential.makespan_s, chosen.forecast
        if sla_s is not None and not met:
            yield (
                f"no plan keeps the SLA of {span(sla_s)}: the best takes ~{span(best.forecast.makespan_s)}, "
                f"~{span(best.forecast.p95_s)} in 95 of 100 runs"
            )
        if chosen.jobs is None:
            yield from self._sequential(chosen, best, sla_s, met, kept)
        else:
            held = f", the SLA of {span(sla_s)} held in 95 of 100 runs" if met else ""
            yield (
                f"run {plural(chosen.jobs, 'job')}: ~{span(takes.makespan_s)} instead of ~{span(sequential_s)} "
                f"one by one{held}"
            )
            yield from self._more_jobs(chosen)
        if 0 < self.known.profile.runs < ENOUGH:
            yield f"insufficient data ({plural(self.known.profile.runs, 'run')}, need {ENOUGH})"
        if takes.beyond:
            seen = self.known.calibration.at_jobs
            yield f"more at once than was ever measured ({seen}): above that it is extrapolated"

    def _sequential(
        self, chosen: _Option, best: _Option, sla_s: float | None, met: bool | None, kept: Sequence[Change]
    ) -> Iterator[str]:
        takes_s, best_s = chosen.forecast.makespan_s, best.forecast.makespan_s
        if sla_s is not None and met:
            yield f"one by one takes ~{span(takes_s)}, within the SLA of {span(sla_s)}: change nothing"
        elif takes_s - best_s <= TOLERANCE * best_s:
            gain = (
                f"the best saves {(takes_s - best_s) / takes_s:.0%}" if best_s < takes_s else "nothing would be faster"
            )
            yield f"stay sequential: ~{span(takes_s)} one by one, {gain}"
        if kept:
            free = self._run_s(orders.changed(self.pipeline, [[] for _ in self.needs]))
            if free < takes_s * (1 - TOLERANCE):
                yield (
                    f"side by side the stages would take ~{span(free)}, and be wrong: "
                    f"{'; '.join(f'{change.change} ({change.why})' for change in kept[:3])}"
                )

    def _more_jobs(self, chosen: _Option) -> Iterator[str]:
        """What the next larger job count would bring, or cost."""
        if chosen.units:
            options = self._options(chosen.units)
        else:
            options = [option for option in self._options(()) if option.jobs is not None]
        more = [option for option in options if (option.jobs or 0) > (chosen.jobs or 0)]
        if not more:
            return
        last = more[-1]
        gain = 1 - last.forecast.makespan_s / chosen.forecast.makespan_s if chosen.forecast.makespan_s else 0.0
        binds = self.sweep.binds[0] if self.sweep.binds else ""
        said = (
            f"saves {gain:.0%} more"
            if gain > 0.004
            else "saves nothing more"
            if gain > -0.01
            else f"takes {-gain:.0%} longer"
        )
        yield f"{plural(last.jobs or 1, 'job')} {said}" + (f": {_BINDS.get(binds, binds)} binds" if binds else "")


_BINDS = {
    "path": "the critical path", "cores": "the machine's cores", "disk": "the disk",
    "waiting": "something that stages wait for together", "slot": "the number of jobs",
}  # fmt: skip


def _pairs(freed: Freed) -> list[tuple[int, int]]:
    return [(of, freed.stage) for of in freed.of]


def _gain(lacking: Sequence[End], whole: Sequence[End]) -> tuple[float, float]:
    """Seconds saved in the median draw, and the share of draws in which anything is saved: draw by draw, as both had
    the same luck."""
    saved = sorted(one.end_s - other.end_s for one, other in zip(lacking, whole))
    if not saved:
        return 0.0, 0.0
    return max(0.0, quantile(saved, 0.5)), sum(each > 1e-9 for each in saved) / len(saved)


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
