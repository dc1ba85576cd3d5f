"""Which files of a folder the globs of a job name: of artifacts, of caches. Follows no link, reads no file."""

from __future__ import annotations

import os
import re

from stagebook.model.globs import Globs
from stagebook.record import state

_BRACES = re.compile(r"\{([^{}]*)\}")
_WILD = re.compile(r"[*?\[]")
_ALTERNATIVES_MAX = 256


def find(
    root: str, globs: list[str], exclude: list[str] | None = None, folders: bool = False
) -> tuple[list[str], list[str]]:
    """The files and links that globs name, and `folders` if asked for, as sorted paths from `root` on; and those globs
    that name nothing. A glob that names a folder names all that lies below it. `exclude`: globs of files
    that are left out again; one that names a folder leaves out nothing of what lies in it."""
    without = {each for glob in exclude or () for each in alternatives(inside(root, glob) or "")}
    left_out = Globs(each for each in without if _WILD.search(each))
    found: set[str] = set()
    barren = []
    for glob in globs:
        path = inside(root, glob)
        names = (
            {name for each in alternatives(path) for name in _named(root, each, folders)} if path is not None else set()
        )
        if not names:
            barren.append(glob)
        found |= names
    if exclude:
        found = {name for name in found if name not in without and left_out.first([name]) is None}
    return sorted(found), barren


def inside(root: str, glob: str) -> str | None:
    """The glob from `root` on: without `./`, the root itself and a slash at the end; None where it leads out."""
    for above in (root, os.path.realpath(root)):
        if glob == above or glob.startswith(above + "/"):
            glob = glob[len(above) :].lstrip("/") or "."
    if glob.startswith("/"):
        return None
    parts = [part for part in glob.split("/") if part not in ("", ".")]
    return None if ".." in parts else "/".join(parts)


def alternatives(glob: str) -> list[str]:
    """What `a/{b,c}` stands for: `a/b` and `a/c`."""
    todo = [glob]
    found: list[str] = []
    while todo and len(todo) + len(found) <= _ALTERNATIVES_MAX:
        one = todo.pop()
        braces = _BRACES.search(one)
        if braces is None:
            found.append(one)
        else:
            todo += [one[: braces.start()] + each + one[braces.end() :] for each in braces[1].split(",")]
    return found


def _named(root: str, glob: str, with_folders: bool) -> set[str]:
    wild = _WILD.search(glob)
    if wild is None:
        return set(_below(root, glob, with_folders))
    fixed = glob[: wild.start()].rpartition("/")[0]
    both = Globs([glob, f"{glob}/**"])
    return {name for name in _below(root, fixed, with_folders) if both.first([name]) is not None}


def _below(root: str, path: str, with_folders: bool) -> list[str]:
    """A file, or all that lies below a folder."""
    full = os.path.join(root, path) if path else root
    if path and any(os.path.islink(os.path.join(root, above)) for above in _above(path)):
        return []
    if not os.path.isdir(full) or (path and os.path.islink(full)):
        return [path] if os.path.lexists(full) else []
    found = []
    for folder, folders, files in os.walk(full):
        at = os.path.relpath(folder, root)
        folders[:] = [each for each in folders if each != state.NAME and not (at == "." and each == ".git")]
        links = [each for each in folders if os.path.islink(os.path.join(folder, each))]
        names = [*files, *links]
        found += [each if at == "." else f"{at}/{each}" for each in names]
        if with_folders and at != ".":
            found.append(at)
    return found


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
