"""The pipelines of the benchmark of prediction: each asks something else of the machine. Only files; runs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent / "pipelines"
WORKER = [sys.executable, "-I", "-S", str(HERE / "worker.py")]
BIG_MIB = 256
LATENCY, RATE = "latency", "rate"

Stages = dict[str, dict[str, Any]]


def _many(count: int, *words: object, **more: Any) -> Stages:
    return {f"s{number:02}": {"cmd": [*WORKER, *map(str, words)], **more} for number in range(count)}


def _chains() -> Stages:
    stages: Stages = {}
    for name in "ab":
        for number in range(4):
            needs = [f"{name}{number - 1}"] if number else []
            stages[f"{name}{number}"] = {"cmd": [*WORKER, "cpu", str(200 + 100 * (name == "b"))], "needs": needs}
    return stages


def _etl() -> Stages:
    stages: Stages = {}
    for track in range(5):
        stages[f"extract{track}"] = {"cmd": [*WORKER, "ask", LATENCY, "8", "5"]}
        stages[f"transform{track}"] = {"cmd": [*WORKER, "cpu", "180"], "needs": [f"extract{track}"]}
        stages[f"load{track}"] = {"cmd": [*WORKER, "fsync", "30", "1"], "needs": [f"transform{track}"]}
    stages["report"] = {"cmd": [*WORKER, "cpu", "100"], "needs": [f"load{track}" for track in range(5)]}
    return stages


#: What each is for stands in docs/explanation/prediction.md.
KINDS: dict[str, Stages] = {
    "fan": _many(10, "cpu", 250),
    "chain": _chains(),
    "threads": _many(6, "threads", 2, 250),
    "processes": _many(6, "forks", 2, 250),
    "memory": _many(8, "memory", 32, 50),
    "cache": _many(8, "cache", 512, 80),
    "fsync": _many(6, "fsync", 60, 2),
    "direct": _many(8, "direct", 2000, 64),
    "bulk": _many(6, "bulk", 150),
    "latency": _many(10, "ask", LATENCY, 10),
    "rate": _many(10, "ask", RATE, 10),
    "sqlite": _many(8, "lock", 8, 20, 15),
    "pool": _many(10, "phases", 5, 10, 40, resources={"pools": {"db": 2}}),
    "tiny": _many(60, "cpu", 3),
    "phases": _many(8, "phases", 6, 25, 25),
    "etl": _etl(),
}
#: So many stages at most with `--quick`.
QUICK = 3


def unit() -> str:
    """How much computing a millisecond is, for `write`."""
    return subprocess.run([*WORKER, "unit"], check=True, capture_output=True, text=True).stdout.strip()


def write(folder: Path, kind: str, unit: str, quick: bool) -> None:
    """The pipeline file of one kind into an empty folder, and what its stages read."""
    stages = KINDS[kind]
    if quick and kind not in ("chain", "etl"):
        stages = dict(list(stages.items())[:QUICK])
    document = {"version": 1, "name": kind, "env": {"UNIT": unit}, "pools": {"db": 2}, "stages": stages}
    if kind != "pool":
        del document["pools"]
    (folder / "stagebook.yaml").write_text(json.dumps(document, indent=1) + "\n")
    if kind == "direct":
        with open(folder / "big", "wb") as file:
            for _ in range(BIG_MIB):
                file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())


class Services:
    """What some stages ask, while the context lasts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        argv = [sys.executable, "-I", "-S", str(HERE / "server.py"), LATENCY, RATE]
        self._process = subprocess.Popen(argv, cwd=self._folder, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the server of the benchmark did not start")

    def __exit__(self, *trouble: object) -> None:
        self._process.kill()
        self._process.communicate()
