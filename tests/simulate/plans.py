"""Invented plans, draws and speeds for tests of simulated runs. Nothing here expects anything."""

from __future__ import annotations

from typing import Callable, Sequence

from hypothesis import strategies as st

from stagebook.graph.shape import shape
from stagebook.scheduler.plan import Plan, PlannedStage, Pool
from stagebook.simulate.work import Draw, Work

SLOT = ((0, 1),)


@st.composite
def plans(draw: st.DrawFn, *, pools: bool = True) -> Plan:
    """Up to twelve stages that need earlier ones, ranks in any order, some jobs, perhaps a pool of one or two."""
    count = draw(st.integers(1, 12))
    demands = (SLOT, ((0, 1), (1, 1))) if pools else (SLOT,)
    ranks = draw(st.permutations(range(count)))
    stages = []
    for at in range(count):
        needs = draw(st.sets(st.integers(0, at - 1), max_size=3)) if at else set()
        demand = draw(st.integers(0, len(demands) - 1))
        stages.append(PlannedStage(f"s{at}", tuple(sorted(needs)), demand, ranks[at]))
    named = (Pool("slot", draw(st.integers(1, 6))), Pool("pool:db", draw(st.integers(1, 2))))
    return Plan(tuple(stages), named, demands)


def works(plan: Plan) -> st.SearchStrategy[list[float]]:
    """Whole milliseconds as seconds, a few of them nothing, many alike."""
    one = st.sampled_from((0.0, 0.001, 0.25, 1.0)) | st.integers(0, 60_000).map(lambda ms: ms / 1000)
    return st.lists(one, min_size=len(plan.stages), max_size=len(plan.stages))


@st.composite
def worlds(draw: st.DrawFn, *, pools: bool = True) -> tuple[Plan, list[float]]:
    plan = draw(plans(pools=pools))
    return plan, draw(works(plan))


def draws(walls_s: Sequence[float]) -> Draw:
    return lambda stage, attempt: Work(walls_s[stage])


def same(speed: float) -> Callable[[tuple[int, ...]], list[float]]:
    return lambda running: [speed] * len(running)


def sequential(plan: Plan) -> Plan:
    """In file order, which is topological here, one job."""
    stages = tuple(stage._replace(rank=rank) for rank, stage in enumerate(plan.stages))
    return plan._replace(stages=stages, in_order=True, pools=(Pool("slot", 1), *plan.pools[1:]))


def unlimited(plan: Plan) -> Plan:
    """No pool holds anything up."""
    many = len(plan.stages)
    return plan._replace(pools=tuple(pool._replace(size=many) for pool in plan.pools))


def path_s(plan: Plan, walls_s: Sequence[float]) -> float:
    return shape([stage.needs for stage in plan.stages], walls_s).length
