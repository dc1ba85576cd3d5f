"""The `map` document drawn from left to right, where that fits a terminal: names in columns by level, lines between.

A line that passes a level has a place of its own there, so that nothing runs through a name. Where two cross, each goes
straight on; where one ends at another, they lead to the same stage or come from the same.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.report.durations import span
from stagebook.report.harmless import cells, harmless, wrap
from stagebook.report.map_fold import Folded, fold
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

ROWS_MAX = 24
_ARROWS_MAX = 60
_SWEEPS = 8
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
#: Ways out of a cell to its character: thin, thick, and in ASCII.
_LINES = {
    _LEFT | _RIGHT: "─━-", _UP | _DOWN: "│┃|", _DOWN | _RIGHT: "┌┏+", _DOWN | _LEFT: "┐┓+", _UP | _RIGHT: "└┗+",
    _UP | _LEFT: "┘┛+", _UP | _DOWN | _RIGHT: "├┣+", _UP | _DOWN | _LEFT: "┤┫+", _DOWN | _LEFT | _RIGHT: "┬┳+",
    _UP | _LEFT | _RIGHT: "┴┻+", 15: "┼╋+", _LEFT: "─━-", _RIGHT: "─━-", _UP: "│┃|", _DOWN: "│┃|",
}  # fmt: skip
_NEEDLESS = "╌╍:"


class _Point(NamedTuple):
    """A node of the drawing, or a place where a line passes a level: `node` is then -1."""

    node: int
    level: int


class _Link(NamedTuple):
    """A piece of a line, from one level to the next."""

    start: int
    end: int
    critical: bool
    needless: bool


def draw(document: Mapping[str, Any], style: Style) -> list[str]:
    """Its lines, or none where it does not fit: too many rows, wider than the terminal, or lines too tangled to be told
    apart."""
    folded = fold(document, None)
    if not folded.nodes or len(folded.arrows) > _ARROWS_MAX:
        return []
    points, links = _points(folded)
    columns = _ordered(points, links)
    rows = _rows(columns, links, len(points))
    if rows is None or max(rows) >= ROWS_MAX:
        return []
    canvas = _Canvas(folded, points, columns, rows, links, style)
    if canvas.is_tangled or canvas.width > style.width - 1:
        return []
    lines = canvas.lines()
    legend = [f"{_LINES[12][1]} critical path" if not style.ascii else "= critical path"]
    if any(link.needless for link in links):
        legend.append(f"{_NEEDLESS[1] if not style.ascii else ':'} needless order")
    return [*lines, "", *wrap("   ".join(legend), style.width - 1)]


def _points(folded: Folded) -> tuple[list[_Point], list[_Link]]:
    points = [_Point(number, node.level) for number, node in enumerate(folded.nodes)]
    links: list[_Link] = []
    passing: dict[tuple[int, int, bool, bool], int] = {}  # lines from one stage pass a level together
    for arrow in folded.arrows:
        at = arrow.start
        for level in range(folded.nodes[arrow.start].level + 1, folded.nodes[arrow.end].level):
            key = (arrow.start, level, arrow.critical, arrow.needless)
            if key not in passing:
                passing[key] = len(points)
                points.append(_Point(-1, level))
                links.append(_Link(at, passing[key], arrow.critical, arrow.needless))
            at = passing[key]
        links.append(_Link(at, arrow.end, arrow.critical, arrow.needless))
    return points, links


def _ordered(points: list[_Point], links: list[_Link]) -> list[list[int]]:
    """Points of each level, from top to bottom, so that few lines cross: each by the middle of those it is joined to,
    level by level to and fro (Sugiyama, Tagawa, Toda 1981). The critical path stays where it starts."""
    columns: list[list[int]] = [[] for _ in range(max(point.level for point in points) + 1)]
    for number, point in enumerate(points):
        columns[point.level].append(number)
    before: list[list[int]] = [[] for _ in points]
    after: list[list[int]] = [[] for _ in points]
    for link in links:
        before[link.end].append(link.start)
        after[link.start].append(link.end)
    best, fewest = columns, _crossings(columns, links)
    for sweep in range(_SWEEPS):
        joined = before if sweep % 2 == 0 else after
        turn = columns[1:] if sweep % 2 == 0 else columns[-2::-1]
        place = {each: at for column in columns for at, each in enumerate(column)}
        changed = {}
        for column in turn:
            column = sorted(
                column,
                key=lambda each: (
                    sum(place[other] for other in joined[each]) / len(joined[each]) if joined[each] else place[each]
                ),
            )
            place.update((each, at) for at, each in enumerate(column))
            changed[points[column[0]].level] = column
        columns = [changed.get(level, column) for level, column in enumerate(columns)]
        count = _crossings(columns, links)
        if count < fewest:
            best, fewest = columns, count
    return best


def _crossings(columns: list[list[int]], links: list[_Link]) -> int:
    place = {each: (level, at) for level, column in enumerate(columns) for at, each in enumerate(column)}
    pairs = sorted((*place[link.start], place[link.end][1]) for link in links)
    return sum(
        one[0] == other[0] and one[1] < other[1] and one[2] > other[2]
        for at, one in enumerate(pairs)
        for other in pairs[at + 1 :]
    )


def _rows(columns: list[list[int]], links: list[_Link], count: int) -> list[int] | None:
    """A row for each point: below the one above it in its column, and level with what leads to it where that is free,
    the critical path and lines that pass through first."""
    lead: list[int] = [-1] * count
    for link in sorted(links, key=lambda each: each.critical):
        lead[link.end] = link.start
    rows = [0] * count
    for column in columns:
        least = 0
        for each in column:
            wanted = rows[lead[each]] if lead[each] >= 0 else 0
            rows[each] = max(least, wanted)
            least = rows[each] + 1
    return rows


class _Canvas:
    """Cells with their ways out, and names in columns."""

    def __init__(
        self,
        folded: Folded,
        points: list[_Point],
        columns: list[list[int]],
        rows: list[int],
        links: list[_Link],
        style: Style,
    ) -> None:  # fmt: skip
        self.style = style
        self.points = points
        self.rows = rows
        self.texts = [_text(folded, point, style) for point in points]
        self.cells: dict[tuple[int, int], list[int | bool]] = {}  # row, column: ways, thick, needless
        self.left: list[int] = []
        self.room = [max((cells(self.texts[each]) for each in column), default=0) for column in columns]
        self.is_tangled = False
        at = 0
        for level in range(len(columns)):
            self.left.append(at)
            at += self.room[level]
            if level + 1 < len(columns):
                between = [link for link in links if points[link.start].level == level]
                at += self._join(between, at)
        self.width = at

    def _join(self, links: list[_Link], left: int) -> int:
        """Draws the lines between two levels, from column `left` on; gives the room that they take.

        Each stage with a line that bends has an upright line of its own, and none stands where another ends.
        """
        starts: dict[int, list[_Link]] = {}
        for link in links:
            starts.setdefault(link.start, []).append(link)
        ends = {start: {self.rows[link.end] for link in each} for start, each in starts.items()}
        tracks: dict[int, int] = {}
        taken: list[list[tuple[int, int]]] = []
        for start in self._turns(ends):
            low, high = min(self.rows[start], *ends[start]), max(self.rows[start], *ends[start])
            least = 1 + max((tracks[other] for other in tracks if self.rows[other] in ends[start]), default=-1)
            track = least
            while track < len(taken) and not all(high < one or other < low for one, other in taken[track]):
                track += 1
            taken += [[] for _ in range(track + 1 - len(taken))]
            taken[track].append((low, high))
            tracks[start] = track
        room = 2 * max(1, len(taken)) + 3
        for start, each in starts.items():
            for link in sorted(each, key=lambda one: one.critical):
                self._line(link, left, left + 2 + 2 * tracks.get(start, 0), left + room)
        return room

    def _turns(self, ends: dict[int, set[int]]) -> list[int]:
        """Those whose lines bend, each after those in whose rows its lines end: their lines have left the row by then.
        Where that goes round in a circle, nothing is drawn."""
        left = sorted((start for start, rows in ends.items() if rows != {self.rows[start]}), key=self.rows.__getitem__)
        found: list[int] = []
        while left:
            free = [
                start for start in left if not any(self.rows[other] in ends[start] for other in left if other != start)
            ]
            self.is_tangled = self.is_tangled or not free
            found += free or left
            left = [start for start in left if start not in found]
        return found

    def _line(self, link: _Link, left: int, bend: int, right: int) -> None:
        top, bottom = self.rows[link.start], self.rows[link.end]
        if self.texts[link.end]:
            right -= 1  # a space before a name
        begin = self.left[self.points[link.start].level] + cells(self.texts[link.start])
        if top == bottom:
            self._across(top, begin + (1 if self.texts[link.start] else 0), right, link)
            return
        self._across(top, begin + (1 if self.texts[link.start] else 0), bend, link, ends=_LEFT)
        for row in range(min(top, bottom) + 1, max(top, bottom)):
            self._put(row, bend, _UP | _DOWN, link)
        self._put(top, bend, _DOWN if bottom > top else _UP, link)
        self._put(bottom, bend, (_UP if bottom > top else _DOWN) | _RIGHT, link)
        self._across(bottom, bend + 1, right, link)

    def _across(self, row: int, begin: int, end: int, link: _Link, ends: int = _LEFT | _RIGHT) -> None:
        for column in range(begin, end):
            self._put(row, column, _LEFT | _RIGHT, link)
        if ends == _LEFT:
            self._put(row, end, _LEFT, link)

    def _put(self, row: int, column: int, ways: int, link: _Link) -> None:
        cell = self.cells.setdefault((row, column), [0, False, True])
        cell[0] |= ways
        cell[1] = cell[1] or link.critical
        cell[2] = cell[2] and link.needless

    def lines(self) -> list[str]:
        found = []
        for row in range(max(self.rows) + 1):
            names = {
                self.left[point.level]: number
                for number, point in enumerate(self.points)
                if self.rows[number] == row and point.node >= 0
            }
            found.append(self._row(row, names).rstrip())
        return found

    def _row(self, row: int, names: dict[int, int]) -> str:
        text, column = "", 0
        passing = [
            (self.left[point.level], self.left[point.level] + self.room[point.level])
            for number, point in enumerate(self.points)
            if point.node < 0 and self.rows[number] == row
        ]
        while column < self.width:
            if column in names:
                name = self.texts[names[column]]
                text += name
                column += cells(name)
                continue
            cell = self.cells.get((row, column))
            if cell is None and any(begin <= column < end for begin, end in passing):
                cell = self.cells.get((row, column - 1)) or [_LEFT | _RIGHT, False, False]
                cell = [_LEFT | _RIGHT, cell[1], cell[2]]
                self.cells[row, column] = cell
            text += " " if cell is None else self._glyph(cell)
            column += 1
        return text

    def _glyph(self, cell: list[int | bool]) -> str:
        ways, thick, needless = cell
        if self.style.ascii:
            if ways in (12, _LEFT, _RIGHT):
                return ":" if needless else "=" if thick else "-"
            return _LINES[int(ways)][2]
        if needless and ways in (12, _LEFT, _RIGHT):
            return _NEEDLESS[1 if thick else 0]
        return _LINES[int(ways)][1 if thick else 0]


def _text(folded: Folded, point: _Point, style: Style) -> str:
    if point.node < 0:
        return ""
    node = folded.nodes[point.node]
    figure = "gate" if node.kind == "gate" else span(node.took_s) if node.took_s is not None else ""
    marks = "".join(f"[{number}]" for number in node.numbers[:3])
    return style.plain(" ".join(part for part in (harmless(node.name), marks, figure) if part))
