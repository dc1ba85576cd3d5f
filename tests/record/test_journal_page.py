"""The page about the journal shows lines that are true, and names every event that is read."""

from __future__ import annotations

import re
from pathlib import Path

from stagebook.record import replay, retelling
from stagebook.record.line import decode
from stagebook.record.story import Usage

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "journal.md").read_text()


def test_the_lines_shown_are_whole() -> None:
    block = re.search(r"```jsonl\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    records = [decode(line.encode()) for line in block[1].splitlines()]
    assert [record["seq"] for record in records] == [4, 5, 6, 7]


def test_every_event_that_is_read_has_its_row() -> None:
    rows = set(re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", PAGE, re.MULTILINE))
    source = Path(retelling.__file__).read_text()
    read = set(replay._EVENTS) | set(re.findall(r'event == "([a-z]+\.[a-z]+)"', source))
    assert read <= rows


def test_every_key_of_usage_is_named() -> None:
    assert all(f"`{name}`" in PAGE for name in Usage._fields)
