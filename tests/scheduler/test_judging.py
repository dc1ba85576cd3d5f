"""Conditions: asked once the needs are done, and what their answer means for the stage and for those that need it."""

from __future__ import annotations

import pytest
from tests.scheduler.plans import Run, plan_of, stage

from stagebook.scheduler.machine import DriverError


def test_a_condition_is_asked_when_the_needs_are_done_and_holds_nothing_meanwhile() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a", judged=True), stage("c"), slots=1))
    assert run.said == ["start a"]
    assert run.exit("a") == ["a: success", "judge b", "start c"]
    assert run.waiting("b") == "condition"
    assert run.judged("b") == []
    assert run.waiting("b") == "slot"
    assert run.exit("c") == ["c: success", "start b"]


def test_what_is_skipped_counts_as_done() -> None:
    run = Run(plan_of(stage("a", judged=True), stage("b", "a")))
    assert run.judged("a", "skip", "when: false") == ["a: skip", "start b"]
    assert run.reason("a") == "when: false"
    assert run.exit("b")[-1] == "run: success"


def test_a_condition_without_an_answer_is_an_error() -> None:
    run = Run(plan_of(stage("a", judged=True), stage("b", "a")))
    assert run.judged("a", "error", "when: 1 / 0: division by zero") == ["a: error", "b: skip", "run: error"]
    assert run.resume() == ["judge a"]
    assert run.judged("a") == ["start a"]


def test_later_attempts_are_not_judged() -> None:
    run = Run(plan_of(stage("a", judged=True, attempts=2)))
    assert run.judged("a") == ["start a"]
    assert run.fail("a") == ["start a 2"]


def test_an_answer_that_nobody_waits_for_is_ignored() -> None:
    run = Run(plan_of(stage("a", judged=True), stage("b")))
    run.cancel("SIGINT", "a")
    before = run.machine.snapshot()
    assert run.judged("a") == []
    assert run.judged("b", "skip", "x") == []
    assert run.machine.snapshot() == before


def test_a_new_engine_is_asked_again() -> None:
    run = Run(plan_of(stage("a", judged=True)))
    assert run.resume() == ["judge a"]
    assert run.judged("a") == ["start a"]


def test_what_is_not_to_run_twice_is_asked_about_after_its_condition() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a", always=True, judged=True, retry_safe=False)))
    run.exit("a", outcome="error", reason="no program")
    run.judged("b")
    run.exit("b")
    assert run.resume() == ["start a 2"]
    assert run.exit("a") == ["a: success", "judge b"]
    assert run.judged("b") == ["ask b"]


def test_clean_up_is_judged_also_in_a_run_that_is_stopping() -> None:
    run = Run(plan_of(stage("a"), stage("clean", "a", always=True, judged=True), stage("b", "a", judged=True)))
    run.cancel()
    assert run.exit("a")[1:] == ["judge clean", "b: skip"]
    assert run.judged("clean") == ["start clean"]


def test_what_a_condition_skipped_is_judged_again_with_a_need_that_waits_again() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a", join="done", judged=True), stage("c", "b")))
    run.exit("a", outcome="error", reason="no program")
    assert run.judged("b", "skip", "when: x") == ["b: skip", "start c"]
    run.exit("c")
    assert [run.plan.stages[index].id for index in run.machine.waits_again()] == ["a", "b"]
    run.resume()
    assert run.exit("a") == ["a: success", "judge b"]


def test_an_unknown_verdict_is_a_lie() -> None:
    run = Run(plan_of(stage("a", judged=True)))
    with pytest.raises(DriverError, match="`maybe` is no verdict"):
        run.judged("a", "maybe")


def test_what_a_person_calls_done_is_done_once_its_condition_holds() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a", always=True, judged=True, retry_safe=False)))
    run.exit("a", outcome="error", reason="no program")
    run.judged("b")
    run.exit("b")
    run.resume()
    assert run.exit("a") == ["a: success", "judge b"]
    assert run.answer("b", again=False) == []
    assert run.judged("b") == ["b: success", "run: success"]
