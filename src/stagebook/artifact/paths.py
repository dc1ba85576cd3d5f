"""Which files globs name, and which of them may be artifacts. Reads no content and changes nothing.

Paths are relative to a root, with forward slashes, and are taken as the system has them: newlines are fine, and bytes
that are not UTF-8 are there as surrogates. No link is followed on the way to a file: a path that needs one is none.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from bisect import bisect_left, bisect_right

from stagebook.model.globs import Globs, is_path, rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Sequence

#: Never entered, wherever they lie: the record of runs, and git's own files.
HIDDEN = frozenset([".stagebook", ".git", "..", "."])
_NO_NAMES = HIDDEN | {""}
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}


class Unsound(Exception):
    """This file cannot be an artifact, or not now. `why` goes on after the path: `it is a FIFO`."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why

    @property
    def words(self) -> str:
        """As part of a sentence."""
        return f"{self.path} {self.why[3:]}" if self.why.startswith("it ") else f"{self.path}: {self.why}"


class Folders:
    """Opens files below a root folder by folder: whoever puts a link in the place of one, it is not followed.

    It keeps the folder that was asked for last, so that many files of one folder cost no more than by their paths.
    """

    __slots__ = ("_at", "_fd", "_root", "path")

    def __init__(self, root: str) -> None:
        """Raises OSError."""
        self.path = root
        self._root = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
        self._at = ""
        self._fd = self._root

    def close(self) -> None:
        for fd in {self._root, self._fd}:
            os.close(fd)

    def __enter__(self) -> Folders:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def of(self, path: str) -> tuple[int, str]:
        """The descriptor of the folder in which `path` lies, good until the next call, and the name there.

        Raises OSError.
        """
        folder, _, name = path.rpartition("/")
        return (self._fd if folder == self._at else self._enter(folder)), name

    def open(self, path: str) -> int:
        """A descriptor to read a file with; a link at its end is not followed (ELOOP). Raises OSError."""
        folder, _, name = path.rpartition("/")
        return os.open(name, _FILE, dir_fd=self._fd if folder == self._at else self._enter(folder))

    def make(self, path: str) -> None:
        """Make the folder in which `path` lies, and those above, where they are not there. Raises OSError."""
        self._enter(path.rpartition("/")[0], True)

    def _enter(self, folder: str, is_made: bool = False) -> int:
        at = self._root
        try:
            for part in folder.split("/") if folder else ():
                if part in ("", ".", ".."):
                    raise OSError(errno.EINVAL, "no folder of files", folder)
                if is_made:
                    try:
                        os.mkdir(part, dir_fd=at)
                    except FileExistsError:
                        pass
                inner = os.open(part, _FOLDER, dir_fd=at)
                if at != self._root:
                    os.close(at)
                at = inner
        except OSError:
            if at != self._root:
                os.close(at)
            raise
        if self._fd != self._root:
            os.close(self._fd)
        self._at, self._fd = folder, at
        return at


def found(root: str, globs: Sequence[str], odd: list[str] | None = None) -> list[str]:
    """The regular files and links below `root` that a glob matches, sorted; links to folders are not followed.

    What matches and is neither (a FIFO, a socket, a device) is put into `odd`. Only folders are listed in which
    something can match. Raises Unsound for a folder that cannot be read.
    """
    base = root.rstrip("/") + "/"
    matched: list[str] = []
    wild = [glob for glob in globs if not _take_file(base, glob, matched)]
    if not wild:
        return matched if len(matched) < 2 else sorted(set(matched))
    todo: list[tuple[str, _Node]] = [("", _Walk(wild).start)]
    while todo:
        folder, node = todo.pop()
        try:
            if node.is_literal:
                _look(base, folder, node, matched, odd, todo)
            else:
                _list(base, folder, node, matched, odd, todo)
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone meanwhile
        except OSError as error:
            raise Unsound(folder.rstrip("/") or ".", error.strerror or str(error)) from None
    return sorted(matched) if len(wild) == len(globs) else sorted(set(matched))


def unmatched(globs: Iterable[str], found: Sequence[str]) -> list[str]:
    """Those of the globs that match none of these files, which are sorted."""
    names = set(found)
    left = []
    for glob in globs:
        if glob not in names:
            begin = re.split(r"[*?[]", glob, maxsplit=1)[0]
            low, high = bisect_left(found, begin), bisect_right(found, begin + "\U0010ffff")
            if Globs([glob]).first(found[low:high]) is None:
                left.append(glob)
    return left


def _take_file(base: str, glob: str, matched: list[str]) -> bool:
    """Take a file that is named just as it is, or find that it is not there; False where that takes a walk."""
    if not is_path(glob) or glob.endswith("/"):
        return False
    at = base
    parts = glob.split("/")
    for part in parts[:-1]:
        if part in _NO_NAMES:
            return False
        at += part
        try:
            if not stat.S_ISDIR(os.lstat(at).st_mode):
                return True
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        at += "/"
    if parts[-1] in _NO_NAMES:
        return False
    try:
        mode = os.lstat(at + parts[-1]).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
        matched.append(glob)
        return True
    return False


def refusal(root: str, path: str) -> str | None:
    """Why what lies at `path` may not be an artifact, after the path: `it is a FIFO`; None where it may, or where
    nothing lies there."""
    why = _name_refusal(path)
    if why is not None:
        return why
    parts = path.split("/")
    at = root
    for number, part in enumerate(parts):
        at = os.path.join(at, part)
        try:
            status = os.lstat(at)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return error.strerror
        kind = stat.S_IFMT(status.st_mode)
        if number + 1 < len(parts):
            if kind == stat.S_IFLNK:
                return f"{'/'.join(parts[: number + 1])} on the way to it is a link"
        elif kind == stat.S_IFLNK:
            return _link_refusal(root, at)
        elif kind in _KINDS:
            return f"it is {_KINDS[kind]}"
    return None


def clash(paths: Iterable[str]) -> tuple[str, str] | None:
    """The first two of the paths that are one file where upper and lower case do not differ."""
    seen: dict[str, str] = {}
    for path in paths:
        other = seen.setdefault(_folded(path), path)
        if other != path:
            return other, path
    return None


def is_case_blind(root: str) -> bool:
    """Whether two names that differ in case alone are one file there; False where that cannot be told."""
    for name in (".stagebook", ".git", "stagebook.yaml"):
        try:
            status = os.lstat(os.path.join(root, name))
            return os.path.samestat(status, os.lstat(os.path.join(root, name.upper())))
        except OSError:
            continue
    return False


def kind_of(mode: int) -> str | None:
    """`a FIFO`, `a directory`, …; None for a regular file or a link."""
    return _KINDS.get(stat.S_IFMT(mode))


def _name_refusal(path: str) -> str | None:
    if not path or "\0" in path:
        return "it is no path"
    if path.startswith("/"):
        return "it begins at the root of the file system"
    parts = path.split("/")
    if ".." in parts:
        return "it leads out of the pipeline's folder"
    if not HIDDEN.isdisjoint(parts) or "" in parts:
        inside = next((part for part in parts if part in HIDDEN and part not in (".", "..")), None)
        return f"it lies in {inside}" if inside else "it is no plain path"
    return None


def _link_refusal(root: str, at: str) -> str | None:
    home = os.path.realpath(root)
    try:
        end = os.path.realpath(at, strict=True)
    except FileNotFoundError:
        end = os.path.realpath(at)  # what it leads to may come later
    except OSError as error:
        return f"it is a link that leads nowhere: {error.strerror}"
    if end != home and not end.startswith(os.path.join(home, "")):
        return f"it is a link out of the pipeline's folder, to {os.readlink(at)}"
    return None


def _folded(path: str) -> str:
    from unicodedata import normalize

    return normalize("NFC", path).casefold()


class _Node:
    """What may follow in one folder. `is_all`: whatever lies below matches."""

    __slots__ = ("is_all", "is_literal", "names", "patterns", "stays", "walk")

    def __init__(self, walk: _Walk, places: Iterable[tuple[int, int]]) -> None:
        self.walk = walk
        self.names: dict[str, list[tuple[int, int]]] = {}
        self.patterns: list[tuple[Any, tuple[int, int]]] = []
        self.stays: list[tuple[int, int]] = []
        self.is_all = False
        for glob, at in places:
            segments = walk.globs[glob]
            if segments[at] is None:
                if at == len(segments) - 1:
                    self.is_all = True
                    break
                self.stays.append((glob, at))
                at += 1  # never another `**`, for two in a row are one
            segment = segments[at]
            if isinstance(segment, str):
                self.names.setdefault(segment, []).append((glob, at + 1))
            else:
                self.patterns.append((segment, (glob, at + 1)))
        self.is_literal = not (self.is_all or self.patterns or self.stays)

    def step(self, name: str) -> tuple[bool, _Node | None]:
        """Whether a file of this name matches, and what may follow in a folder of this name."""
        after = self.stays[:]
        after += self.names.get(name, ())
        after += [place for matches, place in self.patterns if matches(name)]
        if not after:
            return False, None
        return self.walk.node(after)


class _Walk:
    """Globs as one automaton over the names of a path, made as far as a walk needs it."""

    __slots__ = ("_known", "globs", "start")

    def __init__(self, globs: Sequence[str]) -> None:
        self.globs = [row for glob in globs for row in rows(glob) if row]
        self._known: dict[frozenset[tuple[int, int]], tuple[bool, _Node | None]] = {}
        self.start = _Node(self, [(glob, 0) for glob in range(len(self.globs))])

    def node(self, places: list[tuple[int, int]]) -> tuple[bool, _Node | None]:
        key = frozenset(places)
        known = self._known.get(key)
        if known is None:
            further = [(glob, at) for glob, at in key if at < len(self.globs[glob])]
            known = self._known[key] = (len(further) < len(key), _Node(self, further) if further else None)
        return known


def _look(base: str, folder: str, node: _Node, matched: list[str], odd: list[str] | None, todo: list[Any]) -> None:
    """Only these names can match: they are looked up, and the folder is not listed."""
    for name in node.names:
        if name in HIDDEN:
            continue
        path = folder + name
        try:
            mode = os.lstat(base + path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        is_match, following = node.step(name)
        if stat.S_ISDIR(mode):
            if following is not None:
                todo.append((path + "/", following))
        elif is_match:
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                matched.append(path)
            elif odd is not None:
                odd.append(path)


def _list(base: str, folder: str, node: _Node, matched: list[str], odd: list[str] | None, todo: list[Any]) -> None:
    is_all, step = node.is_all, node.step
    is_match: bool
    following: _Node | None
    is_match, following = True, node
    with os.scandir(base + folder) as entries:
        for entry in entries:
            name = entry.name
            if not is_all:
                is_match, following = step(name)
            if entry.is_dir(follow_symlinks=False):
                if following is not None and name not in HIDDEN:
                    todo.append((f"{folder}{name}/", following))
            elif is_match:
                if entry.is_file(follow_symlinks=False) or entry.is_symlink():
                    matched.append(folder + name)
                elif odd is not None:
                    odd.append(folder + name)
