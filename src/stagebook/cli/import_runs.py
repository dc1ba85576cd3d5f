"""`stagebook import runs SYSTEM`: runs that a CI system has recorded, out of saved answers of its API or asked of
it."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, place
from stagebook.cli.words import usage_error
from stagebook.formats import detect
from stagebook.model.problem import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.formats.request import Request
    from stagebook.model.pipeline import Pipeline
    from stagebook.recordings.intake import Files, Intake


TOLD_BY = 6  #: of fewer runs no test can tell anything


def execute(args: Any, system: str, files: list[str]) -> int:
    """0; InputError for wrong words and documents, SurroundingsError for a server or a disk that gives way."""
    _check(args, files)
    of = _files(args, system)
    state = _state(args, of, system)
    from stagebook.recordings.intake import Intake
    from stagebook.recordings.keep import Keeper

    intake = Intake(Keeper(state), of, lambda file, request: _load(args, file, request))
    if args.repo is not None:
        from stagebook.cli import import_asked

        going, said = import_asked.take(args, system, state, intake)
    else:
        going, said = _saved(system, files, intake)
    return _say(args, system, state, intake, going, [*said, *intake.said])


def _check(args: Any, files: list[str]) -> None:
    if args.repo is None:
        for option in ("since", "branch", "limit", "base_url"):
            if getattr(args, option) is not None:
                raise usage_error(f"--{option.replace('_', '-')} belongs to --repo")
        if not files:
            raise usage_error("which runs? name files with saved answers, or --repo")
    elif files:
        raise usage_error(f"--repo asks the server; `{files[0]}` is left over")
    for option in ("report", "strict", "instrument"):
        if getattr(args, option):
            raise usage_error(f"--{option} belongs to the conversion of a file")


def _saved(system: str, files: list[str], intake: Intake) -> tuple[int, list[str]]:
    if system == "measured":
        from stagebook.recordings import measured

        found = measured.read(files)
        for run in found.runs:
            intake.take(run)
        return found.going, list(found.said)
    from stagebook.formats.source import documents

    reader = __import__(f"stagebook.formats.{system}.runs", fromlist=("parse",))
    found = reader.parse(
        [item for file in files for item in documents.items(file, documents.read(file), reader.KEYS)]
    )  # fmt: skip
    for run in found.runs:
        intake.take(run)
    return found.going, list(found.said)


def _files(args: Any, system: str) -> Files:
    """The file that was named; else those of the system at their usual places in this repository."""
    from stagebook.record.state import git_root
    from stagebook.recordings.intake import Files

    here = os.getcwd()
    if args.file is not None:
        file = os.path.abspath(args.file)
        if not os.path.isfile(file):
            raise InputError(f"--file {args.file}: there is no such file")
        from stagebook.cli import foreign

        root = git_root(os.path.dirname(file)) or os.path.dirname(file)
        return Files((file,), root, True, foreign.format_at(file) == "native")
    root = git_root(here) or here
    found = [
        file for file in detect.foreign_in(root)
        if system == "measured" or (os.path.basename(file) in detect.GITLAB_NAMES) == (system == "gitlab")
    ]  # fmt: skip
    return Files(tuple(found), root)


def _state(args: Any, of: Files, system: str) -> str:
    """Where `plan FILE` looks for them."""
    file = of.files[0] if of.files else os.path.join(of.root, detect.GITLAB_NAMES[0])
    return place.state_directory(args, file, None if of.is_chosen else system)


def _load(args: Any, file: str, request: Request) -> Pipeline:
    """As the run's own event has it; where the user has said which, as that."""
    from stagebook.cli import foreign
    from stagebook.formats import load

    asked = foreign.request(args)
    event, ref = asked.event or request.event, asked.ref if asked.ref is not None else request.ref
    return load.load(file, None, asked._replace(event=event, ref=ref), getattr(args, "as", None))


def _together(args: Any, state: str, intake: Intake) -> list[dict[str, Any]]:
    """Pairs of stages that overlapped in failed runs and seldom in others, by all that is on record of these files."""
    files = [of.file for of in intake.of.values() if of.file]
    if not files or not intake.did["added"] + intake.did["renewed"]:
        return []
    from stagebook.record import runs

    if len(runs.ids(state)) < TOLD_BY:
        return []
    from stagebook.cli.voice import voice
    from stagebook.history import store, together

    def question(connection: Any) -> list[dict[str, Any]]:
        return [{"file": file, **pair} for file in files for pair in together.of_file(connection, file)]

    return store.ask(state, question, voice(args))


def _say(args: Any, system: str, state: str, intake: Intake, going: int, said: list[str]) -> int:
    did = intake.did
    document = {
        "system": system,
        "state": state,
        **{name: did[name] for name in ("added", "renewed", "known")},
        "going": going,
        "left_out": {"other": did["other"], "empty": did["empty"]},
        "pipelines": [of.plain() for of in intake.of.values()],
        "together": _together(args, state, intake),
        "notes": said,
    }
    if args.json:
        output.say_json(document)
    elif not args.quiet:
        from stagebook.report import imported

        output.say(imported.render(document, output.style_for(sys.stdout, args)))
    return 0
