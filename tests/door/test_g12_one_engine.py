"""G12: one engine per run, by a kernel lock and never by a lock file's existence."""

from __future__ import annotations

import os
import time

from tests.door.place import Place, note, outcomes

HELD = f'{note("begin")}\nwhile [ ! -e "$BASE/go" ]; do sleep 0.02; done\n{note("end")}'


def start_and_kill(place: Place) -> str:
    """A run that was killed in its first stage; its id."""
    place.pipeline({"a": HELD, "b": {"run": note("begin"), "needs": "a"}})
    command = place.start("run")
    place.wait_for("a")
    command.kill()
    return place.run_ids()[-1]


def test_g12_of_20_engines_on_one_run_one_runs_and_19_name_it(place: Place) -> None:
    run = start_and_kill(place)
    commands = [place.start("run", "--resume", run) for _ in range(20)]
    holder = place.wait_for("a", times=2)
    # Everybody but the one that got it has to leave while the stage is still held up.
    losers = []
    while len(losers) < 19:
        ended = [command for command in commands if command.process.poll() is not None]
        losers = [command.wait() for command in ended]
        assert len(losers) < 20, "even the holder left"
    [winner] = [command for command in commands if command.process.poll() is None]
    assert place.ledger()[-1] == holder
    for loser in losers:
        assert loser.code == 4, loser
        assert f"pid {winner.engine}" in loser.err, loser
    (place.base / "go").touch()
    assert winner.wait().code == 0
    assert place.began() == ["a", "a", "b"]


def test_g12_a_second_engine_leaves_within_a_second(place: Place) -> None:
    run = start_and_kill(place)
    winner = place.start("run", "--resume", run)
    place.wait_for("a", times=2)
    took = []
    for _ in range(5):
        begin = time.monotonic()
        assert place.run("run", "--resume", run).code == 4
        took.append(time.monotonic() - begin)
    assert min(took) < 1
    (place.base / "go").touch()
    assert winner.wait().code == 0


def test_g12_after_kill_9_of_the_holder_the_next_start_needs_no_unlocking(place: Place) -> None:
    run = start_and_kill(place)
    assert (place.runs_folder / run / "lock").exists()
    (place.base / "go").touch()
    done = place.run("run", "--resume", run, "--json")
    assert done.code == 0
    assert outcomes(done.json) == {"a": "success", "b": "success"}


def test_g12_a_stage_does_not_inherit_the_lock(place: Place) -> None:
    """Else a daemon that a stage left would hold a run whose engine is gone."""
    place.pipeline({"a": "ls -l /proc/self/fd"})
    assert place.run("run").code == 0
    log = (place.runs_folder / place.run_ids()[-1] / "logs" / "a.1.log").read_text()
    numbers = [line.split(" -> ") for line in log.splitlines() if " -> " in line]
    targets = [target for _, target in numbers]
    assert len(targets) <= 4, log  # 0, 1, 2 and the directory that `ls` reads
    assert targets[0] == "/dev/null"


def test_g12_several_runs_side_by_side_in_one_directory_do_not_mind_each_other(place: Place) -> None:
    place.pipeline({"a": HELD, "b": {"run": note("begin"), "needs": "a"}})
    commands = [place.start("run", "--json") for _ in range(4)]
    place.wait_for("a", times=4)
    assert len({command.engine for command in commands}) == 4
    (place.base / "go").touch()
    documents = [command.wait() for command in commands]
    assert [done.code for done in documents] == [0, 0, 0, 0]
    assert sorted(done.json["run"] for done in documents) == place.run_ids()
    assert [each["run"] for each in place.run("runs", "--json").json["runs"]] == place.run_ids()[::-1]
    assert place.began().count("a") == place.began().count("b") == 4


def test_a_run_that_is_going_on_can_be_looked_at(place: Place) -> None:
    place.pipeline({"a": HELD, "b": {"run": note("begin"), "needs": "a"}})
    command = place.start("run")
    place.wait_for("a")
    document = place.show()
    assert (document["outcome"], document["finished"]) == (None, None)
    stages = {stage["stage"]: stage for stage in document["stages"]}
    assert (stages["a"]["outcome"], stages["a"]["finished"], stages["a"]["waiting"]) == (None, None, None)
    assert (stages["b"]["outcome"], stages["b"]["waiting"]) == (None, "needs")
    [listed] = place.run("runs", "--json").json["runs"]
    assert (listed["outcome"], listed["finished"]) == (None, None)
    (place.base / "go").touch()
    assert command.wait().code == 0
    assert os.path.exists(place.journal_path())
