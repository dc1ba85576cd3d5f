"""What a plan comes to, out of its document: the verdict, the sweep as a picture over its figures, what to do."""

from __future__ import annotations

from itertools import pairwise

from stagebook.graph.coupling import listed
from stagebook.report import streams
from stagebook.report.durations import NOTHING, SECOND, Form, plural, span, ticks
from stagebook.report.harmless import cells, harmless, pad, wrap
from stagebook.report.style import Style
from stagebook.report.together import question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_BAR_MIN = 12
#: From this width on a sweep has its interval, its efficiency and its gain as columns.
_WIDE = 110
_SAME = 0.005
_NAMED_MAX = 4
_NOT_TO_RUN = " taken not to run: "
#: Half an interval, over its middle, from which on it is said; and an error of prediction from which on figures are no
#: good.
_WIDE_INTERVAL, _POOR = 0.1, 0.25


def render(plan: Mapping[str, Any], style: Style, is_open: bool = False) -> list[str]:
    """Lines for a terminal; nothing in them but what the document says. `is_open`: with what is known of each stage."""
    found = plan["recommendation"]
    lines: list[str] = []
    if not plan["sweep"]:  # nothing is known that a figure could be made of
        lines = [style.paint(line, "bold") for line in _wrapped(_verdict(plan), style)]
        return [style.plain(line) for line in [*lines, "", *_standing(plan, style)]]
    if plan.get("what_if"):
        lines += _what_if(plan["what_if"], plan, style)
    if plan.get("arrivals"):
        from stagebook.report import arrivals

        lines += ["", *arrivals.render(plan["arrivals"], style)] if lines else arrivals.render(plan["arrivals"], style)
    if lines:
        return [style.plain(line) for line in [*lines, "", *_standing(plan, style)]]
    lines += [style.paint(line, "bold") for line in _wrapped(_verdict(plan), style)]
    for said in (*doubts(plan), _second(plan)):
        lines += _wrapped(said, style) if said else []
    lines += ["", *sweep(plan["sweep"], plan, style)]
    if found["sweep"] is not None:
        lines += [
            "",
            *_wrapped("with the changes below:", style),
            *sweep(found["sweep"], plan, style, knee=False),
        ]
    for stream in plan.get("streams") or ():
        words, table = streams.lines(stream, style)
        lines += ["", *words]
        lines += [f"  {row}" for row in _columns(list(zip(*table)), from_left=(0,))] if table else []
        lines += _by_jobs(stream, style)
    for number, change in enumerate([*found["changes"], *found["kept"]], 1):
        lines += ["", *_change(number, change, style)]
    if "applied" in plan:
        lines += ["", *_applied(plan["applied"], any(each["question"] for each in found["changes"]), style)]
    if is_open:
        lines += ["", *_profile(plan["profile"]["stages"], style)]
        lines += _wrapped(f"p50: {alone(plan)}", style) if alone(plan) else []
    lines += ["", *_standing(plan, style)]
    return [style.plain(line) for line in lines]


def _by_jobs(stream: Mapping[str, Any], style: Style) -> list[str]:
    table, workers = streams.by_jobs(stream)
    if not table:
        return []
    left = _columns(list(zip(*table)), from_left=(2,))
    room = style.width - 5 - cells(left[0])
    if room < max(map(cells, workers)):
        rows = [(line, wrap(f"  {text}", style.width - 5)) for line, text in zip(left[1:], workers[1:])]
        return ["", f"  {left[0]}", *[f"  {line}" for row, below in rows for line in (row, *below)]]
    return ["", *[f"  {line}  {text}" for line, text in zip(left, workers)]]


def _verdict(plan: Mapping[str, Any]) -> str:
    reason = harmless(plan["recommendation"]["reasons"][0])
    return f"{reason[:1].upper()}{reason[1:]}{conditionally(plan)}."


def conditionally(plan: Mapping[str, Any]) -> str:
    """What else the verdict could be, behind it: where stages of which nothing is known do nothing but wait."""
    return _conditionally(plan["recommendation"])


def _conditionally(found: Mapping[str, Any]) -> str:
    waiting = found["if_waiting"]
    if not waiting:
        return ""
    return f"; ~{span(waiting['makespan_s'])} with {plural(waiting['jobs'], 'job')} if stages only wait"


def doubts(plan: Mapping[str, Any]) -> list[str]:
    """What keeps the verdict from being a sure one, as sentences: what is taken for granted, how wide its interval is,
    and that such figures were wrong before."""
    found = plan["recommendation"]
    return _doubts(plan, found, found, (*plan["sweep"], *(found["sweep"] or ())))


def _doubts(
    plan: Mapping[str, Any], asked: Mapping[str, Any], found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """`asked` is the recommendation, or what was supposed; `found` has the figures that are doubted, and `rows` are all
    that are told."""
    error, said = plan["profile"]["error"], []
    if asked["unknown"] and max([row["jobs"] for row in rows]) > 1:
        them = plural(asked["unknown"], "stage")
        uses, is_ = ("uses", "it") if asked["unknown"] == 1 else ("use", "each")
        said.append(f"what {them} {uses} is not known; {is_} is taken to keep a core busy")
    if found["high_s"] - found["low_s"] > 2 * _WIDE_INTERVAL * found["makespan_s"]:
        said.append(
            f"~{span(found['makespan_s'])} may as well be anything from {span(found['low_s'])} to "
            f"{span(found['high_s'])}, in 95 of 100 cases"
        )
    if error is not None and error > _POOR:
        said.append(f"{_predicted(plan['profile'])}: do not trust these figures; a few more runs would help")
    return said


def _predicted(profile: Mapping[str, Any]) -> str:
    """How well runs in parallel were predicted, where there is one."""
    who = "the run in parallel was" if profile["error_runs"] == 1 else "runs in parallel were"
    return f"{who} predicted within {round(profile['error'] * 100)} %"


def predicted(profile: Mapping[str, Any]) -> str:
    """The same with where the figure comes from."""
    runs = profile["error_runs"]
    each = "by what was known without it" if runs == 1 else f"(median of {runs}, each by what was known without it)"
    return f"{_predicted(profile)} {each}"


def alone(plan: Mapping[str, Any]) -> str:
    """What figures of stages and of the critical path leave out; nothing where no run stands behind them."""
    if plan["profile"]["source"] != "history":
        return ""
    return "alone on an idle machine, without the time in which a stage waited for a core"


def behind(profile: Mapping[str, Any]) -> str:
    """How many runs stand behind each stage of which there are any."""
    counts = [stage["runs"] for stage in profile["stages"] if stage["runs"]] or [profile["runs"]]
    if min(counts) == max(counts):
        return plural(max(counts), "run")
    return f"{min(counts)} to {max(counts)} runs of each stage"


def _second(plan: Mapping[str, Any]) -> str:
    return "; ".join([harmless(reason) for reason in plan["recommendation"]["reasons"][1:]])


# The sweep --------------------------------------------------------------------------------------------------------


def sweep(rows: Sequence[Mapping[str, Any]], plan: Mapping[str, Any], style: Style, knee: bool = True) -> list[str]:
    """A row a job count: median and 95th percentile as figures, and as a bar with a tail, then what it is worth."""
    longest_s = max([max(row["p95_s"], row["makespan_s"]) for row in rows])
    target_s = plan["sla"]["target_s"] if plan["sla"] else None
    form = Form(round(longest_s * SECOND))
    left = _columns([("jobs", *[str(row["jobs"]) for row in rows]), *_times(rows, form, style)])
    right = _columns(_worths(rows, plan, style), from_left=(-1,))
    marks = [_mark(row, plan, knee, style) for row in rows]
    ends = [right[0], *[f"{end} {mark}".rstrip() for end, mark in zip(right[1:], marks)]]
    room = style.width - 1 - cells(left[0]) - max(map(cells, ends)) - 4
    if room < _BAR_MIN:
        return [*_narrow(left, ends, style), *_legend(rows, plan, style, knee, bars=False, target_s=None)]
    whole_s = max(longest_s, target_s) if target_s is not None and target_s < 2 * longest_s else longest_s
    lines = [f"{left[0]}  {pad(_axis(whole_s, room), room)}  {ends[0]}".rstrip()]
    is_marked = False
    for row, figures, end in zip(rows, left[1:], ends[1:]):
        bar, has_mark = _bar(row, whole_s, room, target_s, style)
        is_marked |= has_mark
        lines.append(f"{figures}  {bar}  {end}".rstrip())
    return [*lines, "", *_legend(rows, plan, style, knee, bars=True, target_s=target_s if is_marked else None)]


def _times(rows: Sequence[Mapping[str, Any]], form: Form, style: Style) -> list[tuple[str, ...]]:
    def text(seconds: float) -> str:
        return form.text(round(seconds * SECOND))

    columns = [("p50", *[text(row["makespan_s"]) for row in rows])]
    if style.width >= _WIDE:
        columns.append(("95 % of p50", *[f"[{text(row['low_s'])}, {text(row['high_s'])}]" for row in rows]))
    return [*columns, ("p95", *[text(row["p95_s"]) for row in rows])]


def _worths(rows: Sequence[Mapping[str, Any]], plan: Mapping[str, Any], style: Style) -> list[tuple[str, ...]]:
    columns = [("speed-up", *[f"{row['speedup']:.2f}×" for row in rows])]
    if style.width >= _WIDE:
        columns.append(("efficiency", *[f"{row['efficiency']:.0%}".replace("%", " %") for row in rows]))
        columns.append(("gain", *[_gain(row["gain"], style) for row in rows]))
    if plan["sla"]:
        columns.append(("SLA", *[_held(row, plan["sla"]["target_s"]) for row in rows]))
    if any(row["cost"] is not None for row in rows):
        columns.append(("cost", *[NOTHING if row["cost"] is None else f"{row['cost']:.2f}" for row in rows]))
    return columns


def _gain(gain: float | None, style: Style) -> str:
    if gain is None:
        return NOTHING
    return "0 %" if abs(gain) < _SAME else f"{'−' if gain < 0 else ''}{abs(gain):.0%}".replace("%", " %")


def _held(row: Mapping[str, Any], target_s: float) -> str:
    if row["p95_s"] <= target_s:
        return "held"
    return "at risk" if row["makespan_s"] <= target_s else "missed"


def _mark(row: Mapping[str, Any], plan: Mapping[str, Any], knee: bool, style: Style) -> str:
    said = "?" if row["beyond"] else ""
    return f"{said} {style.mark('knee')}".strip() if knee and row["jobs"] == plan["knee"]["jobs"] else said


def _bar(
    row: Mapping[str, Any], whole_s: float, room: int, target_s: float | None, style: Style
) -> tuple[str, bool]:  # fmt: skip
    """And whether the line of the SLA can be seen in it."""
    middle = min(room, max(1, round(row["makespan_s"] / whole_s * room))) if whole_s else 1
    tail = min(room, max(middle, round(row["p95_s"] / whole_s * room))) if whole_s else middle
    bar = style.mark("bar-line") * (middle - 1) + style.mark("dot") + style.mark("tail") * (tail - middle)
    line = list(pad(bar, room))
    at = round(target_s / whole_s * room) - 1 if target_s is not None and whole_s else -1
    if not 0 <= at < room:
        return "".join(line), False
    if line[at] == " ":
        line[at] = style.mark("limit")
    return "".join(line), True


def _axis(whole_s: float, room: int) -> str:
    axis = [" "] * room
    for cell, label in [(0, "0"), *ticks(round(whole_s * SECOND), room)]:
        if cell + len(label) <= room:
            axis[cell : cell + len(label)] = label
    return "".join(axis)


def _narrow(left: Sequence[str], ends: Sequence[str], style: Style) -> list[str]:
    """Without bars; where it is too narrow even so, what a row is worth stands below it."""
    wide = max([cells(one) + 2 + cells(other) for one, other in zip(left, ends)])
    if wide < style.width:
        return [f"{one}  {other}".rstrip() for one, other in zip(left, ends)]
    return [line for one, other in zip(left, ends) for line in (one, f"      {' '.join(other.split())}")]


def _legend(
    rows: Sequence[Mapping[str, Any]], plan: Mapping[str, Any], style: Style, knee: bool, bars: bool,
    target_s: float | None,
) -> list[str]:  # fmt: skip
    """One line under the picture, only with symbols that occur; then what one might take for a mistake in it."""
    parts = [f"{style.mark('dot')} p50  {style.mark('tail')} to p95"] if bars else []
    if target_s is not None:
        parts.append(f"{style.mark('limit')} SLA {span(target_s)}")
    if knee:
        parts.append(f"{style.mark('knee')} knee: {_knee(rows, plan)}")
    if any(row["beyond"] for row in rows):
        seen = plan["profile"]["measured_jobs"]
        parts.append("? more at once than was ever measured" + (f" ({seen})" if seen > 1 else ""))
    lines = wrap("  ".join([*parts, plural(rows[0]["draws"], "simulated run")]), style.width - 1)
    for before, row in pairwise(rows):
        is_told = before["jobs"] == plan["knee"]["jobs"] and row is rows[-1]
        if row["gain"] is not None and row["gain"] < -_SAME and not (knee and is_told):
            text = (
                f"{row['jobs']} jobs take {-row['gain']:.0%} longer than {before['jobs']}: as simulated, not smoothed"
            )
            lines += _wrapped(text.replace("%", " %"), style)
    return lines


def _knee(rows: Sequence[Mapping[str, Any]], plan: Mapping[str, Any]) -> str:
    """`4 (8 gains 2 %), pool db binds`."""
    jobs = plan["knee"]["jobs"]
    at = [row for row in rows if row["jobs"] == jobs]
    more = [row for row in rows if row["jobs"] > jobs]
    said = str(jobs)
    if at and more and at[0]["makespan_s"]:
        gain = 1 - more[-1]["makespan_s"] / at[0]["makespan_s"]
        verb = "gains" if gain > -_SAME else "loses"
        said += f" ({more[-1]['jobs']} {verb} {0 if abs(gain) < _SAME else abs(gain):.0%})".replace("%", " %")
    names = binds(plan["knee"]["binds"])
    return f"{said}, {names} {'bind' if ' and ' in names else 'binds'}" if names else said


#: What keeps more jobs from helping, in words.
BINDS = {
    "path": "the critical path", "cores": "the cores", "disk": "the disk", "waiting": "something all wait for",
    "slot": "the number of jobs",
}  # fmt: skip


def binds(names: Sequence[str]) -> str:
    said = [BINDS.get(name) or harmless(name.replace(":", " ", 1)) for name in names]
    return " and ".join([part for part in (", ".join(said[:-1]), said[-1] if said else "") if part])


# What if ----------------------------------------------------------------------------------------------------------


def supposed(plan: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The verdict of what is supposed, and what keeps it from being a sure one, then what binds."""
    found, profile = plan["what_if"], plan["profile"]
    row, was = _told_of(found)
    jobs = plural(row["jobs"], "job")
    verdict = (
        f"With {harmless(', '.join(found['supposed']))}: ~{span(row['makespan_s'])} instead of "
        f"~{span(was['makespan_s'])} at {jobs}{_conditionally(found)}."
    )
    said = _doubts(plan, found, row, found["sweep"])
    if 0 < profile["runs"] < profile["enough"]:
        said.append(f"insufficient data ({plural(profile['runs'], 'run')}, need {profile['enough']})")
    if row["beyond"] and profile["runs"]:
        said.append("more at once than was ever measured: above that it is extrapolated")
    return verdict, [*said, _bottleneck(found)]


def _told_of(found: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The row at the knee of what would be, and of what is with as many jobs, or the most that are of use."""
    before = found["before"]["sweep"]
    row = next(each for each in found["sweep"] if each["jobs"] == found["knee"]["jobs"])
    return row, next((each for each in before if each["jobs"] == row["jobs"]), before[-1])


def _what_if(found: Mapping[str, Any], plan: Mapping[str, Any], style: Style) -> list[str]:
    """Both sweeps side by side."""
    before = found["before"]
    old = {row["jobs"]: row for row in before["sweep"]}
    most = before["sweep"][-1]
    knee = found["knee"]["jobs"]
    verdict, more = supposed(plan)
    lines = [style.paint(line, "bold") for line in _wrapped(verdict, style)]
    for said in more:
        lines += _wrapped(said, style)
    form = Form(round(min(before["sequential_s"], found["sequential_s"]) * SECOND))

    def text(seconds: float) -> str:
        return form.text(round(seconds * SECOND))

    rows = [
        (
            "1 by 1",
            text(before["sequential_s"]),
            text(found["sequential_s"]),
            _by(before["sequential_s"], found["sequential_s"]),
        )
    ]
    for each in found["sweep"]:
        other = old.get(each["jobs"], most if each["jobs"] > most["jobs"] else None)
        mark = f" {style.mark('knee')}" if each["jobs"] == knee else ""
        rows.append(
            (
                str(each["jobs"]),
                NOTHING if other is None else text(other["makespan_s"]),
                text(each["makespan_s"]),
                (NOTHING if other is None else _by(other["makespan_s"], each["makespan_s"])) + mark,
            )
        )
    lines += ["", *_columns(list(zip(("jobs", "as it is", "then", "change"), *rows)), from_left=(-1,))]
    return lines


def _by(before_s: float, after_s: float) -> str:
    return f"{after_s / before_s:.2f}×" if before_s else NOTHING


def _bottleneck(found: Mapping[str, Any]) -> str:
    before, now = binds(found["before"]["knee"]["binds"][:1]), binds(found["knee"]["binds"][:1])
    said = f"the bottleneck {'stays' if before == now else 'is now'} {now or 'nothing'}"
    said += "" if before == now or not before else f", before it was {before}"
    row = found["sweep"][-1]
    name = next(iter(found["knee"]["binds"]), "")
    parts = []
    if name in row["utilisation"]:
        parts.append(f"{row['utilisation'][name]:.0%} in use".replace("%", " %"))
    if found["knee"]["waits_s"].get(name):
        parts.append(f"stages wait {span(found['knee']['waits_s'][name])} for it in all")
    return said + (f": with {plural(row['jobs'], 'job')} {', '.join(parts)}" if parts else "")


# What to do -------------------------------------------------------------------------------------------------------


def _change(number: int, change: Mapping[str, Any], style: Style) -> list[str]:
    width = style.width - 1
    saves = f"−{span(change['saves_s'])}" if change["saves_s"] else ""
    if change["question"]:
        saves = f"would save {span(change['saves_s'])}" if change["saves_s"] else ""
    elif change["kind"] == "sequential":
        saves = "stays sequential"
    head = wrap(style.plain(f"{number}  {harmless(change['change'])}"), max(20, width - len(saves) - 2))
    head[0] = f"{pad(head[0], width - len(saves))}{saves}" if saves else head[0]
    said = [change["why"]]
    said += [
        f"evidence {each['source']}: {each['text']}" for each in change["evidence"] if each["text"] != change["why"]
    ]
    said += [f"in the file: {edits(change)}"] if edits(change) else []
    said += [f"check first: {change['check']}"] if change["check"] else []
    lines = head[:1] + [f"   {line}" for line in head[1:]]
    return lines + [f"     {line}" for each in said for line in _wrapped(harmless(each), style, 5)]


def edits(change: Mapping[str, Any]) -> str:
    """The needs that a change takes away and adds, in the words of what is applied."""
    said = [f"{stage} no longer needs {need}" for need, stage in change["without"]]
    return "; ".join([*said, *(f"{stage} needs {need}" for need, stage in change["with"])])


def _applied(applied: Mapping[str, Any], has_questions: bool, style: Style) -> list[str]:
    if not applied["edits"]:
        rest = ", but for what is asked above" if has_questions else ""
        return _wrapped(f"nothing to apply: {harmless(applied['file'])} is as recommended{rest}", style)
    lines = _wrapped(f"applied to {harmless(applied['file'])}: {harmless('; '.join(applied['edits']))}", style)
    return [*lines, *(harmless(line) for line in applied["diff"].rstrip("\n").split("\n"))]


def _wrapped(text: str, style: Style, indent: int = 0) -> list[str]:
    return wrap(style.plain(text), style.width - 1 - indent)


# What it stands on ------------------------------------------------------------------------------------------------


def _profile(stages: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    """A row a stage. Columns in which nothing is known are left out."""
    form = Form(max([round((stage["p90_s"] or stage["p50_s"]) * SECOND) for stage in stages]))

    def text(seconds: float | None) -> str:
        return NOTHING if seconds is None else form.text(round(seconds * SECOND))

    def number(stage: Mapping[str, Any], name: str) -> str:
        return NOTHING if stage[name] is None else f"{stage[name]:.2f}"

    rows = [
        (
            harmless(stage["stage"]),
            text(stage["p50_s"]),
            NOTHING if stage["p10_s"] is None else f"{text(stage['p10_s'])} to {text(stage['p90_s'])}",
            text(stage["slack_s"]),
            str(stage["runs"]),
            stage["source"],
            number(stage, "cores"),
            number(stage, "disk"),
            number(stage, "contention"),
            f"{stage['failed']} of {stage['ran']}" if stage["ran"] else NOTHING,
            stage["trend"] or NOTHING,
        )
        for stage in stages
    ]
    heads = ("stage", "p50", "p10 to p90", "slack", "runs", "source", "cores", "disk", "contention", "failed", "trend")
    columns = [(head, *column) for head, column in zip(heads, zip(*rows))]
    columns = [column for column in columns if column[0] in ("stage", "p50", "runs") or set(column[1:]) != {NOTHING}]
    lines = _columns(columns, from_left=(0,))
    if max(map(cells, lines)) < style.width:
        return lines
    found = []  # too wide: each stage on its own
    for row in zip(*[column[1:] for column in columns]):
        found.append(row[0])
        said = ", ".join([f"{column[0]} {cell}" for column, cell in zip(columns[1:], row[1:]) if cell != NOTHING])
        found += [f"     {line}" for line in wrap(said, style.width - 6)]
    return [line for name in found for line in (wrap(name, style.width - 1) if cells(name) >= style.width else [name])]


def _standing(plan: Mapping[str, Any], style: Style) -> list[str]:
    """What it stands on."""
    profile = plan["profile"]
    kind = "medians; of those in which a stage ran alone, if any"
    if profile.get("system") is not None:
        kind = f"medians; recorded by {harmless(profile['system'])}, where each job has a machine of its own"
    elif profile.get("own_machines"):
        kind = "medians of runs on this machine, taken as if each job had one of its own"
    said = {
        "history": f"from {behind(profile)} ({kind})",
        "declared": "from declared durations",
        "file": "from timings in the file",
        None: "",
    }[profile["source"]]
    if profile["error"] is not None:
        said += f"; {predicted(profile)}"
    if profile.get("queue_s") is not None:
        waits = profile["queue_s"]
        said += f"; jobs waited {span(waits['median'])} for a runner (median; 95 of 100 at most {span(waits['p95'])}), "
        said += "which is not counted above"
    if profile["others_cores"] is not None:
        said += f"; others kept {profile['others_cores']:.1f} of {profile['cores']} cores busy"
    lines = _wrapped(said, style) if said else []
    for each in plan.get("together") or ():
        lines += _wrapped(f"ask: {harmless(question(each))}", style)
    for lack in profile["lacks"]:
        lines += _wrapped(f"not known: {harmless(lack)}", style)
    for each in _folded(profile["assumed"]):
        lines += _wrapped(f"assumed: {harmless(each)}", style)
    return lines


def _folded(assumed: Sequence[str]) -> list[str]:
    """One sentence for all stages that are taken not to run for one reason, the cells of a matrix as one."""
    found: dict[str, dict[str, int]] = {}
    for each in assumed:
        stage, said, why = each.partition(f" is{_NOT_TO_RUN}")
        if said:
            names = found.setdefault(why, {})
            name = stage.partition("[")[0] or stage
            names[name] = names.get(name, 0) + 1
        else:
            found[each] = {}
    made = []
    for why, names in found.items():
        count = sum(names.values())
        shown = [name if times == 1 else f"{name} ×{times}" for name, times in names.items()]
        if count > _NAMED_MAX:
            made.append(f"{count} stages are{_NOT_TO_RUN}{why} ({listed(shown)})")
        else:
            made.append(f"{listed(shown)} {'is' if count == 1 else 'are'}{_NOT_TO_RUN}{why}" if names else why)
    return made


def _columns(columns: Sequence[Sequence[str]], from_left: Sequence[int] = ()) -> list[str]:
    """Rows of a table, each column as wide as its widest cell; at the right edge of it, but for those `from_left`."""
    last = len(columns) - 1
    left = {at % len(columns) for at in from_left}
    made = []
    for at, column in enumerate(columns):
        width = max(map(cells, column))
        if at in left:
            made.append([pad(cell, width) if at != last else cell for cell in column])
        else:
            made.append([" " * (width - cells(cell)) + cell for cell in column])
    return ["  ".join(row) for row in zip(*made)]
