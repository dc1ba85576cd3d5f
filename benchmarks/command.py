"""The command of a benchmark: sections by name, tables as they come, verdicts at the end, all figures for `--json`."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Callable, Mapping

from measured import Bench
from section import Section
from table import Goals


def run(about: str, sections: Mapping[str, Callable[[Section], None]], argv: list[str] | None = None) -> int:
    """Run the sections that were asked for. 0: everything could be measured, whatever came out."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--rounds", type=int, metavar="N", help="interleaved rounds; default: 5, with --quick 3")
    parser.add_argument("--quick", action="store_true", help="fewer stages and rounds: a look, no figure to quote")
    parser.add_argument("--only", action="append", choices=sections, metavar="NAME", help=", ".join(sections))
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
        for name in args.only or sections:
            sections[name](Section(bench, goals, rounds, args.quick, raw))
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
