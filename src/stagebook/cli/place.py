"""Where records are, as words on a command line mean them: the state directory, a run, the short form of an id."""

from __future__ import annotations

import os

from stagebook.record import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


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
