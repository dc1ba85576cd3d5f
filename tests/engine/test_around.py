"""What was around an attempt is looked at when it begins and when it ends, and costs a short one nothing.

Attempts belong to a process of their own: whatever is below it, it takes for theirs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stagebook.engine import attempts

SOURCE = str(Path(attempts.__file__).parents[2])

#: Runs each command as an attempt of its own, all at once, and prints outcome and surroundings of each in turn.
RUN = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from stagebook.engine import kernel
from stagebook.engine.attempts import Attempts
from stagebook.engine.clock import Clock
from stagebook.engine.environment import Environment
from stagebook.engine.outputs import Outputs
from stagebook.engine.spawn import Spawner
from stagebook.engine.wakeup import Wakeup
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.observe.cgroup import Groups
from stagebook.observe.world import World, encode
from stagebook.record.clock import new_run_id

folder, accounting, commands = sys.argv[2], sys.argv[3], sys.argv[4:]
kernel.become_subreaper()
run = new_run_id()
groups = Groups.open(run) if accounting == "auto" else None
stages = [Stage(f"s{index}", f"s{index}", 1, 1, "run", command) for index, command in enumerate(commands)]
environment = Environment(Pipeline("p", folder + "/stagebook.yaml", "native", "", tuple(stages)), run, {}, None)
wakeup, clock = Wakeup(), Clock()
world = World.open(folder, groups)
all = Attempts(Spawner(environment, folder, groups, Outputs(folder, {}, None)), wakeup, clock, folder, world)
calls = []
sys.addaudithook(lambda event, args: calls.append(args[0]) if event == "open" else None)
for index, stage in enumerate(stages):
    all.start(index, 1, stage, f"{index}.log")
told = {}
while all.is_any_running:
    wakeup.wait(5)
    all.reap()
    all.look(clock.us())
    for attempt, end in all.finished():
        told[attempt.stage] = [end.outcome, json.loads(encode(attempt.around) or "null")]
opened = [str(path) for path in calls if "schedstat" in str(path) or "pressure" in str(path)]
whole = encode(all.around_run())
all.close()
wakeup.close()
print(json.dumps({"told": [told[index] for index in sorted(told)], "run": json.loads(whole or "null"),
                  "grouped": groups is not None, "opened": opened}))
"""
BURN = f"{sys.executable} -c 'import time\nwhile time.process_time() < 0.3: pass'"


def run(folder: Path, accounting: str, *commands: str) -> dict[str, Any]:
    words = [sys.executable, "-c", RUN, SOURCE, str(folder), accounting, *commands]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=60)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("accounting", ["auto", "wait4"])
def test_an_attempt_is_told_of_with_the_method(accounting: str, tmp_path: Path) -> None:
    told = run(tmp_path, accounting, "sleep 0.3", f"exec {BURN}")
    method = "cgroup" if told["grouped"] else "machine" if os.path.exists("/proc/pressure/cpu") else None
    for outcome, around in told["told"]:
        assert outcome == "success"
        assert around.get("pressure_method") == method
        assert around["over_s"] >= 0.28
        assert ("run_delay_s" in around) == os.path.exists("/proc/self/schedstat")
    if method is not None:
        assert told["run"]["pressure_method"] == method


def test_a_sleeping_stage_does_not_stall_though_its_neighbour_does(tmp_path: Path) -> None:
    crowd = " & ".join([BURN] * (2 * (os.cpu_count() or 1)))
    told = run(tmp_path, "auto", "sleep 0.3", f"{crowd} & wait")
    (_, sleeper), (_, burner) = told["told"]
    if told["grouped"] and "cpu_some" in burner:
        assert burner["cpu_some"] > 0.3 > sleeper["cpu_some"]
    else:
        assert burner.get("pressure_method") != "cgroup"


def test_short_attempts_are_not_told_of_and_open_no_file(tmp_path: Path) -> None:
    told = run(tmp_path, "auto", *["true"] * 3)
    if not any(around for _, around in told["told"]):  # a busy machine may make one of them long
        assert told["opened"] == []


def test_every_child_is_taken_though_many_end_at_once(tmp_path: Path) -> None:
    told = run(tmp_path, "wait4", *["true", "exit 3", "kill -9 $$"] * 20)
    assert [outcome for outcome, _ in told["told"]] == ["success", "failure", "failure"] * 20
