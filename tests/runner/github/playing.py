"""One job of a workflow done in this process, as the engine would have it done in one of its own. No tests."""

from __future__ import annotations

import os
import signal
import textwrap
from pathlib import Path
from typing import Any, Mapping, NamedTuple

import pytest

from stagebook.condition import outputs
from stagebook.formats.load import load
from stagebook.formats.request import Request
from stagebook.runner.github import job
from stagebook.runner.here import End, Here

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Played(NamedTuple):
    code: int
    log: str
    outputs: dict[str, str]
    here: Here

    def says(self, *texts: str) -> None:
        for text in texts:
            assert text in self.log, f"{text!r} is not in:\n{self.log}"


class Player:
    """A folder with a workflow in it, and a run of which each job is played alone."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture
        self.files: dict[str, str] = {}
        self.local: dict[str, Any] = {}
        self.environ: dict[str, str] = {}
        self.run = "r1"

    def _request(self) -> Request:
        return Request(includes=self.local.get("request", {}).get("includes", {}))

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def steps(self, text: str, **rest: Any) -> Played:
        """A workflow of one job with these steps."""
        body = textwrap.indent(textwrap.dedent(text), " " * 6)
        return self.play(f"on: push\njobs:\n  it:\n    runs-on: ubuntu-latest\n    steps:\n{body}\n", **rest)

    def play(
        self, workflow: str, job_id: str = "it", ends: Mapping[str, End] | None = None, attempt: int = 1
    ) -> Played:  # fmt: skip
        self.write(".github/workflows/ci.yml", workflow)
        pipeline = load(str(self.folder / ".github/workflows/ci.yml"), None, self._request())._replace(local=self.local)
        index = [stage.id for stage in pipeline.stages].index(job_id)
        directory = self.folder / ".stagebook" / "runs" / self.run
        output = directory / "outputs" / f"{index}.{attempt}"
        output.parent.mkdir(parents=True, exist_ok=True)
        output.unlink(missing_ok=True)
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), **self.environ}
        here = Here(self.run, str(directory), pipeline, index, attempt, dict(ends or {}), environ, str(output))
        before = [signal.getsignal(number) for number in _SIGNALS]
        self._capture.readouterr()
        try:
            code = job.play(here)
        finally:
            for number, handler in zip(_SIGNALS, before):
                signal.signal(number, handler)
        return Played(code, self._capture.readouterr().out, outputs.read(str(output))[0], here)
