"""Where things are, as words on a command line mean them: the pipeline file, the state directory, a run."""

from __future__ import annotations

import os
from typing import Any, Callable

from stagebook.model.problem import InputError, Problem
from stagebook.record import state

DEFAULT = state.NATIVE_FILE


def pipeline_file(named: str | None) -> str:
    """The file that was named, else the nearest `stagebook.yaml` upward. Raises InputError where there is none."""
    if named is not None:
        return named
    folder = os.getcwd()
    while True:
        path = os.path.join(folder, DEFAULT)
        if os.path.isfile(path):
            return path
        above = os.path.dirname(folder)
        if above == folder:
            break
        folder = above
    text = f"no {DEFAULT} here or in any directory above; name a file, or write one"
    raise InputError(text, [Problem("", 0, 0, "no-file", "error", text)])


def state_directory(args: Any, file: str | None = None, format: str | None = None) -> str:
    """The state directory, there or not."""
    return state.locate(file, format, os.getcwd(), args.settings.dir, os.environ)


def cache_directory(args: Any, file: str) -> str:
    """Where plans of `file` are cached; what cannot be written there is not cached."""
    return os.path.join(state_directory(args, file), "cache")


def run_directory(args: Any, run: str) -> str:
    """The directory of the run that a user means by `run`: an id, the beginning of one, or `last`."""
    from stagebook.record import runs

    return runs.resolve(state_directory(args), run)


def shortener(known: list[str]) -> Callable[[str], str]:
    """Shortens ids to eight characters, or to as many more as it takes to tell them from every other one of `known`."""
    ordered = sorted(known)

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
