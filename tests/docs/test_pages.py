"""Pages agree with the code and with each other: generated parts are current, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stagebook.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/*.md")])
LINK = re.compile(r"\[[^\]]*\]\((?!https?://|#)([^)#\s]+)(#[^)\s]*)?\)")


def test_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "tools/docs.py", "--check"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    dead = [target for target, _ in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert dead == []


def test_every_page_can_be_reached_from_the_index() -> None:
    todo, seen = [ROOT / "docs" / "index.md"], set()
    while todo:
        page = todo.pop().resolve()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        todo += [
            page.parent / target for target, _ in LINK.findall(page.read_text()) if (page.parent / target).exists()
        ]
    assert [str(page) for page in PAGES if "docs" in page.parts and page.resolve() not in seen] == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_stands_in_the_reference_with_an_example(command: str) -> None:
    text = (ROOT / "docs" / "reference" / "commands.md").read_text()
    section = text.partition(f"## {command}\n")[2].partition("\n## ")[0]
    assert "example:" in section


def test_what_make_can_do_is_listed() -> None:
    said = subprocess.run(["make", "--silent", "help"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for target in ("setup", "demo", "test", "lint", "bench", "mutants", "docs", "lock", "clean"):
        assert re.search(rf"^make {target} +\S", said, re.MULTILINE), target
