"""What becomes of the keys of a CI system's file in a native one: how many mean the same, and which do not."""

from __future__ import annotations

from stagebook.report.durations import plural
from stagebook.report.harmless import harmless, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_WORDS = {"exact": "exact", "approximated": "approximated", "ignored": "ignored", "server": "need the server"}


def render(document: Mapping[str, Any], style: Style) -> list[str]:
    counts = document["counts"]
    told = ", ".join(f"{count} {_WORDS[grade]}" for grade, count in counts.items() if count)
    lines = [f"{plural(document['stages'], 'stage')}; {plural(sum(counts.values()), 'key')}: {told or 'none'}"]
    lines += [
        f"{each['line']}: {harmless(each['path'])}: {each['grade']}"
        + (f", {harmless(each['text'])}" if each["text"] else "")
        for each in document["grades"]
        if each["grade"] != "exact"
    ]
    lines += ["", f"{plural(len(document['lost']), 'thing')} not carried over as it was"] if document["lost"] else []
    lines += [
        f"{each['line'] or 'the file'}: {_of(each)}{harmless(each['text'])} ({each['grade']})"
        for each in document["lost"]
    ]
    lines += [f"renamed: {harmless(old)} is {harmless(new)}" for old, new in document["renamed"].items()]
    return [line for text in lines for line in (wrap(style.plain(text), style.width - 1) if text else [""])]


def _of(each: Mapping[str, Any]) -> str:
    return f"{harmless(each['stage'])}: " if each["stage"] else ""
