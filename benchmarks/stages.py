"""What a stage costs: no-op stages in each shape, against the peers and the floor; growth; durability.

The same program is started the same number of times by every tool, which is counted once before anything is measured.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import peers
from measured import Case, Failed
from peers import Graph, Tool
from section import Section, cost_rows, cpus, peaks_mib, walls

JOBS = 2
PROGRAM = "/bin/true"
DIRECT, SHELL, CGROUP, CACHED = (
    "stagebook", "stagebook, shell: always", "stagebook, cgroup a stage", "stagebook, plan cached",
)  # fmt: skip
NINJA, MAKE, DOIT, FLOOR = "ninja", "GNU make", "doit -P thread", "C posix_spawn + log"


def noop(section: Section) -> None:
    """1 000 stages of /bin/true in three shapes."""
    count = 200 if section.quick else 1000
    section.head(f"{count} stages of {PROGRAM}, -j{JOBS}, whole processes; stagebook with its full record")
    print(
        "`stagebook` starts the program directly, as GNU make does, accounting by wait4, first load of the file.\n"
        "`shell: always` starts it by /bin/sh -c: so does ninja with every stage, which writes no log per stage.\n"
        "Quote the two rows together."
    )
    for shape in ("chain", "wide", "layered"):
        _one_shape(section, shape, count)


def _one_shape(section: Section, shape: str, count: int) -> None:
    bench = section.bench
    tools = {
        DIRECT: peers.stagebook("auto", "wait4"),
        CACHED: peers.stagebook("auto", "wait4"),
        SHELL: peers.stagebook("always", "wait4"),
        CGROUP: peers.stagebook("auto", "auto"),
        NINJA: peers.ninja(bench), MAKE: peers.make(bench), DOIT: peers.doit(bench), FLOOR: peers.floor(bench),
    }  # fmt: skip
    needs = peers.graph(shape, count)
    missing = {name: tool.missing for name, tool in tools.items() if tool.missing is not None}
    cases: dict[str, Case] = {}
    for number, (name, tool) in enumerate(tools.items()):
        if name in missing:
            continue
        folder = bench.place("stages", str(number))
        try:
            _count_starts(section, tool, folder, needs)
            cases[name] = _case(section, tool, folder, needs, is_first=name != CACHED)
            bench.run(cases[name])
            if name == CGROUP and not _has_used_cgroups(folder):
                missing[name] = "no cgroup v2 that this user may write"
                del cases[name]
        except Failed as error:
            missing[name] = "failed"
            print(f"failed: {name}: {error}")
            cases.pop(name, None)
    costs = section.costs(f"{shape} {count}", cases)
    print(f"\n{shape}, {count} stages, {section.rounds} rounds" + _versions(tools))
    print(cost_rows(costs, missing, count))
    goals = section.goals
    goals.ratio(f"{shape}: wall / ninja", walls(costs, DIRECT), walls(costs, NINJA), 0.75)
    goals.ratio(f"{shape}: wall / ninja, through a shell", walls(costs, SHELL), walls(costs, NINJA), 1.2)
    goals.ratio(f"{shape}: CPU / ninja", cpus(costs, DIRECT), cpus(costs, NINJA), 0.7)
    goals.ratio(f"{shape}: CPU / C posix_spawn with a log", cpus(costs, DIRECT), cpus(costs, FLOOR), 1.5)
    goals.ratio(f"{shape}: wall / doit", walls(costs, DIRECT), walls(costs, DOIT), 0.6)
    goals.ratio(f"{shape}: CPU / ninja, a cgroup a stage", cpus(costs, CGROUP), cpus(costs, NINJA), 0.9)
    goals.value(f"{shape}: peak memory", peaks_mib(costs, DIRECT), 31, "MiB")
    section.show_goals()


def _case(section: Section, tool: Tool, folder: Path, needs: Graph, is_first: bool) -> Case:
    """`is_first`: each round begins without a state directory; else only the runs before are put away. Logs are made
    anew by whoever writes some."""
    laid = tool.lay(folder, needs, JOBS, PROGRAM)
    state = folder / ".stagebook" if is_first else folder / ".stagebook" / "runs"
    return Case(laid.argv, folder, laid.env, partial(_make_way, section, state, folder / "logs"))


def _make_way(section: Section, state: Path, logs: Path) -> None:
    has_logs = logs.exists()
    section.bench.put_away(state, logs)
    if has_logs:
        logs.mkdir()


def _count_starts(section: Section, tool: Tool, folder: Path, needs: Graph) -> None:
    """Run once with a program that leaves a mark. Raises Failed if a stage was not started, or twice."""
    marks = folder / "marks"
    program = folder / "mark"
    program.write_text(f"#!/bin/sh\necho >> {marks}\n")
    program.chmod(0o755)
    laid = tool.lay(folder, needs, JOBS, str(program))
    section.bench.run(Case(laid.argv, folder, laid.env))
    started = marks.stat().st_size if marks.exists() else 0
    if started != len(needs):
        raise Failed(f"{started} starts of {len(needs)}")
    section.bench.put_away(folder)
    folder.mkdir()


def _has_used_cgroups(folder: Path) -> bool:
    journal = next((folder / ".stagebook" / "runs").iterdir()) / "journal.jsonl"
    ends = [record for record in map(json.loads, journal.open()) if record["event"] == "stage.exited"]
    return all(end["usage"]["method"] == "cgroup" for end in ends)


def _versions(tools: dict[str, Tool]) -> str:
    known = [f"{name} {tool.version}" for name, tool in tools.items() if tool.version]
    return f"; {', '.join(known)}" if known else ""


def growth(section: Section) -> None:
    """Whether a stage costs more where there are more of them."""
    few, many = (200, 1000) if section.quick else (1000, 5000)
    section.head(f"CPU per stage at {many} stages against {few}, layered, whole processes")
    tool = peers.stagebook("auto", "wait4")
    cases = {}
    for count in (1, few, many):
        folder = section.bench.place("growth", str(count))
        cases[f"{count} stages"] = _case(section, tool, folder, peers.graph("layered", count), is_first=True)
    costs = section.costs("growth", cases)
    for count in (few, many):
        print(cost_rows({f"{count} stages": costs[f"{count} stages"]}, {}, count))
    one, small, large = (cpus(costs, f"{count} stages") or [] for count in (1, few, many))
    section.goals.ratio(
        f"CPU per stage, {many} / {few}", [cpu / many for cpu in large], [cpu / few for cpu in small], 1.05
    )
    section.goals.ratio(
        f"CPU per stage, {many} / {few}, start-up taken off",
        [(cpu - start) / many for cpu, start in zip(large, one)],
        [(cpu - start) / few for cpu, start in zip(small, one)],
        1.05,
    )
    section.show_goals()


def durability(section: Section) -> None:
    """`durability: full` syncs every batch; the figure belongs to the disk as much as to us."""
    count = 100 if section.quick else 1000
    section.head(f"durability full against normal, chain of {count}")
    needs = peers.graph("chain", count)
    cases = {}
    for word in ("normal", "full"):
        tool = peers.stagebook("auto", "wait4", durability=word)
        cases[word] = _case(section, tool, section.bench.place("durability", word), needs, is_first=True)
    costs = section.costs("durability", cases)
    print(cost_rows(costs, {}, count))
    section.goals.ratio("durability: wall, full / normal", walls(costs, "full"), walls(costs, "normal"), 1.3)
    section.show_goals()
