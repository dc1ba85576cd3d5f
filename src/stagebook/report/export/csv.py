"""A run as CSV (RFC 4180): one row an attempt, for spreadsheets and data frames. Stages that never ran have no row.

A cell that a spreadsheet would take for a formula begins with an apostrophe instead, also where one that takes
semicolons for the ends of cells would see the beginning of a cell; control characters are escapes.
The JSON document has names exactly as they are.
"""

from __future__ import annotations

import csv
import re

from stagebook.report import rows
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"

_USAGE = (
    "cpu_s", "cpu_user_s", "cpu_system_s", "max_rss_bytes", "read_bytes", "write_bytes", "ctx_voluntary",
    "ctx_involuntary", "method", "max_rss_method",
)  # fmt: skip
COLUMNS = (
    "run", "pipeline", "stage", "attempt", "outcome", "reason", "exit", "signal", "started", "finished", "from_s",
    "to_s", "wall_s", "wait_s", "waited", "critical_path", *_USAGE, "log",
)  # fmt: skip
#: What spreadsheets take for the beginning of a formula, in full width too.
_FORMULA = tuple("=+-@＝＋－＠")
_AFTER_SEMICOLON = re.compile(r"(;[\s\"']*)(?=[=+\-@＝＋－＠])")


def render(document: Document, now_us: int | None = None) -> Iterator[str]:
    """Line by line. What is unknown is empty; an attempt that runs has no end, however late it is."""
    line = csv.writer(_Echo()).writerow
    yield line(COLUMNS)
    read = rows.instants()
    head = (safe(document["run"]), safe(document["pipeline"]))
    path = frozenset(document["critical_path"])
    for stage in document["stages"]:
        name = safe(stage["stage"])
        is_critical = "yes" if stage["stage"] in path else "no"
        for attempt in stage["attempts"]:
            yield line((*head, name, *_attempt(attempt, is_critical, read)))


def _attempt(attempt: Document, is_critical: str, read: Any) -> list[Any]:
    begun, ended = rows.span_of(attempt, read)
    used = attempt.get("usage") or {}
    return [
        attempt.get("attempt"),
        attempt["outcome"],
        safe(attempt["reason"]),
        attempt["exit"],
        attempt["signal"],
        attempt["started"],
        attempt["finished"],
        attempt.get("from_s"),
        attempt.get("to_s"),
        None if ended is None else (ended - begun) / 1e6,
        attempt.get("wait_s"),
        safe(attempt.get("waited")),
        is_critical,
        *[used.get(column) for column in _USAGE],
        safe(attempt.get("log")),
    ]


def safe(text: str | None) -> str | None:
    if text is None:
        return None
    text = _AFTER_SEMICOLON.sub(r"\1'", harmless(text))
    return "'" + text if text.lstrip().startswith(_FORMULA) else text


class _Echo:
    """A file for `csv` that gives back what is written, which its writer passes on."""

    def write(self, text: str) -> str:
        return text
