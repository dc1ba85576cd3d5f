"""What forecasts of one pipeline stand on, put together: profile, calibration, draws, speeds. Reads nothing itself."""

from __future__ import annotations

from stagebook.graph.findings import lacking_words
from stagebook.history.figures import quantile
from stagebook.model.value import NamedTuple
from stagebook.plan import calibrate, contention, draws, profile
from stagebook.plan.contention import Calibration, Demand, Shares
from stagebook.plan.forecast import Basis, most_at_once, typical
from stagebook.plan.profile import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.history.samples import Samples
    from stagebook.model.pipeline import Pipeline, Stage
    from stagebook.plan.profile import StageProfile
    from stagebook.plan.streams import Streams
    from stagebook.scheduler.plan import Choice

#: Simulated runs a forecast: the median is then within about 1 % where stages scatter by 10 %.
DRAWS = 300
#: Of larger pipelines there are fewer, as chance evens out over their stages; one where nothing is left to chance.
LARGE, DRAWS_LARGE = 3_000, 3
_SAME = 0.05


class Idle(NamedTuple):
    """A usual run in which stages only wait of which nobody knows what they use."""

    jobs: int
    makespan_s: float


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
    others_cores: float | None = None, streams: Streams | None = None,
) -> Known:  # fmt: skip
    """Of a pipeline whose latest runs are `samples`, on a machine with `cores`. `others_cores`: what others use of
    them, if it is to be another figure than in the latest runs. `streams`: what its stages work through."""
    if samples is not None and samples.recorded().system is not None:
        return _elsewhere(pipeline, samples.recorded(), cores, seed, count)
    if has_jobs(pipeline):
        return _elsewhere(pipeline, samples, cores, seed, count)
    found = profile.build(_with_gates(pipeline), samples, None if streams is None else streams.walls_s)
    taught = calibrate.calibrate(pipeline, found, samples, cores)
    if streams is not None:
        taught = taught._replace(at_jobs=max(taught.at_jobs, streams.at_once))
    found = found._replace(stages=tuple([_reserving(*both, cores) for both in zip(pipeline.stages, found.stages)]))
    made = known_by(pipeline, found, taught, cores, seed=seed, count=count, others_cores=others_cores)
    return (
        made if streams is None else made._replace(basis=made.basis._replace(items=streams.works, alone=streams.alone))
    )


def has_jobs(pipeline: Pipeline) -> bool:
    """Whether its stages are jobs of a CI system: each has a machine of its own there, wherever it was measured."""
    return any(stage.job is not None for stage in pipeline.stages)


def is_blank(pipeline: Pipeline, found: Known) -> bool:
    """Whether its stages are jobs of a CI system of none of which anything is known: then there is nothing to forecast
    by, as their file cannot say how long they take."""
    both = zip(pipeline.stages, found.profile.stages)
    return has_jobs(pipeline) and all(_is_gate(stage) or known.source == "guess" for stage, known in both)


def _elsewhere(pipeline: Pipeline, recorded: Samples | None, cores: int, seed: int, count: int) -> Known:
    """Of stages that have a machine each, so that none slows another: by runs that another system has recorded, or of
    its jobs by what they took here."""
    found = profile.build(_with_gates(pipeline), recorded, None)._replace(own_machines=True, others_cores=None)
    at_once, runs = max(len(pipeline.stages), 1), 0
    if recorded is not None:
        runs = len(recorded.runs)
        if recorded.system is not None:
            found = found._replace(system=recorded.system, queue_s=_queue_s(recorded))
    taught = contention.UNTAUGHT._replace(at_jobs=at_once, runs=runs)
    return known_by(pipeline, found, taught, cores, seed=seed, count=count)


def _queue_s(recorded: Samples) -> tuple[float, float] | None:
    """For how long stages that ran had waited for a runner: the median, and the 95th percentile."""
    waits = sorted([row.wait_s for row in recorded.rows if row.attempts and row.wait_s is not None])
    return (quantile(waits, 0.5), quantile(waits, 0.95)) if waits else None


def unsaid(pipeline: Pipeline) -> list[str]:
    """What no forecast of this pipeline counts, as sentences."""
    said = [f"{stage.id} waits for a person: that time is not counted" for stage in pipeline.stages if _is_gate(stage)]
    if pipeline.missing:
        what = lacking_words([each.code for each in pipeline.missing], f"{pipeline.file.rpartition('/')[2]} refers to")
        order = "no order of theirs" if pipeline.format == "github" else "no order"
        said.append(f"{what}, so {order} is called needless")
    if len(pipeline.stages) > LARGE:
        said.append(
            f"{len(pipeline.stages)} stages are more than {LARGE}: fewer runs are simulated, fewer job counts "
            "are looked at (--jobs asks for others), and what stages use counts in tenths"
        )
    return said


def _reserving(stage: Stage, found: StageProfile, cores: int) -> StageProfile:
    """Where no run tells how many cores a stage keeps busy, it is those that it reserves, and no more than there are: a
    declared duration is what it takes alone."""
    if found.cores is not None or not stage.resources.cpu_milli:
        return found
    return found._replace(cores=min(stage.resources.cpu_milli / 1000, float(cores)))


def idle(pipeline: Pipeline, found: Known, choice: Choice) -> tuple[int, Idle | None]:
    """How many stages there are of which nobody knows what they use, and what a usual run would be if those only
    waited, with as many jobs as are then of use; None where there are none."""
    if found.profile.own_machines:
        return 0, None
    items = found.basis.items  # what works through these is not slowed down
    unknown = {stage.stage for stage in found.profile.stages if stage.cores is None and stage.median_s > 0} - set(items)
    if not unknown:
        return 0, None
    waiting = [stage._replace(cores=0.0) if stage.stage in unknown else stage for stage in found.profile.stages]
    changed = known_by(pipeline, found.profile._replace(stages=tuple(waiting)), found.calibration, found.cores, count=1)
    speeds = changed.basis.speeds if len(unknown) < len(waiting) else None
    basis = changed.basis._replace(verdicts=found.basis.verdicts, speeds=speeds, items=items, alone=found.basis.alone)
    width = most_at_once(typical(pipeline, choice._replace(jobs=len(pipeline.stages), sequential=False), basis).spans)
    jobs = max(1, min(width, choice.cap.jobs if choice.cap is not None else width))
    best_s = typical(pipeline, choice._replace(jobs=jobs, sequential=False), basis).end_s
    while jobs > 1:
        fewer = jobs // 2
        took_s = typical(pipeline, choice._replace(jobs=fewer, sequential=False), basis).end_s
        if took_s > best_s * (1 + _SAME):
            break
        jobs = fewer
    return len(unknown), Idle(jobs, best_s)


def _coarse(demand: Demand) -> Demand:
    """To the next tenth, so that many sets of stages are alike."""
    return Demand(*[round(each, 1) for each in demand])


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
    if len(found.stages) > LARGE:
        demands = [_coarse(each) for each in demands]
        count = min(count, DRAWS_LARGE if any(stage.ran for stage in found.stages) else 1)
    loads = taught.others_range or ()
    if others_cores is not None:
        load, taught, loads = others_cores, taught._replace(others=None), ()
    room = contention.capacity(cores, load, taught)
    rooms = [contention.capacity(cores, each, taught._replace(others=None)) for each in loads]
    if taught.lacks:  # whether waiting is shared nobody knows: it may be
        rooms.append(room._replace(waiting=1.0))
    if len(found.stages) > LARGE:
        rooms = []
    bounds = tuple([Shares(demands, each) for each in rooms if each != room])
    drawn = draws.draws(found, pipeline, count, seed)
    if found.own_machines:
        return Known(found, taught, Basis(drawn, draws.typical(found), None, taught), cores)
    basis = Basis(drawn, draws.typical(found), Shares(demands, room), taught, bounds=bounds)
    return Known(found, taught, basis, cores)
