"""The words for how an attempt, a stage and a run end. The OpenTelemetry CI/CD result values, nothing else."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Outcome: TypeAlias = 'Literal["success", "failure", "error", "timeout", "cancellation", "skip"]'

OUTCOMES: tuple[Outcome, ...] = ("success", "failure", "error", "timeout", "cancellation", "skip")

#: How bad an outcome is for the run; the worst that counts is the run's. Cancellation of a whole run is told apart.
SEVERITY: dict[str, int] = {"success": 0, "skip": 0, "cancellation": 1, "failure": 2, "timeout": 3, "error": 4}


class ItemsTold(NamedTuple):
    """How far the items of a stage are. `total` is None while more may come; `queues` are (step, items that wait),
    `binds` is the step that holds up the others."""

    done: int
    total: int | None
    failed: int
    per_s: float | None
    queues: tuple[tuple[str, int], ...] = ()
    binds: str | None = None


class AttemptEnd(NamedTuple):
    """What is said of an attempt that is over, one of at most `attempts`. It ended at `us` of the run; another follows
    in `retry_in_us`, or none where that is None."""

    stage: str
    attempt: int
    attempts: int
    us: int
    outcome: str
    reason: str | None
    exit: int | None
    wall_us: int
    retry_in_us: int | None
