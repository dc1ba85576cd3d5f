"""What a command costs before it works: counted in modules, as that does not depend on the machine's mood."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import SOURCE

HEAVY = {
    "asyncio", "click", "concurrent.futures", "ctypes.util", "dataclasses", "datetime", "decimal", "difflib", "email",
    "fractions", "html", "http", "importlib.metadata", "inspect", "locale", "logging", "multiprocessing", "pathlib",
    "pdb", "platformdirs", "random", "rich", "shutil", "socket", "sqlite3", "ssl", "statistics", "subprocess",
    "tempfile", "textwrap", "threading", "tokenize", "tomllib", "traceback", "typing", "unicodedata", "unittest",
    "urllib", "uuid", "yaml", "zipfile",
}  # fmt: skip


def modules(folder: Path, *words: str) -> set[str]:
    """Every module that is there when the command has ended, those of a bare interpreter left out."""
    program = (
        "import os, sys; before = set(sys.modules)\n"
        "from stagebook.cli.main import main\n"
        f"code = main({list(words)!r})\n"
        "sys.stdout.flush(); sys.stderr.flush()\n"
        "open('modules', 'w').write('\\n'.join(sorted(set(sys.modules) - before)))\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=folder,
        env={
            "PYTHONPATH": f"{SOURCE}:{_site()}",
            "HOME": str(folder),
            "LANG": "en_US.UTF-8",
            "STAGEBOOK_ACCOUNTING": "wait4",
        },
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return set((folder / "modules").read_text().split())


def _site() -> str:
    import yaml

    return str(Path(yaml.__file__).parent.parent)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stagebook.yaml").write_text("version: 1\nstages: {a: 'true', b: {run: 'true', needs: a}}\n")
    return tmp_path


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_help_and_version_import_next_to_nothing(folder: Path, words: list[str]) -> None:
    found = modules(folder, *words)
    assert found <= {"stagebook", "stagebook.cli", "stagebook.cli.main", "__future__"}


def test_help_of_a_command_imports_that_command_only(folder: Path) -> None:
    found = modules(folder, "runs", "--help")
    assert not found & {"stagebook.cli.lint", "stagebook.cli.run", "stagebook.engine", "stagebook.formats.native.read"}


def test_a_run_from_the_cache_imports_nothing_heavy(folder: Path) -> None:
    modules(folder, "run", "--force")
    found = modules(folder, "run", "--force")
    heavy = {name for name in found if name in HEAVY or name.split(".")[0] in HEAVY}
    assert heavy == set()
    assert not found & {"argparse", "gettext", "encodings.ascii"}
    assert not found & {f"stagebook.record.{name}" for name in ("runs", "reader", "retelling", "replay", "measured")}
    assert len([name for name in found if not name.startswith("stagebook")]) < 40


@pytest.mark.parametrize("command", [["show", "last"], ["runs"], ["timeline", "last"], ["logs", "last"]])
def test_reading_a_record_imports_neither_yaml_nor_the_engine(folder: Path, command: list[str]) -> None:
    modules(folder, "run")
    found = modules(folder, *command)
    assert not [name for name in found if name == "yaml" or name.startswith("stagebook.engine")]
