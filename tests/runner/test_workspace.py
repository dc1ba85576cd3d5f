"""What a job's directory holds: what a clone would, with what is about to be committed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stagebook.runner import workspace

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *IDENTITY, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def here(tmp_path: Path) -> Any:
    root = tmp_path / "shop"
    (root / "src").mkdir(parents=True)
    for name in ("same", "changed", "gone", "staged", "src/deep", "run.sh"):
        (root / name).write_text("committed\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("same")
    (root / ".gitignore").write_text("ignored\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "First")
    git(root, "remote", "add", "origin", "https://example.org/shop.git")
    for name in ("changed", "new", "ignored", "staged", "src/new"):
        (root / name).write_text("now\n")
    git(root, "add", "staged")
    (root / "gone").unlink()
    (root / ".stagebook").mkdir()
    (root / ".stagebook" / "secret").write_text("x")
    place = tmp_path / "place"
    place.mkdir()
    return SimpleNamespace(root=str(root), workspace=str(place / "shop"))


FILES = {
    ".gitignore": "ignored\n", "changed": "now\n", "link": "committed\n", "new": "now\n", "run.sh": "committed\n",
    "same": "committed\n", "src/deep": "committed\n", "src/new": "now\n", "staged": "now\n",
}  # fmt: skip


def held(folder: str) -> dict[str, str]:
    root = Path(folder)
    files = [path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {str(path.relative_to(root)): path.read_text() for path in files}


@pytest.mark.parametrize("attributes", ["", "*.bin filter=lfs\n"])
def test_it_holds_the_work_tree_as_it_is_and_its_history(here: Any, attributes: str) -> None:
    files = dict(FILES)
    if attributes:
        files[".gitattributes"] = attributes
        (Path(here.root) / ".gitattributes").write_text(attributes)
    assert workspace.checkout(here) == []
    assert held(here.workspace) == files
    made = Path(here.workspace)
    assert (made / "link").is_symlink()
    assert os.access(made / "run.sh", os.X_OK)
    assert git(made, "log", "--format=%s %D").strip().startswith("First HEAD -> main, origin/main")
    assert git(made, "remote", "get-url", "origin").strip() == "https://example.org/shop.git"
    assert " M changed" in git(made, "status", "--short").splitlines()
    git(made, "commit", "-aqm", "Second")
    assert git(Path(here.root), "log", "--format=%s").strip() == "First"


@pytest.mark.parametrize("how", ["no git", "no commit", "a folder of a repository"])
def test_without_a_history_of_its_own_it_holds_the_files(here: Any, how: str) -> None:
    root = Path(here.root)
    if how == "a folder of a repository":
        here.root = str(root / "src")
        expected = {"deep": "committed\n", "new": "now\n"}
    else:
        subprocess.run(["rm", "-rf", ".git"], cwd=root, check=True)
        expected = FILES | ({"ignored": "now\n"} if how == "no git" else {})
        if how == "no commit":
            git(root, "init", "-q")
    notes = workspace.checkout(here)
    assert held(here.workspace) == expected
    assert bool(notes) == (how == "no git")


def test_what_the_repository_brings_along_is_not_run(here: Any, tmp_path: Path) -> None:
    """Hooks and monitors are programs that a checkout may bring."""
    root = Path(here.root)
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path / 'sprung'}\n")
    trap.chmod(0o755)
    git(root, "config", "core.fsmonitor", str(trap))
    git(root, "config", "core.hooksPath", str(tmp_path))
    (tmp_path / "post-checkout").symlink_to("trap")
    workspace.checkout(here)
    assert not (tmp_path / "sprung").exists()


def test_files_of_submodules_come_from_where_they_lie(here: Any, tmp_path: Path) -> None:
    root = Path(here.root)
    other = tmp_path / "other"
    other.mkdir()
    (other / "lib").write_text("lib\n")
    git(other, "init", "-q")
    git(other, "add", ".")
    git(other, "commit", "-q", "-m", "Lib")
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "deps/other")
    workspace.checkout(here)
    assert "deps/other/lib" not in held(here.workspace)
    assert workspace.submodules(here) == []
    assert held(here.workspace)["deps/other/lib"] == "lib\n"
