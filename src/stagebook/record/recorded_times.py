"""How long jobs and their steps took in the latest runs that another system has recorded, out of the journals that were
made of them: weighted as in `durations`, the newest most. Where there are none, how long steps took in runs here. Reads
a few; whoever has none of that system's pays for looking.
"""

from __future__ import annotations

import os

from stagebook.model.problem import StagebookError
from stagebook.model.value import NamedTuple
from stagebook.record import reader, runs, state
from stagebook.record.durations import WEIGHT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

RUNS_MAX = 10  #: so many of the latest are looked at
_LOOKED_AT_MAX = 200  #: among so many runs of any kind


class Times(NamedTuple):
    """Milliseconds, by stage id: of the stage, and of each of its steps by name (one name may come several times)."""

    stages: Mapping[str, int]
    steps: Mapping[str, Mapping[str, float]]


NOTHING = Times({}, {})


def times(directory: str, file: str) -> Times:
    """Of a pipeline file, by the runs in a state directory. Only attempts that passed count; what cannot be read is
    passed over."""
    if not os.path.isdir(state.runs_directory(directory)):
        return NOTHING
    took: dict[str, list[float]] = {}
    steps: dict[str, dict[str, list[float]]] = {}
    found: list[str] = []
    here: list[str] = []
    for looked, summary in enumerate(runs.summaries(directory)):
        if looked == _LOOKED_AT_MAX or len(found) == RUNS_MAX:
            break
        if summary.get("file") != file:
            continue
        kept = found if summary.get("imported") else here
        if len(kept) < RUNS_MAX:
            kept.append(state.journal_path(state.run_directory(directory, str(summary["run"]))))
    for path in reversed(found or here):
        try:
            _look(path, took, steps)
        except (StagebookError, OSError):
            continue
    return Times(
        {id: round(_weighted(each)) for id, each in took.items()} if found else {},
        {id: {name: _weighted(each) for name, each in some.items()} for id, some in steps.items()},
    )


def _weighted(each: list[float]) -> float:
    """From the oldest on."""
    found = each[0]
    for ms in each[1:]:
        found = found * (1 - WEIGHT) + ms * WEIGHT
    return found


def _look(path: str, took: dict[str, list[float]], steps: dict[str, dict[str, list[float]]]) -> None:
    began: dict[tuple[str, int], float] = {}
    for record in reader.read(path):
        key = (str(record.get("stage")), int(record.get("attempt") or 0))
        if record["event"] == "stage.started":
            began[key] = float(record["t"])
        elif record["event"] == "stage.exited" and record.get("outcome") == "success" and key in began:
            took.setdefault(key[0], []).append((float(record["t"]) - began[key]) * 1000)
            found = steps.setdefault(key[0], {})
            for name, ms in _of_steps(record.get("steps") or ()):
                found.setdefault(name, []).append(ms)


def _of_steps(told: Any) -> list[tuple[str, float]]:
    return [
        (str(name), max(0.0, (end - start) * 1000))
        for name, outcome, start, end in told
        if outcome == "success" and isinstance(start, int | float) and isinstance(end, int | float)
    ]
