"""Workflows that another runner is tested with, where they lie beside the checkout: what holds there holds here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.runner.github.playing import Player


@pytest.mark.parametrize(
    "name",
    [
        "commands/push.yml", "environment-files/push.yaml", "environment-files-parser-bug/push.yaml",
        "set-env-step-env-override/push.yml", "steps-context/outcome/push.yml",
    ],
)  # fmt: skip
def test_a_workflow_of_another_runner_ends_as_there(player: Player, shared_data: Path, name: str) -> None:
    text = (shared_data / "conformance" / "act" / "runner" / name).read_text()
    jobs = [line.strip().rstrip(":") for line in text.partition("\njobs:\n")[2].splitlines() if line[2:3].strip()]
    for job_id in [each for each in jobs if each.replace("-", "").replace("_", "").isalnum()]:
        done = player.play(text, job_id)
        assert done.code == 0, done.log


@pytest.mark.parametrize("name", ["do-not-leak-step-env-in-composite", "inputs-via-env-context"])
def test_actions_of_a_workspace_work_as_there(player: Player, shared_data: Path, name: str) -> None:
    folder = shared_data / "conformance" / "act" / "runner" / name
    shutil.copytree(folder, player.folder / name)
    text = (folder / "push.yml").read_text()
    jobs = [line.strip().rstrip(":") for line in text.partition("\njobs:\n")[2].splitlines() if line[2:3].strip()]
    for job_id in [each for each in jobs if each.replace("-", "").replace("_", "").isalnum()]:
        done = player.play(text, job_id)
        assert done.code == 0, done.log
