"""How fast stages go that run at once on one machine, and share its cores, its disk and what they wait for.

A stage computes, uses the disk and waits in turn. What it is at is divided among those that are at it in the same
moment: fairly by weight, and who needs less than its share leaves the rest to the others (max-min fairness, filling
with water: Bertsekas and Gallager, *Data Networks*, 1992, 6.5.2). How many are at it follows from how fast they go, and
the other way round: a closed network of queues with shared processors, solved by approximate mean value analysis
(Schweitzer 1979, Bard 1979; Lazowska et al., *Quantitative System Performance*, 1984, chapter 7). Of stages that do one
thing only the two come to the same. How well that does and where it fails is in docs/explanation/prediction.md.

Pools and locks are the scheduler's; what is known of a machine comes from `calibrate`.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.plan.profile import StageProfile

#: Each round comes closer to where speeds settle, from above; so close is close enough.
ROUNDS, SETTLED = 40, 2e-3
#: Among more stages than this, how often one is there itself makes no difference to it.
FEW = 32
#: A smaller share of waiting is start-up and the like: nothing that another stage would wait for as well.
WAITS_AT_LEAST = 0.3
#: Sets of stages that are remembered at once.
REMEMBERED = 100_000
#: So many stages a kind, on the average, make kinds of them.
ALIKE = 4


class Demand(NamedTuple):
    """Of one stage, per second of its clean wall: cores, and shares of disk and of waiting. Below one core, `cores` is
    the share of time for which it computes; above, how many it keeps busy all the time. `gamma` as in a calibration."""

    cores: float
    disk: float = 0.0
    waiting: float = 0.0
    gamma: float = 0.0


class Capacity(NamedTuple):
    """`disk`: how many can use the disk at once without slowing each other down; below 1, each that comes in costs the
    others more than its share. `waiting`: likewise of what is waited for; None: nobody waits for what another waits
    for, 1: waiting is wholly serial. `by_group`: each stage weighs the same for cores, however many threads it has.
    `others`: how many of the rest of the machine want a core at a time, on the average."""

    cores: float
    disk: float = 1.0
    waiting: float | None = None
    by_group: bool = False
    others: float = 0.0


class Calibration(NamedTuple):
    """What runs have taught. `gamma`: how much more CPU time a stage takes in company (0.3: 30 % more), by id.
    `at_jobs`: the most that ran at once, beyond which everything is extrapolated; 1: there was no run in parallel.
    `runs` in parallel stand behind it. `by_group` and `others` as in a capacity; `others` None where nothing is known.
    `lacks`: what no run on record can tell, as sentences. `misses` are the logarithms of real ÷ predicted of runs in
    which stages ran at once, `misses_alone` of others, each predicted by what is known without it; `error` is the
    median of |predicted ÷ real − 1| of the former, None of none. `others_range`: the least and the most that wanted a
    core beside any of the latest runs."""

    gamma: dict[str, float]
    disk: float
    waiting: float | None
    at_jobs: int
    runs: int
    error: float | None = None
    by_group: bool = False
    others: float | None = None
    lacks: tuple[str, ...] = ()
    misses: tuple[float, ...] = ()
    misses_alone: tuple[float, ...] = ()
    others_range: tuple[float, float] | None = None


#: What holds without a run in parallel: nobody shares what it waits for, and one disk is one disk.
UNTAUGHT = Calibration({}, 1.0, None, 1, 0)


def demand(stage: StageProfile, calibration: Calibration = UNTAUGHT) -> Demand:
    """What a stage asks of the machine. Where its CPU time is unknown it is taken to keep one core busy: the cautious
    guess."""
    cores = 1.0 if stage.cores is None else stage.cores
    computing = min(1.0, cores)
    disk = min(stage.disk or 0.0, 1.0 - computing)
    waiting = 1.0 - computing - disk
    gamma = calibration.gamma.get(stage.stage, 0.0)
    return Demand(cores, disk, waiting if waiting > WAITS_AT_LEAST else 0.0, gamma)


def capacity(cores: int, others_cores: float | None, calibration: Calibration = UNTAUGHT) -> Capacity:
    """A machine with that many cores, of which others keep `others_cores` busy (None: unknown). Where little is idle
    they would like more than they get, so what the calibration knows of them counts if it is more."""
    others = max(others_cores or 0.0, calibration.others or 0.0)
    return Capacity(float(cores), calibration.disk, calibration.waiting, calibration.by_group, others)


def speeds(demands: Sequence[Demand], capacity: Capacity) -> list[float]:
    """How fast each of these goes when all run at once: above 0, 1 is as fast as alone on an idle machine. No resource
    gives more than it has."""
    return _settle(demands, capacity)[0]


def scarcest(demands: Sequence[Demand], capacity: Capacity) -> str | None:
    """What holds these up most when all run at once: `cores`, `disk` or `waiting`; None where nothing does."""
    held = {}
    for resource in _settle(demands, capacity)[1]:
        held[resource.name] = sum([share * (by - 1.0) for share, by in zip(resource.shares, resource.slower)])
    found = max(held, key=lambda name: held[name], default=None)
    return found if found is not None and held[found] > SETTLED else None


def _settle(demands: Sequence[Demand], capacity: Capacity) -> tuple[list[float], list[_Resource]]:
    """Speeds, and the resources that may run short, as they are shared at those speeds."""
    crowded = len(demands) > 1
    fixed = [1.0 + min(1.0, each.cores) * each.gamma if crowded else 1.0 for each in demands]
    found = [1.0 / time for time in fixed]
    scarce = [resource for resource in _resources(demands, capacity) if resource.may_run_short]
    if not scarce:
        return found, scarce
    for resource in scarce:
        fixed = [time - share for time, share in zip(fixed, resource.shares)]
    for _ in range(ROUNDS):
        before = found
        times = fixed
        for resource in scarce:
            resource.share_out(found)
            times = [time + share * slower for time, share, slower in zip(times, resource.shares, resource.slower)]
        found = [1.0 / time for time in times]
        if all(abs(speed - late) < SETTLED * late for speed, late in zip(found, before)):
            break
    for resource in scarce:  # what the rounds have left over
        excess = resource.excess(found)
        if excess > 1.0:
            found = [speed / excess if share else speed for speed, share in zip(found, resource.shares)]
    return found, scarce


class Shares:
    """The speeds that a simulated run asks for: of stages by their index, remembered by set; where many stages are
    alike, by how many there are of each kind."""

    __slots__ = ("_capacity", "_demands", "_kinds", "_known")

    def __init__(self, demands: Sequence[Demand], capacity: Capacity) -> None:
        self._demands = demands
        self._capacity = capacity
        self._known: dict[tuple[int, ...], Sequence[float]] = {}
        kinds = {each: kind for kind, each in enumerate(dict.fromkeys(demands))}
        #: By stage; None where hardly any two are alike.
        self._kinds = [kinds[each] for each in demands] if len(kinds) <= max(1, len(demands) // ALIKE) else None

    def __call__(self, running: tuple[int, ...]) -> Sequence[float]:
        if self._kinds is None:
            return self._found(running, running)
        kinds = [self._kinds[at] for at in running]
        ordered = sorted(zip(kinds, running))
        found = self._found(tuple([kind for kind, _ in ordered]), [at for _, at in ordered])
        by_kind = {kind: speed for (kind, _), speed in zip(ordered, found)}
        return [by_kind[kind] for kind in kinds]

    def _found(self, key: tuple[int, ...], running: Sequence[int]) -> Sequence[float]:
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[key] = speeds([self._demands[at] for at in running], self._capacity)
        return found

    def scarcest(self, running: Sequence[int]) -> str | None:
        """What holds them up most: `cores`, `disk` or `waiting`."""
        return scarcest([self._demands[at] for at in running], self._capacity)


class _Resource:
    """`shares`: for how much of its time each stage is at it, alone; `widths`: how much of it the stage then takes;
    `slower`: how much longer that takes now. `others` are always at it, with a width and a weight of 1."""

    __slots__ = ("_capacity", "_others", "_weights", "_widths", "name", "shares", "slower")

    def __init__(
        self, name: str, capacity: float, shares: list[float], widths: list[float] | None = None,
        weights: list[float] | None = None, others: float = 0.0,
    ) -> None:  # fmt: skip
        """`widths` None: all 1; `weights` None: as the widths, so that each unit of width gets the same."""
        self.name = name
        self._capacity = capacity
        self._widths = widths
        self._weights = weights
        self._others = others
        self.shares = shares
        self.slower = [1.0] * len(shares)

    @property
    def may_run_short(self) -> bool:
        """Whether all of them at once would ask for more than there is."""
        if self._widths is None:
            return sum(map(bool, self.shares)) + self._others > self._capacity
        return sum(self._widths) + self._others > self._capacity

    def excess(self, speeds: Sequence[float]) -> float:
        """How many times as much is used as there is; at a single one below 1 the first is served as ever."""
        widths = self._widths or [1.0] * len(speeds)
        used = sum([share * width * speed for share, width, speed in zip(self.shares, widths, speeds)])
        return used / max(1.0, self._capacity)

    def share_out(self, speeds: Sequence[float]) -> None:
        """Set `slower` by how many are at it, at those speeds."""
        there = [share * speed * slower for share, speed, slower in zip(self.shares, speeds, self.slower)]
        if self._weights is not None:
            self.slower = self._slower_by_weight(there)
            return
        capacity, widths = self._capacity, self._widths
        if widths is None and capacity < 1.0:
            all_there = sum(there)
            self.slower = [1.0 + (all_there - each) / capacity for each in there]
            return
        wanted = [each * width for each, width in zip(there, widths)] if widths else there
        rest = self._others + sum(wanted)
        widths = widths or [1.0] * len(there)
        self.slower = [max(1.0, (rest - each + width) / capacity) for each, width in zip(wanted, widths)]

    def _slower_by_weight(self, there: Sequence[float]) -> list[float]:
        """The capacity is filled up like water: who wants no more than its share by weight has it, beginning with
        those that want least for their weight. Each stage in turn is there all the time; among many it is as good to
        take it as often as it is."""
        widths, weights = self._widths or [], self._weights or []
        asking = [(1.0, self._others)]
        asking += [(width / weight, weight * present) for width, weight, present in zip(widths, weights, there)]
        asking.sort()
        common = self._level(asking, 0.0, 0.0) if len(there) > FEW else None
        found = []
        for width, weight, present in zip(widths, weights, there):
            own = width / weight
            level = self._level(asking, own, weight * (1.0 - present)) if common is None else common
            found.append(max(1.0, own / level))
        return found

    def _level(self, asking: Sequence[tuple[float, float]], wish: float, weight: float) -> float:
        """How much there is for each unit of weight, of those that want more. `asking` are wishes for a unit of weight
        and weights, the least wish first; `weight` more want `wish`."""
        left = self._capacity
        weights = sum([each for _, each in asking]) + weight
        level = left / weights if weights else 1.0
        for least, each in asking:
            if least >= wish and weight:
                level = left / weights
                if wish > level:
                    return level
                left -= wish * weight
                weights -= weight
                weight = 0.0
            if not each:
                continue
            level = left / weights
            if least > level:
                return level
            left -= least * each
            weights -= each
            if weights < 1e-9:
                break
        return max(level, wish)


def _resources(demands: Sequence[Demand], capacity: Capacity) -> list[_Resource]:
    """Cores; the disk, if anybody uses it; what is waited for, if it is shared."""
    crowded = len(demands) > 1
    shares = [min(1.0, each.cores) * (1.0 + each.gamma if crowded else 1.0) for each in demands]
    is_wide = any(each.cores > 1.0 for each in demands)
    widths = [max(1.0, each.cores) for each in demands] if is_wide else None
    weights = [1.0] * len(demands) if capacity.by_group and is_wide else None
    found = [_Resource("cores", capacity.cores, shares, widths, weights, capacity.others)]
    if crowded and any(each.disk for each in demands):
        found.append(_Resource("disk", capacity.disk, [each.disk for each in demands]))
    if crowded and capacity.waiting is not None:
        found.append(_Resource("waiting", capacity.waiting, [each.waiting for each in demands]))
    return found
