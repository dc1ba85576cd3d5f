"""Finds processes by a mark in their environment, so that a test can say "nothing of this run is left".

Reads /proc only. A process of another user, or one that is just ending, counts as not there.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple


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
    deadline = time.monotonic() + within_s
    while True:
        left = mark_processes(mark)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)
