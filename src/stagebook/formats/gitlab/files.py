"""Files of a project for a reader: found below its root and nowhere else, listed once. Not what they mean."""

from __future__ import annotations

import os
import re
import stat

from stagebook.formats.native.grammar import BYTES_MAX
from stagebook.model.globs import Globs

LISTED_MAX = 50_000
_SPECIAL = re.compile(r"[*?\[{]")


class Project:
    """A checkout. `name`: of the project, empty for the one at hand."""

    def __init__(self, root: str, name: str = "") -> None:
        self.root = root
        self.name = name
        self._listed: list[str] | None = None

    def path(self, relative: str) -> str | None:
        """Where a file of the project lies, or None: it is not there, or out of the project by `..` or a link."""
        found = os.path.normpath(os.path.join(self.root, relative.lstrip("/")))
        return found if self.holds(found) and os.path.isfile(found) else None

    def holds(self, path: str) -> bool:
        real, root = os.path.realpath(path), os.path.realpath(self.root)
        return real == root or real.startswith(root.rstrip("/") + "/")

    def listed(self) -> list[str]:
        """All files from the root on, as far as the limit goes; what git keeps for itself left out."""
        if self._listed is None:
            found: list[str] = []
            for folder, folders, names in os.walk(self.root):
                folders[:] = sorted(each for each in folders if each not in (".git", ".stagebook"))
                inside = os.path.relpath(folder, self.root)
                start = "" if inside == "." else inside + "/"
                found += [start + name for name in sorted(names)]
                if len(found) > LISTED_MAX:
                    break
            self._listed = found[:LISTED_MAX]
        return self._listed

    def matching(self, glob: str) -> list[str]:
        """The files that a glob of GitLab's matches."""
        glob = glob.lstrip("/").removeprefix("./")
        if not _SPECIAL.search(glob):
            return [glob] if self.path(glob) else []
        globs = Globs(spelled(each) for each in braces(glob))
        return [path for path in self.listed() if globs.first([path]) is not None]

    def has(self, glob: str) -> bool:
        """Whether there is a file, or (without a wildcard) a folder, that it names."""
        plain = glob.lstrip("/").removeprefix("./")
        if not _SPECIAL.search(plain):
            path = os.path.normpath(os.path.join(self.root, plain))
            return self.holds(path) and os.path.exists(path)
        return bool(self.matching(glob))


def braces(glob: str, most: int = 200) -> list[str]:
    """`a.{b,c}` as `a.b`, `a.c`; at most so many."""
    done: list[str] = []
    todo = [glob]
    while todo and len(done) + len(todo) <= most:
        text = todo.pop(0)
        found = re.search(r"\{([^{}]*)\}", text)
        if found is None:
            done.append(text)
        else:
            todo += [text[: found.start()] + part + text[found.end() :] for part in found[1].split(",")]
    return done + todo


def spelled(glob: str) -> str:
    """A glob as `model.globs` has it: `**` stands alone between slashes."""
    names = []
    for name in glob.split("/"):
        before, stars, after = name.partition("**")
        if stars and name != "**":
            names += ([before + "*"] if before else []) + ["**", "*" + after.lstrip("*")]
        else:
            names.append(name)
    return "/".join(names)


def content(path: str) -> bytes:
    """What a regular file holds. OSError if it is none, or too large."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as handle:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > BYTES_MAX:
            raise OSError("it is no regular file, or too large")
        return handle.read()
