"""Two runs side by side, out of the document of `diff`: what got slower first, and one sentence at the end."""

from __future__ import annotations

from stagebook.report.durations import SECOND, plural, span, span_us
from stagebook.report.harmless import cells, cut, harmless, pad, wrap
from stagebook.report.style import Style
from stagebook.report.words import VERBS, ending, resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Mapping, Sequence

_NAME_MAX = 40
_TEXT_MAX = 60


def render(diff: Mapping[str, Any], style: Style, short: Callable[[str], str]) -> list[str]:
    lines = _heads(diff, style, short)
    for title, rows in (("slower", diff["slower"]), ("faster", diff["faster"])):
        if rows:
            lines += ["", title, *_times(rows, style)]
    for title in ("added", "removed"):
        if diff[title]:
            lines += ["", f"{title}: {', '.join(map(harmless, diff[title]))}"]
    if diff["outcomes"]:
        lines += ["", "ended otherwise", *(f"  {_outcome(one, style)}" for one in diff["outcomes"])]
    if diff["changes"]:
        lines += ["", "changed in between", *(f"  {_change(one)}" for one in diff["changes"])]
    lines += _waiting(diff["waiting"])
    lines += _path(diff["critical_path"], style)
    lines += ["", style.paint(verdict(diff, short), "bold")]
    told = []
    for line in map(style.plain, lines):
        told += [line] if cells(line) < style.width else wrap(line, style.width - 1)
    return told


def signed(seconds: float) -> str:
    """`+3.0 s`, `−640 ms`, `+1 m 05 s`: with a true minus, and below ten seconds always with the tenth."""
    us = round(abs(seconds) * SECOND)
    text = f"{(us + 50_000) // 100_000 / 10:.1f} s" if 999_500 <= us < 9_950_000 else span_us(us)
    return f"{'−' if seconds < 0 else '+'}{text}"


def verdict(diff: Mapping[str, Any], short: Callable[[str], str]) -> str:
    """One sentence: how the later run did against the earlier, and the stage that has most to do with it."""
    old, new = diff["before"], diff["after"]
    name = short(new["run"])
    if new["outcome"] != old["outcome"]:
        words = [VERBS.get(side["outcome"] or "", "is not over") for side in (new, old)]
        blame = [one for one in diff["outcomes"] if one["after"]["outcome"] == new["outcome"]]
        which = f": {harmless(blame[0]['stage'])}{_why(blame[0]['after'])}" if blame else ""
        return f"{name} {words[0]} where {short(old['run'])} {words[1]}{which}"
    change = diff["wall_change_s"]
    rows = diff["slower"] if (change or 0) >= 0 else diff["faster"]
    rows = sorted(rows, key=lambda one: not one["critical"])  # what is on the critical path moves the end
    if change is None or not (diff["slower"] or diff["faster"] or diff["added"] or diff["removed"]):
        took = "" if change is None else f"; the runs took {span(old['wall_s'])} and {span(new['wall_s'])}"
        return f"no stage differs by 0.1 s and 5 % or more{took}"
    text = f"{name} took {span(new['wall_s'])}, {signed(change)} against {short(old['run'])}"
    if rows:
        first = rows[0]
        path = " on the critical path" if first["critical"] else ""
        text += f": {harmless(first['stage'])} {signed(first['change_s'])}{path}"
    return text


def _heads(diff: Mapping[str, Any], style: Style, short: Callable[[str], str]) -> list[str]:
    rows = []
    for word, side in (("before", diff["before"]), ("after", diff["after"])):
        outcome = side["outcome"]
        state = outcome or "running"
        commit = f"commit {harmless(str(side['commit'])[:10])}" if side["commit"] else ""
        rows.append([
            word, short(side["run"]), harmless(side["pipeline"] or ""),
            style.paint(f"{style.glyph(state)} {outcome or side['state']}", state),
            f"{side['started'][:10]} {side['started'][11:16]} UTC", span(side["wall_s"]), commit,
        ])  # fmt: skip
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(pad(cell, width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _times(rows: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    """Change first, so that the worst is what is read first."""
    told = []
    for one in rows:
        name = cut(harmless(one["stage"]), _NAME_MAX)
        notes = ["on the critical path"] if one["critical"] else []
        if one["attempts"][0] != one["attempts"][1]:
            notes.append(f"{plural(one['attempts'][1], 'attempt')} instead of {one['attempts'][0]}")
        extra = "  " + ", ".join(notes)
        told.append((signed(one["change_s"]), name, f"{span(one['before_s'])} → {span(one['after_s'])}", extra))
    widths = [max(cells(row[column]) for row in told) for column in range(3)]
    lines = []
    for change, name, sides, extra in told:
        space = " " * (widths[0] - cells(change))
        lines.append(f"  {space}{change}  {pad(name, widths[1])}  {pad(sides, widths[2])}{extra}".rstrip())
    return lines


def _outcome(one: Mapping[str, Any], style: Style) -> str:
    state = one["after"]["outcome"] or "needs"
    sides = [f"{side['outcome'] or 'no end'}{_why(side)}" for side in (one["before"], one["after"])]
    return f"{style.paint(style.glyph(state), state)} {harmless(one['stage'])}: {sides[0]} → {sides[1]}"


def _why(side: Mapping[str, Any]) -> str:
    text = ending(side["outcome"] or "", side["reason"], side["exit"], side["signal"])
    parts = ([text] if text else []) + (["flaky"] if side["flaky"] else [])
    return f" ({', '.join(parts)})" if parts else ""


def _change(one: Mapping[str, Any]) -> str:
    whom = f"{harmless(one['stage'])}: " if one["stage"] is not None else ""
    if one["what"] == "ran":
        return f"{harmless(one['stage'])} ran: {harmless(one['after'])}"
    if one["before"] is None and one["after"] is None:
        return f"{whom}{harmless(one['what'])} changed"
    return f"{whom}{harmless(one['what'])} {_value(one['before'])} → {_value(one['after'])}"


def _value(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "none"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return cut(harmless(text), _TEXT_MAX)


def _waiting(waiting: Mapping[str, Any]) -> list[str]:
    told = [
        f"{resource(name)} {_seconds(before)} → {_seconds(after)}"
        for name, (before, after) in waiting["by"].items()
        if abs((after or 0.0) - (before or 0.0)) >= 0.1
    ]
    if not told and not waiting["stages"]:
        return []
    lines = ["", f"waiting: {', '.join(told)}" if told else "waiting"]
    worst = waiting["stages"][:3]
    more = len(waiting["stages"]) - len(worst)
    lines += [f"  {signed(one['change_s'])}  {harmless(one['stage'])}" for one in worst]
    return [*lines, f"  and {plural(more, 'stage')} more"] if more else lines


def _seconds(seconds: float | None) -> str:
    return span(seconds) if seconds else "none"


def _path(path: Mapping[str, Any], style: Style) -> list[str]:
    told = [(word, path[word], path[f"{word}_s"]) for word in ("before", "after")]
    if told[0][1] == told[1][1]:
        return ["", f"critical path as before, {span(told[0][2])} → {span(told[1][2])}: {_chain(told[1][1])}"]
    lines = [f"  {word.ljust(6)}  {span(seconds)}: {_chain(stages)}" for word, stages, seconds in told]
    return ["", "critical path", *lines]


def _chain(stages: Iterable[str]) -> str:
    return " → ".join(map(harmless, stages)) or "nothing ran"
