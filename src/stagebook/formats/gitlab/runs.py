"""What GitLab's API tells of pipelines, their jobs and bridges, as recorded runs. Which stages its names mean, and
where the documents come from, is not known here.

Read are pipelines (`GET /projects/:id/pipelines`, `…/pipelines/:id`), jobs (`…/pipelines/:id/jobs`, with
`include_retried=true` those that were tried again too) and bridges (`…/pipelines/:id/bridges`), in any order.
"""

from __future__ import annotations

from stagebook.formats.source.documents import instant_us, number_of, refused, text_of
from stagebook.model.recorded import RecordedJob, RecordedRun, RecordedTry, Recordings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

    from stagebook.formats.source.documents import Item

KEYS: tuple[str, ...] = ("jobs", "bridges", "pipelines")
_OVER = {"success": "success", "failed": "failure", "canceled": "cancellation", "skipped": "skip"}
_NEVER = ("manual", "created", "scheduled")  #: of a pipeline that is over these have not been started
NAME_MAX = 1000  #: characters of a name that are kept
_TIMEOUTS = ("job_execution_timeout", "stuck_or_timeout_failure")
#: What is said to have failed where it was not the job's own commands.
_ERRORS = (
    "runner_system_failure", "scheduler_failure", "data_integrity_failure", "api_failure", "runner_unsupported",
    "ci_quota_exceeded", "stale_schedule", "archived_failure", "no_matching_runner", "unknown_failure",
    "pipeline_loop_detected", "builds_disabled", "environment_creation_failure", "deployment_rejected",
    "missing_dependency_failure", "unmet_prerequisites", "trace_size_exceeded",
    "reached_max_descendant_pipelines_depth",
    "ip_restriction_failure", "reached_downstream_pipelines_limit", "downstream_pipeline_creation_failed",
    "user_blocked", "project_deleted", "token_ip_restricted", "upstream_bridge_project_not_found",
    "insufficient_upstream_permissions", "insufficient_bridge_permissions", "invalid_bridge_trigger",
    "downstream_bridge_project_not_found", "protected_environment_failure", "forward_deployment_failure",
)  # fmt: skip
_EXPECTED = "a pipeline, a job or a bridge as GitLab's API tells them"


def parse(items: Iterable[Item]) -> Recordings:
    """The runs in these objects. InputError for an object that is none of GitLab's."""
    pipelines: dict[int, dict[str, Any]] = {}
    jobs: dict[int, dict[int, dict[str, Any]]] = {}
    for item in items:
        value = item.value
        if any(isinstance(value.get(key), list) for key in KEYS) and "status" not in value:
            continue
        id, of = number_of(value.get("id")), value.get("pipeline")
        pipeline = number_of(of.get("id")) if isinstance(of, dict) else None
        if id is not None and isinstance(value.get("status"), str) and isinstance(value.get("name"), str) and pipeline:
            known = jobs.setdefault(pipeline, {})
            if id not in known or known[id].get("status") not in _OVER:
                known[id] = value
            if isinstance(of, dict):
                pipelines[pipeline] = {**of, **pipelines.get(pipeline, {})}
        elif id is not None and "status" in value and "sha" in value and "stage" not in value:
            pipelines[id] = {**pipelines.get(id, {}), **value}
        else:
            raise refused(item, _EXPECTED)
    found = []
    going = empty = 0
    children = _with_children(pipelines, jobs)
    for id, told in pipelines.items():
        status = str(told.get("status"))
        if id in children:
            continue
        if id not in jobs:
            empty += status in _OVER
            going += status not in _OVER
        elif status not in _OVER:
            going += 1
        else:
            found.append(_run(id, told, list(jobs[id].values())))
    said = []
    if empty:
        said.append(
            f"{empty} of {len(pipelines)} pipelines come without their jobs: add the answers of "
            "/pipelines/ID/jobs?include_retried=true"
        )
    return Recordings(tuple(sorted(found, key=lambda run: (run.created_us or 0, run.id))), going, tuple(said))


def _with_children(pipelines: dict[int, dict[str, Any]], jobs: dict[int, dict[int, dict[str, Any]]]) -> set[int]:
    """Give jobs of a child pipeline to that which started it, as `BRIDGE/JOB`, where both are over; which pipelines are
    such children. The innermost come first, as ids grow."""
    children: set[int] = set()
    for id in sorted(jobs, reverse=True):
        for bridge in [job for job in jobs[id].values() if isinstance(job.get("downstream_pipeline"), dict)]:
            child = number_of(bridge["downstream_pipeline"].get("id"))
            told = pipelines.get(child or 0, {})
            if child is None or child == id or child not in jobs or told.get("source") != "parent_pipeline":
                continue
            if told.get("status") not in _OVER or child in children:
                continue
            children.add(child)
            for job in jobs[child].values():
                jobs[id].setdefault(job["id"], {**job, "name": f"{bridge['name']}/{job['name']}"})
    return children


def _run(id: int, told: dict[str, Any], jobs: list[dict[str, Any]]) -> RecordedRun:
    by_name: dict[str, list[dict[str, Any]]] = {}
    for job in sorted(jobs, key=lambda job: job["id"]):
        by_name.setdefault(job["name"][:NAME_MAX], []).append(job)
    found = []
    for name, tries in by_name.items():
        last = tries[-1]
        tags = last.get("tag_list")
        found.append(
            RecordedJob(
                name, tuple(_try(each) for each in tries),
                tuple(str(tag)[:100] for tag in tags) if isinstance(tags, list) else (), text_of(last.get("stage")),
                last.get("allow_failure") is True,
            )
        )  # fmt: skip
    first = jobs[0]
    commit = first.get("commit")
    ref = text_of(told.get("ref")) or text_of(first.get("ref"))
    if ref is not None and first.get("tag") is True and not ref.startswith("refs/"):
        ref = f"refs/tags/{ref}"
    return RecordedRun(
        "gitlab", str(id), 1, tuple(found), text_of(told.get("name")), None, text_of(told.get("web_url")),
        text_of(told.get("source")), ref,
        text_of(told.get("sha")) or (text_of(commit.get("id")) if isinstance(commit, dict) else None),
        instant_us(told.get("created_at")), _OVER[str(told["status"])],
    )  # fmt: skip


def _try(job: dict[str, Any]) -> RecordedTry:
    status, why = str(job.get("status")), text_of(job.get("failure_reason"), 80)
    created, started, finished = (instant_us(job.get(f"{word}_at")) for word in ("created", "started", "finished"))
    runner = job.get("runner")
    named = text_of(runner.get("description")) if isinstance(runner, dict) else None
    outcome = _OVER.get(status, "error")
    reason = why
    if status == "failed" and why in _TIMEOUTS:
        outcome = "timeout"
    elif status == "failed" and why in _ERRORS:
        outcome = "error"
    elif status in _NEVER:
        outcome, reason = "skip", f"{status}: nobody started it"
    if outcome == "skip":
        started = None
    if started is not None and finished is not None:
        finished = max(started, finished)
    elif started is not None:
        finished, outcome, reason = started, "error", "interrupted"
    return RecordedTry(outcome, created, _us(job.get("queued_duration")), started, finished, reason, named)


def _us(seconds: Any) -> int | None:
    is_time = type(seconds) in (int, float) and 0 <= seconds < 1e9
    return round(float(seconds) * 1_000_000) if is_time else None
