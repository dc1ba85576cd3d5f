"""The benchmark of rules: its readers read what the files say, and a share of the sets is as good as is promised."""

from __future__ import annotations

import statistics
from pathlib import Path

import instances
import pytest
import rules

from stagebook.scheduler.build import build
from stagebook.scheduler.plan import Choice


def test_a_psplib_file_is_a_pipeline_of_pools_and_needs(shared_data: Path) -> None:
    pipeline = instances.read_sm(shared_data / "psplib" / "j30" / "j301_1.sm")
    assert {name: pool.size for name, pool in pipeline.pools.items()} == {"r1": 12, "r2": 13, "r3": 4, "r4": 12}
    by_id = {stage.id: stage for stage in pipeline.stages}
    assert len(by_id) == 32
    assert by_id["t6"].needs == ("t2",) and by_id["t14"].needs == ("t9", "t12")
    assert by_id["t6"].duration_ms == 8000 and dict(by_id["t6"].resources.pools) == {"r4": 8}


def test_a_task_graph_is_a_pipeline_and_its_critical_path_is_what_the_table_says(shared_data: Path) -> None:
    from stagebook.graph.shape import shape

    found = instances.stg(shared_data)
    assert len(found) == 240
    row = next(row for row in instances._rows(shared_data / "stg" / "best.tsv") if row["instance"] == found[0].name)
    plan = build(found[0].pipeline, Choice(cores=1))
    works = [(stage.duration_ms or 0) // 1000 for stage in found[0].pipeline.stages]
    assert shape([stage.needs for stage in plan.stages], works).length == int(row["critical_path"])
    assert sum(works) == int(row["work"])


@pytest.mark.parametrize("group", ["j30", "j120", "stg"])
def test_some_of_a_set_are_near_the_best_known_and_better_than_in_file_order(shared_data: Path, group: str) -> None:
    """No schedule beats a proven optimum, so the simulation keeps to needs and pools."""
    every = instances.stg(shared_data) if group == "stg" else instances.psplib(shared_data, group)
    own, by_file = [], []
    for instance in every[::4]:
        plan = rules.plan_of(instance)
        own.append(rules.above(rules.makespan_s(instance, plan), instance.best_s))
        by_file.append(rules.above(rules.makespan_s(instance, rules.in_file_order(plan)), instance.best_s))
    assert min(own) > -1e-6 if group != "j120" else min(own) > -5
    assert statistics.mean(own) < rules.LIMITS[group] * 1.1
    assert statistics.mean(own) < statistics.mean(by_file)
