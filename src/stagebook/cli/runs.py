"""`stagebook runs`: the runs on record, newest first."""

from __future__ import annotations

import os
import sys
from itertools import islice

from stagebook.cli import output, place
from stagebook.cli.words import usage_error
from stagebook.record import runs
from stagebook.record.state import journal_path, run_directory
from stagebook.report import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
stagebook runs
stagebook runs --limit 5 --json"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--limit", type=int, metavar="N", help="the newest N only; default: 20 as text, all as JSON"
    )


def execute(args: Namespace) -> int:
    if args.limit is not None and args.limit < 0:
        raise usage_error(f"--limit {args.limit} is below 0")
    state = place.state_directory(args)
    limit = args.limit if args.limit is not None else None if args.json else 20
    found = list(islice(runs.summaries(state), limit))
    if args.json:
        output.say_json({"runs": found})
    else:
        more = 0
        if limit is not None:
            older = [run for run in runs.ids(state) if not found or run < found[-1]["run"]]
            more = sum(os.path.exists(journal_path(run_directory(state, run))) for run in older)
        output.say(listing.render(found, output.style_for(sys.stdout, args), place.short_ids(state), more))
    return 0
