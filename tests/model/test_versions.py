"""Versions of tools: what holds, what is found in what a tool says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.model import versions

numbers = st.lists(st.integers(0, 99), min_size=1, max_size=4)


@given(numbers, numbers)
def test_exactly_one_of_less_equal_and_greater_holds(left: list[int], right: list[int]) -> None:
    version, other = (".".join(map(str, each)) for each in (left, right))
    held = [sign for sign in ("<", "==", ">") if versions.holds(f"{sign}{other}", version)]
    assert len(held) == 1
    assert versions.holds(f">={other}", version) == (held[0] in ("==", ">"))
    assert versions.holds(f"<={other}", version) == (held[0] in ("==", "<"))
    assert versions.holds(f"!={other}", version) == (held[0] != "==")
    assert versions.holds(f">={other},<={other}", version) == (held[0] == "==")
    assert re.fullmatch(versions.PATTERN, f">={other}, <{version}")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("git version 2.39.5", "2.39.5"),
        ("v20.11.0", "20.11.0"),
        ("Docker version 24.0.7, build afdd53b", "24.0.7"),
        ("gcc (Debian 12.2.0-14) 12.2.0", "12.2.0"),
        ('openjdk version "17" 2021-09-14', "17"),
        ("go version go1.22.1 linux/amd64", "1.22.1"),
        ("nothing", None),
    ],
)
def test_the_first_version_is_found(said: str, version: str | None) -> None:
    assert versions.first_in(said) == version
