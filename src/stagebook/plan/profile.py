"""What is known of each stage of a pipeline before it is simulated: how long it takes, what it asks of the machine,
how often it fails, and how many runs stand behind that. Built from samples or declared durations; simulates nothing.

What each figure is for, and how much it is worth, is in docs/explanation/prediction.md.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from stagebook.graph.shape import shape
from stagebook.history import figures
from stagebook.history.samples import CONDITIONS, Samples
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Mapping, Sequence

    from stagebook.history.samples import Run, Sample
    from stagebook.model.pipeline import Pipeline, Stage

#: Fewer runs than this are said to be too few.
ENOUGH = 5
#: The share of all work that the longest stages make up.
LONG = 0.5
#: With fewer other stages beside it, on the average, a stage is taken to have been alone.
SOLO = 0.1
#: A stage that moved less has no disk share: what kept the disk busy was not this stage.
MOVED_BYTES = 2_000_000
GUESS_S = 1.0  #: of every stage, where nothing is known of any
LATELY = 10  #: runs by which others' use of the machine is judged
TREND = 30  #: successes in which a trend is looked for
LEAST_CHANGE = 1.05  #: less is no trend, however sure
TIMED = ("psplib", "wfcommons")  #: formats that hold timings
_FAILED = ("failure", "error", "timeout")
_CHANGES_MAX = 10  #: so many of the latest changes of the file are looked at
_FAR = {1: 3.0, 2: 2.0}  #: how many times as long as before is another level, by the number of runs that say so
_NAMED = 3


class StageProfile(NamedTuple):
    """One stage, in the order of `Pipeline.stages`. Tuples go with each other: one entry a success, oldest first.

    `source`: `history`, `declared`, or `guess` (the median of the others, where nothing is known of it). `walls_s`
    is clean: less the time spent waiting for a core; one entry, the declared duration, where there is no history.
    `runs_at` are indices of the runs, so that stages of one run can be drawn together. `cores` is CPU time over
    clean wall when alone; `disk` the share of its time for which it keeps the disk busy; `gamma` how much more CPU
    time it takes in company (0.3: 30 % more), None without a run in company. `rss_bytes` is the most it ever took. Of
    `ran` attempts `failed` ended badly. `trend`: `slower`, `faster`, `steady`, None where too little is known.
    `ran_share` is how often its condition let it run, `skipped_at` the runs in which it did not.
    """

    stage: str
    source: str
    walls_s: tuple[float, ...]
    runs_at: tuple[int, ...] = ()
    company: tuple[float | None, ...] = ()
    cores: float | None = None
    disk: float | None = None
    gamma: float | None = None
    rss_bytes: int | None = None
    failed: int = 0
    ran: int = 0
    trend: str | None = None
    ran_share: float = 1.0
    skipped_at: tuple[int, ...] = ()

    @property
    def runs(self) -> int:
        """How many successes stand behind it."""
        return len(self.walls_s) if self.source == "history" else 0

    @property
    def median_s(self) -> float:
        """Of those alone, be it only one: what company costs is far more than what one run is off. Of all, where it
        never was alone."""
        alone, others = self.lots()
        return median([self.walls_s[at] for at in alone or others])

    def lots(self) -> tuple[list[int], list[int]]:
        """Where in `walls_s` the runs are in which it was alone, or nobody knows, and those in which it was not."""
        alone: list[int] = []
        others: list[int] = []
        for at, company in enumerate(self.company or (None,) * len(self.walls_s)):
            (others if company is not None and company >= SOLO else alone).append(at)
        return alone, others


class Profile(NamedTuple):
    """`source`: `history`, `file` (timings in the file) or `declared`. `runs`: how many stand behind it at most for
    one stage; runs of a part, whose indices are `parts`, do so only where there is no other. `others_cores`: what
    others kept busy lately, as `usual` has it. `jobs_seen`: with how many at once stages have been seen to run.
    `lacks`: what it does not know and what to run to know it, as sentences. `system`: which other system recorded those
    runs; `queue_s`: how long stages waited there, median and 95th percentile. `own_machines`: each stage has a machine
    of its own, as jobs of a CI system have, so none slows another."""

    stages: tuple[StageProfile, ...]
    source: str
    runs: int
    others_cores: float | None = None
    jobs_seen: int = 1
    lacks: tuple[str, ...] = ()
    parts: frozenset[int] = frozenset()
    system: str | None = None
    queue_s: tuple[float, float] | None = None
    own_machines: bool = False

    def thin(self) -> tuple[list[str], int]:
        """Of the longest stages, those that make up half of the work, those with too few runs, and the fewest."""
        left_s = sum([stage.median_s for stage in self.stages]) * LONG
        found: list[StageProfile] = []
        for stage in sorted(self.stages, key=lambda stage: -stage.median_s):
            if left_s <= 0:
                break
            left_s -= stage.median_s
            if stage.source == "history" and stage.runs < ENOUGH:
                found.append(stage)
        return [stage.stage for stage in found], min([stage.runs for stage in found], default=0)


def build(
    pipeline: Pipeline, samples: Samples | None, by_items: Mapping[str, Mapping[str, float]] | None = None
) -> Profile:
    """What is known of each stage of the pipeline as it is now; `samples` are of its file. Without any, durations
    are those that the file declares, else guessed. `by_items`: of stages that work through items, how long the items
    that are expected would have taken by what calls took in each run, by its id; their own times tell how many there
    were."""
    known = Samples((), (), 0) if samples is None else samples
    rows: dict[str, list[Sample]] = {}
    for row in known.rows:
        rows.setdefault(row.stage, []).append(row)
    changes: dict[str, tuple[float, int]] = {}
    found = [_stage(stage, _told(stage, rows.get(stage.id, []), known.runs), known.runs, changes)
             for stage in pipeline.stages]  # fmt: skip
    found = [_by_items(stage, (by_items or {}).get(stage.stage), known.runs) for stage in found]
    told = [stage.median_s for stage in found if stage.walls_s]
    guess_s = median(told) if told else GUESS_S
    stages = [stage if stage.walls_s else stage._replace(walls_s=(guess_s,)) for stage in found]
    parts = frozenset([number for number, run in enumerate(known.runs) if run.part])
    runs = max([sum([run not in parts for run in stage.runs_at]) for stage in stages], default=0)
    runs = runs or min([stage.runs for stage in stages if stage.runs], default=0)
    profile = Profile(
        tuple(stages),
        "history" if runs else "file" if pipeline.format in TIMED else "declared",
        runs,
        usual([run.others_cores for run in known.runs], known.worked_s()),
        max([run.max_parallel or 1 for run in known.runs], default=1),
        parts=parts,
    )
    return profile._replace(lacks=(*_lacks(pipeline, profile, len(known.runs)), *_changed(changes)))


def usual(loads: Sequence[float | None], worked_s: Sequence[float]) -> float | None:
    """What the machine had to carry beside the latest runs: the median, in which a run counts by how long stages
    worked in it, as one that did next to nothing tells next to nothing. None where no run tells."""
    lately = zip(loads[-LATELY:], worked_s[-LATELY:])
    known = [(load, for_s) for load, for_s in lately if load is not None]
    return figures.weighted_median([load for load, _ in known], [for_s for _, for_s in known])


# One stage --------------------------------------------------------------------------------------------------------


def _told(stage: Stage, rows: Sequence[Sample], runs: Sequence[Run]) -> Sequence[Sample]:
    """Without those of a stage with items in runs of a part: it may have worked through some of them only."""
    return rows if stage.each is None else [row for row in rows if not runs[row.run].part]


def _stage(
    stage: Stage, rows: Sequence[Sample], runs: Sequence[Run], changes: dict[str, tuple[float, int]]
) -> StageProfile:
    """Without `walls_s` where nothing tells how long it takes. Notes in `changes` by how much its level changed with
    the file, and of how many runs nothing counts therefore."""
    since, factor = _since(rows, runs)
    if since:
        changes[stage.id] = factor, len([row for row in rows if row.run < since])
    rows = [row for row in rows if row.run >= since]
    passed = [row for row in rows if row.outcome == "success" and row.attempts and row.wall_s is not None]
    tried = [row for row in rows if row.attempts and row.outcome in ("success", "cancellation", *_FAILED)]
    ran = sum([row.attempts - (row.outcome == "cancellation") for row in tried])
    skipped = [row.run for row in rows if not row.attempts and (row.reason or "").startswith(CONDITIONS)]
    found = StageProfile(
        stage.id, "guess", (), failed=ran - sum([row.outcome == "success" for row in tried]), ran=ran,
        ran_share=len(tried) / (len(tried) + len(skipped)) if tried or skipped else 1.0, skipped_at=tuple(skipped),
    )  # fmt: skip
    if not passed:
        if stage.duration_ms is not None:
            return found._replace(source="declared", walls_s=(stage.duration_ms / 1000,))
        return found
    found = found._replace(
        source="history",
        walls_s=tuple([_clean_s(row) for row in passed]),
        runs_at=tuple([row.run for row in passed]),
        company=tuple([row.company for row in passed]),
        rss_bytes=max([row.rss_bytes for row in passed if row.rss_bytes is not None], default=None),
    )
    lots = found.lots()
    alone, others = ([passed[at] for at in lot] for lot in lots)
    cores = _median([row.cpu_s / _clean_s(row) for row in alone or others if row.cpu_s is not None and _clean_s(row)])
    return found._replace(
        cores=cores,
        disk=_disk(alone, others, cores),
        gamma=_gamma(alone, others),
        trend=_trend([found.walls_s[at] for at in max(lots, key=len)][-TREND:]),
    )


def _by_items(found: StageProfile, walls_s: Mapping[str, float] | None, runs: Sequence[Run]) -> StageProfile:
    if not walls_s:
        return found
    known = [(index, walls_s[run.run]) for index, run in enumerate(runs) if run.run in walls_s]
    if not known:
        return found._replace(source="declared", walls_s=(median(walls_s.values()),))
    runs_at, walls = zip(*known)
    company = tuple([float((runs[at].max_parallel or 1) > 1) for at in runs_at])
    return found._replace(source="history", walls_s=walls, runs_at=runs_at, company=company, trend=None)


def _clean_s(row: Sample) -> float:
    """How long it ran, less what its first process waited for a core."""
    return max(0.0, (row.wall_s or 0.0) - (row.delay_s or 0.0))


def _disk(alone: Sequence[Sample], others: Sequence[Sample], cores: float | None) -> float | None:
    """No more than is left of its time beside its work. In company the disk may be busy for others as well, so where
    it was never alone the least of what was seen counts."""
    shares = [_busy(row) for row in alone or others]
    known = [share for share in shares if share is not None]
    if not known:
        return None
    return min(median(known) if alone else min(known), 1.0 - min(1.0, cores or 0.0))


def _busy(row: Sample) -> float | None:
    """For which share of its clean time the disk was busy; 0 for one that moved next to nothing."""
    if row.read_bytes is None and row.write_bytes is None:
        return None
    if (row.read_bytes or 0) + (row.write_bytes or 0) <= MOVED_BYTES:
        return 0.0
    clean_s = _clean_s(row)
    return row.disk_busy * (row.wall_s or 0.0) / clean_s if row.disk_busy is not None and clean_s else None


def _gamma(alone: Sequence[Sample], others: Sequence[Sample]) -> float | None:
    one, other = (_median([row.cpu_s for row in lot if row.cpu_s is not None]) for lot in (alone, others))
    return None if other is None or not one else max(0.0, other / one - 1.0)


def _trend(walls_s: Sequence[float]) -> str | None:
    """The later half against the earlier one."""
    before, after = walls_s[: len(walls_s) // 2], walls_s[len(walls_s) // 2 :]
    shown = figures.differs(before, after)
    if shown is None:
        return None
    one, other = median(before), median(after)
    if not shown or max(one, other) < min(one, other) * LEAST_CHANGE:
        return "steady"
    return "slower" if shown > 0 else "faster"


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


# Changes of the file ----------------------------------------------------------------------------------------------


def _since(rows: Sequence[Sample], runs: Sequence[Run]) -> tuple[int, float]:
    """From which run on the stage is what it is now: the latest change of the file at which its level changed, as far
    as can be seen; 0 where there is none. And the factor by which it did."""
    took = [row for row in rows if row.outcome == "success" and row.attempts and row.wall_s]
    starts = [new.run for old, new in pairwise(took) if runs[new.run].digest != runs[old.run].digest]
    for start in reversed(starts[-_CHANGES_MAX:]):
        for is_alone in (True, False):  # what company costs is no change
            lot = [row for row in took if ((row.company or 0.0) < SOLO) == is_alone]
            before, after = ([_clean_s(row) for row in lot if (row.run < start) == old] for old in (True, False))
            factor = _change(before, after) if before and after else None
            if factor is not None:
                return start, factor
    return 0, 1.0


def _change(before: Sequence[float], after: Sequence[float]) -> float | None:
    """The later level over the earlier one, if it is another for certain: by their intervals, or where there are too
    few for those, since the lots do not meet and lie far apart, the farther the fewer there are."""
    one, other = median(before), median(after)
    if min(one, other) <= 0:
        return None
    shown = figures.differs(before, after)
    if shown is None:
        shown = max(before) < min(after) or max(after) < min(before)
    least = _FAR.get(min(len(before), len(after)), 1.25)
    return other / one if shown and max(one, other) >= least * min(one, other) else None


# What is not known ------------------------------------------------------------------------------------------------


#: Formats of systems that record runs themselves, with each job on a machine of its own.
_RECORDS = ("github", "gitlab")


def _lacks(pipeline: Pipeline, profile: Profile, runs: int) -> Iterator[str]:
    stages = profile.stages
    how = (
        "stagebook run --sequential" if pipeline.format not in _RECORDS else f"stagebook import runs {pipeline.format}"
    )
    unknown = [stage.stage for stage in stages if stage.source == "guess" and stage.ran_share]
    if not profile.runs and stages:
        if any(stage.source == "declared" for stage in stages):
            told = ", so durations are those that are declared"
        else:
            told = f" and no duration is declared, so each stage is taken to last {GUESS_S:g} s"
        known = f"in {_runs(runs)} of this file no stage has passed" if runs else "no run of this file is on record"
        yield f"{known}{told}: {how}"
    if 0 < len(unknown) < len(stages):
        yield f"nothing is known of {_names(unknown)}, so the median of the others is taken: {how}"
    for stage in stages:
        if stage.ran and not stage.runs:
            yield f"{stage.stage} has never passed: {stage.failed} of {stage.ran} attempts failed"
        elif not stage.ran_share:
            yield f"{stage.stage} never ran, as its condition kept it from that in {_runs(len(stage.skipped_at))}"
    by_count: dict[int, list[str]] = {}
    for stage in stages:
        if stage.source == "history" and stage.runs < ENOUGH:
            by_count.setdefault(stage.runs, []).append(stage.stage)
    for count, names in sorted(by_count.items()):
        yield (
            f"{_names(names)} {'has' if len(names) == 1 else 'have'} {_runs(count)}, {ENOUGH} are needed: "
            + (
                f"{how}, {ENOUGH - count} more {'time' if count == ENOUGH - 1 else 'times'}"
                if pipeline.format not in _RECORDS
                else how
            )
        )
    crowded = [stage.stage for stage in stages if stage.runs and not stage.lots()[0]]
    if crowded and pipeline.format not in _RECORDS:
        yield (
            f"{_names(crowded)} always ran beside others, so what {'it takes' if len(crowded) == 1 else 'they take'} "
            "alone is not known: stagebook run --sequential"
        )
    if profile.runs and profile.jobs_seen < 2 and pipeline.format not in _RECORDS and _is_wide(pipeline):
        yield (
            "no parallel run is on record, so nothing can tell whether stages that wait share what they wait for: "
            "stagebook plan --probe"
        )


def _changed(changes: Mapping[str, tuple[float, int]]) -> Iterator[str]:
    if len(changes) > _NAMED:
        yield (
            f"{_names([*changes])} take another time since the file was changed: what they took before that is left out"
        )
        return
    for stage, (factor, count) in changes.items():
        yield (
            f"{stage} takes {factor:.2g} times as long since the file was changed: what it took before that, in "
            f"{_runs(count)}, is left out"
        )


def _is_wide(pipeline: Pipeline) -> bool:
    """Whether two stages could run at once."""
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    return shape([[at[need] for need in stage.needs] for stage in pipeline.stages]).width > 1


def _names(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{len(names)} stages ({', '.join(names[:_NAMED])} …)"
    return " and ".join([part for part in (", ".join(names[:-1]), names[-1]) if part])


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
