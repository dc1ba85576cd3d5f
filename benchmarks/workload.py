"""Runs one workload of about 0.2 s again and again and writes down how long each took, with all the drift and bursts
that the machine has meanwhile: what `experiment.py` judges the bet on.

    python benchmarks/workload.py FILE RUNS

Columns: run, when it began and how long it took (seconds, monotonic), its CPU seconds, cores that others kept busy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

WORK = "total = 0\nfor number in range(1_900_000):\n    total += number * number % 7\n"
TICK = os.sysconf("SC_CLK_TCK")


def busy_s() -> float:
    """Seconds that all cores together have worked since the machine was started."""
    with open("/proc/stat", encoding="utf-8") as file:
        words = file.readline().split()
    return (sum(map(int, words[1:9])) - int(words[4]) - int(words[5])) / TICK


def main(path: str, runs: int) -> None:
    first = time.monotonic()
    with open(path, "w", encoding="utf-8") as file:
        file.write("run\tbegan_s\twall_s\tcpu_s\tothers_cores\n")
        for run in range(runs):
            busy, before, began = busy_s(), os.times(), time.monotonic()
            subprocess.run([sys.executable, "-S", "-c", WORK], check=True)
            wall, after = time.monotonic() - began, os.times()
            cpu = after.children_user - before.children_user + after.children_system - before.children_system
            others = max(0.0, (busy_s() - busy - cpu) / wall)
            file.write(f"{run}\t{began - first:.3f}\t{wall:.4f}\t{cpu:.2f}\t{others:.2f}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
