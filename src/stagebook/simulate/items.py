"""Items on the virtual clock: what a source brings and when calls of steps end. Which call begins is the machine's.

All items of a stage take alike, and every so many-th fails. Where there are very many, a few larger ones stand for all.
A stage of whose items nothing is known is played as an ordinary one.
"""

from __future__ import annotations

from stagebook.scheduler.plan import PlannedStage
from stagebook.scheduler.vocabulary import ItemsDone, ItemsReady

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

    from stagebook.scheduler.plan import Plan
    from stagebook.scheduler.vocabulary import KillItems, StartItems, WantItems
    from stagebook.simulate.work import ItemWork

#: More items than this are played as so many larger ones.
ITEMS_MAX = 200


def opaque(plan: Plan, known: Mapping[int, ItemWork]) -> Plan:
    """The same plan, but that stages of whose items nothing is known are ordinary ones, which take a job, and steps
    that adjust their workers have as many as they may from the start."""
    if not any(stage.each is not None for stage in plan.stages):
        return plan
    slot = ((0, 1),)
    demands = plan.demands if slot in plan.demands else (*plan.demands, slot)
    place = demands.index(slot)

    def plain(index: int, stage: PlannedStage) -> PlannedStage:
        if stage.each is None:
            return stage
        if index not in known:
            return stage._replace(each=None, demand=place)
        steps = tuple([step._replace(workers=max(step.workers, step.workers_max)) for step in stage.each.steps])
        return stage._replace(each=stage.each._replace(steps=steps))

    stages = tuple([plain(index, stage) for index, stage in enumerate(plan.stages)])
    return plan._replace(stages=stages, demands=demands)


class Belt:
    """The items of one stage."""

    __slots__ = ("_calls", "_left", "_steps", "_work", "stage")

    def __init__(self, stage: int, steps: tuple[int, ...], work: ItemWork | None, factor: float) -> None:
        """`steps` are the attempts that each step grants. Without `work` nothing more comes, and nothing takes time.
        `factor`: in this run all takes so much longer."""
        self.stage = stage
        self._steps = steps
        count = 0 if work is None else work.total
        self._left = min(count, ITEMS_MAX)
        scale = factor * max(1.0, count / ITEMS_MAX)
        took = () if work is None else work.steps
        self._work = [(each.wall_s * scale, each.failed) for each in took] or [(0.0, 0.0) for _ in steps]
        #: Of each slot, its call, when that began, and its one end: others of it are void.
        self._calls: dict[tuple[int, int], tuple[StartItems, int, ItemsDone]] = {}

    def brings(self, want: WantItems, now_us: int) -> ItemsReady:
        more = min(want.more, self._left)
        self._left -= more
        return ItemsReady(now_us // 1000, self.stage, more, self._left == 0)

    def begins(self, call: StartItems, now_us: int) -> tuple[int, ItemsDone]:
        """When the call ends, and as what. Items fail only where they are tried again."""
        wall_s, failed = self._work[call.step]
        end_us = now_us + round(wall_s * len(call.items) * 1e6)
        bad = []
        if failed and call.attempt < self._steps[call.step]:
            bad = [item for item in call.items if _is_due(item, failed)]
        named = tuple([(item, "failure", None, None) for item in bad])
        done = ItemsDone(end_us // 1000, self.stage, call.step, call.slot, named)
        self._calls[call.step, call.slot] = call, now_us, done
        return end_us, done

    def killed(self, kill: KillItems, now_us: int) -> ItemsDone | None:
        known = self._calls.get((kill.step, kill.slot))
        if known is None:
            return None
        call, start_us, _ = known
        outcome = "timeout" if kill.why == "timeout" else "cancellation"
        named = tuple([(item, outcome, None, None) for item in call.items])
        done = ItemsDone(now_us // 1000, self.stage, kill.step, kill.slot, named)
        self._calls[kill.step, kill.slot] = call, start_us, done
        return done

    def over(self, done: ItemsDone) -> tuple[StartItems, int] | None:
        """The call that this ends, and when it began; None if it is over."""
        known = self._calls.get((done.step, done.slot))
        if known is None or known[2] is not done:
            return None
        del self._calls[done.step, done.slot]
        return known[:2]


def _is_due(item: int, share: float) -> bool:
    """Of all items this share, evenly."""
    return int(item * share) != int((item - 1) * share)
