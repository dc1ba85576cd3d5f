"""The same stages for each tool: a graph, one program, written in the tool's own file.

A graph is a list with the needs of each stage, as indices. Every tool has to start the program once a stage and to
honour the needs; `Tool.lay` writes the files and gives what is to be run. No tool is measured here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Callable, Mapping, NamedTuple, Sequence

from measured import Bench

Graph = Sequence[Sequence[int]]
STAGEBOOK = [str(Path(sys.executable).with_name("stagebook"))]
if not Path(STAGEBOOK[0]).exists():
    STAGEBOOK = [sys.executable, "-m", "stagebook"]


def graph(shape: str, count: int) -> list[list[int]]:
    """`chain`; `wide`, where nothing needs anything; `layered`: ten blocks, each of parallel stages and one that needs
    them all, on which the next block waits."""
    if shape == "chain":
        return [[index - 1] if index else [] for index in range(count)]
    if shape == "wide":
        return [[] for _ in range(count)]
    assert shape == "layered", shape
    needs: list[list[int]] = []
    size = max(2, count // 10)
    while len(needs) < count:
        first = len(needs)
        before = [first - 1] if first else []
        last = min(first + size, count) - 1
        needs += [list(before) for _ in range(first, last)]
        needs.append(list(range(first, last)) or before)
    return needs


class Laid(NamedTuple):
    """What runs the graph once, in the folder where its files lie."""

    argv: list[str]
    env: Mapping[str, str] = {}


class Tool(NamedTuple):
    """`missing` says why it cannot be run here, or is None; `version` is what its row says of it."""

    lay: Callable[[Path, Graph, int, str], Laid]
    missing: str | None = None
    version: str = ""


def stagebook_file(needs: Graph, program: str, shell: str = "auto") -> str:
    """The graph as `stagebook.yaml`."""
    lines = ["version: 1", f"defaults: {{shell: {shell}}}", "stages:"]
    for index, before in enumerate(needs):
        wanted = f", needs: [{', '.join(f's{need}' for need in before)}]" if before else ""
        lines.append(f"  s{index}: {{run: {program}{wanted}}}")
    return "\n".join(lines) + "\n"


def stagebook(shell: str, accounting: str, **settings: str) -> Tool:
    def lay(folder: Path, needs: Graph, jobs: int, program: str) -> Laid:
        (folder / "stagebook.yaml").write_text(stagebook_file(needs, program, shell))
        env = {f"STAGEBOOK_{name.upper()}": value for name, value in settings.items()}
        return Laid([*STAGEBOOK, "run", "-j", str(jobs)], {"STAGEBOOK_ACCOUNTING": accounting, **env})

    return Tool(lay)


def ninja(bench: Bench) -> Tool:
    path = bench.find("ninja")

    def lay(folder: Path, needs: Graph, jobs: int, program: str) -> Laid:
        lines = ["rule stage", f"  command = {program}", "  description = $out"]
        for index, before in enumerate(needs):
            wanted = " | " + " ".join(f"s{need}" for need in before) if before else ""
            lines.append(f"build s{index}: stage{wanted}")
        (folder / "build.ninja").write_text("\n".join(lines) + "\n")
        return Laid([str(path), "-j", str(jobs)])

    return Tool(lay, None if path else "not installed", _version(path))


def make(bench: Bench) -> Tool:
    path = bench.find("make")

    def lay(folder: Path, needs: Graph, jobs: int, program: str) -> Laid:
        names = " ".join(f"s{index}" for index in range(len(needs)))
        lines = [f".PHONY: all {names}", f"all: {names}"]
        for index, before in enumerate(needs):
            lines += [f"s{index}: {' '.join(f's{need}' for need in before)}", f"\t@{program}"]
        (folder / "Makefile").write_text("\n".join(lines) + "\n")
        return Laid([str(path), "-j", str(jobs)])

    return Tool(lay, None if path else "not installed", _version(path))


def doit(bench: Bench) -> Tool:
    path = bench.find("doit")

    def lay(folder: Path, needs: Graph, jobs: int, program: str) -> Laid:
        (folder / "needs.json").write_text(json.dumps(needs))
        (folder / "dodo.py").write_text(
            "import json\n"
            "DOIT_CONFIG = {'verbosity': 0}\n"
            "def task_s():\n"
            "    for index, needs in enumerate(json.load(open('needs.json'))):\n"
            "        task_dep = [f's:{need}' for need in needs]\n"
            f"        yield {{'name': str(index), 'actions': [[{program!r}]], 'task_dep': task_dep}}\n"
        )
        return Laid([str(path), "-n", str(jobs), "-P", "thread"])

    return Tool(lay, None if path else "not installed", _version(path))


def floor(bench: Bench) -> Tool:
    path = bench.compiled("floor")

    def lay(folder: Path, needs: Graph, jobs: int, program: str) -> Laid:
        lines = [" ".join(map(str, (len(before), *before))) for before in needs]
        (folder / "graph").write_text(f"{len(needs)}\n" + "\n".join(lines) + "\n")
        (folder / "logs").mkdir(exist_ok=True)
        return Laid([str(path), "graph", str(jobs), "logs", program])

    return Tool(lay, None if path else "no C compiler here")


def _version(path: str | None) -> str:
    if path is None:
        return ""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    first = said.splitlines()[0] if said else ""
    return next((word for word in first.split() if word[:1].isdigit()), "")
