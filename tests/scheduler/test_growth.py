"""A run that gets further stages: they join before the end of the stage that generates them, and nothing that has
happened is lost."""

from __future__ import annotations

from typing import Any

import pytest
from tests.scheduler.plans import Run

from stagebook.model.pipeline import Each, Items, Pipeline, Pool, Rate, Resources, Stage, Step, Timeouts
from stagebook.model.problem import InputError
from stagebook.scheduler.build import build
from stagebook.scheduler.extend import extend
from stagebook.scheduler.machine import DriverError, Machine
from stagebook.scheduler.plan import Choice, Plan
from stagebook.scheduler.vocabulary import (
    Began,
    Decision,
    ItemFailed,
    ItemsDone,
    ItemsReady,
    StagesAdded,
    StartItems,
    WantItems,
)


def stage(id_: str, *needs: str, **more: Any) -> Stage:
    kind = "generate" if id_.startswith("gen") else "run"
    return Stage(id_, id_, 1, 1, kind, "x", needs, (1,) * len(needs), **more)


def made(by: str, id_: str, *needs: str, **more: Any) -> Stage:
    return stage(id_, by, *needs, made_by=by, **more)


class Growing(Run):
    """A run of a pipeline whose `gen…` stages may generate."""

    def __init__(self, *stages: Stage, choice: Choice = Choice(cores=4, jobs=8), **more: Any) -> None:
        self.pipeline = Pipeline("p", "/p.yaml", "native", "", stages, **more)
        self.choice = choice
        super().__init__(build(self.pipeline, choice))

    def _word(self, decision: Decision) -> str:
        return "" if isinstance(decision, (WantItems, StartItems, ItemFailed)) else super()._word(decision)

    def grown(self, maker: str, *stages: Stage, **more: Any) -> Plan:
        part = Pipeline("p", "/p.yaml", "native", "", stages, **more)
        self.pipeline, self.plan = extend(self.pipeline, self.plan, self.choice, part, maker)
        return self.plan

    def add(self, maker: str, *stages: Stage, **more: Any) -> list[str]:
        """They join, and whoever generated them ends well, in one batch."""
        at = self.index(maker)
        return self.feed(StagesAdded(self.at, at, self.grown(maker, *stages, **more)), self.exited(maker))


def test_who_needs_the_generator_waits_for_all_of_them() -> None:
    run = Growing(stage("gen"), stage("ship", "gen"))
    assert run.add("gen", made("gen", "a"), made("gen", "b", "a")) == ["gen: success", "start a"]
    assert run.exit("a") == ["a: success", "start b"]
    assert run.exit("b") == ["b: success", "start ship"]
    assert run.exit("ship") == ["ship: success", "run: success"]


def test_a_need_that_failed_long_ago_skips_them_at_once() -> None:
    run = Growing(stage("bad"), stage("gen"), stage("ship", "gen"))
    run.fail("bad")
    said = run.add("gen", made("gen", "a", "bad"), made("gen", "b"))
    assert said == ["a: skip", "ship: skip", "gen: success", "start b"]
    assert run.reason("a") == "needs bad (failure)" and run.reason("ship") == "needs a (skip)"
    assert run.exit("b") == ["b: success", "run: failure"]


def test_one_of_any_does_not_take_its_generator_for_a_need() -> None:
    run = Growing(stage("slow"), stage("gen"))
    assert run.add("gen", stage("a", "slow", join="any", made_by="gen")) == ["gen: success"]
    assert run.exit("slow") == ["slow: success", "start a"]


def test_what_is_judged_to_be_up_to_date_may_generate() -> None:
    run = Growing(stage("gen", inputs=("x",)), stage("ship", "gen"))
    assert run.said == ["judge gen"]
    plan = run.grown("gen", made("gen", "a"))
    run.feed(StagesAdded(0, 0, plan))
    assert run.judged("gen", "skip", "up to date") == ["gen: skip", "start a"]
    assert run.exit("a") == ["a: success", "start ship"]


def test_a_lock_grows_with_its_users_and_stays_held() -> None:
    run = Growing(stage("holder", locks={"l": "exclusive"}), stage("gen"), stage("later", locks={"l": "shared"}))
    said = run.add("gen", *[made("gen", name, locks={"l": "shared"}) for name in "abc"])
    assert said == ["gen: success"] and run.waiting("a") == "lock:l"
    assert run.exit("holder") == ["holder: success", "start a", "start b", "start c", "start later"]


def test_timers_of_before_still_hold() -> None:
    run = Growing(stage("slow", timeouts=Timeouts(attempt_ms=50)), stage("gen"))
    run.add("gen", made("gen", "a"))
    assert run.fire("attempt:0") == ["kill slow timeout"]


def test_who_has_claimed_a_pool_is_still_first() -> None:
    """What it lacks nobody takes, also none of those that join."""
    one = {"resources": Resources(pools={"db": 1})}
    run = Growing(
        stage("held", **one), stage("big", resources=Resources(pools={"db": 2})), stage("gen"), stage("x"),
        pools={"db": Pool(2)},
    )  # fmt: skip
    run.plan = run.plan._replace(passed_over_max=1)
    for index, rank in enumerate((0, 1, 2, 3)):
        stages = list(run.plan.stages)
        stages[index] = stages[index]._replace(rank=rank)
        run.plan = run.plan._replace(stages=tuple(stages))
    run.machine = Machine(run.plan)
    assert run.feed(Began(0)) == ["start held", "start gen", "start x"]
    assert run.add("gen", *[made("gen", name, **one) for name in "ab"]) == ["gen: success"]
    assert run.exit("held") == ["held: success", "start big"]
    assert run.exit("big") == ["big: success", "start a", "start b"]


def test_a_rate_goes_on_counting() -> None:
    use = {"resources": Resources(pools={"api": 1})}
    run = Growing(stage("one", **use), stage("gen"), pools={"api": Pool(8, Rate(1, 100))})
    run.began("one")
    said = run.add("gen", made("gen", "a", **use))
    assert said[0] == "gen: success" and said[1].startswith("timer pace:")
    assert run.fire("pace") == ["start a"]


def test_in_order_they_come_after_who_made_them() -> None:
    run = Growing(stage("gen"), stage("other"), stage("last"), choice=Choice(cores=4, sequential=True))
    assert run.add("gen", made("gen", "a"), made("gen", "b")) == ["gen: success", "start a"]
    assert run.exit("a") == ["a: success", "start b"]
    assert run.exit("b") == ["b: success", "start other"]


def test_what_the_selection_left_out_generates_nothing_and_the_rest_takes_part() -> None:
    run = Growing(stage("gen"), stage("other"), choice=Choice(cores=4, only=("gen",)))
    assert run.add("gen", made("gen", "a")) == ["gen: success", "start a"]
    assert run.exit("a") == ["a: success", "run: success"]


def test_what_was_critical_stays_and_of_what_joins_only_what_must_count() -> None:
    run = Growing(stage("gen", critical=True), stage("ship", "gen"), choice=Choice(cores=4, policy="lenient"))
    plan = run.grown("gen", made("gen", "a"), made("gen", "b", critical=True), made("gen", "c", retry_safe=False))
    assert [each.id for each in plan.stages if each.critical] == ["gen", "b", "c"]


@pytest.mark.parametrize("state", ["waiting", "success"])
def test_only_who_runs_generates(state: str) -> None:
    run = Growing(stage("first"), stage("gen", *(("first",) if state == "waiting" else ())))
    if state == "success":
        run.exit("gen")
    plan = run.grown("gen", made("gen", "a"))
    with pytest.raises(DriverError, match="does not run"):
        run.feed(StagesAdded(0, run.index("gen"), plan))


def test_another_plan_is_refused() -> None:
    run = Growing(stage("gen"), stage("other"))
    plan = run.grown("gen", made("gen", "a"))
    with pytest.raises(DriverError, match="not the plan of this run"):
        run.feed(StagesAdded(0, 0, plan._replace(stages=plan.stages[::-1])))


def test_a_circle_and_what_no_pool_can_give_make_no_plan() -> None:
    run = Growing(stage("gen"), stage("ship", "gen"), pools={"db": Pool(1)})
    with pytest.raises(InputError, match="form a cycle"):
        run.grown("gen", made("gen", "a", "ship"))
    with pytest.raises(InputError, match="asks 2 of `pool:db`"):
        run.grown("gen", made("gen", "a", resources=Resources(pools={"db": 2})))


def test_items_that_are_worked_on_go_on() -> None:
    """Steps are numbered after the stages, of which there are more now: their calls, and those that wait, are kept."""
    each = Each(Items("range", first=1, last=9), (Step("s", 1, "run", "x", workers=2),))
    stream = Stage("each", "each", 1, 1, "each", each=each, priority=1)
    run = Growing(stream, stage("gen"), stage("other"), choice=Choice(cores=4, jobs=4))
    wanted = [decision.more for decision in run.decisions if isinstance(decision, WantItems)]
    run.feed(ItemsReady(0, 0, wanted[0]))
    calls = run.machine.calls(0)
    assert [items for _, _, items, _ in calls] == [(1,), (2,)]
    run.add("gen", made("gen", "a"), Stage("b", "b", 1, 1, "each", "", ("gen",), (1,), each=each, made_by="gen"))
    assert run.machine.calls(0)[: len(calls)] == calls
    for step, slot, _, _ in calls:
        run.feed(ItemsDone(0, 0, step, slot))
    assert run.machine.items(0).done == 2


def test_a_replay_ends_in_the_same_state() -> None:
    run = Growing(stage("gen"), stage("ship", "gen"), stage("slow"))
    first = build(Pipeline("p", "/p.yaml", "native", "", run.pipeline.stages), run.choice)
    run.add("gen", made("gen", "gen-2"), made("gen", "a"))
    run.add("gen-2", made("gen-2", "b"))
    run.exit("a", "b")
    again = Machine(first)
    for batch in run.journal:
        again.feed(*batch)
    assert again.snapshot() == run.machine.snapshot()
    assert run.state("ship") == "running"
