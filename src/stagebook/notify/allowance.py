"""How many messages each target has had in the last hour, for all runs of a state directory together.

A small file under a lock; what cannot be read or written counts as nothing, for a message too many is better than one
that is lost.
"""

from __future__ import annotations

import fcntl
import json
import os
from hashlib import blake2b

from stagebook.notify.deliver import HOUR_S, LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_BYTES_MAX = 1 << 20
_MORE = "more "


class Shared:
    """The allowance of targets, by a name and by what they are; `now` is the wall clock in seconds."""

    def __init__(self, path: str, targets: dict[str, str], now: Callable[[], float]) -> None:
        """`targets` gives for each name what is to be told from others; only a hash of it is kept."""
        self._path = path
        self._keys = {name: blake2b(text.encode(), digest_size=12).hexdigest() for name, text in targets.items()}
        self._now = now

    def take(self, target: str) -> bool:
        return self._count(self._keys[target], LIMIT)

    def take_more(self, target: str) -> bool:
        return self._count(_MORE + self._keys[target], 1)

    def _count(self, key: str, limit: int) -> bool:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            now = self._now()
            known = _known(os.pread(fd, _BYTES_MAX, 0), now)
            times = known.setdefault(key, [])
            if len(times) >= limit:
                return False
            times.append(now)
            data = json.dumps({name: times for name, times in known.items() if times}).encode()
            os.ftruncate(fd, 0)
            os.pwrite(fd, data, 0)
            return True
        except OSError:
            return True
        finally:
            os.close(fd)


def _known(data: bytes, now: float) -> dict[str, list[float]]:
    """The times of the last hour; those that lie ahead are of a clock that was set back, and are none."""
    try:
        found: Any = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        str(name): [float(at) for at in times if isinstance(at, (int, float)) and now - HOUR_S < at <= now]
        for name, times in found.items()
        if isinstance(times, list)
    }
