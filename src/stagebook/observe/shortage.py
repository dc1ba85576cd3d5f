"""Whether the machine is really short of memory: how much is free, and whether processes stall for want of it.

The driver asks now and then and tells the machine of the scheduler, which decides what that means. A busy processor is
no shortage: to keep it busy is what stages are for, and how many at once is what `jobs` and `cpu` are for.
"""

from __future__ import annotations

import os

from stagebook.observe import cgroup
from stagebook.observe.peek import Kept, peek

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

FLOOR = 256 << 20  #: bytes that should be free, but no more than a part of what there is
FLOOR_PART = 20
EASE = 1.25  #: so many times what was too little is enough again
STALL_PERCENT = 10.0  #: of the last ten seconds, in which every process that could have worked waited for memory
STALL_OVER_PERCENT = 5.0
STEP_PART = 4  #: while short, another figure is told only if it differs by that part
_NO_LIMIT = 1 << 60  #: v1 writes about 2^63 where there is none
_GROUPS_MAX = 32

Told: TypeAlias = "tuple[str | None, int | None]"


class Shortage:
    """`need_bytes` is the most that a stage declares to need: as long as less than that is free, it is short. It may be
    set at any time. `floor` is what should be free in any case."""

    def __init__(self, root: str = "", need_bytes: int = 0) -> None:
        """`root` is put before the paths of system files, for tests."""
        self.need_bytes = need_bytes
        self._kept = Kept()
        self._meminfo = self._kept.open(f"{root}/proc/meminfo")
        self._pressure = self._kept.open(f"{root}/proc/pressure/memory")
        found = _limits(root)
        self._limits = [(self._kept.open(limit), self._kept.open(used), stat) for _, limit, used, stat in found]
        total = _kib(peek(self._meminfo), b"MemTotal:")
        sizes = [size for size, _, _, _ in found] + ([] if total is None else [total])
        self.floor = min(FLOOR, min(sizes) // FLOOR_PART) if sizes else 0
        self._told: Told = (None, None)
        self._is_stalled = False

    def look(self, us: int) -> Told:
        """Why it is short, as people read it, and how many bytes are free; (None, None) where it is not short or where
        nothing can be known. A stall has no number of bytes. The answer stays the same until something changes."""
        enough = max(self.floor, self.need_bytes)
        reason, before = self._told
        if before is not None:
            enough = round(enough * EASE)
        free = self._free(enough)
        stall = _full_avg10(peek(self._pressure))
        if stall is not None:
            self._is_stalled = stall > (STALL_OVER_PERCENT if self._is_stalled else STALL_PERCENT)
        if free is not None and free < (self.floor if self._is_stalled else enough):
            if before is None or abs(free - before) * STEP_PART > before:
                self._told = (f"free memory {_size(free)} < {_size(enough)}", free)
        elif not self._is_stalled:
            self._told = (None, None)
        elif reason is None or before is not None:
            self._told = (f"memory stalls {stall:.0f} % of the time", None)
        return self._told

    def close(self) -> None:
        """Give the descriptors back; may be called twice."""
        self._kept.close()

    def _free(self, enough: int) -> int | None:
        """What is free of the machine's memory or of the tightest limit of our control groups, whichever is less."""
        free = _kib(peek(self._meminfo), b"MemAvailable:")
        for limit, current, stat in self._limits:
            limited, used = peek(limit).strip(), peek(current).strip()
            if not limited.isdigit() or not used.isdigit():
                continue  # the group is gone, or somebody has lifted its limit
            left = max(0, int(limited) - int(used))
            if left < enough:  # what is cached of files counts as used there and can be had
                left += _cached(stat)
            free = left if free is None else min(free, left)
        return free


def _limits(root: str) -> list[tuple[int, str, str, str]]:
    """The limits of our control group and of those above it: bytes, the file that says so, the one with what is used,
    the one with what of it is cached."""
    found = []
    names = {"": ("memory.max", "memory.current"), "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes")}
    for controller, (limit_name, current) in names.items():
        place = cgroup.own_path(controller, root)
        if place is None:
            continue
        mount, group = place
        for _ in range(_GROUPS_MAX):
            text = cgroup.read(f"{group}/{limit_name}").strip()
            if text.isdigit() and int(text) < _NO_LIMIT:
                files = f"{group}/{limit_name}", f"{group}/{current}", f"{group}/memory.stat"
                found.append((int(text), *files))
            if group == mount:
                break
            group = os.path.dirname(group)
    return found


def _kib(text: bytes, name: bytes) -> int | None:
    """The bytes beside a name of /proc/meminfo."""
    words = text.partition(name)[2].split(None, 1)
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def _cached(stat: str) -> int:
    """Bytes of files that a group holds in memory, and that the kernel takes back when they are wanted."""
    counts = dict(line.split() for line in cgroup.read(stat).decode().splitlines() if line.count(" ") == 1)
    lists = [counts.get(f"total_{name}", counts.get(name, "0")) for name in ("inactive_file", "active_file")]
    return sum(int(count) for count in lists if count.isdigit())


def _full_avg10(text: bytes) -> float | None:
    word = text.partition(b"full avg10=")[2].partition(b" ")[0]
    try:
        return float(word)
    except ValueError:
        return None


def _size(count: int) -> str:
    """`300 MiB`, `1 GiB`, `22.5 GiB`: a tenth of ten GiB is more than is worth telling."""
    whole, rest = divmod(count, 1 << 30)
    if whole and not rest:
        return f"{whole} GiB"
    return f"{count / (1 << 30):.1f} GiB" if whole >= 10 else f"{count >> 20} MiB"
