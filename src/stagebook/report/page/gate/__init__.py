"""The page of a gate that a link leads to, made from the document of what is shown: no script, nothing fetched. All
that anybody wrote goes in as escaped text."""

from __future__ import annotations

import time
from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape

from stagebook.report import gate
from stagebook.report.durations import instant_us, plural, size, span
from stagebook.report.harmless import harmless
from stagebook.report.page.frame import part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_FOLDER = __name__
_WAITS = '<path class="mark ga" d="M4.5 2v10M9.5 2v10"/>'
_YES = '<path class="mark ok" d="M2.5 7.5 5.5 10.5 11.5 3.5"/>'
_NO = '<path class="mark bad" d="M3 3l8 8M11 3l-8 8"/>'


def policy() -> str:
    """What a browser may do on these pages: wear this style, and send the form back to where it came from."""
    digest = b64encode(sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


def question(document: Mapping[str, Any], csrf: str = "", said: str | None = None, now_us: int | None = None) -> str:
    """The page of what `approval.shown` gathered; with a form where `csrf` is given. `said` is `approved` or
    `rejected`, what the link was used for. Its document has `person` and `link_expires` beside."""
    now = time.time_ns() // 1000 if now_us is None else now_us
    waited = span((now - instant_us(document["asked"])) / 1e6)
    icon, verdict = _WAITS, f"{document['gate']}: {document['prompt'] or 'may it go on?'}"
    about = f"run {document['run'][:8]}, waiting {waited}"
    sub = f"{about}, no slot held; the link is for {document['person']} and counts once"
    if said is not None:
        icon = _YES if said == "approved" else _NO
        verdict = f"{document['gate']} is {said} by {document['person']}"
        sub = "It is on record. This link does not count again."
    elif not csrf:
        sub = f"{about}; this link was used"
    body = [_form(document, csrf)] if csrf else []
    body = [*_cards(document), *body]
    return _page(verdict, icon, sub, "".join(body), f"{document['pipeline']}, run {document['run']}")


def plain(title: str, text: str) -> str:
    """A page that says one thing."""
    return _page(title, _NO, text, "", "gate")


def _page(verdict: str, icon: str, sub: str, body: str, where: str) -> str:
    marks = {
        "style": _style(),
        "title": f"{_text(verdict)} · Stagebook",
        "where": _text(where),
        "icon": icon,
        "verdict": _text(verdict),
        "sub": _text(sub),
        "body": body,
    }
    first, *rest = part("page.html", _FOLDER).split("@@")
    return "".join([first, *(marks[text] if at % 2 == 0 else text for at, text in enumerate(rest))])


@cache
def _style() -> str:
    return part("base.css") + part("page.css", _FOLDER)


def _text(text: object) -> str:
    return escape(harmless(str(text)))


def _cards(document: Mapping[str, Any]) -> list[str]:
    inputs = [_inputs(document["inputs"])] if document["inputs"] else []
    return [
        _approvals(document),
        _green(document),
        *_failed(document),
        _artifacts(document),
        *inputs,
        _changes(document["changes"]),
    ]


def _card(title: str, caption: str, body: str) -> str:
    told = f'<span class="d">{_text(caption)}</span>' if caption else ""
    return f'<section class="card"><div class="hd"><h2>{_text(title)}</h2>{told}</div>{body}</section>'


def _nothing(text: str) -> str:
    return f'<p class="d">{_text(text)}</p>'


def _approvals(document: Mapping[str, Any]) -> str:
    given = document["approvals"]
    rows = "".join(
        f'<tr><th scope="row">{_text(each["by"])}</th><td>{_text(each["at"][:19].replace("T", " "))} UTC</td>'
        f"<td>{_text(each['comment'] or '')}</td></tr>"
        for each in given
    )
    who = f"asked: {', '.join(document['approvers'])}" if document["approvers"] else "anybody who may write to the run"
    started = f"started by {document['started_by']}" if document["started_by"] else "who started it is not on record"
    body = f"<table><tbody>{rows}</tbody></table>" if rows else _nothing("nobody has approved yet")
    return _card(f"Approvals {len(given)} of {document['needed']}", f"{who}; {started}", body)


def _green(document: Mapping[str, Any]) -> str:
    names = gate.passed(document)
    return _card("What passed", plural(len(names), "stage"), _names(names) or _nothing("nothing ran before it"))


def _failed(document: Mapping[str, Any]) -> list[str]:
    names = gate.failed(document)
    why = f"{plural(len(names), 'stage')}; the run goes on all the same"
    return [_card("What did not pass", why, _names(names, " failed"))] if names else []


def _names(names: Sequence[str], kind: str = "") -> str:
    listed = "".join(f"<li>{_text(name)}</li>" for name in names)
    return f'<ul class="names{kind}">{listed}</ul>' if names else ""


def _artifacts(document: Mapping[str, Any]) -> str:
    files = document["artifacts"]
    caption = f"the pipeline file is {document['digest'][:16]}"
    body = _table(files) if files else _nothing("no stage before it has published a file")
    return _card("What is approved", caption, body)


def _inputs(files: Sequence[Mapping[str, Any]]) -> str:
    return _card("Runs with", "what stages read that go on by the answer, and no stage makes", _table(files))


def _table(files: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_text(each["path"])}</th><td class="r">{_text(size(each["size_bytes"]))}</td>'
        f'<td class="m hash">{_text(each["digest"])}</td></tr>'
        for each in files
    )
    head = '<tr><th scope="col">file</th><th scope="col" class="r">size</th><th scope="col">BLAKE3</th></tr>'
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _changes(changes: Mapping[str, Any]) -> str:
    if changes["since"] is None:
        caption = ""
    else:
        ends = [str(changes[end] or "?")[:10] for end in ("from", "to")]
        caption = f"since run {changes['since']}, {ends[0]} to {ends[1]}"
    if changes["why"] is not None:
        body = _nothing(changes["why"])
    elif not changes["commits"]:
        body = _nothing("no commit came in since")
    else:
        lines = "".join(f'<li class="m">{_text(line)}</li>' for line in changes["commits"])
        more = _nothing(f"and {plural(changes['more'], 'more commit')}") if changes["more"] else ""
        stat = _nothing(changes["stat"]) if changes["stat"] else ""
        body = f'<ol class="log">{lines}</ol>{more}{stat}'
    return _card("What changed", caption, body)


def _form(document: Mapping[str, Any], csrf: str) -> str:
    until = f"the link expires {document['link_expires'][:16].replace('T', ' ')} UTC"
    default = f"; without an answer: {document['default']}" if document["default"] else ""
    return (
        f'<form method="post"><input type="hidden" name="csrf" value="{_text(csrf)}">'
        '<label for="comment">Comment</label><textarea id="comment" name="comment" maxlength="1000"></textarea>'
        '<div class="answer"><button class="yes" name="decision" value="approve">Approve</button>'
        '<button class="no" name="decision" value="reject">Reject</button>'
        f"<p>{_text(until + default)}</p></div></form>"
    )
