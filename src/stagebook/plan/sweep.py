"""How a pipeline gains from more jobs: one forecast a job count, on the same draws, and the knee.

Rows are shown as they come out: more jobs can take longer, and such points are not smoothed.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.forecast import Basis, Forecast
    from stagebook.scheduler.plan import Choice

#: Within this share of the best is as good as the best.
TOLERANCE = 0.05


class Row(NamedTuple):
    """One job count. `speedup` is over the sequential run, `efficiency` that by the jobs; `gain` is the share by which
    it is faster than the row before (negative: slower), None in the first."""

    forecast: Forecast
    speedup: float
    efficiency: float
    gain: float | None


class Sweep(NamedTuple):
    """`sequential` is a run with one job in file order. `rows` ascend by jobs. `knee` is the place in `rows` of the
    fewest jobs within TOLERANCE of the best; `binds` says what keeps more jobs from gaining: `path` (the critical
    path), `cores`, or the name of a pool as in `Plan.pools`. `path_s` is the critical path of the typical run."""

    sequential: Forecast
    rows: tuple[Row, ...]
    knee: int
    binds: str
    path_s: float


def sweep(
    pipeline: Pipeline, choice: Choice, basis: Basis, jobs: Sequence[int] = (), *, workers: int | None = None
) -> Sweep:
    """Forecast each of `jobs`; without any 1, 2, 4, 8 … up to what can be of use. All else is as in `choice`.

    Raises InputError as `scheduler.build` does.
    """
    raise NotImplementedError


def plain(row: Row) -> dict[str, object]:
    """A row of the JSON document of `plan`, under `sweep`."""
    forecast = row.forecast
    return {
        "jobs": forecast.jobs, "makespan_s": forecast.makespan_s, "p95_s": forecast.p95_s,
        "low_s": forecast.low_s, "high_s": forecast.high_s, "speedup": row.speedup, "efficiency": row.efficiency,
        "gain": row.gain, "utilisation": forecast.utilisation, "beyond": forecast.beyond, "draws": forecast.draws,
        "cost": None,
    }  # fmt: skip
