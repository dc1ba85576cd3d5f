"""`stagebook map`: the DAG of a pipeline file as text, JSON and pictures, and what its shape says against itself.
Starts nothing; does without a state directory.
"""

from __future__ import annotations

import os
import sys

from stagebook import condition
from stagebook.cli import foreign, output, pipelines, place, traps, trouble
from stagebook.cli.words import usage_error
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import OK, WRONG_INPUT, InputError, Problem
from stagebook.report import map as mapping
from stagebook.report import problems
from stagebook.report.durations import plural
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Mapping

EXAMPLE = """
stagebook map
stagebook map ci/stagebook.yaml --json
stagebook map --format svg > map.svg
stagebook map --diff HEAD~1"""

FORMATS = ("text", "json", "mermaid", "dot", "svg", "html", "sarif")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", metavar="FILE",
        help="or a folder; default: the nearest stagebook.yaml upward, else the CI files of the repository",
    )  # fmt: skip
    parser.add_argument(
        "--format", default="text", metavar="FORMAT", help="text (default), json, mermaid, dot, svg, html or sarif"
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="write to FILE instead of standard output")
    parser.add_argument("--diff", metavar="BASE", help="mark what differs from a git revision or another file")
    parser.add_argument("--table", action="store_true", help="what each stage says of failure, order and mode")
    parser.add_argument("--sideways", action="store_true", help="drawn from left to right, where it fits")
    parser.add_argument(
        "--grades", action="store_true", help="list each key of a CI file whose meaning here is not exact"
    )
    parser.add_argument(
        "--steps",
        action="store_true",
        help="show the steps of jobs (of fewer than three anyway), and of what works through items",
    )
    foreign.add_arguments(parser)


def execute(args: Namespace) -> int:
    """0; 2 where one of several files is wrong, which is said, and the others are mapped all the same. InputError for a
    file that `run` would refuse, for a format that is not there, and for a base that cannot be read."""
    format = _format(args)
    is_folder = args.file is not None and os.path.isdir(args.file)
    files = pipelines.known_in(args.file) if is_folder else pipelines.find_all(args.file)
    loaded, wrong = _load(args, files)
    is_many = is_folder or len(files) > 1
    if args.event is not None and is_many:
        from stagebook.cli import map_event

        loaded, documents = map_event.documents(args, loaded, lambda each: _times(args, each), not_run)
        is_many = len(documents) > 1
    else:
        documents = [_document(args, pipeline, is_many) for pipeline in loaded]
    if format == "json":
        whole = {"pipelines": documents, "errors": problems.document(wrong)} if is_many else documents[0]
        if args.out is None:
            output.say_json(whole)
            return WRONG_INPUT if wrong else OK
        import json

        text = json.dumps(whole) + "\n"
    elif format == "text":
        text = _text(args, loaded, documents)
    elif format == "sarif":
        text = _sarif(loaded, documents)
    elif len(documents) > 1:
        names = ", ".join(os.path.relpath(pipeline.file) for pipeline in loaded)
        hint = "; or --event push draws what an event starts as one" if args.event is None else ""
        raise usage_error(f"--format {format} draws one pipeline; name its file, one of {names}{hint}")
    else:
        text = _picture(format, documents[0])
    if args.out is not None:
        output.write_file(args.out, text)
    elif text.strip():
        output.say([text.rstrip("\n")])
    if wrong:
        style = output.style_for(sys.stderr, args)
        output.say(["", *problems.render(wrong, style, trouble.source_line), "", problems.tally(wrong)], sys.stderr)
    return WRONG_INPUT if wrong else OK


def _load(args: Namespace, files: list[str]) -> tuple[list[Pipeline], list[Problem]]:
    """The pipelines of the files, and what is wrong with the others of several. InputError where none is sound."""
    loaded: list[Pipeline] = []
    wrong: list[Problem] = []
    for file in files:
        try:
            pipeline = foreign.load(args, file, place.cache_directory(args, file))
            pipelines.refuse_bad_conditions(pipeline)
        except InputError as refused:
            if len(files) == 1:
                raise
            wrong += refused.problems or [Problem(file, 0, 0, "file", "error", str(refused))]
        else:
            loaded.append(pipeline)
    if not loaded:
        raise InputError(f"none of {plural(len(files), 'file')} can be read", wrong)
    return loaded, [trouble.near(problem) for problem in wrong]


def _document(args: Namespace, pipeline: Pipeline, is_many: bool) -> dict[str, Any]:
    asked = condition.asked(pipeline)
    known, steps = _times(args, pipeline)
    caps, more, out = traps.caps(pipeline), traps.of_source(pipeline), not_run(pipeline, known)
    document = mapping.document(pipeline, known, asked, caps, more, steps, out)
    if args.diff is not None:
        _compare(args, document, pipeline, is_many)
    return document


def _format(args: Namespace) -> str:
    if args.format not in FORMATS:
        raise usage_error(f"unknown format '{args.format}', one of {', '.join(FORMATS)}")
    if args.json and args.format not in ("text", "json"):
        raise usage_error(f"--json and --format {args.format} are two documents; choose one")
    format = "json" if args.json else str(args.format)
    for option in ("table", "sideways"):
        if getattr(args, option) and format != "text":
            raise usage_error(f"--{option} is text; it does not go with {format}")
    if args.table and args.sideways:
        raise usage_error("--table and --sideways are two pictures; choose one")
    return format


def _times(args: Namespace, pipeline: Pipeline) -> tuple[dict[str, int], dict[str, list[float | None]]]:
    """Milliseconds that its stages took lately, from what runs have left, here or in a CI system; and what the steps of
    its jobs took there. Empty where there were none."""
    from stagebook.record import durations

    ids = {stage.id for stage in pipeline.stages}
    known = durations.load(place.cache_directory(args, pipeline.file), pipeline.file)
    known = {stage: ms for stage, ms in known.items() if stage in ids}
    if all(stage.job is None for stage in pipeline.stages):
        return known, {}
    from stagebook.record import recorded_times

    found = recorded_times.times(place.state_directory(args, pipeline.file), pipeline.file)
    known |= {stage: ms for stage, ms in found.stages.items() if stage in ids}
    steps = {
        stage.id: [found.steps[stage.id].get(step.name) for step in stage.job.steps]
        for stage in pipeline.stages if stage.job is not None and found.steps.get(stage.id)
    }  # fmt: skip
    return known, {stage: took for stage, took in steps.items() if 2 * took.count(None) < len(took)}


def not_run(pipeline: Pipeline, known: Mapping[str, int]) -> list[str]:
    """The jobs of a CI system's file that their conditions keep from running, as far as that can be told beforehand;
    asked only where figures stand on it."""
    if not known or all(stage.job is None or stage.when is None for stage in pipeline.stages):
        return []
    from stagebook.cli import playable
    from stagebook.condition import facts

    found = facts.gather(pipeline.folder, {}, os.environ, None, facts.wanted(pipeline))
    return [pipeline.stages[index].id for index in sorted(playable.foreseen(pipeline, found))]


def _compare(args: Namespace, document: dict[str, Any], pipeline: Pipeline, is_many: bool) -> None:
    """Of several files one may be new: then all of it is."""
    from stagebook.cli import revision
    from stagebook.graph.difference import difference

    base = args.diff
    before = revision.pipeline_at(base, pipeline.file, foreign.request(args), pipeline.format, is_many)
    before = before or pipeline._replace(stages=(), matrices={}, groups={})
    mapping.add_difference(document, mapping.document(before), base, difference(before, pipeline))


def _text(args: Namespace, loaded: list[Pipeline], documents: list[dict[str, Any]]) -> str:
    from stagebook.report import map_text

    style = output.style_for(sys.stdout, args)
    lines: list[str] = []
    if len(documents) > 1 and not (
        args.table or args.sideways or args.verbose or args.steps or args.diff or args.grades
    ):
        from stagebook.report import map_many

        for pipeline in loaded:
            _tell_problems(args, pipeline)
        lines = map_many.render(documents, [trouble.near_path(pipeline.file) for pipeline in loaded], style)
        return "\n".join(lines) + "\n"
    for pipeline, document in zip(loaded, documents):
        lines += [""] if lines else []
        if len(documents) > 1:
            lines.append(style.paint(style.plain(harmless(trouble.near_path(pipeline.file))), "mute"))
        if args.table:
            lines += map_text.table(document, style)
        elif args.sideways:
            from stagebook.report import sideways

            drawn = sideways.draw(document, style)
            lines += map_text.head(document, style)
            lines += (
                ["", *drawn]
                if drawn
                else ["", "too wide or too tangled to be drawn sideways here; `stagebook map` shows the levels"]
            )
        else:
            lines += map_text.render(document, style, is_open=args.verbose, steps=args.steps)
        if args.grades and document["grades"] is not None:
            from stagebook.report import grades

            lines += ["", *map(style.plain, grades.lines(document["grades"]))]
        _tell_problems(args, pipeline)
        if args.steps and not args.quiet and all(stage.kind not in ("each", "job") for stage in pipeline.stages):
            output.say(["no stage has steps: jobs of CI files and item pipelines (`each`) have some", ""], sys.stderr)
    return "\n".join(lines) + "\n"


def _picture(format: str, document: dict[str, Any]) -> str:
    """Whoever draws is imported only here: some bring a layout with them."""
    if format == "mermaid":
        from stagebook.report.export import mermaid

        return "".join(mermaid.flowchart(document))
    if format == "dot":
        from stagebook.report.export import dot

        return dot.render(document)
    if format == "svg":
        from stagebook.report.export import map_svg

        return map_svg.draw(document)
    from stagebook.report.page import map as page

    return page.render(document)


def _sarif(loaded: list[Pipeline], documents: list[dict[str, Any]]) -> str:
    from stagebook.record.state import git_root
    from stagebook.report.export import sarif

    found: list[Problem] = []
    for pipeline, document in zip(loaded, documents):
        found += [*pipeline.problems, *pipeline.unbuilt]
        for each in document["findings"]:
            text = f"{each['message']}. {each['fix'][:1].upper()}{each['fix'][1:]}." if each["fix"] else each["message"]
            found.append(
                Problem(each.get("file") or pipeline.file, each["line"] or 0, 0, each["code"], each["level"], text)
            )
    folder = loaded[0].folder
    return sarif.render(found, git_root(folder) or folder)


def _tell_problems(args: Namespace, pipeline: Pipeline) -> None:
    found = [trouble.near(problem) for problem in (*pipeline.problems, *pipeline.unbuilt)]
    if found and not args.quiet:
        style = output.style_for(sys.stderr, args)
        shown = found if args.verbose else problems.folded(found)
        output.say([*problems.render(shown, style, trouble.source_line), ""], sys.stderr)
