"""Recorded runs as journals: needs from the file, queues from the times, and the same bytes each time."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.model.job import Job
from stagebook.model.pipeline import Condition, Pipeline, Stage
from stagebook.model.recorded import RecordedJob, RecordedRun, RecordedTry
from stagebook.record.line import decode
from stagebook.record.retelling import retell
from stagebook.recordings.journal import Written, mark_of, write
from stagebook.recordings.match import Names

T0 = 1_767_225_600_000_000
S = 1_000_000


def stage(id: str, *needs: str, **more: Any) -> Stage:
    return Stage(id, id, 3, 1, "job", "make", needs=needs, need_lines=(3,) * len(needs), job=Job("github", id), **more)


def pipeline(*stages: Stage) -> Pipeline:
    return Pipeline("ci", "/r/.github/workflows/ci.yml", "github", "d", stages)


def job(name: str, *, created: int = 0, started: int | None = 5, finished: int | None = 65, outcome: str = "success",
        queued: int | None = None) -> RecordedJob:  # fmt: skip
    times = [None if at is None else T0 + at * S for at in (created, started, finished)]
    return RecordedJob(
        name, (RecordedTry(outcome, times[0], None if queued is None else queued * S, times[1], times[2]),)
    )


def written(of: Pipeline | None, *jobs: RecordedJob, **more: Any) -> Written:
    run = RecordedRun("github", "7", jobs=jobs, **more)
    made = write(run, of, Names(of), "" if of is None else of.file)
    assert made is not None
    return made


def told(made: Written) -> dict[str, Any]:
    document: dict[str, Any] = retell([decode(line) for line in made.journal.splitlines(True)], "j").document()
    return {**document, "by": {each["stage"]: each for each in document["stages"]}}


def test_needs_come_from_the_file_and_waiting_for_them_is_no_queue() -> None:
    made = written(
        pipeline(stage("build"), stage("test", "build")), job("build"), job("test", started=75, finished=100)
    )
    found = told(made)
    assert found["by"]["test"]["needs"] == ["build"]
    assert [found["by"][name]["wait_s"] for name in ("build", "test")] == [5, 10]
    assert [found["by"][name]["wall_s"] for name in ("build", "test")] == [60, 25]
    assert (found["wall_s"], found["critical_path"], found["outcome"]) == (100, ["build", "test"], "success")
    assert made.unmatched == ()


def test_the_queue_that_the_system_tells_goes_before_what_times_tell() -> None:
    assert told(written(pipeline(stage("a")), job("a", created=0, started=50, queued=7)))["by"]["a"]["wait_s"] == 7


def test_a_need_that_has_no_record_is_replaced_by_what_it_needs() -> None:
    of = pipeline(stage("a"), stage("b", "a"), stage("c", "b"))
    assert told(written(of, job("a"), job("c", started=70, finished=80)))["by"]["c"]["needs"] == ["a"]


def test_a_job_that_no_stage_answers_to_is_a_stage_without_needs() -> None:
    made = written(pipeline(stage("a")), job("a"), job("old [x]\x1b\n"))
    assert made.unmatched == ("old [x]\x1b\n",)
    assert [each["stage"] for each in told(made)["stages"]] == ["a", "old (x)"]


def test_jobs_that_one_stage_stands_for_are_taken_together() -> None:
    made = written(
        pipeline(stage("call")), job("call / a"), job("call / b", started=10, finished=90, outcome="failure")
    )
    found = told(made)
    assert [(each["stage"], each["outcome"], each["wall_s"]) for each in found["stages"]] == [("call", "failure", 85)]
    assert made.jobs == 2


def test_what_was_skipped_says_why() -> None:
    conditional = stage("c")._replace(when=Condition("github.ref == 'x'", language="github"))
    of = pipeline(stage("a"), stage("b", "a"), conditional)
    skipped = [job(name, started=None, finished=65, outcome="skip") for name in "bc"]
    found = told(written(of, job("a", outcome="failure"), *skipped))
    assert found["by"]["b"]["reason"] == "needs a (failure)"
    assert found["by"]["c"]["reason"] == "when: github.ref == 'x'"
    assert (found["outcome"], found["wall_s"]) == ("failure", 65)
    late = [job("a"), job("b", started=None, finished=4000, outcome="skip")]
    assert told(written(of, *late))["wall_s"] == 65, "what never ran makes no run longer"


def test_tries_of_one_job_are_attempts_of_its_stage() -> None:
    tries = (RecordedTry("failure", T0, None, T0 + 5 * S, T0 + 9 * S, "script_failure"),
             RecordedTry("success", T0 + 9 * S, 2 * S, T0 + 12 * S, T0 + 20 * S))  # fmt: skip
    found = told(written(pipeline(stage("a")), RecordedJob("a", tries)))["by"]["a"]
    assert (found["flaky"], [each["outcome"] for each in found["attempts"]]) == (True, ["failure", "success"])
    assert [each["wait_s"] for each in found["attempts"]] == [5, 2]


def test_what_was_not_run_again_was_not_selected() -> None:
    of = pipeline(stage("a"), stage("b", "a"))
    assert told(written(of, job("b"), attempt=2, kept=("a",)))["by"]["a"]["reason"] == "not selected"


def test_of_an_attempt_that_is_not_whole_the_end_is_not_known() -> None:
    found = told(written(pipeline(stage("a")), job("a"), is_whole=False))
    assert (found["outcome"], found["reason"][:10]) == ("error", "incomplete")


def test_the_same_run_is_the_same_bytes_and_the_mark_is_its_alone() -> None:
    of = pipeline(stage("a"))
    assert written(of, job("a")) == written(of, job("a"))
    marks = {mark_of("github", id, attempt) for id in ("1", "11") for attempt in (1, 2, 11)} | {
        mark_of("gitlab", "1", 1)
    }
    assert len(marks) == 7


def test_a_run_without_any_time_is_none() -> None:
    assert (
        write(RecordedRun("github", "7", jobs=(RecordedJob("a", (RecordedTry("skip"),)),)), None, Names(None), "")
        is None
    )


moments = st.none() | st.integers(-100, 1000)
tries = st.builds(
    lambda outcome, times, queued: RecordedTry(
        outcome, *[None if at is None else T0 + at * S for at in times[:1]], queued,
        *[None if at is None else T0 + at * S for at in times[1:]],
    ),
    st.sampled_from(["success", "failure", "skip", "cancellation", "timeout", "error"]),
    st.tuples(moments, moments, moments),
    st.none() | st.integers(0, 10**9),
)  # fmt: skip
jobs = st.builds(RecordedJob, st.sampled_from(["a", "b", "c", "d", "e (1)", "x\x00y", "[", ""]),
                 st.lists(tries, min_size=1, max_size=3).map(tuple))  # fmt: skip


@settings(max_examples=120)
@given(st.lists(jobs, max_size=6))
def test_whatever_was_recorded_makes_a_journal_that_can_be_told(recorded: list[RecordedJob]) -> None:
    of = pipeline(stage("a"), stage("b", "a"), stage("c", "a", "b"), stage("d", "c"), stage("e"))
    made = write(RecordedRun("github", "7", jobs=tuple(recorded)), of, Names(of), of.file)
    if made is None:
        return
    records = [decode(line) for line in made.journal.splitlines(True)]
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert all(one["t"] <= other["t"] for one, other in pairwise(records))
    document = retell(records, "j").document()
    assert document["outcome"] is not None and all(each["outcome"] for each in document["stages"])
    assert all(attempt["wait_s"] >= 0 for each in document["stages"] for attempt in each["attempts"])
    assert json.dumps(document)
