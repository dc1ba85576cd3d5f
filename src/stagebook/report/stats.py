"""How one stage does, out of the document of `stats`: how it ended, what it took, and what company did to it."""

from __future__ import annotations

from stagebook.report.durations import NOTHING, SECOND, Form, plural, size
from stagebook.report.durations import count as counted
from stagebook.report.harmless import cells, harmless, pad, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence

_FIGURES = ("median", "p95", "min", "max")
_ROWS = (
    ("wall", "wall_s"), ("cpu", "cpu_s"), ("delay", "delay_s"), ("memory", "max_rss_bytes"), ("wait", "wait_s"),
)  # fmt: skip


def render(stats: Mapping[str, Any], style: Style) -> list[str]:
    lines = wrap(_verdict(stats), style.width - 1)
    lines[0] = style.paint(lines[0], "bold")
    lines += [_ends(stats, style), "", *_table([(name, stats[key], key) for name, key in _ROWS], stats["enough"])]
    lines += ["", "wall by how many other stages ran meanwhile, on the average"]
    lines += _table([(name, one, "wall_s") for name, one in stats["company"].items()], stats["enough"])
    if stats["company_unknown"]:
        lines.append(f"not known of {plural(stats['company_unknown'], 'run')}")
    others = [name for name in stats["pipelines"] if name]
    if len(others) > 1:
        told = ", ".join(f"{harmless(name)} {counted(stats['pipelines'][name])}" for name in others)
        lines += wrap(f"runs of {len(others)} pipelines: {told}; --pipeline NAME looks at one", style.width - 1)
    return [style.plain(line) for line in lines]


def share(rate: Mapping[str, Any], what: str) -> str:
    """`2 of 40 failed, 5 % (1 to 17 %)`: counts first, then the interval."""
    if not rate["of"]:
        return "none ran to its end"
    text = f"{counted(rate['count'])} of {counted(rate['of'])} {what}"
    return f"{text}, {percent(rate['rate'])} ({percent(rate['low'], '')} to {percent(rate['high'])})"


def percent(part: float, unit: str = " %") -> str:
    """Whole, unless below 1 or above 99."""
    amount = part * 100
    if 0 < amount < 0.05 or 99.95 < amount < 100:
        return f"<0.1{unit}" if amount < 1 else f">99.9{unit}"
    if 0 < amount < 1 or 99 < amount < 100:
        return f"{amount:.1f}{unit}"
    return f"{amount:.0f}{unit}"


def insufficient(number: int, enough: int, noun: str = "run") -> str:
    return f"insufficient data ({plural(number, noun)}, need {enough})"


def _verdict(stats: Mapping[str, Any]) -> str:
    wall = stats["wall_s"]
    median = (
        insufficient(wall["n"], stats["enough"])
        if wall["median"] is None
        else f"median {_durations(wall['max'])(wall['median'])}"
    )
    runs = plural(stats["runs"], "run") if stats["runs"] == 1 else f"{counted(stats['runs'])} runs"
    return f"{harmless(stats['stage'])}: {runs}, {share(stats['failed'], 'failed')}; {median}"


def _ends(stats: Mapping[str, Any], style: Style) -> str:
    parts = []
    for word, count in stats["outcomes"].items():
        text = f"{style.glyph(word)} {counted(count)} {word}"
        if word == "success" and stats["flaky"]:
            text += f" ({style.glyph('flaky')} {counted(stats['flaky'])} flaky)"
        parts.append(style.paint(text, word))
    if stats["going"]:
        parts.append(f"{counted(stats['going'])} without an end")
    return "  ".join(parts)


def _table(rows: Sequence[tuple[str, Mapping[str, Any], str]], enough: int) -> list[str]:
    told = [_cells(name, figures, key, enough) for name, figures, key in rows]
    head = ["", "n", *_FIGURES]
    known = [row for row in told if len(row) == len(head)]
    widths = [max(cells(row[column]) for row in (head, *known)) for column in range(len(head))]
    widths[0] = max(cells(row[0]) for row in told)
    widths[1] = max(len(row[1]) for row in [head, *told])
    lines = []
    for row in (head, *told):
        if len(row) == len(head):
            figures = "  ".join(" " * (width - cells(cell)) + cell for cell, width in zip(row[1:], widths[1:]))
        else:
            figures = f"{row[1].rjust(widths[1])}  {row[2]}"
        lines.append(f"{pad(row[0], widths[0])}  {figures}".rstrip())
    return lines


def _cells(name: str, figures: Mapping[str, Any], key: str, enough: int) -> list[str]:
    number = counted(figures["n"])
    if figures["median"] is None:
        return [name, number, insufficient(figures["n"], enough) if figures["n"] else NOTHING]
    say = size if key == "max_rss_bytes" else _durations(figures["max"])
    return [name, number, *(say(figures[figure]) for figure in _FIGURES)]


def _durations(longest_s: float) -> Callable[[Any], str]:
    form = Form(round(longest_s * SECOND))
    return lambda seconds: form.text(round(seconds * SECOND))
