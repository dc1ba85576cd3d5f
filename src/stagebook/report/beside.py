"""Several runs below each other on one time scale, each with how fast it was against the first.

Takes documents, as one timeline does; `export/beside` draws the same as a picture.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.report import rows as shapes
from stagebook.report import summary, timeline, words
from stagebook.report.durations import plural, span
from stagebook.report.harmless import harmless, wrap
from stagebook.report.rows import Row
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"


_BLANK = Row("", "", (), 0, 0)


class Compared(NamedTuple):
    """One of the runs. `times_as_fast` is the wall time of the first over its own; None where one is not over."""

    run: str
    short: str
    mode: str
    wall_s: float | None
    times_as_fast: float | None
    state: str

    def said(self) -> str:
        """`parallel, 4 jobs, 6.2 s, 1.52× as fast`; of the first, what the others are held against."""
        text = f"{self.mode}, {span(self.wall_s)}"
        return text if self.times_as_fast in (None, 1.0) else f"{text}, {words.as_fast(self.times_as_fast)}"


def compared(documents: Sequence[Document], shorts: Sequence[str]) -> list[Compared]:
    first = documents[0]["wall_s"]
    return [
        Compared(
            document["run"], short, mode, document["wall_s"],
            first / document["wall_s"] if first is not None and document["wall_s"] else None, state(document),
        )
        for document, short, mode in zip(documents, shorts, modes(documents))
    ]  # fmt: skip


def modes(documents: Sequence[Document]) -> list[str]:
    """How each was run; with the file's name where they are runs of several."""
    files = [str(document.get("file") or "") for document in documents]
    if len(set(files)) == 1:
        return [mode(document) for document in documents]
    names = [harmless(file.rpartition("/")[2]) for file in files]
    return [f"{mode(document)}, {name}" if name else mode(document) for document, name in zip(documents, names)]


def mode(document: Document) -> str:
    if document.get("measured"):
        return "measured"
    return "sequential" if document["mode"] == "sequential" else f"parallel, {plural(document['jobs'], 'job')}"


def state(document: Document) -> str:
    """As glyphs have it: the outcome, or what a run without one is doing."""
    if document["outcome"] is not None:
        return str(document["outcome"])
    return {"interrupted": "interrupted", "waiting": "gate"}.get(str(document.get("state")), "running")


def render(documents: Sequence[Document], shorts: Sequence[str], style: Style) -> list[str]:
    """The drawing, and a line a run that says how long it took."""
    rows: list[Row] = []
    total_us = 1
    for document, one in zip(documents, compared(documents, shorts)):
        shape = shapes.shape(document)
        total_us = max(total_us, shape.total_us)
        heading = f"{harmless(document['pipeline'])} {one.short}  {one.said()}"
        rows += [_BLANK] if rows else []
        rows += [Row(one.state, heading, (), 0, 0), *shape.rows]
        if skipped := sum(stage["outcome"] == "skip" for stage in document["stages"]):
            rows.append(Row("skip", f"{skipped} skipped", (), 0, 0))
    kinds = {kind for document in documents for kind in summary.waited_kinds(document)}
    waited = [kind for kind in sorted(kinds) if kind != "retry"] + ["retry"] * ("retry" in kinds)
    lines = timeline.draw(rows, total_us, style, waited, title="runs")
    return [*lines, "", *[line for one in compared(documents, shorts) for line in _took(one, shorts[0], style)]]


def _took(one: Compared, first: str, style: Style) -> list[str]:
    text = f"{one.short} {one.mode}: wall {span(one.wall_s)}"
    if one.times_as_fast is not None and one.short != first:
        text += f", {words.as_fast(one.times_as_fast)} as {first}"
    return wrap(style.plain(text), style.width - 1)
