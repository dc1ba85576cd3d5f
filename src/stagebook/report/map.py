"""A pipeline's shape as the `map` document: stages by level, edges with their reasons, figures, findings. No pictures:
text, Mermaid, DOT, SVG and the page are made from this document elsewhere.
"""

from __future__ import annotations

from collections import Counter
from statistics import median

from stagebook.graph import steps, traps
from stagebook.graph.findings import Edge, Finding, judge
from stagebook.graph.intent import is_test, outside
from stagebook.graph.reach import WIDEST_MAX, alone, widest
from stagebook.graph.shape import Shape, shape
from stagebook.model.value import NamedTuple
from stagebook.report import grades
from stagebook.report.durations import plural, span
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Mapping, Sequence

    from stagebook.graph.difference import Difference
    from stagebook.model.pipeline import Pipeline, Stage, Step

_NOTHING: Mapping[str, Any] = {}
#: How a run's durations count in those that are kept beside the journals (record.durations).
WEIGHTED = "weighted, the newest most"


class _Figures(NamedTuple):
    """How long each stage takes, in milliseconds or, where `source` is None, as 1; and from where that is known."""

    took: list[float]
    origin: list[str | None]
    source: str | None


def document(
    pipeline: Pipeline,
    known: Mapping[str, int] = _NOTHING,
    asked: Mapping[str, Collection[str]] = _NOTHING,
    caps: Sequence[traps.Cap] = (),
    more: Sequence[Finding] = (),
    step_ms: Mapping[str, Sequence[float | None]] = _NOTHING,
    out: Collection[str] = (),
) -> dict[str, Any]:
    """The JSON of `map`, all of whose keys are described in docs/reference/json.md.

    `known`: milliseconds that stages took lately, by id; they go before those that the file declares. Where only some
    are known, the others count as their median; where none are, a stage counts as 1 and all in seconds is null. A gate
    without one takes no time. `asked`: for each stage the stages that its condition asks for. Of a CI system's file:
    `caps` are what its provider runs at once, `more` what was found in its text, `step_ms` what
    the steps of its jobs took lately, `out` the jobs that their conditions are known to keep from running: without a
    duration of their own they take no time.
    """
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    needs = [[at[need] for need in stage.needs] for stage in pipeline.stages]
    figures = _figures(pipeline, known, out)
    found = shape(needs, figures.took)
    is_known = figures.source is not None
    judged = judge(pipeline, asked, figures.took if is_known else None, found)
    made = [
        *judged.findings, *traps.find(pipeline, judged.edges, found, figures.took if is_known else None, caps), *more,
        *steps.findings(pipeline, step_ms, figures.took if is_known else None, found),
    ]  # fmt: skip
    made.sort(key=lambda each: each.minor)
    findings = [_finding(pipeline, number, each) for number, each in enumerate(made, 1)]
    numbers = {pair: number for number, each in enumerate(made, 1) for pair in each.edges}
    kinds = {stage.id: stage.kind for stage in pipeline.stages if stage.kind == "gate"}
    by_id = {stage.id: stage for stage in pipeline.stages}
    together = _widest(needs, found) if len(needs) <= WIDEST_MAX else None
    return {
        "pipeline": pipeline.name,
        "file": pipeline.file,
        "format": pipeline.format,
        "stages": [
            {**each, "steps": _steps(pipeline, stage, step_ms.get(stage.id))}
            for each, stage in zip(_stages(pipeline, found, figures, known, alone(needs)), pipeline.stages)
        ],
        "edges": [_edge(each, by_id[each.stage], kinds, numbers) for each in judged.edges],
        "width": found.width,
        "depth": found.depth,
        "widest": None
        if together is None
        else {
            "stages": len(together),
            "names": [pipeline.stages[each].id for each in together],
            "but_for": _kept_apart(pipeline, [pipeline.stages[each] for each in together]),
        },
        "sets": _sets(pipeline, found),
        "critical_path": [pipeline.stages[index].id for index in found.critical],
        "critical_path_s": found.length / 1000 if is_known else None,
        "needless_s": _needless_ms(needs, at, found, figures.took, made) / 1000 if is_known else None,
        "bounds": _bounds(pipeline, found, figures.took) if is_known else [],
        "sequential_s": sum(figures.took) / 1000 if is_known else None,
        "figures": {
            "source": figures.source,
            **{origin: figures.origin.count(origin) for origin in ("history", "declared", "others")},
        },
        "not_run": [stage.id for stage in pipeline.stages if stage.id in out and stage.id not in known],
        "missing": _missing(pipeline),
        "grades": grades.document(pipeline),
        "findings": findings,
        "unsaid": judged.unsaid,
        "notes": [*_file_notes(pipeline), *_notes(findings)],
    }


def _missing(pipeline: Pipeline) -> list[dict[str, Any]]:
    """`file` is None for the pipeline's own."""
    return [
        {
            "code": each.code,
            "line": each.line or None,
            "file": None if each.file == pipeline.file else each.file,
            "message": each.message,
        }
        for each in pipeline.missing
    ]


def _needless_ms(
    needs: list[list[int]], at: Mapping[str, int], found: Shape, took: list[float], findings: list[Finding]
) -> float:
    """What following all advice on needless order saves together: each such stage needs what its need needs, as that is
    by then, and what must come instead. What saves little alone is left out, as the pictures do."""
    some = [each for each in findings if each.code in ("needless-order", "stage-order") and not each.minor]
    dropped = {(at[first], at[second]) for each in some for first, second in each.edges}
    if not dropped:
        return 0.0
    instead: dict[int, list[int]] = {}
    for each in some:
        for first, second in each.instead:
            instead.setdefault(at[second], []).append(at[first])
    made = [list(each) for each in needs]
    for node in found.order:
        own: dict[int, None] = dict.fromkeys(instead.get(node, ()))
        for before in needs[node]:
            own.update(dict.fromkeys(made[before] if (before, node) in dropped else (before,)))
        made[node] = list(own)
    return max(0.0, found.length - shape(made, took).length)


def _bounds(pipeline: Pipeline, found: Shape, took: list[float]) -> list[dict[str, Any]]:
    """Pools and locks that make it longer than its longest path, the worst first: what all their users hold, over what
    there is, between the earliest of them and what must come after the last."""
    uses: dict[str, list[tuple[int, float]]] = {}
    for index, stage in enumerate(pipeline.stages):
        for name, units in stage.resources.pools.items():
            if name in pipeline.pools:
                uses.setdefault(f"pool {name}", []).append((index, units / pipeline.pools[name].size))
        for name, mode in stage.locks.items():
            if mode == "exclusive":
                uses.setdefault(f"lock {name}", []).append((index, 1.0))
    bounds = []
    for name, some in uses.items():
        held = sum([took[index] * share for index, share in some])
        head = min([found.earliest[index] for index, _ in some])
        tail = min([found.length - found.latest[index] - took[index] for index, _ in some])
        if head + held + tail > found.length:
            bounds.append({"what": name, "least_s": (head + held + tail) / 1000})
    return sorted(bounds, key=lambda each: -each["least_s"])


def in_bounds(found: Mapping[str, Any]) -> str:
    """What the worst of them makes of the least; empty where there is none."""
    worst = next(iter(found.get("bounds") or ()), None)
    return "" if worst is None else f"{harmless(worst['what'])} makes it at least {span(worst['least_s'])}"


def _widest(needs: list[list[int]], found: Shape) -> list[int]:
    """Of sets as large as any, a level where there is one."""
    together = widest(needs, found.order)
    if len(together) > found.width:
        return together
    levels: dict[int, list[int]] = {}
    for node, level in enumerate(found.level):
        levels.setdefault(level, []).append(node)
    return max((levels[level] for level in sorted(levels)), key=len, default=[])


def _kept_apart(pipeline: Pipeline, together: list[Stage]) -> list[str]:
    """What does not let all of them run at once although no order is in the way: locks, pools, limits of matrices."""
    exclusive: dict[str, int] = {}
    shared: dict[str, int] = {}
    units: dict[str, int] = {}
    cells: dict[str, int] = {}
    for stage in together:
        for name, mode in stage.locks.items():
            of_mode = exclusive if mode == "exclusive" else shared
            of_mode[name] = of_mode.get(name, 0) + 1
        for name, each in stage.resources.pools.items():
            units[name] = units.get(name, 0) + each
        if stage.cell is not None:
            cells[stage.name] = cells.get(stage.name, 0) + 1
    found = [f"lock {name}" for name, count in exclusive.items() if count + shared.get(name, 0) > 1]
    found += [f"pool {name}" for name, sum_of in units.items() if sum_of > pipeline.pools[name].size]
    limits = {name: matrix.max_parallel for name, matrix in pipeline.matrices.items()}
    return found + [f"matrix {name}" for name, count in cells.items() if count > (limits.get(name) or count)]


def _figures(pipeline: Pipeline, known: Mapping[str, int], out: Collection[str]) -> _Figures:
    said = [known.get(stage.id, stage.duration_ms) for stage in pipeline.stages]
    idle = [stage.kind == "gate" or stage.id in out for stage in pipeline.stages]
    sure = [each for each in said if each is not None]
    if not sure:
        return _Figures([1] * len(said), [None] * len(said), None)
    middle = median(sure)
    took: list[float] = []
    origin: list[str | None] = []
    for stage, each, is_idle in zip(pipeline.stages, said, idle):
        took.append(each if each is not None else 0 if is_idle else middle)
        origin.append(
            "history" if stage.id in known else "declared" if each is not None else None if is_idle else "others"
        )
    sources = {each for each in origin if each in ("history", "declared")}
    return _Figures(took, origin, sources.pop() if len(sources) == 1 else "mixed")


def _stages(
    pipeline: Pipeline, found: Shape, figures: _Figures, known: Mapping[str, int], is_alone: list[bool]
) -> list[dict[str, Any]]:
    path = frozenset(found.critical)
    acting = outside(pipeline)
    is_known = figures.source is not None
    return [
        {
            "stage": stage.id,
            "level": found.level[index],
            "needs": list(stage.needs),
            "line": stage.line,
            "kind": stage.kind,
            "condition": stage.when.text if stage.when is not None else None,
            "matrix": dict(stage.cell) if stage.cell else None,
            "group": stage.group,
            "duration_s": None if stage.duration_ms is None else stage.duration_ms / 1000,
            "known_s": known[stage.id] / 1000 if stage.id in known else None,
            "took_s": figures.took[index] / 1000 if is_known else None,
            "slack_s": found.slack[index] / 1000 if is_known else None,
            "slack": found.slack[index] if not is_known else None,
            "critical": index in path,
            "alone": is_alone[index],
            "is_test": stage.id not in acting and is_test(stage),
            "outside": acting.get(stage.id),
            "tolerance": _tolerance(stage),
            "ordering": stage.ordering,
            "mode": _mode(pipeline, stage, is_alone[index]),
        }
        for index, stage in enumerate(pipeline.stages)
    ]


def _steps(pipeline: Pipeline, stage: Stage, took: Sequence[float | None] | None) -> list[dict[str, Any]] | None:
    """Of a job of a CI system, or of a stage that works through items; None of any other. Steps count from 1."""
    job = stage.job
    if job is None:
        return None if stage.each is None else [_of_items(place, each) for place, each in enumerate(stage.each.steps)]
    reasons: dict[int, list[dict[str, Any]]] = {}
    for link in steps.links(job):
        if link.kind != "setup":
            reasons.setdefault(link.step, []).append({"from": link.need + 1, "kind": link.kind, "text": link.text})
    is_known = took is not None and len(took) == len(job.steps)
    return [
        {
            "step": place + 1,
            "name": each.name,
            "line": each.line or None,
            "file": _place(pipeline, each.file),
            "kind": each.kind,
            "setup": each.is_setup,
            "condition": each.condition,
            "needs": [need + 1 for need in each.after],
            "reasons": reasons.get(place, []),
            "took_s": took[place] / 1000 if is_known and took[place] is not None else None,  # type: ignore[index,operator]
        }
        for place, each in enumerate(job.steps)
    ]


def _of_items(place: int, step: Step) -> dict[str, Any]:
    return {
        "step": place + 1, "name": step.name, "line": step.line, "file": None, "kind": step.kind, "setup": False,
        "condition": None, "needs": [place] if place else [], "reasons": [], "took_s": None,
    }  # fmt: skip


def _tolerance(stage: Stage) -> str:
    """What it says of its own failure."""
    said = []
    if not stage.retry_safe:
        said.append("retry-safe: false")
    if stage.critical:
        said.append("critical")
    if stage.allow_failure:
        said.append("allow-failure")
    if stage.quarantine is not None:
        said.append(f"quarantine until {stage.quarantine.until}")
    if stage.retry.attempts > 1:
        said.append(f"{stage.retry.attempts} attempts")
    if stage.always:
        said.append("always")
    return ", ".join(said) or "fails the run"


def _mode(pipeline: Pipeline, stage: Stage, is_alone: bool) -> str:
    """`sequential`: nothing can run beside it, or it says that its order must stay."""
    if stage.ordering is not None or is_alone:
        return "sequential"
    for name, mode in stage.locks.items():
        if mode == "exclusive":
            return f"one at a time: lock {name}"
    for name, units in stage.resources.pools.items():
        if name in pipeline.pools and 2 * units > pipeline.pools[name].size:
            return f"one at a time: pool {name}"
    return "parallel"


def _edge(
    edge: Edge, stage: Stage, gates: Mapping[str, str], numbers: Mapping[tuple[str, str], int]
) -> dict[str, Any]:  # fmt: skip
    """`via` is the path over which a stage reads what another makes; `artifact` where that is all that joins them."""
    via = stage.via.get(edge.need)
    if edge.need in gates:
        kind = "gate"
    elif stage.job is not None:
        kind = "order" if edge.need in stage.job.by_order else "needs"
    else:
        kind = "needs" if via is None or edge.need in stage.declared else "artifact"
    made: dict[str, Any] = {"from": edge.need, "to": edge.stage, "kind": kind, "line": edge.line or None}
    if via is not None:
        made["via"] = via
    made["reasons"] = [{"kind": reason.kind, "text": reason.text} for reason in edge.reasons]
    made["implied"] = edge.implied
    made["finding"] = numbers.get((edge.need, edge.stage))
    return made


def _sets(pipeline: Pipeline, found: Shape) -> list[dict[str, Any]]:
    levels: list[list[str]] = [[] for _ in range(found.depth)]
    for index, stage in enumerate(pipeline.stages):
        levels[found.level[index]].append(stage.id)
    return [{"level": level, "stages": ids} for level, ids in enumerate(levels) if len(ids) > 1]


def _finding(pipeline: Pipeline, number: int, found: Finding) -> dict[str, Any]:
    return {
        "number": number,
        "code": found.code,
        "level": found.level,
        "line": found.line or None,
        "file": _place(pipeline, found.file),
        "message": _message(found),
        "fix": _fix(found),
        "stages": list(found.stages),
        "edges": [{"from": need, "to": stage} for need, stage in found.edges],
        "instead": [{"from": need, "to": stage} for need, stage in found.instead],
        "shared": found.shared,
        "saves_s": None if found.saves_ms is None else found.saves_ms / 1000,
        "costs_s": None if found.costs_ms is None else found.costs_ms / 1000,
        "evidence": found.evidence,
        "minor": found.minor,
    }


def _place(pipeline: Pipeline, file: str | None) -> str | None:
    """The path of a file that is named from the pipeline's root on."""
    return file if file is None or file.startswith("/") else f"{pipeline.folder}/{file}"


def _message(found: Finding) -> str:
    text = found.message
    if found.saves_ms:
        text += f"; would save {span(found.saves_ms / 1000)}"
    return f"{text}: {found.why}" if found.why else text


def _fix(found: Finding) -> str:
    if found.costs_ms is None:
        return found.fix
    if found.code == "split-steps":
        return f"{found.fix}; that costs {span(found.costs_ms / 1000)} more in all" if found.costs_ms else found.fix
    return f"{found.fix}, which costs {span(found.costs_ms / 1000) if found.costs_ms else 'nothing'}"


def _file_notes(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [
        {
            "code": note.code,
            "level": note.level,
            "line": note.line or None,
            "file": None if note.file == pipeline.file else note.file,
            "message": note.message,
        }
        for note in (*pipeline.problems, *pipeline.unbuilt)
    ]


def _notes(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: each[name] for name in ("code", "level", "line", "file", "message")} for each in findings]


def named(stages: Collection[Mapping[str, Any]]) -> list[str]:
    """Ids of stages for a sentence: the cells of a matrix as one."""
    found: dict[str, list[str]] = {}
    for stage in stages:
        name = stage["stage"]
        found.setdefault(name[: name.index("[")] if stage["matrix"] else name, []).append(name)
    return [ids[0] if len(ids) == 1 else f"{name} ×{len(ids)}" for name, ids in found.items()]


def minor_in_words(findings: Collection[Mapping[str, Any]]) -> str:
    """How many there are of what gains nothing; empty where none is such."""
    count = Counter(each["code"] for each in findings if each["minor"])
    said = [
        (count["needless-order"], "need", "without a reason in the file, saving little alone"),
        (count["implied-need"], "need", "that others imply"),
        (count["possible-coupling"], "pool", "shared at once"),
        (count["split-steps"], "job", "with steps that could be a job of their own"),
        (count["unread-artifact"], "artifact", "that no job reads"),
        (count["unread-cache"], "cache", "that no job reads"),
        (count["unwritten-cache"] + count["early-cache"], "cache", "that no job fills before it is restored"),
    ]
    return ", ".join(f"{plural(number, noun)} {what}" for number, noun, what in said if number)


def add_difference(made: dict[str, Any], base: Mapping[str, Any], name: str, found: Difference) -> None:
    """Puts into a document what differs from the document `base`, which is called `name`."""
    stages = {stage["stage"]: stage for stage in base["stages"]}
    edges = {(edge["from"], edge["to"]): edge for edge in base["edges"]}
    made["diff"] = {
        "base": name,
        "stages": {
            "added": found.added,
            "removed": [stages[each] for each in found.removed],
            "changed": [{"stage": stage, "what": what} for stage, what in found.changed],
        },
        "edges": {
            "added": [{"from": need, "to": stage} for need, stage in found.edges_added],
            "removed": [{key: edges[each][key] for key in ("from", "to", "kind")} for each in found.edges_removed],
            "changed": [{"from": need, "to": stage} for need, stage in found.turned],
        },
    }
