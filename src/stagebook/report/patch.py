"""What a patch changes and why, and what it could change, out of the document of `patch`. Not the patch itself."""

from __future__ import annotations

from stagebook.report.durations import plural, span
from stagebook.report.harmless import harmless, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


def render(document: Mapping[str, Any], style: Style) -> list[str]:
    """Lines for a terminal; those that are in the patch first."""
    lines: list[str] = []
    changes = document["changes"]
    for title, of in (
        ("in the patch", [each for each in changes if each["in_patch"]]),
        ("only if you say so", [each for each in changes if not each["in_patch"] and not each["by_hand"]]),
        ("left out", [each for each in changes if each["by_hand"]]),
    ):
        if of:
            lines += [""] if lines else []
            lines.append(style.paint(f"{plural(len(of), 'change')} {title}", "bold"))
            for each in _folded(of):
                lines += _change(each, style)
    before, after = document["longest_s"], document["longest_after_s"]
    if before is not None and after is not None and before != after:
        lines += ["", f"the longest path: {span(before)} now, {span(after)} with the patch"]
    return [style.plain(line) for line in lines]


_SAME = ("kind", "ask", "by_hand", "evidence")


def _folded(changes: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of one kind that nothing on record speaks for, and that the same words ask for, are one, in the words of
    the first."""
    found: list[dict[str, Any]] = []
    for each in changes:
        last = found[-1] if found else None
        if last is not None and each["evidence"]["source"] == "none" and all(each[of] == last[of] for of in _SAME):
            last["more"] += 1
        else:
            found.append({**each, "more": 0})
    for each in found:
        if each["more"]:
            each["change"] += f", and so for {each['more']} more"
    return list(found)


def _change(change: Mapping[str, Any], style: Style) -> list[str]:
    head = f"{change['number']}. {change['change']} ({change['kind']}, line {change['line']})"
    said = [change["why"], f"evidence: {change['evidence']['source']}, {change['evidence']['text']}"]
    said.append(_worth(change))
    if change["by_hand"]:
        said.append(change["by_hand"])
    if change["ask"] and not change["by_hand"]:
        said.append(f"to have it: {change['ask']}")
    lines = _wrapped(head, style, "")
    for text in said:
        lines += _wrapped(text, style, "   ")
    return lines


def _worth(change: Mapping[str, Any]) -> str:
    if change["costs_s"] is not None:
        text = f"costs {span(change['costs_s'])} of the longest path"
    else:
        text = f"saves {'unknown' if change['saves_s'] is None else span(change['saves_s'])}"
    return f"{text}; {change['price']}" if change["price"] else text


def _wrapped(text: str, style: Style, indent: str) -> list[str]:
    return [indent + line for line in wrap(harmless(text), max(20, style.width - 1 - len(indent)))]
