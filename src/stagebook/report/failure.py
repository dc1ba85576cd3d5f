"""The failure block: which stage failed first and how, the end of what it printed, and the commands that go on.

At most fourteen lines, so that with the closing line it stands in the last fifteen of a terminal.
"""

from __future__ import annotations

from stagebook.report import rows as shapes
from stagebook.report import words
from stagebook.report.durations import span
from stagebook.report.harmless import cells, harmless, line_of_output, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"
#: (stage id, attempt, how many lines) to (line number or 0, line) of the end of its output; of an item that failed its
#: step's id, and its number below zero as the attempt
Tail: TypeAlias = "Callable[[str, int, int], list[tuple[int, bytes]]]"

_EXCERPT_LINES = 5
_ITEM_LINES = 4  #: one less, as there is one more command to look
_OTHERS_MAX = 20


def failures(document: Document) -> list[Mapping[str, Any]]:
    """Stages that failed: those that count before those that the run puts up with, and of each the first to end first;
    those that ended without a time come last."""
    found = [stage for stage in document["stages"] if stage["outcome"] in shapes.FAILED]
    return sorted(found, key=lambda stage: (stage.get("tolerated", False), stage["finished"] or "~"))


def block(document: Document, style: Style, excerpt: Tail | None, short: str) -> list[str]:
    """The failure block, at most fourteen lines; empty where nothing failed."""
    failed = failures(document)
    if not failed:
        return []
    stage = failed[0]
    name = stage["stage"]
    attempts = stage["attempts"]
    lines = [*_others(failed[1:], style), *wrap(_headline(document, stage, style), style.width - 1)]
    if document.get("measured"):
        return lines  # what it printed went where the script wanted it, and only the script can run it again
    origin = document.get("imported")
    if origin:  # what it printed is there, and only there it can be run again
        where = f"log    {harmless(str(origin['url']))}" if origin.get("url") else ""
        return lines + [f"  {part}" for part in wrap(style.plain(where), style.width - 3)] if where else lines
    item = item_of(stage)
    has_log = item is not None
    if excerpt is not None and item is not None:
        printed = excerpt(item["step"], -item["item"], _ITEM_LINES)
        has_log = bool(printed)
        lines += _excerpt(printed, style)[-_ITEM_LINES:]
    elif excerpt is not None and attempts:
        lines += _excerpt(excerpt(name, attempts[-1].get("attempt", len(attempts)), _EXCERPT_LINES), style)
    lines.append("")
    lines += _suspicion(document, stage, style)
    far = document.get("from_here") or {}
    file = far.get("file") or _file_word(document)
    # Alone it would find the same files: they are mended by those that make them.
    how_far = "--until" if (_reason(stage) or "").startswith("integrity:") else "--only"
    which = f" {how_far} {quoted(name)}" if stage.get("made_by") is None else f" --failed-of {short}"
    if "gate" in stage:
        which = ""  # a yes to a gate alone would let nothing go on
    commands = [f"again  stagebook run{file}{which}{far.get('run', '')}"]
    if item is not None:
        commands.insert(0, f"items  stagebook items {short} {quoted(name)} --dead{far.get('look', '')}")
        if has_log:
            commands.insert(1, f"log    {_path(item['log'], document)}")
    elif attempts and attempts[-1].get("log"):
        commands.insert(0, f"log    stagebook logs {short} {quoted(name)}{far.get('look', '')}")
    if document.get("coupling"):
        commands.append(f"why    stagebook diagnose {short}{far.get('look', '')}")
    return lines + ["  " + part for text in commands for part in wrap(style.plain(text), style.width - 3)]


def _others(failed: list[Mapping[str, Any]], style: Style) -> list[str]:
    if not failed:
        return []
    shown = ", ".join(
        f"{harmless(stage['stage'])} ({how(stage)}{', tolerated' if stage.get('tolerated') else ''})"
        for stage in failed[:_OTHERS_MAX]
    )
    more = f" and {len(failed) - _OTHERS_MAX} more" if len(failed) > _OTHERS_MAX else ""
    return wrap(style.plain(f"also failed: {shown}{more}"), style.width - 1)


def how(stage: Mapping[str, Any]) -> str:
    last = stage["attempts"][-1] if stage["attempts"] else {}
    return words.ending(stage["outcome"], _reason(stage), last.get("exit"), last.get("signal")) or str(stage["outcome"])


def item_of(stage: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The item that stopped a stage; None where something else did."""
    reason = _reason(stage) or ""
    failures: list[Mapping[str, Any]] = stage.get("items", {}).get("failures", [])
    return next((each for each in failures if reason.startswith(f"item {each['item']} ")), None)


def _reason(stage: Mapping[str, Any]) -> str | None:
    reason: str | None = stage["reason"]
    return reason or (stage["attempts"][-1].get("reason") if stage["attempts"] else None)


def _headline(document: Document, stage: Mapping[str, Any], style: Style) -> str:
    attempts = stage["attempts"]
    text = f"{style.glyph(stage['outcome'])} {harmless(stage['stage'])}: {how(stage)}"
    if attempts:
        begin, end = shapes.spans(stage, shapes.instants())[-1]
        if end is not None:
            text += f" after {span((end - begin) / 1e6)}"
        allowed = stage.get("attempts_max")
        text += f", attempt {len(attempts)}" + (f" of {allowed}" if allowed else "")
    if stage.get("made_by") is not None:
        text += f", generated by {harmless(stage['made_by'])}"
    elif stage.get("line") and document.get("file"):
        text += f", {harmless(_short_path(document['file']))}:{stage['line']}"
    return style.plain(text)


def _short_path(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _excerpt(found: list[tuple[int, bytes]], style: Style) -> list[str]:
    """The last lines that were printed, numbered; long ones are broken, not cut, and five rows are shown in all."""
    if not found:
        return ["  printed nothing"]
    shown: list[str] = []
    bar = style.mark("bar")
    digits = max(4, len(str(found[-1][0])))
    for number, data in found:
        text = style.plain(line_of_output(data, style.color))
        head = f"  {number or ''!s:>{digits}} {bar} "
        room = style.width - 1 - cells(head)
        parts = [text] if cells(text) <= room else _hanging(text, room)
        for index, part in enumerate(parts[-_EXCERPT_LINES:]):
            first = head if index == 0 else " " * (digits + 3) + bar + " "
            shown.append(first + part)
    return shown[-_EXCERPT_LINES:]


def _hanging(text: str, room: int) -> list[str]:
    """Broken at spaces, all but the first part four cells in, so that a new line of output is told from a long one."""
    first, *rest = wrap(text, room)
    after = text[len(first) :].lstrip(" ") if text.startswith(first) else " ".join(rest)
    return [first, *("    " + part for part in wrap(after, room - 4))]


def _suspicion(document: Document, stage: Mapping[str, Any], style: Style) -> list[str]:
    """`perhaps a race`, only where a pair of this stage is on record and both ran at the same time."""
    lines: list[str] = []
    by_id = {one["stage"]: one for one in document["stages"]}
    for pair in document.get("coupling") or ():
        names = list(pair["stages"])
        if stage["stage"] not in names or len(names) != 2:
            continue
        other = by_id.get(names[0] if names[1] == stage["stage"] else names[1])
        together = overlap_s(stage, other) if other is not None else 0.0
        if other is not None and together > 0:
            text = f"perhaps a race: {harmless(other['stage'])} ran at the same time for {span(together)}"
            text += f"; both use {words.resource(str(pair['resource']))}"
            lines += wrap(style.plain(text), style.width - 3)
    return ["  " + line for line in lines[:3]]


def overlap_s(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    read = shapes.instants()
    both = [(begin, end) for begin, end in shapes.spans(one, read) if end is not None]
    total = 0
    for begin, end in shapes.spans(other, read):
        if end is not None:
            total += sum(max(0, min(end, last) - max(begin, first)) for first, last in both)
    return total / 1e6


_UNQUOTED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=:,./@%")


def quoted(name: str) -> str:
    """A name as a shell takes it as one word, and as a terminal shows it without acting."""
    shown = harmless(name)
    if shown and _UNQUOTED.issuperset(shown) and not shown.startswith("-"):
        return shown
    return "'" + shown.replace("'", "'\\''") + "'"


def _path(path: str, document: Document) -> str:
    """From where the pipeline lies, if that is where we are."""
    folder = str(document.get("file") or "").rpartition("/")[0] + "/"
    return quoted(path if document.get("from_here") else path.removeprefix(folder))


def _file_word(document: Document) -> str:
    path = str(document.get("file") or "")
    at = path.rfind("/.github/workflows/")  # such a file is named from the folder on that it is for
    name = path[at + 1 :] if at >= 0 else _short_path(path)
    return "" if name in ("", "stagebook.yaml") else f" {quoted(name)}"
