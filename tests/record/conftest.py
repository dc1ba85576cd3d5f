"""A place that can be made full and given room again, by the means that this machine allows."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Iterator, Protocol

import pytest


class Place(Protocol):
    path: Path
    complaint: str  #: what the system says when it is full

    def fill(self) -> None: ...
    def make_room(self) -> None: ...


class SmallFileSystem:
    """One MiB of its own, full when a file takes all of it."""

    complaint = "No space left on device"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        with open(self._filler, "wb", buffering=0) as file:
            try:
                while file.write(bytes(1 << 16)):
                    pass
            except OSError:
                pass

    def make_room(self) -> None:
        self._filler.unlink()


class SizeLimit:
    """Where nothing may be mounted: no file of this process may grow past 64 KiB."""

    complaint = "File too large"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, self._before[1]))

    def make_room(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() == 0:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], check=False, stderr=subprocess.DEVNULL
        )
        if done.returncode == 0:
            yield SmallFileSystem(mount)
            subprocess.run(["umount", "-l", str(mount)], check=True)
            return
    limit = SizeLimit(mount)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield limit
    limit.make_room()
    signal.signal(signal.SIGXFSZ, ignored)
