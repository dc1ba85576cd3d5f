"""What a change of a pipeline comes to, out of the document of `plan --diff`: for a terminal, and as Markdown for a
step summary or a note on a merge request."""

from __future__ import annotations

import re

from stagebook.report.durations import plural, span
from stagebook.report.harmless import harmless, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_SHOWN_MAX = 20  #: edges


def render(document: Mapping[str, Any], style: Style) -> list[str]:
    """Lines for a terminal."""
    lines = [
        style.paint(
            f"{harmless(document['pipeline'])} against {harmless(document['base'])}: {_tally(document)}", "bold"
        )
    ]
    lines += [f"  {sign} {harmless(edge['from'])} → {harmless(edge['to'])}" for sign, edge in _edges(document)]
    lines += wrap(harmless(_verdict(document)), style.width - 1)
    if document["after"]["critical_path"]:
        lines += wrap(harmless("longest: " + " → ".join(document["after"]["critical_path"])), style.width - 1)
    if document["unknown"]:
        lines += wrap(harmless(_unknown(document)), style.width - 1)
    return [style.plain(line) for line in lines]


def markdown(document: Mapping[str, Any]) -> str:
    """One section. Names of users' are code, so that nothing in them is markup."""
    then, now = document["before"], document["after"]
    lines = [f"### {_code(document['pipeline'])} against {_code(document['base'])}", ""]
    said = [f"{text[:1].upper()}{text[1:]}." for text in (_tally(document), _verdict(document))]
    lines += [" ".join(said), ""]
    lines += ["| | before | after |", "|---|---|---|"]
    lines.append(f"| longest chain | {_span(then['critical_path_s'])} | {_span(now['critical_path_s'])} |")
    lines.append(f"| its stages | {_path(then['critical_path'])} | {_path(now['critical_path'])} |")
    edges = _edges(document)
    if edges:
        lines += ["", *[f"- {sign} {_code(edge['from'])} → {_code(edge['to'])}" for sign, edge in edges]]
    if document["unknown"]:
        lines += ["", _unknown(document).replace("`", "") + "."]
    return "\n".join(lines) + "\n"


def _edges(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, str]]]:
    edges = document["edges"]
    found = [("+", each) for each in edges["added"]] + [("−", each) for each in edges["removed"]]
    return found[:_SHOWN_MAX]


def _tally(document: Mapping[str, Any]) -> str:
    stages, edges = document["stages"], document["edges"]
    parts = [f"{plural(len(edges['added']), 'edge')} more", f"{len(edges['removed'])} fewer"]
    for word, name in (("new", "added"), ("gone", "removed"), ("changed", "changed")):
        if stages[name]:
            parts.append(f"{plural(len(stages[name]), 'stage')} {word}")
    if not edges["added"] and not edges["removed"]:
        parts = ["the same edges", *parts[2:]]
    return ", ".join(parts)


def _verdict(document: Mapping[str, Any]) -> str:
    change = document["change_s"]
    if change is None:
        text = "no durations are known, so nothing is said of time"
        return f"{text}, and --max-slower is not judged" if document["max_slower"] else text
    before, after = (document[when]["critical_path_s"] for when in ("before", "after"))
    text = f"the longest chain takes {span(before)} before, {span(after)} after"
    text += f": {span(abs(change))} {'slower' if change > 0 else 'faster'}" if abs(change) >= 0.001 else ": as long"
    if document["is_slower"]:
        text += f", which is more than --max-slower {document['max_slower']}"
    return text


def _unknown(document: Mapping[str, Any]) -> str:
    names = document["unknown"]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"nothing is known of {shown}: counted as nothing"


def _span(seconds: float | None) -> str:
    return "unknown" if seconds is None else span(seconds)


def _path(names: list[str]) -> str:
    shown = [_code(name) for name in names[:8]] + (["…"] if len(names) > 8 else [])
    return " → ".join(shown) or "–"


def _code(name: str) -> str:
    return "`" + re.sub(r"[`|\n]", "·", harmless(name)) + "`"
