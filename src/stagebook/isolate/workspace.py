"""Workspaces: copies of a folder in which a stage works alone, made and removed. When that is: the engine's business.

Folders are walked by descriptors and no link is followed, in copying or removing, whatever somebody puts there
meanwhile. Files are cloned where the file system can, else copied in the kernel; never linked, as a write through a
hard link would be everybody's. Permissions and times are kept, owners and extended attributes are not.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from stagebook.model.problem import SurroundingsError
from stagebook.record import lock, state

_IN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY
_OUT = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL
_CLONE = 0x4004_9409  #: FICLONE
_PIECE = 1 << 27
_CANNOT = frozenset([errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM, errno.EBADF])
_KEPT_MODE = 0o1777  #: a copy is the user's own: it sets no identity
_RUN = re.compile(r"[0-9A-Z]{26}(\.[0-9]+)?")
NOTES_MAX = 10


def directory(state_directory: str, run: str) -> str:
    """Where the workspaces of a run are."""
    return os.path.join(_above(state_directory), run)


def _above(state_directory: str) -> str:
    return state.workspaces_directory(state_directory)


def _make_private(target: str, above: str) -> None:
    for is_last in (False,) * 10 + (True,):
        try:
            for folder in (above, os.path.dirname(target)):
                if not os.path.isdir(folder):
                    os.makedirs(folder, 0o700, exist_ok=True)
            return os.mkdir(target, 0o700)
        except FileNotFoundError:  # whoever was done with the only other workspace has removed what was around it
            if is_last:
                raise


def _own(above: str) -> None:
    """A link in its place, as a checkout may bring one, would have us write and remove elsewhere. Raises OSError."""
    if os.path.islink(above):
        raise OSError(errno.ELOOP, f"{above} is a link")


def make(source: str, target: str, state_directory: str) -> list[str]:
    """Copy the folder `source` to `target`, which is not there yet, without `.git`, any `.stagebook`, and the state
    directory wherever it is. Gives what was left out, and why. Raises SurroundingsError; then nothing is left."""
    try:
        _own(_above(state_directory))
        _make_private(target, _above(state_directory))
    except OSError as error:
        raise _failure(target, error) from None
    copier = _Copier(state_directory)
    try:
        copier.copy(source, target)
    except OSError as error:
        remove(target)
        raise _failure(target, error) from None
    if copier.unsaid:
        copier.notes.append(f"{copier.unsaid} more")
    return copier.notes


def remove(path: str) -> bool:
    """Remove a folder with all that is in it, or whatever stands in its place. False if some of it is still there."""
    above, name = os.path.split(path)
    try:
        fd = os.open(above, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError:
        return not os.path.lexists(path)
    try:
        return _remove(fd, name)
    finally:
        os.close(fd)


def leftovers(state_directory: str) -> list[str]:
    """The runs that have workspaces and no engine."""
    found = [name for name in _runs(state_directory) if "." not in name]
    return [name for name in found if lock.holder(state.run_directory(state_directory, name)) is None]


def sweep(state_directory: str, but: str | None = None) -> list[str]:
    """Remove the workspaces of runs that no engine holds, `but` those of one run. Whose are gone.

    The lock of such a run is held for a moment, so that no engine goes on with it meanwhile and loses its own.
    """
    swept = []
    for name in _runs(state_directory):
        path = directory(state_directory, name)
        if name == but:
            continue
        if "." in name:  # set aside by somebody who was killed in the midst
            remove(path)
        elif _set_aside(path, f"{path}.{os.getpid()}", state.run_directory(state_directory, name)):
            remove(f"{path}.{os.getpid()}")
            swept.append(name)
    return swept


def _runs(state_directory: str) -> list[str]:
    above = _above(state_directory)
    try:
        _own(above)
        return [name for name in os.listdir(above) if _RUN.fullmatch(name)]
    except OSError:
        return []


def size_bytes(path: str) -> int:
    """What a folder takes on the disk, as far as it can be read."""
    total = 0
    for _, folders, files, fd in os.fwalk(path):
        for name in (*folders, *files):
            try:
                total += os.stat(name, dir_fd=fd, follow_symlinks=False).st_blocks * 512
            except OSError:
                pass  # it has just gone
    return total


def _set_aside(path: str, aside: str, run_directory: str) -> bool:
    """Rename while no engine can hold the run."""
    held = None
    try:
        if os.path.isdir(run_directory):
            held = lock.take(run_directory)
        os.rename(path, aside)
    except (SurroundingsError, OSError):
        return False
    finally:
        if held is not None:
            lock.release(held)
    return True


def _failure(target: str, error: OSError) -> SurroundingsError:
    return SurroundingsError(f"cannot make the workspace {target}: {error.strerror or error}")


class _Copier:
    """One copy. Each level that is open costs two descriptors, so a depth beyond their number is an error."""

    def __init__(self, state_directory: str) -> None:
        self.notes: list[str] = []
        self.unsaid = 0
        self._can_clone = self._can_copy = True
        try:
            found = os.stat(state_directory)
            self._state: tuple[int, int] | None = found.st_dev, found.st_ino
        except OSError:
            self._state = None

    def copy(self, source: str, target: str) -> None:
        above = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        into = os.open(target, _FOLDER)
        stack: list[tuple[int, int, list[str], str]] = [(above, into, _names(above, is_top=True), "")]
        try:
            while stack:
                above, into, names, path = stack[-1]
                if not names:
                    if len(stack) > 1:
                        _like(into, os.fstat(above))
                    os.close(above)
                    os.close(into)
                    stack.pop()
                    continue
                below = self._entry(above, into, names.pop(), path)
                if below is not None:
                    stack.append(below)
        finally:
            for above, into, _, _ in stack:
                os.close(above)
                os.close(into)

    def _entry(self, above: int, into: int, name: str, path: str) -> tuple[int, int, list[str], str] | None:
        """Copy one entry; a folder is given back open, with the names in it."""
        path = f"{path}/{name}" if path else name
        try:
            found = os.stat(name, dir_fd=above, follow_symlinks=False)
        except FileNotFoundError:
            return None  # whoever works there has just removed it
        if stat.S_ISLNK(found.st_mode):
            try:
                aim = os.readlink(name, dir_fd=above)
            except OSError:  # it is gone, or no link any more
                self._leave_out(path, "was changed meanwhile")
                return None
            os.symlink(aim, name, dir_fd=into)
            os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=into, follow_symlinks=False)
        elif stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode):
            return self._opened(above, into, name, path, stat.S_ISDIR(found.st_mode))
        else:
            self._leave_out(path, _kind(found.st_mode))
        return None

    def _opened(
        self, above: int, into: int, name: str, path: str, is_folder: bool
    ) -> tuple[int, int, list[str], str] | None:
        try:
            fd = os.open(name, _FOLDER if is_folder else _IN, dir_fd=above)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            self._leave_out(path, error.strerror or str(error))
            return None
        is_handed_on = False
        try:
            found = os.fstat(fd)
            if is_folder:
                if (found.st_dev, found.st_ino) == self._state:
                    return None
                names = _names(fd)
                os.mkdir(name, 0o700, dir_fd=into)
                is_handed_on = True
                return fd, os.open(name, _FOLDER, dir_fd=into), names, path
            if not stat.S_ISREG(found.st_mode):
                self._leave_out(path, _kind(found.st_mode))
                return None
            copied = os.open(name, _OUT, 0o600, dir_fd=into)
            try:
                self._content(fd, copied, found.st_size)
                _like(copied, found)
            finally:
                os.close(copied)
        finally:
            if not is_handed_on:
                os.close(fd)
        return None

    def _content(self, source: int, target: int, size: int) -> None:
        if self._can_clone and size:
            import fcntl

            try:
                fcntl.ioctl(target, _CLONE, source)
                return
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                self._can_clone = False
        left = size
        while self._can_copy and left:
            try:
                copied = os.copy_file_range(source, target, min(left, _PIECE))
            except OSError as error:
                if error.errno not in _CANNOT or left < size:
                    raise
                copied = 0
            if not copied:
                self._can_copy = left < size  # it ends earlier than it did, or there is no copying like this
                break
            left -= copied
        while left and (piece := os.read(source, min(left, 1 << 20))):
            left -= len(piece)
            while piece:
                piece = piece[os.write(target, piece) :]

    def _leave_out(self, path: str, why: str) -> None:
        if len(self.notes) < NOTES_MAX:
            self.notes.append(f"{path} ({why})")
        else:
            self.unsaid += 1


def _names(folder: int, is_top: bool = False) -> list[str]:
    return [name for name in os.listdir(folder) if name != state.NAME and not (is_top and name == ".git")]


def _like(fd: int, found: os.stat_result) -> None:
    os.fchmod(fd, stat.S_IMODE(found.st_mode) & _KEPT_MODE)
    os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _remove(above: int, name: str) -> bool:
    """By descriptors, one a level, and never through a link: what is no folder is unlinked."""
    stack: list[tuple[int, str, list[str]]] = []
    at, is_all = above, True
    todo = [name]
    while True:
        if not todo:
            if not stack:
                return is_all
            os.close(at)
            at, name, todo = stack.pop()
            try:
                os.rmdir(name, dir_fd=at)
            except FileNotFoundError:
                pass
            except OSError:
                is_all = False
            continue
        name = todo.pop()
        try:
            os.unlink(name, dir_fd=at)
            continue
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EPERM):
                is_all = False
                continue
        below = _open_to_empty(at, name)
        if below is None:
            is_all = False
            continue
        stack.append((at, name, todo))
        at, todo = below, os.listdir(below)


def _open_to_empty(above: int, name: str) -> int | None:
    """A folder, with the right to read it and to take from it, which a stage may have given up."""
    try:
        handle = os.open(name, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=above)
    except OSError:
        return None
    try:
        itself = f"/proc/self/fd/{handle}"
        if stat.S_IMODE(os.fstat(handle).st_mode) & 0o700 != 0o700:
            os.chmod(itself, 0o700)
        return os.open(itself, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError:
        return None
    finally:
        os.close(handle)
