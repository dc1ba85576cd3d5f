"""G2: no orphans. When the engine dies its stages end, and no stage ever runs in two copies at once."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
from tests.door import processes, waiting
from tests.door.place import Place, note, noted, reasons

#: A child, a daemon that left the session, and a loop that is deaf to TERM, all of which outlive a careless engine.
WILD = f"""
{note("begin")}
sleep 301 &
setsid sh -c 'sleep 302 & exec sleep 303' &
setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 304; done' &
python3 -c 'import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(305)
    os._exit(0)
time.sleep(306)' &
trap "" TERM
{note("ready")}
while :; do sleep 0.05; done
"""


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with any run; whoever signals it is at fault."""
    process = subprocess.Popen(["sleep", "307"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def is_untouched(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


@pytest.mark.parametrize("victim", ["engine", "keeper"])
@pytest.mark.parametrize("accounting", ["auto", "wait4"])
def test_g02_nothing_lives_3_s_after_the_engine_or_its_keeper_was_killed(
    place: Place, victim: str, accounting: str, bystander: subprocess.Popen[bytes]
) -> None:
    place.pipeline({"wild": WILD, "calm": "sleep 308"})
    command = place.start("run", env={"STAGEBOOK_ACCOUNTING": accounting})
    place.wait_for("wild", "ready")
    waiting.until(lambda: len(place.left(0)) >= 8, "keeper, engine, and all that the stages start")
    command.kill(victim)
    assert place.left(3) == []
    assert is_untouched(bystander)


def group_of(pid: int) -> Path | None:
    """The directory of the run's control group that a stage's process is in, if it has one of its own."""
    below = next(line[3:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line.startswith("0::"))
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line]
    return Path(mounts[0][4] + below).parent if "/stagebook-" in below else None


@pytest.mark.parametrize("victim", ["engine", "keeper"])
def test_g02_no_control_group_outlives_engine_or_keeper_but_those_of_other_runs(place: Place, victim: str) -> None:
    place.pipeline({"wild": WILD})
    commands, groups = [], []
    for count in (1, 2):
        commands.append(place.start("run"))
        groups.append(group_of(place.wait_for("wild", "ready", count).pid))
    first, second = groups
    if first is None or second is None:
        # Not every machine lets a user make groups; then there is nothing to leave behind.
        pytest.skip("no writable cgroup v2 here")
    assert first.name != second.name and first.is_dir() and second.is_dir()
    commands[0].kill(victim)
    assert not first.exists()
    assert second.is_dir() and commands[1].process.poll() is None
    commands[1].kill(victim)
    assert not second.exists()


def groups_left(place: Place) -> list[Path]:
    """Control groups of the runs of this place."""
    below = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line]
    home = Path(mounts[0][4] + below) if mounts else None
    return [path for run in place.run_ids() for path in home.glob(f"stagebook-{run}*")] if home is not None else []


NESTING = f"""
group=$(sed -n "s/^0:://p" /proc/self/cgroup)
home=$(awk '/ - cgroup2 /{{print $5; exit}}' /proc/self/mountinfo)$group
mkdir -p "$home/inner/most" 2>/dev/null || exit 0
setsid sh -c 'echo 0 > "$1/inner/most/cgroup.procs"; {note("ready")}; exec sleep 310' x "$home" &
until grep -q "ready" "$LEDGER"; do sleep 0.01; done
"""


def test_g02_what_a_stage_hides_in_a_group_of_its_own_is_ended_with_it_and_the_group_is_gone(place: Place) -> None:
    place.pipeline([{"nests": NESTING}, {"next": noted()}])
    done = place.run("run", "--json")
    assert done.code == 0, done
    assert groups_left(place) == []
    if place.ledger()[0].word == "ready":  # this machine lets a user make groups
        (warning,) = done.json["warnings"]
        assert "nests" in warning and "sleep 310" in warning


@pytest.mark.parametrize("descriptors", range(10, 22))
def test_g02_no_control_group_is_left_where_descriptors_run_out(place: Place, descriptors: int) -> None:
    place.pipeline({"a": "true"})
    done = place.run("run", prefix=("sh", "-c", 'ulimit -n $0; exec "$@"', str(descriptors)))
    assert "Traceback" not in done.err
    assert groups_left(place) == []


def test_g02_no_control_group_is_left_after_an_early_interrupt(place: Place) -> None:
    place.pipeline({"a": "sleep 311"})
    for delay in (0.05, 0.07, 0.09, 0.11, 0.13, 0.15):
        command = place.start("run", "--quiet")
        waiting.still(lambda: True, "", delay)
        command.send(signal.SIGINT)
        command.wait()
    assert groups_left(place) == []


def test_g02_the_group_of_a_measuring_process_that_was_killed_is_removed_by_the_next(place: Place) -> None:
    place.pipeline({"a": "true"})
    command = place.start("measure", "--run", "K", "--", "sh", "-c", "echo $$; exec sleep 312")
    waiting.until(lambda: command.so_far()[0], "a command that runs")
    command.send(signal.SIGKILL)
    command.wait()
    os.kill(int(command.so_far()[0]), signal.SIGKILL)
    assert place.left(3) == []
    assert place.run("measure", "--run", "K", "--", "true").code == 0
    assert groups_left(place) == []


def test_g02_what_survives_engine_and_keeper_is_ended_before_anything_starts_again(
    place: Place, bystander: subprocess.Popen[bytes]
) -> None:
    place.pipeline({"wild": {"run": f"""
        {note("begin")}
        [ "$STAGEBOOK_ATTEMPT" = 1 ] || {{ {note("end")}; exit 0; }}
        setsid sh -c 'trap "" TERM; {note("ready")}; while :; do sleep 0.01; {note("alive")}; done' &
        while :; do sleep 0.05; done
    """}})  # fmt: skip
    command = place.start("run")
    place.wait_for("wild", "alive")
    command.kill("both")
    done = place.run("run", "--resume", "--json")
    assert done.code == 0, done
    words = [(line.attempt, line.word) for line in place.ledger()]
    second = words.index((2, "begin"))
    assert not [word for word in words[second:] if word[0] == 1], "the first copy was alive when the second began"
    assert place.left(0) == []
    assert is_untouched(bystander)


@pytest.mark.parametrize("victim", ["engine", "keeper", "both"])
def test_g02_resumed_at_once_no_two_copies_of_a_stage_overlap(place: Place, victim: str) -> None:
    # An exclusive directory says whether two copies are there at once; a copy that was killed leaves its directory,
    # so each names itself by pid and a newcomer looks whether an older one still lives.
    body = f"""
        {note("begin")}
        for other in "$BASE"/alive/*; do
            grep -q "^State:.[RSDT]" "/proc/${{other##*/}}/status" 2>/dev/null || continue
            {note("overlap")}
        done
        : > "$BASE/alive/$$"
        if [ "$STAGEBOOK_ATTEMPT" = 1 ]; then trap "" TERM; while :; do sleep 0.01; done; fi
        {note("end")}
    """
    (place.base / "alive").mkdir()
    place.pipeline({"a": body, "b": {"run": "sleep 0.01", "needs": "a"}})
    command = place.start("run")
    place.wait_for("a")
    waiting.until(lambda: any((place.base / "alive").iterdir()), "the first copy's file")
    command.kill(victim)
    assert place.run("run", "--resume").code == 0
    assert [(line.attempt, line.word) for line in place.ledger()] == [(1, "begin"), (2, "begin"), (2, "end")]
    first, second = next(stage for stage in place.show()["stages"] if stage["stage"] == "a")["attempts"]
    assert (first["outcome"], first["reason"]) == ("error", "interrupted")
    assert (second["outcome"], second["attempt"]) == ("success", 2)


def test_g02_resume_while_the_keepers_engine_still_dies_waits_or_names_the_pid(place: Place) -> None:
    place.pipeline({"a": f"{note('begin')}\n[ $STAGEBOOK_ATTEMPT != 1 ] || sleep 309\n{note('end')}"})
    command = place.start("run")
    place.wait_for("a")
    engine = command.engine
    processes.signal_to(command.pid, signal.SIGKILL)  # and no waiting for the engine
    command.process.wait()

    def has_resumed() -> bool:
        done = place.run("run", "--resume")
        assert done.code in (0, 4), done
        if done.code == 4:
            assert str(engine) in done.said, done
        return done.code == 0

    waiting.until(has_resumed, "a resume that finds the engine gone", 5)
    assert place.began() == ["a", "a"]


def test_g02_a_process_that_only_reuses_a_recorded_pid_is_not_signalled(place: Place) -> None:
    """The journal says pid and start time; a process without the run's mark is nobody's of ours."""
    place.pipeline({"a": f"{note('begin')}\n[ $STAGEBOOK_ATTEMPT != 1 ] || sleep 310\n{note('end')}"})
    command = place.start("run")
    place.wait_for("a")
    command.kill("both")
    processes.end(place.left(0))
    assert place.left(1) == []
    # As if the kernel had given the stage's pid to somebody else meanwhile: the record names a stranger.
    stranger = subprocess.Popen(["sleep", "311"], start_new_session=True, env={"PATH": os.environ["PATH"]})
    try:
        rewrite_pid(place, stranger.pid)
        assert place.run("run", "--resume").code == 0
        assert is_untouched(stranger)
    finally:
        stranger.kill()
        stranger.wait()


def rewrite_pid(place: Place, pid: int) -> None:
    """Let the journal say that the stage's process was `pid`, with right checksums."""
    import json
    import zlib

    path = place.journal_path()
    lines = []
    for line in path.read_bytes().splitlines():
        record = json.loads(line)
        if record["event"] == "stage.started":
            line = line.replace(b'"pid":%d' % record["pid"], b'"pid":%d' % pid)
            body = line[: line.rindex(b',"crc"')]
            line = body + b',"crc":"%08x"}' % zlib.crc32(body)
        lines.append(line + b"\n")
    path.write_bytes(b"".join(lines))


def test_g02_an_engine_that_is_stopped_for_a_while_goes_on_as_if_nothing_was(place: Place) -> None:
    place.pipeline({"a": f"{note('begin')}\nsleep 0.2", "b": {"run": note("begin"), "needs": "a"}})
    command = place.start("run")
    place.wait_for("a")
    engine = command.engine
    processes.signal_to(engine, signal.SIGSTOP)
    waiting.until(lambda: processes.state_of(engine) == "T", "a stopped engine")
    pid = place.wait_for("a").pid
    waiting.until(lambda: not processes.is_alive(pid), "the end of the stage")
    processes.signal_to(engine, signal.SIGCONT)
    assert command.wait().code == 0
    assert set(reasons(place.show()).values()) == {None}
