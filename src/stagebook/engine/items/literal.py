"""JSON of items, in and out, with numbers as they are written: `1e400` and `1.10` stay what they are. Reads no files.

Where Python has a number that it writes in the same way, it is that number; any other is its text.
"""

from __future__ import annotations

import json
import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DIGITS_MAX = 4000  #: Python reads no whole number that is much longer
_MARK = "\0" + os.urandom(8).hex()  #: no text of a user begins so
_MARKED = re.compile(r'"\\u0000' + _MARK[1:] + r'([^"]*)"')


class Number:
    """One that Python would write otherwise."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _fraction(text: str) -> float | Number:
    made = float(text)
    return made if repr(made) == text else Number(text)


def _whole(text: str) -> int | Number:
    return Number(text) if len(text) > _DIGITS_MAX or text == "-0" else int(text)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _marked(value: object) -> str:
    if type(value) is Number:
        return _MARK + value.text
    raise TypeError(f"{type(value).__name__} is not of JSON")


_read = json.JSONDecoder(parse_float=_fraction, parse_int=_whole, parse_constant=_refuse).decode
_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_marked).encode
_write_ascii = json.JSONEncoder(separators=(",", ":"), default=_marked).encode


def read(data: bytes) -> Any:
    """The value. Raises ValueError, RecursionError."""
    return _read(data.decode(json.detect_encoding(data), "surrogatepass"))


def write(value: Any, is_ascii: bool = False) -> str:
    """The value as compact JSON, in one line."""
    text = (_write_ascii if is_ascii else _write)(value)
    return _MARKED.sub(r"\1", text) if _MARK[1:] in text else text


def text_of(value: Any) -> str:
    """An item as a command sees it: text as it is, anything else as compact JSON."""
    return value if type(value) is str else write(value)


def plain(value: Any) -> Any:
    """The value, or its text where Python has no such number."""
    try:
        json.dumps(value)
    except TypeError:
        return write(value)
    return value
