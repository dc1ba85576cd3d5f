"""A pipeline's shape as the `map` document, and that document as text: levels, critical path, slack, needs.

Pictures of other kinds come later; they take the same document.
"""

from __future__ import annotations

from statistics import median

from stagebook.graph.shape import shape
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.value import NamedTuple
from stagebook.report.durations import plural, span
from stagebook.report.harmless import cells, harmless, pad, wrap
from stagebook.report.rows import matrix_of
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Iterable, Mapping

_NEEDS_MIN = 16
STAGES_MAX = 200  #: with more, levels fold


def document(pipeline: Pipeline) -> dict[str, Any]:
    """The JSON of `map`; `…_s`, `slack_s`, `critical` and what sums them up are added to the door's keys.

    Durations are those the file declares. Where only some are declared, the others count as their median; where none
    are, a stage counts as 1 and `critical_path_s` and slack are null. A gate without one takes no time.
    """
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    needs = [[at[need] for need in stage.needs] for stage in pipeline.stages]
    declared = [stage.duration_ms for stage in pipeline.stages if stage.duration_ms is not None]
    middle = median(declared) if declared else 1
    took = [_duration(stage, middle if stage.kind != "gate" or not declared else 0) for stage in pipeline.stages]
    found = shape(needs, took)
    path = frozenset(found.critical)
    stages = [
        {
            "stage": stage.id,
            "level": found.level[index],
            "needs": list(stage.needs),
            "line": stage.line,
            "kind": stage.kind,
            "condition": stage.when.text if stage.when is not None else None,
            "matrix": dict(stage.cell) if stage.cell else None,
            "duration_s": None if stage.duration_ms is None else stage.duration_ms / 1000,
            "slack_s": found.slack[index] / 1000 if declared else None,
            "slack": found.slack[index] if not declared else None,
            "critical": index in path,
        }
        for index, stage in enumerate(pipeline.stages)
    ]
    gates = {stage.id for stage in pipeline.stages if stage.kind == "gate"}
    return {
        "pipeline": pipeline.name,
        "format": pipeline.format,
        "stages": stages,
        "edges": [_edge(stage, need, gates) for stage in pipeline.stages for need in stage.needs],
        "width": found.width,
        "depth": found.depth,
        "critical_path": [pipeline.stages[index].id for index in found.critical],
        "critical_path_s": found.length / 1000 if declared else None,
        "sequential_s": sum(took) / 1000 if declared else None,
        "notes": [
            {"code": note.code, "level": note.level, "line": note.line or None, "message": note.message}
            for note in (*pipeline.problems, *pipeline.unbuilt)
        ],
    }


def _edge(stage: Stage, need: str, gates: Collection[str]) -> dict[str, Any]:
    """`via` is the path over which a stage reads what another makes; `artifact` where that is all that joins them."""
    via = stage.via.get(need)
    kind = "gate" if need in gates else "needs" if via is None or need in stage.declared else "artifact"
    edge: dict[str, Any] = {"from": need, "to": stage.id, "kind": kind}
    if via is not None:
        edge["via"] = via
    return edge


def _duration(stage: Stage, otherwise: float) -> float:
    return otherwise if stage.duration_ms is None else stage.duration_ms


class _Line(NamedTuple):
    """One row: a stage, a folded matrix, or the rest of a level."""

    level: int
    name: str
    critical: bool
    duration: str
    slack: str
    needs: str


def render(map_document: Mapping[str, Any], style: Style, *, is_open: bool = False) -> list[str]:
    """The map as text. `is_open`: nothing is folded, neither the cells of a matrix nor large levels."""
    stages = map_document["stages"]
    name = style.plain(harmless(map_document["pipeline"]))
    lines = wrap(
        f"{name}  {plural(len(stages), 'stage')}, {plural(len(map_document['edges']), 'edge')},"
        f" {plural(map_document['depth'], 'level')}, at most {map_document['width']} at once",
        style.width - 1,
    )
    lines += wrap(_second_line(map_document), style.width - 1)
    if not stages:
        return lines
    rows = [
        _Line(row.level, style.plain(row.name), row.critical, *map(style.plain, row[3:]))
        for row in _rows(map_document, is_open)
    ]
    return [*lines, "", *_table(rows, style)]


def _second_line(found: Mapping[str, Any]) -> str:
    if found["sequential_s"] is None:
        chain = len(found["critical_path"])
        return f"no durations declared; the longest chain has {plural(chain, 'stage')}"
    text = f"sequential {span(found['sequential_s'])}, least possible {span(found['critical_path_s'])}"
    missing = sum(stage["duration_s"] is None and stage["kind"] != "gate" for stage in found["stages"])
    if missing:
        text += f"; {missing} without a declared duration taken as the median of the others"
    return text


def _rows(found: Mapping[str, Any], is_open: bool) -> Iterable[_Line]:
    stages = found["stages"]
    groups: dict[tuple[int, str, bool], list[Mapping[str, Any]]] = {}
    is_large = len(stages) > STAGES_MAX and not is_open
    for stage in stages:
        matrix = "" if is_open else matrix_of(stage["stage"])
        key = (stage["level"], matrix or stage["stage"], bool(matrix))
        if is_large and not stage["critical"]:
            key = (stage["level"], "", False)
        groups.setdefault(key, []).append(stage)
    order = {key: index for index, key in enumerate(groups)}
    via = {(edge["from"], edge["to"]): edge["via"] for edge in found["edges"] if "via" in edge}
    for key in sorted(groups, key=lambda one: (one[0], not any(s["critical"] for s in groups[one]), order[one])):
        yield _line(key[0], key[1], key[2], groups[key], found, via)


def _line(
    level: int,
    name: str,
    is_matrix: bool,
    members: list[Mapping[str, Any]],
    found: Mapping[str, Any],
    via: Mapping[tuple[str, str], str],
) -> _Line:
    durations = [stage["duration_s"] for stage in members if stage["duration_s"] is not None]
    slack = min(stage["slack_s"] if stage["slack_s"] is not None else stage["slack"] for stage in members)
    needed: dict[tuple[str, str | None], dict[str, None]] = {}
    for stage in members:
        for need in stage["needs"]:
            needed.setdefault((matrix_of(need) or need, via.get((need, stage["stage"]))), {})[need] = None
    needs = []
    for (of, path), some in needed.items():
        need = harmless(of if len(some) > 1 else next(iter(some)))
        needs.append(need if path is None else f"{need} via {harmless(path)}")
    shown = harmless(name)
    if not name:
        shown, needs = f"{len(members)} more ▸", []
    elif is_matrix and len(members) == 1:
        shown = harmless(members[0]["stage"])
    elif is_matrix:
        shown = f"{shown} ×{len(members)} ▸"
    elif members[0]["kind"] not in ("run", "cmd", "python") and not durations:
        durations = []
    kind = members[0]["kind"]
    duration = span(max(durations)) if durations else "gate" if kind == "gate" else "–"
    if found["sequential_s"] is None:
        slack_text = plural(int(slack), "stage") if slack else "–"
    else:
        slack_text = span(slack) if slack else "–"
    return _Line(
        level, shown, any(stage["critical"] for stage in members), duration, slack_text,
        ", ".join(needs),
    )  # fmt: skip


class _Columns:
    """Where the columns of the table begin. Where there is no room beside them, needs have lines of their own."""

    __slots__ = ("duration", "needs", "needs_room", "slack", "width")

    def __init__(self, rows: list[_Line], style: Style) -> None:
        self.width = style.width - 1
        figures = 20 if any(row.duration != style.mark("nothing") for row in rows) else 10
        room = self.width - 8 - figures
        widest = max(cells(row.name) for row in rows) + 4
        is_narrow = room < 24 + _NEEDS_MIN
        name = room if is_narrow else max(24, min(widest, room - _NEEDS_MIN))
        self.duration = 8 + name
        self.slack = self.duration + figures - 10
        self.needs = 11 if is_narrow else self.slack + 10
        self.needs_room = self.width - self.needs

    def lines(self, head: str, row: _Line) -> list[str]:
        """One row: `head` is level, mark and name."""
        lines: list[str] = []
        if cells(head) + 2 > self.duration:  # a name is never cut: it takes lines of its own
            first, *rest = wrap(head[10:].lstrip(" "), self.width - 11)
            lines = [head[:10] + first, *(" " * 11 + part for part in rest)]
            head = ""
        text = pad(head, self.duration)
        if self.slack > self.duration:
            text += pad(row.duration, 10)
        text += pad(row.slack, 10)
        needs = wrap(row.needs, self.needs_room) if row.needs else []
        if self.needs >= self.slack + 10:
            text += needs.pop(0) if needs else ""
        return [*lines, text.rstrip(), *(" " * self.needs + part for part in needs)]


def _table(rows: list[_Line], style: Style) -> list[str]:
    columns = _Columns(rows, style)
    title = "level   " + pad("stage", columns.duration - 8)
    if columns.slack > columns.duration:
        title += pad("duration", 10)
    title += pad("slack", 10) + ("needs" if columns.needs > columns.slack else "")
    lines = [title.rstrip()]
    critical = [index for index, row in enumerate(rows) if row.critical]
    first, last = (critical[0], critical[-1]) if critical else (-1, -1)
    level = -1
    for index, row in enumerate(rows):
        number = f"{row.level:>5}" if row.level != level else " " * 5
        level = row.level
        if row.critical:
            mark = "path-first" if index == first else "path-last" if index == last else "path"
            text = f"{number}   {style.mark(mark)} {row.name}"
        else:
            text = f"{number}   {style.mark('path-past') if first < index < last else ' '}  {row.name}"
        found = columns.lines(text, row)
        lines += [style.paint(line, "bold") if row.critical else line for line in found]
    if critical:
        legend = f"{style.mark('path-past')} critical path"
        if any(row.name.endswith(style.mark("folded")) for row in rows):
            legend += f"   {style.mark('folded')} folded, -v opens"
        lines += ["", legend]
    return lines
