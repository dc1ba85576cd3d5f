"""Breaks the scheduler on purpose, one mutant at a time, and tells how many its tests notice: `make mutants`.

Fails below 90 % killed, and for a survivor without a reason in tests/scheduler/survivors.txt (lines `MUTANT REASON`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTMUT = Path(sys.executable).with_name("mutmut")
REASONS = ROOT / "tests" / "scheduler" / "survivors.txt"
LEAST = 0.90


def reasons() -> dict[str, str]:
    """Why each known survivor may live, by mutant."""
    if not REASONS.exists():
        return {}
    lines = [line.split(None, 1) for line in REASONS.read_text().splitlines() if line.strip() and line[0] != "#"]
    return {words[0]: words[1] if len(words) > 1 else "" for words in lines}


def main() -> int:
    workers = str(len(os.sched_getaffinity(0)))
    environment = {**os.environ, "CI": "true"}
    subprocess.run([MUTMUT, "run", "--max-children", workers], cwd=ROOT, env=environment, check=True)
    subprocess.run([MUTMUT, "export-cicd-stats"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    stats = json.loads((ROOT / "mutants" / "mutmut-cicd-stats.json").read_text())
    results = subprocess.run([MUTMUT, "results"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    survivors = [line.split(":")[0].strip() for line in results.splitlines() if line.strip().endswith(": survived")]
    known = reasons()
    for mutant in survivors:
        print(f"\n{mutant}: {known.get(mutant) or 'no reason on file'}", flush=True)
        subprocess.run([MUTMUT, "show", mutant], cwd=ROOT, check=False)
    killed = stats["killed"] + stats.get("timeout", 0)
    judged = killed + stats["survived"] + stats.get("suspicious", 0)
    share = killed / judged if judged else 0.0
    print(f"\n{killed} of {judged} mutants killed: {share:.1%}, at least {LEAST:.0%} is asked for")
    unexplained = [mutant for mutant in survivors if not known.get(mutant)]
    if unexplained:
        print(f"{len(unexplained)} survivors without a reason in {REASONS.relative_to(ROOT)}")
    return int(share < LEAST or bool(unexplained))


if __name__ == "__main__":
    sys.exit(main())
