"""When the workers of a step were busy, in pieces of one length: as fine as a picture needs, and never more of them.

Fed call by call in one pass. Where the pieces no longer reach, each two become one, so that memory does not grow with
time or items. Times are whole microseconds since the run began.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PIECES_MAX = 240  #: more than the cells of a wide terminal; at least half as many are in use once a second has passed
_GRAIN_US = 1_000


class Busy:
    """One step, from when its stage's first item came."""

    __slots__ = ("_capacity_us", "_since_us", "_workers", "from_us", "grain_us", "spent_us")

    def __init__(self, workers: int) -> None:
        self.from_us: int | None = None
        self.grain_us = _GRAIN_US
        self.spent_us: list[int] = []  #: by piece: how long calls ran in it, together
        self._workers = workers
        self._capacity_us = 0  #: how long all workers could have been busy until `_since_us`
        self._since_us = 0

    def begins(self, us: int) -> None:
        if self.from_us is None:
            self.from_us = self._since_us = us

    def has(self, workers: int, us: int) -> None:
        """From now on it has so many workers."""
        self._capacity_us += self._workers * max(0, us - self._since_us)
        self._workers, self._since_us = workers, max(us, self._since_us)

    def ran(self, from_us: int, to_us: int) -> None:
        """A worker was busy."""
        origin = to_us if self.from_us is None else self.from_us
        begin, end = max(0, from_us - origin), to_us - origin
        if end <= begin:
            return
        while end > self.grain_us * PIECES_MAX:
            self._widen()
        grain, spent = self.grain_us, self.spent_us
        first, last = begin // grain, (end - 1) // grain
        if last >= len(spent):
            spent.extend([0] * (last + 1 - len(spent)))
        if first == last:
            spent[first] += end - begin
            return
        spent[first] += (first + 1) * grain - begin
        for piece in range(first + 1, last):
            spent[piece] += grain
        spent[last] += end - last * grain

    def _widen(self) -> None:
        pairs = self.spent_us
        self.spent_us = [sum(pairs[at : at + 2]) for at in range(0, len(pairs), 2)]
        self.grain_us *= 2

    def share(self, wall_us: int, until_us: int | None) -> float | None:
        """The part of its workers' time until then that calls took, of which `wall_us` are known."""
        if self.from_us is None or until_us is None:
            return None
        capacity_us = self.capacity_us(until_us)
        return round(min(1.0, wall_us / capacity_us), 4) if capacity_us else None

    def capacity_us(self, until_us: int) -> int:
        """How long all of its workers until then could have been busy together."""
        return self._capacity_us + self._workers * max(0, until_us - self._since_us)

    def changes(self) -> list[tuple[float, float]]:
        """When how many workers more, or fewer, were busy on average."""
        found: list[tuple[float, float]] = []
        for piece, spent_us in enumerate(self.spent_us):
            begin_us = (self.from_us or 0) + piece * self.grain_us
            found += [(begin_us, spent_us / self.grain_us), (begin_us + self.grain_us, -spent_us / self.grain_us)]
        return found

    def document(self) -> dict[str, Any] | None:
        """`at_once` is how many workers were busy on average in each piece of `grain_s`, the first at `from_s` on the
        run's own clock. None where none was."""
        if self.from_us is None or not self.spent_us:
            return None
        return {
            "from_s": self.from_us / 1e6,
            "grain_s": self.grain_us / 1e6,
            "at_once": [round(spent / self.grain_us, 3) for spent in self.spent_us],
        }
