"""What `run` may be told beside a file of a CI system: which jobs, whose secrets and variables, what stands for what it
has not; and the pipeline made with it. Reading the file is `foreign`, whether it may run at all `trust`.
"""

from __future__ import annotations

import os
import re

from stagebook.cli import foreign, playable
from stagebook.cli.words import usage_error
from stagebook.formats import load as loading
from stagebook.formats.native import cache
from stagebook.formats.native.read import Loaded
from stagebook.formats.request import Request
from stagebook.model.pipeline import Pipeline, Secret, Stage
from stagebook.model.problem import InputError, Problem
from stagebook.record.state import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any, Mapping

    from stagebook.condition.facts import Facts
    from stagebook.scheduler.plan import Choice, Plan

FILE_BYTES_MAX = 1 << 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPTIONS = ("job", "matrix", "play", "secret_file", "env_file", "unplayable", "uses")
_WORDS = ("skip", "fail")


def add_arguments(parser: ArgumentParser) -> None:
    """Those of `run` alone."""
    group = parser.add_argument_group("jobs of a CI system's file")
    for option, metavar, text in (
        ("--job", "JOB", "this job and all that it needs; a manual one is played"),
        ("--matrix", "NAME=VALUE", "of a matrix only the jobs with this value"),
        ("--play", "JOB", "start this manual job"),
    ):
        group.add_argument(option, action="append", default=[], metavar=metavar, help=text)
    group.add_argument("--secret-file", metavar="FILE", help="secrets, a line NAME=VALUE each; masked everywhere")
    group.add_argument("--env-file", metavar="FILE", help="variables of all jobs, a line NAME=VALUE each")
    group.add_argument("--unplayable", choices=_WORDS, help="jobs that cannot run here; default: fail")
    group.add_argument("--uses", choices=_WORDS, help="steps by actions that nothing here stands for; default: fail")


def load_plain(args: Any, file: str, cache_dir: str | None) -> Loaded:
    """The pipeline of a file, read as `run` was told. InputError if it is wrong."""
    format = getattr(args, "as", None) or foreign.format_at(file)
    if format not in loading.FOREIGN:
        _refuse_options(args)
        return foreign.load_plain(args, file, cache_dir)
    request = foreign.request(args)
    request = request._replace(play=(*request.play, *args.play, *args.job))
    local = {
        "as": format,
        "request": request._asdict(),
        "images": dict(args.settings.images),
        "uses": args.uses or "fail",
        "secret_file": _absolute(args.secret_file),
        "env_file": _absolute(args.env_file),
    }
    return read(file, {name: value for name, value in local.items() if value})


def again(pipeline: Pipeline, cache_dir: str | None) -> Loaded:
    """The file of a pipeline as it is now, read as it was then. InputError."""
    if pipeline.format not in loading.FOREIGN:
        return loading.load_plain(pipeline.file, cache_dir, as_="native")
    return read(pipeline.file, pipeline.local)


def read(file: str, local: Mapping[str, Any]) -> Loaded:
    """`local` is what becomes `Pipeline.local`. InputError."""
    said = dict(local.get("request", {}))
    for name in ("play",):
        said[name] = tuple(said.get(name, ()))
    request = Request(**{name: value for name, value in said.items() if name in Request._fields})
    env = _lines(local["env_file"], "--env-file") if local.get("env_file") else {}
    if local.get("as") == "gitlab":
        request = request._replace(variables={**env, **request.variables})
    pipeline = loading.load_plain(file, None, request, local.get("as")).pipeline
    if env:
        pipeline = pipeline._replace(env={**pipeline.env, **env})
    if local.get("secret_file"):
        pipeline = _with_secrets(pipeline, local["secret_file"])
    pipeline = playable.marked(pipeline._replace(local=dict(local)), local.get("uses") == "skip")
    return Loaded(pipeline, cache.encode(pipeline), False)


def chosen(args: Any, pipeline: Pipeline, choice: Choice) -> Choice:
    """With what `--job`, `--matrix` and `--unplayable` pick. InputError."""
    if pipeline.format not in loading.FOREIGN:
        return choice
    if not pipeline.stages:
        told = "".join(f"; {each.message}" for each in pipeline.problems[:1])
        raise _refused(
            pipeline, f"no job of {pipeline.file} runs for this event and ref{told}; `stagebook map` says why"
        )
    until = tuple(stage for name in args.job for stage in _named(pipeline, name))
    skip = _cells_left_out(args.matrix, pipeline) if args.matrix else ()
    if args.unplayable == "skip":
        skip += tuple(stage.id for stage in pipeline.stages if stage.job is not None and stage.job.unplayable)
    else:
        skip += tuple(stage.id for stage in pipeline.stages if playable.is_emptied(stage))
    return choice._replace(until=choice.until + until, skip=choice.skip + skip)


def refuse_unplayable(pipeline: Pipeline, plan: Plan, facts: Facts | None) -> list[Problem]:
    """InputError with all that is wrong where a job that is to run cannot, none can, or one is sure to come to a step
    that cannot; else what is to be told of steps. Jobs that their conditions keep from running are not asked about."""
    out = playable.foreseen(pipeline, facts)
    selected = [index for index, planned in enumerate(plan.stages) if planned.skip is None]
    jobs = [(index, stage) for index, stage in enumerate(pipeline.stages) if stage.job is not None]
    meant = {*selected} - out
    problems = [_problem(pipeline, stage) for _, stage in jobs if stage.job is not None and stage.job.unplayable]
    if not any(pipeline.stages[index].kind != "gate" for index in (meant if problems else selected)):
        raise InputError(f"nothing of {pipeline.file} can run here", problems or _refused(pipeline, "").problems)
    unplayable = [stage for index, stage in jobs if index in meant and stage.job is not None and stage.job.unplayable]
    told: list[Problem] = []
    why = f"{_count(len(unplayable))} cannot run here, nothing was run"
    wrong = [_problem(pipeline, stage, "; --unplayable skip leaves out what cannot run") for stage in unplayable]
    try:
        told = playable.without_equivalent(pipeline, plan, out)
    except InputError as error:
        why = why if wrong else str(error)
        wrong += error.problems
    if wrong:
        raise InputError(why, wrong)
    return told


def _problem(pipeline: Pipeline, stage: Stage, advice: str = "") -> Problem:
    assert stage.job is not None
    text = f"job `{stage.id}` cannot run here: {stage.job.unplayable}{advice}"
    return Problem(pipeline.file, stage.line, stage.col, "unplayable", "error", text)


def _refused(pipeline: Pipeline, text: str) -> InputError:
    text = text or f"nothing of {pipeline.file} is left to run"
    return InputError(text, [Problem(pipeline.file, 0, 0, "selection", "error", text)])


def _count(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"


def _refuse_options(args: Any) -> None:
    given = [f"--{name.replace('_', '-')}" for name in OPTIONS if getattr(args, name, None)]
    if given:
        raise usage_error(f"{', '.join(given)}: for files of GitHub Actions and GitLab CI only")


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)


def _named(pipeline: Pipeline, name: str) -> list[str]:
    """The ids of a job by its id, its name, or the name under which its system shows it."""
    from stagebook.scheduler import select

    try:
        return [pipeline.stages[index].id for index in select.named(pipeline, "--job", name)]
    except InputError:
        titled = [stage.id for stage in pipeline.stages if stage.job is not None and stage.job.title == name]
        if not titled:
            raise
        return titled


def _cells_left_out(given: list[str], pipeline: Pipeline) -> tuple[str, ...]:
    """The ids of the cells that have another value of a variable that is named."""
    wanted: dict[str, set[str]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise usage_error(f"--matrix {text}: expected NAME=VALUE")
        wanted.setdefault(name, set()).add(value)
    for name, values in wanted.items():
        known = {stage.cell[name] for stage in pipeline.stages if stage.cell and name in stage.cell}
        strange = sorted(values - known)
        if strange:
            there = f"there {'is' if len(known) == 1 else 'are'} {', '.join(sorted(known))}" if known else "none has it"
            raise _refused(pipeline, f"--matrix {name}={strange[0]}: no job of a matrix has this value; {there}")
    return tuple(
        stage.id
        for stage in pipeline.stages
        if stage.cell and any(name in stage.cell and stage.cell[name] not in some for name, some in wanted.items())
    )


def _with_secrets(pipeline: Pipeline, path: str) -> Pipeline:
    """With those of a file, each of which every job is given, as the systems do."""
    names = _lines(path, "--secret-file")
    own = tuple(Secret(name, path, 0, True) for name in names)
    others = tuple(secret for secret in pipeline.secrets if secret.name not in names)
    stages = tuple(
        stage._replace(secrets=tuple(dict.fromkeys((*stage.secrets, *names)))) if stage.job is not None else stage
        for stage in pipeline.stages
    )
    problems = pipeline.problems
    if os.stat(path).st_mode & 0o077:
        text = f"{path} can be read by others on this machine: chmod 600 {path}"
        problems += (Problem(pipeline.file, 0, 0, "secret-file", "warning", text),)
    return pipeline._replace(secrets=others + own, stages=stages, problems=problems)


def _lines(path: str, option: str) -> dict[str, str]:
    """The variables of a file. InputError that never holds a value."""
    try:
        with open_regular(path) as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _bad_file(path, f"{option} {path}: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise _bad_file(path, f"{option} {path}: more than {FILE_BYTES_MAX} bytes")
    found = {}
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").splitlines(), 1):
        pair = pair_of(line)
        if pair is None:
            raise _bad_file(path, f"{option} {path}, line {number}: NAME=VALUE expected")
        if pair[0]:
            found[pair[0]] = pair[1]
    return found


def pair_of(line: str) -> tuple[str, str] | None:
    """The name and value of a line; an empty name where it says nothing, None where it is wrong."""
    line = line.strip().removeprefix("export ")
    if not line or line.startswith("#"):
        return "", ""
    name, equals, value = line.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or _NAME.fullmatch(name) is None or "\0" in value:
        return None
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return name, value


def _bad_file(path: str, text: str) -> InputError:
    """Without a place, by which the line would be shown."""
    return InputError(text, [Problem(path, 0, 0, "file", "error", text)])
