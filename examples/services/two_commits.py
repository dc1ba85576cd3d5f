"""Two commits in a copy of this folder, and the stages that `find-changed` makes of each: `two_commits.py`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], str(HERE.parents[1] / ".venv" / "bin")])
GIT = ["git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]


def commit(folder: Path, message: str) -> None:
    subprocess.run([*GIT, "add", "--all"], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "--quiet", "--message", message], cwd=folder, check=True)


def made(folder: Path) -> list[str]:
    """The stages that the latest commit makes necessary."""
    command = shutil.which("stagebook", path=PATH) or "stagebook"
    done = subprocess.run(
        [command, "run", "--json", "--quiet"], cwd=folder, env={**os.environ, "PATH": PATH},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return [stage["stage"] for stage in json.loads(done.stdout)["stages"] if stage.get("made_by")]


with tempfile.TemporaryDirectory() as base:
    copy = Path(base, "services")
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("__pycache__", ".stagebook"))
    (copy / ".gitignore").write_text("__pycache__/\n")
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    commit(copy, "all services")
    for changed in ("services/mail/letter.py", "services/billing/invoice.py"):
        with open(copy / changed, "a") as file:
            file.write("\n# changed\n")
        commit(copy, changed)
        print(f"{changed}: {', '.join(made(copy))}", flush=True)
