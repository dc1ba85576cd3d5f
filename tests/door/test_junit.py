"""`run --junit` and `timeline --format junit`: however a run ends, the file says so, as another's parser reads it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from tests.door.place import Place, noted

STAGES: dict[str, Any] = {
    "good": "true",
    "again": {"run": "echo try $STAGEBOOK_ATTEMPT; test $STAGEBOOK_ATTEMPT = 2", "retry": {"attempts": 2}},
    "bad": {"run": 'printf "one\\n<two> \\033[31m&\\033[0m\\n"; exit 3', "needs": "good"},
    "slow": {"run": "sleep 30", "timeout": "200ms", "grace": "100ms"},
    "gone": {"cmd": ["/no/such/program"]},
    "never": {"run": "true", "needs": "bad"},
}


def read(path: Path) -> dict[str, Any]:
    suite = next(iter(JUnitXml.fromfile(str(path))))
    return {case.name: case for case in suite}


def test_r080_stages_are_tests_with_reason_time_and_log(place: Place) -> None:
    place.pipeline(STAGES, name="<release>")
    assert place.run("run", "-j", "4", "--quiet", "--junit", "out/junit.xml").code == 4
    path = place.folder / "out" / "junit.xml"
    suite = next(iter(JUnitXml.fromfile(str(path))))
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("<release>", 6, 2, 1, 1)
    found = read(path)
    assert found["good"].result == []
    assert found["again"].result == []
    earlier = found["again"]._elem[0]
    assert (earlier.tag, earlier.get("message")) == ("flakyFailure", "exit 1")
    assert earlier[0].text.endswith("try 1")
    bad, slow, gone, never = (found[name].result[0] for name in ("bad", "slow", "gone", "never"))
    assert isinstance(bad, Failure)
    assert (bad.message, bad.text.splitlines()[-2:]) == ("exit 3", ["one", "<two> &"])
    assert isinstance(slow, Failure)
    assert slow.type == "timeout"
    assert found["slow"].time > 0.05
    assert isinstance(gone, Error)
    assert isinstance(never, Skipped)
    assert never.message == "needs bad (failure)"
    document = place.show()
    assert {one.name: one.value for one in suite.properties()}["stagebook.run"] == document["run"]
    assert suite.time == pytest.approx(document["wall_s"], abs=0.001)
    again = place.run("timeline", "last", "--format", "junit", "-o", "again.xml")
    assert again.said == ""
    assert (place.folder / "again.xml").read_text() == path.read_text()
    assert place.run("timeline", "last", "--format", "junit").out == path.read_text()


@pytest.mark.parametrize("how", ["signal", "cancel"])
def test_it_is_written_when_a_run_is_stopped(how: str, place: Place) -> None:
    place.pipeline([{"long": noted("sleep 60")}, {"after": "true"}])
    path = place.folder / "junit.xml"
    path.write_text("of an earlier run")
    command = place.start("run", "--quiet", "--junit", str(path))
    place.wait_for("long")
    assert path.read_text() == "of an earlier run"
    if how == "signal":
        os.kill(command.engine, signal.SIGINT)
    else:
        assert place.run("cancel", "last").code == 0
    assert command.wait().code == (130 if how == "signal" else 1)
    found = read(path)
    assert found["long"].result[0].type == "cancellation"
    assert isinstance(found["after"].result[0], Skipped)


def test_a_resumed_run_and_one_that_is_only_shown_again_write_it(place: Place) -> None:
    place.pipeline([{"long": noted('test -e "$BASE/go" || sleep 60')}, {"after": "true"}])
    command = place.start("run", "--quiet")
    place.wait_for("long")
    command.kill()
    (place.base / "go").touch()
    assert place.run("run", "--resume", "--quiet", "--junit", "1.xml").code == 0
    assert place.run("run", "--resume", place.run_ids()[-1], "--quiet", "--junit", "2.xml").code == 0
    first, second = (read(place.folder / name) for name in ("1.xml", "2.xml"))
    assert list(first["long"]._elem) == []
    assert list(first) == list(second) == ["long", "after"]


@pytest.mark.parametrize(("name", "code"), [("folder", 2), ("file/x.xml", 2), ("", 2), ("/sys/x.xml", 4)])
def test_what_cannot_be_written_is_refused_before_the_run_begins(name: str, code: int, place: Place) -> None:
    place.pipeline({"a": noted()})
    (place.folder / "folder").mkdir()
    (place.folder / "file").touch()
    done = place.run("run", "--junit", name)
    assert done.code == code, done
    assert "nothing was run" in done.err
    assert place.ledger() == []
    assert place.run_ids() == []


def test_a_disk_that_is_full_in_the_end_is_told_and_is_the_exit_status_of_a_run_that_went_well(place: Place) -> None:
    place.pipeline({"a": "true", "b": "exit 1"})
    (place.folder / "full.xml").symlink_to("/dev/full")
    done = place.run("run", "--junit", "full.xml")
    assert done.code == 1
    assert "cannot write full.xml: No space left on device; the record is whole" in done.err
    place.pipeline({"a": "true"})
    done = place.run("run", "--json", "--junit", "full.xml")
    assert (done.code, done.json["outcome"]) == (4, "success")
    assert (place.folder / "full.xml").is_symlink()
    done = place.run("run", "--junit", "/dev/null")
    assert done.code == 0, done


def test_a_report_is_replaced_as_a_whole_or_stays(place: Place) -> None:
    place.pipeline({"a": "true"})
    path = place.folder / "real.xml"
    path.write_text("of an earlier run")
    path.chmod(0o640)
    link = place.folder / "link.xml"
    link.symlink_to("real.xml")
    full = place.run("run", "--junit", "link.xml", env={"STAGEBOOK_FAULT": "journal.append:1+:ENOSPC"})
    assert full.code == 4, full
    assert path.read_text() == "of an earlier run"
    assert place.run("run", "--junit", "link.xml").code == 0
    assert link.is_symlink() and list(read(path)) == ["a"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in place.folder.glob("*.tmp")] == []


def test_a_fifo_is_written_as_it_is(place: Place) -> None:
    place.pipeline({"a": "true"})
    os.mkfifo(place.folder / "pipe")
    reader = place.start(prefix=("sh", "-c", "cat pipe > whole.xml"))
    assert place.run("run", "--quiet", "--junit", "pipe", within_s=20).code == 0
    assert reader.wait().code == 0
    assert list(read(place.folder / "whole.xml")) == ["a"]


def test_a_dry_run_writes_nothing(place: Place) -> None:
    place.pipeline({"a": "true"})
    assert place.run("run", "--dry-run", "--junit", "x.xml").code == 0
    assert not (place.folder / "x.xml").exists()
