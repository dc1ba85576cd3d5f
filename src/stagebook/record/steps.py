"""How long the steps of jobs took in runs that another system has recorded, out of the journals. Nothing of what the
steps are for."""

from __future__ import annotations

import json
import os

from stagebook.record import runs
from stagebook.record.state import journal_path, run_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

RUNS_MAX = 20  #: the newest that are looked at
_BYTES_MAX = 16 << 20  #: of one journal


def lately(state: str, file: str) -> dict[str, list[list[tuple[str, float]]]]:
    """For each stage of a pipeline file its successful attempts, newest first, each as steps by name with their
    seconds. Journals that cannot be read are left out: nothing depends on one of them."""
    found: dict[str, list[list[tuple[str, float]]]] = {}
    left = RUNS_MAX
    for run in runs.ids(state):
        path = journal_path(run_directory(state, run))
        if left <= 0:
            break
        for record in _records(path, file):
            left -= record.get("event") == "run.started"
            steps = [(str(name), end - begin) for name, _, begin, end in _told(record.get("steps"))]
            if steps and record.get("outcome") == "success":
                found.setdefault(str(record.get("stage")), []).append(steps)
    return found


def _records(path: str, file: str) -> Iterator[dict[str, Any]]:
    """The first record of a run of that file, and those that tell of steps."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > _BYTES_MAX:
            return
        with open(path, "rb") as lines:
            for number, line in enumerate(lines):
                if number and b'"steps"' not in line:
                    continue
                record = json.loads(line)
                if not isinstance(record, dict) or (not number and record.get("file") != file):
                    return
                yield record
    except (OSError, ValueError, RecursionError):
        return


def _told(steps: Any) -> Iterator[tuple[str, str, float, float]]:
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, list) and len(step) == 4 and all(isinstance(each, int | float) for each in step[2:]):
            yield step[0], step[1], step[2], step[3]
