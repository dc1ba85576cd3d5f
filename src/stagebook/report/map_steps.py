"""Steps in a map document, of jobs and of what works through items, as text: a chain each, what is set-up, what passes
from one to another."""

from __future__ import annotations

from stagebook.report.durations import plural, span
from stagebook.report.harmless import cells, cut, harmless, pad, wrap
from stagebook.report.rows import matrix_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.report.style import Style

FEW = 3  #: with fewer jobs, steps are shown unasked
_NAME_MAX = 44
_STEPS_MAX = 60  #: of more, the rest is counted


def is_few(document: Mapping[str, Any]) -> bool:
    """Whether it is a file of so few jobs that its steps are what there is to see."""
    names = {matrix_of(stage["stage"]) or stage["stage"] for stage in document["stages"]}
    return 0 < len(names) < FEW and any(stage["kind"] == "job" and stage["steps"] for stage in document["stages"])


def render(document: Mapping[str, Any], style: Style, *, is_open: bool = False) -> list[str]:
    """One block a job, or a matrix; none for stages without steps."""
    lines: list[str] = []
    told: set[str] = set()
    for stage in document["stages"]:
        name = (matrix_of(stage["stage"]) if stage["matrix"] else "") or stage["stage"]
        if name in told or not stage.get("steps"):
            continue
        told.add(name)
        steps = stage["steps"]
        lines += ["", style.paint(f"steps of {style.plain(harmless(name))}", "bold")]
        most = len(steps) if is_open else _STEPS_MAX
        width = min(_NAME_MAX, max(cells(harmless(_name(step))) for step in steps[:most])) + 2
        for step in steps[:most]:
            lines += _step(step, steps, width, style)
        if len(steps) > most:
            lines.append(f"        {plural(len(steps) - most, 'more step')}, -v lists them")
    return lines


def _name(step: Mapping[str, Any]) -> str:
    return str(step["name"]).strip().partition("\n")[0] or step["kind"]


def _step(step: Mapping[str, Any], steps: list[Mapping[str, Any]], width: int, style: Style) -> list[str]:
    said = ["set-up"] if step["setup"] else []
    if step["took_s"] is not None:
        said.insert(0, span(step["took_s"]))
    if step["condition"] is not None:
        said.append(f"if {cut(harmless(step['condition']), 60)}")
    if step["needs"] != ([step["step"] - 1] if step["step"] > 1 else []) and step["needs"]:
        said.append(f"after {', '.join(map(str, step['needs']))}")
    if step.get("file"):
        said.append(f"{harmless(step['file'].rpartition('/')[2])}:{step['line']}")
    said += [f"from {each['from']}: {harmless(each['text'])}" for each in step["reasons"]]
    place = f"{step['step']:>5}   "
    head = place + pad(style.plain(cut(harmless(_name(step)), _NAME_MAX)), width)
    first, *rest = wrap(style.plain(", ".join(said)), max(20, style.width - 1 - len(place) - width)) or [""]
    return [(head + first).rstrip(), *(" " * (len(place) + width) + part for part in rest)]
