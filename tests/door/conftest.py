"""The place in which a test does its harm, and the look around after it: no process of a run may be left. And windows
of a browser, for pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator

import pytest
from tests.door.place import Place

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from tests.door.browser import Window


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from tests.door.browser import chromium

    with chromium() as found:
        yield found


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Window]]:
    """Opens a file, or a page that is given as text; in the end all windows are looked at once more and closed."""
    from tests.door.browser import Window

    opened: list[Window] = []

    def open_one(page: Path | str, **settings: Any) -> Window:
        if isinstance(page, str):
            path = tmp_path / f"page-{len(opened)}.html"
            path.write_text(page, encoding="utf-8")
        else:
            path = page
        opened.append(Window(browser, path, **settings))
        return opened[-1]

    yield open_one
    for window in opened:
        window.close()
