"""One picture that needs nothing else: valid, accessible, harmless, small, and true to the record."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.report import documents, golden
from tests.report.export import hostile, runs

from stagebook.report.export import phases, svg, svg_style

NS = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "title", "desc", "style", "defs", "pattern", "path", "rect", "circle", "g", "text"}
ATTRIBUTES = {
    "viewBox", "width", "height", "class", "role", "aria-labelledby", "id", "patternUnits", "patternTransform", "d",
    "x", "y", "rx", "cx", "cy", "r", "fill", "transform", "stroke-dasharray",
}  # fmt: skip


def picture(document: dict[str, Any], *more: Any) -> ElementTree.Element:
    """The root, if the picture is whole, says what it shows in words, and can neither act nor load anything."""
    text = "".join(svg.render(document, *more))
    root = ElementTree.fromstring(text)
    for element in root.iter():
        assert element.tag.removeprefix(NS) in ELEMENTS
        assert set(element.attrib) <= ATTRIBUTES
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for element in root.iter(f"{NS}rect"):
        assert 0 <= float(element.get("x", 0)) <= width
        assert 0 <= float(element.get("y", 0)) + float(element.get("height", 0)) <= height
        assert float(element.get("width", 0)) >= 0
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    assert set(root.attrib["aria-labelledby"].split()) <= ids
    assert root.attrib["role"] == "img"
    assert root[0].tag == f"{NS}title" and root[0].text
    assert root[1].tag == f"{NS}desc" and root[1].text
    assert re.findall(r"url\((?!#stagebook-)", text) == []
    assert "@import" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http://e.com", "").replace(
        "https://e.com", ""
    )
    return root


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{NS}text")]


def row(root: ElementTree.Element, name: str) -> ElementTree.Element:
    return next(group for group in root.iter(f"{NS}g") if [t.text for t in group.findall(f"{NS}text")][:1] == [name])


def bars(group: ElementTree.Element, style: str) -> list[tuple[float, float]]:
    return [
        (float(one.attrib["x"]), float(one.attrib["x"]) + float(one.attrib["width"]))
        for one in group.findall(f"{NS}rect")
        if one.get("class") == style
    ]


def test_a_picture_looks_as_designed() -> None:
    golden.check("export-svg", "".join(svg.render(documents.release())).splitlines())


def test_waits_are_hatched_and_named_and_the_path_is_inked() -> None:
    root = picture(documents.release())
    integration = row(root, "integration")
    (wait,), (work,), (ink,) = bars(integration, "wait"), bars(integration, "bad"), bars(integration, "ink")
    assert wait[1] == pytest.approx(work[0], abs=0.2)
    assert ink == pytest.approx(work, abs=0.2)
    assert integration[0].text == "integration · waits for pool db, 22 s · attempt 1: exit 1, 2 m 38 s"
    assert {"exit 1, waited for pool db", "attempt 1: exit 1, then passed, waited for a slot"} <= set(texts(root))
    assert len(bars(row(root, "e2e"), "try")) == 1
    assert bars(row(root, "lint"), "ink") == []
    assert sum(path.get("class") == "chain" for path in root.iter(f"{NS}path")) == 3


def test_the_words_say_what_the_picture_shows() -> None:
    root = picture(documents.release())
    assert root[0].text == "release failed: integration, exit 1. Run 01KYAK7Q took 6 m 01 s."
    assert root[1].text is not None
    for said in ("critical path 5 m 32 s", "e2e: attempt 1: exit 1, 38 s", "4 skipped ← integration failed"):
        assert said in root[1].text


@pytest.mark.parametrize("seed", range(10))
def test_bars_are_where_the_record_has_them(tmp_path: Path, seed: int) -> None:
    document, _ = runs.played(tmp_path, seed)
    root = picture(document)
    known, total_us = phases.courses(document)
    x = svg.Picture(document, None).x
    for course in known:
        group = row(root, course.stage["stage"])
        drawn = [span for style in ("ok", "bad", "err", "try", "stop") for span in bars(group, style)]
        told = [(x(phase.from_us), x(phase.to_us)) for phase in course.works]
        assert len(drawn) == len(told)
        for begin, end in told:
            assert any(abs(one[0] - begin) <= 1 and abs(one[1] - end) <= 2 for one in drawn)


def test_a_run_under_way_is_open_at_its_end() -> None:
    root = picture(runs.live(), runs.LIVE_US)
    assert len(bars(row(root, "unit"), "run")) == 1
    assert len(bars(row(root, "slow"), "ink")) == 1  # the wall at its limit
    assert "running" in texts(root)
    assert "pack: waits for pool db" in texts(root)
    assert "smoke: skipped ← slow timed out" in texts(root)
    assert picture(runs.nothing()) is not None


def test_hostile_names_are_text() -> None:
    root = picture(hostile.run())
    said = texts(root)
    assert "</script><script>alert(1)</script>" in said
    assert "\\u202egnp.exe" in said
    assert "\\x1b[31mred\\x07\\n\\tx\\r\\x00" in said
    assert max(map(len, said)) <= 200
    assert len("".join(svg.render(hostile.run()))) < 200_000


def test_the_critical_cells_of_a_fold_keep_their_ink() -> None:
    cells = [documents.stage(f"test[shard={n}]", documents.attempt(2, 5 + n), level=1) for n in range(48)]
    stages = [documents.stage("build", documents.attempt(0, 2)), *cells]
    root = picture(documents.run(stages, 52.0, critical_path=["build", "test[shard=47]"]))
    fold = row(root, "test ×48")
    assert bars(fold, "ink") == bars(fold, "ok")
    assert sum(path.get("class") == "chain" for path in root.iter(f"{NS}path")) == 1


@pytest.mark.parametrize(("count", "failing"), [(1000, 0), (1000, 990), (10_000, 40)])
def test_many_stages_are_a_small_picture_in_little_time(count: int, failing: int) -> None:
    document = documents.wide(count, failing=failing)
    begun = time.perf_counter()
    text = "".join(svg.render(document))
    assert time.perf_counter() - begun < 5
    assert len(text) < 100_000
    assert float(picture(document).attrib["height"]) < 2500


def test_a_thousand_rows_that_cannot_fold_are_cut_and_counted() -> None:
    stages = [
        documents.stage(f"s{n}", documents.attempt(n, n + 1), documents.attempt(n + 2, n + 3)) for n in range(1000)
    ]
    document = documents.run(stages, 1003.0)
    assert len("".join(svg.render(document))) < 1_000_000
    assert "700 more rows; --format csv has all" in texts(picture(document))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [svg_style.LIGHT, svg_style.DARK], ids=["light", "dark"])
def test_colours_can_be_told_from_the_ground(theme: dict[str, str]) -> None:
    for token in ("ink", "dim", "ok", "run", "bad", "err", "edge", "try", "stop", "tick", "gate"):
        pair = sorted([luminance(theme[token]), luminance(theme["ground"])])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= (4.5 if token in ("ink", "dim", "bad") else 3), token
    assert svg_style.STYLE.count("prefers-color-scheme:dark") == 1


def test_a_thousand_reasons_for_not_running_are_cut_and_counted() -> None:
    stages = documents.skipped(*[(f"s{n}", f"when: {n}") for n in range(1000)])
    said = texts(picture(documents.run(stages, 1.0)))
    assert said[-2:] == ["s19: skipped: when: 19", "980 more did not run, or wait"]
