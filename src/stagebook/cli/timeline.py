"""`stagebook timeline RUN`: what ran when, what waited for what, and the critical path."""

from __future__ import annotations

import sys

from stagebook.cli import output, place
from stagebook.cli.words import usage_error
from stagebook.record import runs
from stagebook.report import summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
stagebook timeline last
stagebook timeline last --ascii > timeline.txt"""

LATER = ("html", "svg", "mermaid", "perfetto", "csv", "markdown")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("--format", default="text", metavar="FORMAT", help="text (default) or json")
    parser.add_argument("-o", "--out", metavar="FILE", help="write to FILE instead of standard output")


def execute(args: Namespace) -> int:
    if args.format in LATER:
        raise usage_error(f"timeline --format {args.format} comes in a later version; text and json are here")
    if args.format not in ("text", "json"):
        raise usage_error(f"unknown format '{args.format}', one of text, json")
    document = runs.document(place.run_directory(args, args.run))
    if args.json or args.format == "json":
        import json

        lines = [json.dumps(document)]
    else:
        style = output.style_for(sys.stdout, args)
        lines = [*summary.picture(document, style), "", *summary.totals(document, style)]
    if args.out is not None:
        output.write_file(args.out, "\n".join(lines) + "\n")
    else:
        output.say(lines)
    return 0
