from __future__ import annotations

from pathlib import Path

import pytest
from tests.formats.gitlab.reading import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "shop").mkdir()
    return Project(tmp_path / "shop")
