"""What a plan says of stages that work through items: how fast, what holds them up, and workers to have."""

from __future__ import annotations

from stagebook.report.durations import NOTHING, count, span
from stagebook.report.harmless import harmless, wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.report.style import Style

_SAME = 0.01


def lines(stream: Mapping[str, Any], style: Style) -> tuple[list[str], list[tuple[str, ...]]]:
    """A sentence or two, and the rows of a table of its steps, heads first; no rows where nothing is known."""
    return [line for text in _said(stream) for line in wrap(style.plain(text), style.width - 1)], _rows(stream)


def by_jobs(stream: Mapping[str, Any]) -> tuple[list[tuple[str, ...]], list[str]]:
    """What other job counts come to with the workers that its steps should then have: rows of a table, heads first, and
    of each row the workers, as `fetch 1, transcode 4`."""
    found = stream.get("by_jobs") or ()
    if not found or stream["per_s"] is None:
        return [], []
    heads = ("jobs", "items", "held up by", "a run")
    rows = [
        (
            str(row["jobs"]),
            _per_s(row["per_s"], "") if row["per_s"] else NOTHING,
            _named(row["binds"]),
            _span(row["makespan_s"]),
        )
        for row in found
    ]
    workers = [
        ", ".join(f"{harmless(step.rpartition('.')[2])} {'auto' if number is None else number}"
                  for step, number in row["workers"].items())
        for row in found
    ]  # fmt: skip
    return [heads, *rows], ["with workers", *workers]


def _named(name: str | None) -> str:
    if name is None:
        return NOTHING
    if name in ("slot", "cores"):
        return "the jobs" if name == "slot" else "the cores"
    return harmless(name.replace(":", " ", 1)) if name.startswith("pool:") else harmless(name.rpartition(".")[2])


def _said(stream: Mapping[str, Any]) -> list[str]:
    name = harmless(stream["stage"])
    if stream["per_s"] is None:
        if stream["run"] is None:
            return [f"{name}: what its items take is not known; a run tells"]
        return [f"{name}: its items take no time"]
    said = f"{name}: {_per_s(stream['per_s'])}, {_binds(stream['binds'])}"
    items = "1 item takes" if stream["total"] == 1 else f"{count(stream['total'])} items take"
    took = f"{items} {_span(stream['total'] / stream['per_s'])}"
    best = stream["best_per_s"]
    if best > stream["per_s"] * (1 + _SAME):
        return [f"{said}: {took}", f"with workers as below {_per_s(best)}, {_binds(stream['best_binds'])}"]
    return [f"{said}: {took}"]


def _binds(name: str) -> str:
    if name == "slot":
        return "as many as the jobs can do"
    if name == "cores":
        return "as many as the cores can do"
    if name in ("cpu", "memory") or name.startswith("pool:"):
        return f"held up by {harmless(' '.join(name.split(':')))}"
    return f"held up by {harmless(name.rpartition('.')[2])}"


def _rows(stream: Mapping[str, Any]) -> list[tuple[str, ...]]:
    if stream["per_s"] is None:
        return []
    heads = ("step", "an item", "workers", "could do", "busy", "should have")
    return [heads, *[_row(step) for step in stream["steps"]]]


def _row(step: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        harmless(step["step"].rpartition(".")[2]),
        _span(step["item_s"]),
        "auto" if step["workers"] is None else str(step["workers"]),
        NOTHING if step["per_s"] is None else _per_s(step["per_s"], ""),
        f"{step['use']:.0%}".replace("%", " %"),
        str(step["should"]),
    )


def _per_s(per_s: float, noun: str = " items") -> str:
    """`12.5 items/s`; below one in ten seconds by the hour."""
    if per_s < 0.1:
        return f"{per_s * 3600:.3g}{noun}/h"
    return f"{count(round(per_s))}{noun}/s" if per_s >= 100 else f"{per_s:.3g}{noun}/s"


def _span(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs" if 0 < seconds < 0.001 else span(seconds)
