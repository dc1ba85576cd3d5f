"""Whether what a line of a journal holds is of the kinds that `events` tells, before anything is concluded from it.

A checksum says that a line is as somebody wrote it, not that it was an engine. Keys that are not known are passed over,
and keys may be missing: other versions have others.
"""

from __future__ import annotations

from stagebook.model.outcome import OUTCOMES
from stagebook.record import events
from stagebook.record.clock import epoch_us
from stagebook.record.story import Around, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, TypeAlias

#: Types that a value may have, what its content is judged by, if by anything, and what no number of it reaches.
Kind: TypeAlias = "tuple[frozenset[type], Callable[[Any], bool] | None, int]"

LIMIT = 1 << 53  #: no number of a journal is as large, and each below is whole in JSON everywhere
LIMIT_S = 1 << 43  #: and no time, so that its microseconds are a number for any database
_SHAPES_MAX = 1000
_NOTHING = type(None)
_NUMBERS = frozenset([int, float])
_PLAIN: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "object": (dict,),
    "texts": (list,), "array": (list,), "calls": (list,), "outcome": (str,), "outputs": (list,), "usage": (dict,),
}  # fmt: skip
_WORDS = ("method", "max_rss_method", "pressure_method", "device")

#: Names and types of the members of sound objects, to those of their members that have to be looked at each time: the
#: numbers, and others with their judges. Nearly all lines are of a few shapes.
_known: dict[tuple[Any, ...], tuple[list[str], list[tuple[str, Callable[[Any], bool]]]]] = {}


def fault(record: Mapping[str, Any]) -> str | None:
    """What is wrong with a line's members, in words that end a sentence; None where nothing is."""
    event = record.get("event")
    if type(event) is not str:
        return "`event` is no word"
    return _fault(event, _KINDS.get(event, _COMMON), record)


def _fault(what: str, kinds: Mapping[str, Kind], members: Mapping[str, Any]) -> str | None:
    shape = what, *members, *map(type, members.values())
    known = _known.get(shape)
    if known is not None:
        numbers, judges = known
        if all(-LIMIT_S < members[name] < LIMIT_S for name in numbers):
            for name, judge in judges:
                if not judge(members[name]):
                    break
            else:
                return None
    known = [], []
    for name, value in members.items():
        its = type(value)
        kind = kinds.get(name)
        if kind is None:
            continue
        types, right, limit = kind
        is_number = its in _NUMBERS
        if its not in types or (is_number and not -limit < value < limit):
            return f"`{name}` holds what it cannot"
        if right is not None and value is not None:
            if not right(value):
                return f"`{name}` holds what it cannot"
            known[1].append((name, right))
        if is_number:
            known[0].append(name)
    if len(_known) < _SHAPES_MAX:
        _known[shape] = known
    return None


def _texts(value: list[Any]) -> bool:
    return all(type(each) is str for each in value)


def _rows(value: list[Any]) -> bool:
    return all(
        type(row) is list and len(row) >= 3 and type(row[0]) is str and type(row[1]) is int and type(row[2]) is str
        for row in value
    )


def _counts(value: list[Any]) -> bool:
    return all(type(each) is int and 0 <= each < LIMIT for each in value)


def _calls(value: list[Any]) -> bool:
    return all(
        type(row) is list and 5 <= len(row) <= 6 and type(row[2]) is str
        and _counts([row[0], row[1], row[3], row[4]]) and (len(row) == 5 or type(row[5]) is list)
        for row in value
    )  # fmt: skip


def _is_stamp(value: str) -> bool:
    try:
        return 0 <= epoch_us(value) < LIMIT
    except (ValueError, OverflowError):
        return False


def _is_count(value: int) -> bool:
    return 0 < value < 1 << 31


def _is_name(value: str) -> bool:
    """Of a log, which lies in one folder, whatever its stage is called."""
    return value.isascii() and "/" not in value and "\0" not in value


def _is_time(value: float) -> bool:
    return value >= 0


def _are_figures(value: Mapping[str, Any]) -> bool:
    """Of `usage` and `around`."""
    return _fault("", _FIGURES, value) is None


def _figure(name: str) -> Kind:
    types = (str,) if name in _WORDS else (bool,) if name == "autogroup" else (int, float)
    return frozenset([*types, _NOTHING]), None, LIMIT_S if name.endswith("_s") else LIMIT


_FIGURES: dict[str, Kind] = {name: _figure(name) for name in (*Usage._fields, *Around._fields)}
_JUDGES: dict[str, Callable[[Any], bool]] = {
    "outcome": OUTCOMES.__contains__, "calls": _calls, "texts": _texts, "outputs": _rows, "usage": _are_figures,
}  # fmt: skip


_JUDGES_OF: dict[str, Callable[[Any], bool]] = {"queue_max": _counts, "around": _are_figures, "log": _is_name}


def _kind(key: str, spec: events.Key) -> Kind:
    name = spec.kind.removesuffix("?")
    types = (*_PLAIN[name], *((_NOTHING,) if name != spec.kind else ()))
    limit = LIMIT_S if name == "number" and not key.endswith("_us") else LIMIT
    return frozenset(types), _JUDGES_OF.get(key) or _JUDGES.get(name), limit


_COMMON: dict[str, Kind] = {
    "t": (_NUMBERS, _is_time, LIMIT_S), "at": (frozenset([str]), None, 0), "event": (frozenset([str]), None, 0),
    "run": (frozenset([str]), None, 0), "stage": (frozenset([str]), None, 0),
    "attempt": (frozenset([int]), _is_count, LIMIT),
}  # fmt: skip
#: Of lines whose time on the clock is made use of.
_STAMPED: dict[str, Kind] = {"at": (frozenset([str]), _is_stamp, 0)}
_KINDS: dict[str, dict[str, Kind]] = {
    name: {
        **_COMMON,
        **(_STAMPED if name.startswith("run.") else {}),
        **{key: _kind(key, spec) for key, spec in event.keys.items() if spec.kind.removesuffix("?") in _PLAIN},
    }
    for name, event in events.EVENTS.items()
}
_KINDS["run.started"]["dirty"] = frozenset([bool, _NOTHING]), None, 0
_KINDS["usage"] |= _FIGURES
