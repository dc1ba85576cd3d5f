"""Stages that wait for the same thing, which nobody declared: what `plan` says before and after a parallel run."""

from __future__ import annotations

from typing import Any

from tests.door.place import Place

NAMES = ("load", "index", "report")
LOCKED = "version: 1\nstages:\n" + "".join(f'  {name}: {{cmd: [flock, shared, sleep, "0.5"]}}\n' for name in NAMES)
HELD_S = 0.5 * len(NAMES)  #: so long the lock is held; a busy machine adds time that may overlap
FREE = LOCKED.replace("flock, shared, ", "")


def all_at_once_s(place: Place) -> float:
    """What a run with more jobs than are of use is said to take."""
    rows: list[dict[str, Any]] = place.run("plan", "--json").json["sweep"]
    assert rows[-1]["jobs"] > 2
    return float(rows[-1]["makespan_s"])


def test_r092_a_lock_that_nobody_declared_makes_stages_effectively_sequential(place: Place) -> None:
    place.write(LOCKED)
    assert place.run("run", "--sequential").code == 0
    before = place.run("plan", "--json").json
    assert any("--probe" in said and "load, index, report" in said for said in before["profile"]["lacks"])
    assert all_at_once_s(place) < 0.6 * before["sequential_s"], "nothing on record says otherwise"
    assert before["sweep"][-1]["high_s"] > 0.9 * before["sequential_s"], "as far as anybody knows it may be sequential"
    assert place.run("run", "-j2").code == 0
    after = place.run("plan", "--json").json
    assert after["profile"]["error_runs"] == 1
    assert after["profile"]["error"] > 0.15, "what that run taught nobody knew before it"
    assert "by what was known without it" in " ".join(place.run("plan").out.split())
    assert all_at_once_s(place) > 0.9 * HELD_S
    assert after["recommendation"]["mode"] == "sequential" or after["sequential_s"] > 1.05 * HELD_S
    assert "waiting" in after["knee"]["binds"] and "cores" not in after["knee"]["binds"]


def test_stages_that_wait_each_for_itself_gain_by_running_at_once(place: Place) -> None:
    place.write(FREE)
    assert place.run("run", "--sequential").code == 0
    assert place.run("run", "-j2").code == 0
    plan = place.run("plan", "--json").json
    assert all_at_once_s(place) < 0.6 * plan["sequential_s"]
    assert not any("mostly wait" in said for said in plan["profile"]["lacks"])
