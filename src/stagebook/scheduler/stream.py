"""The items of one `each` stage on their way through its steps. Knows no stage, unit or event: `flow` joins the two.

An item is a number from 1 on, in the order of the source. What waits for a step is its queue, never longer than its
buffer; a call does the step with a few items in one of its slots. Items that are done and do not fit into the next
queue stay in their slot, which takes no new ones until then, though its call is over and its units are given back: so
nobody holds and waits. The next step takes them from there too, so a buffer of 0 is a hand-over.

An item that is tried again waits outside the slots (in them where the step is `ordered`, so that it keeps its place).
Before a step that is `ordered` items may have to wait for an earlier one, and fill every slot in its way. Then that
one goes first: it *overtakes*, by a call in a slot that only keeps what is done. So there is always a way on.

Only what is on its way is kept, and counts: the memory does not grow with the number of items.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from stagebook.model.value import NamedTuple
from stagebook.scheduler import ends
from stagebook.scheduler.lane import LATE, NOT_KILLED, STOPPED, Group, Lane, StepItems, StreamItems
from stagebook.scheduler.plan import PlannedEach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

#: At most so many items of a step wait outside its slots to be tried again; others wait in theirs.
RETRIES_MAX = 1024


class Failed(NamedTuple):
    """An item that is not tried again."""

    step: int
    item: int
    outcome: str
    exit: int | None
    reason: str | None


class Stream:
    """One `each` stage. `take` after `calls_wanted` has said that there is something to take."""

    __slots__ = (
        "asked",
        "dead",
        "finished",
        "first_dead",
        "has_order",
        "is_all",
        "known",
        "lanes",
        "last_serial",
        "plan",
        "retry_safe",
        "skipped",
        "soonest",
        "timer",
        "timer_at",
        "verdict",
    )

    def __init__(self, plan: PlannedEach, retry_safe: bool) -> None:
        self.plan = plan
        self.retry_safe = retry_safe
        self.lanes = [Lane(step, not index) for index, step in enumerate(plan.steps)]
        self.has_order = any(lane.order is not None for lane in self.lanes)
        self.known = 0
        self.skipped = 0
        self.is_all = False
        #: Items that the source has been asked for and has not brought.
        self.asked = 0
        self.finished = 0
        #: Items that failed for good and are on their way no longer, and the first of them, in words.
        self.dead = 0
        self.first_dead = ""
        self.last_serial = 0
        #: How the stage ends once its calls have: outcome and reason.
        self.verdict: tuple[str, str | None] | None = None
        #: When something is due next that no timer stands for yet (-1: nothing), and the live timer.
        self.soonest = -1
        self.timer = ""
        self.timer_at = -1

    def open(self, now: int) -> None:
        """An attempt of the stage begins, the first or another one: what was on its way goes on."""
        self.verdict = None
        self.asked = 0
        for lane in self.lanes:
            lane.failed -= lane.put_back
            lane.put_back = 0
        self.timer = ""
        self.late(now)

    @property
    def calls(self) -> int:
        return sum([lane.calls for lane in self.lanes])

    @property
    def on_way(self) -> int:
        return self.known - self.finished - self.dead

    @property
    def is_through(self) -> bool:
        return self.is_all and self.known == self.finished + self.dead

    def wants(self) -> int:
        """How many more items the source is to be asked for now; they count as asked. Not one by one where the buffer
        is larger."""
        if self.is_all:
            return 0
        lane = self.lanes[0]
        limit = lane.buffer or (lane.plan.batch if lane.free else 0)
        more = limit - lane.queued - self.asked
        if more <= 0 or more * 2 < limit:
            return 0
        self.asked += more
        return more

    def ready(self, more: int, is_all: bool, skipped: int) -> None:
        first = self.known + 1
        self.known += more
        self.asked -= more
        self.skipped += skipped
        if is_all:
            self.is_all = True
            self.asked = 0
        items = range(first, first + more)
        for lane in self.lanes:
            if lane.order is not None:
                lane.order.update(dict.fromkeys(items))
        self._queue(self.lanes[0], items)

    def _queue(self, lane: Lane, items: Sequence[int]) -> None:
        if lane.order is None:
            lane.queue.extend(items)
        else:
            lane.there.update(items)
        lane.queued += len(items)
        if lane.queued > lane.queue_max:
            lane.queue_max = lane.queued

    # What can start

    def calls_wanted(self, step: int, now: int) -> int:
        """How many calls of the step could start now, were there units. Each of as many `take` finds something."""
        lane = self.lanes[step]
        free = lane.spare + len(lane.idle)
        wanted = 0
        if free <= 0:
            if not (lane.slots_again or lane.overtakes):
                return 0
        else:
            if lane.order is None:
                there = lane.queued + (len(self.lanes[step - 1].kept) if step else 0)
                if there:
                    wanted = there if lane.plan.batch == 1 else -(-there // lane.plan.batch)
            elif lane.order and self._is_there(step, next(iter(lane.order))):
                wanted = 1
            if lane.again:
                wanted += sum([group[0] <= now for group in lane.again[:free]])
            if wanted > free:
                wanted = free
        if lane.slots_again:
            wanted += sum([slot.again[0][0] <= now for slot in lane.slots if slot.again and not slot.items])
        if lane.overtakes:
            wanted += 1
        # Slots that keep something may be more than there are workers now.
        if wanted > lane.workers - lane.calls:
            wanted = max(0, lane.workers - lane.calls)
        return wanted

    def _is_there(self, step: int, item: int) -> bool:
        """An ordered step could take the item now."""
        return item in self.lanes[step].there or (step > 0 and item in self.lanes[step - 1].kept)

    def look_for_overtaking(self, now: int) -> None:
        """Where an ordered step waits for an item that stands before slots which all keep others: that one goes first.

        Everything that such slots keep comes after it in the order, or it would not be waited for."""
        for lane in self.lanes:
            lane.overtakes = 0
        for ordered in range(1, len(self.lanes)):
            lane = self.lanes[ordered]
            if not lane.order or not lane.free:
                continue
            item = next(iter(lane.order))
            if self._is_there(ordered, item):
                continue
            for step in range(ordered):
                before = self.lanes[step]
                if before.free or not any(slot.kept and not slot.items for slot in before.slots):
                    continue
                if self._waits_at(step, item, now):
                    before.overtakes = item

    def _waits_at(self, step: int, item: int, now: int) -> bool:
        lane = self.lanes[step]
        return (
            item in lane.there
            or item in lane.queue
            or (step > 0 and item in self.lanes[step - 1].kept)
            or any(item in group[4] and group[0] <= now for group in lane.again)
        )

    def take(self, step: int, now: int) -> tuple[int, tuple[int, ...], int]:
        """Begin a call: its slot, its items, and the number of the attempt."""
        lane = self.lanes[step]
        group = None
        if lane.slots_again:
            for number, slot in enumerate(lane.slots):
                if slot.again and not slot.items and slot.again[0][0] <= now:
                    group = heappop(slot.again)
                    lane.slots_again -= not slot.again
                    return self._begin(step, number, group[4], group[2], group[3], now)
        if lane.free:
            if lane.again and lane.again[0][0] <= now:
                group = heappop(lane.again)
                lane.again_count -= len(group[4])
                return self._begin(step, heappop(lane.idle), group[4], group[2], group[3], now)
            items = self._next_items(step)
            return self._begin(step, heappop(lane.idle), items, 0, 0, now)
        item, lane.overtakes = lane.overtakes, 0
        number = next((at for at, slot in enumerate(lane.slots) if slot.kept and not slot.items), -1)
        if number < 0:
            number = heappop(lane.idle)
        for group in lane.again:
            if item in group[4]:
                lane.again.remove(group)
                heapify(lane.again)
                lane.again_count -= len(group[4])
                return self._begin(step, number, group[4], group[2], group[3], now)
        if lane.order is not None:
            del lane.order[item]
        if not self._took_queued(lane, item):
            self._leave_slot(step - 1, item)
        elif step:
            self._move_up(step)
        return self._begin(step, number, (item,), 0, 0, now)

    def _took_queued(self, lane: Lane, item: int) -> bool:
        if lane.order is None:
            if item not in lane.queue:
                return False
            lane.queue.remove(item)
        elif item in lane.there:
            lane.there.remove(item)
        else:
            return False
        lane.queued -= 1
        return True

    def _next_items(self, step: int) -> tuple[int, ...]:
        """Up to a batch or a lot of what waits: the queue first, then what the slots of the step before keep."""
        lane = self.lanes[step]
        kept = self.lanes[step - 1].kept if step else None
        most = lane.most
        if most > lane.plan.batch:
            most = self._lot(step, lane.queued + (len(kept) if kept else 0))
        if lane.order is not None:
            items: list[int] = []
            while lane.order and len(items) < most:
                item = next(iter(lane.order))
                if not self._took_queued(lane, item):
                    if not kept or item not in kept:
                        break
                    self._leave_slot(step - 1, item)
                del lane.order[item]
                items.append(item)
        else:
            popleft = lane.queue.popleft
            count = lane.queued
            if count > most:
                count = most
            items = [popleft()] if count == 1 else [popleft() for _ in range(count)]
            lane.queued -= count
            while kept and len(items) < most:
                item = next(iter(kept))
                self._leave_slot(step - 1, item)
                items.append(item)
        if kept:
            self._move_up(step)
        return tuple(items)

    def _lot(self, step: int, there: int) -> int:
        """Free workers share what is there, and no call makes more than may wait behind it."""
        lane = self.lanes[step]
        most = min(lane.most, -(-there // lane.free), max(1, lane.buffer))
        return most if step + 1 == len(self.lanes) else min(most, max(1, self.lanes[step + 1].buffer))

    def _begin(
        self, step: int, number: int, items: tuple[int, ...], attempt: int, granted: int, now: int
    ) -> tuple[int, tuple[int, ...], int]:  # fmt: skip
        lane = self.lanes[step]
        slot = lane.slots[number]
        slot.items = items
        slot.attempt = attempt + 1
        slot.granted = granted
        slot.killed = NOT_KILLED
        lane.calls += 1
        lane.retried += attempt > 0
        if lane.plan.timeout_ms is not None:
            slot.deadline = now + lane.plan.timeout_ms
            self._due(slot.deadline)
        return number, items, attempt + 1

    def _leave_slot(self, step: int, item: int) -> None:
        """What a slot has kept is taken out of it."""
        lane = self.lanes[step]
        number = lane.kept.pop(item)
        lane.slots[number].kept -= 1
        self._rest(lane, number)

    def _rest(self, lane: Lane, number: int) -> None:
        slot = lane.slots[number]
        if not (slot.kept or slot.items or slot.again):
            heappush(lane.idle, number)

    def _move_up(self, step: int) -> None:
        """Fill the queue of the step with what the slots before it keep."""
        lane, before = self.lanes[step], self.lanes[step - 1]
        while before.kept and lane.queued < lane.buffer:
            item = next(iter(before.kept))
            self._leave_slot(step - 1, item)
            self._queue(lane, (item,))

    # What calls come to

    def done(
        self, step: int, number: int, bad: tuple[tuple[int, str, int | None, str | None], ...], now: int
    ) -> list[Failed]:
        """A call is over. Returns the items that are not tried again."""
        lane = self.lanes[step]
        slot = lane.slots[number]
        items: Sequence[int] = slot.items
        slot.items = ()
        slot.deadline = -1
        lane.calls -= 1
        failed: list[Failed] = []
        if bad:
            named = {item for item, *_ in bad}
            items = [item for item in items if item not in named]
            failed = self._went_bad(step, number, bad, now)
        lane.done += len(items)
        if step + 1 == len(self.lanes):
            self.finished += len(items)
        elif items:
            after = self.lanes[step + 1]
            room = after.buffer - after.queued
            if room > 0:
                self._queue(after, items[:room])
                items = items[room:]
            for item in items:
                lane.kept[item] = number
            slot.kept += len(items)
        self._rest(lane, number)
        return failed

    def _went_bad(
        self, step: int, number: int, bad: tuple[tuple[int, str, int | None, str | None], ...], now: int
    ) -> list[Failed]:
        """Tried again at once (interrupted: costs nothing), after its backoff, or never."""
        lane = self.lanes[step]
        slot = lane.slots[number]
        plan = lane.plan
        at_once: list[int] = []
        later: list[int] = []
        failed: list[Failed] = []
        is_stopped = slot.killed == STOPPED
        for item, outcome, exit, reason in bad:
            if slot.killed == LATE and reason != "interrupted":
                outcome = "timeout"
            is_cut = is_stopped or outcome == "cancellation" or (outcome == "error" and reason == "interrupted")
            if is_cut and (is_stopped or self.retry_safe):
                at_once.append(item)
                continue
            is_due = self.retry_safe and slot.attempt < plan.attempts + slot.granted
            if is_due and (not plan.retry_only or ends.matches(plan.retry_only, outcome, exit, None)):
                later.append(item)
            else:
                failed.append(Failed(step, item, outcome, exit, reason))
        if at_once:
            self._again(lane, number, now, slot.attempt, slot.granted + 1, at_once)
        if later:
            delays = plan.delays_ms
            delay = delays[min(slot.attempt, len(delays)) - 1] if delays else 0
            self._again(lane, number, now + delay, slot.attempt, slot.granted, later)
            if delay:
                self._due(now + delay)
        for one in failed:
            self._give_up(one, number, now)
        return failed

    def _give_up(self, one: Failed, number: int, now: int) -> None:
        """An item has failed for good: it is left out, or it stops the stage and keeps its place."""
        lane = self.lanes[one.step]
        lane.failed += 1
        said = f"item {one.item} failed in {lane.plan.name} ({_how(one)})"
        if self.plan.on_failure == "stop":
            lane.put_back += 1
            self._again(lane, number, now, 0, 0, [one.item])
            if self.verdict is None:
                self.verdict = ("error" if one.outcome == "error" else "failure", said)
            return
        self.dead += 1
        self.first_dead = self.first_dead or said
        for later in self.lanes[one.step + 1 :]:
            if later.order is not None:
                later.order.pop(one.item, None)

    def _again(self, lane: Lane, number: int, due: int, attempt: int, granted: int, items: list[int]) -> None:
        self.last_serial += 1
        group = (due, self.last_serial, attempt, granted, tuple(items))
        if lane.plan.ordered or lane.again_count + len(items) > RETRIES_MAX:
            lane.slots_again += not lane.slots[number].again
            heappush(lane.slots[number].again, group)
        else:
            heappush(lane.again, group)
            lane.again_count += len(items)

    def suspend(self, now: int) -> list[int]:
        """Nobody knows the end of any call: their items are to be done again. Returns the steps of these calls."""
        steps = []
        for step, lane in enumerate(self.lanes):
            for number, slot in enumerate(lane.slots):
                if slot.items:
                    steps.append(step)
                    slot.killed = STOPPED
                    self.done(step, number, tuple([(item, "error", None, "interrupted") for item in slot.items]), now)
        return steps

    def said(self) -> str | None:
        """What is to be told of a stage that has ended well."""
        if not self.dead:
            return None if self.known or self.skipped else "no items"
        kept = "left out" if self.plan.on_failure == "skip" else "dead letters"
        return f"{self.dead} of {self.known} items {kept}; {self.first_dead}"

    # Time

    def _due(self, at: int) -> None:
        if self.soonest < 0 or at < self.soonest:
            self.soonest = at

    def _groups(self) -> list[Group]:
        groups = []
        for lane in self.lanes:
            groups += lane.again
            if lane.slots_again:
                for slot in lane.slots:
                    groups += slot.again
        return groups

    def late(self, now: int) -> list[tuple[int, int]]:
        """The calls that are over their time, by step and slot, marked as killed; and finds out what is due next."""
        found = []
        self.soonest = -1
        for step, lane in enumerate(self.lanes):
            for number, slot in enumerate(lane.slots):
                if slot.deadline >= 0 and not slot.killed:
                    if slot.deadline <= now:
                        slot.killed = LATE
                        found.append((step, number))
                    else:
                        self._due(slot.deadline)
        for group in self._groups():
            if group[0] > now:
                self._due(group[0])
        return found

    def running(self) -> list[tuple[int, int]]:
        return [
            (step, number)
            for step, lane in enumerate(self.lanes)
            for number, slot in enumerate(lane.slots)
            if slot.items
        ]

    # What is known

    def all_on_way(self) -> set[int]:
        found: set[int] = set()
        for lane in self.lanes:
            found.update(lane.queue, lane.there, lane.kept)
            for slot in lane.slots:
                found.update(slot.items)
        for group in self._groups():
            found.update(group[4])
        return found

    def items(self, lacks: list[str | None]) -> StreamItems:
        steps = []
        for lane, lack in zip(self.lanes, lacks):
            again = lane.again + [group for slot in lane.slots for group in slot.again]
            steps.append(
                StepItems(
                    lane.plan.name,
                    lane.workers,
                    lane.calls,
                    lane.queued,
                    lane.queue_max,
                    len(lane.kept),
                    sum(len(group[4]) for group in again),
                    lane.done,
                    lane.failed,
                    lane.retried,
                    lack,
                    lane.most,
                )
            )
        failed = sum(lane.failed for lane in self.lanes)
        return StreamItems(self.known, self.skipped, self.is_all, self.finished, failed, tuple(steps))

    def snapshot(self) -> tuple[object, ...]:
        return (
            (self.known, self.skipped, self.is_all, self.asked, self.finished, self.dead, self.first_dead),
            (self.last_serial, self.verdict, self.soonest, self.timer, self.timer_at),
            tuple(lane.snapshot() for lane in self.lanes),
        )

    def check(self) -> None:
        """Compare every redundant part with what it is derived from. For tests."""
        on_way = 0
        for step, lane in enumerate(self.lanes):
            on_way += lane.check()
            if lane.order is not None:
                assert list(lane.order) == sorted(lane.order), f"step {step}: out of order"
        assert len(self.all_on_way()) == on_way, "an item is in two places"
        assert on_way == self.on_way, f"{on_way} items are somewhere, {self.on_way} should be"


def _how(one: Failed) -> str:
    if one.outcome == "failure" and one.exit is not None:
        return f"exit {one.exit}"
    return one.outcome if one.reason is None else f"{one.outcome}: {one.reason}"
