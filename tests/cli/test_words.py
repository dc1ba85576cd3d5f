"""Words that are read without argparse, which must be read as argparse reads them, or be left to it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.cli import parser, words
from stagebook.cli.main import COMMANDS
from stagebook.model.problem import InputError

MODULES: dict[str, Any] = {name: import_module(f"stagebook.cli.{module}") for name, (module, _) in COMMANDS.items()}
VALUES = ["4", "x", "stagebook.yaml", "a=b", "auto", "strict", "fail-only", "two words", "é", "", " 7", "@file"]
ODD = ["-", "--", "-1", "-j4", "--jobs=4", "--nope", "--js", "-qv", "--help", "-h"]


def options(command: str) -> list[str]:
    actions = parser.parser_of(command, command, MODULES[command])._actions
    return [spelling for action in actions for spelling in action.option_strings if spelling not in ODD]


def by_argparse(command: str, given: list[str]) -> dict[str, Any] | None:
    try:
        return vars(parser.parse(command, command, MODULES[command], given))
    except (InputError, SystemExit):
        return None


@given(st.data())
def test_what_is_read_here_argparse_reads_the_same(data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(sorted(MODULES)))
    option, value = st.sampled_from(options(command)), st.sampled_from(VALUES)
    piece = st.one_of(st.tuples(option), st.tuples(option, value), st.tuples(value), st.tuples(st.sampled_from(ODD)))
    given_words = [word for some in data.draw(st.lists(piece, max_size=4)) for word in some]
    read = words.as_declared(MODULES[command], given_words)
    if read is not None:
        assert vars(read) == by_argparse(command, given_words)


@pytest.mark.parametrize("line", [
    "run", "run file.yaml", "run file.yaml -j 4 --json", "run -j 4 file.yaml", "run --sequential --only a --only b -q",
    "run --policy lenient --output group --param a=b --dir x --color never --ascii", "runs", "runs -n 5", "map",
    "show last --metrics", "logs last unit -f", "timeline last", "timeline last 01 02 --json", "cancel last", "doctor",
])  # fmt: skip
def test_usual_words_are_read_without_argparse(line: str) -> None:
    command, *rest = line.split()
    read = words.as_declared(MODULES[command], rest)
    assert read is not None
    assert vars(read) == by_argparse(command, rest)


@pytest.mark.parametrize("line", [
    "run --help", "run -h", "run -j", "run -j4", "run --jobs=4", "run --policy odd", "run --nope", "run --", "run -",
    "run a b", "run --resume", "run --resume last", "run --only --json", "runs -n x", "show", "show a b",
    "logs last -f unit", "lint a b", "measure true",
])  # fmt: skip
def test_all_else_is_left_to_argparse(line: str) -> None:
    command, *rest = line.split()
    assert words.as_declared(MODULES[command], rest) is None
