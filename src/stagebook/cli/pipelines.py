"""Which pipeline file a command means, whether its conditions are sound, what hides its secrets. Reading it is a
format's business."""

from __future__ import annotations

import os

from stagebook.model.problem import InputError, Problem
from stagebook.record.state import NATIVE_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from stagebook.model.pipeline import Pipeline


def find(named: str | None) -> str:
    """The absolute path of the file a user named, or of the nearest `stagebook.yaml` from here upward.

    Raises InputError if there is none; that a named file can be read is for the reader to find out.
    """
    if named is not None:
        return os.path.abspath(named)
    here = folder = os.getcwd()
    while True:
        file = os.path.join(folder, NATIVE_FILE)
        if os.path.isfile(file):
            return file
        above = os.path.dirname(folder)
        if above == folder:
            text = f"no {NATIVE_FILE} in {here} or above it; name a file, or write one"
            raise InputError(text, [Problem(NATIVE_FILE, 0, 0, "file", "error", text)])
        folder = above


def known_in(folder: str) -> list[str]:
    """The pipeline files of a folder that are known by name. Raises InputError if there is none."""
    file = os.path.join(os.path.abspath(folder), NATIVE_FILE)
    if os.path.isfile(file):
        return [file]
    text = f"no pipeline file in {folder}: there is no {NATIVE_FILE}, and other formats are not read yet"
    raise InputError(text, [Problem(folder, 0, 0, "file", "error", text)])


def bad_conditions(pipeline: Pipeline) -> list[Problem]:
    """What is wrong with its conditions. The library that reads them is imported only where there are some."""
    from stagebook.condition import has_conditions

    if not has_conditions(pipeline):
        return []
    from stagebook.condition import expression

    return expression.problems(pipeline)


def refuse_bad_conditions(pipeline: Pipeline) -> None:
    """InputError with all that is wrong with its conditions."""
    found = bad_conditions(pipeline)
    if found:
        count = f"{len(found)} error{'s' if len(found) != 1 else ''}"
        raise InputError(f"{pipeline.file}: {count} in conditions, nothing was run", found)


def hider(pipeline: Pipeline) -> Callable[[str], str]:
    """Takes the secrets of a pipeline that is only looked at, as far as they are there, out of what is said of it."""
    if not pipeline.secrets:
        return str
    from stagebook.engine import secrets

    return secrets.mask_of(pipeline).text
