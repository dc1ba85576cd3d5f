"""What is said of a recommendation: each change with its evidence, each order that stays with its reason, and sentences
with figures. What to recommend is `advise`'s."""

from __future__ import annotations

import os
from shlex import quote

from stagebook.graph import coupling
from stagebook.graph.artifacts import read_of
from stagebook.model.value import NamedTuple
from stagebook.plan import orders, suites
from stagebook.plan.contention import demand
from stagebook.plan.known import has_jobs
from stagebook.plan.profile import ENOUGH
from stagebook.plan.recommendation import Change, Evidence, confidence
from stagebook.plan.sweep import TOLERANCE
from stagebook.report.durations import plural, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterator, Mapping, Sequence, TypeAlias

    from stagebook.graph.findings import Finding
    from stagebook.model.pipeline import Pipeline, Stage
    from stagebook.plan.advise import Option
    from stagebook.plan.forecast import Forecast
    from stagebook.plan.known import Known
    from stagebook.plan.orders import Freed
    from stagebook.plan.suites import Suite
    from stagebook.plan.sweep import Sweep
    from stagebook.scheduler.plan import Choice

#: So many orders that stay are told, those first that hold back most.
KEPT_MAX = 10
NOTHING_KNOWN = (
    "insufficient data: nothing is known of how long stages take: stagebook run --sequential, "
    "or declare duration: in the file"
)
NOTHING_RECORDED = (
    "insufficient data: nothing is known of how long jobs take; import what {0} has recorded "
    "(stagebook import runs {0}), or run it here (stagebook run)"
)
#: Reasons of the map that keep two stages apart though no file passes between them.
_APART = ("lock", "pool", "stated")


def guessed(pipeline: Pipeline, known: Known) -> int:
    """Of how many stages nothing is known of how long they take."""
    both = zip(pipeline.stages, known.profile.stages)
    return sum([stage.kind != "gate" and found.source == "guess" for stage, found in both])


class Coupled(NamedTuple):
    """Stages that may run at once and share what they should not. `locks`: what would keep them apart, (stage, lock);
    none where only words of their commands say so."""

    finding: Finding
    names: str
    locks: tuple[tuple[str, str], ...]

    def change(self, runs: int, file: str) -> Change:
        finding = self.finding
        source = "declared" if self.locks else "none"
        lock = f": give both the lock {self.locks[0][1]}" if self.locks else ""
        check = " ".join(
            [f"stagebook run{_named(file)} --force -j 2", *(f"--only {quote(each)}" for each in finding.stages[:5])]
        )
        return Change(
            "pool",
            finding.stages,
            f"keep {self.names} sequential{lock}",
            finding.message,
            None,
            (Evidence(source, runs, finding.message),),
            0.5,
            line=finding.line,
            question=not self.locks,
            check=None if self.locks else check,
            locks=self.locks,
        )


def coupled(pipeline: Pipeline, found: Sequence[Finding]) -> list[Coupled]:
    """What the map warns of. A pool that has units for all is no coupling; the map notes it, and no more."""
    at = {stage.id: stage for stage in pipeline.stages}
    made = []
    for finding in found:
        if finding.code != "possible-coupling" or finding.level != "warning" or finding.minor:
            continue
        names = coupling.listed(coupling.named([at[stage] for stage in finding.stages]))
        shared = finding.shared or ""
        locks: tuple[tuple[str, str], ...] = ()
        if shared.startswith("output "):  # both declare it
            lock = shared.removeprefix("output ")
            locks = tuple([(stage, lock) for stage in finding.stages if lock not in at[stage].locks])
        made.append(Coupled(finding, names, locks))
    return made


#: Needs taken away, needs added, each as (need, stage).
Edges: TypeAlias = "tuple[list[tuple[str, str]], list[tuple[str, str]]]"


class Reasons:
    """Of one recommendation."""

    def __init__(
        self, pipeline: Pipeline, known: Known, sweep: Sweep, chosen: Option, best: Option, met: bool | None,
        binds: Sequence[str],
    ) -> None:  # fmt: skip
        self.pipeline = pipeline
        self.known = known
        self.sweep = sweep
        self.chosen = chosen
        self.best = best
        self.met = met
        self.binds = binds
        self.sla_s = None if pipeline.sla_ms is None else pipeline.sla_ms / 1000
        self.runs = known.profile.runs
        self.ids = [stage.id for stage in pipeline.stages]
        self.by_id = {stage.id: stage for stage in pipeline.stages}

    # Changes

    def edges(self, freed: Sequence[Freed], made: Pipeline) -> list[Edges]:
        """Of each of these the needs that it takes away and those that it adds, also to later stages, so that they stay
        in order with what they were told to wait for. All together are what is written."""
        at = {id: index for index, id in enumerate(self.ids)}
        of_stage: dict[int, list[int]] = {}
        of_need: dict[int, int] = {}
        some_are = [number for number, each in enumerate(freed) if each.of]
        for number in some_are:
            of_stage.setdefault(freed[number].stage, []).append(number)
            for of in freed[number].of:
                of_need.setdefault(of, number)

        def whose(need: int, stage: int) -> int:
            own = of_stage.get(stage) or [of_need.get(need, some_are[0])]
            return next((number for number in own if need in freed[number].of), own[0])

        found: list[Edges] = [([], []) for _ in freed]
        for index, (old, new) in enumerate(zip(self.pipeline.stages, made.stages)):
            for some, others, side in ((old, new, 0), (new, old, 1)):
                for need in some.needs:
                    if need not in others.needs:
                        found[whose(at[need], index)][side].append((need, old.id))
        return found

    def freed(self, freed: Freed, saves_s: float | None, share: float, edges: Edges) -> Change:
        """`saves_s`: beside all other changes; None where that was not tried."""
        stage, gone, names = self._named(freed)
        if freed.evidence == "declared":
            text = f"neither reads, makes or names what the other makes: {stage.id}, {names}"
            evidence = Evidence("declared", self.runs, text)
        else:
            evidence = Evidence(
                "none", self.runs, "accepted by a person; nothing in the file speaks for it or against it"
            )
        return Change(
            "parallel",
            (stage.id, *gone),
            f"start {stage.id} earlier: it needs nothing of {names}",
            self._gain(saves_s, f"{stage.id} need not be told to wait for {names}"),
            saves_s,
            (evidence,),
            confidence(share, self.runs),
            tuple(edges[0]),
            tuple(edges[1]),
            stage.line,
        )

    def jobs(self, jobs: int, as_it_is: Forecast) -> Change:
        """`as_it_is`: with the jobs of the file and all other changes. Where nothing was measured it is a question."""
        takes, file = self.chosen.forecast, self.pipeline.limits.jobs
        said = f"~{span(takes.makespan_s)} instead of ~{span(as_it_is.makespan_s)} with {as_it_is.jobs}"
        saves_s = as_it_is.makespan_s - takes.makespan_s
        if as_it_is.makespan_s <= takes.makespan_s * (1 + TOLERANCE):
            said, saves_s = f"{said}: fewer do as well" if jobs < as_it_is.jobs else said, 0.0
        known = f"durations and use are of {plural(self.runs, 'run')}"
        guess = "no run was measured, so how many are of use is a guess, and none is written"
        share = 1.0 if saves_s > 0 else 0.0
        return Change(
            "parallel" if jobs > 1 else "sequential",
            (),
            f"set limits.jobs to {jobs}" + (f" (it is {file})" if file is not None else ""),
            said,
            saves_s or None,
            (Evidence("history" if self.runs else "none", self.runs, known if self.runs else guess),),
            confidence(share, self.runs) if self.runs else 0.0,
            question=not self.runs,
            check=None if self.runs else f"stagebook plan{_named(self.pipeline.file)} --probe",
        )

    def _gain(self, saves_s: float | None, otherwise: str) -> str:
        if saves_s is None:
            return "saves time together with the others"
        return f"saves ~{span(saves_s)} in the simulated run" if saves_s else f"keeps the change small: {otherwise}"

    def question(self, freed: Freed, saves_s: float, made: Pipeline) -> Change:
        stage, gone, names = self._named(freed)
        after = next(each.needs for each in made.stages if each.id == stage.id)
        return Change(
            "parallel",
            (stage.id, *gone),
            f"does {stage.id} need anything of {names}?",
            f"saves ~{span(saves_s)} in the simulated run",
            saves_s,
            (Evidence("none", self.runs, f"nothing in the file says why this order stands; {freed.why}"),),
            0.0,
            tuple([(need, stage.id) for need in stage.needs if need not in after]),
            tuple([(need, stage.id) for need in after if need not in stage.needs]),
            stage.line,
            question=True,
            check=self._check(stage, [self.by_id[each] for each in gone]),
        )

    def _named(self, freed: Freed) -> tuple[Stage, list[str], str]:
        """The stage, those that it would not wait for (what it needs directly, if anything), and their names."""
        stage = self.pipeline.stages[freed.stage]
        gone = [self.ids[of] for of in freed.of if self.ids[of] in stage.needs] or [self.ids[of] for of in freed.of]
        return stage, gone, coupling.listed(coupling.named([self.by_id[each] for each in gone]))

    def _check(self, stage: Stage, without: Sequence[Stage]) -> str:
        """A run in a fresh copy, without what an earlier run has left, in which these never ran."""
        folder, _, file = self.pipeline.file.rpartition("/")
        if self.pipeline.format in ("github", "gitlab"):  # whose files are found from where their jobs run
            folder = self.pipeline.root or folder
            file = os.path.relpath(self.pipeline.file, folder)
        named = f" {quote(file)}" if _named(self.pipeline.file) else ""
        skipped = " ".join([f"--skip {quote(each)}" for each in dict.fromkeys(each.id for each in without)])
        run = f'cd "$copy" && stagebook run{named} --until {quote(stage.id)} {skipped}'
        if _is_in_git(folder):
            return f'copy=$(mktemp -d) && git -C {quote(folder)} archive HEAD | tar -x -C "$copy" && {run}'
        return (
            f'copy=$(mktemp -d) && cp -R {quote(folder)}/. "$copy" && {run}  # first remove there what runs have made'
        )

    def splits(self, found: Sequence[Suite], made: Pipeline, choice: Choice) -> list[Change]:
        """Suites that would be done sooner in parts, each paying its own set-up."""
        if self.sla_s is not None and self.met:
            return []
        return suites.changes(found, made, choice._replace(jobs=None, sequential=False), self.known)

    # Orders that stay

    def kept(self, free_s: float, asked: Mapping[str, Collection[str]]) -> list[Change]:
        """Orders that stay for a reason of their own, where giving all of them up would simulate faster."""
        if free_s >= self.chosen.forecast.makespan_s * (1 - TOLERANCE):
            return []
        made = []
        gates = orders.gates_of(self.pipeline)
        for stage in self.pipeline.stages:
            why = orders.is_kept(stage, gates)
            if why is not None and stage.needs and not stage.always:
                made.append(self._stays(stage, stage.needs, why))
            elif why is None:
                made += [self._stays(stage, [need], said) for need, said in self._apart(stage)]
        return made[:KEPT_MAX]

    def _apart(self, stage: Stage) -> Iterator[tuple[str, str]]:
        """Needs that keep apart what would otherwise meet in the same place."""
        for need in stage.needs:
            if need in stage.via:  # it goes without saying
                continue
            first = self.by_id[need]
            apart = coupling.kept_apart(self.pipeline, first, stage)
            same = read_of([output.path for output in first.outputs], stage.outputs)
            if apart is not None:
                yield need, f"both use {' '.join(apart)}, and which of them comes first may matter"
            elif same:
                yield need, f"both write {same[0].path}"

    def _stays(self, stage: Stage, needs: Sequence[str], why: str) -> Change:
        names = coupling.listed(coupling.named([self.by_id[need] for need in needs]))
        return Change(
            "sequential",
            (*needs, stage.id),
            f"keep {names} → {stage.id}",
            why,
            None,
            (Evidence("declared", self.runs, why),),
            1.0,
            line=stage.line,
        )

    # Sentences

    def told(self, kept: Sequence[Change], more: Forecast | None, free_s: float, is_cut: bool) -> Iterator[str]:
        """The verdict first. `more`: what the most jobs of use come to."""
        takes, sequential_s = self.chosen.forecast, self.sweep.sequential.makespan_s
        if self.sla_s is not None and not self.met:
            best = self.best.forecast
            yield (
                f"no plan keeps the SLA of {span(self.sla_s)}: the best takes ~{span(best.makespan_s)}, "
                f"~{span(best.p95_s)} in 95 of 100 runs"
            )
        if self.chosen.jobs is None:
            yield from self._sequential(kept, free_s)
        else:
            yield self._parallel(takes, sequential_s)
        if more is not None:
            yield from self._more_jobs(more)
        if 0 < self.runs < ENOUGH:
            yield f"insufficient data ({plural(self.runs, 'run')}, need {ENOUGH})"
        elif (thin := self.known.profile.thin())[0]:
            longest = f"{coupling.listed(thin[0])}: {plural(thin[1], 'run')}"
            yield f"insufficient data of what takes longest ({longest}, need {ENOUGH})"
        if count := guessed(self.pipeline, self.known):
            yield (
                f"insufficient data: nothing is known of how long {count} of {plural(len(self.ids), 'stage')} "
                f"take{'s' if count == 1 else ''}"
            )
        if is_cut:
            yield "there are more orders than were tried one by one, so fewer changes may do as well"
        if takes.beyond and self.runs:
            yield (
                f"more at once than was ever measured ({self.known.calibration.at_jobs}): above that it is extrapolated"
            )

    def _parallel(self, takes: Forecast, sequential_s: float) -> str:
        if self.met and not self.chosen.units and self.chosen.jobs == self.pipeline.limits.jobs:
            return (
                f"{plural(takes.jobs, 'job')} as in the file: ~{span(takes.makespan_s)}, within the SLA of "
                f"{span(self.sla_s or 0.0)}: change nothing"
            )
        held = f", the SLA of {span(self.sla_s)} held in 95 of 100 runs" if self.met and self.sla_s is not None else ""
        jobs = f"{plural(takes.jobs, 'job')}{' at once' if has_jobs(self.pipeline) else ''}"
        run = "" if has_jobs(self.pipeline) else "run "  # how many there are is not for whoever runs it to say
        said = f"{run}{jobs}: ~{span(takes.makespan_s)} instead of ~{span(sequential_s)} one by one"
        return said + held

    def _sequential(self, kept: Sequence[Change], free_s: float) -> Iterator[str]:
        takes_s, best_s = self.chosen.forecast.makespan_s, self.best.forecast.makespan_s
        if self.sla_s is not None and self.met:
            yield f"one by one takes ~{span(takes_s)}, within the SLA of {span(self.sla_s)}: change nothing"
        else:
            saves = (takes_s - best_s) / takes_s if takes_s else 0.0
            gain = f"the best saves {_percent(saves)}" if saves >= 0.005 else "nothing would be faster"
            yield f"stay sequential: ~{span(takes_s)} one by one, {gain}"
        if kept:
            why = "; ".join([f"{change.change} ({change.why})" for change in kept[:3]])
            yield f"side by side the stages would take ~{span(free_s)}, and be wrong: {why}"

    def _more_jobs(self, more: Forecast) -> Iterator[str]:
        """What the most jobs would bring, or cost, and what `binds` then."""
        takes_s = self.chosen.forecast.makespan_s
        gain = 1 - more.makespan_s / takes_s if takes_s else 0.0
        one, other = ("saves", "takes") if more.jobs == 1 else ("save", "take")
        if gain >= 0.005:
            said = f"{one} {_percent(gain)} more"
        elif gain > -0.01:
            said = f"{one} nothing more"
        else:
            said = f"{other} {_percent(-gain)} longer"
        binds = self._binds(gain)
        yield f"{plural(more.jobs, 'job')} {said}" + (f": {binds}" if binds else "")

    def _binds(self, gain: float) -> str:
        """What keeps more jobs from saving more, in words."""
        binds = [each for each in self.binds if each != "slot"]
        if gain < -0.01:  # no chain of needs makes a run longer
            shared = [each for each in binds if each != "path"]
            binds = ["cores"] if "cores" in shared or not shared else shared
        names = []
        for name in binds[:2]:
            if name == "path":
                names.append("the critical path")
            elif name == "cores":
                names.append(self._shared())
            else:
                names.append(name.replace(":", " "))
        if not names:
            return ""
        return " and ".join(names) + (" bind" if len(names) > 1 or names[0].endswith("s") else " binds")

    def _shared(self) -> str:
        """Which of the things that all share is short when stages slow each other down: by what they ask of it, over
        what there is."""
        taught = self.known.calibration
        asked = [(stage.median_s, demand(stage, taught)) for stage in self.known.profile.stages]
        whole_s = sum([wall_s for wall_s, _ in asked]) or 1.0
        short = {
            "the machine's cores": sum([wall_s * each.cores * (1 + each.gamma) for wall_s, each in asked])
            / max(1, self.known.cores),
            "the disk": sum([wall_s * each.disk for wall_s, each in asked]) / taught.disk,
            "what the stages wait for": 0.0
            if taught.waiting is None
            else sum([wall_s * each.waiting for wall_s, each in asked]) / taught.waiting,
        }
        return max(short, key=lambda name: short[name] / whole_s)


def _named(file: str) -> str:
    """The file as an argument, unless it is the one that is found without a word."""
    return "" if file == os.path.join(os.getcwd(), "stagebook.yaml") else f" {quote(os.path.relpath(file))}"


def _is_in_git(folder: str) -> bool:
    while folder:
        if os.path.exists(f"{folder}/.git"):
            return True
        folder = folder.rpartition("/")[0]
    return False


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
