"""G11: signals. The first INT, TERM or HUP stops in order, the second at once; nobody is left; the run can go on."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys

import pytest
from tests.door import processes, waiting
from tests.door.place import Command, Place, by_stage, note, noted, outcomes
from tests.door.terminal import Terminal

EXITS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}

#: A stage that runs until it is told to stop, takes a moment to tidy up, and says so.
POLITE = f"""
trap '{note("tidied")}; exit 0' TERM
{note("begin")}
while [ ! -e "$BASE/go" ]; do sleep 0.02; done
{note("end")}
"""
#: What Python says where it takes an interrupt for a failed look at a path, and goes on.
LOST = "Failed checking if argv[0] is an import path entry"
DEAF = f"trap '' TERM INT HUP\n{note('begin')}\nwhile [ ! -e \"$BASE/go\" ]; do sleep 0.02; done\n{note('end')}"


@pytest.mark.parametrize("name", EXITS)
def test_g11_r036_the_first_signal_stops_in_order_and_the_run_can_go_on(place: Place, name: str) -> None:
    place.pipeline({
        "done": noted(),
        "running": {"run": POLITE, "needs": "done"},
        "next": {"run": noted(), "needs": "running"},
        "cleanup": {"run": noted(), "needs": "next", "always": True},
    })  # fmt: skip
    command = place.start("run", "--json")
    place.wait_for("running")
    command.send(getattr(signal, name))
    done = command.wait()
    assert done.code == EXITS[name]
    assert place.left(0) == []
    document = done.json
    assert document["outcome"] == "cancellation"
    assert f"cancelled by {name}" in (document["reason"] or "")
    assert outcomes(document) == {
        "done": "success", "running": "cancellation", "next": "cancellation", "cleanup": "success",
    } or outcomes(document)["next"] == "skip"  # fmt: skip
    assert ("running", "tidied") in [(line.stage, line.word) for line in place.ledger()]
    assert place.began() == ["done", "running", "cleanup"]
    # What the signal stopped waits again; what had ended stands. The cleanup of the stopped run has ended.
    (place.base / "go").touch()
    again = place.run("run", "--resume", "--json")
    assert again.code == 0, again
    assert again.json["run"] == document["run"]
    assert outcomes(again.json) == dict.fromkeys(("done", "running", "next", "cleanup"), "success")
    assert place.began()[3:5] == ["running", "next"]
    assert place.began().count("done") == 1


@pytest.mark.parametrize("name", EXITS)
def test_g11_r036_a_second_signal_kills_at_once_without_cleanup(place: Place, name: str) -> None:
    place.pipeline({
        "deaf": {"run": DEAF, "grace": "1h"},
        "cleanup": {"run": noted(), "needs": "deaf", "always": True},
    })  # fmt: skip
    command = place.start("run", "--json")
    place.wait_for("deaf")
    command.send(getattr(signal, name))
    waiting.until(lambda: place.events("run.cancel"), "the first signal in the journal")
    command.send(getattr(signal, name))
    done = command.wait()
    assert done.code == EXITS[name]
    assert place.left(0) == []
    assert place.began() == ["deaf"]
    assert by_stage(done.json)["deaf"]["attempts"][0]["signal"] == signal.SIGKILL
    (place.base / "go").touch()
    assert place.run("run", "--resume").code == 0
    assert place.began() == ["deaf", "deaf", "cleanup"]


@pytest.mark.parametrize("name", EXITS)
def test_g11_two_signals_10_ms_apart_are_two(place: Place, name: str) -> None:
    place.pipeline({"deaf": {"run": DEAF, "grace": "1h"}})
    command = place.start("run", "--json")
    place.wait_for("deaf")
    number = getattr(signal, name)
    command.send(number)
    waiting.still(lambda: True, "", 0.01)
    # The kernel makes one of two as long as the first has not been taken, by the keeper or by the engine.
    for pid in (command.pid, command.engine):
        waiting.until(lambda pid=pid: not processes.is_pending(pid, number), "a signal that is taken")
    command.send(number)
    assert command.wait().code == EXITS[name]
    assert place.left(0) == []


def test_g11_different_signals_count_together_and_the_first_names_the_exit(place: Place) -> None:
    place.pipeline({"deaf": {"run": DEAF, "grace": "1h"}})
    command = place.start("run", "--json")
    place.wait_for("deaf")
    command.send(signal.SIGTERM)
    waiting.until(lambda: place.events("run.cancel"), "the first signal in the journal")
    command.send(signal.SIGINT)
    done = command.wait()
    assert done.code in (143, 130)
    assert place.left(0) == []


def once_more_if_lost(place: Place, command: Command, number: int, known: int) -> None:
    """Where Python goes on, an interrupt before our first instruction was for nobody: it comes again once there is a
    run more than the `known` ones."""
    waiting.until(lambda: command.process.poll() is not None or LOST in command.so_far()[1], "an end, or a loss")
    if command.process.poll() is None:
        waiting.until(lambda: command.process.poll() is not None or len(place.run_ids()) > known, "a run")
        command.send(number)


@pytest.mark.parametrize("name", EXITS)
def test_g11_a_signal_in_the_first_instants_never_leaves_a_process_or_a_wrong_exit(place: Place, name: str) -> None:
    place.pipeline({"a": "sleep 601", "b": "sleep 602"})
    number = getattr(signal, name)
    for delay in (0.0, 0.02, 0.05, 0.08, 0.1, 0.13, 0.16, 0.2):
        known = len(place.run_ids())
        command = place.start("run", "--quiet")
        try:
            command.process.wait(delay)
        except subprocess.TimeoutExpired:
            pass
        command.send(number)
        once_more_if_lost(place, command, number, known)
        done = command.wait()
        # Before our first instruction Python's own answer to the signal counts.
        if done.code != -number and "Fatal Python error: init_" not in done.err:
            assert done.code == EXITS[name], (delay, done)
            assert "Traceback" not in done.err or LOST in done.err, done
        assert place.left(1) == []


@pytest.mark.parametrize("name", EXITS)
def test_g11_a_signal_while_the_pipeline_is_loaded_ends_all_and_nothing_has_run(place: Place, name: str) -> None:
    place.pipeline({f"s{i}": noted() for i in range(20_000)})
    command = place.start("run")
    waiting.until((place.folder / ".stagebook").exists, "the state directory, which is made before the file is read")
    command.send(getattr(signal, name))
    done = command.wait()
    assert place.run_ids() == [], "the file is so large that the signal comes before there is a run"
    assert done.code == EXITS[name]
    assert "Traceback" not in done.err
    assert place.left(0) == []
    assert place.began() == []


@pytest.mark.parametrize("name", EXITS)
@pytest.mark.parametrize(("words", "begin"), [(("--json",), b"{"), ((), b"timeline")])
def test_g11_a_signal_during_the_summary_ends_all_and_the_record_is_whole(
    place: Place, name: str, words: tuple[str, ...], begin: bytes
) -> None:
    place.pipeline({f"s{i}": {"run": "false", "allow-failure": True} for i in range(150)})  # each with a warning
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)  # the summary is longer, so that it is not over while nobody reads
    command = place.start("run", *words, stdout=writing)
    os.close(writing)
    with open(reading, "rb", buffering=0) as file:
        seen = b""
        while begin not in seen:
            seen += file.read(1024)
        command.send(getattr(signal, name))
        done = command.wait()
    assert done.code == EXITS[name]
    assert "Traceback" not in done.err
    assert place.left(0) == []
    assert place.show()["outcome"] == "success"
    assert place.run("run", "--resume", place.run_ids()[-1], "--quiet").code == 0


def test_g11_a_signal_during_cleanup_does_not_end_the_cleanup_a_second_does(place: Place) -> None:
    place.pipeline({
        "broken": "exit 1",
        "cleanup": {"run": DEAF, "needs": "broken", "always": True, "grace": "1h"},
    })  # fmt: skip
    command = place.start("run", "--json")
    place.wait_for("cleanup")
    command.send(signal.SIGINT)
    waiting.until(lambda: place.events("run.cancel"), "the first signal in the journal")
    command.send(signal.SIGINT)
    done = command.wait()
    assert done.code == 130
    assert place.left(0) == []


def test_g11_the_terminals_ctrl_c_reaches_the_run_once(place: Place) -> None:
    place.pipeline({"a": {"run": POLITE}, "cleanup": {"run": noted(), "needs": "a", "always": True}})
    with Terminal(place, "run") as terminal:
        place.wait_for("a")
        terminal.type(b"\x03")
        assert terminal.wait() == 130
    assert place.began() == ["a", "cleanup"]
    assert len(place.events("run.cancel")) == 1


def test_g11_a_closed_terminal_stops_the_run_in_order(place: Place) -> None:
    place.pipeline({"a": {"run": POLITE}, "cleanup": {"run": noted(), "needs": "a", "always": True}})
    terminal = Terminal(place, "run")
    place.wait_for("a")
    terminal.close()
    assert terminal.wait() in (129, -signal.SIGHUP)
    assert place.left(3) == []
    assert place.began() == ["a", "cleanup"]
    assert place.show()["outcome"] == "cancellation"
    (place.base / "go").touch()
    assert place.run("run", "--resume").code == 0


def test_g11_a_vanished_reader_does_not_stop_the_run(place: Place) -> None:
    place.pipeline({f"s{i:02}": {"run": noted("sleep 0.01")} for i in range(20)})
    reading, writing = os.pipe()
    command = place.start("run", stdout=writing)
    os.close(writing)
    with open(reading, "rb") as file:
        assert file.readline()
    assert command.wait().code == 0
    assert len(place.began()) == 20
    assert place.show()["outcome"] == "success"


def test_g11_head_of_a_pipe_ends_the_pipe_not_the_run(place: Place) -> None:
    place.pipeline({f"s{i:02}": {"run": noted("sleep 0.01")} for i in range(20)})
    done = subprocess.run(
        ["sh", "-c", f"({place.command} run; echo code $? >&2) | head -1"],
        check=False, cwd=place.folder, env=place.env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "code 0" in done.stderr
    assert done.stdout.count("\n") == 1
    assert len(place.began()) == 20


@pytest.mark.parametrize("words", [("run",), ("run", "--json"), ("run", "--output", "interleave")])
def test_g11_a_full_stdout_is_named_on_stderr_and_does_not_stop_the_run(place: Place, words: tuple[str, ...]) -> None:
    place.pipeline({f"s{i}": {"run": noted("echo words")} for i in range(5)})
    with open("/dev/full", "wb") as full:
        done = place.run(*words, stdout=full)
    assert len(place.began()) == 5
    assert "No space left" in done.err
    assert "Traceback" not in done.err
    assert place.show()["outcome"] == "success"
    assert done.code in (0, 4)


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2"])
def test_g11_closed_standard_streams_harm_nothing(place: Place, closed: str) -> None:
    place.pipeline({"a": noted("echo a; echo b >&2; cat"), "b": {"run": noted(), "needs": "a"}})
    redirections = " ".join(f"{number}{'<' if number == '0' else '>'}&-" for number in closed.split())
    script = f"exec {place.command} run {redirections}"
    shell = subprocess.run(["sh", "-c", script], check=False, cwd=place.folder, env=place.env)
    assert shell.returncode == 0
    assert place.began() == ["a", "b"]
    assert place.events("run.ended")


#: Calls a command with one signal ignored or blocked, as a careless parent leaves it.
CARELESS = """
import os, signal, sys
how, name, *command = sys.argv[1:]
number = getattr(signal, name)
if how == "ignored":
    signal.signal(number, signal.SIG_IGN)
else:
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
os.execvp(command[0], command)
"""


def careless(how: str, name: str) -> tuple[str, ...]:
    return (sys.executable, "-c", CARELESS, how, name)


@pytest.mark.parametrize(("how", "name"), [("ignored", "SIGCHLD"), ("blocked", "SIGCHLD"), ("ignored", "SIGPIPE")])
def test_signals_that_a_parent_has_ignored_or_blocked_change_no_run(place: Place, how: str, name: str) -> None:
    place.pipeline({"a": noted(), "b": {"run": f"{noted()}; exit 3", "needs": "a"}})
    done = place.run("run", prefix=careless(how, name))
    assert (done.code, done.err) == (1, "")
    assert place.began() == ["a", "b"]


@pytest.mark.parametrize("name", EXITS)
def test_a_stop_that_a_parent_has_blocked_is_obeyed(place: Place, name: str) -> None:
    place.pipeline({"running": POLITE})
    command = place.start("run", prefix=careless("blocked", name))
    place.wait_for("running")
    command.send(getattr(signal, name))
    assert command.wait().code == EXITS[name]


def test_a_hang_up_that_nohup_has_ignored_stays_ignored(place: Place) -> None:
    place.pipeline({"running": POLITE})
    command = place.start("run", prefix=careless("ignored", "SIGHUP"))
    place.wait_for("running")
    command.send(signal.SIGHUP)
    processes.signal_to(command.engine, signal.SIGHUP)
    (place.base / "go").touch()
    assert command.wait().code == 0


@pytest.mark.parametrize("stream", ["/dev/full", "a pipe that nobody reads"])
def test_an_engine_that_is_killed_is_exit_4_also_where_nobody_can_be_told(place: Place, stream: str) -> None:
    place.pipeline({"running": POLITE})
    if stream == "/dev/full":
        writing = os.open(stream, os.O_WRONLY)
    else:
        reading, writing = os.pipe()
        os.close(reading)
    command = place.start("run", stderr=writing)
    os.close(writing)
    place.wait_for("running")
    assert command.kill("engine") == 4
    assert place.left(1) == []


@pytest.mark.parametrize("victim", ["engine", "keeper", "ctrl-backslash"])
def test_whoever_is_killed_the_terminal_has_its_echo_again(place: Place, victim: str) -> None:
    """Both at once is beyond us: nobody is left to do it, and `stty sane` helps."""
    place.pipeline({"running": POLITE})
    with Terminal(place, "run") as terminal:
        place.wait_for("running")
        waiting.until(lambda: not terminal.has_echo, "a terminal whose keys are read")
        (engine,) = processes.children_of(terminal.pid)
        if victim == "ctrl-backslash":
            terminal.type(b"\x1c")
        else:
            processes.signal_to(engine if victim == "engine" else terminal.pid, signal.SIGKILL)
        terminal.wait()
        waiting.until(lambda: terminal.has_echo, "a terminal that echoes")
        assert place.left(5) == []


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("fail-only", "SIGINT"),
        *(("interleave", name) for name in EXITS),
        *(pytest.param("fail-only", name, marks=pytest.mark.nightly) for name in EXITS if name != "SIGINT"),
    ],
)
def test_g11_a_reader_that_is_stuck_keeps_no_run_from_stopping(place: Place, name: str, output: str) -> None:
    """More lines than the pipe holds, and than are kept for a reader, and nobody takes any."""
    place.pipeline({
        "chatty": {"run": f"yes 'a line that is said often' | head -200000\n{note('said')}\n{POLITE}"},
        **{f"s{number}": "true" for number in range(1500)},
    })  # fmt: skip
    reading, writing = os.pipe()
    command = place.start("run", "--output", output, "-j", "8", stdout=writing)
    place.wait_for("chatty", "said")
    waiting.until(lambda: not select.select([], [writing], [], 0)[1], "a pipe that is full")
    command.send(getattr(signal, name))
    assert command.wait(20).code == EXITS[name]
    os.close(reading)
    os.close(writing)
    assert ("chatty", "tidied") in [(line.stage, line.word) for line in place.ledger()]
    assert place.events("run.ended")


def test_g11_a_reader_that_is_stuck_holds_up_no_stage_and_loses_nothing(place: Place) -> None:
    place.pipeline({f"s{number}": "true" for number in range(2000)}, limits={"jobs": 8})
    reading, writing = os.pipe()
    command = place.start("run", stdout=writing, env={"STAGEBOOK_ACCOUNTING": "wait4"})
    os.close(writing)
    waiting.until(lambda: place.events("run.ended"), "the end of the run in the journal", 30)
    with open(reading, "rb") as file:
        text = file.read().decode()
    assert command.wait().code == 0
    assert text.count(": started") == text.count(": success, ") == 2000
