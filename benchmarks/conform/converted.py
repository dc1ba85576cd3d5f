"""Real files as native ones (`stagebook import`), and workflows that have their jobs measured (`--instrument`): read
again they have the same needs, and what jobs do there is text that a shell can read. Jobs for Windows count as well.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Iterator

from conform.row import Row
from stagebook.formats import convert, load
from stagebook.formats.github import instrument
from stagebook.formats.native import read as native
from stagebook.formats.source.nodes import read
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import StagebookError


def measure(data: Path) -> list[Row]:
    rows = []
    for system in ("github", "gitlab"):
        read_again, shells = [], []
        for name, pipeline in _pipelines(data, system):
            made = convert.convert(pipeline)
            found, problems = native.parse(made.text.encode(), "stagebook.yaml")
            wanted = {made.ids[stage.id]: {made.ids[need] for need in stage.needs} for stage in pipeline.stages}
            is_same = found is not None and wanted == {stage.id: set(stage.needs) for stage in found.stages}
            read_again.append((f"{name}: {problems[:1]}", is_same))
            texts = {stage.name: stage.command for stage in (found.stages if found else ()) if stage.kind == "run"}
            shells += [(f"{name}: {stage}", _is_shell(str(text))) for stage, text in texts.items()]
        rows.append(_row(f"converted, {system}", "files read again, with the same needs", read_again, 1.0))
        rows.append(_row(f"converted, {system}", "jobs whose text `bash -n` takes", shells, 0.95))
    measured = [(name, _is_same_measured(pipeline)) for name, pipeline in _pipelines(data, "github")]
    return [*rows, _row("instrumented, github", "files with the same needs", measured, 1.0)]


def _row(set: str, what: str, cases: list[tuple[str, bool]], goal: float) -> Row:
    kept = sum(is_kept for _, is_kept in cases)
    misses = tuple(name for name, is_kept in cases if not is_kept)
    return Row(set, what, len(cases), kept / max(1, len(cases)), goal, misses=misses)


def _pipelines(data: Path, system: str) -> Iterator[tuple[str, Pipeline]]:
    """Those that can be read and have jobs."""
    for file in sorted((data / system).iterdir()):
        try:
            pipeline = load.load(str(file), None, as_=system)
        except StagebookError:
            continue
        if pipeline.stages:
            yield file.name, pipeline


def _is_shell(text: str) -> bool:
    return subprocess.run(["bash", "-n"], input=text.encode(), capture_output=True, check=False).returncode == 0


def _is_same_measured(pipeline: Pipeline) -> bool:
    with open(pipeline.file, "rb") as file:
        data = file.read()
    try:
        made = instrument.instrumented(read(data, pipeline.file))
        again, _ = load.parse(made.data, pipeline.file, format="github")
    except StagebookError:
        return False
    needs = {stage.id: stage.needs for stage in pipeline.stages}
    return again is not None and needs == {stage.id: stage.needs for stage in again.stages}
