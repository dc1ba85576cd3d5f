"""A run as a Mermaid Gantt chart and a map as a flowchart, for pages that render Mermaid: folded as in the terminal.

Times are those of the run, laid on a day long ago, as Mermaid knows no others: what it writes and what it shows are in
the same zone, so that the axis begins with 00:00 wherever it is read.
"""

from __future__ import annotations

import time

from stagebook.report import map_fold, rows, words
from stagebook.report.durations import DAY, HOUR, SECOND, span, span_us
from stagebook.report.export import phases
from stagebook.report.harmless import cut, harmless
from stagebook.report.style import GLYPHS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, TypeAlias

    from stagebook.report.export.phases import Course

Document: TypeAlias = "Mapping[str, Any]"

TEXT_MAX = 40_000  #: Mermaid refuses to draw more than 50 000 characters
_MIDNIGHT = 978_307_200  # 2001-01-01
_NAME_MAX = 60
_SEEN = 200  #: a wait below this part of the run is not seen
#: ASCII that means nothing in any place of a chart; all else of ASCII goes out as Mermaid's own character codes.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_./[]()=+,'!?*")


def render(document: Document, now_us: int | None = None, text_max: int = TEXT_MAX) -> list[str]:
    """Its lines, of `text_max` characters at most; how many stages have no bar of their own is in the title."""
    shape = phases.shape(document, now_us)
    known = {course.stage["stage"]: course for course in phases.courses(document, now_us).courses}
    tasks: list[str] = []
    length = 500
    drawn = 0
    for row in shape.rows:
        lines = _tasks(row, known.get(row.name), shape.total_us)
        length += sum(len(line) + 1 for line in lines)
        if length > text_max:
            break
        tasks += lines
        drawn += row.name in known
    hidden = len(known) - drawn
    title = f"title {_title(document, hidden)}"
    head = [
        "gantt",
        f"    {title}",
        "    dateFormat YYYY-MM-DD HH:mm:ss.SSS",
        f"    axisFormat {_axis(shape.total_us)}",
    ]
    return [line + "\n" for line in [*head, "    todayMarker off", *(tasks or [_nothing(document)])]]


def harmless_text(text: str, width: int = _NAME_MAX) -> str:
    """Text of a user's where Mermaid reads text: no character that ends it, or that Mermaid gives a meaning to."""
    text = cut(harmless(text), width)
    return "".join([ch if ch in _PLAIN or not ch.isascii() else f"#{ord(ch)};" for ch in text])


def _title(document: Document, hidden: int) -> str:
    text = f"{harmless_text(document['pipeline'])} {words.VERBS.get(document['outcome'], 'is not over')}"
    if document["wall_s"] is not None:
        text += f" in {span_us(round(document['wall_s'] * 1e6))}"
    return text + (f", {hidden} of {len(document['stages'])} stages folded" if hidden else "")


def _axis(total_us: int) -> str:
    return (
        "%S.%L" if total_us < 10 * SECOND else "%M:%S" if total_us < HOUR else "%H:%M" if total_us < DAY else "%d %H:%M"
    )


def _tasks(row: rows.Row, course: Course | None, total_us: int) -> list[str]:
    """A stage's tasks; a fold's one task from its first beginning to its last end; none for a line of text."""
    if not row.segments:
        return []
    mark = "crit, " if row.critical else ""
    glyph = GLYPHS[row.state][0]
    name = harmless_text(row.name)
    if course is None:
        work = [segment for segment in row.segments if segment.kind in phases.WORK]
        times = min(segment.from_us for segment in work), max(segment.to_us for segment in work)
        return [_task(f"{glyph} {name}", f"{mark}active", *times)]
    found: list[str] = []
    for phase in course.phases:
        if phase.kind not in phases.WORK:
            if phase.to_us - phase.from_us >= total_us // _SEEN:
                text = f"{GLYPHS['slot'][0]} {name} {harmless_text(phases.said(phase))}"
                found.append(_task(text, f"{mark}done", phase.from_us, phase.to_us))
            continue
        text = f"{glyph} {name}"
        if phase.attempt["outcome"] not in ("success", None):
            text = f"{GLYPHS[phase.attempt['outcome']][0]} {name} {harmless_text(phases.ended(phase.attempt))}"
        found.append(_task(text, f"{mark}active", phase.from_us, phase.to_us))
    return found


def _task(text: str, tags: str, from_us: int, to_us: int) -> str:
    return f"    {text} :{tags}, {_moment(from_us)}, {_moment(max(to_us, from_us + 1000))}"


def _nothing(document: Document) -> str:
    return _task("nothing ran", "done", 0, 1000)


def _moment(us: int) -> str:
    """That long after a midnight around which no clock is set anywhere."""
    seconds, ms = divmod((us + 500) // 1000, 1000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(_MIDNIGHT + seconds))}.{ms:03d}"


# Maps

ARROWS_MAX = 280  #: Mermaid refuses more than 500 edges, and draws slowly before that
_ROUND = {"gate": ("{{", "}}"), "service": ("([", "])")}
_SIGNS = {"added": "+ ", "removed": "- ", "changed": "~ ", "": ""}
_CLASSES = (
    "classDef critical stroke-width:3px", "classDef added stroke:#15756F", "classDef changed stroke:#966108",
    "classDef removed stroke:#9A2710,stroke-dasharray:4 3",
)  # fmt: skip
_INK = {"added": "#15756F", "changed": "#966108", "removed": "#9A2710"}


def flowchart(document: Document) -> list[str]:
    """The lines of a `map` document as a flowchart. The critical path is thick, needless order dotted with the number
    of its finding; with a difference what was added, removed or changed has its sign and colour. Matrices are folded,
    and large levels too, so that Mermaid draws it."""
    folded = map_fold.fold(document, ARROWS_MAX)
    if sum(len(node.name) for node in folded.nodes) + 40 * len(folded.arrows) > TEXT_MAX:
        folded = map_fold.fold(document, 0)
    lines = ["flowchart LR"]
    used: dict[str, list[str]] = {}
    for number, node in enumerate(folded.nodes):
        small = "gate" if node.kind == "gate" else span(node.took_s) if node.took_s is not None else ""
        small = " ".join([small, *(f"[{each}]" for each in node.numbers)]).strip()
        left, right = _ROUND.get(node.kind, ("[", "]"))
        label = _label(_SIGNS[node.change] + node.name) + (f"<br>{harmless_text(small)}" if small else "")
        lines.append(f'    n{number}{left}"{label}"{right}')
        for name in ("critical" if node.critical else "", node.change):
            used.setdefault(name, []).append(f"n{number}")
    styles = []
    for number, arrow in enumerate(folded.arrows):
        line = "-.->" if arrow.needless or arrow.change == "removed" else "==>" if arrow.critical else "-->"
        text = _label((_SIGNS[arrow.change] + arrow.via).strip()) if arrow.via or arrow.change else ""
        between = f'|"{text}"|' if text else ""
        lines.append(f"    n{arrow.start} {line}{between} n{arrow.end}")
        if arrow.change or arrow.needless:
            styles.append(f"    linkStyle {number} stroke:{_INK[arrow.change or 'changed']}")
    lines += [f"    {each}" for each in _CLASSES if each.split()[1] in used]
    lines += [f"    class {','.join(nodes)} {name}" for name, nodes in used.items() if name]
    if not folded.nodes:
        lines.append('    n0["no stages"]')
    return [line + "\n" for line in [*lines, *styles]]


def _label(text: str) -> str:
    """Text of a user's in quotes; what Mermaid would take for the beginning of a list is a character code."""
    text = harmless_text(text)
    first = text[:1]
    if first in ("-", "+", "*") or first.isdigit():
        text = f"#{ord(first)};{text[1:]}"
    return text
