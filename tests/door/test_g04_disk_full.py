"""G4: a full or read-only disk stops the run with exit 4 and a message with path and cause; what is on record stays
true, and with room made the run goes on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest
from tests.door.place import Done, Place, by_stage, note, noted

GRAPH: dict[str, Any] = {
    "a": noted(),
    "b1": {"run": noted(), "needs": "a"},
    "b2": {"run": noted(), "needs": "a"},
    "c": {"run": noted(), "needs": ["b1", "b2"]},
    "d": {"run": noted(), "needs": "c", "retry-safe": False},
}

FULL = "No space left"
CAUSES = {"ENOSPC": FULL, "EIO": "Input/output error"}


def check_stopped(place: Place, done: Done, cause: str) -> None:
    """Exit 4, in words, with nothing recorded that did not happen and nothing running."""
    assert done.code == 4, done
    assert cause in done.err, done
    assert "journal.jsonl" in done.err, done
    assert "Traceback" not in done.said
    assert place.left(1) == []
    ended_well = [line.stage for line in place.ledger() if line.word == "end"]
    for record in place.events("stage.ended"):
        assert record["outcome"] != "success" or record["stage"] in ended_well


def check_resumes(place: Place, fault: object) -> None:
    """With room made it goes on; an unsafe stage whose end is unknown asks first."""
    recorded = {record["stage"] for record in place.events("stage.ended") if record["outcome"] == "success"}
    begun = len(place.began())
    done = place.run("run", "--resume", "--json")
    if done.code == 3:
        assert by_stage(done.json)["d"]["outcome"] is None, (fault, done)
        done = place.run("run", "--resume", "--again", "d", "--json")
    assert done.code == 0, (fault, done)
    assert done.json["outcome"] == "success"
    assert not recorded & set(place.began()[begun:]), fault


@pytest.mark.parametrize("for_good", ["", "+"], ids=["once", "for-good"])
@pytest.mark.parametrize("error", CAUSES)
@pytest.mark.parametrize("point", ["journal.append", "journal.sync"])
def test_g04_the_nth_write_fails_for_every_n(new_place: Any, point: str, error: str, for_good: str) -> None:
    met = 0
    for at in range(1, 100):
        place = new_place()
        place.pipeline(GRAPH)
        done = place.run("run", env={"STAGEBOOK_FAULT": f"{point}:{at}{for_good}:{error}"})
        if done.code == 0:
            break
        met += 1
        check_stopped(place, done, CAUSES[error])
        check_resumes(place, (point, at, for_good, error))
    assert done.code == 0, "no end of writes"
    assert met >= (10 if point == "journal.append" else 1)


@pytest.mark.parametrize("error", ["ENOSPC", pytest.param("EIO", marks=pytest.mark.nightly)])
def test_g04_a_fault_while_recovering_from_a_kill_is_survived_too(new_place: Any, error: str) -> None:
    """Compound: killed at some record, then the n-th write of the resume fails, then it goes on."""
    for at in range(1, 100):
        place = new_place()
        place.pipeline(GRAPH)
        place.run("run", env={"STAGEBOOK_FAULT": "journal.append:5:KILL"})
        assert place.journal()
        done = place.run("run", "--resume", env={"STAGEBOOK_FAULT": f"journal.append:{at}:{error}"})
        if done.code in (0, 3):
            break
        check_stopped(place, done, CAUSES[error])
        check_resumes(place, at)
    assert at > 3


def test_g04_a_start_that_fails_is_an_error_that_says_why(place: Place) -> None:
    place.pipeline({"a": noted(), "b": {"run": noted(), "needs": "a"}, "c": {"run": noted(), "needs": "b"}})
    done = place.run("run", "--json", env={"STAGEBOOK_FAULT": "spawn:2+:EAGAIN"})
    assert done.code == 4
    stages = by_stage(done.json)
    assert stages["a"]["outcome"] == "success"
    assert stages["b"]["outcome"] == "error"
    assert "temporarily unavailable" in stages["b"]["reason"]
    assert stages["c"]["outcome"] == "skip"


def test_g04_a_start_that_fails_once_is_tried_again_where_the_stage_may_retry(place: Place) -> None:
    place.pipeline({"a": {"run": noted(), "retry": {"attempts": 2}}})
    done = place.run("run", "--json", env={"STAGEBOOK_FAULT": "spawn:1:EAGAIN"})
    assert done.code == 0
    assert [attempt["outcome"] for attempt in by_stage(done.json)["a"]["attempts"]] == ["error", "success"]


# A real small disk ----------------------------------------------------------------------------------------------


@pytest.fixture
def state_disk(place: Place) -> Iterator[Path]:
    """`.stagebook` on a file system of its own with 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    state = place.folder / ".stagebook"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "stagebook-test", str(state)], check=True)
    yield state
    subprocess.run(["umount", "--lazy", "--recursive", str(state)], check=True)


def fill(disk: Path) -> Path:
    """Write until nothing more fits; the file that holds the room."""
    ballast = disk / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return ballast


def test_g04_a_disk_that_is_full_before_the_run_stops_it_before_any_stage(place: Place, state_disk: Path) -> None:
    place.pipeline(GRAPH)
    ballast = fill(state_disk)
    done = place.run("run")
    assert done.code == 4, done
    assert FULL in done.err
    assert str(state_disk) in done.err
    assert place.began() == []
    ballast.unlink()
    assert place.run("run", "--resume").code == 0
    assert place.began() == ["a", "b1", "b2", "c", "d"] or place.began() == ["a", "b2", "b1", "c", "d"]


def test_g04_a_disk_that_fills_up_in_mid_run_stops_it_and_with_room_it_goes_on(place: Place, state_disk: Path) -> None:
    place.pipeline({
        "a": noted(),
        "fills": {"run": noted(f"cat /dev/zero > {state_disk}/ballast || true"), "needs": "a"},
        "b": {"run": noted(), "needs": "fills"},
    } | {f"c{i}": {"run": noted(), "needs": "b"} for i in range(40)})  # fmt: skip
    done = place.run("run")
    check_stopped(place, done, FULL)
    (state_disk / "ballast").unlink()
    check_resumes(place, "full")
    assert place.began().count("a") == 1


def test_g04_a_log_that_fills_the_disk_is_an_error_of_the_surroundings(place: Place, state_disk: Path) -> None:
    place.pipeline({"loud": noted("cat /dev/zero | head -c 1000000")})
    done = place.run("run")
    assert done.code == 4, done
    assert FULL in done.said or "disk full" in done.said
    assert "Traceback" not in done.said


@pytest.fixture
def log_disk(place: Place) -> Iterator[str]:
    """Shell text for a stage that puts the logs of its own run on a disk with 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    yield 'mount -t tmpfs -o size=64k stagebook-test ".stagebook/runs/$STAGEBOOK_RUN/logs"'
    for run in place.run_ids():
        subprocess.run(["umount", "--lazy", str(place.runs_folder / run / "logs")], check=False)


def test_g04_a_full_log_does_not_fail_its_stage_and_is_marked(place: Place, log_disk: str) -> None:
    place.pipeline([
        {"mount": log_disk},
        {"loud": {"run": noted("head -c 1000000 /dev/zero"), "log-limit": "10MB"}},
        {"quiet": noted()},
    ])  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 0, done
    assert by_stage(done.json)["loud"]["outcome"] == "success"
    assert any("log_incomplete" in text and "loud" in text for text in done.json["warnings"])
    assert not any("quiet" in text for text in done.json["warnings"])


def test_g04_a_stage_that_fails_on_its_full_log_is_an_error_that_names_the_disk(place: Place, log_disk: str) -> None:
    place.pipeline([{"mount": log_disk}, {"loud": "head -c 1000000 /dev/zero"}])
    done = place.run("run", "--json")
    assert done.code == 4
    stage = by_stage(done.json)["loud"]
    assert stage["outcome"] == "error"
    assert "disk full" in stage["reason"]
    assert "logs" in stage["reason"]


# Read-only ------------------------------------------------------------------------------------------------------


@pytest.fixture
def read_only(place: Place) -> Iterator[Path]:
    """The project's folder, mounted read-only with root, else without the right to write."""
    place.pipeline(GRAPH)
    if os.geteuid() == 0:
        subprocess.run(["mount", "--bind", str(place.folder), str(place.folder)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place.folder)], check=True)
        yield place.folder
        subprocess.run(["umount", "--lazy", str(place.folder)], check=True)
    else:
        place.folder.chmod(0o555)
        yield place.folder
        place.folder.chmod(0o755)


def test_g04_a_read_only_directory_stops_the_run_before_any_stage(place: Place, read_only: Path) -> None:
    done = place.run("run")
    assert done.code == 4, done
    assert str(read_only / ".stagebook") in done.err
    assert "Read-only file system" in done.err or "Permission denied" in done.err
    assert "Traceback" not in done.err
    assert place.began() == []


def test_g04_what_only_reads_works_in_a_read_only_directory(place: Place, read_only: Path) -> None:
    for words in (["lint"], ["map"], ["map", "--json"], ["run", "--dry-run"]):
        done = place.run(*words)
        assert done.code == 0, (words, done)
    assert not (read_only / ".stagebook").exists()


def test_a_state_directory_elsewhere_serves_a_read_only_project(place: Place, read_only: Path) -> None:
    state = place.base / "state"
    assert place.run("run", "--dir", str(state)).code == 0
    assert place.run("runs", "--json", env={"STAGEBOOK_DIR": str(state)}).json["runs"][0]["outcome"] == "success"
    assert note("begin") and len(place.began()) == 5
