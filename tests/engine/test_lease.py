"""Units that runs share: all of a stage's or none, first come first served, and free when a holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator, NoReturn

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from tests.door import processes, waiting

from stagebook.engine import lease, lease_files
from stagebook.engine.lease import POLL_US, Holder, Leases, Want
from stagebook.model.problem import SurroundingsError
from stagebook.scheduler.build import MACHINE_LOCK_UNITS

HERE = Path(__file__).parent
STAGING = Want("pool:staging", 1, 1)
SEEDS = 20


def units(count: int, size: int = 4, name: str = "pool:db") -> list[Want]:
    return [Want(name, count, size)]


def kill(leases: Leases) -> None:
    """What is left of a run whose process is gone: the kernel has closed its descriptors, its files lie there."""
    assert leases._open is not None
    files, life = leases._open
    files.close()
    os.close(life.fd)


def left_in(directory: str) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(folder, entry), directory)
        for folder, folders, files in os.walk(directory)
        for entry in folders + files
    )


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "leases")


@pytest.fixture
def run(directory: str) -> Iterator[Callable[[str], Leases]]:
    """Runs that share one directory."""
    made: list[Leases] = []

    def make(name: str) -> Leases:
        made.append(Leases(name, directory))
        return made[-1]

    yield make
    for each in made:
        try:
            each.close()
        except OSError:
            pass  # it was killed


# One for another ------------------------------------------------------------------------------------------------------


def test_the_second_run_waits_is_told_for_whom_and_gets_it_when_the_first_gives_back(run: Any) -> None:
    one, two = run("RUN1"), run("RUN2")
    one.want(3, "deploy", [STAGING])
    two.want(5, "deploy to 10 % of (all)", [STAGING])
    assert one.take(3) is None
    assert two.take(5) == f"pool:staging held by RUN1 stage deploy (pid {os.getpid()})"
    assert (two.freed(), two.may(5)) == ([], False)
    assert [holder[1:4] + holder[6:] for holder in two.holders("pool:staging")] == [
        ("RUN1", "deploy", os.getpid(), "holds"),
        ("RUN2", "deploy to 10 % of (all)", os.getpid(), "waits"),
    ]
    one.give_back(3)
    assert (two.freed(), two.may(5)) == ([5], True)
    assert two.take(5) is None
    assert two.take(5) is None, "who has it has it"
    assert two.holders("pool:staging") == [
        Holder("pool:staging", "RUN2", "deploy to 10 % of (all)", os.getpid(), 1, 1, "holds")
    ]


def test_all_that_a_stage_wants_is_taken_at_once_or_nothing_of_it(run: Any) -> None:
    one, two, three = run("RUN1"), run("RUN2"), run("RUN3")
    one.want(0, "a", units(1, 1, "lock:b"))
    assert one.take(0) is None
    two.want(0, "b", [*units(1, 1, "lock:a"), *units(1, 1, "lock:b"), *units(1, 1, "lock:c")])
    assert two.take(0) == f"lock:b held by RUN1 stage a (pid {os.getpid()})"
    assert [holder.state for name in ("lock:a", "lock:c") for holder in two.holders(name)] == ["waits", "waits"]
    two.forget(0)
    three.want(0, "c", [*units(1, 1, "lock:c"), *units(1, 1, "lock:a")])
    assert three.take(0) is None


def test_who_wanted_first_gets_first_also_where_less_would_do(run: Any) -> None:
    """A large demand reserves what there is, so that no stream of small ones passes it by."""
    holder, large, small = run("RUN1"), run("RUN2"), run("RUN3")
    holder.want(0, "a", units(1))
    holder.want(1, "b", units(1))
    assert (holder.take(0), holder.take(1)) == (None, None)
    large.want(0, "large", units(4))
    said = large.take(0)
    assert said == f"pool:db held by RUN1 stage a (pid {os.getpid()}) and 1 more"
    for turn in range(20):
        small.want(turn, "small", units(1))
        said = small.take(turn)
        assert said is not None and said.endswith("and 1 more, 1 before you")
    holder.give_back(0)
    holder.give_back(1)
    assert small.freed() == []
    assert small.take(0) == f"pool:db kept for RUN2 stage large (pid {os.getpid()}), who came first"
    assert large.freed() == [0]
    assert large.take(0) is None
    large.give_back(0)
    assert [small.take(turn) for turn in range(4)] == [None] * 4
    assert small.take(4) is not None


def test_a_place_is_kept_however_often_it_is_wanted_and_lost_when_it_is_given_up(run: Any) -> None:
    holder, one, two = run("RUN1"), run("RUN2"), run("RUN3")
    holder.want(0, "a", [STAGING])
    assert holder.take(0) is None
    one.want(0, "b", [STAGING])
    two.want(0, "c", [STAGING])
    one.want(0, "b", [STAGING])
    holder.give_back(0)
    assert (one.freed(), two.freed()) == ([0], [])
    one.forget(0)
    assert two.freed() == [0]
    one.want(0, "b", [STAGING])
    assert (one.freed(), two.freed()) == ([], [0])
    assert two.take(0) is None
    two.give_back(0)
    two.want(0, "c", [STAGING])
    assert (one.freed(), two.freed()) == ([0], [])


def test_who_cannot_use_it_now_lets_others_pass_and_keeps_its_place(run: Any) -> None:
    holder, one, two = run("RUN1"), run("RUN2"), run("RUN3")
    holder.want(0, "a", [STAGING])
    assert holder.take(0) is None
    one.want(0, "b", [STAGING])
    two.want(0, "c", [STAGING])
    one.passive(0)
    holder.give_back(0)
    assert (one.freed(), one.may(0), two.freed()) == ([], True, [0])
    assert two.take(0) is None
    assert one.take(0) is not None, "it asks again, so it is active again"
    two.give_back(0)
    two.want(0, "c", [STAGING])
    assert (one.freed(), two.freed()) == ([0], [])


def test_within_a_run_the_machine_chooses(run: Any) -> None:
    one, two = run("RUN1"), run("RUN2")
    one.want(0, "first", units(4))
    one.want(1, "second", units(1))
    assert one.take(1) is None
    assert one.take(0) is not None
    two.want(0, "other", units(1))
    assert two.take(0) is not None, "but it stands before stages of other runs that came later"


def test_shared_locks_go_together_and_exclusive_ones_alone(run: Any) -> None:
    readers, writer = run("RUN1"), run("RUN2")
    for stage in range(3):
        readers.want(stage, f"r{stage}", units(1, MACHINE_LOCK_UNITS, "lock:table"))
        assert readers.take(stage) is None
    writer.want(0, "w", units(MACHINE_LOCK_UNITS, MACHINE_LOCK_UNITS, "lock:table"))
    assert writer.take(0) is not None
    for stage in range(3):
        readers.give_back(stage)
    readers.want(3, "r3", units(1, MACHINE_LOCK_UNITS, "lock:table"))
    assert readers.take(3) is not None
    assert writer.take(0) is None


def test_where_files_disagree_about_a_size_the_smaller_one_of_those_present_counts(run: Any) -> None:
    wide, narrow = run("RUN1"), run("RUN2")
    wide.want(0, "a", units(1, 2))
    assert wide.take(0) is None
    narrow.want(0, "b", units(1, 1))
    assert narrow.take(0) is not None
    wide.want(1, "c", units(2, 2))
    said = wide.take(1)
    assert said is not None and f"; it has 1 where RUN2 stage b (pid {os.getpid()}) says so, not 2" in said
    wide.give_back(0)
    assert narrow.take(0) is None
    narrow.give_back(0)
    assert wide.take(1) is None


def test_a_demand_for_more_than_another_file_has_is_met_by_all_of_it(run: Any) -> None:
    """Else the two would wait for each other for ever."""
    wide, narrow = run("RUN1"), run("RUN2")
    wide.want(0, "a", units(2, 2))
    narrow.want(0, "b", units(1, 1))
    assert narrow.take(0) is not None
    assert wide.take(0) is None


def test_a_stage_that_waits_for_the_one_that_started_its_run_is_told_so(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, inner = run("RUN1"), run("RUN2")
    outer.want(0, "all of it", [STAGING])
    assert outer.take(0) is None
    monkeypatch.setenv("STAGEBOOK_RUN", "RUN1")
    monkeypatch.setenv("STAGEBOOK_STAGE", "all of it")
    inner.want(0, "deploy", [STAGING])
    said = inner.take(0)
    assert said is not None and "what started this run" in said


def test_a_run_that_waits_for_nothing_has_nothing_to_look_for(run: Any) -> None:
    one = run("RUN1")
    assert (one.pause_us, one.freed()) == (None, [])
    one.want(0, "a", [STAGING])
    assert one.take(0) is None
    assert (one.pause_us, one.freed()) == (None, [])
    one.want(1, "b", [STAGING])
    assert one.take(1) is not None
    assert one.pause_us == POLL_US


# Rates ----------------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 5_000_000_000
        monkeypatch.setattr(lease_files, "now_ns", self)
        monkeypatch.setattr(lease, "now_ns", self)

    def __call__(self) -> int:
        self.ns += 1  # no two moments are the same
        return self.ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def api(count: int = 1, rate: tuple[int, int] = (2, 1000)) -> list[Want]:
    return [Want("pool:api", count, 100, rate)]


def test_a_rate_counts_what_all_runs_have_begun_also_those_that_are_dead(run: Any, clock: Clock) -> None:
    one, two, three = run("RUN1"), run("RUN2"), run("RUN3")
    one.want(0, "a", api())
    assert one.take(0) is None
    kill(one)
    clock.ns += 400_000_000
    two.want(0, "b", api())
    assert two.take(0) is None
    two.give_back(0)
    three.want(0, "c", api())
    assert three.take(0) == "pool:api gives out 2 in 1000 ms, the next in 600 ms"
    assert three.pause_us == POLL_US
    clock.ns += 550_000_000
    assert three.freed() == []
    assert three.pause_us == 50_000, "the first of them is over then"
    clock.ns += 49_000_000
    assert three.take(0) is not None
    clock.ns += 1_000_000
    assert three.freed() == [0]
    assert three.take(0) is None
    three.want(1, "d", api())
    assert three.take(1) == "pool:api gives out 2 in 1000 ms, the next in 400 ms"


def test_a_large_demand_is_not_passed_by_in_a_rate_either(run: Any, clock: Clock) -> None:
    one, two = run("RUN1"), run("RUN2")
    one.want(0, "a", api())
    assert one.take(0) is None
    two.want(0, "large", api(2))
    assert two.take(0) is not None
    one.want(1, "small", api())
    assert one.take(1) is not None
    clock.ns += 1_000_000_000
    assert one.take(1) is not None
    assert two.take(0) is None


def test_more_than_a_rate_ever_gives_out_takes_all_of_an_interval(run: Any, clock: Clock) -> None:
    one = run("RUN1")
    one.want(0, "a", api(3))
    assert one.take(0) is None
    one.want(1, "b", api(3))
    assert one.take(1) is not None
    clock.ns += 1_000_000_000
    assert one.take(1) is None


def test_what_a_rate_gave_out_before_a_boot_counts_no_more(directory: str, run: Any, clock: Clock) -> None:
    one, two = run("RUN1"), run("RUN2")
    one.want(0, "a", api(2))
    assert one.take(0) is None
    folder = os.path.join(directory, lease_files.written("pool:api"))
    [stamp] = [entry for entry in os.listdir(folder) if entry.startswith("s.")]
    words = stamp.split(".")
    words[2] = "0ldb007"
    os.rename(os.path.join(folder, stamp), os.path.join(folder, ".".join(words)))
    two.want(0, "b", api(2))
    assert two.take(0) is None
    assert len([entry for entry in os.listdir(folder) if entry.startswith("s.")]) == 1


def test_no_step_of_the_wall_clock_is_seen(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = run("RUN1")
    one.want(0, "a", api(2, (2, 60_000)))
    assert one.take(0) is None
    for step in (86_400, -86_400):
        monkeypatch.setattr(time, "time", lambda: 1e9 + step)  # noqa: B023
        monkeypatch.setattr(time, "time_ns", lambda: 10**18 + step * 10**9)  # noqa: B023
        one.want(1, "b", api())
        assert one.take(1) is not None


# The dead -------------------------------------------------------------------------------------------------------------


def test_what_the_dead_held_and_where_they_stood_is_free(directory: str, run: Any) -> None:
    holder, waiter, heir = run("RUN1"), run("RUN2"), run("RUN3")
    holder.want(0, "a", [STAGING])
    assert holder.take(0) is None
    waiter.want(0, "b", [STAGING])
    heir.want(0, "c", [STAGING])
    assert heir.take(0) is not None
    kill(holder)
    kill(waiter)
    assert heir.freed() == [0]
    assert heir.take(0) is None
    assert [holder.run for holder in heir.holders("pool:staging")] == ["RUN3"]
    heir.close()
    last = run("RUN4")
    last.want(0, "d", units(1, 1, "lock:other"))
    last.close()
    assert left_in(directory) == ["lock"], "the lives of the dead were swept by whoever came next"


def test_everything_is_empty_files_and_nothing_is_left(directory: str, run: Any) -> None:
    one, two = run("RUN1"), run("RUN2")
    one.want(0, "a", [*units(1), *api()])
    assert one.take(0) is None
    two.want(0, "b", units(4))
    assert two.take(0) is not None
    assert len(left_in(directory)) == 9
    assert {os.stat(os.path.join(directory, path)).st_size for path in left_in(directory) if "/" in path} == {0}
    assert oct(os.stat(directory).st_mode)[-3:] == "700"
    two.close()
    one.close()
    assert [path for path in left_in(directory) if "/s." not in path] == ["lock", "pool%3Aapi"]


def test_what_a_resumed_run_left_is_cleared_and_nothing_else_is(directory: str, run: Any) -> None:
    old, other = run("RUN1"), run("RUN2")
    lease.clear("RUN1", directory)
    assert not os.path.exists(directory)
    old.want(0, "a", units(1))
    assert old.take(0) is None
    other.want(0, "b", units(1))
    assert other.take(0) is None
    lease.clear("RUN1", directory)
    assert [holder.run for holder in lease.everyone(directory)] == ["RUN1", "RUN2"]
    kill(old)
    lease.clear("RUN1", directory)
    assert [path for path in left_in(directory) if "RUN1" in path] == []
    assert [holder.run for holder in lease.everyone(directory)] == ["RUN2"]


def test_what_others_tidied_away_is_made_again(directory: str, run: Any) -> None:
    one, two = run("RUN1"), run("RUN2")
    one.want(0, "a", [STAGING])
    two.want(0, "b", [STAGING])
    assert one.take(0) is None
    for path in left_in(directory):
        if path == "lock" or "/w." in path:
            os.unlink(os.path.join(directory, path))
    assert two.take(0) is not None
    one.give_back(0)
    assert two.take(0) is None
    one.want(0, "a", [STAGING])
    assert one.take(0) is not None


def test_several_names_of_one_who_died_are_free_at_once(run: Any) -> None:
    holder, heir = run("RUN1"), run("RUN2")
    wants = [*units(1, 1, "lock:a"), *units(1, 1, "lock:b"), *units(1, 1, "lock:c")]
    holder.want(0, "a", wants)
    assert holder.take(0) is None
    heir.want(0, "b", wants)
    assert heir.take(0) is not None
    kill(holder)
    assert heir.take(0) is None


def test_a_life_that_is_just_beginning_is_not_swept_as_a_dead_one(
    directory: str, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sweeps may come between the making of the file and its lock."""
    lock, sweeps = lease_files.is_locked, []

    def swept_first(fd: int, path: str, kind: int) -> bool:
        if "/life." in path and not sweeps:
            sweeps.append(path)
            other = Leases("RUN2", directory)
            other.want(0, "b", [STAGING])
            other.close()
        return lock(fd, path, kind)

    monkeypatch.setattr(lease_files, "is_locked", swept_first)
    one, two = run("RUN1"), run("RUN3")
    one.want(0, "a", [STAGING])
    assert not os.path.exists(sweeps[0])
    assert one.take(0) is None
    two.want(0, "c", [STAGING])
    assert two.take(0) is not None


def test_nothing_is_swept_between_the_look_at_a_life_and_its_end(
    directory: str, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is locked for as long as it takes to remove it, so that nobody can begin to live in it meanwhile."""
    dead, one = run("RUN1"), run("RUN2")
    dead.want(0, "a", [STAGING])
    kill(dead)
    [life] = [path for path in left_in(directory) if path.startswith("life.")]
    unlink, states = os.unlink, []

    def look_first(path: str) -> None:
        if path.endswith(life):
            fd = os.open(path, os.O_RDONLY)
            states.append(lease_files.is_locked(fd, path, fcntl.LOCK_EX))
            os.close(fd)
        unlink(path)

    monkeypatch.setattr(os, "unlink", look_first)
    one.want(0, "b", [STAGING])
    assert states == [False]


def test_processes_are_ended_only_where_their_engine_is_known_to_be_dead(directory: str, run: Any) -> None:
    """A life that is not there may have been tidied away; then it is free, and nobody is harmed for it."""
    one, two = run("RUN1"), run("RUN2")
    one.want(0, "a", [STAGING])
    assert one.take(0) is None
    [life] = [path for path in left_in(directory) if path.startswith("life.")]
    os.unlink(os.path.join(directory, life))
    with subprocess.Popen(["sleep", "60"], env={"STAGEBOOK_RUN": "RUN1", "STAGEBOOK_STAGE": "a"}) as stage:
        two.want(0, "b", [STAGING])
        assert two.take(0) is None
        assert stage.poll() is None
        stage.kill()


def test_processes_of_another_stage_are_left_alone(run: Any) -> None:
    one, two = run("RUN1"), run("RUN2")
    one.want(0, "a", [STAGING])
    assert one.take(0) is None
    kill(one)
    with subprocess.Popen(["sleep", "60"], env={"STAGEBOOK_RUN": "RUN1", "STAGEBOOK_STAGE": "b"}) as stage:
        two.want(0, "b", [STAGING])
        assert two.take(0) is None
        assert stage.poll() is None
        stage.kill()


# Names and places -----------------------------------------------------------------------------------------------------

HOSTILE = ["../../etc", "/", "a/b\nc", ".", "x" * 500, "ä" * 300, "%2F", "a.b.c", "", "\x1b[2J", "h.1.1.1.1.1.R.s"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_leaves_the_directory_or_is_taken_for_another(directory: str, run: Any, text: str) -> None:
    one, two = run("RUN1"), run("RUN2")
    one.want(0, text, [Want("pool:" + text, 1, 1)])
    assert one.take(0) is None
    two.want(0, text, [Want("pool:" + text, 1, 1), Want("pool:" + text + "x", 10**40, 10**40)])
    assert two.take(0) is not None
    assert [holder.state for holder in two.holders("pool:" + text + "x")] == ["waits"] or len(text) > 100
    paths = left_in(directory)
    assert {path.count("/") for path in paths} == {0, 1}
    assert max(len(name.encode()) for path in paths for name in path.split("/")) < 255
    assert os.listdir(os.path.dirname(directory)) == ["leases"]
    [mine] = [holder for holder in lease.everyone(directory) if holder.state == "holds"]
    assert mine.stage == text or (len(text) > 100 and mine.stage.endswith("…"))


def test_what_is_no_lease_is_left_alone(directory: str, run: Any) -> None:
    one = run("RUN1")
    one.want(0, "a", [STAGING])
    folder = os.path.join(directory, lease_files.written(STAGING.name))
    foreign = ["h.x.1.1.1.1.R.s", "h.1.1.1", "note", "s.1.2", "w", "h.1.1.1.one.1.R.s"]
    for name in foreign:
        Path(folder, name).write_text("mine")
    Path(directory, "note").write_text("mine")
    os.mkdir(os.path.join(directory, "life.folder"))
    assert one.take(0) is None
    two = run("RUN2")
    two.want(0, "b", [STAGING])
    assert two.take(0) is not None
    lease.clear("RUN0", directory)
    assert [holder.run for holder in lease.everyone(directory)] == ["RUN1", "RUN2"]
    one.close()
    two.close()
    assert sorted(os.listdir(folder)) == sorted(foreign)
    assert sorted(os.listdir(directory)) == sorted(["life.folder", "lock", "note", os.path.basename(folder)])


@pytest.mark.parametrize("is_all", [False, True], ids=["life", "directory"])
@pytest.mark.parametrize("when", ["take", "freed", "began", "give_back"])
def test_a_life_that_was_deleted_in_use_is_said_once(directory: str, is_all: bool, when: str) -> None:
    said: list[str] = []
    one = Leases("RUN1", directory, said)
    for stage in (0, 1):
        one.want(stage, "a", [STAGING])
    assert one.take(0) is None
    one.began(0)
    assert one.freed() == [] and said == []
    [life] = [entry for entry in os.listdir(directory) if entry.startswith("life.")]
    shutil.rmtree(directory) if is_all else os.unlink(os.path.join(directory, life))
    if is_all:
        os.mkdir(directory, 0o700)
    for call in (lambda: one.freed() if when == "freed" else getattr(one, when)(1 if when == "take" else 0), one.freed):
        call()
        [text] = said
    assert text.startswith(f"{os.path.join(directory, life)} was deleted while it was in use")
    one.close()


def test_a_sweep_that_fails_leaves_no_life(directory: str, run: Any) -> None:
    os.makedirs(os.path.join(directory, "folder"), 0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            lease_files.Directory, "read", lambda *_: lease_files.fail("cannot read", "folder", OSError(5, ""))
        )
        with pytest.raises(SurroundingsError, match="cannot read folder"):
            run("RUN1").want(0, "a", [STAGING])
    assert os.listdir(directory) == ["folder"]


def test_a_directory_that_others_could_write_to_is_refused(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(there)
    (tmp_path / "file").write_text("")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o770)
    for name, words in [
        ("link", "is a symbolic link"),
        ("file", "is no directory"),
        ("open", "can be written to by others; chmod 700 it"),
        ("no/where", "No such file or directory"),
    ]:
        with pytest.raises(SurroundingsError, match=words) as raised:
            Leases("RUN1", str(tmp_path / name)).want(0, "a", [STAGING])
        assert str(tmp_path / name) in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(SurroundingsError, match=r"theirs belongs to user \d+: .*set XDG_RUNTIME_DIR"):
        Leases("RUN1", str(tmp_path / "theirs")).want(0, "a", [STAGING])


def test_where_leases_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert lease_files.default_directory() == str(tmp_path / "stagebook")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    mine = str(tmp_path / f"stagebook-{os.geteuid()}")
    for useless in ("", "here", str(tmp_path / "gone")):
        monkeypatch.setenv("XDG_RUNTIME_DIR", useless)
        assert lease_files.default_directory() == mine
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert lease_files.default_directory() == str(tmp_path / "stagebook-4711"), "that directory is another user's"
    monkeypatch.setenv("TMPDIR", "not/absolute")
    assert lease_files.default_directory() == "/tmp/stagebook-4711"


# The system gives way -------------------------------------------------------------------------------------------------


def failing(error: int) -> Callable[..., NoReturn]:
    def fail(*words: object, **more: object) -> NoReturn:
        raise OSError(error, os.strerror(error))

    return fail


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EMFILE, errno.EDQUOT])
@pytest.mark.parametrize("call", ["mkdir", "open", "listdir", "rename"])
def test_trouble_of_the_system_is_one_clear_line_and_nothing_is_half_taken(
    directory: str, run: Any, monkeypatch: pytest.MonkeyPatch, call: str, error: int
) -> None:
    two, one = run("RUN2"), run("RUN1")
    two.want(0, "b", api())
    with monkeypatch.context() as broken:
        broken.setattr(os, call, failing(error))
        with pytest.raises(SurroundingsError) as raised:
            one.want(0, "a", [*api(), *units(1)])
            one.take(0)
        assert os.strerror(error) in str(raised.value)
        assert directory in str(raised.value)
    assert two.take(0) is None
    two.give_back(0)
    one.want(0, "a", [*api(), *units(1)])
    assert one.take(0) is None


def test_no_descriptor_left_is_said(run: Any) -> None:
    one = run("RUN1")
    one.want(0, "a", [STAGING])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(SurroundingsError, match="Too many open files"):
            one.take(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert one.take(0) is None


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_said(run: Any, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(error))
    with pytest.raises(SurroundingsError, match=r"files cannot be locked .* set XDG_RUNTIME_DIR to"):
        run("RUN1").want(0, "a", [STAGING])
    monkeypatch.undo()


def test_whoever_is_stopped_while_it_looks_stops_nobody_for_long(directory: str, run: Any) -> None:
    one = run("RUN1")
    one.want(0, "a", [STAGING])
    stopped = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(stopped, fcntl.LOCK_EX)
    assert one.take(0) == "another run is just looking for the same and takes its time"
    assert one.freed() == [0]
    os.close(stopped)
    assert one.take(0) is None


def test_a_lock_that_was_made_anew_is_the_one_that_counts(directory: str, run: Any) -> None:
    one = run("RUN1")
    one.want(0, "a", [STAGING])
    assert one.take(0) is None
    one.want(1, "b", units(1))
    path = os.path.join(directory, "lock")
    os.unlink(path)
    other = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(other, fcntl.LOCK_EX)
    assert one.take(1) is not None
    os.close(other)
    assert one.take(1) is None


def test_a_disk_that_fills_up_on_the_way_leaves_nothing_half_done(
    directory: str, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = run("RUN1"), run("RUN2")
    one.want(0, "a", [STAGING])
    full, really = [lease_files.written("pool:db")], os.open

    def open_unless_full(path: str, *words: Any, **more: Any) -> int:
        if any(part in path for part in full):
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(path, *words, **more)

    monkeypatch.setattr(os, "open", open_unless_full)
    with pytest.raises(SurroundingsError, match="No space left"):
        one.want(1, "b", [*units(1, 1, "lock:x"), *units(1)])
    assert two.holders("lock:x") == []
    full[:] = ["/s."]
    one.want(2, "c", [*units(1, 1, "lock:x"), *api()])
    with pytest.raises(SurroundingsError, match="No space left"):
        one.take(2)
    assert [holder.state for holder in two.holders("lock:x")] == ["waits"]
    full.clear()
    assert one.take(2) is None


# Against a model ------------------------------------------------------------------------------------------------------

SIZES = {"pool:a": 3, "pool:b": 2, "lock:x": MACHINE_LOCK_UNITS}
DEMANDS = st.fixed_dictionaries({}, optional={
    "pool:a": st.integers(1, 3), "pool:b": st.integers(1, 2), "lock:x": st.sampled_from([1, MACHINE_LOCK_UNITS]),
}).filter(bool)  # fmt: skip


class Member:
    """A stage in the model: its place in the line is its place in the list."""

    def __init__(self, run: int, stage: int, demand: dict[str, int]) -> None:
        self.run, self.stage, self.demand, self.state = run, stage, demand, "waits"


class Line(RuleBasedStateMachine):
    """Several runs in one directory, and what is true of them by the rules."""

    members = Bundle("members")

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.directory = os.path.join(self.folder.name, "leases")
        self.runs: dict[int, Leases] = {}
        self.line: list[Member] = []
        self.count = 0

    @rule(target=members, number=st.integers(0, 2), demand=DEMANDS)
    def want(self, number: int, demand: dict[str, int]) -> Member:
        if number not in self.runs:
            self.runs[number] = Leases(f"RUN{number}", self.directory)
        self.count += 1
        member = Member(number, self.count, demand)
        wants = [Want(name, count, SIZES[name]) for name, count in demand.items()]
        self.runs[number].want(self.count, f"s{self.count}", wants)
        self.line.append(member)
        return member

    def may(self, member: Member) -> bool:
        before = self.line[: self.line.index(member)]
        for name, count in member.demand.items():
            taken = sum(each.demand.get(name, 0) for each in self.line if each.state == "holds")
            taken += sum(
                each.demand.get(name, 0) for each in before if each.state == "waits" and each.run != member.run
            )
            if taken + count > SIZES[name]:
                return False
        return True

    @rule(member=members)
    def take(self, member: Member) -> None:
        if member not in self.line or member.state == "holds":
            return
        member.state = "waits"
        expected = self.may(member)
        said = self.runs[member.run].take(member.stage)
        assert (said is None) == expected, said
        if expected:
            member.state = "holds"

    @rule(member=members)
    def passive(self, member: Member) -> None:
        if member in self.line:
            self.runs[member.run].passive(member.stage)
            member.state = {"waits": "passive"}.get(member.state, member.state)

    @rule(member=members)
    def give_back(self, member: Member) -> None:
        if member in self.line:
            self.runs[member.run].give_back(member.stage)
            if member.state == "holds":
                self.line.remove(member)

    @rule(member=members)
    def forget(self, member: Member) -> None:
        if member in self.line:
            self.runs[member.run].forget(member.stage)
            if member.state != "holds":
                self.line.remove(member)

    @rule(number=st.integers(0, 2), is_killed=st.booleans())
    def end(self, number: int, is_killed: bool) -> None:
        if number in self.runs:
            kill(self.runs[number]) if is_killed else self.runs[number].close()
            del self.runs[number]
            self.line = [member for member in self.line if member.run != number]

    @invariant()
    def all_agree(self) -> None:
        for number, leases in getattr(self, "runs", {}).items():
            waiting = [each for each in self.line if each.run == number and each.state == "waits"]
            assert leases.freed() == [each.stage for each in waiting if self.may(each)]
        for name, size in SIZES.items() if hasattr(self, "line") else ():
            assert sum(each.demand.get(name, 0) for each in self.line if each.state == "holds") <= size

    def teardown(self) -> None:
        # Nobody waits for ever: when all who hold give back, again and again, all have had their turn.
        if not hasattr(self, "line"):
            return
        while self.line:
            holding = [each for each in self.line if each.state == "holds"]
            for each in holding:
                self.give_back(each)
            for each in list(self.line):
                self.take(each)
            assert holding or any(each.state == "holds" for each in self.line), "a deadlock"
        for leases in self.runs.values():
            leases.close()
        self.folder.cleanup()


Line.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestLine = Line.TestCase


# Real processes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_crowd_of_which_some_are_killed_never_holds_more_than_there_is(tmp_path: Path, seed: int) -> None:
    """Two on every other seed, else ten; never too much at once, nobody is passed, nothing is left behind."""
    done = subprocess.run(
        [sys.executable, str(HERE / "lease_crowd.py"), str(tmp_path / "leases"), str(seed), "10" if seed % 2 else "2",
         "0.5"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("done"), f"seed {seed}\n{done.stdout}"


class Pair:
    """An engine, its keeper and a stage that holds `pool:staging`."""

    def __init__(self, directory: str, *command: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "lease_pair.py"), directory, "RUN1", STAGING.name, *command],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.keeper = self.process.pid
        self.engine, self.stage = map(int, self.process.stdout.readline().split())

    def close(self) -> None:
        assert self.process.stdout is not None
        for pid in (self.keeper, self.engine, self.stage):
            processes.signal_to(pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def pair(directory: str) -> Iterator[Pair]:
    made = Pair(directory, "sleep", "300")
    yield made
    made.close()


@pytest.mark.parametrize("victims", [("engine",), ("keeper",), ("engine", "keeper")], ids="+".join)
def test_whoever_is_killed_the_lease_is_free_within_two_seconds_and_not_before_the_stage_is_gone(
    run: Any, pair: Pair, victims: tuple[str, ...]
) -> None:
    heir = run("RUN2")
    heir.want(0, "deploy", [STAGING])
    assert heir.take(0) == f"pool:staging held by RUN1 stage deploy (pid {pair.engine})"
    for victim in ("keeper", "engine"):
        processes.signal_to(getattr(pair, victim), signal.SIGSTOP)  # so that neither acts before all are dead
    for victim in victims:
        processes.signal_to(getattr(pair, victim), signal.SIGKILL)
    for victim in ("keeper", "engine"):
        processes.signal_to(getattr(pair, victim), signal.SIGCONT)
    waiting.until(lambda: heir.take(0) is None, "the lease", 2)
    assert not processes.is_alive(pair.stage)


def test_the_lease_of_a_killed_engine_is_held_until_its_keeper_has_ended_the_stage(run: Any, pair: Pair) -> None:
    heir = run("RUN2")
    heir.want(0, "deploy", [STAGING])
    processes.signal_to(pair.keeper, signal.SIGSTOP)
    waiting.until(lambda: processes.state_of(pair.keeper) == "T", "a stopped keeper")
    processes.signal_to(pair.engine, signal.SIGKILL)
    waiting.until(lambda: not processes.is_alive(pair.engine), "the end of the engine")
    waiting.still(lambda: heir.take(0) is not None and heir.freed() == [], "it is still held", 0.3)
    assert processes.is_alive(pair.stage)
    processes.signal_to(pair.keeper, signal.SIGCONT)
    waiting.until(lambda: heir.take(0) is None, "the lease", 2)
    assert not processes.is_alive(pair.stage)


def opened_by(pid: int) -> list[str]:
    """What a process has open; what it is just closing, as at its start, is left out."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    return found


def test_no_descriptor_of_a_lease_reaches_a_stage(pair: Pair, directory: str) -> None:
    assert [path for path in opened_by(pair.stage) if directory in path or path.startswith("socket")] == []
    assert [path for path in opened_by(pair.engine) if "/life." in path] != []
