"""How well parallel runs are predicted from runs in sequence and two at 2 jobs: real pipelines, run by `stagebook`.

    python benchmarks/prediction.py [--rounds N] [--quick] [--only NAME] [--json FILE] [--dir DIR]

Each pipeline is run in sequence (its profile), at 2 jobs (its calibration), then at 1, 2, 4 and 8 in random order. A
cell is one pipeline at one number of jobs: the median of its predictions against the median of its runs. What the
columns mean is in docs/explanation/prediction.md. This prints, and passes or fails nothing.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any, Mapping, NamedTuple, Sequence

import command
import workloads
from section import Section
from table import table

from stagebook.formats.native.read import load
from stagebook.history import store
from stagebook.history.samples import Run, Sample, Samples, samples
from stagebook.model.pipeline import Pipeline
from stagebook.observe import cores
from stagebook.plan import calibrate, contention, profile
from stagebook.plan.contention import Calibration, Capacity, Shares
from stagebook.plan.profile import Profile
from stagebook.scheduler.build import build
from stagebook.scheduler.plan import Choice
from stagebook.simulate.play import play
from stagebook.simulate.work import Speeds, Work

JOBS = (1, 2, 4, 8)
PROFILE, CALIBRATION = 3, 2  #: runs in sequence and at 2 jobs that a prediction stands on
REPEATS = 3  #: of each cell, unless `--rounds` says otherwise
LOAD = 0.3  #: a run beside which others used this much more or less than beside the profile is made once again
SECONDS = 660  #: from the start; after that no run is repeated for its load
SEED = 5
TIMEOUT_S = 120

began_s = time.monotonic()


class Cell(NamedTuple):
    """Seconds; `known` is predicted with the load of the run itself, `before` with that of the run before, `naive`
    with durations unchanged. `floor` is how far a run lies from the median of its cell, the median."""

    kind: str
    jobs: int
    real: float
    known: float
    before: float
    naive: float
    others_cores: float
    floor: float

    def error(self, which: str) -> float:
        predicted: float = getattr(self, which)
        return 100 * abs(predicted / self.real - 1)


class Model:
    """What is known of one pipeline before it is run in parallel."""

    def __init__(self, pipeline: Pipeline, found: Samples) -> None:
        self.pipeline = pipeline
        self.cores = cores.usable()
        self.profile: Profile = profile.build(pipeline, found)
        self.calibration: Calibration = calibrate.calibrate(pipeline, self.profile, found, self.cores)
        self.works = [stage.median_s for stage in self.profile.stages]
        self._demands = [contention.demand(stage, self.calibration) for stage in self.profile.stages]

    def seconds(self, jobs: int, capacity: Capacity | None) -> float:
        """Of one run; without a capacity, the naive guess."""
        known = tuple((stage.stage, round(stage.median_s * 1000)) for stage in self.profile.stages)
        plan = build(self.pipeline, Choice(self.cores, jobs, jobs == 1, durations_ms=known))
        shares: Speeds | None = None if capacity is None else Shares(self._demands, capacity)
        return play(plan, lambda stage, attempt: Work(self.works[stage]), shares).end_s

    def beside(self, jobs: int, others: float) -> float:
        """With so many others who want a core, on the average."""
        return self.seconds(jobs, contention.capacity(self.cores, others, self.calibration._replace(others=None)))

    def others_in(self, found: Samples) -> list[float]:
        """How many of the rest of the machine wanted a core, run by run."""
        rows: list[list[Sample]] = [[] for _ in found.runs]
        for row in found.rows:
            rows[row.run].append(row)
        return [calibrate.others_in(run, its, self.cores) for run, its in zip(found.runs, rows)]


class Subject:
    """One pipeline in a folder of its own."""

    def __init__(self, section: Section, kind: str) -> None:
        self._env = section.bench.env
        self.folder = section.bench.place("prediction", kind)
        workloads.write(self.folder, kind, _unit(section), section.quick)
        self.kind = kind
        self.pipeline = load(str(self.folder / "stagebook.yaml"), None)

    def run(self, jobs: int) -> str:
        """Make one run, and say which it is."""
        how = ["--sequential"] if jobs == 1 else ["-j", str(jobs)]
        argv = [sys.executable, "-P", "-m", "stagebook", "run", "--json", "--quiet", *how]
        done = subprocess.run(
            argv, check=False, cwd=self.folder, env=self._env, capture_output=True, text=True, timeout=TIMEOUT_S
        )
        if done.returncode:
            raise RuntimeError(f"{self.kind}: exit {done.returncode}\n{done.stderr[-500:]}")
        return str(json.loads(done.stdout)["run"])

    def samples(self) -> Samples:
        file = str(self.folder / "stagebook.yaml")
        return store.ask(str(self.folder / ".stagebook"), lambda connection: samples(connection, file))


_units: list[str] = []


def _unit(section: Section) -> str:
    if not _units:
        _units.append(workloads.unit())
    return _units[0]


def predict(section: Section, kind: str) -> None:
    """Run one pipeline, and keep its cells."""
    subject = Subject(section, kind)
    chance = random.Random(f"{SEED} {kind}")
    with workloads.Services(subject.folder):
        for jobs in [1] * PROFILE + [2] * CALIBRATION if not section.quick else (1, 2):
            subject.run(jobs)
        basis = subject.samples()
        model = Model(subject.pipeline, basis)
        usual = basis.runs[-1].others_cores or 0.0
        rounds = REPEATS if not section.quick else 1
        arms = [jobs for jobs in JOBS for _ in range(rounds)]
        chance.shuffle(arms)
        made = [(jobs, subject.run(jobs)) for jobs in arms]
        seen = {run.run: run for run in subject.samples().runs}
        if not section.quick and time.monotonic() - began_s < SECONDS:
            again = [jobs for jobs, run in made if abs((seen[run].others_cores or 0.0) - usual) > LOAD]
            made += [(jobs, subject.run(jobs)) for jobs in again]
    found = subject.samples()
    cells = _cells(kind, model, found, {run: jobs for jobs, run in made}, usual, rounds)
    section.raw[kind] = {
        "cells": [cell._asdict() for cell in cells], "calibration": model.calibration._asdict(),
        "runs": [run._asdict() for run in found.runs], "rows": [row._asdict() for row in found.rows],
        "file": (subject.folder / "stagebook.yaml").read_text(),
    }  # fmt: skip
    _show(section, model, cells)


def _cells(
    kind: str, model: Model, found: Samples, jobs_of: Mapping[str, int], usual: float, rounds: int
) -> list[Cell]:
    """Of the runs made for comparison; where some were made again, of those whose load was nearest to the usual."""
    taken: dict[int, list[tuple[float, Run, float, float]]] = {}
    for run, (before, others) in zip(found.runs[1:], pairwise(model.others_in(found))):
        if run.run in jobs_of:
            off = abs((run.others_cores or 0.0) - usual)
            taken.setdefault(jobs_of[run.run], []).append((off, run, others, before))
    cells = []
    for jobs, each in sorted(taken.items()):
        nearest = sorted(each, key=lambda one: one[0])[:rounds]
        real = statistics.median([run.wall_s for _, run, _, _ in nearest])
        cells.append(Cell(
            kind, jobs, real,
            statistics.median([model.beside(jobs, others) for _, _, others, _ in nearest]),
            statistics.median([model.beside(jobs, before) for _, _, _, before in nearest]),
            model.seconds(jobs, None),
            statistics.median([run.others_cores or 0.0 for _, run, _, _ in nearest]),
            100 * statistics.median([abs(run.wall_s / real - 1) for _, run, _, _ in nearest]),
        ))  # fmt: skip
    return cells


COLUMNS = ("", "real s", "known s", "before s", "naive s", "error %", "before %", "naive %", "noise %", "F")


def _row(cell: Cell) -> list[str]:
    seconds = [f"{getattr(cell, name):.2f}" for name in ("real", "known", "before", "naive")]
    errors = [f"{cell.error(name):.1f}" for name in ("known", "before", "naive")]
    return [f"{cell.kind} at {cell.jobs}", *seconds, *errors, f"{cell.floor:.1f}", f"{cell.others_cores:.2f}"]


def _show(section: Section, model: Model, cells: Sequence[Cell]) -> None:
    known = model.calibration
    section.head(f"{cells[0].kind}: {len(model.works)} stages")
    print(table(COLUMNS, [_row(cell) for cell in cells]))
    gamma = statistics.mean(known.gamma.values()) if known.gamma else 0.0
    shared = "private" if known.waiting is None else f"{known.waiting:g} at once"
    print(f"\ncalibrated: waiting {shared}, disk {known.disk:g}, gamma {gamma:.2f}, error {known.error or 0:.2f}")


def together(section: Section) -> None:
    """All cells of this call against what was promised."""
    raw: list[Any] = [cell for kind in workloads.KINDS for cell in section.raw.get(kind, {}).get("cells", [])]
    cells = [Cell(**cell) for cell in raw]
    if not cells:
        return
    section.head(f"together: {len(cells)} cells")
    high = [cell for cell in cells if cell.jobs in (4, 8)]
    rows = []
    for name, those in (("all", cells), ("4 and 8 jobs", high)):
        for which in ("known", "before", "naive"):
            errors = [cell.error(which) for cell in those]
            rows.append([f"{name}, {which}", f"{statistics.median(errors):.1f}", f"{_high(errors):.1f}"])
    print(table(("error %", "median", "p90"), rows))
    print(f"\nnoise floor: {statistics.median([cell.floor for cell in cells]):.1f} %, the median of all cells; others "
          f"used {statistics.median([cell.others_cores for cell in cells]):.2f} cores")  # fmt: skip
    for name, those, which, middle, far in (
        ("all cells, load of the run itself", cells, "known", 5, 15),
        ("4 and 8 jobs, load of the run before", high, "before", 8, 22),
    ):
        errors = [cell.error(which) for cell in those]
        section.goals.value(f"{name}: median error", errors, middle, "%")
        section.goals.value(f"{name}: 90th percentile", [_high(errors)], far, "%")
    section.show_goals()


def _high(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]


def _section(kind: str) -> Any:
    return lambda section: predict(section, kind)


SECTIONS = {**{kind: _section(kind) for kind in workloads.KINDS}, "together": together}

if __name__ == "__main__":
    os.environ.pop("STAGEBOOK_DIR", None)
    sys.exit(command.run("how well parallel runs are predicted", SECTIONS))
