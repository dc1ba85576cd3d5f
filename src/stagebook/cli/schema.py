"""`stagebook schema`: JSON Schemas of what people and scripts read and write, from the tables that also judge it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

EXAMPLE = """
stagebook schema > stagebook.schema.json
stagebook schema journal > journal-line.schema.json"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "of",
        nargs="?",
        metavar="WHAT",
        help="pipeline: stagebook.yaml, the default; journal: one line of a journal; log: one of logs --format json",
    )


def execute(args: Namespace) -> int:
    import json

    sys.stdout.write(json.dumps(_schema(args.of), indent=None if args.json else 2) + "\n")
    return 0


def _schema(of: str | None) -> dict[str, Any]:
    if of in (None, "pipeline"):
        from stagebook.formats.native.schema import schema

        return schema()
    from stagebook.record import events

    if of == "journal":
        return events.journal()
    if of == "log":
        return events.log()
    from stagebook.cli.words import usage_error

    raise usage_error(f"there is no schema of '{of}'", "pipeline, journal and log have one")
