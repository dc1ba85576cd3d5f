"""The history: how long it takes to index journals, and to ask a history of many runs. Both are generated: what is in
them does not matter here, how much of it does.

The large one is written straight into the tables; beside it lies a folder with as many runs, whose journals are links
to a few. So what is measured of `runs`, `stats` and `diff` is a whole process, the look at that folder included.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import peers
from measured import Case
from section import Section, cost_rows, walls

STAGES = 20
PIPELINE = "".join(
    f"  s{number}: {{run: 'true'{f', needs: [s{number - 5}]' if number > 5 else ''}}}\n"
    for number in range(1, STAGES + 1)
)
T0_US = 1_780_000_000_000_000
EACH_US = 60_000_000  #: from the start of a run to the next one's
LINKS_MAX = 10_000  #: how many names one file gets, which file systems limit


def run_id(number: int) -> str:
    """A run id that sorts by number."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    value = (T0_US + number * EACH_US) // 1000 << 80 | number
    return "".join(digits[value >> shift & 31] for shift in range(125, -1, -5))


def journal(path: Path, run: str, at_us: int, pipeline: Any, plain: str) -> None:
    """A run of 20 stages on 5 jobs, with usage and surroundings as a real one has."""
    from stagebook.record.line import members, quote
    from stagebook.record.writer import Writer

    writer = Writer(str(path), run, at_us)
    head = members(
        pipeline=pipeline.name, mode="parallel", jobs=5, policy="strict", stages=STAGES, file=pipeline.file,
        format="native", boot=None, pid=7, digest=pipeline.digest, params={}, critical=[], choice={"cores": 2},
    )  # fmt: skip
    writer.add("run.started", 0, tail=f'{head},"plan":{plain}')
    usage = members(usage={
        "cpu_user_s": 1.2, "cpu_system_s": 0.2, "max_rss_bytes": 90_000_000, "read_bytes": 4096, "write_bytes": 8192,
        "ctx_voluntary": 12, "ctx_involuntary": 3, "method": "cgroup", "max_rss_method": "cgroup",
    }, around={
        "over_s": 2.0, "pressure_method": "cgroup", "cpu_some": 0.1, "cpu_full": 0.0, "memory_some": 0.0,
        "memory_full": 0.0, "io_some": 0.0, "io_full": 0.0, "others_cores": 0.4, "run_delay_s": 0.01, "device": "vda",
        "device_busy": 0.1, "throttled_s": 0.0,
    })  # fmt: skip
    seed = at_us // EACH_US
    lines = []
    for number in range(STAGES):
        level, us = number // 5, (number // 5) * 2_100_000
        name, took = quote(pipeline.stages[number].id), 1_900_000 + (seed * 7919 + number * 104_729) % 200_000
        begun = members(pid=100, start=None, ready=us / 1e6, waited="slot" if level else None, log=f"s{number}.1.log")
        end = members(outcome="failure" if number == STAGES - 1 and seed % 20 == 0 else "success", reason=None)
        lines.append((us, "stage.started", name, 1, begun))
        lines.append((us + took, "stage.exited", name, 1, f"{end},{members(exit=0, signal=None)},{usage}"))
        lines.append((us + took, "stage.ended", name, None, f"{end},{members(flaky=False)}"))
    for us, event, name, attempt, tail in sorted(lines, key=lambda line: line[0]):
        writer.next_batch()
        writer.add(event, us, name, attempt, tail)
    writer.add("run.ended", 8_400_000, tail=members(
        outcome="failure" if seed % 20 == 0 else "success", reason=None, wall_s=8.4, critical_path=["s1", "s6"],
        critical_path_s=7.8, max_parallel=5, sum_s=38.0, cpu_s=28.0, waiting_by={"slot": 1.0}, warnings=[],
    ))  # fmt: skip
    writer.add("journal.synced", 8_400_000)
    writer.write()
    writer.abandon()


def journals(folder: Path, count: int) -> None:
    """A project with so many runs on record, and nothing but their journals."""
    from stagebook.formats.native.read import load
    from stagebook.model.plain import to_plain
    from stagebook.record.line import members

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "stagebook.yaml"
    file.write_text("version: 1\nname: bench\nstages:\n" + PIPELINE)
    pipeline = load(str(file), None)
    plain = members(plan=to_plain(pipeline)).partition(":")[2]
    for number in range(count):
        run = run_id(number)
        directory = folder / ".stagebook" / "runs" / run
        directory.mkdir(parents=True)
        journal(directory / "journal.jsonl", run, T0_US + number * EACH_US, pipeline, plain)


def history(folder: Path, count: int) -> None:
    """The history of so many runs, with their folder: the rows of a few runs that were read, over and over."""
    from sqlalchemy import text

    from stagebook.history import indexing, store

    few = max(20, -(-count // LINKS_MAX))
    journals(folder, few)
    state = str(folder / ".stagebook")
    for number in range(few, count):  # before any is read: a new link changes a time of the file
        directory = folder / "aside" / run_id(number)
        os.makedirs(directory)
        os.link(folder / ".stagebook" / "runs" / run_id(number % few) / "journal.jsonl", directory / "journal.jsonl")
    store.ask(state, lambda connection: None)

    def multiply(connection: Any) -> None:
        for table in ("stages", "attempts", "runs"):
            rows = [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))]
            names = [row[1] for row in connection.execute(text(f"PRAGMA table_info({table})"))]
            at = names.index("id" if table == "runs" else "run_id")
            many = (row for first in range(few, count, few) for row in moved(rows, names, at, first, count))
            marks = ", ".join("?" * len(names))
            cursor = connection.connection.cursor()
            cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", many)

    def moved(rows: list[Any], names: list[str], at: int, first: int, count: int) -> Any:
        for row in rows:
            if row[at] + first > count:
                continue
            fresh = list(row)
            fresh[at] += first
            number = fresh[at] - 1
            for name in ("started_us", "finished_us"):
                if name in names and fresh[names.index(name)] is not None:
                    fresh[names.index(name)] += first * EACH_US
            if "wall_us" in names:
                fresh[names.index("wall_us")] += (number * 7919) % 400_000
            if "run" in names:
                fresh[names.index("run")] = run_id(number)
            yield fresh

    store.ask(state, multiply, is_change=True)
    for number in range(few, count):
        os.rename(folder / "aside" / run_id(number), folder / ".stagebook" / "runs" / run_id(number))
    time.sleep(indexing.FRESH_NS / 1e9 + 0.1)
    store.ask(state, lambda connection: None)  # notes the folder as known


def indexing(section: Section) -> None:
    """1 000 runs from nothing; one more; and the questions of a history of 100 000."""
    few, many = (200, 5000) if section.quick else (1000, 100_000)
    section.head(f"history: indexing {few} runs of {STAGES} stages, and asking {many} of them")
    small = section.bench.place("history", str(few))
    journals(small, few)
    state = small / ".stagebook"
    command = [*peers.STAGEBOOK, "stats", "s7"]

    def forget() -> None:
        for path in state.glob("history.db*"):
            path.unlink()

    def forget_one() -> None:
        newest = run_id(few - 1)
        shutil.copytree(state / "runs" / newest, small / "aside")
        shutil.rmtree(state / "runs" / newest)
        os.rename(small / "aside", state / "runs" / newest)
        from sqlalchemy import text

        from stagebook.history import store

        statement = text(f"DELETE FROM runs WHERE run = '{newest}'")
        store.ask(str(state), lambda connection: connection.execute(statement), is_change=True)

    costs = section.costs("indexing", {
        f"stats, {few} runs to index": Case(command, small, {}, forget),
        "stats, one run to index": Case(command, small, {}, forget_one),
        "stats, nothing to index": Case(command, small, {}),
    })  # fmt: skip
    print(cost_rows(costs, {}))
    large = section.bench.place("history", str(many))
    history(large, many)
    first, last = run_id(3), run_id(many - 1)
    questions = {
        "runs": ["runs"], "runs --outcome failure": ["runs", "--outcome", "failure"],
        "runs --stage s7": ["runs", "--stage", "s7"], "runs --trend": ["runs", "--trend"],
        "stats s7": ["stats", "s7"], "diff": ["diff", first, last],
    }  # fmt: skip
    asked = section.costs("history", {
        f"{name}, {many} runs": Case([*peers.STAGEBOOK, *words], large, {}) for name, words in questions.items()
    })  # fmt: skip
    print()
    print(cost_rows(asked, {}))
    goals = section.goals
    goals.value(f"history: {few} runs indexed, whole process", walls(costs, f"stats, {few} runs to index"), 2, "s")
    for name in questions:
        goals.value(f"history: {name}, {many} runs", walls(asked, f"{name}, {many} runs"), 1, "s")
    section.show_goals()
