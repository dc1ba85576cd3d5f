"""What Stagebook costs, side by side with its peers in one run: every table and goal of the speed and memory budget.

    python benchmarks/overhead.py [--rounds N] [--quick] [--only NAME] [--json FILE] [--dir DIR]

Tools take turns, round by round, and a ratio is taken within a round, so that a busy machine disturbs both sides. The
median is judged; `best/best` tells what is left when nothing disturbs. This prints, and passes or fails nothing: exit
0 whenever everything could be measured.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
import time
from pathlib import Path

import held
import pure
import stages
import start
from measured import Bench
from section import Section
from table import Goals

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


def main(argv: list[str] | None = None) -> int:
    """Run the sections that were asked for."""
    parser = argparse.ArgumentParser(description="stagebook's cost beside that of its peers")
    parser.add_argument("--rounds", type=int, metavar="N", help="interleaved rounds; default: 5, with --quick 3")
    parser.add_argument("--quick", action="store_true", help="fewer stages and rounds: a look, no figure to quote")
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="NAME", help=", ".join(SECTIONS))
    parser.add_argument("--json", metavar="FILE", help="all figures of all rounds")
    parser.add_argument("--dir", metavar="DIR", help="where to work; default: the temporary directory")
    args = parser.parse_args(argv)
    rounds = args.rounds or (3 if args.quick else 5)
    if rounds < 1:
        parser.error("--rounds must be at least 1")
    compileall.compile_dir(Path(__file__).resolve().parent.parent / "src", quiet=1)
    raw: dict[str, object] = {}
    goals = Goals()
    began = time.monotonic()
    print(_machine())
    with Bench(args.dir) as bench:
        print(f"work in {bench.folder} ({_file_system(bench.folder)})")
        for name in args.only or SECTIONS:
            SECTIONS[name](Section(bench, goals, rounds, args.quick, raw))
            sys.stdout.flush()
    print(f"\n== all in {time.monotonic() - began:.0f} s, load {_load()}\n\n{goals.closing()}")
    if args.json:
        document = {"machine": _machine(), "rounds": rounds, "quick": args.quick, "goals": goals.judged, "figures": raw}
        Path(args.json).write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.system()} {platform.release()}, {cores} cores, load {_load()}"


def _load() -> str:
    return " ".join(f"{load:.2f}" for load in os.getloadavg())


def _file_system(folder: Path) -> str:
    """The type of the file system that the longest mount point above `folder` has."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [(len(mount[1]), mount[2]) for mount in mounts if folder.is_relative_to(mount[1])]
    return max(above)[1] if above else "unknown file system"


if __name__ == "__main__":
    sys.exit(main())
