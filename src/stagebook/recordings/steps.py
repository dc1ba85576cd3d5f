"""How long steps of jobs took in runs that another system has recorded. Concludes nothing."""

from __future__ import annotations

from itertools import islice
from statistics import median

from stagebook.model.value import NamedTuple
from stagebook.record import runs, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RUNS_MAX = 30  #: the latest ones that are read
LOOKED_AT = 500
_EXITED, _STEPS = b'"event":"stage.exited"', b'"steps":['


class StepTimes(NamedTuple):
    """One step of a stage, by the name under which the system shows it: the median of `runs` in which it succeeded."""

    name: str
    median_s: float
    runs: int


def of_file(directory: str, file: str) -> dict[str, list[StepTimes]]:
    """Of each stage of a pipeline file (absolute) its steps, in the order in which they ran; empty where no run of it
    was recorded with steps. `directory`: the state directory."""
    times: dict[str, dict[str, list[float]]] = {}
    for journal in islice(_journals(directory, file), RUNS_MAX):
        for record in _exits(journal):
            of = times.setdefault(str(record.get("stage")), {})
            for step in record.get("steps", ()):
                seconds = _seconds(step)
                if seconds is not None:
                    of.setdefault(step[0], []).append(seconds)
    return {
        stage: [StepTimes(name, median(values), len(values)) for name, values in of.items()]
        for stage, of in times.items()
        if of
    }


def _journals(directory: str, file: str) -> Any:
    for run in runs.ids(directory)[:LOOKED_AT]:
        path = state.run_directory(directory, run)
        first = runs.first_line(path)
        if first.get("imported") and first.get("file") == file:
            yield state.journal_path(path)


def _exits(journal: str) -> list[dict[str, Any]]:
    """Lines that hold steps; of a line that is damaged nothing is taken."""
    from stagebook.record.line import BrokenLine, decode

    found = []
    try:
        with state.open_regular(journal) as lines:
            for line in lines:
                if _EXITED in line and _STEPS in line:
                    try:
                        found.append(decode(line))
                    except BrokenLine:
                        continue
    except OSError:
        return []
    return found


def _seconds(step: Any) -> float | None:
    if not isinstance(step, list) or len(step) < 4 or not isinstance(step[0], str) or step[1] != "success":
        return None
    begun, ended = step[2], step[3]
    if type(begun) not in (int, float) or type(ended) not in (int, float) or ended < begun:
        return None
    return float(ended - begun)
