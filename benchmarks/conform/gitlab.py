"""Real GitLab files: read without a traceback, as many jobs as their manifest counts, keys by grade."""

from __future__ import annotations

import csv
import time
import traceback
from pathlib import Path

from conform.row import Row
from stagebook.formats.gitlab.read import parse
from stagebook.formats.request import NOTHING
from stagebook.model.job import GRADES
from stagebook.model.pipeline import Pipeline

#: Keys that shape the graph: none of them may be ignored.
SHAPING = frozenset(
    ("needs", "stage", "stages", "rules", "if", "when", "only", "except", "parallel", "matrix", "resource_group",
     "extends", "dependencies", "trigger", "allow_failure", "optional", "changes", "exists")
)  # fmt: skip
#: Files that are no pipelines, so GitLab refuses them as well, and why.
NONE = {"GNOME__gnome-shell__gitlab-ci_commit-rules.yml": "settings of a tool that checks commit messages"}

#: Counts that differ from the manifest's, and why.
OTHER = {"espressomd__espresso__gitlab-ci.yml": (26, "its `default` has a script: GitLab takes that for a job")}


def measure(data: Path) -> list[Row]:
    began = time.process_time()
    found: dict[str, Pipeline] = {}
    traces, refused = [], []
    files = sorted((data / "gitlab").iterdir())
    for file in files:
        try:
            pipeline, problems = parse(file.read_bytes(), str(file), NOTHING)
        except Exception:  # what the row counts
            traces.append(f"{file.name}: {traceback.format_exc(limit=-1)}")
            continue
        if pipeline is None:
            refused.append(f"{file.name}:{problems[0].line}: {problems[0].message}")
        else:
            found[file.name] = pipeline
    took = time.process_time() - began
    unexplained = [miss for miss in refused if miss.partition(":")[0] not in NONE]
    return [
        Row("gitlab", "no traceback", len(files), 1 - len(traces) / len(files), 1.0, misses=tuple(traces)),
        Row(
            "gitlab",
            "read, or refused as GitLab does",
            len(files),
            1 - len(unexplained) / len(files),
            1.0,
            misses=tuple(refused),
        ),
        _jobs(found, data / "CI-MANIFEST.tsv"),
        Row("gitlab", "reading all of them, CPU", len(files), took, 3.0, unit="seconds"),
        *_grades(found),
    ]


def _jobs(found: dict[str, Pipeline], manifest: Path) -> Row:
    """The manifest counts jobs in the text. Those that rules, `only` or `except` leave out of the pipeline that is
    mapped are named in its notes: with them it is the same number."""
    misses, count = [], 0
    with manifest.open(encoding="utf-8") as source:
        for row in csv.DictReader(source, delimiter="\t"):
            pipeline = found.get(row["file"].removeprefix("gitlab/"))
            if not row["file"].startswith("gitlab/") or pipeline is None:
                continue
            count += 1
            there = {stage.name for stage in pipeline.stages if stage.kind == "job"}
            left_out = pipeline.context.get("left_out", [])
            stated, _ = OTHER.get(row["file"].removeprefix("gitlab/"), (int(row["jobs_or_stages"]), ""))
            if len(there) + len(left_out) != stated:
                said = f"{len(there)} jobs and {len(left_out)} left out, manifest {row['jobs_or_stages']}"
                misses.append(f"{row['file']}: {said}")
    return Row("gitlab", "jobs as the manifest counts them", count, 1 - len(misses) / count, 1.0, misses=tuple(misses))


def _grades(found: dict[str, Pipeline]) -> list[Row]:
    grades = [each for pipeline in found.values() for each in pipeline.grades]
    rows = [
        Row("gitlab", f"keys {word}", len(grades), sum(each.grade == word for each in grades) / len(grades))
        for word in GRADES
    ]
    ignored = [each.key for each in grades if each.grade == "ignored"]
    wrong = sorted({key for key in ignored if key.rpartition(".")[2] in SHAPING})
    rows.append(Row("gitlab", "keys not ignored", len(grades), 1 - len(ignored) / len(grades), 0.95))
    kept = 1 - len(wrong) / len(SHAPING)
    rows.append(Row("gitlab", "keys that shape the graph not ignored", len(SHAPING), kept, 1.0, misses=tuple(wrong)))
    return rows
