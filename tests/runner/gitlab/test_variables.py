"""Variables of GitLab jobs: which is the strongest, and what `$` in them means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.runner.gitlab import variables
from stagebook.runner.gitlab.job import script

NAMES = st.sampled_from(["A", "B", "C", "D"])
VALUES = st.lists(st.one_of(NAMES.map("${}".format), NAMES.map("${{{}}}".format), st.text("xy$ ", max_size=3))).map(
    "".join
)


@pytest.mark.parametrize(
    ("values", "raw", "found"),
    [
        ({"A": "1", "B": "$A/${A}"}, (), {"A": "1", "B": "1/1"}),
        ({"A": "$B", "B": "$C", "C": "3"}, (), {"A": "3", "B": "3", "C": "3"}),
        ({"A": "$nothing.", "B": "$$A"}, (), {"A": ".", "B": "$A"}),
        ({"A": "$B", "B": "b$1$"}, ("B",), {"A": "b$1$", "B": "b$1$"}),
    ],
)
def test_what_they_speak_of_stands_in_its_place(
    values: dict[str, str], raw: tuple[str, ...], found: dict[str, str]
) -> None:
    assert variables.expanded(values, raw) == found


def test_a_later_table_is_stronger_and_may_speak_of_the_weaker_value() -> None:
    assert variables.merged({"PATH": "/bin", "X": "1"}, {"PATH": "/own:$PATH"}, {"X": "2"}) == {
        "PATH": "/own:/bin",
        "X": "2",
    }


@given(st.dictionaries(NAMES, VALUES))
def test_circles_and_growth_come_to_an_end(values: dict[str, str]) -> None:
    assert set(variables.expanded(variables.merged(values))) == set(values)


def test_a_bomb_stays_small() -> None:
    bomb = {"V0": "x" * 100} | {f"V{n}": f"$V{n - 1}" * 10 for n in range(1, 15)}
    assert max(map(len, variables.expanded(bomb).values())) < 100_000_000


@pytest.mark.parametrize(
    ("text", "found"),
    [("A=1\n\n# x\nB='two words'\nC=a=b\n", {"A": "1", "B": "two words", "C": "a=b"}), ("", {})],
)
def test_a_dotenv_report(text: str, found: dict[str, str]) -> None:
    assert variables.dotenv(text) == found


@pytest.mark.parametrize("text", ["A=1\nno pair\n", "1A=x", "=x", "A B=x"])
def test_a_dotenv_report_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"line \d: NAME=VALUE"):
        variables.dotenv(text)


def test_a_script_tells_each_command_before_it_is_done() -> None:
    assert script(["echo 'a'", "one\ntwo"], False).splitlines() == [
        "set -e",
        "printf '%s\\n' '$ echo '\"'\"'a'\"'\"''",
        "echo 'a'",
        "printf '%s\\n' '$ one # collapsed multi-line command'",
        "one",
        "two",
    ]
