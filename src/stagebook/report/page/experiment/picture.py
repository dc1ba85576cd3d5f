"""The pictures of an experiment's page as SVG: dots, intervals, bars. Places along the axis are shares of the width, so
that one drawing fits every screen. What it is given is escaped already."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

TINTS = ("a", "b", "c", "e")  #: classes of the arms; from the fifth on they repeat
ROW = 62  #: height of an arm among the dots
_SPREAD = (-8, 0, 8, -4, 4)  #: how far dots lie from their line in turn, so that equal ones can be told apart


def tint(arm: int) -> str:
    return TINTS[arm % len(TINTS)]


class Row(NamedTuple):
    """`runs`: seconds, and whether it passed."""

    name: str
    runs: list[tuple[float, bool]]
    median_s: float | None
    label: str


def dots(rows: Sequence[Row], ticks: Sequence[tuple[float, str]]) -> str:
    most = max([wall for row in rows for wall, _ in row.runs], default=1.0) * 1.06 or 1.0
    height = ROW * len(rows) + 8
    parts = []
    for at, label in ticks:
        x = _share(at / most)
        anchor = "start" if at == 0 else "middle"
        parts.append(f'<line class="gl" x1="{x}" x2="{x}" y1="6" y2="{height}"/>')
        parts.append(f'<text class="tx" x="{x}" y="{height + 15}" text-anchor="{anchor}">{label}</text>')
    for number, row in enumerate(rows):
        y = number * ROW + 42
        parts.append(f'<text class="tk" x="0" y="{y - 20}">{row.name} · {row.label}</text>')
        for at, (wall, passed) in sorted(enumerate(row.runs), key=lambda run: not run[1][1]):  # crosses above dots
            x, level = _share(wall / most), y + _SPREAD[at % len(_SPREAD)]
            if passed:
                parts.append(f'<circle class="{tint(number)}" cx="{x}" cy="{level}" r="3.2"/>')
            else:
                parts.append(f'<text class="x" x="{x}" y="{level + 5}" text-anchor="middle">✕</text>')
        if row.median_s is not None:
            x = _share(row.median_s / most)
            parts.append(f'<line class="md" x1="{x}" x2="{x}" y1="{y - 15}" y2="{y + 15}"/>')
    return _svg(height + 20, "Every run as a dot; the numbers are in the table", parts)


def intervals(rows: Sequence[tuple[str, Mapping[str, Any]]], same: str) -> str:
    """Ratios on a scale of logarithms, around the line at 1. An end that is not known runs to the edge."""
    from math import log2

    known = [end for _, found in rows for end in (found["median"], found["low"], found["high"]) if end]
    reach = max([abs(log2(end)) for end in known] + [0.4]) * 1.1
    left = 22.0

    def place(value: float | None, edge: float) -> float:
        part = edge if not value else (log2(value) / reach + 1) / 2
        return left + (98 - left) * min(1.0, max(0.0, part))

    height = 34 * len(rows) + 4
    parts = []
    marks = (
        (0.5, 0.7, 0.85, 1, 1.2, 1.4, 2)
        if reach < 1.2
        else (0.25, 0.5, 1, 2, 4)
        if reach < 3
        else (1 / 16, 1 / 4, 1, 4, 16)
    )
    for mark in marks:
        if abs(log2(mark)) <= reach:
            x = f"{place(mark, 0):.2f}%"
            parts.append(f'<line class="{"one" if mark == 1 else "gl"}" x1="{x}" x2="{x}" y1="0" y2="{height}"/>')
            parts.append(f'<text class="tx" x="{x}" y="{height + 14}" text-anchor="middle">{mark:g}×</text>')
    for number, (name, found) in enumerate(rows):
        y = 34 * number + 18
        low, high, middle = place(found["low"], 0), place(found["high"], 1), place(found["median"], 0.5)
        parts.append(f'<text class="nm" x="0" y="{y + 4}">{name}</text>')
        parts.append(f'<line class="iv" x1="{low:.2f}%" x2="{high:.2f}%" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="pt" cx="{middle:.2f}%" cy="{y}" r="5"/>')
    x = f"{place(1, 0.5):.2f}%"
    parts.append(f'<text class="tx" x="{x}" y="{height + 29}" text-anchor="middle">{same}</text>')
    return _svg(height + 34, "Ratios with their intervals; the numbers are in the table", parts)


def bars(told: Sequence[tuple[int, float, str]]) -> str:
    most = max(wall for _, wall, _ in told) or 1.0
    each = 100 / len(told)
    parts = []
    for at, (arm, wall, label) in enumerate(told):
        height = max(1.0, 56 * wall / most)
        parts.append(
            f'<rect class="{tint(arm)}" x="{at * each:.3f}%" width="{each * 0.88:.3f}%" y="{58 - height:.1f}" '
            f'height="{height:.1f}"><title>{label}</title></rect>'
        )
    return _svg(58, f"{len(told)} runs in the order in which they ran", parts)


def _share(part: float) -> str:
    return f"{part * 99 + 0.5:.2f}%"


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return f'<svg class="pic" width="100%" height="{height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
