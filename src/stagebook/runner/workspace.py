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
    if history:
        notes += _clone(here.root, target)
    notes += copying.copy(names, here.root, target)
    return notes


def _listed(root: str) -> list[str] | None:
    """The files of a work tree; None where there is none, or git cannot say."""
    if state.git_root(root) is None:
        return None
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is None:
        return None
    names = {os.fsdecode(name) for name in listed.split(b"\0") if name}
    return [name for name in sorted(names) if state.NAME not in name.split("/") and not name.endswith("/")]


def _clone(root: str, target: str) -> list[str]:
    """The history, its index as of the last commit, and where it came from."""
    if state.git_root(root) != root or _git(root, "rev-parse", "-q", "--verify", "HEAD") is None:
        return []  # a folder within a work tree, or one without a commit
    git = os.path.join(target, ".git")
    if os.path.lexists(git):
        shutil.rmtree(git, ignore_errors=True)
    aside = f"{target}.git-new"
    shutil.rmtree(aside, ignore_errors=True)
    if _git(os.path.dirname(target), "clone", "-q", "--shared", "--no-checkout", "--template=", root, aside) is None:
        return ["the history could not be cloned: git has nothing to say in this job"]
    os.rename(os.path.join(aside, ".git"), git)
    os.rmdir(aside)
    _git(target, "reset", "-q")
    origin = _git(root, "config", "--get", "remote.origin.url")
    if origin is not None:
        _git(target, "remote", "set-url", "origin", os.fsdecode(origin).strip())
    return []


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
