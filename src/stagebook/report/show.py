"""One recorded run: the summary with the cause of every skip, or a table of what each attempt used."""

from __future__ import annotations

import time

from stagebook.report import around, failure, summary, words
from stagebook.report import rows as shapes
from stagebook.report.durations import size, span
from stagebook.report.harmless import cells, harmless, pad, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"

_CHAINS_MAX = 30


def render(document: Document, style: Style, excerpt: failure.Tail | None, short: str) -> list[str]:
    """As after the run, with cause chains; for a run that goes on, what its stages wait for."""
    lines = [style.plain(line) for line in wrap(_title(document, short), style.width - 1)]
    lines += ["", *summary.picture(document, style), "", *summary.totals(document, style)]
    text = around.line(document.get("around"))
    if text:
        lines += wrap(style.plain(f"around   {text}"), style.width - 1)
    waiting = _waiting(document, style)
    if waiting:
        lines += ["", *waiting]
    chains = causes(document, style)
    if chains:
        lines += ["", *chains]
    warned = summary.warnings(document, style)
    if warned:
        lines += ["", *warned]
    block = failure.block(document, style, excerpt, short)
    if block:
        lines += ["", *block]
    return lines + summary.closing(document, style, short)


def _title(document: Document, short: str) -> str:
    if document.get("measured"):
        return f"{harmless(document['pipeline'])} {short}  measured, started {_when(document)}"
    origin = document.get("imported")
    if origin:
        again = f", attempt {origin.get('attempt')}" if origin.get("attempt", 1) != 1 else ""
        where = f"run {harmless(str(origin.get('id')))}{again} of {harmless(str(origin.get('system')))}"
        return f"{harmless(document['pipeline'])} {short}  {where}, started {_when(document)}"
    mode = "sequential" if document["mode"] == "sequential" else f"parallel, {document['jobs']} jobs"
    policy = f", policy {document['policy']}" if document.get("policy") else ""
    return f"{harmless(document['pipeline'])} {short}  {mode}{policy}, started {_when(document)}"


def _when(document: Document) -> str:
    """The second, by the reader's clock, as the list of runs gives it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(shapes.instants()(document["started"]) // 1_000_000))


def _waiting(document: Document, style: Style) -> list[str]:
    """What each stage waits for, and who has it: those first that could start, then those that wait for needs."""
    open_ones = [stage for stage in document["stages"] if stage["outcome"] is None and stage.get("waiting")]
    open_ones.sort(key=lambda stage: stage["waiting"] == "needs")
    lines: list[str] = []
    for stage in open_ones[:_CHAINS_MAX]:
        text = words.waiting(str(stage["waiting"]), words.names(stage.get("held_by") or ()) or None)
        lines += wrap(style.plain(f"{harmless(stage['stage'])} {text}"), style.width - 1)
    if len(open_ones) > _CHAINS_MAX:
        lines.append(f"{len(open_ones) - _CHAINS_MAX} more wait; --json tells all")
    return lines


def causes(document: Document, style: Style) -> list[str]:
    """`deploy skipped ← package skipped ← build failed (exit 2)`, a line for each stage skipped for another one."""
    by_id = {stage["stage"]: stage for stage in document["stages"]}
    lines: list[str] = []
    skipped = [stage for stage in document["stages"] if stage["outcome"] == "skip" and words.cause(stage["reason"])]
    roots = words.roots_of(by_id) if skipped else {}
    for stage in skipped[:_CHAINS_MAX]:
        lines += wrap(style.plain(words.chain(stage, by_id, roots, style.mark("because"))), style.width - 1)
    if len(skipped) > _CHAINS_MAX:
        lines.append(f"{len(skipped) - _CHAINS_MAX} more were skipped; --json tells all")
    return lines


_COLUMNS = (
    "stage",
    "try",
    "outcome",
    "exit",
    "wall",
    "wait",
    "for",
    "user",
    "system",
    "rss",
    "read",
    "written",
    "csw",
    "by",
)
_LEFT = frozenset({"stage", "outcome", "for", "by"})


def metrics(document: Document, style: Style) -> list[str]:
    """One row an attempt; unknown is a dash, never 0. Where the table is too wide, each attempt takes some lines. What
    was around is told where it is known of any."""
    read = shapes.instants()
    told = [(stage, attempt) for stage in document["stages"] for attempt in stage["attempts"]]
    table = [_metrics_row(stage, attempt, read) for stage, attempt in told]
    if not table:
        return ["no stage ran"]
    table.insert(0, (*_COLUMNS, *around.COLUMNS))
    count = len(table[0]) if any(attempt.get("around") for _, attempt in told) else len(_COLUMNS)
    table = [tuple(style.plain(text) for text in row[:count]) for row in table]
    widths = [max(cells(row[column]) for row in table) for column in range(count)]
    if sum(widths) + 2 * len(widths) <= style.width:
        return [_aligned(row, widths, range(count)) for row in table]
    lines: list[str] = []
    parts = [part for part in (range(1, 7), range(7, len(_COLUMNS)), range(len(_COLUMNS), count)) if part]
    for row in table:
        lines += wrap(row[0], style.width - 1)
        lines += ["    " + _aligned(row, widths, part) for part in parts]
    return lines


def _aligned(row: Sequence[str], widths: Sequence[int], columns: range) -> str:
    texts = [
        pad(row[column], widths[column])
        if column < len(_COLUMNS) and _COLUMNS[column] in _LEFT
        else " " * (widths[column] - cells(row[column])) + row[column]
        for column in columns
    ]
    return "  ".join(texts).rstrip()


def _metrics_row(stage: Mapping[str, Any], attempt: Mapping[str, Any], read: Any) -> tuple[str, ...]:
    used = attempt.get("usage") or {}
    wall = None
    begin, end = shapes.span_of(attempt, read)
    if end is not None:
        wall = (end - begin) / 1e6
    switches = [used.get(key) for key in ("ctx_voluntary", "ctx_involuntary")]
    exit = attempt["exit"] if attempt["signal"] is None else f"sig {attempt['signal']}"
    waited = attempt.get("waited")
    return (
        harmless(stage["stage"]),
        str(attempt.get("attempt", 1)),
        str(attempt["outcome"] or "running"),
        "–" if exit is None else str(exit),
        span(wall),
        span(attempt.get("wait_s")) if attempt.get("wait_s") else "–",
        words.resource(waited) if waited else "–",
        span(used.get("cpu_user_s")),
        span(used.get("cpu_system_s")),
        size(used.get("max_rss_bytes")),
        size(used.get("read_bytes")),
        size(used.get("write_bytes")),
        "–" if None in switches else str(sum(number for number in switches if number)),
        str(used.get("method") or "–"),
        *around.columns(attempt.get("around")),
    )
