"""When the next start may be: rates, as sliding windows, and gaps between starts. Knows times and demands, no needs.

A start counts from when it was reported, rounded up to the next millisecond, so that what was asked holds for the true
times; from its choice until then it is *pending* and counts as well. Masks have a bit a demand, as in `dispatch`.
"""

from __future__ import annotations

from collections import deque

from stagebook.model.problem import DefectError
from stagebook.scheduler.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping


class Window:
    """At most `most` units in any stretch of `interval_ms`. `units` says what a demand takes; others take nothing."""

    __slots__ = ("ends", "everyone", "interval_ms", "levels", "most", "name", "pending", "units", "used", "users")

    def __init__(self, name: str, most: int, interval_ms: int, units: Mapping[int, int], everyone: int) -> None:
        self.name = name
        self.most = most
        self.interval_ms = interval_ms
        self.units = units
        self.everyone = everyone
        masks: dict[int, int] = {}
        for demand, count in units.items():
            if not 0 < count <= most:
                raise DefectError(f"the plan takes {count} at once of `{name}`, which gives out {most}")
            masks[count] = masks.get(count, 0) | 1 << demand
        self.levels = sorted(masks.items())
        self.users = sum(masks.values())
        #: When units that were taken count no longer, and how many, oldest first; their sum; units not reported yet.
        self.ends: deque[tuple[int, int]] = deque()
        self.used = 0
        self.pending = 0

    def fits(self, now: int, claim: int) -> int:
        """The demands that may start now. What the claim lacks here, nobody else takes."""
        ends = self.ends
        while ends and ends[0][0] <= now:
            self.used -= ends.popleft()[1]
        free = self.most - self.used - self.pending
        mask = self.everyone & ~self.users
        if self.units.get(claim, 0) > free:
            return mask
        for count, users in self.levels:
            if count > free:
                break
            mask |= users
        return mask

    def began(self, demand: int, now: int) -> None:
        units = self.units.get(demand)
        if units:
            self.pending -= units
            self.used += units
            self.ends.append((now + self.interval_ms + 1, units))


class Pace:
    """The rates and gaps of one plan. `choose` of the line asks `fits`, then says `took`."""

    __slots__ = ("bars", "everyone", "gap", "gaps_ms", "next_at", "pending", "windows")

    def __init__(self, plan: Plan) -> None:
        count = len(plan.demands)
        self.everyone = (1 << count) - 1
        self.windows: list[Window] = []
        if plan.starts is not None:
            self.windows.append(Window("rate", *plan.starts, dict.fromkeys(range(count), 1), self.everyone))
        for index, pool in enumerate(plan.pools):
            if pool.rate is not None:
                units = {at: dict(demand)[index] for at, demand in enumerate(plan.demands) if index in dict(demand)}
                self.windows.append(Window("rate:" + pool.name.partition(":")[2], *pool.rate, units, self.everyone))
        self.gaps_ms = plan.gaps_ms
        self.gap = 0
        self.next_at = 0
        #: Stages that were chosen and whose start is not reported, with their demand.
        self.pending: dict[int, int] = {}
        #: What `fits` found last: masks of the demands that may start, each with what keeps the others.
        self.bars: list[tuple[int, str]] = []

    def fits(self, now: int, claim: int) -> int:
        """The demands that may start now; `claim` is that of the claiming stage, -1 if there is none."""
        bars = []
        fits = self.everyone
        if self.gaps_ms and (self.pending or now < self.next_at):
            bars.append((0, "stagger"))
            fits = 0
        for window in self.windows:
            mask = window.fits(now, claim)
            if mask != self.everyone:
                bars.append((mask, window.name))
                fits &= mask
        self.bars = bars
        return fits

    def took(self, stage: int, demand: int) -> None:
        """The stage has been chosen."""
        self.pending[stage] = demand
        for window in self.windows:
            window.pending += window.units.get(demand, 0)

    def dropped(self, stage: int) -> None:
        """The stage was chosen and does not start after all."""
        demand = self.pending.pop(stage, None)
        if demand is not None:
            for window in self.windows:
                window.pending -= window.units.get(demand, 0)

    def began(self, stage: int, now: int) -> None:
        """The start has been reported, or the end of an attempt whose start never was."""
        demand = self.pending.pop(stage, None)
        if demand is None:
            return
        for window in self.windows:
            window.began(demand, now)
        if self.gaps_ms:
            self.next_at = now + self.gaps_ms[self.gap % len(self.gaps_ms)] + 1
            self.gap += 1

    def looks_again_at(self, now: int, wanted: int) -> int | None:
        """When one of the wanted demands that may not start now might; None if only a report can change it."""
        times = [
            window.ends[0][0]
            for window in self.windows
            if window.ends and any(wanted & ~mask for mask, name in self.bars if name == window.name)
        ]
        if self.gaps_ms and not self.pending and now < self.next_at and wanted:
            times.append(self.next_at)
        return min(times, default=None)

    def carry(self, old: Pace, pending: Mapping[int, int]) -> None:
        """Go on from the pace of a plan with fewer stages; `pending` are its, with their demands by this plan."""
        self.gap, self.next_at = old.gap, old.next_at
        self.pending = dict(pending)
        before = {window.name: window for window in old.windows}
        for window in self.windows:
            window.pending = sum(window.units.get(demand, 0) for demand in self.pending.values())
            if window.name in before:
                window.ends, window.used = before[window.name].ends, before[window.name].used

    def snapshot(self) -> tuple[object, ...]:
        return (
            tuple((tuple(window.ends), window.used, window.pending) for window in self.windows),
            self.gap,
            self.next_at,
            tuple(sorted(self.pending.items())),
        )

    def check(self) -> None:
        """Compare what is counted with what it is counted from. For tests."""
        for window in self.windows:
            assert window.used == sum(units for _, units in window.ends), f"{window.name}: units in the window"
            pending = sum(window.units.get(demand, 0) for demand in self.pending.values())
            assert window.pending == pending, f"{window.name}: units not reported yet"
            assert window.used + window.pending <= window.most, f"{window.name}: over its rate"
