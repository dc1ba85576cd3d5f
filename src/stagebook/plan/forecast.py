"""How long a pipeline would take under a choice: many simulated runs of what its profile says, as quantiles.

What is compared is given the same draws, so that a difference comes from the choice and not from chance (common random
numbers). Where draws come from is `draws`, how fast stages go together `contention`.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.contention import Calibration
    from stagebook.scheduler.plan import Choice
    from stagebook.simulate.play import Verdicts
    from stagebook.simulate.work import Draw, Played, Speeds


class Forecast(NamedTuple):
    """`makespan_s` is the median of `draws` simulated runs, `p95_s` their 95th percentile; `low_s` and `high_s`
    bound the median, with what the model got wrong before. `utilisation` is the share of each pool, by name, that is
    taken over the run, the mean; `slot` are the jobs. `waits_s` is how long stages waited for each pool, in the median
    run. `beyond`: more ran at once than was ever measured. `width`: how many ran at once at most. `failed`: share of
    runs that did not end as success."""

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
    width: int = 0
    failed: float = 0.0


class Basis(NamedTuple):
    """What forecasts stand on that are to be compared. `draws` are the runs drawn, one a simulated run; `typical` is
    one in which nothing is out of the ordinary. `speeds` None: stages do not slow each other down. `calibration`
    says how wrong that was, and up to how many at once it was measured. `verdicts` None: all conditions hold."""

    draws: Sequence[Draw]
    typical: Draw
    speeds: Speeds | None = None
    calibration: Calibration | None = None
    verdicts: Verdicts | None = None


def forecast(pipeline: Pipeline, choice: Choice, basis: Basis, *, workers: int | None = None) -> Forecast:
    """Simulate the runs of `basis` under a choice.

    `workers` None: as many processes as there are cores, where that pays. The result is the same for any number.
    Raises InputError as `scheduler.build` does.
    """
    raise NotImplementedError


def makespans(
    pipeline: Pipeline, choices: Sequence[Choice], basis: Basis, *, workers: int | None = None
) -> list[list[float]]:
    """Seconds of each run, by choice and draw, in the order of both: what paired comparisons are made of."""
    raise NotImplementedError


def typical(pipeline: Pipeline, choice: Choice, basis: Basis) -> Played:
    """The one run in which all goes as usual: spans to be shown and explained."""
    raise NotImplementedError
