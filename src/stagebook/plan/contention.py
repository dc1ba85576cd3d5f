"""How fast stages go that run at once on one machine: max-min fair shares of cores, disk and shared waiting.

Where it comes from and how well it does is in docs/explanation/prediction.md. Pools and locks are the scheduler's.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple


class Demand(NamedTuple):
    """Of one stage, per second of its clean wall: cores, and shares of disk and of waiting. `gamma` as in the
    profile."""

    cores: float
    disk: float = 0.0
    waiting: float = 0.0
    gamma: float = 0.0


class Capacity(NamedTuple):
    """`cores` are those left by others. `disk` 1 is one device's time. `waiting` None: nobody waits for what another
    waits for; 1: waiting is wholly serial. `by_group`: each stage weighs the same for cores, however many threads it
    has."""

    cores: float
    disk: float = 1.0
    waiting: float | None = None
    by_group: bool = False


class Calibration(NamedTuple):
    """What runs in parallel have taught. `gamma` by stage id. `at_jobs`: the most that ran at once in them, beyond
    which everything is extrapolated; 1: there was none. `runs` stand behind it; `error` is the median of |predicted
    ÷ real − 1| on them, None without."""

    gamma: dict[str, float]
    disk: float
    waiting: float | None
    at_jobs: int
    runs: int
    error: float | None = None
