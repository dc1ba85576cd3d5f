"""Whole processes, measured: wall, CPU with children, peak memory of the largest process; rounds that take turns.

No figure is judged here, and no tool is known. Children get the environment of a user: no `PYTHON*` and `STAGEBOOK_*`
variable of ours reaches them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator, Mapping, NamedTuple, Sequence

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 300


class Cost(NamedTuple):
    """One process from start to end. `peak_kib` is None where it cannot be told."""

    wall_s: float
    cpu_s: float
    peak_kib: int | None


class Case(NamedTuple):
    """Something that is run once a round: `prepare`, which is not measured, then `argv` in `folder`. `env` is added to
    the environment; `code` is the exit code that means that all went as it should."""

    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str] = {}
    prepare: Callable[[], None] = lambda: None
    code: int = 0


class Failed(Exception):
    """A process that did not end as it should; the text says how and shows the end of its output."""


def told_rounds(count: int) -> Iterator[int]:
    """The numbers of so many rounds; how far they are is said on standard error."""
    began = time.monotonic()
    for number in range(count):
        yield number
        print(f"round {number + 1} of {count}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


class Bench:
    """A folder of its own for all that is measured, and the small C programs, compiled there. Use it as a context."""

    def __init__(self, parent: str | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stagebook-bench-", dir=parent))
        self._away = 0
        foreign = ("PYTHON", "STAGEBOOK_", "MAKE", "MFLAGS", "TRACEPARENT")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        #: doit, ninja and the command itself, where a virtual environment has them
        self.env["PATH"] = f"{Path(sys.executable).parent}:{self.env.get('PATH', '/usr/bin:/bin')}"
        self._meter = self.compiled("measure")

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *trouble: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def place(self, *names: str) -> Path:
        """A new empty folder."""
        folder = self.folder.joinpath(*names)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def put_away(self, *paths: Path) -> None:
        """Make way for a new round. Nothing is deleted before all is over: for minutes after it has deleted many files,
        ext4 looks at each of their inodes again whenever it makes a file, which then costs more than a process."""
        for path in paths:
            if path.exists():
                self._away += 1
                path.rename(self.folder / f".away-{self._away}")

    def find(self, program: str) -> str | None:
        return shutil.which(program, path=self.env["PATH"])

    def compiled(self, name: str) -> str | None:
        """The path of a C program of this directory; None if there is no compiler."""
        compiler = self.find("cc") or self.find("gcc")
        if compiler is None:
            return None
        target = self.folder / f".{name}"
        if not target.exists():
            subprocess.run([compiler, "-O2", "-o", str(target), str(HERE / f"{name}.c")], check=True, env=self.env)
        return str(target)

    def run(self, case: Case) -> Cost:
        """Prepare and run once. Raises Failed."""
        case.prepare()
        output = self.folder / ".output"
        figures = self.folder / ".figures"
        argv = list(case.argv)
        if self._meter is not None:
            argv = [self._meter, str(figures), *argv]
        with open(output, "wb") as sink:
            process = subprocess.Popen(
                argv, cwd=case.folder, env={**self.env, **case.env}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
            )  # fmt: skip
            cost, code = self._await(process, figures)
        if code != case.code:
            said = output.read_bytes()[-800:].decode(errors="replace")
            raise Failed(f"{' '.join(case.argv)[:120]}: exit {code} where {case.code} was expected\n{said}")
        return cost

    def _await(self, process: subprocess.Popen[bytes], figures: Path) -> tuple[Cost, int]:
        if self._meter is not None:
            try:
                process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise Failed(f"not over after {TIMEOUT_S} s") from None
            wall, cpu, peak, code = figures.read_text().split()
            return Cost(float(wall), float(cpu), int(peak)), int(code)
        import resource

        before = time.perf_counter()
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - before
        process.returncode = os.waitstatus_to_exitcode(status)
        ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak_kib = used.ru_maxrss if used.ru_maxrss > ours else None
        return Cost(wall_s, used.ru_utime + used.ru_stime, peak_kib), process.returncode

    def rounds(self, cases: Mapping[str, Case], count: int, notes: list[str]) -> dict[str, list[Cost]]:
        """Costs by case, one a round: each round runs all cases, beginning with another one. A case that fails is said
        in `notes` and left out."""
        costs: dict[str, list[Cost]] = {name: [] for name in cases}
        names = list(cases)
        for number in told_rounds(count):
            for at in range(len(names)):
                name = names[(at + number) % len(names)]
                if name not in costs:
                    continue
                try:
                    costs[name].append(self.run(cases[name]))
                except Failed as error:
                    notes.append(f"{name}: {error}")
                    del costs[name]
        return costs
