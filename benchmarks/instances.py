"""Published scheduling problems as pipelines: PSPLIB (`.sm`, single mode) and the Standard Task Graph Set (`.stg`).

A unit of time is a second, dummies stay as stages that take none. What is best known of each is in `best.tsv` beside
them. Values of these sets are integers; sources and licences are in the data's own SCHEDULING.md.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import NamedTuple

from stagebook.model.pipeline import Pipeline, Pool, Resources, Stage


class Instance(NamedTuple):
    """`jobs` None: nothing but its resources limits how much runs at once. `best_s` is the best known makespan."""

    group: str
    name: str
    pipeline: Pipeline
    jobs: int | None
    best_s: int


def folder() -> Path | None:
    """Where the data sets are: `../shared/data` beside the checkout, else $STAGEBOOK_TEST_DATA."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    named = os.environ.get("STAGEBOOK_TEST_DATA")
    return next((each for each in (beside, Path(named) if named else None) if each is not None and each.is_dir()), None)


def psplib(data: Path, group: str) -> list[Instance]:
    """All instances of `j30`, `j60` or `j120`."""
    rows = [row for row in _rows(data / "psplib" / "best.tsv") if row["set"] == group]
    return [
        Instance(group, row["instance"], read_sm(data / "psplib" / group / f"{row['instance']}.sm"), None,
                 int(row["best_known"]))
        for row in rows
    ]  # fmt: skip


def stg(data: Path) -> list[Instance]:
    """Each graph with each number of processors that a best value is known for."""
    found = []
    for row in _rows(data / "stg" / "best.tsv"):
        pipeline = read_stg(data / "stg" / row["instance"])
        found.append(Instance("stg", row["instance"], pipeline, int(row["processors"]), int(row["best_known"])))
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def read_sm(path: Path) -> Pipeline:
    """Resources become pools, successors needs."""
    lines = path.read_text(encoding="ascii").splitlines()
    successors = {int(row[0]): [int(word) for word in row[3:]] for row in _section(lines, "PRECEDENCE RELATIONS", 2)}
    asked = {int(row[0]): [int(word) for word in row[2:]] for row in _section(lines, "REQUESTS/DURATIONS", 3)}
    (sizes,) = [[int(word) for word in row] for row in _section(lines, "RESOURCEAVAILABILITIES", 2)]
    needs: dict[int, list[str]] = {job: [] for job in successors}
    for job, some in successors.items():
        for successor in some:
            needs[successor].append(f"t{job}")
    stages = [
        _stage(f"t{job}", tuple(needs[job]), took, {f"r{at}": units for at, units in enumerate(units_of, 1) if units})
        for job, (took, *units_of) in asked.items()
    ]
    pools = {f"r{at}": Pool(size) for at, size in enumerate(sizes, 1)}
    return Pipeline(path.stem, str(path), "native", "", tuple(stages), pools=pools)


def _section(lines: list[str], title: str, skip: int) -> list[list[str]]:
    """The words of each line of a section, which ends at a line of asterisks or with the file."""
    begin = next(at for at, line in enumerate(lines) if line.startswith(title)) + skip
    rows = []
    for line in lines[begin:]:
        if line.startswith("*"):
            break
        if line.strip() and not line.startswith("-"):
            rows.append(line.split())
    return rows


def read_stg(path: Path) -> Pipeline:
    """First the number of tasks without the two dummies, then `task time #predecessors predecessors…`."""
    lines = [line.split() for line in path.read_text(encoding="ascii").splitlines() if not line.startswith("#")]
    stages = [
        _stage(f"t{task}", tuple(f"t{need}" for need in needs), int(took), {})
        for task, took, _, *needs in [line for line in lines[1:] if line]
    ]
    return Pipeline(path.stem, str(path), "native", "", tuple(stages))


def _stage(id: str, needs: tuple[str, ...], took_s: int, units: dict[str, int]) -> Stage:
    return Stage(id, id, 0, 0, "run", "true", needs, resources=Resources(pools=units), duration_ms=took_s * 1000)
