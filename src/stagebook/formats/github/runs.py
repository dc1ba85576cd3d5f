"""What GitHub's API tells of workflow runs and their jobs, as recorded runs. Which stages its names mean, and where the
documents come from, is not known here.

Read are runs (`GET /repos/{o}/{r}/actions/runs`) and jobs (`…/actions/runs/{id}/jobs`, with `filter=all` those of all
attempts), whole answers or single ones, in any order. Each attempt of a run is a run of its own, as jobs of it are run
hours or days after the first.
"""

from __future__ import annotations

from stagebook.formats.source.documents import instant_us, number_of, refused, text_of
from stagebook.model.recorded import RecordedJob, RecordedRun, RecordedStep, RecordedTry, Recordings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

    from stagebook.formats.source.documents import Item

#: Under which lists of objects lie in its answers.
KEYS = ("workflow_runs", "jobs")
NAME_MAX = 1000  #: characters of a name that are kept
OUTCOMES = {
    "success": "success",
    "neutral": "success",
    "failure": "failure",
    "timed_out": "timeout",
    "cancelled": "cancellation",
    "stale": "cancellation",
    "skipped": "skip",
    "action_required": "skip",
    "startup_failure": "error",
}
_EXPECTED = "a workflow run or a job as GitHub's API tells them"


def parse(items: Iterable[Item]) -> Recordings:
    """The runs in these objects. InputError for an object that is none of GitHub's."""
    runs: dict[int, dict[str, Any]] = {}
    jobs: dict[int, dict[int, dict[str, Any]]] = {}
    totals: dict[int, int] = {}
    for item in items:
        value = item.value
        listed = value.get("jobs")
        if isinstance(value.get("workflow_runs"), list) or isinstance(listed, list):
            of = {number_of(job.get("run_id")) for job in listed or () if isinstance(job, dict)}
            only = of.pop() if len(of) == 1 else None
            if only is not None and number_of(value.get("total_count")) is not None:
                totals[only] = value["total_count"]
            continue
        id, run = number_of(value.get("id")), number_of(value.get("run_id"))
        if run is not None and id is not None and isinstance(value.get("name"), str) and "status" in value:
            known = jobs.setdefault(run, {})
            if id not in known or known[id].get("status") != "completed":
                known[id] = value
        elif id is not None and "status" in value and ("workflow_id" in value or "run_number" in value):
            if id not in runs or (number_of(value.get("run_attempt")) or 0) >= (
                number_of(runs[id].get("run_attempt")) or 0
            ):
                runs[id] = value
        else:
            raise refused(item, _EXPECTED)
    return _recordings(runs, jobs, totals)


def _recordings(
    runs: dict[int, dict[str, Any]], jobs: dict[int, dict[int, dict[str, Any]]], totals: dict[int, int]
) -> Recordings:
    found: list[RecordedRun] = []
    going = 0
    for run, of in jobs.items():
        made, open_ones = _attempts(run, runs.get(run, {}), list(of.values()))
        found += made
        going += open_ones
    said = [
        f"of run {run} only {len(jobs[run])} of {total} jobs are there: add the other pages of its jobs"
        for run, total in totals.items()
        if run in jobs and len(jobs[run]) < total
    ]
    without = [run for run, value in runs.items() if run not in jobs]
    going += sum(runs[run].get("status") != "completed" for run in without)
    empty = sum(runs[run].get("status") == "completed" for run in without)
    if empty:
        said.append(
            f"{empty} of {len(runs)} runs come without their jobs: add the answers of /actions/runs/ID/jobs?filter=all"
        )
    return Recordings(tuple(sorted(found, key=lambda run: (_first_us(run), run.id, run.attempt))), going, tuple(said))


def _attempts(run: int, told: dict[str, Any], jobs: list[dict[str, Any]]) -> tuple[list[RecordedRun], int]:
    """The attempts of a run that are over, and how many are not."""
    by_attempt: dict[int, list[dict[str, Any]]] = {}
    for job in jobs:
        by_attempt.setdefault(number_of(job.get("run_attempt")) or 1, []).append(job)
    latest = number_of(told.get("run_attempt")) or max(by_attempt)
    later: set[str] = set()
    names: dict[int, set[str]] = {number: {job["name"][:NAME_MAX] for job in of} for number, of in by_attempt.items()}
    first = min(by_attempt)
    for number in by_attempt:
        if number > first:
            later |= names[number]
    found = []
    going = 0
    for number, of in sorted(by_attempt.items()):
        is_latest = number == latest
        if any(job.get("status") != "completed" for job in of) or (
            is_latest and told.get("status") not in (None, "completed")
        ):
            going += 1
            continue
        before = set().union(*[names[other] for other in names if other < number]) - names[number]
        is_whole = number > first or not later - names[number]
        found.append(
            RecordedRun(
                "github", str(run), number, tuple(_jobs(of)),
                text_of(told.get("name")) or text_of(of[0].get("workflow_name")),
                _path(told.get("path")), text_of(told.get("html_url")) or _url(of[0], run),
                text_of(told.get("event")),
                text_of(told.get("head_branch")) or text_of(of[0].get("head_branch")),
                text_of(told.get("head_sha")) or text_of(of[0].get("head_sha")),
                instant_us(told.get("run_started_at")) if is_latest else None,
                OUTCOMES.get(str(told.get("conclusion"))) if is_latest else None,
                is_whole, tuple(sorted(before)),
            )
        )  # fmt: skip
    return found, going


def _jobs(jobs: list[dict[str, Any]]) -> list[RecordedJob]:
    """In the order in which they were made. Of jobs of one name, as two of a matrix may have, each is a job."""
    found = []
    for job in sorted(jobs, key=lambda job: job["id"]):
        labels = job.get("labels")
        listed = tuple(str(label)[:100] for label in labels) if isinstance(labels, list) else ()
        found.append(RecordedJob(job["name"][:NAME_MAX], (_try(job),), listed))
    return found


def _try(job: dict[str, Any]) -> RecordedTry:
    """A job has no time before its first step has, as what is told of its start may be when it was queued."""
    outcome = OUTCOMES.get(str(job.get("conclusion")), "error")
    steps = tuple(_steps(job.get("steps")))
    created, started, finished = (instant_us(job.get(f"{word}_at")) for word in ("created", "started", "completed"))
    runner = text_of(job.get("runner_name"))
    begun = [step.started_us for step in steps if step.started_us is not None]
    if begun and started is not None and (finished is None or min(begun) <= finished):
        started = max(started, min(begun))
    if outcome == "skip" or (outcome == "cancellation" and not runner and not begun):
        started = None
    if started is not None and finished is not None:
        finished = max(started, finished)
    reason = None if str(job.get("conclusion")) in OUTCOMES else f"conclusion {str(job.get('conclusion'))[:40]}"
    if finished is None and started is not None:
        finished, outcome, reason = started, "error", "interrupted"
    return RecordedTry(outcome, created, None, started, finished, reason, runner, steps)


def _steps(value: Any) -> Iterable[RecordedStep]:
    for step in value if isinstance(value, list) else ():
        if isinstance(step, dict) and isinstance(step.get("name"), str):
            outcome = OUTCOMES.get(str(step.get("conclusion")), "error")
            started, finished = (instant_us(step.get(f"{word}_at")) for word in ("started", "completed"))
            yield RecordedStep(step["name"][:200], outcome, started, finished)


def _path(value: Any) -> str | None:
    """From the root of the repository, and within it; what follows an `@` is a ref."""
    path = (text_of(value) or "").partition("@")[0]
    is_inside = path.isprintable() and not path.startswith("/") and ".." not in path.split("/")
    return path if path and is_inside else None


def _url(job: dict[str, Any], run: int) -> str | None:
    """Of the run, out of that of a job."""
    text = text_of(job.get("html_url"))
    before, is_there, _ = (text or "").partition(f"/runs/{run}/")
    return f"{before}/runs/{run}" if is_there else None


def _first_us(run: RecordedRun) -> int:
    times = [us for job in run.jobs for one in job.tries for us in (one.created_us, one.started_us) if us is not None]
    return min(times, default=run.created_us or 0)
