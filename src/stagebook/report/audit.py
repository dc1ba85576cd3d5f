"""The record of decisions at gates as people read it: whether the chain holds, then its entries. Reads documents."""

from __future__ import annotations

from stagebook.report.durations import plural
from stagebook.report.harmless import cells, cut, harmless, pad, wrap
from stagebook.report.style import Style
from stagebook.report.watch import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Mapping, Sequence

_STATES = {"approved": "success", "rejected": "failure", "refused": "cancellation", "void": "cancellation"}
_COLUMN_MAX = 24


def listing(
    document: Mapping[str, Any], style: Style, quiet: bool = False, short: Callable[[str], str] = short_id
) -> list[str]:
    """`short` shortens a run's id as far as it stays unambiguous."""
    first, *others = _verdict(document, style)
    word = "failure" if document["fault"] or document["missing"] or document["unread"] else "success"
    glyph = f"{style.paint(style.glyph(word), word)} " if document["length"] or word == "failure" else ""
    lines = [glyph + line if at == 0 else f"  {line}" for at, line in enumerate(_wrapped(first, style, 2))]
    for text in others:
        lines += [f"  {line}" for line in _wrapped(text, style, 2)]
    if not quiet and document["entries"]:
        lines += ["", *_rows(document["entries"], style, short)]
    return lines


def _wrapped(text: str, style: Style, indent: int) -> list[str]:
    return wrap(style.plain(harmless(text)), max(20, style.width - 1 - style.glyph_width - indent))


def _rows(
    entries: Sequence[Mapping[str, Any]], style: Style, short: Callable[[str], str]
) -> Iterator[str]:  # fmt: skip
    rows = []
    for each in entries:
        at = each["at"][:19].replace("T", " ")
        where = (each.get("gate") or "–") + (f" of {short(each['run'])}" if each.get("run") else "")
        rows.append([harmless(text) for text in (at, each["what"], each.get("by") or "–", where)])
    widths = [min(_COLUMN_MAX, max(cells(row[column]) for row in rows)) for column in range(4)]
    indent = " " * (style.glyph_width + 3)
    for each, row in zip(entries, rows):
        state = _STATES.get(each["what"], "needs")
        glyph = style.paint(pad(style.glyph(state), style.glyph_width), state)
        left = style.plain("  ".join(pad(cut(text, width), width) for text, width in zip(row, widths)))
        left = cut(left, style.width - 2 - style.glyph_width, style.mark("cut"))
        told = style.plain(harmless(_about(each)))
        if cells(left) + cells(told) + style.glyph_width + 4 <= style.width:
            yield f"{glyph} {left}  {told}".rstrip()
        else:
            yield f"{glyph} {left}".rstrip()
            yield from (indent + part for part in _wrapped(told, style, 3))


def _verdict(document: Mapping[str, Any], style: Style) -> Iterator[str]:
    """What there is to say before the entries, a text a line, the verdict first."""
    fault, missing, unread = document["fault"], document["missing"], document["unread"]
    entries = plural(document["length"], "entry", "entries")
    if fault is not None:
        yield f"the chain does not hold from line {fault['line']} (byte {fault['offset']}): {fault['why']}"
        yield f"{entries} before it hold; what follows cannot be trusted: {document['path']}"
    elif missing:
        yield f"{plural(len(missing), 'vote')} of journals {'is' if len(missing) == 1 else 'are'} not in the chain"
        for each in missing:
            vote = f"{each['by']} at {each['gate']} of run {each['run']}"
            yield f"{vote}: entry {each['hash'][:16]} was taken out"
    elif unread:
        yield f"{plural(len(unread), 'journal')} cannot be compared"
    elif not document["length"]:
        yield "nothing was decided or refused yet"
    else:
        counts = document["counts"]
        kinds = [f"{counts[what]} {what}" for what in ("approved", "rejected", "refused", "void") if what in counts]
        yield ", ".join([entries, "the chain holds", *kinds])
    yield from unread
    for each in document["uncounted"]:
        vote = f"{each['by'] or '–'} at {each['gate'] or '–'} of run {each['run']}"
        yield f"{vote}: entry {each['hash'][:16]} is in no journal, so it did not count: its command was ended before"
    if document["torn_bytes"]:
        torn = plural(document["torn_bytes"], "byte")
        yield f"the last {torn} are a line that a crash has torn; the next entry says so and goes on"
    if document["verified"] and fault is None and not missing:
        votes, journals = plural(document["votes"], "vote"), plural(document["journals"], "journal")
        last = f"; last hash {document['last'][:16]}" if document["last"] else ""
        yield f"{votes} in {journals}, each in the chain{last}"


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
        return f"for {entry.get('for')}, until {str(entry.get('expires'))[:19].replace('T', ' ')}"
    if entry.get("cut_bytes"):
        parts.append(f"{plural(entry['cut_bytes'], 'byte')} of a torn line cut")
    if (entry.get("from") or {}).get("via") == "link":
        parts.append("by link")
    return ", ".join(parts)
