"""What a run costs that has nothing to do: stages with a file to read and one to make, unchanged, beside ninja's."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from measured import Case, Failed
from peers import STAGEBOOK
from section import Section, cost_rows, walls

SETTLED_S = 2.5  #: a file that was just written is read once more

OURS, ONE, NINJA, FIRST = "stagebook", "stagebook, one stage that runs", "ninja", "stagebook, while it makes them"


def null_build(section: Section) -> None:
    """1 000 stages of which none has anything to do."""
    count = 200 if section.quick else 1000
    section.head(f"null build: {count} stages with unchanged inputs and outputs, whole processes")
    print("Each stage copies one file. `one stage` is a pipeline of one /bin/true, which runs.")
    bench = section.bench
    folder, one = bench.place("null"), bench.place("null-one")
    _lay(folder, count)
    (one / "stagebook.yaml").write_text("version: 1\nstages:\n  one: /bin/true\n")
    missing: dict[str, str] = {}
    ours = Case([*STAGEBOOK, "run", "--quiet"], folder)
    cases = {OURS: ours, ONE: Case([*STAGEBOOK, "run", "--quiet"], one)}
    try:
        made_s = bench.run(ours).wall_s
        print(f"made once in {made_s:.2f} s")
        ninja = bench.find("ninja")
        if ninja is None:
            missing[NINJA] = "not installed"
        else:
            cases[NINJA] = Case([ninja], folder)
            bench.run(cases[NINJA])
        time.sleep(SETTLED_S)
        for _ in range(2):
            bench.run(ours)
    except Failed as failed:
        print(f"failed: {failed}")
        return
    costs = section.costs("null build", cases)
    print("\n" + cost_rows(costs, missing))
    _goal(section, count, walls(costs, OURS), walls(costs, ONE), walls(costs, NINJA))
    section.show_goals()


def _lay(folder: Path, count: int) -> None:
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    yaml = ["version: 1", "stages:"]
    ninja = ["rule copy", "  command = cp $in $out"]
    for number in range(count):
        (folder / "in" / str(number)).write_text(str(number))
        files = f"in/{number} out/{number}"
        yaml.append(f"  s{number}: {{run: cp {files}, inputs: [in/{number}], outputs: [out/{number}]}}")
        ninja.append(f"build out/{number}: copy in/{number}")
    (folder / "stagebook.yaml").write_text("\n".join(yaml) + "\n")
    (folder / "build.ninja").write_text("\n".join(ninja) + "\n")


def _goal(
    section: Section, count: int, ours: list[float] | None, one: list[float] | None, ninja: list[float] | None
) -> None:  # fmt: skip
    """At most 1.3 times our own start with one stage, and three times ninja's whole no-op."""
    allowed = None
    if one is not None and ninja is not None:
        allowed = [1.3 * ours_alone + 3 * theirs for ours_alone, theirs in zip(one, ninja)]
        print(f"\nallowed: {statistics.median(allowed) * 1e3:.0f} ms")
    section.goals.ratio(f"null build of {count}: 1.3 × one stage + 3 × ninja", ours, allowed, 1.0)
