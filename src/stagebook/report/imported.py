"""What came of recorded runs that were imported: how many, of which files, and which of their jobs are no stage's."""

from __future__ import annotations

import os

from stagebook.report.durations import plural
from stagebook.report.harmless import harmless, wrap
from stagebook.report.style import Style
from stagebook.report.together import question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_NAMED = 8


def render(document: Mapping[str, Any], style: Style) -> list[str]:
    lines = [_head(document)]
    for of in document["pipelines"]:
        lines += _of(of, document["system"])
    lines += [f"ask: {harmless(question(pair))}" for pair in document["together"]]
    lines += [f"note: {harmless(text)}" for text in document["notes"]]
    return [line for text in lines for line in wrap(style.plain(text), style.width - 1)]


def _head(document: Mapping[str, Any]) -> str:
    parts = [f"{plural(document['added'], 'run')} of {document['system']} added"]
    if document["renewed"]:
        parts.append(f"{document['renewed']} renewed")
    if document["known"]:
        parts.append(f"{document['known']} known already")
    if document["going"]:
        parts.append(f"{document['going']} left out that still go{'es' if document['going'] == 1 else ''} on")
    left = document["left_out"]
    if left["other"]:
        parts.append(f"{left['other']} of other workflows left out")
    if left["empty"]:
        parts.append(f"{left['empty']} without any times left out")
    return ", ".join(parts)


def _of(of: Mapping[str, Any], system: str) -> list[str]:
    file = os.path.relpath(of["file"]) if of["file"] else None
    lines = [
        f"{harmless(of['pipeline'])}{f' ({harmless(file)})' if file else ''}: "
        f"{plural(of['runs'], 'run')}, {plural(of['jobs'], 'job')}"
    ]
    if of["unmatched"]:
        names = [f"{harmless(each['name'])} ({each['count']})" for each in of["unmatched"]]
        lines.append(f"  {plural(len(names), 'name')} that no stage has: {_few(names)}")
    if of["unseen"]:
        lines.append(f"  not in these runs: {_few([harmless(name) for name in of['unseen']])}")
    if file and os.path.exists(of["file"]):
        lines.append(f"  next: stagebook plan {harmless(file)}")
    elif not file or not os.path.exists(of["file"]):
        lines.append("  its file is not here, so no needs are known; --file names it")
    return lines


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f", … {len(names) - _NAMED} more" if len(names) > _NAMED else "")
