"""A project of GitLab's in a folder, read: its pipeline, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any, Mapping

from stagebook.formats.gitlab.read import parse
from stagebook.formats.request import Request
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import Problem


class Project:
    """`name` is the file that is read. What it includes is written beside it."""

    def __init__(self, folder: Path, name: str = ".gitlab-ci.yml") -> None:
        self.folder = folder
        self.file = folder / name

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")

    def parsed(self, text: str | bytes, **request: Any) -> tuple[Pipeline | None, tuple[Problem, ...]]:
        data = text if isinstance(text, bytes) else dedent(text).encode()
        return parse(data, str(self.file), Request(**request))

    def pipeline(self, text: str, **request: Any) -> Pipeline:
        """Of a file without errors."""
        pipeline, problems = self.parsed(text, **request)
        assert pipeline is not None, problems
        assert not [each for each in problems if each.level == "error"]
        return pipeline

    def stages(self, text: str, **request: Any) -> dict[str, Stage]:
        return {stage.id: stage for stage in self.pipeline(text, **request).stages}

    def needs(self, text: str, **request: Any) -> dict[str, list[str]]:
        return {name: sorted(stage.needs) for name, stage in self.stages(text, **request).items()}

    def errors(self, text: str | bytes, **request: Any) -> list[tuple[int, str]]:
        """Lines and texts; there is no pipeline then."""
        pipeline, problems = self.parsed(text, **request)
        found = [(each.line, each.message) for each in problems if each.level == "error"]
        assert (pipeline is None) == bool(found)
        return found

    def said(self, text: str, level: str, **request: Any) -> list[tuple[int, str]]:
        """Warnings or notes."""
        pipeline, problems = self.parsed(text, **request)
        assert pipeline is not None, problems
        return [(each.line, each.message) for each in problems if each.level == level]


def spec(stage: Stage) -> Mapping[str, Any]:
    assert stage.job is not None
    return stage.job.spec
