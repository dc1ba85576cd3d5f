"""The machine beneath is short: nothing starts beside what runs, and alone only what asks for no more than is left."""

from __future__ import annotations

from tests.scheduler.plans import Run, plan_of, stage


def test_nothing_starts_beside_what_runs() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a"), stage("c", "a"), stage("d")))
    run.short("free memory 300 MiB", 300)
    assert run.exit("a") == ["a: success"]
    assert (run.waiting("b"), run.machine.held_by(1)) == ("machine", "free memory 300 MiB")
    assert run.exit("d") == ["d: success", "start b"]
    assert run.decisions[1].waited == "machine"  # type: ignore[union-attr]
    assert run.short(None) == ["start c"]


def test_alone_nothing_starts_that_asks_for_more_than_is_left() -> None:
    plan = plan_of(stage("a"), stage("big", "a", units={"memory": 400}), stage("b", "big"), pools={"memory": 1000})
    run = Run(plan)
    run.short("free memory 300", 300)
    assert run.exit("a") == ["a: success"]
    assert not run.machine.is_over
    assert run.short("free memory 500", 500) == ["start big"]


def test_short_of_something_else_one_starts_at_a_time() -> None:
    run = Run(plan_of(stage("a"), stage("b", units={"memory": 400}), stage("c"), pools={"memory": 1000}, slots=1))
    run.short("memory pressure 30 %")
    assert run.exit("a") == ["a: success", "start b"]
    assert run.exit("b") == ["b: success", "start c"]


def test_with_some_left_only_those_wait_who_ask_for_more() -> None:
    plan = plan_of(
        stage("a"), stage("big", "a", units={"memory": 400}), stage("small", "a", units={"memory": 200}),
        stage("none", "a"), stage("long"), pools={"memory": 1000},
    )  # fmt: skip
    run = Run(plan)
    run.short("free memory 300 < 400", 300, holds_all=False)
    assert run.exit("a") == ["a: success", "start small", "start none"]
    assert run.waiting("big") == "machine"
    assert run.short(None) == ["start big"]


def test_a_new_engine_begins_without_a_shortage() -> None:
    run = Run(plan_of(stage("a"), stage("b", units={"memory": 400}), pools={"memory": 1000}, slots=1))
    run.short("free memory 300", 300)
    assert run.exit("a") == ["a: success"]
    assert run.resume() == ["start b"]


def test_sequential_backs_off_too() -> None:
    plan = plan_of(stage("a"), stage("b", units={"memory": 9}), slots=1, pools={"memory": 10}, in_order=True)
    run = Run(plan)
    run.short("free memory 1", 1)
    assert run.exit("a") == ["a: success"]
    assert run.waiting("b") == "machine"
    assert run.short(None) == ["start b"]


def test_a_run_of_which_all_is_stopped_is_over_although_the_machine_is_short() -> None:
    run = Run(plan_of(stage("a"), stage("big", "a", units={"memory": 400}), pools={"memory": 1000}))
    run.short("free memory 300", 300)
    assert run.exit("a") == ["a: success"]
    assert run.cancel() == ["big: cancellation", "run: cancellation"]
