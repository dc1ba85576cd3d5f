"""`timeline --format`: a real run, retried, waiting, killed and resumed, in every format and as the journal has it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.door.place import Place, noted

EXPORTS = ("svg", "perfetto", "mermaid", "markdown", "csv")
HOSTILE = "</script>'\"|`=;:#\u202eexe"


def spans(trace: dict[str, Any]) -> dict[tuple[str, int], tuple[float, float]]:
    """(stage, attempt): beginning and end in milliseconds."""
    return {
        (event["args"]["stage"], event["args"]["attempt"]): (event["ts"] / 1000, (event["ts"] + event["dur"]) / 1000)
        for event in trace["traceEvents"]
        if event["ph"] == "X" and event["pid"] == 2 and "attempt" in event["args"]
    }


def journaled(place: Place, name: str) -> dict[tuple[str, int], float]:
    return {(record["stage"], record["attempt"]): record["t"] * 1000 for record in place.events(name)}


def test_a_trace_has_every_span_of_the_journal_to_the_millisecond(place: Place) -> None:
    place.pipeline(
        {
            "first": "true",
            "again": {
                "run": "test $STAGEBOOK_ATTEMPT = 2",
                "needs": "first",
                "retry": {"attempts": 2, "backoff": "50ms"},
            },
            "left": {"run": "echo words; sleep 0.5", "locks": {"one": "exclusive"}},
            "right": {"run": "sleep 0.2", "locks": {"one": "exclusive"}},
            "bad": {"run": "exit 3", "needs": "first"},
            "never": {"run": "true", "needs": "bad"},
        }
    )
    assert place.run("run", "-j", "4", "--quiet").code == 1
    trace = place.run("timeline", "last", "--format", "perfetto").json
    begun, over = journaled(place, "stage.started"), journaled(place, "stage.exited")
    found = spans(trace)
    assert set(found) == set(over) == set(begun)
    for key, (begin, end) in found.items():
        assert begin == pytest.approx(begun[key], abs=0.5)
        assert end == pytest.approx(over[key], abs=0.5)
    names = {event["name"] for event in trace["traceEvents"] if event["ph"] == "X"}
    assert {"waits for lock one", "waits to try again", "again: exit 1", "again, attempt 2", "bad: exit 3"} <= names
    assert trace["otherData"]["run"] == place.run_ids()[-1]
    assert trace["otherData"]["skipped"] == {"never": "needs bad (failure)"}
    assert [event["args"]["value"] for event in trace["traceEvents"] if event["name"].startswith("output")][-1:] == [6]


def test_every_format_goes_to_standard_output_or_a_file(place: Place) -> None:
    place.pipeline({HOSTILE: "true", "b": {"run": "exit 1", "needs": HOSTILE}}, name="<p>")
    place.run("run", "--quiet")
    for name in EXPORTS:
        done = place.run("timeline", "last", "--format", name)
        assert (done.code, done.err) == (0, ""), name
        path = place.base / name
        assert place.run("timeline", "last", "--format", name, "-o", str(path)).said == ""
        assert path.read_bytes().decode() == done.out
        assert place.run("timeline", "last", "--format", name, "--ascii").out.isascii()
        # What a format is in does not depend on the locale.
        assert place.run("timeline", "last", "--format", name, env={"LC_ALL": "C"}).out == done.out
        assert "\u202e" not in done.out
        assert "</script>" not in done.out or name in ("markdown", "csv")
    ElementTree.parse(place.base / "svg")
    ElementTree.fromstring(place.run("timeline", "last", "--format", "svg", "--ascii").out)
    rows = list(csv.DictReader(io.StringIO((place.base / "csv").read_text(), newline=""), strict=True))
    assert [(row["stage"], row["outcome"]) for row in rows] == [
        (HOSTILE.replace("\u202e", "\\u202e"), "success"), ("b", "failure"),
    ]  # fmt: skip
    assert (place.base / "markdown").read_text().startswith("## \\<p\\> failed: b, exit 1. Run ")


def test_what_cannot_be_is_one_line_and_exit_2(place: Place) -> None:
    place.pipeline({"a": "true"})
    place.run("run", "--quiet")
    for words, said in (
        (["--format", "html", "--json"], "choose one"),
        (["--format", "svgg"], "did you mean 'svg'?"),
        (["--format", "xlsx"], "one of text, html, svg, perfetto"),
        (["--format", "csv", "--json"], "choose one"),
    ):
        done = place.run("timeline", "last", *words)
        assert done.code == 2, words
        assert said in done.said, words
        assert "--json" in words or (done.out == "" and done.err.count("\n") == 1)
    done = place.run("timeline", "last", "--format", "svg", "-o", str(place.base / "no" / "where.svg"))
    assert done.code == 4
    assert "where.svg: No such file or directory" in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_device_is_said(place: Place) -> None:
    place.pipeline({"a": "true"})
    place.run("run", "--quiet")
    for name in EXPORTS:
        with open("/dev/full", "wb") as full:
            done = place.run("timeline", "last", "--format", name, stdout=full)
        assert done.code == 4, name
        assert "No space left on device" in done.err
        assert place.run("timeline", "last", "--format", name, "-o", "/dev/full").code == 4


def test_of_a_run_under_way_and_one_that_was_killed_and_resumed(place: Place) -> None:
    go = place.base / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.02; done"
    place.pipeline({"quick": noted(), "long": noted(wait), "after": {"run": "true", "needs": "long"}})
    command = place.start("run", "-j", "2", "--quiet")
    place.wait_for("long")
    first = open_slice(place)
    second = open_slice(place)
    assert first["ts"] == second["ts"]
    for name in EXPORTS:
        assert place.run("timeline", "last", "--format", name).code == 0
    assert drawn_s(place) < drawn_s(place)  # the bar of what runs grows
    command.kill()
    assert "no end on record" in place.run("timeline", "last", "--format", "markdown").out
    go.touch()
    assert place.run("run", "--resume", "last", "--quiet").code == 0
    begun, over = journaled(place, "stage.started"), journaled(place, "stage.exited")
    found = spans(place.run("timeline", "last", "--format", "perfetto").json)
    assert found == {key: pytest.approx((begun[key], over[key]), abs=0.5) for key in over}
    assert ("long", 2) in found
    for name in EXPORTS:
        assert place.run("timeline", "last", "--format", name).code == 0


def open_slice(place: Place) -> dict[str, Any]:
    trace = place.run("timeline", "last", "--format", "perfetto").json
    (event,) = [event for event in trace["traceEvents"] if event["ph"] == "B" and event["pid"] == 2]
    assert event["name"] == "long"
    return dict(event)


def drawn_s(place: Place) -> float:
    """How long the run is in its chart by now."""
    chart = place.run("timeline", "last", "--format", "mermaid").out
    match = re.search(r"● long :.*, \S+ 00:(\d\d):(\S+)$", chart, re.MULTILINE)
    assert match is not None, chart
    return int(match[1]) * 60 + float(match[2])


def test_of_a_measured_run(place: Place) -> None:
    for stage in ("one", "two"):
        assert place.run("measure", "--run", "k", "--name", stage, "--", "true").code == 0
    assert place.run("timeline", "last", "--format", "csv").out.count("\r\n") == 3
    assert set(spans(place.run("timeline", "last", "--format", "perfetto").json)) == {("one", 1), ("two", 1)}
    for name in EXPORTS:
        assert place.run("timeline", "last", "--format", name).code == 0


def test_json_is_the_same_document_as_before(place: Place) -> None:
    place.pipeline({"a": "true"})
    place.run("run", "--quiet")
    assert json.loads(place.run("timeline", "last", "--format", "json").out) == place.show()
