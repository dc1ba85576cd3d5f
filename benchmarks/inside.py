"""Streams inside one program, beside the peers; each figure is items a second of a fresh process (`flows`)."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Mapping

from measured import told_rounds
from section import Section
from table import table

FLOWS = Path(__file__).resolve().parent / "flows.py"
OURS, PLAIN, ORDERED, THREADS, PROCESSES = (
    "stagebook", "stagebook, a generator", "stagebook, 2 workers, in order", "stagebook, threads, batch 100",
    "stagebook, processes, batch 100",
)  # fmt: skip
CHAIN, AIOSTREAM = "asyncio.Queue", "aiostream"
#: How many of the items each is given; the slow ones get a part of them, and begin so often for less.
SHARES = {
    OURS: 1.0, PLAIN: 1.0, ORDERED: 1.0, THREADS: 4.0, PROCESSES: 4.0, CHAIN: 1.0, AIOSTREAM: 0.5, "streamable": 1.0,
    "streamable, concurrency 2": 0.05, "joblib generator": 0.05, "pypeln.thread": 0.05, "pypeln.process": 0.01,
    "pypeln.task": 0.01,
}  # fmt: skip
SLOW_MS = 20


def figures(
    section: Section, title: str, counts: Mapping[str, int], limit_s: float, *more: str
) -> dict[str, list[float]]:
    """Items a second, one figure a round; what fails or is not over in time is told and has none."""
    rates: dict[str, list[float]] = {name: [] for name in counts}
    names = list(counts)
    for number in told_rounds(section.rounds):
        for at in range(len(names)):
            name = names[(at + number) % len(names)]
            if name not in rates:
                continue
            argv = [sys.executable, str(FLOWS), name, str(counts[name]), *more]
            try:
                done = subprocess.run(
                    argv, cwd=section.bench.folder, env=section.bench.env, capture_output=True, text=True,
                    timeout=limit_s, check=False,
                )  # fmt: skip
                why = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1] if done.returncode else ""
            except subprocess.TimeoutExpired:
                why = f"not over after {limit_s:.0f} s"
            if why:
                print(f"failed: {name}: {why[:200]}")
                del rates[name]
            else:
                rates[name].append(float(done.stdout))
    section.raw[title] = rates
    return rates


def trivial(section: Section) -> None:
    """Three functions that add one: what the hand-over costs."""
    count = 200_000 if section.quick else 500_000
    section.head(f"{count} items through three functions that add one, in one program")
    print("Those marked with a part had fewer items, or more. Queues have room for 100.")
    counts = {name: int(count * share) for name, share in SHARES.items()}
    rates = figures(section, "trivial", counts, 15 if section.quick else 60)
    chain = rates.get(CHAIN)
    rows = []
    for name, each in rates.items():
        ratio = statistics.median(a / b for a, b in zip(each, chain)) if chain else None
        part = "" if SHARES[name] == 1 else f"{SHARES[name]:g}×"
        range_ = [f"{figure:,.0f}".replace(",", " ") for figure in (statistics.median(each), min(each), max(each))]
        rows.append((name, part, *range_, f"{ratio:.2f}" if ratio else "unknown"))
    print("\n" + table(("", "items", "items/s", "min", "max", f"/ {CHAIN}"), rows))
    goals = section.goals
    goals.at_least("one by one: items/s / asyncio.Queue", rates.get(OURS), chain, 0.5)
    goals.at_least("one by one: items/s / aiostream", rates.get(OURS), rates.get(AIOSTREAM), 1.0)
    goals.at_least("a generator's items: items/s / asyncio.Queue", rates.get(PLAIN), chain, 0.5)
    goals.at_least("batch 100, threads: items/s / asyncio.Queue", rates.get(THREADS), chain, 8)
    goals.at_least("batch 100, processes: items/s / asyncio.Queue", rates.get(PROCESSES), chain, 4)
    section.show_goals()


def slow(section: Section) -> None:
    """Three functions that sleep: how near to the ideal it comes."""
    each = 100 if section.quick else 200
    section.head(f"three functions of {SLOW_MS} ms, in one program: {each} items a worker, first and last included")
    print("The ideal is what one step could do alone, by how long its workers really slept.")
    counts = {f"slow {workers}": each * workers for workers in (1, 2, 4)}
    rates = figures(section, "slow", counts, 60, str(SLOW_MS))
    for workers in (1, 2, 4):
        name = f"{SLOW_MS} ms, {workers} worker{'s' * (workers > 1)} a step: items/s / ideal"
        section.goals.at_least(name, rates.get(f"slow {workers}"), None, 0.95)
    section.show_goals()
