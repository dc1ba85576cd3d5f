"""What a machine is asked, and that `check` notices each way in which its books can disagree."""

from __future__ import annotations

from typing import Callable

import pytest
from tests.scheduler.plans import Run, plan_of, stage

from stagebook.scheduler.machine import Machine


def test_when_a_stage_could_have_started() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a"), stage("c", "b")))
    assert [run.machine.ready_at(index) for index in range(3)] == [0, None, None]
    run.at = 1
    run.exit("a")
    assert [run.machine.ready_at(index) for index in range(3)] == [0, 1, None]


def test_what_has_not_begun_is_sound_and_can_go_on() -> None:
    machine = Machine(plan_of(stage("a"), stage("b", "a")))
    machine.check()
    assert machine.can_go_on and not machine.is_over and not machine.waits_for_person
    assert machine.snapshot() == Machine(machine.plan).snapshot()
    assert machine.outstanding() == machine.waits_again() == []
    assert [machine.attempt(0), machine.state(0), machine.waiting(0)] == [0, "waiting", "needs"]


def test_a_snapshot_tells_in_which_order_stages_became_ready() -> None:
    plan = plan_of(
        stage("hold", units={"cpu": 1}), stage("p"), stage("q"), stage("first", units={"cpu": 1}),
        stage("x", "p", units={"cpu": 1}), stage("y", "q", units={"cpu": 1}), pools={"cpu": 1},
    )  # fmt: skip
    one, other = Run(plan), Run(plan)
    one.exit("p")
    one.exit("q")
    other.exit("q")
    other.exit("p")
    assert one.machine.snapshot() != other.machine.snapshot()


def claim_of_another(machine: Machine) -> None:
    """With its units set aside, so that they still add up."""
    machine._line.claim = 2
    machine._line._reserve(0)


BREAKS: dict[str, Callable[[Machine], object]] = {
    "count of stages left": lambda machine: setattr(machine, "_left", 3),
    "count of outstanding stages": lambda machine: setattr(machine, "_active", 0),
    "a chain was not walked to its end": lambda machine: machine._settling.update({0: None}),
    "reasons of kills": lambda machine: machine._killing.update({0: 0}),
    "whether `a` is done well": lambda machine: machine._done_well.__setitem__(0, 1),
    "open needs of `d`: 0, not 1": lambda machine: machine._open.__setitem__(3, 0),
    "slot: free -1 + held 1 != 1": lambda machine: machine._line.free.__setitem__(0, -1),
    "slot: short, or not": lambda machine: machine._line.short.clear(),
    "slot: mask is wrong for demand 0": lambda machine: machine._line.short.update({0: 1}),
    "queue and states differ": lambda machine: machine._line.queued.__setitem__(1, 0),
    "the line by readiness lacks a ready stage, or holds one twice": lambda machine: machine._line.line.pop(),
    "first is not who was ready first": lambda machine: setattr(machine._line, "first", 2),
    "the claim belongs to a stage that is not first": claim_of_another,
    "best ranks differ from the ready stages": lambda machine: machine._line.tops.clear(),
    "mask of demands with ready stages is wrong": lambda machine: setattr(machine._line, "nonempty", 0),
}


@pytest.mark.parametrize("told", BREAKS)
def test_books_that_disagree_are_told_by_what_disagrees(told: str) -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c"), stage("d", "a"), slots=1))
    run.machine.check()
    BREAKS[told](run.machine)
    with pytest.raises(AssertionError) as caught:
        run.machine.check()
    assert str(caught.value) == told
