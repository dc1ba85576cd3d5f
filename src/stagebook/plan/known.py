"""What forecasts of one pipeline stand on, put together: profile, calibration, draws, speeds. Reads nothing itself."""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.plan import calibrate, contention, draws, profile
from stagebook.plan.contention import Calibration, Shares
from stagebook.plan.forecast import Basis
from stagebook.plan.profile import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.history.samples import Samples
    from stagebook.model.pipeline import Pipeline, Stage

#: Simulated runs a forecast: the median is then within about 1 % where stages scatter by 10 %.
DRAWS = 300


class Known(NamedTuple):
    """`basis` is what forecasts take; `cores` are the machine's."""

    profile: Profile
    calibration: Calibration
    basis: Basis
    cores: int

    def durations_ms(self, pipeline: Pipeline) -> tuple[tuple[str, int], ...]:
        """What each stage usually takes, as `Choice.durations_ms` holds it: priorities come from it as in a run."""
        known = zip(pipeline.stages, self.profile.stages)
        return tuple([(stage.id, round(found.median_s * 1000)) for stage, found in known if found.source != "guess"])


def known(
    pipeline: Pipeline, samples: Samples | None, cores: int, *, seed: int = 0, count: int = DRAWS,
    others_cores: float | None = None,
) -> Known:  # fmt: skip
    """Of a pipeline whose latest runs are `samples`, on a machine with `cores`. `others_cores`: what others use of
    them, if it is to be another figure than in the latest runs."""
    found = profile.build(_with_gates(pipeline), samples)
    taught = calibrate.calibrate(pipeline, found, samples, cores)
    return known_by(pipeline, found, taught, cores, seed=seed, count=count, others_cores=others_cores)


def unsaid(pipeline: Pipeline) -> list[str]:
    """What no forecast of this pipeline counts, as sentences."""
    return [f"{stage.id} waits for a person: that time is not counted" for stage in pipeline.stages if _is_gate(stage)]


def _is_gate(stage: Stage) -> bool:
    return stage.kind == "gate"


def _with_gates(pipeline: Pipeline) -> Pipeline:
    """Gates take no time: nobody knows how long a person takes, and a guess would be taken for a measurement."""
    if not any(map(_is_gate, pipeline.stages)):
        return pipeline
    stages = [stage._replace(duration_ms=0) if _is_gate(stage) else stage for stage in pipeline.stages]
    return pipeline._replace(stages=tuple(stages))


def known_by(
    pipeline: Pipeline, found: Profile, taught: Calibration, cores: int, *, seed: int = 0, count: int = DRAWS,
    others_cores: float | None = None,
) -> Known:  # fmt: skip
    """The same of a profile that is known already, as of a pipeline that has been changed in thought."""
    load = found.others_cores
    demands = [contention.demand(stage, taught) for stage in found.stages]
    if others_cores is not None:
        load, taught = others_cores, taught._replace(others=None)
    speeds = Shares(demands, contention.capacity(cores, load, taught))
    basis = Basis(draws.draws(found, pipeline, count, seed), draws.typical(found), speeds, taught)
    return Known(found, taught, basis, cores)
