"""How long a pipeline would take under a choice: many simulated runs of what its profile says, as quantiles."""

from __future__ import annotations

from stagebook.model.value import NamedTuple


class Forecast(NamedTuple):
    """`makespan_s` is the median of `draws` simulated runs, `p95_s` their 95th percentile; `low_s` and `high_s`
    bound the median, with what the model got wrong before. `utilisation` is the share of time for which all jobs
    were taken, by pool name too. `waits_s` is how long stages waited for each pool, in the median run. `beyond`:
    more ran at once than was ever measured."""

    jobs: int
    sequential: bool
    makespan_s: float
    p95_s: float
    low_s: float
    high_s: float
    draws: int
    utilisation: dict[str, float]
    waits_s: dict[str, float]
    beyond: bool
