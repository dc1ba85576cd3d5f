"""The project's own stagebook.yaml: sound, and every test of the project belongs to exactly one of its stages."""

from __future__ import annotations

import glob
import subprocess
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_it_is_sound(stagebook: str) -> None:
    done = subprocess.run([stagebook, "lint", "--strict"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_test_runs_in_exactly_one_stage() -> None:
    stages = yaml.safe_load((ROOT / "stagebook.yaml").read_text())["stages"]
    commands = [next(iter(entry.values()))["run"] for entry in stages["tests"]["parallel"]]
    taken: Counter[str] = Counter()
    for command in commands:
        program, *patterns = command.split()
        assert program == ".venv/bin/pytest"
        for pattern in patterns:
            for found in glob.glob(str(ROOT / pattern)):
                path = Path(found)
                for file in path.rglob("test_*.py") if path.is_dir() else [path]:
                    taken[str(file.relative_to(ROOT))] += 1
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(taken) == there
    assert max(taken.values()) == 1
