"""Trace events: by the schema of the format, equal to the journal, harmless, and made in little time and memory."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.report import documents
from tests.report.export import hostile, runs

from stagebook.record.line import time_us
from stagebook.report.export import perfetto

#: The Trace Event Format, as far as it is used: one shape for each phase, and nothing else.
WHOLE = {"type": "integer", "minimum": 0}
TEXT = {"type": "string", "minLength": 1}


def shape(phase: str, **more: Any) -> dict[str, Any]:
    properties = {"ph": {"const": phase}, "pid": WHOLE, "tid": WHOLE, "name": TEXT, **more}
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


LEVEL = {"type": "object", "properties": {"value": {"type": "number", "minimum": 0}}, "required": ["value"]}
ARGS = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
SCHEMA = {
    "type": "object",
    "properties": {
        "displayTimeUnit": {"const": "ms"},
        "otherData": {"type": "object", "required": ["run", "pipeline", "started"]},
        "traceEvents": {
            "type": "array",
            "items": {
                "oneOf": [
                    shape("X", ts=WHOLE, dur=WHOLE, cat=TEXT, args=ARGS),
                    shape("B", ts=WHOLE, cat=TEXT, args=ARGS),
                    shape("s", ts=WHOLE, cat=TEXT, id=WHOLE),
                    shape("f", ts=WHOLE, cat=TEXT, id=WHOLE, bp={"const": "e"}),
                    shape("C", ts=WHOLE, args=LEVEL),
                    shape("M", name={"const": "thread_name"},
                          args={"type": "object", "properties": {"name": TEXT}, "required": ["name"]}),
                    shape("M", name={"const": "process_name"},
                          args={"type": "object", "properties": {"name": TEXT}, "required": ["name"]}),
                    shape("M", name={"const": "process_sort_index"},
                          args={"type": "object", "properties": {"sort_index": WHOLE}, "required": ["sort_index"]}),
                ]
            },
        },
    },
    "required": ["displayTimeUnit", "otherData", "traceEvents"],
    "additionalProperties": False,
}  # fmt: skip


def trace(document: dict[str, Any], *more: Any) -> dict[str, Any]:
    text = "".join(perfetto.render(document, *more))
    assert text.isascii()
    value: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    sound(value["traceEvents"])
    return value


def sound(events: list[dict[str, Any]]) -> None:
    """What a schema cannot say: names for all tracks, slices beside each other, flows from slice to slice in pairs."""
    tracks = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    ends: dict[tuple[int, int], int] = {}
    for event in events:
        if event["ph"] in "XB":
            track = event["pid"], event["tid"]
            assert track in tracks
            assert event["ts"] >= ends.get(track, 0), event
            ends[track] = event["ts"] + event.get("dur", 0)
    flows = Counter(event["id"] for event in events if event["ph"] in "sf")
    assert set(flows.values()) <= {2}
    slices = [event for event in events if event["ph"] in "XB"]
    for event in events:
        if event["ph"] in "sf":
            place = event["pid"], event["tid"]
            assert any(
                (one["pid"], one["tid"]) == place and one["ts"] <= event["ts"] <= one["ts"] + one.get("dur", 1 << 60)
                for one in slices
            ), event


def attempts(value: dict[str, Any]) -> dict[tuple[str, int], tuple[int, int]]:
    """(stage, attempt): beginning and end, from the stages' own tracks."""
    return {
        (event["args"]["stage"], event["args"]["attempt"]): (event["ts"], event["ts"] + event["dur"])
        for event in value["traceEvents"]
        if event["ph"] == "X" and event["pid"] == 2 and "attempt" in event["args"]
    }


@pytest.mark.parametrize("seed", range(20))
def test_spans_equal_the_journal_to_the_microsecond(tmp_path: Path, seed: int) -> None:
    document, records = runs.played(tmp_path, seed)
    begun = {(r["stage"], r["attempt"]): time_us(r) for r in records if r["event"] == "stage.started"}
    over = {(r["stage"], r["attempt"]): time_us(r) for r in records if r["event"] == "stage.exited"}
    # An attempt that never had a process has an end only.
    assert attempts(trace(document)) == {key: (begun.get(key, us), us) for key, us in over.items()}
    assert set(begun) <= set(over)


def test_waits_retries_and_what_they_were_for_are_slices_of_their_own() -> None:
    value = trace(documents.release())
    e2e = next(
        event["tid"] for event in value["traceEvents"] if event["ph"] == "M" and event["args"].get("name") == "e2e"
    )
    told = [
        (event["name"], event["cat"], event["ts"] // 1_000_000, event["dur"] // 1_000_000)
        for event in value["traceEvents"]
        if event["ph"] == "X" and (event["pid"], event["tid"]) == (2, e2e)
    ]
    assert told == [
        ("e2e: exit 1", "failed", 174, 38), ("waits to try again", "backoff", 212, 2),
        ("waits for a slot", "wait", 214, 2), ("e2e, attempt 2", "work", 216, 117),
    ]  # fmt: skip


def test_the_critical_path_has_a_track_and_needs_are_flows() -> None:
    events = trace(documents.release())["traceEvents"]
    path = [event["name"] for event in events if event["ph"] == "X" and (event["pid"], event["tid"]) == (1, 2)]
    assert path == ["checkout", "build", "image", "waits for pool db", "integration: exit 1"]
    needs = sum(len(stage["needs"]) for stage in documents.release()["stages"] if stage["attempts"])
    assert sum(event["ph"] == "s" for event in events) == needs - 1  # the need of cleanup never ran


def test_what_is_known_of_use_is_counted_and_nothing_else() -> None:
    value = trace(documents.release(), None, [(1_000_000, 0, 1, 100), (2_000_000, 1, 1, 50), (300_000_000, 0, 1, 400)])
    by_name: dict[str, list[float]] = {}
    for event in value["traceEvents"]:
        if event["ph"] == "C":
            by_name.setdefault(event["name"], []).append(event["args"]["value"])
    assert max(by_name["stages at once"]) == 4
    assert by_name["stages at once"][-1] == 0
    assert by_name["output (bytes in logs)"] == [100, 150, 450]
    assert max(by_name["memory (bytes, sum of peaks)"]) == 4 * (300 << 20)
    bare = documents.release()
    for stage in bare["stages"]:
        for attempt in stage["attempts"]:
            attempt["usage"] = None
    assert {event["name"] for event in trace(bare)["traceEvents"] if event["ph"] == "C"} == {"stages at once"}


def test_of_a_run_under_way_what_goes_on_has_no_end() -> None:
    events = trace(runs.live(), runs.LIVE_US)["traceEvents"]
    assert [event["name"] for event in events if event["ph"] == "B" and event["pid"] == 2] == ["unit"]


def test_a_run_in_which_nothing_ran_is_a_trace_too() -> None:
    value = trace(runs.nothing())
    assert value["otherData"]["skipped"] == {"a": "up to date", "b": "up to date"}


def test_names_stay_names() -> None:
    text = "".join(perfetto.render(hostile.run()))
    assert "<" not in text
    assert "\\ud" not in text.replace("\\\\u", "")  # no half of a character, which strict readers refuse
    trace(hostile.run())


def test_ten_thousand_stages_take_seconds_and_no_memory_beside_the_document() -> None:
    document = documents.wide(10_000)
    begun = time.perf_counter()
    size = sum(map(len, perfetto.render(document)))
    assert time.perf_counter() - begun < 5
    tracemalloc.start()
    for _ in perfetto.render(document):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 3_000_000
    assert peak < 20_000_000
