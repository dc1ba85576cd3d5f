"""Files copied from one folder to another: modes and times kept, links as links, nothing read or written through a link
that leads out of either folder. Which files: whoever asks says.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat

NOTES_MAX = 10
_IN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_OUT = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL
_PIECE = 1 << 27
_CANNOT = frozenset([errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF])


def copy(names: list[str], source: str, target: str) -> list[str]:
    """Copy files, by their paths from `source` on, to `target`; folders among them are made. What was left out, and
    why. A file that is gone is left out without a word."""
    copier = Copier(source, target)
    for name in names:
        copier.take(name)
    return copier.notes


def copy_tree(source: str, target: str, skip: tuple[str, ...] = ()) -> list[str]:
    """Copy all that a folder holds, but for folders of the names in `skip`, wherever they lie."""
    copier = Copier(source, target)
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(each for each in folders if each not in skip)
        at = os.path.relpath(folder, source)
        for each in [*folders, *sorted(files)]:
            copier.take(each if at == "." else f"{at}/{each}")
    return copier.notes


class Copier:
    """One copy. `count` files, `size_bytes` so far."""

    def __init__(self, source: str, target: str) -> None:
        os.makedirs(target, exist_ok=True)
        self._source = os.path.realpath(source)
        self._target = os.path.realpath(target)
        self._sound: dict[str, bool] = {"": True}
        self.notes: list[str] = []
        self.count = 0
        self.size_bytes = 0

    def follow(self, name: str, origin: str) -> None:
        """A file under a name, its content from `origin`, for whatever is linked to. Raises OSError where the target
        cannot be written, which nobody else may write into."""
        copied = os.path.join(self._target, name)
        os.makedirs(os.path.dirname(copied), exist_ok=True)
        try:
            self._file(origin, copied)
        except (PermissionError, FileNotFoundError) as error:
            self._left_out(name, error.strerror or "not allowed")
            return
        self.count += 1
        self.size_bytes += os.stat(copied).st_size

    def take(self, name: str) -> None:
        """One file, link or folder, by its path from the source on. Raises OSError where the target cannot be
        written."""
        above = os.path.dirname(name)
        if not self._is_sound(above):
            return
        origin, copied = os.path.join(self._source, name), os.path.join(self._target, name)
        try:
            found = os.lstat(origin)
        except OSError:
            return
        if stat.S_ISDIR(found.st_mode):
            self._folder(name, copied, found)
        elif stat.S_ISLNK(found.st_mode):
            self._link(name, origin, copied)
        elif stat.S_ISREG(found.st_mode):
            try:
                self._file(origin, copied)
            except PermissionError as error:
                self._left_out(name, error.strerror or "not allowed")
                return
            self.count += 1
            self.size_bytes += found.st_size
        else:
            self._left_out(name, "no file")

    def _is_sound(self, folder: str) -> bool:
        """Whether a folder may be written below the target, and is reached without a link on both sides."""
        known = self._sound.get(folder)
        if known is None:
            known = False
            if self._is_sound(os.path.dirname(folder)):
                there = os.path.join(self._source, folder)
                if os.path.islink(there) or not os.path.isdir(there):
                    self._left_out(folder, "is reached by a link")
                else:
                    self._folder(folder, os.path.join(self._target, folder), os.stat(there))
                    known = True
            self._sound[folder] = known
        return known

    def _folder(self, name: str, copied: str, found: os.stat_result) -> None:
        try:
            os.mkdir(copied)
        except FileExistsError:
            if os.path.islink(copied) or not os.path.isdir(copied):
                os.unlink(copied)
                os.mkdir(copied)
        os.chmod(copied, stat.S_IMODE(found.st_mode) & 0o1777 | 0o700)

    def _link(self, name: str, origin: str, copied: str) -> None:
        aim = os.readlink(origin)
        _clear(copied)
        os.symlink(aim, copied)
        self.count += 1

    def _file(self, origin: str, copied: str) -> None:
        _clear(copied)
        source = os.open(origin, _IN)
        try:
            found = os.fstat(source)
            target = os.open(copied, _OUT, 0o600)
            try:
                _content(source, target, found.st_size)
                os.fchmod(target, stat.S_IMODE(found.st_mode) & 0o1777)
                os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _left_out(self, name: str, why: str) -> None:
        if len(self.notes) < NOTES_MAX:
            self.notes.append(f"left out {name}: {why}")


def _content(source: int, target: int, size: int) -> None:
    """Cloned where the file system can, else copied in the kernel."""
    left = size
    while left > 0:
        try:
            copied = os.copy_file_range(source, target, min(left, _PIECE))
        except OSError as error:
            if error.errno not in _CANNOT or left < size:
                raise
            break
        if not copied:
            break  # it has become shorter, or there is no copying like this
        left -= copied
    while left > 0 and (piece := os.read(source, 1 << 20)):
        left -= len(piece)
        while piece:
            piece = piece[os.write(target, piece) :]


def _clear(path: str) -> None:
    """Whatever stands in the place of a file, so that no link is written through."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(path)
