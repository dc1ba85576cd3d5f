"""`stagebook flaky`: tests and stages that passed and failed on the same commit, out of the history."""

from __future__ import annotations

import sys
import time

from stagebook.cli import output, place, voice
from stagebook.cli.words import nearest, usage_error
from stagebook.history import flaky, queries, store
from stagebook.history.schema import storable
from stagebook.report import flaky as report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
stagebook flaky
stagebook flaky --pipeline release --since 30d --json"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--pipeline", metavar="NAME", help="runs of this pipeline only")
    parser.add_argument("--since", metavar="WHEN", help="runs since then only: 30d, 12h, or a day such as 2027-01-31")


def execute(args: Namespace) -> int:
    """0 whatever is found: the question was answered."""
    now_us = time.time_ns() // 1000
    since_us = None if args.since is None else voice.moment_us("--since", args.since, now_us)
    state = place.state_directory(args)
    pipeline = None if args.pipeline is None else storable(args.pipeline)
    document = store.ask(state, lambda connection: flaky.find(connection, pipeline, since_us), voice.voice(args))
    if pipeline is not None and not document["flaky"]:
        _refuse_unknown(pipeline, store.ask(state, queries.pipelines))
    if args.json:
        output.say_json(document)
    else:
        output.say(report.render(document, output.style_for(sys.stdout, args)))
    return 0


def _refuse_unknown(name: str, known: list[str]) -> None:
    if name not in known:
        near = nearest(name, known)
        raise usage_error(f"no run of a pipeline '{name}' is on record" + (f", did you mean '{near}'?" if near else ""))
