"""Needs that are met by an announcement: who may start, and what becomes of it when the need comes to its end."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scheduler.plans import Run, plan_of, stage

from stagebook.scheduler.machine import DriverError, Machine
from stagebook.scheduler.vocabulary import Announced, Exited, Start


def announce(run: Run, name: str, *dependents: str, attempt: int | None = None) -> list[str]:
    at = run.index(name)
    number = run.machine.attempt(at) if attempt is None else attempt
    return run.feed(Announced(run.at, at, number, tuple(map(run.index, dependents))))


def pair(**more: object) -> Run:
    """`test` reads of `build`, which announces."""
    return Run(plan_of(stage("build", attempts=2), stage("test", "build", early=(0,), **more)))


def test_a_stage_starts_beside_the_need_that_has_announced() -> None:
    run = pair()
    assert run.said == ["start build"]
    assert announce(run, "build", "test") == ["start test"]
    assert run.exit("build") == ["build: success"]
    assert run.exit("test") == ["test: success", "run: success"]


def test_it_may_end_before_its_need() -> None:
    run = Run(plan_of(stage("build"), stage("test", "build", early=(0,)), stage("ship", "test")))
    announce(run, "build", "test")
    assert run.exit("test") == ["test: success", "start ship"]
    assert run.exit("ship", "build") == ["ship: success", "build: success", "run: success"]


def test_all_other_needs_still_count() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("test", "a", "b", early=(0,))))
    assert announce(run, "a", "test") == []
    assert run.waiting("test") == "needs"
    assert run.exit("a") == ["a: success"]
    assert run.exit("b") == ["b: success", "start test"]


@pytest.mark.parametrize("join", ["any", "done"])
def test_an_announcement_serves_every_join(join: str) -> None:
    needs = ("a", "b") if join == "any" else ("a",)
    run = Run(plan_of(stage("a"), stage("b"), stage("test", *needs, early=(0,), join=join)))
    assert announce(run, "a", "test") == ["start test"]


def test_who_is_not_named_waits_for_the_end() -> None:
    run = Run(plan_of(stage("build"), stage("a", "build", early=(0,)), stage("b", "build", early=(0,))))
    assert announce(run, "build", "a") == ["start a"]
    assert announce(run, "build", "a") == []
    assert run.exit("build") == ["build: success", "start b"]


def test_a_need_that_fails_first_skips_who_has_not_started() -> None:
    run = Run(plan_of(stage("build"), stage("other"), stage("test", "build", "other", early=(0,)), slots=2))
    announce(run, "build", "test")
    assert run.fail("build") == ["build: failure", "test: skip"]
    assert run.reason("test") == "needs build (failure)"


def test_who_only_lacks_a_slot_is_skipped_too() -> None:
    run = Run(plan_of(stage("build"), stage("other"), stage("test", "build", early=(0,)), slots=2))
    assert announce(run, "build", "test") == []
    assert run.waiting("test") == "slot"
    assert run.fail("build") == ["build: failure", "test: skip"]


def test_who_runs_goes_on_when_its_need_fails() -> None:
    run = pair()
    announce(run, "build", "test")
    run.exit("build", outcome="failure", exit=1)
    assert run.fail("build") == ["build: failure"]
    assert run.state("test") == "running"
    assert run.exit("test") == ["test: success", "run: failure"]


def test_another_attempt_must_announce_again() -> None:
    run = Run(plan_of(stage("build", attempts=2), stage("other"), stage("test", "build", early=(0,)), slots=2))
    announce(run, "build", "test")
    assert run.fail("build") == ["start build 2"]
    assert run.state("test") == "waiting"
    assert announce(run, "build", "test", attempt=1) == []
    assert announce(run, "build", "test") == []
    assert run.state("test") == "ready"
    assert run.exit("other") == ["other: success", "start test"]


def test_another_attempt_takes_nothing_from_who_runs() -> None:
    run = pair()
    announce(run, "build", "test")
    assert run.fail("build") == ["start build 2"]
    assert run.exit("test") == ["test: success"]
    assert run.exit("build") == ["build: success", "run: success"]


def test_who_is_tried_again_waits_for_its_need_again() -> None:
    run = pair(attempts=2)
    announce(run, "build", "test")
    run.fail("build")
    assert run.fail("test") == []
    assert run.state("test") == "waiting"
    assert announce(run, "build", "test") == ["start test 2"]


def three(**more: object) -> Run:
    """`test` has begun by the announcements of `api` and `web`, then `api` has failed for good."""
    run = Run(plan_of(stage("api"), stage("web", attempts=2), stage("test", "api", "web", early=(0, 1), **more)))
    announce(run, "api", "test")
    assert announce(run, "web", "test") == ["start test"]
    assert run.fail("api") == ["api: failure"]
    return run


def test_who_is_tried_again_beside_a_failure_waits_for_its_other_needs() -> None:
    run = three(attempts=2)
    assert run.fail("web") == ["start web 2"]
    assert run.fail("test") == []
    assert run.state("test") == "waiting"
    assert run.exit("web") == ["web: success", "start test 2"]


def test_who_is_tried_again_beside_a_failure_goes_back_when_another_need_is_taken_back() -> None:
    run = three(attempts=2, retry_safe=False)
    assert run.interrupt("test") == ["ask test"]
    assert run.fail("web") == ["start web 2"]
    assert run.state("test") == "waiting"
    assert run.answer("test", True) == []
    assert announce(run, "web", "test") == ["start test 2"]


def test_a_backoff_looks_again_when_it_is_over() -> None:
    run = pair(attempts=2, delays_ms=(50,))
    announce(run, "build", "test")
    run.fail("test")
    run.fail("build")
    assert run.state("test") == "backoff"
    assert run.fire("backoff") == []
    assert run.state("test") == "waiting"
    assert run.exit("build") == ["build: success", "start test 2"]


@pytest.mark.parametrize("answer", ["none", "refused"])
def test_who_is_on_the_way_to_a_lease_gives_its_units_back(answer: str) -> None:
    plan = plan_of(
        stage("build", attempts=2), stage("test", "build", early=(0,), units={"api": 1}), pools={"api": 1},
        machine=("api",),
    )  # fmt: skip
    run = Run(plan)
    assert announce(run, "build", "test") == ["lease test"]
    if answer == "refused":
        run.refused("test")
    assert run.fail("build") == ["start build 2"]
    assert run.state("test") == "waiting"
    assert run.leased("test") == run.freed("test") == []
    assert announce(run, "build", "test") == ["lease test"]
    assert run.leased("test") == ["start test"]


def test_who_waits_for_a_person_waits_for_its_need_first() -> None:
    run = pair(retry_safe=False)
    announce(run, "build", "test")
    assert run.interrupt("test") == ["ask test"]
    assert run.fail("build") == ["start build 2"]
    assert run.state("test") == "waiting"
    assert run.answer("test", True) == []
    assert announce(run, "build", "test") == ["start test 2"]


def test_what_is_being_ended_announces_nothing() -> None:
    run = Run(
        plan_of(stage("build", attempt_timeout_ms=10), stage("other"), stage("test", "build", early=(0,)), slots=2)
    )
    announce(run, "build", "test")
    assert run.state("test") == "ready"
    run.fire("attempt:0")
    assert run.state("test") == "waiting"
    assert announce(run, "build", "test") == []
    assert run.exit("other") == ["other: success"]
    assert run.exit("build") == ["build: timeout", "test: skip", "run: timeout"]


def test_a_cancel_of_the_run_skips_who_waited() -> None:
    run = Run(plan_of(stage("build"), stage("other"), stage("test", "build", early=(0,)), slots=2))
    announce(run, "build", "test")
    run.cancel()
    assert run.exit("build") == ["build: cancellation", "test: skip"]
    run.exit("other")
    run.resume()
    assert (run.state("build"), run.state("test")) == ("running", "waiting")


def test_an_interrupted_need_announces_again() -> None:
    run = Run(plan_of(stage("build"), stage("other"), stage("test", "build", early=(0,)), slots=2))
    announce(run, "build", "test")
    assert run.interrupt("build") == ["start build 2"]
    assert run.state("test") == "waiting"
    run.exit("other")
    assert announce(run, "build", "test") == ["start test"]


def test_under_fail_fast_it_is_skipped_for_its_need() -> None:
    run = Run(plan_of(stage("build"), stage("other"), stage("test", "build", early=(0,)), slots=2, policy="fail-fast"))
    announce(run, "build", "test")
    run.fail("build")
    assert run.reason("test") == "needs build (failure)"


def test_a_failure_that_is_allowed_lets_it_go_on_and_asks_anew() -> None:
    plan = plan_of(stage("build", allow_failure=True), stage("test", "build", early=(0,), judged=True))
    run = Run(plan)
    assert announce(run, "build", "test") == ["judge test"]
    assert run.fail("build") == ["build: failure", "judge test"]
    assert run.judged("test") == ["start test"]


def test_a_condition_that_was_judged_stands_when_the_need_ends_well() -> None:
    run = Run(plan_of(stage("build"), stage("other"), stage("test", "build", early=(0,), judged=True), slots=2))
    assert announce(run, "build", "test") == ["judge test"]
    assert run.judged("test") == []
    assert run.exit("build") == ["build: success", "start test"]


def test_clean_up_begins_with_the_announcement_and_again_after_a_failure() -> None:
    run = Run(plan_of(stage("build"), stage("other"), stage("tidy", "build", early=(0,), always=True), slots=2))
    announce(run, "build", "tidy")
    assert run.fail("build") == ["build: failure", "start tidy"]


def test_in_order_an_announcement_changes_nothing() -> None:
    run = Run(plan_of(stage("build"), stage("test", "build", early=(0,), judged=True), slots=1, in_order=True))
    assert announce(run, "build", "test") == []
    assert run.state("test") == "waiting"
    assert run.exit("build") == ["build: success", "judge test"]


def test_what_no_stage_waits_for_is_a_lie_and_what_comes_late_is_not() -> None:
    run = Run(plan_of(stage("build"), stage("test", "build")))
    with pytest.raises(DriverError):
        announce(run, "build", "test")
    run = pair()
    with pytest.raises(DriverError):
        announce(run, "build", "test", attempt=2)
    run.exit("build")
    before = run.machine.snapshot()
    assert announce(run, "build", "test") == []
    assert run.machine.snapshot() == before


def test_an_end_in_the_same_batch_takes_it_back_before_anything_starts() -> None:
    run = Run(plan_of(stage("build"), stage("test", "build", early=(0,))))
    said = run.feed(Announced(0, 0, 1, (1,)), Exited(0, 0, 1, "failure", 1))
    assert said == ["build: failure", "test: skip", "run: failure"]


@given(st.integers(0, 2**32))
def test_nobody_starts_before_all_its_needs_have_ended_or_announced(seed: int) -> None:
    """Any shape, any order of announcements, failures and attempts; a second machine says the same."""
    draw = random.Random(seed)
    count = draw.randint(2, 9)
    rows = []
    for index in range(count):
        needs = sorted(draw.sample(range(index), min(index, draw.randint(0, 3))))
        early = tuple(need for need in needs if draw.random() < 0.7)
        rows.append(stage(f"s{index}", *(f"s{need}" for need in needs), early=early, attempts=draw.randint(1, 3)))
    plan = plan_of(*rows, slots=draw.randint(1, 4))
    run = Run(plan)
    met: dict[int, set[int]] = {}
    running: set[int] = set()
    ended: dict[int, str] = {}

    def look() -> None:
        for decision in run.decisions:
            if isinstance(decision, Start):
                for need in plan.stages[decision.stage].needs:
                    is_met = decision.stage in met.get(need, ())
                    assert is_met or need in ended, f"{decision} before s{need}"
                    assert decision.attempt > 1 or is_met or ended[need] == "success", f"{decision} beside a failure"
                running.add(decision.stage)
                met[decision.stage] = set()
        ended.update({run.index(name): end.outcome for name, end in run.ends.items()})

    look()
    for _ in range(200):
        if run.machine.is_over:
            break
        at = draw.choice(sorted(running))
        readers = [reader for reader, planned in enumerate(plan.stages) if at in planned.early]
        if readers and draw.random() < 0.5:
            some = tuple(draw.sample(readers, draw.randint(1, len(readers))))
            met[at].update(some)
            run.feed(Announced(0, at, run.machine.attempt(at), some))
        else:
            running.discard(at)
            met.pop(at)
            word = draw.choice(("success", "success", "failure", "interrupted"))
            name = plan.stages[at].id
            ended.pop(at, None)
            if word == "interrupted":
                run.interrupt(name)
            else:
                ended.update({at: "success"} if word == "success" else {})
                run.exit(name, outcome=word)
        ended.update({run.index(name): end.outcome for name, end in run.ends.items()})
        look()
    assert run.machine.is_over
    again = Machine(plan)
    for batch in run.journal:
        again.feed(*batch)
    assert again.snapshot() == run.machine.snapshot()
