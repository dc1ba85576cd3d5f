"""Where files are put that an attempt without success left at its outputs: `runs/RUN/set-aside/STAGE/ATTEMPT/PATH`.
Only names and sizes are read here; what is put there is decided and moved by the engine (`engine.aside`).
"""

from __future__ import annotations

import os
import stat

from stagebook.model.value import NamedTuple
from stagebook.record.state import log_stem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator

NAME = "set-aside"
LISTED_MAX = 1000  #: files that a document names


class Entry(NamedTuple):
    """One file: `path` is where it lay, from the pipeline's folder on, `at` where it lies now."""

    stage: str
    attempt: int
    path: str
    at: str
    bytes: int


def folder(directory: str, stage: str, attempt: int, run: str = "") -> str:
    """Return where the files of an attempt go; `run` names another run, whose attempt it was."""
    return os.path.join(directory, NAME, log_stem(stage), f"{attempt}.{run}" if run else str(attempt))


def found_path(directory: str, stage: str, attempt: int) -> str:
    """Return where the engine notes what lay at the outputs before an attempt, for as long as that has not ended."""
    return os.path.join(directory, "found", f"{log_stem(stage)}.{attempt}")


def entries(directory: str, stages: Iterable[str]) -> Iterator[Entry]:
    """Yield the files that are set aside in a run's directory, stage by stage, the latest attempt of each first."""
    top = os.path.join(directory, NAME)
    if not _is_folder(top):
        return
    for stage in stages:
        of_stage = os.path.join(top, log_stem(stage))
        attempts = [(name, name.partition(".")[0]) for name in _names(of_stage)]
        known = [(int(number), name) for name, number in attempts if number.isascii() and number.isdigit()]
        for number, name in sorted(known, reverse=True):
            yield from _files(stage, number, os.path.join(of_stage, name), "")


def document(directory: str, stages: Iterable[str]) -> dict[str, Any]:
    """Return `set_aside` of a run's document, and `set_aside_left_out` where more files lie there than are named."""
    found: list[dict[str, Any]] = []
    left_out = 0
    for each in entries(directory, stages):
        if len(found) < LISTED_MAX:
            found.append(each._asdict())
        else:
            left_out += 1
    return {"set_aside": found, **({"set_aside_left_out": left_out} if left_out else {})}


def _files(stage: str, attempt: int, top: str, below: str) -> Iterator[Entry]:
    todo = [below]
    while todo:
        here = todo.pop()
        for name in _names(os.path.join(top, here)):
            path = os.path.join(here, name)
            at = os.path.join(top, path)
            try:
                status = os.lstat(at)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                todo.append(path)
            else:
                yield Entry(stage, attempt, path, at, status.st_size)


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path)) if _is_folder(path) else []
    except OSError:
        return []
