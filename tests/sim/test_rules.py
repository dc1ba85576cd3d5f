"""A change of what the scheduler decides is seen, so that journals of before are not replayed by other rules."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from tests.sim.drive import play

from stagebook.model.pipeline import Pipeline, Pool, Resources, Stage
from stagebook.scheduler import build
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import RULES, Choice
from stagebook.scheduler.vocabulary import Decision, Event

WORLDS = 400
PIPELINES = 60

#: What is decided by these rules in the worlds and for the pipelines below.
DECIDED = {2: "48f8ff14af9b8f60"}


def pipeline(chance: random.Random) -> tuple[Pipeline, Choice]:
    """Some stages with needs, priorities and claims, of which some have run before."""
    stages: list[Stage] = []
    known: list[tuple[str, int]] = []
    for index in range(chance.randint(2, 15)):
        needs = chance.sample(range(index), min(index, chance.randint(0, 2)))
        resources = Resources(500 * chance.randint(0, 4), 0, {"bench": 1} if chance.random() < 0.3 else {})
        words: dict[str, Any] = {"needs": tuple(f"s{need}" for need in needs), "priority": chance.choice([0, 0, 0, 5])}
        stages.append(Stage(f"s{index}", f"s{index}", index, 1, "run", "true", resources=resources, **words))
        if chance.random() < 0.7:
            known.append((f"s{index}", chance.randint(1, 9000)))
    made = Pipeline("p", "/p.yaml", "native", "", tuple(stages), pools={"bench": Pool(2)})
    return made, Choice(cores=4, jobs=3, durations_ms=tuple(known))


def test_whoever_changes_a_decision_raises_the_version_of_the_rules() -> None:
    """Also a change of these worlds changes the digest; then, and only then, the version stays."""
    digest = hashlib.sha256()

    class Heard(Machine):
        __slots__ = ()

        def feed(self, *events: Event) -> list[Decision]:
            said = super().feed(*events)
            digest.update(repr([(type(each).__name__, *each) for each in said]).encode())
            return said

    for seed in range(WORLDS):
        play(seed, Heard)
    for seed in range(PIPELINES):
        plan = build.build(*pipeline(random.Random(seed)))
        digest.update(repr([(stage.id, stage.rank, stage.needs) for stage in plan.stages]).encode())
    assert {RULES: digest.hexdigest()[:16]} == DECIDED
