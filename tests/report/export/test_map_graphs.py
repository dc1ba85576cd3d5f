"""Maps as DOT and Mermaid: every line by a grammar stricter than theirs, whatever names there are.

Graphviz 2.42 and Mermaid 12.3 have drawn what these tests make, hostile names included.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.report import golden, maps
from tests.report.export import hostile

from stagebook.report.export import dot, mermaid
from stagebook.report.harmless import cut, harmless
from stagebook.report.map import document

_STRING = r'"(?:[^"\\\n]|\\\\|\\"|\\n)*"'
_VALUE = rf"(?:{_STRING}|\w+)"
_ATTRIBUTES = rf"\[\w+={_VALUE}(?:, \w+={_VALUE})*\]"
_DOT = re.compile(
    rf"  (?:rankdir=LR|(?:node|edge) {_ATTRIBUTES}|(n\d+) {_ATTRIBUTES}|\{{ rank=same;(?: n\d+;)+ \}}"
    rf"|(n\d+) -> (n\d+)(?: {_ATTRIBUTES})?);?"
)
_LABEL = r'"((?:[^"#`<>&;\n]|#\d+;|<br>)*)"'
_NODE = re.compile(rf"    (n\d+)(\[|\{{\{{|\(\[){_LABEL}(\]|\}}\}}|\]\))")
_ARROW = re.compile(rf"    (n\d+) (-->|==>|-\.->)(?:\|{_LABEL}\|)? (n\d+)")
_REST = re.compile(r"    (classDef \w+ [\w:#, -]+|class n\d+(,n\d+)* \w+|linkStyle \d+ stroke:#[0-9A-F]{6})")

CASES: dict[str, Any] = {
    "release": document(maps.RELEASE),
    "empty": document(maps.pipeline()),
    "hostile": document(maps.hostile_pipeline()),
    "changed": maps.changed(),
    "hostile and new": maps.compared(maps.RELEASE, maps.hostile_pipeline()),
    "hostile and gone": maps.compared(maps.hostile_pipeline(), maps.RELEASE),
}


def dot_graph(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Nodes with their lines, and edges, of a graph that the grammar knows."""
    head, *lines, last, end = text.split("\n")
    assert re.fullmatch(rf"digraph {_STRING} \{{", head)
    assert (last, end) == ("}", "")
    nodes, arrows = {}, []
    for line in lines:
        found = _DOT.fullmatch(line)
        assert found is not None, line
        if found[1]:
            nodes[found[1]] = line
        elif found[2]:
            arrows.append((found[2], found[3]))
    assert {each for pair in arrows for each in pair} <= nodes.keys()
    return nodes, arrows


def flowchart(lines: list[str]) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Nodes with their labels, read as Mermaid reads them, and arrows with their lines."""
    head, *rest = lines
    assert head == "flowchart LR\n"
    nodes, arrows = {}, []
    for line in rest:
        assert line.endswith("\n")
        node, arrow = _NODE.fullmatch(line[:-1]), _ARROW.fullmatch(line[:-1])
        if node is not None:
            assert (node[2], node[4]) in (("[", "]"), ("{{", "}}"), ("([", "])"))
            nodes[node[1]] = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), node[3])
        elif arrow is not None:
            arrows.append((arrow[1], arrow[2], arrow[4]))
        else:
            assert _REST.fullmatch(line[:-1]), line
    assert {each for start, _, end in arrows for each in (start, end)} <= nodes.keys()
    return nodes, arrows


@pytest.mark.parametrize("name", CASES)
def test_every_graph_parses_and_has_all_stages_and_edges(name: str) -> None:
    made = CASES[name]
    gone = made.get("diff", {"stages": {"removed": []}, "edges": {"removed": []}})
    nodes, arrows = dot_graph(dot.render(made))
    assert len(nodes) == len(made["stages"]) + len(gone["stages"]["removed"])
    assert len(arrows) == len(made["edges"]) + len(gone["edges"]["removed"])
    labels, _ = flowchart(mermaid.flowchart(made))
    assert labels


def test_hostile_names_arrive_whole() -> None:
    labels, arrows = flowchart(mermaid.flowchart(CASES["hostile"]))
    shown = [label.partition("<br>")[0] for label in labels.values()]
    assert shown == [*(cut(harmless(name), 60) for name in hostile.NAMES), "deploy"]
    assert len(arrows) == 2 * len(hostile.NAMES) - 1
    assert not any(
        label[:1] in "-+*" for label in re.findall(r'"([^"]*)"', "".join(mermaid.flowchart(CASES["hostile"])))
    )


@pytest.mark.parametrize("name", ["release", "changed"])
def test_graphs_look_as_read(name: str) -> None:
    golden.check(f"export-map-{name}-dot", dot.render(CASES[name]).splitlines())
    golden.check(f"export-map-{name}-mermaid", "".join(mermaid.flowchart(CASES[name])).splitlines())


def test_the_critical_path_is_thick_and_needless_order_dotted() -> None:
    _, arrows = flowchart(mermaid.flowchart(CASES["release"]))
    assert [line for _, line, _ in arrows].count("-.->") == 2
    assert [line for _, line, _ in arrows].count("==>") == 6


def test_a_large_map_is_folded_so_that_it_is_drawn() -> None:
    stages = [
        maps.stage(f"s{level}-{index}", 2 if index == 7 else 1, *([f"s{level - 1}-7"] if level else []))
        for level in range(60)
        for index in range(20)
    ]
    labels, arrows = flowchart(mermaid.flowchart(document(maps.pipeline(*stages))))
    assert (len(labels), len(arrows)) == (120, 118)
    assert sum("19 more" in label for label in labels.values()) == 60
    nodes, _ = dot_graph(dot.render(document(maps.pipeline(*stages))))
    assert len(nodes) == 1200, "DOT is for machines: nothing is folded"
