"""G7: cancel and timeout take the whole tree: TERM, grace, KILL, for every descendant and for nobody else."""

from __future__ import annotations

import signal
import time

import pytest
from tests.door.place import Place, by_stage, note, noted

#: Child and grandchild, a daemon by double fork and `setsid`, one deaf to TERM, and a loop that forks all the time.
TREE = f"""
sleep 401 &
sh -c 'sleep 402 & sleep 403' &
python3 -c 'import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(404)
    os._exit(0)
os.wait()
' &
setsid sh -c 'trap "" TERM; while :; do sleep 405; done' &
setsid python3 -c 'import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    if os.fork():
        os._exit(0)
    time.sleep(0.002)' &
{note("ready")}
trap "" TERM
while :; do sleep 0.05; done
"""


@pytest.mark.parametrize("accounting", ["auto", "wait4"])
def test_g07_r035_a_timeout_takes_the_whole_tree_and_no_neighbour(place: Place, accounting: str) -> None:
    place.pipeline({
        "tree": {"run": note("begin") + TREE, "timeout": "1500ms", "grace": "500ms"},
        "neighbour": noted("sleep 3"),
    })  # fmt: skip
    command = place.start("run", "--json", env={"STAGEBOOK_ACCOUNTING": accounting})
    place.wait_for("tree", "ready")
    done = command.wait()
    assert done.code == 1
    stages = by_stage(done.json)
    assert (stages["tree"]["outcome"], stages["tree"]["reason"]) == ("timeout", "attempt timeout")
    assert stages["tree"]["wall_s"] < 1.5 + 0.5 + 2
    assert stages["neighbour"]["outcome"] == "success"
    assert [line.word for line in place.ledger() if line.stage == "neighbour"] == ["begin", "end"]
    assert place.left(0) == []


@pytest.mark.parametrize("accounting", ["auto", "wait4"])
def test_g07_a_cancelled_stage_takes_its_whole_tree_and_no_neighbour(place: Place, accounting: str) -> None:
    place.pipeline({
        "tree": {"run": note("begin") + TREE, "grace": "500ms"},
        "neighbour": noted('while [ ! -e "$BASE/go" ]; do sleep 0.02; done'),
    })  # fmt: skip
    command = place.start("run", "--json", env={"STAGEBOOK_ACCOUNTING": accounting})
    place.wait_for("tree", "ready")
    place.wait_for("neighbour")
    begin = time.monotonic()
    asked = place.run("cancel", "last", "tree")
    assert asked.code == 0, asked
    place_left = [found for found in place.left(0.5 + 2) if "sleep 40" in found.command]
    assert place_left == []
    (place.base / "go").touch()
    done = command.wait()
    assert time.monotonic() - begin < 10
    stages = by_stage(done.json)
    assert (stages["tree"]["outcome"], stages["tree"]["reason"]) == ("cancellation", "cancelled")
    assert stages["neighbour"]["outcome"] == "success"
    assert place.left(0) == []


def test_r036_a_cancelled_run_exits_1_and_leaves_nothing(place: Place) -> None:
    place.pipeline({"a": note("begin") + TREE, "b": {"run": noted(), "needs": "a"}}, defaults={"grace": "300ms"})
    command = place.start("run", "--json")
    place.wait_for("a", "ready")
    assert place.run("cancel", "last").code == 0
    done = command.wait()
    assert done.code == 1
    stages = by_stage(done.json)
    assert done.json["outcome"] == "cancellation"
    assert stages["a"]["outcome"] == "cancellation"
    assert stages["b"]["attempts"] == []
    assert place.left(0) == []


def test_r035_a_stage_that_heeds_term_gets_its_grace(place: Place) -> None:
    place.pipeline({"polite": {
        "run": f"trap '{note('term')}; exit 0' TERM\n{note('begin')}\nwhile :; do sleep 0.02; done",
        "timeout": "500ms", "grace": "20s",
    }})  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 1
    stage = by_stage(done.json)["polite"]
    assert (stage["outcome"], stage["reason"]) == ("timeout", "attempt timeout")
    assert [line.word for line in place.ledger()] == ["begin", "term"]
    assert stage["wall_s"] < 10


def test_r035_a_deaf_stage_is_killed_after_its_grace_and_not_before(place: Place) -> None:
    place.pipeline(
        {"deaf": {"run": "trap '' TERM; while :; do sleep 0.02; done", "timeout": "300ms", "grace": "700ms"}}
    )
    stage = by_stage(place.run("run", "--json").json)["deaf"]
    assert stage["outcome"] == "timeout"
    assert stage["attempts"][0]["signal"] == signal.SIGKILL
    assert 1.0 <= stage["wall_s"] < 3


def test_r035_attempt_stage_queue_and_run_each_have_their_timeout(place: Place) -> None:
    place.pipeline({
        "attempt": {"run": "sleep 411", "timeout": {"attempt": "300ms"}, "retry": {"attempts": 2}},
        "stage": {"run": "sleep 0.3; exit 1", "timeout": {"stage": "800ms"}, "retry": {"attempts": 9}},
        "holder": {"run": "sleep 1.5", "locks": {"l": "exclusive"}, "priority": 5},
        "queue": {"run": "true", "locks": {"l": "exclusive"}, "timeout": {"queue": "300ms"}},
    })  # fmt: skip
    done = place.run("run", "-j", "4", "--json")
    assert done.code == 1
    stages = by_stage(done.json)
    assert (stages["attempt"]["outcome"], len(stages["attempt"]["attempts"])) == ("timeout", 2)
    assert (stages["stage"]["outcome"], 1 < len(stages["stage"]["attempts"]) < 6) == ("timeout", True)
    assert (stages["queue"]["outcome"], stages["queue"]["attempts"]) == ("timeout", [])
    assert stages["holder"]["outcome"] == "success"
    assert 0.3 <= stages["queue"]["wait_s"] < 1.4


def test_r035_the_runs_timeout_ends_everything(place: Place) -> None:
    place.pipeline({"a": "sleep 412", "b": "sleep 413", "c": {"run": noted(), "needs": "a"}}, timeout="700ms")
    done = place.run("run", "--json")
    assert (done.code, done.json["outcome"]) == (1, "timeout")
    assert place.began() == []
    assert done.json["wall_s"] < 5
