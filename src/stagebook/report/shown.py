"""What a person is shown before an answer at a gate, in a terminal: the question, what it is about, who has approved.
Reads the document that `approval.shown` makes."""

from __future__ import annotations

from stagebook.report import gate
from stagebook.report.durations import instant_us, plural, size, span_us
from stagebook.report.harmless import cells, harmless, pad, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping, Sequence

_INDENT = 11


def lines(document: Mapping[str, Any], style: Style, now_us: int) -> list[str]:
    """`now_us` is the wall clock, in microseconds since 1970."""
    glyph = style.paint(style.glyph("gate"), "gate")
    prompt = f": {document['prompt']}" if document["prompt"] else ""
    waits = span_us(max(0, now_us - instant_us(document["asked"])))
    said = [f"{glyph} {style.plain(harmless(document['gate'] + prompt))}"]
    parts = (
        ("run", [f"{document['run']} of {document['pipeline']}, waiting {waits}"]),
        ("asked", list(_asked(document))),
        ("passed", [", ".join(gate.passed(document)) or "nothing ran before it"]),
        ("failed", [", ".join(gate.failed(document))] if gate.failed(document) else []),
        ("files", list(_files(document))),
        ("with", list(_rows(document["inputs"]))),
        ("changes", list(_changes(document["changes"]))),
    )
    for name, texts in parts:
        wrapped = [
            part for text in texts for part in wrap(style.plain(harmless(text)), max(20, style.width - 1 - _INDENT))
        ]
        said += [f"  {name if not at else '':<{_INDENT - 3}} {part}".rstrip() for at, part in enumerate(wrapped)]
    return said


def _asked(document: Mapping[str, Any]) -> Iterator[str]:
    who = ", ".join(document["approvers"]) or "anybody who may write to the run"
    by = f"; started by {document['started_by']}" if document["started_by"] else ""
    yield f"{who}; approvals {len(document['approvals'])} of {document['needed']}{by}"
    for each in document["approvals"]:
        comment = f": {each['comment']}" if each["comment"] else ""
        yield f"{each['by']} approved{comment}"


def _files(document: Mapping[str, Any]) -> Iterator[str]:
    yield from _rows(document["artifacts"])
    if not document["artifacts"]:
        yield "no stage before it has published a file"
    yield f"the pipeline file is {document['digest']}"


def _rows(files: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = [harmless(each["path"]) for each in files]
    width = min(32, max(map(cells, names), default=0))
    for name, each in zip(names, files):
        yield f"{pad(name, width)}  {size(each['size_bytes'])}  {each['digest']}"


def _changes(changes: Mapping[str, Any]) -> Iterator[str]:
    if changes["since"] is not None:
        ends = " to ".join(str(changes[end] or "?")[:10] for end in ("from", "to"))
        yield f"since run {changes['since']}, {ends}"
    if changes["why"] is not None:
        yield changes["why"]
    elif not changes["commits"]:
        yield "no commit came in since"
    yield from changes["commits"]
    more = f"and {plural(changes['more'], 'more commit')}" if changes["more"] else ""
    rest = ", ".join(part for part in (more, changes["stat"] or "") if part)
    if rest:
        yield rest
