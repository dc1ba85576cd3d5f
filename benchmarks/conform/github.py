"""Real workflow files: read without a traceback, as many jobs as their manifest says, keys by grade, steps shown."""

from __future__ import annotations

import csv
import time
import traceback
from pathlib import Path

from conform.row import Row
from stagebook.formats.github.read import parse
from stagebook.formats.request import NOTHING
from stagebook.model.job import GRADES
from stagebook.model.pipeline import Pipeline

#: Keys that shape the graph: none of them may be ignored.
SHAPING = (
    "needs",
    "if",
    "matrix",
    "include",
    "exclude",
    "concurrency",
    "group",
    "strategy",
    "max-parallel",
    "fail-fast",
)
#: Files that GitHub itself refuses, and why.
BROKEN = {"dbt-labs__dbt-external-tables__integration_tests.yml": "`include` beside `matrix` instead of inside it"}


def measure(data: Path) -> list[Row]:
    began = time.process_time()
    found, traces, refused = _read(sorted((data / "github").iterdir()))
    took = time.process_time() - began
    count = len(found) + len(traces) + len(refused)
    unexplained = [miss for miss in refused if miss.partition(":")[0] not in BROKEN]
    rows = [
        Row("github", "no traceback", count, 1 - len(traces) / count, 1.0, misses=tuple(traces)),
        Row(
            "github", "read, or refused as GitHub does", count, 1 - len(unexplained) / count, 1.0, misses=tuple(refused)
        ),
        _jobs(found, data / "CI-MANIFEST.tsv"),
        _chains(found),
        Row("github", "reading all of them, CPU", count, took, 5.0, unit="seconds"),
    ]
    return rows + _grades(found)


def _read(files: list[Path]) -> tuple[dict[str, Pipeline], list[str], list[str]]:
    found: dict[str, Pipeline] = {}
    traces, refused = [], []
    for file in files:
        try:
            pipeline, problems = parse(file.read_bytes(), str(file), NOTHING)
        except Exception:  # what the row counts
            traces.append(f"{file.name}: {traceback.format_exc(limit=-1)}")
            continue
        if pipeline is None:
            worst = next(each for each in problems if each.level == "error")
            refused.append(f"{file.name}:{worst.line}: {worst.message}")
        else:
            found[file.name] = pipeline
    return found, traces, refused


def _jobs(found: dict[str, Pipeline], manifest: Path) -> Row:
    """The manifest counts entries of `jobs`: a matrix, or a call of a workflow, is one."""
    misses, count = [], 0
    with manifest.open() as source:
        for row in csv.DictReader(source, delimiter="\t"):
            name = row["file"].removeprefix("github/")
            if not row["file"].startswith("github/") or name not in found:
                continue
            count += 1
            jobs = {each.name.partition("/")[0] for each in found[name].stages}
            if len(jobs) != int(row["jobs_or_stages"]):
                misses.append(f"{name}: {len(jobs)} jobs, manifest {row['jobs_or_stages']}")
    return Row("github", "jobs as the manifest counts them", count, 1 - len(misses) / count, 1.0, misses=tuple(misses))


def _chains(found: dict[str, Pipeline]) -> Row:
    """Files with one job show its steps one after another. A job that calls somebody else's workflow has none."""
    misses, count = [], 0
    for name, pipeline in found.items():
        if len({each.name for each in pipeline.stages}) != 1:
            continue
        job = pipeline.stages[0].job
        if job is not None and "uses" in job.spec:
            continue
        count += 1
        if job is None or not job.steps:
            misses.append(f"{name}: no steps")
    return Row("github", "one-job files show their steps", count, 1 - len(misses) / count, 0.9, misses=tuple(misses))


def _grades(found: dict[str, Pipeline]) -> list[Row]:
    grades = [each for pipeline in found.values() for each in pipeline.grades]
    rows = []
    for word in GRADES:
        share = sum(each.grade == word for each in grades) / len(grades)
        rows.append(Row("github", f"keys {word}", len(grades), share))
    ignored = [each for each in grades if each.grade == "ignored"]
    rows.append(Row("github", "keys not ignored", len(grades), 1 - len(ignored) / len(grades), 0.95))
    wrong = {each.key for each in ignored if each.key.rpartition(".")[2].removesuffix("[]") in SHAPING}
    rows.append(Row("github", "keys that shape the graph not ignored", len(SHAPING), 1 - len(wrong) / len(SHAPING), 1.0, misses=tuple(wrong)))  # fmt: skip  # noqa: E501
    return rows
