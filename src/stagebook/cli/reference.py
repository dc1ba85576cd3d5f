"""Writes the reference page of all commands from their own help: `python -m stagebook.cli.reference > PAGE`."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from stagebook.cli.main import COMMANDS
from stagebook.cli.parser import parser_of

_HEAD = """\
# Commands

<!-- Written by `python -m stagebook.cli.reference`; a test holds it to what `--help` says. -->

Exit codes: 0 it worked; 1 the run failed, or a check did; 2 the input is wrong and nothing was started; 3 a person is
waited for; 4 the surroundings gave way; 5 a defect of Stagebook; 130, 143, 129 after INT, TERM, HUP.

With `--json` one JSON document is on standard output and nothing else; progress goes to standard error.
"""


def page() -> str:
    """Markdown, the same on every machine and in every window."""
    parts = [_HEAD]
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        for command, (name, purpose) in COMMANDS.items():
            module = import_module(f"stagebook.cli.{name}")
            text = parser_of(command, purpose, module).format_help().rstrip("\n")
            parts.append(f"## {command}\n\n```text\n{text}\n```\n")
    finally:
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
