"""Runs that never were, as a state directory would hold them: journals by the real writer, and JUnit reports of stages.

`Past(folder)` has a pipeline file in `folder`; `run` plants one run after another, a minute apart.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Mapping, Sequence
from xml.sax.saxutils import quoteattr

from stagebook.formats.native import read
from stagebook.record import state
from stagebook.record.clock import new_run_id
from stagebook.record.line import members, quote
from stagebook.record.writer import Writer

EPOCH_US = 1_780_000_000_000_000
#: (classname, name): outcomes of its tries, in order
Tests = Mapping[tuple[str, str], Sequence[str]]


class Past:
    def __init__(self, folder: Path, text: str = "version: 1\nstages:\n  unit: pytest\n") -> None:
        self.folder = folder
        self.file = folder / "stagebook.yaml"
        if not self.file.exists():
            self.file.write_text(text)
        self.runs: list[str] = []
        self._pipeline = read.load_plain(str(self.file), None)

    def run(
        self, stages: Mapping[str, Sequence[str]], tests: Mapping[str, Tests] | None = None, *,
        commit: str | None = None, dirty: bool = False, reasons: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        """`stages` are the outcomes of the attempts of each, `tests` what the last attempt of each reported."""
        run = new_run_id()
        directory = state.make_run(str(self.folder / ".stagebook"), run)
        writer = Writer(state.journal_path(directory), run, EPOCH_US + len(self.runs) * 60_000_000)
        pipeline = self._pipeline.pipeline
        head = members(
            pipeline=pipeline.name, mode="parallel", jobs=2, policy="strict", stages=len(stages), file=pipeline.file,
            format="native", digest=pipeline.digest, commit=commit, branch="main", dirty=dirty, choice={},
        )  # fmt: skip
        writer.next_batch()
        writer.add("run.started", 0, tail=f'{head},"plan":{self._pipeline.plain.decode()}')
        us, outcome = 0, "success"
        for stage, outcomes in stages.items():
            for number, word in enumerate(outcomes, 1):
                log = state.log_name(stage, number)
                writer.add("stage.started", us + 1000, quote(stage), number, members(log=log))
                reason = (reasons or {}).get(stage) if word != "success" else None
                writer.add(
                    "stage.exited", us + 2000, quote(stage), number, members(outcome=word, reason=reason, exit=0)
                )
                us += 2000
            flaky = outcomes[-1] == "success" and len(outcomes) > 1
            writer.add("stage.ended", us, quote(stage), tail=members(outcome=outcomes[-1], flaky=flaky))
            outcome = outcome if outcomes[-1] == "success" else "failure"
            if tests is not None and stage in tests:
                self._report(directory, state.log_name(stage, len(outcomes)), tests[stage])
        writer.add("run.ended", us, tail=members(outcome=outcome, reason=None, wall_s=us / 1e6, warnings=[]))
        writer.add("journal.synced", us)
        writer.close(us)
        self.runs.append(run)
        return run

    def _report(self, directory: str, log: str, tests: Tests) -> None:
        folder = Path(directory, "reports")
        folder.mkdir(exist_ok=True)
        verdicts = {
            "success": "",
            "failure": '<failure message="assert 1 == 2"/>',
            "error": "<error/>",
            "skip": "<skipped/>",
        }
        cases = [
            f"<testcase classname={quoteattr(classname)} name={quoteattr(name)} time='0.1'>{verdicts[word]}</testcase>"
            for (classname, name), words in tests.items()
            for word in words
        ]
        path = folder / f"{log.removesuffix('.log')}.xml"
        path.write_text(f"<testsuite name='s'>{''.join(cases)}</testsuite>")
        os.utime(path)
