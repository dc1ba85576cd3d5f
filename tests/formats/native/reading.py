"""Short ways to read a pipeline out of text, for the tests beside this file."""

from __future__ import annotations

from stagebook.formats.native.read import parse
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import Problem


def read(text: str, file: str = "/work/project/stagebook.yaml") -> Pipeline:
    pipeline, problems = parse(text.encode(), file)
    assert pipeline is not None, problems
    return pipeline


def refused(text: str | bytes) -> tuple[Problem, ...]:
    pipeline, problems = parse(text if isinstance(text, bytes) else text.encode(), "stagebook.yaml")
    assert pipeline is None
    return tuple(each for each in problems if each.level == "error")


def stage(text: str) -> Stage:
    """The last stage of a file."""
    return read(text).stages[-1]


def needs(text: str) -> dict[str, list[str]]:
    return {each.id: list(each.needs) for each in read(text).stages}
