"""Gates: a person is asked, all else goes on, and the answer, or that nobody gives one, is an end as any other."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.scheduler.plans import Run, gate, plan_of, stage

from stagebook.scheduler.machine import DriverError, Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import AskGate, CancelAsked, GateReopened, Resumed, Start


def test_r018_a_gate_asks_once_its_needs_are_done_and_holds_nothing_meanwhile() -> None:
    run = Run(plan_of(stage("a"), gate("ok", "a"), stage("b", "ok"), stage("c", "a"), slots=1))
    assert run.said == ["start a"]
    assert run.exit("a") == ["a: success", "gate ok", "start c"]
    assert (run.state("ok"), run.waiting("ok"), run.machine.attempt(1)) == ("gate", "gate", 0)
    assert run.machine.holders("slot") == [run.index("c")]
    assert not run.machine.waits_for_person, "a stage runs"
    assert run.exit("c") == ["c: success"]
    assert run.machine.waits_for_person and run.machine.is_gated and not run.machine.is_over


def test_approved_is_success_and_what_waits_goes_on() -> None:
    run = Run(plan_of(gate("ok"), stage("b", "ok")))
    assert run.decide("ok", True, "ann") == ["ok: success", "start b"]
    assert run.reason("ok") == "ann"
    assert run.exit("b")[-1] == "run: success"


def test_rejected_is_failure_and_what_waits_is_skipped() -> None:
    run = Run(plan_of(gate("ok"), stage("b", "ok")))
    assert run.decide("ok", False, "ann: too early") == ["ok: failure", "b: skip", "run: failure"]
    assert (run.reason("ok"), run.reason("b")) == ("ann: too early", "needs ok (failure)")


def test_r020_after_a_failed_need_nobody_is_asked_and_an_approval_starts_nothing() -> None:
    run = Run(plan_of(stage("a"), stage("x"), gate("ok", "a"), stage("b", "ok")))
    assert run.fail("a") == ["a: failure", "ok: skip", "b: skip"]
    assert run.decide("ok", True) == []
    assert run.ends["ok"].outcome == "skip"


@pytest.mark.parametrize("answers", [(True, False), (False, True)])
def test_the_first_answer_counts_and_no_later_one(answers: tuple[bool, bool]) -> None:
    run = Run(plan_of(gate("ok"), stage("x")))
    first, second = answers
    assert run.decide("ok", first) == ["ok: success" if first else "ok: failure"]
    before = run.machine.snapshot()
    assert run.decide("ok", second) == []
    assert run.machine.snapshot() == before


def test_an_answer_before_anybody_is_asked_is_for_nobody() -> None:
    run = Run(plan_of(stage("a"), gate("ok", "a"), stage("b", "ok")))
    assert run.decide("ok", True) == []
    assert run.exit("a") == ["a: success", "gate ok"]


def test_an_answer_for_what_is_no_gate_is_a_lie_of_the_driver() -> None:
    run = Run(plan_of(stage("a")))
    with pytest.raises(DriverError, match="is no gate"):
        run.decide("a", True)


@pytest.mark.parametrize(("default", "outcome", "after"), [("reject", "timeout", "skip"), ("approve", "success", None)])
def test_when_nobody_decides_in_time_the_default_does(default: str, outcome: str, after: str | None) -> None:
    run = Run(plan_of(gate("ok", timeout_ms=40, default=default), stage("b", "ok")))
    assert run.said == ["gate ok", "timer gate:0:1 at 40"]
    said = run.fire("gate:0")
    assert said[0] == f"ok: {outcome}"
    assert run.reason("ok") == f"nobody decided in time: {default}"
    assert said[1:] == ([f"b: {after}", "run: timeout"] if after else ["start b"])


def test_the_time_of_a_gate_that_is_decided_is_over() -> None:
    run = Run(plan_of(gate("ok", timeout_ms=40), stage("b", "ok")))
    run.decide("ok", True)
    assert run.fire("gate:0") == []
    assert run.state("b") == "running"


def test_the_queue_does_not_wait_behind_a_gate_in_sequence_but_for_what_needs_it() -> None:
    """Seed 66: everything that does not need the gate goes on, in its order; then it is the gate's turn."""
    run = Run(
        plan_of(
            gate("ok"), stage("b", "ok"), stage("c", "b"), stage("d"), stage("e"), slots=1, in_order=True
        )
    )  # fmt: skip
    assert run.said == ["gate ok", "start d"]
    assert run.decide("ok", True) == ["ok: success"]
    assert run.exit("d") == ["d: success", "start b"], "what is before e in order goes first again"
    assert run.exit("b")[-1] == "start c"
    assert run.exit("c")[-1] == "start e"


def test_who_waits_behind_a_gate_and_is_let_go_on_otherwise_takes_its_turn() -> None:
    """Seed 18959."""
    run = Run(
        plan_of(
            gate("ok"), stage("b", "ok"), stage("c", "b", join="done"), stage("d"), stage("e"),
            slots=1, in_order=True,
        )
    )  # fmt: skip
    assert run.said == ["gate ok", "start d"]
    assert run.cancel("cancel", "b") == ["b: cancellation"]
    assert run.exit("d") == ["d: success", "start c"]


def test_a_cancel_ends_an_open_gate_and_a_resume_asks_again() -> None:
    run = Run(plan_of(gate("ok", timeout_ms=40), stage("b", "ok")))
    assert run.cancel("SIGINT") == ["ok: cancellation", "b: skip", "run: cancellation"]
    assert run.resume() == ["gate ok", "timer gate:0:2 at 40"]
    assert run.fire("gate:0:1") == [], "the old time is over"
    assert run.decide("ok", True)[-1] == "start b"


def test_a_gate_alone_can_be_cancelled() -> None:
    run = Run(plan_of(gate("ok"), stage("b", "ok"), stage("c")))
    assert run.cancel("cancel", "ok") == ["ok: cancellation", "b: skip"]
    assert run.decide("ok", True) == []


@pytest.mark.parametrize("is_approved", [True, False])
def test_a_rejection_counts_as_failure_under_fail_fast(is_approved: bool) -> None:
    run = Run(plan_of(gate("ok"), stage("b"), gate("other"), policy="fail-fast"))
    said = run.decide("ok", is_approved)
    assert said == (["ok: success"] if is_approved else ["ok: failure", "kill b cancelled", "other: cancellation"])


def test_a_failure_elsewhere_shuts_an_open_gate_under_fail_fast() -> None:
    run = Run(plan_of(gate("ok"), stage("b"), policy="fail-fast"))
    assert run.fail("b") == ["b: failure", "ok: cancellation", "run: failure"]


def test_allowed_to_fail_a_rejection_lets_the_rest_go_on() -> None:
    run = Run(plan_of(gate("ok", allow_failure=True), stage("b", "ok")))
    assert run.decide("ok", False) == ["ok: failure", "start b"]


def test_the_time_of_the_run_goes_on_at_a_gate() -> None:
    run = Run(plan_of(gate("ok"), timeout_ms=30))
    assert run.fire("run:") == ["ok: timeout", "run: timeout"]
    assert run.reason("ok") == "run timeout"


def test_a_condition_comes_before_the_gate() -> None:
    run = Run(plan_of(gate("ok", judged=True), stage("b", "ok")))
    assert run.said == ["judge ok"]
    assert run.judged("ok") == ["gate ok"]
    run = Run(plan_of(gate("ok", judged=True), stage("b", "ok")))
    assert run.judged("ok", "skip", "when: false") == ["ok: skip", "start b"]


def test_g24_a_new_engine_is_asked_again_and_the_time_goes_on() -> None:
    run = Run(plan_of(stage("a"), gate("ok", timeout_ms=40)))
    run.exit("a", outcome="error", reason="interrupted")
    assert run.resume() == ["gate ok"], "no second timer: the first one still counts"
    assert run.fire("gate:1")[0] == "ok: timeout"


def test_a_need_that_is_open_again_shuts_the_gate_until_it_is_done() -> None:
    run = Run(plan_of(stage("a"), stage("x"), gate("ok", "a", join="done", timeout_ms=40)))
    assert run.exit("a", outcome="error", reason="missing program") == ["a: error", "gate ok", "timer gate:2:1 at 40"]
    assert run.resume() == ["start a 2"]
    assert run.state("ok") == "waiting"
    assert run.decide("ok", True) == [] and run.fire("gate:2:1") == []
    assert run.exit("a") == ["a: success", "gate ok", "timer gate:2:2 at 80"]


def test_nobody_is_asked_at_a_gate_that_the_same_batch_shuts_again() -> None:
    """Seed 26085."""
    run = Run(plan_of(stage("a"), stage("x"), gate("ok", "a", join="done")))
    said = run.feed(run.exited("a", "error", None, "missing program"), Resumed(run.at))
    assert "gate ok" not in said and run.state("ok") == "waiting"
    assert run.exit("a")[-1] == "gate ok"


def test_a_question_and_the_cancel_of_one_batch_end_as_cancelled() -> None:
    run = Run(plan_of(stage("a"), gate("ok", "a")))
    run.feed(run.exited("a"), CancelAsked(run.at, "SIGINT"))
    assert run.said == ["a: success", "gate ok", "ok: cancellation", "run: cancellation"]


def test_beside_a_question_of_another_kind_the_run_still_waits_for_a_person() -> None:
    run = Run(plan_of(stage("a", retry_safe=False), gate("ok")))
    assert run.interrupt("a") == ["ask a"]
    assert run.machine.waits_for_person
    assert run.decide("ok", True) == ["ok: success"]
    assert run.machine.waits_for_person and not run.machine.is_gated


def test_a_resume_asks_at_every_open_gate() -> None:
    run = Run(plan_of(gate("one"), gate("two")))
    run.resume()
    assert [decision for decision in run.decisions if type(decision) is AskGate] == [AskGate(0), AskGate(1)]


# What was approved is looked at again --------------------------------------------------------------------------------


def test_g24_before_a_start_by_an_approval_it_is_asked_whether_that_still_holds() -> None:
    run = Run(plan_of(gate("ok"), stage("b", "ok", bound=True)))
    assert run.decide("ok", True) == ["ok: success", "lease b"]
    assert run.leased("b") == ["start b"]
    assert run.fail("b") == ["b: failure", "run: failure"]


def test_g24_a_void_approval_is_asked_anew_and_nothing_has_begun_by_it() -> None:
    run = Run(plan_of(gate("ok", timeout_ms=100), stage("b", "ok", bound=True, retry_safe=False), stage("c", "b")))
    run.decide("ok", True)
    run.at = 5
    assert run.reopen("ok") == ["gate ok", "timer gate:0:2 at 105"]
    assert (run.state("ok"), run.state("b"), run.machine.attempt(1)) == ("gate", "waiting", 0)
    assert run.machine.waits_for_person
    assert run.leased("b") == [], "the answer comes too late"
    assert run.decide("ok", True) == ["ok: success", "lease b"]
    assert run.leased("b") == ["start b"]
    assert run.exit("b") == ["b: success", "start c"]


def test_what_has_begun_by_a_void_approval_goes_on_and_what_waits_waits_again() -> None:
    run = Run(plan_of(
        gate("ok"), stage("x"), stage("a", "ok", bound=True), stage("b", "ok", "x", bound=True), slots=2
    ))  # fmt: skip
    run.decide("ok", True)
    run.leased("a")
    assert run.exit("x") == ["x: success", "lease b"]
    assert run.reopen("ok") == ["gate ok"]
    assert (run.state("a"), run.state("b")) == ("running", "waiting")
    assert run.exit("a") == ["a: success"]
    assert run.decide("ok", False) == ["ok: failure", "b: skip", "run: failure"]


def test_a_void_approval_is_nobodys_where_nothing_was_approved_or_the_run_is_over() -> None:
    run = Run(plan_of(gate("ok"), stage("b", "ok", bound=True)))
    assert run.reopen("ok") == []
    run.decide("ok", True)
    run.leased("b")
    assert run.exit("b")[-1] == "run: success"
    before = run.machine.snapshot()
    assert run.reopen("ok") == [] and run.machine.snapshot() == before


def test_a_retry_is_asked_again_and_a_backoff_waits_for_the_new_answer() -> None:
    run = Run(
        plan_of(gate("ok"), stage("b", "ok", bound=True, attempts=3, delays_ms=(10,)), stage("c", "ok", bound=True))
    )
    run.decide("ok", True)
    run.leased("b")
    run.fail("b")
    assert run.state("b") == "backoff"
    assert run.reopen("ok") == ["gate ok"]
    assert (run.state("b"), run.state("c")) == ("waiting", "waiting")
    assert run.fire("backoff:1") == []
    assert run.decide("ok", True) == ["ok: success", "lease b", "lease c"]
    assert run.leased("b") == ["start b 2"]


def test_asked_for_a_lease_when_its_engine_dies_it_is_asked_again_in_order_too() -> None:
    run = Run(plan_of(gate("ok"), stage("b", "ok", bound=True), in_order=True))
    run.decide("ok", True)
    assert run.resume() == ["lease b"]
    assert run.reopen("ok") == ["gate ok"]
    assert run.decide("ok", True) == ["ok: success", "lease b"]
    assert run.leased("b") == ["start b"]


def test_what_does_not_take_part_counts_as_done_only_once_the_gate_above_it_is_decided() -> None:
    run = Run(plan_of(gate("ok"), stage("m", "ok", skip="not selected", skips_late=True), stage("b", "m", bound=True)))
    assert run.said == ["gate ok"]
    assert run.decide("ok", True) == ["ok: success", "m: skip", "lease b"]
    run = Run(plan_of(gate("ok"), stage("m", "ok", skip="not selected", skips_late=True), stage("b", "m", bound=True)))
    assert run.decide("ok", False) == ["ok: failure", "m: skip", "b: skip", "run: failure"]


def test_g24_what_was_skipped_below_a_void_approval_is_judged_again_with_it() -> None:
    run = Run(plan_of(gate("ok"), stage("m", "ok", judged=True), stage("b", "m", bound=True)))
    assert run.decide("ok", True) == ["ok: success", "judge m"]
    assert run.judged("m", "skip", "when: x") == ["m: skip", "lease b"]
    assert run.reopen("ok") == ["gate ok"]
    assert (run.state("m"), run.state("b")) == ("waiting", "waiting")
    assert run.decide("ok", True) == ["ok: success", "judge m"]
    assert run.judged("m", "skip", "when: x") == ["m: skip", "lease b"]
    assert run.leased("b") == ["start b"]


def test_g24_a_stage_further_behind_waits_for_the_new_answer_and_not_for_what_has_ended() -> None:
    plan = plan_of(
        gate("ok"), stage("prep", "ok", bound=True), stage("b", "prep", bound=True), stage("c", "b", bound=True)
    )
    for is_approved in (True, False):
        run = Run(plan)
        run.decide("ok", True)
        run.leased("prep")
        assert run.exit("prep") == ["prep: success", "lease b"]
        assert run.reopen("ok") == ["gate ok"]
        assert (run.state("prep"), run.state("b")) == ("success", "waiting") and run.machine.waits_for_person
        if not is_approved:
            assert run.decide("ok", False) == ["ok: failure", "b: skip", "c: skip", "run: failure"]
            continue
        assert run.decide("ok", True) == ["ok: success", "lease b"]
        assert run.leased("b") == ["start b"]
        assert run.exit("b") == ["b: success", "lease c"]


def test_g24_what_another_need_lets_go_on_is_looked_at_anew_and_does_not_hang() -> None:
    run = Run(plan_of(gate("ok"), stage("x"), stage("b", "ok", "x", join="any", bound=True), slots=2))
    run.decide("ok", True)
    run.exit("x")
    assert run.state("b") == "leasing"
    assert run.reopen("ok") == ["gate ok", "lease b"]
    assert run.leased("b") == ["start b"]


def only_by(plan: Plan, stage: int) -> set[int]:
    """The next gates above a stage without which it does not go on."""
    planned = plan.stages[stage]
    if planned.always or planned.join == "done" or not planned.needs:
        return set()
    above = [{need} if plan.stages[need].gate is not None else only_by(plan, need) for need in planned.needs]
    return set.intersection(*above) if planned.join == "any" else set.union(*above)


@pytest.mark.parametrize("seed", range(150))
def test_g24_whatever_is_void_when_nothing_starts_by_it_and_every_run_comes_to_its_end(seed: int) -> None:
    """Random plans, answers, signals and void approvals: books that agree, no start by a gate that is not approved, the
    same again from the journal."""
    chance = random.Random(seed)
    stages: list[tuple[str, tuple[str, ...], Any, Any]] = []
    for index in range(chance.randint(3, 10)):
        needs = [f"s{need}" for need in chance.sample(range(index), min(index, chance.randint(0, 2)))]
        if chance.random() < 0.3:
            timeout_ms = chance.choice((None, 50))
            stages.append(
                gate(f"s{index}", *needs, timeout_ms=timeout_ms, default=chance.choice(("approve", "reject")))
            )
            continue
        skips = chance.random() < 0.2
        stages.append(stage(
            f"s{index}", *needs, bound=not skips and chance.random() < 0.7, attempts=chance.choice((1, 2)),
            skip="not selected" if skips else None, skips_late=skips, judged=chance.random() < 0.2,
            retry_safe=chance.random() < 0.8, join=chance.choice(("all", "all", "any", "done")) if needs else "all",
            always=chance.random() < 0.05,
        ))  # fmt: skip
    run = Run(plan_of(*stages, slots=2, in_order=chance.random() < 0.3))
    plan, machine = run.plan, run.machine
    for turn in range(400):
        if machine.is_over:
            break
        run.at += chance.randint(0, 3)
        of = {state: [i for i in range(len(stages)) if machine.state(i) == state] for state in (
            "judging", "leasing", "running", "killing", "asking", "gate", "backoff", "success",
        )}  # fmt: skip
        approved = [index for index in of["success"] if plan.stages[index].gate is not None]
        if approved and turn < 200 and chance.random() < 0.2:
            run.feed(GateReopened(run.at, chance.choice(approved)))
        elif chance.random() < 0.03:
            run.resume()
        elif turn < 200 and chance.random() < 0.02:
            run.cancel("SIGINT")
            run.resume()
        else:
            name = plan.stages[chance.choice([index for which in of if which != "success" for index in of[which]])].id
            state = run.state(name)
            if state == "judging":
                run.judged(name, chance.choice(("run", "skip")))
            elif state == "leasing":
                run.leased(name)
            elif state in ("running", "killing"):
                run.exit(name) if chance.random() < 0.8 else run.interrupt(name)
            elif state == "asking":
                run.answer(name, chance.random() < 0.5)
            elif state == "gate":
                run.decide(name, chance.random() < 0.8)
        machine.check()
        for decision in run.decisions:
            if isinstance(decision, Start) and plan.stages[decision.stage].bound:
                open_gates = [gate for gate in only_by(plan, decision.stage) if machine.state(gate) == "gate"]
                assert not open_gates, f"{decision} by an approval that is void"
    assert machine.is_over, "it comes to no end"
    again = Machine(plan)
    for batch in run.journal:
        again.feed(*batch)
    assert again.snapshot() == machine.snapshot()
