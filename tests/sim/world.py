"""One invented world: from one seed come a plan, how long things take, and what goes wrong. No promises here.

Swarm testing: each world switches a random half of the features of plans and of the faults fully off, so that rare
mixtures come up; worlds are small, as a small failing one is easy to read.
"""

from __future__ import annotations

import random
from typing import Any

from stagebook.scheduler.plan import Plan, PlannedGate, PlannedStage, Pool

FEATURES = (
    "joins", "always", "allow_failure", "not_retry_safe", "retries", "retry_only", "delays", "attempt_timeout",
    "stage_timeout", "queue_timeout", "run_timeout", "groups", "skips", "pools", "in_order", "policy", "claims", "wide",
)  # fmt: skip
FAULTS = (
    "failures", "errors", "overlong", "deaf", "doubled_exit", "stale_timer", "late_timer", "clock_back", "cancel",
    "cancel_again", "cancel_stage", "crash", "resume", "big_batch", "no_answer", "interrupted",
)  # fmt: skip

#: Mixtures that chance alone makes too rarely; some worlds have one switched on as a whole.
THEMES = (
    ("retries", "delays", "failures", "stale_timer", "late_timer"),
    ("retries", "delays", "failures", "always", "cancel", "crash", "resume"),
    ("attempt_timeout", "retries", "overlong", "deaf", "cancel", "crash", "resume", "joins"),
    ("stage_timeout", "cancel", "crash", "resume", "overlong", "late_timer", "stale_timer"),
    ("not_retry_safe", "always", "interrupted", "cancel", "crash", "resume", "no_answer"),
)

#: What governs a run beyond needs and units: for seeds that end in 1 or 7, some of it.
GOVERNED = ("judged", "starts", "gaps", "rates", "leases", "short")

#: Errors beside failures, and engines that die: what a resume takes back. A theme of its own, for seeds that end in 5,
#: so that the seeds which failed once keep their worlds.
TAKEN_BACK = ("errors", "failures", "policy", "groups", "always", "deaf", "crash", "resume")

#: What people say while no engine holds a run: answers, and that it is cancelled. For seeds that end in 1.
UNHELD = ("errors", "failures", "always", "not_retry_safe", "crash", "resume", "interrupted", "no_answer")

#: A mixture for seeds that end in 3: needs that announce what is read of them before they end.
EARLY = ("early", "retries", "failures", "crash", "resume")

#: What gates and people at them may do, for seeds that leave 3 when divided by 7: none of these failed before there
#: were gates, and they end in every figure.
GATED = ("gate_timeout", "gate_unanswered", "gate_late", "gate_twice", "gate_unasked")


class World:
    """The plan, the switches, and the draws that the driver makes as it goes."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.draw = draw = random.Random(seed)
        self.on = {name for name in FEATURES + FAULTS if draw.random() < 0.5}
        if draw.random() < 0.5:
            self.on.update(draw.choice(THEMES))
        self.errors = 0.1
        if seed % 10 == 5:
            self.on.update(TAKEN_BACK)
            self.errors = 0.25
        #: Draws of their own, so that all others stay what they are.
        self.governs = random.Random(seed + 1_000_000)
        if seed % 10 in (1, 7) and seed < 40_000:
            self.on.update(name for name in GOVERNED if self.governs.random() < 0.5)
        self.unheld = seed % 10 == 1
        if self.unheld:
            self.on.update(UNHELD)
        #: And others for what is announced.
        self.speaks = random.Random(seed + 2_000_000)
        if seed % 10 == 3 and seed < 17_000:
            self.on.update(name for name in EARLY if name == "early" or self.speaks.random() < 0.7)
            self.on.update(name for name in GOVERNED if seed > 5_000 and self.speaks.random() < 0.2)
        #: And others for gates.
        self.waits = random.Random(seed + 3_000_000)
        self.is_gated = seed % 7 == 3
        if self.is_gated:
            self.on.update(name for name in GATED if self.waits.random() < 0.5)
            if self.waits.random() < 0.3:
                self.on.update(("joins", *TAKEN_BACK))
        #: How often an attempt fails, where any does.
        self.trouble = draw.choice((0.1, 0.25, 0.6))
        if "in_order" in self.on and draw.random() < 0.7:
            self.on.discard("in_order")
        if self.is_gated and random.Random(seed + 4_000_000).random() < 0.2:
            self.on.update(("in_order", "joins", "cancel_stage"))
        self.plan = self._plan()

    def has(self, name: str, chance: float) -> bool:
        return name in self.on and self.draw.random() < chance

    def _plan(self) -> Plan:
        draw = self.draw
        count = draw.randint(25, 50) if self.has("wide", 0.12) else draw.randint(1, 12)
        pools, demands = self._demands()
        in_order = "in_order" in self.on
        ranks = list(range(count))
        if not in_order:
            draw.shuffle(ranks)
        width = draw.choice((1, 2, 4, count))
        stages = tuple(self._stage(index, width, ranks[index], len(demands)) for index in range(count))
        plan = Plan(
            stages,
            pools,
            demands,
            draw.choice(("strict", "lenient", "fail-fast")) if "policy" in self.on else "strict",
            in_order,
            draw.randint(10, 80) if self.has("run_timeout", 0.6) else None,
            draw.randint(1, 3) if "claims" in self.on else 64,
        )
        if "early" in self.on:
            plan = plan._replace(stages=tuple(map(self._with_early_needs, plan.stages)))
        if self.on.intersection(GOVERNED):
            plan = self._governed(plan)
        return self._with_gates(plan) if self.is_gated else plan

    def _with_gates(self, plan: Plan) -> Plan:
        """Some stages are gates instead: these have no attempts, ask for no units, and announce and read nothing."""
        draw = self.waits
        share = draw.choice((0.15, 0.4, 0.7))
        stages = list(plan.stages)
        gates = {index for index in range(len(stages)) if draw.random() < share}
        for index, stage in enumerate(stages):
            early = tuple(need for need in stage.early if need not in gates)
            if index not in gates:
                stages[index] = stage._replace(early=early)
                continue
            timeout = draw.randint(2, 40) if self.waits_by("gate_timeout", 0.6) else None
            stages[index] = PlannedStage(
                stage.id,
                stage.needs,
                len(plan.demands),
                stage.rank,
                stage.join,
                stage.always,
                stage.critical,
                stage.allow_failure,
                fail_fast_group=stage.fail_fast_group,
                skip=stage.skip,
                judged=stage.judged,
                gate=PlannedGate(timeout, draw.choice(("approve", "reject"))),
            )
        return plan._replace(stages=tuple(stages), demands=(*plan.demands, ()))

    def waits_by(self, name: str, chance: float) -> bool:
        return name in self.on and self.waits.random() < chance

    def _with_early_needs(self, stage: PlannedStage) -> PlannedStage:
        early = tuple(need for need in stage.needs if self.speaks.random() < 0.7)
        return stage._replace(early=early, judged=bool(early) and stage.skip is None and self.speaks.random() < 0.3)

    def _governed(self, plan: Plan) -> Plan:
        draw = self.governs
        pools = list(plan.pools)
        for index in range(1, len(pools)):
            most = max((dict(demand).get(index, 0) for demand in plan.demands), default=0)
            if most and self.governs_by("rates", 0.5):
                pools[index] = pools[index]._replace(rate=(most + draw.randint(0, 2), draw.randint(2, 20)))
            if self.governs_by("leases", 0.5):
                pools[index] = pools[index]._replace(machine=True)
        stages = tuple(
            stage._replace(judged=stage.judged or (stage.skip is None and self.governs_by("judged", 0.4)))
            for stage in plan.stages
        )
        return plan._replace(
            stages=stages,
            pools=tuple(pools),
            starts=(draw.randint(1, 3), draw.randint(2, 20)) if "starts" in self.on else None,
            gaps_ms=tuple(draw.randint(1, 8) for _ in range(draw.randint(1, 3))) if "gaps" in self.on else (),
        )

    def governs_by(self, name: str, chance: float) -> bool:
        return name in self.on and self.governs.random() < chance

    def _demands(self) -> tuple[tuple[Pool, ...], tuple[tuple[tuple[int, int], ...], ...]]:
        draw = self.draw
        slots = 1 if "in_order" in self.on else draw.randint(1, 5)
        pools = [Pool("slot", slots)]
        if "pools" in self.on:
            names = ("cpu", "memory", "pool:db", "lock:table")
            pools += [Pool(name, draw.randint(1, 5)) for name in names[: draw.randint(1, 4)]]
        demands = {((0, 1),)} if draw.random() < 0.8 else set()
        for _ in range(draw.randint(1, 6)):
            used = [index for index in range(1, len(pools)) if draw.random() < 0.5]
            demands.add(((0, 1), *((index, draw.randint(1, pools[index].size)) for index in used)))
        return tuple(pools), tuple(sorted(demands))

    def _stage(self, index: int, width: int, rank: int, demand_count: int) -> PlannedStage:
        draw = self.draw
        reach = range(max(0, index - 2 * width), index)
        needs = draw.sample(reach, min(len(reach), draw.randint(0, 3)))
        more: dict[str, Any] = {}
        attempts = draw.randint(2, 4) if self.has("retries", 0.6) else 1
        safe = not self.has("not_retry_safe", 0.3)
        if self.has("joins", 0.4):
            more["join"] = draw.choice(("any", "done"))
        if self.has("retry_only", 0.4):
            more["retry_only"] = draw.choice((("timeout",), ("exit 75",), ("failure", "timeout")))
        if self.has("delays", 0.5):
            more["delays_ms"] = tuple(draw.randint(0, 20) for _ in range(draw.randint(1, 2)))
        if self.has("groups", 0.4):
            more["fail_fast_group"] = draw.randint(0, 1)
        return PlannedStage(
            f"s{index}",
            tuple(sorted(needs)),
            draw.randrange(demand_count),
            rank,
            always=self.has("always", 0.25),
            critical=draw.random() < 0.4,
            allow_failure=self.has("allow_failure", 0.3),
            retry_safe=safe,
            attempts=attempts,
            attempt_timeout_ms=draw.randint(3, 15) if self.has("attempt_timeout", 0.4) else None,
            stage_timeout_ms=draw.randint(5, 30) if self.has("stage_timeout", 0.3) else None,
            queue_timeout_ms=draw.randint(1, 25) if self.has("queue_timeout", 0.4) else None,
            skip="not selected" if self.has("skips", 0.2) else None,
            **more,
        )

    def duration(self) -> int:
        return self.draw.randint(40, 300) if self.has("overlong", self.trouble / 2) else self.draw.randint(0, 10)

    def end(self) -> tuple[str, int | None, str | None]:
        """Outcome, exit status and reason of an attempt that nobody kills."""
        if self.has("failures", self.trouble):
            return "failure", self.draw.choice((1, 75)), None
        if self.has("errors", self.errors):
            return "error", None, "missing program"
        if self.has("interrupted", 0.06):
            return "error", None, "interrupted"
        return "success", 0, None
