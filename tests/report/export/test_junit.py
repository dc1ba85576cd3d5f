"""JUnit XML of a run: as Jenkins' schema has it, read back by another's parser, whatever names and logs hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped
from tests.report import documents
from tests.report.export import hostile, runs

from stagebook.report.export import junit as export

#: element: attributes that must be there, others that may be, and what may be in it
SCHEMA = {
    "testsuites": ({"name", "tests", "failures", "errors", "skipped", "time"}, set(), {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}, set(),
                  {"properties", "testcase"}),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": ({"name", "classname", "time"}, set(), {"skipped", "failure", "error", "flakyFailure", "flakyError",
                                                        "rerunFailure", "rerunError"}),
    "skipped": ({"message"}, set(), set()),
    "failure": ({"message", "type"}, set(), set()),
    "error": ({"message", "type"}, set(), set()),
    **{name: ({"message", "type"}, set(), {"system-out"})
       for name in ("flakyFailure", "flakyError", "rerunFailure", "rerunError")},
    "system-out": (set(), set(), set()),
}  # fmt: skip


def check(element: ElementTree.Element) -> None:
    needed, allowed, inside = SCHEMA[element.tag]
    assert needed <= set(element.attrib) <= needed | allowed
    assert {child.tag for child in element} <= inside
    for name in needed & {"tests", "failures", "errors", "skipped"}:
        assert element.attrib[name].isdecimal()
    if "time" in needed:
        assert re.fullmatch(r"\d+\.\d{3}", element.attrib["time"])
    if "timestamp" in needed:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", element.attrib["timestamp"])
    verdicts = [child.tag for child in element if child.tag in ("skipped", "failure", "error")]
    assert len(verdicts) <= 1
    assert not {child.tag for child in element if child.tag.startswith("flaky")} or not verdicts
    assert not {child.tag for child in element if child.tag.startswith("rerun")} or verdicts
    for child in element:
        check(child)


def made(document: dict[str, Any], tail: export.Tail | None = None) -> tuple[ElementTree.Element, JUnitXml]:
    text = "".join(export.render(document, tail=tail))
    root = ElementTree.fromstring(text.encode())
    check(root)
    suite = root[0]
    for name, tags in (("failures", ["failure"]), ("errors", ["error"]), ("skipped", ["skipped"])):
        assert int(suite.attrib[name]) == sum(child.tag in tags for case in suite for child in case)
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase")) == len(document["stages"])
    return root, JUnitXml.fromstring(text.encode())


def cases(root: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {case.attrib["name"]: case for case in root.iter("testcase")}


def test_stages_are_tests_with_the_outcome_of_the_record() -> None:
    _, parsed = made(documents.release())
    suite = next(iter(parsed))
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("release", 18, 1, 0, 4)
    found = {case.name: case for case in suite}
    assert found["lint"].result == []
    failed = found["integration"].result[0]
    assert isinstance(failed, Failure)
    assert (failed.message, failed.type) == ("exit 1", "failure")
    skipped = found["smoke"].result[0]
    assert isinstance(skipped, Skipped)
    assert skipped.message == "needs deploy-staging (skip)"
    properties = {one.name: one.value for one in suite.properties()}
    assert properties["stagebook.run"] == "01KYAK7Q3V8W9XAYBZC0D1E2F3"
    assert (properties["stagebook.mode"], properties["stagebook.jobs"]) == ("parallel", "4")
    assert suite.timestamp == "2026-07-12T07:12:03"


def test_attempts_before_the_last_are_flaky_or_earlier_runs() -> None:
    root, _ = made(documents.release())
    flaky = cases(root)["e2e"]
    assert [(child.tag, child.attrib["message"]) for child in flaky] == [("flakyFailure", "exit 1")]
    root, _ = made(runs.live())
    again = cases(root)["again"]
    assert [child.tag for child in again] == ["failure", "rerunFailure", "rerunFailure"]


def test_every_way_to_end_has_its_word() -> None:
    _, parsed = made(runs.live())
    found = {case.name: (case.result or [None])[0] for case in next(iter(parsed))}
    assert isinstance(found["slow"], Failure)
    assert found["slow"].type == "timeout"
    assert isinstance(found["broken"], Error)
    assert (found["broken"].type, found["broken"].message) == ("error", "missing program: foo")
    assert isinstance(found["halted"], Error)
    assert found["halted"].type == "cancellation"
    for name in ("unit", "docs", "pack"):
        assert isinstance(found[name], Skipped), name
        assert found[name].message == "is not over"


def test_a_failure_that_the_run_does_not_fail_for_is_skipped_and_says_so() -> None:
    one = documents.stage("flaw", documents.attempt(0, 1, outcome="failure", exit=3))
    one["tolerated"] = True
    root, _ = made(documents.run([one], 1.0))
    assert cases(root)["flaw"][0].attrib["message"] == "failed, which the run does not fail for: exit 3"


def test_the_end_of_the_output_is_shown_within_bounds() -> None:
    asked = []

    def tail(stage: str, attempt: int) -> list[bytes]:
        asked.append((stage, attempt))
        return [b"\x1b[31mred\x1b[0m & <b> ]]> \x00\xff\x1b]0;x\x07", b"last"]

    root, _ = made(documents.release(), tail)
    assert sorted(asked) == [("e2e", 1), ("integration", 1)]
    text = cases(root)["integration"][0].text
    assert text == "log: logs/x.1.log\nred & <b> ]]> \\x00\\xff\\x1b]0;x\\x07\nlast"
    many = documents.wide(500, failing=500)
    size = sum(map(len, export.render(many, tail=lambda *_: [b"x" * 4000] * 100)))
    assert size < export.OUTPUT_MAX * 1.2


def test_hostile_names_stay_text() -> None:
    document = hostile.run()
    root, _ = made(document, lambda *_: [name.encode("utf-8", "surrogatepass") for name in hostile.NAMES])
    assert len(cases(root)) == len({case.attrib["name"] for case in root.iter("testcase")})
    for text in root.itertext():
        assert not set(text) & {"\x1b", "\x00", "\u202e"}


@given(st.text(st.characters(codec=None), max_size=30), st.binary(max_size=60))
def test_no_text_breaks_it(name: str, line: bytes) -> None:
    one = documents.stage(name, documents.attempt(0, 1, outcome="failure", exit=1, reason=name, log=name), reason=name)
    made(documents.run([one], 1.0, pipeline=name), lambda *_: [line])


@pytest.mark.parametrize("seed", range(4))
def test_played_runs_are_told_in_full(seed: int, tmp_path: Path) -> None:
    document, _ = runs.played(tmp_path, seed)
    root, _ = made(document)
    for stage, case in zip(document["stages"], root.iter("testcase")):
        verdict = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), None)
        if stage["outcome"] == "success":
            assert verdict is None
            assert (len(case) > 0) == any(
                one["outcome"] in ("failure", "error", "timeout") and one["reason"] != "interrupted"
                for one in stage["attempts"]
            )
        else:
            assert verdict is not None
        assert float(case.attrib["time"]) == pytest.approx(stage["wall_s"] or 0, abs=0.0006)
