"""Breaks the scheduler on purpose, one mutant at a time, and tells how many its tests notice: `make mutants`.

Fails below 92 % killed, for a survivor without a reason in tests/scheduler/survivors.txt, and for a reason without a
survivor. A line there is `GLOB REASON`; the glob is for a function, `*.books.*waiting__*`, as the numbers of its
mutants shift when it changes. While mutants/ is there, only the mutants of functions that changed are tested anew:
after a change of tests remove it, or name survivors to `mutmut run`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTMUT = Path(sys.executable).with_name("mutmut")
REASONS = ROOT / "tests" / "scheduler" / "survivors.txt"
LEAST = 0.92
KILLED = ("killed", "timeout", "segfault")


def main() -> int:
    workers = str(len(os.sched_getaffinity(0)))
    environment = {**os.environ, "CI": "true"}
    subprocess.run([MUTMUT, "run", "--max-children", workers], cwd=ROOT, env=environment, check=True)
    results = subprocess.check_output([MUTMUT, "results", "--all", "true"], cwd=ROOT, text=True)
    mutants = [line.strip().split(": ") for line in results.splitlines()]
    survivors = [name for name, status in mutants if status not in KILLED]
    lines = [line.split(None, 1) for line in REASONS.read_text().splitlines()]
    known = [words[0] for words in lines if len(words) == 2 and words[0] != "#"]
    unexplained = [name for name in survivors if not any(fnmatch(name, glob) for glob in known)]
    idle = [glob for glob in known if not any(fnmatch(name, glob) for name in survivors)]
    for name in unexplained:
        print(f"\n{name} survives without a reason in {REASONS.relative_to(ROOT)}", flush=True)
        subprocess.run([MUTMUT, "show", name], cwd=ROOT, check=False)
    for glob in idle:
        print(f"\n{glob} is no survivor's name: take it out of {REASONS.relative_to(ROOT)}")
    share = 1 - len(survivors) / len(mutants)
    print(f"\n{share:.1%} of {len(mutants)} mutants killed, at least {LEAST:.0%} is asked for")
    return int(share < LEAST or bool(unexplained or idle))


if __name__ == "__main__":
    sys.exit(main())
