"""What the shape of a pipeline says against itself: order without a reason, coupling without order, a missing guard.
Pure.

An edge stands for a reason if the file gives one: what passes between two stages, what keeps them apart anyway, or a
word on why. Where the file is silent no reason is found either, which is said as such: `evidence` is `none`.
"""

from __future__ import annotations

import re

from stagebook.graph import coupling, guards
from stagebook.graph.intent import acts_outside, is_test, outside
from stagebook.graph.jobs import Given
from stagebook.graph.naming import Names
from stagebook.graph.reach import Reach
from stagebook.graph.shape import Shape, shape
from stagebook.graph.spare import savings
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterator, Mapping, Sequence, TypeAlias

    from stagebook.model.pipeline import Pipeline, Stage

    Asked: TypeAlias = "Mapping[str, Collection[str]]"

__all__ = [
    "Edge", "Finding", "Judgement", "Reason", "acts_outside", "edges", "findings", "is_test", "judge", "outside",
]  # fmt: skip

_NONE: Mapping[str, Collection[str]] = {}
MINOR_MAX = 200  #: findings of one kind that gain nothing; each edge has its reasons, so nothing is lost
_LITTLE, _LITTLE_MS = 0.01, 100  #: what saves no more, of the longest path or in all, is not worth a reader's time
_FEW = 3  #: jobs that are named of more
_RECOUNT_MAX = 200_000  #: stages gone through to say what edges save together
_PREPARES = frozenset(
    ("checkout", "clone", "setup", "install", "init", "prepare", "bootstrap", "deps", "dependencies", "fetch", "source",
     "sources", "origin")
)  # fmt: skip
_parts = re.compile("[^a-z]+")


class Reason(NamedTuple):
    """Why an edge stands. `kind`: `artifact`, `value` (an output's value, its items, or a condition on the stage),
    `named` (its command names what the need makes), `service`, `generated`, `lock`, `pool`, `stated` (`ordering:`),
    `gate`, `guard` (it leads from a test to what acts outside), `outside` (an end of it acts outside, where no file
    shows what follows from it), `called` (an end of it calls what could not be read), `always` (clean-up), `split`
    (parts of one suite). `text` says which: a path, a name, the reason in the file."""

    kind: str
    text: str


class Edge(NamedTuple):
    """`line` is where the need stands. No reasons: needless as far as the file says.

    `implied`: other needs lead there too, so leaving it out changes nothing; None where that was not looked for.
    `said`: the need declares what it makes and the stage what it reads, so that no reason means something.
    """

    need: str
    stage: str
    line: int
    reasons: tuple[Reason, ...]
    implied: bool | None = False
    said: bool = False


class Finding(NamedTuple):
    """`code`: `needless-order`, `implied-need`, `possible-coupling` or `missing-guard`. `level`: `error`, `warning` or
    `note`. `stages`: those it is about; of a missing guard the unguarded one first, then what it should wait for.
    `edges`: needs it is about, as (need, stage); `instead`: those that must come in their place, so that no guard is
    lost. `shared`: what stages share. `saves_ms`: of needless order, what leaving it out saves; `costs_ms`: of a
    missing guard, what waiting costs; None where no duration is known. `evidence`: of needless order, `declared` or
    `none`. `minor`: nothing is gained or lost by it as it stands. `file`: where its line is,
    from the pipeline's root on, if not in the pipeline's own file."""

    code: str
    level: str
    line: int
    message: str
    stages: tuple[str, ...]
    why: str = ""
    fix: str = ""
    shared: str | None = None
    saves_ms: float | None = None
    costs_ms: float | None = None
    evidence: str | None = None
    edges: tuple[tuple[str, str], ...] = ()
    instead: tuple[tuple[str, str], ...] = ()
    minor: bool = False
    file: str | None = None


class Judgement(NamedTuple):
    """`unsaid`: what was not looked for, as it would have taken too long."""

    edges: list[Edge]
    findings: list[Finding]
    unsaid: list[str]


class _Ground:
    """What all questions about one pipeline stand on."""

    __slots__ = ("asked", "at", "found", "given", "names", "needs", "outside", "pipeline", "reach", "took")

    def __init__(self, pipeline: Pipeline, asked: Asked, took: Sequence[float] | None, found: Shape | None) -> None:
        self.pipeline = pipeline
        self.asked = asked
        self.at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
        self.needs = [[self.at[need] for need in stage.needs] for stage in pipeline.stages]
        self.took = took
        self.found = shape(self.needs, took) if found is None else found
        self.reach = Reach(self.needs, self.found.level)
        self.outside = outside(pipeline)
        self.names = Names()
        self.given = Given()


def edges(pipeline: Pipeline, asked: Asked = _NONE) -> list[Edge]:
    """Every need with the reasons that the file gives for it, stage by stage in the order of the file.

    `asked`: for each stage the stages that its condition asks for (`condition.asked`), which the graph cannot read.
    """
    return list(_edges(_Ground(pipeline, asked, None, None)))


def findings(pipeline: Pipeline, asked: Asked = _NONE, took: Sequence[float] | None = None) -> list[Finding]:
    """What `judge` finds. `took`: milliseconds of each stage; None: unknown."""
    return judge(pipeline, asked, took).findings


def judge(
    pipeline: Pipeline,
    asked: Asked = _NONE,
    took: Sequence[float] | None = None,
    found: Shape | None = None,
) -> Judgement:
    """Edges and findings: needless order (those that would save most first), coupling, missing guards, implied needs.

    `found` is the shape of the pipeline with the durations `took`, where it is known. Costs O(n log n), but for what
    is looked for up to a budget.
    """
    ground = _Ground(pipeline, asked, took, found)
    all_edges = list(_edges(ground))
    unsaid: list[str] = []
    made: list[Finding] = []
    if pipeline.missing and pipeline.format != "github":  # there a job that calls one says so itself
        unsaid.append(f"order without a reason: {missing_words(pipeline)}, and a reason may be there")
    else:
        made += _needless(ground, all_edges, unsaid)
    shared, too_many = coupling.find(pipeline, ground.needs, ground.found.order, ground.reach)
    made += [_coupled(pipeline, each) for each in shared]
    unsaid += too_many
    open_guards, too_many = guards.missing(pipeline, ground.needs, ground.found.order, ground.outside)
    made += [_unguarded(ground, each) for each in open_guards]
    unsaid += too_many
    made += _implied(all_edges, unsaid)
    made.sort(key=lambda each: each.minor)
    if any(edge.implied is None for edge in all_edges):
        unsaid.append("which needs others imply, beyond the first of them: the graph is too large to look through")
    return Judgement(all_edges, made, unsaid)


# Edges


def _edges(ground: _Ground) -> Iterator[Edge]:
    stages = ground.pipeline.stages
    for index, stage in enumerate(stages):
        implied = ground.reach.implied(index) if len(stage.needs) > 1 else {}
        lines = stage.need_lines if len(stage.need_lines) == len(stage.needs) else (stage.line,) * len(stage.needs)
        rest = _farther(ground, stage)
        for at, need, line in zip(ground.needs[index], stage.needs, lines):
            reasons = (*_reasons(ground, stages[at], stage), *(_over(ground, rest, at) if rest else ()))
            said = bool(stage.inputs and stages[at].outputs)
            yield Edge(need, stage.id, line, reasons, implied.get(at, False), said)


def _reasons(ground: _Ground, need: Stage, stage: Stage) -> Iterator[Reason]:
    if need.id in stage.via:
        yield Reason("artifact", stage.via[need.id])
    for of in (stage.env_from, stage.cmd_from):
        for name, output in of.items():
            if output.stage == need.id:
                yield Reason("value", f"output {output.name}" + (f" as {name}" if of is stage.env_from else ""))
    if stage.each is not None and stage.each.items.kind in ("lines", "json") and stage.each.items.text == need.id:
        yield Reason("value", f"its items are what {need.id} prints")
    if need.id not in stage.via and (path := ground.names.of(need, stage)) is not None:
        yield Reason("named", path)
    if stage.job is not None:
        yield from (Reason(*each) for each in ground.given.reasons(need, stage))
    if need.id in ground.asked.get(stage.id, ()):
        yield Reason("value", "its condition asks for it")
    if need.kind == "service":
        yield Reason("service", need.id)
    if need.kind == "generate":
        yield Reason("generated", f"waits for all that {need.id} generates")
    if stage.kind == "generate":
        yield Reason("generated", f"what {stage.id} generates may read what {need.id} makes")
    kept = coupling.kept_apart(ground.pipeline, need, stage)
    if kept is not None:
        yield Reason(*kept)
    if stage.ordering is not None:
        yield Reason("stated", stage.ordering)
    if need.kind == "gate":
        yield Reason("gate", f"waits for gate {need.id}")
    elif stage.kind == "gate":
        yield Reason("gate", f"is asked after {need.id}")
    if stage.id in ground.outside:
        if is_test(need):
            yield Reason("guard", f"{need.id} before {stage.id} ({ground.outside[stage.id]})")
        else:
            yield Reason("outside", f"{stage.id}: {ground.outside[stage.id]}")
    elif need.id in ground.outside:
        yield Reason("outside", f"{need.id}: {ground.outside[need.id]}")
    if stage.always:
        yield Reason("always", "clean-up")
    if need.split is not None and stage.split is not None and need.split.suite == stage.split.suite:
        yield Reason("split", need.split.suite)


def _farther(ground: _Ground, stage: Stage) -> list[int]:
    """Stages that it is given something of, or asks for, without needing them itself: its needs lead there."""
    asked = ground.asked.get(stage.id, ())
    if not asked and not stage.env_from and not stage.cmd_from:
        return []
    named = {of.stage for of in (*stage.env_from.values(), *stage.cmd_from.values())} | set(asked)
    return [ground.at[name] for name in sorted(named.difference(stage.needs)) if name in ground.at]


def _over(ground: _Ground, rest: list[int], need: int) -> Iterator[Reason]:
    for other in rest:
        if ground.reach.before(other, need) is not False:
            yield Reason("value", f"leads to {ground.pipeline.stages[other].id}, which it asks for")


# Findings


def _needless(ground: _Ground, all_edges: list[Edge], unsaid: list[str]) -> list[Finding]:
    """One for each pair of names: the cells of a matrix have the same needs, and are needed alike. Of jobs of a CI
    system one for each job that others wait for: there it is mostly one decision."""
    bare = [
        edge for edge in all_edges
        if not edge.reasons and edge.implied is not True and not _by_order(ground, edge) and not _prepares(ground, edge)
    ]  # fmt: skip
    if not bare:
        return []
    durations: Sequence[float] = [1] * len(ground.needs) if ground.took is None else ground.took
    saved = savings(ground.needs, durations, ground.found)
    keeper = guards.Keeper(ground.pipeline, ground.needs, ground.at, ground.outside)
    groups: dict[tuple[str, str], list[Edge]] = {}
    for edge in bare:
        is_job = ground.pipeline.stages[ground.at[edge.stage]].job is not None
        key = (_name(ground, edge.need), "" if is_job else _name(ground, edge.stage))
        groups.setdefault(key, []).append(edge)
    left = _RECOUNT_MAX
    found: list[tuple[float, Finding]] = []
    minor = 0
    for members in groups.values():
        pairs = [(ground.at[edge.need], ground.at[edge.stage]) for edge in members]
        worth = 0.0
        if any(pair in saved for pair in pairs):
            if len(pairs) == 1:
                worth = saved[pairs[0]]
            elif left > 0:
                left -= len(ground.needs)
                worth = ground.found.length - _without(ground.needs, durations, pairs)
        instead: tuple[tuple[str, str], ...] = ()
        if worth > 0:
            instead = tuple(lost for edge in members for lost in keeper.lost(edge.need, edge.stage))
            for test, stage in instead:
                ended = ground.found.earliest[ground.at[test]] + durations[ground.at[test]]
                worth = max(0.0, min(worth, ground.found.latest[ground.at[stage]] - ended))
        minor += _is_little(ground, worth)
        if not _is_little(ground, worth) or minor <= MINOR_MAX:
            found.append((worth, _needless_order(ground, members, worth, instead)))
    if minor > MINOR_MAX:
        unsaid.append(f"{minor - MINOR_MAX} more needs without a reason that save little by themselves are not listed")
    found.sort(key=lambda pair: (-pair[0], pair[1].evidence != "declared", pair[1].line, pair[1].stages))
    return [each for _, each in found]


def _by_order(ground: _Ground, edge: Edge) -> bool:
    """An order of GitLab's stages is one decision, not one an edge: `traps.order` has a word on it."""
    job = ground.pipeline.stages[ground.at[edge.stage]].job
    return job is not None and edge.need in job.by_order


def missing_words(pipeline: Pipeline) -> str:
    """`2 files that it includes could not be read`."""
    return lacking_words([each.code for each in pipeline.missing], "it includes")


def lacking_words(codes: Sequence[str], which: str) -> str:
    """Of the codes of `Pipeline.missing`: what else than files it lacks is said only where no file is missing."""
    files = [each for each in codes if each in ("include", "missing-workflow")]
    count, end = len(files or codes), "s" if len(files or codes) > 1 else ""
    if files:
        return f"{count} file{end} that {which} could not be read"
    return f"{count} thing{end} that it refers to {'are' if end else 'is'} not in the file"


def _is_little(ground: _Ground, worth: float) -> bool:
    return worth <= _LITTLE * ground.found.length or (ground.took is not None and worth < _LITTLE_MS)


def _name(ground: _Ground, stage_id: str) -> str:
    stage = ground.pipeline.stages[ground.at[stage_id]]
    return stage.id if stage.cell is None else stage.name


def _without(needs: Sequence[Sequence[int]], durations: Sequence[float], pairs: list[tuple[int, int]]) -> float:
    """The longest path where each of these stages needs what its need needs instead."""
    others: list[Sequence[int]] = list(needs)
    for need, stage in pairs:
        others[stage] = list(dict.fromkeys([each for each in others[stage] if each != need] + list(needs[need])))
    return shape(others, durations).length


def _prepares(ground: _Ground, edge: Edge) -> bool:
    """The first stages set up what all others work in, and are needed by them without a word of files."""
    need = ground.pipeline.stages[ground.at[edge.need]]
    if edge.said or need.outputs or not _sets_up(need.name):
        return False
    return all(_sets_up(ground.pipeline.stages[ground.at[each]].name) for each in need.needs)


def _sets_up(name: str) -> bool:
    return not _PREPARES.isdisjoint(_parts.split(name.lower()))


def _needless_order(
    ground: _Ground, members: list[Edge], worth: float, instead: tuple[tuple[str, str], ...]
) -> Finding:
    edge = members[0]
    has_needs = bool(ground.pipeline.stages[ground.at[edge.need]].needs)
    needs = list(dict.fromkeys(each.need for each in members))
    stages = list(dict.fromkeys(each.stage for each in members))
    by_id = [[ground.pipeline.stages[ground.at[each]] for each in ids] for ids in (needs, stages)]
    need, stage = coupling.named(by_id[0])[0], coupling.named(by_id[1])[0]
    said = all(each.said for each in members)
    is_job = by_id[1][0].job is not None
    if said:
        why = f"{stage} reads nothing that {need} makes, and nothing else in the file joins them"
    elif is_job:
        why = "no artifact, output or cache passes between them"
    else:
        why = "no input, output, value, service, lock or reason in the file joins them"
    waits = "waits"
    its = "its"
    if is_job and len(names := coupling.named(by_id[1])) > 1:
        stage, waits, its = coupling.listed(names[:_FEW], max(0, len(names) - _FEW)), "wait", "their"
    fix = f"let {stage} need what {need} needs instead" if has_needs else f"take {need} out of {its} needs"
    if instead:
        fix += "; " + ", ".join(f"{late} then has to need {test} itself" for test, late in instead[:3])
    if is_job:
        fix += ", unless the wait is to spare runs after a failure"
    elif not said:
        fix = f"say what passes between them (inputs, outputs, ordering), or {fix}"
    return Finding(
        "needless-order",
        "warning" if said and worth > 0 else "note",
        edge.line,
        f"{stage} {waits} for {need} without a reason in the file" if is_job else f"no evidence for {need} → {stage}",
        (*needs, *stages),
        why,
        fix,
        saves_ms=worth if ground.took is not None else None,
        evidence="declared" if said else "none",
        edges=tuple((each.need, each.stage) for each in members),
        instead=instead,
        minor=_is_little(ground, worth),
    )


def _implied(all_edges: list[Edge], unsaid: list[str]) -> Iterator[Finding]:
    count = 0
    for edge in all_edges:
        if edge.implied and not edge.reasons:
            count += 1
            if count > MINOR_MAX:
                continue
            why = f"the other needs of {edge.stage} lead to {edge.need} too"
            said = f"{edge.need} → {edge.stage} is implied"
            both = (edge.need, edge.stage)
            yield Finding(
                "implied-need", "note", edge.line, said, both, why, "it may be left out", edges=(both,), minor=True
            )
    if count > MINOR_MAX:
        unsaid.append(f"{count - MINOR_MAX} more needs that others imply are not listed")


def _coupled(pipeline: Pipeline, found: coupling.Shared) -> Finding:
    stages = [pipeline.stages[index] for index in found.stages]
    names = coupling.named(stages)
    joined = " ↔ ".join(names) if len(names) <= 3 else coupling.listed(names)
    who = "its cells" if len(names) == 1 else "both" if len(names) == 2 else "all"
    return Finding(
        "possible-coupling",
        found.level,
        max(stage.line for stage in stages),
        found.message or f"{joined}: {who} {found.verb} {found.what}, and may do so at once",
        tuple(stage.id for stage in stages),
        fix=found.fix,
        shared=found.what,
        minor=found.level == "note",
    )


def _unguarded(ground: _Ground, found: guards.Open) -> Finding:
    stages = ground.pipeline.stages
    this, tests, rest = stages[found.stage], found.guards, found.total - len(found.guards)
    names = coupling.named([stages[test] for test in tests])
    gates = [stages[test] for test in tests if stages[test].kind == "gate"]
    if len(gates) == len(tests):
        ends = "is answered" if len(gates) == 1 else "are answered"
    else:
        ends = "ends" if found.total == 1 else "end"
    fix = f"let {this.id} need {'it' if len(names) == 1 else 'them'}"
    costs = None
    if ground.took is not None and not rest:
        ended = max(ground.found.earliest[test] + ground.took[test] for test in tests)
        costs = max(0.0, ended - ground.found.latest[found.stage])
    return Finding(
        "missing-guard",
        "error" if this.job is None else "note" if found.waits else "warning",
        this.line,
        f"{this.id} can start before {coupling.listed(names, rest)} {ends}",
        (this.id, *(stages[test].id for test in tests)),
        f"it acts outside ({ground.outside[this.id]})",
        fix,
        costs_ms=costs,
    )
