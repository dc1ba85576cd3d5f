"""Takes out of texts what looks like a credential, declared or not: for what people send to others.

A guess, and said to be one: names that credentials have, values of well-known shapes, passwords in addresses.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REMOVED = "[removed]"
_REPLACED = rf'\g<head>"{REMOVED}"'

_NAME = (
    r"(?:[A-Za-z0-9_.-]{0,60}(?:token|secret|passw|passphrase|pwd|credential|api[_-]?key|access[_-]?key|private[_-]?key|"
    r"auth(?!ors?(?![a-z]))|cookie|session|dsn|webhook)[A-Za-z0-9_.-]{0,60}|[A-Za-z0-9_.-]{0,60}_(?:key|pat|pass))"
)
_is_name = re.compile(_NAME, re.IGNORECASE).fullmatch
#: A value as it stands in YAML or a shell; not a reference, a list or a mapping.
_VALUE = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s,}\]#\[{$|>&*!"'][^\s,}\]]*)"""
_QUOTE = """["']?"""
#: `NAME: value`, `"NAME": "value"`, `NAME=value`, `NAME: {default: value}`
_given = re.compile(
    rf"(?P<head>(?<![A-Za-z0-9_.$-]){_NAME}{_QUOTE}\s*[:=]\s*(?:\{{[^}}\n]{{0,200}}?\bdefault{_QUOTE}\s*:\s*)?){_VALUE}",
    re.IGNORECASE,
)
_block = re.compile(rf"^(?P<indent>\s*){_QUOTE}{_NAME}{_QUOTE}\s*:\s*[|>][-+0-9]*\s*$", re.IGNORECASE)
_opens = re.compile(rf"^(?P<indent>\s*){_QUOTE}{_NAME}{_QUOTE}\s*:\s*\{{?\s*$", re.IGNORECASE)
_default = re.compile(rf"(?P<head>\bdefault{_QUOTE}\s*:\s*){_VALUE}")
_shapes = re.compile(
    r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|sk-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{50,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END)[\s\S]){0,20000}(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)
_address = re.compile(r"(://[^\s/:@]{0,200}:)[^\s/@]{1,500}@")


def shapes(text: str) -> str:
    """Without what is a credential by its shape, whatever stands around."""
    return _address.sub(rf"\1{REMOVED}@", _shapes.sub(REMOVED, text))


def printed(text: str) -> str:
    """What a stage printed: by shape, and line by line what stands beside the name of a credential."""
    return shapes("".join([_given.sub(_REPLACED, line) for line in text.splitlines(keepends=True)]))


def source(text: str) -> str:
    """A pipeline's file, or a command: also without values that stand beside names of credentials."""
    kept: list[str] = []
    block: int | None = None  # the indent of a name whose value is the text below it
    under: int | None = None  # the indent of a name that has keys below it
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip()) if line.strip() else None
        if block is not None:
            if indent is None or indent > block:
                continue
            block = None
        if under is not None and indent is not None:
            if indent > under:
                line = _default.sub(_REPLACED, line)
            else:
                under = None
        kept.append(_given.sub(_REPLACED, line))
        if (found := _block.match(line)) is not None:
            block = len(found["indent"])
            kept.append(f"{found['indent']}  {REMOVED}")
        elif (found := _opens.match(line)) is not None:
            under = len(found["indent"])
    return shapes("\n".join(kept))


def value(plain: Any, within: str = "") -> Any:
    """A value of JSON, as a journal holds it: variables and parameters by their names, all texts by their shape."""
    if isinstance(plain, str):
        return source(plain) if within == "command" else shapes(plain)
    if isinstance(plain, list):
        return [_pair(each) if within == "params" else value(each, within) for each in plain]
    if isinstance(plain, dict):
        if within in ("env", "params"):
            return {name: _under(name, each) for name, each in plain.items()}
        return {name: value(each, name) for name, each in plain.items()}
    return plain


def _under(name: str, plain: Any) -> Any:
    if _is_name(name) is None:
        return value(plain)
    if isinstance(plain, dict):
        return {key: REMOVED if key == "default" else value(each) for key, each in plain.items()}
    return REMOVED if isinstance(plain, str) else value(plain)


def _pair(plain: Any) -> Any:
    """A parameter of a choice: its name and its value."""
    if isinstance(plain, list) and len(plain) == 2 and isinstance(plain[0], str):
        return [plain[0], _under(plain[0], plain[1])]
    return value(plain)
