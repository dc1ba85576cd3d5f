"""Who is listed as an approver of a gate: names, and groups of a YAML file (`{ops: [ann, bob]}`). Decides nothing.

A file that cannot be trusted lists nobody: one that is missing, damaged, no regular file, of somebody else, or open to
be written, or to be replaced by way of its folder, by others. It is read anew for every vote, so that who has left the
list no longer counts.
"""

from __future__ import annotations

import os
import stat

from stagebook.model.problem import InputError
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from stagebook.model.pipeline import Gate

BYTES_MAX = 1 << 20


class People(NamedTuple):
    """`names` None: anybody who may write to the run. `trouble` says why nobody counts, with file, line and remedy."""

    names: frozenset[str] | None = None
    trouble: str | None = None

    def may(self, name: str) -> bool:
        return self.trouble is None and (self.names is None or name in self.names)


class _Untrusted(Exception):
    pass


def read(gate: Gate, folder: str) -> People:
    """Who may vote now. `folder` is that of the pipeline file; nothing is raised, `People.trouble` says it."""
    if not gate.approvers:
        return People()
    if gate.approvers_file is None:
        return People(frozenset(gate.approvers))
    path = os.path.join(folder, gate.approvers_file)
    try:
        groups = groups_of(_content(path), path)
    except _Untrusted as why:
        return People(frozenset(), f"nobody can approve: {why}")
    except InputError as error:
        problem = error.problems[0]
        place = f"{path}:{problem.line}" if problem.line else path
        return People(frozenset(), f"nobody can approve: {place}: {problem.message}")
    names: set[str] = set()
    for approver in gate.approvers:
        names.update(groups.get(approver, (approver,)))
    if not names:
        said = ", ".join(f"`{group}`" for group in gate.approvers)
        return People(frozenset(), f"nobody can approve: {path}: {said} has no members; list their names there")
    return People(frozenset(names))


def groups_of(data: bytes, path: str) -> dict[str, tuple[str, ...]]:
    """Groups to their members. Raises InputError with a problem that has the line."""
    from stagebook.formats.native.nodes import col_of, is_nameable, line_of, read_nodes

    def refuse(place: int, message: str) -> NoReturn:
        from stagebook.model.problem import Problem

        raise InputError(message, [Problem(path, line_of(place), col_of(place), "approvers", "error", message)])

    (groups, place, _), problems = read_nodes(data, path)
    if problems:
        raise InputError(problems[0].message, problems)
    if type(groups) is not dict:
        refuse(place, "groups are a mapping from a name to a list of names, as `ops: [ann, bob]`")
    found: dict[str, tuple[str, ...]] = {}
    for group, (_, (members, at, _)) in groups.items():
        if type(members) is not list:
            refuse(at, f"`{group}` must be a list of names, as `{group}: [ann, bob]`")
        for name, where, _ in members:
            if type(name) is not str or not name or not is_nameable(name):
                refuse(where, f"`{group}` must hold names, one text each")
            if name in groups:
                refuse(where, f"`{name}` in `{group}` is a group itself; list its members")
        found[group] = tuple(member[0] for member in members)
    return found


def _check_folder(folder: str) -> None:
    """Whoever may write to the folder can put another file there, unless it is sticky. Raises OSError, _Untrusted."""
    found = os.stat(folder)
    if found.st_uid not in (0, os.geteuid()):
        raise _Untrusted(f"its folder {folder} belongs to another account (uid {found.st_uid}); chown it to your own")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
        raise _Untrusted(f"its folder {folder} can be written by others; chmod go-w it")


def _content(path: str) -> bytes:
    """The bytes of a file that nobody else can have written. Raises _Untrusted."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if os.path.islink(path):
            raise _Untrusted(f"{path} is a link; put the file itself there") from None
        raise _Untrusted(f"{path} cannot be read: {error.strerror}; put the file of groups back") from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _Untrusted(f"{path} is no regular file; put the file of groups there")
        if found.st_uid not in (0, os.geteuid()):
            raise _Untrusted(f"{path} belongs to another account (uid {found.st_uid}); chown it to your own")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _Untrusted(f"{path} can be written by others; chmod go-w it")
        _check_folder(os.path.dirname(path))
        if found.st_size > BYTES_MAX:
            raise _Untrusted(f"{path} has {found.st_size} bytes, more than {BYTES_MAX}; list groups and names only")
        with open(fd, "rb", closefd=False) as file:
            return file.read(BYTES_MAX)
    except OSError as error:
        raise _Untrusted(f"{path} cannot be read: {error.strerror}; put the file of groups back") from None
    finally:
        os.close(fd)
