"""Items in the machine, told in words: each test drives one stage that works through items by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.scheduler.plans import Run

from stagebook.model.pipeline import Each, Items, Pipeline, Pool, Rate, Resources, Retry, Stage, Step
from stagebook.model.problem import InputError
from stagebook.scheduler import build
from stagebook.scheduler.machine import DriverError, Machine
from stagebook.scheduler.plan import Choice, Plan, PlannedEach, PlannedStage, PlannedStep
from stagebook.scheduler.plan import Pool as PlannedPool
from stagebook.scheduler.vocabulary import (
    Decision,
    Exited,
    ItemFailed,
    ItemsDone,
    ItemsLot,
    ItemsReady,
    ItemsWorkers,
    KillItems,
    StartItems,
    WantItems,
)


def step(name: str, **more: Any) -> PlannedStep:
    return PlannedStep(name, 1, **{"workers_max": more.get("workers", 1), **more})


def plan_of(*steps: PlannedStep, jobs: int = 8, on_failure: str = "stop", beside: int = 0, **more: Any) -> Plan:
    """One stage `s` with items, and so many others, of lower rank, that need nothing."""
    stage = {key: more.pop(key) for key in list(more) if key in PlannedStage._fields}
    first = PlannedStage("s", (), 0, 0, each=PlannedEach(steps, on_failure), **stage)
    others = tuple(PlannedStage(f"o{at}", (), 1, at + 1) for at in range(beside))
    return Plan((first, *others), (PlannedPool("slot", jobs),), ((), ((0, 1),)), **more)


class Flow(Run):
    """`items` is what the latest batch began, killed or asked for, in words."""

    def _word(self, decision: Decision) -> str:
        if isinstance(decision, StartItems):
            name = self._steps[decision.step].name
            numbers = "-".join(map(str, decision.items))
            return f"{name}{decision.slot} {numbers}" + (f" again {decision.attempt}" if decision.attempt > 1 else "")
        if isinstance(decision, WantItems):
            return f"want {decision.more}"
        if isinstance(decision, KillItems):
            return f"kill {self._steps[decision.step].name}{decision.slot} {decision.why}"
        if isinstance(decision, ItemFailed):
            return f"failed {decision.item} in {self._steps[decision.step].name}"
        return super()._word(decision)

    @property
    def _steps(self) -> tuple[PlannedStep, ...]:
        each = self.plan.stages[0].each
        assert each is not None
        return each.steps

    def ready(self, more: int, is_last: bool = False) -> list[str]:
        return self.feed(ItemsReady(self.at, 0, more, is_last))

    def done(self, call: str, **bad: Any) -> list[str]:
        """`done("a0")`: the call in slot 0 of step `a` is over; `failure=3`: but for item 3."""
        named = tuple((item, outcome, 1 if outcome == "failure" else None, None) for outcome, item in bad.items())
        return self.feed(self.over(call, named))

    def over(self, call: str, bad: tuple[tuple[int, str, int | None, str | None], ...] = ()) -> ItemsDone:
        at = next(at for at, planned in enumerate(self._steps) if planned.name == call[:-1])
        return ItemsDone(self.at, 0, at, int(call[-1]), bad)


def test_an_assembly_line_works_on_one_item_a_step_at_once() -> None:
    run = Flow(plan_of(step("a"), step("b"), step("c")))
    assert run.said == ["start s", "want 2"]
    assert run.ready(2) == ["a0 1", "want 1"]
    assert run.ready(1, is_last=True) == []
    assert run.done("a0") == ["b0 1", "a0 2"]
    assert run.feed(run.over("b0"), run.over("a0")) == ["c0 1", "b0 2", "a0 3"]
    assert run.feed(run.over("a0"), run.over("b0"), run.over("c0")) == ["c0 2", "b0 3"]
    run.feed(run.over("b0"), run.over("c0"))
    assert run.done("c0") == ["s: success", "run: success"]
    told = run.machine.items(0)
    assert (told.known, told.done, told.failed, told.is_all) == (3, 3, 0, True)
    assert [one.done for one in told.steps] == [3, 3, 3]


def test_r014_a_slow_consumer_never_has_more_queued_than_its_buffer() -> None:
    run = Flow(plan_of(step("a", buffer=1), step("slow", buffer=2)))
    run.ready(1)
    for _ in range(4):
        run.ready(1)
        run.done("a0")
    told = run.machine.items(0)
    assert (told.steps[1].queued, told.steps[1].queue_max) == (2, 2)
    assert told.steps[0].kept == 1, "the fourth item is done and has no place"
    assert run.ready(0) == [] and run.said == [], "its slot takes no other, and the source is asked for none"
    assert run.done("slow0") == ["slow0 2", "a0 5", "want 1"]


def test_a_slot_that_keeps_an_item_has_given_back_its_job() -> None:
    run = Flow(plan_of(step("a", buffer=4), step("b", buffer=0), jobs=2, beside=1))
    assert run.said == ["start s", "start o0", "want 4"]
    run.ready(4)
    run.exit("o0")
    assert run.done("a0") == ["b0 1", "a0 2", "want 2"]
    run.done("a0")
    assert run.machine.items(0).steps[0].kept == 1
    run.machine.check()  # as many units are free as no call holds


def test_a_buffer_of_0_hands_over() -> None:
    run = Flow(plan_of(step("a", buffer=0), step("b", buffer=0)))
    assert run.said == ["start s", "want 1"]
    assert run.ready(1) == ["a0 1"]
    assert run.done("a0") == ["b0 1", "want 1"]
    run.ready(1)
    assert run.done("a0") == [], "the second item stays in its slot"
    assert run.done("b0") == ["b0 2", "want 1"]
    assert [one.queue_max for one in run.machine.items(0).steps] == [1, 0]


def test_a_batch_takes_what_is_there_and_is_never_waited_for() -> None:
    run = Flow(plan_of(step("a", batch=3, buffer=6)))
    assert run.ready(2) == ["a0 1-2"]
    assert run.ready(4) == []
    assert run.done("a0") == ["a0 3-4-5", "want 5"]


def test_a_later_step_goes_first_where_there_is_one_job() -> None:
    run = Flow(plan_of(step("a"), step("b"), step("c"), jobs=1))
    run.ready(2)
    assert run.done("a0") == ["b0 1"]
    assert run.done("b0") == ["c0 1"]
    assert run.done("c0")[0] == "a0 2"


def test_an_ordered_step_takes_items_as_the_source_brought_them() -> None:
    run = Flow(plan_of(step("a", workers=3, buffer=3), step("b", ordered=True, buffer=2)))
    run.ready(3, is_last=True)
    assert run.done("a2") == []
    assert run.done("a1") == []
    assert run.done("a0") == ["b0 1"]
    assert run.done("b0") == ["b0 2"]
    assert run.done("b0") == ["b0 3"]


def test_the_item_that_an_ordered_step_waits_for_overtakes_slots_that_keep_others() -> None:
    run = Flow(plan_of(step("a", workers=2, buffer=9), step("b", buffer=0), step("c", ordered=True, buffer=0)))
    run.ready(3)
    assert run.done("a1") == ["b0 2", "a1 3"]
    assert run.done("b0") == [], "item 2 waits for item 1, in the only slot of b"
    assert run.done("a0") == ["b0 1"]
    assert run.done("b0") == ["c0 1"]
    assert run.done("c0")[0] == "c0 2"


def test_what_is_left_out_is_not_waited_for() -> None:
    run = Flow(plan_of(step("a", workers=2), step("b", ordered=True), on_failure="skip"))
    run.ready(2, is_last=True)
    assert run.done("a1") == []
    assert run.done("a0", failure=1) == ["failed 1 in a", "b0 2"]
    assert run.done("b0") == ["s: success", "run: success"]
    assert run.reason("s") == "1 of 2 items left out; item 1 failed in a (exit 1)"


def test_an_item_is_tried_again_after_its_backoff_while_others_go_on() -> None:
    run = Flow(plan_of(step("a", attempts=2, delays_ms=(50,))))
    run.ready(2, is_last=True)
    assert run.done("a0", failure=1) == ["timer items:0:1 at 50", "a0 2"]
    assert run.machine.items(0).steps[0].again == 1
    assert run.done("a0") == []
    assert run.fire("items") == ["a0 1 again 2"]
    assert run.done("a0", failure=1) == ["failed 1 in a", "s: failure", "run: failure"]
    assert run.reason("s") == "item 1 failed in a (exit 1)"


def test_only_the_bad_items_of_a_batch_are_tried_again() -> None:
    run = Flow(plan_of(step("a", attempts=2, batch=3, buffer=3), step("b", batch=3)))
    run.ready(3, is_last=True)
    assert run.done("a0", failure=2) == ["b0 1-3", "a0 2 again 2"]


def test_an_item_whose_end_is_unknown_costs_no_attempt() -> None:
    run = Flow(plan_of(step("a")))
    run.ready(1, is_last=True)
    assert run.feed(run.over("a0", ((1, "error", None, "interrupted"),))) == ["a0 1 again 2"]
    assert run.done("a0") == ["s: success", "run: success"]


def test_an_item_of_an_unsafe_stage_is_never_done_twice_in_silence() -> None:
    run = Flow(plan_of(step("a", attempts=3), retry_safe=False))
    run.ready(1, is_last=True)
    said = run.feed(run.over("a0", ((1, "error", None, "interrupted"),)))
    assert said == ["failed 1 in a", "s: error", "run: error"]
    assert run.reason("s") == "item 1 failed in a (error: interrupted)"
    assert run.resume() == ["ask s"]
    assert run.answer("s", again=True) == ["start s 2", "a0 1"]


def test_a_call_over_its_time_is_killed_and_its_item_is_a_timeout() -> None:
    run = Flow(plan_of(step("a", timeout_ms=30), on_failure="dead-letter"))
    run.ready(2)
    assert run.fire("items") == ["kill a0 timeout"]
    assert run.done("a0", cancellation=1)[:2] == ["failed 1 in a", "a0 2"]
    assert run.decisions[0] == ItemFailed(0, 0, 1, "timeout", None, None)


def test_there_is_one_timer_however_many_items() -> None:
    run = Flow(plan_of(step("a", timeout_ms=30)))
    for _ in range(20):
        run.feed(ItemsReady(run.at, 0, run.machine.wants(0)))
        run.done("a0")
        run.at += 1
    assert [name for name in run.timers if name.startswith("items")] == ["items:0:1"]


def test_stop_lets_calls_end_and_begins_no_other() -> None:
    run = Flow(plan_of(step("a", workers=2, buffer=4)))
    run.ready(4)
    assert run.done("a0", failure=1) == ["failed 1 in a"]
    assert run.done("a1") == ["s: failure", "run: failure"]
    assert run.machine.items(0).failed == 1


def test_stop_under_fail_fast_kills_calls() -> None:
    run = Flow(plan_of(step("a", workers=2, buffer=4), policy="fail-fast"))
    run.ready(4)
    assert run.done("a0", failure=1) == ["failed 1 in a", "kill a1 cancelled"]


def test_a_source_that_fails_ends_the_stage_when_its_calls_have() -> None:
    run = Flow(plan_of(step("a")))
    run.ready(2)
    assert run.feed(Exited(0, 0, 1, "failure", None, None, "no such directory")) == []
    assert run.done("a0") == ["s: failure", "run: failure"]
    assert run.reason("s") == "no such directory"


def test_a_cancel_kills_calls_and_a_resume_goes_on_where_they_were() -> None:
    run = Flow(plan_of(step("a", workers=2, buffer=3), step("b")))
    run.ready(3)
    run.done("a0")
    assert run.cancel() == ["kill a0 cancelled", "kill a1 cancelled", "kill b0 cancelled"]
    for call, item in (("a0", 3), ("a1", 2), ("b0", 1)):
        run.done(call, cancellation=item)
    assert run.state("s") == "cancellation" and run.run_end is not None
    said = run.resume()
    assert sorted(said) == ["a0 3 again 2", "a1 2 again 2", "b0 1 again 2", "start s 2", "want 3"]


def test_calls_lost_with_their_engine_are_done_again() -> None:
    run = Flow(plan_of(step("a"), step("b")))
    run.ready(2)
    run.done("a0")
    run.feed(Exited(0, 0, 1, "error", None, None, "interrupted"))
    assert run.said[0] == "start s 2" and {"b0 1 again 2", "a0 2 again 2"} <= set(run.said)


def test_a_stage_that_is_not_safe_to_repeat_asks_before_lost_items_are_done_again() -> None:
    run = Flow(plan_of(step("a"), retry_safe=False))
    run.ready(1, is_last=True)
    assert run.interrupt("s") == ["ask s"]
    assert run.answer("s", again=True) == ["start s 2", "a0 1 again 2"]


def test_a_stage_timeout_ends_it_by_its_calls() -> None:
    run = Flow(plan_of(step("a"), stage_timeout_ms=100))
    run.ready(1)
    assert run.fire("stage") == ["kill a0 timeout"]
    assert run.done("a0", cancellation=1) == ["s: timeout", "run: timeout"]


def test_a_cancel_where_no_call_runs_ends_the_stage_at_once() -> None:
    run = Flow(plan_of(step("a")))
    assert run.cancel() == ["s: cancellation", "run: cancellation"]
    assert run.ready(1) == [], "what the source brings now is nobody's"
    assert run.machine.items(0).known == 0


def test_no_items_at_all_is_a_success_that_says_so() -> None:
    run = Flow(plan_of(step("a")))
    assert run.ready(0, is_last=True) == ["s: success", "run: success"]
    assert run.reason("s") == "no items"


def test_items_share_jobs_with_stages_by_rank() -> None:
    run = Flow(plan_of(step("a", workers=4, buffer=4), jobs=2, beside=3))
    assert run.said == ["start s", "start o0", "start o1", "want 4"]
    run.ready(4)
    assert run.exit("o0") == ["o0: success", "a0 1"]
    assert run.machine.items(0).steps[0].lacks == "slot"
    assert run.machine.holders("slot") == [0, 2]


def test_a_stage_is_passed_by_so_many_calls_only() -> None:
    run = Flow(plan_of(step("a", buffer=9), jobs=1, beside=2, passed_over_max=3))
    run.ready(9)
    assert run.exit("o0") == ["o0: success", "a0 1"]
    assert run.done("a0") == ["a0 2"]
    assert run.done("a0")[0] == "a0 3"
    assert run.done("a0") == ["start o1"]


def test_workers_may_be_more_and_fewer_while_it_runs() -> None:
    run = Flow(plan_of(step("a", workers_max=3, buffer=6)))
    run.ready(6)
    assert run.feed(ItemsWorkers(0, 0, 0, 3))[:2] == ["a1 2", "a2 3"]
    run.feed(ItemsWorkers(0, 0, 0, 1))
    assert run.done("a1") == [] and run.done("a2") == []
    assert run.done("a0")[0] == "a0 4"


def test_a_lot_grows_with_its_buffer_and_is_shared_by_free_workers() -> None:
    """The source brings what it was asked for before the lot grew, and then as many as two lots for each worker."""
    run = Flow(plan_of(step("a", workers=2, workers_max=2, buffer=4, lot_max=8, grows=True)))
    assert run.said == ["start s", "want 4"]
    assert run.feed(ItemsLot(0, 0, 0, 3)) == ["want 8"]
    assert run.ready(4) == ["a0 1-2", "a1 3-4"]
    run.ready(8)
    assert run.done("a0")[0] == "a0 5-6-7"
    assert run.done("a1")[0] == "a1 8-9-10"
    assert run.feed(ItemsLot(0, 0, 0, 1)) == []
    assert run.done("a0")[0] == "a0 11"


@pytest.mark.parametrize(("buffer", "call"), [(0, "a0 2"), (2, "a0 2-3"), (5, "a0 2-3-4-5")])
def test_no_lot_is_larger_than_what_may_wait_behind_it(buffer: int, call: str) -> None:
    run = Flow(plan_of(step("a", buffer=9, lot_max=4), step("slow", buffer=buffer)))
    run.ready(9)
    run.feed(ItemsLot(0, 0, 0, 4))
    assert call in run.done("a0")


def test_items_of_a_lot_that_was_cut_are_done_again_and_lose_no_attempt() -> None:
    run = Flow(plan_of(step("a", buffer=9, lot_max=4)))
    run.ready(9)
    run.feed(ItemsLot(0, 0, 0, 4))
    assert "a0 2-3-4-5" in run.done("a0")
    bad = ((3, "failure", None, None), (4, "error", None, "interrupted"), (5, "error", None, "interrupted"))
    said = run.feed(run.over("a0", bad))
    assert said[0] == "failed 3 in a"
    assert run.machine.items(0).steps[0].again == 3, "4 and 5, and 3 if the stage is tried again"


def test_only_steps_whose_processes_stay_take_lots_and_only_where_nothing_is_lost_by_it() -> None:
    def planned(step: Step, **more: Any) -> PlannedStep:
        stage = Stage("s", "s", 0, 1, "each", each=Each(Items("range", "", 1, 2), (step,)), **more)
        each = build.build(Pipeline("p", "/p.yaml", "native", "", (stage,)), Choice(cores=4)).stages[0].each
        assert each is not None
        return each.steps[0]

    function = Step("a", 2, "python", "m:f")
    assert planned(function).lot_max > 1 and planned(function).grows
    assert planned(Step("a", 2, "run", "true", worker=True)).lot_max > 1
    bounded = planned(function._replace(buffer=3))
    assert bounded.lot_max > 1 and not bounded.grows
    for other in (Step("a", 2, "run", "true"), function._replace(batch=2), function._replace(timeout_ms=9)):
        assert (planned(other).lot_max, planned(other).grows) == (1, False)
    assert planned(function, retry_safe=False).lot_max == 1


def test_in_order_of_rank_one_call_runs_at_once_and_other_stages_wait() -> None:
    run = Flow(plan_of(step("a", workers=2), step("b"), jobs=1, beside=1, in_order=True))
    assert run.ready(2, is_last=True) == ["a0 1"]
    assert run.done("a0") == ["b0 1"]
    assert run.done("b0") == ["a0 2"]
    assert run.done("a0") == ["b0 2"]
    assert run.done("b0") == ["s: success", "start o0"]


def test_a_driver_that_lies_is_told_so() -> None:
    run = Flow(plan_of(step("a"), beside=1))
    lies = [
        (ItemsReady(0, 0, 3), "was asked for 2 items and brings 3"),
        (ItemsReady(0, 0, -1), "cannot have -1 more items"),
        (ItemsReady(0, 1, 1), "stage 1 has no items"),
        (ItemsDone(0, 0, 1, 0), "no slot 0 of step 1"),
        (ItemsDone(0, 0, 0, 1), "no slot 1 of step 0"),
        (ItemsWorkers(0, 0, 0, 2), "cannot have 2 workers"),
        (ItemsLot(0, 0, 0, 2), "cannot take 2 items at once"),
        (ItemsLot(0, 0, 1, 1), "no step 1"),
        (Exited(0, 0, 1, "success"), "ends well by its items only"),
    ]
    for lie, why in lies:
        with pytest.raises(DriverError, match=why):
            run.machine.feed(lie)
    run.ready(1)
    with pytest.raises(DriverError, match="has other items"):
        run.machine.feed(ItemsDone(0, 0, 0, 0, ((7, "failure", 1, None),)))


def test_a_second_report_of_a_call_is_absorbed() -> None:
    run = Flow(plan_of(step("a")))
    run.ready(1)
    run.done("a0")
    before = run.machine.snapshot()
    assert run.done("a0") == []
    assert run.machine.snapshot() == before


def test_what_is_kept_does_not_grow_with_the_number_of_items() -> None:
    """Also while a stage of lower rank waits for long, and while every other item fails and waits to be tried again."""
    run = Flow(
        plan_of(step("a", attempts=2, delays_ms=(10**9,), buffer=8), step("b"), jobs=2, beside=3, on_failure="skip")
    )
    run.exit("o0")
    run.exit("o1")
    sizes = []
    for item in range(1, 6001):
        run.machine.feed(ItemsReady(0, 0, run.machine.wants(0)))
        bad = ((item, "failure", 1, None),) if item % 2 else ()
        for at, slot, items, _ in run.machine.calls(0):
            run.machine.feed(ItemsDone(0, 0, at, slot, bad if at == 0 and items == (item,) else ()))
        if item in (3000, 6000):
            sizes.append(len(repr(run.machine.snapshot())))
    assert sizes[1] < sizes[0] * 1.05


def _pipeline(*steps: Step, pools: dict[str, Pool] | None = None, on_failure: str = "skip") -> Pipeline:
    each = Each(Items("range", first=1, last=9), steps, on_failure)
    return Pipeline("p", "/p.yaml", "native", "", (Stage("s", "s", 1, 1, "each", each=each),), pools=pools or {})


def test_a_plan_holds_steps_as_the_file_has_them() -> None:
    retry = Retry(attempts=3, backoff_ms=100, factor=2.0)
    plan = build.build(
        _pipeline(
            Step("a", 3, "run", "true"),
            Step("b", 4, "run", "true", workers=0, batch=10, retry=retry, timeout_ms=5),
            Step("c", 5, "run", "true", workers=0, workers_max=2, buffer=0, ordered=True, resources=Resources(500)),
        ),
        Choice(cores=4, jobs=3),
    )
    each = plan.stages[0].each
    assert each is not None and each.on_failure == "skip"
    assert plan.demands[plan.stages[0].demand] == ()
    assert [plan.demands[one.demand] for one in each.steps] == [((0, 1),), ((0, 1),), ((0, 1), (1, 500))]
    a, b, c = each.steps
    assert (a.workers, a.workers_max, a.buffer) == (1, 1, 2)
    assert (b.workers, b.workers_max, b.buffer, b.batch, b.attempts, b.timeout_ms) == (1, 3, 60, 10, 3, 5)
    assert len(b.delays_ms) == 2 and b.delays_ms[0] < b.delays_ms[1]
    assert (c.workers, c.workers_max, c.buffer, c.ordered) == (1, 2, 0, True)


@pytest.mark.parametrize(
    ("pools", "asked", "why"),
    [
        ({"db": Pool(1)}, {"db": 2}, "step `s.a` asks 2 of `pool:db`, which has 1"),
        ({}, {"db": 1}, "step `s.a` asks for unknown pool `db`"),
        ({"db": Pool(1, Rate(1, 9), machine=True)}, {"db": 1}, "step `s.a` asks for `db`, which runs share at a rate"),
    ],
)
def test_what_a_step_can_never_have_is_refused_at_its_line(
    pools: dict[str, Pool], asked: dict[str, int], why: str
) -> None:
    with pytest.raises(InputError, match=why) as caught:
        build.build(
            _pipeline(Step("a", 7, "run", "true", resources=Resources(0, 0, asked)), pools=pools), Choice(cores=2)
        )
    assert caught.value.problems[0].line == 7


def test_a_stage_holds_what_runs_share_for_all_workers_of_its_steps() -> None:
    asked = Resources(0, 0, {"gpu": 2})
    step = Step("a", 7, "run", "true", workers=3, resources=asked)
    plan = build.build(_pipeline(step, pools={"gpu": Pool(6, machine=True)}), Choice(cores=4))
    each = plan.stages[0].each
    assert each is not None
    assert plan.demands[plan.stages[0].demand] == ((1, 6),) and plan.demands[each.steps[0].demand] == ((0, 1),)
    with pytest.raises(InputError, match="holds 6 of `gpu` for all workers of its steps, and runs share 5"):
        build.build(_pipeline(step, pools={"gpu": Pool(5, machine=True)}), Choice(cores=4))


def test_a_machine_without_items_has_none() -> None:
    with pytest.raises(KeyError):
        Machine(Plan((PlannedStage("s", (), 0, 0),), (PlannedPool("slot", 1),), (((0, 1),),))).items(0)


def test_in_order_of_rank_an_open_stage_waits_with_its_items_for_a_person() -> None:
    """Stage `o0`, of smaller rank, is asked about; the calls of `s` do not get their turn before it."""
    plan = plan_of(step("a"), jobs=1, beside=1, in_order=True)
    s, other = plan.stages
    run = Flow(plan._replace(stages=(s._replace(rank=1), other._replace(rank=0, retry_safe=False))))
    assert run.exit("o0", outcome="error", reason="missing program") == ["o0: error", "start s", "want 2"]
    run.ready(2, is_last=True)
    assert run.resume() == ["ask o0"]
    run.feed(run.over("a0", ((1, "error", None, "interrupted"),)))
    assert run.said == [] and run.machine.waits_for_person
    assert run.answer("o0", again=False) == ["o0: success", "a0 1 again 2"]


def test_a_stage_that_fails_fast_leaves_no_call_of_another_in_the_line() -> None:
    """The call of `t` that waits for a job must not get the one that the last call of `s` gives back."""
    s, *_ = plan_of(step("a")).stages
    plan = plan_of(step("a"), jobs=1, policy="fail-fast")._replace(stages=(s, s._replace(id="t", rank=1)))
    run = Flow(plan)
    run.ready(1)
    run.feed(ItemsReady(0, 1, 1))
    assert run.machine.items(1).steps[0].lacks == "slot"
    said = run.done("a0", failure=1)
    assert not [word for word in said if word.startswith("a0 ")], said
    assert run.machine.is_over and run.ends["t"].outcome == "cancellation"
