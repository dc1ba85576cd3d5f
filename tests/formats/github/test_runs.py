"""Answers of GitHub's API as recorded runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.recordings import synthetic

from stagebook.formats.github import runs
from stagebook.formats.source import documents
from stagebook.model.problem import InputError
from stagebook.model.recorded import Recordings

JOB = {
    "id": 5, "run_id": 7, "run_attempt": 1, "name": "build", "status": "completed", "conclusion": "success",
    "created_at": "2026-01-01T10:00:00Z", "started_at": "2026-01-01T10:00:05Z", "completed_at": "2026-01-01T10:02:05Z",
    "labels": ["ubuntu-latest"], "runner_name": "r1", "steps": [],
}  # fmt: skip
RUN = {
    "id": 7, "name": "CI", "path": ".github/workflows/ci.yml@main", "run_number": 1, "workflow_id": 3, "event": "push",
    "status": "completed", "conclusion": "failure", "run_attempt": 2, "head_branch": "main", "head_sha": "ab" * 20,
    "run_started_at": "2026-01-01T10:00:00Z", "html_url": "https://github.com/o/r/actions/runs/7",
}  # fmt: skip


def read(*texts: Any) -> Recordings:
    items = []
    for number, each in enumerate(texts):
        data = each if isinstance(each, bytes) else json.dumps(each).encode()
        items += documents.items(f"f{number}.json", documents.parse(data, f"f{number}.json"), runs.KEYS)
    return runs.parse(items)


def job(**more: Any) -> dict[str, Any]:
    return {**JOB, **more}


def test_runs_and_jobs_in_any_form_come_to_the_same() -> None:
    listed, jobs = synthetic.github(runs=3)
    pages = [{**each, "jobs": part} for each in jobs for part in (each["jobs"][:3], each["jobs"][3:])]
    single = [job for each in jobs for job in each["jobs"]]
    lines = b"\n".join(json.dumps(each).encode() for each in [*listed["workflow_runs"], *single])
    whole = read(listed, jobs).runs
    assert len(whole) == 3 and all(len(run.jobs) == 5 for run in whole)
    assert read(jobs, listed).runs == read(listed, *pages).runs == read([listed, pages]).runs == whole
    assert read(lines).runs == whole
    assert read(json.dumps(listed).encode() + b"\n" + json.dumps(jobs).encode()).runs == whole


def test_what_is_known_of_a_run() -> None:
    found = read({**RUN, "run_attempt": 1}, job()).runs[0]
    assert (found.id, found.attempt, found.workflow, found.path) == ("7", 1, "CI", ".github/workflows/ci.yml")
    assert (found.event, found.ref, found.sha, found.outcome) == ("push", "main", "ab" * 20, "failure")
    assert found.url == "https://github.com/o/r/actions/runs/7"
    one = found.jobs[0].tries[0]
    assert (one.started_us or 0) - (one.created_us or 0) == 5_000_000
    assert (one.finished_us or 0) - (one.started_us or 0) == 120_000_000
    assert (one.runner, found.jobs[0].labels) == ("r1", ("ubuntu-latest",))


@pytest.mark.parametrize(
    ("conclusion", "outcome"),
    [("success", "success"), ("neutral", "success"), ("failure", "failure"), ("cancelled", "cancellation"),
     ("timed_out", "timeout"), ("skipped", "skip"), ("startup_failure", "error"), ("something new", "error")],
)  # fmt: skip
def test_conclusions_are_outcomes(conclusion: str, outcome: str) -> None:
    assert read(job(conclusion=conclusion)).runs[0].jobs[0].tries[0].outcome == outcome


def test_a_job_begins_with_its_first_step_where_its_start_is_when_it_was_queued() -> None:
    steps = [{"name": "Set up job", "status": "completed", "conclusion": "success", "number": 1,
              "started_at": "2026-01-01T10:01:00Z", "completed_at": "2026-01-01T10:01:02Z"}]  # fmt: skip
    one = read(job(started_at=JOB["created_at"], steps=steps)).runs[0].jobs[0].tries[0]
    assert (one.started_us or 0) - (one.created_us or 0) == 60_000_000
    assert [step.name for step in one.steps] == ["Set up job"]


def test_each_attempt_is_a_run_and_what_was_not_run_again_is_told() -> None:
    first = [job(id=1, name="build"), job(id=2, name="test", conclusion="failure")]
    again = job(id=3, name="test", run_attempt=2, created_at="2026-01-02T10:00:00Z",
                started_at="2026-01-02T10:00:05Z", completed_at="2026-01-02T10:02:05Z")  # fmt: skip
    one, two = read(RUN, {"total_count": 3, "jobs": [*first, again]}).runs
    assert (one.attempt, one.outcome, one.is_whole, one.kept) == (1, None, True, ())
    assert (two.attempt, two.outcome, two.kept) == (2, "failure", ("build",))
    assert [each.name for each in two.jobs] == ["test"]


def test_an_attempt_of_which_only_what_passed_is_listed_is_not_whole() -> None:
    one, two = read(RUN, [job(id=1, name="build"), job(id=3, name="test", run_attempt=2)]).runs
    assert (one.is_whole, two.is_whole) == (False, True)


def test_what_goes_on_is_counted_and_left_out() -> None:
    found = read({**RUN, "status": "in_progress", "conclusion": None}, job(status="in_progress", conclusion=None))
    assert (found.runs, found.going) == ((), 1)
    assert read(job(), job(id=6, status="queued", conclusion=None)).going == 1


def test_a_job_that_was_cancelled_in_the_queue_never_ran() -> None:
    assert read(job(conclusion="cancelled", runner_name="")).runs[0].jobs[0].tries[0].started_us is None
    assert read(job(conclusion="cancelled")).runs[0].jobs[0].tries[0].started_us is not None


def test_pages_that_are_missing_are_said() -> None:
    found = read({"total_count": 3, "jobs": [job(), job(id=6)]})
    assert len(found.runs) == 1 and "of run 7 only 2 of 3 jobs" in found.said[0]


def test_runs_without_jobs_are_said() -> None:
    found = read({"total_count": 1, "workflow_runs": [RUN]})
    assert not found.runs and "come without their jobs" in found.said[0]


@pytest.mark.parametrize(
    ("data", "says", "line"),
    [
        (b"", "it is empty", 0),
        (b'{"jobs": [', "cut off", 1),
        (b'{"total_count": 1}\n{"jobs": [{"id": 5,\n', "cut off", 3),
        (b"<html>", "not JSON", 1),
        (b'{"message": "Not Found", "status": "404"}', "an error that the API answered: Not Found", 1),
        (b'{"jobs": [{"id": 5}]}', "not a workflow run or a job", 1),
        (b"[7]", "something else than objects", 1),
        (b"[" * 100_000, "nested too deeply", 1),
        (b"\xff\xfe{}", "not UTF-8", 1),
        (b'{"id": NaN}', "NaN", 1),
    ],
)
def test_what_is_no_recording_is_refused_at_its_place(data: bytes, says: str, line: int) -> None:
    with pytest.raises(InputError) as caught:
        read(data)
    assert says in caught.value.problems[0].message
    assert (caught.value.problems[0].file, caught.value.problems[0].line) == ("f0.json", line)


def test_odd_values_are_unknown_and_not_an_error() -> None:
    odd = job(created_at="yesterday", started_at=7, completed_at="2026-01-01T10:02:05Z", labels="x", steps=[None, 3])
    one = read(odd).runs[0].jobs[0].tries[0]
    assert (one.created_us, one.started_us, one.steps) == (None, None, ())
    backwards = read(job(completed_at="2026-01-01T09:00:00Z")).runs[0].jobs[0].tries[0]
    assert backwards.started_us == backwards.finished_us
