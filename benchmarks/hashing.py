"""Hashing files as stages' inputs and outputs are hashed, beside the hashers of the command line; and a null build.

Ours is `hash_files` in a process that is there already, as an engine is; theirs is a whole process, or as many as
`xargs` makes. All files have been read before, so no disk is measured. What is judged is the fastest hasher that is
cryptographic: `b3sum`, `openssl`, `b2sum` or `sha256sum`, whichever are here.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Mapping, NamedTuple, Sequence

from measured import Case, Failed
from section import Section
from table import table

SHARE = 0.8  #: of the speed of the best of them
NULL_MS = 50
TOOLS = {
    "b3sum": ("b3sum",),
    "openssl blake2b512": ("openssl", "dgst", "-blake2b512"),
    "openssl sha256": ("openssl", "dgst", "-sha256"),
    "b2sum": ("b2sum",),
    "sha256sum": ("sha256sum",),
}
OURS = """
import gc, json, sys, time
from stagebook.artifact.digest import hash_files
from stagebook.cli.main import GARBAGE_MIN
gc.set_threshold(GARBAGE_MIN)
root, paths = sys.argv[1], json.load(open(sys.argv[2]))
began = time.perf_counter()
hash_files(root, paths)
print(time.perf_counter() - began)
"""


class Kind(NamedTuple):
    """So many files of so many bytes."""

    name: str
    count: int
    size: int


def hashing(section: Section) -> None:
    scale = 50 if section.quick else 1
    kinds = (
        Kind(f"{1024 // scale} MiB in one file" if section.quick else "1 GiB in one file", 1, 2**20 * (1024 // scale)),
        Kind(f"{_count(10_000 // scale)} files of 64 KiB", 10_000 // scale, 64 * 1024),
        Kind(f"{_count(100_000 // scale)} files of 100 B", 100_000 // scale, 100),
    )
    tools = {name: argv for name, argv in TOOLS.items() if section.bench.find(argv[0])}
    section.head(f"Hashing; here are {', '.join(tools) or 'no hashers'}")
    rows = []
    for kind in kinds:
        folder = section.bench.place("hashing")
        paths = _make(folder, kind)
        seconds = _rounds(section, folder, paths, tools)
        theirs = {name: each for name, each in seconds.items() if name in tools}
        best = min(theirs, key=lambda name: statistics.median(theirs[name]), default=None)
        for name, each in seconds.items():
            median = statistics.median(each)
            rate = f"{kind.count * kind.size / median / 2**30:.2f}" if kind.size > 1000 else ""
            rows.append((f"{kind.name}: {name}", f"{median * 1e3:.0f}", f"{min(each) * 1e3:.0f}", rate))
        ours = seconds.get("ours")
        section.goals.ratio(f"{kind.name}: ours / {best}", ours, theirs.get(best or ""), 1 / SHARE)
        section.raw[f"hashing: {kind.name}"] = seconds
    print(table(("", "median ms", "least", "GiB/s"), rows))
    _null(section)
    section.show_goals()


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _make(folder: Path, kind: Kind) -> list[str]:
    """The files, each other than the rest, a hundred in a folder; their paths."""
    block = os.urandom(min(kind.size, 2**20))
    paths = []
    for number in range(kind.count):
        if number % 100 == 0:
            (folder / "files" / str(number // 100)).mkdir(parents=True)
        paths.append(f"files/{number // 100}/{number}")
        with open(folder / paths[-1], "wb") as file:
            file.write(number.to_bytes(8, "big") + block[8:])
            for _ in range(kind.size // len(block) - 1):
                file.write(block)
    (folder / "paths.json").write_text(json.dumps(paths))
    (folder / "paths.txt").write_text("".join(f"{path}\n" for path in paths))
    return paths


def _rounds(
    section: Section, folder: Path, paths: Sequence[str], tools: Mapping[str, Sequence[str]]
) -> dict[str, list[float]]:
    """Seconds by tool, one a round; those that take turns first."""
    source = Path(__file__).resolve().parents[1] / "src"
    words = [sys.executable, "-c", OURS, str(folder), str(folder / "paths.json")]
    cases = {"ours": Case(words, folder, {"PYTHONPATH": str(source)})}
    for name, argv in tools.items():
        whole = [*argv, paths[0]] if len(paths) == 1 else ["xargs", "-a", "paths.txt", *argv]
        cases[name] = Case(whole, folder)
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for number in range(section.rounds + 1):  # the first is for the caches
        for at in range(len(names)):
            name = names[(at + number) % len(names)]
            try:
                cost = section.bench.run(cases[name])
            except Failed as trouble:
                print(f"failed: {trouble}")
                return {}
            took = float((section.bench.folder / ".output").read_text()) if name == "ours" else cost.wall_s
            if number:
                seconds[name].append(took)
    return seconds


def _null(section: Section) -> None:
    """What the room of artifacts takes to find 1 000 stages unchanged, one input and one output each, by processor
    time: files are found, looked at and compared, and the state is read once."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    from stagebook.artifact import digest, key, paths, state
    from stagebook.model.pipeline import Output, Stage

    count = 100 if section.quick else 1000
    folder = section.bench.place("null")
    root, cache, file = str(folder), str(folder / "cache"), str(folder / "stagebook.yaml")
    stages = []
    for number in range(count):
        for name in ("in", "out"):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / str(number)).write_text(str(number))
        stages.append(
            Stage(f"s{number}", f"s{number}", 1, 1, "run", "true", inputs=(f"in/{number}",),
                  outputs=(Output(f"out/{number}"),), env={"MODE": "fast"})
        )  # fmt: skip
    time.sleep(digest.RACY_NS / 1e9)

    def look(stage: Stage, known: Mapping[str, digest.File]) -> tuple[list[digest.File], list[digest.File]]:
        globs = [output.path for output in stage.outputs]
        return (
            digest.hash_files(root, paths.found(root, stage.inputs), known),
            digest.hash_files(root, paths.found(root, globs), known),
        )

    def keyed(stage: Stage, seen: tuple[list[digest.File], list[digest.File]]) -> dict[str, object]:
        return key.parts(stage, seen[0], {"MODE": "fast"}, {"channel": "beta"}, outputs=seen[1])

    known = state.State(cache, file)
    for stage in stages:
        seen = look(stage, {})
        known.done(stage.id, "R" * 26, 1, keyed(stage, seen), *seen)
    known.close()
    took = []
    for _ in range(max(5, section.rounds)):
        began = time.process_time()
        known = state.State(cache, file)
        changed = 0
        for stage in stages:
            last = known.last(stage.id)
            assert last is not None
            changed += bool(key.difference(last, keyed(stage, look(stage, last.known))))
        took.append((time.process_time() - began) * 1e3)
        known.close()
        assert changed == 0
    section.goals.value(f"{count} unchanged stages, processor time", took, NULL_MS, "ms")
    section.raw["null build"] = took
