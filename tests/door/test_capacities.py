"""How much runs at once, as a user meets it: budgets, pools, rates, gaps, shares, a provider's cap, a machine that is
short; and at any moment, what each stage waits for and who has it. Pools across runs: `test_machine_pools`."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator

import pytest
from tests.door import waiting
from tests.door.place import Command, Document, Place, attempts, by_stage, note, noted, outcomes
from tests.door.terminal import Terminal
from tests.door.test_g06_clocks import WallClock

#: Runs until it is let go by name.
HOLD = f'{note("begin")}\nwhile [ ! -e "$BASE/go-$STAGEBOOK_STAGE" ]; do sleep 0.02; done\n{note("end")}'


def let_go(place: Place, *names: str) -> None:
    for name in names:
        (place.base / f"go-{name}").touch()


def starts(document: Document) -> list[float]:
    """When the attempts started, by the wall clock, in order."""
    return sorted(datetime.fromisoformat(attempt["started"]).timestamp() for _, attempt in attempts(document))


def gaps(times: list[float], apart: int = 1) -> list[float]:
    """In milliseconds, rounded to what the record holds."""
    return [round((later - time) * 1000, 3) for time, later in zip(times, times[apart:])]


def words(text: str) -> str:
    return " ".join(text.split())


# Units ------------------------------------------------------------------------------------------------------------


def test_r043_two_stages_that_do_not_fit_into_memory_together_do_not_overlap(place: Place) -> None:
    work = {"run": noted("sleep 0.3"), "resources": {"memory": "3GiB"}}
    place.pipeline({"a": work, "b": work}, limits={"memory": "4GiB", "jobs": 4})
    done = place.run("run", "--json")
    assert done.code == 0, done
    assert place.overlaps() == set()
    [second] = [attempt for _, attempt in attempts(done.json) if attempt["waited"]]
    assert second["waited"] == "memory"
    assert second["wait_s"] >= 0.3
    assert done.json["waiting_by"]["memory"] == pytest.approx(second["wait_s"], abs=0.001)
    assert done.json["bound_by"] in ("memory", "critical path")
    assert "memory" in place.run("show", "last").out


def test_r044_no_more_hold_a_pool_than_it_has_units_and_weights_count(place: Place) -> None:
    place.pipeline(
        {f"s{i}": {"run": noted("sleep 0.1"), "resources": {"pools": {"db": 1}}} for i in range(5)}
        | {"big": {"run": noted("sleep 0.1"), "resources": {"pools": {"db": 2}}}},
        pools={"db": 2}, limits={"jobs": 8},
    )  # fmt: skip
    done = place.run("run", "--json")
    assert (done.code, done.json["max_parallel"]) == (0, 2)
    assert not any("big" in pair for pair in place.overlaps())
    assert done.json["waiting_by"]["pool:db"] > 0
    assert done.json["bound_by"] == "pool:db"


def test_r053_a_pool_within_a_pool_takes_from_both(place: Place) -> None:
    """Two links with two units each on a wall box with three: never three on one, nor four in all."""
    place.pipeline(
        {
            f"{link}{i}": {"run": noted("sleep 0.15"), "resources": {"pools": {link: 1}}}
            for link in ("left", "right") for i in range(4)
        },
        pools={"box": 3, "left": {"size": 2, "in": "box"}, "right": {"size": 2, "in": "box"}}, limits={"jobs": 8},
    )  # fmt: skip
    done = place.run("run", "--json")
    assert (done.code, done.json["max_parallel"]) == (0, 3)
    running: set[str] = set()
    most: dict[str, int] = {}
    for line in place.ledger():
        (running.add if line.word == "begin" else running.discard)(line.stage)
        for link in ("left", "right"):
            most[link] = max(most.get(link, 0), sum(name.startswith(link) for name in running))
    assert most == {"left": 2, "right": 2}
    assert set(done.json["waiting_by"]) & {"pool:box", "pool:left", "pool:right"}


def test_r052_a_large_stage_is_not_passed_for_ever_by_small_ones(place: Place) -> None:
    """`docs/explanation/scheduler.md` gives the bound: 64 starts, then it claims what it needs. Two chains of small
    ones never leave both units free."""
    small = {
        f"{chain}{i}": {"run": noted(), "resources": {"pools": {"db": 1}}, "needs": [f"{chain}{i - 1}"] if i else []}
        for i in range(60) for chain in "ab"
    }  # fmt: skip
    large = {"large": {"run": noted(), "resources": {"pools": {"db": 2}}, "priority": -9}}
    place.pipeline({**small, **large}, pools={"db": 2}, limits={"jobs": 3})
    assert place.run("run", "--quiet").code == 0
    assert 2 <= place.began().index("large") <= 2 + 64 + 2
    assert not any("large" in pair for pair in place.overlaps())


@pytest.mark.parametrize(
    ("pools", "resources", "why"),
    [
        ({"db": 2}, {"pools": {"db": 3}}, "asks for 3 of pool `db`, which has 2"),
        ({"api": {"size": 9, "rate": "5/s"}}, {"pools": {"api": 6}}, "asks 6 of `pool:api`, which gives out 5"),
        ({"box": 1, "link": {"size": 2, "in": "box"}}, {"pools": {"link": 2}}, "asks 2 of `pool:box`, which has 1"),
        ({}, {"memory": "5GiB"}, "asks for 5GiB, the run has 4GiB (`limits.memory`)"),
        ({"db": 2}, {"pools": {"dbs": 1}}, "db"),
        (
            {"a": {"size": 1, "in": "b"}, "b": {"size": 1, "in": "a"}},
            {"pools": {"a": 1}},
            "pool `a` is part of itself through `in`",
        ),
        ({"a": {"size": 1, "in": "nowhere"}}, {"pools": {"a": 1}}, "pool `a` is in an unknown pool 'nowhere'"),
    ],
)
def test_needs_that_can_never_be_met_are_refused_at_their_line(
    place: Place, pools: dict[str, Any], resources: dict[str, Any], why: str
) -> None:
    place.pipeline({"first": noted(), "it": {"run": noted(), "resources": resources}}, pools=pools,
                   limits={"memory": "4GiB", "jobs": 4})  # fmt: skip
    done = place.run("run")
    assert done.code == 2, done
    assert why in done.err
    assert "stagebook.yaml:" in done.err
    assert place.began() == []


# Time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pool", "starts"])
def test_r046_no_second_has_more_than_five_starts(place: Place, kind: str) -> None:
    limits: dict[str, Any] = {"jobs": 20}
    stage: dict[str, Any] = {"cmd": ["true"]}
    if kind == "pool":
        stage["resources"] = {"pools": {"api": 1}}
    else:
        limits["starts"] = "5/s"
    place.pipeline({f"s{i}": stage for i in range(20)}, limits=limits, pools={"api": {"size": 20, "rate": "5/s"}})
    done = place.run("run", "--json")
    assert done.code == 0, done
    times = starts(done.json)
    assert times[-1] - times[0] >= 3
    assert times[-1] - times[0] < 6, "nor much slower"
    assert min(gaps(times, 5)) >= 1000, "six within a second"
    waited = "rate:api" if kind == "pool" else "rate"
    assert done.json["waiting_by"][waited] > 10
    assert done.json["bound_by"] == waited


def test_r047_between_two_starts_lies_what_was_asked(place: Place) -> None:
    place.pipeline({f"s{i}": {"cmd": ["true"]} for i in range(8)}, limits={"jobs": 8, "stagger": "200ms"})
    done = place.run("run", "--json")
    found = gaps(starts(done.json))
    assert min(found) >= 200
    assert sorted(found)[3] < 300, "nor much more"
    assert done.json["bound_by"] == "stagger"


def test_r047_a_jittered_gap_is_never_below_what_was_asked_and_differs(place: Place) -> None:
    place.pipeline(
        {f"s{i}": {"cmd": ["true"]} for i in range(9)}, limits={"jobs": 9, "stagger": {"gap": "100ms", "jitter": "50%"}}
    )
    found = gaps(starts(place.run("run", "--json").json))
    assert min(found) >= 100
    assert sorted(found)[4] < 200, "a gap and a half, and what the machine adds"
    assert max(found) - min(found) > 5


@pytest.mark.parametrize("jump_s", [86_400, -86_400])
def test_a_clock_that_is_set_during_a_rate_changes_nothing(place: Place, tmp_path: Path, jump_s: int) -> None:
    clock = WallClock(tmp_path / "clock")
    stage = {"cmd": ["true"], "resources": {"pools": {"api": 1}}}
    place.pipeline({f"s{i}": stage for i in range(12)}, limits={"jobs": 12, "stagger": "20ms"},
                   pools={"api": {"size": 12, "rate": "4/s"}})  # fmt: skip
    command = place.start("run", "--json", env=clock.env)
    waiting.until(lambda: len(place.events("stage.started")) >= 4, "the first four starts")
    clock.set(jump_s)
    done = command.wait()
    assert done.code == 0, done
    times = sorted(attempt["from_s"] for _, attempt in attempts(done.json))
    assert min(gaps(times, 4)) >= 1000
    assert min(gaps(times)) >= 20
    assert 2 <= times[-1] - times[0] < 6


# Shares and caps --------------------------------------------------------------------------------------------------


def test_r048_a_providers_cap_gives_the_jobs_and_everybody_is_told(place: Place) -> None:
    place.pipeline({"a": noted()}, limits={"provider": "github-free"})
    because = "80 % of 20, the cap of github-free as of "
    assert f"1 of 1 stages, 16 at once ({because}" in place.run("run", "--dry-run").out
    dry = place.run("run", "--dry-run", "--json").json
    assert dry["jobs"] == 16
    assert dry["jobs_because"].startswith(because)
    said = words(place.run("run").out)
    assert f"16 jobs ({because}" in said
    assert f"jobs: 16 ({because}" in said.partition("timeline")[2], "the summary too"
    shown = place.show()
    assert (shown["jobs"], shown["jobs_because"]) == (16, dry["jobs_because"])


def test_r048_whoever_asks_for_more_gets_it_and_that_is_told(place: Place) -> None:
    place.pipeline({"a": noted()}, limits={"provider": "github-free"})
    said = words(place.run("run", "-j", "18").out)
    assert "18 jobs (asked for; 16 would be 80 % of 20, the cap of github-free as of " in said
    assert place.show()["jobs"] == 18
    place.pipeline({"a": noted()}, limits={"provider": "github-free", "share": "100%"})
    assert "20 jobs (100 % of 20, the cap of github-free" in words(place.run("run").out)


def test_a_share_is_taken_of_jobs_cpu_and_memory_and_not_of_pools(place: Place) -> None:
    place.pipeline({"a": noted()}, limits={"jobs": 7, "share": "50%"})
    dry = place.run("run", "--dry-run", "--json").json
    assert (dry["jobs"], dry["jobs_because"]) == (3, "50 % of 7")
    work: dict[str, Any] = {"run": noted("sleep 0.2")}
    for resources, together in (
        ({"cpu": 1}, 2), ({"memory": "1GiB"}, 2), ({"pools": {"db": 1}}, 4),
    ):  # fmt: skip
        place.pipeline(
            {f"s{i}": {**work, "resources": resources} for i in range(4)},
            limits={"jobs": 8, "cpu": 4, "memory": "4GiB", "share": "50%"}, pools={"db": 4},
        )  # fmt: skip
        done = place.run("run", "--json")
        assert (done.code, done.json["max_parallel"]) == (0, together), resources


# The machine beneath ----------------------------------------------------------------------------------------------


class Fence:
    """A control group with a limit of memory, in which a command is run beside a process that has much of it."""

    def __init__(self) -> None:
        found = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        mounts = {kind.split()[0]: (place.split()[4], kind) for place, kind in found if "cgroup" in kind}
        mount = next((place for place, kind in mounts.values() if "memory" in kind.split()[2].split(",")), None)
        if mount is None:
            mount = next((p.split()[4] for p, k in found if k.startswith("cgroup ") and "memory" in k), None)
        self.limit_name = "memory.limit_in_bytes"
        if mount is None and "cgroup2" in mounts:
            mount, self.limit_name = mounts["cgroup2"][0], "memory.max"
        self.path = Path(mount or "/nowhere") / f"door-{uuid.uuid4().hex}"
        try:
            self.path.mkdir()
            (self.path / self.limit_name).write_text("1300M")
        except OSError as error:
            if self.path.is_dir():
                self.path.rmdir()
            pytest.skip(f"no writable control group for memory here: {error}")
        self.prefix = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.path))
        hog = "hog = b'x' * (450 << 20); print('there', flush=True); input()"
        self._hog = subprocess.Popen(
            [*self.prefix, sys.executable, "-c", hog], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._hog.stdout is not None
        assert self._hog.stdout.readline() == b"there\n"

    def free(self) -> None:
        """The process that has much of the memory is gone."""
        self._hog.kill()
        self._hog.communicate()

    def lift(self) -> None:
        """There is a limit no longer."""
        (self.path / self.limit_name).write_text("max" if self.limit_name == "memory.max" else "-1")

    def close(self) -> None:
        self.free()
        if self.path.is_dir():
            waiting.until(lambda: not (self.path / "cgroup.procs").read_text(), "an empty control group", 10)
            os.rmdir(self.path)


@pytest.fixture
def fence() -> Iterator[Fence]:
    made = Fence()
    yield made
    made.close()


LARGE = {"run": noted(), "resources": {"memory": "900MiB"}}


def held(place: Place, command: Command) -> None:
    def look() -> bool:
        assert command.process.poll() is None, command.so_far()
        return "big: is held: free memory " in command.so_far()[0]

    waiting.until(look, "`is held` in the output")


@pytest.mark.parametrize("alone", [True, False])
def test_r050_what_needs_more_memory_than_is_free_is_held_until_there_is_more(
    place: Place, fence: Fence, alone: bool
) -> None:
    place.pipeline({"big": LARGE} if alone else {"big": {**LARGE, "needs": "small"}, "small": noted(), "long": HOLD})
    command = place.start("run", prefix=fence.prefix)
    held(place, command)
    stage = by_stage(place.show())["big"]
    assert stage["waiting"] == "machine"
    assert stage["held_by"][0].startswith("free memory ") and stage["held_by"][0].endswith(" MiB < 900 MiB")
    assert f"big is held: {stage['held_by'][0]}" in words(place.run("show", "last").out)
    assert "big" not in place.began()
    if alone:
        fence.free()
    else:
        fence.lift()
    place.wait_for("big", "end")
    let_go(place, "long")
    done = command.wait()
    assert done.code == 0, done
    document = place.show()
    assert by_stage(document)["big"]["waited"] == "machine"
    assert document["waiting_by"]["machine"] > 0
    assert place.events("machine.short")[0]["reason"].startswith("free memory ")


def test_r050_a_run_that_is_held_can_be_stopped_at_once(place: Place, fence: Fence) -> None:
    place.pipeline({"big": LARGE})
    command = place.start("run", prefix=fence.prefix)
    held(place, command)
    command.send(2)
    assert command.wait(10).code == 130
    assert place.began() == []


def test_r050_it_can_be_turned_off(place: Place, fence: Fence) -> None:
    place.pipeline({"big": LARGE})
    assert place.run("run", prefix=fence.prefix, env={"STAGEBOOK_ADMISSION": "off"}).code == 0
    assert place.events("machine.short") == []


# Waiting explained ------------------------------------------------------------------------------------------------


def test_show_says_of_each_stage_what_it_waits_for_and_who_has_it(place: Place) -> None:
    place.pipeline(
        {
            "holder": {"run": HOLD, "resources": {"pools": {"db": 1}, "memory": "3GiB"},
                       "locks": {"table": "exclusive"}, "priority": 9},
            "pooled": {"run": noted(), "resources": {"pools": {"db": 1}}},
            "locked": {"run": noted(), "locks": {"table": "shared"}},
            "large": {"run": noted(), "resources": {"memory": "2GiB"}},
            "other": {"run": HOLD, "priority": 8},
            "free": noted(),
            "last": {"run": noted(), "needs": ["holder", "other", "pooled"]},
        },
        pools={"db": 1}, limits={"jobs": 2, "memory": "4GiB"},
    )  # fmt: skip
    command = place.start("run")
    place.wait_for("holder")
    place.wait_for("other")
    waits = {
        name: (stage["waiting"], stage["held_by"])
        for name, stage in by_stage(place.show()).items() if stage["outcome"] is None
    }  # fmt: skip
    assert waits == {
        "holder": (None, None),
        "other": (None, None),
        "pooled": ("pool:db", ["holder"]),
        "locked": ("lock:table", ["holder"]),
        "large": ("memory", ["holder"]),
        "free": ("slot", ["holder", "other"]),
        "last": ("needs", ["holder", "other", "pooled"]),
    }
    said = place.run("show", "last").out.splitlines()
    for line in (
        "pooled waits for pool db, held by holder",
        "locked waits for lock table, held by holder",
        "large waits for memory, held by holder",
        "free waits for a slot, held by holder, other",
    ):
        assert line in said
    assert any(line.startswith("last waits for needs: ") for line in said)
    plain = command.so_far()[0]
    assert "pooled: waits for pool db, held by holder" in plain
    let_go(place, "holder", "other")
    assert command.wait().code == 0
    assert {"slot", "pool:db", "lock:table", "memory"} >= set(place.show()["waiting_by"]) - {"start"}


def test_the_live_view_says_it_and_follows_who_has_it(place: Place) -> None:
    stage = {"run": HOLD, "resources": {"pools": {"db": 1}}}
    place.pipeline({"first": stage, "second": stage, "third": stage}, pools={"db": 1}, limits={"jobs": 3})
    with Terminal(place, "run", size=(140, 30)) as terminal:

        def says(*texts: str) -> None:
            waiting.until(lambda: all(text in terminal.text() for text in texts), f"{texts} on the terminal")

        place.wait_for("first")
        says("waits for pool db, held by first")
        let_go(place, "first")
        place.wait_for("second")
        says("waits for pool db, held by second")
        let_go(place, "second", "third")
        assert terminal.wait() == 0


def test_show_names_rate_stagger_and_backoff(place: Place) -> None:
    place.pipeline({
        "a": {"run": noted(), "resources": {"pools": {"api": 1}}, "priority": 9},
        "b": {"run": noted(), "resources": {"pools": {"api": 1}}},
        "again": {"run": noted("exit 1"), "retry": {"attempts": 2, "backoff": "1h"}, "priority": 8},
    }, pools={"api": {"size": 5, "rate": "1/h"}}, limits={"jobs": 4})  # fmt: skip
    command = place.start("run")
    waiting.until(lambda: len(place.events("stage.exited")) == 2, "the first two ends")
    stages = by_stage(place.show())
    assert (stages["b"]["waiting"], stages["again"]["waiting"]) == ("rate:api", "backoff")
    said = place.run("show", "last").out.splitlines()
    assert "b waits for rate of pool api" in said
    assert "again waits for its next attempt" in said
    command.send(15)
    assert command.wait().code == 143
    place.pipeline({"a": noted(), "b": noted()}, limits={"stagger": "1h", "jobs": 2})
    command = place.start("run")
    place.wait_for("a", times=2)
    waiting.until(lambda: by_stage(place.show())["a"]["outcome"] == "success", "the end of the first")
    assert by_stage(place.show())["b"]["waiting"] == "stagger"
    command.send(15)
    assert command.wait(10).code == 143, "although the next start is an hour away"


def test_show_names_the_other_run(place: Place) -> None:
    runtime = place.base / "runtime"
    runtime.mkdir(mode=0o700)
    place.env["XDG_RUNTIME_DIR"] = str(runtime)
    stage = {"run": HOLD, "resources": {"pools": {"staging": 1}}}
    place.pipeline({"deploy": stage, "migrate": stage}, pools={"staging": {"size": 1, "machine": True}})
    one = place.start("run", "--only", "deploy")
    place.wait_for("deploy")
    [holder] = place.run_ids()
    two = place.start("run", "--only", "migrate")
    waiting.until(lambda: len(place.run_ids()) == 2 and place.events("lease.refused"), "a refusal")
    stage = by_stage(place.show())["migrate"]
    assert stage["waiting"] == "pool:staging"
    assert stage["held_by"] == [f"pool:staging held by {holder} stage deploy (pid {one.engine})"]
    said = words(place.run("show", "last").out)
    assert f"migrate waits for pool staging held by {holder} stage deploy (pid {one.engine})" in said
    waiting.until(lambda: f"held by {holder} stage deploy" in two.so_far()[0], "the same in the output")
    let_go(place, "deploy", "migrate")
    assert (one.wait().code, two.wait().code) == (0, 0)
    assert outcomes(place.show())["migrate"] == "success"


def test_r050_declared_memory_that_is_far_from_measured_is_said_at_the_end(place: Place) -> None:
    hungry = """python3 -c 'x = b"x" * (40 << 20)'"""
    place.pipeline({"little": {"run": hungry, "resources": {"memory": "8MiB"}}, "fits": {
        "run": hungry, "resources": {"memory": "200MiB"},
    }})  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 0
    (said,) = [text for text in done.json["warnings"] if "of memory declared" in text]
    assert said.startswith("little: 8MiB of memory declared, it")
    assert said in place.show()["warnings"]


def test_r050_far_too_much_is_said_where_somebody_waited_for_it(place: Place) -> None:
    work = """python3 -c 'import time; x = b"x" * (40 << 20); time.sleep(0.2)'"""
    greedy = {"run": work, "resources": {"memory": "3GiB"}}
    place.pipeline({"a": greedy, "b": greedy}, limits={"jobs": 2, "memory": "4GiB"})
    done = place.run("run", "--json")
    assert sum("3GiB of memory declared" in text for text in done.json["warnings"]) == 2
    place.pipeline({"a": greedy, "b": greedy}, limits={"jobs": 2, "memory": "8GiB"})
    assert place.run("run", "--json").json["warnings"] == []
