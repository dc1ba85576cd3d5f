"""Values as they are written into a YAML file: plain where that is safe, else in quotes. Nothing of where they go."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence, TypeAlias

    #: Text, or a list or mapping of values. Numbers and truth are written as such, text is never taken for one.
    Value: TypeAlias = "str | int | bool | Sequence[Value] | dict[str, Value]"
    #: The same as the file has it: scalars by their text.
    Plain: TypeAlias = "str | list[Plain] | dict[str, Plain] | None"

#: What YAML reads as text wherever it stands; and what it does outside of brackets.
_SAFE = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*|[0-9]+ [a-z]+)\Z")
_SAFE_IN_BLOCK = re.compile(r"[A-Za-z_$][A-Za-z0-9_./+$(){}|&' *-]*\Z")
_TAKEN = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


def scalar(value: str | int | bool, is_flow: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value.lower() not in _TAKEN and not value.endswith(" "):
        if _SAFE.match(value) or (not is_flow and _SAFE_IN_BLOCK.match(value)):
            return value
    return json.dumps(value, ensure_ascii=False)


def flow(value: Value, as_json: bool = False) -> str:
    """A value in brackets or braces, on one line. `as_json`: all text in quotes."""
    if as_json:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (str, int)):
        return scalar(value, True)
    if isinstance(value, dict):
        return f"{{{', '.join([f'{scalar(key, True)}: {flow(each)}' for key, each in value.items()])}}}"
    return f"[{', '.join([flow(each) for each in value])}]"


def block(key: str, value: Value, indent: str, step: str) -> list[str]:
    """The lines of an entry in a block, without line ends. Lists stay in brackets."""
    said = scalar(key, True)
    if isinstance(value, (str, int)):
        return [f"{indent}{said}: {scalar(value, False)}"]
    if isinstance(value, dict) and value:
        lines = [line for name, each in value.items() for line in block(name, each, indent + step, step)]
        return [f"{indent}{said}:", *lines]
    return [f"{indent}{said}: {flow(value)}"]


def plain(value: Value) -> Plain:
    """A value as it will be read again."""
    if isinstance(value, (str, int)):
        return scalar(value, True) if isinstance(value, int) else value
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value]
