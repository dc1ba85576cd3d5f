"""`stagebook diff RUN RUN`: what got slower, what came and went, what had been changed. Asks the two journals only."""

from __future__ import annotations

import sys

from stagebook.cli import output, place
from stagebook.record import reader, runs
from stagebook.record.state import journal_path
from stagebook.record.story import Story
from stagebook.report import diff as report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from stagebook.history.difference import Run

EXAMPLE = """
stagebook diff 01KYAK7Q last
stagebook diff 01KYAK7Q 01KYAMB2 --json"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("before", metavar="RUN", help="an id, its beginning, or last: the run to compare with")
    parser.add_argument("after", metavar="RUN", help="the run that is compared")


def execute(args: Namespace) -> int:
    """0 whatever is different: the question was answered."""
    from stagebook.history.difference import compare

    before, after = (_run(place.run_directory(args, run)) for run in (args.before, args.after))
    document = compare(before, after)
    document["verdict"] = report.verdict(document, lambda run: run)
    if args.json:
        output.say_json(document)
    else:
        short = place.short_ids(place.state_directory(args))
        output.say(report.render(document, output.style_for(sys.stdout, args), short))
    return 0


def _run(directory: str) -> Run:
    from stagebook.history.difference import Run

    recording = reader.load(journal_path(directory))
    return Run(runs.document(directory), Story.from_recording(recording), recording.records[0])
