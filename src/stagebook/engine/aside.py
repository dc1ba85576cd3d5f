"""What lay at a stage's outputs before an attempt, and what becomes of what lies there after one without success: what
the attempt made is set aside, what was there stays, what it changed is copied. Nothing of the run is known here, so
that all of it can be done by a child. Where it is put is `record.set_aside`.
"""

from __future__ import annotations

import json
import os
import stat

from stagebook.artifact import paths
from stagebook.artifact.digest import File, hash_files
from stagebook.artifact.paths import Folders, Unsound
from stagebook.artifact.store import Store
from stagebook.engine import closing
from stagebook.engine.freshness import output_globs
from stagebook.model.globs import is_path
from stagebook.model.pipeline import Stage
from stagebook.model.value import NamedTuple
from stagebook.record import faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping

    from stagebook.record.mask import Mask


FOUND_MAX = 100_000  #: files; beyond, all that lies there stays where it is
SAID_MAX = 3


class Found(NamedTuple):
    """What lay at the outputs before an attempt: of each path device, inode, size, mtime and ctime in nanoseconds, and
    the paths of those that are what the stage published last."""

    stamps: Mapping[str, tuple[int, ...]] = {}
    good: frozenset[str] = frozenset()


class Moved(NamedTuple):
    """What was done: `made` files were set aside, `changed` ones copied, `restored` ones put back from the cache;
    `bytes` of all that now lies aside. `troubles` are sentences to warn with."""

    made: int = 0
    changed: int = 0
    restored: int = 0
    bytes: int = 0
    troubles: tuple[str, ...] = ()


# Before an attempt


def may_be_there(root: str, stage: Stage) -> bool:
    """Return whether anything can lie at the outputs, by the folders and files that the globs begin with."""
    return any(os.path.lexists(os.path.join(root, _beginning(glob))) for glob in output_globs(stage))


def _beginning(glob: str) -> str:
    """The part of a glob that is one path."""
    parts: list[str] = []
    for part in glob.split("/"):
        if not is_path(part):
            break
        parts.append(part)
    return "/".join(parts)


def look(root: str, stage: Stage, published: Mapping[str, File]) -> Found | None:
    """Return what lies at the outputs; None where more than FOUND_MAX files do, or where it cannot be looked at."""
    odd: list[str] = []
    try:
        names = [*paths.found(root, output_globs(stage), odd), *odd]
    except Unsound:
        return None
    if len(names) > FOUND_MAX:
        return None
    stamps: dict[str, tuple[int, ...]] = {}
    with Folders(root) as folders:
        for path in names:
            stamp = _stamp(folders, path)
            if stamp is not None:
                stamps[path] = stamp
    good = [path for path in stamps if path in published and _is_good(root, published[path], stamps[path])]
    return Found(stamps, frozenset(good))


def _is_good(root: str, file: File, stamp: tuple[int, ...] | None) -> bool:
    """Return whether what lies there is what was published, by its stamp or else by what it holds."""
    if stamp == tuple(file.stamp):
        return True
    try:
        [now] = hash_files(root, [file.path])
    except (Unsound, OSError):
        return False
    return now.digest == file.digest


def keep(path: str, found: Found) -> None:
    """Write what was found, so that a resume after a kill knows it. Raises OSError."""
    faults.hit("artifact.found")
    _make_folder(os.path.dirname(path))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="ascii") as file:
        json.dump([found.stamps, sorted(found.good)], file)


def kept(path: str) -> Found | None:
    """Return what `keep` wrote; None where that is missing or was not written to its end."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="ascii") as file:
            stamps, good = json.load(file)
        return Found({name: tuple(stamp) for name, stamp in stamps.items()}, frozenset(good))
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def forget(path: str) -> None:
    """Remove what `keep` wrote."""
    try:
        os.unlink(path)
    except OSError:
        pass


# After one without success


def put_aside(
    root: str, stage: Stage, found: Found, published: Mapping[str, File], store: Store | None,
    spared: Callable[[str], bool], target: str, reports: Callable[[int], str] | None, mask: Mask | None = None,
) -> Moved:  # fmt: skip
    """Set aside below `target` what an attempt made at its outputs, but for what is `spared` and whole JUnit reports.

    `found` is what lay there before. Of that, what is as it was stays, what was changed or removed and is one of the
    stage's `published` outputs comes back from the `store`, and of any other changed file a copy is set aside while it
    stays. Reports are copied to where `reports` says. With a mask no name of what is set aside holds a secret, nor
    what is in it; what stays is not touched.
    """
    odd: list[str] = []
    try:
        there = paths.found(root, output_globs(stage), odd)
    except Unsound as trouble:
        return Moved(troubles=(f"what it left at {trouble.path} lies there still: {trouble.why}",))
    reported = set(closing.keep_reports(root, there, reports, mask)) if reports is not None else set()
    done = _Done(root, target, found, published, store, mask)
    with Folders(root) as folders:
        for path in (*there, *odd):
            is_report = path in reported and (mask is None or mask.text(path) == path)
            if not is_report and not spared(path):
                done.one(folders, path)
        for path in sorted(found.stamps.keys() - {*there, *odd}):
            if not spared(path):
                done.gone(path)
    return done.told()


class _Done:
    """The files of one attempt, one after another."""

    def __init__(
        self, root: str, target: str, found: Found, published: Mapping[str, File], store: Store | None,
        mask: Mask | None,
    ) -> None:  # fmt: skip
        self._root = root
        self._found = found
        self._target = target
        self._published = published
        self._store = store
        self._mask = mask
        self._made = self._changed = self._restored = self._bytes = 0
        self._troubles: list[str] = []
        self._untold = 0

    def told(self) -> Moved:
        more = (f"and {self._untold} more files like these",) if self._untold else ()
        return Moved(self._made, self._changed, self._restored, self._bytes, (*self._troubles, *more))

    def one(self, folders: Folders, path: str) -> None:
        before = self._found.stamps.get(path)
        if before is not None and _stamp(folders, path) == before:
            return
        if path in self._found.good and path in self._published and _is_good(self._root, self._published[path], None):
            return  # it was put back already
        faults.hit("artifact.aside")
        try:
            end = self._end(path)
            if before is None:
                self._bytes += _move(folders, path, end, self._mask)
                self._made += 1
            else:
                self._bytes += _copy(folders, path, end, self._mask)
                self._changed += 1
        except OSError as error:
            self._say(f"what it left at {path} lies there still: {error.strerror}")
            return
        if before is not None:
            self._restore(path)

    def gone(self, path: str) -> None:
        """Put back what it has removed, or say that it cannot be."""
        if not self._restore(path):
            self._say(f"it removed {path}, of which no copy is kept, so it cannot be put back")

    def _restore(self, path: str) -> bool:
        """Put the published version of a file back, if that is what lay there before."""
        file = self._published.get(path)
        if path not in self._found.good or file is None or self._store is None or not self._store.has(file.digest):
            return False
        why = self._store.get(self._root, file)
        if why is not None:
            self._say(f"{path} is not put back as it was published: {why}")
            return False
        self._restored += 1
        return True

    def _end(self, path: str) -> str:
        """Where it is put, so that its name holds no secret; names that are the same then are told apart."""
        name = path if self._mask is None else self._mask.text(path)
        end, number = os.path.join(self._target, name), 1
        while os.path.lexists(end):
            number += 1
            end = os.path.join(self._target, f"{name}~{number}")
        _make_folder(os.path.dirname(end))
        return end

    def _say(self, text: str) -> None:
        if len(self._troubles) < SAID_MAX:
            self._troubles.append(text)
        else:
            self._untold += 1


def _stamp(folders: Folders, path: str) -> tuple[int, ...] | None:
    try:
        folder, name = folders.of(path)
        status = os.lstat(name, dir_fd=folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _make_folder(path: str) -> None:
    """With all above it; of what `os.makedirs` makes only the last is for its owner alone."""
    if not os.path.isdir(path):
        _make_folder(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass


def _move(folders: Folders, path: str, target: str, mask: Mask | None) -> int:
    """Move what an attempt made; its size in bytes. A file that has other names too is copied: they stay as they are.
    Raises OSError."""
    import errno

    folder, name = folders.of(path)
    status = os.lstat(name, dir_fd=folder)
    is_file, is_link = stat.S_ISREG(status.st_mode), stat.S_ISLNK(status.st_mode)
    if is_link or is_file and (mask or status.st_nlink > 1):
        _copy(folders, path, target, mask)
        os.unlink(name, dir_fd=folder)
        return status.st_size
    try:
        os.rename(name, target, src_dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EXDEV or not is_file:  # the state directory may lie on another file system
            raise
        _copy(folders, path, target, mask)
        os.unlink(name, dir_fd=folder)
    else:
        if is_file:
            try:
                os.chmod(target, 0o600, follow_symlinks=False)
            except OSError:
                pass  # it is another user's, and below a folder that is ours alone
    return status.st_size


def _copy(folders: Folders, path: str, target: str, mask: Mask | None) -> int:
    """Copy a file, or a link as a link, and return its size in bytes. Raises OSError; what was begun is removed."""
    folder, name = folders.of(path)
    status = os.lstat(name, dir_fd=folder)
    if stat.S_ISLNK(status.st_mode):
        leads = os.readlink(name, dir_fd=folder)
        os.symlink(leads if mask is None else mask.text(leads), target)
        return status.st_size
    if not stat.S_ISREG(status.st_mode):
        return 0  # a FIFO or a device holds nothing of its own
    with open(folders.open(path), "rb") as source:
        try:
            if mask:
                mask.copy(f"/proc/self/fd/{folder}/{name}", target)
            else:
                closing.write(source.fileno(), target)
        except BaseException:
            forget(target)
            raise
    return status.st_size
