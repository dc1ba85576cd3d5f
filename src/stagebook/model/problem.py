"""A finding with a place, and the three families of trouble with their exit codes. Rendering lives in `report`.

A user's mistake, surroundings that gave way and a defect of ours are different classes, because they end in
different exit codes and need different words.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

OK = 0
FAILED = 1
WRONG_INPUT = 2
WAITING = 3
SURROUNDINGS = 4
DEFECT = 5
SIGNAL_EXITS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


class Problem(NamedTuple):
    """One finding. `line` and `col` count from 1; 0 means that the file as a whole is meant.

    `level` is `error`, `warning` or `note`; `code` is a stable, lower-case word such as `unknown-key`.
    """

    file: str
    line: int
    col: int
    code: str
    level: str
    message: str


class StagebookError(Exception):
    """Trouble that a user sees as text and an exit code, never as a traceback."""

    exit = DEFECT

    def __init__(self, message: str, problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.problems: tuple[Problem, ...] = tuple(problems)


class InputError(StagebookError):
    """The user's input is wrong: usage, file, unknown run. Nothing was started. Exit 2."""

    exit = WRONG_INPUT


class SurroundingsError(StagebookError):
    """The surroundings are not ready or gave way: disk full, damaged journal, second engine. Exit 4."""

    exit = SURROUNDINGS


class DefectError(StagebookError):
    """A defect of Stagebook. Exit 5."""

    exit = DEFECT
