"""`plan --apply`: what is recommended, written into the pipeline's file. Finds nothing out itself."""

from __future__ import annotations

import os

from stagebook.formats.native import cache, patch
from stagebook.model.problem import InputError, Problem, SurroundingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.advise import Advised


def apply(pipeline: Pipeline, advised: Advised) -> dict[str, Any]:
    """Write the changes that need nobody's word, and the job count where the file would come to another one. `edits`
    says in words what was done, `diff` shows it; both are empty where there was nothing to do.

    InputError where no small edit does it, or the file has changed since it was read; SurroundingsError where it
    cannot be written. It is replaced as a whole, so no reader sees half of it.
    """
    edits = edits_of(pipeline, advised)
    with open(pipeline.file, "rb") as file:
        before = file.read()
    if cache.digest(before) != pipeline.digest:
        _changed(pipeline.file)
    after = patch.patched(before, pipeline.file, edits)
    if after != before:
        replace(pipeline.file, before, after)
    return {
        "file": pipeline.file,
        "edits": _words(edits),
        "diff": patch.diff(before, after, os.path.basename(pipeline.file)),
    }


def edits_of(pipeline: Pipeline, advised: Advised) -> patch.Edits:
    """The difference between the file and what is recommended, as a whole: changes may rest on one another."""
    ids = {stage.id: set(stage.needs) for stage in pipeline.stages}
    made = {stage.id: set(stage.needs) for stage in advised.pipeline.stages}
    without = [(need, stage.id) for stage in pipeline.stages for need in stage.needs if need not in made[stage.id]]
    with_ = [(need, stage.id) for stage in advised.pipeline.stages for need in stage.needs if need not in ids[stage.id]]
    locks = [lock for change in advised.found.changes if not change.question for lock in change.locks]
    workers = [
        (old.id, before.name, after.workers)
        for old, new in zip(pipeline.stages, advised.pipeline.stages) if old.each is not None and new.each is not None
        for before, after in zip(old.each.steps, new.each.steps) if before.workers != after.workers
    ]  # fmt: skip
    return patch.Edits(tuple(without), tuple(with_), advised.jobs, tuple(locks), tuple(workers))


def _words(edits: patch.Edits) -> list[str]:
    said = [f"{stage} no longer needs {need}" for need, stage in edits.without]
    said += [f"{stage} needs {need}" for need, stage in edits.with_]
    said += [f"{stage} holds lock {lock}" for stage, lock in edits.locks]
    said += [f"{stage}.{step} has {count} workers" for stage, step, count in edits.workers]
    return said + ([f"limits.jobs is {edits.jobs}"] if edits.jobs is not None else [])


def _changed(path: str) -> NoReturn:
    text = f"{path} was changed meanwhile; nothing was written, try again"
    raise InputError(text, [Problem(path, 0, 0, "changed", "error", text)])


def replace(path: str, before: bytes, after: bytes) -> None:
    """Put `after` in the place of a file that holds `before`, as a whole. InputError where it holds something else by
    now, SurroundingsError where it cannot be written."""
    target = os.path.realpath(path)
    draft = f"{target}.{os.getpid()}.tmp"
    try:
        mode = os.stat(target).st_mode & 0o7777
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            with open(fd, "wb") as out:
                os.fchmod(out.fileno(), mode)
                out.write(after)
                out.flush()
                os.fsync(out.fileno())
            with open(target, "rb") as file:
                if file.read() != before:
                    _changed(path)
            os.replace(draft, target)
        except BaseException:
            try:
                os.unlink(draft)
            except FileNotFoundError:
                pass  # it is in its place: an interruption came just after that
            raise
    except OSError as error:
        raise SurroundingsError(f"cannot write {path}: {error.strerror}; nothing was changed") from error
