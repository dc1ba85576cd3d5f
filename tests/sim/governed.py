"""What conditions, rates, gaps, leases and a shortage promise, checked from outside: a part of `watch`."""

from __future__ import annotations

from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import (
    AskLease,
    Decision,
    Event,
    Exited,
    Judge,
    Judged,
    Leased,
    Refused,
    Resumed,
    Shortage,
    Start,
    Started,
)


class Governed:
    """What an onlooker knows of it. `now` is the time of the latest event."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now = 0
        self.judging: set[int] = set()
        self.holds: set[int] = set()  #: stages whose condition was found to hold
        self.skipped: dict[int, Judged] = {}  #: those that the batch found not to hold, or to have no answer
        self.leasing: set[int] = set()  #: asked for a lease, and not answered
        self.sharing: set[int] = set()  #: on the way to a lease, since it was first asked for
        self.leased: set[int] = set()  #: got it in this batch
        self.short: Shortage | None = None
        self.gap = 0
        self.began_at: list[tuple[int, int]] = []  #: reported starts: when, and the stage
        self.pending: set[int] = set()  #: started and not reported

    def batch(self) -> None:
        self.leased = set()
        self.skipped = {}

    def event(self, event: Event, now: int) -> list[int]:
        """The stages that give their units back by it."""
        self.now = now
        if isinstance(event, (Started, Exited)) and event.stage in self.pending:
            self.pending.discard(event.stage)
            self.began_at.append((now, event.stage))
            self.gap += 1
        elif isinstance(event, Judged) and event.stage in self.judging:
            self.judging.discard(event.stage)
            if event.verdict == "run":
                self.holds.add(event.stage)
            else:
                self.skipped[event.stage] = event
        elif isinstance(event, Leased) and event.stage in self.leasing:
            self.leasing.discard(event.stage)
            self.leased.add(event.stage)
        elif isinstance(event, Refused) and event.stage in self.leasing:
            self.leasing.discard(event.stage)
            return [event.stage]
        elif isinstance(event, Shortage):
            self.short = event if event.reason is not None else None
        elif isinstance(event, Resumed):
            self.short = None
            back, self.leasing = list(self.leasing), set()
            return back
        return []

    def decision(self, decision: Decision) -> None:
        if isinstance(decision, Judge):
            assert self.plan.stages[decision.stage].judged, f"{decision}: it has no condition"
            self.judging.add(decision.stage)

    def needs_lease(self, stage: int) -> bool:
        plan = self.plan
        return any(plan.pools[pool].machine for pool, _ in plan.demands[plan.stages[stage].demand])

    def asks(self, ask: AskLease, running: int) -> None:
        assert self.needs_lease(ask.stage), f"{ask}: it shares nothing"
        self._may_start(ask.stage, running)
        self.leasing.add(ask.stage)
        self.sharing.add(ask.stage)

    def starts(self, start: Start, running: int) -> None:
        stage = start.stage
        assert not self.plan.stages[stage].judged or stage in self.holds, (
            f"{start}: its condition was not found to hold"
        )
        if self.needs_lease(stage):
            assert stage in self.leased, f"{start} without its lease"
            self.sharing.discard(stage)
        else:
            self._may_start(stage, running)
        self.pending.add(stage)

    def _may_start(self, stage: int, running: int) -> None:
        """Rates and gaps count from what was reported, rounded up; nothing starts beside others in a shortage."""
        plan, now = self.plan, self.now
        on_the_way = self.pending | self.leasing
        if plan.gaps_ms:
            assert not on_the_way, f"s{stage} starts while the start of {on_the_way} is not reported"
            if self.began_at:
                gap = plan.gaps_ms[(self.gap - 1) % len(plan.gaps_ms)]
                assert now >= self.began_at[-1][0] + gap + 1, f"s{stage} starts too soon after another"
        for name, rate, units in self._rates():
            most, interval = rate
            recent = [other for at, other in self.began_at if now <= at + interval]
            used = sum(units.get(plan.stages[other].demand, 0) for other in [*recent, *on_the_way, stage])
            assert used <= most, f"s{stage} starts over the rate of {name}: {used} of {most}"
        if self.short is not None:
            is_beside = running or self.leasing
            assert not (self.short.holds_all and is_beside), f"s{stage} starts beside others, and the machine is short"
            asked = sum(units for pool, units in self._demand(stage) if plan.pools[pool].name == "memory")
            assert self.short.memory_free is None or asked <= self.short.memory_free, f"s{stage} asks for too much"

    def not_before_a_claim(self, stage: int, first: int) -> None:
        """What the claiming stage lacks of a rate, nobody else takes."""
        plan = self.plan
        for name, (most, interval), units in self._rates():
            recent = [other for at, other in self.began_at if self.now <= at + interval]
            used = sum(units.get(plan.stages[other].demand, 0) for other in [*recent, *self.pending, *self.leasing])
            wanted = units.get(plan.stages[first].demand, 0)
            if name != "starts" and units.get(plan.stages[stage].demand, 0):
                assert used + wanted <= most, f"s{stage} takes of {name} before s{first}"

    def _rates(self) -> list[tuple[str, tuple[int, int], dict[int, int]]]:
        plan = self.plan
        everyone = dict.fromkeys(range(len(plan.demands)), 1)
        rates = [] if plan.starts is None else [("starts", plan.starts, everyone)]
        for index, pool in enumerate(plan.pools):
            if pool.rate is not None:
                units = {at: dict(demand).get(index, 0) for at, demand in enumerate(plan.demands)}
                rates.append((pool.name, pool.rate, units))
        return rates

    def _demand(self, stage: int) -> tuple[tuple[int, int], ...]:
        return self.plan.demands[self.plan.stages[stage].demand]

    @property
    def is_held_up(self) -> bool:
        """Whether units may rightly be free: for time, a shortage, or somebody on the way to a lease."""
        return bool(self._rates() or self.plan.gaps_ms or self.short or self.leasing)

    def ends(self, stage: int) -> bool:
        """A stage has ended. Whether it gives back units that it had on its way to a lease."""
        self.judging.discard(stage)
        self.sharing.discard(stage)
        had = stage in self.leasing or stage in self.leased
        self.leasing.discard(stage)
        self.leased.discard(stage)
        return had

    def waits_again(self, stage: int) -> None:
        self.holds.discard(stage)
        self.sharing.discard(stage)
