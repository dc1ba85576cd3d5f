"""A page's text: the verdict as plain HTML, the run as JSON, style and script in the page, and a rule that forbids all
else.

What anybody wrote gets in as escaped text or as JSON in which no character can end an element. The browser runs the
one script and the one style whose digests stand in the page, and fetches nothing.
"""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from pkgutil import get_data

from stagebook.report.page import facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, TypeAlias

    from stagebook.report.page.facts import Logs

Document: TypeAlias = "Mapping[str, Any]"

SCRIPTS = ("1-facts.js", "2-find.js", "3-rows.js", "4-view.js", "5-draw.js", "6-panel.js", "7-start.js")
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_ENTITIES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;"))


def render(
    document: Document,
    now_us: int | None = None,
    *,
    as_of_us: int | None = None,
    short: str = "",
    logs: Logs | None = None,
) -> list[str]:
    """The page in parts. `now_us` is how far a run that goes on has come on its own clock, and `as_of_us` what time it
    is; `logs` are lines of what attempts printed."""
    told = facts.facts(document, now_us, as_of_us=as_of_us, short=short, logs=logs or {})
    style, script = part("page.css"), "\n".join(map(part, SCRIPTS))
    marks = {
        "policy": f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        "title": _escaped(f"{told['verdict']} · {told['pipeline']} {told['short']}"),
        "verdict": _escaped(told["verdict"]),
        "sub": _escaped(" · ".join([told["short"], *told["about"]])),
        "lines": "".join(f"<li>{_escaped(line)}</li>" for line in [*told["lines"], *told["warnings"]]),
        "style": style,
        "facts": _json(told),
        "script": script,
    }  # fmt: skip
    first, *rest = part("page.html").split("@@")
    return [first, *[marks[text] if index % 2 == 0 else text for index, text in enumerate(rest)]]


def part(name: str) -> str:
    """A file of this package."""
    data = get_data("stagebook.report.page", name)
    assert data is not None, "files of the page lie beside this module"
    return data.decode()


def _json(value: Any) -> str:
    """ASCII, with nothing in it that HTML gives a meaning to."""
    text = json.dumps(value, separators=(",", ":"))
    for mark, escape in _ESCAPES.items():
        text = text.replace(mark, escape)
    return text


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _escaped(text: str) -> str:
    for mark, entity in _ENTITIES:
        text = text.replace(mark, entity)
    return text
