"""The page on the format: each of its examples is read, and what it says about an example is what is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stagebook.formats.native import grammar
from stagebook.formats.native.read import parse

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "format.md"
BLOCK = re.compile(r"((?:^<!-- .*? -->\n)*)^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [(found[1], found[2]) for found in BLOCK.finditer(PAGE.read_text())]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 10
    assert PAGE.read_text().count("```yaml") == len(EXAMPLES)


@pytest.mark.parametrize(("comments", "text"), EXAMPLES)
def test_an_example_is_taken_or_refused_as_the_page_says(comments: str, text: str) -> None:
    _, problems = parse(text.encode(), "stagebook.yaml")
    assert [f"{each.level}: {each.message}" for each in problems] == re.findall("<!-- (.*?) -->", comments)


def test_the_limits_are_those_of_the_table() -> None:
    text = PAGE.read_text()
    assert f"| size of the file | {grammar.BYTES_MAX // 2**20} MiB |" in text
    for name, limit in (
        ("values in a file", grammar.NODES_MAX),
        ("values that aliases expand to", grammar.ALIASED_MAX),
        ("entries of one list or mapping", grammar.ENTRIES_MAX),
        ("stages, cells of a matrix included", grammar.STAGES_MAX),
        ("needs in all", grammar.EDGES_MAX),
    ):
        assert f"| {name} | " + f"{limit:,} |".replace(",", " ") in text, name
    assert f"| nesting, through aliases too | {grammar.DEPTH_MAX} levels |" in text
