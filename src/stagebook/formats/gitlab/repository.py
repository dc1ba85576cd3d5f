"""The repository that a file lies in, as far as its own files tell: root, branches, name. Git itself is not asked."""

from __future__ import annotations

import os
import re

from stagebook.model.value import NamedTuple

_READ_MAX = 1 << 16
_URL = re.compile(r"(?m)^[ \t]*url[ \t]*=[ \t]*(?:\w+://[^/\s]+/|[^/\s:]+:/?)(\S+?)(?:\.git)?/?[ \t]*$")
_PATH = re.compile(r"[\w.+-]+(?:/[\w.+-]+)+")
_SPOKEN = re.compile(rb"\$CI_PROJECT_(PATH|NAMESPACE)\s*==\s*[\"']([^\"'\s]+)[\"']")


def git_root(folder: str) -> str | None:
    """The nearest folder, from `folder` upwards, that is a work tree of git."""
    while True:
        if os.path.exists(os.path.join(folder, ".git")):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


class Repository(NamedTuple):
    """What is known of the one at hand without asking git. `branch`: the one that is checked out; `default`: that of
    the project; `commit`: its head; `path`: of the project at its server, as `group/project`. None: not known."""

    branch: str | None = None
    default: str | None = None
    commit: str | None = None
    path: str | None = None


def repository(root: str) -> Repository:
    git = os.path.join(root, ".git")
    if not os.path.exists(git):
        return Repository()
    said = _first_line(git)
    if said.startswith("gitdir:"):
        git = os.path.join(root, said.removeprefix("gitdir:").strip())
    head = _first_line(os.path.join(git, "HEAD"))
    current = head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else None
    common = _first_line(os.path.join(git, "commondir"))
    shared = os.path.join(git, common) if common else git
    commit: str | None = head if current is None else _first_line(os.path.join(shared, "refs", "heads", current))
    if not commit or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        commit = None
    path = _path(os.path.join(shared, "config"))
    origin = _first_line(os.path.join(shared, "refs", "remotes", "origin", "HEAD"))
    if origin.startswith("ref: refs/remotes/origin/"):
        return Repository(current, origin.removeprefix("ref: refs/remotes/origin/"), commit, path)
    for name in ("main", "master"):
        if os.path.exists(os.path.join(shared, "refs", "heads", name)):
            return Repository(current, name, commit, path)
    return Repository(current, current, commit, path)


def spoken_of(data: bytes) -> Repository:
    """Of a file without a repository: the project and the branch of which it speaks."""
    found: dict[str, str] = {}
    for name, value in _SPOKEN.findall(data):
        found.setdefault(name.decode(), value.decode("utf-8", "replace"))
    path = found.get("PATH") or (f"{found['NAMESPACE']}/project" if "NAMESPACE" in found else None)
    branch = "master" if re.search(rb"\bmaster\b", data) and not re.search(rb"\bmain\b", data) else None
    return Repository(None, branch, None, path if path and _PATH.fullmatch(path) else None)


def _path(config: str) -> str | None:
    """Of the project, by the address of the remote that it came from."""
    for section in re.split(r"(?m)^(?=[ \t]*\[)", _text(config)):
        if section.lstrip().startswith('[remote "origin"]'):
            found = _URL.search(section)
            return found[1] if found is not None and _PATH.fullmatch(found[1]) else None
    return None


def _first_line(path: str) -> str:
    return _text(path).partition("\n")[0].strip()


def _text(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, encoding="utf-8", errors="replace") as handle:
            return handle.read(_READ_MAX)
    except OSError:
        return ""
