"""`stagebook measure -- CMD`: one command of any script, run as it is and recorded as a stage of a measured run."""

from __future__ import annotations

import os
import re
import sys

from stagebook.cli import place
from stagebook.cli.words import usage_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Mapping

    from stagebook.engine.measure import Measured

EXAMPLE = """\
stagebook measure --run nightly --name unit -- pytest -q
stagebook measure --run nightly --end
"""

VARIABLE = "STAGEBOOK_RUN"

#: A CI system's own words for one run of a pipeline: what tells runs apart, what tells attempts of one apart, and what
#: the pipeline is called.
CI_RUNS = (
    ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_WORKFLOW"),
    ("CI_PIPELINE_ID", None, "CI_PROJECT_NAME"),
    ("CIRCLE_WORKFLOW_ID", None, "CIRCLE_PROJECT_REPONAME"),
    ("BUILD_TAG", None, "JOB_NAME"),
    ("BUILDKITE_BUILD_ID", None, "BUILDKITE_PIPELINE_SLUG"),
    ("SYSTEM_JOBID", None, "BUILD_DEFINITIONNAME"),
    ("BITBUCKET_BUILD_NUMBER", None, "BITBUCKET_REPO_SLUG"),
    ("CODEBUILD_BUILD_ID", None, None),
    ("SEMAPHORE_WORKFLOW_ID", None, "SEMAPHORE_PROJECT_NAME"),
    ("DRONE_BUILD_NUMBER", None, "DRONE_REPO_NAME"),
    ("TRAVIS_BUILD_ID", None, "TRAVIS_REPO_SLUG"),
    ("APPVEYOR_BUILD_ID", None, "APPVEYOR_PROJECT_NAME"),
)


_WORD = re.compile(r"[A-Za-z][A-Za-z0-9:_-]{0,29}", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", metavar="KEY", help=f"joins commands into one run; default: {VARIABLE}, or the CI's")
    parser.add_argument("--name", metavar="N", help="what to call the stage; default: the command's first words")
    parser.add_argument(
        "--needs", nargs="*", action="extend", metavar="N", help="stages it needs; default: those that it came after"
    )
    parser.add_argument("--end", action="store_true", help="close the run instead of running a command")
    parser.add_argument("argv", nargs="...", metavar="-- CMD", help="the command and its arguments")


def execute(args: argparse.Namespace) -> int:
    """The command's own exit status; 127 and 126 where it cannot be found or executed, 128+N for signal N."""
    argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    key, pipeline = key_of(args.run, os.environ)
    if args.end:
        if argv:
            raise usage_error("--end takes no command", "stagebook measure --help shows what is possible")
        return _end(args, key)
    if not argv:
        raise usage_error("which command?", "write it after --, as in stagebook measure -- make test")
    from stagebook.engine import measure

    name = plain_name(args.name if args.name is not None else name_of(argv))
    command = measure.Command(name, tuple(argv), None if args.needs is None else tuple(args.needs), args.json)
    result = measure.measure(
        command, place.state_directory(args), key, pipeline or name, args.settings.accounting, args.settings.durability
    )
    _tell(result, argv[0], args)
    if result.by_terminal is not None:
        measure.die_by(result.by_terminal)
    return result.exit


def key_of(option: str | None, environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """What tells this run from others, None for a run of its own; and what its pipeline is called, if that is known."""
    said = option or environ.get(VARIABLE)
    if said:
        return said, said
    for variable, attempt, name in CI_RUNS:
        value = environ.get(variable)
        if value:
            again = environ.get(attempt, "") if attempt is not None else ""
            return f"{variable}={value}" + (f".{again}" if again else ""), (name and environ.get(name)) or value
    return None, None


def name_of(argv: list[str]) -> str:
    """The program, and its first argument where that is a word as in `git clone` or `make lint`: others may be long,
    or nobody's business."""
    program = os.path.basename(argv[0]) or argv[0]
    word = argv[1] if len(argv) > 1 else ""
    return f"{program} {word}" if _WORD.fullmatch(word) else program


def plain_name(name: str) -> str:
    """A stage's name holds no control characters. Raises InputError for one that is empty."""
    plain = "".join(letter if letter.isprintable() else " " for letter in name).strip()
    if not plain:
        raise usage_error("--name is empty", "leave it out, or give the stage a name")
    return plain


def _tell(result: Measured, program: str, args: argparse.Namespace) -> None:
    """Our own words go to standard error, and only where something is the matter, or with --verbose."""
    if result.exit in (125, 126, 127) and result.outcome == "error":
        _say(result.reason or program)
    for text in result.warnings:
        _say(f"warning: {text}")
    if result.trouble is not None:
        _say(f"warning: not recorded: {result.trouble}")
    elif args.verbose:
        _say(f"{result.stage}: {result.outcome}, run {result.run}")
    if args.json:
        from stagebook.cli import output

        try:
            output.say_json(_document(result))
            sys.stdout.flush()
        except OSError as error:
            _say(f"warning: standard output: {error.strerror}")
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered must not fail again at our exit


def _document(result: Measured) -> dict[str, Any]:
    """The stage's entry of the run's document, with the run; what is known of it where nothing was recorded."""
    if result.directory is not None:
        from stagebook.record import runs

        for stage in runs.document(result.directory)["stages"]:
            if stage["stage"] == result.stage:
                return {"run": result.run, **stage}
    return {
        "run": None, "stage": result.stage, "outcome": result.outcome, "reason": result.reason, "attempts": [],
        "warnings": [f"not recorded: {result.trouble}"],
    }  # fmt: skip


def _end(args: argparse.Namespace, key: str | None) -> int:
    from stagebook.cli import output
    from stagebook.record import measured, runs

    if key is None:
        raise usage_error("which run?", f"give --run KEY, or set {VARIABLE}")
    directory = measured.end(place.state_directory(args), key)
    if args.json:
        output.say_json(runs.document(directory))
    elif args.verbose:
        _say(f"run {os.path.basename(directory)} is over")
    return 0


def _say(text: str) -> None:
    from stagebook.report.harmless import harmless

    try:
        sys.stderr.write(f"stagebook measure: {harmless(text)}\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody reads it, which is no reason to fail
