"""Which pipeline file a command means, whether its conditions are sound, what hides its secrets. Reading it is a
format's business."""

from __future__ import annotations

import os

from stagebook.model.problem import InputError, Problem
from stagebook.record.state import NATIVE_FILE, git_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from stagebook.model.pipeline import Pipeline


def find(named: str | None, command: str = "run") -> str:
    """The absolute path of the file a user named, or of the one pipeline that is meant here (`find_all`).

    Raises InputError if there is none, or more than one; that a named file can be read is for the reader to find out.
    """
    files = find_all(named)
    if len(files) == 1:
        return files[0]
    said = [os.path.relpath(file) for file in files]
    text = f"there are {len(files)} pipelines here: {', '.join(said)}; name one, as in `stagebook {command} {said[0]}`"
    raise InputError(text, [Problem(said[0], 0, 0, "file", "error", text)])


def find_all(named: str | None) -> list[str]:
    """The same, and where no file is named all that are meant: the nearest `stagebook.yaml` from here upward, up to the
    root of the work tree; else the files of CI systems in the nearest folder that has some; else a `stagebook.yaml`
    farther up. InputError if there is none."""
    if named is not None:
        return [os.path.abspath(named)]
    here = os.getcwd()
    if os.path.isfile(file := os.path.join(here, NATIVE_FILE)):
        return [file]
    from stagebook.formats import detect

    within, beyond = _upward(here)
    for folders in (within, beyond):
        for folder in folders:
            if os.path.isfile(file := os.path.join(folder, NATIVE_FILE)):
                return [file]
        if folders is within:
            for folder in folders:
                if files := detect.foreign_in(folder):
                    return files
    text = f"no {NATIVE_FILE} in {here} or above it, and no file of GitHub Actions or GitLab CI at its usual place; "
    text += "name a file, or write one"
    raise InputError(text, [Problem(NATIVE_FILE, 0, 0, "file", "error", text)])


def _upward(here: str) -> tuple[list[str], list[str]]:
    """The folders from here to the root of the work tree, and those beyond; without a work tree all are the former."""
    folders = [here]
    while (above := os.path.dirname(folders[-1])) != folders[-1]:
        folders.append(above)
    root = git_root(here)
    if root is None:
        return folders, []
    at = folders.index(root) + 1
    return folders[:at], folders[at:]


def known_in(folder: str) -> list[str]:
    """The pipeline files of a folder that are known by name. Raises InputError if there is none."""
    from stagebook.formats import detect

    files = detect.all_in(os.path.abspath(folder))
    if files:
        return files
    text = (
        f"no pipeline file in {folder}: neither {NATIVE_FILE} nor {detect.WORKFLOWS}/*.yml nor {detect.GITLAB_NAMES[0]}"
    )
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
