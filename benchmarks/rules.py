"""How good the machine's own order is where all durations are known: published problems, against their best known ends.

    python benchmarks/rules.py [--only NAME] [--json FILE]

The data sets lie beside the checkout (`../shared/data`) or where $STAGEBOOK_TEST_DATA says. What is played is what
`run` would do with the declared durations: the same plan, the same machine, on a virtual clock. It comes out the same
every time. Like `overhead.py` this prints, and passes or fails nothing.
"""

from __future__ import annotations

import statistics
import sys
from typing import Callable

import command
import instances
from instances import Instance
from section import Section
from table import table

from stagebook.scheduler.build import build
from stagebook.scheduler.plan import Choice, Plan
from stagebook.simulate.play import play
from stagebook.simulate.work import Work

#: By set, the mean percentage above the best known that is allowed.
LIMITS = {"j30": 4.5, "j60": 5.2, "j120": 10.5, "stg": 0.4}
QUICK = 8  #: every so many instances


def plan_of(instance: Instance) -> Plan:
    stages = len(instance.pipeline.stages)
    return build(instance.pipeline, Choice(cores=1, jobs=instance.jobs or stages))


def in_file_order(plan: Plan) -> Plan:
    """The same plan with ranks as the stages stand in the file."""
    return plan._replace(stages=tuple(stage._replace(rank=rank) for rank, stage in enumerate(plan.stages)))


def makespan_s(instance: Instance, plan: Plan) -> float:
    works = [Work((stage.duration_ms or 0) / 1000) for stage in instance.pipeline.stages]
    played = play(plan, lambda stage, attempt: works[stage])
    assert played.outcome == "success", f"{instance.name} ended as {played.outcome}"
    return played.end_s


def above(makespan_s: float, best_s: int) -> float:
    """Percent above the best known."""
    return (makespan_s / best_s - 1) * 100


def _psplib(group: str) -> Callable[[Section], None]:
    return lambda section: _judge(section, group)


def _judge(section: Section, group: str) -> None:
    section.head(f"{group.upper()}: percent above the best known")
    data = instances.folder()
    if data is None:
        print("not measured: neither ../shared/data nor $STAGEBOOK_TEST_DATA is here")
        section.goals.value(f"{group.upper()}: own order", None, LIMITS[group], "%")
        section.show_goals()
        return
    found = instances.stg(data) if group == "stg" else instances.psplib(data, group)
    found = found[::QUICK] if section.quick else found
    figures: dict[str, list[float]] = {"own order": [], "file order": []}
    for instance in found:
        plan = plan_of(instance)
        figures["own order"].append(above(makespan_s(instance, plan), instance.best_s))
        figures["file order"].append(above(makespan_s(instance, in_file_order(plan)), instance.best_s))
    section.raw[group] = {"instances": [f"{each.name} {each.jobs or ''}".strip() for each in found], **figures}
    rows = [
        (name, str(len(each)), f"{statistics.mean(each):.3f}", f"{statistics.median(each):.3f}", f"{max(each):.1f}",
         str(sum(figure < 1e-9 for figure in each)))
        for name, each in figures.items()
    ]  # fmt: skip
    print(table(("", "instances", "mean", "median", "worst", "best known met"), rows))
    own, by_file = (statistics.mean(figures[name]) for name in ("own order", "file order"))
    section.goals.value(f"{group.upper()}: own order, mean", [own], LIMITS[group], "%")
    section.goals.ratio(f"{group.upper()}: own / file order", [100 + own], [100 + by_file], 1.0)
    section.show_goals()


SECTIONS = {group: _psplib(group) for group in LIMITS}

if __name__ == "__main__":
    sys.exit(command.run("how good the machine's own order is", SECTIONS))
