"""`stagebook schema`: the JSON Schema of the native file, from the table that also judges it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
stagebook schema > stagebook.schema.json"""


def add_arguments(parser: ArgumentParser) -> None:
    """None of its own: the schema is always JSON."""


def execute(args: Namespace) -> int:
    import json

    from stagebook.formats.native.schema import schema

    sys.stdout.write(json.dumps(schema(), indent=None if args.json else 2) + "\n")
    return 0
