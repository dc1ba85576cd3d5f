"""What a plan comes to, out of its document: the verdict, the sweep as a picture over its figures, what to do."""

from __future__ import annotations

from stagebook.report.durations import SECOND, Form, plural, span, ticks
from stagebook.report.harmless import harmless, pad, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_BAR_MIN = 12


def render(plan: Mapping[str, Any], style: Style) -> list[str]:
    """Lines for a terminal; nothing in them but what the document says."""
    found = plan["recommendation"]
    lines = [style.paint(line, "bold") for line in wrap(_verdict(plan), style.width - 1)]
    lines += [style.plain(line) for line in wrap(_second(plan), style.width - 1)]
    lines += ["", *_sweep(plan, style)]
    told = [*found["changes"], *found["kept"]]
    for number, change in enumerate(told, 1):
        lines += ["", *_change(number, change, style)]
    if "applied" in plan:
        lines += ["", *_applied(plan["applied"], style)]
    lines += ["", *_standing(plan, style)]
    return [style.plain(line) for line in lines]


def _verdict(plan: Mapping[str, Any]) -> str:
    return harmless(f"{plan['recommendation']['reasons'][0][0].upper()}{plan['recommendation']['reasons'][0][1:]}.")


def _second(plan: Mapping[str, Any]) -> str:
    more = [harmless(reason) for reason in plan["recommendation"]["reasons"][1:]]
    return "; ".join(more)


def _sweep(plan: Mapping[str, Any], style: Style) -> list[str]:
    """A row a job count: median and 95th percentile as figures, and as a bar with a tail."""
    rows = plan["sweep"]
    longest_s = max(max(row["p95_s"], row["makespan_s"]) for row in rows)
    form = Form(round(longest_s * SECOND))
    figures = [
        (str(row["jobs"]), form.text(round(row["makespan_s"] * SECOND)), form.text(round(row["p95_s"] * SECOND)))
        for row in rows
    ]
    wide = [max(len(column) for column in columns) for columns in zip(*figures, ("jobs", "p50", "p95"))]
    ends = [_end(row, rows[0], plan) for row in rows]
    head = f"{'jobs':>{wide[0]}}  {'p50':>{wide[1]}}  {'p95':>{wide[2]}}  "
    room = max(_BAR_MIN, style.width - 1 - len(head) - max(len(end) for end in ends) - 2)
    total_us = round(longest_s * SECOND)
    axis = [" "] * (room + 1)
    for cell, label in [(0, "0"), *ticks(total_us, room)]:
        if cell + len(label) <= len(axis):
            axis[cell : cell + len(label)] = label
    lines = [f"{head}{''.join(axis)} speed-up".rstrip()]
    for row, (jobs, p50, p95), end in zip(rows, figures, ends):
        middle = round(row["makespan_s"] / longest_s * room) if longest_s else 0
        tail = round(row["p95_s"] / longest_s * room) if longest_s else 0
        bar = style.mark("bar-line") * max(0, middle - 1) + style.mark("dot") + style.mark("tail") * (tail - middle)
        lines.append(f"{jobs:>{wide[0]}}  {p50:>{wide[1]}}  {p95:>{wide[2]}}  {pad(bar, room + 1)} {end}".rstrip())
    legend = (
        f"{style.mark('dot')} p50  {style.mark('tail')} to p95  {style.mark('knee')} knee: what binds is {_binds(plan)}"
    )
    return [*lines, "", *wrap(f"{legend}; {rows[0]['draws']} simulated runs", style.width - 1)]


def _end(row: Mapping[str, Any], first: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    mark = " ◀" if row["jobs"] == plan["knee"]["jobs"] else ""
    beyond = " ?" if row["beyond"] else ""
    return f"{row['speedup']:.2f}×{beyond}{mark}"


_WORDS = {
    "path": "the critical path", "cores": "the cores", "disk": "the disk", "waiting": "something all wait for",
    "slot": "the jobs",
}  # fmt: skip


def _binds(plan: Mapping[str, Any]) -> str:
    told = [_WORDS.get(name, harmless(name.replace(":", " "))) for name in plan["knee"]["binds"]]
    return " and ".join(told) if told else "nothing"


def _change(number: int, change: Mapping[str, Any], style: Style) -> list[str]:
    width = style.width - 1
    saves = f"−{span(change['saves_s'])}" if change["saves_s"] else ""
    if change["question"]:
        saves = f"would save {span(change['saves_s'])}" if change["saves_s"] else ""
    elif change["kind"] == "sequential":
        saves = "stays sequential"
    head = wrap(f"{number}  {harmless(change['change'])}", max(20, width - len(saves) - 2))
    head[0] = f"{pad(head[0], width - len(saves))}{saves}" if saves else head[0]
    why = harmless(change["why"])
    lines = head + [f"     {line}" for line in wrap(why, width - 5)]
    for each in change["evidence"]:
        if each["text"] != change["why"]:
            lines += [
                f"     {line}" for line in wrap(f"evidence {each['source']}: {harmless(each['text'])}", width - 5)
            ]
    if change["check"]:
        lines += [f"     {line}" for line in wrap(f"check first: {harmless(change['check'])}", width - 5)]
    return lines


def _standing(plan: Mapping[str, Any], style: Style) -> list[str]:
    """What it stands on."""
    profile = plan["profile"]
    said = {
        "history": f"from {plural(profile['runs'], 'run')}",
        "declared": "from declared durations",
        "file": "from timings in the file",
    }[profile["source"]]
    if profile["error"] is not None:
        said += f"; runs in parallel were predicted within {profile['error']:.0%} (median)"
    if profile["others_cores"] is not None:
        said += f"; others kept {profile['others_cores']:.1f} of {profile['cores']} cores busy"
    lines = wrap(said, style.width - 1)
    for lack in profile["lacks"]:
        lines += wrap(f"not known: {harmless(lack)}", style.width - 1)
    return lines


def _applied(applied: Mapping[str, Any], style: Style) -> list[str]:
    if not applied["edits"]:
        return wrap(f"nothing to apply: {harmless(applied['file'])} is as recommended", style.width - 1)
    lines = wrap(f"applied to {harmless(applied['file'])}: {harmless('; '.join(applied['edits']))}", style.width - 1)
    return [*lines, *(harmless(line) for line in applied["diff"].splitlines())]
