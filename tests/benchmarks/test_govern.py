"""The benchmark of what governs a run: its command, and that it finds out what it looks for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator

import claims
import cost
import crowd
import pytest
import rates
from claims import World
from measured import Bench
from tests.door import processes, waiting

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import Decision, Event, Start

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "govern.py"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(str(tmp_path)) as made:
        yield made


@pytest.fixture
def hold(bench: Bench) -> str:
    path = bench.compiled("hold")
    assert path is not None, "a C compiler is part of the set-up"
    return path


def test_a_section_prints_its_table_and_verdicts_and_writes_all_figures(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = ["--quick", "--only", "claims", "--json", str(figures), "--dir", str(tmp_path)]
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "claims: deadlocks" in done.stdout and "goals kept" in done.stdout.splitlines()[-1]
    worlds = json.loads(figures.read_text())["figures"]["claims"]
    assert len(worlds) == 100 and {kind for world in worlds for kind in world["kinds"]} == set(claims.KINDS)
    assert list(tmp_path.iterdir()) == [figures], "what it worked in is gone"


# Claims ---------------------------------------------------------------------------------------------------------------


class Forgetful(Machine):
    """Decides the start of its last stage, and never says so."""

    __slots__ = ()

    def feed(self, *events: Event) -> list[Decision]:
        last = len(self.plan.stages) - 1
        return [each for each in super().feed(*events) if type(each) is not Start or each.stage != last]


BROKEN: dict[str, tuple[str, Callable[[Plan], Machine]]] = {
    "more units than there are": ("over-uses", lambda plan: Machine(_twice(plan))),
    "no rate of starts": ("over-uses", lambda plan: Machine(plan._replace(starts=None))),
    "no gaps": ("gaps too short", lambda plan: Machine(plan._replace(gaps_ms=()))),
    "a start that is not said": ("deadlocks", Forgetful),
    "a claim that comes too late": ("claims disregarded", lambda plan: Machine(_patient(plan))),
}


def _twice(plan: Plan) -> Plan:
    return plan._replace(pools=tuple(pool._replace(size=2 * pool.size) for pool in plan.pools))


def _patient(plan: Plan) -> Plan:
    return plan._replace(passed_over_max=plan.passed_over_max + 3)


@pytest.mark.parametrize("name", BROKEN)
def test_a_machine_that_breaks_a_promise_is_found_out(name: str) -> None:
    fault, make = BROKEN[name]
    worlds = [World(seed) for seed in range(20)]
    for world in worlds:
        world.play(make)
    assert sum(world.faults[fault] for world in worlds) > 0


def test_a_world_is_its_seed() -> None:
    one, two = World(5), World(5)
    one.play()
    two.play()
    assert one.figures() == two.figures()
    assert one.waited > 0


# A crowd --------------------------------------------------------------------------------------------------------------


def test_more_holders_than_units_are_found_out_and_who_is_killed_holds_nothing(hold: str, tmp_path: Path) -> None:
    ledger, pool = tmp_path / "ledger", str(tmp_path / "pool")

    def words() -> list[list[str]]:
        return [line.split() for line in ledger.read_text().splitlines()]

    long = subprocess.Popen([hold, str(ledger), "60000000", pool, "3", "2"])
    waiting.until(lambda: ledger.exists() and words(), "the first holder")
    subprocess.run([hold, str(ledger), "0", pool, "3", "1"], check=True)
    subprocess.run([hold, str(ledger), "0", pool, "3", "2"], check=True)
    os.kill(long.pid, signal.SIGKILL)
    long.wait()
    subprocess.run([hold, str(ledger), "0", pool, "3", "3"], check=True)
    assert [(word, more[5:]) for word, *more in words() if word != "end"] == [
        ("begin", ["pool=2/3"]), ("begin", ["pool=3/3"]), ("over", ["pool"]), ("begin", ["pool=4/3"]),
        ("begin", ["pool=3/3"]),
    ]  # fmt: skip


def test_a_crowd_is_killed_and_comes_to_its_end_and_leaves_no_process(bench: Bench, hold: str) -> None:
    played = crowd.Crowd(bench, hold, 1, 12)
    played.play()
    assert played.troubles == [] and played.overs == 0
    assert played.kills, "nobody was killed"
    assert 0 < played.most["bench"] <= crowd.SIZES["bench"]
    assert processes.mark_processes(str(bench.folder)) == []


def test_over_use_in_the_ledger_is_counted(bench: Bench, hold: str) -> None:
    played = crowd.Crowd(bench, hold, 1, 2)
    (bench.folder / "machine" / "1" / "ledger").write_text(
        "over 7 RUN a0 1 99 bench\nbegin 7 RUN a0 1 99 bench=4/3\nbegin 8 RUN b0 1 98 bench=1/3\nend 9 RU"
    )
    played._look()
    assert (played.overs, played.most["bench"], played.holds["bench"]) == (1, 4, 2)


# Rates ----------------------------------------------------------------------------------------------------------------


def test_a_rate_counts_from_the_end_of_the_first_burst() -> None:
    times = [1000.0 * burst + number for burst in range(4) for number in range(5)]
    assert rates._held(times) == pytest.approx(5)
    assert rates._held([*times, 4000.0]) == pytest.approx(5)
    assert min(rates._stretches(times)) == 1000
    assert min(rates._stretches([*times[:5], 990, *times[6:]])) == 990


# What waits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wait", "event"), [(cost._refused, "lease.refused"), (cost._short, "machine.short")])
def test_the_stage_waits_for_what_it_should(wait: Callable[..., object], event: str, bench: Bench) -> None:
    runtime = bench.folder / "runtime"
    runtime.mkdir(mode=0o700)
    folder = bench.place("waits", "one")
    with wait(folder, "sleep 20") as argv:  # type: ignore[attr-defined]
        env = {**bench.env, "XDG_RUNTIME_DIR": str(runtime)}
        process = subprocess.Popen(argv, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        runs = folder / ".stagebook" / "runs"
        try:
            waiting.until(lambda: any(event in path.read_text() for path in runs.glob("*/journal.jsonl")), event)
            started = [record["stage"] for record in cost._records(folder) if record["event"] == "stage.started"]
        finally:
            process.terminate()
            process.wait()
    assert "s7" not in started
