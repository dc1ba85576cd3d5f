"""`stagebook flaky`: tests and stages that passed and failed on the same commit, out of the history."""

from __future__ import annotations

import sys
import time

from stagebook.cli import output, place
from stagebook.cli.words import nearest, usage_error
from stagebook.history import flaky, queries, store
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
    since_us = None if args.since is None else _since_us(args.since)
    voice = store.Voice(None if args.quiet else lambda text: output.say([text], sys.stderr))
    state = place.state_directory(args)
    document = store.ask(state, lambda connection: flaky.find(connection, args.pipeline, since_us), voice)
    if args.pipeline is not None and not document["flaky"]:
        _refuse_unknown(args.pipeline, store.ask(state, queries.pipelines))
    if args.json:
        output.say_json(document)
    else:
        output.say(report.render(document, output.style_for(sys.stdout, args)))
    return 0


def _refuse_unknown(name: str, known: list[str]) -> None:
    if name not in known:
        near = nearest(name, known)
        raise usage_error(f"no run of a pipeline '{name}' is on record" + (f", did you mean '{near}'?" if near else ""))


def _since_us(text: str) -> int:
    """A duration before now, or the beginning of a day here."""
    from stagebook.model.quantity import duration_ms

    try:
        return int(time.mktime(time.strptime(text, "%Y-%m-%d"))) * 1_000_000
    except (ValueError, OverflowError):
        pass
    try:
        return time.time_ns() // 1000 - duration_ms(text) * 1000
    except ValueError as error:
        raise usage_error(f"--since: {error}, and no day such as 2027-01-31") from None
