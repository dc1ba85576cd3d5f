"""What is computed before a run: loading and validating a large file, its graph. Fresh processes, CPU time inside."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Callable

from section import Section
from table import table

#: Each prints the CPU seconds of its work, imports of what does the work included.
YAML = """
import sys, time
before = time.process_time()
import yaml
with open(sys.argv[1], "rb") as file:
    document = yaml.load(file, yaml.CSafeLoader)
print(time.process_time() - before)
assert len(document["stages"]) == int(sys.argv[2])
"""
OURS = """
import sys, time
before = time.process_time()
from stagebook.formats.native import read
loaded = read.load_plain(sys.argv[1], sys.argv[3])
print(time.process_time() - before)
assert len(loaded.pipeline.stages) == int(sys.argv[2])
assert loaded.cached == (sys.argv[4] == "cached")
"""
GRAPH = """
import json, sys, time
needs = json.load(open(sys.argv[1]))
took = [float(1 + index % 7) for index in range(len(needs))]
"""
OUR_GRAPH = (
    GRAPH
    + """
from stagebook.graph.shape import shape
before = time.process_time()
found = shape(needs, took)
print(time.process_time() - before)
assert sum(took[node] for node in found.critical) == found.length
print(found.length, sum(found.slack), file=sys.stderr)
"""
)
THEIR_GRAPH = (
    GRAPH
    + """
import networkx
before = time.process_time()
graph = networkx.DiGraph()
graph.add_nodes_from(range(len(needs)))
graph.add_edges_from((need, node) for node, each in enumerate(needs) for need in each)
order = list(networkx.topological_sort(graph))
earliest = dict.fromkeys(order, 0.0)
for node in order:
    earliest[node] = max((earliest[need] + took[need] for need in graph.predecessors(node)), default=0.0)
length = max(earliest[node] + took[node] for node in order)
latest = {}
for node in reversed(order):
    latest[node] = min((latest[after] for after in graph.successors(node)), default=length) - took[node]
slack = [latest[node] - earliest[node] for node in range(len(needs))]
critical = [max(order, key=lambda node: earliest[node] + took[node])]
while before_it := list(graph.predecessors(critical[-1])):
    critical.append(max(before_it, key=lambda need: earliest[need] + took[need]))
print(time.process_time() - before)
print(length, sum(slack), file=sys.stderr)
"""
)


def load(section: Section) -> None:
    """Loading and validating 10 000 stages, against the C parser of YAML alone."""
    count = 1000 if section.quick else 10_000
    folder = section.bench.place("load")
    file = folder / "stagebook.yaml"
    file.write_text(_rich_file(count))
    section.head(f"load and validate {count} stages ({file.stat().st_size / 2**20:.1f} MiB of YAML), CPU time")
    cache = folder / "cache"
    cache.mkdir()
    words = [str(file), str(count)]
    forget = partial(shutil.rmtree, cache / "plans", ignore_errors=True)
    seconds = _rounds(section, "load", {
        "PyYAML CSafeLoader alone": (YAML, words, lambda: None),
        "stagebook, first load": (OURS, [*words, str(cache), "first"], forget),
        "stagebook, from the cache": (OURS, [*words, str(cache), "cached"], lambda: None),
    }, turn=False)  # fmt: skip
    theirs, first, cached = seconds.values()
    section.goals.ratio("load: first load / CSafeLoader", first, theirs, 1.0)
    section.goals.ratio("load: from the cache / CSafeLoader", cached, theirs, 0.05)
    section.show_goals()


def graph(section: Section) -> None:
    """Order, earliest and latest times, slack, critical path of 10 000 stages."""
    count = 1000 if section.quick else 10_000
    section.head(f"order, slack and critical path of {count} stages, CPU time")
    needs = [sorted({(index * 7 + 3) % index, index - 1 - index % 5}) if index > 5 else [] for index in range(count)]
    file = section.bench.place("graph") / "needs.json"
    file.write_text(json.dumps(needs))
    seconds = _rounds(section, "graph", {
        "stagebook.graph": (OUR_GRAPH, [str(file)], lambda: None),
        "networkx": (THEIR_GRAPH, [str(file)], lambda: None),
    })  # fmt: skip
    section.goals.ratio("graph: stagebook / networkx", seconds["stagebook.graph"], seconds["networkx"], 0.25)
    section.show_goals()


def _rich_file(count: int) -> str:
    """Stages as people write them: needs, resources, a timeout, retries, variables."""
    lines = ["version: 1", "pools: {db: 4}", "stages:"]
    for index in range(count):
        lines += [f"  stage-{index}:", f"    run: python -m tool --part {index}"]
        if index:
            lines.append(f"    needs: [stage-{index // 2}{f', stage-{index - 1}' if index > 2 else ''}]")
        lines.append("    timeout: 10m")
        lines.append("    resources: {cpu: 1, memory: 256MiB}")
        lines.append("    retry: {attempts: 2, backoff: 1s}")
        lines.append(f'    env: {{PART: "{index}", MODE: fast}}')
    return "\n".join(lines) + "\n"


Work = tuple[str, list[str], Callable[[], object]]


def _rounds(section: Section, title: str, cases: dict[str, Work], turn: bool = True) -> dict[str, list[float] | None]:
    """Seconds by case, in interleaved rounds of fresh processes. `turn`: each round begins with another case."""
    seconds: dict[str, list[float] | None] = {name: [] for name in cases}
    said: dict[str, str] = {}
    for number in range(section.rounds):
        names = list(cases)
        for at in range(len(names)):
            name = names[(at + number) % len(names)] if turn else names[at]
            values = seconds[name]
            if values is None:
                continue
            code, words, prepare = cases[name]
            prepare()
            done = python(section, code, words)
            if done.returncode:
                missing = "No module named" in done.stderr
                print(f"{name}: {'not installed' if missing else 'failed: ' + done.stderr[-600:]}")
                seconds[name] = None
                continue
            values.append(float(done.stdout))
            said[name] = done.stderr
    if len(set(said.values())) > 1:
        print(f"failed: answers differ: {said}")
    section.raw[title] = seconds
    rows = [
        (name, f"{statistics.median(values) * 1e3:.1f}", f"{min(values) * 1e3:.1f}", f"{max(values) * 1e3:.1f}")
        for name, values in seconds.items()
        if values
    ]
    print(table(("", "CPU ms", "min", "max"), rows))
    return seconds


def python(section: Section, code: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    source = Path(__file__).resolve().parent.parent / "src"
    env = {**section.bench.env, "PYTHONPATH": str(source)}
    return subprocess.run([sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, check=False)
