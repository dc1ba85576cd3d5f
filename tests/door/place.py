"""A folder with a pipeline, the installed command, and the means to see from outside what a run did.

The *ledger* is a file outside the folder to which stages append lines, so it says what really ran, in which order.
The *mark* is a variable in the engine's environment, by which every process of a run is found, daemons too.
Nothing here imports Stagebook.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple

import pytest
from tests.door import processes, waiting

SCALE = max(1, int(os.environ.get("STAGEBOOK_TEST_SCALE", "1")))  #: how many times more seeds than in CI

Document = dict[str, Any]


def at_night(parts: int, every: int) -> list[Any]:
    """All parts of a test, of which one in `every` is played for each commit and the rest at night."""
    return [part if part % every == 0 else pytest.param(part, marks=pytest.mark.nightly) for part in range(parts)]


class Done(NamedTuple):
    """A command that has ended. `code` is negative for the signal that ended it."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Document:
        document: Document = json.loads(self.out)
        return document

    @property
    def said(self) -> str:
        return self.out + self.err


class Line(NamedTuple):
    """A line of the ledger; `word` is `begin`, `end`, or whatever the stage wrote."""

    stage: str
    attempt: int
    pid: int
    word: str


def note(word: str) -> str:
    """Shell text that appends a line to the ledger."""
    return f'echo "$STAGEBOOK_STAGE $STAGEBOOK_ATTEMPT $$ {word}" >> "$LEDGER"'


def noted(work: str = "") -> str:
    """Shell text that does `work` between a `begin` and an `end` in the ledger; `end` only if the work went well."""
    return "\n".join(part for part in (note("begin"), work, note("end")) if part)


class Command:
    """A command that runs while the test looks on."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out = out
        self._err = err

    @property
    def pid(self) -> int:
        """The process that was started: above the engine where there is a keeper."""
        return self.process.pid

    @property
    def engine(self) -> int:
        """The process that drives the run: the keeper's child, while there is a keeper."""

        def look() -> int:
            for child in processes.children_of(self.pid):
                with open(f"/proc/{child}/cmdline", "rb") as file:
                    if b"stagebook" in file.read():
                        return child
            return 0

        return waiting.until(look, "an engine below the command")

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, within_s: float = waiting.PATIENCE_S) -> Done:
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {within_s:g} s: {self.so_far()}") from None
        return Done(code, *self.so_far())

    def so_far(self) -> tuple[str, str]:
        """What it has printed on standard output and standard error until now."""
        return tuple(  # type: ignore[return-value]
            path.read_bytes().decode(errors="backslashreplace") for path in (self._out, self._err)
        )

    def kill(self, victim: str = "both") -> int:
        """KILL to the `engine`, to the `keeper` above it, or to `both` at once so that nobody is left to tidy up.

        Returns the command's exit status when neither lives any more.
        """
        processes.signal_to(self.pid, signal.SIGSTOP)  # so that it does not fork while we look
        waiting.until(lambda: processes.state_of(self.pid) in "TtZX", "a stopped command")
        below = processes.children_of(self.pid)
        for pid in below if victim != "keeper" else []:
            processes.signal_to(pid, signal.SIGKILL)
        if victim != "engine" or not below:
            processes.signal_to(self.pid, signal.SIGKILL)
        processes.signal_to(self.pid, signal.SIGCONT)
        code = self.process.wait(waiting.PATIENCE_S)
        waiting.until(lambda: not any(map(processes.is_alive, below)), "the end of the engine", 3)
        return code


class Place:
    """`folder` is where the pipeline lies and commands are called; everything around it is the test's own."""

    def __init__(self, base: Path, command: str, environ: Mapping[str, str] | None = None) -> None:
        self.base = base
        self.folder = base / "project"
        self.folder.mkdir(parents=True)
        self.command = command
        self.mark = uuid.uuid4().hex
        self.ledger_path = base / "ledger"
        self.ledger_path.touch()
        home = base / "home"
        home.mkdir()
        kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONDONTWRITEBYTECODE")
        self.env = {name: os.environ[name] for name in kept if name in os.environ}
        self.env.update(
            HOME=str(home),
            LEDGER=str(self.ledger_path),
            BASE=str(base),
            DOOR_MARK=self.mark,
            **(environ or {}),
        )
        self._started: list[Command] = []

    # What is there ------------------------------------------------------------------------------------------------

    def write(self, text: str, name: str = "stagebook.yaml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pipeline(self, stages: Mapping[str, Any] | list[Any], **others: Any) -> Path:
        """A pipeline file of plain values; keys of the file with a hyphen are written with `_`."""
        top = {name.replace("_", "-"): value for name, value in others.items()}
        return self.write(json.dumps({**top, "stages": stages}, ensure_ascii=False, indent=1))

    # What is done -------------------------------------------------------------------------------------------------

    def run(
        self, *words: str, within_s: float = 60, env: Mapping[str, str] | None = None, cwd: Path | None = None,
        prefix: tuple[str, ...] = (), **popen: Any,
    ) -> Done:  # fmt: skip
        """Call the command and wait for it: `place.run("lint")`."""
        return self.start(*words, env=env, cwd=cwd, prefix=prefix, **popen).wait(within_s)

    def start(
        self, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None,
        prefix: tuple[str, ...] = (), **popen: Any,
    ) -> Command:  # fmt: skip
        """Call the command and go on. `prefix` is put before it; `popen` replaces arguments of `subprocess.Popen`."""
        number = len(self._started)
        out, err = self.base / f"out.{number}", self.base / f"err.{number}"
        with open(out, "wb") as out_file, open(err, "wb") as err_file:
            settings: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": out_file, "stderr": err_file, **popen}
            process = subprocess.Popen(
                [*prefix, self.command, *words], cwd=cwd or self.folder, env={**self.env, **(env or {})}, **settings
            )
        command = Command(process, out, err)
        self._started.append(command)
        return command

    # What is seen -------------------------------------------------------------------------------------------------

    def ledger(self) -> list[Line]:
        lines = self.ledger_path.read_text().splitlines()
        found = []
        for line in lines:
            stage, attempt, pid, word = line.rsplit(" ", 3)
            found.append(Line(stage, int(attempt), int(pid), word))
        return found

    def began(self) -> list[str]:
        """Names of the stages that began, in that order, once for each time."""
        return [line.stage for line in self.ledger() if line.word == "begin"]

    def wait_for(self, stage: str, word: str = "begin", times: int = 1) -> Line:
        """Wait until a stage has written a word to the ledger so many times."""

        def look() -> list[Line]:
            lines = [line for line in self.ledger() if (line.stage, line.word) == (stage, word)]
            return lines[times - 1 : times]

        return waiting.until(look, f"`{word}` of {stage} in the ledger")[0]

    def overlaps(self) -> set[frozenset[str]]:
        """Pairs of stages that ran at the same time, by the order of lines in the ledger: no clock is asked."""
        pairs: set[frozenset[str]] = set()
        running: dict[tuple[str, int], None] = {}
        for line in self.ledger():
            key = (line.stage, line.attempt)
            if line.word == "begin":
                pairs.update(frozenset((line.stage, other[0])) for other in running)
                running[key] = None
            elif line.word == "end":
                running.pop(key, None)
        return pairs

    @property
    def runs_folder(self) -> Path:
        return self.folder / ".stagebook" / "runs"

    def run_ids(self) -> list[str]:
        """The runs that have a directory, oldest first."""
        return sorted(path.name for path in self.runs_folder.iterdir()) if self.runs_folder.is_dir() else []

    def journal_path(self, run: str = "") -> Path:
        return self.runs_folder / (run or self.run_ids()[-1]) / "journal.jsonl"

    def journal(self, run: str = "") -> list[Document]:
        """The whole lines of the latest run's journal; a line that is still being written is left out."""
        if not self.run_ids():
            return []
        try:
            data = self.journal_path(run).read_bytes()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in data.split(b"\n")[:-1]]

    def events(self, name: str, run: str = "") -> list[Document]:
        return [record for record in self.journal(run) if record["event"] == name]

    def show(self, run: str = "last") -> Document:
        done = self.run("show", run, "--json")
        assert done.code == 0, done
        return done.json

    # The end ------------------------------------------------------------------------------------------------------

    def left(self, within_s: float) -> list[processes.Found]:
        """Processes of this place that live longer than that; empty is what is promised."""
        return processes.wait_until_gone(self.mark, within_s)

    def close(self) -> None:
        """End what the test left running; where it left nothing, see that no process of a stage outlives its engine."""
        running = [command for command in self._started if command.process.poll() is None]
        for command in running:
            command.kill()
        left = self.left(0 if running else 5)
        processes.end(left)
        assert running or not left, f"processes left behind: {left}"


def by_stage(document: Document) -> dict[str, Document]:
    return {stage["stage"]: stage for stage in document["stages"]}


def outcomes(document: Document) -> dict[str, str | None]:
    return {stage["stage"]: stage["outcome"] for stage in document["stages"]}


def reasons(document: Document) -> dict[str, str | None]:
    return {stage["stage"]: stage["reason"] for stage in document["stages"]}


def attempts(document: Document) -> Iterator[tuple[str, Document]]:
    for stage in document["stages"]:
        for attempt in stage["attempts"]:
            yield stage["stage"], attempt
