"""`stagebook import SYSTEM FILE`: a CI system's file as a native one, and what of it is lost."""

from __future__ import annotations

import os
import sys

from stagebook.cli import foreign, output
from stagebook.cli.words import usage_error
from stagebook.formats import load
from stagebook.model.problem import FAILED, OK, InputError, Problem
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from stagebook.formats.convert import Converted
    from stagebook.formats.request import Request
    from stagebook.model.pipeline import Pipeline


def execute(args: Any, system: str, file: str) -> int:
    """0; 1 under `--strict` where something is lost; InputError for a file that is wrong, or another system's."""
    if args.instrument:
        return _instrument(args, system, file)
    pipeline = load.load(os.path.abspath(file), None, foreign.request(args), getattr(args, "as", None) or system)
    if pipeline.format != system:
        raise usage_error(f"{file} is a file of {pipeline.format}, not of {system}")
    from stagebook.formats import convert

    made = convert.convert(pipeline, _elsewhere(pipeline, foreign.request(args)))
    _check(pipeline, made)
    if args.json:
        output.say_json(_document(pipeline, made))
    elif args.report:
        from stagebook.report import converted

        output.say(converted.render(_document(pipeline, made), output.style_for(sys.stdout, args)))
    elif args.out is not None:
        output.write_file(args.out, made.text)
    else:
        sys.stdout.write(made.text)
    if made.lost and not (args.json or args.report or args.quiet):
        from stagebook.report.durations import plural

        output.say([f"{plural(len(made.lost), 'thing')} not carried over as it was: see the comments"], sys.stderr)
    return FAILED if args.strict and made.lost else OK


def _elsewhere(pipeline: Pipeline, request: Request) -> set[str] | None:
    """The stages of a GitLab file in a pipeline of some other branch, whose rules say so when it is read."""
    if pipeline.format != "gitlab":
        return None
    try:
        other = load.load(pipeline.file, None, request._replace(ref="stagebook/some-other-branch"), "gitlab")
    except InputError:
        return None
    return {stage.id for stage in other.stages}


def _instrument(args: Any, system: str, file: str) -> int:
    """A diff that has each job's commands measured."""
    if system != "github":
        raise usage_error(
            "--instrument: GitLab runs all commands of a job in one shell, so there is no one line for it; put "
            "`stagebook measure --` before the commands that matter"
        )
    path = os.path.abspath(file)
    load.load(path, None, foreign.request(args), system)  # which says what is wrong with it
    from stagebook.cli.patch import name_in_git
    from stagebook.formats.github import instrument
    from stagebook.formats.native.patch import diff
    from stagebook.formats.native.read import bytes_of
    from stagebook.formats.source.nodes import read

    data = bytes_of(file, path)
    made = instrument.instrumented(read(data, path))
    text = diff(data, made.data, name_in_git(path)) if made.jobs else ""
    if args.json:
        output.say_json({"file": path, "diff": text, "jobs": list(made.jobs), "left": list(made.left)})
        return OK
    if args.out is not None:
        output.write_file(args.out, text)
    else:
        sys.stdout.write(text)
    if made.left and not args.quiet:
        output.say([f"not measured: {harmless(each)}" for each in made.left], sys.stderr)
    return OK


def _check(pipeline: Pipeline, made: Converted) -> None:
    """What is printed is read by the native reader, and has the same stages and needs."""
    from stagebook.cli.pipelines import bad_conditions
    from stagebook.formats.native import read

    found, problems = read.parse(made.text.encode("utf-8", "surrogateescape"), "stagebook.yaml")
    problems = (*problems, *(bad_conditions(found) if found is not None else ()))
    errors = [each for each in problems if each.level == "error"]
    if found is None or errors:
        raise _refusal(pipeline, [(_source_line(made, each.line), each.message) for each in errors])
    has = {stage.id: set(stage.needs) for stage in found.stages}
    others = [
        (stage.line, f"{stage.id} has other needs when it is read")
        for stage in pipeline.stages
        if has.pop(made.ids[stage.id], None) != {made.ids[need] for need in stage.needs}
    ]
    if others or has:
        raise _refusal(pipeline, others or [(0, "it has more stages when it is read")])


def _source_line(made: Converted, line: int) -> int:
    """In the user's file, of the stage that a line of the text is in; 0 before all stages."""
    return max(((at, source) for at, source in made.lines if at <= line), default=(0, 0))[1]


def _refusal(pipeline: Pipeline, found: list[tuple[int, str]]) -> InputError:
    said = [
        Problem(pipeline.file, line, 1 if line else 0, "convert", "error", f"cannot be converted: {harmless(text)}")
        for line, text in found[:20]
    ]
    return InputError(f"{pipeline.file}: cannot be converted", said)


def _document(pipeline: Pipeline, made: Converted) -> dict[str, Any]:
    grades = list(dict.fromkeys(pipeline.grades))
    return {
        "file": pipeline.file,
        "format": pipeline.format,
        "stages": len(pipeline.stages),
        "text": made.text,
        "grades": [each._asdict() for each in grades],
        "counts": _counts([each.grade for each in grades]),
        "lost": [each._asdict() for each in made.lost],
        "renamed": {old: new for old, new in made.ids.items() if old != new},
    }


def _counts(grades: Sequence[str]) -> dict[str, int]:
    from stagebook.model.job import GRADES

    return {grade: grades.count(grade) for grade in GRADES}
