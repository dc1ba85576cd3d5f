"""What a record needs to know of time and identity: run ids, time stamps as text, which boot and which process it is.

Measuring durations is not here: times since a run began come from the engine's monotonic clock.
"""

from __future__ import annotations

import os
import time

#: Crockford's base 32: no I, L, O, U.
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RUN_ID_LENGTH = 26
_RANDOM_BITS = 80

_last_id = 0
_stamp_second = -1
_stamp_prefix = ""


def new_run_id() -> str:
    """A ULID: 48 bits of milliseconds, 80 random ones, 26 characters that sort by time.

    Ids of one process always grow, also within one millisecond and when the wall clock steps back.
    """
    global _last_id
    fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | int.from_bytes(os.urandom(10), "big")
    _last_id = fresh if fresh > _last_id else _last_id + 1
    return _text(_last_id)


def ulid(ms: int, rest: int) -> str:
    """The id of a run that began `ms` after 1970; `rest`, of 80 bits, tells it from all others."""
    return _text(ms << _RANDOM_BITS | rest)


def _text(number: int) -> str:
    return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))


def is_run_id(text: str) -> bool:
    """Whether `text` has the form of a run id."""
    return len(text) == RUN_ID_LENGTH and all(letter in _DIGITS for letter in text)


def stamp(epoch_us: int) -> str:
    """ISO 8601 in UTC with microseconds and offset: `2026-01-31T08:15:59.204518+00:00`."""
    global _stamp_second, _stamp_prefix
    second, rest = divmod(epoch_us, 1_000_000)
    if second != _stamp_second:
        _stamp_second = second
        _stamp_prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
    return f"{_stamp_prefix}{rest:06d}+00:00"


def epoch_us(text: str) -> int:
    """The inverse of `stamp`. Raises ValueError for anything that `stamp` does not write."""
    if len(text) != 32 or text[10] != "T" or text[19] != "." or text[26:] != "+00:00":
        raise ValueError(f"`{text}` is not a time stamp of a record")
    days = _days(int(text[0:4]), int(text[5:7]), int(text[8:10]))
    seconds = days * 86_400 + int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
    return seconds * 1_000_000 + int(text[20:26])


def boot_id() -> str | None:
    """What tells this boot of this machine from every other one; None where the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


def start_time_of(pid: int) -> int:
    """When a process began, in the kernel's ticks since boot: with pid and boot it identifies a process. 0 if there is
    none, or no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return int(file.read(1024).rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar, whose years are counted here from March."""
    year -= month <= 2
    month = (month + 9) % 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719_469
