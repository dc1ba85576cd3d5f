"""The way in: a native file's path or bytes to a `Pipeline`, by the plan cache where it knows the bytes. No YAML here.

The parser is imported only when the cache does not answer, as PyYAML costs more start-up than all of a cached read.
"""

from __future__ import annotations

import gc
import os
import stat

from stagebook.formats.native import cache
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError, Problem
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, TypeVar

    Made = TypeVar("Made")

#: As `grammar.BYTES_MAX`, which is not imported where the cache answers.
BYTES_MAX = 16 * 2**20


class Loaded(NamedTuple):
    """`plain` is `pipeline` as compact JSON (`model.plain`), on one line, for the journal to take over as it is."""

    pipeline: Pipeline
    plain: bytes
    cached: bool


def load(file: str, cache_dir: str | None) -> Pipeline:
    """The pipeline of a file. InputError with all its problems if it is wrong. `cache_dir` None: no cache."""
    return load_plain(file, cache_dir).pipeline


def load_plain(file: str, cache_dir: str | None) -> Loaded:
    """As `load`, with the pipeline's JSON beside it."""
    path = os.path.abspath(file)
    data = bytes_of(file, path)
    digest = cache.digest(data)
    if cache_dir is not None:
        known = _uncollected(lambda: cache.fetch(cache_dir, digest, path))
        if known is not None:
            return Loaded(known[0], known[1], True)
    pipeline, problems = parse(data, path)
    if pipeline is None:
        raise InputError(summary(file, problems), [each for each in problems if each.level != "note"])
    plain = cache.encode(pipeline)
    if cache_dir is not None and not pipeline.secrets:  # of which one may stand in the file: see `keep`
        cache.store(cache_dir, digest, path, plain)
    return Loaded(pipeline, plain, False)


def keep(loaded: Loaded, cache_dir: str) -> None:
    """Cache a plan of a file that declares secrets, by who has made sure that the file holds none of their values."""
    if not loaded.cached:
        cache.store(cache_dir, loaded.pipeline.digest, loaded.pipeline.file, loaded.plain)


def parse(data: bytes, file: str) -> tuple[Pipeline | None, tuple[Problem, ...]]:
    """The pipeline in `data`, or None; and all problems with it, errors first, then warnings and notes of what is not
    built yet, each in order of place. `file` is what problems name, and its folder names the pipeline."""
    from stagebook.formats.native.check import Checker
    from stagebook.formats.native.document import read_document
    from stagebook.formats.native.nodes import read_nodes

    check = Checker(file)
    name = os.path.basename(os.path.dirname(os.path.abspath(file))) or "pipeline"

    def judge() -> Pipeline | None:
        root, problems = read_nodes(data, file)
        check.errors += problems
        return read_document(check, root, name, cache.digest(data))

    try:
        pipeline = _uncollected(judge)
    except InputError as refused:
        return None, refused.problems
    errors = sorted(set(check.errors))
    if check.unsaid:
        errors.append(Problem(file, 0, 0, "limit", "error", f"{check.unsaid} more errors are not shown"))
    return pipeline, (*errors, *sorted(set(check.warnings)), *sorted(check.unbuilt))


def _uncollected(work: Callable[[], Made]) -> Made:
    """With the garbage collector off: hundreds of thousands of tuples come and none of them are circles, so that
    looking for circles would only cost, a third of the time of `parse`."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return work()
    finally:
        if enabled:
            gc.enable()


def bytes_of(file: str, path: str) -> bytes:
    """The content, judged by kind and size before it is read: a FIFO would block, a device never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise _unreadable(file, getattr(error, "strerror", None) or str(error)) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise _unreadable(file, f"is {kind}")
        if status.st_size > BYTES_MAX:
            raise _unreadable(file, f"has {status.st_size} bytes, the limit is {BYTES_MAX} (16 MiB)", "limit")
        with open(descriptor, "rb", closefd=False) as handle:
            return handle.read(BYTES_MAX + 1)
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from None
    finally:
        os.close(descriptor)


def _unreadable(file: str, why: str, code: str = "file") -> InputError:
    message = f"cannot read {file}: {why}" if code == "file" else f"{file} {why}"
    return InputError(message, [Problem(file, 0, 0, code, "error", message)])


def summary(file: str, problems: tuple[Problem, ...]) -> str:
    count = sum(problem.level == "error" for problem in problems)
    return f"{file}: {count} error{'s' if count != 1 else ''}, nothing was run"
