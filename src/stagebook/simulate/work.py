"""What a simulated run is given and what it gives: work, speeds, spans. Values only; `play` does it.

Stages are indices of the plan. Times are seconds as floats here: the machine's whole milliseconds are its own.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence, TypeAlias


class Work(NamedTuple):
    """What one attempt takes alone on an idle machine: `wall_s`, without waiting for a core. `outcome` is how it
    ends, `exit` its status where that matters (`retry: {only: …}`), `reason` says more."""

    wall_s: float
    outcome: str = "success"
    exit: int | None = None
    reason: str | None = None


class Span(NamedTuple):
    """One attempt. `ready_s`: its needs were done (or its backoff was over); `waited`: what it last waited for."""

    stage: int
    attempt: int
    ready_s: float
    start_s: float
    end_s: float
    outcome: str
    waited: str | None


class StepWork(NamedTuple):
    """What a try of an item takes at a step, on average, the share of tries that fail, and the CPU time of one."""

    wall_s: float
    failed: float = 0.0
    cpu_s: float = 0.0


class ItemWork(NamedTuple):
    """The items of a stage, and its steps. `whole_s` is what the draw of the stage is in a usual run."""

    total: int
    steps: tuple[StepWork, ...]
    whole_s: float = 1.0


class CallSpan(NamedTuple):
    """One call of a step of a stage that works through items."""

    stage: int
    step: int
    start_s: float
    end_s: float


class Played(NamedTuple):
    """One simulated run. `ended` holds outcome and reason by stage; `asked` the stages that wait for a person, so
    that the run stands still at `end_s` with `outcome` None. `spans` are of stages, `calls` of the steps of those that
    work through items."""

    spans: list[Span]
    ended: dict[int, tuple[str, str | None]]
    asked: set[int]
    outcome: str | None
    end_s: float
    calls: list[CallSpan] = []


Draw: TypeAlias = "Callable[[int, int], Work]"
"""The work of a stage's attempt (from 1)."""

Speeds: TypeAlias = "Callable[[tuple[int, ...]], Sequence[float]]"
"""For the stages that run at once, in ascending order, how fast each goes: above 0, 1 is as fast as alone on an idle
machine. Asked again whenever that set changes, so it may remember."""
