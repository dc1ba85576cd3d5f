"""What a run imports, by the installed command: each module on the list costs more than a stage does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "asyncio", "click", "concurrent.futures", "ctypes", "dataclasses", "datetime", "decimal", "email", "hashlib.blake3",
    "inspect", "importlib.metadata", "logging", "msgspec", "multiprocessing", "pathlib", "pydantic", "random", "rich",
    "shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "typing", "unittest", "urllib.request",
    "uuid",
}  # fmt: skip

PIPELINE = "version: 1\nstages:\n  - one: 'true'\n  - two: 'true'\n"


def imported(folder: Path, *words: str) -> set[str]:
    """The modules that Python reports to have imported while the command ran."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COVERAGE_PROCESS_START")
    }
    command = [sys.executable, "-X", "importtime", "-m", "stagebook", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^import time: *\d+ \| *\d+ \| *(\S+)$", done.stderr, re.MULTILINE))


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """What Python imports for nothing at all, here."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "pass"], stderr=subprocess.PIPE, text=True, check=True
    )
    return set(re.findall(r"^import time: *\d+ \| *\d+ \| *(\S+)$", done.stderr, re.MULTILINE))


def test_a_run_imports_nothing_heavy_and_yaml_only_for_a_new_file(tmp_path: Path, bare: set[str]) -> None:
    (tmp_path / "stagebook.yaml").write_text(PIPELINE)
    first = imported(tmp_path, "run", "--json") - bare
    again = imported(tmp_path, "run", "--json") - bare
    assert "stagebook.scheduler.machine" in first
    assert first & HEAVY <= {"datetime"}, "PyYAML brings that along"
    assert again & HEAVY == set()
    assert "yaml" in first
    assert "yaml" not in again


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_and_version_import_the_command_line_only(words: list[str], tmp_path: Path, bare: set[str]) -> None:
    of_ours = {name for name in imported(tmp_path, *words) - bare if name.startswith("stagebook")}
    assert of_ours <= {"stagebook", "stagebook.cli", "stagebook.cli.main"}
