"""What to change in a CI system's file, and on whose word: a pipeline, what is known of its durations, and what a user
asks for, to proposals. Edits nothing and reads no file; how a change is written is the format's.

An edge is taken away only where the file declares what both jobs read and make, or where a person vouches for it. What
nobody vouches for is put as a question, with the words that would.
"""

from __future__ import annotations

import math

from stagebook.formats.changes import (
    KINDS,
    FailFast,
    Interruptible,
    Lock,
    MaxParallel,
    Needs,
    NeedsOnly,
    Split,
    Timeout,
)
from stagebook.graph import duty, findings
from stagebook.graph.coupling import listed
from stagebook.graph.shape import shape
from stagebook.model.pipeline import Timeouts
from stagebook.model.problem import InputError
from stagebook.model.value import NamedTuple
from stagebook.plan import splitting
from stagebook.plan.recommendation import Evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Mapping, Sequence

    from stagebook.formats.changes import Change
    from stagebook.graph.findings import Finding
    from stagebook.graph.traps import Cap
    from stagebook.model.pipeline import Pipeline, Stage

QUESTIONS_MAX = 5  #: orders that are asked about, those that would save most
#: A job that takes three times as long as ever is taken to hang; at least so many minutes, and in steps of so many.
SLACK, LEAST_MIN, STEP_MIN = 3, 5, 5
FALLBACK_MIN = 60  #: where a timeout is asked for and no duration is known
_DEFAULT = {"github": "360 min", "gitlab": "as long as the project allows, an hour by default"}
_SHARE = 0.8  #: of a provider's cap that one pipeline takes
_WORTH = 0.01
_QUEUED = "of several runs that wait, GitHub keeps the newest; `queue: max` in the group keeps all"
_PASSING = ("artifact", "output", "dotenv")


class Proposal(NamedTuple):
    """`ask`: the words that make it part of the patch, where it is none yet; empty: it is. `saves_s`, `costs_s`: of the
    longest path; None: unknown."""

    change: Change
    line: int
    why: str
    evidence: Evidence
    saves_s: float | None = None
    costs_s: float | None = None
    ask: str = ""
    price: str = ""  #: what it costs beside time

    @property
    def kind(self) -> str:
        return KINDS[type(self.change)]


class Asked(NamedTuple):
    """`accepted` are orders that a person says are none, `added` needs, both as (need, job); `settings` are (job, key,
    value). `timeout_min` is for all jobs without one; `setup_s` what each part of a split job repeats."""

    accepted: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str, str], ...] = ()
    timeout_min: int | None = None
    setup_s: float | None = None
    kinds: tuple[str, ...] = ()


class Known(NamedTuple):
    """`took_s` are seconds by stage id, of those that are known; `runs` how many runs stand behind them; `most_s` the
    longest that each ever took. `rounding` and `caps` are the provider's. `sayers` are jobs that say of all artifacts
    which they are given (GitLab's `dependencies`)."""

    took_s: Mapping[str, float] = {}
    most_s: Mapping[str, float] = {}
    runs: int = 0
    rounding: str | None = None
    caps: tuple[Cap, ...] = ()
    sayers: frozenset[str] = frozenset()
    setup_s: Mapping[str, float] = {}  #: by stage id, where steps are on record


def proposals(pipeline: Pipeline, found: Sequence[Finding], known: Known, asked: Asked) -> list[Proposal]:
    """What is recommended and what could be, in the order of the file within each kind. `found`: what `map` finds.
    InputError for what is asked for and cannot be."""
    return _Search(pipeline, found, known, asked).all()


def longest_s(pipeline: Pipeline, known: Known) -> float | None:
    """The longest path in seconds; None where no duration is known."""
    search = _Search(pipeline, (), known, Asked())
    return round(search._length(), 3) if known.took_s else None


def longest_after_s(before: Pipeline, after: Pipeline, known: Known, made: Sequence[Proposal]) -> float | None:
    """The same of the pipeline with these changes made; None also where one of them comes to nobody knows what."""
    took = dict(known.took_s)
    for each in made:
        if isinstance(each.change, Split):
            whole = _Search(before, (), known, Asked())._took(each.change.job)
            if whole is None or each.saves_s is None:
                return None
            took |= {stage.id: whole - each.saves_s for stage in after.stages if stage.name == each.change.job}
    return longest_s(after, known._replace(took_s=took))


class _Search:
    def __init__(self, pipeline: Pipeline, found: Sequence[Finding], known: Known, asked: Asked) -> None:
        self.pipeline = pipeline
        self.found = found
        self.known = known
        self.asked = asked
        self.jobs: dict[str, Stage] = {}
        for stage in pipeline.stages:
            if stage.job is not None:
                self.jobs.setdefault(stage.name, stage)
        self.needs: dict[str, list[str]] = {}
        names = {stage.id: stage.name for stage in pipeline.stages}
        for stage in pipeline.stages:
            own = self.needs.setdefault(stage.name, [])
            own += [need for need in dict.fromkeys(names[each] for each in stage.needs) if need not in own]
        self.outside = {names[id_] for id_ in findings.outside(pipeline)}
        self.outside |= {name for name, stage in self.jobs.items() if stage.job is not None and stage.job.environment}
        self.is_timed = bool(known.took_s)

    def all(self) -> list[Proposal]:
        found = [*self._asked_for(), *self._unread(), *self._unguarded()]
        found += [] if self.pipeline.missing else self._orders()
        found += [*self._timeouts(), *self._locks(), *self._wide(), *self._suites()]
        seen: set[tuple[type, Change]] = set()
        kept = []
        for each in found:
            if (type(each.change), each.change) not in seen and self._is_wanted(each):
                seen.add((type(each.change), each.change))
                kept.append(each)
        return sorted(kept, key=lambda each: bool(each.ask))

    def _is_wanted(self, proposal: Proposal) -> bool:
        return not self.asked.kinds or proposal.kind in self.asked.kinds

    # What a person asks for

    def _asked_for(self) -> Iterator[Proposal]:
        said = Evidence("accepted", 0, "you say so")
        for need, job in self.asked.added:
            self._known_jobs(f"--add '{need}→{job}'", need, job)
            if job in self._before(need) or job == need:
                raise InputError(f"--add '{need}→{job}' would be a cycle: {need} comes after {job}")
            costs, why, line = self._costs(job, [need]), f"{job} shall wait for {need}", self._line(job)
            price = self._skipping(job, [need])
            yield Proposal(Needs(job, (need,)), line, why, said, costs_s=costs, price=price)
        for job, key, value in self.asked.settings:
            self._known_jobs(f"--set {job}.{key}={value}", job)
            yield self._setting(job, key, value, said)

    def _setting(self, job: str, key: str, value: str, said: Evidence) -> Proposal:
        change: Change
        costs: float | None = None
        price = ""
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 7 else None
        if key in ("fail-fast", "interruptible") and value in ("true", "false"):
            change = FailFast(job, value == "true") if key == "fail-fast" else Interruptible(job, value == "true")
        elif key == "timeout":
            change = Timeout(job, minutes_of(value))
            most = max([self.known.most_s.get(cell, 0.0) for cell in self._cells(job)], default=0.0)
            price = f"a run on record took {most:.0f} s, which it would end" if most > change.minutes * 60 else ""
        elif key == "max-parallel" and number:
            change = MaxParallel(job, number)
            costs = self._costs_of_width(job, number)
        elif key == "concurrency" and value:
            change = Lock(job, value)
        elif key == "split" and number and number > 1:
            change = Split(job, number)
            saves, price = splitting.worth(
                self._took(job), self._setup(job), number, self.known.rounding, len(self._cells(job))
            )
            return Proposal(change, self._line(job), f"{job} in {number} parts", said, saves, price=price)
        else:
            raise InputError(
                f"--set {job}.{key}={value}: one of timeout=30m, fail-fast=true|false, max-parallel=N, "
                "concurrency=GROUP, interruptible=true|false, split=N (2 or more)"
            )
        why = f"{job}.{key} is to be {value}"
        return Proposal(change, self._line(job), why, said, costs_s=costs, price=price)

    def _known_jobs(self, option: str, *names: str) -> None:
        for name in names:
            if name not in self.jobs:
                raise InputError(f"{option}: {self.pipeline.file} has no job `{name}`")

    # Needs that are missing

    def _of(self, code: str) -> Iterator[tuple[Finding, list[str]]]:
        """Findings of that code, with the jobs that they are about."""
        names = {stage.id: stage.name for stage in self.pipeline.stages}
        for each in self.found:
            if each.code == code:
                yield each, list(dict.fromkeys(names[id_] for id_ in each.stages if names.get(id_) in self.jobs))

    def _unread(self) -> Iterator[Proposal]:
        """Artifacts that are read without waiting for the job that leaves them."""
        for each, (job, *makers) in self._of("early-artifact"):
            if makers and job in self._before(makers[0]):
                continue
            where = "" if each.file is None else f" of {each.file}"
            line = each.line if each.file is None else self._line(makers[0] if job not in self.jobs else job)
            said = Evidence("declared", 0, f"{job} names it on line {each.line}{where}")
            costs = self._costs(job, makers)
            if makers:
                price = self._skipping(job, makers)
                yield Proposal(Needs(job, tuple(makers)), line, each.message, said, costs_s=costs, price=price)

    def _unguarded(self) -> Iterator[Proposal]:
        """What acts outside before a test is over. What should guard what is a guess by names and commands: asked."""
        for each, (job, *tests) in self._of("missing-guard"):
            ask = " ".join([f"--add '{test}→{job}'" for test in tests])
            said = Evidence("none", 0, "told by names and commands alone")
            if tests:
                costs, price, change = self._costs(job, tests), self._skipping(job, tests), Needs(job, tuple(tests))
                yield Proposal(change, each.line, each.message, said, costs_s=costs, ask=ask, price=price)

    def _skipping(self, job: str, needs: Sequence[str]) -> str:
        """What a new need brings along on GitHub, where a skipped job skips those that need it."""
        stage = self.jobs[job]
        some = [need for need in needs if self.jobs[need].when is not None]
        if self.pipeline.format != "github" or stage.join == "done" or not some:
            return ""
        return f"where the condition of {some[0]} does not hold, {job} is skipped too"

    # Needs without a reason

    def _orders(self) -> list[Proposal]:
        accepted = set(self.asked.accepted)
        for need, job in sorted(accepted):
            self._known_jobs(f"--accept '{need}→{job}'", need, job)
            if need not in self._before(job):
                raise InputError(f"--accept '{need}→{job}': {job} does not wait for {need} as it stands")
            if (why := self._why_kept(need, job)) is not None:
                raise InputError(f"--accept '{need}→{job}' is not possible: {why}")
        found: list[Proposal] = []
        questions: list[Proposal] = []
        bare = self._bare()
        for name in self.jobs:
            declared = self._declared(name, bare)
            yes = [need for need in self._before(name) if (need, name) in accepted]
            if dropped := list(dict.fromkeys([*declared, *yes])):
                told = "you say so" if yes else "the file says what both read and make"
                found += self._without(name, dropped, Evidence("accepted" if yes else "declared", 0, told))
            asked = [need for need in self.needs[name] if bare.get((need, name)) == "none" and need not in yes]
            if asked:
                ask = " ".join([f"--accept '{need}→{name}'" for need in asked])
                said = Evidence("none", 0, "the file names nothing that passes, and does not say that nothing does")
                questions += [each._replace(ask=ask) for each in self._without(name, [*dropped, *asked], said)]
        questions = [each for each in questions if each.saves_s is None or each.saves_s > self._length() * _WORTH]
        questions.sort(key=lambda each: -(each.saves_s or 0))
        return [*found, *questions[:QUESTIONS_MAX]]

    def _why_kept(self, need: str, job: str) -> str | None:
        """Why nobody's word takes that order away; None if a person's does."""
        one, other = self.jobs[need], self.jobs[job]
        if _passes(one, other):
            return f"{job} is given what {need} leaves"
        acting = next((name for name in (job, need) if name in self.outside), None)
        return f"{acting} acts outside, and keeps its place" if acting is not None else None

    def _declared(self, name: str, bare: Mapping[tuple[str, str], str]) -> list[str]:
        """What a job waits for although the file says that nothing passes. Where it waits by the order of stages and
        says what it is given, that is true of all that lies before it."""
        stage = self.jobs[name]
        if stage.job is not None and stage.job.by_order and name in self.known.sayers:
            before = [need for need in self._before(name) if need in self.jobs]
            kept = {need for need in self.needs[name] if (need, name) not in bare}
            if any(need in self.jobs and not _passes(self.jobs[need], stage) for need in kept):
                return []  # it is about those, and so perhaps about all that comes before
            return [need for need in before if need not in kept and self._is_free(self.jobs[need], stage)]
        return [need for need in self.needs[name] if bare.get((need, name)) == "declared"]

    def _bare(self) -> dict[tuple[str, str], str]:
        """Edges by names for which nothing in the file speaks, and whether it declares that: `declared` or `none`."""
        names = {stage.id: stage.name for stage in self.pipeline.stages}
        stages = {stage.id: stage for stage in self.pipeline.stages}
        found: dict[tuple[str, str], str] = {}
        kept: set[tuple[str, str]] = set()
        for edge in findings.edges(self.pipeline):
            need, stage = stages[edge.need], stages[edge.stage]
            pair = (names[edge.need], names[edge.stage])
            if edge.reasons or edge.implied or not self._is_free(need, stage):
                kept.add(pair)
            else:
                found[pair] = "declared" if edge.said or self._declare(need, stage) else "none"
        return {pair: said for pair, said in found.items() if pair not in kept}

    def _is_free(self, need: Stage, stage: Stage) -> bool:
        if need.job is None or stage.job is None or need.name not in self.jobs or stage.name not in self.jobs:
            return False
        if {need.name, stage.name} & self.outside or stage.always or stage.when is not None:
            return False
        return not _passes(need, stage)

    def _declare(self, need: Stage, stage: Stage) -> bool:
        """Whether both jobs say what they make and read, as far as it passes between jobs."""
        if need.job is None or stage.job is None:
            return False
        if stage.name in self.known.sayers:
            return True
        made = [each for each in need.job.writes if each.kind in _PASSING]
        read = [each for each in stage.job.reads if each.kind in _PASSING]
        return bool(made and read) and not any(each.is_open for each in (*made, *read))

    def _without(self, name: str, dropped: Sequence[str], said: Evidence) -> list[Proposal]:
        """What a job needs without these, all that came before them kept."""
        stage = self.jobs[name]
        by_order = stage.job is not None and bool(stage.job.by_order)
        after = [need for need in self._before(name) if need not in dropped]
        left = [need for need in self.needs[name] if need not in dropped]
        change: Change
        if by_order:
            reached = {need for each in after for need in self._before(each)}
            kept = tuple([need for need in after if need not in reached and need in self.jobs])
            change = NeedsOnly(name, kept)
            why = f"{name} waits for all earlier stages, and for {listed(dropped)} without a reason"
        else:
            reached = {need for each in left for need in (each, *self._before(each))}
            lost = [need for need in after if need not in reached]
            over = {need for each in lost for need in self._before(each)}
            removed = tuple([need for need in dropped if need in self.needs[name]])
            change = Needs(name, tuple([need for need in lost if need not in over]), removed)
            why = f"{name} waits for {listed(dropped)}, and the file shows nothing that it gets from there"
            if said.source == "declared":
                why = f"nothing that {name} reads comes from {listed(dropped)}"
            if not change.remove:
                return []
        wanted = change.needs if isinstance(change, NeedsOnly) else (*left, *change.add)
        saves = self._gain(name, wanted)
        if self.is_timed and not saves and said.source == "declared":
            return []
        return [Proposal(change, self._line(name), why, said, saves)]

    # Limits

    def _timeouts(self) -> Iterator[Proposal]:
        """GitHub's are found by `map`. GitLab has one for the whole project, so there it is asked for or known."""
        is_asked = self.asked.timeout_min is not None or "timeout" in self.asked.kinds
        if self.pipeline.format == "github":
            names = [name for _, names in self._of("no-timeout") for name in names]
        else:
            names = [name for name, stage in self.jobs.items() if stage.command and stage.timeouts == Timeouts()]
        for name in names:
            why = f"{name} has no timeout: should it hang, it holds a runner for {_DEFAULT[self.pipeline.format]}"
            most = [self.known.most_s[cell] for cell in self._cells(name) if cell in self.known.most_s]
            if most:
                minutes = max(LEAST_MIN, math.ceil(SLACK * max(most) / 60 / STEP_MIN) * STEP_MIN)
                text = f"{SLACK} times the longest of {self.known.runs} runs on record, {max(most):.0f} s"
                said = Evidence("history", self.known.runs, text)
                yield Proposal(Timeout(name, minutes), self._line(name), why, said)
            elif self.pipeline.format == "github" or is_asked:
                said = Evidence("none", 0, "no run on record says how long it takes")
                minutes = self.asked.timeout_min or FALLBACK_MIN
                ask = "" if is_asked else f"--timeout {FALLBACK_MIN}m"
                yield Proposal(Timeout(name, minutes), self._line(name), why, said, ask=ask)

    def _locks(self) -> Iterator[Proposal]:
        """Deployments that two runs could do at once. A matrix would wait for itself, and lose what waits."""
        places = [stage.job.environment for stage in self.jobs.values() if stage.job is not None]
        for each, names in self._of("no-concurrency"):
            for name in names:
                job = self.jobs[name].job
                if job is None or name in self.pipeline.matrices:
                    continue
                group = duty.group_of(self.jobs[name], places)
                said = Evidence("declared", 0, each.why)
                price = _QUEUED if job.system == "github" else ""
                yield Proposal(Lock(name, group), self._line(name), each.message, said, price=price)

    def _wide(self) -> Iterator[Proposal]:
        """Matrices that ask for more runners than the provider gives."""
        for name, matrix in self.pipeline.matrices.items():
            if name not in self.jobs or self.pipeline.format != "github":
                continue
            width = min(len(matrix.cells), matrix.max_parallel or len(matrix.cells))
            fitting = [cap for cap in self.known.caps if width > cap.jobs and self._is_on(name, cap.labels)]
            if not fitting:
                continue
            cap = min(fitting, key=lambda one: one.jobs)
            why = f"{width} cells of {name} ask for more than {cap.of} runs at once ({cap.jobs})"
            said = Evidence("declared", 0, f"{_SHARE:.0%} of the cap; the rest is for other runs of the account")
            most = max(1, int(cap.jobs * _SHARE))
            costs = self._costs_of_width(name, most)
            yield Proposal(MaxParallel(name, most), self._line(name), why, said, costs_s=costs)

    def _is_on(self, name: str, labels: tuple[str, ...]) -> bool:
        """Whether all cells of a job are on such machines, and on none of the user's own."""
        for id_ in self._cells(name):
            job = next(stage.job for stage in self.pipeline.stages if stage.id == id_)
            runner = job.runner.lower() if job is not None else ""
            if "self-hosted" in runner:
                return False
            if labels and not any(each.strip().startswith(labels) for each in runner.split(",")):
                return False
        return True

    def _suites(self) -> Iterator[Proposal]:
        """Test jobs that rule how long a run takes and whose program can do a part."""
        if not self.is_timed:
            return
        for name, stage in self.jobs.items():
            took = self._took(name)
            if took is None or not splitting.is_splittable(stage):
                continue
            setup_s = self._setup(name)
            found = splitting.best(took, setup_s, self.known.rounding, len(self._cells(name)))
            if found is None:
                continue
            parts, saves, price = found
            saves = min(saves, self._gain_if(name, took - saves))
            if saves > _WORTH * self._length():
                text = f"{took:.0f} s in {self.known.runs} runs; each part repeats {setup_s:.0f} s of set-up"
                said = Evidence("history", self.known.runs, text)
                why = f"{name} is on the longest path, and its test program can do a part of the suite"
                line, ask = self._line(name), "--rename-ok"
                yield Proposal(Split(name, parts), line, why, said, saves, ask=ask, price=price)

    # Time

    def _cells(self, name: str) -> list[str]:
        return [stage.id for stage in self.pipeline.stages if stage.name == name]

    def _took(self, name: str) -> float | None:
        found = [self.known.took_s[cell] for cell in self._cells(name) if cell in self.known.took_s]
        return max(found) if found else None

    def _setup(self, name: str) -> float | None:
        """What each part of a job would repeat."""
        if self.asked.setup_s is not None:
            return self.asked.setup_s
        found = [self.known.setup_s[cell] for cell in self._cells(name) if cell in self.known.setup_s]
        return max(found) if found else None

    def _length(self, needs: Mapping[str, Sequence[str]] | None = None, took: Mapping[str, float] = {}) -> float:
        """The longest path in seconds, cells of a matrix as one."""
        needs = needs or self.needs
        at = {name: index for index, name in enumerate(self.needs)}
        lists = [[at[need] for need in needs[name] if need in at] for name in self.needs]
        return shape(lists, [took.get(name, self._took(name) or 0.0) for name in self.needs]).length

    def _gain(self, name: str, wanted: Sequence[str]) -> float | None:
        if not self.is_timed:
            return None
        return round(max(0.0, self._length() - self._length({**self.needs, name: list(wanted)})), 3)

    def _gain_if(self, name: str, took: float) -> float:
        return self._length() - self._length(took={name: took})

    def _costs(self, name: str, more: Sequence[str]) -> float | None:
        if not self.is_timed:
            return None
        wanted = list(dict.fromkeys([*self.needs[name], *more]))
        return round(max(0.0, self._length({**self.needs, name: wanted}) - self._length()), 3)

    def _costs_of_width(self, name: str, most: int) -> float | None:
        """What it costs to run no more cells of a job at once than that, each begun as soon as one has ended."""
        took = [self.known.took_s.get(cell) for cell in self._cells(name)]
        known = [each for each in took if each is not None]
        if not known or len(known) < len(took):
            return None
        ends = [0.0] * most
        for each in known:
            ends.sort()
            ends[0] += each
        return round(max(0.0, self._length(took={name: max(ends)}) - self._length()), 3)

    def _before(self, name: str) -> list[str]:
        """All that is over before a job begins, nearest first."""
        found: dict[str, None] = {}
        waiting = list(self.needs.get(name, ()))
        while waiting:
            need = waiting.pop(0)
            if need not in found:
                found[need] = None
                waiting += self.needs.get(need, ())
        return list(found)

    def _line(self, name: str) -> int:
        return self.jobs[name].line


def minutes_of(text: str) -> int:
    """Whole minutes of a duration such as `90m`, rounded up. InputError for what is none."""
    from stagebook.model.quantity import duration_ms

    try:
        ms = duration_ms(text)
    except ValueError as error:
        raise InputError(f"a timeout of `{text}`: {error}") from None
    if ms <= 0:
        raise InputError(f"a timeout of `{text}` is none")
    return math.ceil(ms / 60_000)


def _passes(need: Stage, stage: Stage) -> bool:
    """Whether something goes from one job to another, or may."""
    if need.job is None or stage.job is None:
        return True
    made = {(each.kind, each.name) for each in need.job.writes}
    for each in stage.job.reads:
        if (each.kind, each.name) in made:
            return True
        if each.is_open and any(kind == each.kind for kind, _ in made):
            return True
    return any(each.is_open and each.kind in {read.kind for read in stage.job.reads} for each in need.job.writes)
