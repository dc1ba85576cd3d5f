"""What it is worth to do a job's suite in parts: time saved, set-up repeated, minutes billed. Arithmetic only."""

from __future__ import annotations

import math

from stagebook.formats import sharding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

    from stagebook.model.job import JobStep
    from stagebook.model.pipeline import Stage

PARTS_MAX = 8
_OWN = ("Set up job", "Initialize containers", "Complete job", "Post ", "Pre ")
_GAIN_MIN = 0.1  #: one part more has to save so much of the job


def is_splittable(stage: Stage) -> bool:
    """Whether one line of a job starts a test program that can do a part of its suite."""
    return isinstance(stage.command, str) and sharding.line_of(stage.command, stage.command) is not None


def setup_s(steps: Sequence[JobStep], told: Mapping[str, float]) -> float | None:
    """What a job does before its work, in seconds, by its steps on record (milliseconds by name); None without any.
    What the system itself does before and after counts too: each part has it anew."""
    if not told:
        return None
    names = {name for step in steps if step.is_setup for name in (step.name, f"Run {step.name}")}
    return sum([ms for name, ms in told.items() if name in names or name.startswith(_OWN)]) / 1000


def worth(
    took_s: float | None, setup_s: float | None, parts: int, rounding: str | None, cells: int = 1
) -> tuple[float | None, str]:
    """Seconds saved, None where either figure is unknown; and what it costs, in words. `cells`: of the job's matrix,
    each of which is split."""
    if took_s is None or setup_s is None:
        return None, "each part repeats the set-up of the job, which is not known"
    part = _part(took_s, setup_s, parts)
    before, after = billed(took_s, cells, rounding), billed(part, parts * cells, rounding)
    unit = "billed minutes" if rounding == "job" else "minutes of runners"
    return round(took_s - part, 3), f"{after - before:+.1f} {unit}".replace("+-", "-").replace(".0 ", " ")


def best(took_s: float, setup_s: float | None, rounding: str | None, cells: int = 1) -> tuple[int, float, str] | None:
    """The number of parts from which on one more saves little, what it saves and costs; None where none is worth it or
    the set-up is not known."""
    if setup_s is None or setup_s >= took_s:
        return None
    parts = 1
    while parts < PARTS_MAX:
        gain = _part(took_s, setup_s, parts) - _part(took_s, setup_s, parts + 1)
        if gain < _GAIN_MIN * took_s:
            break
        parts += 1
    if parts == 1:
        return None
    saves, price = worth(took_s, setup_s, parts, rounding, cells)
    return parts, saves or 0.0, price


def billed(seconds: float, jobs: int, rounding: str | None) -> float:
    """Minutes of so many jobs of that length. `rounding` as `plan.providers` has it."""
    if rounding == "job":
        return jobs * math.ceil(seconds / 60)
    if rounding == "second":
        return jobs * math.ceil(seconds) / 60
    if rounding == "sum":
        return math.floor(jobs * seconds / 60)
    return jobs * seconds / 60


def _part(took_s: float, setup_s: float, parts: int) -> float:
    return setup_s + (took_s - setup_s) / parts
