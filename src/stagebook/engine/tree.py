"""Ends the whole tree of an attempt: every process it started, however it tried to get away.

With a cgroup the group is the tree. Without one it is what stands below the main process, its session, and the orphans
that came to the engine (a subreaper) and carry the attempt's mark in their environment. One look is never enough:
callers look again until nothing is left.
"""

from __future__ import annotations

import os
import signal

from stagebook.engine import kernel
from stagebook.observe import cgroup


class Tree:
    """The processes of one attempt. `main` is the process that was started."""

    __slots__ = ("_attempt", "_call", "_stage", "group", "is_main_gone", "main")

    def __init__(self, main: int, group: str | None, stage: str, attempt: int, call: int | None = None) -> None:
        """`call` is the number of a call of a step, of which several may run as the same attempt."""
        self.main = main
        self.group = group
        self.is_main_gone = False
        self._stage = stage
        self._attempt = attempt
        self._call = call

    def alive(self, orphans: list[int], is_alone: bool) -> list[int]:
        """Everything of it that still runs. `orphans` are the engine's children that are no main process; with
        `is_alone`, no other attempt runs, so that an orphan that shed its mark can only be ours."""
        if self.group is not None:
            return [pid for pid in cgroup.processes(self.group) if not kernel.is_zombie(pid)]
        found = [] if self.is_main_gone else [self.main, *kernel.descendants_of(self.main)]
        for pid in orphans:
            if is_alone or self._owns(pid):
                found.append(pid)
                found.extend(kernel.descendants_of(pid))
        return [pid for pid in found if not kernel.is_zombie(pid)]

    def _owns(self, pid: int) -> bool:
        try:
            if os.getsid(pid) == self.main:
                return True
        except OSError:
            return False
        environment = b"\0" + kernel.environment_of(pid)
        if self._call is not None:
            return b"\0STAGEBOOK_CALL=%d\0" % self._call in environment
        stage = b"\0STAGEBOOK_STAGE=%s\0" % os.fsencode(self._stage)
        attempt = b"\0STAGEBOOK_ATTEMPT=%d\0" % self._attempt
        return stage in environment and attempt in environment

    def ask(self, pids: list[int]) -> None:
        """TERM, to all at once."""
        for pid in pids:
            kernel.send(pid, signal.SIGTERM)
            kernel.send(pid, signal.SIGCONT)

    def force(self, pids: list[int]) -> None:
        """KILL, to all at once."""
        if self.group is not None:
            cgroup.kill(self.group)
        for pid in pids:
            kernel.send(pid, signal.SIGKILL)
