"""The page of a plan: verdict, sweep, what to do and why, what if, what it stands on. Plain HTML.

What anybody wrote gets in as escaped text only.
"""

from __future__ import annotations

import os
import shlex

from stagebook.report import arrivals
from stagebook.report.durations import NOTHING, SECOND, Form, count, plural, span, tick_label
from stagebook.report.harmless import cut, harmless
from stagebook.report.page import frame
from stagebook.report.page.plan import chart
from stagebook.report.plan import BINDS, alone, behind, conditionally, doubts, edits, predicted, supposed
from stagebook.report.together import question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Mapping, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"

FOLDER = "stagebook.report.page.plan"
STYLES = ("/base.css", "plan.css")
SCRIPTS = ("/base.js",)
_SOURCES = {"history": "medians of runs on record", "declared": "declared durations", "file": "timings in the file"}
_EVIDENCE = {"declared": "declared", "trace": "traced", "history": "runs on record", "none": "no evidence"}
_TEXT_MAX, _STAGES_MAX, _PATH_MAX = 1000, 500, 60


def render(plan: Document) -> str:
    """The page of one `plan` document."""
    if not plan["sweep"]:
        return _blank(plan)
    asked = _asked(plan)
    verdict = asked[0].removesuffix(".") if asked else _of_file(plan)
    marks = {
        "title": _text(f"{verdict} · {plan['pipeline']}"),
        "pipeline": _text(plan["pipeline"]),
        "verdict": _text(verdict),
        "sub": _text(_sentences(asked[1]) if asked else _basis(plan)),
        "about": _text(f"{_drawn(plan)} · {count(plan['sweep'][0]['draws'])} simulated runs each"),
        "chart": f'<div class="wide-c">{chart.draw(plan, chart.WIDE)}</div>'
        f'<div class="narrow-c">{chart.draw(plan, chart.NARROW)}</div>',
        "sweep": "".join(_sweep(plan)),
        "advice": "".join(_advice(plan)),
        "supposed": "".join([*_supposed(plan), *_arrivals(plan)]),
        "path": "".join(_path(plan)),
        "stands": "".join(_stands(plan)),
    }
    return "".join(frame.page(FOLDER, "plan.html", STYLES, SCRIPTS, marks))


def _blank(plan: Document) -> str:
    """Where nothing is known that a figure could be made of: how to come by some."""
    verdict = _of_file(plan)
    marks = dict.fromkeys(("about", "chart", "sweep", "advice", "supposed", "path"), "")
    marks |= {"title": _text(f"{verdict} · {plan['pipeline']}"), "pipeline": _text(plan["pipeline"])}
    marks |= {"verdict": _text(verdict), "sub": _text(_sentences(plan["profile"]["lacks"]))}
    marks["stands"] = "".join(f"<p>{_text(_capital(said))}.</p>" for said in plan["profile"]["assumed"])
    return "".join(frame.page(FOLDER, "plan.html", STYLES, SCRIPTS, marks))


def _of_file(plan: Document) -> str:
    return _capital(plan["recommendation"]["reasons"][0] + conditionally(plan))


def _asked(plan: Document) -> tuple[str, list[str]] | None:
    """Where something else is asked than what to do: the verdict on that, what is to be said of it, and of the rest of
    the page; None else."""
    found = [supposed(plan)] if plan["what_if"] else []
    found += [arrivals.told(plan["arrivals"])] if plan.get("arrivals") else []
    if not found:
        return None
    said = [text for _, more in found for text in more]
    verdict = " ".join([each for each, _ in found])
    return verdict, [*said, f"of the file as it is, which is what is drawn: {_lower(_of_file(plan))}", *_missed(plan)]


def _sentences(said: list[str]) -> str:
    return " ".join([f"{_capital(text)}." for text in said])


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _drawn(plan: Document) -> str:
    return "line p50, band to p95" + (", dashed: changed" if plan["recommendation"]["sweep"] else "")


def _basis(plan: Document) -> str:
    """What the verdict is worth, in one line."""
    found, profile = plan["recommendation"], plan["profile"]
    said = [
        f"Half of all simulated runs take at most {span(found['makespan_s'])}, 95 in 100 at most {span(found['p95_s'])}"
    ]
    said.append(f"Simulated from {_SOURCES[profile['source']]}" + (f" ({behind(profile)})" if profile["runs"] else ""))
    return _sentences([*said, *doubts(plan), *_missed(plan)])


def _missed(plan: Document) -> list[str]:
    is_missed = plan["sla"] and plan["sla"]["met"] is False
    return [f"the SLA of {span(plan['sla']['target_s'])} is not met"] if is_missed else []


def _text(text: str) -> str:
    return frame.escaped(frame.spaced(cut(harmless(text), _TEXT_MAX)))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def short(seconds: float) -> str:
    """`8:45` for narrow columns; below a minute as everywhere."""
    if seconds < 59.5:
        return span(seconds)
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


# The sweep -------------------------------------------------------------------------------------------------------


def _sweep(plan: Document) -> Iterator[str]:
    file = {row["jobs"]: row for row in plan["sweep"]}
    after = {row["jobs"]: row for row in plan["recommendation"]["sweep"] or ()}
    rows = [file.get(jobs) or after[jobs] for jobs in sorted({*file, *after})]
    knee = plan["knee"]["jobs"]
    form = Form(round(max(max(row["p95_s"], row["makespan_s"]) for row in rows) * SECOND))

    def time(seconds: float) -> str:
        wide = _text(form.text(round(seconds * SECOND)))
        return f'<span class="wi">{wide}</span><span class="na">{_text(short(seconds))}</span>'

    def at_knee(row: Mapping[str, Any]) -> str:
        return ' class="kn"' if row["jobs"] == knee else ""

    def line(title: str, cell: Callable[[Mapping[str, Any]], str], of: Mapping[int, Any]) -> str:
        cells = "".join(
            f"<td{at_knee(row)}>{cell(of[row['jobs']]) if row['jobs'] in of else NOTHING}</td>" for row in rows
        )
        return f'<tr><th scope="row">{_text(title)}</th>{cells}</tr>'

    heads = "".join(
        f'<th scope="col"{at_knee(row)}>{row["jobs"]}{"<sup>?</sup>" if row["beyond"] else ""}</th>' for row in rows
    )
    yield f'<table class="swp"><thead><tr><th scope="col">jobs</th>{heads}</tr></thead><tbody>'
    yield line("p50", lambda row: f"<b>{time(row['makespan_s'])}</b>", file)
    yield line("p95", lambda row: time(row["p95_s"]), file)
    if after:
        yield line("changed", lambda row: f"<b>{time(row['makespan_s'])}</b>", after)
        yield line("its p95", lambda row: time(row["p95_s"]), after)
    yield line("speed-up", lambda row: f"{row['speedup']:.2f}×", file)
    yield line("efficiency", lambda row: _percent(row["efficiency"]), file)
    yield line("gain", lambda row: NOTHING if row["gain"] is None else _signed(row["gain"]), file)
    if plan["sla"]:
        target = plan["sla"]["target_s"]
        yield line(f"SLA {tick_label(round(target * SECOND))}", lambda row: _within(row, target), file)
    yield "</tbody></table>"
    binds = [BINDS.get(name, name.replace(":", " ")) for name in plan["knee"]["binds"]]
    notes = [f"More jobs than {knee} do not save more for {' and '.join(binds)}"] if binds else []
    if any(row["beyond"] for row in rows):
        notes.append("? more at once than was ever measured")
    if notes:
        yield f'<p class="cap">{_text(". ".join(notes))}.</p>'


def _percent(part: float) -> str:
    return _text(f"{round(part * 100)}\u00a0%")


def _signed(part: float) -> str:
    """What a job count saves over the one before: `41 %`, `−3 %` where it loses."""
    return _percent(part).replace("-", "−")


def _within(row: Mapping[str, Any], target_s: float) -> str:
    """Which quantile keeps it."""
    return "p95" if row["p95_s"] <= target_s else "p50" if row["makespan_s"] <= target_s else "no"


# What to do ------------------------------------------------------------------------------------------------------


def _advice(plan: Document) -> Iterator[str]:
    found = plan["recommendation"]
    jobs = plural(found["jobs"], "job")
    saved = plan["sequential_s"] - found["makespan_s"]
    title = "Run in sequence" if found["mode"] == "sequential" else f"Run with {jobs}"
    file = _file(plan["file"])
    how = "--sequential" if found["mode"] == "sequential" else f"-j {found['jobs']}"
    saves = f"−{span(saved)}" if saved > 0.0005 else "no change"
    yield _item(
        1,
        title,
        saves,
        "against sequential",
        found["reasons"][1:],
        [],
        [f"<code>{_text(f'stagebook run {how}{file}')}</code>"],
    )
    number = 1
    for change in found["changes"]:
        number += 1
        yield from _change(number, change, file)
    for change in found["kept"]:
        number += 1
        yield from _change(number, change, file, is_kept=True)


def _change(number: int, change: Mapping[str, Any], file: str, is_kept: bool = False) -> Iterator[str]:
    saves = f"−{span(change['saves_s'])}" if change["saves_s"] else ""
    small = "would save" if change["question"] and saves else ""
    if is_kept:
        saves, small = "keep", f"would save {span(change['saves_s'])}" if change["saves_s"] else ""
    said = [change["why"]]
    told = [each["text"] for each in change["evidence"] if each["text"] != change["why"]]
    rests = [
        _EVIDENCE[each["source"]] + (f", {plural(each['n'], 'run')}" if each["n"] else "")
        for each in change["evidence"]
    ]
    if change["line"]:
        rests.append(f"line {change['line']}")
    if not is_kept:
        rests.append(f"confidence {change['confidence']:.2f}")
    more = []
    if edits(change):
        told.append(f"in the file: {edits(change)}")
    if change["question"] and change["without"]:
        arrows = [f"{need}→{stage}" for need, stage in change["without"]]
        accept = "".join(f" --accept {shlex.quote(arrow)}" for arrow in arrows)
        more.append(
            f"A question for a person: <code>{_text(f'stagebook plan --apply{accept}{file}')}</code> says yes to it"
        )
    if change["check"]:
        more.append(f"Check first: <code>{_text(change['check'])}</code>")
    title = change["change"].removesuffix("?") + ("?" if change["question"] else "")
    yield _item(number, title, saves, small, [*said, *told], rests, more)


def _file(path: str) -> str:
    """As the last word of a command that is given where the page was made; nothing for the file found there anyway."""
    path = os.path.relpath(path)
    return "" if path == "stagebook.yaml" else f" {shlex.quote(path)}"


def _item(
    number: int, title: str, saves: str, small: str, said: list[str], rests: list[str], more: list[str]
) -> str:  # fmt: skip
    """`more` is ready HTML."""
    lines = "".join(f"<li>{_text(text)}</li>" for text in dict.fromkeys(said) if text)
    lines += "".join(f"<li>{text}</li>" for text in more)
    aside = f'<span class="sv">{_text(saves)}{f"<small>{_text(small)}</small>" if small else ""}</span>'
    rest = f'<p class="ev">{_text(" · ".join(rests))}</p>' if rests else ""
    return (
        f'<li><span class="no">{number}</span><h3>{_text(_capital(title))}</h3>{aside}'
        f"{f'<ul>{lines}</ul>' if lines else ''}{rest}</li>"
    )


# What if, path, ground -------------------------------------------------------------------------------------------


def _supposed(plan: Document) -> Iterator[str]:
    """What was asked about beside what is, by jobs."""
    found = plan["what_if"]
    if not found:
        return
    before = {row["jobs"]: row for row in found["before"]["sweep"]}
    yield '<section class="card wf" aria-label="What if"><div class="hd">'
    yield f'<h2>{_text("If: " + ", ".join(found["supposed"]))}</h2><span class="cap">simulated</span></div>'
    yield '<table><thead><tr><th scope="col">jobs</th><th scope="col">p50 now</th><th scope="col">then</th>'
    yield '<th scope="col">p95</th><th scope="col">change</th></tr></thead><tbody>'
    for row in found["sweep"]:
        now = before.get(row["jobs"])
        cells = [
            NOTHING if now is None else span(now["makespan_s"]),
            span(row["makespan_s"]),
            span(row["p95_s"]),
            NOTHING if now is None else _difference(row["makespan_s"] - now["makespan_s"]),
        ]
        yield f'<tr><th scope="row">{row["jobs"]}</th>{"".join(f"<td>{_text(cell)}</td>" for cell in cells)}</tr>'
    yield "</tbody></table>"
    facts = [("stages", str(found["before"]["stages"]), str(found["stages"]))]
    facts.append(("critical path", span(found["before"]["critical_path_s"]), span(found["critical_path_s"])))
    facts.append(("knee at", _jobs(found["before"]), _jobs(found)))
    said = [f"{name} {now} → {then}" if now != then else f"{name} {now}, as now" for name, now, then in facts]
    yield f'<p class="cap">{_text(_capital("; ".join(said)))}.</p></section>'


def _arrivals(plan: Document) -> Iterator[str]:
    """Many runs that share runners, as on a terminal."""
    found = plan.get("arrivals")
    if not found:
        return
    verdict, more = arrivals.told(found)
    yield '<section class="card wf" aria-label="Many runs"><div class="hd">'
    yield f'<h2>{_text(verdict)}</h2><span class="cap">simulated</span></div>'
    heads, *rows = arrivals.table(found["pipelines"])
    columns = "".join(f'<th scope="col">{_text(head)}</th>' for head in heads)
    yield f"<table><thead><tr>{columns}</tr></thead><tbody>"
    for name, *cells in rows:
        line = "".join(f"<td>{_text(cell)}</td>" for cell in cells)
        yield f'<tr><th scope="row">{_text(name)}</th>{line}</tr>'
    yield f'</tbody></table><p class="cap">{_text(". ".join([_capital(said) for said in more]))}.</p></section>'


def _jobs(swept: Mapping[str, Any]) -> str:
    return plural(swept["knee"]["jobs"], "job")


def _difference(seconds: float) -> str:
    """Signed; a dash where there is none."""
    if abs(seconds) < 0.0005:
        return NOTHING
    return f"{'+' if seconds > 0 else '−'}{span(abs(seconds))}"


def _path(plan: Document) -> Iterator[str]:
    took = {stage["stage"]: stage["p50_s"] for stage in plan["profile"]["stages"]}
    yield f'<div class="hd"><h2>Critical path</h2><span class="cap">{_text(span(plan["critical_path_s"]))}</span></div>'
    yield '<ol class="chain">'
    for stage in plan["critical_path"][:_PATH_MAX]:
        figure = span(took[stage]) if took.get(stage) is not None else ""
        yield f"<li><b>{_text(stage)}</b> <span>{_text(figure)}</span></li>"
    yield "</ol>"
    if (more := len(plan["critical_path"]) - _PATH_MAX) > 0:
        yield f'<p class="cap">and {more} more stages</p>'
    if alone(plan):
        yield f'<p class="cap">{_text(_capital(alone(plan)))}.</p>'


def _stands(plan: Document) -> Iterator[str]:
    """What the figures stand on, and what is not known."""
    profile = plan["profile"]
    said = [f"From {_SOURCES[profile['source']]}" + (f": {behind(profile)}" if profile["runs"] else "")]
    if profile.get("system") is not None:
        said.append(f"Recorded by {profile['system']}, where each job has a machine of its own")
    elif profile.get("own_machines"):
        said.append("Runs on this machine, taken as if each job had one of its own")
    elif profile["measured_jobs"] > 1:
        said.append(f"Runs of up to {plural(profile['measured_jobs'], 'job')} were measured")
    if profile["error"] is not None:
        said.append(_capital(predicted(profile)))
    if profile["others_cores"] is not None:
        said.append(f"Others kept {profile['others_cores']:.1f} of {profile['cores']} cores busy")
    yield "".join(f"<p>{_text(text)}.</p>" for text in said)
    if plan.get("together"):
        asked = "".join(f"<li>{_text(_capital(question(pair)))}</li>" for pair in plan["together"])
        yield f'<h3>To ask</h3><ul class="dash">{asked}</ul>'
    if profile["lacks"]:
        lacks = "".join(f"<li>{_text(_capital(lack))}</li>" for lack in profile["lacks"])
        yield f'<h3>Not known</h3><ul class="dash">{lacks}</ul>'
    yield '<details><summary>What is known of each stage</summary><div class="wide"><table><thead><tr>'
    yield "".join(f'<th scope="col">{head}</th>' for head in ("stage", "p50", "slack", "from", "failed", "cores"))
    yield "</tr></thead><tbody>"
    for stage in profile["stages"][:_STAGES_MAX]:
        source = f"{plural(stage['runs'], 'run')}" if stage["runs"] else str(stage["source"])
        failed = f"{stage['failed']} of {stage['ran']}" if stage["ran"] else NOTHING
        cores = NOTHING if stage["cores"] is None else f"{stage['cores']:.1f}"
        cells = (stage["stage"], _known(stage["p50_s"]), span(stage["slack_s"]), source, failed, cores)
        yield f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"
    yield "</tbody></table></div>"
    if alone(plan):
        yield f'<p class="cap">{_text(f"p50: {alone(plan)}.")}</p>'
    if (more := len(profile["stages"]) - _STAGES_MAX) > 0:
        yield f'<p class="cap">and {count(more)} more stages; --json has all</p>'
    yield "</details>"


def _known(seconds: float | None) -> str:
    return NOTHING if seconds is None else span(seconds)
