"""`bundle`: one archive for a bug report, that gives nothing away and says what is in it."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from tests.door.place import Place


def contents(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None and member.mode == 0o600
            found[member.name.partition("/")[2]] = file.read()
    return found


@pytest.fixture
def ran(place: Place) -> Place:
    place.env["DEPLOY_TOKEN"] = "t0ken-7f3a9b"
    place.pipeline(
        {
            "fine": "echo fine",
            "wrong": {
                "run": "echo $DEPLOY_TOKEN; echo https://me:pa55w@host/; echo password=printed-one\n"
                "LC_PASSWORD=in-command false",
                "secrets": ["DEPLOY_TOKEN"], "env": {"DB_PASSWORD": "hunter2", "MODE": "quick"},
            },
            "long": 'sleep 0.3; i=0; while [ $i -lt 30000 ]; do echo "line $i of many"; i=$((i+1)); done; sleep 0.3',
        },
        secrets=["DEPLOY_TOKEN"],
        params={"api-token": {"default": "from-the-file"}, "channel": {"default": "beta"}},
    )  # fmt: skip
    assert place.run("run", "--param", "api-token=from-the-command-line").code == 1
    return place


def test_a_bundle_has_what_is_needed_and_nothing_secret(ran: Place) -> None:
    done = ran.run("bundle", "last", "-o", "bug.tar.gz", "--json")
    assert done.code == 0, done
    path = ran.folder / "bug.tar.gz"
    assert path.stat().st_mode & 0o777 == 0o600
    found = contents(path)
    assert sorted(found) == [
        "README.txt", "doctor.json", "journal.jsonl", "logs/fine.1.log", "logs/growth", "logs/long.1.log",
        "logs/wrong.1.log", "stagebook.yaml", "versions.json",
    ]  # fmt: skip
    assert {one["name"] for one in done.json["members"]} == set(found) - {"README.txt"}
    for text in (b"7f3a9b", b"pa55w", b"hunter2", b"from-the-", b"in-command", b"printed-one"):
        assert [name for name, data in found.items() if text in data] == []
    assert b"Look at it before you send it" in found["README.txt"]
    assert b"MODE" in found["stagebook.yaml"] and b"quick" in found["stagebook.yaml"]
    log = found["logs/long.1.log"]
    assert log.startswith(b"line 0 ") and log.endswith(b"line 29999 of many\n") and b"bytes left out here" in log
    left_out = {one["name"]: one["left_out_bytes"] for one in done.json["members"]}
    assert left_out["logs/long.1.log"] > 100_000 and left_out["journal.jsonl"] == 0


def test_the_journal_of_a_bundle_is_one_that_is_read(ran: Place, new_place: object) -> None:
    ran.run("bundle", "last", "-o", "bug.tar.gz")
    journal = contents(ran.folder / "bug.tar.gz")["journal.jsonl"]
    run = ran.run_ids()[-1]
    elsewhere = ran.base / "elsewhere" / "runs" / run
    elsewhere.mkdir(parents=True)
    (elsewhere / "journal.jsonl").write_bytes(journal)
    told = ran.run("show", run, "--json", "--dir", str(ran.base / "elsewhere"))
    assert told.code == 0, told
    assert {one["stage"]: one["outcome"] for one in told.json["stages"]} == {
        "fine": "success", "wrong": "failure", "long": "success",
    }  # fmt: skip


def test_the_same_run_makes_the_same_archive_and_nothing_is_overwritten(ran: Place) -> None:
    assert ran.run("bundle", "last", "-o", "one.tar.gz").code == 0
    done = ran.run("bundle", "last", "-o", "one.tar.gz")
    assert done.code == 2 and "one.tar.gz" in done.err
    first = contents(ran.folder / "one.tar.gz")
    assert ran.run("bundle", "last", "--quiet").out == ""
    (named,) = ran.folder.glob(f"stagebook-{ran.run_ids()[-1]}.tar.gz")
    second = contents(named)
    free = ("doctor.json", "README.txt")  # free memory and disk are not the same twice
    assert {name: data for name, data in first.items() if name not in free} == {
        name: data for name, data in second.items() if name not in free
    }
    assert list(first) == list(second)


def test_a_damaged_run_can_be_bundled_too(ran: Place) -> None:
    path = ran.journal_path()
    data = path.read_bytes()
    path.write_bytes(b"x" + data[1:])
    done = ran.run("bundle", "last", "-o", "bug.tar.gz", env={"DEPLOY_TOKEN": ""})
    assert done.code == 0, done
    found = contents(ran.folder / "bug.tar.gz")
    assert found["journal.jsonl"].startswith(b"x")
    assert b"hunter2" not in found["journal.jsonl"]


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "gone"])
def test_a_journal_that_is_no_file_is_refused_with_its_name(kind: str, ran: Place) -> None:
    run = ran.run_ids()[-1]
    path = ran.journal_path()
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "directory":
        path.mkdir()
    done = ran.run("bundle", run, "-o", "bug.tar.gz", within_s=20)
    assert done.code == 4, done
    assert f"cannot read {path}: " in done.err and done.err.count("\n") == 1
    assert not (ran.folder / "bug.tar.gz").exists()


def test_what_cannot_be_written_leaves_nothing(ran: Place) -> None:
    done = ran.run("bundle", "last", "-o", "no/such/bug.tar.gz")
    assert done.code == 4 and "no/such/bug.tar.gz" in done.err
    assert ran.run("bundle", "ZZZ").code == 2


def test_a_pipeline_file_that_has_changed_or_gone_is_said(ran: Place) -> None:
    ran.write("version: 1\nstages: {a: 'true'}\n")
    changed = json.loads(ran.run("bundle", "last", "-o", "a.tar.gz", "--json").out)
    assert any("did not have" in one["about"] for one in changed["members"] if one["name"] == "stagebook.yaml")
    (ran.folder / "stagebook.yaml").unlink()
    gone = ran.run("bundle", "last", "-o", "b.tar.gz", "--json")
    assert gone.code == 0, gone
    assert any("stagebook.yaml" in text for text in gone.json["left_out"])
