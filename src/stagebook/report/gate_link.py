"""What `gate-link` says of a link: whose it is and how long it lives, and what came of it. Reads documents only."""

from __future__ import annotations

from stagebook.report.durations import instant_us, span
from stagebook.report.harmless import harmless
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


def announced(shown: Mapping[str, Any], style: Style, now_s: float) -> list[str]:
    """`shown` is what the page shows; the link itself stands in a line of its own after these."""
    lives = span(instant_us(shown["link_expires"]) / 1e6 - now_s)
    prompt = f": {harmless(shown['prompt'])}" if shown["prompt"] else ""
    count = f"approvals {len(shown['approvals'])} of {shown['needed']}"
    return [
        style.paint(style.plain(f"{style.glyph('gate')} {harmless(shown['gate'])}{prompt}"), "gate"),
        style.plain(f"  run {shown['run']}, {count}"),
        style.plain(f"  a link for {harmless(shown['person'])}: it counts once, within {lives}, on this machine"),
    ]


def ended(gate: str, person: str, decision: bool | None, is_used: bool, why: str) -> str:
    """`why` is what ended it where the link was not used."""
    if not is_used:
        return f"{harmless(gate)}: {harmless(why)}; the link no longer holds"
    if decision is None:
        return f"{harmless(gate)}: {harmless(person)} approves; others have to as well"
    return f"{harmless(gate)} is {'approved' if decision else 'rejected'} by {harmless(person)}"
