"""The machine driven by whoever has news for it: the thread that draws items, those that do steps, and the loop that
takes what comes out. Threads and processes are begun and ended here; what goes where and when is the machine's.

The machine sees blocks of items. A block grows as long as it takes less than a millisecond in the slowest step, so slow
items go one by one and quick ones cost next to nothing. Which items it has is settled when the first step takes it:
until then what is drawn joins it, and nothing waits for a block to be full.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from itertools import islice
from queue import SimpleQueue
from time import monotonic, perf_counter

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.vocabulary import (
    Began,
    Event,
    ItemFailed,
    ItemsDone,
    ItemsReady,
    RunEnded,
    SetTimer,
    StartItems,
    TimerFired,
    WantItems,
)
from stagebook.streaming.block import Block, unpacked
from stagebook.streaming.process import Process
from stagebook.streaming.shape import Step, failed_at, plan_of
from stagebook.streaming.work import parts_of, tried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator, Sequence

    from stagebook.streaming.block import Errors
    from stagebook.streaming.shape import OnFailure

BLOCK_S = 0.001  #: so long a block should take at most in the slowest step
BLOCK_MAX = 4096
SURPRISE_S = 0.01  #: what took longer was not just a thread that had to wait for others
AT_HAND = (list, tuple, range, str, bytes, set, frozenset, dict)  #: drawing from these never waits
LEAVE_S = 1.0  #: how long to wait for functions that are under way when the loop is left
SOURCE_LEAVE_S = 0.2  #: and for an item that is


class _Slot:
    """A worker of a step, and the thread that it has once it is needed."""

    __slots__ = ("calls", "number", "parts", "process", "step", "thread")

    def __init__(self, step: int, number: int, process: Process | None) -> None:
        self.step = step
        self.number = number
        self.process = process
        self.calls: SimpleQueue[tuple[tuple[int, ...], list[Block], int] | None] = SimpleQueue()
        self.thread: threading.Thread | None = None
        self.parts: Iterator[Any] | None = None


class Drive:
    """One stream. Threads hold it, and it holds nothing of the loop: so a loop that is left can be noticed."""

    def __init__(
        self, items: Iterable[Any], steps: Sequence[Step], ordered: bool, on_failure: OnFailure
    ) -> None:  # fmt: skip
        self.out: SimpleQueue[tuple[int, Block] | None] = SimpleQueue()
        self.error: BaseException | None = None
        self._steps = steps
        self._stops = on_failure == "stop"
        self._machine = Machine(plan_of(steps, ordered, on_failure))
        self._began_s = monotonic()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._is_over = False
        self._is_through = False  #: to the last item
        self._timers: list[threading.Timer] = []
        self._slots = [[self._slot(at, slot) for slot in range(each.workers)] for at, each in enumerate(steps)]
        self._blocks: dict[int, Block] = {}
        #: What is drawn and in no block yet; blocks that the machine knows of and nobody has taken; items in blocks.
        self._drawn: deque[Any] = deque()
        self._known = 0
        self._taken = 0
        self._wanted = 0
        self._size = 1
        #: Blocks on their way, those that nobody has taken included.
        self._on_way = 0
        self._is_told = False
        #: Seconds a value takes: drawn, in each step, in the loop. None: not known yet.
        self._cost: list[float | None] = [None] * (len(steps) + 2)
        #: Items that are at hand are drawn into their block, and nobody has to wait for them: so many are left.
        self._left = len(items) if type(items) in AT_HAND else None  # type: ignore[arg-type]
        self._is_drawn = self._left is not None
        self._source = iter(items)
        self._drawing = threading.Thread(target=self._draw, name="stream items", daemon=True)

    def begin(self) -> None:
        with self._lock:
            self._feed(Began(0))
            if self._left is None:
                self._drawing.start()
            for slots in self._slots:  # a process takes long to begin
                if slots[0].process is not None and not self._is_over:
                    self._hire(slots[0])

    def given(self, number: int, block: Block, took_s: float) -> None:
        """The loop has taken all of a block."""
        with self._lock:
            self._weigh(len(self._steps) + 1, block.count, took_s)
            if block.count >= self._size:
                self._size = self._fitting(2 * self._size)
            del self._blocks[number]
            self._on_way -= 1
            self._feed(ItemsDone(self._now(), 0, len(self._steps), 0))
            self._room.notify_all()

    def close(self) -> None:
        """End all threads and processes; what is in the middle of a function is waited for, but not long."""
        with self._lock:
            self._is_over = True
            self._room.notify_all()
        for timer in self._timers:
            timer.cancel()
        slots = [slot for each in self._slots for slot in each if slot.thread is not None]
        for slot in slots:
            slot.calls.put(None)
            if slot.parts is not None:
                deque(slot.parts, maxlen=0)
            if slot.process is not None and not self._is_through:
                slot.process.kill()
        until = monotonic() + LEAVE_S
        for thread in [*[slot.thread for slot in slots], *self._timers]:
            if thread is not None:
                thread.join(max(0.0, until - monotonic()))
        if self._drawing.ident is not None:
            self._drawing.join(SOURCE_LEAVE_S)

    # The machine, by whoever holds the lock -----------------------------------------------------------------------

    def _now(self) -> int:
        return int((monotonic() - self._began_s) * 1000)

    def _tell(self, event: Event) -> None:
        with self._lock:
            self._feed(event)

    def _feed(self, event: Event) -> None:
        if self._is_over:
            return
        self._obey(event)
        while (more := self._to_tell()) is not None:
            self._obey(more)

    def _obey(self, event: Event) -> None:
        for decision in self._machine.feed(event):
            if self._is_over:
                return
            kind = type(decision)
            if kind is StartItems:
                self._start(decision)  # type: ignore[arg-type]
            elif kind is WantItems:
                self._wanted += decision.more  # type: ignore[union-attr]
                self._room.notify_all()
            elif kind is SetTimer:
                self._set_timer(decision)  # type: ignore[arg-type]
            elif kind is ItemFailed:
                self._end(self._blocks[decision.item].trouble)  # type: ignore[union-attr]
            elif kind is RunEnded:
                self._is_through = True
                self._end(None)

    def _start(self, decision: StartItems) -> None:
        blocks = [self._blocks.get(item) or self._taken_up(item) for item in decision.items]
        if decision.step == len(self._steps):
            self.out.put((decision.items[0], blocks[0]))
            return
        slot = self._slots[decision.step][decision.slot]
        slot.calls.put((decision.items, blocks, decision.attempt))
        self._hire(slot)

    def _hire(self, slot: _Slot) -> None:
        if slot.thread is None:
            name = f"stream {self._steps[slot.step].name}"
            slot.thread = threading.Thread(target=self._work, args=(slot,), name=name, daemon=True)
            slot.thread.start()

    def _end(self, error: BaseException | None) -> None:
        """Whatever has come out by now is still given."""
        if not self._is_over:
            self._is_over = True
            self.error = self.error or error
            self._room.notify_all()
            self.out.put(None)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if not self._is_over:
                self.error = error
                self._end(error)

    def _set_timer(self, decision: SetTimer) -> None:
        def fire() -> None:
            self._tell(TimerFired(max(self._now(), decision.at), decision.timer))

        timer = threading.Timer(max(0.0, (decision.at - self._now()) / 1000), fire)
        timer.daemon = True
        timer.name = "stream timer"
        self._timers = [each for each in self._timers if each.is_alive()] + [timer]
        timer.start()

    # Items become blocks ------------------------------------------------------------------------------------------

    def _to_tell(self) -> ItemsReady | None:
        """What the machine is to know of items, if anything. Each block that it knows of finds an item at least."""
        there = len(self._drawn) if self._left is None else self._left
        if there > self._known and self._may_be_more():
            if not self._known or there > self._known * self._size:
                self._known += 1
                self._on_way += 1
                self._wanted -= 1
                return ItemsReady(self._now(), 0, 1)
        if not there and self._is_drawn and not self._is_told:
            self._is_told = True
            return ItemsReady(self._now(), 0, 0, True)
        return None

    def _may_be_more(self) -> bool:
        """A batch is as many values whatever a block has: so the larger blocks are, the fewer are on their way."""
        if self._wanted <= 0:
            return False
        most = 3
        for each in self._steps:
            most += each.workers + (each.buffer if each.batch == 1 else 2 * each.workers - (-each.batch // self._size))
        return self._on_way < most

    def _taken_up(self, number: int) -> Block:
        """The first step takes a block: from here on it is as it is."""
        self._known -= 1
        if self._left is None:
            many = min(self._size, len(self._drawn) - self._known)
            popleft = self._drawn.popleft
            items = [popleft() for _ in range(many)]
            self._room.notify_all()
        else:
            many = min(self._size, self._left - self._known)
            items = list(islice(self._source, many))
            self._left -= many
        block = self._blocks[number] = Block(self._taken, items)
        self._taken += many
        return block

    def _room_for(self) -> int:
        """How many items may be drawn, once some may; 0: no more ever."""
        with self._lock:
            while not self._is_over:
                room = (self._known + self._may_be_more()) * self._size - len(self._drawn)
                if room > 0:
                    return room
                self._room.wait()
        return 0

    def _draw(self) -> None:
        error: BaseException | None = None
        try:
            while room := self._room_for():
                began = perf_counter()
                many = self._draw_some(room)
                took = perf_counter() - began
                with self._lock:
                    self._weigh(0, many, took)
                    self._is_drawn = many < room
                    self._feed_drawn()
                if many < room:
                    break
        except BaseException as raised:
            error = raised
        with self._lock:
            if error is not None and not self._is_over:
                self.error = error
            self._is_drawn = True
            self._feed_drawn()
        close = getattr(self._source, "close", None)
        if self._is_over and close is not None:
            close()

    def _draw_some(self, room: int) -> int:
        """Draw up to so many; fewer if there are no more."""
        many = 0
        append = self._drawn.append
        for value in islice(self._source, room):
            append(value)
            many += 1
            if not self._known:
                with self._lock:
                    self._feed_drawn()
            if self._is_over:
                return room
        return many

    def _feed_drawn(self) -> None:
        while not self._is_over and (event := self._to_tell()) is not None:
            self._obey(event)

    def _weigh(self, place: int, many: int, took_s: float) -> None:
        """A slow value is believed at once, if it was not just that other threads had their turn."""
        if not many:
            return
        cost, before = took_s / many, self._cost[place]
        if before is not None and cost > before and took_s < SURPRISE_S:
            cost = before + (cost - before) / 4
        self._cost[place] = cost
        self._size = self._fitting(self._size)

    def _fitting(self, size: int) -> int:
        slowest = max([cost for cost in self._cost if cost is not None], default=0.0)
        if slowest > 0:
            size = min(size, int(BLOCK_S / slowest))
        return max(1, min(size, BLOCK_MAX))

    # Steps --------------------------------------------------------------------------------------------------------

    def _slot(self, at: int, number: int) -> _Slot:
        step = self._steps[at]
        return _Slot(at, number, Process(step, self._is_cut(step)) if step.processes else None)

    def _is_cut(self, step: Step) -> bool:
        """The first error is the end of all."""
        return self._stops and step.attempts == 1

    def _work(self, slot: _Slot) -> None:
        # A process inherits this: Ctrl-C in a terminal reaches all, and is the loop's to notice.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            if slot.process is not None:
                slot.process.begin()
            while (call := slot.calls.get()) is not None and not self._is_over:
                numbers, blocks, attempt = call
                began = perf_counter()
                bad = self._do(slot, numbers, blocks, attempt)
                took = perf_counter() - began
                with self._lock:
                    self._weigh(1 + slot.step, sum(block.count for block in blocks), took)
                    self._feed(ItemsDone(self._now(), 0, slot.step, slot.number, bad))
        except BaseException as error:
            self._fail(error)
        finally:
            if slot.process is not None:
                slot.process.end()

    def _do(
        self, slot: _Slot, numbers: tuple[int, ...], blocks: list[Block], attempt: int
    ) -> tuple[tuple[int, str, int | None, str | None], ...]:  # fmt: skip
        """One call. Returns the blocks that are to be tried again, or have failed for good."""
        if len(blocks) == 1 and blocks[0].is_whole:
            results, errors = self._tried(slot, blocks[0].packed, blocks[0].count)
            if not errors:
                blocks[0].packed = results
                return ()
        else:
            values = [value for block in blocks for value in block.to_try()]
            results, errors = self._tried(slot, values, len(values))
        step = self._steps[slot.step]
        bad = []
        results = unpacked(results)
        first = end = 0
        for number, block in zip(numbers, blocks):
            first, end = end, end + block.open_count
            mine = {at - first: error for at, error in errors.items() if first <= at < end} if errors else {}
            found = block.took(results[first:end], mine)
            if not found:
                continue
            if attempt >= step.attempts and not self._stops:
                block.leave_out(step.name, found)
                continue
            place = min(found)
            block.trouble = failed_at(step.name, block.number(place), block.items[place], found[place])
            bad.append((number, "failure", None, None))
        return tuple(bad)

    def _tried(self, slot: _Slot, values: list[Any] | bytes, many: int) -> tuple[list[Any] | bytes, Errors]:
        step = self._steps[slot.step]
        if not many:
            return values, {}
        if slot.process is not None:
            return slot.process.tried(values, many)
        parts = slot.parts = parts_of(unpacked(values), step.batch)
        try:
            return tried(step.function, step.batch, parts, self._is_cut(step))
        finally:
            slot.parts = None
