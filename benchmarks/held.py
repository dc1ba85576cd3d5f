"""What is held while stages run: peak memory, with many stages and with much output; processor time while all wait."""

from __future__ import annotations

import os
import pty
import shutil
import statistics
import subprocess
import time
from functools import partial
from pathlib import Path

import peers
from measured import Case
from section import Section, cost_rows, peaks_mib
from table import table


def memory(section: Section) -> None:
    """Peak resident memory of the largest process of a run."""
    small, large = (200, 1000) if section.quick else (1000, 10_000)
    section.head("peak memory of a run, largest process")
    cases = {}
    for count in (small, large):
        folder = section.bench.place("memory", str(count))
        laid = peers.stagebook("auto", "wait4").lay(folder, peers.graph("wide", count), 2, "/bin/true")
        state = folder / ".stagebook"
        for name, gone in (("first load", state), ("plan cached", state / "runs")):
            prepare = partial(section.bench.put_away, gone)
            cases[f"{count} wide, {name}"] = Case(laid.argv, folder, laid.env, prepare)
    section.bench.run(cases[f"{large} wide, first load"])
    section.bench.run(cases[f"{small} wide, first load"])
    costs = section.costs("memory", cases, min(section.rounds, 3))
    print(cost_rows(costs, {}))
    goals = section.goals
    goals.value(f"memory: {small} wide, first load", peaks_mib(costs, f"{small} wide, first load"), 31, "MiB")
    goals.value(f"memory: {large} wide, first load", peaks_mib(costs, f"{large} wide, first load"), 220, "MiB")
    goals.value(f"memory: {large} wide, plan cached", peaks_mib(costs, f"{large} wide, plan cached"), 100, "MiB")
    section.show_goals()


def output(section: Section) -> None:
    """A stage that prints 1 GB, against the same stage printing one byte."""
    size = 100_000_000 if section.quick else 1_000_000_000
    section.head(f"peak memory with a stage that prints {size // 1_000_000} MB")
    cases = {}
    for kind, keys, failing in (
        ("straight to its log", "", False),
        ("through log-limit", ", log-limit: 64MiB", False),
        ("and fails", "", True),
    ):
        for amount, bytes_ in (("much", size), ("one byte", 1)):
            folder = section.bench.place("output", kind, amount)
            command = f"head -c {bytes_} /dev/zero" + ("; exit 1" if failing else "")
            (folder / "stagebook.yaml").write_text(
                f"version: 1\nstages:\n  print: {{run: '{command}', shell: always{keys}}}\n"
            )
            prepare = partial(shutil.rmtree, folder / ".stagebook", ignore_errors=True)
            argv = [*peers.STAGEBOOK, "run"]
            cases[f"{kind}, {amount}"] = Case(argv, folder, {"STAGEBOOK_ACCOUNTING": "wait4"}, prepare, int(failing))
    costs = section.costs("output", cases, min(section.rounds, 3))
    print(cost_rows(costs, {}))
    for kind in ("straight to its log", "through log-limit", "and fails"):
        much, little = (peaks_mib(costs, f"{kind}, {amount}") for amount in ("much", "one byte"))
        added = [more - less for more, less in zip(much, little)] if much and little else None
        section.goals.value(f"memory: added by {size // 1_000_000} MB of output, {kind}", added, 5, "MiB")
    shutil.rmtree(section.bench.folder / "output", ignore_errors=True)
    section.show_goals()


def idle(section: Section) -> None:
    """Eight stages that sleep: what engine and keeper use meanwhile, off and on a terminal."""
    watch_s = 2.0 if section.quick else 10.0
    section.head(f"idle: 8 long stages, engine and keeper together, {watch_s:g} s")
    folder = section.bench.place("idle")
    laid = peers.stagebook("auto", "auto").lay(folder, peers.graph("wide", 8), 8, f"sleep {watch_s + 3:g}")
    rounds = 1 if section.quick else 3
    found = {"plain lines": [], "live on a terminal": []}  # type: dict[str, list[tuple[float, float]]]
    for _ in range(rounds):
        for name, each in found.items():
            each.append(idle_share(section, laid.argv, folder, watch_s, name != "plain lines"))
    rows = []
    for name, each in found.items():
        shares, wakes = zip(*each)
        rows.append((name, f"{statistics.median(shares):.3f}", f"{statistics.median(wakes):.1f}"))
        section.goals.value(f"idle: share of a core, {name}", list(shares), 0.3, "%")
    section.raw["idle"] = found
    print(table(("", "% of a core", "wake-ups a second"), rows))
    section.show_goals()


def idle_share(
    section: Section, argv: list[str], folder: Path, watch_s: float, on_terminal: bool
) -> tuple[float, float]:
    """(per cent of one core, wake-ups a second) of the processes above the stages, by the kernel's own nanoseconds."""
    env = {**section.bench.env, "TERM": "xterm-256color"}
    reader, writer = pty.openpty() if on_terminal else os.pipe()
    process = subprocess.Popen(argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
    os.close(writer)
    os.set_blocking(reader, False)
    try:
        _drain(reader, 1.5)  # until all have started
        above = [process.pid, *_children(process.pid)]
        before = _used(above)
        began = time.monotonic()
        _drain(reader, watch_s)
        passed = time.monotonic() - began
        after = _used(above)
    finally:
        process.terminate()
        while process.poll() is None:
            _drain(reader, 0.1)
        os.close(reader)
    return (after[0] - before[0]) / passed / 1e7, (after[1] - before[1]) / passed


def _drain(reader: int, seconds: float) -> None:
    """Read and forget, as a terminal does, so that nobody waits for us."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            while os.read(reader, 1 << 16):
                pass
        except OSError:
            pass
        time.sleep(min(left, 0.1))


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _used(pids: list[int]) -> tuple[int, int]:
    """(nanoseconds on a processor, voluntary switches) of these processes so far."""
    spent = switches = 0
    for pid in pids:
        spent += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        status = Path(f"/proc/{pid}/status").read_text()
        switches += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return spent, switches
