"""A map as one SVG picture that needs nothing else: no script, no font, no other file. Light and dark, by the system.

Folded above 200 nodes, so a thousand stages are one page. Its title and description say in words what it shows, each
node says what it needs and why when it is pointed at, and findings stand below with their numbers.
"""

from __future__ import annotations

import zlib

from stagebook.report.export import map_nodes, map_picture, map_words, svg_style
from stagebook.report.export.svg import escaped
from stagebook.report.harmless import harmless, wrap
from stagebook.report.map import minor_in_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping, TypeAlias

    from stagebook.report.export.map_nodes import Link, Node
    from stagebook.report.export.map_picture import Box

Document: TypeAlias = "Mapping[str, Any]"

_WIDTH_MIN, _EDGE = 760, 24
_FINDINGS_MAX = 40
_NEEDS_MAX = 12  #: that a node tells of when it is pointed at
_PANEL = ({"panel": "#FFFFFF", "sunk": "#F3F1EC"}, {"panel": "#161B21", "sunk": "#0B0F13"})
_SHAPES = (
    (".node", "stroke-width:1"),
    (".path", "stroke-width:1.75"),
    (".added", "stroke-width:2"),
    (".removed", "stroke-dasharray:4 3"),
    (".gone", "text-decoration:line-through"),
    (".edge", "fill:none;stroke-width:1.2"),
    (".edge-critical", "fill:none;stroke-width:2.25"),
    (".edge-needless", "fill:none;stroke-width:2.25;stroke-dasharray:5 3.5"),
    (".edge-added", "fill:none;stroke-width:2"),
    (".edge-removed", "fill:none;stroke-width:1.4;stroke-dasharray:4 3"),
    (".couple", "fill:none;stroke-width:2.25"),
    (".guard", "fill:none;stroke-width:1.8;stroke-dasharray:1.5 4;stroke-linecap:round"),
    (".no", "stroke-width:2"),
    (".k", "font-size:11px;font-weight:700;text-anchor:middle"),
)
_FILL = {
    "panel": ".panel .node .k", "sunk": ".sunk", "edge": ".head", "ink": ".head-critical .head-added",
    "bad": ".head-couple .no", "try": ".head-needless .no-needless", "dim": ".head-removed",
}  # fmt: skip
_STROKE = {
    "line": ".panel", "edge": ".node .edge", "ink": ".path .added .edge-critical .edge-added", "gate": ".gate",
    "try": ".edge-needless", "bad": ".couple .guard", "dim": ".edge-removed .removed", "ground": ".no",
}  # fmt: skip
_HEADS = ("", "critical", "needless", "added", "removed", "couple")
_STYLES = {"needs": "", "critical": "critical", "needless": "needless", "added": "added", "removed": "removed"}
_LEGEND = {
    "critical": "critical path", "needs": "needs", "needless": "needless as far as the file says", "added": "added",
    "removed": "removed", "couple": "possible coupling", "guard": "missing guard",
}  # fmt: skip


def draw(document: Document) -> str:
    """The whole picture of one `map` document, a line an element."""
    return "\n".join(_Drawing(document).lines()) + "\n"


class _Drawing:
    """One picture. Heights grow as its parts are put below each other."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.found = map_nodes.nodes(document)
        self.picture = map_picture.picture(self.found)
        known = "\0".join([document["pipeline"], *(stage["stage"] for stage in self.found.stages)])
        # Pictures that share a page must not share ids.
        self.id = f"stagebook-map-{zlib.crc32(known.encode('utf-8', 'surrogatepass')):08x}"
        self.width = max(_WIDTH_MIN, round(self.picture.width + 2 * _EDGE))
        self.y = 0.0
        self.used: set[str] = set()

    def lines(self) -> list[str]:
        body = [*self._head(), *self._map(), *self._legend(), *self._findings()]
        height = round(self.y + 20)
        verdict = map_words.verdict(self.document)
        return [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="stagebook" width="{self.width}" height="{height}" '
            f'viewBox="0 0 {self.width} {height}" role="img" aria-labelledby="{self.id}-t {self.id}-d">',
            f'<title id="{self.id}-t">{escaped(verdict)}</title>',
            f'<desc id="{self.id}-d">{escaped(" ".join(self._in_words()), 4000)}</desc>',
            f"<style>{svg_style.STYLE}{_STYLE}</style>",
            f"<defs>{''.join(map(self._arrow, _HEADS))}</defs>",
            f'<rect class="ground" width="{self.width}" height="{height}"/>',
            *body,
            "</svg>",
        ]

    def _arrow(self, head: str) -> str:
        style = f"head-{head}" if head else "head"
        return (
            f'<marker id="{self.id}{style[4:]}" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" '
            f'markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path class="{style}" d="M0 .5 7 4 0 7.5z"/>'
            "</marker>"
        )

    def _head(self) -> Iterator[str]:
        room = min(110, int((self.width - 2 * _EDGE) / 10.5))
        self.y = 16
        for line in wrap(map_words.verdict(self.document), room):
            self.y += 24
            yield _text(_EDGE, self.y - 4, line, "h")
        said = [f"pipeline {map_words.name(self.document['pipeline'])}", *map_words.about(self.document)]
        for line in wrap(" · ".join(said), int(room * 1.5)):
            self.y += 18
            yield _text(_EDGE, self.y - 2, line, "d")
        self.y += 10

    def _map(self) -> Iterator[str]:
        if not self.found.nodes:
            return
        picture = self.picture
        yield f'<g transform="translate({_EDGE} {self.y:g})">'
        yield _rect(0, 0, self.width - 2 * _EDGE, picture.height, "panel", 8)
        for index, band in enumerate(picture.bands):
            if index % 2:
                yield _rect(band.x - 12, 1, band.width + 24, picture.height - 2, "sunk")
            yield _text(band.x, 18, band.label, "d s")
        order = sorted(range(len(self.found.links)), key=lambda at: self.found.links[at].style != "needs")
        for at in order:
            yield self._link(self.found.links[at], picture.paths[at])
        for badge in picture.badges:
            for path in badge.paths:
                kind = "guard" if badge.code == "missing-guard" else "couple"
                self.used.add(kind)
                ends = f' marker-start="url(#{self.id}-couple)" marker-end="url(#{self.id}-couple)"'
                yield f'<path class="{kind}" d="{path}"{ends if kind == "couple" else ""}/>'
        for node, box in zip(self.found.nodes, picture.boxes):
            yield from self._node(node, box)
        for badge in picture.badges:
            if badge.label:
                yield from _number(badge.label, badge.code, badge.x, badge.y)
        yield "</g>"
        self.y += picture.height

    def _link(self, link: Link, path: str) -> str:
        style = _STYLES[link.style]
        self.used.add(link.style)
        tail = f"-{style}" if style else ""
        return f'<path class="edge{tail}" marker-end="url(#{self.id}{tail})" d="{path}"/>'

    def _node(self, node: Node, box: Box) -> Iterator[str]:
        styles = ["node"]
        if node.critical:
            styles.append("path")
            self.used.add("critical")
        if node.kind == "gate":
            styles.append("gate")
        if node.mark in ("added", "removed"):
            styles.append(node.mark)
            self.used.add(node.mark)
        yield "<g>"
        yield f"<title>{escaped(self._told(node), 2000)}</title>"
        if len(node.stages) > 1:
            yield _rect(box.x + 4, box.y - 4, box.width, box.height, " ".join(styles), 5)
        yield _rect(box.x, box.y, box.width, box.height, " ".join(styles), 5)
        weight = " ".join(["b"] * node.critical + ["gone"] * (node.mark == "removed"))
        for index, line in enumerate(box.lines):
            yield _text(box.x + 9, box.y + 14 + 14 * index, line, weight)
        figure = node.figure + {"added": "  + new", "removed": "  − removed", "changed": "  changed"}.get(node.mark, "")
        yield _text(box.x + 9, box.y + box.height - 6, figure, "d s")
        yield "</g>"

    def _told(self, node: Node) -> str:
        if len(node.stages) > 1:
            some = [map_words.name(self.found.stages[at]["stage"]) for at in node.stages[:_NEEDS_MAX]]
            more = len(node.stages) - len(some)
            return f"{node.name}: {', '.join(some)}" + (f" and {more} more" if more else "")
        stage = self.found.stages[node.stages[0]]
        said = [harmless(stage["stage"]), *map_words.figures(stage)]
        if stage["line"]:
            said.append(f"line {stage['line']}")
        needs = list(self._edges_to(stage["stage"]))
        for edge in needs[:_NEEDS_MAX]:
            reason = map_words.why(edge)
            said.append(f"needs {map_words.name(edge['from'])}" + (f" ({reason})" if reason else ""))
        if len(needs) > _NEEDS_MAX:
            said.append(f"and {len(needs) - _NEEDS_MAX} more needs")
        return " · ".join(said)

    def _edges_to(self, stage: str) -> list[Mapping[str, Any]]:
        if not hasattr(self, "_needs"):
            self._needs: dict[str, list[Mapping[str, Any]]] = {}
            for edge in self.found.edges:
                self._needs.setdefault(edge["to"], []).append(edge)
        return self._needs.get(stage, [])

    def _legend(self) -> Iterator[str]:
        """Only what occurs, in one line."""
        self.y += 24
        x: float = _EDGE
        for kind, words in _LEGEND.items():
            if kind not in self.used:
                continue
            style = kind if kind in ("couple", "guard") else f"edge-{kind}".replace("-needs", "")
            yield f'<path class="{style}" d="M{x:g} {self.y - 4:g}h26"/>'
            yield _text(x + 32, self.y, words, "d s")
            x += 32 + len(words) * 6.2 + 22

    def _findings(self) -> Iterator[str]:
        known = map_nodes.findings(self.document)
        room = min(150, int((self.width - 2 * _EDGE - 28) / 7))
        self.y += 14 if known else 0
        for one in known[:_FINDINGS_MAX]:
            self.y += 14
            yield from _number(str(one["number"]), one["code"], _EDGE + map_picture.BADGE, self.y)
            yield _text(_EDGE + 28, self.y + 4, map_words.heading(one), "b", room)
            self.y += 4
            rests_on = map_words.evidence(one, self.document["file"])
            for style, said in (("", harmless(one["message"])), ("b", map_words.advice(one)), ("d", rests_on)):
                for line in wrap(said, room)[:4] if said else []:
                    self.y += 17
                    yield _text(_EDGE + 28, self.y, line, style, room)
            self.y += 12
        if len(known) > _FINDINGS_MAX:
            self.y += 14
            yield _text(_EDGE + 28, self.y, f"{len(known) - _FINDINGS_MAX} more; --format json has all", "d")
        minor = minor_in_words(self.document["findings"])
        if minor:
            self.y += 14
            yield _text(_EDGE, self.y, f"also {minor}; --format json has all", "d")

    def _in_words(self) -> Iterator[str]:
        """For whoever cannot see the picture: counts, the path, what was found."""
        yield f"Map of pipeline {map_words.name(self.document['pipeline'])}:"
        yield "; ".join(map_words.about(self.document)) + "."
        path = self.document["critical_path"]
        if path:
            shown = [map_words.name(stage) for stage in path[:30]]
            yield f"Critical path: {', '.join(shown)}" + (f" and {len(path) - 30} more." if len(path) > 30 else ".")
        for one in map_nodes.findings(self.document):
            yield f"{one['number']}. {map_words.heading(one)}."


def _number(label: str, code: str, x: float, y: float) -> Iterator[str]:
    kind = "no no-needless" if code in map_nodes.NEEDLESS else "no"
    radius = map_picture.BADGE if len(label) < 3 else map_picture.BADGE + 3
    yield f'<circle class="{kind}" cx="{x:g}" cy="{y:g}" r="{radius}"/>{_text(x, y + 4, label, "k")}'


def _text(x: float, y: float, text: str, style: str, width: int = 400) -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y:g}"{kind}>{escaped(text, width)}</text>'


def _rect(x: float, y: float, width: float, height: float, style: str, radius: int = 0) -> str:
    corner = f' rx="{radius}"' if radius else ""
    return f'<rect class="{style}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{corner}/>'


def _colours(theme: Mapping[str, str]) -> str:
    return "".join(
        f"{','.join('.stagebook ' + one for one in selectors.split())}{{{what}:{theme[token]}}}"
        for what, table in (("fill", _FILL), ("stroke", _STROKE))
        for token, selectors in table.items()
    )


_STYLE = (
    "".join(f".stagebook {one}{{{rule}}}" for one, rule in _SHAPES)
    + _colours(svg_style.LIGHT | _PANEL[0])
    + f"@media(prefers-color-scheme:dark){{{_colours(svg_style.DARK | _PANEL[1])}}}"
)
