"""The page of several runs: a table of how long each took, and the picture of all on one time scale. No script."""

from __future__ import annotations

from stagebook.report import beside, words
from stagebook.report.durations import NO_BREAK, NOTHING, span
from stagebook.report.export import beside as picture
from stagebook.report.export import svg_style
from stagebook.report.harmless import harmless
from stagebook.report.page import frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"


def render(documents: Sequence[Document], shorts: Sequence[str]) -> list[str]:
    """The page in parts."""
    told = beside.compared(documents, shorts)
    names = sorted({harmless(document["pipeline"]) for document in documents})
    verdict = f"{', '.join(names)}: " + " against ".join(span(one.wall_s, NO_BREAK) for one in told)
    if len(told) == 2 and told[1].times_as_fast is not None:
        verdict += f": the second {words.as_fast(told[1].times_as_fast)}"
    marks = {
        "title": frame.escaped(verdict),
        "verdict": frame.escaped(verdict),
        "rows": "".join(_row(one) for one in told),
        "picture": "".join(picture.render(documents, shorts, has_style=False)),
    }
    return frame.page(__name__, "page.html", ("/base.css", "page.css"), (), marks, svg_style.STYLE)


def _row(one: beside.Compared) -> str:
    speed = NOTHING if one.times_as_fast is None else words.as_fast(one.times_as_fast)
    cells = (one.mode, one.state, span(one.wall_s, NO_BREAK), speed)
    figures = "".join(f"<td{' class=r' * (at > 1)}>{frame.escaped(text)}</td>" for at, text in enumerate(cells))
    return f'<tr><th scope="row" class="m">{frame.escaped(one.short)}</th>{figures}</tr>'
