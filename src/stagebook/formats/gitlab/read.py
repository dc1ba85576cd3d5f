"""The way in: a pipeline file's bytes to a `Pipeline`. What its keys mean is in the modules beside this one."""

from __future__ import annotations

import os

from stagebook.formats.native import cache
from stagebook.formats.request import Request
from stagebook.formats.source.nodes import MAP, Source, read
from stagebook.model.job import Job
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import InputError, Problem

_GLOBALS = frozenset(
    ("stages", "include", "default", "workflow", "image", "services", "before_script", "after_script", "variables",
     "cache", "spec", "pages:deploy")
)  # fmt: skip


def parse(data: bytes, file: str, request: Request) -> tuple[Pipeline | None, tuple[Problem, ...]]:
    """The pipeline of a file, or None; and all problems with it, errors first."""
    try:
        source = read(data, file)
    except InputError as refused:
        return None, refused.problems
    stages = _stages(source)
    pipeline = Pipeline(
        os.path.basename(os.path.dirname(file)), file, "gitlab", cache.digest(data), tuple(stages),
        root=os.path.dirname(file),
    )  # fmt: skip
    return pipeline, tuple(source.problems)


def _stages(source: Source) -> list[Stage]:
    found = []
    root = source.documents[-1] if source.documents else None
    for name, key, body in root.items() if root is not None else ():
        if name in _GLOBALS or name.startswith(".") or body.kind != MAP:
            continue
        found.append(Stage(name, name, key.line, key.col, "job", job=Job("gitlab", name)))
    return found
