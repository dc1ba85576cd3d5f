"""What became of the items of a stage, as its lines tell it: counts and sums, of which no number grows with the items.

Written by the engine as it goes, and by whoever reads a journal. Times are whole microseconds since the run began. In a
line of a journal a call is a row, `[step, slot, items, wall_us, cpu_us, bad]`, items as `17-19,42` in the order in
which the call had them and `bad` (left out where there is none) rows of number, outcome, exit and reason.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.record.busy import Busy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator, Sequence

FAILED_MAX = 100  #: so many items that failed are kept by name
TEXT_MAX = 200  #: of what an item is called so much stands beside its failure
LATENCIES_MAX = 2048  #: so many times of items are kept, evenly thinned out


class Bad(NamedTuple):
    item: int
    outcome: str
    exit: int | None
    reason: str | None


class Call(NamedTuple):
    """A call that is over."""

    step: int
    slot: int
    items: tuple[int, ...]
    wall_us: int
    cpu_us: int
    bad: tuple[Bad, ...] = ()

    def well(self) -> list[int]:
        """The items that went well."""
        wrong = {each.item for each in self.bad}
        return [item for item in self.items if item not in wrong]

    def row(self) -> list[Any]:
        """As a line has it."""
        made = [self.step, self.slot, spans(self.items), self.wall_us, self.cpu_us]
        return [*made, [list(each) for each in self.bad]] if self.bad else made


class FailedItem(NamedTuple):
    """`text` is what the item is, as a command sees it and at most `TEXT_MAX` characters; None where nobody knows."""

    item: int
    step: int
    outcome: str
    exit: int | None
    reason: str | None
    text: str | None = None


def call_of(row: Sequence[Any]) -> Call:
    """The inverse of `Call.row`. ValueError, TypeError or IndexError where it is none."""
    step, slot, items, wall_us, cpu_us, *more = row
    bad = tuple(Bad(*each) for each in more[0]) if more else ()
    return Call(step, slot, numbers(items), wall_us, cpu_us, bad)


def named(reason: str | None, failures: Iterable[FailedItem]) -> str | None:
    """The scheduler's words on an item that failed, with what the item is beside its number."""
    for failed in failures if reason is not None else ():
        number = f"item {failed.item} failed in "
        if failed.text not in (None, str(failed.item)) and number in str(reason):
            return str(reason).replace(number, f"item {failed.item} ({failed.text}) failed in ", 1)
    return reason


def spans(items: Iterable[int]) -> str:
    """`17-19,42`."""
    made: list[str] = []
    first = last = -1
    for item in items:
        if item != last + 1 or first < 0:
            if first >= 0:
                made.append(str(first) if first == last else f"{first}-{last}")
            first = item
        last = item
    if first >= 0:
        made.append(str(first) if first == last else f"{first}-{last}")
    return ",".join(made)


def numbers(text: str) -> tuple[int, ...]:
    """The inverse of `spans`. ValueError."""
    return tuple(_numbers(text))


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        if int(last or first) - int(first) > 1_000_000:
            raise ValueError("a call has no million items")
        yield from range(int(first), int(last or first) + 1)


class StepBook:
    """One step. `failed` are items that are not tried again, `tries` those that went wrong in a call."""

    __slots__ = ("busy", "calls", "cpu_us", "done", "failed", "queue_max", "slots", "tries", "wall_us", "workers")

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.busy = Busy(workers)
        self.calls = 0
        self.done = 0
        self.failed = 0
        self.tries = 0
        self.wall_us = 0
        self.cpu_us = 0
        self.queue_max = 0
        self.slots = 0  #: so many have done calls; each has a log


class ItemBook:
    """One stage."""

    __slots__ = (
        "_began", "_latencies", "_step_of_latencies", "done", "failed", "failures", "first_us", "is_all", "known",
        "last_us", "position", "skipped", "steps",
    )  # fmt: skip

    def __init__(self, workers: Sequence[int]) -> None:
        """`workers` are those of each step at the start."""
        self.steps = [StepBook(count) for count in workers]
        self.known = 0  #: items that have come, and are not up to date
        self.skipped = 0  #: that are
        self.done = 0
        self.failed = 0
        self.is_all = False
        self.position = 0  #: in the source, up to which it is read
        self.failures: list[FailedItem] = []  #: the first
        self.first_us: int | None = None
        self.last_us: int | None = None
        self._began: dict[int, int] = {}  #: when those that are on their way came
        self._latencies: list[int] = []
        self._step_of_latencies = 1

    def ready(self, us: int, more: int, skipped: int, is_all: bool, position: int) -> None:
        """More have come."""
        if self.first_us is None:
            self.first_us = us
            for book in self.steps:
                book.busy.begins(us)
        for number in range(self.known + 1, self.known + more + 1):
            self._began[number] = us
        self.known += more
        self.skipped += skipped
        self.is_all = self.is_all or is_all
        self.position = position

    def calls_over(self, us: int, calls: Iterable[Call], queue_max: Sequence[int] | None = None) -> None:
        """Calls are over; `queue_max` are the most that were queued before each step so far, where that is told."""
        last = len(self.steps) - 1
        spent: dict[tuple[int, int], int] = {}  # a worker does one call after the other, and has just done the last
        for step, slot, items, wall_us, cpu_us, bad in calls:
            spent[step, slot] = spent.get((step, slot), 0) + wall_us
            book = self.steps[step]
            if slot >= book.slots:
                book.slots = slot + 1
            book.calls += 1
            book.wall_us += wall_us
            book.cpu_us += cpu_us
            book.done += len(items) - len(bad)
            book.tries += len(bad)
            if step == last:
                self.done += len(items) - len(bad)
                wrong = {each.item for each in bad} if bad else ()
                for item in items:
                    if item not in wrong:
                        self._time(us - self._began.pop(item, us))
        for (step, _), wall_us in spent.items():
            self.steps[step].busy.ran(us - wall_us, us)
        self.last_us = us
        if queue_max is not None:
            self.queued(queue_max)

    def has_workers(self, step: int, workers: int, us: int) -> None:
        self.steps[step].workers = workers
        self.steps[step].busy.has(workers, us)

    def queued(self, most: Sequence[int]) -> None:
        for book, count in zip(self.steps, most):
            book.queue_max = max(book.queue_max, count)

    def slowest(self) -> int | None:
        """The step that holds the others up: the one that takes longest for an item, for the workers that it had so
        far. None where there is but one, and while that is not known of all."""
        if len(self.steps) < 2 or self.last_us is None or not all(book.done for book in self.steps):
            return None
        until_us = self.last_us
        times = [book.wall_us / book.done / max(1, book.busy.capacity_us(until_us)) for book in self.steps]
        return times.index(max(times))

    def cpu_s(self) -> float:
        return sum(book.cpu_us for book in self.steps) / 1e6

    def begun_again(self, is_stopping: bool) -> None:
        """Another attempt of the stage begins: what stopped the one before is tried again, what was asked for counts
        no more."""
        if is_stopping:
            self.failed = 0
            self.failures = []
            for book in self.steps:
                book.failed = 0

    def item_failed(self, failed: FailedItem) -> None:
        """It is not tried again."""
        self.failed += 1
        self.steps[failed.step].failed += 1
        self._began.pop(failed.item, None)
        if len(self.failures) < FAILED_MAX:
            self.failures.append(failed)

    def _time(self, us: int) -> None:
        if self.done % self._step_of_latencies == 0:
            self._latencies.append(us)
            if len(self._latencies) > LATENCIES_MAX:
                del self._latencies[::2]
                self._step_of_latencies *= 2

    def latency_s(self) -> dict[str, float] | None:
        """How long items took from when they came to when their last step was done; None where none has."""
        known = sorted(self._latencies)
        if not known:
            return None
        at = {"median": known[len(known) // 2], "p95": known[min(len(known) - 1, len(known) * 95 // 100)]}
        return {**{name: us / 1e6 for name, us in at.items()}, "max": known[-1] / 1e6}

    def per_s(self) -> float | None:
        """Items done a second, from the first that came to the last that was done."""
        if self.first_us is None or self.last_us is None or not self.done or self.last_us <= self.first_us:
            return None
        return round(self.done * 1e6 / (self.last_us - self.first_us), 3)

    def document(
        self, ids: Sequence[str], keeps_dead: bool, log: Callable[[str, int], str], item_log: Callable[[str, int], str]
    ) -> dict[str, Any]:  # fmt: skip
        """The members `items` and `steps` of a stage in the document; `ids` are those of its steps, `log` tells where
        that of a step's slot is, from 1 on, and `item_log` where that of an item that failed in a step."""
        slowest = self.slowest()
        return {
            "items": {
                "total": self.known + self.skipped if self.is_all else None,
                "known": self.known + self.skipped,
                "done": self.done,
                "failed": self.failed,
                "skipped": self.skipped,
                "dead": self.failed if keeps_dead else 0,
                "per_s": self.per_s(),
                "latency_s": self.latency_s(),
                "binds": None if slowest is None else ids[slowest],
                "failures": [
                    {**each._asdict(), "step": ids[each.step], "log": item_log(ids[each.step], each.item)}
                    for each in self.failures
                ],
            },
            "steps": [
                {
                    "step": name,
                    "workers": book.workers,
                    "done": book.done,
                    "failed": book.failed,
                    "retried": book.tries - book.failed,
                    "calls": book.calls,
                    "wall_s": book.wall_us / 1e6,
                    "cpu_s": book.cpu_us / 1e6,
                    "busy": book.busy.share(book.wall_us, self.last_us),
                    "course": book.busy.document(),
                    "queue_max": book.queue_max,
                    "logs": [log(name, slot) for slot in range(1, book.slots + 1)],
                }
                for name, book in zip(ids, self.steps)
            ],
        }  # fmt: skip


def dead(records: Iterable[dict[str, Any]], stage: str, steps: int) -> dict[int, FailedItem]:
    """The items of a stage that failed for good and were not done later in the same run, by number."""
    found: dict[int, FailedItem] = {}
    for record in records:
        if record.get("stage") != stage:
            continue
        if record["event"] == "items.dead":
            found[record["item"]] = FailedItem(
                record["item"], record["step"], record["outcome"], record.get("exit"), record.get("reason"),
                record.get("text"),
            )  # fmt: skip
        elif record["event"] == "items.done" and found:
            for call in map(call_of, record["calls"]):
                if call.step == steps - 1:
                    for item in set(call.items) - {each.item for each in call.bad}:
                        found.pop(item, None)
    return found
