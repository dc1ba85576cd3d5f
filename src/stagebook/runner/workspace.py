"""The directory that a job works in: made with what a clone would hold, and removed. What the user's own folder holds
is never touched.

A clone would hold what is committed. Here it holds what is about to be: tracked files as they are now, and new ones
that nothing ignores.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from stagebook.isolate import workspace
from stagebook.model.problem import SurroundingsError
from stagebook.record import state
from stagebook.runner import copying
from stagebook.runner.here import Here

_GIT_S = 300
#: Nothing of the user's own habits, and nobody is asked for a password.
_GIT = ("git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.file.allow=always")


def make(here: Here) -> None:
    """The empty directories of a job. Raises SurroundingsError, OSError."""
    state.refuse_links(here.state)
    workspace.sweep(here.state, but=here.run)
    workspace.remove(here.place)
    os.makedirs(here.workspace, 0o700)


def finish(here: Here, is_well: bool) -> str | None:
    """Remove them where all went well. Else they stay until the next run: a line that says where."""
    if not is_well:
        below = os.path.relpath(here.workspace, here.root)
        return f"its workspace is kept until the next run: {here.workspace if below.startswith('..') else below}"
    if not workspace.remove(here.place):
        return f"its workspace could not be removed: {here.place}"
    try:
        os.rmdir(os.path.dirname(here.place))
    except OSError:
        pass  # other jobs work there
    return None


def checkout(here: Here, into: str | None = None, history: bool = True) -> list[str]:
    """Put into a directory, the job's workspace if none is named, what a clone would hold. What is worth a note.
    Raises SurroundingsError."""
    target = here.workspace if into is None else into
    os.makedirs(target, exist_ok=True)
    names = _listed(here.root)
    if names is None:
        notes = copying.copy_tree(here.root, target, skip=(state.NAME, ".git"))
        return ["no git work tree: all files of the folder were copied", *notes]
    notes = []
    if history and _has_history(here.root):
        if not _clone(here.root, target):
            notes.append("the history could not be cloned: git has nothing to say in this job")
        elif not _is_filtered(here.root, names) and _git(target, "reset", "-q", "--hard") is not None:
            return _bring_up(here.root, target)
        else:
            _git(target, "reset", "-q")
    return notes + copying.copy(names, here.root, target)


def submodules(here: Here) -> list[str]:
    """Put the files of submodules where they belong, as they lie here. What is worth a note. Raises
    SurroundingsError."""
    if not os.path.isfile(os.path.join(here.root, ".gitmodules")):
        return []
    own = _git(here.root, "ls-files", "-z", "--cached")
    all_ = _git(here.root, "ls-files", "-z", "--cached", "--recurse-submodules")
    if own is None or all_ is None:
        return ["the files of submodules could not be listed: they are not there"]
    names = sorted(set(_names(all_)) - set(_names(own)))
    if not names:
        return ["no submodule has files here: git submodule update --init brings them"]
    return copying.copy(names, here.root, here.workspace)


def _listed(root: str) -> list[str] | None:
    """The files of a work tree; None where there is none, or git cannot say."""
    if state.git_root(root) is None:
        return None
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return None if listed is None else _names(listed)


def _names(listed: bytes) -> list[str]:
    names = {os.fsdecode(name) for name in listed.split(b"\0") if name}
    return [name for name in sorted(names) if state.NAME not in name.split("/") and not name.endswith("/")]


def _has_history(root: str) -> bool:
    """Not so for a folder within a work tree, or one without a commit."""
    return state.git_root(root) == root and _git(root, "rev-parse", "-q", "--verify", "HEAD") is not None


def _is_filtered(root: str, names: list[str]) -> bool:
    """Whether files are another thing in commits than in the work tree, as large ones that lie elsewhere: then git
    could not make them from what is here."""
    for name in names:
        if name.rpartition("/")[2] == ".gitattributes":
            try:
                with state.open_regular(os.path.join(root, name)) as file:
                    if b"filter=" in file.read(1 << 20):
                        return True
            except OSError:
                continue
    return False


def _bring_up(root: str, target: str) -> list[str]:
    """From what is committed to what is there: changed and new files, and none that are gone."""
    changed = _git(root, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", "HEAD")
    fresh = _git(root, "ls-files", "-z", "--others", "--exclude-standard")
    names = _names((changed or b"") + (fresh or b""))
    for name in names:
        if not os.path.lexists(os.path.join(root, name)):
            workspace.remove(os.path.join(target, name))
    return copying.copy(names, root, target)


def _clone(root: str, target: str) -> bool:
    """The history, and where it came from; False where there is none to be had."""
    git = os.path.join(target, ".git")
    if os.path.lexists(git):
        shutil.rmtree(git, ignore_errors=True)
    aside = f"{target}.git-new"
    shutil.rmtree(aside, ignore_errors=True)
    if _git(os.path.dirname(target), "clone", "-q", "--shared", "--no-checkout", "--template=", root, aside) is None:
        return False
    os.rename(os.path.join(aside, ".git"), git)
    os.rmdir(aside)
    origin = _git(root, "config", "--get", "remote.origin.url")
    if origin is not None:
        _git(target, "remote", "set-url", "origin", os.fsdecode(origin).strip())
    return True


def _git(folder: str, *words: str) -> bytes | None:
    """What git prints; None where it fails."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env.update(GIT_TERMINAL_PROMPT="0", GIT_OPTIONAL_LOCKS="0")
    try:
        done = subprocess.run(
            (*_GIT, "-C", folder, *words), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=_GIT_S, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired:
        raise SurroundingsError(f"git {words[0]} takes more than {_GIT_S} s in {folder}") from None
    return done.stdout if done.returncode == 0 else None
