"""Cases of gitlab-ci-local's own tests: what they say runs is there, what they say is refused is refused with a line.

`gitlab_ci_local.tsv` beside this has what those tests state, case by case: `mapped` with the jobs that they name,
`refused`, or `elsewhere` where the answer lies in files of other projects, which must be named as missing. Each case is
a repository of its own, as it is in those tests.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
import time
import traceback
from pathlib import Path

from conform.row import Row
from stagebook.formats.gitlab.read import parse
from stagebook.formats.request import Request
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import Problem

#: What GitLab has changed since those tests were written, and how.
CHANGED = {"cache-key-invalid-files/.gitlab-ci-three.yml": "`cache:key:files` takes up to ten files by now"}
STATED = Path(__file__).with_suffix(".tsv")


def measure(data: Path) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        cases = Path(folder) / "cases"
        shutil.copytree(data / "conformance" / "gitlab-ci-local", cases, symlinks=True)
        for row in _stated():
            ((cases / row["case"]).parent / ".git").mkdir(exist_ok=True)
        return _measured(cases)


def _measured(cases: Path) -> list[Row]:
    began = time.process_time()
    misses: dict[str, list[str]] = {"mapped": [], "refused": [], "elsewhere": []}
    counts = dict.fromkeys(misses, 0)
    traces: list[str] = []
    for row in _stated():
        counts[row["outcome"]] += 1
        file = cases / row["case"]
        variables = dict(pair.split("=", 1) for pair in row["variables"].split())
        try:
            pipeline, problems = parse(file.read_bytes(), str(file), Request(variables=variables))
        except Exception:  # what the row counts
            traces.append(f"{row['case']}: {traceback.format_exc(limit=-1)}")
            continue
        said = _judged(row, pipeline, problems)
        if said is not None:
            misses[row["outcome"]].append(f"{row['case']}: {said}")
    total = sum(counts.values())
    texts = {
        "mapped": "valid cases map with the jobs they run",
        "refused": "invalid cases refused with a line",
        "elsewhere": "what lies in other projects is named",
    }
    rows = [Row("gitlab-ci-local", "no traceback", total, 1 - len(traces) / total, 1.0, misses=tuple(traces))]
    rows += [
        Row("gitlab-ci-local", texts[word], counts[word], 1 - len(found) / counts[word], 1.0, misses=tuple(found))
        for word, found in misses.items()
    ]
    return [
        *rows,
        Row("gitlab-ci-local", "reading all of them, CPU", total, time.process_time() - began, 3.0, "seconds"),
    ]


def _stated() -> list[dict[str, str]]:
    with STATED.open(encoding="utf-8") as source:
        return [row for row in csv.DictReader(source, delimiter="\t") if row["case"] not in CHANGED]


def _judged(row: dict[str, str], pipeline: Pipeline | None, problems: tuple[Problem, ...]) -> str | None:
    """What is not as it should be."""
    if pipeline is None:
        first = problems[0]
        if row["outcome"] != "refused":
            return f"refused: {first.line}: {first.message}"
        return None if first.line else "refused without a line"
    if row["outcome"] == "refused":
        return "not refused"
    if row["outcome"] == "elsewhere":
        return None if pipeline.missing else "nothing is said to be missing"
    known = {stage.name for stage in pipeline.stages}
    known |= {stage.job.title for stage in pipeline.stages if stage.job is not None}
    lacking = [job for job in row["jobs"].split("|") if job and job not in known]
    return f"no job {', '.join(lacking)}" if lacking else None
