"""What a stage said about itself: the `name=value` lines that it appended to `STAGEBOOK_OUTPUT`. Writes nothing.

A value of several lines stands between `name<<WORD` and a line `WORD`.
"""

from __future__ import annotations

import os
import re
import stat

from stagebook.model.pipeline import OutputOf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Mapping

BYTES_MAX = 1 << 20
NAMES_MAX = 1000
WARNINGS_MAX = 10

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SEVERAL = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)<<(\S+)\r?")


class Absent(Exception):
    """An output that is asked for and was not said; the text is a reason for `error`."""


def read(path: str) -> tuple[dict[str, str], list[str]]:
    """The outputs in a file, the last of a name winning, and what is wrong with it. A file that is not there says
    nothing. Bytes that are no UTF-8 become U+FFFD; what lies beyond a limit is left out and said."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [f"STAGEBOOK_OUTPUT cannot be read: {error.strerror}"]
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return {}, ["STAGEBOOK_OUTPUT is no regular file any more"]
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(BYTES_MAX + 1)
    except OSError as error:
        return {}, [f"STAGEBOOK_OUTPUT cannot be read: {error.strerror}"]
    finally:
        os.close(descriptor)
    warnings = []
    if len(data) > BYTES_MAX:
        warnings.append(f"STAGEBOOK_OUTPUT is larger than {BYTES_MAX} bytes (1 MiB); the rest is left out")
        data = data[: data.rfind(b"\n", 0, BYTES_MAX) + 1]
    outputs, more = _parse(data.decode("utf-8", "replace"))
    return outputs, warnings + more


def _parse(text: str) -> tuple[dict[str, str], list[str]]:
    outputs: dict[str, str] = {}
    warnings, wrong, left_out = [], 0, 0
    for number, line, several in _entries(text):
        name, equals, value = line.partition("=")
        why = ""
        if several is not None:
            name, word, whole = several
            value = whole or ""
            why = "" if whole is not None else f"no line {_short(word)} ends it"
        elif not equals:
            why = "NAME=VALUE expected"
        elif _NAME.fullmatch(name) is None:
            why = "a name has letters, digits, _ and -, and does not begin with a digit or -"
        if "\0" in value:
            why = why or "a value cannot hold a NUL"
        if why:
            wrong += 1
            if wrong <= WARNINGS_MAX:
                warnings.append(f"STAGEBOOK_OUTPUT line {number}: {why}, not {_short(line)}")
        elif name in outputs or len(outputs) < NAMES_MAX:
            outputs[name] = value
        else:
            left_out += 1
    if wrong > WARNINGS_MAX:
        warnings.append(f"STAGEBOOK_OUTPUT: {wrong - WARNINGS_MAX} more lines are malformed")
    if left_out:
        warnings.append(f"STAGEBOOK_OUTPUT has more than {NAMES_MAX} names; {left_out} lines are left out")
    return outputs, warnings


def _entries(text: str) -> Iterator[tuple[int, str, tuple[str, str, str | None] | None]]:
    """Lines that say something, with their numbers; and name, word and value where a value of several lines begins.
    The value is None where it does not end."""
    lines = text.split("\n")
    last = {line.removesuffix("\r"): at for at, line in enumerate(lines)} if "<<" in text else {}
    at = 0
    while at < len(lines):
        line = lines[at].removesuffix("\r")
        at += 1
        number = at
        several = _SEVERAL.fullmatch(line)
        if several is not None:
            name, word = several.groups()
            value = None
            if last.get(word, -1) >= at:
                end = next(place for place in range(at, len(lines)) if lines[place].removesuffix("\r") == word)
                value, at = "\n".join(lines[at:end]), end + 1
            yield number, line, (name, word, value)
        elif line:
            yield number, line, None


def _short(line: str) -> str:
    return repr(line if len(line) <= 40 else line[:39] + "…")


def value(of: OutputOf, outputs: Mapping[str, str], without: str = "it has none") -> str:
    """The output that is asked for, among `outputs` of its stage. Raises Absent, with what to tell the user: `without`
    where there is no output at all."""
    if of.name in outputs:
        return outputs[of.name]
    there = f"it has {', '.join(sorted(outputs)[:8])}" if outputs else without
    raise Absent(f"no output {of.name} of {of.stage}: {there}")
