"""Files that come into a directory, as items: each when its last writer has closed it, or when it is renamed in.

By inotify, in a child of the engine. What is there at the start counts too, unless somebody still writes it, which a
read lease tells: the kernel gives none on a file that is open for writing. Names that begin with a dot are on their
way to another name.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct

from stagebook.engine.items.origin import NoSource, One, Origin, content_of, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

_CLOSE_WRITE, _MOVED_TO, _DELETE_SELF, _MOVE_SELF = 0x8, 0x80, 0x400, 0x800
_UNMOUNT, _OVERFLOW, _IGNORED, _ONLYDIR = 0x2000, 0x4000, 0x8000, 0x01000000
_GONE = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
_HEAD = struct.Struct("iIII")


def watch(origin: Origin, warn: Callable[[str], None]) -> Iterator[One]:
    """The items in the order in which they came; ends with the arrival of `until`. Raises NoSource."""
    folder = os.path.join(origin.root, origin.text)
    fd = _open(folder, origin.text)
    seen = dict(origin.seen)
    position = origin.after
    arrivals = _there(folder)
    while True:
        is_over = origin.until in arrivals
        for name in arrivals:
            path = os.path.join(folder, name)
            if name == origin.until or name.startswith(".") or not _is_file(path) or is_written(path):
                continue
            content = content_of(path)
            if content is None:
                continue  # it is gone again
            text = f"{origin.text}/{name}"
            key = key_of(origin, text, content)
            if seen.get(name) == key.hex():
                continue  # closed by a second writer that changed nothing
            seen[name] = key.hex()
            position += 1
            yield One(position, text, key)
        if is_over:
            return
        arrivals = _arrivals(fd, folder, origin.text)


def _open(folder: str, name: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(os.O_CLOEXEC)
    wanted = _CLOSE_WRITE | _MOVED_TO | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
    if fd < 0 or libc.inotify_add_watch(fd, os.fsencode(folder), wanted) < 0:
        number = ctypes.get_errno()
        if number == errno.ENOENT:
            raise NoSource(f"watch: there is no directory {name}", "error")
        raise NoSource(f"watch: {name}: {os.strerror(number)}", "error")
    return fd


def _there(folder: str) -> list[str]:
    """What is in the directory, the oldest first."""
    with os.scandir(folder) as entries:
        found = []
        for entry in entries:
            try:
                found.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
            except FileNotFoundError:
                pass
    return [name for _, name in sorted(found)]


def _arrivals(fd: int, folder: str, shown: str) -> list[str]:
    """Names that have come meanwhile; waits for the first."""
    data = os.read(fd, 1 << 16)
    names: dict[str, None] = {}
    at = 0
    while at < len(data):
        _, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length
        if mask & _GONE:
            raise NoSource(f"watch: the directory {shown} is gone", "error")
        if mask & _OVERFLOW:
            names.update(dict.fromkeys(_there(folder)))
        elif name:
            names.pop(name, None)
            names[name] = None
    return list(names)


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def is_written(path: str) -> bool:
    """Whether somebody has the file open for writing; False where the system does not tell."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES) and _has_writer(path, error.errno)
    finally:
        os.close(fd)
    return False


def _has_writer(path: str, number: int) -> bool:
    """EAGAIN says that there is one; where the file is another user's, what `/proc` shows of its openers does."""
    if number == errno.EAGAIN:
        return True
    status = os.stat(path)
    for pid in os.listdir("/proc"):
        if not pid.isdecimal():
            continue
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):
                held = os.stat(f"/proc/{pid}/fd/{name}")
                if (held.st_dev, held.st_ino) == (status.st_dev, status.st_ino):
                    with open(f"/proc/{pid}/fdinfo/{name}") as info:
                        flags = next(int(line.split()[1], 8) for line in info if line.startswith("flags:"))
                    if flags & os.O_ACCMODE != os.O_RDONLY:
                        return True
        except (OSError, StopIteration):
            continue
    return False
