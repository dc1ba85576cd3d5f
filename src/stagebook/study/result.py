"""What the runs of an experiment come to: figures of each arm, ratios with intervals, failure rates, a verdict. Pure:
records and the set-up in, the document of `experiment --json` out, the same from the same.

Only how long runs took by the engine's own clock counts, so that nobody can change a result by setting a clock.
"""

from __future__ import annotations

from statistics import median

from stagebook.history.figures import wilson
from stagebook.study import betting, rates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, TypeAlias

Record: TypeAlias = "dict[str, Any]"

TOLERANCE = 0.05  #: a difference below this is none worth a change
ALWAYS = 3  #: so many runs of an arm that all failed, and none that did not, are enough
RESOURCES = ("cpu_s", "max_rss_bytes", "read_bytes", "write_bytes")
TOLD = ("run", "outcome", "reason", "mode", "jobs", "wall_s", "cpu_s", "max_parallel", "clock_jump_s")


def measured(document: Mapping[str, Any]) -> Record:
    """Of a run's document what an experiment keeps. Bytes are of all its attempts, memory is that of the largest."""
    attempts = [attempt for stage in document["stages"] for attempt in stage["attempts"]]
    usage = [attempt["usage"] for attempt in attempts]
    around = document.get("around") or {}
    return {
        **{name: document.get(name) for name in TOLD},
        "began": document["started"],
        "max_rss_bytes": _peak(usage),
        "read_bytes": _sum(usage, "read_bytes"),
        "write_bytes": _sum(usage, "write_bytes"),
        "others_cores": around.get("others_cores"),
        "failed": [
            stage["stage"]
            for stage in document["stages"]
            if stage["outcome"] in ("failure", "error", "timeout") and not stage["tolerated"]
        ],
    }


def _peak(usage: Sequence[Mapping[str, Any]]) -> Any:
    """The largest that is known. A peak that was measured and is not known was no larger than the engine's own
    (observe.usage), which each known one is above; so it takes one that is, and none that was not measured."""
    values = [each["max_rss_bytes"] for each in usage if each["max_rss_bytes"] is not None]
    return max(values) if values and all(each["method"] is not None for each in usage) else None


def _sum(usage: Sequence[Mapping[str, Any]], name: str) -> Any:
    """None where one is unknown: a sum of some would be no figure of the run."""
    values = [each[name] for each in usage]
    return sum(values) if values and None not in values else None


def document(
    set_up: Mapping[str, Any], records: Sequence[Record], is_interrupted: bool = False, is_brief: bool = False
) -> dict[str, Any]:
    """The document. `stopped` is null while it should go on: whoever conducts the experiment asks it after every
    pair, `is_brief`, without what only a report needs and takes time to find out."""
    names = [arm["name"] for arm in set_up["arms"]]
    pairs, broken = _pairs(records, names)
    alpha = (1 - set_up["confidence"]) / (len(names) - 1)
    told = [_arm(arm, records, pairs) for arm in set_up["arms"]]
    compared = [_compared(names[0], name, pairs, alpha) for name in names[1:]]
    if not is_brief:
        for each in compared:
            _add(each, pairs, alpha, set_up["seed"])
    never = [name for name in names if _fails_always(name, records, len(pairs) >= set_up["pairs"])]
    if never:
        for each in compared:
            each.update(ratio=None, more=None)
        stopped: str | None = "fails always"
    elif all(each["shown"] is not None for each in compared):
        stopped = "shown"
    elif len(pairs) >= set_up["pairs"]:
        stopped = "most"
    else:
        stopped = "interrupted" if is_interrupted else None
    whole = {
        "experiment": set_up["experiment"],
        "pipeline": set_up["pipeline"],
        "file": set_up["file"],
        "arms": told,
        "ratio": compared[0]["ratio"],
        "failure_rate": compared[0]["failure_rate"],
        "comparisons": compared,
        "pairs": len(pairs),
        "pairs_most": set_up["pairs"],
        "broken_off": broken,
        "stopped": stopped,
        "fails_always": never,
        "drift": None if is_brief else _drift(pairs, names),
        "others_cores": _median([record["others_cores"] for pair in pairs for record in pair.values()]),
        **{
            name: set_up[name]
            for name in ("part", "proposed", "skip", "cache", "seed", "warm_up", "confidence", "machine")
        },
        "began": set_up["began"],
        "ended": records[-1]["began"] if records else None,
        "runs": [dict(record) for record in records],
    }
    for each in compared:
        each["work"] = _work(each, set_up["arms"])
        each["decision"] = _decision(each, told)
    return {**whole, "decision": "none" if never else _best([each["decision"] for each in compared])}


def _pairs(records: Sequence[Record], names: Sequence[str]) -> tuple[list[dict[str, Record]], int]:
    """The complete pairs, each by arm, in order; and how many were broken off."""
    found: dict[tuple[int, int], dict[str, Record]] = {}
    for record in records:
        if record["kind"] == "pair":
            found.setdefault((record["pair"], record["try"]), {})[record["arm"]] = record
    whole = [found[key] for key in sorted(found) if len(found[key]) == len(names)]
    return whole, len(found) - len(whole)


def _arm(arm: Mapping[str, Any], records: Sequence[Record], pairs: Sequence[Mapping[str, Record]]) -> dict[str, Any]:
    runs = [pair[arm["name"]] for pair in pairs]
    well = [run for run in runs if run["outcome"] == "success"]
    failures = len(runs) - len(well)
    low, high = wilson(failures, len(runs)) or (None, None)
    walls = sorted(run["wall_s"] for run in well)
    observed = _median(walls)
    predicted = arm.get("predicted_s")
    stages: dict[str, int] = {}
    for run in runs:
        for stage in run["failed"]:
            stages[stage] = stages.get(stage, 0) + 1
    return {
        "name": arm["name"],
        "options": arm["options"],
        "file": arm["file"],
        "jobs": runs[0]["jobs"] if runs else None,
        "runs": len(runs),
        "median_s": observed,
        "least_s": walls[0] if walls else None,
        "most_s": walls[-1] if walls else None,
        "failures": failures,
        "failure_rate": {"rate": _rounded(failures / len(runs)) if runs else None, "low": _rounded(low),
                         "high": _rounded(high), "confidence": 0.95},
        "failed_stages": stages,
        **{name: _median([run[name] for run in well]) for name in RESOURCES},
        "predicted_s": predicted,
        "error": _rounded(predicted / observed - 1) if predicted and observed else None,
        "warm_ups": sum(record["kind"] == "warm-up" and record["arm"] == arm["name"] for record in records),
    }  # fmt: skip


def _compared(first: str, second: str, pairs: Sequence[Mapping[str, Record]], alpha: float) -> dict[str, Any]:
    """One arm against the first. `shown`: `shorter`, `longer`, `same` (no more than the tolerance apart), `fails more`,
    `fails less`, or null where nothing is shown yet."""
    from math import log

    both = [(pair[first], pair[second]) for pair in pairs]
    differences = _logs(_well(both), "wall_s")
    stakes = betting.capital(differences)
    won = max(stakes, default=1.0) >= 1 / alpha
    times = betting.interval(differences, alpha)
    failed = rates.compare([(a["outcome"] != "success", b["outcome"] != "success") for a, b in both], alpha)
    shown = None
    if won and times is not None:
        is_above = times.low is not None and times.low > 0
        is_below = times.high is not None and times.high < 0
        shown = "longer" if is_above or (times.median > 0 and not is_below) else "shorter"
    elif times is not None and None not in (times.low, times.high):
        if -log(1 + TOLERANCE) <= times.low and times.high <= log(1 + TOLERANCE):  # type: ignore[operator]
            shown = "same"
    if failed["shown"] is not None:
        shown = failed["shown"]
    return {
        "arm": second,
        "over": first,
        "pairs": len(differences),
        "ratio": _ratio(times, 1 - alpha),
        "evidence": _rounded(max(stakes, default=1.0)),
        "evidence_needed": _rounded(1 / alpha),
        "shown": shown,
        "failure_rate": failed,
        "resources": {},
        "more": None,
    }


def _add(each: dict[str, Any], pairs: Sequence[Mapping[str, Record]], alpha: float, seed: int) -> None:
    """What the arms used, and how many more pairs would tell: the difference that is seen, if it is worth a change,
    else the least one that would be."""
    from math import exp, log

    well = _well([(pair[each["over"]], pair[each["arm"]]) for pair in pairs])
    each["resources"] = {
        name: _ratio(betting.interval(_logs(well, name), alpha), 1 - alpha)
        if all(_median([run[name] for run in arm]) for arm in zip(*well))
        else None
        for name in RESOURCES
    }
    differences = _logs(well, "wall_s")
    if each["shown"] is None and len(differences) >= 2:
        seen = exp(median(differences))
        target = seen if abs(seen - 1) >= TOLERANCE else 1 - TOLERANCE
        more = betting.more_pairs(differences, alpha, log(target), seed)
        each["more"] = {"ratio": _rounded(target), "pairs": more}


def _well(pairs: Sequence[tuple[Record, Record]]) -> list[tuple[Record, Record]]:
    return [(a, b) for a, b in pairs if a["outcome"] == b["outcome"] == "success"]


def _work(each: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> dict[str, list[str]] | None:
    """By arm the stages that only it runs; None where both run the same."""
    arm = next(arm for arm in arms if arm["name"] == each["arm"])
    lacks, adds = arm.get("lacks", []), arm.get("adds", [])
    return {each["over"]: lacks, each["arm"]: adds} if lacks or adds else None


def _decision(each: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> str:
    """By a rule that is fixed before the first run: `adopt` an arm if the whole interval of its ratio lies below 1,
    the ratio itself is the tolerance below it, and its runs failed no more often than those of the first arm, `not
    yet` if they did, `open` if it does other work.
    `keep` the first arm, which is the simpler one, if there is no such gain; else it is `open`."""
    shown, ratio = each["shown"], each["ratio"]
    if shown is None or ratio is None:
        return "open"
    if shown in ("longer", "same", "fails more") or ratio["median"] > 1 - TOLERANCE:
        return "keep"
    if ratio["high"] is None or ratio["high"] >= 1 or each["work"] is not None:
        return "open"
    failures = {arm["name"]: arm["failures"] for arm in arms}
    return "not yet" if failures[each["arm"]] > failures[each["over"]] else "adopt"


def _best(decisions: Sequence[str]) -> str:
    return next(word for word in ("adopt", "not yet", "open", "keep") if word in decisions)


def _logs(pairs: Sequence[tuple[Record, Record]], name: str) -> list[float]:
    """log(second) − log(first) of each pair in which both are known and not 0."""
    from math import log

    return [log(b[name]) - log(a[name]) for a, b in pairs if a[name] and b[name]]


def _ratio(found: betting.Interval | None, confidence: float) -> dict[str, Any] | None:
    from math import exp

    if found is None:
        return None
    low, high = (None if end is None else _rounded(exp(end)) for end in (found.low, found.high))
    return {"median": _rounded(exp(found.median)), "low": low, "high": high, "confidence": round(confidence, 6)}


def _fails_always(name: str, records: Sequence[Record], is_last: bool) -> bool:
    outcomes = [record["outcome"] for record in records if record["arm"] == name and record["kind"] != "preparation"]
    return "success" not in outcomes and bool(outcomes) and (len(outcomes) >= ALWAYS or is_last)


def _drift(pairs: Sequence[Mapping[str, Record]], names: Sequence[str]) -> dict[str, Any] | None:
    """Whether runs got slower or faster in the course of the experiment, by Kendall's tau of time over the
    arm's median against order, and the normal approximation of its p (H. B. Mann, Econometrica 13 (1945)). Null of
    fewer than five pairs."""
    from math import log, sqrt
    from statistics import NormalDist

    if len(pairs) < 5:
        return None
    well = [record for pair in pairs for record in pair.values() if record["outcome"] == "success"]
    well.sort(key=lambda record: (record["pair"], record["place"]))
    middle = {name: _median([record["wall_s"] for record in well if record["arm"] == name]) for name in names}
    rest = [log(record["wall_s"] / middle[record["arm"]]) for record in well if record["wall_s"]]
    count = len(rest)
    if count < 2:
        return None
    score = sum((b > a) - (b < a) for at, b in enumerate(rest) for a in rest[:at])
    z = max(0, abs(score) - 1) / sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return {
        "tau": _rounded(2 * score / (count * (count - 1))),
        "p": _rounded(2 * (1 - NormalDist().cdf(z))),
    }


def _median(values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    return _rounded(median(known)) if known else None


def _rounded(value: float | None) -> Any:
    return None if value is None else round(value, 6)
