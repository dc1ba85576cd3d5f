"""The files that an answer at a gate is bound to: found when somebody is asked, and looked at again before what goes on
by the answer begins. Reads files only, so that a child can; who asks, and what follows, is `gates`.
"""

from __future__ import annotations

import os

from stagebook.approval.asked import Room, changed_of
from stagebook.artifact.digest import hash_files, total_bytes
from stagebook.artifact.paths import Unsound, found
from stagebook.model.globs import Globs, is_path
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.artifact.digest import File
    from stagebook.record.publication import Row

HERE_BYTES = 2 << 20  #: so much is read in between; more is a child's work
HERE_FILES = 200  #: and so many files


class Want(NamedTuple):
    """What to find: `made` are outputs of stages before the gate that did not run in this run, `read` inputs of those
    that go on by it. `all_made` are the outputs of all stages: what one of them writes is nobody's source."""

    made: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    all_made: tuple[str, ...] = ()


class Shown(NamedTuple):
    """Question by question: its artifacts and (None: they are not bound) what else a stage reads that goes on by it."""

    gate: int
    artifacts: tuple[Row, ...]
    inputs: tuple[Row, ...] | None
    has_all: bool = True  #: whatever the stage reads is among `inputs`
    room: Room = Room()


def look(root: str, want: Want) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """What lies there now: what was made, and what is read. Raises OSError for what cannot be."""
    try:
        return _rows(root, found(root, want.made, [])), _rows(root, _sources(root, want))
    except Unsound as unsound:
        raise OSError(unsound.words) from None


def changes(root: str, shown: Sequence[Shown], want: Want) -> dict[int, tuple[str, ...]]:
    """Of each gate whose answer holds no longer, the files that are not as they were shown. `want` is what the stage
    reads that is to begin."""
    now: set[str] = set()
    reads = Globs(want.read)
    if want.read:
        try:
            now = set(_sources(root, want))
        except (OSError, Unsound):
            pass  # what can be told by its name is looked at below
    result = {}
    for each in shown:
        rows = list(each.artifacts)
        known = {path for path, _, _ in rows}
        extra: set[str] = set()
        if each.inputs is not None:
            rows += [row for row in each.inputs if reads.first([row[0]]) is not None]
            extra = set() if not each.has_all else now - known - {path for path, _, _ in each.inputs}
        changed = (*changed_of(root, rows, each.room), *sorted(extra))
        if changed:
            result[each.gate] = changed
    return result


class Approved:
    """Files that an approval is bound to, looked at one by one: each is read once, and again where it may have changed.
    Made for what has begun by the approval, and can be told of each file that it begins with."""

    def __init__(self, root: str, gate: str, rows: Sequence[Row], room: Room) -> None:
        self._root = root
        self._gate = gate
        remade = Globs(room.remade)
        self._rows = {path: (size, digest) for path, size, digest in rows if remade.first([path]) is None}
        self._shown = {path for path, _, _ in rows}
        self._room = room
        self._whole = Globs(room.whole)
        self._known: dict[str, File] = {}

    def refusal(self, path: str) -> str | None:
        """Why nothing may begin with that file; None: it is as it was shown, or was not."""
        row = self._rows.get(path)
        if row is None:
            is_new = self._whole.first([path]) is not None and self._room.come([path], self._shown)
            return f"{path} was not shown at {self._gate}" if is_new else None
        file: File | None
        try:
            (file,) = hash_files(self._root, [path], self._known, workers=1)
        except (Unsound, OSError):
            file = None
        if file is None or (file.size, file.digest) != row:
            return f"{path} is no longer what was shown at {self._gate}"
        self._known[path] = file
        return None


def is_much(root: str, want: Want, rows: Sequence[Row] = ()) -> bool:
    """Whether to read it all takes longer than the loop may be away."""
    globs = (*want.made, *want.read)
    if len(rows) > HERE_FILES or any("**" in glob or _is_folder(root, glob) for glob in globs):
        return True
    try:
        paths = found(root, globs, [])
        there = [path for path, _, _ in rows if os.path.lexists(os.path.join(root, path))]
        return len(paths) > HERE_FILES or total_bytes(root, [*paths, *there]) > HERE_BYTES
    except (OSError, Unsound):
        return False  # to be told by whoever reads it


def _is_folder(root: str, glob: str) -> bool:
    return not is_path(glob.rpartition("/")[0]) or (is_path(glob) and os.path.isdir(os.path.join(root, glob)))


def _sources(root: str, want: Want) -> list[str]:
    if not want.read:
        return []
    made = Globs(want.all_made)
    return [path for path in found(root, want.read, []) if made.first([path]) is None]


def _rows(root: str, paths: list[str]) -> tuple[Row, ...]:
    return tuple([(file.path, file.size, file.digest) for file in hash_files(root, paths, workers=1)])
