"""`measure`: one command of any script, run as the script would run it, and recorded beside it.

What a script relies on comes first (exit status, streams, signals, children left alone), then what is recorded.
"""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.door import processes, waiting
from tests.door.place import Done, Place, by_stage, outcomes

PYTHON = sys.executable


@pytest.fixture
def script(place: Place) -> Place:
    """A place whose state directory is its own, whatever lies above it."""
    place.env["STAGEBOOK_DIR"] = str(place.folder / ".stagebook")
    return place


def measure(place: Place, *words: str, **more: Any) -> Done:
    return place.run("measure", *words, **more)


def shell(place: Place, text: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A script of the user's, in which `stagebook` is the command."""
    path = f"{os.path.dirname(place.command)}:{place.env['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", text], cwd=place.folder, env={**place.env, "PATH": path, **env}, text=True,
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip


def attempt_of(document: dict[str, Any]) -> dict[str, Any]:
    attempt: dict[str, Any] = document["attempts"][-1]
    return attempt


# What the script relies on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "code", "outcome", "exit", "number"),
    [
        (["true"], 0, "success", 0, None),
        (["sh", "-c", "exit 7"], 7, "failure", 7, None),
        (["sh", "-c", "exit 125"], 125, "failure", 125, None),
        (["sh", "-c", "exit 255"], 255, "failure", 255, None),
        (["sh", "-c", "kill -TERM $$"], 143, "failure", None, 15),
        (["sh", "-c", "kill -KILL $$"], 137, "failure", None, 9),
        (["sh", "-c", "kill -SEGV $$"], 139, "failure", None, 11),
        (["no-such-program-anywhere"], 127, "error", None, None),
        (["./missing/program"], 127, "error", None, None),
        (["./plain-file"], 126, "error", None, None),
        (["."], 126, "error", None, None),
    ],
)
def test_the_exit_status_is_the_commands_own(
    script: Place, argv: list[str], code: int, outcome: str, exit: int | None, number: int | None
) -> None:
    (script.folder / "plain-file").write_text("no program")
    done = measure(script, "--", *argv)
    assert done.code == code, done
    stage = script.show()["stages"][0]
    assert stage["outcome"] == outcome
    assert (attempt_of(stage)["exit"], attempt_of(stage)["signal"]) == (exit, number)
    assert (done.err == "") == (outcome != "error"), "our own words only where there is no command to speak"


def test_no_command_and_unknown_options_are_usage_errors_and_nothing_is_recorded(script: Place) -> None:
    for words in ([], ["--name", "x"], ["--nmae", "x", "--", "true"], ["--name", " ", "--", "true"], ["--end"]):
        assert measure(script, *words).code == 2, words
    assert script.run_ids() == []


@pytest.mark.parametrize("words", [("--", "true"), ("--json", "--run", "K", "--", "true"), ("--run", "K", "--end")])
def test_trouble_of_its_own_is_125_as_with_env(script: Place, words: tuple[str, ...]) -> None:
    here = script.base / "here"
    here.mkdir()
    done = script.run("measure", *words, cwd=here, prefix=("sh", "-c", f'rmdir "{here}"; exec "$@"', "sh"))
    assert done.code == 125
    assert "the current directory cannot be used: No such file or directory" in done.said
    assert "Traceback" not in done.said


def test_a_script_without_an_interpreter_line_is_run_by_sh_as_a_shell_would(script: Place) -> None:
    path = script.folder / "plain"
    path.write_text('echo "$0 got $1"\n')
    path.chmod(0o755)
    done = measure(script, "--", "./plain", "two words")
    assert (done.code, done.out) == (0, "./plain got two words\n")


def test_streams_arguments_and_environment_pass_through_untouched(script: Place) -> None:
    program = (
        "import os, sys, signal; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1]);"
        "sys.stderr.write('to stderr'); assert sys.argv[1:] == ['--json', '--', '', '*'], sys.argv;"
        "assert 'STAGEBOOK_STAGE' not in os.environ; own = open('/proc/self/status').read();"
        "ignored = int(own.split('SigIgn:')[1].split()[0], 16); blocked = int(own.split('SigBlk:')[1].split()[0], 16);"
        "assert blocked == 0, hex(blocked)"
    )
    data = bytes(range(256)) * 1000
    process = subprocess.run(
        [script.command, "measure", "--", PYTHON, "-c", program, "--json", "--", "", "*"], cwd=script.folder,
        env=script.env, input=data, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, b"to stderr")
    assert process.stdout == data[::-1]


def test_the_environment_has_nothing_more_than_ours_also_in_the_c_locale(script: Place) -> None:
    env = {"PATH": script.env["PATH"], "HOME": script.env["HOME"], "STAGEBOOK_DIR": script.env["STAGEBOOK_DIR"]}
    process = subprocess.run(
        [script.command, "measure", "--", "env"], cwd=script.folder, env=env, capture_output=True, check=True, text=True
    )
    assert dict(line.split("=", 1) for line in process.stdout.splitlines()) == env


def test_signals_python_ignores_have_their_default_again_and_ignored_ones_stay_ignored(script: Place) -> None:
    text = "grep SigIgn /proc/self/status"
    bare = shell(script, f"trap '' HUP INT; exec {text}")
    measured = shell(script, f"trap '' HUP INT; exec stagebook measure -- {text}")
    assert measured.stdout == bare.stdout
    assert int(measured.stdout.split()[1], 16) & 3 == 3, "HUP and INT"


def test_the_command_has_the_terminal(script: Place) -> None:
    above, below = pty.openpty()
    process = subprocess.Popen(
        [script.command, "measure", "--", "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && tty"],
        cwd=script.folder, env=script.env, stdin=below, stdout=below, stderr=below,
    )  # fmt: skip
    name = os.ttyname(below)
    assert process.wait(30) == 0
    os.close(below)
    assert os.read(above, 1000).decode().strip() == name
    os.close(above)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGUSR1"])
def test_a_signal_sent_to_us_reaches_the_command(script: Place, name: str) -> None:
    number = getattr(signal, name)
    text = f"trap 'echo got {name}; exit 5' {name[3:]}; echo ready; while :; do sleep 0.02; done"
    command = script.start("measure", "--name", "long", "--", "sh", "-c", text)
    waiting.until(lambda: "ready" in command.so_far()[0], "the command's trap")
    command.send(number)
    done = command.wait()
    assert (done.code, done.out) == (5, f"ready\ngot {name}\n")
    stage = script.show()["stages"][0]
    assert attempt_of(stage)["exit"] == 5
    if name == "SIGUSR1":
        assert stage["outcome"] == "failure"
    else:
        assert (stage["outcome"], stage["reason"]) == ("cancellation", f"cancelled by {name}")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_command_that_a_signal_ends_gives_128_and_its_number(script: Place, name: str) -> None:
    command = script.start("measure", "--", "sleep", "60")
    waiting.until(lambda: script.events("stage.started"), "a command that runs")
    command.send(getattr(signal, name))
    assert command.wait().code == 128 + getattr(signal, name)


def test_ctrl_c_reaches_the_command_once_and_ends_the_script_too(script: Place) -> None:
    above, below = pty.openpty()
    text = (
        f'{script.command} measure -- sh -c \'trap "echo tidied; trap - INT; kill -INT $$" INT; echo ready;'
        " while :; do sleep 0.02; done'\necho next line"
    )
    process = subprocess.Popen(
        ["setsid", "--ctty", "bash", "-c", text], cwd=script.folder, env=script.env,
        stdin=below, stdout=below, stderr=below,
    )  # fmt: skip
    seen = b""
    while b"ready" not in seen:
        seen += os.read(above, 1000)
    os.write(above, b"\x03")
    assert process.wait(30) == -signal.SIGINT
    os.close(below)
    try:
        while more := os.read(above, 1000):
            seen += more
    except OSError:
        pass
    os.close(above)
    assert seen.count(b"tidied") == 1, "once, not by the terminal and by us"
    assert b"next line" not in seen, "bash ends a script whose command died of INT"
    assert script.show()["stages"][0]["reason"] == "cancelled by SIGINT"


@pytest.mark.parametrize("accounting", ["auto", "wait4"])
def test_what_a_command_leaves_running_goes_on(script: Place, accounting: str) -> None:
    text = (
        "setsid sh -c 'echo $$ > pid; while [ ! -e stop ]; do sleep 0.02; done; echo stopped > said' > /dev/null 2>&1 &"
    )
    done = measure(script, "--", "sh", "-c", text, env={"STAGEBOOK_ACCOUNTING": accounting})
    assert done.code == 0
    pid = int(waiting.until(lambda: (script.folder / "pid").exists() and (script.folder / "pid").read_text(), "a pid"))
    assert processes.is_alive(pid)
    with open(f"/proc/{pid}/cgroup") as file, open("/proc/self/cgroup") as ours:
        assert file.read() == ours.read(), "back where it would be without us"
    (script.folder / "stop").touch()
    waiting.until((script.folder / "said").exists, "the end of what was left running")


def test_measure_does_not_wait_for_what_was_left_running_to_close_its_output(script: Place) -> None:
    script.env["GO"] = str(script.folder / "go")
    os.mkfifo(script.env["GO"])
    done = measure(script, "--", "sh", "-c", "cat $GO & echo over")  # which holds our standard output open
    assert (done.code, done.out) == (0, "over\n")
    with open(script.env["GO"], "w"):
        pass  # and now it ends


# When the record cannot be kept -------------------------------------------------------------------------------------


def damage(place: Place) -> None:
    path = place.journal_path()
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def test_a_damaged_journal_does_not_keep_the_command_from_running_and_is_left_as_it_is(script: Place) -> None:
    for name in ("a", "b"):
        assert measure(script, "--run", "K", "--name", name, "--", "true").code == 0
    damage(script)
    before = script.journal_path().read_bytes()
    done = measure(script, "--run", "K", "--", "sh", "-c", "echo ran; exit 9")
    assert (done.code, done.out) == (9, "ran\n")
    assert "warning: not recorded: " in done.err and "damaged" in done.err
    assert script.journal_path().read_bytes() == before
    assert script.run("show", "last").code == 4
    listed = script.run("runs", "--json")
    assert (listed.code, [run["state"] for run in listed.json["runs"]]) == (0, ["damaged"])


@pytest.mark.parametrize("fault", [f"journal.append:{n}+:ENOSPC" for n in range(1, 6)] + ["journal.sync:1:EIO"])
def test_a_full_disk_at_any_write_leaves_command_and_exit_status_alone(script: Place, fault: str) -> None:
    assert measure(script, "--run", "K", "--name", "before", "--", "true").code == 0
    done = measure(script, "--run", "K", "--", "sh", "-c", "echo ran; exit 9", env={"STAGEBOOK_FAULT": fault})
    assert (done.code, done.out) == (9, "ran\n")
    if fault not in (
        "journal.append:5+:ENOSPC",
    ):  # a first line and three for the command: the fifth tells of the sync
        assert "warning: not recorded: cannot write" in done.err
    after = measure(script, "--run", "K", "--name", "after", "--", "true")
    assert (after.code, after.err) == (0, ""), "the next command finds a journal that it can go on with"
    assert outcomes(script.show())["after"] == "success"


def test_a_read_only_place_leaves_the_command_alone(script: Place) -> None:
    blocked = script.base / "not-a-directory"
    blocked.write_text("a file is in the way")
    done = measure(script, "--", "sh", "-c", "echo ran; exit 9", env={"STAGEBOOK_DIR": str(blocked / "state")})
    assert (done.code, done.out) == (9, "ran\n")
    assert "not recorded: cannot write" in done.err


def test_a_standard_output_that_is_full_does_not_change_the_exit_status(script: Place) -> None:
    with open("/dev/full", "wb") as full:
        done = measure(script, "--json", "--", "sh", "-c", "exit 9", stdout=full)
    assert done.code == 9
    assert "standard output: No space left" in done.err


def test_a_measuring_process_that_is_killed_leaves_a_sound_journal_and_an_unknown_end(script: Place) -> None:
    command = script.start("measure", "--run", "K", "--name", "lost", "--", "sh", "-c", "echo $$; exec sleep 60")
    waiting.until(lambda: script.events("stage.started"), "a command that runs")
    running = script.show()
    assert (running["outcome"], running["state"], running["finished"]) == (None, "running", None)
    command.send(signal.SIGKILL)
    command.wait()
    os.kill(int(command.so_far()[0]), signal.SIGKILL)
    document = script.show()
    assert (document["outcome"], document["state"]) == ("error", "ended")
    assert by_stage(document)["lost"]["reason"] == "interrupted"
    assert measure(script, "--run", "K", "--name", "next", "--", "true").code == 0
    assert outcomes(script.show()) == {"lost": "error", "next": "success"}


# What is recorded ---------------------------------------------------------------------------------------------------


SIX_LINES = """\
set -e
stagebook measure --name checkout -- sleep 0.05
stagebook measure --name lint -- sleep 0.05
stagebook measure --name unit -- sleep 0.3
stagebook measure --name build -- sleep 0.05
stagebook measure --name deploy -- sleep 0.05
stagebook measure --name smoke -- sleep 0.05
"""
SIX = ["checkout", "lint", "unit", "build", "deploy", "smoke"]


def test_r072_a_six_line_script_becomes_one_run_with_a_timeline_and_a_critical_path(script: Place) -> None:
    done = shell(script, SIX_LINES, STAGEBOOK_RUN="nightly")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(script.run_ids()) == 1
    document = script.show()
    assert (document["pipeline"], document["outcome"], document["measured"]) == ("nightly", "success", True)
    assert (document["mode"], document["max_parallel"]) == ("sequential", 1)
    assert [stage["stage"] for stage in document["stages"]] == document["critical_path"] == SIX
    assert 0.55 <= document["critical_path_s"] <= document["wall_s"]
    assert [stage["needs"] for stage in document["stages"]] == [[], *([name] for name in SIX[:-1])]
    assert {stage["edges"] for stage in document["stages"]} == {"order"}
    timeline = script.run("timeline", "last").out
    assert [line.split()[1] for line in timeline.splitlines()[1:7]] == SIX
    assert "measured: one at a time" in timeline
    assert "measured" in script.run("show", "last").out
    assert [run["measured"] for run in script.run("runs", "--json").json["runs"]] == [True]


def test_what_ran_side_by_side_is_seen_and_what_follows_needs_both(script: Place) -> None:
    text = """
    stagebook measure --name first -- true
    stagebook measure --name a -- sh -c 'while ! [ -s seen ]; do sleep 0.01; done; sleep 0.5' &
    stagebook measure --name b -- sh -c 'while ! [ -s seen ]; do sleep 0.01; done' &
    for name in a b; do
        while ! grep -q '"stage.started","stage":"'$name'"' .stagebook/runs/*/journal.jsonl; do sleep 0.01; done
    done
    echo y > seen
    wait
    stagebook measure --name last -- true
    """
    assert shell(script, text, STAGEBOOK_RUN="K").stderr == ""
    document = script.show()
    stages = by_stage(document)
    assert stages["a"]["needs"] == stages["b"]["needs"] == ["first"]
    assert sorted(stages["last"]["needs"]) == ["a", "b"]
    assert (document["mode"], document["max_parallel"]) == ("parallel", 2)
    assert document["critical_path"] == ["first", "a", "last"]


def test_declared_needs_are_taken_as_they_are_and_unknown_ones_are_only_warned_of(script: Place) -> None:
    for name in ("a", "b"):
        measure(script, "--run", "K", "--name", name, "--", "true")
    done = measure(script, "--run", "K", "--name", "c", "--needs", "a", "tpyo", "--needs", "b", "--", "true")
    assert (done.code, done.err) == (0, "stagebook measure: warning: no stage `tpyo` in this run\n")
    measure(script, "--run", "K", "--name", "free", "--needs", "--", "true")
    stages = by_stage(script.show())
    assert (stages["c"]["needs"], stages["c"]["edges"]) == (["a", "b"], "needs")
    assert (stages["free"]["needs"], stages["free"]["edges"]) == ([], "needs")


def test_the_key_joins_commands_and_without_one_each_is_a_run_of_its_own(script: Place) -> None:
    for run in ("K", "K", "other"):
        measure(script, "--run", run, "--", "true")
    assert len(script.run_ids()) == 2
    measure(script, "--", "true", env={"STAGEBOOK_RUN": "K"})
    assert len(script.run_ids()) == 2
    measure(script, "--", "true")
    measure(script, "--", "true")
    assert len(script.run_ids()) == 4


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({"GITHUB_RUN_ID": "71", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_WORKFLOW": "Release ☃"}, "Release ☃"),
        ({"CI_PIPELINE_ID": "71", "CI_PROJECT_NAME": "shop"}, "shop"),
        ({"CIRCLE_WORKFLOW_ID": "71"}, "71"),
        ({"BUILD_TAG": "jenkins-a/b-7", "JOB_NAME": "a/b"}, "a/b"),
    ],
)
def test_the_ci_systems_run_id_joins_commands(script: Place, env: dict[str, str], name: str) -> None:
    for _ in range(2):
        assert measure(script, "--", "true", env=env).code == 0
    other = {
        key: value + "9" if key in ("GITHUB_RUN_ATTEMPT", "CI_PIPELINE_ID") else value for key, value in env.items()
    }
    assert len(script.run_ids()) == 1
    assert script.show()["pipeline"] == name
    if other != env:
        measure(script, "--", "true", env=other)
        assert len(script.run_ids()) == 2


def test_names_are_kept_apart_and_a_command_tried_again_is_another_attempt(script: Place) -> None:
    flag = script.folder / "flag"
    flaky = ["sh", "-c", f"test -e {flag}"]
    for _ in range(2):
        measure(script, "--run", "K", "--name", "same", "--", "true")
    assert measure(script, "--run", "K", "--name", "flaky", "--", *flaky).code == 1
    flag.touch()
    assert measure(script, "--run", "K", "--name", "flaky", "--", *flaky).code == 0
    document = script.show()
    assert outcomes(document) == {"same": "success", "same#2": "success", "flaky": "success"}
    stage = by_stage(document)["flaky"]
    assert (stage["flaky"], [attempt["outcome"] for attempt in stage["attempts"]]) == (True, ["failure", "success"])
    assert document["outcome"] == "success"


def test_default_names_say_the_program_and_no_long_or_secret_argument(script: Place) -> None:
    for argv in (["true", "word"], ["/bin/true", "--token=secret"], ["true", "s3cr3t/path"]):
        measure(script, "--run", "K", "--", *argv)
    assert list(outcomes(script.show())) == ["true word", "true", "true#2"]


def test_with_json_the_commands_output_goes_to_standard_error_and_one_document_to_standard_output(
    script: Place,
) -> None:
    done = measure(script, "--json", "--name", "unit", "--run", "K", "--", "sh", "-c", "echo words; exit 3")
    assert (done.code, done.err) == (3, "words\n")
    document = json.loads(done.out)
    assert document["run"] == script.run_ids()[0]
    assert (document["stage"], document["outcome"]) == ("unit", "failure")
    assert attempt_of(document)["exit"] == 3
    assert document == {"run": document["run"], **by_stage(script.show())["unit"]}


def test_a_run_is_closed_by_end_and_the_key_is_free_again(script: Place) -> None:
    measure(script, "--run", "K", "--name", "a", "--", "true")
    done = measure(script, "--run", "K", "--end", "--json")
    assert (done.code, done.json["outcome"]) == (0, "success")
    assert [record["event"] for record in script.journal()][-2:] == ["run.ended", "journal.synced"]
    assert by_stage(done.json)["a"]["finished"] == done.json["finished"], "not when somebody closed it"
    assert measure(script, "--run", "K", "--end").code == 2
    assert measure(script, "--run", "never", "--end").code == 2
    measure(script, "--run", "K", "--", "true")
    assert len(script.run_ids()) == 2
    assert script.run("runs", "--json").json["runs"][1]["outcome"] == "success"


def test_end_refuses_while_a_command_runs(script: Place) -> None:
    command = script.start(
        "measure", "--run", "K", "--name", "slow", "--", "sh", "-c", "while [ ! -e go ]; do sleep 0.02; done"
    )
    waiting.until(lambda: script.events("stage.started"), "a command that runs")
    done = measure(script, "--run", "K", "--end")
    assert done.code == 2
    assert "slow has not ended" in done.err
    (script.folder / "go").touch()
    command.wait()
    assert measure(script, "--run", "K", "--end").code == 0


def test_nobody_but_its_script_leads_a_measured_run(script: Place) -> None:
    script.pipeline({"a": "true"})
    measure(script, "--run", "K", "--", "false")
    before = script.journal()
    for words in (["cancel", "last"], ["cancel", "last", "false"], ["cancel", "last", "--record-only"]):
        done = script.run(*words)
        assert (done.code, "was measured" in done.err) == (2, True), done
    again = script.run("run", "--resume", "last", "--json")
    assert (again.code, again.json["run"]) == (1, script.run_ids()[0]), "what is over is shown again"
    assert script.journal() == before


def test_within_a_stage_of_a_run_the_commands_are_a_measured_run_of_their_own(script: Place) -> None:
    script.pipeline({"a": f"{script.command} measure --name inner -- true"})
    done = script.run("run", "--json")
    assert done.json["outcome"] == "success"
    (measured,) = (run for run in script.run("runs", "--json").json["runs"] if run.get("measured"))
    assert measured["pipeline"] == done.json["run"]
    assert script.show(done.json["run"])["outcome"] == "success"


def test_eight_commands_at_once_under_one_key_give_one_sound_journal(script: Place) -> None:
    commands = [
        script.start("measure", "--run", "K", "--name", f"n{n}", "--", "sh", "-c", "sleep 0.05; exit $0", str(n % 2))
        for n in range(8)
    ]
    assert [command.wait().code for command in commands] == [0, 1] * 4
    assert {command.so_far() for command in commands} == {("", "")}
    assert len(script.run_ids()) == 1
    records = script.journal()
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    batches = [record["batch"] for record in records]
    assert batches == sorted(batches)
    times = [record["t"] for record in records]
    assert times == sorted(times)
    document = script.show()
    assert outcomes(document) == {f"n{n}": "failure" if n % 2 else "success" for n in range(8)}
    assert document["warnings"] == []


# How much it used ---------------------------------------------------------------------------------------------------


def usage_of(place: Place, *argv: str, accounting: str = "auto") -> dict[str, Any]:
    done = measure(place, "--json", "--", *argv, env={"STAGEBOOK_ACCOUNTING": accounting})
    assert done.code == 0, done
    used: dict[str, Any] = attempt_of(done.json)["usage"]
    return used


BURN = "import os, time\nwhile time.process_time() < 0.5: pass\nos._exit(0)"
FILL = "block = bytearray(100 << 20)\nfor at in range(0, len(block), 4096): block[at] = 1"


@pytest.mark.parametrize("accounting", ["auto", "wait4"])
def test_r069_a_known_burner_is_measured_within_five_percent(script: Place, accounting: str) -> None:
    used = usage_of(script, PYTHON, "-c", BURN, accounting=accounting)
    assert used["cpu_s"] == pytest.approx(0.5, rel=0.05)
    assert used["method"] in (("wait4",) if accounting == "wait4" else ("cgroup", "wait4"))


def test_r069_a_known_amount_of_memory_is_measured_within_ten_percent(script: Place) -> None:
    # Not `ru_maxrss`, which holds the memory of this test's own process too.
    peak = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    bare = subprocess.run([PYTHON, "-c", f"{FILL}\n{peak}"], capture_output=True, check=True)
    used = usage_of(script, PYTHON, "-c", FILL)
    assert used["max_rss_bytes"] == pytest.approx(int(bare.stdout) * 1024, rel=0.1)
    assert used["max_rss_bytes"] > 100 << 20


MANY = (
    "import os, sys, resource\n"
    "for _ in range(500):\n"
    "    pid = os.fork()\n"
    "    if not pid:\n"
    "        n = 0\n"
    "        while n < 20000: n += 1\n"
    "        os._exit(0)\n"
    "    os.waitpid(pid, 0)\n"
    "used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
    "print(sum(one.ru_utime + one.ru_stime for one in used), file=sys.stderr)\n"
    "os._exit(0)\n"
)


def test_r070_five_hundred_short_children_are_counted_within_five_percent(script: Place) -> None:
    done = measure(script, "--json", "--", PYTHON, "-c", MANY)
    used = attempt_of(done.json)["usage"]
    assert used["method"] in ("cgroup", "wait4")
    assert used["cpu_s"] == pytest.approx(float(done.err), rel=0.05)


def test_r070_a_child_that_nobody_waited_for_is_counted_where_there_is_a_cgroup(script: Place) -> None:
    text = f'(setsid {PYTHON} -c \'{BURN}\nopen("burnt", "w")\' &) ; while [ ! -e burnt ]; do sleep 0.02; done'
    text = text.replace("os._exit(0)\n", "")
    used = usage_of(script, "sh", "-c", text)
    assert used["cpu_s"] >= 0.5 if used["method"] == "cgroup" else used["cpu_s"] < 0.4
    (script.folder / "burnt").unlink()
    waited = usage_of(script, "sh", "-c", text, accounting="wait4")
    assert (waited["method"], waited["cpu_s"] < 0.4) == ("wait4", True), "by wait4 it cannot be known"


def test_measuring_costs_little(script: Place) -> None:
    """CPU time, for wall time is the machine's: the bound is generous, the figure stands in the documentation."""

    def cost(*argv: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, cwd=script.folder, env=script.env, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    env = dict(script.env)
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([script.command, "measure", "--run", "K", "--", "true"], cwd=script.folder, env=env, check=True)
    python = min(cost(PYTHON, "-c", "pass") for _ in range(5))
    whole = min(cost(script.command, "measure", "--run", "K", "--", "true") for _ in range(5))
    assert whole - python < 0.12
    assert Path(script.folder / ".stagebook").is_dir()
