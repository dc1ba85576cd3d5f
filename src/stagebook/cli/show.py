"""`stagebook show RUN`: one run as text or as the document that `run --json` printed."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, place
from stagebook.cli.excerpt import Excerpts
from stagebook.record import runs
from stagebook.report import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

EXAMPLE = """
stagebook show last
stagebook show 01KYAK7Q --metrics"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("--metrics", action="store_true", help="what each attempt used, and how that was counted")


def execute(args: Namespace) -> int:
    """0 whatever the run's outcome: the question was answered."""
    directory = place.run_directory(args, args.run)
    document = runs.document(directory)
    if args.json:
        output.say_json(document)
        return 0
    style = output.style_for(sys.stdout, args)
    document["from_here"] = place.from_here(args, os.getcwd(), document["file"], place.state_directory(args))
    short = place.short_ids(place.state_directory(args))(document["run"])
    if args.metrics:
        output.say(show.metrics(document, style))
    else:
        output.say(show.render(document, style, Excerpts(log_paths(document)).tail, short))
    return 0


def log_paths(document: dict[str, Any]) -> Any:
    """(stage, attempt) to the path of its log, as the document tells it; (step, -number) to that of an item that
    failed."""
    known = {
        (stage["stage"], attempt["attempt"]): attempt["log"]
        for stage in document["stages"]
        for attempt in stage["attempts"]
    }
    for stage in document["stages"]:
        known |= {(each["step"], -each["item"]): each["log"] for each in stage.get("items", {}).get("failures", ())}
    return lambda stage, attempt: known.get((stage, attempt))
