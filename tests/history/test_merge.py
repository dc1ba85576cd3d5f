"""Reports of shards made one, with an oracle that is not ours."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from junitparser import JUnitXml

from stagebook.history import merge

ONE = """<?xml version="1.0"?>
<testsuites name="pytest"><testsuite name="py &lt;é&gt;" tests="2" failures="1" time="0.5">
<properties><property name="seed" value="7"/></properties>
<testcase classname="a" name="x" time="0.2"/>
<testcase classname="a" name="y" time="0.3"><failure message="1 &lt; 2 &#10;&amp;">at &lt;b&gt; &amp; c
<!-- a comment --><![CDATA[<raw>]]></failure><system-out>said</system-out></testcase>
</testsuite></testsuites>
"""
TWO = """<testsuite name="other" tests="2"><testcase classname="b" name="x" time="1,000.5"><skipped/></testcase>
<testcase name="z"><error message="no"/><error message="again"/></testcase></testsuite>"""


@pytest.fixture
def reports(tmp_path: Path) -> list[tuple[str, str]]:
    (tmp_path / "1.xml").write_text(ONE)
    (tmp_path / "2.xml").write_text(TWO)
    return [("1", str(tmp_path / "1.xml")), ("2", str(tmp_path / "2.xml"))]


def test_r027_what_the_shards_reported_is_in_one_report(reports: list[tuple[str, str]], tmp_path: Path) -> None:
    target = tmp_path / "all.xml"
    assert merge.merge("unit & é", reports, str(target)) == merge.Merged(4, {}, 0)
    read = JUnitXml.fromfile(str(target))
    assert (read.name, read.tests, read.failures, read.errors, read.skipped) == ("unit & é", 4, 1, 1, 1)
    assert read.time == pytest.approx(1001.0)
    assert [[(prop.name, prop.value) for prop in suite.properties()] for suite in read] == [
        [("shard", "1"), ("seed", "7")],
        [("shard", "2")],
    ]
    root = ElementTree.parse(target).getroot()
    assert root[0].get("name") == "py <é>"
    failure = root.find(".//failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("1 < 2 \n&", "at <b> & c\n<raw>")
    assert [out.text for out in root.iter("system-out")] == ["said"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_merging_what_was_merged_changes_nothing(reports: list[tuple[str, str]], tmp_path: Path) -> None:
    merge.merge("unit", reports, str(tmp_path / "all.xml"))
    again = merge.merge("unit", [("9", str(tmp_path / "all.xml"))], str(tmp_path / "again.xml"))
    assert (again.tests, again.twice) == (4, 0)


@pytest.mark.parametrize("text", ["", "<html/>", ONE[:300], '<!DOCTYPE a [<!ENTITY e "x">]><testsuite>&e;</testsuite>'])
def test_a_damaged_report_is_named_and_left_out(reports: list[tuple[str, str]], tmp_path: Path, text: str) -> None:
    (tmp_path / "1.xml").write_text(text)
    merged = merge.merge("unit", reports, str(tmp_path / "all.xml"))
    assert (merged.tests, list(merged.damaged)) == (2, ["1"])
    assert len(JUnitXml.fromfile(str(tmp_path / "all.xml"))) == 1


def test_a_test_that_two_shards_report_is_there_once(reports: list[tuple[str, str]], tmp_path: Path) -> None:
    merged = merge.merge("unit", [*reports, ("3", reports[0][1])], str(tmp_path / "all.xml"))
    assert (merged.tests, merged.twice) == (4, 2)
    assert len(list(ElementTree.parse(tmp_path / "all.xml").getroot().iter("testcase"))) == 4


def test_no_report_at_all(tmp_path: Path) -> None:
    assert merge.merge("unit", [], str(tmp_path / "all.xml")).tests == 0
    assert JUnitXml.fromfile(str(tmp_path / "all.xml")).tests == 0
    with pytest.raises(OSError):
        merge.merge("unit", [], str(tmp_path / "no folder" / "all.xml"))
