"""A run that met an error goes on when it is resumed: what ended so, or because of it, waits again."""

from __future__ import annotations

import pytest
from tests.scheduler.plans import Run, plan_of, stage

from stagebook.scheduler.vocabulary import CancelAsked, RerunAnswered, Resumed


def err(run: Run, name: str) -> list[str]:
    return run.exit(name, outcome="error", reason="no program `x`")


def test_errors_and_what_was_skipped_for_them_wait_again_and_all_else_stands() -> None:
    run = Run(
        plan_of(
            stage("ok"), stage("failed"), stage("a", "ok"), stage("b", "a"), stage("c", "b", "failed"),
            stage("d", "failed"), stage("any", "failed", "a", join="any"),
        )
    )  # fmt: skip
    run.exit("ok")
    assert err(run, "a")[:2] == ["a: error", "b: skip"]
    assert run.fail("failed")[-1] == "run: error"
    assert run.machine.can_go_on
    assert [run.plan.stages[index].id for index in run.machine.waits_again()] == ["a", "b", "c", "any"]
    assert run.resume() == ["c: skip", "start a 2"]
    assert [run.machine.cause(run.index(name)) for name in ("b", "c", "d")] == [None, 1, 1]
    assert (run.state("ok"), run.state("failed"), run.state("d")) == ("success", "failure", "skip")
    assert run.reason("c") == "needs failed (failure)"
    assert run.exit("a") == ["a: success", "start b", "start any"]
    assert not run.ends["a"].flaky
    run.exit("b")
    assert run.exit("any") == ["any: success", "run: failure"]
    assert not run.machine.can_go_on
    assert run.resume() == []


def test_an_error_is_granted_one_more_attempt_each_time() -> None:
    run = Run(plan_of(stage("a", attempts=2)))
    assert err(run, "a") == ["start a 2"]
    assert err(run, "a") == ["a: error", "run: error"]
    assert run.resume() == ["start a 3"]
    assert err(run, "a") == ["a: error", "run: error"]
    assert run.resume() == ["start a 4"]
    assert run.exit("a") == ["a: success", "run: success"]


def test_an_error_waits_again_also_where_an_engine_was_killed_or_a_signal_came_before_the_end() -> None:
    run = Run(plan_of(stage("a"), stage("b")))
    err(run, "a")
    assert run.feed(Resumed(0), run.exited("b", "error", reason="interrupted")) == ["start a 2", "start b 2"]
    run = Run(plan_of(stage("a"), stage("b")))
    err(run, "a")
    run.cancel()
    assert run.exit("b")[-1] == "run: cancellation"
    assert run.resume() == ["start a 2", "start b 2"]


def test_a_run_that_a_person_cancelled_is_over_for_good_with_its_errors() -> None:
    run = Run(plan_of(stage("a"), stage("b")))
    err(run, "a")
    run.cancel("cancel")
    run.exit("b")
    assert not run.machine.can_go_on
    assert run.resume() == []


def test_allowed_errors_stand_and_so_does_a_run_that_tolerated_one() -> None:
    run = Run(plan_of(stage("a", allow_failure=True), stage("b", "a"), stage("c")))
    assert err(run, "a") == ["a: error", "start b"]
    run.exit("b")
    assert err(run, "c") == ["c: error", "run: error"]
    assert run.resume() == ["start c 2"]
    assert run.exit("c") == ["c: success", "run: success"]
    run = Run(plan_of(stage("a"), stage("b", critical=True), policy="lenient"))
    err(run, "a")
    assert run.exit("b") == ["b: success", "run: success"]
    assert not run.machine.can_go_on
    assert run.resume() == []


def test_what_fail_fast_ended_for_an_error_waits_again_with_it() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c"), slots=2, policy="fail-fast"))
    assert err(run, "a") == ["a: error", "kill b cancelled", "c: cancellation"]
    assert run.exit("b", outcome="failure") == ["b: cancellation", "run: error"]
    assert run.resume() == ["start a 2", "start b 2"]
    assert run.fail("a") == ["a: failure", "kill b cancelled", "c: cancellation"]
    assert run.exit("b") == ["b: cancellation", "run: failure"]


def test_an_end_of_the_batch_that_resumes_is_said_unless_it_is_taken_back() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c")))
    err(run, "a")
    found = [run.exited("b"), run.exited("c", "error", reason="no program `x`")]
    assert run.feed(*found, Resumed(0)) == ["b: success", "start a 2", "start c 2"]


def test_any_whose_needs_all_failed_meanwhile_is_skipped_for_the_last_of_them() -> None:
    """It had ended with its matrix, for an error, before its needs did."""
    run = Run(
        plan_of(
            stage("a", fail_fast_group=0), stage("p"), stage("q"), stage("r"),
            stage("any", "p", "q", "r", join="any", fail_fast_group=0),
        )
    )  # fmt: skip
    assert err(run, "a") == ["a: error", "any: cancellation"]
    for name in "pqr":
        run.fail(name)
    assert run.resume() == ["any: skip", "start a 2"]
    assert run.reason("any") == "needs r (failure)"


def test_what_dies_beside_a_need_that_waits_again_is_stopped_by_another_signal() -> None:
    run = Run(plan_of(stage("a"), stage("clean", "a", always=True), stage("b", "clean")))
    err(run, "a")
    assert run.exit("clean") == ["clean: success", "start b"]
    run.cancel()
    assert run.resume() == ["start a 2"]
    assert run.cancel() == ["kill a cancelled"]
    assert run.exit("b") == ["b: cancellation"]


def test_what_was_dying_for_an_error_waits_again_at_its_exit() -> None:
    run = Run(plan_of(stage("a"), stage("b"), policy="fail-fast"))
    err(run, "a")
    assert run.feed(Resumed(0), run.exited("b", "error", reason="interrupted")) == ["start a 2", "start b 2"]


def test_the_cells_of_a_matrix_go_on_once_its_error_is_taken_back() -> None:
    run = Run(plan_of(stage("a", fail_fast_group=0), stage("b", fail_fast_group=0), stage("c"), slots=1))
    assert err(run, "a") == ["a: error", "b: cancellation", "start c"]
    assert run.exit("c") == ["c: success", "run: error"]
    assert run.resume() == ["start a 2"]
    assert run.exit("a") == ["a: success", "start b"]
    assert run.exit("b") == ["b: success", "run: success"]


def test_an_error_of_a_run_that_is_out_of_time_stands_and_the_run_says_why() -> None:
    run = Run(plan_of(stage("a"), stage("b"), timeout_ms=5))
    err(run, "a")
    run.fire("run")
    assert run.exit("b") == ["b: timeout", "run: error"]
    assert run.run_end is not None and run.run_end.reason == "timeout"
    assert not run.machine.can_go_on
    assert run.resume() == []


def test_the_time_of_a_run_begins_anew_when_it_goes_on_after_an_error() -> None:
    run = Run(plan_of(stage("a"), timeout_ms=50))
    run.at = 40
    err(run, "a")
    assert run.resume() == ["timer run:2 at 90", "start a 2"]


def test_an_error_that_is_not_retry_safe_asks_a_person() -> None:
    run = Run(plan_of(stage("a", retry_safe=False)))
    err(run, "a")
    assert run.resume() == ["ask a"]
    assert run.answer("a", again=True) == ["start a 2"]


def test_who_has_not_begun_waits_for_a_need_that_waits_again() -> None:
    """The engine was killed while a stage stood in the queue; the clean-up that it needs had ended."""
    run = Run(plan_of(stage("a"), stage("clean", "a", always=True), stage("x"), stage("after", "clean"), slots=1))
    err(run, "a")
    assert run.exit("clean") == ["clean: success", "start x"]
    assert run.state("after") == "ready"
    assert run.feed(Resumed(0), run.exited("x", "error", reason="interrupted")) == ["start a 2"]
    assert (run.state("clean"), run.state("after")) == ("waiting", "waiting")
    assert run.exit("a") == ["a: success", "start clean 2"]


def test_the_time_of_a_stage_begins_anew_when_it_waited_again() -> None:
    run = Run(
        plan_of(
            stage("a"), stage("clean", "a", always=True),
            stage("after", "clean", attempts=3, delays_ms=(50,), stage_timeout_ms=100),
        )
    )  # fmt: skip
    err(run, "a")
    assert run.exit("clean") == ["clean: success", "start after", "timer stage:2:1 at 100"]
    run.at = 10
    assert run.fail("after") == ["timer backoff:2:1 at 60"]
    assert run.resume() == ["start a 2"]
    assert run.state("after") == "waiting"
    run.exit("a")
    run.at = 30
    assert run.exit("clean") == ["clean: success", "start after 2", "timer stage:2:2 at 130"]
    run.timers.pop("stage:2:2")
    assert run.fire("stage:2:1") == []


@pytest.mark.parametrize("end", ["success", "failure", "timeout"])
def test_a_run_that_ended_otherwise_cannot_go_on(end: str) -> None:
    run = Run(plan_of(stage("a"), stage("b", "a")))
    assert run.machine.can_go_on
    run.exit("a", outcome=end)
    if end == "success":
        run.exit("b")
    assert not run.machine.can_go_on
    assert run.machine.waits_again() == []
    assert run.resume() == []


def test_a_sequential_run_begins_again_at_its_first_error() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c"), slots=1, in_order=True))
    run.exit("a")
    err(run, "b")
    assert run.exit("c") == ["c: success", "run: error"]
    assert run.resume() == ["start b 2"]
    assert run.exit("b") == ["b: success", "run: success"]


def cleaning() -> Run:
    """A program is missing; the engine was killed in the clean-up, which is not safe to repeat; a resume met the
    error again, and asked."""
    run = Run(plan_of(stage("tool"), stage("clean", "tool", always=True, retry_safe=False)))
    assert err(run, "tool") == ["tool: error", "start clean"]
    assert run.feed(Resumed(0), run.exited("clean", "error", reason="interrupted")) == ["start tool 2"]
    assert err(run, "tool") == ["tool: error", "ask clean"]
    return run


def test_an_answer_to_a_stage_that_waits_again_holds_once_it_would_ask() -> None:
    run = cleaning()
    assert run.feed(Resumed(0), RerunAnswered(0, 1, False)) == ["start tool 3"]
    assert err(run, "tool") == ["tool: error", "clean: success", "run: error"]
    assert run.reason("clean") == "done, as a person said"
    assert run.resume() == ["start tool 4"]
    assert run.exit("tool") == ["tool: success", "ask clean"]
    run = cleaning()
    assert run.feed(Resumed(0), RerunAnswered(0, 1, True)) == ["start tool 3"]
    assert err(run, "tool") == ["tool: error", "start clean 2"]
    assert run.interrupt("clean") == ["ask clean"]


def test_the_latest_answer_holds_also_for_a_stage_that_stands_in_the_queue() -> None:
    run = Run(plan_of(stage("a", retry_safe=False), stage("b"), slots=1))
    assert run.interrupt("a") == ["ask a", "start b"]
    assert run.answer("a", again=True) == []
    assert run.state("a") == "ready"
    assert run.answer("a", again=False) == ["a: success"]
    run = cleaning()
    run.feed(Resumed(0), RerunAnswered(0, 1, False), RerunAnswered(0, 1, True))
    assert err(run, "tool") == ["tool: error", "start clean 2"]
    assert run.interrupt("clean") == ["ask clean"]


def test_an_answer_that_nobody_needs_changes_nothing() -> None:
    run = Run(plan_of(stage("a", retry_safe=False), stage("b", "a", retry_safe=False), stage("c", "a"), slots=1))
    for name in ("a", "b", "c"):
        before = run.machine.snapshot()
        assert run.answer(name, again=False) == []
        assert run.machine.snapshot() == before


def test_an_answer_given_to_an_error_before_it_is_taken_back_is_none() -> None:
    run = Run(plan_of(stage("a", retry_safe=False)))
    err(run, "a")
    assert run.answer("a", again=True) == []
    assert run.feed(Resumed(0), RerunAnswered(0, 0, True)) == ["ask a", "start a 2"]


def test_a_run_that_a_person_cancels_while_no_engine_holds_it_keeps_its_ends() -> None:
    run = Run(
        plan_of(
            stage("a"), stage("clean", "a", always=True), stage("b"), stage("c", "b"), stage("after", "b", always=True),
        )
    )  # fmt: skip
    assert err(run, "a") == ["a: error", "start clean"]
    run.exit("clean")
    gone = (Resumed(0, takes_back=False), run.exited("b", "error", reason="interrupted"), CancelAsked(0, "cancel"))
    assert run.feed(*gone) == ["b: cancellation", "c: skip", "start after"]
    assert (run.state("a"), run.state("clean")) == ("error", "success")
    assert run.exit("after") == ["after: success", "run: cancellation"]


def test_a_run_that_had_ended_before_it_was_cancelled_keeps_its_end() -> None:
    run = Run(plan_of(stage("a")))
    assert err(run, "a") == ["a: error", "run: error"]
    assert run.feed(Resumed(0, takes_back=False), CancelAsked(0, "cancel")) == []
    assert run.machine.is_over


def test_a_signal_and_then_a_cancel_while_no_engine_holds_the_run_still_clean_up() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("after", "b", always=True)))
    run.cancel()
    assert run.exit("a") == ["a: cancellation"]
    gone = (Resumed(0, takes_back=False), run.exited("b", "error", reason="interrupted"), CancelAsked(0, "cancel"))
    assert run.feed(*gone) == ["b: cancellation", "start after"]
    assert run.exit("after") == ["after: success", "run: cancellation"]
    assert run.run_end is not None and run.run_end.reason == "cancelled by stagebook cancel"
