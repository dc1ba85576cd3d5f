"""What is known of each stage of a pipeline before it is simulated: how long it takes, what it asks of the machine,
how often it fails, and how many runs stand behind that. Built from samples or declared durations; simulates nothing."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

#: Fewer runs than this are said to be too few.
ENOUGH = 5


class StageProfile(NamedTuple):
    """One stage, in the order of `Pipeline.stages`. Tuples go with each other: one entry a success, oldest first.

    `source`: `history`, `declared`, or `guess` (the median of the others, where nothing is known of it). `walls_s`
    is clean: less the time spent waiting for a core; one entry, the declared duration, where there is no history.
    `runs_at` are indices of the runs, so that stages of one run can be drawn together. `cores` is CPU time over
    clean wall when alone; `disk` the share of its time for which it keeps the disk busy; `gamma` how much more CPU
    time it takes in company (0.3: 30 % more), None without a run in company. `failed` of `ran` ended badly. `trend`:
    `slower`, `faster`, `steady`, None where too little is known.
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

    @property
    def runs(self) -> int:
        """How many successes stand behind it."""
        return len(self.walls_s) if self.source == "history" else 0


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
