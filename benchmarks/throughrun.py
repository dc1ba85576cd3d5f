"""Items through `stagebook run`: near the ideal with slow steps, what a command and a line to a worker cost, memory
with very many, kills on the way.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Iterator, Mapping

from measured import Case, Failed
from peers import STAGEBOOK
from section import Section, cost_rows, cpus, peaks_mib, walls
from table import table

SLOW_MS = 20
#: A worker that does nothing, or sleeps, or notes what it does; the least that one has to be.
WORKER = """\
import json, os, sys, time
slept, items = 0.0, 0
sleep_s = float(sys.argv[1]) / 1000
ledger = open(sys.argv[2], "ab", 0) if len(sys.argv) > 2 else None
for line in sys.stdin.buffer:
    if sleep_s:
        began = time.perf_counter()
        time.sleep(sleep_s)
        slept, items = slept + time.perf_counter() - began, items + 1
    if ledger:
        ledger.write(json.loads(line)["item"].encode() + b"\\n")
    os.write(1, b'{"ok": true}\\n')
if items:
    open(f"slept.{os.getpid()}", "w").write(f"{slept} {items}")
"""


def lay(section: Section, name: str, items: int, steps: list[Mapping[str, Any]], jobs: int, **more: Any) -> Path:
    """A folder with a pipeline of one `each`."""
    folder = section.bench.place(name)
    each = {"items": {"range": [1, items]}, "steps": [{f"s{at}": step} for at, step in enumerate(steps)], **more}
    document = {"version": 1, "limits": {"jobs": jobs}, "stages": {"work": {"each": each}}}
    (folder / "stagebook.yaml").write_text(json.dumps(document))
    (folder / "worker.py").write_text(WORKER)
    return folder


def worker(sleep_ms: float = 0, ledger: str = "", **more: Any) -> dict[str, Any]:
    return {"run": f"{sys.executable} -S -E worker.py {sleep_ms:g} {ledger}".strip(), "worker": True, **more}


def case(section: Section, folder: Path, *words: str) -> Case:
    prepare = partial(section.bench.put_away, folder / ".stagebook")
    return Case([*STAGEBOOK, "run", "--quiet", *words], folder, {}, prepare)


def told(section: Section, folder: Path) -> dict[str, Any]:
    """What `stagebook items` says of the last run."""
    done = subprocess.run(
        [*STAGEBOOK, "items", "last", "work", "--json"], cwd=folder, env=section.bench.env, stdout=subprocess.PIPE,
        check=True,
    )  # fmt: skip
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def rates(section: Section, title: str, folders: Mapping[str, Path]) -> dict[str, list[float]]:
    """Items a second, from the first that came to the last that was done, by case and round."""
    found: dict[str, list[float]] = {name: [] for name in folders}
    names = list(folders)
    for number in range(section.rounds):
        for at in range(len(names)):
            name = names[(at + number) % len(names)]
            try:
                section.bench.run(case(section, folders[name]))
            except Failed as error:
                print(f"failed: {name}: {error}")
                continue
            found[name].append(told(section, folders[name])["items"]["per_s"])
    section.raw[title] = found
    return found


def slow(section: Section) -> None:
    """Three steps of 20 ms in workers that stay."""
    each = 150 if section.quick else 400
    section.head(f"three steps of {SLOW_MS} ms (`worker: true`) through `stagebook run`: {each} items a worker")
    print(
        "From the first item that came to the last that was done; the start of the workers is in it. The ideal is\n"
        "what one step could do alone, by how long its workers really slept."
    )
    folders = {
        str(count): lay(
            section, f"slow{count}", each * count, [worker(SLOW_MS, workers=count) for _ in range(3)], 3 * count
        )
        for count in (1, 2, 4)
    }
    for count, found in rates(section, "slow, run", folders).items():
        slept = [[float(part) for part in each.read_text().split()] for each in folders[count].glob("slept.*")]
        ideal = int(count) * sum(items for _, items in slept) / sum(spent for spent, _ in slept)
        name = f"run, {SLOW_MS} ms, {count} worker{'s' * (count != '1')} a step: items/s / ideal"
        section.goals.at_least(name, found, [ideal] * len(found), 0.95)
    section.show_goals()


def workers(section: Section) -> None:
    """Three steps that do nothing, in workers that stay."""
    count = 3000 if section.quick else 20_000
    section.head(f"{count} items through three steps that answer at once (`worker: true`), through `stagebook run`")
    folders = {
        "one by one": lay(section, "workers1", count, [worker()] * 3, 3),
        "batch 100": lay(section, "workers100", count, [worker(batch=100)] * 3, 3),
        "batch 100, one step": lay(section, "workers100one", count, [worker(batch=100)], 3),
    }
    found = rates(section, "workers", folders)
    rows = [
        (name, *(f"{n:,.0f}".replace(",", " ") for n in (statistics.median(each), min(each), max(each))))
        for name, each in found.items()
    ]
    print("\n" + table(("", "items/s", "min", "max"), rows))
    for name in ("one by one", "batch 100"):
        section.goals.at_least(f"workers, three steps, {name}: items/s", found[name], None, 5000, " items/s")
    section.show_goals()


def commands(section: Section) -> None:
    """A process an item, beside a stage of its own for each."""
    count = 300 if section.quick else 1500
    section.head(
        f"{count} calls of /bin/true: three steps of {count // 3} items, and {count} stages, -j2, whole processes"
    )
    items = lay(section, "commands", count // 3, [{"run": "/bin/true"}] * 3, 2)
    stages = section.bench.place("stages")
    lines = [f"  s{number}: /bin/true" for number in range(count)]
    (stages / "stagebook.yaml").write_text("version: 1\nlimits: {jobs: 2}\nstages:\n" + "\n".join(lines) + "\n")
    one = section.bench.place("one")
    (one / "stagebook.yaml").write_text("version: 1\nstages:\n  one: /bin/true\n")
    cases = {"calls": case(section, items), "stages": case(section, stages), "one stage": case(section, one)}
    costs = section.costs("commands", cases)
    print("\n" + cost_rows({name: each for name, each in costs.items() if name != "one stage"}, {}, count))
    for what, of in (("wall", walls), ("CPU", cpus)):
        start = of(costs, "one stage") or []
        ours, theirs = (
            [figure - alone for figure, alone in zip(of(costs, name) or (), start)] for name in ("calls", "stages")
        )
        section.goals.ratio(f"{what} of a call / of a stage, start of the command taken off", ours, theirs, 1.3)
    section.show_goals()


def million(section: Section) -> None:
    """Peak memory with very many items; kills on the way."""
    few, many = 10_000, 100_000 if section.quick else 1_000_000
    section.head(f"{many} items in batches of 1 000: peak memory against {few}, and killed ten times on the way")
    cases = {}
    for count in (few, many):
        cases[f"{count} items"] = case(section, lay(section, f"many{count}", count, [worker(batch=1000)], 2))
    costs = section.costs("million", cases, 1)
    print(cost_rows(costs, {}))
    journal = next((section.bench.folder / f"many{many}" / ".stagebook" / "runs").iterdir()) / "journal.jsonl"
    print(f"\njournal of {many} items: {journal.stat().st_size / 2**20:.1f} MiB")
    small, large = (peaks_mib(costs, f"{count} items") for count in (few, many))
    section.goals.ratio(f"peak memory, {many} items / {few}", large, small, 1.2)
    killed(section, many, KILLS)
    section.show_goals()


KILLS = 10


def killed(section: Section, count: int, kills: int) -> None:
    """Engine and keeper killed at once, so often, as far apart as items are: what was done how often, by the ledger of
    the worker, and what the journal says of it."""
    folder = lay(section, "killed", count, [worker(ledger="ledger", batch=1000)], 2)
    ledger = folder / "ledger"
    hits = 0
    for kill in range(kills + 1):
        words = ["run", "--quiet"] if not kill else ["run", "--quiet", "--resume"]
        with subprocess.Popen(
            [*STAGEBOOK, *words], cwd=folder, env=section.bench.env, start_new_session=True
        ) as process:
            due = count * (kill + 1) // (kills + 1) if kill < kills else None
            while process.poll() is None:
                if due is not None and ledger.exists() and _lines(ledger) >= due:
                    _kill(process.pid)
                    hits += 1
                    break
                time.sleep(0.02)
        if kill == kills and process.returncode:
            print(f"failed: the last resume: exit {process.returncode}")
    begun = Counter(ledger.read_bytes().split())
    ended: Counter[int] = Counter()
    journal = next((folder / ".stagebook" / "runs").iterdir()) / "journal.jsonl"
    for numbers in done(journal):
        ended.update(numbers)
    twice = sum(1 for each in begun.values() if each > 1)
    document = told(section, folder)
    print(
        f"\nkilled {hits} times: {document['items']['done']} of {count} items done, {len(begun)} seen by the worker; "
        f"{twice} were with it again\nafter a kill, as their end was not on record; "
        f"on record twice: {sum(1 for each in ended.values() if each > 1)}"
    )
    section.raw["killed"] = {"kills": hits, "done": document["items"]["done"], "begun": len(begun), "again": twice}
    section.goals.value("killed: items not done", [count - len(ended)], 0, "items")
    section.goals.value("killed: items on record twice", [sum(ended.values()) - len(ended)], 0, "items")
    section.goals.value("killed: items begun again, a kill", [twice / kills], 3000, "items")


def _lines(ledger: Path) -> int:
    """About how many items it has: all numbers are nearly as long."""
    with open(ledger, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 32))
        last = file.read().split()
    return int(last[-1]) if size > 64 and last else 0


def _kill(keeper: int) -> None:
    """Whatever runs the run, and at once: nobody is left to tidy up."""
    os.kill(keeper, signal.SIGSTOP)
    below = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    for pid in [*map(int, below), keeper]:
        os.kill(pid, signal.SIGKILL)


def done(journal: Path) -> Iterator[list[int]]:
    """The items of the calls that ended well."""
    from stagebook.record.items import call_of

    with open(journal, "rb") as lines:
        for line in lines:
            if b'"items.done"' in line:
                for row in json.loads(line)["calls"]:
                    call = call_of(row)
                    wrong = {each.item for each in call.bad}
                    yield [item for item in call.items if item not in wrong]
