"""A file of a CI system runs here only once the user has said that it may: once for each content, remembered where only
the user can write."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
from pathlib import Path

import pytest
from tests.door.place import Place

FILE = ".gitlab-ci.yml"
JOB = "one: {script: ['echo ran >> \"$BASE/ran\"']}\n"


@pytest.fixture
def foreign(place: Place) -> Place:
    place.write(JOB, FILE)
    return place


def ran(place: Place) -> int:
    path = place.base / "ran"
    return len(path.read_text().splitlines()) if path.exists() else 0


def answered(place: Place, answer: str) -> tuple[int, str]:
    """`run` on a terminal on which somebody types."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [place.command, "run", FILE, "--quiet"],
        cwd=place.folder, env=place.env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    os.write(master, answer.encode() + b"\n")
    said = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(master)
    return process.wait(30), said.decode()


def test_without_a_terminal_it_says_what_to_type_and_runs_nothing(foreign: Place) -> None:
    for words in ((), ("--json",), ("--resume",)):
        done = foreign.run("run", FILE, *words)
        assert done.code == 2, done
        assert f"stagebook run {FILE} --yes" in done.said
    assert foreign.run_ids() == []
    assert ran(foreign) == 0
    assert foreign.run("run", FILE, "--dry-run").code == 0, "which starts nothing"


def test_yes_is_remembered_for_this_content_alone(foreign: Place) -> None:
    assert foreign.run("run", FILE, "--yes").code == 0
    assert foreign.run("run", FILE).code == 0
    foreign.write(JOB + "# changed\n", FILE)
    assert foreign.run("run", FILE).code == 2
    foreign.write(JOB, FILE)
    assert foreign.run("run", FILE).code == 0
    assert ran(foreign) == 3


def test_what_it_includes_belongs_to_the_content(foreign: Place) -> None:
    foreign.write("include: [{local: more.yml}]\n" + JOB, FILE)
    foreign.write("two: {script: [true]}\n", "more.yml")
    assert foreign.run("run", FILE, "--yes").code == 0
    foreign.write("two: {script: [false]}\n", "more.yml")
    assert foreign.run("run", FILE).code == 2


def test_commands_for_images_belong_to_the_content(foreign: Place) -> None:
    assert foreign.run("run", FILE, "--yes").code == 0
    foreign.write('[images]\n"*" = "env MORE=1"\n', "stagebook.toml")
    assert foreign.run("run", FILE).code == 2


@pytest.mark.parametrize(("answer", "code", "times"), [("y", 0, 1), ("", 2, 0), ("no", 2, 0)])
def test_on_a_terminal_it_asks(foreign: Place, answer: str, code: int, times: int) -> None:
    found, said = answered(foreign, answer)
    assert "1 job would run on this machine, as you." in said
    assert (found, ran(foreign)) == (code, times)
    assert foreign.run("run", FILE).code == code, "no answer but yes is kept"


def test_it_is_kept_where_only_the_user_can_write_and_never_beside_the_file(foreign: Place) -> None:
    foreign.run("run", FILE, "--yes")
    [kept] = (Path(foreign.env["HOME"]) / ".local" / "state" / "stagebook" / "trusted").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    kept.parent.chmod(0o777)
    assert foreign.run("run", FILE).code == 2, "anybody could have put it there"
    elsewhere = {"XDG_STATE_HOME": str(foreign.base / "state")}
    assert foreign.run("run", FILE, env=elsewhere).code == 2
    assert foreign.run("run", FILE, "--yes", env=elsewhere).code == 0
    assert (foreign.base / "state" / "stagebook" / "trusted").is_dir()


def test_a_watch_of_what_is_not_trusted_ends_before_it_runs_anything(foreign: Place) -> None:
    done = foreign.run("run", FILE, "--watch")
    assert (done.code, "has not been trusted yet" in done.err, ran(foreign)) == (2, True, 0)


def test_a_file_of_stagebook_is_the_users_own(place: Place) -> None:
    place.pipeline({"one": "true"})
    assert place.run("run").code == 0
    assert not (Path(place.env["HOME"]) / ".local").exists()
