"""The sentence that answers an experiment's question, out of its document."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"

NAMED_MAX = 4  #: stages that a sentence names


def verdict(document: Document) -> str:
    """`parallel is 0.41× [0.38, 0.45] of sequential in 8 pairs: adopt`."""
    never = document["fails_always"]
    if never:
        counts = [sum(run["arm"] == name and run["kind"] != "preparation" for run in document["runs"])
                  for name in never]  # fmt: skip
        told = " and ".join(f"{name} failed in all {_count(n, 'run')}" for name, n in zip(never, counts))
        return f"no ratio: {told}"
    compared = document["comparisons"]
    if document["decision"] == "adopt":
        best = min((each for each in compared if each["decision"] == "adopt"), key=lambda each: each["ratio"]["median"])
        return f"{_measured(best)}{_among(compared)}: adopt"
    said = [_one(document, each) for each in compared]
    if len(compared) == 1:
        return said[0]
    return "; ".join(
        text if text.startswith(each["arm"]) else f"{each['arm']}: {text}" for each, text in zip(compared, said)
    )


def _one(document: Document, each: Mapping[str, Any]) -> str:
    first = each["over"]
    arms = {arm["name"]: arm for arm in document["arms"]}
    base, arm = arms[first], arms[each["arm"]]
    failures = f"{arm['failures']} of {arm['runs']} runs failed"
    shown = each["shown"]
    if shown in ("fails more", "fails less"):
        end = f": keep {first}" if shown == "fails more" else ""
        often = "more" if shown == "fails more" else "less"
        return f"{each['arm']} fails {often} often, {failures} against {base['failures']} of {base['runs']}{end}"
    if shown == "same":
        return f"no difference above 5 %: {_measured(each)}: keep {first}"
    if shown == "longer":
        return f"{_measured(each)}: keep {first}"
    if shown == "shorter":
        if each["decision"] == "not yet":
            return f"do not adopt yet: {_measured(each)}, but {failures}"
        if each["decision"] == "open" and each["work"] is not None:
            return f"{_measured(each)}, but {other_work(each['work'])}"
        if each["decision"] == "open":
            return f"{_measured(each)}, but the interval does not lie below 1×"
        return f"{_measured(each)}, less than 5 % shorter: keep {first}"
    if document["stopped"] in (None, "interrupted"):
        seen = "" if each["ratio"] is None else f", {each['ratio']['median']:.2f}× so far"
        return f"nothing shown yet after {_count(document['pairs'], 'pair')}{seen}"
    if each["ratio"] is None:
        return f"no ratio: in none of {_count(document['pairs'], 'pair')} both runs passed"
    failed = f"; {failures}" if arm["failures"] else ""
    return f"no difference shown ({_count(document['pairs'], 'pair')}){failed}{_more(each)}"


def other_work(work: Mapping[str, Any]) -> str:
    """`they do not do the same work: only all runs a, b`."""
    told = [f"only {arm} runs {_some(stages)}" for arm, stages in work.items() if stages]
    return f"they do not do the same work: {', '.join(told)}"


def _some(stages: Any) -> str:
    more = f" and {len(stages) - NAMED_MAX} more" if len(stages) > NAMED_MAX else ""
    return ", ".join(stages[:NAMED_MAX]) + more


def ratio(found: Mapping[str, Any] | None) -> str:
    """`0.41× [0.38, 0.45]`; an end that too few pairs leave open is a dash."""
    if found is None:
        return "–"
    if found["low"] is None and found["high"] is None:
        return f"{found['median']:.2f}×"
    low, high = ("–" if end is None else f"{end:.2f}" for end in (found["low"], found["high"]))
    return f"{found['median']:.2f}× [{low}, {high}]"


def _measured(each: Mapping[str, Any]) -> str:
    return f"{each['arm']} is {ratio(each['ratio'])} of {each['over']} in {_count(each['pairs'], 'pair')}"


def _more(each: Mapping[str, Any]) -> str:
    more = each["more"]
    if more is None:
        return ""
    apart = f"{abs(1 - more['ratio']) * 100:.0f} %"
    if more["pairs"] is None:
        return f"; more than 400 more would be needed to tell {apart}"
    return f"; ~{more['pairs']} more would tell {apart}"


def _among(compared: Any) -> str:
    if len(compared) == 1:
        return ""
    return f" ({len(compared)} comparisons, each at {compared[0]['failure_rate']['confidence'] * 100:.4g} %)"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
