"""G16: no deadlock, no starvation. Pools are taken all or none, waiting stages age, what one waits for is said."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.door.place import SCALE, Place, by_stage, note, noted

SEEDS = 40 * SCALE
BATCHES = 8


def crossed(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Stages and pools: a table of dining philosophers, with locks, budgets, needs and a limit that all cross."""
    chance = random.Random(seed)
    pools = {f"p{i}": chance.randint(1, 3) for i in range(chance.randint(2, 5))}
    stages: dict[str, Any] = {}
    for index in range(chance.randint(8, 16)):
        wanted = chance.sample(sorted(pools), chance.randint(0, len(pools)))
        resources: dict[str, Any] = {"pools": {name: chance.randint(1, pools[name]) for name in wanted}}
        if chance.random() < 0.5:
            resources["cpu"] = chance.choice([0.5, 1, 2, 4])
        if chance.random() < 0.5:
            resources["memory"] = chance.choice(["1MB", "500MB", "1GB"])
        locks = {lock: chance.choice(["shared", "exclusive"]) for lock in "xyz" if chance.random() < 0.4}
        needs = [f"s{i}" for i in range(index) if chance.random() < 0.1]
        work = chance.choice(["", "sleep 0.005", "sleep 0.01"])
        stages[f"s{index}"] = {
            "run": noted(work), "resources": resources, "locks": locks, "needs": needs,
            "priority": chance.randint(-3, 3),
        }  # fmt: skip
    return stages, {"pools": pools, "limits": {"jobs": chance.randint(1, 6), "cpu": 4, "memory": "1GB"}}


def check_capacity(place: Place, stages: dict[str, Any], others: dict[str, Any]) -> None:
    """By the ledger: at no moment was more held than there is."""
    running: set[str] = set()
    for line in place.ledger():
        if line.word != "begin":
            running.discard(line.stage)
            continue
        running.add(line.stage)
        assert len(running) <= others["limits"]["jobs"]
        for pool, size in others["pools"].items():
            assert sum(stages[name]["resources"]["pools"].get(pool, 0) for name in running) <= size, (pool, running)
        assert sum(stages[name]["resources"].get("cpu", 0) for name in running) <= 4
        for lock in "xyz":
            kinds = [stages[name]["locks"][lock] for name in running if lock in stages[name]["locks"]]
            assert "exclusive" not in kinds or len(kinds) == 1, (lock, running)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_g16_seeded_crossed_pools_always_end_and_hold_no_more_than_there_is(new_place: Any, batch: int) -> None:
    for seed in range(batch, SEEDS, BATCHES):
        stages, others = crossed(seed)
        place = new_place()
        place.pipeline(stages, **others)
        done = place.run("run", "--quiet", "--json", within_s=30)
        assert done.code == 0, (seed, done)
        assert sorted(place.began()) == sorted(stages), seed
        check_capacity(place, stages, others)


def test_g16_one_big_stage_among_many_small_ones_starts_within_the_bound(place: Place) -> None:
    """The documented bound: at most 64 starts pass the stage that is ready longest before it claims its pools."""
    lanes = {}
    for lane in range(4):
        for step in range(60):
            lanes[f"lane{lane}-{step}"] = {
                "run": noted("sleep 0.005"), "resources": {"pools": {"db": 1}},
                "needs": [f"lane{lane}-{step - 1}"] if step else [],
            }  # fmt: skip
    big = {"run": noted(), "resources": {"pools": {"db": 4}}, "priority": -100}
    place.pipeline({**lanes, "big": big}, pools={"db": 4}, limits={"jobs": 4})
    assert place.run("run", "--quiet").code == 0
    began = place.began()
    assert 4 <= began.index("big") <= 64 + 8
    assert not [pair for pair in place.overlaps() if "big" in pair]


def test_g16_status_names_what_each_waiting_stage_waits_for(place: Place) -> None:
    hold = f'{note("begin")}\nwhile [ ! -e "$BASE/go" ]; do sleep 0.02; done'
    place.pipeline({
        "holder": {"run": hold, "locks": {"table": "exclusive"}, "resources": {"pools": {"db": 2}}, "priority": 9},
        "for-lock": {"run": "true", "locks": {"table": "shared"}, "priority": 5},
        "for-pool": {"run": "true", "resources": {"pools": {"db": 1}}, "priority": 4},
        "for-need": {"run": "true", "needs": "holder"},
        "second": {"run": hold, "priority": 8},
        "for-slot": "true",
    }, pools={"db": 2}, limits={"jobs": 2})  # fmt: skip
    command = place.start("run")
    place.wait_for("holder")
    place.wait_for("second")
    waiting = {name: stage["waiting"] for name, stage in by_stage(place.show()).items()}
    assert waiting["holder"] is None
    assert waiting["second"] is None
    assert waiting["for-need"] == "needs"
    assert waiting["for-slot"] == "slot"
    assert waiting["for-lock"] in ("lock:table", "slot")
    assert waiting["for-pool"] in ("pool:db", "slot")
    (place.base / "go").touch()
    assert command.wait().code == 0
    assert {stage["waiting"] for stage in place.show()["stages"]} == {None}


def test_r074_stages_behind_one_lock_are_told_as_bound_by_it(place: Place) -> None:
    place.pipeline({f"s{i}": {"run": noted("sleep 0.1"), "locks": {"db": "exclusive"}} for i in range(4)})
    done = place.run("run", "-j", "4")
    assert done.code == 0
    assert place.overlaps() == set()
    assert "declared parallel 4, effective 1.0" in " ".join(done.out.split())
    assert "bound by lock db" in " ".join(done.out.split())


def test_shared_locks_overlap_and_exclusive_ones_do_not(place: Place) -> None:
    place.pipeline({
        "r1": {"run": noted("sleep 0.2"), "locks": {"t": "shared"}},
        "r2": {"run": noted("sleep 0.2"), "locks": {"t": "shared"}},
        "w1": {"run": noted("sleep 0.05"), "locks": {"t": "exclusive"}},
        "w2": {"run": noted("sleep 0.05"), "locks": {"t": "exclusive"}},
    }, limits={"jobs": 4})  # fmt: skip
    assert place.run("run").code == 0
    assert place.overlaps() == {frozenset(("r1", "r2"))}


def test_cpu_and_memory_budgets_are_held(place: Place) -> None:
    place.pipeline({
        **{f"c{i}": {"run": noted("sleep 0.05"), "resources": {"cpu": 1.5}} for i in range(4)},
        **{f"m{i}": {"run": noted("sleep 0.05"), "resources": {"memory": "600MB"}} for i in range(4)},
    }, limits={"jobs": 8, "cpu": 3, "memory": "1GB"})  # fmt: skip
    assert place.run("run").code == 0
    overlaps = place.overlaps()
    assert not [pair for pair in overlaps if all(name.startswith("m") for name in pair)]
    running: set[str] = set()
    for line in place.ledger():
        (running.add if line.word == "begin" else running.discard)(line.stage)
        assert len([name for name in running if name.startswith("c")]) <= 2
