"""One step of a stream: its queue, its slots, its counts; and what is told of it. What moves items is in `stream`."""

from __future__ import annotations

from collections import OrderedDict, deque

from stagebook.model.value import NamedTuple
from stagebook.scheduler.plan import PlannedStep

#: Items to be tried again: (due, serial, attempts made, attempts granted, items).
Group = tuple[int, int, int, int, tuple[int, ...]]

#: Why a call was told to end.
NOT_KILLED, LATE, STOPPED = range(3)


class StepItems(NamedTuple):
    """Where the items of a step are, and what has become of the others. `lacks` is the pool that its next call waits
    for (as in `Books.waiting`), None if it waits for none."""

    step: str
    workers: int
    running: int
    queued: int
    queue_max: int  #: the most that were queued at once
    kept: int  #: done, and do not fit into the next queue
    again: int  #: wait to be tried again
    done: int
    failed: int
    retried: int  #: calls that tried items again
    lacks: str | None = None
    most: int = 1  #: items in a call


class StreamItems(NamedTuple):
    """`known` items have come so far, `skipped` were found to need nothing; no other comes if `is_all`."""

    known: int
    skipped: int
    is_all: bool
    done: int
    failed: int
    steps: tuple[StepItems, ...]


class Slot:
    """`items` are in the call that runs, if one does; `kept` are done and do not fit; `again` wait to be tried here."""

    __slots__ = ("again", "attempt", "deadline", "granted", "items", "kept", "killed")

    def __init__(self) -> None:
        self.items: tuple[int, ...] = ()
        self.attempt = 0
        self.granted = 0
        self.deadline = -1
        self.killed = NOT_KILLED
        self.kept = 0
        self.again: list[Group] = []


class Lane:
    """One step: its queue, its slots, its counts."""

    __slots__ = (
        "again",
        "again_count",
        "buffer",
        "calls",
        "done",
        "failed",
        "idle",
        "kept",
        "most",
        "order",
        "overtakes",
        "plan",
        "put_back",
        "queue",
        "queue_max",
        "queued",
        "retried",
        "slots",
        "slots_again",
        "spare",
        "there",
        "workers",
    )

    def __init__(self, plan: PlannedStep, is_first: bool) -> None:
        self.plan = plan
        self.slots = [Slot() for _ in range(max(plan.workers, plan.workers_max))]
        self.set_workers(plan.workers)
        #: Slots that neither run nor keep anything, as a heap.
        self.idle = list(range(len(self.slots)))
        self.calls = 0
        self.set_lot(1)
        #: All that it has not taken yet, in the order of the source, where it must put them into this order. The first
        #: step gets them so anyway.
        self.order: OrderedDict[int, None] | None = OrderedDict() if plan.ordered and not is_first else None
        #: Items that wait: by arrival, or (`there`) in no order where `order` has it.
        self.queue: deque[int] = deque()
        self.there: set[int] = set()
        self.queued = 0
        #: Items that are done and do not fit into the next queue, by their end, with their slot.
        self.kept: dict[int, int] = {}
        #: Heaps of groups to be tried again: outside the slots with their items counted; and how many slots have some.
        self.again: list[Group] = []
        self.again_count = 0
        self.slots_again = 0
        #: The item that goes first, by a call in a slot that keeps others; 0 if none.
        self.overtakes = 0
        self.done = 0
        self.failed = 0
        self.retried = 0
        self.queue_max = 0
        #: Of the failed, those that stopped the stage: another attempt of it would try them again.
        self.put_back = 0

    def set_workers(self, workers: int) -> None:
        self.workers = workers
        #: With the number of idle slots added: how many more may be taken.
        self.spare = workers - len(self.slots)

    def set_lot(self, lot: int) -> None:
        #: So many items are in a call, at most, and wait for the step.
        self.most = max(self.plan.batch, lot)
        self.buffer = max(self.plan.buffer, 2 * len(self.slots) * lot) if self.plan.grows else self.plan.buffer

    @property
    def free(self) -> int:
        """How many more slots may be taken."""
        return max(0, self.spare + len(self.idle))

    def snapshot(self) -> tuple[object, ...]:
        return (
            (
                self.workers,
                self.most,
                self.calls,
                tuple(self.queue),
                tuple(sorted(self.there)),
                tuple(self.kept.items()),
            ),
            (None if self.order is None else tuple(self.order), self.overtakes, tuple(sorted(self.again))),
            (self.done, self.failed, self.retried, self.queue_max, self.put_back),
            tuple(
                (slot.items, slot.attempt, slot.granted, slot.deadline, slot.killed, tuple(sorted(slot.again)))
                for slot in self.slots
            ),
        )

    def check(self) -> int:
        """Compare what is counted with what it is counted from; how many items are here."""
        name = self.plan.name
        assert self.queued == len(self.queue) + len(self.there), f"{name}: items queued"
        assert self.calls == sum(bool(slot.items) for slot in self.slots), f"{name}: calls that run"
        assert self.again_count == sum(len(group[4]) for group in self.again), f"{name}: items to be tried again"
        assert self.slots_again == sum(bool(slot.again) for slot in self.slots), f"{name}: slots that try again"
        kept = [list(self.kept.values()).count(number) for number in range(len(self.slots))]
        assert kept == [slot.kept for slot in self.slots], f"{name}: items that slots keep"
        idle = [at for at, slot in enumerate(self.slots) if not (slot.items or slot.kept or slot.again)]
        assert sorted(self.idle) == idle, f"{name}: idle slots"
        in_slots = [len(slot.items) + sum(len(group[4]) for group in slot.again) for slot in self.slots]
        return self.queued + len(self.kept) + self.again_count + sum(in_slots)
