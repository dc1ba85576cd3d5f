"""What makes a page one file that is harmless: its text put together out of the files of a folder, the facts as JSON,
and the rule by which the browser runs this style and this script only, and fetches nothing.

What a page says, and how it looks, is the business of each page.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from pkgutil import get_data

from stagebook.report.durations import NO_BREAK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_ENTITIES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;"))
_INSIDE = re.compile(r"(?<=\d) (?=(?:ms|s|m|h|d|%)(?!\w))|(?<=\d [mhd]) (?=\d)")
BASE = "stagebook.report.page"


def page(
    folder: str, html: str, styles: Sequence[str], scripts: Sequence[str], marks: Mapping[str, str], more: str = ""
) -> list[str]:
    """The page in parts: `html` of `folder` (a package) with each `@@mark@@` replaced. `marks` are ready HTML;
    `policy`, `style` and `script` are added here. Styles and scripts that begin with `/` are those of all pages, `more`
    is style that is no file."""
    style, script = _joined(folder, styles) + more, _joined(folder, scripts)
    whole = {
        "policy": f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        "style": style,
        "script": script,
        **marks,
    }  # fmt: skip
    first, *rest = part(html, folder).split("@@")
    return [first, *[whole[text] if index % 2 == 0 else text for index, text in enumerate(rest)]]


def part(name: str, folder: str = BASE) -> str:
    """A file of a package."""
    data = get_data(folder, name)
    assert data is not None, "files of a page lie beside its module"
    return data.decode()


def _joined(folder: str, names: Sequence[str]) -> str:
    return "\n".join([part(name[1:]) if name.startswith("/") else part(name, folder) for name in names])


def facts(value: Any) -> str:
    """JSON in ASCII, with nothing in it that HTML gives a meaning to."""
    text = json.dumps(value, separators=(",", ":"))
    for mark, escape in _ESCAPES.items():
        text = text.replace(mark, escape)
    return text


def escaped(text: str) -> str:
    """Text as HTML text or attribute."""
    for mark, entity in _ENTITIES:
        text = text.replace(mark, entity)
    return text


def spaced(text: str) -> str:
    """Text in which a number and its unit stay together."""
    return _INSIDE.sub(NO_BREAK, text)


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
