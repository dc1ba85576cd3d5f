"""What a process used, as the kernel counts it; unknown is null and never 0."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from stagebook.observe import usage
from stagebook.record.story import UNKNOWN


def waited(code: str) -> tuple[int, object]:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)
    _, status, rusage = os.wait4(pid, 0)
    return status, rusage


def test_memory_and_time_of_a_process_are_counted() -> None:
    size = 700 << 20  # more than this process itself can have
    status, rusage = waited(f"x = bytearray(b'1') * {size}\nfor i in range(3_000_000): pass")
    assert status == 0
    used = usage.of_rusage(rusage)
    assert used.max_rss_bytes is not None and size <= used.max_rss_bytes <= 1.1 * size
    assert used.cpu_user_s is not None and used.cpu_user_s > 0.01
    assert used.method == "wait4"


def test_a_peak_below_our_own_is_unknown_since_the_child_began_in_our_memory() -> None:
    ballast = bytearray(b"1") * (64 << 20)
    _, rusage = waited("pass")
    assert usage.of_rusage(rusage).max_rss_bytes is None
    assert len(ballast) == 64 << 20


def test_memory_is_known_also_below_a_large_process_that_started_us() -> None:
    """`ru_maxrss` is handed down over fork and exec, so our own must not be taken from there."""
    count = "import os, sys; sys.path.insert(0, sys.argv[1]); from stagebook.observe import usage\n"
    count += "pid = os.posix_spawn(sys.executable, ['python', '-c', 'x = bytearray(64 << 20)'], {})\n"
    count += "print(usage.of_rusage(os.wait4(pid, 0)[2]).max_rss_bytes)"
    ballast = bytearray(b"1") * (128 << 20)
    source = str(Path(usage.__file__).parents[2])
    said = subprocess.run([sys.executable, "-c", count, source], capture_output=True, text=True, check=True).stdout
    assert 64 << 20 <= int(said) <= 90 << 20
    assert len(ballast) == 128 << 20


def test_the_json_is_what_the_record_reads() -> None:
    from stagebook.record.retelling import usage_of

    _, rusage = waited("pass")
    used = usage.of_rusage(rusage)
    again = usage_of(json.loads(usage.encode(used)))
    assert again is not None and again._replace(cpu_user_s=0, cpu_system_s=0) == used._replace(
        cpu_user_s=0, cpu_system_s=0
    )
    assert usage.encode(UNKNOWN) == usage.encode(None) == "null"
    partly = used._replace(read_bytes=None)
    assert usage_of(json.loads(usage.encode(partly))) == partly
