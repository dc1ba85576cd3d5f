"""What earlier runs of a file were and how a stage did in them, straight from their journals. Writes nothing.

The history's index would know more, and takes longer to ask than a message may wait; only the newest runs are looked
at, and of a journal only lines that tell the end of a stage.
"""

from __future__ import annotations

import os

from stagebook.model.value import NamedTuple
from stagebook.notify.message import Past
from stagebook.record import runs
from stagebook.record.line import BrokenLine, decode
from stagebook.record.reasons import UP_TO_DATE
from stagebook.record.state import OF_EXPERIMENT, journal_path, open_regular, run_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Iterator

RUNS_MAX = 10  #: of the file whose stages are looked at
LOOKED_MAX = 200  #: of all files
BYTES_MAX = 4 << 20  #: a longer journal is left out
FAILED = ("failure", "error", "timeout")
_ENDED = b'"event":"stage.ended"'


class Before(NamedTuple):
    """An earlier run of the file that has ended, or whose engine is gone (`interrupted`)."""

    run: str
    outcome: str
    branch: str | None
    commit: str | None
    directory: str
    started: str


def earlier(state: str, run: str, file: str, branch: str | None) -> list[Before]:
    """The runs of the file before this one, newest first; on the same branch, where both are known. Those that somebody
    stopped say nothing, nor do those of an experiment."""
    found: list[Before] = []
    known = [one for one in runs.ids(state) if one < run]
    for one in known[:LOOKED_MAX]:
        directory = run_directory(state, one)
        summary = runs.summarise(directory)
        if summary is None or summary["file"] != file or summary["state"] in ("running", "waiting", "damaged"):
            continue
        outcome = summary["outcome"] or summary["state"]
        first = runs.first_line(directory)
        if outcome in ("cancellation", "skip") or OF_EXPERIMENT in first:
            continue
        theirs = first.get("branch")
        if branch is not None and theirs is not None and theirs != branch:
            continue
        found.append(Before(one, outcome, theirs, first.get("commit"), directory, summary["started"]))
        if len(found) >= RUNS_MAX:
            break
    return found


def failing(before: list[Before]) -> list[Before]:
    """Those that failed in a row, right before this one."""
    row = []
    for one in before:
        if one.outcome == "success":
            break
        row.append(one)
    return row


def unmended(before: list[Before]) -> dict[str, list[Before]]:
    """The stages that have not passed since they failed, each with the failed runs in which it did, newest first."""
    failed = [at for at, one in enumerate(before) if one.outcome != "success"]
    found: dict[str, list[Before]] = {}
    passed: set[str] = set()
    for one in before[: failed[-1] + 1 if failed else 0]:
        for record in _ends(one.directory):
            stage = record["stage"]
            if is_good(record["outcome"], record.get("reason")):
                passed.add(stage)
            elif record["outcome"] in FAILED and one.outcome != "success" and stage not in passed:
                found.setdefault(stage, []).append(one)
    return found


def is_good(outcome: str | None, reason: str | None) -> bool:
    """Whether a stage passed, or need not run as it is as it was when it did."""
    return outcome == "success" or (outcome == "skip" and reason == UP_TO_DATE)


def of_stages(before: list[Before], commit: str | None, stages: Collection[str]) -> dict[str, Past]:
    """How some stages did; those that were skipped or stopped did nothing."""
    outcomes: dict[str, list[str]] = {stage: [] for stage in stages}
    same: dict[str, list[str]] = {stage: [] for stage in stages}
    flaky = dict.fromkeys(stages, 0)
    for one in before:
        for record in _ends(one.directory):
            stage = record["stage"]
            if stage in outcomes and record["outcome"] in ("success", *FAILED):
                outcomes[stage].append(record["outcome"])
                flaky[stage] += bool(record.get("flaky"))
                if commit is not None and one.commit == commit:
                    same[stage].append(record["outcome"])
    return {
        stage: Past(tuple(found), tuple(same[stage]), flaky[stage]) for stage, found in outcomes.items() if found
    }  # fmt: skip


def _ends(directory: str) -> Iterator[dict[str, Any]]:
    path = journal_path(directory)
    try:
        if os.stat(path).st_size > BYTES_MAX:
            return
        with open_regular(path) as file:
            lines = [line for line in file if _ENDED in line]
    except OSError:
        return
    for line in lines:
        try:
            record = decode(line)
        except BrokenLine:
            continue
        if isinstance(record.get("stage"), str) and isinstance(record.get("outcome"), str):
            yield record
