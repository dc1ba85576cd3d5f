"""A folder with a workflow, of which jobs can be played."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.runner.github.playing import Player


@pytest.fixture
def player(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Player:
    (tmp_path / "home").mkdir()
    (tmp_path / "repo").mkdir()
    made = Player(tmp_path / "repo", capfd)
    made.environ["HOME"] = str(tmp_path / "home")
    return made
