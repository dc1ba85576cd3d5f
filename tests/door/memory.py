"""How much memory a command and its children took at their peak, as the kernel counts it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Mapping, NamedTuple


class Measured(NamedTuple):
    """`peak_bytes` is of the largest single process below the command, itself included; the rest of all of them.

    `cpu_s` is what a time bound is held against: it does not grow when somebody else has the cores.
    """

    code: int
    out: str
    err: str
    wall_s: float
    cpu_s: float
    peak_bytes: int


def measured(words: list[str], cwd: Path, env: Mapping[str, str], folder: Path, within_s: int = 60) -> Measured:
    """Run a command to its end. The peak is that of the processes that the command itself has waited for, too.

    A process between the command and this one forks before it runs it, so that the size of the test is not counted.
    """
    out, err, usage = folder / "measured.out", folder / "measured.err", folder / "measured.usage"
    begin = time.monotonic()
    pid = os.posix_spawn(
        "/usr/bin/env",
        ["/usr/bin/env", "python3", "-S", "-c", _RUNNER, str(usage), str(within_s), str(cwd), *words],
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(out), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, str(err), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ],
        setsigdef=[signal.SIGPIPE],
    )
    os.waitpid(pid, 0)
    wall_s = time.monotonic() - begin
    code, peak, cpu_ms = map(int, usage.read_text().split())
    said = (path.read_text(errors="replace") for path in (out, err))
    return Measured(code, *said, wall_s, cpu_ms / 1000, peak)


_RUNNER = """
import os, resource, signal, sys
usage, within, words = sys.argv[1], int(sys.argv[2]), sys.argv[4:]
os.chdir(sys.argv[3])
pid = os.posix_spawn(words[0], words, dict(os.environ))
signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
signal.alarm(within)
_, status = os.waitpid(pid, 0)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(usage, "w") as file:
    cpu_ms = round((used.ru_utime + used.ru_stime) * 1000)
    file.write(f"{os.waitstatus_to_exitcode(status)} {used.ru_maxrss * 1024} {cpu_ms}")
"""
