"""How much of GitHub Actions and GitLab CI is read, mapped, run and patched as their own rules say: a table, set by
set.

    python benchmarks/conformance.py            all sets
    python benchmarks/conformance.py expressions act --misses

The data lies in ../shared/data, else in STAGEBOOK_TEST_DATA. Exit 1 where a goal is not kept.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from conform.row import Row

ROOT = Path(__file__).resolve().parent.parent
SETS = (
    "github", "gitlab", "expressions", "act", "act_runs", "actionlint", "workflow_parser", "gitlab_ci_local",
    "gitlab_ci_local_runs", "patches", "converted",
)  # fmt: skip


def data_folder() -> Path:
    for candidate in (ROOT.parent / "shared" / "data", Path(os.environ.get("STAGEBOOK_TEST_DATA", "nowhere"))):
        if candidate.is_dir():
            return candidate
    raise SystemExit("no data: neither ../shared/data nor $STAGEBOOK_TEST_DATA is a directory")


def table(rows: list[Row]) -> list[str]:
    """In Markdown."""
    lines = ["| set | what | cases | kept | goal |", "|---|---|--:|--:|--:|"]
    for row in rows:
        if row.unit == "seconds":
            found, goal = f"{row.share:.1f} s", "" if row.goal is None else f"≤ {row.goal:g} s"
        else:
            found, goal = f"{row.share:.1%}", "" if row.goal is None else f"≥ {row.goal:.0%}"
        lines.append(f"| {row.set} | {row.what} | {row.count} | {found}{'' if row.is_kept else ' ✗'} | {goal} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; default: all")
    parser.add_argument("--misses", action="store_true", help="name each case that is not as it should be")
    args = parser.parse_args()
    data = data_folder()
    rows: list[Row] = []
    for name in args.sets or SETS:
        try:
            part = importlib.import_module(f"conform.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"conform.{name}":
                raise
            print(f"{name}: no such part", file=sys.stderr)
            continue
        began = time.perf_counter()
        rows += part.measure(data)
        print(f"{name}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    print(f"Of {date.today().isoformat()}.\n")
    print("\n".join(table(rows)))
    if args.misses:
        for row in rows:
            for miss in row.misses:
                print(f"{row.set}: {row.what}: {miss}")
    return 0 if all(row.is_kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
