"""What the history holds of one pipeline's latest runs, as a profile needs it: a row a stage a run. Concludes
nothing."""

from __future__ import annotations

from stagebook.model.pipeline import MEASURED
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection


#: How the reason begins of a stage that its condition kept from running.
CONDITIONS = ("when: ", "changed: ")


class Sample(NamedTuple):
    """The last attempt of one stage in one run. Seconds, bytes, shares; None is unknown.

    `run`: index into `Samples.runs`. `delay_s`: how long its first process waited for a core. `company`: how many
    other stages ran meanwhile, on the average. `others_cores`: cores that others kept busy meanwhile. `disk_busy`:
    share of its time for which the disk under the work was busy, whoever kept it so. `reason` is why the stage ended
    as it did, or why it did not run.
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
    """One run that is over, or that stands still: it waits for a person, and of it `outcome` is empty and `wall_s` 0.
    `digest` is that of the file it ran, empty where unknown; `started_us` since 1970. `autogroup`: the kernel dealt
    cores to sessions before threads, so each stage weighed the same. `part`: some stages were not selected, or of items
    only those that had failed before, so it tells nothing of a run as a whole. `imported`: the system that recorded it,
    on machines of its own, one a stage."""

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
    part: bool = False
    imported: str | None = None


class Samples(NamedTuple):
    """Oldest run first, and of one run by stage. `left_out` counts runs that say nothing: damaged, cancelled, of
    `measure`, or in which no stage ran or was kept from it by its condition, as all were up to date."""

    runs: tuple[Run, ...]
    rows: tuple[Sample, ...]
    left_out: int

    def recorded(self) -> Samples:
        """Of these, where another system has recorded some, the latest such system's alone: on other machines stages
        take other times."""
        system = next((run.imported for run in reversed(self.runs) if run.imported is not None), None)
        if system is None:
            return self
        place = {at: number for number, at in enumerate(
            [at for at, run in enumerate(self.runs) if run.imported == system]
        )}  # fmt: skip
        rows = [row._replace(run=place[row.run]) for row in self.rows if row.run in place]
        left = self.left_out + len(self.runs) - len(place)
        return Samples(tuple([self.runs[at] for at in place]), tuple(rows), left)

    @property
    def system(self) -> str | None:
        """Which system has recorded these runs; None where they are of this machine, or there are none."""
        return self.runs[-1].imported if self.runs else None

    def worked_s(self) -> list[float]:
        """For how long stages ran at most, run by run."""
        sums = [0.0] * len(self.runs)
        for row in self.rows:
            sums[row.run] += row.wall_s or 0.0
        return [min(run.wall_s, ran_s) for run, ran_s in zip(self.runs, sums)]


def samples(connection: Connection, file: str, limit: int = 200) -> Samples:
    """Of the latest `limit` runs of a pipeline file (absolute path) that say something; a question for `store.ask`."""
    from sqlalchemy import exists, or_, select  # which whoever only needs the values does without

    from stagebook.history.schema import runs, stages, storable

    goes_on = exists().where(stages.c.run_id == runs.c.id, stages.c.attempts > 0, stages.c.outcome.is_(None))
    told = or_(stages.c.attempts > 0, *[stages.c.reason.startswith(words) for words in CONDITIONS])
    asked = (
        select(
            *[runs.c[name] for name in (*_RUN, "id", "format", "damaged")],
            exists().where(stages.c.run_id == runs.c.id, told),
            goes_on,
        )
        .where(runs.c.file == storable(file))
        .order_by(runs.c.run.desc())
    )
    found: dict[int, Run] = {}
    left_out = 0
    for *values, id, format, damaged, is_told, is_running in connection.execute(
        asked.execution_options(yield_per=limit)
    ):
        run, digest, mode, jobs, outcome, started_us, wall_us, *rest, part, system = values
        if damaged is None and outcome is None and (is_running or not is_told):
            continue
        if damaged is None and outcome is None:
            outcome, wall_us = "", 0
        if damaged is not None or outcome == "cancellation" or format == MEASURED or wall_us is None or not is_told:
            left_out += 1
            continue
        found[id] = Run(run, digest or "", mode, jobs, outcome, started_us, wall_us / 1e6, *rest)._replace(
            part=bool(part), imported=system
        )
        if len(found) == limit:
            break
    place = {id: number for number, id in enumerate(reversed(found))}
    rows = [
        _sample(place[id], *values)
        for id, *values in connection.execute(
            select(*[stages.c[name] for name in ("run_id", *_STAGE)]).where(
                stages.c.run_id.in_(place), stages.c.outcome.is_not(None)
            )
        )
    ]
    return Samples(tuple(reversed(found.values())), tuple(sorted(rows, key=lambda row: row[:2])), left_out)


#: In the order of `Run` and of `_sample`.
_RUN = (
    "run", "digest", "mode", "jobs", "outcome", "started_us", "wall_us", "others_cores", "max_parallel", "commit_sha",
    "autogroup", "part", "imported",
)  # fmt: skip
_STAGE = (
    "stage", "outcome", "attempts", "work_us", "wait_us", "cpu_us", "delay_us", "company", "others_cores",
    "device_busy", "rss_bytes", "read_bytes", "write_bytes", "reason",
)  # fmt: skip


def _sample(
    run: int, stage: str, outcome: str, attempts: int, work_us: int | None, wait_us: int | None, cpu_us: int | None,
    delay_us: int | None, *rest: Any,
) -> Sample:  # fmt: skip
    wall_s, wait_s, cpu_s, delay_s = [None if us is None else us / 1e6 for us in (work_us, wait_us, cpu_us, delay_us)]
    return Sample(run, stage, outcome, attempts, wall_s, wait_s, cpu_s, delay_s, *rest)
