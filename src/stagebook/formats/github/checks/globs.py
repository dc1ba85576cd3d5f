"""What is wrong with the patterns of filters: branches, tags and paths."""

from __future__ import annotations

from stagebook.formats.github.shape import Walk
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import SCALAR, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

_REFS = ("branches", "branches-ignore", "tags", "tags-ignore", "versions")
_PATHS = ("paths", "paths-ignore")
_SPECIAL = "[?+*\\!"
_NOT_IN_REFS = " ~^:"


def check(walk: Walk, root: Node) -> None:
    on = root.get("on")
    for _, _, event in on.items() if on is not None else ():
        for name, _, value in event.items():
            for node in [value] if value.kind == SCALAR else list(value):
                if name in _REFS or name in _PATHS:
                    _say(walk, node, path if name in _PATHS else ref)
    jobs = root.get("jobs")
    for _, _, body in jobs.items() if jobs is not None else ():
        snapshot = body.get("snapshot")
        version = snapshot.get("version") if snapshot is not None else None
        if version is not None:
            _say(walk, version, ref)


def _say(walk: Walk, node: Node, judge: Callable[[str], str | None]) -> None:
    if node.kind == SCALAR and node.text and "${{" not in node.text:
        wrong = judge(node.text)
        if wrong is not None:
            walk.problem(node, "pattern", f"'{shorten(node.text)}' is no pattern: {wrong}", "warning")


def path(text: str) -> str | None:
    """What is wrong with a pattern of paths; None where nothing is."""
    if text != text.strip():
        return "it begins or ends with a space"
    inner = text.removeprefix("!")
    if not inner:
        return "nothing follows the `!`"
    if any(part in (".", "..") for part in inner.split("/")):
        return "`.` and `..` name nothing here; paths begin at the root of the repository"
    return _pattern(inner)


def ref(text: str) -> str | None:
    """The same of a pattern of branches or tags."""
    inner = text.removeprefix("!")
    if not inner:
        return "nothing follows the `!`"
    wrong = _pattern(inner, in_ref=True)
    if wrong is not None:
        return wrong
    if inner.startswith("/"):
        return "no branch or tag begins with `/`"
    if inner.endswith(("/", ".")):
        return f"no branch or tag ends with `{inner[-1]}`"
    return "no branch or tag holds `..`" if ".." in inner else None


def _pattern(text: str, in_ref: bool = False) -> str | None:
    at = 0
    before = ""
    while at < len(text):
        char = text[at]
        if char == "\\":
            if at + 1 >= len(text) or text[at + 1] not in _SPECIAL:
                if in_ref:
                    return "`\\` stands before one of [ ? + * \\ ! only"
            at += 1
        elif char == "[":
            end = text.find("]", at + 1)
            if end < 0:
                return "`[` is not closed"
            wrong = _set(text[at + 1 : end])
            if wrong is not None:
                return wrong
            at = end
        elif char in "?+" and (before in ("", "*", "?", "+") or at == 0):
            return f"`{char}` repeats the character before it, and there is none"
        elif in_ref and char in _NOT_IN_REFS:
            return f"no branch or tag holds `{char}`"
        before = char
        at += 1
    return None


def _set(text: str) -> str | None:
    if not text:
        return "`[]` is empty"
    if len(text) == 1:
        return f"`[{text}]` is just {text}"
    for place in range(1, len(text) - 1):
        if text[place] == "-" and text[place - 1] > text[place + 1]:
            return f"`{text[place - 1 : place + 2]}` runs backwards"
    return None
