"""What becomes of items, in words: while their stage goes on, when it is over, and one by one where they failed."""

from __future__ import annotations

from stagebook.report.durations import count, plural, span
from stagebook.report.harmless import harmless, wrap
from stagebook.report.style import Style
from stagebook.report.watch import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from stagebook.model.outcome import ItemsTold

LISTED_MAX = 20  #: so many that failed are listed where nobody asked for all


def summary(stage: Mapping[str, Any]) -> str:
    """`segments: 120 of 163 items done, 3 failed; 3.4/s, 1.2 s from start to end (slowest 4 s); transcode binds, …`."""
    items = stage["items"]
    total = items["total"] if items["total"] is not None else items["known"]
    parts = [f"{count(items['done'])} of {_items(total)} done"]
    if items["skipped"]:
        parts.append(f"{count(items['skipped'])} up to date")
    if items["failed"]:
        kept = " (dead letters)" if items["dead"] else ""
        parts.append(f"{count(items['failed'])} failed{kept}")
    said = f"{harmless(stage['stage'])}: {', '.join(parts)}"
    if items["per_s"]:
        said += f"; {rate(items['per_s'])}"
    if items["latency_s"]:
        latency = items["latency_s"]
        said += f", {span(latency['median'])} from start to end"
        if items["done"] > 1:
            said += f" (slowest {span(latency['max'])})"
    binding = next((step for step in stage["steps"] if step["step"] == items["binds"]), None)
    if binding is not None and items["done"] > 1:
        said += (
            f"; {harmless(binding['step'].removeprefix(stage['stage'] + '.'))} binds, {span(per_item(binding))} an item"
        )
        said += f", {plural(binding['workers'], 'worker')}"
    return said


def _items(number: int) -> str:
    return f"{count(number)} item{'s' if number != 1 else ''}"


def per_item(step: Mapping[str, Any]) -> float:
    """Seconds that a worker of the step has spent for each item that is done."""
    return float(step["wall_s"] / max(1, step["done"]))


def rate(per_s: float) -> str:
    """`3.4/s`; of slow ones how many a minute or an hour."""
    if per_s >= 1:
        return f"{per_s:.3g}/s" if per_s < 1000 else f"{count(round(per_s))}/s"
    return f"{per_s * 60:.3g}/min" if per_s * 60 >= 1 else f"{per_s * 3600:.3g}/h"


def progress(told: ItemsTold) -> str:
    """`120 of 400 items, 3 failed, 3.4/s, 4 before transcode, which binds`."""
    said = f"{count(told.done)} of {_items(told.total)}" if told.total is not None else _items(told.done)
    if told.failed:
        said += f", {count(told.failed)} failed"
    if told.per_s:
        said += f", {rate(told.per_s)}"
    waiting = [f"{count(number)} before {harmless(step)}" for step, number in told.queues if number]
    binds = [] if told.binds is None else [f"{harmless(told.binds)} binds"]
    return ", ".join([said, *waiting, *binds])


def listing(
    document: Mapping[str, Any], stage: Mapping[str, Any], dead: Sequence[Mapping[str, Any]], style: Style,
    only_dead: bool = False, short: str | None = None,
) -> list[str]:  # fmt: skip
    """For `stagebook items`: the sums, a line a step, and the items that failed for good. `short` means the run."""
    lines = []
    if not only_dead:
        lines += wrap(style.plain(summary(stage)), style.width - 1)
        for step in stage["steps"]:
            text = f"  {harmless(step['step'])}: {count(step['done'])} done"
            if step["failed"]:
                text += f", {count(step['failed'])} failed"
            if step["retried"]:
                text += f", {count(step['retried'])} tried again"
            text += f"; {plural(step['workers'], 'worker')}, {span(per_item(step)) if step['done'] else '–'} an item"
            text += f", at most {count(step['queue_max'])} queued"
            lines += wrap(style.plain(text), style.width - 1)
    shown = dead if only_dead else dead[:LISTED_MAX]
    for item in shown:
        glyph = style.paint(style.glyph("failure"), "failure")
        value = item["value"] if isinstance(item["value"], str) else str(item["value"])
        name = "" if item["value"] is None else f" {harmless(value)}"
        text = f"item {item['item']}{name}: {item['reason'] or item['outcome']} in {harmless(item['step'])}"
        lines += [
            f"{glyph} {line}" if not at else f"  {line}"
            for at, line in enumerate(wrap(style.plain(text), style.width - 3))
        ]
        if item["log"]:
            lines += wrap(style.plain(f"  log  {harmless(item['log'])}"), style.width - 1)
    if len(dead) > len(shown):
        lines.append(f"  and {count(len(dead) - len(shown))} more; --dead lists all")
    if dead and stage["outcome"] is not None:
        again = f"stagebook items {short or short_id(document['run'])} {harmless(stage['stage'])} --retry"
        lines += ["", f"  again  {again}"]
    if only_dead and not dead:
        lines.append("no item failed for good")
    return lines
