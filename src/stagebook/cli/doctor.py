"""`stagebook doctor`: which value each setting has and why, and what this machine lacks, with what that costs."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, place, settings
from stagebook.model.value import NamedTuple
from stagebook.report.durations import size
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Callable

EXAMPLE = """
stagebook doctor
stagebook doctor --json"""


class Finding(NamedTuple):
    """`state` is ok, degraded or missing; `cost` says what is lost, empty if nothing is."""

    name: str
    state: str
    found: str
    cost: str = ""


def add_arguments(parser: ArgumentParser) -> None:
    """None of its own."""


def execute(args: Namespace) -> int:
    """0, or 4 where stages cannot be run here at all."""
    findings = [probe(args) for probe in PROBES]
    values = [(name, args.settings.value(name), args.settings.origins[name]) for name in settings.KNOWN]
    if args.json:
        output.say_json({
            "settings": [
                {"name": name, "value": value, "origin": origin.kind, "where": origin.where or None}
                for name, value, origin in values
            ],
            "probes": [finding._asdict() for finding in findings],
        })  # fmt: skip
    else:
        style = output.style_for(sys.stdout, args)
        lines = ["settings"]
        for name, value, origin in values:
            shown = "–" if value is None else str(value)
            lines.append(style.plain(f"  {name:<12}{harmless(shown):<12}{harmless(str(origin))}"))
        lines += ["", "this machine"]
        for name, state, found, cost in findings:
            token = {"ok": "success", "degraded": "warning", "missing": "failure"}[state]
            text = f"{harmless(found)}; {cost}" if cost else harmless(found)
            lines.append(f"  {style.paint(f'{state:<10}', token)}{style.plain(f'{name:<12}{text}')}")
        output.say(lines)
    return 4 if any(finding.state == "missing" for finding in findings) else 0


def _python(args: Namespace) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok" if sys.version_info >= (3, 11) else "missing", f"{version} at {sys.executable}")


def _system(args: Namespace) -> Finding:
    system = os.uname()
    text = f"{system.sysname} {system.release}, {system.machine}"
    if system.sysname == "Linux":
        return Finding("system", "ok", text)
    return Finding("system", "degraded", text, "stages are ended by process group only; what leaves it is not found")


def _cores(args: Namespace) -> Finding:
    from stagebook.observe.cores import usable

    there = os.cpu_count() or 1
    return Finding("cores", "ok", f"{usable()} of {there} usable, so {max(2, usable())} jobs unless told otherwise")


def _signalfd(args: Namespace) -> Finding:
    import signal

    from stagebook.engine import kernel

    fd = kernel.signal_descriptor(signal.SIGCHLD)
    if fd is None:
        return Finding("signalfd", "degraded", "no", "the end of a stage is noticed by a handler, which costs more")
    os.close(fd)
    return Finding("signalfd", "ok", "ends of processes are noticed at once")


def _subreaper(args: Namespace) -> Finding:
    if os.path.exists("/proc/self/task"):
        return Finding("proc", "ok", "/proc tells which processes a stage has left behind")
    return Finding("proc", "degraded", "no /proc", "processes that a stage leaves behind are not found")


def _cgroup(args: Namespace) -> Finding:
    from stagebook.observe.cgroup import Groups

    groups = Groups.open("doctor") if args.settings.accounting == "auto" else None
    if groups is not None:
        groups.close()
        if groups.has_memory:
            return Finding("cgroup", "ok", "a group for each stage: usage of the whole tree is exact")
        return Finding(
            "cgroup", "degraded", "a group for each stage, without a memory controller: CPU of the whole tree is exact",
            "peak memory is that of the largest single process",
        )  # fmt: skip
    if args.settings.accounting != "auto":
        return Finding("cgroup", "ok", f"not used: accounting is {args.settings.accounting}")
    return Finding(
        "cgroup",
        "degraded",
        "no writable cgroup v2",
        "usage is by wait4: what a stage does not wait for is not counted, and out of memory is not told from a kill",
    )


def _pressure(args: Namespace) -> Finding:
    from stagebook.observe.cgroup import read

    if read("/proc/pressure/memory"):
        return Finding("pressure", "ok", "the kernel tells of stalls")
    return Finding(
        "pressure", "degraded", "no /proc/pressure (kernel before 4.20, or started without psi=1)",
        "stalls for processor, memory and disk are unknown; a shortage of memory is told by what is free alone",
    )  # fmt: skip


def _state(args: Namespace) -> Finding:
    path = place.state_directory(args)
    at = path
    while not os.path.exists(at) and os.path.dirname(at) != at:
        at = os.path.dirname(at)
    if not os.access(at, os.W_OK):
        return Finding("state", "missing", path, f"{at} cannot be written, so nothing can be run; --dir names another")
    try:
        room = os.statvfs(at)
    except OSError as error:
        return Finding("state", "missing", path, f"{error.strerror}")
    free = room.f_bavail * room.f_frsize
    if free < 100 << 20:
        return Finding("state", "degraded", path, f"only {size(free)} free; a full disk ends a run with exit 4")
    return Finding("state", "ok", f"{path}, {size(free)} free")


def _runtime(args: Namespace) -> Finding:
    path = os.environ.get("XDG_RUNTIME_DIR")
    if path and os.access(path, os.W_OK):
        return Finding("runtime", "ok", path)
    return Finding("runtime", "ok", "no XDG_RUNTIME_DIR; locks between runs go to the temporary directory")


PROBES: tuple[Callable[[Namespace], Finding], ...] = (
    _python, _system, _cores, _signalfd, _subreaper, _cgroup, _pressure, _state, _runtime,
)  # fmt: skip
