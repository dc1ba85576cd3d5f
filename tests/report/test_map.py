"""The map as document and text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.report import golden
from tests.report.maps import RELEASE, changed, pipeline, stage

from stagebook.formats.native.read import load
from stagebook.model.pipeline import Condition
from stagebook.model.problem import Problem
from stagebook.report.export import map_words
from stagebook.report.harmless import cells
from stagebook.report.map import document
from stagebook.report.map_text import render, table
from stagebook.report.style import Style


def test_the_document_has_the_keys_of_the_door() -> None:
    found = document(RELEASE)
    assert (found["pipeline"], found["format"], found["depth"], found["width"]) == ("release", "native", 9, 6)
    assert found["stages"][2] == {
        "stage": "unit[python=3.11]", "level": 1, "needs": ["checkout"], "line": 3, "kind": "run", "condition": None,
        "matrix": {"python": "3.11"}, "group": None, "duration_s": 122.0, "known_s": None, "took_s": 122.0,
        "slack_s": 178.0, "slack": None, "critical": False, "alone": False, "is_test": True, "outside": None,
        "tolerance": "fails the run", "ordering": None, "steps": None, "mode": "parallel",
    }  # fmt: skip
    on_stable = document(pipeline(stage("deploy", 61, when=Condition("params.channel == 'stable'"))))
    assert on_stable["stages"][0]["condition"] == "params.channel == 'stable'"
    kinds = {(edge["from"], edge["to"]): edge["kind"] for edge in found["edges"]}
    assert (kinds["checkout", "lint"], kinds["approve", "deploy"]) == ("needs", "gate")
    assert len(found["edges"]) == sum(len(one.needs) for one in RELEASE.stages)


def test_notes_come_from_the_file_and_from_what_is_not_built() -> None:
    found = document(
        pipeline(
            stage("a", None),
            problems=(Problem("/x/stagebook.yaml", 3, 5, "trap", "warning", "quote it"),),
            unbuilt=(Problem("/x/stagebook.yaml", 0, 0, "not-built", "note", "later"),),
        )
    )
    assert found["notes"] == [
        {"code": "trap", "level": "warning", "line": 3, "file": None, "message": "quote it"},
        {"code": "not-built", "level": "note", "line": None, "file": None, "message": "later"},
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_the_map_looks_as_designed(width: int) -> None:
    golden.check(f"map-{width}", render(document(RELEASE), Style(width=width)))


def test_opened_it_shows_every_cell_and_in_ascii_it_has_only_ascii() -> None:
    golden.check("map-80-open", render(document(RELEASE), Style(), is_open=True))
    lines = render(document(RELEASE), Style(ascii=True))
    golden.check("map-80-ascii", lines)
    assert all(line.isascii() for line in lines)


def test_without_durations_the_longest_chain_counts_stages() -> None:
    chain = pipeline(stage("a", None), stage("b", None, "a"), stage("c", None, "b"), stage("d", None, "a"))
    found = document(chain)
    assert found["critical_path"] == ["a", "b", "c"]
    assert found["critical_path_s"] is None
    assert [one["slack_s"] for one in found["stages"]] == [None] * 4
    golden.check("map-80-bare", render(found, Style()))


def test_an_empty_pipeline_has_a_map_too() -> None:
    assert render(document(pipeline()), Style())[0] == "release  0 stages, 0 edges, 0 levels, at most 0 at once"


def test_a_large_map_folds_by_level_and_keeps_the_critical_path() -> None:
    stages = [
        stage(f"s{level}-{index}", 2 if index == 7 else 1, *([f"s{level - 1}-7"] if level else []))
        for level in range(30)
        for index in range(20)
    ]
    lines = render(document(pipeline(*stages)), Style())
    assert len(lines) < 100
    assert sum("s" + str(level) + "-7" in line for level in range(30) for line in lines if "┃  " not in line) >= 30
    assert sum("19 more ▸" in line for line in lines) == 30


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("is_ascii", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, is_ascii: bool) -> None:
    long = "漢字" * 40
    stages = [stage(long, 9), stage(long + "2", None, long), stage("z\x1b[2J", 5, long, long + "2")]
    lines = render(document(pipeline(*stages)._replace(name=long)), Style(width=width, ascii=is_ascii))
    assert [line for line in lines if cells(line) >= width] == []
    assert not any("\x1b" in line for line in lines)


def test_r064_an_edge_through_a_file_is_drawn_with_its_path() -> None:
    made = pipeline(
        stage("build", 9),
        stage("unit", 5, "build", via={"build": "dist/app.whl"}),
        stage("size", 5, "build", "unit", via={"build": "dist/\x1b[31m.whl"}, declared=("build",)),
    )
    found = document(made)
    assert [(edge["from"], edge["to"], edge["kind"], edge.get("via")) for edge in found["edges"]] == [
        ("build", "unit", "artifact", "dist/app.whl"),
        ("build", "size", "needs", "dist/\x1b[31m.whl"),
        ("unit", "size", "needs", None),
    ]
    text = "\n".join(render(found, Style(120)))
    assert "build via dist/app.whl" in text
    assert "dist/\\x1b[31m.whl, unit" in text


def test_the_cells_of_a_matrix_are_named_once_with_their_path() -> None:
    cells_of = [stage(f"unit[python={value}]", 1) for value in ("3.11", "3.13")]
    via = {cell.id: "reports/*.xml" for cell in cells_of}
    made = pipeline(*cells_of, stage("merge", 1, *via, via=via))
    assert "unit via reports/*.xml" in "\n".join(render(document(made), Style(120)))


def test_what_differs_is_marked_and_listed() -> None:
    golden.check("map-diff-80", render(changed(), Style()))
    lines = render(changed(), Style(ascii=True, width=60))
    assert all(line.isascii() and len(line) < 60 for line in lines)


def test_what_stages_say_of_themselves() -> None:
    golden.check("map-table-80", table(document(RELEASE), Style()))
    assert max(map(len, table(document(RELEASE), Style(width=40)))) < 40


def test_a_join_of_many_names_the_first_of_them() -> None:
    many = [stage(f"s{number}", 1) for number in range(40)]
    made = document(pipeline(*many, stage("join", 1, *(one.id for one in many))))
    folded, opened = (" ".join("\n".join(render(made, Style(), is_open=is_open)).split()) for is_open in (False, True))
    assert "s0, s1, s2, s3, s4, s5, s6, s7, 32 more" in folded
    assert "s38, s39" in opened


ROOT = Path(__file__).resolve().parents[2]


def example(name: str, file: str = "stagebook.yaml") -> dict[str, Any]:
    return document(load(str(ROOT / "examples" / name / file), None))


def test_the_verdict_counts_all_needless_order_together() -> None:
    """Of the nightly load: the longest chain with a reason is orders, clean, load, report, 2.6 of 4 s."""
    found = example("etl", "grown.yaml")
    assert found["critical_path_s"] == 4.0 and found["needless_s"] == pytest.approx(1.4)
    assert max(each["saves_s"] or 0 for each in found["findings"]) < 1
    assert map_words.verdict(found) == "4 s is the least this order allows; 1.4 s of it has no reason in the file"


def test_a_pool_that_makes_it_longer_than_its_path_is_told_with_the_least() -> None:
    """Ten of 0.4 s in a pool of three, between 0.1 s before and 0.1 s after."""
    found = example("microservices")
    assert found["bounds"] == [{"what": "pool database", "least_s": pytest.approx(0.2 + 4 / 3)}]
    said = "pool database makes it at least 1.5 s"
    assert map_words.verdict(found) == f"600 ms is the least this order allows; {said}"
    assert f"least possible 600 ms ({said})" in " ".join(render(found, Style(width=120)))
    assert example("etl", "grown.yaml")["bounds"] == []


def test_the_cells_of_a_matrix_are_one_need_though_each_makes_a_file_of_its_own() -> None:
    found = example("microservices")
    text = " ".join(" ".join(render(found, Style(width=120))).split())
    assert "service via .work/accounts.json and 9 more" in text and "basket.json" not in text
    assert "service[name=basket] via .work/basket.json" in " ".join(
        " ".join(render(found, Style(width=120), is_open=True)).split()
    )
