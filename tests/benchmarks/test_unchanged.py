"""The benchmark of a run that has nothing to do: that it measures what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "record.py"


def test_a_null_build_is_set_beside_one_stage_and_ninja(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = ["--quick", "--rounds", "1", "--only", "null-build", "--json", str(figures), "--dir", str(tmp_path)]
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    document = json.loads(figures.read_text())
    assert document["figures"]["null build"]["stagebook"][0]["wall_s"] > 0
    assert [goal["goal"] for goal in document["goals"]] == ["null build of 200: 1.3 × one stage + 3 × ninja"]
