"""A run as another system recorded it: jobs with their times and ends, in that system's own names. What its names mean
in a pipeline file is not known here.

Times are whole microseconds since 1970; None is unknown.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


class RecordedStep(NamedTuple):
    name: str
    outcome: str
    started_us: int | None = None
    finished_us: int | None = None


class RecordedTry(NamedTuple):
    """One attempt of a job that is over. `created_us`: when the system knew of it, which may be before its needs were
    done. `queued_us`: for how long it waited for a runner, where the system says so. `started_us` None: it never
    ran."""

    outcome: str
    created_us: int | None = None
    queued_us: int | None = None
    started_us: int | None = None
    finished_us: int | None = None
    reason: str | None = None
    runner: str | None = None
    steps: tuple[RecordedStep, ...] = ()
    usage: Mapping[str, Any] | None = None  #: as lines of a journal have it, where somebody has measured it


class RecordedJob(NamedTuple):
    """`name` as the system shows it. `tries` from the first to the last. `group`: the stage of GitLab that it is in."""

    name: str
    tries: tuple[RecordedTry, ...]
    labels: tuple[str, ...] = ()
    group: str | None = None
    allow_failure: bool = False


class RecordedRun(NamedTuple):
    """One run, or one attempt of a run where the system runs jobs of it again. `id` and `attempt` tell it from all
    others of the system. `path` is the workflow file from the root of the repository; `workflow` what it calls itself.
    `outcome` None: the jobs tell. `is_whole`: nothing of it is known to be missing. `kept`: names of jobs that were not
    run again in this attempt."""

    system: str
    id: str
    attempt: int = 1
    jobs: tuple[RecordedJob, ...] = ()
    workflow: str | None = None
    path: str | None = None
    url: str | None = None
    event: str | None = None
    ref: str | None = None
    sha: str | None = None
    created_us: int | None = None
    outcome: str | None = None
    is_whole: bool = True
    kept: tuple[str, ...] = ()


class Recordings(NamedTuple):
    """What documents of a system held: runs that are over, in order of time, how many were still going on, and what
    was odd about them, as sentences."""

    runs: tuple[RecordedRun, ...]
    going: int = 0
    said: tuple[str, ...] = ()
