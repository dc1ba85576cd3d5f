"""Who starts next: ready stages lined up by demand, the units of all pools, and the claim against starvation.

Beside stages, steps of streams stand in it, each under a number after those of the stages, for as long as calls of it
are wanted: every call takes the units of the step anew. Knows ranks and units, and of time what `pace` and a shortage
of the machine beneath forbid; not needs, attempts or policies. Equal demands share one heap, so a choice costs the
number of distinct demands at worst, not of stages. Which demands fit is one whole number, a bit a demand: each pool
that is short of units masks those that ask too much of it.

Ageing. The stage that has been ready longest (rank breaks ties) is *first*. When `passed_over_max` other stages
have started while it was first, it claims: its units are set aside as they come free, so nothing starts that would
take a unit it lacks, and it starts as soon as those who hold them now have ended.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from heapq import heappop, heappush

from stagebook.model.problem import DefectError
from stagebook.scheduler.moves import GATE, SUCCESS, WAITING
from stagebook.scheduler.pace import Pace
from stagebook.scheduler.plan import Plan

_OUT, _OFFERED, _LINED = range(3)
_NO_BARS: list[tuple[int, str]] = []


class Line:
    """The ready stages of one run. `offer`, `withdraw` and `release` between calls of `choose`, once a batch."""

    __slots__ = (
        "after",
        "bars",
        "bars_before",
        "before",
        "biggest",
        "bits",
        "claim",
        "demand_of",
        "demands",
        "entry_last",
        "entry_mark",
        "first",
        "fit_masks",
        "free",
        "heaps",
        "line",
        "line_entry",
        "nonempty",
        "number_count",
        "offered",
        "order",
        "pace",
        "passes",
        "passes_max",
        "plan",
        "queued",
        "rank",
        "rank_bit",
        "short",
        "shortage",
        "stage_count",
        "steps_of",
        "tops",
        "unit_sizes",
        "wanted",
    )

    def __init__(self, plan: Plan) -> None:
        stages = plan.stages
        self.plan = plan
        self.stage_count = len(stages)
        self.demand_of = [stage.demand for stage in stages]
        self.demands = plan.demands
        #: Of each stage with items, the number of its first step; and how many calls of each step are wanted.
        self.steps_of: dict[int, int] = {}
        keys = [(stage.rank, 0) for stage in stages]
        for index, stage in enumerate(stages):
            if stage.each is not None:
                self.steps_of[index] = len(keys)
                self.demand_of += [step.demand for step in stage.each.steps]
                # A later step goes first, so that what is begun comes to its end and few items are on their way.
                keys += [(stage.rank, len(stage.each.steps) - step) for step in range(len(stage.each.steps))]
        count = self.number_count = len(keys)
        self.wanted = [0] * (count - self.stage_count)
        #: Numbers by rank, and the place of each in it.
        self.order = sorted(range(count), key=keys.__getitem__)
        self.rank = [0] * count
        for place, index in enumerate(self.order):
            self.rank[index] = place
        #: Units of each pool that are neither held nor set aside by the claim; below 0 while the claim lacks some.
        self.free = [pool.size for pool in plan.pools]
        #: `free` at the end of this batch, and of the one before: what a stage that starts now was short of.
        self.after = self.free[:]
        self.before = self.free[:]
        self.heaps: list[list[int]] = [[] for _ in plan.demands]
        #: The best rank of each demand that has ready stages, sorted.
        self.tops: list[int] = []
        self.nonempty = 0
        self.bits = [1 << index for index in range(len(plan.demands))]
        self.rank_bit = [self.bits[self.demand_of[index]] for index in self.order]
        self._measure_pools()
        #: Pools that cannot serve every demand just now, with the mask of demands that they can.
        self.short: dict[int, int] = {}
        self.queued = bytearray(count)
        self.offered: list[int] = []
        #: Ready stages in order of readiness as `serial * number_count + stage`; entries that are over stay until
        #: they come to the front. `line_entry` holds the valid one of each stage.
        self.line: deque[int] = deque()
        self.line_entry = [0] * count
        self.entry_last = 0
        self.entry_mark = 0
        self.first = -1
        self.passes = 0
        self.passes_max = max(1, plan.passed_over_max)
        self.claim = -1
        is_paced = plan.gaps_ms or plan.starts is not None or any(pool.rate is not None for pool in plan.pools)
        self.pace = Pace(plan) if is_paced else None
        #: The machine beneath is short: bytes of memory that are left (None: not what is short), whether all are held.
        self.shortage: tuple[int | None, bool] | None = None
        #: What time and shortage forbade at the end of this batch, and of the one before: masks with a word.
        self.bars: list[tuple[int, str]] = []
        self.bars_before: list[tuple[int, str]] = []

    def _measure_pools(self) -> None:
        """Per pool: the distinct numbers of units asked, and for each level the mask of demands that it serves."""
        self.unit_sizes: list[list[int]] = []
        self.fit_masks: list[list[int]] = []
        users: list[dict[int, int]] = [{} for _ in self.plan.pools]
        for index, demand in enumerate(self.demands):
            for pool, units in demand:
                name, size, *_ = self.plan.pools[pool]
                if not 0 < units <= size:
                    raise DefectError(f"the plan asks {units} units of `{name}`, which has {size}")
                users[pool][units] = users[pool].get(units, 0) | self.bits[index]
        for masks in users:
            sizes = sorted(masks)
            mask = -1
            for units in sizes:
                mask &= ~masks[units]
            levels = [mask]
            for units in sizes:
                mask |= masks[units]
                levels.append(mask)
            self.unit_sizes.append(sizes)
            self.fit_masks.append(levels)
        self.biggest = [sizes[-1] if sizes else 0 for sizes in self.unit_sizes]

    def offer(self, stage: int) -> None:
        """The stage is ready."""
        self.queued[stage] = _OFFERED
        self.offered.append(self.rank[stage])

    def step_at(self, number: int) -> tuple[int, int]:
        """The stage and the step that a number stands for."""
        for stage, first in reversed(self.steps_of.items()):
            if number >= first:
                return stage, number - first
        raise DefectError(f"{number} is no step")

    def want(self, number: int, calls: int) -> None:
        """So many calls of a step could start now."""
        self.wanted[number - self.stage_count] = calls
        if calls:
            if not self.queued[number]:
                self.offer(number)
        elif self.queued[number]:
            self.withdraw(number)

    def _call_taken(self, number: int, now: int) -> None:
        """One call less is wanted of a step; the next one stands in the line as if it came now. Its start is not
        reported, so it counts from here."""
        if self.pace is not None:
            self.pace.began(number, now)
        left = self.wanted[number - self.stage_count] = self.wanted[number - self.stage_count] - 1
        if left:
            self.offer(number)
            self._line_up()

    def withdraw(self, stage: int) -> None:
        """The stage is ready no longer, though it has not started."""
        queued = self.queued[stage]
        self.queued[stage] = _OUT
        if queued != _LINED:
            return
        if stage == self.claim:
            self.claim = -1
            self.release(self.demand_of[stage])
        self._clean(self.demand_of[stage], self.rank[stage])
        if stage == self.first:
            self._advance()

    def release(self, demand: int) -> None:
        """Give back the units of a demand."""
        free, biggest, short = self.free, self.biggest, self.short
        for pool, units in self.demands[demand]:
            left = free[pool] + units
            free[pool] = left
            if left >= biggest[pool]:
                short.pop(pool, None)
            else:
                short[pool] = self.fit_masks[pool][bisect_right(self.unit_sizes[pool], left)]

    def _reserve(self, demand: int) -> None:
        free, biggest = self.free, self.biggest
        for pool, units in self.demands[demand]:
            left = free[pool] - units
            free[pool] = left
            if left < biggest[pool]:
                self.short[pool] = self.fit_masks[pool][bisect_right(self.unit_sizes[pool], left)]

    def choose(self, state: bytearray, now: int) -> list[int]:
        """Take all that can start now, best rank first, with all their units."""
        chosen: list[int] = []
        self.entry_mark = self.entry_last
        if self.offered:
            self._line_up()
        is_free = self.pace is None and self.shortage is None
        self.bars_before, self.bars = self.bars, _NO_BARS
        allowed = -1 if is_free else self._allowed(now)
        tops, rank_bit, order, short = self.tops, self.rank_bit, self.order, self.short
        while True:
            if self.claim >= 0 and self._claim_is_met() and allowed & self.bits[self.demand_of[self.claim]]:
                stage, self.claim = self.claim, -1
                self.queued[stage] = _OUT
                chosen.append(stage)
                self._advance()
                if not is_free:
                    allowed = self._allowed_after(stage, now)
                if stage >= self.stage_count:
                    self._call_taken(stage, now)
                continue
            fits = self.nonempty & allowed
            for mask in short.values():
                fits &= mask
            if not fits:
                break
            for rank in tops:
                if fits & rank_bit[rank]:
                    break
            stage = order[rank]
            demand = self.demand_of[stage]
            self.queued[stage] = _OUT
            self._clean(demand, rank)
            self._reserve(demand)
            chosen.append(stage)
            if stage == self.first:
                self._advance()
            else:
                self.passes += 1
                if self.passes >= self.passes_max and self.claim < 0:
                    self._stake_claim()
            if not is_free:
                allowed = self._allowed_after(stage, now)
            if stage >= self.stage_count:
                self._call_taken(stage, now)
        self.before = self.after
        self.after = self.free[:]
        return chosen

    def _allowed(self, now: int) -> int:
        """The demands that time and the machine beneath let start now."""
        claim = self.demand_of[self.claim] if self.claim >= 0 else -1
        allowed = -1
        self.bars = []
        if self.pace is not None:
            allowed = self.pace.fits(now, claim)
            self.bars = self.pace.bars
        if self.shortage is not None:
            mask = self._bearable(*self.shortage)
            self.bars = [(mask, "machine"), *self.bars]
            allowed &= mask
        return allowed

    def _bearable(self, memory_free: int | None, holds_all: bool) -> int:
        """What may start while the machine is short."""
        is_any_running = self.plan.pools[0].size - self.free[0] - (self.claim >= 0) > 0
        if holds_all and is_any_running:
            return 0
        mask = 0
        for index, demand in enumerate(self.demands):
            asked = sum(units for pool, units in demand if self.plan.pools[pool].name == "memory")
            if memory_free is None or asked <= memory_free:
                mask |= self.bits[index]
        return mask

    def _allowed_after(self, stage: int, now: int) -> int:
        if self.pace is not None:
            self.pace.took(stage, self.demand_of[stage])
        return self._allowed(now)

    def looks_again_at(self, now: int) -> int | None:
        """When a stage that only time keeps from its start might start; None if there is none."""
        if self.pace is None:
            return None
        wanted = self.nonempty
        if self.claim >= 0:
            wanted |= self.bits[self.demand_of[self.claim]]
        return self.pace.looks_again_at(now, wanted)

    def began(self, stage: int, now: int) -> None:
        """The start of a stage that was chosen has been reported, or its end."""
        if self.pace is not None:
            self.pace.began(stage, now)

    def undo(self, stage: int) -> None:
        """A stage that was chosen does not start after all."""
        self.release(self.demand_of[stage])
        if self.pace is not None:
            self.pace.dropped(stage)

    def _line_up(self) -> None:
        """Queue what was offered in this batch, in order of rank, so that ties of readiness break by rank."""
        offered, self.offered = self.offered, []
        offered.sort()
        queued, order, count, entry = self.queued, self.order, self.number_count, self.entry_last
        if self.wanted and len(self.line) > 4 * count + 64:  # steps come and go while a stage waits long
            self.line = deque([place for place in self.line if self._is_lined(place)])
        for rank in offered:
            stage = order[rank]
            if queued[stage] != _OFFERED:
                continue
            queued[stage] = _LINED
            entry += 1
            place = entry * count + stage
            self.line_entry[stage] = place
            self.line.append(place)
            if self.first < 0:
                self.first = stage
            demand = self.demand_of[stage]
            heap = self.heaps[demand]
            if not heap:
                self.nonempty |= self.bits[demand]
                insort(self.tops, rank)
            elif rank < heap[0]:
                del self.tops[bisect_left(self.tops, heap[0])]
                insort(self.tops, rank)
            heappush(heap, rank)
        self.entry_last = entry

    def _clean(self, demand: int, rank: int) -> None:
        """`rank` has left the queue: if it was the best of its demand, find the next one that is really there."""
        heap = self.heaps[demand]
        if not heap or heap[0] != rank:
            return
        queued, order = self.queued, self.order
        while heap and (queued[order[heap[0]]] != _LINED or order[heap[0]] == self.claim):
            heappop(heap)
        tops = self.tops
        del tops[bisect_left(tops, rank)]
        if heap:
            insort(tops, heap[0])
        else:
            self.nonempty ^= self.bits[demand]

    def _advance(self) -> None:
        """Find the stage that has now been ready longest, and count from 0 who passes it."""
        line, queued, count = self.line, self.queued, self.number_count
        self.passes = 0
        while line:
            stage = line[0] % count
            if queued[stage] == _LINED and self.line_entry[stage] == line[0]:
                self.first = stage
                return
            line.popleft()
        self.first = -1

    def _stake_claim(self) -> None:
        stage = self.first
        if stage < 0:
            return
        self.claim = stage
        demand = self.demand_of[stage]
        self._reserve(demand)
        self._clean(demand, self.rank[stage])

    def _claim_is_met(self) -> bool:
        return all(self.free[pool] >= 0 for pool, _ in self.demands[self.demand_of[self.claim]])

    def carry(self, old: Line, holding: list[int]) -> None:
        """Go on, by a plan with further stages, from the line of the plan before. `holding` are the numbers that have
        units, by this plan, of which there may be more or others: a lock is as large as its users are many."""

        def now(number: int) -> int:
            """Steps are numbered after the stages."""
            return number if number < old.stage_count else number - old.stage_count + self.stage_count

        for number in holding:
            self._reserve(self.demand_of[number])
        self.claim, self.first, self.passes = now(old.claim), now(old.first), old.passes
        if self.claim >= 0:
            self._reserve(self.demand_of[self.claim])
        self.entry_last, self.entry_mark = old.entry_last, old.entry_mark
        self.wanted[: len(old.wanted)] = old.wanted
        for number, queued in enumerate(old.queued):
            self.queued[now(number)] = queued
        self.offered = [self.rank[number] for number, queued in enumerate(self.queued) if queued == _OFFERED]
        for place in [place for place in old.line if old._is_lined(place)]:
            entry, number = divmod(place, old.number_count)
            number = now(number)
            self.line_entry[number] = entry * self.number_count + number
            self.line.append(self.line_entry[number])
            if number != self.claim:
                heappush(self.heaps[self.demand_of[number]], self.rank[number])
        self.tops = sorted(heap[0] for heap in self.heaps if heap)
        self.nonempty = sum(bit for bit, heap in zip(self.bits, self.heaps) if heap)
        self.after, self.before = self.free[:], self.free[:]
        self.shortage = old.shortage
        if self.pace is not None and old.pace is not None:
            self.pace.carry(old.pace, {now(number): self.demand_of[now(number)] for number in old.pace.pending})

    def rewind(self) -> None:
        """Stages that had ended wait again, or a gate is decided. Nothing to do here; a sequential line must look again
        from its start."""

    def waited(self, stage: int) -> str | None:
        """What a stage that `choose` has just taken was short of; None if it became ready in the same batch."""
        if self.line_entry[stage] >= (self.entry_mark + 1) * self.number_count:
            return None
        return self._short_of(stage, self.before, self.bars_before)

    def lacks(self, stage: int) -> str:
        """What a ready stage is short of now."""
        return self._short_of(stage, self.free, self.bars)

    def _short_of(self, stage: int, free: list[int], bars: list[tuple[int, str]]) -> str:
        """The most telling pool that lacks units: a named one before memory, cpu, slot. Else what else forbids it."""
        demand = self.demand_of[stage]
        for pool, units in reversed(self.demands[demand]):
            if free[pool] < (0 if stage == self.claim else units):
                return self.plan.pools[pool].name
        for mask, word in bars:
            if not mask & self.bits[demand]:
                return word
        return "slot"

    def snapshot(self) -> tuple[object, ...]:
        """All that later choices depend on, as plain values."""
        lined = (tuple(place for place in self.line if self._is_lined(place)), tuple(self.wanted))
        return (
            (tuple(self.free), tuple(self.after), bytes(self.queued), lined, self.first, self.passes, self.claim),
            (self.shortage, tuple(self.bars), None if self.pace is None else self.pace.snapshot()),
        )

    def _is_lined(self, place: int) -> bool:
        stage = place % self.number_count
        return self.queued[stage] == _LINED and self.line_entry[stage] == place

    def check(self, ready: list[int], holding: list[int]) -> None:
        """Compare every redundant view with the plain facts: which stages are ready, which hold units."""
        held = [0] * len(self.free)
        for stage in holding + ([self.claim] if self.claim >= 0 else []):
            for pool, units in self.demands[self.demand_of[stage]]:
                held[pool] += units
        for pool, (name, size, *_) in enumerate(self.plan.pools):
            assert self.free[pool] + held[pool] == size, f"{name}: free {self.free[pool]} + held {held[pool]} != {size}"
            assert (pool in self.short) is (self.free[pool] < self.biggest[pool]), f"{name}: short, or not"
            mask = self.short.get(pool, -1)
            for index, needed in enumerate(self.demands):
                fits = dict(needed).get(pool, 0) <= max(self.free[pool], 0)
                assert bool(mask & self.bits[index]) is fits, f"{name}: mask is wrong for demand {index}"
        ready = ready + [self.stage_count + at for at, calls in enumerate(self.wanted) if calls]
        assert ready == [index for index, queued in enumerate(self.queued) if queued], "queue and states differ"
        entries = [place % self.number_count for place in self.line if self._is_lined(place)]
        assert sorted(entries) == ready, "the line by readiness lacks a ready stage, or holds one twice"
        assert self.first == (entries[0] if entries else -1), "first is not who was ready first"
        assert self.claim in (-1, self.first), "the claim belongs to a stage that is not first"
        best: dict[int, int] = {}
        for stage in ready:
            if stage != self.claim:
                demand = self.demand_of[stage]
                best[demand] = min(best.get(demand, self.number_count), self.rank[stage])
        self._check_tops(best)
        if self.pace is not None:
            self.pace.check()

    def _check_tops(self, best: dict[int, int]) -> None:
        assert self.tops == sorted(best.values()), "best ranks differ from the ready stages"
        assert self.nonempty == sum(self.bits[demand] for demand in best), "mask of demands with ready stages is wrong"


class SequentialLine(Line):
    """One stage at a time, each only when all of smaller rank have ended, whatever holds them up. But an open gate, and
    what waits for one, is passed over until a person has decided."""

    __slots__ = ("behind", "next_rank")

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.next_rank = 0
        self.behind: set[int] = set()

    def choose(self, state: bytearray, now: int) -> list[int]:
        self.entry_mark = self.entry_last
        if self.offered:
            self._line_up()
        is_free = self.pace is None and self.shortage is None
        self.bars_before, self.bars = self.bars, _NO_BARS
        allowed = -1 if is_free else self._allowed(now)
        order, place = self.order, self.next_rank
        while place < len(order) and (
            order[place] >= self.stage_count
            or state[order[place]] >= SUCCESS
            or self._is_behind_gate(order[place], state)
        ):
            place += 1
        self.next_rank = place
        chosen: list[int] = []
        for stage in self._next_of(place):
            demand = self.demand_of[stage]
            has_units = all(self.free[pool] >= units for pool, units in self.demands[demand])
            if self.queued[stage] and has_units and allowed & self.bits[demand]:
                self.queued[stage] = _OUT
                self._clean(demand, self.rank[stage])
                self._reserve(demand)
                chosen.append(stage)
                if stage == self.first:
                    self._advance()
                if not is_free:
                    self._allowed_after(stage, now)
                if stage >= self.stage_count:
                    self._call_taken(stage, now)
                break
        self.before = self.after
        self.after = self.free[:]
        return chosen

    def _is_behind_gate(self, stage: int, state: bytearray) -> bool:
        """Needs are of smaller rank, so they have been looked at before."""
        value = state[stage]
        needs = self.plan.stages[stage].needs
        is_behind = value == GATE or (value == WAITING and not self.behind.isdisjoint(needs))
        if is_behind:
            self.behind.add(stage)
        return is_behind

    def _next_of(self, place: int) -> list[int]:
        """The stage at that place, then its steps, which follow it in the order."""
        numbers = self.order[place : place + 1]
        for stage in numbers[:1]:
            each = self.plan.stages[stage].each
            if each is not None:
                numbers += self.order[place + 1 : place + 1 + len(each.steps)]
        return numbers

    def rewind(self) -> None:
        self.next_rank = 0
        self.behind.clear()
