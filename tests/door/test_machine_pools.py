"""Pools and locks with `machine: true`: all runs on this machine share them, in the order in which they were wanted,
and what a run holds is free when it dies, however it dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.door import waiting
from tests.door.place import Command, Place, note

HOLD = f'{note("begin")}\nwhile [ ! -e "$BASE/go-$STAGEBOOK_STAGE" ]; do sleep 0.02; done\n{note("end")}'
ALONE = {"staging": {"size": 1, "machine": True}}


@pytest.fixture(autouse=True)
def runtime(place: Place) -> Path:
    """A machine of the test's own."""
    folder = place.base / "runtime"
    folder.mkdir(mode=0o700)
    place.env["XDG_RUNTIME_DIR"] = str(folder)
    return folder


def stages(*names: str, pools: int = 1, **more: Any) -> dict[str, Any]:
    return {name: {"run": HOLD, "resources": {"pools": {"staging": pools}}, **more} for name in names}


def started(place: Place, stage: str) -> Command:
    """A run of this stage alone, which has its turn."""
    command = place.start("run", "--only", stage)
    wait_for(place, command, stage)
    return command


def wait_for(place: Place, command: Command, stage: str, within_s: float = waiting.PATIENCE_S) -> None:
    def look() -> bool:
        assert command.process.poll() is None, command.so_far()
        return stage in place.began()

    waiting.until(look, f"`begin` of {stage}", within_s)


def waits(place: Place, command: Command) -> tuple[str, str]:
    """The id of the newest run, and whom it is told to wait for, once it is."""

    def look() -> list[str]:
        assert command.process.poll() is None, command.so_far()
        return [record["by"] for record in place.events("lease.refused")]

    known = len(place.run_ids())
    waiting.until(lambda: len(place.run_ids()) >= known, "a run")
    return place.run_ids()[-1], waiting.until(look, "a refusal")[-1]


def second(place: Place, stage: str) -> tuple[Command, str, str]:
    """One run more, which has to wait: the command, its id, and whom it is told to wait for."""
    before = set(place.run_ids())
    command = place.start("run", "--only", stage)
    waiting.until(lambda: set(place.run_ids()) - before or command.process.poll() is not None, "one run more")
    run, by = waits(place, command)
    assert run not in before
    return command, run, by


def let_go(place: Place, *names: str) -> None:
    for name in names:
        (place.base / f"go-{name}").touch()


def test_r045_the_second_run_waits_and_says_for_whom(place: Place, runtime: Path) -> None:
    place.pipeline(stages("deploy", "migrate"), pools=ALONE)
    one = started(place, "deploy")
    [holder] = place.run_ids()
    two, run, by = second(place, "migrate")
    assert by == f"pool:staging held by {holder} stage deploy (pid {one.engine})"
    [stage] = [each for each in place.show(run)["stages"] if each["stage"] == "migrate"]
    assert stage["waiting"] == "pool:staging"
    assert "migrate" not in place.began()
    let_go(place, "deploy")
    assert one.wait().code == 0
    wait_for(place, two, "migrate", 2)
    let_go(place, "migrate")
    assert two.wait().code == 0
    assert place.overlaps() == set()
    assert [path.name for path in (runtime / "stagebook").iterdir()] == ["lock"]


def test_r045_show_names_the_run_and_the_stage_that_hold_it(place: Place) -> None:
    place.pipeline(stages("deploy", "migrate"), pools=ALONE)
    one = started(place, "deploy")
    [holder] = place.run_ids()
    two, run, _ = second(place, "migrate")
    said = " ".join(place.run("show", run).out.split())
    let_go(place, "deploy", "migrate")
    assert (one.wait().code, two.wait().code) == (0, 0)
    assert "migrate waits for pool staging" in said
    assert f"held by {holder} stage deploy (pid " in said


@pytest.mark.parametrize("victim", ["engine", "keeper", "both"])
def test_r042_what_a_killed_run_held_is_free_within_two_seconds_and_its_stage_is_gone(
    place: Place, victim: str
) -> None:
    pid = '$(sed -n "s/^deploy 1 \\([0-9]*\\) begin/\\1/p" "$LEDGER")'
    look = f'grep -q "^State:.[^ZX]" /proc/{pid}/status 2>/dev/null'
    both = stages("deploy", "migrate")
    both["migrate"]["run"] = f"if {look}; then {note('overlap')}; fi\n{HOLD}"
    place.pipeline(both, pools=ALONE)
    one = started(place, "deploy")
    two, _, _ = second(place, "migrate")
    one.kill(victim)
    wait_for(place, two, "migrate", 2)
    let_go(place, "migrate")
    assert two.wait().code == 0
    assert [line.word for line in place.ledger()] == ["begin", "begin", "end"]


def test_who_came_first_is_first(place: Place) -> None:
    names = ("a", "b", "c", "d")
    place.pipeline(stages(*names), pools=ALONE)
    commands = [started(place, "a")]
    for number, name in enumerate(names[1:]):
        command, _, by = second(place, name)
        assert by.endswith(f", {number} before you" if number else ")")
        commands.append(command)
    for name in names:
        wait_for(place, commands[names.index(name)], name)
        let_go(place, name)
    assert [command.wait().code for command in commands] == [0] * 4
    assert place.began() == list(names)
    assert place.overlaps() == set()


def test_all_of_a_pool_is_not_kept_from_a_run_by_small_ones_that_come_later(place: Place) -> None:
    pools = {"staging": {"size": 2, "machine": True}}
    place.pipeline({**stages("a", "b", "c"), **stages("large", pools=2)}, pools=pools)
    one = started(place, "a")
    large, _, _ = second(place, "large")
    late, _, by = second(place, "b")
    assert by.endswith("1 before you"), "although there is room for one"
    let_go(place, "a")
    wait_for(place, large, "large")
    let_go(place, "large", "b")
    assert [command.wait().code for command in (one, large, late)] == [0, 0, 0]
    assert place.began() == ["a", "large", "b"]


def test_locks_hold_across_runs_shared_ones_together_exclusive_ones_alone(place: Place) -> None:
    def locked(mode: str) -> dict[str, Any]:
        return {"run": HOLD, "locks": {"env:staging": {"mode": mode, "machine": True}}}

    place.pipeline({"r1": locked("shared"), "r2": locked("shared"), "w": locked("exclusive")})
    readers = [started(place, "r1"), started(place, "r2")]
    writer, _, by = second(place, "w")
    assert by.startswith("lock:env:staging held by ") and by.endswith(" and 1 more")
    let_go(place, "r1", "r2")
    wait_for(place, writer, "w")
    let_go(place, "w")
    assert [command.wait().code for command in (*readers, writer)] == [0, 0, 0]
    assert place.overlaps() == {frozenset(("r1", "r2"))}


def test_a_rate_holds_across_runs(place: Place) -> None:
    """Twelve starts by two runs at 5/s: the last is two seconds after the first."""
    note_time = 'date +"$STAGEBOOK_STAGE 1 $$ %s.%N" >> "$LEDGER"'
    for group in "ab":
        place.pipeline(
            {f"{group}{i}": {"run": note_time, "resources": {"pools": {"api": 1}}} for i in range(6)},
            pools={"api": {"size": 10, "rate": "5/s", "machine": True}}, limits={"jobs": 6},
        ).rename(place.folder / f"{group}.yaml")  # fmt: skip
    commands = [place.start("run", f"{group}.yaml") for group in "ab"]
    assert [command.wait().code for command in commands] == [0, 0]
    times = sorted(float(line.word) for line in place.ledger())
    assert len(times) == 12
    for first, sixth in zip(times, times[5:]):
        assert sixth - first > 0.9, "a start takes some time of its own, more or less"
    assert times[-1] - times[0] < 4


def test_a_waiting_run_that_is_cancelled_gives_up_its_place(place: Place) -> None:
    place.pipeline(stages("a", "b", "c"), pools=ALONE)
    one = started(place, "a")
    two, run, _ = second(place, "b")
    three, _, by = second(place, "c")
    assert by.endswith("1 before you")
    assert place.run("cancel", run).code == 0
    assert two.wait(5).code == 1
    let_go(place, "a", "c")
    assert (one.wait().code, three.wait().code) == (0, 0)
    assert place.began() == ["a", "c"]


def test_a_stage_that_waits_for_another_run_holds_up_nothing_else(place: Place) -> None:
    place.pipeline({**stages("a", "b"), "free": note("begin")}, pools=ALONE, limits={"jobs": 1})
    one = started(place, "a")
    two = place.start("run", "--only", "b", "--only", "free")
    wait_for(place, two, "free")
    assert place.began() == ["a", "free"]
    let_go(place, "a", "b")
    assert (one.wait().code, two.wait().code) == (0, 0)


def test_a_retry_stands_at_the_end_of_the_line(place: Place) -> None:
    flaky = {"run": f'{HOLD}\n[ "$STAGEBOOK_ATTEMPT" = 2 ]', "resources": {"pools": {"staging": 1}},
             "retry": {"attempts": 2}}  # fmt: skip
    place.pipeline({"a": flaky, **stages("b")}, pools=ALONE)
    one = started(place, "a")
    two, _, _ = second(place, "b")
    let_go(place, "a", "b")
    assert (one.wait().code, two.wait().code) == (0, 0)
    assert place.began() == ["a", "b", "a"]


def test_only_empty_files_lie_there_and_no_descriptor_of_them_is_in_a_stage(place: Place, runtime: Path) -> None:
    place.pipeline(stages("a", "b"), pools=ALONE)
    one = started(place, "a")
    two, _, _ = second(place, "b")
    there = [path for path in (runtime / "stagebook").rglob("*") if path.is_file()]
    assert len(there) == 5
    assert {path.stat().st_size for path in there} == {0}
    assert (runtime / "stagebook").stat().st_mode & 0o777 == 0o700
    for link in Path(f"/proc/{place.ledger()[0].pid}/fd").iterdir():
        try:
            assert "runtime" not in str(link.readlink())
        except FileNotFoundError:
            pass  # it has just closed it
    let_go(place, "a", "b")
    assert (one.wait().code, two.wait().code) == (0, 0)


def test_a_directory_that_is_not_safe_ends_the_run_in_one_line(place: Place, runtime: Path) -> None:
    place.pipeline(stages("a"), pools=ALONE)
    (runtime / "stagebook").symlink_to(place.base)
    done = place.run("run")
    assert done.code == 4, done
    assert f"{runtime}/stagebook is a symbolic link" in done.err
    assert "Traceback" not in done.said
    assert place.began() == []


def test_a_run_that_shares_nothing_makes_nothing_there(place: Place, runtime: Path) -> None:
    let_go(place, "a")
    place.pipeline(stages("a"), pools={"staging": 1})
    assert place.run("run").code == 0
    assert list(runtime.iterdir()) == []
