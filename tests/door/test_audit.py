"""`audit`: decisions and refusals in a chain that shows whatever is done to it. Entries are made as an engine does."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path
from typing import Any, Iterator

import pytest
from tests.door.place import Done, Place, noted

from stagebook.approval import audit
from stagebook.approval.audit import Entry

ORIGIN = {"via": "command", "uid": 1000, "host": "here", "tty": "/dev/pts/1"}


def path(place: Place) -> Path:
    return place.folder / ".stagebook" / "audit.jsonl"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, stagebook: str) -> Iterator[Path]:
    """The state directory of a run that is over."""
    place = Place(tmp_path_factory.mktemp("before") / "place", stagebook)
    place.pipeline({"build": "true"})
    assert place.run("run", "--quiet").code == 0
    yield place.folder / ".stagebook"
    place.close()


@pytest.fixture
def place(place: Place, before: Path) -> Place:
    shutil.copytree(before, place.folder / ".stagebook", symlinks=True)
    return place


def decided(place: Place) -> str:
    """Two votes and a refusal of a run that is over, in the chain and in its journal; the run's id."""
    run = place.run_ids()[-1]
    for by, what, more in (
        ("eve", "refused", {"code": "not-listed", "reason": "eve is no approver of ship; asked are ops"}),
        ("ann", "approved", {"comment": "read \x1b[2J it"}),
        ("bob", "approved", {"decides": True}),
    ):
        entry = Entry(what, by, ORIGIN, run, "ship", "5f" * 16, **more)  # type: ignore[arg-type]
        vote(place, run, by, audit.append(str(place.folder / ".stagebook"), entry))
    return run


def vote(place: Place, run: str, by: str, hash_: str) -> None:
    """The line that an engine writes for a vote."""
    last = place.journal(run)[-1]
    line: dict[str, Any] = {
        "v": 1, "seq": last["seq"] + 1, "batch": last["batch"] + 1, "run": run, "t": last["t"], "at": last["at"],
        "event": "gate.vote", "stage": "ship", "by": by, "audit": hash_,
    }  # fmt: skip
    body = json.dumps(line, separators=(",", ":"))[:-1].encode()
    with open(place.journal_path(run), "ab") as file:
        file.write(body + b',"crc":"%08x"}\n' % zlib.crc32(body))


def test_nothing_was_decided_yet(place: Place) -> None:
    for words in (["audit"], ["audit", "--verify"]):
        done = place.run(*words)
        assert (done.code, done.out.splitlines()[0]) == (0, "nothing was decided or refused yet")
    assert place.run("audit", "--json").json["entries"] == []


def test_g24_every_decision_and_refusal_is_listed_verdict_first(place: Place) -> None:
    run = decided(place)
    done = place.run("audit")
    assert done.code == 0
    verdict, blank, refused, why, ann, bob = done.out.splitlines()
    assert (verdict, blank) == ("✓ 3 entries, the chain holds, 2 approved, 1 refused", "")
    assert refused.startswith("⊘ ")
    assert refused.endswith(f"refused   eve  ship of {run[:8]}")
    assert why == "    not-listed: eve is no approver of ship; asked are ops"
    assert '"read \\x1b[2J it"' in ann
    assert bob.endswith("decided")
    document = place.run("audit", "--json").json
    assert (document["holds"], document["length"], document["fault"]) == (True, 3, None)
    assert [entry["by"] for entry in document["entries"]] == ["eve", "ann", "bob"]
    assert document["entries"][0]["from"] == ORIGIN
    assert place.run("audit", "--quiet").out == ""


def test_entries_of_one_run_also_when_it_is_gone(place: Place) -> None:
    run = decided(place)
    audit.append(
        str(place.folder / ".stagebook"), Entry("refused", "eve", ORIGIN, "01ZZZZZZZZZZZZZZZZZZZZZZZZ", "ship")
    )
    assert len(place.run("audit", "--run", "last", "--json").json["entries"]) == 3
    assert len(place.run("audit", "--run", "01ZZ", "--json").json["entries"]) == 1, "removed, or never here"
    done = place.run("audit", "--run", "7ZZZ")
    assert (done.code, run in done.err) == (2, True)


def test_the_chain_outlives_the_runs_that_it_tells_of(place: Place) -> None:
    decided(place)
    before = path(place).read_bytes()
    assert place.run("gc", "--cache-limit", "0B").code == 0
    assert place.run("history", "prune", "--older-than", "1ms").code == 0
    assert place.run_ids() == []
    assert path(place).read_bytes() == before
    assert place.run("audit", "--verify").code == 0


def verified(place: Place) -> Done:
    return place.run("audit", "--verify")


def test_the_votes_in_journals_are_held_against_the_chain(place: Place) -> None:
    decided(place)
    done = verified(place)
    assert done.code == 0
    assert "3 votes in 1 journal, each in the chain" in done.out


@pytest.mark.parametrize("line", [1, 2])
def test_an_altered_line_is_found_with_its_number(line: int, place: Place) -> None:
    decided(place)
    lines = path(place).read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"uid":1000', b'"uid":1001')
    path(place).write_bytes(b"".join(lines))
    offset = sum(map(len, lines[: line - 1]))
    for done in (place.run("audit"), verified(place)):
        assert done.code == 1
        assert done.out.startswith(f"✗ the chain does not hold from line {line} (byte {offset}): its hash is not")
    document = place.run("audit", "--json").json
    assert (document["holds"], document["fault"]["line"], len(document["entries"])) == (False, line, line - 1)


def test_a_cut_off_end_is_found_by_the_journals(place: Place) -> None:
    run = decided(place)
    path(place).write_bytes(b"".join(path(place).read_bytes().splitlines(keepends=True)[:2]))
    assert place.run("audit").code == 0, "a chain alone cannot tell"
    done = verified(place)
    assert done.code == 1
    assert done.out.startswith("✗ 1 vote of journals is not in the chain\n")
    assert f"bob at ship of run {run}" in done.out
    path(place).unlink()
    assert len(place.run("audit", "--verify", "--json").json["missing"]) == 3, "nor does taking away all of it hide"


def test_an_entry_made_anew_in_place_of_another_is_found_by_the_journals(place: Place) -> None:
    run = decided(place)
    path(place).write_bytes(b"".join(path(place).read_bytes().splitlines(keepends=True)[:2]))
    audit.append(str(place.folder / ".stagebook"), Entry("rejected", "bob", ORIGIN, run, "ship", "5f" * 16))
    assert (place.run("audit").code, verified(place).code) == (0, 1)


def test_a_torn_last_line_is_told_and_is_no_fault(place: Place) -> None:
    run = decided(place)
    with open(path(place), "ab") as file:
        file.write(b'{"v":1,"n":4,"at":"2026')
    done = place.run("audit")
    assert done.code == 0
    assert "the last 23 bytes are a line that a crash has torn" in done.out
    vote(
        place, run, "cyd", audit.append(str(place.folder / ".stagebook"), Entry("approved", "cyd", ORIGIN, run, "ship"))
    )
    done = verified(place)
    assert done.code == 0
    assert "repaired" in done.out
    assert "23 bytes of a torn line cut" in done.out


def test_a_link_in_its_place_is_refused(place: Place, tmp_path: Path) -> None:
    decided(place)
    path(place).rename(tmp_path / "elsewhere")
    path(place).symlink_to(tmp_path / "elsewhere")
    done = place.run("audit")
    assert (done.code, done.out) == (4, "")
    assert "is a link" in done.err


def test_a_journal_that_cannot_be_compared_is_named(place: Place) -> None:
    run = decided(place)
    data = place.journal_path(run).read_bytes()
    place.journal_path(run).write_bytes(data.replace(b'"by":"ann"', b'"by":"amy"'))
    done = verified(place)
    assert done.code == 1
    assert done.out.startswith("✗ 1 journal cannot be compared")
    assert run in done.out


def test_a_narrow_terminal_and_ascii_get_lines_that_fit(place: Place) -> None:
    decided(place)
    done = place.run("audit", "--ascii", env={"COLUMNS": "60"})
    assert done.out.isascii()
    assert max(map(len, done.out.splitlines())) < 60


# Votes that are given for real --------------------------------------------------------------------------------------


def test_g24_what_cannot_be_recorded_does_not_count_and_what_did_not_count_is_told(
    place: Place, tmp_path: Path
) -> None:
    place.pipeline({"ship": {"gate": {"quorum": 2}}, "deploy": {"run": noted(), "needs": "ship"}})
    assert place.run("run", "--no-wait", "--quiet").code == 3
    path(place).symlink_to(tmp_path / "elsewhere")
    assert place.run("approve", "last", "ship").code == 4
    path(place).unlink()
    full = place.run("approve", "last", "ship", env={"STAGEBOOK_FAULT": "audit.append:1:ENOSPC"})
    assert (full.code, "No space left" in full.err) == (4, True)
    killed = place.run("approve", "last", "ship", env={"STAGEBOOK_FAULT": "journal.append:1:KILL"})
    assert killed.code == -9
    assert place.show()["stages"][0]["gate"]["approvals"] == []
    done = verified(place)
    assert (done.code, "is in no journal, so it did not count" in " ".join(done.out.split())) == (0, True)
    assert place.run("approve", "last", "ship").code == 0
    assert place.run("approve", "last", "ship").code == 2, "the same person"
    document = place.run("audit", "--verify", "--json").json
    assert [entry["what"] for entry in document["entries"]] == ["approved", "approved", "refused"]
    assert [vote["hash"] for vote in document["uncounted"]] == [document["entries"][0]["hash"]]
    assert (document["votes"], document["missing"]) == (1, [])
    assert (place.began(), (tmp_path / "elsewhere").exists()) == ([], False)
