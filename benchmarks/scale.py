"""What large pipelines cost before anything runs: their map, and simulated runs.

    python benchmarks/scale.py [--rounds N] [--quick] [--only NAME] [--json FILE] [--dir DIR]

Like `overhead.py` this prints, and passes or fails nothing: exit 0 whenever everything could be measured. All of it
takes some three minutes on an idle machine, --quick a tenth; each round is told of on standard error.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Callable, Mapping, Sequence

import command
from measured import Case, told_rounds
from section import Section, cost_rows, walls
from table import table

from stagebook.cli import map as mapping
from stagebook.plan.contention import Capacity, Demand, Shares
from stagebook.scheduler.plan import Plan, PlannedStage, Pool
from stagebook.simulate.play import play
from stagebook.simulate.spread import Spread
from stagebook.simulate.work import Work

MAP_S = 2.0
RUN_S = {10_000: 1.0, 100_000: 15.0}
RUNS_PER_S = 500
SMALL = 60  #: stages of a run of which there are many


def maps(section: Section) -> None:
    """The whole command, in every form that it has; `first`: the file has never been read."""
    count = 1_000 if section.quick else 10_000
    section.head(f"stagebook map of {count} stages, whole process")
    folder = section.bench.place("map")
    (folder / "stagebook.yaml").write_text(_file(count))
    cache = folder / ".stagebook"
    cases = {"text, first": _case(folder, "text", partial(section.bench.put_away, cache))}
    cases |= {form: _case(folder, form, lambda: None) for form in mapping.FORMATS}
    costs = section.costs("map", cases)
    print(cost_rows(costs, {}))
    for name in cases:
        section.goals.value(f"map of {count} stages, {name}", walls(costs, name), MAP_S, "s")
    section.show_goals()


def _case(folder: Path, form: str, prepare: Callable[[], None]) -> Case:
    return Case(("stagebook", "map", "--format", form, "-o", os.devnull), folder, prepare=prepare)


def _file(count: int) -> str:
    """Layers of a hundred, each stage with up to three needs in the one before."""
    draw = random.Random(1)
    lines = ["version: 1", "name: large", "stages:"]
    for at in range(count):
        first = at // 100 * 100 - 100
        needs = ", ".join(f"s{need}" for need in sorted(draw.sample(range(first, first + 100), 3))) if at >= 100 else ""
        lines.append(f"  s{at}: {{run: 'true', needs: [{needs}], duration: {draw.randint(1, 90)}s}}")
    return "\n".join(lines) + "\n"


def runs(section: Section) -> None:
    """One run of many stages; CPU time of this process, so that others' load does not count."""
    section.head("One simulated run, seconds of CPU time")
    rows = []
    for count, limit_s in RUN_S.items():
        stages = count // 10 if section.quick else count
        plan = layered(stages, 200, jobs=32)
        works = _works(stages)
        seconds = [_timed(partial(play, plan, _draw(works))) for _ in told_rounds(section.rounds)]
        section.raw[f"run of {stages}"] = seconds
        rows.append((f"{stages} stages", *_spread(seconds)))
        section.goals.value(f"a run of {stages} stages", seconds, limit_s, "s")
    print(table(("", "median s", "least", "most"), rows))
    section.show_goals()


def rates(section: Section) -> None:
    """Many runs of few stages, each with its own draw and a machine of its own."""
    count = 200 if section.quick else 2_000
    plan = layered(SMALL, 8, jobs=4)
    draws = [_draw(_works(SMALL, seed)) for seed in range(count)]
    demands = [Demand((0.2, 0.6, 1.0, 1.5)[at % 4], (0.0, 0.3)[at % 2], 0.0, 0.1) for at in range(SMALL)]
    cores = len(os.sched_getaffinity(0))
    section.head(f"{count} simulated runs of {SMALL} stages; {cores} cores")
    rows: list[Sequence[str]] = []
    found: dict[str, object] = {}
    for name, asked in (("stages for themselves", None), ("fair shares of the machine", demands)):
        one, spread = [], []
        for _ in told_rounds(section.rounds):
            one.append(_timed(partial(_play_all, plan, draws, asked, 1)) / count * 1e3)
            began = time.perf_counter()
            _play_all(plan, draws, asked, cores)
            spread.append((time.perf_counter() - began) / count * 1e3)
        found[name] = {"one_core_ms": one, "spread_ms": spread}
        for how, each in (("one core, CPU", one), (f"{cores} cores, wall", spread)):
            rows.append((f"{name}: {how}", *_spread(each), f"{1e3 / statistics.median(each):.0f}"))
        section.goals.value(f"a run of {SMALL} stages on one core, {name}", one, 1e3 / RUNS_PER_S, "ms")
    section.raw["rates"] = found
    print(table(("", "median ms a run", "least", "most", "runs/s"), rows))
    section.show_goals()


def _play_all(plan: Plan, draws: Sequence[Callable[[int, int], Work]], demands: Sequence[Demand] | None,
              workers: int) -> None:  # fmt: skip
    shares = None if demands is None else Shares(demands, Capacity(2.0))
    with Spread([plan], draws, shares, None, workers) as spread:
        (ends,) = spread.ends(0, len(draws))
    assert {end.outcome for end in ends} == {"success"}


def layered(count: int, width: int, jobs: int) -> Plan:
    """Two needs each in the layer before, eight kinds of demand over four pools."""
    draw = random.Random(1)
    demands = (((0, 1),), *(((0, 1), (1 + at % 3, 1 + at // 3 % 2)) for at in range(6)), ((0, 1), (1, 1), (2, 1)))
    stages = []
    for at in range(count):
        first = at // width * width
        needs = tuple(sorted(draw.sample(range(first - width, first), 2))) if first else ()
        stages.append(PlannedStage(f"s{at}", needs, draw.randrange(len(demands)), at))
    pools = (Pool("slot", jobs), Pool("cpu", jobs), Pool("memory", jobs), Pool("pool:db", max(2, jobs // 2)))
    return Plan(tuple(stages), pools, demands)


def _works(count: int, seed: int = 0) -> Sequence[Work]:
    draw = random.Random(seed)
    return [Work(draw.uniform(0.1, 60)) for _ in range(count)]


def _draw(works: Sequence[Work]) -> Callable[[int, int], Work]:
    return lambda stage, attempt: works[stage]


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _spread(figures: Sequence[float]) -> list[str]:
    return [f"{figure:.3f}" for figure in (statistics.median(figures), min(figures), max(figures))]


SECTIONS: Mapping[str, Callable[[Section], None]] = {"map": maps, "runs": runs, "rates": rates}

if __name__ == "__main__":
    sys.exit(command.run("what large pipelines cost before anything runs", SECTIONS))
