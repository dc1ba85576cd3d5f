"""What a stage left at its outputs when it ended: read and judged, its reports kept. Nothing of the run is known here,
so that all of it can be done by a child. What an attempt without success left is `aside`'s.
"""

from __future__ import annotations

import os

from stagebook.artifact import paths
from stagebook.artifact.digest import File, is_settled, moment, stamp_of
from stagebook.artifact.paths import Unsound
from stagebook.artifact.store import Store
from stagebook.engine import hasher
from stagebook.engine.freshness import Freshness
from stagebook.model.globs import is_path
from stagebook.model.pipeline import Stage
from stagebook.model.value import NamedTuple
from stagebook.record import faults
from stagebook.record.state import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence

    from stagebook.record.mask import Mask

REPORT_BYTES = 64 << 20
ANNOUNCED_BYTES = 1 << 20
WARNINGS_MAX = 3
_READY = b"ready="


class Closed(NamedTuple):
    """`why` says what keeps the outputs from being published, `changed` which input is not what it was; after
    `integrity: `."""

    files: Sequence[File] = ()
    why: str | None = None
    changed: str | None = None
    warnings: tuple[str, ...] = ()


def read(
    freshness: Freshness, stage: Stage, inputs: Sequence[File], store: Store | None, is_child: bool,
    unkept: Mask | None = None,
) -> Closed:  # fmt: skip
    """Hash what it made, keep it in the store, and see that what it read is what it was. What holds anything that
    `unkept` finds is not kept."""
    files: list[File] = []
    try:
        if stage.outputs:
            why, found = _sound(freshness.root, stage)
            if why is not None:
                return Closed(why=why)
            files = freshness.hashed(found, {}, is_child, "reading outputs")
        changed = _changed(freshness, stage, inputs, is_child)
    except Unsound as trouble:
        return Closed(why=trouble.words)
    warnings = _keep(freshness.root, files, store, unkept) if store is not None and changed is None else []
    return Closed(files, None, changed, tuple(warnings))


def _keep(root: str, files: Sequence[File], store: Store, unkept: Mask | None) -> list[str]:
    """In the store, but for what holds a value of `unkept`; what to warn with."""
    warnings: list[str] = []
    tell: Callable[[int], None] | None = None
    done = 0
    if hasher.voice is not None:
        progress = hasher.voice.on("keeping outputs", lambda: sum(file.size for file in files))

        def tell(more: int) -> None:
            progress(done + more)

    for file in files:
        if unkept and _holds(unkept, os.path.join(root, file.path)):
            continue
        said = store.put(root, file, tell)
        done += file.size
        if said is not None:
            warnings.append(said)
            if len(warnings) >= WARNINGS_MAX:
                break  # a store that is full or cannot be written says the same of each
    return warnings


def _holds(mask: Mask, path: str) -> bool:
    try:
        return mask.first(os.fsencode(os.readlink(path))) is not None if os.path.islink(path) else mask.is_in(path)
    except OSError:
        return True  # it is not what it was a moment ago


def _sound(root: str, stage: Stage) -> tuple[str | None, list[str]]:
    """What lies at its outputs, and what is wrong with that. Raises Unsound."""
    odd: list[str] = []
    found: set[str] = set()
    for output in stage.outputs:
        more = paths.found(root, [output.path], odd)
        if odd:
            return f"{odd[0]} {_is(paths.refusal(root, odd[0]) or 'it is no file')}", []
        if not more and is_path(output.path) and os.path.isdir(os.path.join(root, output.path)):
            return f"{output.path} is an empty folder", []
        if not more:
            why = paths.refusal(root, output.path) if is_path(output.path) else None
            return f"{output.path} {_is(why) if why and 'directory' not in why else 'was not made'}", []
        found.update(more)
    ordered = sorted(found)
    for path in ordered:
        why = paths.refusal(root, path)
        if why is not None:
            return f"{path} {_is(why)}", []
        at = os.path.join(root, path)
        if not os.path.exists(at) and os.path.islink(at):
            return f"{path} is a link that leads nowhere", []
    if paths.is_case_blind(root):
        clash = paths.clash(ordered)
        if clash is not None:
            return f"{clash[0]} and {clash[1]} are one file here", []
    return None, ordered


def _is(why: str) -> str:
    """`it is a FIFO` after a path."""
    return why.removeprefix("it ")


def _changed(freshness: Freshness, stage: Stage, inputs: Sequence[File], is_child: bool) -> str | None:
    """Raises Unsound."""
    now = moment()
    doubtful = []
    for file in inputs:
        try:
            status = os.lstat(os.path.join(freshness.root, file.path))
        except OSError:
            return f"{file.path} is gone: {stage.id} ran meanwhile"
        if file.stamp != stamp_of(status) or not is_settled(file, now):
            doubtful.append(file)
    again_read = freshness.hashed([file.path for file in doubtful], {}, is_child, "reading inputs")
    for file, again in zip(doubtful, again_read):
        if again.digest != file.digest:
            return f"{file.path} changed while {stage.id} ran"
    return None


def write(source: int, target: str) -> None:
    """Copy what a descriptor reads to a new file that its owner alone may read. Raises OSError."""
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        offset = 0
        while count := os.sendfile(fd, source, offset, 1 << 24):
            offset += count
    finally:
        os.close(fd)


# Reports


def keep_reports(root: str, found: Sequence[str], target: Callable[[int], str], mask: Mask | None = None) -> list[str]:
    """Copy the whole JUnit reports among the paths, each to where `target` has it by its number; which paths those are.
    With a mask the copies hold no secrets."""
    kept: list[str] = []
    for path in found:
        if not path.endswith(".xml"):
            continue
        try:
            with open_regular(os.path.join(root, path)) as file:
                if not _is_report(file.fileno()):
                    continue
                kept.append(path)
                faults.hit("artifact.report")
                copy = target(len(kept))
                os.makedirs(os.path.dirname(copy), 0o700, exist_ok=True)
                if mask:
                    mask.copy(os.path.join(root, path), copy)
                else:
                    write(file.fileno(), copy)
        except OSError:
            continue  # it is a copy for statistics
    return kept


def is_whole_report(root: str, path: str) -> bool:
    """Whether what lies there is a whole JUnit report, which stays whatever became of its stage."""
    if not path.endswith(".xml"):
        return False
    try:
        with open_regular(os.path.join(root, path)) as file:
            return _is_report(file.fileno())
    except OSError:
        return False


def _is_report(fd: int) -> bool:
    """By its first and last bytes: whoever reads it reads it with care."""
    size = os.fstat(fd).st_size
    if size > REPORT_BYTES or b"<testsuite" not in os.pread(fd, 1024, 0):
        return False
    end = os.pread(fd, 1024, max(0, size - 1024)).rstrip()
    return end.endswith((b"</testsuite>", b"</testsuites>")) or (end.endswith(b"/>") and size < 1024)


# Announced before the end


def announced(path: str, start: int) -> tuple[int, list[str]]:
    """How far `STAGEBOOK_OUTPUT` has been read, by whole lines, and what its new lines `ready=PATH` name."""
    try:
        if os.stat(path).st_size <= start or start >= ANNOUNCED_BYTES:
            return start, []
        with open_regular(path) as file:
            data = os.pread(file.fileno(), ANNOUNCED_BYTES - start, start)
    except OSError:
        return start, []
    end = data.rfind(b"\n") + 1
    lines = data[:end].split(b"\n")
    words = [os.fsdecode(line[len(_READY) :].removesuffix(b"\r")) for line in lines if line.startswith(_READY)]
    return start + end, words


def from_root(stage: Stage, root: str, word: str) -> str | None:
    """A path as a stage says it, from its folder on or whole, as one from the root on; None if it leads out."""
    path = os.path.normpath(os.path.join(root, stage.dir or "", word))
    inside = os.path.join(os.path.normpath(root), "")
    return path[len(inside) :] if path.startswith(inside) else None


def read_one(freshness: Freshness, path: str, is_child: bool) -> File | str:
    """An announced file, or why it cannot be one."""
    faults.hit("artifact.hash")
    why = paths.refusal(freshness.root, path)
    if why is not None:
        return why
    try:
        return freshness.hashed([path], {}, is_child, "reading outputs")[0]
    except Unsound as trouble:
        return trouble.why
