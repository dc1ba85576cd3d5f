"""The `map` document as fewer nodes for pictures that do not open: cells of a matrix as one, large levels as one."""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.report.map import named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


class Node(NamedTuple):
    """A stage, the cells of a matrix, or what is left of a level. `took_s` is the longest of them, None if unknown.
    `change`: `added`, `removed`, `changed` or empty."""

    name: str
    level: int
    kind: str
    took_s: float | None
    critical: bool
    numbers: tuple[int, ...]
    change: str


class Arrow(NamedTuple):
    """An edge between nodes, by number. `needless`: of a finding that is not minor. `via`: a path, or empty."""

    start: int
    end: int
    critical: bool
    needless: bool
    via: str
    change: str


class Folded(NamedTuple):
    nodes: list[Node]
    arrows: list[Arrow]


def fold(document: Mapping[str, Any], arrows_max: int | None, matrices: bool = True) -> Folded:
    """`arrows_max`: with more, only the critical path is left open, one node a level beside it. None: any number.
    `matrices`: cells become one node. With a difference, what was removed is there too."""
    first = _fold(document, matrices, False)
    if arrows_max is None or len(first.arrows) <= arrows_max:
        return first
    return _fold(document, matrices, True)


def _fold(document: Mapping[str, Any], matrices: bool, levels: bool) -> Folded:
    diff = document.get("diff")
    stages = list(document["stages"])
    change: dict[str, str] = {}
    if diff is not None:
        change.update(dict.fromkeys(diff["stages"]["added"], "added"))
        change.update((each["stage"], "changed") for each in diff["stages"]["changed"])
        change.update((each["stage"], "removed") for each in diff["stages"]["removed"])
        stages += diff["stages"]["removed"]
    marks: dict[str, list[int]] = {}
    for each in document["findings"]:
        for stage_id in () if each["minor"] else each["stages"]:
            marks.setdefault(stage_id, []).append(each["number"])
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for stage in stages:
        name = stage["stage"]
        key: tuple[Any, ...] = (name, stage["level"], change.get(name, ""))
        if levels and not stage["critical"]:
            key = ("", stage["level"], "")
        elif matrices and stage["matrix"] and not (levels and stage["critical"]):
            key = (name[: name.index("[")], stage["level"], change.get(name, ""), "matrix")
        groups.setdefault(key, []).append(stage)
    nodes = [_node(key, members, marks) for key, members in groups.items()]
    at = {stage["stage"]: number for number, members in enumerate(groups.values()) for stage in members}
    return Folded(nodes, _arrows(document, at))


def _node(key: tuple[Any, ...], members: list[Mapping[str, Any]], marks: Mapping[str, list[int]]) -> Node:
    took = [stage["took_s"] for stage in members if stage["took_s"] is not None]
    return Node(
        named(members)[0] if key[0] else f"{len(members)} more",
        key[1],
        members[0]["kind"],
        max(took, default=None),
        any(stage["critical"] for stage in members),
        tuple(sorted({number for stage in members for number in marks.get(stage["stage"], ())})),
        key[2],
    )


def _arrows(document: Mapping[str, Any], at: Mapping[str, int]) -> list[Arrow]:
    diff = document.get("diff")
    path = set(zip(document["critical_path"], document["critical_path"][1:]))
    minor = {each["number"] for each in document["findings"] if each["minor"]}
    edges = [(edge, "") for edge in document["edges"]]
    if diff is not None:
        added = {(edge["from"], edge["to"]) for edge in diff["edges"]["added"]}
        changed = {(edge["from"], edge["to"]) for edge in diff["edges"]["changed"]}
        edges = [
            (edge, "added" if pair in added else "changed" if pair in changed else "")
            for edge in document["edges"]
            for pair in [(edge["from"], edge["to"])]
        ]
        edges += [(edge, "removed") for edge in diff["edges"]["removed"]]
    found: dict[tuple[int, int, str], Arrow] = {}
    for edge, change in edges:
        start, end = at[edge["from"]], at[edge["to"]]
        if start == end:
            continue
        number = edge.get("finding")
        made = Arrow(
            start, end, (edge["from"], edge["to"]) in path, number is not None and number not in minor
            and not edge.get("implied"), edge.get("via", ""), change,
        )  # fmt: skip
        known = found.get((start, end, change))
        if known is not None:
            made = known._replace(critical=known.critical or made.critical, needless=known.needless and made.needless)
        found[start, end, change] = made
    return list(found.values())
