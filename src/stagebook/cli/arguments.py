"""The arguments of a command, read from its words in the quick way where that will do, with settings beside them."""

from __future__ import annotations

from stagebook.cli import settings
from stagebook.cli.words import as_declared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse(command: str, purpose: str, module: Any, words: list[str]) -> Any:
    """The arguments of `command`, with `command`, and `settings` resolved. Raises InputError for words it lacks."""
    args = as_declared(module, words)
    if args is None:
        from stagebook.cli import parser

        args = parser.parse(command, purpose, module, words)
    args.command = command
    args.settings = settings.load(args, own=getattr(module, "OWN", ()))
    return args
