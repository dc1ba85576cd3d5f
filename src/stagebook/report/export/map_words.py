"""What pictures of a map say in words: verdict, figures of a stage, reasons of an edge, headings of findings. Names are
made harmless here."""

from __future__ import annotations

from stagebook.report.durations import count, plural, span
from stagebook.report.export import map_nodes
from stagebook.report.harmless import cut, harmless
from stagebook.report.map import WEIGHTED, in_bounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"

_NAME_MAX = 80
HEADINGS = {
    "needless-order": "Needless order",
    "implied-need": "Need that others imply",
    "possible-coupling": "Possible coupling",
    "missing-guard": "Missing guard",
    "stage-order": "Order of stages only",
    "wide-matrix": "Matrix wider than the cap",
    "early-artifact": "Artifact read too early",
    "unwritten-artifact": "Artifact that nobody uploads",
    "artifact-clash": "Artifact uploaded twice",
    "unread-artifact": "Artifact that no job reads",
    "early-cache": "Cache restored too early",
    "unwritten-cache": "Cache that nobody fills",
    "unread-cache": "Cache that nobody reads",
    "no-timeout": "No timeout",
    "no-concurrency": "Deployments may overtake each other",
    "script-injection": "Script injection",
    "untrusted-checkout": "Foreign code with rights",
    "split-steps": "Steps that could be a job",
    "repeated-check": "Done in each cell",
}
_REASONS = {
    "artifact": "it reads {}", "value": "it is given {}", "service": "service {}", "lock": "both take lock {}",
    "generated": "{}", "named": "its command names {}",
    "pool": "both take pool {}", "stated": "ordering: {}", "gate": "gate {}", "guard": "guards {}",
    "always": "clean-up {}", "split": "split {}", "outside": "acts outside: {}", "called": "{}",
}  # fmt: skip


def name(text: str) -> str:
    return cut(harmless(text), _NAME_MAX)


def verdict(document: Document) -> str:
    """One sentence: what is the least that this order allows, and how much of it has no reason."""
    if not document["stages"]:
        return f"{name(document['pipeline'])} has no stages"
    if document.get("diff"):
        return _difference(document)
    least = document["critical_path_s"]
    if least is None:
        said = f"The longest chain has {plural(len(document['critical_path']), 'stage')}; no durations are known"
    else:
        said = f"{span(least)} is the least this order allows"
        needless = [one for one in map_nodes.findings(document) if one["code"] in map_nodes.NEEDLESS]
        alone = max([one["saves_s"] or 0 for one in needless], default=0)
        saved = max(alone, document.get("needless_s") or 0)
        if saved > 0:
            said += f"; {span(saved)} of it has no reason in the file"
        said += f"; {in_bounds(document)}" if in_bounds(document) else ""
    return said


def _difference(document: Document) -> str:
    found = document["diff"]
    parts = []
    for what in ("stages", "edges"):
        for kind in ("added", "removed", "changed"):
            if number := len(found[what].get(kind, ())):
                parts.append(f"{plural(number, what[:-1])} {kind}")
    return f"{', '.join(parts) or 'No difference'}, against {name(str(found['base']))}"


def about(document: Document) -> list[str]:
    """Counts, the sequential time, and where durations come from."""
    together = document["widest"]
    width = f"up to {document['width']} on a level" if together is None else f"at most {together['stages']} at once"
    said = [
        f"{_many(len(document['stages']), 'stage')}, {_many(len(document['edges']), 'edge')}, "
        f"{plural(document['depth'], 'level')}, {width}"
    ]
    if document["sequential_s"] is not None:
        said.append(f"one after another {span(document['sequential_s'])}")
    return said + _sources(document)


def _many(number: int, noun: str) -> str:
    return f"{count(number)} {noun if number == 1 else noun + 's'}"


def _sources(document: Document) -> list[str]:
    known = document["figures"]
    parts = []
    if known["history"]:
        parts.append(f"durations of {known['history']} from recent runs ({WEIGHTED})")
    if known["declared"]:
        parts.append(f"{'' if parts else 'durations '}of {known['declared']} as declared")
    if parts and known["others"]:
        parts.append(f"of {known['others']} the median of the others (~)")
    return [", ".join(parts)] if parts else []


def heading(finding: Mapping[str, Any]) -> str:
    """`Needless order: image → integration`."""
    title = HEADINGS.get(finding["code"], finding["code"])
    some = [name(id) for id in finding["stages"]]
    if finding["code"] in map_nodes.NEEDLESS:
        edge, *more = finding["edges"]
        return f"{title}: {name(edge['from'])} → {name(edge['to'])}" + (f" and {len(more)} more" if more else "")
    if finding["code"] == "missing-guard":
        return f"{title}: {some[0]}"
    is_shared = finding["code"] == "possible-coupling"
    if not is_shared:  # of a matrix all cells are meant
        some = list(dict.fromkeys(name(id.partition("[")[0]) for id in finding["stages"]))
    shown = (" ↔ " if is_shared else ", ").join(some[:3])
    return f"{title}: {shown}" + (f" and {len(some) - 3} more" if len(some) > 3 else "")


def evidence(finding: Mapping[str, Any], file: str) -> str:
    """What a finding rests on, and where it stands."""
    said = []
    if finding["evidence"] == "declared":
        said.append("by what both declare")
    elif finding["evidence"] == "none":
        said.append("the file does not say what they read and make")
    if finding["shared"]:
        said.append(name(finding["shared"]))
    if finding["line"]:
        said.append(f"{name((finding.get('file') or file).rpartition('/')[2])}:{finding['line']}")
    return " · ".join(said)


def advice(finding: Mapping[str, Any]) -> str:
    """What to do."""
    fix = finding["fix"]
    return harmless(fix[:1].upper() + fix[1:])


def why(edge: Mapping[str, Any]) -> str:
    """The reasons of an edge, or that there is none."""
    reasons = edge.get("reasons", ())  # what is gone has none
    if not reasons:
        return "no reason in the file" if map_nodes.is_needless(edge) else ""
    return "; ".join(_REASONS.get(one["kind"], "{}").replace("{}", name(one["text"])).strip() for one in reasons)


def figures(stage: Mapping[str, Any]) -> list[str]:
    """How long, how much slack, and what is to be known of it."""
    figure = map_nodes.figure_of(stage)
    said = ["gate"] if stage["kind"] == "gate" else []
    if figure is not None and stage["kind"] != "gate":
        said.append(figure[1])
    if stage["critical"]:
        said.append("on the critical path")
    elif stage["slack_s"] is not None:
        said.append(f"slack {span(stage['slack_s'])}")
    elif stage["slack"]:
        said.append(f"slack {plural(int(stage['slack']), 'stage')}")
    if stage["condition"]:
        said.append(f"when {name(stage['condition'])}")
    for key, text in (("outside", "acts outside: {}"), ("ordering", "ordering: {}"), ("mode", "{}")):
        if stage.get(key) and stage[key] != "parallel":
            said.append(text.format(name(stage[key])))
    if stage.get("alone"):
        said.append("nothing can run beside it")
    return said
