"""What the machine around a run did meanwhile: pressure, work of others, the disk, throttling. Knows no stage by name,
starts nothing, has no thread and no timer: it looks when somebody asks, which is when an attempt begins or ends.

Files stay open, and what was read less than `LOOK_US` ago is not read again, so that a thousand stages of a
millisecond cost a few dozen looks. What a figure means and where it comes from is in docs/explanation/surroundings.md.
Times are microseconds since the run began.
"""

from __future__ import annotations

import os
import resource
from time import process_time_ns

from stagebook.model.value import NamedTuple
from stagebook.observe import cgroup
from stagebook.observe.peek import Kept, peek
from stagebook.record.story import Around

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.observe.cgroup import Groups

LOOK_US = 20_000  #: how old a look may be; so much may the ends of an attempt be missed by
SHORTEST_US = 100_000  #: of a shorter attempt nothing is said: the kernel's own counts go by hundredths of a second
PRESSURES = ("cpu", "memory", "io")
STALLS = ("cpu_some", "cpu_full", "memory_some", "memory_full", "io_some", "io_full")
_PROCESSES_MAX = 64  #: of a run without control groups: where more are alive, its own CPU time is not known
_GROUPS_MAX = 32  #: how deep groups may lie
_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
_NEVER_US = -(1 << 62)

Stalls = tuple[int | None, int | None, int | None, int | None, int | None, int | None]


class Look(NamedTuple):
    """Counts that only grow, in microseconds, as they stood at `us`; None is unknown.

    `stalls` are some and full of cpu, memory and io. `busy_us` is of all cores together, `own_us` CPU time of this run.
    """

    us: int
    stalls: Stalls = (None, None, None, None, None, None)
    busy_us: int | None = None
    own_us: int | None = None
    disk_us: int | None = None
    throttled_us: int | None = None
    device: str | None = None


class World:
    """The machine as one run sees it. Everything that cannot be read is unknown, and no error."""

    def __init__(self, folder: str, base: str | None, root: str) -> None:
        self._root = root
        self._base = base
        self._kept = Kept()
        self._stat = self._kept.open(f"{root}/proc/stat")
        self._stalls = [self._kept.open(f"{root}/proc/pressure/{name}") for name in PRESSURES]
        self._usage = None if base is None else self._kept.open(f"{base}/cpu.stat")
        self._device, path = _device(folder, root)
        self._disk = None if path is None else self._kept.open(path)
        self._limit_cores, path = _limit(root)
        self._throttled = None if path is None else self._kept.open(path)
        self._last = self._first = Look(_NEVER_US)
        self._stalls_before = _UNKNOWN if base is None else _stalls_of(base)

    @classmethod
    def open(cls, folder: str, groups: Groups | None, root: str = "") -> World:
        """Stages work in `folder`; `groups` are those of the run, if it has any. `root` is put before the paths of
        system files, for tests."""
        return cls(folder, None if groups is None else groups.base, root)

    def look(self, us: int) -> Look:
        """How things stand now, or stood a moment ago."""
        last = self._last
        if us - last.us < LOOK_US:
            return last
        some = [_totals(peek(fd)) for fd in self._stalls]
        self._last = Look(
            us,
            (some[0][0], None, *some[1], *some[2]),  # of the whole machine the kernel has no full stall for CPU
            _busy_us(peek(self._stat)),
            self._own_us(),
            _disk_us(peek(self._disk)),
            _throttled_us(peek(self._throttled)),
            self._device,
        )
        if self._first.us == _NEVER_US:
            self._first = self._last
        return self._last

    def around_attempt(
        self, began: Look, started_us: int, us: int, group: str | None, delay_ns: int | None
    ) -> Around | None:
        """What was around an attempt that ends now. `began` is the look at its start, `group` its control group, which
        is still there, `delay_ns` how long its first process waited for a core."""
        if us - started_us < SHORTEST_US:
            return None
        around = between(began, self.look(us))
        if around is None:
            return None
        if group is not None:
            around = _within(around, _NEW, _stalls_of(group), us - started_us)
        return around if delay_ns is None else around._replace(run_delay_s=round(delay_ns / 1e9, 6))

    def around_run(self, us: int) -> Around | None:
        """What was around all of it, since the first look."""
        last = self.look(us)
        around = between(self._first, last)
        if around is None:
            return None
        if self._base is not None:
            around = _within(around, self._stalls_before, _stalls_of(self._base), us - self._first.us)
        is_grouped = cgroup.read(f"{self._root}/proc/sys/kernel/sched_autogroup_enabled").strip()
        return around._replace(
            cpu_limit_cores=self._limit_cores,
            autogroup={b"0": False, b"1": True}.get(is_grouped),
        )

    def close(self) -> None:
        """Give the descriptors back; may be called twice."""
        self._kept.close()

    def _own_us(self) -> int | None:
        """CPU time of the engine and of all that its stages have run, whether it has ended or not."""
        ours = process_time_ns() // 1000
        if self._base is not None:
            stages = _value(peek(self._usage), b"usage_usec")
        else:
            stages = _descendants_us(f"{self._root}/proc")
            if stages is not None:
                ended = resource.getrusage(resource.RUSAGE_CHILDREN)
                stages += round((ended.ru_utime + ended.ru_stime) * 1e6)
        return None if stages is None else ours + stages


def between(a: Look, b: Look) -> Around | None:
    """What happened from one look to a later one; None where they are too close for the kernel's counts."""
    over_us = b.us - a.us
    if over_us < SHORTEST_US - LOOK_US:
        return None
    shares = _shares(a.stalls, b.stalls, over_us)
    others = None
    if None not in (a.busy_us, a.own_us, b.busy_us, b.own_us):
        others_us = (b.busy_us - a.busy_us) - (b.own_us - a.own_us)  # type: ignore[operator]
        others = round(max(0, others_us) / over_us, 2)
    return Around(
        round(over_us / 1e6, 6),
        "machine" if b.stalls != _UNKNOWN else None,
        **shares,
        others_cores=others,
        device=b.device,
        device_busy=_share(a.disk_us, b.disk_us, over_us),
        throttled_s=None if a.throttled_us is None or b.throttled_us is None
        else round((b.throttled_us - a.throttled_us) / 1e6, 6),
    )  # fmt: skip


def run_delay_ns(pid: int) -> int | None:
    """How long the main thread of a process has waited for a core; also of one that is not reaped yet."""
    words = cgroup.read(f"/proc/{pid}/schedstat").split()
    return int(words[1]) if len(words) == 3 else None


def encode(around: Around | None) -> str:
    """The JSON object of a journal line, of what is known alone; empty where nothing is."""
    if around is None:
        return ""
    known = [
        f'"{name}":"{value}"' if isinstance(value, str) else f'"{name}":{str(value).lower()}'
        for name, value in zip(Around._fields, around)
        if value is not None
    ]
    return "{" + ",".join(known) + "}"


# Reading ----------------------------------------------------------------------------------------------------------

_UNKNOWN: Stalls = (None, None, None, None, None, None)
_NEW: Stalls = (0, 0, 0, 0, 0, 0)  #: of a control group that has just been made


def _value(text: bytes, name: bytes) -> int | None:
    """The number beside a name, in a file that has a pair on each line."""
    for line in text.splitlines():
        key, _, value = line.partition(b" ")
        if key == name and value.isdigit():
            return int(value)
    return None


def _totals(text: bytes) -> tuple[int | None, int | None]:
    """Some and full of a pressure file, in microseconds."""
    found: dict[bytes, int] = {}
    for line in text.splitlines():
        total = line.rpartition(b" total=")[2]
        if total.isdigit():
            found[line[:5]] = int(total)
    return found.get(b"some "), found.get(b"full ")


def _stalls_of(group: str) -> Stalls:
    cpu, memory, io = (_totals(cgroup.read(f"{group}/{name}.pressure")) for name in PRESSURES)
    return (*cpu, *memory, *io)


def _within(around: Around, before: Stalls, after: Stalls, over_us: int) -> Around:
    """With the pressure of a control group in place of the machine's."""
    if after == _UNKNOWN:
        return around
    return around._replace(pressure_method="cgroup", **_shares(before, after, over_us))


def _shares(before: Stalls, after: Stalls, over_us: int) -> dict[str, Any]:
    return {name: _share(old, new, over_us) for name, old, new in zip(STALLS, before, after)}


def _share(before: int | None, after: int | None, over_us: int) -> float | None:
    if before is None or after is None:
        return None
    return round(min(1.0, max(0, after - before) / over_us), 4)


def _busy_us(text: bytes) -> int | None:
    """Time that cores worked, in a system that is a guest also what the host took away; not time spent idle, be it
    for want of a disk."""
    words = text[: text.find(b"\n")].split()
    if len(words) < 9 or words[0] != b"cpu":
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, words[1:9])
    return (user + nice + system + irq + softirq + steal) * _TICK_US


def _disk_us(text: bytes) -> int | None:
    words = text.split()
    return int(words[9]) * 1000 if len(words) >= 11 else None


def _throttled_us(text: bytes) -> int | None:
    found = _value(text, b"throttled_usec")
    if found is not None:
        return found
    by_v1 = _value(text, b"throttled_time")
    return None if by_v1 is None else by_v1 // 1000


def _descendants_us(proc: str) -> int | None:
    """CPU time of the living below this process, and of the dead that they have waited for."""
    sum_ticks = 0
    found = _children(proc, os.getpid())
    if found is None:
        return None
    for pid in found:
        if len(found) > _PROCESSES_MAX:
            return None
        words = cgroup.read(f"{proc}/{pid}/stat").rpartition(b")")[2].split()
        if len(words) > 14:
            sum_ticks += sum(map(int, words[11:15]))
            found += _children(proc, pid) or []
    return sum_ticks * _TICK_US


def _children(proc: str, pid: int) -> list[int] | None:
    """None where the kernel does not list them."""
    try:
        threads = os.listdir(f"{proc}/{pid}/task")
        listed = [f"{proc}/{pid}/task/{thread}/children" for thread in threads]
        if not os.path.exists(listed[0]):
            return None
    except (OSError, IndexError):
        return None
    return [int(child) for path in listed for child in cgroup.read(path).split()]


def _device(folder: str, root: str) -> tuple[str | None, str | None]:
    """Name of the device under a folder, and the file with its counts; None where there is no single device."""
    try:
        number = os.stat(folder).st_dev
        if os.major(number) == 0:  # a file system that keeps to itself which device it lies on
            number = _source(number, root)
        place = f"{root}/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    except OSError:
        return None, None
    if not os.path.exists(f"{place}/stat"):
        return None, None
    return os.path.basename(os.path.realpath(place)), f"{place}/stat"


def _source(number: int, root: str) -> int:
    """The device that is mounted under an anonymous number. Raises OSError where that is none."""
    for line in cgroup.lines(f"{root}/proc/self/mountinfo"):
        words = line.split()
        if len(words) > 9 and words[2] == f"{os.major(number)}:{os.minor(number)}":
            return os.stat(words[-2]).st_rdev
    raise FileNotFoundError


def _limit(root: str) -> tuple[float | None, str | None]:
    """Cores' worth of time that the tightest of our control groups grants, and the file that counts how often it made
    us wait; without a limit, the file of our own group."""
    tightest, counts = None, None
    for controller in ("", "cpu"):
        found = cgroup.own_path(controller, root)
        if found is None:
            continue
        mount, group = found
        for _ in range(_GROUPS_MAX):
            cores = _granted(group, controller)
            if cores is not None and (tightest is None or cores < tightest):
                tightest, counts = cores, f"{group}/cpu.stat"
            if group == mount:
                break
            group = os.path.dirname(group)
        own = f"{found[1]}/cpu.stat"
        if counts is None and _throttled_us(cgroup.read(own)) is not None:
            counts = own
    return tightest, counts


def _granted(group: str, controller: str) -> float | None:
    if controller:
        words = cgroup.read(f"{group}/cpu.cfs_quota_us").split() + cgroup.read(f"{group}/cpu.cfs_period_us").split()
    else:
        words = cgroup.read(f"{group}/cpu.max").split()
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
        return round(int(words[0]) / int(words[1]), 3)
    return None
