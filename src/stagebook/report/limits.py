"""Use against caps as text: the verdict, the table, when a line was crossed, jobs, minutes, demand. Works nothing out.

All times are UTC, so that the same record reads the same on every machine.
"""

from __future__ import annotations

from stagebook.report.durations import NOTHING, THIN, instant_us, plural, size, span, span_us
from stagebook.report.durations import count as counted
from stagebook.report.harmless import cells, cut, harmless, pad, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_NAME_MAX = 30
_STRETCHES_SHOWN = 3
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_ROUNDED = {
    "job": "each job rounded up to a whole minute",
    "second": "each job rounded up to a whole second",
    "none": "fractions count",
    "sum": "the sum rounded down",
    None: "rounding not known",
}


def render(document: Mapping[str, Any], style: Style) -> list[str]:
    """Lines for a terminal, from the document of `plan --limits`."""
    limits = document["limits"]
    parts = [
        [_verdict(document, style)],
        [_behind(limits)] + ([_provider(limits["provider"])] if limits["provider"] else []),
        _table(limits, style),
        [line for row in _crossed(limits) for line in _crossings(row)],
        [_jobs(limits), _minutes(limits)],
        _demand(limits["demand"]),
        [f"note: {note}" for note in limits["notes"]] + _left_out(limits["left_out"]),
    ]
    lines: list[str] = []
    for part in parts:
        said = [line for line in part if line]
        lines += ["", *said] if lines and said else said
    return [folded for line in lines for folded in _folded(_plain(line, style), style)]


def _plain(line: str, style: Style) -> str:
    return style.plain(line.replace(THIN, "") if style.ascii else line)


def _folded(line: str, style: Style) -> list[str]:
    return [line] if cells(line) < style.width else wrap(line, style.width - 1)


def _verdict(document: Mapping[str, Any], style: Style) -> str:
    limits, name = document["limits"], harmless(document["pipeline"])
    if not limits["runs"]:
        return f"{name}: no runs in the last {plural(limits['days'], 'day')}; `stagebook run` makes one"
    crossed = _crossed(limits)
    if crossed:
        worst = max(crossed, key=lambda row: row["peak"] / row["cap"])
        of = f"{_text(worst, worst['peak'])} of {_text(worst, worst['cap'])}"
        return style.paint(f"{name} crosses the line of {_label(worst)}: {of}, the line is at ", "bold") + style.paint(
            _text(worst, worst["line"]), "failure-bold"
        )
    if not limits["enough"]:
        return f"{name}: insufficient data, {limits['jobs']['because'][0]}"
    return style.paint(f"{name} stays within its limits", "bold")


def _crossed(limits: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The caps that somebody has named and whose line use went above."""
    return [row for row in limits["use"] if row["crossed"] and row["named"]]


def _behind(limits: Mapping[str, Any]) -> str:
    others = limits["runs"] - limits["own_runs"]
    of_others = f" ({others} of other pipelines)" if others else ""
    behind = f"{plural(limits['runs'], 'run')}{of_others}, {plural(limits['attempts'], 'attempt')}"
    if limits["runs"] and limits["covered_days"] < limits["days"] - 0.05:
        behind += f", {limits['covered_days']:.1f} of {plural(limits['days'], 'day')} on record"
    return f"{_when(limits['from'])} to {_when(limits['to'])} UTC: {behind}"


def _provider(provider: Mapping[str, Any]) -> str:
    text = f"{harmless(provider['name'])} as of {provider['as_of']}"
    if provider["title"]:
        text += f": {harmless(provider['title'])}"
    apart = [
        f"{harmless(name)} at most {one['jobs']}"
        for name, one in provider["classes"].items()
        if one["jobs"] is not None
    ]
    return f"{text}; {', '.join(apart)}" if apart else text


# The table --------------------------------------------------------------------------------------------------------


def _table(limits: Mapping[str, Any], style: Style) -> list[str]:
    head = ["", "use", "p95", "p95 all", "peak", "cap", f"{limits['share'] * 100:g} % line", "recommended", "runs"]
    rows = [_row(row, style) for row in limits["use"]]
    table = [[_plain(text, style) for text in row] for row in [head, *rows]]
    widths = [max(cells(row[column]) for row in table) for column in range(len(head))]
    columns = list(range(len(head)))
    for spare in (3, 8, 2):  # what a narrow terminal does without; JSON has it
        if sum(widths[column] + 2 for column in columns) > style.width:
            columns.remove(spare)
    lines = [_aligned(row, widths, columns) for row in table]
    if limits["runs"] and 2 in columns:
        of_all = "; all: of all the time on record" if 3 in columns else ""
        lines.append(f"p95 of the {span(limits['busy_s'])} in which something ran{of_all}")
    return lines


def _row(row: Mapping[str, Any], style: Style) -> list[str]:
    glyph = NOTHING
    if row["peak"] is not None and row["line"] is not None:
        state = "failure" if row["crossed"] and row["named"] else "success"
        glyph = "" if row["crossed"] and not row["named"] else style.paint(style.glyph(state), state)
    figures = [_text(row, row[key]) for key in ("p95", "p95_all", "peak", "cap", "line", "recommended")]
    return [glyph, cut(_label(row), _NAME_MAX), *figures, str(row["runs"]) if row["runs"] else NOTHING]


def _aligned(row: Sequence[str], widths: Sequence[int], columns: Sequence[int]) -> str:
    parts = []
    for column in columns:
        gap = widths[column] - cells(row[column])
        parts.append(pad(row[column], widths[column]) if column < 2 else " " * gap + row[column])
    return "  ".join(parts).rstrip()


def _label(row: Mapping[str, Any]) -> str:
    name = harmless(row["name"].replace(":", " ", 1))
    if row["basis"] and not row["name"].startswith("pool:"):
        return f"{name}, {row['basis']}"
    if row["name"] == "jobs" and row["named"]:
        return f"{name}, {harmless(row['cap_of'].partition(' (')[0])}"
    return name


def _text(row: Mapping[str, Any], amount: float | None) -> str:
    """An amount in the unit of its row."""
    if amount is None:
        return NOTHING
    if row["unit"] == "bytes":
        return size(int(amount))
    return f"{amount:.3g}" if row["unit"] == "cores" and amount < 100 else counted(round(amount))


# Below it ---------------------------------------------------------------------------------------------------------


def _crossings(row: Mapping[str, Any]) -> list[str]:
    longest = sorted(row["above"], key=lambda one: (-_length_us(one), one["from"]))[:_STRETCHES_SHOWN]
    longest.sort(key=lambda one: str(one["from"]))
    times = [
        f"{_when(one['from'])} for {span_us(_length_us(one))} ({_text(row, one['peak'])} in use)" for one in longest
    ]
    number = row["stretches"]
    often = "" if number == 1 else f"{counted(number)} times, {span(row['above_line_s'])} in all"
    if row["above_cap_s"] and row["cap"] != row["line"]:
        often += f"{', ' if often else ''}above the cap itself for {span(row['above_cap_s'])}"
    if often:
        often += ", the longest " if number > len(times) else ": "
    hint = "; machine: true would hold it across runs" if row["name"].startswith("pool:") else ""
    return [f"above {_text(row, row['line'])} of {_label(row)}: {often}{', '.join(times)}{hint}"]


def _jobs(limits: Mapping[str, Any]) -> str:
    jobs = limits["jobs"]
    because = "; ".join(map(harmless, jobs["because"]))
    if jobs["recommended"] is None:
        return because if limits["enough"] or _crossed(limits) else ""  # else it is the verdict
    return f"recommended: jobs: {jobs['recommended']}; {because}"


def _minutes(limits: Mapping[str, Any]) -> str:
    minutes, provider = limits["minutes"], limits["provider"]
    if provider is None or not limits["runs"]:
        return ""
    month = _MONTHS[int(minutes["month"][5:7]) - 1]
    used = counted(round(minutes["used"]))
    included = f" of {counted(minutes['included'])}" if minutes["included"] is not None else ""
    text = f"minutes in {month}: {used}{included} used"
    if minutes["forecast"] is None:
        text += f", {plural(minutes['days'], 'whole day')} on record are too few for a forecast"
    else:
        text += f", about {counted(round(minutes['forecast']))} by its end"
        if minutes["low"] is not None:
            low, high = (counted(round(minutes[key])) for key in ("low", "high"))
            text += f" ({low} to {high} in 9 of 10 cases, by {minutes['days']} days)"
    since = f"; on record since {_when(minutes['since'])}" if minutes["since"] else ""
    return f"{text}; {_ROUNDED.get(minutes['rounding'], minutes['rounding'])}{since}"


def _demand(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Only what is far off; all others are in JSON."""
    lines = []
    for row in rows:
        if not row["far_off"]:
            continue
        method = " by largest process" if row["method"] == "wait4" else ""
        measured = row["p95"] if row["p95"] is not None else row["peak"]
        what = "p95" if row["p95"] is not None else "peak"
        text = f"{harmless(row['stage'])}: {row['resource']} declared {_text(row, row['declared'])}, "
        text += f"measured {what} {_text(row, measured)}{method}"
        if row["p95"] is not None and row["peak"] != row["p95"]:
            text += f", peak {_text(row, row['peak'])}"
        text += f" in {plural(row['attempts'], 'attempt')}"
        lines.append(f"{text}: reserve {_text(row, row['reserve'])}" if row["reserve"] is not None else text)
    return lines


def _left_out(journals: Sequence[str]) -> list[str]:
    if not journals:
        return []
    more = f", and {len(journals) - 1} more" if len(journals) > 1 else ""
    return [f"note: {plural(len(journals), 'journal')} not counted: {harmless(journals[0])}{more}"]


def _when(stamp: str) -> str:
    """`2026-11-24 07:12` of a time stamp in UTC."""
    return f"{stamp[:10]} {stamp[11:16]}"


def _length_us(one: Mapping[str, Any]) -> int:
    return instant_us(one["to"]) - instant_us(one["from"])
