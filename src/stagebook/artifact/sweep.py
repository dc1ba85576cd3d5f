"""What runs leave behind and nobody needs any more: files that were set aside, and whole runs that are over.

Of a run that an engine holds, nothing is touched. Objects of the cache are the store's own business.
"""

from __future__ import annotations

import os
import stat
import time

from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import lock, reader, runs, set_aside
from stagebook.record.clock import epoch_us
from stagebook.record.state import journal_path, run_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

#: In a run's directory: what attempts left at their outputs that did not succeed. The second is from before.
_ASIDE = (set_aside.NAME, "unpublished")
_REMOVED = "removed"  #: in the cache: what is being removed, so that half a run is never seen among the runs


class Left(NamedTuple):
    """A directory below the state directory, with what it takes."""

    run: str
    path: str
    size: int


def aside(state: str, max_age_s: float, now: float | None = None) -> list[Left]:
    """Directories of files that were set aside, of runs that nobody holds, that nothing was put into for so long."""
    now = time.time() if now is None else now
    found = []
    for run in runs.ids(state):
        for path in _asides(run_directory(state, run)):
            if now - _newest(path) > max_age_s and not _is_held(state, run):
                found.append(Left(run, path, size_of(path)))
    return found


def has_aside(state: str, run: str) -> bool:
    """Return whether files of a run are set aside: then the run stays until these go by their own age."""
    return any(True for _ in _asides(run_directory(state, run)))


def _asides(directory: str) -> Iterator[str]:
    for name in _ASIDE:
        path = os.path.join(directory, name)
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                yield path
        except OSError:
            continue


def _newest(folder: str) -> float:
    """When something was put there last: each attempt has a folder of its own, two levels down."""
    newest = os.lstat(folder).st_mtime
    for name in os.listdir(folder):
        inner = os.path.join(folder, name)
        if os.path.isdir(inner) and not os.path.islink(inner):
            newest = max(
                [
                    newest,
                    os.lstat(inner).st_mtime,
                    *[entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(inner)],
                ]
            )
    return newest


def over(state: str, max_age_s: float, now: float | None = None) -> list[Left]:
    """Runs that ended longer ago than that. What could be gone on with, waits, or is damaged, stays."""
    now = time.time() if now is None else now
    found = []
    for run in runs.ids(state):
        directory = run_directory(state, run)
        summary = None if os.path.islink(directory) else runs.summarise(directory)
        if summary is None or summary["state"] != "ended" or runs.can_go_on(summary) or _is_held(state, run):
            continue
        try:
            ended = epoch_us(summary["finished"]) / 1e6
        except (TypeError, ValueError):
            ended = os.stat(journal_path(directory)).st_mtime
        if now - ended > max_age_s and _is_whole(directory):
            found.append(Left(run, directory, size_of(directory)))
    return found


def _is_whole(directory: str) -> bool:
    """Whether every record of a run can be read: the summary knows of the first and the last."""
    try:
        for _ in reader.read(journal_path(directory)):
            pass
    except SurroundingsError:
        return False
    return True


def remove(state: str, left: Left) -> bool:
    """Remove a directory, unless somebody has taken its run meanwhile. Raises SurroundingsError where it cannot be."""
    import shutil

    try:
        held = lock.take(run_directory(state, left.run))
    except SurroundingsError:
        return False
    try:
        aside = os.path.join(state, "cache", _REMOVED)
        os.makedirs(aside, 0o700, exist_ok=True)
        if os.path.realpath(aside) != os.path.join(os.path.realpath(state), "cache", _REMOVED):
            raise SurroundingsError(f"cannot remove {left.path}: {aside} is a link")
        end = os.path.join(aside, f"{left.run}-{os.getpid()}-{time.time_ns():x}")
        os.rename(left.path, end)
        shutil.rmtree(end)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SurroundingsError(f"cannot remove {left.path}: {error.strerror}") from None
    finally:
        os.close(held)
    return True


def finish(state: str) -> None:
    """Remove what somebody else began to remove, and was killed at."""
    import shutil

    if not os.path.islink(os.path.join(state, "cache")):
        shutil.rmtree(os.path.join(state, "cache", _REMOVED), ignore_errors=True)  # which follows no link


def size_of(folder: str) -> int:
    """The bytes of all files below; no link is followed."""
    return sum(_sizes(folder))


def _sizes(folder: str) -> Iterator[int]:
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.lstat(os.path.join(at, name)).st_size
            except OSError:
                continue


def _is_held(state: str, run: str) -> bool:
    try:
        return lock.holder(run_directory(state, run)) is not None
    except SurroundingsError:
        return True
