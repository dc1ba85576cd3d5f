"""What is known of each stage of a pipeline before it is simulated: how long it takes, what it asks of the machine,
how often it fails, and how many runs stand behind that. Built from samples or declared durations; simulates nothing."""

from __future__ import annotations

from statistics import median

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.history.samples import Samples
    from stagebook.model.pipeline import Pipeline

#: Fewer runs than this are said to be too few.
ENOUGH = 5
#: With fewer other stages beside it, on the average, a stage is taken to have been alone.
SOLO = 0.5


class StageProfile(NamedTuple):
    """One stage, in the order of `Pipeline.stages`. Tuples go with each other: one entry a success, oldest first.

    `source`: `history`, `declared`, or `guess` (the median of the others, where nothing is known of it). `walls_s`
    is clean: less the time spent waiting for a core; one entry, the declared duration, where there is no history.
    `runs_at` are indices of the runs, so that stages of one run can be drawn together. `cores` is CPU time over
    clean wall when alone; `disk` the share of its time for which it keeps the disk busy; `gamma` how much more CPU
    time it takes in company (0.3: 30 % more), None without a run in company. Of `ran` attempts `failed` ended badly.
    `trend`: `slower`, `faster`, `steady`, None where too little is known. `ran_share` is how often its condition let
    it run, `skipped_at` the runs in which it did not.
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
        """Of those alone, where they are at least three or no fewer than those in company; else of all."""
        alone, others = self.lots()
        return median([self.walls_s[at] for at in (alone if len(alone) >= min(3, len(others)) else [*alone, *others])])

    def lots(self) -> tuple[list[int], list[int]]:
        """Where in `walls_s` the runs are in which it was alone, or nobody knows, and those in which it was not."""
        alone, others = [], []
        for at, company in enumerate(self.company or (None,) * len(self.walls_s)):
            (others if company is not None and company >= SOLO else alone).append(at)
        return alone, others


class Profile(NamedTuple):
    """`source`: `history`, `file` (timings in the file) or `declared`. `runs`: how many stand behind it at most for
    one stage. `others_cores`: what others kept busy lately, the median. `jobs_seen`: with how many at once stages
    have been seen to run. `lacks`: what it does not know and what to run to know it, as sentences."""

    stages: tuple[StageProfile, ...]
    source: str
    runs: int
    others_cores: float | None = None
    jobs_seen: int = 1
    lacks: tuple[str, ...] = ()


def build(pipeline: Pipeline, samples: Samples | None) -> Profile:
    """What is known of each stage of the pipeline as it is now; `samples` are of its file."""
    raise NotImplementedError
