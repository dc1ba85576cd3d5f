"""Draws rows over time: a name, a bar whose work and waiting never look alike, then waiting and work as figures.

Takes rows, gives lines; knows nothing of documents or of the words around a timeline.
"""

from __future__ import annotations

from stagebook.report.durations import Form, ticks
from stagebook.report.harmless import cells, harmless, pad, wrap
from stagebook.report.rows import Row
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence, TypeAlias

    from stagebook.report.steps import Strip

    Lane: TypeAlias = "tuple[Strip, str, str]"  #: with its name and figures as they are printed

_FIGURE = 8  #: cells of a duration, `59 m 59 s` aside
_GAP = 2
_BAR_MIN = 12
_SHARES = 4
_IDLE = 0.005  #: a cell of which less was busy is empty
_WORK = frozenset({"work", "failed", "stopped"})


class Frame:
    """Where columns stand: `name` cells before the bar, `bar` cells of it, figures after it."""

    __slots__ = ("name", "bar", "figure", "width")

    def __init__(self, style: Style, widest_name: int, figure: int = _FIGURE, width: int | None = None) -> None:
        self.width = (style.width if width is None else width) - 1
        self.figure = max(_FIGURE, figure)
        figures = 2 * self.figure + _GAP + 1
        name = max(widest_name, len("timeline") - style.glyph_width) + style.glyph_width + 2
        self.name = max(8 + style.glyph_width, min(name, self.width - figures - _BAR_MIN, max(20, self.width * 2 // 5)))
        self.bar = max(1, self.width - figures - self.name)


def draw(
    rows: Sequence[Row], total_us: int, style: Style, waited: Iterable[str] = (), title: str = "timeline",
    below: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Header, rows, lines `below` them, legend. `waited` are the kinds of what was waited for: slot, pool, lock and
    others."""
    names = [style.plain(harmless(row.name)) for row in rows]
    form_wait = Form(max([row.wait_us for row in rows], default=0))
    form_work = Form(max([row.work_us for row in rows], default=0))
    waits = [style.plain(form_wait.text(row.wait_us)) for row in rows]
    works = [style.plain(form_work.text(row.work_us)) for row in rows]
    lanes = [_lanes(row, style) if row.strips else [] for row in rows]
    every = [lane for some in lanes for lane in some]
    frame = Frame(
        style,
        max(
            [cells(name) for name, row in zip(names, rows) if row.segments] + [cells(lane[1]) for lane in every],
            default=0,
        ),
        max([*map(len, waits + works), *[(len(lane[2]) - _GAP + 1) // 2 for lane in every]], default=0),
    )
    lines = [header(frame, total_us, title)]
    used: set[str] = set()
    for row, name, wait, work, some in zip(rows, names, waits, works, lanes):
        lines.extend(_row_lines(row, name, wait, work, frame, total_us, style, used))
        for lane in some:
            lines.extend(_lane_lines(lane, row, frame, total_us, style, used))
    lines.extend(below)
    lines.extend(legend(used, style, waited))
    return lines


def header(frame: Frame, total_us: int, title: str = "") -> str:
    """The axis: each label ends where its time is."""
    axis = [" "] * frame.bar
    axis[0] = "0"
    free = 2
    for cell, label in ticks(total_us, frame.bar):
        first = min(cell, frame.bar - 1) - len(label) + 1
        if first >= free:
            axis[first : first + len(label)] = label
            free = first + len(label) + 1
    title = title[: frame.name - 1]
    return f"{title.ljust(frame.name)}{''.join(axis)} {'wait':>{frame.figure}}  {'work':>{frame.figure}}"


def _row_lines(
    row: Row, name: str, wait: str, work: str, frame: Frame, total_us: int, style: Style, used: set[str]
) -> list[str]:
    glyph = style.glyph(row.state) if row.state else ""
    colored = style.paint(pad(glyph, style.glyph_width), row.state) if row.state else " " * style.glyph_width
    shown = style.paint(name, "bold") if row.critical else name
    room = frame.name - style.glyph_width - 2
    if not row.segments:
        text = row.text or name
        indent = frame.name if row.text else style.glyph_width + 1
        first = " " * frame.name if row.text else colored + " "
        parts = wrap(text, frame.width - indent)
        return [(first + parts[0]).rstrip(), *(" " * indent + part for part in parts[1:])]
    lines: list[str] = []
    if cells(name) > room:  # a name is never cut: it takes lines of its own
        parts = wrap(name, frame.width - style.glyph_width - 1)
        lines = [f"{colored if not index else ' ' * style.glyph_width} {part}" for index, part in enumerate(parts)]
        head = " " * frame.name
    else:
        head = f"{colored} {pad(shown, room)} "
    bar = paint_bar(bar_cells(row, frame.bar, total_us), row, style, used)
    lines.append(f"{head}{bar} {wait:>{frame.figure}}  {work:>{frame.figure}}")
    return lines


def _lanes(row: Row, style: Style) -> list[Lane]:
    from stagebook.report import steps  # which few pipelines have

    return [
        (strip, "  " + style.plain(harmless(steps.heading(strip))), style.plain(steps.figures(strip)))
        for strip in row.strips
    ]


def _lane_lines(lane: Lane, row: Row, frame: Frame, total_us: int, style: Style, used: set[str]) -> list[str]:
    """A step of the row above: the more of its workers were busy, the higher."""
    from stagebook.report import steps

    strip, name, text = lane
    room = frame.name - style.glyph_width - 2
    lines = []
    if cells(name) > room:
        lines = [" " * (style.glyph_width + 1) + part for part in wrap(name, frame.width - style.glyph_width - 1)]
        name = ""
    shares = [_share(level) for level in steps.cells(strip, frame.bar, total_us)]
    head = f"{' ' * style.glyph_width} {pad(name, room)} "
    return [*lines, f"{head}{paint_bar(shares, row, style, used)} {text:>{2 * frame.figure + _GAP}}"]


def _share(level: float) -> str:
    return f"share-{min(_SHARES, int(level * _SHARES) + 1)}" if level > _IDLE else ""


def bar_cells(row: Row, width: int, total_us: int) -> list[str]:
    """One kind a cell, empty where nothing was. Work takes a cell at least; it lies over waiting."""
    bar = [""] * width
    work = "critical" if row.critical else "work"
    ends: list[int] = []
    for kind, from_us, to_us in sorted(row.segments, key=lambda segment: segment.kind in _WORK):
        first = min(width - 1, from_us * width // total_us)
        if kind in _WORK:
            last = max(first + 1, (2 * to_us * width + total_us) // (2 * total_us))
            shown = work if kind == "work" else kind
        elif kind == "gate":
            last = max(first + 1, to_us * width // total_us)
            shown = kind
            ends += [first, min(last, width) - 1]
        else:
            last = to_us * width // total_us
            shown = "wait"
        for cell in range(first, min(last, width)):
            bar[cell] = shown
    for cell in ends:
        bar[cell] = "post"
    return bar


_TOKEN = {"gate": "gate", "post": "gate", "wait": "mute", "failed": "flaky", "stopped": "mute"}


def paint_bar(bar: Iterable[str], row: Row, style: Style, used: set[str]) -> str:
    """The cells as text; what occurs is added to `used`."""
    parts: list[str] = []
    previous = None
    count = 0
    for kind in [*bar, None]:
        if kind == previous:
            count += 1
            continue
        if previous is not None:
            parts.append(_run(previous, count, row, style))
            if previous:
                used.add(previous)
        previous, count = kind, 1
    return "".join(parts)


def _run(kind: str, count: int, row: Row, style: Style) -> str:
    if not kind:
        return " " * count
    token = _TOKEN.get(kind) or ("success" if row.state == "flaky" else row.state)
    return style.paint(style.mark(kind) * count, token)


def legend(used: set[str], style: Style, waited: Iterable[str] = ()) -> list[str]:
    """One line under a picture, only with symbols that occur."""
    *kinds, last = waited or ("",)
    entries = {
        "critical": "critical path",
        "work": "other work" if "critical" in used else "work",
        "failed": "failed or stopped attempt" if "stopped" in used else "failed attempt",
        "stopped": "" if "failed" in used else "stopped attempt",
        "post": "a person is asked",
        "wait": "waiting" + (f" for {', '.join(kinds)} or {last}" if kinds else f" for {last}" if last else ""),
    }
    found = [f"{style.mark(kind)} {words}" for kind, words in entries.items() if words and kind in used]
    if any(kind.startswith("share-") for kind in used):
        found.append(f"{style.mark('share-1')}{style.mark('share-4')} few to all workers of a step busy")
    text = "  ".join(found)
    return wrap(text, style.width - 1) if text else []
