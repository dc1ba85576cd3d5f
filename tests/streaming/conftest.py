"""What processes of streams share is ended with the tests of a module: others look whether a child is left."""

from __future__ import annotations

from multiprocessing import resource_tracker
from typing import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _no_tracker_is_left() -> Iterator[None]:
    yield
    tracker = resource_tracker._resource_tracker  # type: ignore[attr-defined]
    tracker._stop()
