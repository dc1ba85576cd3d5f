"""Samples and pipelines that never were, for what is made of them: a row a stage a run, made up by a test."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from tests.plan.past import pipeline, stage

from stagebook.history.samples import Run, Sample, Samples
from stagebook.model.pipeline import Pipeline


def of(*names: str, **more: Any) -> Pipeline:
    """Stages side by side, which take nothing from each other."""
    return pipeline(*[stage(name) for name in names], **more)


def row(run: int, name: str, wall_s: float | None = 1.0, outcome: str = "success", **more: Any) -> Sample:
    """One that ran alone, on a core of its own for all of its time, and moved nothing."""
    plain: dict[str, Any] = {
        "run": run, "stage": name, "outcome": outcome, "attempts": 1, "wall_s": wall_s, "wait_s": 0.0, "cpu_s": wall_s,
        "delay_s": 0.0, "company": 0.0, "others_cores": 0.0, "disk_busy": 0.0, "rss_bytes": 1 << 20, "read_bytes": 0,
        "write_bytes": 0,
    }  # fmt: skip
    return Sample(**(plain | more))


def run(number: int, digest: str = "d", **more: Any) -> Run:
    plain: dict[str, Any] = {
        "run": f"R{number}", "digest": digest, "mode": "sequential", "jobs": 1, "outcome": "success",
        "started_us": number, "wall_s": 9.0, "others_cores": 0.0, "max_parallel": 1,
    }  # fmt: skip
    return Run(**(plain | more))


def samples(rows: Sequence[Sample], **runs: Any) -> Samples:
    """`runs`: of all of them alike."""
    count = max([each.run for each in rows], default=-1) + 1
    return Samples(tuple([run(number, **runs) for number in range(count)]), tuple(rows), 0)


def walls(known: Mapping[str, Sequence[float]]) -> Samples:
    """A stage to how long it took, one a run."""
    return samples([row(number, name, wall_s) for name, took in known.items() for number, wall_s in enumerate(took)])
