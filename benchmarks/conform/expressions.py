"""Expressions of GitHub Actions: the tables of cases that the vendor's language services are tested with.

A case counts if its value, of the same kind, is the stated one; or if it is refused with an error of the stated kind,
at the stated position.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from conform.row import Row
from stagebook.formats.github import expression
from stagebook.formats.github.expression.value import kind_of

_POSITION = re.compile(r"Located at position ([0-9]+)")


def measure(data: Path) -> list[Row]:
    tables = sorted((data / "conformance" / "languageservices" / "expressions" / "testdata").glob("*.json"))
    misses: list[str] = []
    count = 0
    for table in tables:
        for group, cases in json.loads(table.read_text(encoding="utf-8")).items():
            for case in cases:
                count += 1
                said = miss(case)
                if said is not None:
                    misses.append(f"{table.name}: {group}: {case['expr'][:80]}: {said}")
    share = 1 - len(misses) / count if count else 0.0
    return [Row("expressions", f"cases of {len(tables)} tables", count, share, 0.99, misses=tuple(misses))]


def miss(case: dict[str, Any]) -> str | None:
    """What is not as the case states; None if all is."""
    contexts = case.get("contexts", {})
    try:
        value = expression.evaluate(expression.parse(case["expr"], contexts), contexts)
    except expression.ExpressionError as error:
        wanted = case.get("err")
        if wanted is None:
            return f"refused: {error}"
        if wanted["kind"] != error.kind:
            return f"a {error.kind} error, not {wanted['kind']}"
        place = _POSITION.search(wanted["value"])
        if place is not None and (error.offset is None or error.offset + 1 != int(place.group(1))):
            return f"the error is placed at {error.offset}, from 0, not at {place.group(1)}, from 1"
        return None
    if "err" in case:
        return f"{value!r}, and not an error: {case['err']['value']}"
    wanted = case["result"]
    if kind_of(value) != wanted["kind"].lower():
        return f"a {kind_of(value)}, not a {wanted['kind']}"
    stated = wanted["value"]
    if isinstance(stated, str) and kind_of(value) == "number":
        stated = float(stated.replace("Infinity", "inf"))
    return None if value == stated or (value != value and stated != stated) else f"{value!r}, not {stated!r}"
