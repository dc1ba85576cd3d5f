"""Workflows that act tests its runner with, run here: each ends as that tool's own table of tests says.

Of them those made of shell, of actions with an equivalent here and of composite actions beside them. Left out: other
actions and containers, shells of Windows, tools and networks that a machine may lack, variables that act itself sets,
events that are not among the data, and a secret in plain text in the file, which Stagebook refuses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conform.row import Row

GOAL = 0.9
_TIMEOUT_S = 60
_STAGEBOOK = Path(sys.executable).with_name("stagebook")
#: Those whose run is to fail.
FAILING = (
    "fail/push.yml", "if-expressions/push.yml", "job-status-check/push.yml", "matrix-exitcode/push.yml",
    "no-panic-on-invalid-composite-action/push.yml", "non-existent-action/push.yml",
    "uses-composite-with-error/push.yml",
)  # fmt: skip
PASSING = (
    "act-composite-env-test/push.yml", "checkout/push.yml", "commands/push.yml",
    "composite-fail-with-output/push.yml", "dir with spaces/push.yml", "do-not-leak-step-env-in-composite/push.yml",
    "env-and-path/push.yaml", "environment-files/push.yaml", "environment-files-parser-bug/push.yaml",
    "environment-variables/push.yml", "evalenv/push.yml", "evalmatrix/push.yml", "evalmatrixneeds/push.yml",
    "inputs-via-env-context/push.yml", "job-needs-context-contains-result/push.yml", "mask-values/push.yml",
    "matrix/push.yml", "matrix-include-exclude/push.yml", "outputs/push.yml",
    "services-empty-image/push.yaml", "set-env-new-env-file-per-step/push.yml",
    "set-env-step-env-override/push.yml", "shells/bash/push.yml", "shells/python/push.yml", "shells/sh/push.yml",
    "steps-context/conclusion/push.yml", "steps-context/outcome/push.yml", "uses-composite/push.yml",
    "uses-workflow-defaults/workflow_dispatch.yml", "workdir/push.yml", "workflow_dispatch/workflow_dispatch.yml",
    "workflow_dispatch-scalar/workflow_dispatch.yml",
    "workflow_dispatch-scalar-composite-action/workflow_dispatch.yml",
    "workflow_dispatch_no_inputs_mapping/workflow_dispatch.yml",
)  # fmt: skip
#: What their tests give beside.
OPTIONS = {"workflow_dispatch/workflow_dispatch.yml": ("--input", "required=required input", "--input", "boolean=true")}


def measure(data: Path) -> list[Row]:
    folder = data / "conformance" / "act" / "runner"
    cases = [(name, 0) for name in PASSING] + [(name, 1) for name in FAILING]
    cases = [(name, code) for name, code in cases if (folder / name).is_file()]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(2) as pool:
        places = range(len(cases))
        misses = list(pool.map(lambda place: _miss(folder, Path(scratch) / str(place), *cases[place]), places))
    missed = tuple(f"{name}: {said}" for (name, _), said in zip(cases, misses) if said is not None)
    share = 1 - len(missed) / len(cases) if cases else 0.0
    return [Row("act", "workflows of shell, run", len(cases), share, GOAL, misses=missed)]


def _miss(folder: Path, scratch: Path, name: str, wanted: int) -> str | None:
    """What is not as its test says; None if all is."""
    repository = scratch / "repository"
    shutil.copytree(folder, repository)
    workflow = repository / ".github" / "workflows" / Path(name).name
    shutil.copy(folder / name, workflow)
    (scratch / "home").mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(scratch / "home"), "LC_ALL": "C.UTF-8", "SHELL": "/bin/bash"}
    subprocess.run(["git", "init", "-q", str(repository)], env=env, check=True)
    words = [str(_STAGEBOOK), "run", str(workflow), "--yes", "--quiet", "--unplayable", "skip", *OPTIONS.get(name, ())]
    try:
        done = subprocess.run(
            words, cwd=repository, env=env, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "it does not end"
    if done.returncode == wanted or (wanted and done.returncode == 2):  # refused before it runs is as good
        return None
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "rror" in line]
    return f"exit {done.returncode}, not {wanted}: {' '.join(lines[:2])[:160]}"
