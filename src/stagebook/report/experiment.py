"""An experiment in words and rows: one wording for terminal, Markdown and page, out of the document of `experiment`.
Also its picture in a terminal."""

from __future__ import annotations

from stagebook.report.durations import NOTHING, plural, size, span
from stagebook.report.harmless import cells, harmless, pad, wrap
from stagebook.report.stats import percent
from stagebook.report.verdict import other_work, ratio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, TypeAlias

    from stagebook.report.style import Style

Document: TypeAlias = "Mapping[str, Any]"


def _bytes(count: float | None) -> str:
    """A median may lie between two."""
    return size(None if count is None else round(count))


RESOURCES = (
    ("cpu_s", "CPU time", span),
    ("max_rss_bytes", "memory, largest stage", _bytes),
    ("read_bytes", "read", _bytes),
    ("write_bytes", "written", _bytes),
)
SAYS = {
    "shorter": "shorter", "longer": "longer", "same": "no more than 5 % apart", "fails more": "fails more often",
    "fails less": "fails less often", None: "no difference shown",
}  # fmt: skip
RULE = (
    "adopt if the whole interval lies below 1×, the ratio is at most 0.95×, and no more runs fail than in the first arm"
)
METHOD = (
    "sign betting on random pairs, interval by its inversion, both valid whenever one looks; failure rates by Wilson, "
    "their difference by Newcombe, exact p by McNemar"
)


def pair(document: Document) -> str:
    """`pair 3 of 20: sequential 1.2 s, parallel 640 ms; 0.53×, evidence 2.1 of 20`."""
    tries: dict[tuple[int, int], dict[str, Any]] = {}
    for run in document["runs"]:
        if run["kind"] == "pair":
            tries.setdefault((run["pair"], run["try"]), {})[run["arm"]] = run
    by_arm = [each for each in tries.values() if len(each) == len(document["arms"])][-1]
    runs = ", ".join(
        f"{name} {span(by_arm[name]['wall_s'])}" + (" failed" if by_arm[name]["outcome"] != "success" else "")
        for name in (arm["name"] for arm in document["arms"])
        if name in by_arm
    )
    seen = [
        (f"{each['arm']} " if len(document["comparisons"]) > 1 else "") + f"{ratio(each['ratio'])}, "
        f"evidence {each['evidence']:.1f} of {each['evidence_needed']:.0f}"
        for each in document["comparisons"]
        if each["ratio"] is not None
    ]
    return f"pair {document['pairs']} of {document['pairs_most']}: {runs}" + "".join(f"; {text}" for text in seen)


def points(rate: Mapping[str, Any]) -> str:
    """A difference of rates in points of a hundred: `+10 [−8, +30] pts`."""
    if rate["difference"] is None:
        return NOTHING
    said = [f"{value * 100:+.0f}".replace("-", "−").replace("+0", "0") for value in
            (rate["difference"], rate["low"], rate["high"])]  # fmt: skip
    return f"{said[0]} [{said[1]}, {said[2]}] pts"


def differs(document: Document, each: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Rows of one comparison: measure, first arm, second arm, difference, what it says. What is unknown or
    nothing in both arms has no row."""
    first, second = (arm_named(document, each[name]) for name in ("over", "arm"))
    shown = each["shown"] if each["shown"] in ("shorter", "longer", "same") else None
    rows = [("time, median", span(first["median_s"]), span(second["median_s"]), ratio(each["ratio"]), SAYS[shown])]
    for name, measure, say in RESOURCES:
        if first[name] or second[name]:
            found = each["resources"].get(name)
            rows.append((measure, say(first[name]), say(second[name]), _apart(first[name], second[name], found, say),
                         _says(found)))  # fmt: skip
    failed = each["failure_rate"]
    rows.append(("failed runs", failures(first), failures(second), points(failed), _says_failed(failed)))
    return rows


def _apart(first: float | None, second: float | None, found: Mapping[str, Any] | None, say: Any) -> str:
    """The ratio; beside nothing there is none."""
    if 0 in (first, second) and None not in (first, second):
        return f"{say(second)} against nothing" if second else f"nothing against {say(first)}"
    return ratio(found)


def failures(arm: Mapping[str, Any]) -> str:
    return f"{arm['failures']} of {arm['runs']}"


def _says(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    if found["high"] is not None and found["high"] < 1:
        return "less"
    return "more" if found["low"] is not None and found["low"] > 1 else SAYS[None]


def _says_failed(failed: Mapping[str, Any]) -> str:
    text = SAYS[failed["shown"]]
    return text if failed["p"] is None else f"{text} (p = {failed['p']:.2g})"


def arm_named(document: Document, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(arm for arm in document["arms"] if arm["name"] == name)
    return found


def predicted(document: Document) -> list[tuple[str, str, str, str, str]]:
    """Rows arm, predicted, observed, error, runs; none where nothing was predicted."""
    return [
        (arm["name"], f"~{span(arm['predicted_s'])}", span(arm["median_s"]), signed(arm["error"]), str(arm["runs"]))
        for arm in document["arms"]
        if arm["predicted_s"] is not None
    ]


def signed(part: float | None) -> str:
    return NOTHING if part is None else f"{part * 100:+.1f} %".replace("-", "−")


def about(document: Document) -> str:
    """What stands under the verdict."""
    part = f"{', '.join(document['part'])} of " if document["part"] else ""
    return f"{part}{document['pipeline']}: {plural(document['pairs'], 'pair')} of at most {document['pairs_most']}"


def decided(document: Document) -> list[str]:
    """The decision in sentences: the rule, what stands against it, what to do next."""
    told = [f"Rule, fixed beforehand: {RULE}."]
    for arm in document["arms"]:
        if arm["failed_stages"]:
            stages = ", ".join(f"{name} {plural(count, 'time')}" for name, count in arm["failed_stages"].items())
            told.append(f"Failed in {arm['name']}: {stages}; see stagebook show {_first_failed(document, arm)}")
    if document["decision"] == "not yet":
        told.append("That it fails more often is not shown by so few, nor ruled out.")
    told += _always_failed(document)
    for each in document["comparisons"]:
        if each["work"] is not None:
            told.append(f"{each['arm']} and {each['over']}: {other_work(each['work'])}. A ratio of them is no reason.")
        more = each["more"]
        if more is not None:
            apart = f"a difference of {abs(1 - more['ratio']) * 100:.0f} %"
            known = "more than 400" if more["pairs"] is None else f"~{more['pairs']}"
            told.append(f"{known} more pairs of {each['over']} and {each['arm']} would tell {apart}.")
    if document["stopped"] == "interrupted":
        told.append(f"It was interrupted; go on with: stagebook experiment --resume {document['experiment']}")
    if document["broken_off"]:
        told.append(f"{plural(document['broken_off'], 'pair')} broken off by interruptions, not counted.")
    return told


def _always_failed(document: Document) -> list[str]:
    """What no way of running helps."""
    runs = [run for run in document["runs"] if run["kind"] != "preparation"]
    always = set(runs[0]["failed"]).intersection(*(run["failed"] for run in runs)) if len(runs) > 1 else set()
    return [f"{name} failed in every run of every arm: that is not the arms' doing." for name in sorted(always)]


def _first_failed(document: Document, arm: Mapping[str, Any]) -> str:
    runs = (run["run"] for run in document["runs"] if run["arm"] == arm["name"] and run["outcome"] != "success")
    return str(next(runs))


def proposal(proposed: Mapping[str, Any] | None) -> str:
    """Why a part is tried that nobody named, or the whole file, where no part is known to gain anything."""
    if proposed is None:
        return (
            "tries the whole file, every stage of it many times: of no part is it known that its stages could run at "
            "once and gain by it; --part A,B names one"
        )
    stages = harmless(", ".join(proposed["stages"]))
    word = {"declared": "what they declare to read and to make does not meet"}.get(
        proposed["evidence"], "no order stands between them, and they name nothing in common"
    )
    return f"tries {stages} together: ~{span(proposed['saves_s'])} to be saved, the largest predicted gain; {word}"


def question(document: Document) -> str:
    what = ", ".join(document["part"]) if document["part"] else document["pipeline"]
    first, *others = [arm["name"] for arm in document["arms"]]
    return f"Is {' or '.join(others)} faster than {first} for {what}, without more failures?"


def set_up(document: Document) -> list[tuple[str, str]]:
    """What, and what of it."""
    machine = document["machine"]
    count = len(document["comparisons"])
    sure = 100 * (1 - (1 - document["confidence"]) / count)
    each = f" for each of {count} comparisons" if count > 1 else ""
    drift = document["drift"]
    rows = [
        ("question", question(document)),
        ("arms", " · ".join(f"{arm['name']} ({_options(arm)})" for arm in document["arms"])),
        ("file", document["file"]),
        ("order", f"random pairs, seed {document['seed']}; {plural(document['warm_up'], 'warm-up')} each, not counted"),
        ("stop rule", f"{sure:.4g} % sure{each}, or {document['pairs_most']} pairs"),
        ("machine", f"{machine['host']}, {plural(machine['cores'], 'core')}, {size(machine['memory_bytes'])}, "
                    f"{machine['system']}"),
        ("load beside", _load(document)),
        ("caches", "cold: nothing is up to date in any run" if document["cache"] == "cold" else "warm"),
        ("drift", NOTHING if drift is None else f"{'none shown' if drift['p'] >= 0.05 else 'there is some'} "
                                                f"(p = {drift['p']:.2g})"),
        ("method", METHOD),
        ("began", document["began"]),
    ]  # fmt: skip
    if document["part"]:
        rows.insert(2, ("part", f"{', '.join(document['part'])}; its needs were prepared once"))
    if document["proposed"]:
        rows.insert(3, ("why this part", proposal(document["proposed"])))
    if document["skip"]:
        rows.insert(2, ("left out", ", ".join(document["skip"])))
    return rows


def _options(arm: Mapping[str, Any]) -> str:
    return arm["options"] or "as the file says"


def _load(document: Document) -> str:
    others = document["others_cores"]
    return "not known" if others is None else f"{others:.1f} cores were busy with something else, in the median run"


# In a terminal --------------------------------------------------------------------------------------------------


def render(document: Document, style: Style) -> list[str]:
    width = style.width - 1
    verdict = wrap(harmless(document["verdict"]), width)
    lines = [style.paint(line, "bold") for line in verdict]
    lines += wrap(f"{harmless(about(document))}; load beside: {_load(document)}", width)
    for each in document["comparisons"] if document["pairs"] else ():
        head = ("", each["over"], each["arm"], "difference", "")
        lines += ["", *_table([head, *differs(document, each)], width)]
    told = predicted(document)
    if told:
        lines += ["", *_table([("", "predicted", "observed", "error", "runs"), *told], width)]
    lines.append("")
    for sentence in decided(document):
        lines += wrap(harmless(sentence), width)
    lines.append(f"report: {harmless(document['report'])}")
    return [style.plain(line) for line in lines]


def _table(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    """The first and the last column to the left, the others to the right. Where it is too wide the last one goes."""
    safe = [[harmless(cell) for cell in row] for row in rows]
    widths = [max(cells(row[at]) for row in safe) for at in range(len(safe[0]))]
    is_whole = sum(widths) + 2 * (len(widths) - 1) <= width
    lines = []
    for row in safe:
        parts = [pad(row[0], widths[0])]
        parts += [" " * (widths[at] - cells(row[at])) + row[at] for at in range(1, len(row) - 1)]
        lines.append("  ".join([*parts, row[-1]] if is_whole else parts).rstrip())
    return lines


def rate(arm: Mapping[str, Any]) -> str:
    """`2 of 20, 10 % (3 to 30 %)`."""
    found = arm["failure_rate"]
    if found["rate"] is None:
        return NOTHING
    return f"{failures(arm)}, {percent(found['rate'])} ({percent(found['low'], '')} to {percent(found['high'])})"
