"""How much of a CI system's file has a meaning here, counted and listed. Takes the map document's `grades`."""

from __future__ import annotations

from stagebook.model.job import GRADES
from stagebook.report.durations import count
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.model.pipeline import Pipeline

_WORDS = {"exact": "exact", "approximated": "approximated", "ignored": "ignored", "server": "need the server"}


def document(pipeline: Pipeline) -> dict[str, Any] | None:
    """How many keys have which grade, and each that is not exact; None of a file without grades."""
    if not pipeline.grades:
        return None
    tally = dict.fromkeys(GRADES, 0)
    for grade in pipeline.grades:
        tally[grade.grade] += 1
    listed = [
        {"key": each.path, "line": each.line or None, "grade": each.grade, "text": each.text or None}
        for each in pipeline.grades if each.grade != "exact"
    ]  # fmt: skip
    return {"keys": len(pipeline.grades), **tally, "not_exact": listed}


def summary(found: Mapping[str, Any]) -> str:
    """`412 keys: 380 exact, 20 approximated, 2 ignored, 10 need the server`."""
    parts = [f"{count(found[grade])} {word}" for grade, word in _WORDS.items() if found[grade]]
    if found["server"] == 1:
        parts[-1] = "1 needs the server"
    return f"{count(found['keys'])} key{'' if found['keys'] == 1 else 's'}: {', '.join(parts)}"


def lines(found: Mapping[str, Any]) -> list[str]:
    """One a key that is not exact, worst first, in order of the file."""
    order = {grade: place for place, grade in enumerate(reversed(GRADES))}
    some = sorted(found["not_exact"], key=lambda each: (order[each["grade"]], each["line"] or 0))
    return [
        f"{each['line'] or '':>6}  {each['grade']:<12}  {harmless(each['key'])}"
        + (f": {harmless(each['text'])}" if each["text"] else "")
        for each in some
    ]
