"""Named points at which trouble can be made to happen, so that a test can fail the n-th write for every n.

`STAGEBOOK_FAULT=journal.append:17:ENOSPC` makes the 17th append fail once; `17+` fails it and every later one;
`KILL` instead of an errno's name ends the process there with SIGKILL, `SLOW` is a tenth of a second on a slow disk;
several are separated by `;`. Nothing here
decides what a failure means: a point behaves as the system call beside it would. When the variable is not set,
`hit` is one comparison.
"""

from __future__ import annotations

import errno
import os
import signal
import time

from stagebook.model.problem import InputError
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

VARIABLE = "STAGEBOOK_FAULT"
POINTS = (
    "journal.append",
    "journal.sync",
    "spawn",
    "log.open",
    "artifact.verify",
    "artifact.hash",
    "artifact.read",
    "artifact.fork",
    "artifact.publish",
    "artifact.found",
    "artifact.aside",
    "artifact.report",
    "cache.write",
    "experiment.append",
    "audit.append",
    "ask.wait",
)


SLOW_S = 0.1


class Fault(NamedTuple):
    """`error` is an errno, 0 means a delay, None SIGKILL. `for_good`: every later hit fails too."""

    at: int
    for_good: bool
    error: int | None


_armed: dict[str, list[Fault]] | None = None
_counts: dict[str, int] = {}
_unread: str | None = os.environ.get(VARIABLE) or None


def arm(text: str | None) -> None:
    """Set the faults of this process anew, all counters at 0; None or empty text: none. Raises InputError."""
    global _armed, _unread
    _unread = None
    _counts.clear()
    _armed = _parsed(text) if text else None


def hit(point: str) -> None:
    """Count one passage of `point`; raises OSError, or ends the process, if a fault is set for it."""
    if _armed is None and _unread is None:
        return
    _count(point)


def counts() -> Mapping[str, int]:
    """How often each point was passed since faults were set; empty when none are."""
    return _counts


def _count(point: str) -> None:
    if _unread is not None:
        arm(_unread)
    if _armed is None:
        return
    passed = _counts[point] = _counts.get(point, 0) + 1
    for fault in _armed.get(point, ()):
        if passed == fault.at or (fault.for_good and passed > fault.at):
            if fault.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            elif fault.error == 0:
                time.sleep(SLOW_S)
            else:
                raise OSError(fault.error, os.strerror(fault.error))


def _parsed(text: str) -> dict[str, list[Fault]]:
    faults: dict[str, list[Fault]] = {}
    for part in text.split(";"):
        words = part.strip().split(":")
        if len(words) != 3:
            raise InputError(f"`{VARIABLE}`: `{part}` is not POINT:N:ERROR, such as journal.append:17:ENOSPC")
        point, number, action = words
        digits = number.removesuffix("+")
        if point not in POINTS:
            raise InputError(f"`{VARIABLE}`: no point `{point}`; there are {', '.join(POINTS)}")
        if not (digits.isascii() and digits.isdigit()) or int(digits) == 0:
            raise InputError(f"`{VARIABLE}`: `{number}` is not a number from 1, nor one with `+`")
        error = None if action == "KILL" else 0 if action == "SLOW" else getattr(errno, action, None)
        if action != "KILL" and not isinstance(error, int):
            raise InputError(f"`{VARIABLE}`: `{action}` is neither the name of an errno nor KILL or SLOW")
        faults.setdefault(point, []).append(Fault(int(digits), number.endswith("+"), error))
    return faults
