"""Plain text tables, and the goals: a ratio of paired rounds, its limit, and whether it is kept."""

from __future__ import annotations

import statistics
from typing import Any, Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))]
    lines = []
    for row in (columns, ["-" * width for width in widths], *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


class Goals:
    """What was promised and what was found. `judged` keeps all of it for the file of `--json`."""

    COLUMNS = ("goal", "median", "min", "max", "best/best", "limit", "verdict")

    def __init__(self) -> None:
        self.judged: list[dict[str, Any]] = []
        self._new: list[Sequence[str]] = []

    def ratio(self, name: str, ours: Sequence[float] | None, theirs: Sequence[float] | None, limit: float) -> None:
        """Round by round; the median is judged. `best/best` is our best round against their best: on a busy machine
        the least disturbed figure."""
        if not ours or not theirs or len(ours) != len(theirs):
            self._unknown(name, f"{limit:g}")
            return
        pairs = [our / their for our, their in zip(ours, theirs)]
        self._judge(name, statistics.median(pairs), min(pairs), max(pairs), min(ours) / min(theirs), limit, "")

    def at_least(
        self, name: str, ours: Sequence[float] | None, theirs: Sequence[float] | None, limit: float, unit: str = ""
    ) -> None:
        """The same where more is better, as of items a second. Without `theirs` our figures themselves are judged."""
        if not ours or (theirs is not None and len(ours) != len(theirs)):
            self._unknown(name, f"≥ {limit:g}{unit}")
            return
        pairs = [our / their for our, their in zip(ours, theirs or [1.0] * len(ours))]
        best = max(ours) / max(theirs or [1.0])
        self._judge(name, statistics.median(pairs), min(pairs), max(pairs), best, limit, unit, is_least=True)

    def value(self, name: str, values: Sequence[float] | None, limit: float, unit: str) -> None:
        """A figure with a unit, a value each round; the median is judged."""
        if not values:
            self._unknown(name, f"{limit:g} {unit}")
            return
        self._judge(name, statistics.median(values), min(values), max(values), min(values), limit, f" {unit}")

    def _judge(
        self, name: str, median: float, least: float, most: float, best: float, limit: float, unit: str,
        is_least: bool = False,
    ) -> None:  # fmt: skip
        if is_least:
            verdict = "ok" if median >= limit else "under"
        else:
            verdict = "ok" if median <= limit else "over"
        self.judged.append(
            {
                "goal": name,
                "median": median,
                "min": least,
                "max": most,
                "best": best,
                "limit": limit,
                "verdict": verdict,
            }
        )
        cells = [f"{figure:.3f}" if not unit else f"{figure:.2f}" for figure in (median, least, most)]
        self._new.append((name, *cells, "" if unit else f"{best:.3f}", f"{'≥ ' * is_least}{limit:g}{unit}", verdict))

    def _unknown(self, name: str, limit: str) -> None:
        self.judged.append({"goal": name, "median": None, "verdict": "not measured"})
        self._new.append((name, "", "", "", "", limit, "not measured"))

    def show(self) -> str:
        """The goals that have come since the last call, as a table."""
        rows, self._new = self._new, []
        return table(self.COLUMNS, rows)

    def closing(self) -> str:
        """One line a goal that is not kept, and how many are."""
        kept = sum(goal["verdict"] == "ok" for goal in self.judged)
        lines = [f"{goal['verdict']}: {goal['goal']}" for goal in self.judged if goal["verdict"] != "ok"]
        return "\n".join([*lines, f"{kept} of {len(self.judged)} goals kept"])
