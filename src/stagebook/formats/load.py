"""The way in for every format: a file's path or bytes to a `Pipeline`, by whichever reader its content asks for.

Of a native file nothing else is imported than its own reader.
"""

from __future__ import annotations

import os

from stagebook.formats.native import read as native
from stagebook.formats.native.read import Loaded
from stagebook.formats.request import NOTHING, Request
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.formats.github.event import Together
    from stagebook.graph.findings import Finding

NATIVE_NAME = "stagebook.yaml"
FOREIGN = ("github", "gitlab")


def load(file: str, cache_dir: str | None, request: Request = NOTHING, as_: str | None = None) -> Pipeline:
    """The pipeline of a file. InputError with all its problems if it is wrong. `cache_dir` None: no cache. `as_`: its
    format, where the content is not to be asked."""
    path = os.path.abspath(file)
    if as_ == "native" or (as_ is None and os.path.basename(path) == NATIVE_NAME):
        return native.load_plain(file, cache_dir).pipeline
    made = _foreign(file, path, request, as_)
    return native.load_plain(file, cache_dir).pipeline if made is None else made


def load_plain(file: str, cache_dir: str | None, request: Request = NOTHING, as_: str | None = None) -> Loaded:
    """As `load`, with the pipeline's JSON beside it. Only native files are cached."""
    path = os.path.abspath(file)
    if as_ == "native" or (as_ is None and os.path.basename(path) == NATIVE_NAME):
        return native.load_plain(file, cache_dir)
    made = _foreign(file, path, request, as_)
    if made is None:
        return native.load_plain(file, cache_dir)
    from stagebook.formats.native import cache

    return Loaded(made, cache.encode(made), False)


def _foreign(file: str, path: str, request: Request, as_: str | None) -> Pipeline | None:
    """That of a file of a CI system; None of a native one."""
    data = native.bytes_of(file, path)
    format = as_ or format_of(data, path)
    if format == "native":
        return None
    pipeline, problems = parse(data, path, request, format)
    if pipeline is None:
        raise InputError(native.summary(file, problems), [each for each in problems if each.level != "note"])
    return pipeline


def parse(
    data: bytes, file: str, request: Request = NOTHING, format: str | None = None
) -> tuple[Pipeline | None, tuple[Problem, ...]]:
    """The pipeline in `data`, or None; and all problems with it, errors first."""
    format = format or format_of(data, file)
    if format == "github":
        from stagebook.formats.github import read as github

        return github.parse(data, file, request)
    if format == "gitlab":
        from stagebook.formats.gitlab import read as gitlab

        return gitlab.parse(data, file, request)
    return native.parse(data, file)


def traps(pipeline: Pipeline) -> list[Finding]:
    """What a CI system's file holds against itself in that system's own words. Empty where it cannot be read again, or
    is no longer what the pipeline was read from."""
    try:
        data = native.bytes_of(pipeline.file, pipeline.file)
    except InputError:
        return []
    if pipeline.format == "github":
        from stagebook.formats.github import traps as github

        return github.find(data, pipeline)
    return []


def together(pipelines: Sequence[Pipeline], event: str, ref: str | None) -> Together | None:
    """The workflows of GitHub that an event starts as one pipeline; None where it starts none of them."""
    from stagebook.formats.github import event as github
    from stagebook.formats.github.triggers import triggers_of
    from stagebook.formats.source.nodes import read

    found = []
    for each in pipelines:
        data = native.bytes_of(each.file, each.file)
        root = read(data, each.file).documents[0]
        name, on = root.get("name"), root.get("on") or root.get("true")
        found.append(
            github.Workflow(
                each, triggers_of(on), None if name is None else name.text, on.line if on is not None else 0
            )
        )
    return github.together(found, event, ref)


def format_of(data: bytes, file: str) -> str:
    """`native`, or one of FOREIGN: by the place of the file where that is usual, else by its keys. InputError for what
    is another system's and not read yet."""
    from stagebook.formats import detect

    return detect.format_of(data, file)
