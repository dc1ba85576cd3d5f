"""A gate that waits, as people read it: what it asks, for how long, what ran green, who has approved, how to answer.

Takes a stage of the document; knows nothing of who may answer.
"""

from __future__ import annotations

from stagebook.report.durations import instant_us, plural, span_us
from stagebook.report.failure import quoted
from stagebook.report.harmless import cells, harmless, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, TypeAlias

Stage: TypeAlias = "Mapping[str, Any]"

_NAMES_MAX = 8
_RIGHT_AT = 34  #: where what stands to the right begins, if there is room
_INDENT = 11  #: cells before what stands behind `passed` and `answer`


def card(stage: Stage, style: Style, short: str, now_us: int, look: str = "") -> list[str]:
    """The card of a gate that is open; `now_us` is the wall clock. `look` is what a command adds to find the run."""
    gate = stage["gate"]
    asked_us = now_us if gate["asked"] is None else instant_us(gate["asked"])
    title = harmless(stage["stage"]) + (f": {harmless(gate['prompt'])}" if gate["prompt"] else "")
    facts = f"run {short}, waiting {span_us(max(0, now_us - asked_us))}, no slot held"
    glyph = style.paint(style.glyph("gate").ljust(style.glyph_width), "gate")
    room = style.width - 2 - style.glyph_width
    lines = [f"{glyph} {line}" if not at else "  " + line
             for at, line in enumerate(_spread(style.plain(title), facts, room))]  # fmt: skip
    green = _few(passed(gate)) or "–"
    lines += _entry("passed", _spread(style.plain(green), approvals(gate), style.width - 1 - _INDENT))
    if bad := failed(gate):
        lines += _entry("failed", wrap(style.plain(_few(bad)), style.width - 1 - _INDENT))
    if gate["approvers"]:
        lines += _entry("asked", wrap(style.plain(_few(gate["approvers"])), style.width - 1 - _INDENT))
    command = f"{short} {quoted(stage['stage'])}{look}"
    yes, no = f'stagebook approve {command} --comment "…"', f"stagebook reject {command}"
    if cells(yes) > style.width - 1 - _INDENT:
        yes = f"stagebook approve {command}"
    last = _spread(style.plain(no), until(gate, now_us), style.width - 1 - _INDENT)
    lines += _entry("answer", [*wrap(style.plain(yes), style.width - 1 - _INDENT), *last])
    return lines


def line(stage: Stage, short: str, look: str = "") -> str:
    """The same in one line: `waits for a person: Ship it? (approvals 0 of 1); stagebook approve 01KYALT9 ship, or
    reject`. Where not everybody may answer it says who is asked."""
    gate = stage["gate"]
    asks = f": {harmless(gate['prompt'])}" if gate["prompt"] else ""
    asked = f"asked: {_few(gate['approvers'])}; " if gate["approvers"] else ""
    odd = [name for name in passed(gate) if name not in gate["green"]] + failed(gate)
    but = f"; warnings: {_few(odd)}" if odd else ""
    return (
        f"waits for a person{asks} ({asked}{approvals(gate)}{but}); "
        f"stagebook approve {short} {quoted(stage['stage'])}{look}, or reject"
    )


def passed(gate: Mapping[str, Any]) -> list[str]:
    """What passed before it, with what did not go quite well: `work (1 of 6 items dead)`, these first."""
    odd = _told(gate)
    named = sorted(gate["green"], key=lambda name: name not in odd)
    return [f"{name} ({odd[name]})" if name in odd else name for name in named]


def failed(gate: Mapping[str, Any]) -> list[str]:
    """What did not pass, and yet keeps nothing from going on: `lint (failure, allowed)`."""
    return [f"{name} ({text})" for name, text in _told(gate).items() if name not in gate["green"]]


def _told(gate: Mapping[str, Any]) -> dict[str, str]:
    told: dict[str, str] = {}
    for each in gate["warnings"]:
        told[each["stage"]] = f"{told[each['stage']]}, {each['warning']}" if each["stage"] in told else each["warning"]
    return told


def was_asked(stage: Stage) -> bool:
    """Whether it is a gate at which somebody was asked, when is known, and nothing else is told of it."""
    return "gate" in stage and stage["gate"]["from_s"] is not None and not stage["attempts"]


def decided(stage: Stage) -> str:
    """What became of a gate, and by whom: `approved by ann: good`, `waits for a person, approvals 1 of 2 (ann)`."""
    if stage["outcome"] is None:
        return f"waits for a person, {approvals(stage['gate'])}"
    return harmless(stage["reason"] or stage["gate"]["decision"] or stage["outcome"])


def approvals(gate: Mapping[str, Any]) -> str:
    """`approvals 1 of 2 (ann)`."""
    names = _few([each["by"] for each in gate["approvals"]])
    return f"approvals {len(gate['approvals'])} of {gate['needed']}" + (f" ({names})" if names else "")


def until(gate: Mapping[str, Any], now_us: int) -> str:
    """`else: reject in 1 d 23 h`; nothing where it waits for ever."""
    if gate["expires"] is None:
        return ""
    left_us = instant_us(gate["expires"]) - now_us
    return f"else: {gate['default']} in {span_us(left_us)}" if left_us > 0 else f"else: {gate['default']} now"


def open_gates(document: Mapping[str, Any]) -> list[Stage]:
    """The gates of a document at which somebody is asked and that are not decided."""
    return [
        stage for stage in document["stages"]
        if stage["outcome"] is None and stage.get("waiting") == "gate" and "gate" in stage
    ]  # fmt: skip


def verdict(gates: list[Stage]) -> str:
    """`waits for a person at ship`, and whether it is the only one."""
    more = f" and {plural(len(gates) - 1, 'other gate')}" if len(gates) > 1 else ""
    return f"waits for a person at {harmless(gates[0]['stage'])}{more}"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return ", ".join(map(harmless, names[:_NAMES_MAX])) + more


def _entry(head: str, lines: list[str]) -> list[str]:
    return [f"  {head if not at else '':<{_INDENT - 3}} {line}" for at, line in enumerate(lines)]


def _spread(left: str, right: str, room: int) -> list[str]:
    """Both in one line where they fit, else one below the other."""
    if not right:
        return wrap(left, room)
    gap = max(3, min(_RIGHT_AT, room - cells(right)) - cells(left))
    if cells(left) + gap + cells(right) <= room:
        return [left + " " * gap + right]
    return [*wrap(left, room), *wrap(right, room)]
