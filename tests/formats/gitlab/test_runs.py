"""Answers of GitLab's API as recorded runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.recordings import synthetic

from stagebook.formats.gitlab import runs
from stagebook.formats.source import documents
from stagebook.model.problem import InputError
from stagebook.model.recorded import Recordings

PIPELINE = {"id": 9, "iid": 1, "project_id": 3, "sha": "cd" * 20, "ref": "main", "status": "success", "source": "push",
            "created_at": "2026-01-01T10:00:00.000Z", "web_url": "https://gitlab.com/o/r/-/pipelines/9"}  # fmt: skip
JOB = {
    "id": 5, "name": "unit", "stage": "test", "status": "success", "created_at": "2026-01-01T10:00:00.000Z",
    "started_at": "2026-01-01T11:00:30.500+01:00", "finished_at": "2026-01-01T10:02:30.500Z", "duration": 120.0,
    "queued_duration": 12.25, "allow_failure": False, "pipeline": {"id": 9, "ref": "main", "status": "success"},
    "runner": {"id": 1, "description": "shared-1"}, "tag_list": ["linux"], "ref": "main", "tag": False,
}  # fmt: skip


def read(*values: Any) -> Recordings:
    items = []
    for value in values:
        items += documents.items("f.json", documents.parse(json.dumps(value).encode(), "f.json"), runs.KEYS)
    return runs.parse(items)


def job(**more: Any) -> dict[str, Any]:
    return {**JOB, **more}


def test_pipelines_and_jobs_in_any_order() -> None:
    listed, jobs = synthetic.gitlab(runs=3)
    whole = read(listed, jobs).runs
    assert len(whole) == 3 and all(len(run.jobs) == 5 for run in whole)
    assert read(jobs, *listed).runs == whole
    assert len(read(jobs).runs) == 3, "a job tells as much of its pipeline as is needed"


def test_what_is_known_of_a_pipeline_and_of_a_job() -> None:
    run = read([PIPELINE], [job()]).runs[0]
    assert (run.id, run.event, run.ref, run.sha, run.outcome) == ("9", "push", "main", "cd" * 20, "success")
    one = run.jobs[0].tries[0]
    assert (one.finished_us or 0) - (one.started_us or 0) == 120_000_000
    assert (one.queued_us, one.runner, run.jobs[0].group) == (12_250_000, "shared-1", "test")


def test_jobs_that_were_retried_are_tries_of_one() -> None:
    jobs = [job(id=8), job(id=5, status="failed", failure_reason="script_failure")]
    found = read(PIPELINE, jobs).runs[0].jobs
    assert [[one.outcome for one in each.tries] for each in found] == [["failure", "success"]]


@pytest.mark.parametrize(
    ("status", "why", "outcome"),
    [("failed", "script_failure", "failure"), ("failed", None, "failure"),
     ("failed", "job_execution_timeout", "timeout"),
     ("failed", "runner_system_failure", "error"), ("canceled", None, "cancellation"), ("skipped", None, "skip"),
     ("manual", None, "skip")],
)  # fmt: skip
def test_how_a_job_ended(status: str, why: str | None, outcome: str) -> None:
    one = read(PIPELINE, [job(status=status, failure_reason=why)]).runs[0].jobs[0].tries[0]
    assert one.outcome == outcome
    assert (one.started_us is None) == (outcome == "skip")


def test_a_bridge_is_a_job_that_lasts_as_long_as_what_it_started() -> None:
    bridge = job(id=6, name="child", downstream_pipeline={"id": 10, "status": "success"}, runner=None)
    assert [each.name for each in read(PIPELINE, [job()], [bridge]).runs[0].jobs] == ["unit", "child"]


def test_jobs_of_a_child_pipeline_are_the_parents() -> None:
    bridge = job(id=6, name="child", downstream_pipeline={"id": 10, "status": "success"}, runner=None)
    child = {**PIPELINE, "id": 10, "source": "parent_pipeline"}
    inner = job(id=7, name="inner", pipeline={"id": 10, "status": "success"})
    found = read(PIPELINE, child, [job()], [bridge], [inner]).runs
    assert [(run.id, [each.name for each in run.jobs]) for run in found] == [("9", ["unit", "child", "child/inner"])]
    apart = read(PIPELINE, {**child, "source": "pipeline"}, [job()], [bridge], [inner]).runs
    assert [run.id for run in apart] == ["10", "9"], "of another project, or started by its token"


def test_a_pipeline_that_goes_on_is_left_out() -> None:
    assert read({**PIPELINE, "status": "running"}, [job()]).going == 1
    assert read({**PIPELINE, "status": "manual"}, [job()]).going == 1


def test_a_tag_is_no_branch() -> None:
    assert read({**PIPELINE, "ref": "v1"}, [job(tag=True)]).runs[0].ref == "refs/tags/v1"


@pytest.mark.parametrize(
    "value", [{"message": "401 Unauthorized"}, {"id": 7}, {"name": "x", "id": 1, "status": "success"}]
)
def test_what_is_no_recording_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="it is not"):
        read(value)
