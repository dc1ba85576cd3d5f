"""The record of decisions at gates as people read it: whether the chain holds, then its entries. Reads documents."""

from __future__ import annotations

from stagebook.report.durations import plural
from stagebook.report.harmless import cells, cut, harmless, pad, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

_STATES = {"approved": "success", "rejected": "failure", "refused": "cancellation"}


def listing(document: Mapping[str, Any], style: Style, quiet: bool = False) -> list[str]:
    lines = list(_verdict(document, style))
    entries = document["entries"]
    if quiet or not entries:
        return lines
    rows = []
    for each in entries:
        at = each["at"][:19].replace("T", " ")
        where = harmless(each.get("gate") or "–") + (f" of {each['run'][:8]}" if each.get("run") else "")
        rows.append((at, each["what"], harmless(each.get("by") or "–"), where, _about(each)))
    widths = [max(cells(row[column]) for row in rows) for column in range(4)]
    widths[2:] = [min(width, 24) for width in widths[2:]]
    lines.append("")
    for each, row in zip(entries, rows):
        state = _STATES.get(each["what"], "needs")
        glyph = pad(style.glyph(state), style.glyph_width)
        left = "  ".join(pad(cut(text, width), width) for text, width in zip(row, widths))
        room = style.width - 4 - style.glyph_width - cells(left)
        told = row[4] if cells(row[4]) <= room else ""
        lines.append(f"{style.paint(glyph, state)} {style.plain(left)}  {style.plain(told)}".rstrip())
        if not told:
            indent = " " * (style.glyph_width + 3)
            lines += [
                indent + style.plain(part) for part in wrap(row[4], max(20, style.width - 1 - len(indent))) if part
            ]
    return lines


def _verdict(document: Mapping[str, Any], style: Style) -> Iterator[str]:
    fault, bad = document["fault"], style.glyph("failure")
    entries = plural(document["length"], "entry", "entries")
    if fault is not None:
        said = f"the chain does not hold from line {fault['line']} (byte {fault['offset']}): {harmless(fault['why'])}"
        yield style.paint(style.plain(f"{bad} {said}"), "failure")
        yield style.plain(f"  {entries} before it hold; what follows cannot be trusted: {harmless(document['path'])}")
    elif document["missing"]:
        count = len(document["missing"])
        said = f"{bad} {plural(count, 'vote')} of journals {'is' if count == 1 else 'are'} not in the chain"
        yield style.paint(style.plain(said), "failure")
        for each in document["missing"]:
            vote = f"{harmless(each['by'])} at {harmless(each['gate'])} of run {each['run']}"
            yield style.plain(f"  {vote}: entry {each['hash'][:16]} was taken out")
    elif document["unread"]:
        yield style.paint(
            style.plain(f"{bad} {plural(len(document['unread']), 'journal')} cannot be compared"), "failure"
        )
    elif not document["length"]:
        yield "nothing was decided or refused yet"
    else:
        kinds = [
            f"{number} {what}"
            for what in ("approved", "rejected", "refused")
            if (number := document["counts"].get(what, 0))
        ]
        yield style.plain(
            f"{style.paint(style.glyph('success'), 'success')} {entries}, the chain holds"
            + "".join(f", {k}" for k in kinds)
        )
    for each in document["unread"]:
        yield style.plain(f"  {harmless(each)}")
    if document["torn_bytes"]:
        torn = plural(document["torn_bytes"], "byte")
        yield style.plain(f"  the last {torn} are a line that a crash has torn; the next entry says so and goes on")
    if document["verified"] and fault is None and not document["missing"]:
        votes, journals = plural(document["votes"], "vote"), plural(document["journals"], "journal")
        yield style.plain(f"  {votes} in {journals}, each in the chain; last hash {(document['last'] or '–')[:16]}")


def _about(entry: Mapping[str, Any]) -> str:
    """What else is worth a look in one line."""
    parts = []
    if entry.get("code"):
        parts.append(f"{entry['code']}: {entry.get('reason') or ''}".rstrip(": "))
    elif entry.get("reason"):
        parts.append(entry["reason"])
    if entry.get("comment"):
        parts.append(f'"{entry["comment"]}"')
    if entry.get("decides"):
        parts.append("decided")
    if entry["what"] == "link":
        return harmless(f"for {entry.get('for')}, until {str(entry.get('expires'))[:19].replace('T', ' ')}")
    if entry.get("cut_bytes"):
        parts.append(f"{plural(entry['cut_bytes'], 'byte')} of a torn line cut")
    if (entry.get("from") or {}).get("via") == "link":
        parts.append("by link")
    return harmless(", ".join(parts))
