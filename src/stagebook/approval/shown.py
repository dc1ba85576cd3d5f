"""What a person is shown before an answer at a gate, as one document: what it asks, what ran green, artifacts with
their hashes, who has approved, and what was committed since the run that was last approved there. Judges nothing.
"""

from __future__ import annotations

import os
import re

from stagebook.approval.judge import approvals
from stagebook.model.problem import SurroundingsError
from stagebook.record import reader, runs
from stagebook.record.clock import stamp
from stagebook.record.line import BrokenLine, decode
from stagebook.record.state import journal_path, open_regular, run_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from stagebook.approval.asked import Standing
    from stagebook.approval.judge import Question, Row, Vote

COMMITS_MAX = 20
LOOK_BACK = 200  #: runs of all pipelines, among which the last approved one is looked for
_HASH = r"(?:[0-9a-f]{40}|[0-9a-f]{64})"
_ANSWERED = b'"event":"gate.answered"'
_VOID = b'"event":"gate.void"'


def shown(directory: str, question: Question, standing: Standing) -> dict[str, Any]:
    """The document. Raises SurroundingsError for a journal that cannot be read."""
    first, gate = _first(directory), standing.gate
    return {
        "run": question.run,
        "pipeline": first.get("pipeline"),
        "gate": question.gate,
        "prompt": gate.prompt,
        "asked": stamp(question.asked_us),
        "expires": None if question.expires_us is None else stamp(question.expires_us),
        "default": gate.default if gate.timeout_ms is not None else None,
        "needed": gate.quorum,
        "approvers": list(gate.approvers),
        "approvals": given(standing.votes),
        "started_by": question.started_by,
        "started": first.get("at"),
        "digest": question.digest,
        "green": list(question.green),
        "warnings": standing.warnings,
        "artifacts": _files(question.artifacts),
        "inputs": _files(question.inputs),
        "changes": changes(directory, question.gate, first),
    }


def _files(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"path": path, "size_bytes": size, "digest": digest} for path, size, digest in rows]


def given(votes: Sequence[Vote]) -> list[dict[str, Any]]:
    """The approvals that stand, as in the document of a run."""
    return [{"by": vote.by, "at": stamp(vote.at_us), "comment": vote.comment} for vote in approvals(votes)]


def changes(directory: str, gate: str, first: dict[str, Any]) -> dict[str, Any]:
    """What was committed between the run last approved at this gate and this one: `since` (that run), `from`, `to`,
    `commits` (a line each, at most 20), `more` (how many further), `stat`; `why` says why anything is not known."""
    found: dict[str, Any] = {
        "since": None, "from": None, "to": first.get("commit"), "commits": [], "more": 0, "stat": None, "why": None,
    }  # fmt: skip
    before = _last_approved(directory, gate, first)
    if before is not None:
        found["since"], found["from"] = before
    if not found["to"]:
        found["why"] = "the run is not of a commit: there is no git work tree"
    elif before is None:
        found["why"] = f"no earlier run of this pipeline was approved at {gate}"
    elif not found["from"]:
        found["why"] = "the run that was approved last is not of a commit"
    elif found["from"] != found["to"]:
        _ask_git(os.path.dirname(str(first.get("file") or "")), found)
    return found


def _ask_git(folder: str, found: dict[str, Any]) -> None:
    from stagebook.condition.git import Git, Silent

    if not all(re.fullmatch(_HASH, found[end]) for end in ("from", "to")):
        found["why"] = "the commits on record are none"
        return
    between = f"{found['from']}..{found['to']}"
    try:
        git = Git(folder, os.environ)
        counted = git.ask("rev-list", "--count", between)
        if counted.code or not counted.line.isdigit():
            found["why"] = f"git does not know what lies between {found['from'][:12]} and {found['to'][:12]}"
            return
        log = git.ask("log", "--oneline", "--no-decorate", "--no-color", f"--max-count={COMMITS_MAX}", between, "--")
        found["commits"] = [os.fsdecode(line) for line in log.out.splitlines()]
        found["more"] = max(0, int(counted.line) - len(found["commits"]))
        stat = git.ask("diff", "--shortstat", "--no-ext-diff", "--no-textconv", "--no-color",
                       found["from"], found["to"], "--")  # fmt: skip
        found["stat"] = stat.line or None
    except Silent as why:
        found["why"] = str(why)


def _last_approved(directory: str, gate: str, first: dict[str, Any]) -> tuple[str, str | None] | None:
    """The latest run before this one of the same pipeline file that was approved at this gate, and its commit."""
    this = os.path.basename(directory)
    state = os.path.dirname(os.path.dirname(directory))
    for run in [run for run in runs.ids(state) if run < this][:LOOK_BACK]:
        other = run_directory(state, run)
        summary = runs.first_line(other)
        if summary.get("file") == first.get("file") and _is_approved(other, gate):
            try:
                commit = _first(other).get("commit")
            except SurroundingsError:
                continue
            return run, commit
    return None


def _is_approved(directory: str, gate: str) -> bool:
    try:
        with open_regular(journal_path(directory)) as file:
            answered = False
            for line in file:
                if _ANSWERED in line or _VOID in line:
                    record = decode(line)
                    if record.get("stage") == gate and ("approved" in record or record["event"] == "gate.void"):
                        answered = record.get("approved") is True
            return answered
    except (OSError, BrokenLine):
        return False


def _first(directory: str) -> dict[str, Any]:
    return next(reader.read(journal_path(directory)), {})
