"""What it costs to begin: a run of one stage, `--help`, `--version`, and which import costs what."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from functools import partial

import peers
from measured import Case
from section import Section, cost_rows, walls
from table import table

IMPORTED = re.compile(r"^import time: *(\d+) \| *\d+ \| *(\S+)$", re.MULTILINE)
TOP = 15
FIRST, CACHED, DOIT, PASS = "stagebook run, first load", "stagebook run, plan cached", "doit", "python -c pass"


def one_stage(section: Section) -> None:
    """One stage of /bin/true, the whole process."""
    section.head("one stage of /bin/true, whole process")
    bench, needs = section.bench, peers.graph("chain", 1)
    tools = {FIRST: peers.stagebook("auto", "auto"), CACHED: peers.stagebook("auto", "auto"), DOIT: peers.doit(bench)}
    tools["ninja"] = peers.ninja(bench)
    missing = {name: tool.missing for name, tool in tools.items() if tool.missing is not None}
    cases = {}
    for number, (name, tool) in enumerate(tools.items()):
        if name in missing:
            continue
        folder = bench.place("one", str(number))
        laid = tool.lay(folder, needs, 2, "/bin/true")
        gone = folder / ".stagebook" if name == FIRST else folder / ".stagebook" / "runs"
        cases[name] = Case(laid.argv, folder, laid.env, partial(section.bench.put_away, gone))
        bench.run(cases[name])
    cases[PASS] = Case([sys.executable, "-c", "pass"], bench.place("one", "pass"))
    costs = section.costs("one stage", cases, _many(section))
    print(cost_rows(costs, missing))
    section.goals.ratio("one stage: wall / doit", walls(costs, FIRST), walls(costs, DOIT), 0.85)
    section.goals.ratio("one stage: wall / doit, plan cached", walls(costs, CACHED), walls(costs, DOIT), 0.7)
    section.show_goals()


def answers(section: Section) -> None:
    """`--help` and `--version` against an interpreter that does nothing, and the imports of both and of a run."""
    section.head("--help and --version, whole process")
    folder = section.bench.place("answers")
    cases = {
        "stagebook --help": Case([*peers.STAGEBOOK, "--help"], folder),
        "stagebook --version": Case([*peers.STAGEBOOK, "--version"], folder),
        PASS: Case([sys.executable, "-c", "pass"], folder),
    }
    for case in cases.values():
        section.bench.run(case)
    costs = section.costs("answers", cases, _many(section))
    print(cost_rows(costs, {}))
    for word in ("--help", "--version"):
        section.goals.ratio(f"{word}: wall / python -c pass", walls(costs, f"stagebook {word}"), walls(costs, PASS), 4)
    section.show_goals()


def imports(section: Section) -> None:
    """Time inside imports, by module and by room."""
    folder = section.bench.place("imports")
    (folder / "stagebook.yaml").write_text(peers.stagebook_file([[]], "/bin/true"))
    state = folder / ".stagebook"
    bare = _import_times(section, ["-c", "pass"], folder)
    for title, words, gone in (
        ("stagebook --help", ["--help"], state),
        ("stagebook run, first load", ["run"], state),
        ("stagebook run, plan cached", ["run"], state / "runs"),
    ):
        section.head(
            f"imports of `{title}`, medians of {section.rounds} processes, without what `python -c pass` imports"
        )
        argv = peers.STAGEBOOK[1:] if len(peers.STAGEBOOK) > 1 else peers.STAGEBOOK
        times = _import_times(section, [*argv, *words], folder, partial(section.bench.put_away, gone))
        section.raw[f"imports {title}"] = times
        _print_imports({name: ms for name, ms in times.items() if name not in bare}, bare)


def _import_times(section: Section, words: list[str], folder: object, prepare: object = None) -> dict[str, float]:
    """Milliseconds inside each module, what it imports left out."""
    seen: dict[str, list[float]] = {}
    for _ in range(section.rounds + 1):
        if callable(prepare):
            prepare()
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *words], cwd=str(folder), env=section.bench.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
        if done.returncode:
            print(f"failed: {' '.join(words)}: exit {done.returncode}\n{done.stderr[-500:]}")
        for us, name in IMPORTED.findall(done.stderr):
            seen.setdefault(name, []).append(int(us) / 1000)
    return {name: statistics.median(values) for name, values in seen.items()}


def _print_imports(times: dict[str, float], bare: dict[str, float]) -> None:
    rooms: dict[str, list[float]] = {}
    for name, ms in times.items():
        parts = name.split(".")
        if parts[0] == "stagebook":
            room = "stagebook." + parts[1] if len(parts) > 1 else "stagebook"
        else:
            room = "PyYAML" if parts[0] in ("yaml", "_yaml") else "standard library"
        rooms.setdefault(room, []).append(ms)
    slowest = sorted(times.items(), key=lambda item: -item[1])[:TOP]
    print(table(("module", "ms alone"), [(name, f"{ms:.2f}") for name, ms in slowest]))
    rows = [(room, str(len(each)), f"{sum(each):.2f}") for room, each in sorted(rooms.items())]
    rows.append(("all", str(len(times)), f"{sum(times.values()):.2f}"))
    rows.append(("(python -c pass)", str(len(bare)), f"{sum(bare.values()):.2f}"))
    print("\n" + table(("room", "modules", "ms"), rows))


def _many(section: Section) -> int:
    """Small processes are noisy and cheap: more rounds."""
    return section.rounds if section.quick else 4 * section.rounds
