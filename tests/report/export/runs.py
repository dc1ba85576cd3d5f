"""Runs that every export has to tell: as they are played by the real machine, and made by hand."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.record.play import Play, some_pipeline
from tests.record.scribe import Scribe
from tests.report import documents

from stagebook.record import reader, runs
from stagebook.scheduler.plan import Choice

LIVE_US = 40_000_000


def played(folder: Path, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The document and the records of a run whose engine died at some places and was followed by another."""
    chance = random.Random(seed)
    scribe = Scribe(folder)
    play = Play.begin(scribe, some_pipeline(chance, 14), Choice(cores=2, jobs=2, seed=seed), seed)
    for life in range(1, 4):
        if not all(play.step() for _ in range(chance.randrange(2, 9))):
            break
        play.writer.abandon()
        play = Play.resume(scribe, seed + life, life * 3_600_000_000)
    play.finish()
    return runs.document(scribe.directory), list(reader.load(scribe.path).records)


def live() -> dict[str, Any]:
    """A run under way, with every way to end or to wait; it has come to `LIVE_US`."""
    failed = {"outcome": "failure", "exit": 1}
    stopped = {"outcome": "cancellation", "exit": None, "signal": 15, "reason": "cancelled by cancel"}
    stages = [
        documents.stage("build", documents.attempt(0, 20)),
        documents.stage("unit", documents.attempt(20, None, outcome=None, exit=None), outcome=None, needs=("build",)),
        documents.stage("slow", documents.attempt(0, 10, outcome="timeout", exit=None, reason="timeout")),
        documents.stage("broken", documents.attempt(10, 10, outcome="error", exit=None, reason="missing program: foo")),
        documents.stage("halted", documents.attempt(3, 15, **stopped)),  # type: ignore[arg-type]
        documents.stage(
            "again",
            documents.attempt(0, 4, **failed),  # type: ignore[arg-type]
            documents.attempt(8, 9, number=2, **failed),  # type: ignore[arg-type]
            documents.attempt(13, 25, number=3, wait=2, waited="lock:db", **failed),  # type: ignore[arg-type]
        ),
        documents.stage("docs", outcome=None, waiting="slot"),
        documents.stage("pack", outcome=None, waiting="pool:db"),
        documents.stage("deploy", outcome=None, waiting="needs"),
        *documents.skipped(("smoke", "needs slow (timeout)"), ("web", "when: branch == 'main'")),
    ]
    path = ["build", "unit"]
    return documents.run(stages, None, outcome=None, state="running", critical_path=path, critical_path_s=20.0)


def nothing() -> dict[str, Any]:
    return documents.run(documents.skipped(("a", "up to date"), ("b", "up to date")), 0.1)
