"""Runs side by side: one scale, speeds against the first, and nothing of anybody's that acts."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from tests.report import documents, golden
from tests.report.export import hostile

from stagebook.report import beside
from stagebook.report.export import beside as picture
from stagebook.report.harmless import cells
from stagebook.report.page import beside as page
from stagebook.report.style import Style

SHORTS = ["01KYAK7Q", "01KYAK8R", "01KYAK9S"]


def three() -> list[dict[str, Any]]:
    """A run that failed, one in half the time, and one that waits."""
    work = [documents.stage("a", documents.attempt(0, 100)), documents.stage("b", documents.attempt(100, 180.5))]
    return [
        documents.release(),
        documents.run(work, 180.5, run="01KYAK8R0000000000000000A1", mode="sequential", jobs=1),
        documents.assembly(run="01KYAK9S0000000000000000A2"),
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_runs_side_by_side_look_as_designed(width: int) -> None:
    golden.check(f"beside-{width}", beside.render(three(), SHORTS, Style(width=width)))


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("ascii", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, ascii: bool) -> None:
    lines = beside.render(three(), SHORTS, Style(width=width, ascii=ascii))
    assert [line for line in lines if cells(line) >= width] == []
    assert not ascii or all(line.isascii() for line in lines)


def test_speeds_are_against_the_first_and_unknown_of_what_is_not_over() -> None:
    found = beside.compared(three(), SHORTS)
    assert [one.times_as_fast for one in found] == [1.0, pytest.approx(2.0), None]
    assert [one.state for one in found] == ["failure", "success", "gate"]
    assert [one.said() for one in found][1:] == ["sequential, 3 m 01 s, 2.00× as fast", "parallel, 4 jobs, –"]


def test_the_same_run_twice_is_two_pictures() -> None:
    root = ElementTree.fromstring("".join(picture.render([documents.release()] * 2, SHORTS[:2])))
    ids = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    assert len(ids) == len(set(ids)) == 4
    assert float(root.attrib["height"]) > 2 * 450


def test_names_of_anybody_are_text() -> None:
    stages = [documents.stage(name, documents.attempt(0, 1)) for name in hostile.NAMES]
    document = documents.run(stages, 1.0, pipeline=hostile.NAMES[0])
    root = ElementTree.fromstring("".join(picture.render([document, document], SHORTS[:2])))
    assert not [one for one in root.iter() if one.tag.endswith(("script", "image", "a", "foreignObject"))]
    html = "".join(page.render([document, document], SHORTS[:2]))
    for name in (*hostile.NAMES[1:4],):
        assert name not in html, "it is text, with its marks escaped"
