"""A run as a Mermaid Gantt chart, for pages that render Mermaid: folded as the drawing in the terminal is.

Times are those of the run, laid on a day long ago, as Mermaid knows no others: what it writes and what it shows are in
the same zone, so that the axis begins with 00:00 wherever it is read.
"""

from __future__ import annotations

import time

from stagebook.report import rows, words
from stagebook.report.durations import DAY, HOUR, SECOND, span_us
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
