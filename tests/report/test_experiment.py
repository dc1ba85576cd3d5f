"""What an experiment looks like: in a terminal and as Markdown to the cell, and its page, with the same figures."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from tests.report import golden
from tests.study.imagined import failed, pairs, set_up

from stagebook.report import experiment as report
from stagebook.report.export import experiment as markdown
from stagebook.report.harmless import cells
from stagebook.report.page import experiment as page
from stagebook.report.style import Style
from stagebook.report.verdict import verdict
from stagebook.study import result

SLOW = [1102 + 37 * math.sin(3 * at) for at in range(20)]
FAST = [513 + 24 * math.sin(7 * at + 1) for at in range(20)]


def whole(records: list[dict[str, Any]], **others: Any) -> dict[str, Any]:
    made = set_up(**others)
    for arm, predicted in zip(made["arms"], (1121.0, 525.0)):
        arm["predicted_s"] = predicted
    document = result.document(made, records)
    paths = {name: f".stagebook/experiments/01EXPERIMENT/{name}" for name in ("report", "markdown", "data")}
    return {**document, "verdict": verdict(document), **paths}


@pytest.fixture(scope="module")
def mixed() -> dict[str, Any]:
    """Faster, but two of its runs failed."""
    records = pairs(SLOW, FAST)
    return whole([failed(each, "integration") if each["arm"] == "parallel" and each["pair"] in (3, 8) else each
                  for each in records])  # fmt: skip


@pytest.fixture(scope="module")
def open_one() -> dict[str, Any]:
    """Nothing shown, of a part that was proposed; one pair was broken off."""
    records = pairs(SLOW, [1102 + 50 * math.sin(5 * at) for at in range(20)])[:13]
    proposed = {"stages": ["unit", "e2e"], "saves_s": 400.0, "evidence": "declared"}
    records = [{**each, "others_cores": None, "cpu_s": None} for each in records]
    return whole([*records, {**records[-1], "try": 2}], part=["unit", "e2e"], proposed=proposed, pairs=6, skip=["x"])


@pytest.mark.parametrize(("name", "width", "ascii"), [("80", 80, False), ("120", 120, False), ("60-ascii", 60, True)])
def test_it_looks_as_designed(name: str, width: int, ascii: bool, mixed: dict[str, Any], open_one: Any) -> None:
    lines = report.render(mixed, Style(width=width, ascii=ascii))
    lines += ["", *report.render(open_one, Style(width=width, ascii=ascii))]
    assert max(map(cells, lines)) < width or ascii
    assert not ascii or all(line.isascii() for line in lines)
    golden.check(f"experiment-{name}", lines)


def test_r108_the_markdown_has_all_of_it(mixed: dict[str, Any]) -> None:
    golden.check("experiment-markdown", markdown.render(mixed).splitlines())


def test_r108_numbers_on_the_page_are_those_of_the_document(mixed: dict[str, Any]) -> None:
    text = page.render(mixed)
    assert text.count("<circle class=") == 38 + 4  # each run that passed is a dot, and each interval has one
    assert text.count('<text class="x"') == 2
    assert text.count("<rect class=") == 40
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    told = [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]
    ratio = mixed["ratio"]
    said = f"{ratio['median']:.2f}× [{ratio['low']:.2f}, {ratio['high']:.2f}]"
    assert ["time, median", "18 m 25 s", "8 m 38 s", said, "shorter"] in told
    assert next(row[:3] for row in told if row[0] == "failed runs") == ["failed runs", "0 of 20", "2 of 20"]
    assert [row[8] for row in told if len(row) == 9][1:] == [run["run"] for run in mixed["runs"]]
    assert "Do not" not in text and "do not adopt yet: parallel is" in text


def test_beside_nothing_a_figure_stands_without_a_ratio() -> None:
    records = [{**each, "read_bytes": 4096 * (each["arm"] == "parallel")} for each in pairs(SLOW, FAST)]
    told = {row[0]: row for row in report.differs(whole(records), whole(records)["comparisons"][0])}
    assert told["read"] == ("read", "0 B", "4.0 KiB", "4.0 KiB against nothing", "")
    records = [{**each, "read_bytes": 4096 * (each["arm"] != "parallel")} for each in pairs(SLOW, FAST)]
    told = {row[0]: row for row in report.differs(whole(records), whole(records)["comparisons"][0])}
    assert told["read"][3] == "nothing against 4.0 KiB"


def test_memory_that_no_run_knows_has_no_column() -> None:
    document = whole([{**each, "max_rss_bytes": None} for each in pairs(SLOW, FAST)])
    assert "memory" not in markdown.render(document) and ">memory<" not in page.render(document)
    assert "load beside" in markdown.render(document)


def test_of_nothing_there_is_a_page_too() -> None:
    text = page.render(whole([]))
    assert "No run has been counted yet." in text
    assert markdown.render(whole([])).startswith("# nothing shown yet after 0 pairs")
