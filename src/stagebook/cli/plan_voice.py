"""What `plan` says on standard error while it is still at work, where that takes longer than one would wait in
silence."""

from __future__ import annotations

import signal
import sys
import time

from stagebook.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

#: Silence for so long, then a line that often.
QUIET_S, EVERY_S = 1.0, 5.0


class Patience:
    """A context manager: `simulating, 6 s` after a second, and now and then from there on. By an alarm, as the work
    within forks processes, which threads would not survive; children do not inherit it."""

    __slots__ = ("_before", "_since_s", "_speaks")

    def __init__(self, args: Any) -> None:
        self._speaks = not args.quiet
        self._since_s = time.monotonic()
        self._before: Any = None

    def __enter__(self) -> Patience:
        if self._speaks:
            self._before = signal.signal(signal.SIGALRM, self._say)
            signal.setitimer(signal.ITIMER_REAL, QUIET_S, EVERY_S)
        return self

    def __exit__(self, *_: object) -> None:
        if self._speaks:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, self._before)

    def _say(self, number: int, frame: FrameType | None) -> None:
        output.say([f"simulating, {time.monotonic() - self._since_s:.0f} s"], sys.stderr)
        sys.stderr.flush()
