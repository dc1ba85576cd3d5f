"""What is shown before an answer: artifacts, what passed, and the commits since the run that was approved last."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stagebook.approval.asked import Standing
from stagebook.approval.judge import Now, Question, Vote, bound
from stagebook.approval.shown import COMMITS_MAX, shown
from stagebook.model.pipeline import Gate
from stagebook.record.line import encode, members, quote

START_US = 1_790_000_000_000_000
RUNS = [f"01AAAAAAAAAAAAAAAAAAAAAAA{at}" for at in range(8)]


def standing(gate: Gate, *votes: Vote) -> Standing:
    return Standing(gate, None, list(votes), Now(0), "", [])


class Places:
    """A state directory with runs of one pipeline file in a git work tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / ".stagebook"

    def git(self, *words: str) -> str:
        environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        options = ["-c", "user.name=ann", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *options, *words], cwd=self.folder, env=environ, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        with open(self.folder / "notes", "a") as file:
            file.write(f"{message}\n")
        self.git("add", "notes")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def run(self, at: int, commit: str | None, approved: bool | None = None, file: str = "stagebook.yaml") -> str:
        directory = self.state / "runs" / RUNS[at]
        directory.mkdir(parents=True)
        first: dict[str, Any] = {
            "pipeline": "release", "mode": "parallel", "jobs": 2, "policy": "strict", "stages": 1,
            "file": str(self.folder / file), "critical": [], "critical_by": None, "commit": commit, "choice": {},
            "plan": {},
        }  # fmt: skip
        lines = [encode(1, 1, RUNS[at], 0, START_US, "run.started", None, None, members(**first))]
        if approved is not None:
            tail = members(approved=approved, reason=None)
            lines.append(encode(2, 2, RUNS[at], 5, START_US, "gate.answered", quote("ship"), None, tail))
        (directory / "journal.jsonl").write_bytes(b"".join(lines))
        return str(directory)

    def changes(self, directory: str) -> dict[str, Any]:
        found: dict[str, Any] = shown(directory, question(directory), standing(Gate()))["changes"]
        return found


def question(directory: str) -> Question:
    rows = (("dist/app.tar", 12, "ab" * 32),)
    return Question(os.path.basename(directory), "ship", "11" * 16, "digest", rows, START_US, None, "ann", ("build",))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    made.git("init", "-q", "-b", "main")
    return made


def test_the_document_holds_what_is_asked_and_who_has_approved(places: Places) -> None:
    directory = places.run(0, places.commit("first"))
    asked = question(directory)
    vote = bound(asked, "bob", True, "looks good", {})._replace(at_us=START_US)
    gate = Gate("Ship it?", ("ops",), quorum=2, timeout_ms=5, default="approve")
    document = shown(directory, asked, standing(gate, vote))
    assert document["artifacts"] == [{"path": "dist/app.tar", "size_bytes": 12, "digest": "ab" * 32}]
    assert (document["green"], document["started_by"], document["needed"]) == (["build"], "ann", 2)
    assert (document["prompt"], document["default"], document["pipeline"]) == ("Ship it?", "approve", "release")
    assert [(each["by"], each["comment"]) for each in document["approvals"]] == [("bob", "looks good")]
    json.dumps(document)


def test_commits_since_the_run_approved_last(places: Places) -> None:
    first = places.commit("first")
    places.run(0, first, True)
    places.run(1, places.commit("rejected"), False)
    places.run(2, places.commit("of another file"), True, "other.yaml")
    places.run(3, places.commit("not answered"))
    last = places.commit("now")
    found = places.changes(places.run(4, last))
    assert (found["since"], found["from"], found["to"], found["why"]) == (RUNS[0], first, last, None)
    assert [line.partition(" ")[2] for line in found["commits"]] == [
        "now",
        "not answered",
        "of another file",
        "rejected",
    ]
    assert (found["more"], found["stat"]) == (0, "1 file changed, 4 insertions(+)")


def test_at_most_twenty_commits_and_how_many_more(places: Places) -> None:
    places.run(0, places.commit("first"), True)
    for at in range(COMMITS_MAX + 3):
        last = places.commit(f"change {at}")
    found = places.changes(places.run(1, last))
    assert (len(found["commits"]), found["more"]) == (20, 3)


def test_the_same_commit_is_no_change(places: Places) -> None:
    commit = places.commit("first")
    places.run(0, commit, True)
    found = places.changes(places.run(1, commit))
    assert (found["since"], found["commits"], found["why"]) == (RUNS[0], [], None)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (None, "is", "no earlier run of this pipeline was approved at ship"),
        ("is", None, "the run is not of a commit: there is no git work tree"),
        ("none", "is", "the run that was approved last is not of a commit"),
        ("f" * 40, "is", "git does not know what lies between ffffffffffff and "),
        ("--output=owned", "is", "the commits on record are none"),
    ],
)
def test_what_is_not_known_is_said(before: str | None, now: str | None, said: str, places: Places) -> None:
    commit = places.commit("first")
    if before is not None:
        places.run(0, {"is": commit, "none": None}.get(before, before), True)
    found = places.changes(places.run(1, commit if now else None))
    assert str(found["why"]).startswith(said)
    assert found["commits"] == []
    assert not (places.folder / "owned").exists()


def test_without_git_it_is_said(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    places.run(0, places.commit("first"), True)
    directory = places.run(1, places.commit("second"))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert places.changes(directory)["why"] == "git is not installed"
