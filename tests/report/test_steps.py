"""Steps as lanes below their stage, and gates as lines, in all pictures: where they lie, and what is told of them."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.report import documents, golden

from stagebook.report import steps, summary
from stagebook.report.export import svg
from stagebook.report.page import facts
from stagebook.report.steps import Strip
from stagebook.report.style import Style

NS = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("width", [80, 120])
def test_lanes_and_gates_look_as_designed(width: int) -> None:
    golden.check(f"assembly-{width}", summary.picture(documents.assembly(), Style(width=width)))


def test_lanes_in_ascii_have_only_ascii() -> None:
    lines = summary.picture(documents.assembly(), Style(width=80, ascii=True))
    golden.check("assembly-80-ascii", lines)
    assert all(line.isascii() for line in lines)


@given(
    st.integers(0, 5_000), st.integers(1, 300), st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 90)
)
def test_a_lane_has_the_work_of_its_pieces_where_they_are(
    begin: int, grain: int, levels: list[float], width: int
) -> None:
    total = begin + grain * len(levels) + 100
    strip = Strip("a", 1, 1, None, begin, grain, tuple(levels))
    found = steps.cells(strip, width, total)
    assert len(found) == width
    assert sum(found) * total / width == pytest.approx(sum(levels) * grain, abs=total * 1e-6)
    assert all(not level for cell, level in enumerate(found) if (cell + 1) * total / width < begin)


def test_workers_that_are_gone_again_still_count_in_the_height() -> None:
    stage = {"stage": "w", "steps": [documents.step("w.a", 1, 9, 0.5, [4.0, 2.0])]}
    (strip,) = steps.strips(stage)
    assert (strip.name, strip.workers, strip.levels) == ("a", 4, (1.0, 0.5))


def test_a_stage_of_which_no_call_is_over_has_no_lanes() -> None:
    assert steps.strips({"stage": "w", "steps": [documents.step("w.a", 1, 0, 0.0, [])]}) == ()


def picture() -> ElementTree.Element:
    return ElementTree.fromstring("".join(svg.render(documents.assembly())))


def said(root: ElementTree.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{NS}text")]


def test_a_picture_has_a_lane_a_step_and_says_how_busy_it_was() -> None:
    root = picture()
    texts = said(root)
    for name, told in (("fetch", "20 done, 75 % busy"), ("transcode ×4", "20 done, 90 % busy")):
        assert name in texts and told in texts
    assert [one.get("class") for one in root.iter(f"{NS}path")].count("steps") == 5  # at once, three steps, the legend
    assert "how many workers of a step are busy" in texts


def test_a_picture_has_a_line_a_gate_and_who_decided() -> None:
    root = picture()
    texts = said(root)
    assert "approved by ann and bob: good" in texts
    assert "waits for a person, approvals 1 of 2 (ann)" in texts
    assert "a person is asked" in texts
    gates = [one.get("d") or "" for one in root.iter(f"{NS}path") if one.get("class") == "gate"]
    assert len(gates) == 7  # of each gate a line and two posts, and the legend
    assert "publish: waits for its needs" in texts
    assert not [text for text in texts if text.startswith(("ship:", "audit:"))]  # they have rows


def test_the_page_is_told_lanes_and_gates() -> None:
    told = facts.facts(documents.assembly(), None, as_of_us=None, short="01KYAK7Q", logs={})
    found: dict[str, Any] = {stage["name"]: stage for stage in told["stages"]}
    assert [step["name"] for step in found["segments"]["steps"]] == ["fetch", "transcode ×4", "package"]
    assert found["segments"]["steps"][1]["levels"][:5] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert found["ship"]["phases"] == [["gate", 45_000_000, 70_000_000, -1, "approved by ann and bob: good"]]
    assert found["audit"]["phases"][0][1:3] == [45_000_000, told["total_us"]]
