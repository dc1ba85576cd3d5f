"""The command of the benchmark, and how it judges. No figure is tested: a machine under test is a busy one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import start
import table
from table import Goals

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "overhead.py"


def test_a_section_prints_its_tables_and_verdicts_and_writes_all_figures(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = [
        "--quick",
        "--rounds",
        "1",
        "--only",
        "help",
        "--only",
        "graph",
        "--json",
        str(figures),
        "--dir",
        str(tmp_path),
    ]
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--help: wall / python -c pass" in done.stdout
    assert "goals kept" in done.stdout.splitlines()[-1]
    document = json.loads(figures.read_text())
    assert {goal["goal"] for goal in document["goals"]} >= {"--help: wall / python -c pass"}
    assert document["figures"]["answers"]["python -c pass"][0]["wall_s"] > 0
    assert list(tmp_path.iterdir()) == [figures], "what it worked in is gone"


def test_an_unknown_section_is_refused() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--only", "luck"], capture_output=True, text=True, check=False)
    assert done.returncode == 2


def test_the_median_of_paired_ratios_is_judged() -> None:
    goals = Goals()
    goals.ratio("kept", [1.0, 2.0, 9.0], [2.0, 4.0, 3.0], 0.5)
    goals.ratio("broken", [1.0, 2.0, 9.0], [2.0, 3.9, 3.0], 0.5)
    kept, broken = goals.judged
    assert (kept["median"], kept["min"], kept["max"], kept["best"], kept["verdict"]) == (0.5, 0.5, 3.0, 0.5, "ok")
    assert broken["verdict"] == "over"
    assert goals.closing().splitlines() == ["over: broken", "1 of 2 goals kept"]


@pytest.mark.parametrize(("ours", "theirs"), [(None, [1.0]), ([1.0], None), ([], []), ([1.0], [1.0, 2.0])])
def test_what_was_not_measured_in_pairs_is_not_judged(ours: list[float] | None, theirs: list[float] | None) -> None:
    goals = Goals()
    goals.ratio("unknown", ours, theirs, 0.5)
    assert goals.judged[0]["verdict"] == "not measured"
    assert "not measured" in goals.show()
    assert goals.closing().endswith("0 of 1 goals kept")


def test_goals_are_shown_once() -> None:
    goals = Goals()
    goals.value("memory", [30.0, 32.0, 29.0], 31, "MiB")
    assert "31 MiB" in goals.show()
    assert "memory" not in goals.show()


def test_columns_stand_under_each_other() -> None:
    assert table.table(("name", "ms"), [("a", "10.0"), ("longer", "1.0")]).splitlines() == [
        "name      ms",
        "------  ----",
        "a       10.0",
        "longer   1.0",
    ]


def test_import_times_are_read_by_module() -> None:
    text = "import time: self [us] | cumulative | imported package\nimport time:       148 |        148 |   _io\n"
    assert start.IMPORTED.findall(text) == [("148", "_io")]
