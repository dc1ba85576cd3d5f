"""Folds of a map: each stage in one node, never too many, no cycle, nothing critical hidden while there is room."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report import mapped

from stagebook.graph.shape import shape
from stagebook.report.export import map_nodes


def folded(document: dict[str, Any], most: int = map_nodes.NODES_MAX) -> map_nodes.Nodes:
    found = map_nodes.nodes(document, most)
    assert sorted(stage for node in found.nodes for stage in node.stages) == list(range(len(found.stages)))
    assert all(index in found.nodes[at].stages for index, at in enumerate(found.node_of))
    needs: list[list[int]] = [[] for _ in found.nodes]
    for link in found.laid:
        needs[link.node].append(link.need)
    shape(needs)  # raises if there is a cycle
    joined = {(found.node_of[a], found.node_of[b]) for a, b in ends(found)}
    assert {(link.need, link.node) for link in found.links} == {pair for pair in joined if pair[0] != pair[1]}
    return found


def ends(found: map_nodes.Nodes) -> list[tuple[int, int]]:
    at = {stage["stage"]: index for index, stage in enumerate(found.stages)}
    return [(at[edge["from"]], at[edge["to"]]) for edge in found.edges]


def test_a_matrix_is_one_node_and_few_stages_are_themselves() -> None:
    found = folded(mapped.release())
    assert [node.name for node in found.nodes][:4] == ["checkout", "lint", "unit ×2", "build"]
    assert found.nodes[2].figure == "2 m 11 s"
    assert len(found.nodes) == 17
    assert {link.style for link in found.links} == {"needs", "critical", "needless"}
    assert [remark.lines for remark in found.remarks][2] == ()  # both cells are in one node


@pytest.mark.parametrize("count", [201, 1000, 3000])
def test_more_than_two_hundred_nodes_are_folded(count: int) -> None:
    found = folded(mapped.layered(count))
    assert len(found.nodes) <= map_nodes.NODES_MAX


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(5, 60), st.integers(3, 30))
def test_any_fold_keeps_every_stage_and_makes_no_cycle(seed: int, count: int, most: int) -> None:
    document = mapped.layered(count, seed)
    for index, stage in enumerate(document["stages"]):
        stage["group"] = [None, "tests", "checks"][index * seed % 3]
    folded(document, most)


def test_what_is_critical_or_found_fault_with_stays_while_there_is_room() -> None:
    document = mapped.layered(400)
    document["findings"] = [mapped.finding(1, "possible-coupling", "s100", "s101")]
    found = folded(document)
    named = {node.name for node in found.nodes if len(node.stages) == 1}
    assert set(document["critical_path"]) <= named
    assert {"s100", "s101"} <= named


def test_many_alike_are_one_node_and_a_few_are_not() -> None:
    wide = [
        ("build", [], 1.0),
        *((f"svc-{n}", ["build"], 2.0) for n in range(50)),
        ("ship", [f"svc-{n}" for n in range(50)], 1.0),
    ]
    found = folded(mapped.document(wide))
    assert [node.name for node in found.nodes] == ["build", "svc-0", "svc-1 and 48 alike", "ship"]
    assert len(folded(mapped.document([("a", [], 1.0), *((f"b{n}", ["a"], 1.0) for n in range(5))])).nodes) == 6


def test_a_chain_of_thousands_folds_by_runs_of_levels() -> None:
    chain = [(f"s{n}", [f"s{n - 1}"] if n else [], 1.0) for n in range(5000)]
    found = folded(mapped.document(chain))
    assert len(found.nodes) == 100
    assert found.nodes[1].name == "level 50 to 99, ×50"


def test_a_difference_keeps_what_is_gone_and_marks_what_is_new() -> None:
    found = folded(mapped.changed())
    assert {node.name: node.mark for node in found.nodes} == {
        "build": "", "lint": "changed", "audit": "added", "ship": "", "spell": "removed",
    }  # fmt: skip
    assert sorted(link.style for link in found.links) == [
        "added",
        "added",
        "critical" if False else "needs",
        "needs",
        "removed",
        "removed",
    ]


def test_an_edge_that_is_turned_round_makes_no_cycle() -> None:
    document = mapped.document([("a", [], 1.0), ("b", ["a"], 1.0)])
    document["diff"] = {
        "base": "HEAD", "stages": {"added": [], "removed": [], "changed": []},
        "edges": {"added": [{"from": "a", "to": "b"}], "removed": [{"from": "b", "to": "a"}], "changed": []},
    }  # fmt: skip
    found = folded(document)
    assert [link.style for link in found.laid] == ["added"]
    assert len(found.links) == 2


def test_what_is_guessed_is_marked() -> None:
    document = mapped.document([("a", [], 3.0), ("b", ["a"], 1.0)])
    document["stages"][1] |= {"known_s": None, "took_s": 3.0}
    assert [node.figure for node in folded(document).nodes] == ["3 s", "~3 s"]
    document["stages"][1] |= {"took_s": None}
    assert folded(document).nodes[1].figure == "–"
