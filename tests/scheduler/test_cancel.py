"""Cancel, once and twice, of the run and of one stage; resume after a signal (R36, R37, R41, G11)."""

from __future__ import annotations

import pytest
from tests.scheduler.plans import Run, plan_of, stage

from stagebook.scheduler.vocabulary import Resumed


def test_a_cancel_starts_nothing_new_but_clean_up() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c", "a"), stage("clean", "c", always=True), slots=1))
    assert run.cancel() == ["kill a cancelled", "b: cancellation"]
    assert run.reason("b") == "cancelled by SIGINT"
    assert run.exit("a") == ["a: cancellation", "c: skip", "start clean"]
    assert run.exit("clean") == ["clean: success", "run: cancellation"]
    assert run.run_end is not None and run.run_end.reason == "cancelled by SIGINT"


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("SIGTERM", "cancelled by SIGTERM"),
        ("SIGHUP", "cancelled by SIGHUP"),
        ("cancel", "cancelled by stagebook cancel"),
    ],
)
def test_who_cancelled_is_said(why: str, reason: str) -> None:
    run = Run(plan_of(stage("a")))
    run.cancel(why)
    run.exit("a", outcome="failure")
    assert run.run_end is not None and run.run_end.reason == reason


def test_a_cancelled_run_is_a_cancellation_even_after_failures() -> None:
    run = Run(plan_of(stage("a"), stage("b")))
    run.fail("a")
    run.cancel()
    assert run.exit("b") == ["b: cancellation", "run: cancellation"]


def test_clean_up_that_runs_goes_on_through_the_first_cancel_and_dies_at_the_second() -> None:
    run = Run(plan_of(stage("a"), stage("clean", always=True), stage("more", always=True), slots=2))
    assert run.cancel() == ["kill a cancelled"]
    assert run.cancel() == ["kill a cancelled now", "kill clean cancelled now", "more: cancellation"]
    assert run.exit("a", "clean") == ["a: cancellation", "clean: cancellation", "run: cancellation"]


def test_what_dies_of_its_time_keeps_that_reason_through_a_second_cancel() -> None:
    run = Run(plan_of(stage("a", stage_timeout_ms=5), stage("b")))
    run.fire("stage")
    assert run.cancel() == ["kill b cancelled"]
    assert run.cancel() == ["kill a timeout now", "kill b cancelled now"]
    assert run.exit("a", "b") == ["a: timeout", "b: cancellation", "run: cancellation"]
    assert run.reason("a") == "stage timeout"


def test_clean_up_that_dies_of_a_second_cancel_is_cancelled_for_good_by_a_person() -> None:
    run = Run(plan_of(stage("a"), stage("clean", always=True)))
    run.cancel()
    run.cancel()
    assert run.cancel("cancel", "clean") == ["kill clean cancelled now"]
    run.exit("a", "clean")
    assert (run.reason("a"), run.reason("clean")) == ("cancelled by SIGINT", "cancelled")
    assert run.resume() == ["start a 2"]


def test_after_a_second_cancel_nothing_at_all_starts() -> None:
    run = Run(plan_of(stage("a"), stage("clean", "a", always=True)))
    run.cancel()
    assert run.cancel() == ["kill a cancelled now"]
    assert run.cancel() == []
    assert run.exit("a") == ["a: cancellation", "clean: cancellation", "run: cancellation"]


def test_a_cancel_ends_a_backoff_and_a_question_at_once() -> None:
    run = Run(plan_of(stage("a", attempts=2, delays_ms=(9000,)), stage("b", retry_safe=False)))
    run.fail("a")
    run.interrupt("b")
    assert run.cancel() == ["a: cancellation", "b: cancellation", "run: cancellation"]


def test_a_timeout_stays_a_timeout_and_is_not_tried_again_after_a_cancel() -> None:
    run = Run(plan_of(stage("a", attempts=2, attempt_timeout_ms=5)))
    run.fire("attempt")
    assert run.cancel() == []
    assert run.exit("a") == ["a: timeout", "run: cancellation"]


def test_clean_up_has_its_attempts_after_a_first_cancel() -> None:
    run = Run(plan_of(stage("a"), stage("clean", "a", always=True, attempts=2)))
    run.cancel()
    run.exit("a")
    assert run.fail("clean") == ["start clean 2"]


def test_one_stage_is_cancelled_and_its_dependents_skip() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c", "a"), stage("d", "b")))
    assert run.cancel("cancel", "a") == ["kill a cancelled"]
    assert run.cancel("cancel", "a") == ["kill a cancelled now"]
    assert run.exit("a") == ["a: cancellation", "c: skip"]
    assert run.reason("a") == "cancelled" and run.reason("c") == "needs a (cancellation)"
    assert run.cancel("cancel", "d") == ["d: cancellation"]
    assert run.reason("d") == "cancelled"
    assert run.exit("b") == ["b: success", "run: cancellation"]
    assert run.run_end is not None and run.run_end.reason == "a cancelled"


def test_a_stage_cancelled_while_it_dies_of_a_signal_is_cancelled_for_good() -> None:
    run = Run(plan_of(stage("a"), stage("b")))
    run.cancel()
    assert run.cancel("cancel", "a") == ["kill a cancelled now"]
    assert run.exit("a", "b")[-1] == "run: cancellation"
    assert (run.reason("a"), run.reason("b")) == ("cancelled", "cancelled by SIGINT")
    assert run.resume() == ["start b 2"]


def test_a_stage_cancelled_after_its_signal_was_lifted_does_not_wait_again() -> None:
    run = Run(plan_of(stage("a")))
    run.cancel()
    run.resume()
    assert run.cancel("cancel", "a") == []
    assert run.exit("a") == ["a: cancellation", "run: cancellation"]
    assert run.reason("a") == "cancelled"


def test_a_stage_that_dies_for_another_reason_keeps_it_when_it_is_cancelled() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c", stage_timeout_ms=5), policy="fail-fast"))
    run.fire("stage")
    assert run.cancel("cancel", "c") == ["kill c timeout now"]
    run.fail("a")
    assert run.cancel("cancel", "b") == ["kill b cancelled now"]
    run.exit("b", "c")
    assert (run.reason("b"), run.reason("c")) == ("fail-fast: a (failure)", "stage timeout")


def test_what_dies_of_a_failure_that_stands_dies_of_it_also_after_a_resume() -> None:
    run = Run(plan_of(stage("a"), stage("b"), policy="fail-fast"))
    run.fail("a")
    run.cancel()
    assert run.resume() == []
    run.cancel()
    assert run.exit("b")[-1] == "run: cancellation"
    assert run.reason("b") == "fail-fast: a (failure)"


def test_what_dies_of_its_time_does_so_also_after_a_resume() -> None:
    run = Run(plan_of(stage("a", attempt_timeout_ms=5)))
    run.fire("attempt")
    run.cancel()
    run.resume()
    assert run.exit("a") == ["a: timeout", "run: timeout"]


def test_a_stage_killed_for_its_time_and_then_cancelled_is_a_timeout_for_good() -> None:
    run = Run(plan_of(stage("a", attempts=2, attempt_timeout_ms=5)))
    run.fire("attempt")
    run.cancel("cancel", "a")
    assert run.exit("a") == ["a: timeout", "run: timeout"]


def test_resume_after_a_signal_lets_the_stopped_and_the_skipped_wait_again() -> None:
    run = Run(plan_of(stage("done"), stage("a", "done"), stage("b", "a"), stage("x", "done"), slots=1))
    run.exit("done")
    run.cancel()
    assert run.exit("a") == ["a: cancellation", "b: skip", "run: cancellation"]
    assert run.machine.is_over
    assert run.resume() == ["start a 2"]
    assert run.state("done") == "success" and run.state("b") == "waiting" and run.state("x") == "ready"
    assert not run.machine.is_over
    assert run.exit("a") == ["a: success", "start b"]
    run.exit("b")
    assert run.exit("x") == ["x: success", "run: success"]
    assert not run.ends["a"].flaky


def test_resume_grants_an_attempt_to_those_that_were_stopped() -> None:
    run = Run(plan_of(stage("a", attempts=2)))
    run.cancel()
    run.exit("a")
    run.resume()
    assert run.fail("a") == ["a: failure", "run: failure"]
    run = Run(plan_of(stage("a")))
    run.cancel()
    run.exit("a")
    assert run.resume() == ["start a 2"]


def test_ends_of_their_own_are_not_repeated_by_resume() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c", "a"), stage("clean", "a", always=True)))
    run.fail("a")
    run.cancel()
    run.exit("b")
    assert run.exit("clean")[-1] == "run: cancellation"
    assert run.resume() == ["start b 2"]
    assert run.exit("b") == ["b: success", "run: failure"]


def test_a_cancel_by_command_is_for_good() -> None:
    run = Run(plan_of(stage("a")))
    run.cancel("cancel")
    run.exit("a")
    assert run.resume() == []
    assert run.machine.is_over


def test_a_signal_after_which_a_person_cancels_is_for_good() -> None:
    run = Run(plan_of(stage("a")))
    run.cancel("SIGINT")
    run.cancel("cancel")
    run.exit("a")
    assert run.resume() == []


def test_resume_with_nothing_to_lift_changes_nothing() -> None:
    run = Run(plan_of(stage("a")))
    before = run.machine.snapshot()
    assert run.resume() == []
    assert run.machine.snapshot() == before
    run.fail("a")
    assert run.resume() == [] and run.machine.is_over


def test_a_stage_that_was_dying_of_the_cancel_waits_again_at_its_exit() -> None:
    run = Run(plan_of(stage("a")))
    run.cancel()
    assert run.resume() == []
    assert run.state("a") == "killing"
    assert run.interrupt("a") == ["start a 2"]
    run = Run(plan_of(stage("a")))
    run.cancel()
    run.resume()
    assert run.cancel() == []
    assert run.exit("a") == ["a: cancellation", "run: cancellation"]


def test_what_ended_and_was_lifted_in_one_batch_is_not_said_to_have_ended() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a")))
    run.cancel()
    assert run.feed(run.exited("a", "error", reason="interrupted"), Resumed(0)) == ["start a 2"]


def test_a_stopped_stage_that_is_not_retry_safe_waits_for_a_person() -> None:
    run = Run(plan_of(stage("a", retry_safe=False), stage("b", "a", retry_safe=False)))
    run.cancel()
    run.exit("a")
    assert run.resume() == ["ask a"]
    assert run.machine.waits_for_person
    assert run.answer("a", again=True) == ["start a 2"]
    assert run.exit("a") == ["a: success", "start b"]


def test_clean_up_waits_again_when_its_needs_do() -> None:
    """It was in its backoff, asking, or in the queue when the run was resumed."""
    clean = {"always": True, "attempts": 3}
    run = Run(plan_of(stage("a"), stage("clean", "a", delays_ms=(5,), **clean)))
    run.cancel()
    run.exit("a")
    run.fail("clean")
    assert run.state("clean") == "backoff"
    assert run.resume() == ["start a 2"]
    assert run.state("clean") == "waiting"
    assert run.fire("backoff") == []
    assert run.exit("a") == ["a: success", "start clean 2"]

    run = Run(
        plan_of(stage("a"), stage("other", always=True), stage("clean", "a", queue_timeout_ms=7, **clean), slots=1)
    )
    run.cancel()
    assert run.exit("a") == ["a: cancellation", "timer queue:2:1 at 7", "start other"]
    assert run.resume() == []
    assert run.state("clean") == "waiting" and run.waiting("a") == "slot"
    assert run.fire("queue") == []
    assert run.exit("other") == ["other: success", "start a 2"]

    run = Run(plan_of(stage("a"), stage("clean", "a", retry_safe=False, always=True)))
    run.cancel()
    run.exit("a")
    assert run.interrupt("clean") == ["ask clean"]
    assert run.resume() == ["start a 2"]
    assert run.state("clean") == "waiting"
    assert run.exit("a") == ["a: success", "ask clean"]


def test_clean_up_that_ended_runs_again_after_what_it_cleans_up_after() -> None:
    run = Run(
        plan_of(
            stage("a"), stage("b", "a"), stage("clean", "b", always=True), stage("report", "clean", always=True),
            stage("other", always=True), stage("after", "clean", join="done"),
        )
    )  # fmt: skip
    run.exit("other")
    run.cancel()
    assert run.exit("a") == ["a: cancellation", "b: skip", "start clean"]
    assert run.exit("clean") == ["clean: success", "after: cancellation", "start report"]
    assert run.fail("report") == ["report: failure", "run: cancellation"]
    assert run.resume() == ["start a 2"]
    assert run.exit("a") == ["a: success", "start b"]
    assert run.exit("b") == ["b: success", "start clean 2"]
    assert run.exit("clean") == ["clean: success", "start report 2", "start after"]
    assert not run.ends["clean"].flaky
    run.exit("report")
    assert run.exit("after") == ["after: success", "run: success"]


def test_clean_up_that_a_person_cancelled_stays_so() -> None:
    run = Run(plan_of(stage("a"), stage("clean", "a", always=True)))
    run.cancel()
    run.exit("a")
    run.cancel("cancel", "clean")
    assert run.exit("clean")[-1] == "run: cancellation"
    assert run.resume() == ["start a 2"]
    assert run.exit("a") == ["a: success", "run: cancellation"]


def test_clean_up_that_was_interrupted_waits_for_what_it_cleans_up_after() -> None:
    """The engine was killed after a signal, while the clean-up ran."""
    run = Run(plan_of(stage("a"), stage("clean", "a", always=True)))
    run.cancel()
    assert run.exit("a")[-1] == "start clean"
    assert run.feed(Resumed(0), run.exited("clean", "error", reason="interrupted")) == ["start a 2"]
    assert run.state("clean") == "waiting"
    assert run.exit("a") == ["a: success", "start clean 2"]


def test_any_with_a_good_need_is_not_skipped_when_another_ends_as_the_run_is_resumed() -> None:
    """Seed 8878: the fail-fast of an earlier timeout ended one need at the moment of resuming."""
    run = Run(
        plan_of(
            stage("slow", attempt_timeout_ms=6), stage("good"), stage("late", "good"),
            stage("any", "slow", "good", "late", join="any"), policy="fail-fast",
        )
    )  # fmt: skip
    run.fire("attempt")
    run.exit("good")
    run.cancel()
    run.exit("slow", "late", "any")
    run.resume()
    assert run.reason("any") == "fail-fast: slow (timeout)"


def test_a_timeout_cut_short_by_a_cancel_neither_fails_fast_nor_is_final() -> None:
    """Seed 11704: the timeout had attempts left that only the cancel forbade."""
    run = Run(plan_of(stage("a", attempts=2, attempt_timeout_ms=5), stage("b", "a"), policy="fail-fast"))
    run.fire("attempt")
    run.cancel()
    assert run.exit("a") == ["a: timeout", "b: skip", "run: cancellation"]
    assert run.resume()[0] == "start a 2"
    assert run.exit("a") == ["a: success", "start b"]
    assert run.ends["a"].flaky


def test_a_timeout_cut_short_goes_on_only_if_it_is_one_of_the_ends_tried_again() -> None:
    for only, said in ((("timeout",), ["start a 2"]), (("exit 7",), ["run: timeout"])):
        run = Run(plan_of(stage("a", attempts=2, attempt_timeout_ms=5, retry_only=only)))
        run.fire("attempt")
        run.cancel()
        assert run.exit("a", outcome="failure", exit=15) == ["a: timeout", "run: cancellation"]
        assert run.resume()[:1] == said


def test_a_timeout_cut_short_does_not_cancel_its_matrix() -> None:
    plan = plan_of(
        stage("a", fail_fast_group=0, attempt_timeout_ms=5, attempts=2), stage("b"), stage("c"),
        stage("w", "b", fail_fast_group=0),
    )  # fmt: skip
    for before in ((), ("c",)):
        run = Run(plan)
        run.fire("attempt")
        run.cancel()
        run.exit(*before)
        assert run.exit("a") == ["a: timeout"]
        assert run.state("w") == "waiting"


def test_a_timeout_that_the_end_of_the_run_made_final_stays_after_resume() -> None:
    """Seed 49487: the run was over its time before the signal came."""
    run = Run(plan_of(stage("a", attempts=2, attempt_timeout_ms=5), stage("b", "a"), timeout_ms=6))
    run.fire("attempt")
    run.fire("run")
    run.cancel()
    assert run.exit("a") == ["a: timeout", "b: skip", "run: cancellation"]
    assert run.resume() == ["run: timeout"]


def test_the_cells_of_a_matrix_that_failed_stay_cancelled_after_resume() -> None:
    """Seed 6781: one cell failed for good while the others were dying of a signal."""
    run = Run(
        plan_of(
            stage("a", fail_fast_group=0, attempt_timeout_ms=5),
            stage("b", fail_fast_group=0),
            stage("c", fail_fast_group=0),
            slots=2,
        )
    )
    run.fire("attempt")
    run.cancel()
    assert run.exit("a", "b")[-1] == "run: cancellation"
    assert run.resume() == ["b: cancellation", "c: cancellation", "run: timeout"]
    assert run.reason("b") == "fail-fast: a (timeout)"


def test_the_time_of_a_run_begins_anew_when_it_is_resumed_after_a_signal() -> None:
    run = Run(plan_of(stage("a"), timeout_ms=50))
    run.at = 10
    run.cancel()
    run.exit("a")
    run.at = 60
    assert run.resume() == ["timer run:2 at 110", "start a 2"]
    run.timers = {"run:1": 60}
    assert run.fire("run:1") == []
    run.timers = {"run:2": 110}
    assert run.fire("run:2") == ["kill a timeout"]


def test_a_sequential_run_begins_again_at_its_first_stopped_stage() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c"), slots=1, in_order=True))
    run.exit("a")
    run.cancel()
    run.exit("b")
    assert run.resume() == ["start b 2"]
    assert run.exit("b") == ["b: success", "start c"]
