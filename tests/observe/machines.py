"""A machine made of files, so that what the kernel would say is known, and can be missing."""

from __future__ import annotations

import os
from pathlib import Path


class Machine:
    """System files below `root`. Written in place, as readers keep them open."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "work"
        self.folder.mkdir(parents=True)
        number = self.folder.stat().st_dev
        self.device = f"sys/dev/block/{os.major(number)}:{os.minor(number)}/stat"

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def stat(self, busy_ticks: int, idle_ticks: int = 0) -> None:
        """Every kind of work gets some; guest time is part of user time and idling for a disk is idling."""
        kinds = [busy_ticks - 5, 1, 1, idle_ticks, 77, 1, 1, 1, 99, 99]
        self.write("proc/stat", f"cpu  {' '.join(map(str, kinds))}\ncpu0 1 2 3\nintr 9\n")

    def pressure(self, name: str, some: int, full: int | None = None, avg10: float = 0.0, place: str = "") -> None:
        lines = f"some avg10=0.00 avg60=0.00 avg300=0.00 total={some}\n"
        if full is not None:
            lines += f"full avg10={avg10:.2f} avg60=0.00 avg300=0.00 total={full}\n"
        self.write(f"{place}/{name}.pressure" if place else f"proc/pressure/{name}", lines)

    def disk(self, busy_ms: int) -> None:
        self.write(self.device, f"  1 2 3 4 5 6 7 8 0 {busy_ms} 11 12 13 14 15 16 17\n")

    def memory(self, available: int, total: int = 64 << 30) -> None:
        self.write("proc/meminfo", f"MemTotal: {total >> 10} kB\nMemFree: 1 kB\nMemAvailable: {available >> 10} kB\n")

    def groups(self, below: str = "/a/b") -> str:
        """A v2 hierarchy with this process somewhere in it; gives the directory of its group."""
        self.write("proc/self/cgroup", f"0::{below}\n")
        self.write("proc/self/mountinfo", "30 20 0:26 / /cg rw,nosuid shared:4 - cgroup2 cgroup2 rw\n")
        (self.root / f"cg{below}").mkdir(parents=True, exist_ok=True)
        return f"cg{below}"

    def old_groups(self, controller: str, below: str = "/docker/x") -> str:
        """A v1 hierarchy as a container sees it: mounted from its own group on."""
        self.write("proc/self/cgroup", f"3:{controller},other:{below}\n0::/\n")
        self.write("proc/self/mountinfo", f"30 20 0:26 {below} /v1 rw - cgroup cgroup rw,{controller},other\n")
        return "v1"
