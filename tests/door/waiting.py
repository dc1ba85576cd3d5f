"""The one place in which these tests wait: for something to become true, up to a deadline."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

Found = TypeVar("Found")

PATIENCE_S = 30.0  #: for what surely comes, on a machine that has other things to do


def until(look: Callable[[], Found], what: str, within_s: float = PATIENCE_S) -> Found:
    """What `look` gives as soon as it gives anything true; an AssertionError that says `what` never came."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(0.003)


def still(look: Callable[[], object], what: str, for_s: float) -> None:
    """Watch that something stays as it is for a while; an AssertionError that says `what` changed."""
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        assert look(), what
        time.sleep(0.01)
