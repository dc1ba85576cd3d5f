"""What is wrong with times under `on.schedule`: five fields of cron, not oftener than GitHub goes, a time zone that
exists."""

from __future__ import annotations

import re
from itertools import pairwise

from stagebook.formats.github.shape import Walk
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import SCALAR, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

LEAST_MINUTES = 5
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "sun mon tue wed thu fri sat".split()
#: Name, least, most, words and the number of the first of them.
_FIELDS = (
    ("minute", 0, 59, (), 0),
    ("hour", 0, 23, (), 0),
    ("day of the month", 1, 31, (), 0),
    ("month", 1, 12, tuple(_MONTHS), 1),
    ("day of the week", 0, 7, tuple(_DAYS), 0),
)


def check(walk: Walk, root: Node) -> None:
    on = root.get("on")
    items = on.get("schedule") if on is not None else None
    for item in items or ():
        cron, zone = item.get("cron"), item.get("timezone")
        if cron is not None and cron.kind == SCALAR and cron.text:
            _cron(walk, cron, cron.text)
        if zone is not None and zone.kind == SCALAR and zone.text and not _is_zone(zone.text):
            walk.problem(zone, "schedule", f"'{shorten(zone.text)}' is no time zone of IANA's, as Europe/Berlin is")


def _cron(walk: Walk, node: Node, text: str) -> None:
    fields = text.split()
    if len(fields) != len(_FIELDS):
        said = f"'{shorten(text)}' has {len(fields)} fields; cron has five: minute, hour, day, month, day of the week"
        walk.problem(node, "schedule", said)
        return
    minutes: set[int] = set()
    for place, (field, spec) in enumerate(zip(fields, _FIELDS)):
        values = values_of(field, *spec[1:])
        if values is None:
            walk.problem(node, "schedule", f"'{shorten(field)}' is no {spec[0]} of cron's")
            return
        if place == 0:
            minutes = values
    gap = _least_gap(sorted(minutes), every_hour=values_of(fields[1], 0, 23, (), 0) == set(range(24)))
    if gap < LEAST_MINUTES:
        said = f"'{shorten(text)}' comes every {gap} minutes; GitHub goes no oftener than every {LEAST_MINUTES}"
        walk.problem(node, "schedule", said, "warning")


def _least_gap(minutes: list[int], every_hour: bool) -> int:
    gaps = [later - earlier for earlier, later in pairwise(minutes)]
    if every_hour and minutes:
        gaps.append(60 - minutes[-1] + minutes[0])
    return min(gaps, default=60)


def values_of(field: str, least: int, most: int, words: Iterable[str], first: int) -> set[int] | None:
    """The values that a field stands for; None where it is none."""
    names = {word: first + place for place, word in enumerate(words)}
    found: set[int] = set()
    for part in field.lower().split(","):
        match = re.fullmatch(r"(\*|\?|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/([0-9]{1,3}))?", part)
        if match is None:
            return None
        start, end, step = match.groups()
        if start in ("*", "?"):
            low, high = least, most
            if end is not None:
                return None
        else:
            one = _number(start, names)
            other = _number(end, names) if end is not None else (most if step is not None else one)
            if one is None or other is None:
                return None
            low, high = one, other
        width = int(step) if step is not None else 1
        if not (least <= low <= high <= most) or width < 1:
            return None
        found |= set(range(low, high + 1, width))
    return found


def _number(text: str, names: dict[str, int]) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 3:
        return int(text)
    return names.get(text)


def _is_zone(name: str) -> bool:
    """GitHub takes names of places only."""
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){1,2}", name):
        return False
    from zoneinfo import available_timezones

    return name in available_timezones()
