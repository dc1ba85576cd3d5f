"""What of a map document is drawn: nodes that stand for one stage or several, links between them. No places, no text
beyond names.

Cells of a matrix are one node a level. What has more than `NODES_MAX` nodes is folded further, by groups, by stages
that have the same neighbours, by levels, and where even those are too many by runs of levels. No fold makes a cycle.
"""

from __future__ import annotations

import itertools

from stagebook.graph.shape import CycleError, shape
from stagebook.model.value import NamedTuple
from stagebook.report.durations import NOTHING, plural, span
from stagebook.report.harmless import harmless
from stagebook.report.rows import matrix_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Hashable, Mapping, Sequence, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"
Stage: TypeAlias = "Mapping[str, Any]"

NODES_MAX = 200  #: with more, a map is folded
DRAWN_MAX = 2000  #: with more stages, none is drawn unfolded
_COLUMNS_MAX = 100
_MANY = 20  #: so many that have the same neighbours are one node in any map
NEEDLESS = ("needless-order", "implied-need", "stage-order")
REMARKS_MAX = 36  #: of more findings only the weightiest are marked in the drawing
_WEIGHTS = {"error": 0, "warning": 1, "note": 2}
_LINES_MAX = 12  #: a finding about more pairs than that is marked at its nodes only


class Node(NamedTuple):
    """`stages` are places in `Nodes.stages`. `kind` is that of its stages, where they have one. `mark`: `added`,
    `removed`, `changed` or empty. `figure`: how long, or what else it is."""

    name: str
    stages: tuple[int, ...]
    critical: bool
    kind: str
    figure: str
    mark: str


class Link(NamedTuple):
    """`style`: `critical`, `needless`, `needs`, `added` or `removed`; `edges` are places in `Nodes.edges`."""

    need: int
    node: int
    style: str
    edges: tuple[int, ...]


class Remark(NamedTuple):
    """A finding where it shows. `lines` join nodes: the ends of needless edges, those of a coupling, or what is missing
    and what is unguarded; empty where all of it lies in one node, or where there are too many. `nodes` are all it is
    about."""

    number: int
    code: str
    level: str
    nodes: tuple[int, ...]
    lines: tuple[tuple[int, int], ...]


class Nodes(NamedTuple):
    """`stages` and `edges` are those of the document and after them those that are gone. `laid`: the links that layers
    are made by; the others lead back. `node_of`: of each stage."""

    stages: list[Stage]
    edges: list[Mapping[str, Any]]
    nodes: list[Node]
    links: list[Link]
    laid: list[Link]
    remarks: list[Remark]
    node_of: list[int]


def nodes(document: Document, most: int = NODES_MAX, *, folds: bool = True) -> Nodes:
    """`folds`: False keeps each stage a node of its own, however many they are."""
    stages, edges = _all(document)
    at = {stage["stage"]: index for index, stage in enumerate(stages)}
    ends = [(at[edge["from"]], at[edge["to"]]) for edge in edges]
    stage_marks = _stage_marks(document, stages)
    edge_marks = _edge_marks(document, edges)
    found = _Folding(stages, ends, stage_marks, {at[id] for one in findings(document) for id in one["stages"]})
    if folds:
        found.fold(most)
    node_of, members = found.numbered()
    made = [
        _node(stages, each, stage_marks[each[0]], found.names.get(found.keys[each[0]], ("", ""))) for each in members
    ]
    links = _links(document, edges, ends, edge_marks, node_of)
    return Nodes(stages, edges, made, links, _laid(len(made), links), _remarks(document, at, node_of), node_of)


def findings(document: Document) -> list[Mapping[str, Any]]:
    """All but the minor ones, which are only counted: they would bury the others."""
    return [one for one in document["findings"] if not one["minor"]]


# With a difference -----------------------------------------------------------------------------------------------


def _all(document: Document) -> tuple[list[Stage], list[Mapping[str, Any]]]:
    stages, edges = list(document["stages"]), list(document["edges"])
    gone = document.get("diff")
    if gone:
        stages += [stage | {"critical": False} for stage in gone["stages"]["removed"]]
        known = {stage["stage"] for stage in stages}
        edges += [{"kind": "needs", **edge} for edge in gone["edges"]["removed"] if {edge["from"], edge["to"]} <= known]
    return stages, edges


def _stage_marks(document: Document, stages: list[Stage]) -> list[str]:
    difference = (document.get("diff") or {}).get("stages") or {}
    marks = dict.fromkeys((one["stage"] for one in difference.get("changed", ())), "changed")
    marks |= dict.fromkeys(difference.get("added", ()), "added")
    marks |= dict.fromkeys((one["stage"] for one in difference.get("removed", ())), "removed")
    return [marks.get(stage["stage"], "") for stage in stages]


def _edge_marks(document: Document, edges: list[Mapping[str, Any]]) -> list[str]:
    difference = (document.get("diff") or {}).get("edges") or {}
    added = {(edge["from"], edge["to"]) for edge in difference.get("added", ())}
    first_gone = len(document["edges"])
    return [
        "removed" if index >= first_gone else "added" if (edge["from"], edge["to"]) in added else ""
        for index, edge in enumerate(edges)
    ]


# Folds -----------------------------------------------------------------------------------------------------------


class _Folding:
    """Which stages share a node: those of one key. What is folded stays within its level, until runs of levels are
    folded; a stage that is new or gone never shares a node with one that is not."""

    def __init__(self, stages: list[Stage], ends: list[tuple[int, int]], marks: list[str], told: set[int]) -> None:
        self.stages = stages
        self.ends = ends
        self.marks = marks
        self.told = told
        self.names: dict[Hashable, tuple[str, str]] = {}  #: the name and what follows it
        self.keys: list[Hashable] = list(range(len(stages)))

    def fold(self, most: int) -> None:
        self._merge([matrix_of(stage["stage"]) for stage in self.stages], " ×{n}", is_deep=True)
        self._alike(_MANY)
        for step in (self._groups, self._alike, self._levels, self._more_of_levels, self._runs):
            if len(set(self.keys)) <= most:
                return
            step()

    def numbered(self) -> tuple[list[int], list[tuple[int, ...]]]:
        members: dict[Hashable, list[int]] = {}
        for at, key in enumerate(self.keys):
            members.setdefault(key, []).append(at)
        number = {key: index for index, key in enumerate(members)}
        return [number[key] for key in self.keys], [tuple(each) for each in members.values()]

    def _merge(
        self, classes: Sequence[Hashable], after: str, *, names: bool = True, is_deep: bool = False, least: int = 2
    ) -> None:
        """Nodes of one level, mark and class become one; an empty class and, unless `is_deep`, a critical node stay."""
        kept = set() if is_deep else self._of([at for at, stage in enumerate(self.stages) if stage["critical"]])
        joined: dict[Hashable, dict[Hashable, None]] = {}
        for at, (stage, each) in enumerate(zip(self.stages, classes)):
            if each != "" and self.keys[at] not in kept:
                joined.setdefault((stage["level"], self.marks[at], after, each), {})[self.keys[at]] = None
        new = {old: key for key, some in joined.items() if len(some) >= least for old in some}
        for at, old in enumerate(self.keys):
            if old in new:
                self.keys[at] = new[old]
                name = str(classes[at]) if isinstance(classes[at], str) else str(self.stages[at]["stage"])
                self.names.setdefault(new[old], (name if names else "", after))

    def _of(self, stages: Sequence[int]) -> set[Hashable]:
        return {self.keys[at] for at in stages}

    def _groups(self) -> None:
        self._merge([stage.get("group") or "" for stage in self.stages], " ×{n} ")

    def _alike(self, least: int = 2) -> None:
        """What needs the same and is needed by the same, as far as it is folded by now; at least so many of them."""
        before: dict[Hashable, set[Hashable]] = {key: set() for key in self.keys}
        after: dict[Hashable, set[Hashable]] = {key: set() for key in self.keys}
        for need, node in self.ends:
            before[self.keys[node]].add(self.keys[need])
            after[self.keys[need]].add(self.keys[node])
        self._merge(
            [(frozenset(before[key]), frozenset(after[key])) for key in self.keys], " and {m} alike", least=least
        )

    def _levels(self) -> None:
        told = self._of(sorted(self.told))
        self._merge(["" if key in told else "rest" for key in self.keys], "{n} more", names=False)

    def _more_of_levels(self) -> None:
        self._merge(["all"] * len(self.keys), "{n} others", names=False)

    def _runs(self) -> None:
        depth = max(stage["level"] for stage in self.stages) + 1
        length = -(-depth // _COLUMNS_MAX)
        for at, stage in enumerate(self.stages):
            first = stage["level"] // length * length
            last = min(depth, first + length) - 1
            self.keys[at] = ("levels", first)
            self.names[self.keys[at]] = (f"level {first}" if first == last else f"level {first} to {last}", ", ×{n}")


def _node(stages: list[Stage], members: tuple[int, ...], mark: str, name: tuple[str, str]) -> Node:
    some = [stages[at] for at in members]
    kinds = {stage["kind"] for stage in some}
    shown = harmless(some[0]["stage"] if len(some) == 1 else name[0])
    if len(some) > 1:
        shown += name[1].rstrip().replace("{n}", str(len(some))).replace("{m}", str(len(some) - 1))
    return Node(
        shown, members, any(stage["critical"] for stage in some), kinds.pop() if len(kinds) == 1 else "", _figure(some),
        mark,
    )  # fmt: skip


def _figure(some: list[Stage]) -> str:
    """The longest of them; a guess has its mark."""
    if all(stage["kind"] == "gate" for stage in some):
        return "gate"
    known = [figure for figure in map(figure_of, some) if figure is not None]
    if not known:
        return NOTHING if len(some) == 1 else plural(len(some), "stage")
    return max(known)[1]


def figure_of(stage: Stage) -> tuple[float, str] | None:
    """What a stage takes, in seconds and as text: `~` before the median of the others."""
    known = stage.get("known_s")
    known = known if known is not None else stage["duration_s"]
    if known is not None:
        return known, span(known)
    guessed = stage.get("took_s")
    return None if guessed is None else (guessed, f"~{span(guessed)}")


# Links -----------------------------------------------------------------------------------------------------------


def _links(
    document: Document,
    edges: list[Mapping[str, Any]],
    ends: list[tuple[int, int]],
    marks: list[str],
    node_of: list[int],
) -> list[Link]:
    path = document["critical_path"]
    critical = set(itertools.pairwise(path))
    joined: dict[tuple[int, int], list[int]] = {}
    for index, (need, node) in enumerate(ends):
        if node_of[need] != node_of[node]:
            joined.setdefault((node_of[need], node_of[node]), []).append(index)
    links: list[Link] = []
    for (need, node), some in joined.items():
        of = {marks[at] for at in some}
        style = "needs"
        if of in ({"added"}, {"removed"}):
            style = of.pop()
        elif all(is_needless(edges[at]) for at in some):
            style = "needless"
        elif any((edges[at]["from"], edges[at]["to"]) in critical for at in some):
            style = "critical"
        links.append(Link(need, node, style, tuple(some)))
    return links


def is_needless(edge: Mapping[str, Any]) -> bool:
    """Whether a finding says so."""
    return edge.get("finding") is not None


def _laid(count: int, links: list[Link]) -> list[Link]:
    """All links, or where those that are gone lead back, those that are there."""
    needs: list[list[int]] = [[] for _ in range(count)]
    for link in links:
        needs[link.node].append(link.need)
    try:
        shape(needs)
    except CycleError:
        return [link for link in links if link.style != "removed"]
    return links


def _remarks(document: Document, at: Mapping[str, int], node_of: list[int]) -> list[Remark]:
    found: list[Remark] = []
    weightiest = sorted(findings(document), key=lambda one: _WEIGHTS[one["level"]])[:REMARKS_MAX]
    for one in sorted(weightiest, key=lambda one: one["number"]):
        places = list(dict.fromkeys(node_of[at[id]] for id in one["stages"]))
        lines: list[tuple[int, int]] = []
        if one["code"] in NEEDLESS:
            lines = [(node_of[at[edge["from"]]], node_of[at[edge["to"]]]) for edge in one["edges"]]
        elif one["code"] == "possible-coupling":
            lines = list(itertools.pairwise(places))
        elif one["code"] == "missing-guard":
            lines = [(place, places[0]) for place in places[1:]]
        shown = tuple(lines) if len(lines) <= _LINES_MAX else ()
        found.append(Remark(one["number"], one["code"], one["level"], tuple(places), shown))
    return found
