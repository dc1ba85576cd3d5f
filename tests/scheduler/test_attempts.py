"""Retries, backoff and timeouts (R33, R34, R35, G19)."""

from __future__ import annotations

import pytest
from tests.scheduler.plans import Run, plan_of, stage

from stagebook.scheduler.vocabulary import Exited


def test_attempts_is_the_total_and_a_late_success_is_flaky() -> None:
    run = Run(plan_of(stage("a", attempts=3, delays_ms=(5, 9))))
    assert run.fail("a") == ["timer backoff:0:1 at 5"]
    assert run.state("a") == "backoff" and run.waiting("a") == "backoff"
    assert run.fire("backoff") == ["start a 2"]
    assert run.fail("a") == ["timer backoff:0:2 at 14"]
    assert run.fire("backoff") == ["start a 3"]
    assert run.exit("a") == ["a: success", "run: success"]
    assert run.ends["a"].flaky


def test_the_last_delay_repeats_and_no_attempt_is_added() -> None:
    run = Run(plan_of(stage("a", attempts=4, delays_ms=(5, 9))))
    for at in (5, 14, 23):
        assert run.fail("a")[0].endswith(f" at {at}")
        run.fire("backoff")
    assert run.fail("a") == ["a: failure", "run: failure"]


def test_without_a_delay_the_next_attempt_starts_at_once() -> None:
    for delays in ((), (0,)):
        run = Run(plan_of(stage("a", attempts=2, delays_ms=delays)))
        assert run.fail("a") == ["start a 2"]
        assert run.fail("a") == ["a: failure", "run: failure"]
        assert not run.ends["a"].flaky
    run = Run(plan_of(stage("a", attempts=2, delays_ms=(1,))))
    assert run.fail("a") == ["timer backoff:0:1 at 1"]


def test_backoff_holds_no_units() -> None:
    run = Run(plan_of(stage("a", attempts=2, delays_ms=(5,)), stage("b"), slots=1))
    assert run.fail("a") == ["timer backoff:0:1 at 5", "start b"]
    assert run.machine.holders("slot") == [1]


@pytest.mark.parametrize(
    ("only", "exit", "again"),
    [
        ((), Exited(1, 0, 1, "failure", 1), True),
        ((), Exited(1, 0, 1, "error", None, None, "missing program"), True),
        (("exit 75",), Exited(1, 0, 1, "failure", 75), True),
        (("exit 75",), Exited(1, 0, 1, "failure", 7), False),
        (("timeout",), Exited(1, 0, 1, "failure", 1), False),
        (("timeout", "exit 75"), Exited(1, 0, 1, "failure", 75), True),
        (("error",), Exited(1, 0, 1, "error"), True),
        (("signal 9",), Exited(1, 0, 1, "failure", None, 9), True),
        (("signal 9",), Exited(1, 0, 1, "failure", 9), False),
        (("exit None",), Exited(1, 0, 1, "failure"), False),
    ],
)
def test_only_the_ends_named_are_tried_again(only: tuple[str, ...], exit: Exited, again: bool) -> None:
    run = Run(plan_of(stage("a", attempts=2, retry_only=only)))
    assert (run.feed(exit) == ["start a 2"]) is again


def test_only_timeout_means_the_timeout_of_an_attempt() -> None:
    run = Run(plan_of(stage("a", attempts=2, retry_only=("timeout",), attempt_timeout_ms=5)))
    assert run.fire("attempt") == ["kill a timeout"]
    assert run.exit("a", outcome="failure") == ["start a 2", "timer attempt:0:2 at 10"]


def test_what_is_not_retry_safe_is_never_tried_again() -> None:
    run = Run(plan_of(stage("a", attempts=3, retry_safe=False)))
    assert run.fail("a") == ["a: failure", "run: failure"]


def test_a_killed_attempt_is_a_timeout_whatever_its_exit_says() -> None:
    run = Run(plan_of(stage("a", attempt_timeout_ms=5), stage("b", "a")))
    assert run.said == ["start a", "timer attempt:0:1 at 5"]
    assert run.fire("attempt") == ["kill a timeout"]
    assert run.state("a") == "killing"
    assert run.exit("a") == ["a: timeout", "b: skip", "run: timeout"]
    assert run.reason("a") == "attempt timeout"


def test_the_timer_of_an_earlier_attempt_is_stale() -> None:
    run = Run(plan_of(stage("a", attempts=2, attempt_timeout_ms=5)))
    run.fail("a")
    run.timers.pop("attempt:0:2")
    assert run.fire("attempt:0:1") == []
    assert run.state("a") == "running"


@pytest.mark.parametrize("limits", [{"stage_timeout_ms": 5}, {"stage_timeout_ms": 5, "queue_timeout_ms": 5}])
def test_timeouts_of_equal_length_all_count(limits: dict[str, int]) -> None:
    run = Run(plan_of(stage("a", attempts=2, attempt_timeout_ms=5, **limits)))
    assert set(run.timers.values()) == {5} and len(run.timers) == 1 + len(limits)
    run.fire("attempt")
    assert run.fire("stage") == []
    assert run.exit("a") == ["a: timeout", "run: timeout"]
    assert run.reason("a") == "stage timeout"


def test_a_stage_timeout_counts_from_the_first_start_over_all_attempts() -> None:
    run = Run(plan_of(stage("a", attempts=9, stage_timeout_ms=10, delays_ms=(3,))))
    assert run.said == ["start a", "timer stage:0:1 at 10"]
    run.at = 4
    run.fail("a")
    run.fire("backoff")
    assert run.said == ["start a 2"]
    assert run.fire("stage") == ["kill a timeout"]
    assert run.exit("a") == ["a: timeout", "run: timeout"]
    assert run.reason("a") == "stage timeout"


def test_a_stage_timeout_ends_a_backoff_and_a_place_in_the_queue() -> None:
    run = Run(plan_of(stage("a", attempts=2, stage_timeout_ms=10, delays_ms=(99,))))
    run.fail("a")
    assert run.fire("stage") == ["a: timeout", "run: timeout"]
    assert run.reason("a") == "stage timeout"

    tool = {"pool:tool": 1}
    retried = stage("a", attempts=2, stage_timeout_ms=10, units=tool, rank=2)
    run = Run(plan_of(retried, stage("go", rank=1), stage("b", "go", units=tool, rank=0), pools=tool))
    run.feed(run.exited("go"), run.exited("a", "failure"))
    assert run.state("a") == "ready" and run.state("b") == "running"
    assert run.fire("stage") == ["a: timeout"]
    assert run.reason("a") == "stage timeout"


def test_a_stage_timeout_forbids_the_attempt_that_an_attempt_timeout_would_give() -> None:
    run = Run(plan_of(stage("a", attempts=2, attempt_timeout_ms=5, stage_timeout_ms=6)))
    run.fire("attempt")
    assert run.fire("stage") == []
    assert run.exit("a") == ["a: timeout", "run: timeout"]
    assert run.reason("a") == "stage timeout"


def test_a_queue_timeout_counts_from_ready_to_start() -> None:
    run = Run(plan_of(stage("a"), stage("b", queue_timeout_ms=5), stage("c", "b"), slots=1))
    assert "timer queue:1:1 at 5" in run.said
    assert run.fire("queue") == ["b: timeout", "c: skip"]
    assert run.reason("b") == "queue timeout"
    run = Run(plan_of(stage("a"), stage("b", queue_timeout_ms=5), slots=1))
    run.exit("a")
    assert run.fire("queue") == []
    assert run.state("b") == "running"


def test_a_run_timeout_ends_everything_as_timeout_and_clean_up_still_runs() -> None:
    run = Run(
        plan_of(
            stage("a"), stage("b"), stage("c", "a"), stage("d", attempts=2, delays_ms=(99,)),
            stage("clean", "a", "b", "c", "d", always=True), slots=2, timeout_ms=50,
        )
    )  # fmt: skip
    run.exit("b")
    run.fail("d")
    assert run.fire("run") == ["kill a timeout", "d: timeout"]
    assert run.exit("a") == ["a: timeout", "c: skip", "start clean"]
    assert run.reason("a") == run.reason("d") == "run timeout"
    assert run.exit("clean") == ["clean: success", "run: timeout"]
    assert run.run_end is not None and run.run_end.reason == "timeout"


def test_a_run_timeout_counts_even_where_lenient_forgives_every_stage() -> None:
    run = Run(plan_of(stage("a"), policy="lenient", timeout_ms=5))
    run.fire("run")
    assert run.exit("a")[-1] == "run: timeout"


def test_an_error_is_worse_than_the_timeout_of_the_run() -> None:
    run = Run(plan_of(stage("a"), stage("b"), timeout_ms=5))
    run.exit("b", outcome="error", reason="missing program")
    run.fire("run")
    assert run.exit("a")[-1] == "run: error"


def test_an_interrupted_attempt_counts_and_one_more_is_granted_if_none_is_left() -> None:
    run = Run(plan_of(stage("a", attempts=3)))
    assert run.interrupt("a") == ["start a 2"]
    assert run.fail("a") == ["start a 3"]
    assert run.interrupt("a") == ["start a 4"]
    assert run.fail("a") == ["a: failure", "run: failure"]


def test_an_interruption_alone_makes_nothing_flaky() -> None:
    run = Run(plan_of(stage("a")))
    run.interrupt("a")
    assert run.exit("a") == ["a: success", "run: success"]
    assert not run.ends["a"].flaky


def test_an_interrupted_stage_that_is_not_retry_safe_waits_for_a_person() -> None:
    run = Run(plan_of(stage("a", retry_safe=False), stage("b"), stage("c", "a")))
    assert run.interrupt("a") == ["ask a"]
    assert run.waiting("a") == "person" and not run.machine.waits_for_person
    run.exit("b")
    assert run.machine.waits_for_person and run.machine.outstanding() == [0] and not run.machine.is_over
    assert run.answer("a", again=True) == ["start a 2"]
    assert run.interrupt("a") == ["ask a"]
    assert run.answer("a", again=False) == ["a: success", "start c"]
    assert run.reason("a") == "done, as a person said"
    assert run.answer("a", again=True) == []


def test_a_person_is_needed_each_time() -> None:
    run = Run(plan_of(stage("a", retry_safe=False)))
    run.interrupt("a")
    run.answer("a", again=True)
    run.interrupt("a")
    run.answer("a", again=True)
    assert run.fail("a") == ["a: failure", "run: failure"]
