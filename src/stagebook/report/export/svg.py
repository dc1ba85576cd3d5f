"""A run as one SVG picture that needs nothing else: no script, no font, no other file. Light and dark, by the system.

Folded as the drawing in the terminal is, so a thousand stages are some sixty rows. Its title and description say in
words what it shows; each row says what its stage did when it is pointed at. Colours and marks are those of all views.
"""

from __future__ import annotations

import itertools

from stagebook.report import rows, steps, summary
from stagebook.report.durations import Form, ticks
from stagebook.report.export import phases, svg_style
from stagebook.report.gate import decided, was_asked
from stagebook.report.harmless import cells, cut, harmless, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping, Sequence, TypeAlias

    from stagebook.report.export.phases import Course
    from stagebook.report.rows import Row
    from stagebook.report.steps import Strip

Document: TypeAlias = "Mapping[str, Any]"

WIDTH, _EDGE, _ROW, _LANE = 1200, 24, 21, 15
_NAME_FROM = _EDGE + 24
_FIGURES = 150  #: of wait and work, at the right
_ROWS_MAX = 300
_ASIDES_MAX = 20
_NAME_CELLS = 36
_TIP_CELLS = 600
_SEEN = 200  #: a wait below this part of the run is not seen
_WIDE = Style(width=1_000_000)
_FILLS = {"success": "ok", "flaky": "ok", "failure": "bad", "timeout": "bad", "error": "err", "running": "run"}


def render(document: Document, now_us: int | None = None) -> list[str]:
    """The whole document, a line an element."""
    picture = Picture(document, now_us)
    return [
        line + "\n" for line in around(picture.lines(), round(picture.y), picture.id, picture.verdict, picture.said())
    ]


def around(body: Sequence[str], height: int, id: str, title: str, said: str, has_style: bool = True) -> list[str]:
    """A picture around what is drawn, so many pixels high; `title` and `said` are it in words. A page that has the
    style asks for none."""
    height += 16
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="stagebook" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{id}-t {id}-d">',
        f'<title id="{id}-t">{escaped(title)}</title>',
        f'<desc id="{id}-d">{escaped(said, 4000)}</desc>',
        *([f"<style>{svg_style.STYLE}</style>"] if has_style else []),
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        *body,
        "</svg>",
    ]


def escaped(text: str, width: int = _TIP_CELLS) -> str:
    """Text of anybody's as XML text or attribute, in one line of at most `width` cells."""
    text = cut(harmless(text), width)
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(mark, entity)
    return text


class Picture:
    """One drawing. Heights grow as its parts are put below each other. `total_us` may be made longer and `begin` put
    further to the right before it is drawn."""

    def __init__(self, document: Document, now_us: int | None) -> None:
        self.document = document
        self.courses, self.total_us = phases.courses(document, now_us)
        shape = phases.shape(document, now_us)
        self.gates = {stage["stage"]: stage for stage in document["stages"] if was_asked(stage)}
        never = {stage["stage"] for stage in document["stages"] if not stage["attempts"]}  # told below all rows
        drawn = [row for row in shape.rows if row.segments or row.name not in never]
        self.rows, self.left_out = drawn[:_ROWS_MAX], max(0, len(drawn) - _ROWS_MAX)
        self.total_us = max(self.total_us, shape.total_us)
        self.known = {course.stage["stage"]: course for course in self.courses}
        self.verdict = summary.closing(document, _WIDE, str(document["run"])[:8])[-1]
        self.id = f"stagebook-{escaped(str(document['run']))}"  # pictures that share a page must not share ids
        names = [row.name for row in self.rows]
        names += ["  " + steps.heading(strip) for row in self.rows for strip in row.strips]
        widest = max([cells(harmless(name)) for name in names], default=8)
        self.tops: list[float] = []  #: of rows, once they are drawn
        self.begin = _NAME_FROM + min(_NAME_CELLS, max(8, widest)) * 7.6 + 12
        self.end = WIDTH - _EDGE - _FIGURES
        self.y = 0.0
        self.used: set[str] = set()
        self.notes: list[str] = []  #: beside bars, and above all lines

    def x(self, us: int) -> float:
        return round(self.begin + (self.end - self.begin) * max(0, us) / self.total_us, 1)

    def lines(self) -> list[str]:
        """What is drawn, down to `y`."""
        return [
            f'<defs><pattern id="{self.id}" width="4" height="4" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path class="hatch" d="M1 0V4"/></pattern></defs>',
            *self._head(), *self._at_once(), *self._axis_and_rows(), *self._asides(), *self._legend(),
        ]  # fmt: skip

    def said(self) -> str:
        """The same in words."""
        return " ".join([f"Run {self.document['run']}:", *summary.totals(self.document, _WIDE), *self._in_words()])

    # Parts, from above -------------------------------------------------------------------------------------------

    def _head(self) -> Iterator[str]:
        self.y = 18
        for line in _few(wrap(self.verdict, 88), 2):
            self.y += 24
            yield _text(_EDGE, self.y - 4, line, "h")
        for fact in summary.totals(self.document, _WIDE):
            for line in _few(wrap(fact.replace("  ", " \u2003"), 150), 2):
                self.y += 18
                yield _text(_EDGE, self.y, line, "d")

    def _at_once(self) -> Iterator[str]:
        """How many ran over time, as steps; where attempts failed is marked above."""
        works = [phase for course in self.courses for phase in course.works]
        if not works:
            return
        self.y += 16
        top, height = self.y, 22
        columns = _at_once([(self.x(phase.from_us), self.x(phase.to_us)) for phase in works], self.begin, self.end)
        most = max([level for _, level in columns] + [1])
        steps = [f"M{self.begin:g} {top + height}"]
        for x, level in columns:
            steps.append(f"H{x:g}V{round(top + height - (height - 4) * level / most, 1):g}")
        yield _text(_EDGE, top + 15, f"at once, most {most}", "d s")
        yield f'<path class="steps" d="{"".join(steps)}H{self.end:g}V{top + height}Z"/>'
        bad = sorted({
            (self.x(phase.from_us), self.x(phase.to_us)) for phase in works
            if phase.attempt["outcome"] in rows.FAILED
        })  # fmt: skip
        for first, last in _joined(bad):
            yield _rect(first, top, max(1.5, last - first), 2, "bad")
        self.y += height

    def _axis_and_rows(self) -> Iterator[str]:
        if not self.rows:
            self.y += 16
            return
        self.y += 18
        top = self.y
        marks = ticks(self.total_us, int(self.end - self.begin), 70)
        yield _text(_EDGE, top, "stage", "d s") + _text(self.begin, top, "0", "d s")
        for x, label in marks:
            yield _text(self.begin + x, top, label, "d s" + (" e" if self.begin + x > self.end - 40 else " m"))
        yield _text(WIDTH - _EDGE - 74, top, "wait", "d s e") + _text(WIDTH - _EDGE, top, "work", "d s e")
        self.y += 6
        height = len(self.rows) * _ROW + sum(len(row.strips) for row in self.rows) * _LANE
        for x, _ in [(0, ""), *marks]:
            yield f'<path class="line" d="M{self.begin + x:g} {self.y}v{height}"/>'
        yield from self._rows()
        yield from self._chain()
        yield from self.notes

    def _rows(self) -> Iterator[str]:
        waits = Form(max([row.wait_us for row in self.rows], default=0))
        works = Form(max([row.work_us for row in self.rows], default=0))
        for row in self.rows:
            yield "<g>"
            self.tops.append(self.y)
            tip = " · ".join([row.name or row.text, *self._sayings(row)])
            yield f"<title>{escaped(tip)}</title>"
            if row.state in rows.FAILED and row.name in self.known:
                yield _rect(_EDGE - 8, self.y, WIDTH - 2 * _EDGE + 16, _ROW, "tint")
            else:
                yield _rect(_EDGE - 8, self.y, WIDTH - 2 * _EDGE + 16, _ROW, "none")
            if row.state:
                yield svg_style.glyph(row.state, _EDGE, self.y + 3.5)
            if not row.segments:
                place = self.begin if row.text else _NAME_FROM
                yield _text(place, self.y + 15, row.text or row.name, "d", 150)
            else:
                yield _text(_NAME_FROM, self.y + 15, row.name, "b" if row.critical else "", _NAME_CELLS)
                yield from self._bars(row)
                yield _text(WIDTH - _EDGE - 74, self.y + 15, waits.text(row.wait_us), "d e")
                yield _text(WIDTH - _EDGE, self.y + 15, works.text(row.work_us), "e")
            yield "</g>"
            self.y += _ROW
            for strip in row.strips:
                yield from self._lane(strip)
        if self.left_out:
            self.y += 18
            yield _text(_NAME_FROM, self.y - 4, f"{self.left_out} more rows; --format csv has all", "d")

    def _sayings(self, row: Row) -> Iterator[str]:
        if row.name in self.gates:
            yield decided(self.gates[row.name])
        elif row.name in self.known:
            yield from map(self._told, self.known[row.name].phases)

    def _lane(self, strip: Strip) -> Iterator[str]:
        """A step of the stage above: the more of its workers were busy, the higher."""
        heading, figures = steps.heading(strip), steps.figures(strip)
        low, tall = self.y + _LANE - 3, _LANE - 5
        yield f"<g><title>{escaped(f'{heading} · {figures}')}</title>"
        yield _rect(_EDGE - 8, self.y, WIDTH - 2 * _EDGE + 16, _LANE, "none")
        yield _text(_NAME_FROM + 12, self.y + 11, heading, "d s", _NAME_CELLS)
        path, height = [f"M{self.begin:g} {low:g}"], low
        for pixel, level in enumerate(steps.cells(strip, int(self.end - self.begin) // 2, self.total_us)):
            now = round(low - tall * level, 1)
            if now != height:
                path.append(f"H{self.begin + 2 * pixel:g}V{now:g}")
                height = now
        self.used.add("lane")
        yield f'<path class="steps" d="{"".join(path)}H{self.end:g}V{low:g}Z"/>'
        yield _text(WIDTH - _EDGE, self.y + 11, figures, "d s e")
        yield "</g>"
        self.y += _LANE

    def _told(self, phase: phases.Phase) -> str:
        length = Form(0 if phase.to_us - phase.from_us < 999_500 else self.total_us).text(phase.to_us - phase.from_us)
        return f"{phases.said(phase)}, {length}"

    def _bars(self, row: Row) -> Iterator[str]:
        top = self.y + 5
        if row.name in self.gates:
            yield from self._gate(row)
            return
        for kind, from_us, to_us in _drawn(row, row.name not in self.known):
            x, width = self.x(from_us), round(max(1.5, self.x(to_us) - self.x(from_us)), 1)
            self.used.add("waiting" if kind in ("wait", "backoff") else kind)
            if kind in ("wait", "backoff"):
                yield self._waiting(x, top + 1, width)
            elif kind == "failed":
                yield _rect(x + 0.75, top + 0.75, max(1, width - 1.5), 9.5, "try", 2)
            elif kind == "stopped":
                yield _rect(x + 0.75, top + 0.75, max(1, width - 1.5), 9.5, "stop", 2)
                yield f'<path class="stop" d="M{x + width / 2 - 5:g} {top + 10:g}l10 -9"/>'
            else:
                fill = _FILLS.get(row.state, "stop") if row.name in self.known else "ok"
                yield _rect(x, top, width, 11, fill, 0 if row.state == "running" else 2)
        last = self.x(row.segments[-1].to_us)
        if row.state == "timeout" and row.name in self.known:
            yield _rect(last - 2, top - 3, 2.5, 17, "ink")
        if row.state == "running":
            yield f'<path class="open" d="M{last:g} {top - 3}v17"/>'
        if row.critical:
            self.used.add("critical")
            for course in self._critical(row):
                begin, end = self.x(course.works[0].from_us), self.x(course.works[-1].to_us)
                yield _rect(begin, top + 12.5, max(1.5, end - begin), 2, "ink")
        self._note(row, last)

    def _gate(self, row: Row) -> Iterator[str]:
        """From when somebody was asked until it was decided: a thin line between two posts."""
        first, last = self.x(row.segments[0].from_us), self.x(row.segments[0].to_us)
        self.used.add("gate")
        yield f'<path class="gate" d="M{first:g} {self.y + 10.5:g}H{last:g}"/>'
        yield from (f'<path class="gate" d="M{x:g} {self.y + 5:g}v11m3 0v-11"/>' for x in {first, last})
        told = len(self.notes)
        self._note(row, last)
        if len(self.notes) == told:  # over the line, which is thin
            self.notes.append(_text(last - 7, self.y + 15, decided(self.gates[row.name]), "s d n e", 90))

    def _critical(self, row: Row) -> list[Course]:
        """What of a row is critical: the stage, or the cells of a fold that are."""
        if row.name in self.known:
            return [self.known[row.name]]
        path = [name for name in self.document["critical_path"] if name in self.known]
        return [self.known[name] for name in path if rows.matrix_of(name) == _folded(row)]

    def _waiting(self, x: float, y: float, width: float) -> str:
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="9" rx="2"'
        return f'<rect class="wait" fill="url(#{self.id})" {place}/>'

    def _note(self, row: Row, last: float) -> None:
        """What a bar cannot say, beside it: as much as there is room for after its end or before its beginning."""
        parts = self._remarks(row)
        style = "s bad-t n" if row.state in rows.FAILED else "s d n"
        first = self.x(row.segments[0].from_us)
        for number in range(len(parts), 0, -1):
            text = cut(", ".join(parts[:number]), 90)
            width = cells(text) * 5.9 + 14
            if last + width < self.end:
                self.notes.append(_text(last + 7, self.y + 15, text, style))
                return
            if first - width > self.begin:
                self.notes.append(_text(first - 7, self.y + 15, text, style + " e"))
                return

    def _remarks(self, row: Row) -> list[str]:
        """Attempts that failed, how it ended if not well, and what it waited for; the weightiest first."""
        if row.name in self.gates:
            return [decided(self.gates[row.name])]
        course = self.known.get(row.name)
        if course is None:
            return []
        parts: list[str] = []
        works = course.works
        tries = [phase for phase in works if phase.kind == "failed"]
        if tries:
            parts.append(f"attempt {tries[-1].attempt.get('attempt', 1)}: {phases.ending(tries[-1].attempt)}")
        if row.state in ("flaky", "success"):
            parts += ["then passed"] if tries else []
        else:
            parts.append("running" if works[-1].is_open else phases.ending(works[-1].attempt))
        waited: dict[str, int] = {}
        for phase in course.phases:
            if phase.kind == "wait":
                said = "waited" + phases.said(phase).removeprefix("waits")
                waited[said] = waited.get(said, 0) + phase.to_us - phase.from_us
        return parts + [said for said, us in waited.items() if us >= self.total_us // _SEEN]

    def _chain(self) -> Iterator[str]:
        """Ink from the end of each critical stage down or up to the beginning of the next."""
        if rows.is_one_by_one(self.document):
            return
        places: dict[str, float] = {}
        for top, row in zip(self.tops, self.rows):
            if row.critical:
                places |= {course.stage["stage"]: top + 18.5 for course in self._critical(row)}
        for above, below in itertools.pairwise(self.document["critical_path"]):
            if above in places and below in places:  # what lies between folded rows is not drawn as if it were next
                x = self.x(self.known[above].phases[-1].to_us)
                yield f'<path class="chain" d="M{x:g} {places[above]}V{places[below]}"/>'

    def _never(self) -> list[phases.Aside]:
        """What has no row above."""
        left = [aside._replace(names=tuple([name for name in aside.names if name not in self.gates]))
                for aside in phases.asides(self.document)]  # fmt: skip
        return [aside for aside in left if aside.names]

    def _asides(self) -> Iterator[str]:
        never = self._never()
        for aside in never[:_ASIDES_MAX]:
            listed = ", ".join(aside.names[:20]) + (
                f" and {len(aside.names) - 20} more" if len(aside.names) > 20 else ""
            )
            yield svg_style.glyph(aside.state, _EDGE, self.y + 3.5)
            for line in _few(wrap(f"{listed}: {aside.text}" if listed else aside.text, 165), 2):
                self.y += _ROW
                yield _text(_NAME_FROM, self.y - 6, line, "d")
        if left := sum(len(aside.names) for aside in never[_ASIDES_MAX:]):
            self.y += _ROW
            yield _text(_NAME_FROM, self.y - 6, f"{left} more did not run, or wait", "d")

    def _legend(self) -> Iterator[str]:
        """Only what occurs, in one line."""
        self.y += 26
        waited = summary.waited_kinds(self.document)
        waits = "waiting for " + (", ".join(waited[:-1]) + " or " + waited[-1] if waited[1:] else "".join(waited))
        x: float = _EDGE
        for kind, words in (("work", "work"), ("critical", "critical path"), ("waiting", waits),
                            ("failed", "attempt that failed"), ("stopped", "attempt that was stopped"),
                            ("gate", "a person is asked"),
                            ("lane", "how many workers of a step are busy")):  # fmt: skip
            if kind not in self.used:
                continue
            top = self.y - 10
            if kind == "waiting":
                yield self._waiting(x, top + 1, 22)
            elif kind == "critical":
                yield _rect(x, top + 5, 22, 2, "ink")
            elif kind == "gate":
                yield f'<path class="gate" d="M{x:g} {top + 5:g}h22M{x:g} {top:g}v10m3 0v-10m16 0v10m3 0v-10"/>'
            elif kind == "lane":
                yield f'<path class="steps" d="M{x:g} {top + 10:g}v-5h8v-4h8v6h6v3z"/>'
            else:
                yield _rect(x, top, 22, 10, {"work": "ok", "failed": "try", "stopped": "stop"}[kind], 2)
            yield _text(x + 28, self.y, words, "d s")
            x += 28 + cells(words) * 6.2 + 22

    def _in_words(self) -> Iterator[str]:
        """What failed, was tried again or waited longest, for whoever cannot see the picture."""
        for course in self.courses:
            state = rows.state_of(course.stage)
            if state not in ("success", "skip"):
                told = "; ".join(self._told(phase) for phase in course.phases)
                yield f"{cut(harmless(course.stage['stage']), 80)}: {told}."
        for name, gate in self.gates.items():
            yield f"{cut(harmless(name), 80)}: {decided(gate)}."
        for aside in self._never():
            yield f"{len(aside.names)} {aside.text}."
        for row in self.rows:
            for strip in row.strips:
                yield f"{cut(harmless(f'{row.name}.{strip.name}'), 80)}: {steps.figures(strip)}."


def _folded(row: Row) -> str:
    """The matrix whose cells a row is, out of `unit ×48`."""
    return row.name.rpartition(" ×")[0]


def _drawn(row: Row, is_fold: bool) -> list[tuple[str, int, int]]:
    """Waits below, work above. A fold's parts are joined where they overlap: how many they were is in its name."""
    parts = sorted(row.segments, key=lambda part: part.kind in phases.WORK)
    if not is_fold:
        return [(part.kind, part.from_us, part.to_us) for part in parts]
    joined = []
    for kind, kinds in (("wait", ("wait", "backoff")), ("work", tuple(phases.WORK))):
        spans = sorted((part.from_us, part.to_us) for part in parts if part.kind in kinds)
        joined += [(kind, int(first), int(last)) for first, last in _joined(spans)]
    return joined


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans in order, as those that touch none of the others."""
    found: list[tuple[float, float]] = []
    for first, last in spans:
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _at_once(spans: Sequence[tuple[float, float]], begin: float, end: float) -> list[tuple[float, int]]:
    """Where the number of spans changes and to what: the most within each pixel, so no more points than those."""
    changes: dict[float, int] = {}
    for first, last in spans:
        changes[first] = changes.get(first, 0) + 1
        changes[last] = changes.get(last, 0) - 1
    found: list[tuple[float, int]] = []
    level = 0
    for x in sorted(changes):
        level += changes[x]
        if found and x - found[-1][0] < 1 and level < found[-1][1]:
            continue
        if found and x - found[-1][0] < 1:
            found[-1] = (found[-1][0], level)
        else:
            found.append((x, level))
    return found


def _few(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1] + " …"]


def _text(x: float, y: float, text: str, style: str, width: int = 200) -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y:g}"{kind}>{escaped(text, width)}</text>'


def _rect(x: float, y: float, width: float, height: float, style: str, radius: int = 0) -> str:
    corner = f' rx="{radius}"' if radius else ""
    return f'<rect class="{style}" x="{x:g}" y="{y:g}" width="{round(width, 1):g}" height="{height:g}"{corner}/>'
