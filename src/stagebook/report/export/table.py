"""A table of the history as CSV (RFC 4180) or JSON, row by row, so that a long one is never in memory as a whole.

In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe, and control characters are escapes;
JSON has names exactly as they are.
"""

from __future__ import annotations

import csv
import json

from stagebook.report.export.csv import safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator, Sequence


def render_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """What is unknown is empty."""
    echo = _Echo()
    line = csv.writer(echo).writerow
    line(columns)
    yield echo.taken()
    for number, row in enumerate(rows, 1):
        line([safe(cell) if isinstance(cell, str) else _word(cell) for cell in row])
        if number % 1000 == 0:
            yield echo.taken()
    yield echo.taken()


def render_json(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """One document, a row a line, in ASCII, so that no locale can break it."""
    yield f'{{"table": {json.dumps(table)}, "rows": ['
    comma = "\n"
    for row in rows:
        yield comma + json.dumps(dict(zip(columns, row)))
        comma = ",\n"
    yield "\n]}\n"


def _word(cell: Any) -> Any:
    return {True: "true", False: "false"}[cell] if isinstance(cell, bool) else cell


class _Echo:
    """A file for `csv` that keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def write(self, text: str) -> int:
        self._parts.append(text)
        return len(text)

    def taken(self) -> str:
        text = "".join(self._parts)
        self._parts.clear()
        return text
