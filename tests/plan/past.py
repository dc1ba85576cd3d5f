"""Runs that were never run: journals of the real writer, at whatever time of the past a test asks for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from stagebook.model.pipeline import MEASURED, Limits, Pipeline, Pool, Resources, Stage
from stagebook.model.plain import to_plain
from stagebook.record import state
from stagebook.record.clock import epoch_us, new_run_id
from stagebook.record.line import members, quote
from stagebook.record.story import Usage
from stagebook.record.writer import Writer

NOW = "2026-11-25T11:00:00.000000+00:00"  #: a Wednesday
NOW_US = epoch_us(NOW)
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
MIB = 1 << 20


class Did(NamedTuple):
    """One attempt: seconds since its run began. `to_s` None: its end is not on record."""

    stage: str
    from_s: float
    to_s: float | None
    ready_s: float | None = None
    waited: str | None = None
    cpu_s: float | None = None
    rss: int | None = None
    attempt: int = 1
    reason: str | None = None
    moved: int = 0
    around: dict[str, Any] | None = None


def stage(name: str, **resources: Any) -> Stage:
    return Stage(name, name, 4, 3, "run", "true", resources=Resources(**resources))


def pipeline(*stages: Stage, file: str = "/p/stagebook.yaml", name: str = "release", **more: Any) -> Pipeline:
    return Pipeline(name, file, "native", f"digest of {file}", stages, **more)


class Past:
    """A state directory. `run` adds one run to it and gives the path of its journal."""

    def __init__(self, folder: Path) -> None:
        self.state = str(folder / ".stagebook")

    def run(
        self, of: Pipeline, at_us: int, *did: Did, is_over: bool = True, modified: bool = True,
        outcome: str = "success", around: dict[str, Any] | None = None, jobs: int = 8,
    ) -> Path:  # fmt: skip
        """`at_us` is when it began; `modified`: the journal's time is that of its last line, as it would be. `outcome`
        and `around` are the run's."""
        run = new_run_id()
        path = state.journal_path(state.make_run(self.state, run))
        writer = Writer(path, run, at_us)
        writer.add("run.started", 0, tail=_first(of, jobs))
        writer.write()
        last_us = _us(max([each.to_s or each.from_s for each in did], default=0))
        lines: list[tuple[int, int, Did]] = []
        for each in did:
            lines.append((_us(each.from_s), 1, each))
            if each.to_s is not None:
                lines.append((_us(each.to_s), 0 if each.to_s > each.from_s else 2, each))
        for us, what, each in sorted(lines, key=lambda line: line[:2]):
            writer.next_batch()
            name = quote(each.stage)
            if what == 1:
                tail = members(pid=7, start=9, ready=each.ready_s, waited=each.waited, log="x.1.log")
                writer.add("stage.started", us, name, each.attempt, tail)
            else:
                word = "error" if each.reason else "success"
                more = {} if each.around is None else {"around": each.around}
                tail = members(outcome=word, reason=each.reason, exit=0, signal=None, usage=_usage(each), **more)
                writer.add("stage.exited", us, name, each.attempt, tail)
                writer.add("stage.ended", us, name, None, members(outcome=word, reason=each.reason, flaky=False))
        if is_over:
            more = {} if around is None else {"around": around}
            tail = members(outcome=outcome, reason=None, wall_s=last_us / 1e6, max_parallel=2, **more)
            writer.add("run.ended", last_us, tail=tail)
        writer.write()
        writer.add("journal.synced", last_us)
        writer.write()
        writer.abandon()
        if modified:
            ended_s = (at_us + last_us) / 1e6
            os.utime(path, (ended_s, ended_s))
        return Path(path)


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _usage(did: Did) -> dict[str, Any] | None:
    if did.cpu_s is None and did.rss is None:
        return None
    return Usage(did.cpu_s, 0.0, did.rss, did.moved, 0, 1, 1, "wait4", "wait4" if did.rss else None)._asdict()


def _first(of: Pipeline, jobs: int) -> str:
    head = members(
        pipeline=of.name, mode="parallel", jobs=jobs, policy="strict", file=of.file, format=of.format, boot=None, pid=7,
        digest=of.digest, params={}, critical=[], critical_by="number of stages", choice={"cores": 2},
    )  # fmt: skip
    return f'{head},"plan":{json.dumps(to_plain(of))}'


MEASURED_ONE = Pipeline("script", "", MEASURED, "", ())
RELEASE = pipeline(
    stage("build", cpu_milli=2000, memory_bytes=1024 * MIB),
    stage("unit", memory_bytes=1024 * MIB, pools={"db": 1}),
    stage("e2e", pools={"db": 2}),
    limits=Limits(provider="github-free", memory_bytes=8192 * MIB),
    pools={"db": Pool(4)},
)
