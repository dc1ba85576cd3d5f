"""The time of a run: microseconds since it began, on the monotonic clock, so that nobody can set it."""

from __future__ import annotations

from time import monotonic_ns


class Clock:
    """After a resume it goes on from where the record ended; the time in between is not the run's."""

    __slots__ = ("_base_ns",)

    def __init__(self, elapsed_us: int = 0) -> None:
        self._base_ns = monotonic_ns() - elapsed_us * 1000

    def us(self) -> int:
        return (monotonic_ns() - self._base_ns) // 1000
