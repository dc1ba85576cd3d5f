"""Rates and gaps between starts, by the clocks of the processes that were started: never faster than asked, nor slower.

The time of a start in the journal is taken just before the process is made, and the process takes its own when it has
begun. What a busy machine puts between the two, more or less of it, is between any two starts as well.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Sequence

import peers
from section import Section
from table import table

PER_S = 5
GAP_MS = 100
JITTER = 0.5


class Begins(NamedTuple):
    """When stages began, in ms, in order: by their own clocks, and by the journal of their run."""

    own: list[float]
    journal: list[float]


def rates(section: Section) -> None:
    """100 starts each."""
    count = 15 if section.quick else 100
    hold = section.bench.compiled("hold")
    section.head(f"{count} starts at {PER_S} a second, and {count} with {GAP_MS} ms between them")
    if hold is None:
        print("not measured: no C compiler here")
        return
    api = {"size": 100, "rate": f"{PER_S}/s"}
    paced = {
        "pool of rate 5/s": _run(section, hold, count, pools={"api": api}),
        "limits.starts: 5/s": _run(section, hold, count, limits={"starts": f"{PER_S}/s"}),
        "machine-wide, two runs": _run(section, hold, count, 2, pools={"api": {**api, "machine": True}}),
    }
    rows = []
    for name, begins in paced.items():
        held = _held(begins.own)
        stretches = [_stretches(times) for times in begins]
        rows.append((name, str(len(begins.own)), f"{held:.3f}", *(f"{min(each):.1f}" for each in stretches)))
        section.goals.value(f"{name}: off its rate", [abs(held / PER_S - 1) * 100], 5, "%")
        short = [max(0.0, 1000 - min(each)) for each in stretches]
        section.goals.value(f"{name}: {PER_S + 1} starts too near, own clocks", short[:1], 0, "ms")
        section.goals.value(f"{name}: {PER_S + 1} starts too near, journal", short[1:], 0, "ms")
    print(table(("", "starts", "a second", f"ms over {PER_S + 1} starts, least", "by the journal"), rows))
    gaps = {
        f"stagger {GAP_MS} ms": _run(section, hold, count, limits={"stagger": f"{GAP_MS}ms"}),
        f"and up to {JITTER:.0%} more": _run(
            section, hold, count, limits={"stagger": {"gap": f"{GAP_MS}ms", "jitter": f"{JITTER:.0%}"}}
        ),
    }
    rows = []
    for name, begins in gaps.items():
        for clock, times in zip(("own clocks", "journal"), begins):
            between = [later - earlier for earlier, later in pairwise(times)]
            figures = (min(between), statistics.median(between), max(between))
            rows.append((f"{name}, {clock}", str(len(between)), *(f"{figure:.2f}" for figure in figures)))
            section.goals.value(f"{name}: too short, {clock}", [max(0.0, GAP_MS - min(between))], 0, "ms")
    print()
    print(table(("ms between two starts", "gaps", "least", "median", "greatest"), rows))
    section.raw["rates"] = {name: begins._asdict() for name, begins in {**paced, **gaps}.items()}
    section.show_goals()


def _held(times: Sequence[float]) -> float:
    """Starts a second, from the end of the first burst to the end of the last whole one."""
    last = len(times) // PER_S * PER_S - 1
    return (last - PER_S + 1) / (times[last] - times[PER_S - 1]) * 1000


def _stretches(times: Sequence[float]) -> list[float]:
    """From each start to the first one that may no more be in the same second."""
    return [later - earlier for earlier, later in zip(times, times[PER_S:])]


def _run(section: Section, hold: str, count: int, runs: int = 1, **keys: object) -> Begins:
    """So many stages that only say when they began, divided among runs that begin together."""
    folder = section.bench.place("rates")
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    env = {**section.bench.env, "XDG_RUNTIME_DIR": str(runtime)}
    processes = []
    for number in range(runs):
        place = folder / str(number)
        place.mkdir()
        stage: dict[str, object] = {"cmd": [hold, str(folder / "ledger"), "1000"]}
        if "pools" in keys:
            stage["resources"] = {"pools": {"api": 1}}
        stages = {f"s{index}": stage for index in range(count // runs)}
        document = {"version": 1, "stages": stages, **keys}
        document["limits"] = {"jobs": 50, **document.get("limits", {})}  # type: ignore[dict-item]
        (place / "stagebook.yaml").write_text(json.dumps(document))
        processes.append(subprocess.Popen([*peers.STAGEBOOK, "run", "--quiet"], cwd=place, env=env))
    for process in processes:
        if process.wait() != 0:
            print(f"failed: a run ended with {process.returncode}")
    lines = [line.split() for line in (folder / "ledger").read_text().splitlines()]
    own = sorted(int(ns) / 1e6 for word, ns, *_ in lines if word == "begin")
    return Begins(own, sorted(time for number in range(runs) for time in _journal(folder / str(number))))


def _journal(place: Path) -> list[float]:
    """When the stages of a run were started, on the clock of the day: that of two runs is the same."""
    from datetime import datetime

    path = next((place / ".stagebook" / "runs").iterdir()) / "journal.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    started = [record["at"] for record in records if record["event"] == "stage.started"]
    return [datetime.fromisoformat(at).timestamp() * 1000 for at in started]
