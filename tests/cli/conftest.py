"""Commands, called in this process where their words are meant, as a process where streams and imports are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import pytest

from stagebook.cli.main import main

SOURCE = Path(__file__).resolve().parent.parent.parent / "src"


class Done(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory of its own to work in, with nothing of the user's settings."""
    place = tmp_path / "here"
    place.mkdir()
    (place / ".git").mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return place


@pytest.fixture
def call(here: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    """`call("lint", "x.yaml")` gives code, standard output and standard error."""

    def run(*words: str) -> Done:
        capfd.readouterr()
        code = main(list(words))
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture
def start(here: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts the command as a process; whatever still runs at the end is ended."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*words: str, **options: Any) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "PYTHONPATH": str(SOURCE), **options.pop("env", {})}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen([sys.executable, "-m", "stagebook", *words], env=environ, **pipes)
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(process: subprocess.Popen[bytes]) -> Done:
    out, err = process.communicate(timeout=60)
    return Done(process.returncode, (out or b"").decode(), (err or b"").decode())
