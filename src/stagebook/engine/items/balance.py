"""How many workers a step with `workers: auto` should have, from what it did since the last look, and how many items
make a good call. Knows no process.

More while all are busy and items wait, as long as that brings more items through: a number that did not is not tried
again for a while. Fewer where some have long been idle. Jobs and pools are the machine's; who waits for these is given
no more workers.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.scheduler.lane import StepItems

CALL_US = 50_000  #: how long a call with several items is to take
JUDGE_CALLS = 8
LOOK_US = 200_000
JUDGE_US = 3_000_000  #: so long a new number has at most to show what it does
SAMPLE = 6  #: of so many items a worker it is judged before that
CEILING_US = 2_000_000  #: for so long a number that brought nothing is not tried again; the next time twice as long
CEILING_MAX_US = 32_000_000
GAIN = 0.25  #: of what more workers could bring at best, so much has to be seen
IDLE_LOOKS = 10


class Balance:
    """One step. `most` is the largest number of workers."""

    __slots__ = ("_before", "_ceiling", "_ceiling_until_us", "_ceiling_us", "_done", "_idle", "_most", "_since_us")

    def __init__(self, most: int, us: int) -> None:
        self._most = most
        self._since_us = us
        self._done = 0
        self._before: tuple[int, float] | None = None  #: workers and items a second until the last raise
        self._ceiling = most
        self._ceiling_until_us = 0
        self._ceiling_us = CEILING_US
        self._idle = 0

    def look(self, us: int, step: StepItems) -> tuple[int, str] | None:
        """Another number of workers, and why; None: it stays."""
        span_us, fresh, workers = us - self._since_us, step.done - self._done, step.workers
        if span_us < LOOK_US:
            return None
        is_known = fresh >= SAMPLE * workers or (span_us >= JUDGE_US and fresh > 0)
        per_s = fresh * 1e6 / span_us
        if self._before is not None:
            if not is_known:
                return None
            fewer, before = self._before
            self._before = None
            if per_s < before * (1 + GAIN * (workers - fewer) / fewer):
                self._ceiling, self._ceiling_until_us = fewer, us + self._ceiling_us
                self._ceiling_us = min(2 * self._ceiling_us, CEILING_MAX_US)
                return self._take(us, step, fewer, f"{workers} did no more than {fewer}")
        limit = self._ceiling if us < self._ceiling_until_us else self._most
        if step.running >= workers and step.queued > 0 and step.lacks is None and workers < limit:
            if is_known:
                self._before = workers, per_s
            more = min(limit, workers + max(1, workers // 2))
            busy = "its worker was" if workers == 1 else f"all {workers} were"
            return self._take(us, step, more, f"{busy} busy while {step.queued} waited")
        self._idle = self._idle + 1 if step.running + 1 < workers and not step.queued else 0
        if self._idle >= IDLE_LOOKS:
            self._idle = 0
            return self._take(us, step, workers - 1, f"{workers - step.running} of {workers} were idle")
        self._since_us, self._done = us, step.done
        return None

    def _take(self, us: int, step: StepItems, workers: int, why: str) -> tuple[int, str]:
        self._since_us, self._done = us, step.done
        return workers, why


class Lot:
    """How many items a call of one step has at most: so many that it takes `CALL_US`, as a power of two, and one where
    an item takes that long by itself. It becomes another only where it is off by a factor of two."""

    __slots__ = ("_calls", "_items", "_most", "_size", "_us")

    def __init__(self, most: int, size: int) -> None:
        self._most = most
        self._size = size
        self._calls = self._items = self._us = 0

    def took(self, items: int, us: int) -> int | None:
        """A call with so many items has taken so long. Another size; None: it stays."""
        if us > 4 * CALL_US and items > 1:
            self._calls = self._items = self._us = 0  # what was before this one says nothing any more
        self._calls += 1
        self._items += items
        self._us += us
        if self._calls < JUDGE_CALLS and self._us < 3 * CALL_US:
            return None
        good = CALL_US * self._items // max(1, self._us)
        full_us = self._us * self._size // self._items
        self._calls = self._items = self._us = 0
        if CALL_US < 2 * full_us < 4 * CALL_US:
            return None
        size = min(self._most, 1 << max(0, good.bit_length() - 1))
        if size == self._size:
            return None
        self._size = size
        return size
