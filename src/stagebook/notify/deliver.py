"""When each message is sent, tried again, given up or held back. Pure: no process, no clock; what becomes of a message
is told to `say`, a line each.

One message at a time goes to a target, so that none overtakes another. Tried again is at most `TRIES` times in all, and
waits grow; a target that has had `LIMIT` messages within an hour gets one more that stands for all others.
"""

from __future__ import annotations

from stagebook.notify.message import Message
from stagebook.record.notices import DELIVERED, FAILED, HELD, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Protocol
else:
    Protocol = object

TRIES = 4
WAITS_S = (2.0, 8.0, 30.0)  #: before the second, third and fourth try
LIMIT = 20
HOUR_S = 3600.0
NEVER_S = float("inf")


class Allowance(Protocol):
    """How many messages a target may have."""

    def take(self, target: str) -> bool:
        """Count one; False where there have been `LIMIT` in the last hour."""

    def take_more(self, target: str) -> bool:
        """The one that stands for all others: False where there has been one in the last hour."""


class Delivery:
    """One message to one target."""

    __slots__ = ("due_s", "error", "event", "id", "message", "stages", "state", "target", "tries")

    def __init__(self, id: str, event: str, stages: tuple[str, ...], target: str, message: Message) -> None:
        self.id = id
        self.event = event
        self.stages = stages
        self.target = target
        self.message = message
        self.state = WAITING
        self.tries = 0
        self.error: str | None = None
        self.due_s = 0.0


class Deliveries:
    """All messages of one run."""

    def __init__(
        self, allowance: Allowance, say: Callable[[Delivery], None], more: Callable[[list[str]], Message]
    ) -> None:  # fmt: skip
        """`more` makes the message that stands for several, of their titles."""
        self._allowance = allowance
        self._say = say
        self._more = more
        self._open: list[Delivery] = []
        self._held: dict[str, list[Delivery]] = {}
        self._sending: dict[str, Delivery] = {}  #: by target
        self._count = 0

    def add(self, event: str, stages: tuple[str, ...], target: str, message: Message, id: str = "") -> None:
        """One more to send, or to hold where its target has had too many."""
        self._count += 1
        one = Delivery(id or f"{event}:{target}:{self._count}", event, stages, target, message)
        if self._allowance.take(target):
            self._open.append(one)
        else:
            one.state = HELD
            one.error = f"more than {LIMIT} messages in an hour"
            self._held.setdefault(target, []).append(one)
        self._say(one)

    def close(self) -> None:
        """The run is over for now: what was held is told of in one message a target."""
        held, self._held = self._held, {}
        for target, several in held.items():
            if self._allowance.take_more(target):
                self._count += 1
                titles = [one.message.title for one in several]
                one = Delivery(f"more:{target}:{self._count}", "more", (), target, self._more(titles))
                self._open.append(one)
                self._say(one)

    def begin(self, now_s: float, at_once: int) -> Delivery | None:
        """The next one to send now, with at most `at_once` under way; it is under way until `ended`."""
        if len(self._sending) >= at_once:
            return None
        for one in self._open:
            if one.target not in self._sending and one.due_s <= now_s and self._is_first(one):
                self._sending[one.target] = one
                one.tries += 1
                return one
        return None

    def ended(self, one: Delivery, error: str | None, now_s: float, is_final: bool = False) -> None:
        """How sending it came out: None is well. `is_final`: trying again would be in vain."""
        del self._sending[one.target]
        one.error = error
        if error is None:
            one.state = DELIVERED
        elif is_final or one.tries >= TRIES:
            one.state = FAILED
        else:
            one.due_s = now_s + WAITS_S[one.tries - 1]
        if one.state != WAITING:
            self._open.remove(one)
        self._say(one)

    def give_up(self, why: str) -> None:
        """Nothing more is sent."""
        for one in self._open:
            one.state, one.error = FAILED, one.error or why
            self._say(one)
        self._open.clear()
        self._sending.clear()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to send."""
        return not self._open

    @property
    def count(self) -> int:
        """How many are left to send."""
        return len(self._open)

    @property
    def due_s(self) -> float:
        """When there is something to begin."""
        free = [one.due_s for one in self._open if one.target not in self._sending and self._is_first(one)]
        return min(free, default=NEVER_S)

    def _is_first(self, one: Delivery) -> bool:
        return next(other for other in self._open if other.target == one.target) is one


def line(one: Delivery, at: str) -> dict[str, Any]:
    """A line of `notices.jsonl`."""
    return {
        "at": at, "id": one.id, "event": one.event, "stages": list(one.stages), "target": one.target,
        "state": one.state, "attempts": one.tries, "error": one.error,
    }  # fmt: skip
