"""What `wait4` says a process and the children it waited for have used. Reads no files.

A process that was spawned begins its life in our own memory, and Linux counts that moment: a peak that is not above
our own peak is therefore not known.
"""

from __future__ import annotations

from stagebook.record.story import UNKNOWN, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BLUR_KIB = 1024  #: the kernel gathers its count of pages in batches, so two views of one peak differ a little
BLOCK = 512  #: getrusage counts blocks of this size, whatever the file system's is


def of_rusage(rusage: Any) -> Usage:
    """Seconds and bytes of a `struct rusage`; None gives what is unknown."""
    if rusage is None:
        return UNKNOWN
    peak_kib = rusage.ru_maxrss
    is_known = _is_own_memory(peak_kib) is False
    return Usage(
        round(rusage.ru_utime, 6),
        round(rusage.ru_stime, 6),
        peak_kib * 1024 if is_known else None,
        rusage.ru_inblock * BLOCK,
        rusage.ru_oublock * BLOCK,
        rusage.ru_nvcsw,
        rusage.ru_nivcsw,
        "wait4",
        "wait4" if is_known else None,
    )


_own_peak_kib = 0


def _is_own_memory(peak_kib: int) -> bool | None:
    """Whether a peak can be our own, in which a spawned process began; None where ours is not known.

    `ru_maxrss` of this process is of no use: by the same effect it holds the memory of whoever started us.
    """
    global _own_peak_kib
    if peak_kib <= _own_peak_kib + BLUR_KIB and _own_peak_kib:
        return True
    try:
        with open("/proc/self/status", "rb") as file:
            _own_peak_kib = next((int(line.split()[1]) for line in file if line.startswith(b"VmHWM:")), 0)
    except OSError:
        return None
    return peak_kib <= _own_peak_kib + BLUR_KIB


def encode(used: Usage | None) -> str:
    """The JSON object of a journal line; `null` where nothing is known."""
    if used is None or used.method is None:
        return "null"
    user, system, rss, read, written, voluntary, involuntary, method, rss_method = used
    if user is None or read is None or written is None or voluntary is None or involuntary is None:
        return _with_nulls(used)
    peak = "null" if rss is None else rss
    how = "null" if rss_method is None else f'"{rss_method}"'
    return (
        f'{{"cpu_user_s":{user:.6f},"cpu_system_s":{system:.6f},"max_rss_bytes":{peak},"read_bytes":{read},'
        f'"write_bytes":{written},"ctx_voluntary":{voluntary},"ctx_involuntary":{involuntary},"method":"{method}",'
        f'"max_rss_method":{how}}}'
    )


def _with_nulls(used: Usage) -> str:
    import json

    return json.dumps(used._asdict(), separators=(",", ":"))
