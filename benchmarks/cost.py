"""What governing costs: a stage with all that is measured around it, a condition, a lease of the machine; and the share
of a core of an engine that waits for another run, or for memory."""

from __future__ import annotations

import json
import statistics
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import held
import peers
import pure
import stages
from measured import Case, Cost, Failed
from peers import Graph, Tool
from section import Section, cost_rows, cpus
from table import table

PLAIN, FIRST, SAME, OWN, RATE, LEASE = (
    "plain", "one stage with a condition", "all with the same condition", "each with its own condition",
    "all in a pool with a rate", "all in a machine-wide pool",
)  # fmt: skip

#: What is compared with another than the plain one: the first condition of a run pays for what reads them all.
BASES = {SAME: FIRST, OWN: FIRST}

#: What a run's record should have of what was around it.
AROUND = ("cpu_some", "memory_full", "io_full", "others_cores", "device_busy", "throttled_s")

#: Takes and gives back a unit of a pool of which so many others have one each. Prints seconds for one. In memory, as
#: `$XDG_RUNTIME_DIR` is.
LEASES = """
import os, sys, tempfile, time
from stagebook.engine.lease import Leases, Want
want = [Want("pool:s", 1, 1000)]
with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
    runs = [Leases(f"01M86FSFABCDEFGHJKMNPQR{number:03}", folder + "/leases") for number in range(int(sys.argv[1]) + 1)]
    for run in runs[1:]:
        run.want(0, "deploy", want)
        assert run.take(0) is None
    count = int(sys.argv[2])
    before = time.perf_counter()
    for stage in range(count):
        runs[0].want(stage, "deploy", want)
        assert runs[0].take(stage) is None
        runs[0].give_back(stage)
    print((time.perf_counter() - before) / count)
    for run in runs:
        run.close()
"""

#: The command with a machine beneath that has 300 MiB of memory free, whatever is true.
SHORT = """
import functools, sys
from stagebook.observe import shortage
shortage.Shortage = functools.partial(shortage.Shortage, sys.argv.pop(1))
from stagebook.cli.main import main
sys.exit(main())
"""


def overhead(section: Section) -> None:
    """1 000 no-op stages against ninja, with everything on; then what each thing more costs."""
    count = 200 if section.quick else 1000
    section.head(f"{count} stages of {stages.PROGRAM}, -j{stages.JOBS}, a cgroup a stage, all around it on record")
    for shape in ("layered",) if section.quick else ("chain", "wide", "layered"):
        _against_ninja(section, shape, count)
    lacks = _lacks(section.bench.folder / "govern" / "stagebook")
    if lacks:
        print(f"not on record here: {lacks}")
    _conditions(section, count)
    _leases(section)
    section.show_goals()


def _against_ninja(section: Section, shape: str, count: int) -> None:
    bench = section.bench
    tools = {"stagebook": peers.stagebook("auto", "auto"), "ninja": peers.ninja(bench)}
    needs = peers.graph(shape, count)
    missing = {name: tool.missing for name, tool in tools.items() if tool.missing is not None}
    cases: dict[str, Case] = {}
    for name, tool in tools.items():
        if name not in missing:
            cases[name] = _case(section, tool, bench.place("govern", name), needs)
            bench.run(cases[name])
    costs = section.costs(f"govern {shape} {count}", cases)
    print(f"\n{shape}, {section.rounds} rounds")
    print(cost_rows(costs, missing, count))
    section.goals.ratio(f"{shape}: CPU / ninja, all on", cpus(costs, "stagebook"), cpus(costs, "ninja"), 0.9)


def _case(section: Section, tool: Tool, folder: Path, needs: Graph) -> Case:
    laid = tool.lay(folder, needs, stages.JOBS, stages.PROGRAM)
    return Case(laid.argv, folder, laid.env, partial(section.bench.put_away, folder / ".stagebook"))


def _lacks(folder: Path) -> str:
    """What of the record a kernel or a user without rights leaves out, in words."""
    records = _records(folder)
    ends = [record for record in records if record["event"] == "stage.exited"]
    [around] = [record["around"] for record in records if record["event"] == "run.ended"]
    lacks = [] if all(end["usage"]["method"] == "cgroup" for end in ends) else ["a cgroup a stage"]
    return ", ".join([*lacks, *(name for name in AROUND if around[name] is None)])


def _conditions(section: Section, count: int) -> None:
    """The same wide plan with one thing more for each stage; the difference to the plain one, round by round."""
    holds = "branch != 'gone' && !commit.message.contains('skip')"
    more: dict[str, tuple[str, Callable[[int], str]]] = {
        PLAIN: ("", lambda index: ""),
        FIRST: ("", lambda index: "" if index else f', when: "{holds}"'),
        SAME: ("", lambda index: f', when: "{holds}"'),
        OWN: ("", lambda index: f", when: \"{holds} && branch != 'gone-{index}'\""),
        RATE: ("pools: {own: {size: 64, rate: 100000/s}}", lambda index: ", resources: {pools: {own: 1}}"),
        LEASE: ("pools: {all: {size: 64, machine: true}}", lambda index: ", resources: {pools: {all: 1}}"),
    }
    cases = {}
    for number, (name, (head, tail)) in enumerate(more.items()):
        folder = section.bench.place("conditions", str(number))
        lines = ["version: 1", head, "stages:"]
        lines += [f"  s{index}: {{run: {stages.PROGRAM}{tail(index)}}}" for index in range(count)]
        (folder / "stagebook.yaml").write_text("\n".join(lines) + "\n")
        argv = [*peers.STAGEBOOK, "run", "-j", str(stages.JOBS)]
        runs = folder / ".stagebook" / "runs"
        cases[name] = Case(argv, folder, _runtime(section), partial(section.bench.put_away, runs))
        section.bench.run(cases[name])
    costs = section.costs(f"conditions {count}", cases)
    print(f"\nwide, one thing more, plan cached, {section.rounds} rounds\n{cost_rows(costs, {}, count)}\n")
    rows = [_more(name, BASES.get(name, PLAIN), costs, count) for name in more if name != PLAIN]
    print(table(("CPU more", "than", "a run, ms", "a stage, µs", "min", "max"), rows))


def _more(name: str, base: str, costs: dict[str, list[Cost]], count: int) -> tuple[str, ...]:
    if name not in costs or base not in costs:
        return name, "failed", "", "", "", ""
    found = [ours.cpu_s - plain.cpu_s for ours, plain in zip(costs[name], costs[base])]
    if name == FIRST:
        return name, base, f"{statistics.median(found) * 1e3:.0f}", "", "", ""
    return name, base, "", *(f"{figure / count * 1e6:.0f}" for figure in _spread(found))


def _leases(section: Section) -> None:
    count = 500 if section.quick else 3000
    rows = []
    found: dict[str, list[float]] = {}
    section.raw["leases"] = found
    for others in (0, 8, 64):
        name = f"beside {others} holders"
        found[name] = []
        for _ in range(section.rounds):
            done = pure.python(section, LEASES, [str(others), str(count)])
            if done.returncode:
                raise Failed(done.stderr)
            found[name].append(float(done.stdout) * 1e6)
        rows.append((name, *(f"{figure:.0f}" for figure in _spread(found[name]))))
    print()
    print(table(("a lease taken and given back", "µs", "min", "max"), rows))


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


def _runtime(section: Section) -> dict[str, str]:
    """A machine of our own."""
    folder = section.bench.folder / "runtime"
    folder.mkdir(mode=0o700, exist_ok=True)
    return {"XDG_RUNTIME_DIR": str(folder)}


def idle(section: Section) -> None:
    """Eight long stages; then seven, and one that another run keeps from starting, or a machine without memory."""
    held.idle(section)
    watch_s = 2.0 if section.quick else 10.0
    rounds = 1 if section.quick else 3
    section.head(f"idle: 7 long stages and one that waits, engine and keeper together, {watch_s:g} s")
    section.bench.env.update(_runtime(section))
    rows = []
    for name, event, wait in (("for another run", "lease.refused", _refused), ("for memory", "machine.short", _short)):
        found = []
        for number in range(rounds):
            folder = section.bench.place("waits", f"{event} {number}")
            with wait(folder, f"sleep {watch_s + 4:g}") as argv:
                found.append(held.idle_share(section, argv, folder, watch_s, False))
            if not any(record["event"] == event for record in _records(folder)):
                print(f"failed: nothing waited {name}")
        shares, wakes = ([each[at] for each in found] for at in (0, 1))
        rows.append((f"waits {name}", f"{statistics.median(shares):.3f}", f"{statistics.median(wakes):.1f}"))
        section.goals.value(f"idle: share of a core, waits {name}", shares, 0.3, "%")
        section.raw[f"idle, waits {name}"] = found
    print(table(("", "% of a core", "wake-ups a second"), rows))
    section.show_goals()


@contextmanager
def _refused(folder: Path, program: str) -> Iterator[list[str]]:
    """Somebody else has the one unit that the eighth stage shares."""
    from stagebook.engine.lease import Leases, Want

    _lay(folder, program, "pools: {staging: {size: 1, machine: true}}", "resources: {pools: {staging: 1}}")
    other = Leases("01M86FSFABCDEFGHJKMNPQRSTV", str(folder.parents[1] / "runtime" / "stagebook"))
    other.want(0, "deploy", [Want("pool:staging", 1, 1)])
    if other.take(0) is not None:
        raise Failed("a lease of our own machine is not free")
    try:
        yield [*peers.STAGEBOOK, "run", "-j", "8"]
    finally:
        other.close()


@contextmanager
def _short(folder: Path, program: str) -> Iterator[list[str]]:
    """The eighth stage asks for more memory than is said to be free."""
    _lay(folder, program, "limits: {memory: 8GiB}", "resources: {memory: 1GiB}")
    (folder / "root" / "proc").mkdir(parents=True)
    (folder / "root" / "proc" / "meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 307200 kB\n")
    yield [sys.executable, "-c", SHORT, str(folder / "root"), "run", "-j", "8"]


def _lay(folder: Path, program: str, head: str, tail: str) -> None:
    lines = ["version: 1", head, "stages:", *(f"  s{index}: {{run: {program}}}" for index in range(7))]
    lines.append(f"  s7: {{run: {program}, {tail}}}")
    (folder / "stagebook.yaml").write_text("\n".join(lines) + "\n")


def _records(folder: Path) -> list[dict[str, Any]]:
    """The journal of its one run."""
    path = next((folder / ".stagebook" / "runs").iterdir()) / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]
