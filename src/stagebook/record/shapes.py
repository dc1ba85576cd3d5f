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

#: Types that a value may have, and what its content is judged by, if by anything.
Kind: TypeAlias = "tuple[frozenset[type], Callable[[Any], bool] | None]"

LIMIT = 1 << 53  #: no number of a journal is as large, and each below is whole in JSON everywhere
_NOTHING = type(None)
_PLAIN: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "object": (dict,),
    "texts": (list,), "outcome": (str,), "outputs": (list,), "usage": (dict,),
}  # fmt: skip
_WORDS = ("method", "max_rss_method", "pressure_method", "device")


def fault(record: Mapping[str, Any]) -> str | None:
    """What is wrong with a line's members, in words that end a sentence; None where nothing is."""
    event = record.get("event")
    if type(event) is not str:
        return "`event` is no word"
    get = _KINDS.get(event, _COMMON).get
    for key, value in record.items():
        kind = get(key)
        if kind is None:
            continue
        types, judge = kind
        its = type(value)
        if its not in types or ((its is int or its is float) and not -LIMIT < value < LIMIT):
            return f"`{key}` holds what it cannot"
        if judge is not None and value is not None and not judge(value):
            return f"`{key}` holds what it cannot"
    return None


def _texts(value: list[Any]) -> bool:
    return all(type(each) is str for each in value)


def _rows(value: list[Any]) -> bool:
    return all(
        type(row) is list and len(row) >= 3 and type(row[0]) is str and type(row[1]) is int and type(row[2]) is str
        for row in value
    )


def _is_stamp(value: str) -> bool:
    try:
        return 0 <= epoch_us(value) < LIMIT
    except (ValueError, OverflowError):
        return False


def _is_count(value: int) -> bool:
    return 0 < value < 1 << 31


def _is_time(value: float) -> bool:
    return 0 <= value < 1 << 40


def _figures(value: Mapping[str, Any]) -> bool:
    """Of `usage` and `around`."""
    for name, each in value.items():
        its = type(each)
        if its is float or its is int:
            if not -LIMIT < each < LIMIT or name in _WORDS or name == "autogroup":
                return False
        elif each is not None and its is not _FIGURES.get(name, its):
            return False
    return True


_FIGURES: dict[str, type] = {
    **{name: str if name in _WORDS else float for name in (*Usage._fields, *Around._fields)}, "autogroup": bool,
}  # fmt: skip
_JUDGES: dict[str, Callable[[Any], bool]] = {
    "outcome": lambda value: value in OUTCOMES,
    "texts": _texts,
    "outputs": _rows,
    "usage": _figures,
}
_JUDGES_OF: dict[str, Callable[[Any], bool]] = {"around": _figures}


def _kind(key: str, spec: events.Key) -> Kind:
    name = spec.kind.removesuffix("?")
    types = (*_PLAIN[name], *((_NOTHING,) if name != spec.kind else ()))
    return frozenset(types), _JUDGES_OF.get(key) or _JUDGES.get(name)


_COMMON: dict[str, Kind] = {
    "t": (frozenset([int, float]), _is_time), "at": (frozenset([str]), None), "event": (frozenset([str]), None),
    "run": (frozenset([str]), None), "stage": (frozenset([str]), None), "attempt": (frozenset([int]), _is_count),
}  # fmt: skip
_STAMPED: dict[str, Kind] = {"at": (frozenset([str]), _is_stamp)}  #: of lines whose time on the clock is made use of
_KINDS: dict[str, dict[str, Kind]] = {
    name: {
        **_COMMON,
        **(_STAMPED if name.startswith("run.") else {}),
        **{key: _kind(key, spec) for key, spec in event.keys.items() if spec.kind.removesuffix("?") in _PLAIN},
    }
    for name, event in events.EVENTS.items()
}
_KINDS["run.started"]["dirty"] = frozenset([bool, _NOTHING]), None
_KINDS["usage"] |= {name: (frozenset([its, int, _NOTHING]), None) for name, its in _FIGURES.items()}
