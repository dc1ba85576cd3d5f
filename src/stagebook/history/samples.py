"""What the history holds of one pipeline's latest runs, as a profile needs it: a row a stage a run. Concludes
nothing."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlalchemy import Connection


class Sample(NamedTuple):
    """The last attempt of one stage in one run. Seconds, bytes, shares; None is unknown.

    `run`: index into `Samples.runs`. `delay_s`: how long its first process waited for a core. `company`: how many
    other stages ran meanwhile, on the average. `others_cores`: cores that others kept busy meanwhile. `disk_busy`:
    share of its time for which the disk under the work was busy, whoever kept it so.
    """

    run: int
    stage: str
    outcome: str
    attempts: int
    wall_s: float | None
    wait_s: float | None
    cpu_s: float | None
    delay_s: float | None
    company: float | None
    others_cores: float | None
    disk_busy: float | None
    rss_bytes: int | None
    read_bytes: int | None
    write_bytes: int | None
    reason: str | None = None


class Run(NamedTuple):
    """One run that is over. `digest` is that of the file it ran; `started_us` since 1970."""

    run: str
    digest: str
    mode: str
    jobs: int
    outcome: str
    started_us: int
    wall_s: float
    others_cores: float | None
    max_parallel: int | None
    commit: str | None = None
    autogroup: bool | None = None


class Samples(NamedTuple):
    """Oldest run first. `left_out` counts runs that say nothing: damaged, cancelled, or of `measure`."""

    runs: tuple[Run, ...]
    rows: tuple[Sample, ...]
    left_out: int


def samples(connection: Connection, file: str, limit: int = 200) -> Samples:
    """Of the latest `limit` runs of a pipeline file (absolute path) that say something; a question for `store.ask`."""
    raise NotImplementedError
