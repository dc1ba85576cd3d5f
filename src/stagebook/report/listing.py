"""Many runs as a table, one a line: which, how it ended, when, how long."""

from __future__ import annotations

import time

from stagebook.report.durations import plural, span
from stagebook.report.harmless import cells, harmless, pad, wrap
from stagebook.report.rows import instants
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence

_STATE = {"running": "running", "waiting": "gate", "interrupted": "interrupted", "damaged": "error"}


def render(
    runs: Sequence[Mapping[str, Any]], style: Style, short: Callable[[str], str], more: int = 0,
    stage: str | None = None,
) -> list[str]:  # fmt: skip
    """`runs` are documents without stages, newest first; `more` are left out of them. Where a `stage` was asked for,
    how it did stands last in the row, in place of the mode."""
    if not runs and more <= 0:
        return ["no runs yet; `stagebook run` makes the first"]
    read = instants()
    rows = [_row(run, style, short, read) for run in runs]
    if stage is not None:
        rows = [(*row[:-1], _of_stage(run["stage"], style)) for run, row in zip(runs, rows)]
    widths = [max([cells(row[column]) for row in rows], default=0) for column in range(5)]
    lines = [] if stage is None else wrap(style.plain(f"runs with {harmless(stage)}, and how it did"), style.width - 1)
    for run, row in zip(runs, rows):
        left = "  ".join(pad(text, width) for text, width in zip(row, widths))
        room = style.width - 1 - cells(left) - 2
        reason = harmless(run.get("reason") or "")
        if run.get("state") == "waiting":
            reason = f"for you: stagebook show {short(str(run['run']))}"
        last = style.plain(reason) if reason else ""
        if last and room >= cells(last):
            left += "  " + last
        lines += [left.rstrip()] if cells(left) < style.width else wrap(left, style.width - 1)
    if more > 0:
        lines.append(f"{plural(more, 'run')} more; --limit shows them")
    return lines


def goes_on(run: Mapping[str, Any], newer: int, short: str, style: Style) -> str:
    """Which run is gone on with, where nobody has named it; `newer` ones of its file are over."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(instants()(run["started"]) // 1_000_000))
    text = f"goes on with run {short} of {when} ({run['outcome'] or run['state']})"
    if newer:
        have = "has" if newer == 1 else "have"
        text += f", {newer} newer {'run' if newer == 1 else 'runs'} of this file {have} ended since"
    return style.plain(text)


def _of_stage(stage: Mapping[str, Any], style: Style) -> str:
    state = stage["outcome"] or "needs"
    glyph = style.paint(style.glyph(state).ljust(style.glyph_width), state)
    return f"{glyph} {style.plain(span(stage['wall_s'])):>9}"


def _row(
    run: Mapping[str, Any], style: Style, short: Callable[[str], str], read: Callable[[str], int]
) -> tuple[str, ...]:
    outcome = run["outcome"]
    state = outcome or _STATE.get(str(run.get("state")), "needs")
    word = outcome or str(run.get("state") or "open")
    started = run["started"]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(read(started) // 1_000_000)) if started else ""
    mode = run["mode"] or ""
    if run.get("measured"):
        mode = "measured"
    elif run.get("imported"):
        mode = harmless(str(run["imported"].get("system")))
    elif mode == "parallel":
        mode = plural(run["jobs"] or 1, "job")
    glyph = style.paint(style.glyph(state).ljust(style.glyph_width), state)
    return (
        short(str(run["run"])),
        f"{glyph} {style.paint(word, state)}",
        style.plain(harmless(run["pipeline"] or "")),
        f"{when}  {style.plain(span(run['wall_s'])):>9}",
        mode,
    )
