"""Each command's help has an example, its options are documented, and the reference page is what the help says."""

from __future__ import annotations

import shlex
from importlib import import_module
from pathlib import Path

import pytest
from tests.cli.conftest import Call

from stagebook.cli import reference
from stagebook.cli.main import COMMANDS
from stagebook.cli.parser import parser_of

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "reference" / "commands.md"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_exit_0_and_ends_with_an_example(call: Call, command: str) -> None:
    done = call(command, "--help")
    assert (done.code, done.err) == (0, "")
    head, _, example = done.out.partition("\nexample:\n")
    assert head.startswith(f"usage: stagebook {command}")
    assert f"stagebook {command}" in example
    for option in ("--json", "--quiet", "--verbose", "--color", "--ascii", "--dir"):
        assert option in head
    assert max(len(line) for line in done.out.splitlines()) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_are_words_that_the_command_takes(command: str) -> None:
    module = import_module(f"stagebook.cli.{COMMANDS[command][0]}")
    for line in module.EXAMPLE.strip().splitlines():
        words = shlex.split(line.split(">")[0].split("|")[0], comments=True)
        if words[:2] != ["stagebook", command]:
            continue
        parser = parser_of(command, COMMANDS[command][1], module)
        _, unknown = parser.parse_known_args(words[2:])
        assert unknown == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_does(command: str) -> None:
    module = import_module(f"stagebook.cli.{COMMANDS[command][0]}")
    for action in parser_of(command, COMMANDS[command][1], module)._actions:
        assert action.help, f"{command} {action.option_strings or action.dest}"


def test_the_reference_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.page(), "python -m stagebook.cli.reference > that page"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_in_a_narrow_window_is_narrow(call: Call, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = call(command, "--help").out.partition("\nexample:\n")[0].splitlines()
    assert max(map(len, lines)) <= 60
