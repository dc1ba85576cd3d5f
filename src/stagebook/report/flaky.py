"""Flaky tests and stages as text: each with its rate, since when, and on which commits. Works nothing out."""

from __future__ import annotations

import time

from stagebook.report.durations import instant_us, plural
from stagebook.report.harmless import cells, harmless, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

_COMMITS_SHOWN = 5


def render(document: Mapping[str, Any], style: Style) -> list[str]:
    found = document["flaky"]
    if not found:
        return [folded for line in _nothing(document["looked_at"]) for folded in _folded(line, style)]
    lines = [f"{len(found)} flaky, most evidence first"]
    for one in found:
        lines += ["", _headline(one, style), *[f"  {line}" for line in _facts(one, document["enough"])]]
    return [folded for line in lines for folded in _folded(line, style)]


def _folded(line: str, style: Style) -> list[str]:
    line = style.plain(line)
    return [line] if cells(line) < style.width else wrap(line, style.width - 1)


def _nothing(seen: Mapping[str, int]) -> Iterator[str]:
    if not seen["tests"]:
        yield "no tests on record: no stage left a JUnit report"
    if not seen["stages"]:
        yield "no stages on record"
        return
    known = " and ".join(plural(seen[noun], noun.removesuffix("s")) for noun in ("tests", "stages") if seen[noun])
    if seen["commits"]:
        yield f"nothing flaky: {known}, and none both passed and failed on one commit or in one run"
        yield f"{plural(seen['commits'], 'commit')} with more than one run to compare"
    else:
        yield f"insufficient data: {known} on record, and no commit with more than one run to compare"


def _headline(one: Mapping[str, Any], style: Style) -> str:
    glyph = style.paint(style.glyph("flaky"), "flaky")
    if one["kind"] == "stage":
        return f"{glyph} stage {harmless(one['stage'])} ({harmless(one['pipeline'] or '')})"
    name = "::".join(harmless(part) for part in (one["classname"], one["name"]) if part)
    return f"{glyph} {name} ({harmless(one['stage'])})"


def _facts(one: Mapping[str, Any], enough: int) -> Iterator[str]:
    failed = one["failed"]
    said = f"failed {failed['count']} of {failed['of']}"
    if failed["of"] < enough:
        yield f"{said}: insufficient data for a rate ({plural(failed['of'], 'try', 'tries')}, need {enough})"
    else:
        yield f"{said} tries: {_percent(failed['rate'])} [{_percent(failed['low'])}, {_percent(failed['high'])}]"
    yield f"both outcomes on {one['mixed']} of {one['tried']}, since {_day(one['since'])}, last {_day(one['last'])}"
    shown = [
        f"{one['commit'][:12] if one['commit'] else 'run ' + one['run'][:10]} ({one['failed']} of {one['of']})"
        for one in one["commits"][:_COMMITS_SHOWN]
    ]
    more = one["mixed"] - len(shown)
    yield ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    if one["message"]:
        yield f"last: {harmless(one['message'])}"


def _percent(share: float) -> str:
    value = share * 100
    return f"{value:.1f} %" if 0 < value < 1 or 99 < value < 100 else f"{value:.0f} %"


def _day(text: str) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(instant_us(text) // 1_000_000))
