"""The benchmark of prediction: its pipelines are what they say, and its command runs, predicts and judges."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import prediction
import pytest
import workloads
from measured import Bench
from prediction import Cell
from section import Section
from table import Goals

from stagebook.formats.native.read import load

SCRIPT = Path(prediction.__file__)


@pytest.mark.parametrize("kind", workloads.KINDS)
def test_every_pipeline_is_a_file_that_can_be_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "BIG_MIB", 1)
    workloads.write(tmp_path, kind, "1000", quick=False)
    pipeline = load(str(tmp_path / "stagebook.yaml"), None)
    assert (pipeline.name, len(pipeline.stages)) == (kind, len(workloads.KINDS[kind]))


@pytest.mark.parametrize(
    "words",
    ["cpu 1", "forks 2 1", "threads 2 1", "memory 1 1", "cache 16 1", "fsync 1 0", "bulk 1", "lock 1 0 0", "idle 1",
     "phases 1 1 1"],
)  # fmt: skip
def test_every_kind_of_work_ends_well(words: str, tmp_path: Path) -> None:
    argv = [*workloads.WORKER, *words.split()]
    subprocess.run(argv, cwd=tmp_path, env={"UNIT": "1000"}, check=True, timeout=30)


def test_one_service_answers_side_by_side_and_the_other_in_turn(tmp_path: Path) -> None:
    """What the two are for: alone they look the same."""
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import worker, threading\n"
        "def all(name):\n"
        "    each = [threading.Thread(target=worker.ask, args=(name, '1')) for _ in range(12)]\n"
        "    began = time.monotonic(); [one.start() for one in each]; [one.join() for one in each]\n"
        "    return time.monotonic() - began\n"
        "print(all('latency'), all('rate'))"
    )
    with workloads.Services(tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", program, str(workloads.HERE)], cwd=tmp_path, env={"UNIT": "1"},
            check=True, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    at_once, in_turn = map(float, done.stdout.split())
    assert in_turn >= 0.3 and at_once >= 0.025
    assert at_once < in_turn


def test_it_runs_predicts_and_judges(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = ["--quick", "--only", "pool", "--only", "together", "--json", str(figures), "--dir", str(tmp_path)]
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pool at 8" in done.stdout and "noise floor" in done.stdout
    assert "goals kept" in done.stdout.splitlines()[-1]
    found = json.loads(figures.read_text())["figures"]["pool"]
    assert [cell["jobs"] for cell in found["cells"]] == [1, 2, 4, 8]
    assert all(cell["real"] > 0 and cell["known"] > 0 and cell["naive"] > 0 for cell in found["cells"])
    assert len(found["runs"]) == 6, "in sequence, at 2 jobs, and one of each number of jobs"


def test_medians_and_high_errors_are_judged_over_all_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [Cell("fan", jobs, 1.0, 1.02, 1.3, 2.0, 0.1, 3.0) for jobs in (1, 2, 4, 8)]
    with Bench(str(tmp_path)) as bench:
        section = Section(bench, Goals(), 3, False, {"fan": {"cells": [cell._asdict() for cell in cells]}})
        prediction.together(section)
        assert [goal["verdict"] for goal in section.goals.judged] == ["ok", "ok", "over", "over"]
    assert "2.0" in capsys.readouterr().out
