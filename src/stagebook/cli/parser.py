"""argparse, as our commands use it: for help, for wrong words, and for all that `words` does not read itself.

`argparse` is imported here and nowhere else. It is told its width, since asking it to find out imports `shutil`.
"""

from __future__ import annotations

import argparse
import os
import sys

from stagebook.cli.words import declare_common, nearest, usage_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from stagebook.model.problem import InputError

# For each of its phrases argparse asks gettext, which imports `locale`. Our words are English, so its may be too.
vars(argparse)["_"] = str


class _Format(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        said = os.environ.get("COLUMNS", "")
        width = int(said) if said.isdigit() and int(said) >= 40 else 80
        super().__init__(prog, max_help_position=30, width=width)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """The same words on every Python: from 3.13 on the value is named once, after all spellings of an option."""
        if not action.option_strings:
            return super()._format_action_invocation(action)
        spellings = ", ".join(action.option_strings)
        if action.nargs == 0:
            return spellings
        return f"{spellings} {self._format_args(action, self._get_default_metavar_for_optional(action))}"


class Parser(argparse.ArgumentParser):
    """Wrong words raise InputError, as every other mistake of a user does, instead of ending the process."""

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse's, which keeps silent about a full device."""
        (file or sys.stdout).write(message)

    def error(self, message: str) -> NoReturn:
        raise usage_error(message, f"stagebook {self.prog.split(' ', 1)[-1]} --help shows what is possible")


def parse(command: str, purpose: str, module: Any, words: list[str]) -> argparse.Namespace:
    """Raises InputError for words that the command lacks; for `--help` SystemExit, when it has been printed."""
    parser = parser_of(command, purpose, module)
    args, unknown = parser.parse_known_args(words)
    if unknown:
        raise _unknown_words(unknown, parser)
    return args


def parser_of(command: str, purpose: str, module: Any) -> Parser:
    parser = Parser(
        prog=f"stagebook {command}",
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog="example:\n" + "\n".join("  " + line for line in module.EXAMPLE.strip().splitlines()),
        formatter_class=_Format,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    declare_common(parser)
    return parser


def _unknown_words(unknown: list[str], parser: Parser) -> InputError:
    options = [word for word in unknown if word.startswith("-")]
    hint = f"{parser.prog} --help shows what is possible"
    if not options:
        return usage_error(f"unexpected argument '{unknown[0]}'", hint)
    word = options[0].split("=", 1)[0]
    known = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    near = nearest(word, known)
    return usage_error(
        f"unknown option '{word}', did you mean '{near}'?" if near else f"unknown option '{word}'; {hint}"
    )
