"""The sweep of a plan as a chart over its table: median and 95th percentile by jobs, knee, SLA, critical path. SVG.

Columns stand over those of the table, so each job count has the same room however far it is from the next. Points are
where the simulation had them, whether or not more jobs are faster.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.report.durations import NO_BREAK, SECOND, span, tick_label, ticks
from stagebook.report.page.frame import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping, Sequence, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"

_ROOM = 1.08  #: above the highest point


class Size(NamedTuple):
    """Pixels: of the whole, and of the column of names at its left."""

    width: int
    height: int
    left: int


WIDE, NARROW = Size(736, 340, 86), Size(340, 270, 58)


def draw(plan: Document, size: Size) -> str:
    """One SVG element; the table below has the same numbers."""
    return "".join(_Chart(plan, size).lines())


class _Chart:
    def __init__(self, plan: Document, size: Size) -> None:
        self.rows: Sequence[Mapping[str, Any]] = plan["sweep"]
        self.size = size
        self.after = {row["jobs"]: row["makespan_s"] for row in plan["recommendation"]["sweep"] or ()}
        self.jobs = sorted({*self.after, *[row["jobs"] for row in self.rows]})
        self.knee = next((at for at, row in enumerate(self.rows) if row["jobs"] == plan["knee"]["jobs"]), None)
        self.target_s = plan["sla"]["target_s"] if plan["sla"] else None
        self.least_s: float = plan["critical_path_s"]
        self.where = " on an idle machine" if plan["profile"]["source"] == "history" else ""
        highest = max(
            [max(row["p95_s"], row["makespan_s"]) for row in self.rows] + [self.least_s, 1e-3, *self.after.values()]
        )
        if self.target_s is not None and self.target_s < 2.5 * highest:  # farther away it would flatten all else
            highest = max(highest, self.target_s)
        self.total_us = round(highest * _ROOM * SECOND)
        self.column = (size.width - size.left) / len(self.jobs)
        self.top, self.bottom = 14, size.height - 10

    def x(self, at: int) -> float:
        """Of a row of the file's sweep."""
        return self._x(self.rows[at]["jobs"])

    def _x(self, jobs: int) -> float:
        return round(self.size.left + (self.jobs.index(jobs) + 0.5) * self.column, 1)

    def y(self, seconds: float) -> float:
        height: float = (self.bottom - self.top) * seconds * SECOND / self.total_us
        return round(self.bottom - height, 1)

    def lines(self) -> Iterator[str]:
        size = self.size
        yield (
            f'<svg class="chart" viewBox="0 0 {size.width} {size.height}" role="img" '
            'aria-label="Time of a run by number of jobs; the table below has the same numbers">'
        )
        yield from self._grid()
        if self.knee is not None:
            yield _rect(self.x(self.knee) - self.column / 2, self.top, self.column, self.bottom - self.top)
        yield from self._bounds()
        yield from self._curves()
        if self.knee is not None:
            yield from self._knee(self.knee)
        yield "</svg>"

    def _grid(self) -> Iterator[str]:
        height = self.bottom - self.top
        for px, label in [(0, "0"), *ticks(self.total_us, height, 45)]:
            y = self.bottom - px
            yield _line(self.size.left, self.size.width, y, "hair")
            yield _text(self.size.left - 8, y + 4, label, "lab e")

    def _bounds(self) -> Iterator[str]:
        """Names of lines stand above them at the right, or below where two lines are near each other."""
        right, y = self.size.width, self.y(self.least_s)
        yield _line(self.size.left, right, y, "least")
        below = y + 15 if y + 18 < self.size.height else y - 6
        yield _text(right, below, f"critical path {span(self.least_s)}{self.where}", "lab e")
        if self.target_s is None:
            return
        if self.target_s * SECOND > self.total_us:
            yield _text(right, self.top + 10, f"SLA {self._target()}, far above", "lab e bad")
            return
        y = self.y(self.target_s)
        yield _line(self.size.left, right, y, "sla")
        yield _text(right, y - 6, f"SLA {self._target()}", "lab e bad")

    def _target(self) -> str:
        return tick_label(round((self.target_s or 0) * SECOND))

    def _curves(self) -> Iterator[str]:
        middle = [f"{self.x(at)} {self.y(row['makespan_s'])}" for at, row in enumerate(self.rows)]
        high = [f"{self.x(at)} {self.y(row['p95_s'])}" for at, row in enumerate(self.rows)]
        yield f'<path class="between" d="M{"L".join([*high, *reversed(middle)])}Z"/>'
        yield f'<path class="p95" d="M{"L".join(high)}"/><path class="p50" d="M{"L".join(middle)}"/>'
        then = [f"{self._x(jobs)} {self.y(self.after[jobs])}" for jobs in self.jobs if jobs in self.after]
        if then:
            yield f'<path class="after" d="M{"L".join(then)}"/>'
        for at, row in enumerate(self.rows):
            kind = "dot at-knee" if at == self.knee else "dot beyond" if row["beyond"] else "dot"
            radius = 5.5 if at == self.knee else 3.5
            x, y = self.x(at), self.y(row["makespan_s"])
            yield f'<circle class="{kind}" cx="{x}" cy="{y}" r="{radius}"/>'
        if self.size is NARROW:
            return
        last = self.rows[-1]
        x, y, above = self.x(len(self.rows) - 1) + 9, self.y(last["makespan_s"]), self.y(last["p95_s"])
        yield _text(x, max(y, above + 12) + 4, "p50", "lab p50-t") + _text(x, above + 4, "p95", "lab")

    def _knee(self, at: int) -> Iterator[str]:
        """Above the curve, or below it where there is no room."""
        row = self.rows[at]
        point, above = self.y(row["makespan_s"]), self.y(row["p95_s"])
        text = above - 44 if above - 44 > self.top + 12 else point + 34
        gain = next((one["gain"] for one in self.rows[at + 1 : at + 2]), None)
        x = min(max(self.x(at), self.size.left + 40), self.size.width - 40)
        jobs = f"{row['jobs']} {'job' if row['jobs'] == 1 else 'jobs'}"
        yield _text(x, text, f"knee: {jobs}", "lab mid strong")
        if gain is not None:
            more = self.rows[at + 1]["jobs"]
            said = "gain nothing" if abs(gain) < 0.005 else f"{'save' if gain > 0 else 'lose'} {abs(gain):.0%}"
            yield _text(x, text + 15, f"{more} {said}".replace("%", f"{NO_BREAK}%"), "lab mid")
        from_y, to_y = (text + 20, point - 8) if text < point else (point + 8, text - 12)
        yield f'<path class="pin" d="M{self.x(at)} {from_y}V{to_y}"/>'


def _line(x: float, to: float, y: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x:g} {y:g}H{to:g}"/>'


def _rect(x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="kn" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escaped(text)}</text>'
