"""Where records are, as words on a command line mean them: the state directory, a run, the short form of an id."""

from __future__ import annotations

import os

from stagebook.record import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


def state_directory(args: Any, file: str | None = None, format: str | None = None) -> str:
    """The state directory, there or not."""
    if file is not None and format is None and os.path.basename(file) != state.NATIVE_FILE:
        from stagebook.cli import foreign

        format = getattr(args, "as", None) or foreign.format_at(file)
    return state.locate(file, format, os.getcwd(), args.settings.dir, os.environ)


def cache_directory(args: Any, file: str) -> str:
    """Where plans of `file` are cached; what cannot be written there is not cached."""
    return os.path.join(state_directory(args, file), "cache")


def run_directory(args: Any, run: str) -> str:
    """The directory of the run that a user means by `run`: an id, the beginning of one, or `last`; where there is no
    run here, of the one state directory below that has it (`look_below`)."""
    from stagebook.record import runs

    look_below(args, run)
    return runs.resolve(state_directory(args), run)


def look_below(args: Any, run: str | None = None) -> None:
    """Without a run here, and without a word on where they are: have the one state directory below be meant that has
    some (`run`: that one), and say so. Where that is not plain, the command refuses as it would, and names them."""
    found = runs_below(args, run)
    if len(found) == 1:
        mean(args, next(iter(found)))


def runs_below(args: Any, run: str | None = None) -> dict[str, str]:
    """Without a run here, and without a word on where they are: the state directories below that have some, that with
    the latest first, each with the directory of `run` there, or itself. Empty where there may be more."""
    state_path = state_directory(args)
    from stagebook.record import runs

    if args.settings.dir or runs.ids(state_path):
        return {}
    known, is_all = runs.below(os.getcwd())
    found = {path: _resolved(path, run) for path in known} if is_all else {}
    return {path: directory for path, directory in found.items() if directory is not None}


def mean(args: Any, state_path: str) -> None:
    """Have this state directory be meant, and say so."""
    import sys

    from stagebook.cli import output
    from stagebook.cli.settings import Origin

    args.settings.take("dir", state_path, Origin("option", "--dir"))
    if not args.quiet:
        output.say([f"in {state_path}"], sys.stderr)


def one_of(args: Any, found: list[str], what: str) -> None:
    """Have one of these state directories below be meant, if it is only one. Raises InputError that names several."""
    from shlex import quote

    from stagebook.model.problem import InputError

    if len(found) > 1:
        here = f"there is no run in {state_directory(args)} yet"
        raise InputError(f"{here}; {what} in {', '.join(found)}: add --dir {quote(found[0])}")
    if found:
        mean(args, found[0])


def _resolved(state_path: str, run: str | None) -> str | None:
    """The directory of a run there; the state directory itself where none is asked for."""
    from stagebook.model.problem import StagebookError
    from stagebook.record import runs

    if run is None:
        return state_path
    try:
        return runs.resolve(state_path, run)
    except StagebookError:
        return None


def pipeline_file(args: Any) -> str:
    """The pipeline file that is meant where none is named. Of a state directory that was named: the nearest one if it
    has runs there, else that of the latest run there."""
    from stagebook.cli import pipelines

    if not args.settings.dir:
        files = pipelines.find_all(None)
        return files[0] if len(files) == 1 else _latest_of(args, files)
    from stagebook.model.problem import InputError
    from stagebook.record import runs

    try:
        near = pipelines.find(None)
    except InputError:
        near = ""
    latest = ""
    for summary in runs.summaries(state_directory(args)):
        file = str(summary.get("file") or "")
        if file and file == near:
            return near
        latest = latest or file
    if not latest and not near and (elsewhere := runs.elsewhere(state_directory(args))):
        raise InputError(f"there is no run in {state_directory(args)} yet{elsewhere}")
    return latest or near or pipelines.find(None)


def _latest_of(args: Any, files: list[str]) -> str:
    """Of several pipelines here the one that ran last. InputError that names them where none did."""
    from stagebook.model.problem import InputError
    from stagebook.record import runs

    for summary in runs.summaries(state_directory(args)):
        if summary.get("file") in files:
            return str(summary["file"])
    said = ", ".join(os.path.relpath(file) for file in files)
    raise InputError(f"there are {len(files)} pipelines here, and none of them has run yet: {said}")


def from_here(args: Any, here: str, file: str | None, state_path: str) -> dict[str, str]:
    """What a command says in the folder `here` to mean this state directory (`look`), and to run the file again with it
    (`file`, `run`); empty where it need say nothing."""
    option = args.settings.dir if args.settings.origins["dir"].kind != "option" else None
    if state.locate(None, None, here, option, os.environ) == state_path:
        return {}
    from stagebook.report.failure import quoted

    said = f" --dir {quoted(os.path.relpath(state_path, here))}"
    if not file:
        return {"look": said}
    is_enough = state.locate(file, None, here, option, os.environ) == state_path
    return {"look": said, "file": f" {quoted(os.path.relpath(file, here))}", "run": "" if is_enough else said}


def shortener(known: list[str]) -> Callable[[str], str]:
    """Shortens ids to eight characters, or to as many more as it takes to tell them from every other one of `known`."""
    ordered = sorted(set(known))

    def short(run: str) -> str:
        from bisect import bisect_left

        at = bisect_left(ordered, run)
        near = [other for other in ordered[max(0, at - 1) : at + 2] if other != run]
        length = 8
        while length < len(run) and any(other.startswith(run[:length]) for other in near):
            length += 1
        return run[:length]

    return short


def short_ids(state_path: str) -> Callable[[str], str]:
    """The same for all runs of a state directory."""
    try:
        known = os.listdir(state.runs_directory(state_path))
    except OSError:
        known = []
    return shortener(known)
