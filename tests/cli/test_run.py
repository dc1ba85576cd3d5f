"""What `run` says beside the run itself: warnings of the file, and of the run that a resume means."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Callable

import pytest
from tests.cli.conftest import Done, finish

Start = Callable[..., "subprocess.Popen[bytes]"]
Say = Callable[..., Done]


@pytest.fixture
def say(start: Start, monkeypatch: pytest.MonkeyPatch) -> Say:
    """As processes: an engine forks, which no test should."""
    monkeypatch.setenv("STAGEBOOK_ACCOUNTING", "wait4")
    return lambda *words: finish(start(*words))


def test_a_resume_of_a_run_looks_for_the_run_before_the_file(say: Say) -> None:
    done = say("run", "--resume", "n1")
    assert done.code == 2
    assert "no run `n1`" in done.err
    assert "stagebook.yaml" not in done.err


def test_logs_of_a_measured_run_say_why_there_are_none(say: Say) -> None:
    assert say("measure", "--run", "k", "--name", "one", "--", "echo", "hello").code == 0
    done = say("logs", "last")
    assert (done.code, done.out) == (0, "")
    assert done.err == "measure does not keep what commands print: it went where the script wanted it\n"


def test_warnings_of_the_file_are_said_on_standard_error_unless_quiet(say: Say, here: Path) -> None:
    (here / "stagebook.yaml").write_text("stages: {deploy: 'true'}\n")
    done = say("run", "--json")
    assert done.code == 0
    assert "warning: stage `deploy` looks like a deployment" in done.err
    assert "looks like" not in say("run", "--quiet").err


@pytest.mark.parametrize(("words", "told"), [
    (["--again", "nosuch"], "--again goes with --resume"),
    (["--done", "one"], "--done goes with --resume"),
    (["--accept-changes"], "--accept-changes goes with --resume"),
    (["--accept-changes", "--again", "one"], "--again and --accept-changes go with --resume"),
])  # fmt: skip
def test_what_is_said_of_an_old_run_starts_no_new_one(say: Say, here: Path, words: list[str], told: str) -> None:
    (here / "stagebook.yaml").write_text("stages: {one: touch ran}\n")
    done = say("run", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: {told}; stagebook run --help shows what is possible\n"
    assert not (here / "ran").exists()
    assert not (here / ".stagebook").exists()


def test_an_old_run_that_nobody_named_and_that_is_gone_on_with_is_told(say: Say, here: Path) -> None:
    (here / "stagebook.yaml").write_text("stages: {one: 'test -e good', two: {cmd: [./tool], needs: one}}\n")
    (here / "good").touch()
    assert say("run").code == 4, "no tool"
    told = r"goes on with run [0-9A-Z]+ of \d{4}-\d\d-\d\d \d\d:\d\d \(error\)"
    assert re.fullmatch(told + "\n", say("run", "--resume").err)
    (here / "good").unlink()
    assert say("run").code == say("run").code == 1
    for words in ([], ["--json"], ["--quiet"]):
        err = say("run", "--resume", *words).err
        assert re.match(told + ", 2 newer runs of this file have ended since\n", err), words
    assert "goes on with" not in say("run", "--resume", "last").err
