"""`stagebook map`: the DAG of a pipeline file as text or JSON. Starts nothing; does without a state directory."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, pipelines, place, trouble
from stagebook.cli.words import usage_error
from stagebook.formats.native.read import load
from stagebook.model.pipeline import Pipeline
from stagebook.report import map as mapping
from stagebook.report import problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
stagebook map
stagebook map ci/stagebook.yaml --json"""

FORMATS = ("text", "json")
LATER = ("mermaid", "dot", "svg", "html")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="or a folder; default: the nearest stagebook.yaml upward"
    )
    parser.add_argument("--format", default="text", metavar="FORMAT", help="text (default) or json")
    parser.add_argument("-o", "--out", metavar="FILE", help="write to FILE instead of standard output")


def execute(args: Namespace) -> int:
    """0, or InputError for a file that `run` would refuse and for a format that is not there."""
    if args.format in LATER:
        raise usage_error(f"map --format {args.format} comes in a later version; text and json are here")
    if args.format not in FORMATS:
        raise usage_error(f"unknown format '{args.format}', one of {', '.join(FORMATS)}")
    is_folder = args.file is not None and os.path.isdir(args.file)
    files = pipelines.known_in(args.file) if is_folder else [pipelines.find(args.file)]
    loaded = [load(file, place.cache_directory(args, file)) for file in files]
    for pipeline in loaded:
        pipelines.refuse_bad_conditions(pipeline)
    documents = [mapping.document(pipeline) for pipeline in loaded]
    if args.json or args.format == "json":
        import json

        lines = [json.dumps({"pipelines": documents} if is_folder else documents[0])]
    else:
        lines = []
        for pipeline, document in zip(loaded, documents):
            lines += [""] if lines else []
            lines += mapping.render(document, output.style_for(sys.stdout, args), is_open=args.verbose)
            _tell_problems(args, pipeline)
    if args.out is not None:
        output.write_file(args.out, "\n".join(lines) + "\n")
    else:
        output.say(lines)
    return 0


def _tell_problems(args: Namespace, pipeline: Pipeline) -> None:
    found = [trouble.near(problem) for problem in (*pipeline.problems, *pipeline.unbuilt)]
    if found and not args.quiet:
        style = output.style_for(sys.stderr, args)
        output.say([*problems.render(found, style, trouble.source_line), ""], sys.stderr)
