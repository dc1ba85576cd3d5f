"""How many cores, and how much memory, this process may use: by affinity and by its control groups."""

from __future__ import annotations

import os


def usable() -> int:
    """Cores by affinity, or fewer if a control group grants less time than that."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    quota = _quota()
    return max(1, cores if quota is None else min(cores, int(quota)))


def _quota() -> float | None:
    """Cores' worth of time that cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`) grants; None: no limit."""
    for path in ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"):
        try:
            with open(path, encoding="utf-8") as file:
                words = file.read().split()
        except OSError:
            continue
        if path.endswith("quota_us"):
            words += _words("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
        if len(words) == 2 and words[0].isdigit() and int(words[1]) > 0:
            return int(words[0]) / int(words[1])
    return None


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().split()
    except OSError:
        return []


def memory_bytes() -> int:
    """Memory of the machine, or less if a control group (`memory.max`) grants less; 0 where nobody says."""
    sizes = []
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            sizes.append(int(line.split()[1]) * 1024)
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        sizes += [int(word) for word in _words(path) if word.isdigit()]
    return min(sizes, default=0)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readlines()
    except OSError:
        return []
