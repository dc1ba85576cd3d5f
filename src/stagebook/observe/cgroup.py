"""A cgroup v2 group a stage, where this user may write one: exact accounting, and a kill that nothing escapes.

Reads and writes the group files only; when to make, kill or remove one is the engine's business. Where controllers are
not delegated a group still has `cpu.stat` and `cgroup.kill`; what it has not is reported as unknown.
"""

from __future__ import annotations

import os

from stagebook.record.story import Usage


class Groups:
    """The groups of one run, below one group of their own."""

    def __init__(self, base: str, home: str) -> None:
        self.base = base  #: the directory of the run's group, which counts for all of its stages together
        self._home = os.open(os.path.join(home, "cgroup.procs"), os.O_WRONLY | os.O_CLOEXEC)
        self.has_memory = os.path.exists(os.path.join(base, "memory.events"))

    @classmethod
    def open(cls, run: str) -> Groups | None:
        """Make the run's group; None where that is not possible, which is common and no error."""
        home = own_group()
        if home is None:
            return None
        base = os.path.join(home, f"stagebook-{run}")
        try:
            os.makedirs(base, exist_ok=True)
            if not os.path.exists(os.path.join(base, "cgroup.kill")):
                os.rmdir(base)
                return None
            for controller in ("+cpu", "+memory", "+io", "+pids"):
                _write(os.path.join(base, "cgroup.subtree_control"), controller.encode())
            return cls(base, home)
        except OSError:
            remove(base)
            return None

    @staticmethod
    def kill_left(run: str) -> None:
        """End what still lives in the groups of a run whose engine is dead, also what has shed the run's mark."""
        home = own_group()
        if home is not None:
            base = os.path.join(home, f"stagebook-{run}")
            if os.path.isdir(base):
                kill(base)

    @staticmethod
    def remove_left(run: str) -> None:
        """Remove the groups of a run whose engine is dead; those that hold a process stay."""
        home = own_group()
        if home is not None:
            remove(os.path.join(home, f"stagebook-{run}"))

    @staticmethod
    def remove_abandoned() -> None:
        """Remove the empty groups of measuring processes that were killed: `RUN-PID`, of a process that is no more."""
        home = own_group()
        try:
            names = os.listdir(home) if home is not None else []
        except OSError:
            return
        for name in names:
            ours, _, rest = name.partition("-")
            pid = rest.partition("-")[2]
            if ours == "stagebook" and pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
                remove(f"{home}/{name}")

    def make(self, name: str) -> str | None:
        """A new group for one attempt, and move this process into it, so that the child is born there. None on
        failure; pair with `leave`."""
        path = f"{self.base}/{name}"
        try:
            os.mkdir(path)
            file = os.open(path + "/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            os.write(file, b"0")
        except OSError:
            return None
        finally:
            os.close(file)
        return path

    def leave(self) -> None:
        """Back to where this process was."""
        os.write(self._home, b"0")

    def send_home(self, group: str) -> list[int]:
        """Move what still lives in a group to where it would be without us; gives those processes."""
        moved: list[int] = []
        for _ in range(8):  # one of them may fork meanwhile
            living = processes(group)
            for pid in living:
                try:
                    os.write(self._home, b"%d" % pid)
                    moved.append(pid)
                except OSError:
                    pass  # it is gone, or a zombie that nobody has reaped
            if not living:
                break
        return moved

    def close(self) -> None:
        """Remove the run's group; groups that would not empty stay and are named by nobody, as they hold nothing."""
        os.close(self._home)
        remove(self.base)


def processes(group: str) -> list[int]:
    """Those in it, and in groups that they have made below it."""
    found: list[int] = []
    for one in _with_nested(group):
        try:
            with open(one + "/cgroup.procs", "rb", buffering=0) as file:
                data = file.read()
                while more := file.read():
                    data += more
        except OSError:
            continue
        found += [int(pid) for pid in data.split() if pid != b"0"]
    return found


def _with_nested(group: str) -> list[str]:
    """The group and all below it, parents first."""
    found = [group]
    for one in found:
        try:
            if os.stat(one).st_nlink > 2:  # a directory has a link from each directory in it
                found += [entry.path for entry in os.scandir(one) if entry.is_dir()]
        except OSError:
            continue
    return found


def kill(group: str) -> None:
    _write(group + "/cgroup.kill", b"1")


def remove(group: str) -> bool:
    """With the groups that its processes have made below it. False while something in it has not been reaped."""
    try:
        os.rmdir(group)
        return True
    except OSError:
        pass
    for one in reversed(_with_nested(group)):
        try:
            os.rmdir(one)
        except OSError:
            continue
    return not os.path.exists(group)


def was_out_of_memory(group: str) -> bool | None:
    """Whether the kernel killed something in it for memory; None where this cannot be told."""
    counts = _pairs(group + "/memory.events")
    return counts["oom_kill"] > 0 if "oom_kill" in counts else None


def usage(group: str, waited: Usage) -> Usage:
    """The group's figures, with what only `wait4` knows taken from there. Times in seconds, sizes in bytes."""
    cpu = _pairs(group + "/cpu.stat")
    if "user_usec" not in cpu:
        return waited
    peak = _number(group + "/memory.peak")
    read, written = _io(group + "/io.stat")
    return waited._replace(
        cpu_user_s=cpu["user_usec"] / 1e6,
        cpu_system_s=cpu["system_usec"] / 1e6,
        max_rss_bytes=waited.max_rss_bytes if peak is None else peak,
        read_bytes=waited.read_bytes if read is None else read,
        write_bytes=waited.write_bytes if written is None else written,
        method="cgroup",
        max_rss_method=waited.max_rss_method if peak is None else "cgroup",
    )


def own_group(controller: str = "", root: str = "") -> str | None:
    """The directory of this process's group in the v2 hierarchy, or in the v1 hierarchy of a controller; None where
    there is none. `root` is put before the paths of system files."""
    found = own_path(controller, root)
    return None if found is None else found[1]


def own_path(controller: str = "", root: str = "") -> tuple[str, str] | None:
    """The same after the directory where its hierarchy is mounted: groups above ours lie between the two."""
    groups, mounts = _hierarchies(root)
    ours = [
        below
        for number, names, below in groups
        if (controller in names.split(",") if controller else (number, names) == ("0", ""))
    ]
    kind = "cgroup" if controller else "cgroup2"
    places = [
        mount[3:5] for mount in mounts if mount[-3] == kind and (not controller or controller in mount[-1].split(","))
    ]
    if not ours or not places:
        return None
    below, (above, mount) = ours[0], places[0]
    if above != "/" and (below + "/").startswith(above + "/"):
        below = below[len(above) :]  # a container sees the groups from its own on
    mount = root + mount
    return mount, os.path.join(mount, below.lstrip("/")).rstrip("/")


_known: dict[str, tuple[list[list[str]], list[list[str]]]] = {}  #: a process stays where it was started


def _hierarchies(root: str) -> tuple[list[list[str]], list[list[str]]]:
    """Lines of the groups that this process is in, and of the hierarchies that are mounted, in words."""
    if root not in _known:
        groups = [line.split(":", 2) for line in lines(f"{root}/proc/self/cgroup")]
        mounts = [line.split() for line in lines(f"{root}/proc/self/mountinfo") if " - cgroup" in line]
        _known[root] = [each for each in groups if len(each) == 3], [each for each in mounts if len(each) > 9]
    return _known[root]


def lines(path: str) -> list[str]:
    """The lines of a file that may be long; none where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _write(path: str, data: bytes) -> bool:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(file, data)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def read(path: str) -> bytes:
    """A small file, empty where it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, 65536)
    except OSError:
        return b""
    finally:
        os.close(file)


def _pairs(path: str) -> dict[str, int]:
    words = read(path).decode().split()
    return {name: int(value) for name, value in zip(words[::2], words[1::2]) if value.isdecimal()}


def _number(path: str) -> int | None:
    text = read(path).strip()
    return int(text) if text.isdigit() else None


def _io(path: str) -> tuple[int | None, int | None]:
    if not os.path.exists(path):
        return None, None
    taken = written = 0
    for word in read(path).decode().split():
        name, _, value = word.partition("=")
        if name == "rbytes":
            taken += int(value)
        elif name == "wbytes":
            written += int(value)
    return taken, written
