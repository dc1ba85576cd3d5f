"""Two runs side by side on pools and locks of the machine, killed with -9 again and again, and gone on with.

Whether more was in use than there is, is told by locks of the stages' own (`hold.c`), which the kernel takes back when
a process is gone and which know nothing of Stagebook. When who began is told by the stages' own monotonic clocks.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Iterator, NamedTuple

import peers
from measured import Bench
from section import Section
from table import table

#: Units of each pool; a lock is a pool of which who is alone takes all.
SIZES = {"staging": 1, "bench": 3, "orders": 8}
LOCKS = ("orders",)
VICTIMS = ("engine", "keeper", "both")
KILLS = 4
FREE_S = 2.0
PATIENCE_S = 60.0


def machine(section: Section) -> None:
    """20 seeds."""
    seeds = 3 if section.quick else 20
    section.head(f"two runs on one machine's pools and locks, {seeds} seeds, each killed with -9 {KILLS} times")
    hold = section.bench.compiled("hold")
    if hold is None:
        print("not measured: no C compiler here")
        for goal, limit, unit in _goals(seeds):
            section.goals.value(goal, None, limit, unit)
        section.show_goals()
        return
    crowds = []
    for seed in range(seeds):
        crowd = Crowd(section.bench, hold, seed, 14 if section.quick else 24)
        crowd.play()
        crowds.append(crowd)
        for trouble in crowd.troubles:
            print(f"failed: seed {seed}: {trouble}")
    print(table(("", "size", "most at once", "holds"), [_use(name, crowds) for name in SIZES]))
    print("\nseconds from a kill to the next who begins with what only the victim had, and the other run wanted\n")
    print(
        table(("killed", "times", "with units", "names", "median", "p95", "max"), [_freed(v, crowds) for v in VICTIMS])
    )
    waits = [kill.wait_s for crowd in crowds for kill in crowd.kills if kill.wait_s is not None]
    section.raw["machine"] = [crowd.figures() for crowd in crowds]
    found = (
        [float(sum(crowd.overs for crowd in crowds))],
        [max(waits)] if waits else None,
        [float(sum(len(crowd.troubles) - crowd.overs for crowd in crowds))],
    )
    for (goal, limit, unit), values in zip(_goals(seeds), found):
        section.goals.value(goal, values, limit, unit)
    section.show_goals()


def _goals(seeds: int) -> tuple[tuple[str, float, str], ...]:
    return (
        ("machine: over-uses", 0, f"in {seeds} seeds"),
        ("machine: longest time until it is free", FREE_S, "s"),
        ("machine: runs that did not end well", 0, f"in {seeds} seeds"),
    )


def _use(name: str, crowds: list[Crowd]) -> tuple[str, ...]:
    most = max(crowd.most[name] for crowd in crowds)
    return name, str(SIZES[name]), str(most), str(sum(crowd.holds[name] for crowd in crowds))


def _freed(victim: str, crowds: list[Crowd]) -> tuple[str, ...]:
    kills = [kill for crowd in crowds for kill in crowd.kills if kill.victim == victim]
    waits = sorted(kill.wait_s for kill in kills if kill.wait_s is not None)
    times = len({(kill.seed, kill.number) for kill in kills})
    held = len({(kill.seed, kill.number) for kill in kills if kill.name is not None})
    if not waits:
        return victim, str(times), str(held), "0", "", "", ""
    p95 = waits[min(len(waits) - 1, round(0.95 * len(waits)))]
    return (
        victim,
        str(times),
        str(held),
        str(len(waits)),
        *(f"{s:.3f}" for s in (statistics.median(waits), p95, waits[-1])),
    )


class Kill(NamedTuple):
    """One kill, once for each name of which the victim had units. `wait_s` is None where nobody waited for that."""

    seed: int
    number: int
    victim: str
    name: str | None
    wait_s: float | None


Units = dict[str, int]  #: by name


class Crowd:
    """The two runs of one seed."""

    def __init__(self, bench: Bench, hold: str, seed: int, count: int) -> None:
        self.seed = seed
        self.draw = random.Random(seed)
        self.troubles: list[str] = []
        self.kills: list[Kill] = []
        self.overs = 0
        self.most = dict.fromkeys(SIZES, 0)
        self.holds = dict.fromkeys(SIZES, 0)
        self._folder = bench.place("machine", str(seed))
        runtime = self._folder / "runtime"
        runtime.mkdir(mode=0o700)
        self._env = {**bench.env, "XDG_RUNTIME_DIR": str(runtime)}
        self._ledger = self._folder / "ledger"
        self._ledger.touch()
        self._read = 0
        self._runs = [Run(self._env, name, *self._write(name, hold, count)) for name in "ab"]
        #: Since when units of a name are awaited, which kill it was, and whose.
        self._awaited: dict[str, tuple[int, int, str, Run]] = {}

    def figures(self) -> dict[str, object]:
        kills = [kill._asdict() for kill in self.kills]
        return {"seed": self.seed, "overs": self.overs, "most": self.most, "kills": kills, "troubles": self.troubles}

    def _write(self, name: str, hold: str, count: int) -> tuple[Path, dict[str, Units]]:
        """A pipeline in a folder of its own, whose stages want this and that and little time; what each wants."""
        draw = self.draw
        folder = self._folder / name
        folder.mkdir()
        stages: dict[str, object] = {}
        units: dict[str, Units] = {}
        for index in range(count):
            wanted = draw.sample(sorted(SIZES), draw.choice((0, 1, 1, 1, 2)))
            stage = f"{name}{index}"
            units[stage] = {each: draw.choice((1, SIZES[each], SIZES[each])) for each in wanted}
            words = [hold, str(self._ledger), str(draw.randint(20, 150) * 1000)]
            for each, taken in units[stage].items():
                words += [str(self._folder / each), str(SIZES[each]), str(taken)]
            pools = {each: taken for each, taken in units[stage].items() if each not in LOCKS}
            modes = {True: "exclusive", False: "shared"}
            locks = {
                each: {"mode": modes[taken == SIZES[each]], "machine": True}
                for each, taken in units[stage].items()
                if each in LOCKS
            }
            own = {"own": 1} if draw.random() < 0.3 else {}
            stages[stage] = {
                "cmd": words, "resources": {"pools": {**pools, **own}}, "locks": locks,
                "priority": draw.randint(0, 2), "retry": {"attempts": 2},
            }  # fmt: skip
        shared = {each: {"size": size, "machine": True} for each, size in SIZES.items() if each not in LOCKS}
        document = {"version": 1, "limits": {"jobs": 6}, "pools": {**shared, "own": 2}, "stages": stages}
        (folder / "stagebook.yaml").write_text(json.dumps(document))
        return folder, units

    # ------------------------------------------------------------ the play

    def play(self) -> None:
        """Until both runs have come to their end."""
        patience = time.monotonic() + PATIENCE_S
        for run in self._runs:
            run.start()
        kill_at = self._soon()
        number = 0
        try:
            while not all(run.is_over for run in self._runs):
                now = time.monotonic()
                if now > patience:
                    self.troubles.append(f"not over after {PATIENCE_S:g} s: {[run.said() for run in self._runs]}")
                    break
                self._look()
                for run in self._runs:
                    run.look(now, self.troubles)
                alive = [run for run in self._runs if run.is_alive]
                dead = [run for run in self._runs if not run.is_alive and not run.is_over]
                if number < KILLS and now >= kill_at and alive and not dead and not self._awaited:
                    self._kill(self.draw.choice([run for run in alive if run.there] or alive), number)
                    number += 1
                    kill_at = self._soon()
                time.sleep(0.001)
        finally:
            for run in self._runs:
                run.end()
        self._look()
        for run in self._runs:
            missing = [stage for stage in run.units if stage not in run.done]
            if run.is_over and missing:
                self.troubles.append(f"run {run.name} is over, but {missing} never ended")
        for name, (_, number, victim, _) in self._awaited.items():
            self.troubles.append(f"{name} of kill {number} was not taken by anybody, {victim} was killed")

    def _soon(self) -> float:
        return time.monotonic() + self.draw.uniform(0.05, 0.5)

    def _kill(self, run: Run, number: int) -> None:
        """And note what is free by it: what nobody but the victim had, and of which that was all there is."""
        victim = self.draw.choice(VICTIMS)
        killed_ns = run.kill(victim, self.draw.uniform(0, 0.3))
        self._look()
        other = next(each for each in self._runs if each is not run)
        names = {name for units in run.there.values() for name in units}
        for name in sorted(names):
            had = sum(units.get(name, 0) for units in run.there.values())
            wanting = [stage for stage, units in other.units.items() if name in units]
            is_wanted = other.is_alive and any(each not in other.done and each not in other.there for each in wanting)
            if had == SIZES[name] and is_wanted:
                self._awaited[name] = killed_ns, number, victim, run
            else:
                self.kills.append(Kill(self.seed, number, victim, name, None))
        if not names:
            self.kills.append(Kill(self.seed, number, victim, None, None))
        run.there.clear()

    def _look(self) -> None:
        """Read what the stages have written since."""
        for words in self._lines():
            word, ns, _, stage, *_ = words
            run = self._runs["ab".index(stage[0])]
            if word == "over":
                self.overs += 1
                self.troubles.append(f"{stage} had fewer units than it was given: {' '.join(words)}")
            elif word == "end":
                run.there.pop(stage, None)
                run.done.add(stage)
            else:
                self._begun(run, stage, int(ns), words[6:])

    def _lines(self) -> Iterator[list[str]]:
        with open(self._ledger) as file:
            file.seek(self._read)
            while (line := file.readline()).endswith("\n"):
                self._read += len(line)
                yield line.split()

    def _begun(self, run: Run, stage: str, ns: int, uses: list[str]) -> None:
        if ns >= run.since_ns:
            run.there[stage] = run.units[stage]
        for use in uses:
            name, _, much = use.partition("=")
            self.most[name] = max(self.most[name], int(much.partition("/")[0]))
            self.holds[name] += 1
            if name not in self._awaited:
                continue
            killed_ns, number, victim, killed = self._awaited[name]
            if ns > killed_ns and (run is not killed or ns > run.since_ns > killed_ns):
                self.kills.append(Kill(self.seed, number, victim, name, (ns - killed_ns) / 1e9))
                del self._awaited[name]


class Run:
    """One of the two runs, through all its lives: the command, killed, and `--resume` after it."""

    def __init__(self, env: dict[str, str], name: str, folder: Path, units: dict[str, Units]) -> None:
        self.name = name
        self.units = units  #: what each stage wants
        self.done: set[str] = set()
        self.there: dict[str, Units] = {}  #: stages that have begun and not ended in its latest life
        self.since_ns = 0  #: when its latest life began
        self.is_over = False
        self._env = env
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._below: list[int] = []
        self._again_at = 0.0
        self._failures = 0

    @property
    def is_alive(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        self.since_ns = time.monotonic_ns()
        with open(self._folder / "said", "wb") as sink:
            self._process = subprocess.Popen(
                [*peers.STAGEBOOK, "run", "--resume", "--quiet"], cwd=self._folder, env=self._env,
                stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        return (self._folder / "said").read_text(errors="replace")[-300:]

    def look(self, now: float, troubles: list[str]) -> None:
        """Whether it is over; and on with it, if its time has come and nothing of the dead engine is left."""
        if self._process is None:
            if not self.is_over and now >= self._again_at and not any(map(_is_alive, self._below)):
                self.start()
            return
        code = self._process.poll()
        if code is None:
            return
        self._process = None
        self.is_over = code == 0
        if code:
            self._failures += 1
            troubles.append(f"run {self.name} was not killed and ended with {code}: {self.said()}")
            self.is_over = self._failures > 3

    def kill(self, victim: str, pause_s: float) -> int:
        """Kill it, and go on after a pause; when it was, in ns. The keeper is stopped, so that it does not fork
        while its children are looked for; of these, only the engine is below it while it lives."""
        assert self._process is not None
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)
        self._below = [child for child in _children(pid) if b"stagebook" in _command(child)]
        killed_ns = time.monotonic_ns()
        for child in self._below if victim != "keeper" else []:
            os.kill(child, signal.SIGKILL)
        if victim != "engine" or not self._below:
            os.kill(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGCONT)
        self._process.wait()
        self._process = None
        self._again_at = time.monotonic() + pause_s
        return killed_ns

    def end(self) -> None:
        """Whatever happened: leave nothing behind."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
