"""`workers: auto` beside every fixed number: what it finds, and what the finding costs."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

from measured import Failed, told_rounds
from section import Section
from table import table
from throughrun import case, lay, told

JOBS = 8
FIXED = (1, 2, 3, 4, 6, 8)
#: A worker whose items sleep, or compute; both in milliseconds.
WORKER = """\
import os, sys, time
sleep_s, compute_s = float(sys.argv[1]) / 1000, float(sys.argv[2]) / 1000
for line in sys.stdin.buffer:
    if sleep_s:
        time.sleep(sleep_s)
    until = time.process_time() + compute_s
    while time.process_time() < until:
        pass
    os.write(1, b'{"ok": true}\\n')
"""


class Mix(NamedTuple):
    """Steps as (ms asleep, ms of computing) an item, and how many items a second the best setting does at most."""

    name: str
    steps: tuple[tuple[float, float], ...]
    most_per_s: float


MIXES = (
    Mix("waiting", ((40, 0), (40, 0)), 100),
    Mix("computing", ((0, 15),), 130),
    Mix("one slow step between two quick ones", ((2, 0.2), (60, 0), (0, 0.5)), 100),
)


def auto(section: Section) -> None:
    """Three mixes: each number of workers for all steps, and auto."""
    span_s = 8 if section.quick else 30
    numbers = (1, 2, 4, 8) if section.quick else FIXED
    section.head(f"workers: auto, up to {JOBS} jobs, beside {', '.join(map(str, numbers))} workers a step")
    rounds = 1 if section.quick else min(section.rounds, 2)
    for mix in MIXES:
        items = int(mix.most_per_s * span_s)
        folders = {"auto": _laid(section, mix, items, "auto")}
        folders.update((str(count), _laid(section, mix, items, count)) for count in numbers)
        rates: dict[str, list[float]] = {name: [] for name in folders}
        for _ in told_rounds(rounds):
            for name, folder in folders.items():
                try:
                    section.bench.run(case(section, folder))
                except Failed as error:
                    print(f"failed: {mix.name}, {name}: {error}")
                    continue
                rates[name].append(told(section, folder)["items"]["per_s"])
        section.raw[f"auto, {mix.name}"] = rates
        best = max(numbers, key=lambda count: statistics.median(rates[str(count)] or [0]))
        print(f"\n{mix.name}: {', '.join(_step(*each) for each in mix.steps)} an item; auto had {items} items")
        rows = [(name, f"{statistics.median(each):.1f}" if each else "failed") for name, each in rates.items()]
        print(table(("workers a step", "items/s"), rows))
        print(f"auto took {items / (statistics.median(rates['auto'] or [1])):.0f} s: {_changes(folders['auto'])}")
        goal = f"auto, {mix.name}: items/s / best fixed ({best})"
        section.goals.at_least(goal, rates["auto"], rates[str(best)], 0.9)
    section.show_goals()


def _step(sleep_ms: float, compute_ms: float) -> str:
    parts = [f"{sleep_ms:g} ms asleep"] * (sleep_ms > 0) + [f"{compute_ms:g} ms computing"] * (compute_ms > 0)
    return " and ".join(parts)


def _laid(section: Section, mix: Mix, items: int, workers: int | str) -> Path:
    """A fixed number has a third of the items: it is as fast from the beginning."""
    steps = [
        {"run": f"{sys.executable} -S -E worker.py {sleep:g} {compute:g}", "worker": True, "workers": workers}
        for sleep, compute in mix.steps
    ]
    share = 1 if workers == "auto" else 1 / 3
    folder = lay(section, f"auto-{mix.steps[0][1]:g}-{len(steps)}-{workers}", int(items * share), steps, JOBS)
    (folder / "worker.py").write_text(WORKER)
    return folder


def _changes(folder: Path) -> str:
    """What it did, from the journal."""
    journal = next((folder / ".stagebook" / "runs").iterdir()) / "journal.jsonl"
    said: list[str] = []
    for line in journal.read_text().splitlines():
        record: dict[str, Any] = json.loads(line)
        if record["event"] == "items.workers":
            said.append(f"s{record['step']}→{record['workers']} at {record['t']:.1f} s")
    return ", ".join(said) or "no change"
