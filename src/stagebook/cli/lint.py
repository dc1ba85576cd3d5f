"""`stagebook lint`: problems in pipeline files, all at once, each with its place. Starts nothing, writes nothing."""

from __future__ import annotations

import os
import sys

from stagebook.cli import foreign, output, pipelines, trouble
from stagebook.cli.words import usage_error
from stagebook.formats import load as loading
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import FAILED, OK, WRONG_INPUT, InputError, Problem
from stagebook.report import grades, problems
from stagebook.report.durations import plural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
stagebook lint stagebook.yaml
stagebook lint --strict --json
stagebook lint --sarif -o lint.sarif"""

FORMATS = ("text", "json", "sarif", "codequality")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", help="or a folder; default as of `map`")
    parser.add_argument("--format", choices=FORMATS, default="text", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--sarif", action="store_true", help="the same as --format sarif, for code scanners")
    parser.add_argument("-o", "--out", metavar="FILE", help="write SARIF to FILE instead of standard output")
    parser.add_argument(
        "--strict", action="store_true", help="warnings count as errors: exit 1; asks what acts outside for `ordering`"
    )
    parser.add_argument(
        "--grades", action="store_true", help="list each key of a CI file whose meaning here is not exact"
    )
    foreign.add_arguments(parser)


def execute(args: Namespace) -> int:
    """0: nothing at error level; 1: a warning under `--strict`; 2: a file that `run` would refuse."""
    format = _format(args)
    found: list[Problem] = []
    good: list[tuple[str, Pipeline]] = []
    for file in _files(args.files):
        try:
            pipeline = foreign.load(args, file, None)
        except InputError as refused:
            found += refused.problems or [Problem(file, 0, 0, "file", "error", str(refused))]
        else:
            good.append((file, pipeline))
            found += [*pipelines.bad_conditions(pipeline), *pipeline.problems, *_quarantines(pipeline)]
            found += [*_beyond(pipeline), *_providers(pipeline)]
            found += _unmarked(pipeline) if args.strict and pipeline.format == "native" else []
            found += pipeline.missing
            found += _traps(pipeline)
            found += pipeline.unbuilt
    found = [trouble.near(problem) for problem in found]
    code = OK
    if any(problem.level == "error" for problem in found):
        code = WRONG_INPUT
    elif args.strict and any(problem.level == "warning" for problem in found):
        code = FAILED
    if format in ("sarif", "codequality"):
        _say_report(args, found, format)
    elif format == "json":
        output.say_json({"notes": problems.document(found), "ok": code == OK, "files": [_facts(*one) for one in good]})
    else:
        _say(args, found, good, code)
    return code


def _files(named: list[str]) -> list[str]:
    """A folder stands for all pipeline files in it that are known by name."""
    if not named:
        return pipelines.find_all(None)
    return [file for each in named for file in (pipelines.known_in(each) if os.path.isdir(each) else [each])]


def _format(args: Namespace) -> str:
    asked = {"sarif"} if args.sarif else set()
    asked |= {"json"} if args.json else set()
    asked |= {args.format} if args.format != "text" else set()
    if len(asked) > 1:
        raise usage_error(f"{' and '.join(sorted(asked))} are two documents; choose one")
    format = asked.pop() if asked else "text"
    if args.out is not None and format not in ("sarif", "codequality"):
        raise usage_error("-o is for --sarif and --format codequality")
    return format


def _say_report(args: Namespace, found: list[Problem], format: str) -> None:
    from stagebook.record.state import git_root
    from stagebook.report.export import codequality, sarif

    here = os.getcwd()
    whole = [problem._replace(file=problem.file and os.path.abspath(problem.file)) for problem in found]
    text = (sarif if format == "sarif" else codequality).render(whole, git_root(here) or here)
    if args.out is not None:
        output.write_file(args.out, text)
    else:
        output.say([text.rstrip("\n")])


#: What `run` refuses although each key by itself is sound.
_BEYOND = frozenset(("demand-over-capacity", "demand-over-rate"))


def _beyond(pipeline: Pipeline) -> list[Problem]:
    """Demands that no capacity can ever meet, as the plan of a run would find them."""
    from stagebook.observe import cores
    from stagebook.scheduler.build import build
    from stagebook.scheduler.plan import Choice

    try:
        build(pipeline, Choice(cores.usable()))
    except InputError as refused:
        return [problem for problem in refused.problems if problem.code in _BEYOND]
    return []


def _providers(pipeline: Pipeline) -> list[Problem]:
    if pipeline.limits.provider is None:
        return []
    from stagebook.plan import providers

    problem = providers.problem(pipeline)
    return [] if problem is None else [problem]


def _quarantines(pipeline: Pipeline) -> list[Problem]:
    if not any(stage.quarantine is not None for stage in pipeline.stages):
        return []
    import time

    from stagebook.condition import quarantine

    return quarantine.problems(pipeline, time.strftime("%Y-%m-%d"))


def _unmarked(pipeline: Pipeline) -> list[Problem]:
    """What acts outside and does not say why its order must stay: whoever reorders stages has to know. That it may run
    twice or not is asked for when the file is read."""
    from stagebook.graph.intent import outside

    acting = outside(pipeline)
    found = []
    for stage in pipeline.stages:
        if stage.id in acting and stage.ordering is None:
            hint = "say why its order must stay, as `ordering: {strict: after all tests}`"
            said = f"stage `{stage.id}` acts outside ({acting[stage.id]}); {hint}"
            found.append(Problem(pipeline.file, stage.line, stage.col, "ordering", "warning", said))
    return found


def _traps(pipeline: Pipeline) -> list[Problem]:
    """Of a CI system's file, what a map says against it too: there is no one else who would."""
    if pipeline.format not in loading.FOREIGN:
        return []
    from stagebook.cli import traps

    found = []
    for each in traps.all_of(pipeline):
        text = f"{each.message}: {each.why}" if each.why else each.message
        text += f"; {each.fix}" if each.fix else ""
        file = pipeline.file if each.file is None else os.path.join(pipeline.folder, each.file)
        found.append(Problem(file, each.line, 0, each.code, each.level, text))
    return found


def _facts(file: str, pipeline: Pipeline) -> dict[str, object]:
    made: dict[str, object] = {
        "file": trouble.near_path(file),
        "stages": len(pipeline.stages),
        "edges": edges(pipeline),
    }
    if pipeline.format != "native":
        made |= {"format": pipeline.format, "grades": grades.document(pipeline)}
        made["missing"] = [
            {"code": each.code, "line": each.line or None, "message": each.message} for each in pipeline.missing
        ]
    return made


def edges(pipeline: Pipeline) -> int:
    return sum(len(stage.needs) for stage in pipeline.stages)


def _say(args: Namespace, found: list[Problem], good: list[tuple[str, Pipeline]], code: int) -> None:
    shown = [problem for problem in found if problem.level == "error"] if args.quiet else found
    style = output.style_for(sys.stderr, args)
    output.say(problems.render(shown, style, trouble.source_line), sys.stderr)
    tally = problems.tally(shown)
    if tally:
        output.say(["", f"{tally}, nothing was run" if code else tally], sys.stderr)
    if code or args.quiet:
        return
    for file, pipeline in good:
        count = f"{plural(len(pipeline.stages), 'stage')}, {plural(edges(pipeline), 'edge')}"
        name = f"{trouble.near_path(file)}: " if len(good) > 1 else ""
        output.say([f"{name}ok: {count}"])
        if (found_here := grades.document(pipeline)) is not None:
            output.say([f"{name}{grades.summary(found_here)}" + ("" if args.grades else "; --grades lists them")])
            output.say(grades.lines(found_here) if args.grades else [])
