"""How fast stages go that run at once on one machine: max-min fair shares of cores, disk and shared waiting.

Each resource is divided by itself, fairly among those that ask for it, by filling with water (Bertsekas and Gallager,
*Data Networks*, 1992, 6.5.2); a stage goes as fast as its scarcest share lets it. Where nobody can gain without taking
from one who has less of what holds him back, this is *bottleneck max fairness* (Bonald and Roberts, *Multi-resource
fairness*, SIGMETRICS 2015; *no justified complaints* of Dolev et al., ITCS 2012). Figures and limits are in
docs/explanation/prediction.md. Pools and locks are the scheduler's, where demands come from is `calibrate`'s.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.plan.profile import StageProfile

#: Rounds in which stages that are held back by one resource leave their share of the others. Fewer settle it mostly.
ROUNDS = 4
#: A smaller share of waiting is start-up and the like: nothing that another stage would wait for as well.
WAITS_AT_LEAST = 0.3
#: Sets of stages that are remembered at once.
REMEMBERED = 100_000
#: A stage never stands still: others' load is an average, and a core is never theirs alone.
LEAST_CORES = 0.1


class Demand(NamedTuple):
    """Of one stage, per second of its clean wall: cores, and shares of disk and of waiting. `gamma` as in the
    profile."""

    cores: float
    disk: float = 0.0
    waiting: float = 0.0
    gamma: float = 0.0


class Capacity(NamedTuple):
    """`cores` are those that nobody else has for certain. `disk` 1 is one device's time. `waiting` None: nobody waits
    for what another waits for; 1: waiting is wholly serial. `by_group`: each stage weighs the same for cores, however
    many threads it has. `others_cores`: what the rest of the machine would use of `cores`, as one more that asks for
    its share."""

    cores: float
    disk: float = 1.0
    waiting: float | None = None
    by_group: bool = False
    others_cores: float = 0.0


class Calibration(NamedTuple):
    """What runs in parallel have taught. `gamma` by stage id. `at_jobs`: the most that ran at once in them, beyond
    which everything is extrapolated; 1: there was none. `runs` stand behind it; `error` is the median of |predicted
    ÷ real − 1| on them, None without. `by_group` as in a capacity. `lacks`: what these runs cannot tell, as
    sentences."""

    gamma: dict[str, float]
    disk: float
    waiting: float | None
    at_jobs: int
    runs: int
    error: float | None = None
    by_group: bool = False
    lacks: tuple[str, ...] = ()


#: What holds without a run in parallel: nobody shares what he waits for, and one disk is one disk.
UNTAUGHT = Calibration({}, 1.0, None, 1, 0)


def demand(stage: StageProfile, calibration: Calibration = UNTAUGHT) -> Demand:
    """What a stage asks of the machine. Where CPU time is unknown it is taken to keep one core busy, the cautious
    guess."""
    cores = 1.0 if stage.cores is None else stage.cores
    alone = min(1.0, cores)
    disk = min(stage.disk or 0.0, 1.0 - alone)
    waiting = 1.0 - alone - disk
    gamma = calibration.gamma.get(stage.stage, 0.0)
    return Demand(cores, disk, waiting if waiting > WAITS_AT_LEAST else 0.0, gamma)


def capacity(cores: int, others_cores: float | None, calibration: Calibration = UNTAUGHT) -> Capacity:
    """A machine with that many cores, of which others use `others_cores` while a stage or two run beside them. They
    are no fixed charge: every stage is a session of its own, so the more run at once, the less is left for others."""
    return Capacity(
        float(cores), calibration.disk, calibration.waiting, calibration.by_group, max(0.0, others_cores or 0.0)
    )


def left_by(cores: int, others_cores: float | None, calibration: Calibration = UNTAUGHT) -> Capacity:
    """The same machine in a run of which it is known how many cores others have used in it."""
    left = max(LEAST_CORES, cores - (others_cores or 0.0))
    return Capacity(left, calibration.disk, calibration.waiting, calibration.by_group)


def speeds(demands: Sequence[Demand], capacity: Capacity) -> list[float]:
    """How fast each of these goes when all run at once: above 0, 1 is as fast as alone on an idle machine. No
    resource gives more than it has."""
    crowded = len(demands) > 1
    top = [1.0 / (1.0 + each.gamma * min(1.0, each.cores)) if crowded else 1.0 for each in demands]
    if capacity.others_cores:
        top.append(1.0)
    scarce = [each for each in _resources(demands, capacity, crowded) if each.wanted(top) > each.capacity]
    if not scarce:
        return top[: len(demands)]
    limits = [[1.0] * len(top) for _ in scarce]
    for _ in range(ROUNDS if len(scarce) > 1 else 1):
        for at, resource in enumerate(scarce):
            others = limits[:at] + limits[at + 1 :]
            limits[at] = resource.fill([min(each) for each in zip(top, *others)])
    found = [min(each) for each in zip(top, *limits)]
    for resource in scarce:  # where the rounds have not settled it
        wanted = resource.wanted(found)
        if wanted > resource.capacity:
            share = resource.capacity / wanted
            found = [speed * share if need else speed for speed, need in zip(found, resource.needs)]
    return found[: len(demands)]


class Shares:
    """The speeds that a simulated run asks for: of stages by their index, remembered by set."""

    __slots__ = ("_capacity", "_demands", "_known")

    def __init__(self, demands: Sequence[Demand], capacity: Capacity) -> None:
        self._demands = demands
        self._capacity = capacity
        self._known: dict[tuple[int, ...], Sequence[float]] = {}

    def __call__(self, running: tuple[int, ...]) -> Sequence[float]:
        found = self._known.get(running)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[running] = speeds([self._demands[at] for at in running], self._capacity)
        return found


class _Resource(NamedTuple):
    """`needs`: of each stage, how much of it full speed takes."""

    capacity: float
    needs: list[float]
    weights: list[float]

    def wanted(self, speeds: Sequence[float]) -> float:
        return sum([need * speed for need, speed in zip(self.needs, speeds)])

    def fill(self, speeds: Sequence[float]) -> list[float]:
        """How fast each could go for this resource, when none wants to go faster than given: those that want little
        get it, the others the same each by weight."""
        left, weight = self.capacity, 0.0
        asking = []
        for need, speed, each in zip(self.needs, speeds, self.weights):
            if need:
                asking.append((need * speed / each, each))
                weight += each
        asking.sort()
        level = left / weight if weight else 1.0
        for wish, each in asking:
            level = left / weight
            if wish > level:
                break
            left -= wish * each
            weight -= each
            if weight <= 0.0:
                break
        return [level * each / need if need else 1.0 for need, each in zip(self.needs, self.weights)]


def _resources(demands: Sequence[Demand], capacity: Capacity, crowded: bool) -> list[_Resource]:
    """Cores, where γ is paid in CPU time as well; the disk; what is waited for, if anything is."""
    even = [1.0] * len(demands)
    needs = [each.cores * (1.0 + each.gamma) if crowded else each.cores for each in demands]
    weights = even if capacity.by_group else [max(1.0, each.cores) for each in demands]
    if capacity.others_cores:
        needs.append(capacity.others_cores)
        weights = [*weights, max(1.0, capacity.others_cores)]
    found = [_Resource(capacity.cores, needs, weights)]
    rest = [0.0] * (len(needs) - len(demands))  # others' use of these is in the capacities as they were measured
    disk = [each.disk for each in demands]
    if any(disk):
        found.append(_Resource(capacity.disk, disk + rest, even + rest))
    if capacity.waiting is not None:
        found.append(_Resource(capacity.waiting, [each.waiting for each in demands] + rest, even + rest))
    return found
