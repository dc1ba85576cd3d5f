"""A map as geometry: a box a node, a path a link, a band a level, where findings have their numbers. Pixels, no markup.

The SVG and the page draw the same picture.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.report.export import map_layout, map_nodes
from stagebook.report.harmless import cells, cut, wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.report.export.map_nodes import Link, Node, Nodes, Remark

LEFT, TOP = 14, 30  #: of the first box
BADGE = 9  #: radius of a number
_LINE, _FIGURE = 14, 18  #: heights within a box
_NAME_CELLS, _NAME_LINES = 30, 4
_NARROW = frozenset("ijltfr.,:;'|!()[] ")
_WIDTH_MIN, _GAP_MIN, _GAP_MAX = 112, 26, 90
_NUMBERS = 2  #: at one place
_BENT = 6  #: radius of a bend


class Box(NamedTuple):
    """`x` and `y` of its corner; `lines` of its name."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]


class Band(NamedTuple):
    """One column, with what is on top of it: a level's number, or empty."""

    x: float
    width: float
    label: str


class Badge(NamedTuple):
    """A finding's number and what stands for it: the number, how many more there are, or nothing. `x` and `y` of the
    middle. `paths` are its lines, as of an SVG path."""

    number: int
    label: str
    code: str
    x: float
    y: float
    paths: tuple[str, ...]


class Picture(NamedTuple):
    """`paths`: of each link, as of an SVG path. `width` and `height` of all."""

    boxes: list[Box]
    paths: list[str]
    bands: list[Band]
    badges: list[Badge]
    width: float
    height: float


def picture(found: Nodes) -> Picture:
    names = [_lines(node.name) for node in found.nodes]
    heights = [float(len(lines) * _LINE + _FIGURE) for lines in names]
    heavy = [
        (link.need, link.node)
        for link in found.links
        if found.nodes[link.need].critical and found.nodes[link.node].critical
    ]
    placed = map_layout.place(heights, [(link.need, link.node) for link in found.laid], heavy)
    widths = [_width(node, lines) for node, lines in zip(found.nodes, names)]
    bands = _bands(found, placed.level, widths)
    boxes = [
        Box(bands[level].x, round(TOP + y - height / 2, 1), bands[level].width, height, lines)
        for level, y, height, lines in zip(placed.level, placed.y, heights, names)
    ]
    paths = [_path(link, boxes, placed, bands) for link in found.links]
    badges = _badges(found, boxes, placed.level)
    lowest = max([badge.y + BADGE for badge in badges], default=0)
    width = bands[-1].x + bands[-1].width + LEFT if bands else 2 * LEFT
    return Picture(boxes, paths, bands, badges, width, round(max(TOP + placed.height, lowest) + 14, 1))


def _lines(name: str) -> tuple[str, ...]:
    """Broken after what parts words in names, where it can be."""
    lines: list[str] = []
    rest = name
    while cells(rest) > _NAME_CELLS and len(lines) < _NAME_LINES - 1:
        first = wrap(rest, _NAME_CELLS)[0]
        at = max(first.rfind(mark) for mark in " ._-/:,")
        first = first[: at + 1] if at > _NAME_CELLS // 3 and len(first) > _NAME_CELLS - 2 else first
        lines.append(first)
        rest = rest[len(first) :].lstrip(" ")
    return (*lines, cut(rest, _NAME_CELLS))


def _width(node: Node, lines: Sequence[str]) -> float:
    bold = 1.08 if node.critical else 1.0
    return max(_WIDTH_MIN, *(bold * sum(map(_letter, line)) + 18 for line in lines), cells(node.figure) * 6.4 + 18)


def _letter(letter: str) -> float:
    """Pixels that a letter takes in the widest of the usual fonts."""
    if letter in _NARROW:
        return 4.8
    return 12.5 if letter in "mwMW@" or not letter.isascii() else 9.0 if letter.isupper() else 8.0


def _bands(found: Nodes, level: list[int], widths: list[float]) -> list[Band]:
    """As wide as their widest box; where many links pass between two, they are further apart."""
    depth = max(level, default=-1) + 1
    widest, crossing = [0.0] * depth, [0] * depth
    told: list[set[int]] = [set() for _ in range(depth)]
    for node, at, width in zip(found.nodes, level, widths):
        widest[at] = max(widest[at], width)
        told[at] |= {found.stages[stage]["level"] for stage in node.stages}
    for link in found.laid:
        crossing[level[link.node]] += 1
    bands: list[Band] = []
    x = float(LEFT)
    for at in range(depth):
        if at:
            x += min(_GAP_MAX, _GAP_MIN + crossing[at])
        first, last = min(told[at]), max(told[at])
        label = f"level {first}" if first == last else f"level {first} to {last}"
        bands.append(Band(round(x, 1), round(widest[at], 1), label))
        x += widest[at]
    return bands


def _path(link: Link, boxes: list[Box], placed: map_layout.Placed, bands: list[Band]) -> str:
    need, node = boxes[link.need], boxes[link.node]
    x, y = need.x + need.width, _middle(need)
    goal_x, goal_y = node.x - 4, _middle(node)
    from_level, to_level = placed.level[link.need], placed.level[link.node]
    if to_level <= from_level:
        return f"M{_n(x)} {_n(y)}C{_n(x + 40)} {_n(y)} {_n(goal_x - 40)} {_n(goal_y)} {_n(goal_x)} {_n(goal_y)}"
    parts = [f"M{_n(x)} {_n(y)}"]
    for at, over in enumerate(placed.passes[link.need][: to_level - from_level - 1], from_level + 1):
        parts.append(_curve(x, y, bands[at].x, TOP + over))
        x, y = bands[at].x + bands[at].width, round(TOP + over, 1)
        parts.append(f"H{_n(x)}")
    return "".join([*parts, _curve(x, y, goal_x, goal_y)])


def _curve(x: float, y: float, goal_x: float, goal_y: float) -> str:
    by = (goal_x - x) * 0.6
    return f"C{_n(x + by)} {_n(y)} {_n(goal_x - by)} {_n(goal_y)} {_n(goal_x)} {_n(goal_y)}"


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _middle(box: Box) -> float:
    return round(box.y + box.height / 2, 1)


# Findings --------------------------------------------------------------------------------------------------------


def _badges(found: Nodes, boxes: list[Box], level: list[int]) -> list[Badge]:
    """At one place two numbers at most, then how many more there are, which stands for the first of them."""
    at_place: dict[tuple[float, float], list[Badge]] = {}
    for remark in found.remarks:
        if remark.nodes:
            paths, x, y = _marked(remark, boxes, level)
            badge = Badge(remark.number, str(remark.number), remark.code, x, y, tuple(paths))
            at_place.setdefault((round(x), round(y)), []).append(badge)
    taken: list[tuple[float, float]] = []
    badges: list[Badge] = []
    for some in at_place.values():
        for index, badge in enumerate(some):
            label = badge.label if index < _NUMBERS or len(some) == _NUMBERS + 1 else ""
            if index == _NUMBERS and not label:
                label = f"+{len(some) - index}"
            x, y = badge.x, badge.y
            while label and any(abs(x - one) < 2 * BADGE and abs(y - other) < 2 * BADGE for one, other in taken):
                y += 2 * BADGE + 1
            taken += [(x, y)] * bool(label)
            if label or badge.paths:
                badges.append(badge._replace(label=label, x=round(x, 1), y=round(y, 1)))
    return sorted(badges, key=lambda badge: badge.number)


def _marked(remark: Remark, boxes: list[Box], level: list[int]) -> tuple[list[str], float, float]:
    first = boxes[remark.nodes[0]]
    if not remark.lines or remark.lines[0][0] == remark.lines[0][1]:
        return [], first.x + first.width - 2, first.y
    if remark.code in map_nodes.NEEDLESS:
        need, node = remark.lines[0]
        goal = boxes[node]
        return [], (goal.x - 15 if level[node] > level[need] else goal.x), _middle(goal) - 13
    if remark.code == "missing-guard":
        paths = [_elbow(boxes[one], boxes[other]) for one, other in remark.lines]
        source, goal = (boxes[at] for at in remark.lines[0])
        below = source.y > goal.y
        return paths, goal.x + goal.width / 2, goal.y + goal.height + 20 if below else goal.y - 20
    paths, places = [], []
    for one, other in remark.lines:
        path, x, y = _joint(*sorted((boxes[one], boxes[other]), key=lambda box: (box.x, box.y)))
        paths.append(path)
        places.append((x, y))
    return paths, *places[0]


def _elbow(source: Box, goal: Box) -> str:
    """From the source along the gap beside its row, then to the goal from above or below."""
    is_below = source.y + source.height < goal.y  # the goal
    side = 1 if is_below or source.y == goal.y else -1
    x = source.x + source.width - 14
    y = source.y + source.height + 3 if side > 0 else source.y - 3
    along = y + side * (map_layout.GAP / 2 - 3)
    goal_x = goal.x + goal.width / 2
    goal_y = goal.y - 3 if is_below else goal.y + goal.height + 3
    if source.x == goal.x:
        return f"M{_n(goal_x)} {_n(y)}V{_n(goal_y)}"
    bend = _BENT if goal_x > x else -_BENT
    turn = _BENT if goal_y > along else -_BENT
    return (
        f"M{_n(x)} {_n(y)}V{_n(along)}H{_n(goal_x - bend)}"
        f"Q{_n(goal_x)} {_n(along)} {_n(goal_x)} {_n(along + turn)}V{_n(goal_y)}"
    )


def _joint(left: Box, right: Box) -> tuple[str, float, float]:
    """Between two that share something, and the middle of it; `left` is the upper one where both are in one column."""
    if left.x == right.x:
        x, from_y, to_y = left.x + left.width / 2, left.y + left.height + 5, right.y - 5
        if to_y - from_y < 60:
            return f"M{_n(x)} {_n(from_y)}V{_n(to_y)}", x, (from_y + to_y) / 2
        x = left.x + left.width
        from_y, to_y = _middle(left), _middle(right)
        near, far = f"{_n(x + 5)} {_n(from_y)}", f"{_n(x + 5)} {_n(to_y)}"
        path = f"M{near}C{_n(x + 26)} {_n(from_y + 8)} {_n(x + 26)} {_n(to_y - 8)} {far}"
        return path, x + 20, (from_y + to_y) / 2
    x, goal_x = left.x + left.width * 0.75, right.x + right.width * 0.25
    is_down = right.y >= left.y
    y = left.y + left.height + 5 if is_down else left.y - 5
    goal_y = right.y - 5 if right.y > left.y else right.y + right.height + 5
    by = (24 if is_down else -24) if abs(goal_y - y) < 40 else (goal_y - y) / 2
    goal_by = by if right.y == left.y else -by if abs(goal_y - y) >= 40 else by
    return (
        f"M{_n(x)} {_n(y)}C{_n(x)} {_n(y + by)} {_n(goal_x)} {_n(goal_y + goal_by)} {_n(goal_x)} {_n(goal_y)}",
        (x + goal_x) / 2, (y + goal_y) / 2 + (by * 0.75 if right.y == left.y else 0),
    )  # fmt: skip
