"""JUnit reports read: as several tools write them, damaged, hostile, and large."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.history import junit
from stagebook.history.junit import Case
from stagebook.model.problem import Problem

PYTEST = """<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1"
failures="1" skipped="1" tests="4" time="0.071"><testcase classname="tests.test_a" name="test_one[a&lt;b]" time="0.001"
/><testcase classname="tests.test_a.TestB" name="test_two" time="0.002"><failure message="assert 1 == 2&#10; +  where">
def</failure></testcase><testcase classname="tests.test_a" name="test_three" time="0.000"><skipped type="pytest.skip"
message="not here">x</skipped></testcase><testcase classname="tests.test_a" name="test_four" time="1e-05"><error
message="failed on setup">E</error></testcase></testsuite></testsuites>"""
SUREFIRE = """<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="com.x.AppTest" time="1,234.5">
<properties><property name="java.version" value="21"/></properties>
<testcase name="flaky" classname="com.x.AppTest" time="0.01"><flakyFailure message="was 3" type="AssertionError"
time="0.5"><stackTrace>at com.x</stackTrace><system-out>out</system-out></flakyFailure></testcase>
<testcase name="slow" classname="com.x.AppTest" time="1,234"><failure type="T"><![CDATA[
java.lang.AssertionError: no
    at com.x]]></failure><rerunError type="E"> again </rerunError><rerunFailure message="third"
/></testcase></testsuite>"""
GOTESTSUM = """<testsuites tests="2"><testsuite tests="2" name="example.com/pkg"><testcase classname="example.com/pkg"
name="TestA" time="0.000000"></testcase><testcase classname="example.com/pkg" name="TestA/sub" time="0.010000"><failure
message="Failed" type="">=== RUN</failure></testcase><testcase classname="example.com/pkg" name="TestA/sub"
time="0.01"/></testsuite></testsuites>"""
JEST = """<testsuites name="jest tests"><testsuite name="adds" file="src/add.test.js"><testcase classname="adds two"
name="adds two" time="0.003" file="src/add.test.js"></testcase></testsuite></testsuites>"""
MOCHA = """<testsuites name="Mocha Tests"><testsuite name="Root Suite" file="/w/test/a.js" time="0.0000"></testsuite>
<testsuite name="Array" file="/w/test/a.js"><testcase name="Array finds" time="0.0010" classname="finds"/><testsuite
name="inner"><testcase name="deep"><failure type="Error"><![CDATA[AssertionError: x]]></failure></testcase></testsuite>
</testsuite></testsuites>"""
GTEST = """<testsuites><testsuite name="S"><testcase name="off" status="notrun" result="suppressed" classname="S"/>
<testcase name="on" status="run" result="completed" time="0." classname="S"/></testsuite></testsuites>"""


def cases(folder: Path, text: str | bytes) -> tuple[list[Case], list[Problem]]:
    path = folder / "report.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    notes: list[Problem] = []
    return list(junit.read(str(path), notes)), notes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PYTEST, [
            Case("tests.test_a", "test_one[a<b]", None, "success", 0.001, None),
            Case("tests.test_a.TestB", "test_two", None, "failure", 0.002, "assert 1 == 2"),
            Case("tests.test_a", "test_three", None, "skip", 0.0, "not here"),
            Case("tests.test_a", "test_four", None, "error", 1e-05, "failed on setup"),
        ]),
        (SUREFIRE, [
            Case("com.x.AppTest", "flaky", None, "failure", 0.5, "was 3"),
            Case("com.x.AppTest", "flaky", None, "success", 0.01, None),
            Case("com.x.AppTest", "slow", None, "error", None, "again"),
            Case("com.x.AppTest", "slow", None, "failure", None, "third"),
            Case("com.x.AppTest", "slow", None, "failure", 1234.0, "java.lang.AssertionError: no"),
        ]),
        (GOTESTSUM, [
            Case("example.com/pkg", "TestA", None, "success", 0.0, None),
            Case("example.com/pkg", "TestA/sub", None, "failure", 0.01, "Failed"),
            Case("example.com/pkg", "TestA/sub", None, "success", 0.01, None),
        ]),
        (JEST, [Case("adds two", "adds two", "src/add.test.js", "success", 0.003, None)]),
        (MOCHA, [
            Case("finds", "Array finds", "/w/test/a.js", "success", 0.001, None),
            Case("inner", "deep", "/w/test/a.js", "failure", None, "AssertionError: x"),
        ]),
        (GTEST, [Case("S", "off", None, "skip", None, None), Case("S", "on", None, "success", 0.0, None)]),
        ('<t:testsuite xmlns:t="urn:x"><t:testcase/></t:testsuite>', [Case("", "", None, "success", None, None)]),
        ("<testsuites/>", []),
    ],
    ids=["pytest", "surefire", "gotestsum", "jest", "mocha", "googletest", "bare", "empty"],
)  # fmt: skip
def test_r080_reports_of_many_tools_are_read(text: str, expected: list[Case], tmp_path: Path) -> None:
    assert cases(tmp_path, text) == (expected, [])
    assert cases(tmp_path, text.replace(' encoding="utf-8"', "").encode("utf-16")) == (expected, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.012", 0.012), ("1,234.5", 1234.5), ("1,234", 1234.0), ("12,345,678.9", 12345678.9), ("0,5", 0.5),
     ("0,012", 0.012), ("1234,56", 1234.56), (" 3 ", 3.0), (".5", 0.5), ("1.", 1.0), ("2e-3", 0.002), ("", None),
     (None, None), ("NaN", None), ("-1", None), ("inf", None), ("1.2.3", None), ("1_0", None), ("٣", None),
     ("9" * 400, None), ("1e999", None)],
)  # fmt: skip
def test_times_are_read_as_they_were_meant(text: str | None, expected: float | None) -> None:
    assert junit.seconds(text) == expected


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "document type"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite/>', "document type"),
        ('<testsuite><testcase name="&unknown;"/></testsuite>', "undefined entity"),
        ("<html><body/></html>", "the root is <html>"),
        ("", "no element found"),
        ("just text", "syntax error"),
        ("<testsuite>" * 300 + "</testsuite>" * 300, "more than 200 deep"),
        ("<testsuite name='" + "x" * (10 << 20) + "'/>", "a tag of more than 8 MiB"),
        ('<?xml version="1.0" encoding="no-such"?><testsuite/>', "unknown encoding"),
        ("<testsuite/>" * 2, "junk after document element"),
        ("<testsuite><testcase name='\x1b'/></testsuite>", "not well-formed"),
    ],
)
def test_what_is_damaged_or_hostile_gives_one_note(text: str, said: str, tmp_path: Path) -> None:
    found, notes = cases(tmp_path, text)
    assert found == []
    assert len(notes) == 1
    assert said in notes[0].message


def test_of_a_torn_report_the_whole_cases_are_kept(tmp_path: Path) -> None:
    found, notes = cases(tmp_path, PYTEST[: PYTEST.index("test_four")])
    assert [case.name for case in found] == ["test_one[a<b]", "test_two", "test_three"]
    assert notes[0].level == "warning"
    assert notes[0].line > 1


def test_what_is_no_file_gives_a_note(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "none.xml", tmp_path, tmp_path / "fifo"):
        notes: list[Problem] = []
        assert list(junit.read(str(path), notes)) == []
        assert len(notes) == 1
        assert list(junit.read(str(path))) == []


@given(
    st.integers(0, len(SUREFIRE)),
    st.binary(max_size=40) | st.sampled_from([b"</testcase>", b"<failure>", b"<testcase", b"]]>"]),
)
def test_no_damage_makes_trouble(tmp_path_factory: pytest.TempPathFactory, at: int, put: bytes) -> None:
    data = SUREFIRE.encode()
    found, notes = cases(tmp_path_factory.mktemp("damage", numbered=True), data[:at] + put + data[at + len(put) :])
    assert len(notes) <= 1
    for case in found:
        assert case.outcome in ("success", "failure", "error", "skip")


@pytest.mark.parametrize("kind", ["suites", "cases", "one text"])
def test_fifty_megabytes_in_flat_memory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "large.xml"
    with open(path, "w") as file:
        file.write("<testsuites><testsuite name='s'>")
        if kind == "one text":
            file.write("<testcase name='a'><failure>" + ("x" * 80 + "\n") * 650_000 + "</failure></testcase>")
        while kind != "one text" and file.tell() < 50 << 20:
            body = "<failure>" + "line of text &lt;\n" * 40 + "</failure>" if kind == "suites" else ""
            file.write(f"<testcase classname='a.b' name='c' time='0.1'>{body}</testcase>\n" * 1000)
        file.write("</testsuite></testsuites>")
    code = (
        "import re, sys, time; from stagebook.history import junit; begun = time.process_time();"
        "n = sum(1 for _ in junit.read(sys.argv[1]));"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1];"
        "print(n, time.process_time() - begun, int(peak) >> 10)"
    )
    said = subprocess.run([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
    count, took_s, peak_mib = (float(word) for word in said.split())
    assert count >= 1
    assert took_s < 15  # about 4 here at most
    assert peak_mib < 100
