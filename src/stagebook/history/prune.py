"""Takes old runs away, their directories and their rows. Never one that goes on or waits.

A directory loses its journal first, so that what is left of it, should this be stopped half way, is no run any more.
"""

from __future__ import annotations

import os
import shutil

from sqlalchemy import bindparam, delete, select

from stagebook.history.schema import attempts, runs, stages, tests
from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import lock
from stagebook.record.state import journal_path, run_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from sqlalchemy import Connection


class Old(NamedTuple):
    """A run to be taken away. `is_there`: it has a directory; else only the history remembers it."""

    id: int
    run: str
    pipeline: str | None
    started_us: int | None
    is_there: bool


class Left(NamedTuple):
    """A run that was old enough and stays, and why."""

    run: str
    why: str


def choose(connection: Connection, state: str, before_us: int, keep: int) -> tuple[list[Old], list[Left]]:
    """Runs that began before `before_us`, but for the newest `keep` of each pipeline, and which of them stay."""
    asked = select(runs.c.id, runs.c.run, runs.c.pipeline, runs.c.started_us, runs.c.damaged).order_by(
        runs.c.run.desc()
    )
    seen: dict[str | None, int] = {}
    old: list[Old] = []
    left: list[Left] = []
    for id, run, pipeline, started_us, damaged in connection.execute(asked):
        number = seen[pipeline] = seen.get(pipeline, 0) + 1
        if number <= keep or started_us is None or started_us >= before_us:
            continue
        directory = run_directory(state, run)
        is_there = os.path.isdir(directory)
        if is_there and damaged is not None:
            left.append(Left(run, "its journal is damaged"))
        elif is_there and _goes_on(directory):
            left.append(Left(run, "it goes on"))
        else:
            old.append(Old(id, run, pipeline, started_us, is_there))
    return old, left


def remove(connection: Connection, state: str, old: list[Old], tell: Callable[[int, int], None]) -> list[Left]:
    """Take these runs away; those that stayed, and why. A transaction must have been begun."""
    left: list[Left] = []
    gone: list[dict[str, Any]] = []
    for number, one in enumerate(old):
        tell(number, len(old))
        if one.is_there:
            why = _remove(run_directory(state, one.run))
            if why is not None:
                left.append(Left(one.run, why))
                continue
        gone.append({"gone": one.id})
    if gone:
        for table, column in ((stages, "run_id"), (attempts, "run_id"), (tests, "run_id"), (runs, "id")):
            connection.execute(delete(table).where(table.c[column] == bindparam("gone")), gone)
    return left


def _goes_on(directory: str) -> bool:
    try:
        return lock.holder(directory) is not None or lock.is_shared(directory)
    except SurroundingsError:
        return True


def _remove(directory: str) -> str | None:
    """Take one directory away while it is held; why it stays, or None."""
    try:
        held = lock.take(directory)
    except SurroundingsError as error:
        return str(error)
    try:
        os.unlink(journal_path(directory))
        shutil.rmtree(directory)
    except FileNotFoundError:
        shutil.rmtree(directory, ignore_errors=True)
    except OSError as error:
        return f"cannot remove {error.filename or directory}: {error.strerror}"
    finally:
        os.close(held)
    return None
