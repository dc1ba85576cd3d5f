"""What Stagebook costs, side by side with its peers in one run: every table and goal of the speed and memory budget.

    python benchmarks/overhead.py [--rounds N] [--quick] [--only NAME] [--json FILE] [--dir DIR]

Tools take turns, round by round, and a ratio is taken within a round, so that a busy machine disturbs both sides. The
median is judged; `best/best` tells what is left when nothing disturbs. This prints, and passes or fails nothing: exit
0 whenever everything could be measured.
"""

from __future__ import annotations

import sys

import command
import held
import pure
import stages
import start

SECTIONS = {
    "stages": stages.noop,
    "growth": stages.growth,
    "one": start.one_stage,
    "help": start.answers,
    "imports": start.imports,
    "load": pure.load,
    "graph": pure.graph,
    "memory": held.memory,
    "output": held.output,
    "idle": held.idle,
    "durability": stages.durability,
}

if __name__ == "__main__":
    sys.exit(command.run("stagebook's cost beside that of its peers", SECTIONS))
