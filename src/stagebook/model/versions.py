"""Versions of tools: dotted numbers, and what a stage says of those that will do, as `>=20,<22`. Asks no tool."""

from __future__ import annotations

import re

#: `*`: any. Else conditions that must all hold.
PATTERN = r"^(\*|(>=|<=|==|!=|>|<) *[0-9]+(\.[0-9]+)*( *, *(>=|<=|==|!=|>|<) *[0-9]+(\.[0-9]+)*)*)$"
EXPECTED = "`*`, or versions such as `>=20` or `>=3.11,<4`"

_condition = re.compile(r"(>=|<=|==|!=|>|<) *([0-9.]+)")
_dotted = re.compile(r"(?<![0-9.])[0-9]+(?:\.[0-9]+)+")
_number = re.compile(r"(?<![0-9.])[0-9]+")


def holds(wanted: str, version: str) -> bool:
    """Whether a version is one that will do. What stands behind the numbers, as in `3.13.0rc1`, does not count."""
    found = _numbers(version)
    for sign, text in _condition.findall(wanted):
        asked = _numbers(text)
        size = max(len(found), len(asked))
        left, right = (numbers + (0,) * (size - len(numbers)) for numbers in (found, asked))
        if not {
            ">=": left >= right, "<=": left <= right, "==": left == right, "!=": left != right, ">": left > right,
            "<": left < right,
        }[sign]:  # fmt: skip
            return False
    return True


def first_in(text: str) -> str | None:
    """The first version in what a tool says: the first number with a dot in it, else the first number."""
    found = _dotted.search(text) or _number.search(text)
    return found[0] if found is not None else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple([int(part) for part in version.split(".") if part])
