"""How an `each` stage goes: its stream joined to the line, to kills and to timers. Where items are: `stream`.

The stage itself holds nothing but what runs share, and gets a `Start` like any other, upon which the driver opens its
source. It ends when all its items are through, or, once an item has stopped it or it is told to end, when its last
call is over. It gets no `Kill`: its calls get `KillItems`. What is on its way then is kept, and goes on if another
attempt of the stage begins.
"""

from __future__ import annotations

from stagebook.model.problem import DefectError
from stagebook.scheduler.course import ATTEMPT_TIMEOUT, LAST_TIMEOUT, RUN_TIMEOUT, STAGE_TIMEOUT, Course, record
from stagebook.scheduler.lane import STOPPED, Lane, StreamItems
from stagebook.scheduler.moves import KILLING, RUNNING, STATES, SUCCESS
from stagebook.scheduler.stream import Stream
from stagebook.scheduler.vocabulary import (
    ItemFailed,
    ItemsDone,
    ItemsLot,
    ItemsReady,
    ItemsWorkers,
    KillItems,
    StartItems,
    WantItems,
)


class DriverError(DefectError):
    """The driver said what cannot be. Its journal is not to be trusted further."""


class Flow(Course):
    """The moves of items."""

    __slots__ = ()

    def _stream(self, stage: int) -> Stream:
        stream = self._streams.get(stage)
        if stream is None:
            raise DriverError(f"stage {stage} has no items")
        return stream

    def _open_stream(self, stage: int) -> None:
        self._streams[stage].open(self._now)
        self._stirred.add(stage)

    def _items_ready(self, event: ItemsReady) -> None:
        """What a source brings after the end of the stage is nobody's: its next attempt opens it anew."""
        stage = event.stage
        stream = self._stream(stage)
        if event.more < 0 or event.skipped < 0:
            raise DriverError(f"stage {stage} cannot have {event.more} more items")
        if self._state[stage] != RUNNING and self._state[stage] != KILLING:
            return
        if event.more > stream.asked:
            raise DriverError(f"stage {stage} was asked for {stream.asked} items and brings {event.more}")
        stream.ready(event.more, event.is_last, event.skipped)
        self._stirred.add(stage)

    def _items_done(self, event: ItemsDone) -> None:
        stage, step = event.stage, event.step
        stream = self._stream(stage)
        if not 0 <= step < len(stream.lanes) or not 0 <= event.slot < len(stream.lanes[step].slots):
            raise DriverError(f"stage {stage} has no slot {event.slot} of step {step}")
        items = stream.lanes[step].slots[event.slot].items
        if not items:
            return
        if event.bad and not {one[0] for one in event.bad} <= set(items):
            raise DriverError(f"the call in slot {event.slot} of step {step} of stage {stage} has other items")
        failed = stream.done(step, event.slot, event.bad, self._now)
        line = self._line
        line.release(line.demand_of[line.steps_of[stage] + step])
        for one in failed:
            self._out.append(ItemFailed(stage, *one))
        if failed and stream.verdict is not None and self.plan.policy == "fail-fast":
            self._kill_calls(stage, stream, "cancelled", now=False)
        self._stirred.add(stage)

    def _lane(self, event: ItemsWorkers | ItemsLot) -> Lane:
        lanes = self._stream(event.stage).lanes
        if not 0 <= event.step < len(lanes):
            raise DriverError(f"stage {event.stage} has no step {event.step}")
        return lanes[event.step]

    def _set_workers(self, event: ItemsWorkers) -> None:
        lane = self._lane(event)
        if not 1 <= event.workers <= len(lane.slots):
            raise DriverError(f"step {event.step} of stage {event.stage} cannot have {event.workers} workers")
        lane.set_workers(event.workers)
        self._stirred.add(event.stage)

    def _set_lot(self, event: ItemsLot) -> None:
        lane = self._lane(event)
        if not 1 <= event.lot <= lane.plan.lot_max:
            raise DriverError(f"step {event.step} of stage {event.stage} cannot take {event.lot} items at once")
        lane.set_lot(event.lot)
        self._stirred.add(event.stage)

    def _source_ended(self, stage: int, outcome: str, reason: str | None) -> None:
        """Something other than its items ends an `each` that runs: its source has failed, or the disk is full. What is
        done of its items stays done."""
        if STATES[outcome] == SUCCESS:
            raise DriverError(f"stage {stage} ends well by its items only")
        if self._state[stage] == RUNNING:
            stream = self._streams[stage]
            if stream.verdict is None:
                stream.verdict = (outcome, reason)
            self._stirred.add(stage)

    def _suspend(self, stage: int) -> None:
        """The end of all calls of an `each` is unknown, as that of the attempt is."""
        for step in self._streams[stage].suspend(self._now):
            self._line.release(self._line.demand_of[self._line.steps_of[stage] + step])
        self._stirred.add(stage)

    def _kill(self, stage: int, cause: int, now: bool = False) -> None:
        stream = self._streams.get(stage) if self._streams else None
        if stream is None:
            super()._kill(stage, cause, now)
            return
        if self._state[stage] == RUNNING:
            self._move(stage, KILLING)
        self._killing[stage] = cause
        is_late = cause in (ATTEMPT_TIMEOUT, LAST_TIMEOUT, STAGE_TIMEOUT, RUN_TIMEOUT)
        self._kill_calls(stage, stream, "timeout" if is_late else "cancelled", now)
        self._stirred.add(stage)

    def _kill_calls(self, stage: int, stream: Stream, why: str, now: bool) -> None:
        """Their items are not tried for it: they are to be done again if the stage is."""
        for step, slot in stream.running():
            stream.lanes[step].slots[slot].killed = STOPPED
            self._out.append(KillItems(stage, step, slot, why, now))

    def _items_timer(self, stage: int, timer: str) -> None:
        stream = self._streams[stage]
        if timer != stream.timer:
            return
        stream.timer = ""
        for step, slot in stream.late(self._now):
            self._out.append(KillItems(stage, step, slot, "timeout", False))
        self._stirred.add(stage)

    def _start_items(self, number: int) -> None:
        """The line has chosen a step."""
        stage, step = self._line.step_at(number)
        slot, items, attempt = self._streams[stage].take(step, self._now)
        self._out.append(record(StartItems, (stage, step, slot, items, attempt)))
        self._stirred.add(stage)

    def _stir(self) -> None:
        """After whatever has happened to streams: end those that are over, and say what others could start and want.
        The end of one may stop others: nothing of these must be in the line when it chooses."""
        while self._stirred:
            stage = min(self._stirred) if len(self._stirred) > 1 else next(iter(self._stirred))
            self._stirred.discard(stage)
            stream = self._streams[stage]
            state = self._state[stage]
            is_going = state == RUNNING and stream.verdict is None and not stream.is_through
            if is_going:
                self._go_on(stage, stream)
                continue
            if state == RUNNING:
                self._arm_items(stage, stream)
            first = self._line.steps_of[stage]
            for step in range(len(stream.lanes)):
                self._line.want(first + step, 0)
            if state in (RUNNING, KILLING) and not stream.calls:
                self._end_stream(stage, stream)

    def _go_on(self, stage: int, stream: Stream) -> None:
        now = self._now
        want = self._line.want
        first = self._line.steps_of[stage]
        if stream.has_order:
            stream.look_for_overtaking(now)
        is_any = False
        for step in range(len(stream.lanes)):
            calls = stream.calls_wanted(step, now)
            want(first + step, calls)
            is_any = is_any or calls > 0
        more = stream.wants()
        if more:
            self._out.append(record(WantItems, (stage, more)))
        self._arm_items(stage, stream)
        if not (is_any or stream.asked or stream.timer or stream.calls):
            raise DefectError("no item can move and more are on their way: this is a bug in the scheduler")

    def _arm_items(self, stage: int, stream: Stream) -> None:
        """One timer for whatever is due next, so that timers do not become as many as items."""
        if stream.soonest >= 0 and (not stream.timer or stream.soonest < stream.timer_at):
            stream.timer_at = stream.soonest
            stream.timer = self._set_timer(f"items:{stage}", stream.soonest - self._now)
        stream.soonest = -1

    def _end_stream(self, stage: int, stream: Stream) -> None:
        """No call of it runs any more."""
        self._active -= 1
        self._line.release(self._line.demand_of[stage])
        if self._state[stage] == KILLING:
            self._end_killed(stage)
        elif stream.verdict is not None:
            self._end(stage, STATES[stream.verdict[0]], stream.verdict[1])
        else:
            self._end(stage, SUCCESS, stream.said())
        if self._settling:
            self._settle()

    def _end_killed(self, stage: int) -> None:
        """The outcome was decided with the kill."""
        raise NotImplementedError

    def calls(self, stage: int) -> list[tuple[int, int, tuple[int, ...], int]]:
        """The calls of an `each` that run: step, slot, items and number of the attempt."""
        lanes = self._streams[stage].lanes
        found = []
        for step, number in self._streams[stage].running():
            slot = lanes[step].slots[number]
            found.append((step, number, slot.items, slot.attempt))
        return found

    def wants(self, stage: int) -> int:
        """How many items the source of an `each` was asked for and has not brought."""
        return self._streams[stage].asked

    def on_way(self, stage: int) -> set[int]:
        """The items of an `each` that have come, and are neither done nor failed for good."""
        return self._streams[stage].all_on_way()

    def items(self, stage: int) -> StreamItems:
        """What has become of the items of an `each` so far."""
        stream = self._streams[stage]
        line = self._line
        first = line.steps_of[stage]
        numbers = range(first, first + len(stream.lanes))
        return stream.items([line.lacks(number) if line.queued[number] else None for number in numbers])
