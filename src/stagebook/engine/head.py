"""Which commit a folder's git work tree stands at, read from git's own files: a few small reads instead of a process.

Whatever is not as expected is unknown, and never stops a run. Whether files differ from that commit is not known here:
to tell would take git itself.
"""

from __future__ import annotations

import os

from stagebook.model.value import NamedTuple

READ_MAX = 4096
PACKED_MAX = 4 << 20  #: of refs that are packed into one file; where there are more, the commit stays unknown
LINKS_MAX = 5  #: refs that name a ref


class Head(NamedTuple):
    """`commit` is a whole hash; `branch` None where none is checked out. Both None: unknown, or no work tree."""

    commit: str | None = None
    branch: str | None = None


def head(folder: str) -> Head:
    """Where the work tree stands that `folder` lies in."""
    try:
        git = _git_directory(folder)
        if git is None:
            return Head()
        return _head(git)
    except (OSError, ValueError):
        return Head()


def _head(git: str) -> Head:
    common = git
    try:  # a work tree beside the first one keeps its branches there
        common = os.path.join(git, _read(os.path.join(git, "commondir")))
    except OSError:
        pass
    text = _read(os.path.join(git, "HEAD"))
    branch = None
    for _ in range(LINKS_MAX):
        if not text.startswith("ref:"):
            return Head(text if _is_hash(text) else None, branch)
        ref = text[4:].strip()
        if not ref.startswith("refs/") or ".." in ref or ref.endswith("/.invalid"):
            return Head()
        if branch is None and ref.startswith("refs/heads/"):
            branch = ref[len("refs/heads/") :]
        try:
            text = _read(os.path.join(common, ref))
        except OSError:
            text = _packed(common, ref)
    return Head(None, branch)


def _git_directory(folder: str) -> str | None:
    """The nearest `.git` upward, or what a file of that name leads to."""
    at = os.path.abspath(folder)
    while True:
        path = os.path.join(at, ".git")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_DIRECTORY)
            os.close(fd)
            return path
        except NotADirectoryError:
            text = _read(path)
            return os.path.join(at, text[len("gitdir:") :].strip()) if text.startswith("gitdir:") else None
        except FileNotFoundError:
            pass
        above = os.path.dirname(at)
        if above == at:
            return None
        at = above


def _packed(common: str, ref: str) -> str:
    """The hash of a ref that has no file of its own; empty where it has none at all."""
    try:
        data = _bytes(os.path.join(common, "packed-refs"), PACKED_MAX)
    except FileNotFoundError:
        return ""
    at = data.find(b" " + os.fsencode(ref) + b"\n")
    return data[data.rfind(b"\n", 0, at) + 1 : at].decode("ascii") if at > 0 else ""


def _read(path: str) -> str:
    return os.fsdecode(_bytes(path, READ_MAX)).strip()


def _bytes(path: str, most: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO in its place must not block
    try:
        return os.read(fd, most)
    finally:
        os.close(fd)


def _is_hash(text: str) -> bool:
    return len(text) in (40, 64) and all(letter in "0123456789abcdef" for letter in text)
