"""What the page of a map says, as plain values for its script: words and places are chosen here.

Only the map of a neighbourhood is laid out by the script, as it is asked for. Every text of anybody's is made harmless
here.
"""

from __future__ import annotations

from stagebook.report.durations import NO_BREAK, span
from stagebook.report.export import map_nodes, map_picture, map_words
from stagebook.report.harmless import harmless
from stagebook.report.page import frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, TypeAlias

    from stagebook.report.export.map_nodes import Nodes

Document: TypeAlias = "Mapping[str, Any]"
Facts: TypeAlias = "dict[str, Any]"

_TEXT_MAX = 1000  #: characters of one text


def facts(document: Document) -> tuple[Facts, Nodes]:
    """What the script is given, and the folded nodes, of which the page lists levels without it."""
    found = map_nodes.nodes(document)
    is_large = len(document["stages"]) > map_nodes.DRAWN_MAX
    whole = map_nodes.nodes(document, folds=False) if len(found.nodes) < len(found.stages) and not is_large else None
    at = {stage["stage"]: index for index, stage in enumerate(found.stages)}
    marks = {stage: node.mark for node in found.nodes for stage in node.stages}
    return {
        "pipeline": _short(document["pipeline"]),
        "stages": [_stage(stage, marks[index]) for index, stage in enumerate(found.stages)],
        "edges": [
            [at[edge["from"]], at[edge["to"]], _short(map_words.why(edge)), edge.get("line")] for edge in found.edges
        ],
        "findings": [_finding(one, at) for one in map_nodes.findings(document)],
        "path": [at[stage] for stage in document["critical_path"]],
        "folded": _view(found),
        "open": None if whole is None else _view(whole),
        "is_large": is_large,
    }, found


def path(document: Document) -> list[tuple[str, float, str, str]]:
    """The critical path for its strip: name, seconds (1 each where none are known), figure, and `gate`, `needless`
    (the order after it has no reason) or empty."""
    by_id = {stage["stage"]: stage for stage in document["stages"]}
    needless = {(edge["from"], edge["to"]) for edge in document["edges"] if map_nodes.is_needless(edge)}
    chain = document["critical_path"]
    found = []
    for index, id in enumerate(chain):
        stage = by_id[id]
        figure = map_nodes.figure_of(stage)
        kind = "gate" if stage["kind"] == "gate" else "needless" if tuple(chain[index : index + 2]) in needless else ""
        found.append((_short(id), figure[0] if figure else 1.0, frame.spaced(figure[1]) if figure else "", kind))
    return found


def path_total(document: Document) -> str:
    total = document["critical_path_s"]
    if total is None:
        return "as many stages as it takes; no durations are known"
    has_gate = any(kind == "gate" for *_, kind in path(document))
    return span(total, NO_BREAK) + (", time at gates not counted" if has_gate else "")


def _short(text: str) -> str:
    return harmless(text)[:_TEXT_MAX]


def _stage(stage: Mapping[str, Any], mark: str) -> Facts:
    figure = map_nodes.figure_of(stage)
    kept: Facts = {
        "name": _short(stage["stage"]),
        "level": stage["level"],
        "kind": stage["kind"],
        "figure": "gate" if stage["kind"] == "gate" else frame.spaced(figure[1]) if figure else "",
        "told": [frame.spaced(text) for text in map_words.figures(stage)],
        "line": stage["line"],
    }
    for key in ("critical", "is_test", "outside", "group"):
        if stage.get(key):
            kept[key] = True if key != "group" else _short(stage[key])
    return kept | ({"mark": mark} if mark else {})


def _finding(one: Mapping[str, Any], at: Mapping[str, int]) -> Facts:
    return {
        "number": one["number"],
        "code": one["code"],
        "heading": map_words.heading(one),
        "stages": [at[id] for id in one["stages"]],
    }


def _view(found: Nodes) -> Facts:
    picture = map_picture.picture(found)
    return {
        "nodes": [
            {"x": box.x, "y": box.y, "w": box.width, "h": box.height, "lines": box.lines,
             "figure": frame.spaced(node.figure), "name": node.name, "stages": node.stages,
             "kind": node.kind, "mark": node.mark, "critical": node.critical}
            for node, box in zip(found.nodes, picture.boxes)
        ],
        "links": [
            [link.need, link.node, link.style, path, link.edges] for link, path in zip(found.links, picture.paths)
        ],
        "bands": [[band.x, band.width, band.label] for band in picture.bands],
        "badges": [[badge.number, badge.code, badge.x, badge.y, badge.paths, badge.label] for badge in picture.badges],
        "width": picture.width,
        "height": picture.height,
    }  # fmt: skip
