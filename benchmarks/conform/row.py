"""A row of the table of conformance: what was looked at, how much of it is as its source says, what is asked for."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """`share` of `count` cases, between 0 and 1, is as it should be; `goal` is the least that is asked for (None: only
    shown). `unit` is `share` or `seconds`, where less is better. `misses` name cases that are not, with why."""

    set: str
    what: str
    count: int
    share: float
    goal: float | None = None
    unit: str = "share"
    misses: tuple[str, ...] = ()

    @property
    def is_kept(self) -> bool:
        return self.goal is None or (self.share <= self.goal if self.unit == "seconds" else self.share >= self.goal)
