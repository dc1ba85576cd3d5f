"""The place in which a test does its harm, and the look around after it: no process of a run may be left."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator

import pytest
from tests.door.place import Place


@pytest.fixture
def place(tmp_path: Path, stagebook: str) -> Iterator[Place]:
    made = Place(tmp_path / "place", stagebook)
    yield made
    made.close()


@pytest.fixture
def new_place(tmp_path: Path, stagebook: str) -> Iterator[Callable[[], Place]]:
    """As many places as a test asks for."""
    made: list[Place] = []

    def make() -> Place:
        made.append(Place(tmp_path / f"place-{len(made)}", stagebook))
        return made[-1]

    yield make
    for each in made:
        each.close()
