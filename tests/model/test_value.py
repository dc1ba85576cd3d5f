"""Our `NamedTuple` against Python's own: whatever is asked of the one, the other answers the same."""

from __future__ import annotations

import copy
import pickle
import typing
from typing import Any

import pytest

from stagebook.model import value


class Theirs(typing.NamedTuple):
    """Three fields, of which two may be left out."""

    name: str
    size_mib: int = 3
    tags: tuple[str, ...] = ()

    @property
    def loud(self) -> str:
        return self.name.upper()

    def with_tag(self, tag: str) -> Any:
        return self._replace(tags=(*self.tags, tag))


class Ours(value.NamedTuple):
    """Three fields, of which two may be left out."""

    name: str
    size_mib: int = 3
    tags: tuple[str, ...] = ()

    @property
    def loud(self) -> str:
        return self.name.upper()

    def with_tag(self, tag: str) -> Any:
        return self._replace(tags=(*self.tags, tag))


class Empty(value.NamedTuple):
    """No field at all."""


ASKED = {
    "by position": lambda kind: tuple(kind("a", 1, ("x",))),
    "by name": lambda kind: tuple(kind(tags=("x",), name="a")),
    "defaults": lambda kind: tuple(kind("a")),
    "attributes": lambda kind: (kind("a").name, kind("a").size_mib, kind("a", tags=("x",)).tags),
    "methods": lambda kind: (kind("a").loud, tuple(kind("a").with_tag("y"))),
    "repr": lambda kind: repr(kind("a", 1)).partition("(")[1:],
    "equal": lambda kind: (kind("a") == ("a", 3, ()), hash(kind("a")) == hash(("a", 3, ())), kind("a") < kind("b")),
    "fields": lambda kind: (kind._fields, kind._field_defaults, kind.__match_args__),
    "as a dict": lambda kind: list(kind("a")._asdict().items()),
    "replace": lambda kind: tuple(kind("a")._replace(name="b", size_mib=4)),
    "make": lambda kind: tuple(kind._make(["a", 1, ()])),
    "make of too few": lambda kind: kind._make(["a"]),
    "no argument": lambda kind: kind(),
    "one too many": lambda kind: kind("a", 1, (), None),
    "an unknown name": lambda kind: kind("a", colour="red"),
    "frozen": lambda kind: setattr(kind("a"), "name", "b"),
    "no other attributes": lambda kind: setattr(kind("a"), "other", "b"),
    "no dict": lambda kind: hasattr(kind("a"), "__dict__"),
    "documented": lambda kind: kind.__doc__,
    "annotated": lambda kind: list(kind.__annotations__),
    "its type": lambda kind: (type(kind), kind.__module__, issubclass(kind, tuple)),
}


def answer(kind: type, question: str) -> object:
    try:
        return ASKED[question](kind)
    except (AttributeError, TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize("question", ASKED)
def test_it_answers_as_the_standard_library_does(question: str) -> None:
    assert answer(Ours, question) == answer(Theirs, question)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"Ours\.__new__\(\) missing 1 required positional argument: 'name'"):
        Ours()  # type: ignore[call-arg]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_survives_pickle_and_copy_with_its_type(protocol: int) -> None:
    made = Ours("a", 1, ("x",))
    for again in (pickle.loads(pickle.dumps(made, protocol)), copy.copy(made), copy.deepcopy(made)):
        assert (type(again), again) == (Ours, made)


def test_its_pattern_matches_by_position() -> None:
    match Ours("a", 1):
        case Ours(name, size_mib):
            assert (name, size_mib) == ("a", 1)
        case _:
            pytest.fail("no match")


def test_to_replace_a_field_that_is_not_there_is_a_wrong_argument() -> None:
    """As Python has it since 3.13; before, it was a ValueError."""
    with pytest.raises(TypeError, match="colour"):
        Ours("a")._replace(colour="red")


def test_one_without_fields_is_empty() -> None:
    assert (Empty(), Empty._fields, repr(Empty())) == ((), (), "Empty()")
    with pytest.raises(TypeError):
        Empty(1)  # type: ignore[call-arg]


def test_two_with_as_many_fields_do_not_share_names() -> None:
    class One(value.NamedTuple):
        left: int
        right: int = 2

    class Other(value.NamedTuple):
        first: int
        second: int

    assert (One(left=1)._asdict(), Other(second=4, first=3)._asdict()) == (
        {"left": 1, "right": 2},
        {"first": 3, "second": 4},
    )
    with pytest.raises(TypeError, match="second"):
        Other(3)  # type: ignore[call-arg]


def test_a_field_without_a_default_behind_one_with_is_refused() -> None:
    with pytest.raises(TypeError, match="without a default"):

        class Wrong(value.NamedTuple):  # type: ignore[misc]
            left: int = 1
            right: int


@pytest.mark.parametrize("count", [*range(13), 30])
def test_each_number_of_fields_keeps_its_order(count: int) -> None:
    names = [f"field_{number}" for number in range(count)]
    body = {"__annotations__": dict.fromkeys(names, "int"), "__qualname__": "Wide"}
    kind: Any = type(value.NamedTuple)("Wide", (value.NamedTuple,), body)
    by_name = dict(zip(names, range(count)))
    assert kind(*range(count)) == kind(**by_name) == tuple(range(count))
    assert kind(**by_name)._asdict() == by_name
