"""The page of a run: the verdict as plain HTML, the run as JSON, in one text that needs nothing else.

What anybody wrote gets in as escaped text or as JSON in which no character can end an element.
"""

from __future__ import annotations

from stagebook.report.page import facts, frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, TypeAlias

    from stagebook.report.page.facts import Logs

Document: TypeAlias = "Mapping[str, Any]"

STYLES = ("/base.css", "page.css")
SCRIPTS = (
    "/base.js", "1-facts.js", "2-find.js", "3-rows.js", "4-view.js", "5-draw.js", "6-panel.js", "7-start.js",
)  # fmt: skip


def render(
    document: Document,
    now_us: int | None = None,
    *,
    as_of_us: int | None = None,
    short: str = "",
    logs: Logs | None = None,
) -> list[str]:
    """The page in parts. `now_us` is how far a run that goes on has come on its own clock, and `as_of_us` what time it
    is; `logs` are lines of what attempts printed."""
    told = facts.facts(document, now_us, as_of_us=as_of_us, short=short, logs=logs or {})
    marks = {
        "title": frame.escaped(f"{told['verdict']} · {told['pipeline']} {told['short']}"),
        "verdict": frame.escaped(told["verdict"]),
        "sub": frame.escaped(" · ".join([told["short"], *told["about"]])),
        "lines": "".join(f"<li>{frame.escaped(line)}</li>" for line in [*told["lines"], *told["warnings"]]),
        "facts": frame.facts(told),
    }
    return frame.page(frame.BASE, "page.html", STYLES, SCRIPTS, marks)
