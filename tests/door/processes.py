"""Finds processes by a mark in their environment, so that a test can say "nothing of this run is left".

Reads /proc only. A process of another user, or one that is just ending, counts as not there.
"""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from tests.door import waiting


class Found(NamedTuple):
    pid: int
    command: str


def mark_processes(mark: str) -> list[Found]:
    """Every living process whose environment at its start held the text `mark` (as `NAME=value`, or part of it).

    Zombies have an empty environment and are not found; neither is the caller.
    """
    wanted = mark.encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                if wanted not in file.read():
                    continue
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        found.append(Found(int(entry), command))
    return found


def wait_until_gone(mark: str, within_s: float) -> list[Found]:
    """What is still left of `mark_processes(mark)` after at most that many seconds; empty is what a test hopes for."""
    left: list[Found] = []

    def is_gone() -> bool:
        left[:] = mark_processes(mark)
        return not left

    try:
        waiting.until(is_gone, "no process with the mark", within_s)
    except AssertionError:
        pass
    return left


def end(found: list[Found]) -> None:
    """KILL, for the sake of the tests that come after a failed one."""
    for each in found:
        signal_to(each.pid, signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    """The direct children of a process, as the kernel lists them; none if it is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def state_of(pid: int) -> str:
    """The kernel's letter for what a process is doing; `X` if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return "X"


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    return state_of(pid) not in "ZX"


def is_pending(pid: int, number: int) -> bool:
    """Whether a signal waits to be taken by a process."""
    try:
        with open(f"/proc/{pid}/status") as file:
            waits = [int(line.split()[1], 16) for line in file if line.startswith(("SigPnd:", "ShdPnd:"))]
    except OSError:
        return False
    return any(mask >> (number - 1) & 1 for mask in waits)


def signal_to(pid: int, number: int) -> None:
    """Send a signal; nothing happens if there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
