"""The way in: a workflow file's bytes to a `Pipeline`. What its keys mean is in the modules beside this one."""

from __future__ import annotations

import os

from stagebook.formats.native import cache
from stagebook.formats.request import Request
from stagebook.formats.source.nodes import Source, read
from stagebook.model.job import Job
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import InputError, Problem


def parse(data: bytes, file: str, request: Request) -> tuple[Pipeline | None, tuple[Problem, ...]]:
    """The pipeline of a workflow, or None; and all problems with it, errors first."""
    try:
        source = read(data, file)
    except InputError as refused:
        return None, refused.problems
    stages = _stages(source)
    errors = tuple(each for each in source.problems if each.level == "error")
    if errors:
        return None, errors
    name = os.path.basename(file).rpartition(".")[0]
    return Pipeline(name, file, "github", cache.digest(data), tuple(stages), root=_root(file)), tuple(source.problems)


def _stages(source: Source) -> list[Stage]:
    root = source.documents[0] if source.documents else None
    jobs = root.get("jobs") if root is not None else None
    if jobs is None:
        source.problem(root, "jobs", "a workflow needs `jobs`")
        return []
    ids = {name for name, _, _ in jobs.items()}
    found = []
    for name, key, body in jobs.items():
        needs = body.get("needs")
        asked = tuple(need for need in (needs.texts if needs is not None else []) if need in ids)
        lines = (needs.line if needs is not None else 0,) * len(asked)
        found.append(
            Stage(name, name, key.line, key.col, "job", needs=asked, need_lines=lines, job=Job("github", name))
        )  # fmt: skip
    return found


def _root(file: str) -> str:
    """The root of the repository that the workflow is of."""
    folder = os.path.dirname(file)
    above = os.path.dirname(folder)
    if os.path.basename(folder) == "workflows" and os.path.basename(above) == ".github":
        return os.path.dirname(above)
    return folder
