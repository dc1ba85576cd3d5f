"""`stagebook stats STAGE`: how one stage did in all its runs, alone and in company."""

from __future__ import annotations

import sys

from stagebook.cli import output, place
from stagebook.cli.runs import unknown
from stagebook.cli.words import usage_error
from stagebook.record import runs
from stagebook.report import stats as report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

EXAMPLE = """
stagebook stats unit
stagebook stats "unit[python=3.13]" --pipeline release --json"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("stage", metavar="STAGE", help="the id of a stage; of a matrix, that of a cell")
    parser.add_argument("--pipeline", metavar="NAME", help="only in runs of this pipeline")


def execute(args: Namespace) -> int:
    """0; InputError for a stage or a pipeline that is on no record."""
    from stagebook.cli.voice import voice
    from stagebook.history import queries, store

    def question(connection: Any) -> tuple[dict[str, Any] | None, list[str], list[str]]:
        found = queries.stats(connection, args.stage, args.pipeline)
        if found is not None:
            return found, [], []
        return None, queries.stage_names(connection), queries.pipelines(connection)

    document, stages, pipelines = store.ask(place.state_directory(args), question, voice(args))
    if document is None:
        if args.stage in stages and args.pipeline not in pipelines:
            raise unknown("pipeline", args.pipeline, pipelines)
        if args.stage in stages:
            raise unknown(f"run of {args.pipeline} with stage", args.stage, [])
        near = runs.elsewhere(place.state_directory(args))
        if near:
            raise usage_error(f"no stage `{args.stage}` is on record{near}")
        raise unknown("stage", args.stage, stages)
    if args.json:
        output.say_json(document)
    else:
        output.say(report.render(document, output.style_for(sys.stdout, args)))
    return 0
