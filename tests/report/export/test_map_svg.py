"""One picture of a map that needs nothing else: valid, accessible, harmless, small, and true to the document."""

from __future__ import annotations

import re
import time
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.report import golden, mapped
from tests.report.export import hostile
from tests.report.export.test_svg import luminance

from stagebook.report.export import map_svg, svg_style

NS = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "title", "desc", "style", "defs", "marker", "path", "rect", "circle", "g", "text"}
ATTRIBUTES = {
    "viewBox", "width", "height", "class", "role", "aria-labelledby", "id", "d", "x", "y", "rx", "cx", "cy", "r",
    "transform", "refX", "refY", "markerWidth", "markerHeight", "markerUnits", "orient", "marker-end", "marker-start",
}  # fmt: skip


def picture(document: dict[str, Any]) -> ElementTree.Element:
    """The root, if the picture is whole, says what it shows in words, and can neither act nor load anything."""
    text = map_svg.draw(document)
    root = ElementTree.fromstring(text)
    for element in root.iter():
        assert element.tag.removeprefix(NS) in ELEMENTS
        assert set(element.attrib) <= ATTRIBUTES
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for element in root.iter(f"{NS}rect"):
        assert 0 <= float(element.get("x", 0)) <= float(element.get("x", 0)) + float(element.attrib["width"]) <= width
        assert 0 <= float(element.get("y", 0)) + float(element.attrib["height"]) <= height
    ids = [element.attrib["id"] for element in root.iter() if element.get("id")]
    assert len(set(ids)) == len(ids) and all(each.startswith("stagebook-map-") for each in ids)
    assert set(root.attrib["aria-labelledby"].split()) <= set(ids)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(ids)
    assert root[0].tag == f"{NS}title" and root[0].text
    assert root[1].tag == f"{NS}desc" and root[1].text
    assert re.findall(r"url\((?!#stagebook-)|@import", text) == []
    return root


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{NS}text")]


def told(root: ElementTree.Element) -> dict[str, str]:
    """What each node says when it is pointed at, by its first word."""
    titles = [group[0].text or "" for group in root.iter(f"{NS}g") if len(group) and group[0].tag == f"{NS}title"]
    return {title.split(" · ")[0]: title for title in titles}


def classes(root: ElementTree.Element) -> list[str]:
    return [element.get("class", "") for element in root.iter() if element.get("class")]


def test_a_map_looks_as_designed() -> None:
    golden.check("export-map-svg", map_svg.draw(mapped.release()).splitlines())


def test_the_critical_path_is_told_by_weight_and_needless_order_is_dashed() -> None:
    root = picture(mapped.release())
    assert classes(root).count("edge-critical") == 8 - 1 + 1  # seven links and the legend
    assert classes(root).count("edge-needless") == 2
    assert classes(root).count("couple") == 2  # and one lies within a node
    assert classes(root).count("guard") == 4
    assert "edge-needless{fill:none;stroke-width:2.25;stroke-dasharray" in svg_rules()
    assert [text for text in texts(root) if text.isdigit()] == ["1", "2", "3", "4", "1", "2", "3", "4"]


def svg_rules() -> str:
    return map_svg.draw(mapped.document([("a", [], 1.0)])).partition("<style>")[2].partition("</style>")[0]


def test_a_node_says_what_it_needs_and_why() -> None:
    said = told(picture(mapped.release()))
    assert said["integration"] == (
        "integration · 2 m 38 s · on the critical path · line 30 · needs image (no reason in the file) · "
        "needs lint (it reads dist/lint.tar)"
    )
    assert "slack" in said["lint"]
    assert said["unit ×2: unit[python=3.11], unit[python=3.13]"]


def test_the_words_say_what_the_picture_shows() -> None:
    root = picture(mapped.release())
    assert root[0].text == "7 m 53 s is the least this order allows; 41 s of it has no reason in the file"
    assert root[1].text is not None
    for said in (
        "18 stages, 22 edges, 9 levels",
        "Critical path: checkout, build",
        "4. Missing guard: deploy-staging.",
    ):
        assert said in root[1].text
    assert {"Needless order: image → integration", "Let integration follow build"} <= set(texts(root))


def test_a_difference_is_solid_where_new_and_dashed_where_gone() -> None:
    root = picture(mapped.changed())
    assert (
        root[0].text
        == "1 stage added, 1 stage removed, 1 stage changed, 2 edges added, 2 edges removed, against HEAD~1"
    )
    assert classes(root).count("edge-added") == classes(root).count("edge-removed") == 3  # two, and the legend
    assert "node added" in " ".join(classes(root)).replace("node path added", "node added")
    assert "node removed" in classes(root)
    assert {"4 s  + new", "2 s  − removed", "3 s  changed"} <= set(texts(root))


def test_where_nothing_is_known_nothing_is_said_of_time() -> None:
    document = mapped.document([("a", [], 1.0), ("b", ["a"], 1.0)])
    for stage in document["stages"]:
        stage |= {"known_s": None, "took_s": None, "slack_s": None, "slack": 0}
    document |= {
        "critical_path_s": None,
        "sequential_s": None,
        "figures": {"source": None, "history": 0, "declared": 0, "others": 0},
    }
    root = picture(document)
    assert root[0].text == "The longest chain has 2 stages; no durations are known"
    assert not any("s" in text.split() for text in texts(root))


def test_nothing_to_draw_is_said() -> None:
    root = picture(mapped.document([]) | {"critical_path": []})
    assert root[0].text == "release has no stages"


def test_many_findings_at_one_place_are_two_numbers_and_a_count() -> None:
    document = mapped.document([("a", [], 1.0), *((f"b[n={n}]", ["a"], 1.0) for n in range(9))])
    document["findings"] = [mapped.finding(n + 1, "needless-order", "a", f"b[n={n}]") for n in range(9)]
    root = picture(document)
    assert "+7" in texts(root)
    assert len(list(root.iter(f"{NS}circle"))) == 3 + 9  # and one with each text below
    document["findings"] = document["findings"][:3]
    assert not any(text.startswith("+") for text in texts(picture(document)))


def test_hostile_names_are_text() -> None:
    root = picture(mapped.hostile(hostile.NAMES))
    said = "\n".join(element.text or "" for element in root.iter())
    assert "</script><script>alert(1)</script>" in said
    assert "\\u202egnp.exe" in said
    assert "\\x1b[31mred\\x07\\n\\tx\\r\\x00" in said
    assert max(map(len, texts(root))) <= 401
    assert len(map_svg.draw(mapped.hostile(hostile.NAMES))) < 500_000


def test_pictures_that_share_a_page_have_ids_of_their_own() -> None:
    ids = [set(re.findall(r'id="([^"]*)"', map_svg.draw(one))) for one in (mapped.release(), mapped.changed())]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("count", [1000, 10_000])
def test_many_stages_are_a_small_picture_in_little_time(count: int) -> None:
    document = mapped.layered(count)
    begun = time.perf_counter()
    text = map_svg.draw(document)
    assert time.perf_counter() - begun < 6
    assert len(text) < 1_500_000
    picture(document)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_from_the_panel(theme: int) -> None:
    tokens = (svg_style.LIGHT, svg_style.DARK)[theme] | map_svg._PANEL[theme]
    for ground in ("panel", "sunk", "ground"):
        for token in ("ink", "dim", "bad", "edge", "try", "gate"):
            pair = sorted([luminance(tokens[token]), luminance(tokens[ground])])
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= (4.5 if token in ("ink", "dim", "bad") else 3), token
