"""A run as Markdown for a CI page: outcome, figures, stages and a timeline, in headings, tables and one Mermaid block.

It stays short enough for a comment on a pull request, however many stages there are: those that failed, waited, were
tried again or lie on the critical path come first. Texts of users' are shown and do nothing: no markup, no HTML, no
link, nobody is mentioned.
"""

from __future__ import annotations

import re

from stagebook.report import rows, summary, words
from stagebook.report.durations import Form
from stagebook.report.export import mermaid, phases
from stagebook.report.harmless import cut, harmless
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator, Mapping, Sequence, TypeAlias

    from stagebook.report.export.phases import Course

Document: TypeAlias = "Mapping[str, Any]"

STAGES_MAX = 100
_NAMES_MAX = 10  #: of stages that share a reason, and of a critical path
_NAME_MAX = 80
_MERMAID_MAX = 16_000
_HEADS = {"speed-up": "parallel", "measured": "parallel", "waiting": "queue time", "critical": "critical set"}
_WIDE = Style(width=1_000_000)  # lines that are not broken

_MARKUP = re.compile(r"[\\`*_\[\]<>|~$&#]")
_ACTIVE = re.compile(r"[@#!%](?=\w)|:(?=//)|www(?=\.)|GH(?=-\d)", re.IGNORECASE)


def render(document: Document, now_us: int | None = None) -> Iterator[str]:
    short = str(document["run"])[:8]
    known = phases.courses(document, now_us)
    yield f"## {prose(summary.closing(document, _WIDE, short)[-1], 300)}\n\n"
    yield from _table(("run", prose(str(document["run"]), 40)), "ll", _facts(document))
    yield "\n### Stages\n\n"
    yield from _stages(document, known.courses)
    never = phases.asides(document)
    if never:
        yield "\n### Did not run, or wait\n\n"
        yield from _table(
            ("stages", "why"), "ll", _within(6_000, [(names(one.names), prose(one.text, 200)) for one in never])
        )
    if document.get("warnings"):
        yield "\n### Warnings\n\n"
        yield from _table(("warning",), "l", _within(4_000, [(prose(text, 300),) for text in document["warnings"]]))
    yield "\n### Timeline\n\n```mermaid\n"
    yield from mermaid.render(document, now_us, _MERMAID_MAX)
    yield "```\n"


def name(text: str) -> str:
    """A stage's name, as code; where it has what ends code in a table, as prose."""
    text = cut(harmless(text), _NAME_MAX)
    return prose(text, _NAME_MAX) if set(text) & set("`|\\") or not text.strip() else f"`{text}`"


def prose(text: str, width: int) -> str:
    """Text in which nothing is markup, a link, HTML or a mention. Links and mentions are looked for after all markup is
    gone, so it is a space of no width that keeps `@` from its name."""
    text = _MARKUP.sub(r"\\\g<0>", cut(harmless(text), width))
    return _ACTIVE.sub("\\g<0>\u200b", text)


def names(some: Sequence[str]) -> str:
    more = f" and {len(some) - _NAMES_MAX} more" if len(some) > _NAMES_MAX else ""
    return ", ".join(map(name, some[:_NAMES_MAX])) + more


def _facts(document: Document) -> Iterator[tuple[str, str]]:
    """What the totals in a terminal say, a line each, and of what the critical path consists."""
    *lines, counts = summary.totals(document, _WIDE)
    for line in lines:
        head = next((head for start, head in _HEADS.items() if line.startswith(start)), "time")
        yield head, prose(line.removeprefix("waiting").strip(), 500)
    yield "stages", prose(counts, 500)
    path = () if rows.is_one_by_one(document) else document["critical_path"]
    if path:
        more = f" … ({len(path)} stages)" if len(path) > _NAMES_MAX else ""
        yield "critical path", " → ".join(map(name, path[:_NAMES_MAX])) + more


def _stages(document: Document, known: list[Course]) -> Iterator[str]:
    path = frozenset(() if rows.is_one_by_one(document) else document["critical_path"])
    weighed = sorted(known, key=lambda course: _weight(course, path), reverse=True)
    forms = Form(max(map(_queued_us, known), default=0)), Form(max(map(_work_us, known), default=0))
    lines = [_row(course, course.stage["stage"] in path, forms) for course in weighed[:STAGES_MAX]]
    kept = {id(course): line for course, line in zip(weighed, _within(24_000, lines))}
    yield from _table(
        ("", "stage", "outcome", "tries", "queued", "waited for", "work"),
        "lllrrlr",
        [kept[id(course)] for course in known if id(course) in kept],
    )
    if len(kept) < len(known):
        yield "\n| more |\n|---|\n"
        command = f"`stagebook timeline {document['run']} --format csv`"
        yield f"| {len(known) - len(kept)} stages that passed or waited less; {command} has all |\n"


def _within(most: int, lines: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """As many lines as fit that many characters, so that the page never gets too long for where it is posted."""
    for line in lines:
        most -= sum(map(len, line))
        if most < 0:
            return
        yield line


def _weight(course: Course, path: frozenset[str]) -> tuple[bool, bool, bool, int]:
    """What a reader looks for first: what failed or runs, was tried again, is critical, waited longest."""
    state = rows.state_of(course.stage)
    return state not in ("success", "flaky"), state == "flaky", course.stage["stage"] in path, _queued_us(course)


def _queued_us(course: Course) -> int:
    return sum([phase.to_us - phase.from_us for phase in course.phases if phase.kind == "wait"])


def _work_us(course: Course) -> int:
    return sum([phase.to_us - phase.from_us for phase in course.phases if phase.kind in ("work", "failed")])


def _row(course: Course, is_critical: bool, forms: tuple[Form, Form]) -> tuple[str, ...]:
    stage = course.stage
    state = rows.state_of(stage)
    waited = dict.fromkeys([words.resource(one.attempt["waited"]) for one in course.phases if one.kind == "wait"])
    last = course.works[-1].attempt
    if state in ("running", "success", "flaky"):
        said = state
    else:
        said = phases.ended(last) if last["outcome"] else phases.ending(last)
    shown = name(stage["stage"])
    return (
        _WIDE.glyph(state),
        f"**{shown}**" if is_critical else shown,
        prose(said, 120),
        str(len(stage["attempts"])),
        prose(forms[0].text(_queued_us(course)), 20),
        prose(", ".join(waited), 120) or "–",
        prose(forms[1].text(_work_us(course)), 20),
    )


def _table(head: Sequence[str], sides: str, lines: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |\n"
    yield f"|{'|'.join('---:' if side == 'r' else '---' for side in sides)}|\n"
    for line in lines:
        yield f"| {' | '.join(line)} |\n"
