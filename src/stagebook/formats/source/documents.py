"""JSON that a user saved from an API: one document a file, several one after another, or one a line. And moments as
APIs write them. What the documents mean is a format's business.
"""

from __future__ import annotations

import json
from datetime import UTC

from stagebook.model.problem import InputError, Problem
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

BYTES_MAX = 256 << 20
_DEPTH_MAX = 8  #: of lists in lists, as pages of pages come


class Item(NamedTuple):
    """An object of a file, and the line on which its document begins."""

    file: str
    line: int
    value: dict[str, Any]


def read(file: str) -> list[tuple[int, Any]]:
    """The documents of a saved file, each as (line, value). InputError with the place of what is no JSON."""
    return parse(_bytes_of(file), file)


def parse(data: bytes, file: str) -> list[tuple[int, Any]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(file, data.count(b"\n", 0, error.start) + 1, 0, "it is not UTF-8") from None
    found: list[tuple[int, Any]] = []
    decode = json.JSONDecoder(parse_constant=_no_number).raw_decode
    at, line, counted = 0, 1, 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,\x1e":  # some write a comma, or a record separator, between
            at += 1
        if at == len(text):
            break
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decode(text, at)
        except json.JSONDecodeError as error:
            at_end = error.pos >= len(text.rstrip())
            why = "it ends in the middle: the answer was cut off" if at_end else f"it is not JSON: {error.msg}"
            raise _wrong(file, error.lineno, error.colno, why) from None
        except ValueError as error:
            raise _wrong(file, line, 1, f"it is not JSON: {error}") from None
        except RecursionError:
            raise _wrong(file, line, 1, "it is nested too deeply") from None
        found.append((line, value))
    if not found:
        raise _wrong(file, 0, 0, "it is empty")
    return found


def items(file: str, documents: list[tuple[int, Any]], keys: tuple[str, ...]) -> Iterator[Item]:
    """The objects in them: lists are gone into, and so is what lies under one of `keys`, after the object around it."""
    for line, value in documents:
        yield from _items(file, line, value, keys, 0)


def _items(file: str, line: int, value: Any, keys: tuple[str, ...], depth: int) -> Iterator[Item]:
    if isinstance(value, dict):
        yield Item(file, line, value)
        for key in keys:
            if isinstance(value.get(key), list):
                yield from _items(file, line, value[key], keys, depth + 1)
    elif isinstance(value, list) and depth < _DEPTH_MAX:
        for each in value:
            yield from _items(file, line, each, keys, depth + 1)
    else:
        raise _wrong(file, line, 0, "it holds something else than objects and lists of them")


def refused(item: Item, expected: str) -> InputError:
    """That an object is none of those that are known."""
    message = item.value.get("message") or item.value.get("error")
    if isinstance(message, str) and len(item.value) <= 5:
        why = f"it is not a recording but an error that the API answered: {message[:200]}"
    else:
        names = ", ".join(list(item.value)[:6]) or "nothing"
        why = f"it is not {expected}; it holds {names[:200]}"
    return _wrong(item.file, item.line, 0, why)


def instant_us(value: Any) -> int | None:
    """Microseconds since 1970 of an ISO 8601 moment with an offset; None of anything else, or before 2000."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        us = round(moment.timestamp()) * 1_000_000 if not moment.microsecond else round(moment.timestamp() * 1e6)
    except (OverflowError, ValueError):
        return None
    return us if 946_684_800_000_000 <= us < 1 << 52 else None


def text_of(value: Any, most: int = 500) -> str | None:
    """A text that is not empty, cut; None of anything else."""
    return value[:most] if isinstance(value, str) and value else None


def number_of(value: Any) -> int | None:
    """A whole number from 0; None of anything else."""
    return value if type(value) is int and 0 <= value < 1 << 62 else None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _bytes_of(file: str) -> bytes:
    import os
    import stat

    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise _wrong(file, 0, 0, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise _wrong(file, 0, 0, "it is no regular file")
    with open(fd, "rb") as handle:
        if status.st_size > BYTES_MAX:
            raise _wrong(file, 0, 0, f"it has {status.st_size} bytes, the limit is {BYTES_MAX} (256 MiB)")
        return handle.read(BYTES_MAX + 1)


def _wrong(file: str, line: int, col: int, why: str) -> InputError:
    return InputError(f"{file}: {why}", [Problem(file, line, col, "recording", "error", why)])
