"""The loop on a virtual clock: exact times, speeds, timers; and the machine's promises, checked from outside."""

from __future__ import annotations

import random
from typing import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.watch import Watch
from tests.sim.world import World
from tests.simulate.plans import SLOT, draws, path_s, plans, same, sequential, unlimited, worlds

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan, PlannedStage, Pool
from stagebook.scheduler.vocabulary import Decision, Event, Exited, Kill, SetTimer, Start
from stagebook.simulate.play import play
from stagebook.simulate.work import Draw, Played, Span, Work

NEAR = 1e-5


# ------------------------------------------------------------------ what must hold for any pipeline


@given(worlds())
def test_no_run_is_shorter_than_its_path_or_its_work_over_the_jobs(world: tuple[Plan, list[float]]) -> None:
    plan, walls_s = world
    played = play(plan, draws(walls_s))
    assert played.outcome == "success" and len(played.spans) == len(plan.stages)
    assert played.end_s >= path_s(plan, walls_s) - NEAR
    assert played.end_s >= sum(walls_s) / plan.pools[0].size - NEAR
    assert played.end_s <= sum(walls_s) + NEAR


@given(worlds())
def test_with_enough_of_everything_a_run_takes_its_critical_path(world: tuple[Plan, list[float]]) -> None:
    plan, walls_s = world
    played = play(unlimited(plan), draws(walls_s))
    assert played.end_s == pytest.approx(path_s(plan, walls_s), abs=NEAR)
    assert all(span.waited is None and span.ready_s == span.start_s for span in played.spans)


@given(worlds())
def test_in_sequence_a_run_takes_the_sum(world: tuple[Plan, list[float]]) -> None:
    plan, walls_s = world
    played = play(sequential(plan), draws(walls_s))
    assert played.end_s == pytest.approx(sum(walls_s), abs=NEAR)
    assert [span.stage for span in played.spans] == list(range(len(plan.stages)))


@given(worlds())
def test_full_speed_is_no_speed_and_half_the_speed_is_twice_the_time(world: tuple[Plan, list[float]]) -> None:
    plan, walls_s = world
    alone = play(plan, draws(walls_s))
    assert play(plan, draws(walls_s), same(1.0)) == alone
    halved = play(plan, draws(walls_s), same(0.5))
    assert [(span.stage, span.start_s, span.end_s) for span in halved.spans] == [
        (span.stage, pytest.approx(2 * span.start_s), pytest.approx(2 * span.end_s)) for span in alone.spans
    ]


@given(worlds(), st.integers(1, 9))
def test_what_is_shared_is_used_up_and_no_more(world: tuple[Plan, list[float]], tenths: int) -> None:
    """Stages share a machine of `tenths` tenths of a core evenly: as long as any runs, so much is done."""
    plan, walls_s = world
    played = play(plan, draws(walls_s), lambda running: [tenths / 10 / len(running)] * len(running))
    assert played.end_s == pytest.approx(sum(walls_s) * 10 / tenths, abs=NEAR * 10)


@given(worlds(), st.randoms(use_true_random=False))
def test_the_same_again_is_the_same(world: tuple[Plan, list[float]], chance: random.Random) -> None:
    plan, walls_s = world
    speed = [chance.uniform(0.2, 1) for _ in walls_s]

    def once() -> Played:
        return play(plan, draws(walls_s), lambda running: [speed[stage] for stage in running])

    assert once() == once()


@given(plans(), st.integers(0, 2**32))
@settings(max_examples=30)
def test_each_span_lies_after_its_needs_and_where_its_stage_was_ready(plan: Plan, seed: int) -> None:
    chance = random.Random(seed)
    walls_s = [chance.uniform(0, 5) for _ in plan.stages]
    played = play(plan, draws(walls_s))
    ends = {span.stage: span.end_s for span in played.spans}
    for span in played.spans:
        since = max((ends[need] for need in plan.stages[span.stage].needs), default=0.0)
        assert span.start_s >= since
        assert span.ready_s <= span.start_s and abs(span.ready_s - since) <= 0.001 + NEAR
        assert span.end_s - span.start_s == pytest.approx(walls_s[span.stage], abs=NEAR)


# ------------------------------------------------------------------ the promises, from outside


class Checked:
    """Sees every batch as `tests.sim` does."""

    def __init__(self, plan: Plan) -> None:
        self.watch = Watch(plan)

    def __call__(self, events: Sequence[Event], decisions: Sequence[Decision], machine: Machine) -> None:
        self.watch.see(list(events), list(decisions), machine)


def drawn(world: World) -> Draw:
    """What the world gives to each attempt, whenever it is asked."""

    def draw(stage: int, attempt: int) -> Work:
        chance = random.Random(world.seed * 1000 + stage * 10 + attempt)
        outcome = chance.choice(("success", "success", "success", "failure", "error"))
        return Work(chance.randint(0, 30_000) / 1e6, outcome, 75 if chance.random() < 0.3 else None)

    return draw


@pytest.mark.parametrize("chunk", range(4))
def test_the_promises_hold_in_simulated_runs_of_invented_worlds(chunk: int) -> None:
    """Retries, timeouts, pools, policies, conditions, rates, leases: 400 plans, each with and without speeds."""
    for seed in range(chunk * 100, chunk * 100 + 100):
        world = World(seed)
        for speeds in (None, same(0.7)):
            checked = Checked(world.plan)
            try:
                played = play(
                    world.plan, drawn(world), speeds, onlooker=checked,
                    verdicts=lambda stage: ("skip", "when: x") if stage % 5 == 3 else ("run", None),
                )  # fmt: skip
            except Exception as trouble:
                trouble.add_note(f"seed {seed}")
                raise
            assert played.outcome == (checked.watch.outcome or None), f"seed {seed}"
            assert (played.outcome is None) == bool(played.asked), f"seed {seed}"
            assert all(span.stage >= 0 for span in played.spans), f"seed {seed}: an attempt has no end"


# ------------------------------------------------------------------ single cases


def stage(id: str, *needs: int, rank: int = 0, demand: int = 0, **more: object) -> PlannedStage:
    return PlannedStage(id, needs, demand, rank, **more)  # type: ignore[arg-type]


def plan_of(*stages: PlannedStage, jobs: int = 4, **more: object) -> Plan:
    ranked = tuple(each._replace(rank=rank) for rank, each in enumerate(stages))
    return Plan(ranked, (Pool("slot", jobs),), (SLOT,), **more)  # type: ignore[arg-type]


def test_speeds_change_while_attempts_run() -> None:
    """Alone 1, two at once a half each: `a` does 1 s of its 2 s beside `b`, which takes 2 s for its 1 s."""
    plan = plan_of(stage("a"), stage("b"))
    played = play(plan, draws([2.0, 1.0]), lambda running: [1 / len(running)] * len(running))
    assert [(span.start_s, span.end_s) for span in played.spans] == [(0.0, 3.0), (0.0, 2.0)]


def test_speeds_are_asked_for_each_set_of_those_that_run_in_ascending_order() -> None:
    asked: list[tuple[int, ...]] = []

    def speeds(running: tuple[int, ...]) -> list[float]:
        asked.append(running)
        return [1.0] * len(running)

    play(plan_of(stage("a"), stage("b"), stage("c", 0), jobs=2), draws([1.0, 3.0, 1.0]), speeds)
    assert asked == [(0, 1), (1, 2), (1,)]


def test_an_attempt_over_its_time_is_killed_and_tried_again_after_its_backoff() -> None:
    plan = plan_of(stage("a", attempts=2, attempt_timeout_ms=500, delays_ms=(250,)))
    played = play(plan, lambda stage, attempt: Work(9.0 if attempt == 1 else 0.5))
    assert played.spans == [
        Span(0, 1, 0.0, 0.0, 0.5, "timeout", None), Span(0, 2, 0.75, 0.75, 1.25, "success", None),
    ]  # fmt: skip
    assert played.outcome == "success" and played.end_s == 1.25


def test_a_run_over_its_time_ends_there() -> None:
    played = play(plan_of(stage("a"), stage("b", 0), timeout_ms=1000), draws([0.75, 5.0]))
    assert (played.outcome, played.end_s) == ("timeout", 1.0)
    assert played.ended == {0: ("success", None), 1: ("timeout", "run timeout")}


def test_a_failure_that_is_not_tried_again_skips_what_needs_it() -> None:
    plan = plan_of(stage("a", attempts=2, retry_only=("exit 75",)), stage("b", 0), stage("c"))
    again = play(plan, lambda stage, attempt: Work(1.0, "failure", 75) if attempt == 1 and not stage else Work(1.0))
    assert (again.outcome, again.end_s) == ("success", 3.0)
    for_good = play(plan, lambda stage, attempt: Work(1.0) if stage else Work(1.0, "failure", 1, "exit 1"))
    assert for_good.ended == {0: ("failure", "exit 1"), 1: ("skip", "needs a (failure)"), 2: ("success", None)}
    assert (for_good.outcome, for_good.end_s) == ("failure", 1.0)


def test_starts_keep_their_gaps_and_rates() -> None:
    plan = plan_of(*(stage(f"s{at}") for at in range(4)), gaps_ms=(1000,))
    assert [span.start_s for span in play(plan, draws([0.1] * 4)).spans] == [0.0, 1.001, 2.002, 3.003]
    plan = plan_of(*(stage(f"s{at}") for at in range(4)), starts=(2, 1000))
    assert [span.start_s for span in play(plan, draws([0.1] * 4)).spans] == [0.0, 0.0, 1.001, 1.001]


def test_what_waits_for_a_pool_says_so_and_since_when() -> None:
    both = (stage("a", demand=1), stage("b", demand=1))
    plan = plan_of(*both)._replace(pools=(Pool("slot", 4), Pool("pool:db", 1)), demands=(SLOT, ((0, 1), (1, 1))))
    _, second = play(plan, draws([2.0, 1.0])).spans
    assert (second.ready_s, second.start_s, second.waited) == (0.0, 2.0, "pool:db")


def test_all_ends_at_one_time_are_one_batch_so_the_best_of_all_that_are_ready_starts() -> None:
    """`x` and `y` end together and free one slot each; `last` and `first` became ready by one of them each."""
    plan = Plan(
        (stage("x"), stage("y", rank=1), stage("last", 0, rank=3), stage("first", 1, rank=2)),
        (Pool("slot", 2),),
        (SLOT,),
    )
    sizes: list[int] = []
    played = play(plan, draws([1.0, 1.0, 1.0, 1.0]), onlooker=lambda events, _, __: sizes.append(len(events)))
    assert sizes == [1, 2, 2]
    assert [span.stage for span in played.spans] == [0, 1, 3, 2]


def test_a_run_that_waits_for_a_person_stands_still() -> None:
    plan = plan_of(stage("a", retry_safe=False, attempts=2), stage("b"))
    for timeout_ms in (None, 60_000):  # nobody answers, however long one waits
        played = play(
            plan._replace(timeout_ms=timeout_ms),
            lambda stage, attempt: Work(5.0) if stage else Work(1.0, "error", None, "interrupted"),
        )
        assert played.outcome is None and played.asked == {0} and played.end_s == 5.0
        assert played.ended == {1: ("success", None)}


def test_answers_may_come_late() -> None:
    def lag(decision: Decision) -> float:
        return {Kill: 0.5, SetTimer: 0.25}.get(type(decision), 0.0)

    said: list[Event] = []
    plan = plan_of(stage("a", attempt_timeout_ms=1000), stage("b", judged=True))
    played = play(
        plan, draws([9.0, 1.0]), lag=lag, verdicts=lambda stage: ("skip", "when: x"),
        onlooker=lambda events, _, __: said.extend(events),
    )  # fmt: skip
    assert [(span.end_s, span.outcome) for span in played.spans] == [(1.75, "timeout")]
    assert [event.at for event in said if isinstance(event, Exited)] == [1750]
    assert played.ended[1] == ("skip", "when: x")


def test_an_empty_plan_is_over_at_once() -> None:
    assert play(Plan((), (Pool("slot", 1),), (SLOT,)), draws([])) == Played([], {}, set(), "success", 0.0)


def test_starts_are_told_in_the_order_of_the_spans() -> None:
    plan = World(7).plan
    order: list[tuple[int, int]] = []

    def note(_: Sequence[Event], decisions: Sequence[Decision], __: Machine) -> None:
        order.extend((each.stage, each.attempt) for each in decisions if isinstance(each, Start))

    played = play(plan, drawn(World(7)), onlooker=note)
    assert order == [(span.stage, span.attempt) for span in played.spans]
