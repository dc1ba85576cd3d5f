"""Timelines of real runs with items and gates, and of several runs side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Iterator
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser
from tests.door.browser import Window, chromium
from tests.door.place import Place, by_stage

STEPS: dict[str, Any] = {
    "segments": {
        "each": {
            "items": {"range": [1, 8]},
            "steps": [
                {"fetch": {"run": "sleep 0.03"}},
                {"transcode": {"run": "sleep 0.1", "workers": 2}},
                {"package": {"run": "sleep 0.01"}},
            ],
        },
    },
    "beside": "sleep 0.3",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def bar(lines: list[str], name: str) -> tuple[int, int]:
    """The first and the last cell in which a lane has anything."""
    (line,) = [line for line in lines if line.split()[:1] == [name]]
    cells = [at for at, letter in enumerate(line) if letter in "▁▂▃▄"]
    return cells[0], cells[-1]


def test_steps_are_lanes_that_run_beside_each_other_in_every_picture(place: Place, browser: Browser) -> None:
    place.pipeline(STEPS)
    assert place.run("run", "-j", "8", "--quiet").code == 0
    lines = place.run("timeline", "last").out.partition("\nwall ")[0].splitlines()
    fetch, transcode, package = (bar(lines, name) for name in ("fetch", "transcode", "package"))
    assert fetch[0] < transcode[0] < package[0]
    assert package[0] < fetch[1] or transcode[0] < fetch[1], "while the second works on one, the first takes the next"
    assert fetch[1] < transcode[1] <= package[1]
    assert re.search(r"transcode ×2 .* 8 done, \d+ % busy", "\n".join(lines))
    steps = by_stage(place.run("timeline", "last", "--json").json)["segments"]["steps"]
    assert [step["step"] for step in steps] == ["segments.fetch", "segments.transcode", "segments.package"]
    for step in steps:
        course = step["course"]
        assert sum(course["at_once"]) * course["grain_s"] == pytest.approx(step["wall_s"], rel=0.02, abs=0.005)
        assert 0 < step["busy"] <= 1
    root = ElementTree.fromstring(place.run("timeline", "last", "--format", "svg").out)
    assert "transcode ×2" in {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    window = Window(browser, Path(place.run("timeline", "last", "--format", "html").out.strip()))
    lanes = window.page.locator(".lane")
    assert [lane.inner_text().split("\n")[0] for lane in lanes.all()] == ["fetch", "transcode ×2", "package"]
    assert all("V" in (one.get_attribute("d") or "") for one in window.page.locator(".lane-a").all())
    assert (window.complaints, window.asked) == ([], [])
    window.close()


def test_a_gate_is_a_line_from_when_it_asked_to_who_decided(place: Place, browser: Browser) -> None:
    place.pipeline({
        "build": "true", "ship": {"gate": {"prompt": "Ship it?"}, "needs": "build"},
        "later": {"gate": {"prompt": "And this?"}, "needs": "ship"}, "notes": "sleep 0.2",
    })  # fmt: skip
    assert place.run("run", "--no-wait", "--quiet").code == 3
    shown = place.run("show", "last").out
    assert re.search(r"\d+ ms so far, waiting for a person left out, critical path", shown)
    assert "wall –" not in shown
    assert place.run("approve", "last", "ship", "--comment", "fine", "--record-only").code == 0
    assert place.run("run", "--resume", "last", "--no-wait", "--quiet").code == 3
    svg = place.run("timeline", "last", "--format", "svg").out
    texts = [text.text or "" for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("approved by ") and text.endswith(": fine") for text in texts)
    assert "waits for a person, approvals 0 of 1" in texts
    assert "a person is asked" in texts
    window = Window(browser, Path(place.run("timeline", "last", "--format", "html").out.strip()))
    assert window.page.locator(".ga-l").count() == 2
    assert "a person is asked" in window.page.locator("#legend").inner_text()
    assert "fine" in window.page.locator("#rows").inner_text()
    assert window.complaints == []
    window.close()


def test_runs_side_by_side_share_a_time_scale_and_say_how_fast_they_are(place: Place, browser: Browser) -> None:
    place.pipeline({"a": "sleep 0.6", "b": "sleep 0.6", "c": {"run": "true", "needs": ["a", "b"]}})
    assert place.run("run", "--sequential", "--quiet").code == 0
    done = place.run("run", "-j", "2")
    assert done.code == 0
    first, second = sorted(place.run_ids())
    at_end = re.search(r"^against  run (\w+), sequential, \S+ m?s: (\d\.\d\d)× as fast;", done.out, re.MULTILINE)
    assert at_end and first.startswith(at_end[1]) and 1.2 < float(at_end[2]) < 2.5
    said = " ".join(done.out.split())
    assert f"side by side: stagebook timeline {first[:8]}" in said or f"stagebook timeline {at_end[1]}" in said
    text = place.run("timeline", first, second).out
    told = place.run("timeline", first, second, "--json").json
    assert [one["run"] for one in told["compared"]] == [first, second]
    walls = [one["wall_s"] for one in told["runs"]]
    assert told["compared"][1]["times_as_fast"] == pytest.approx(walls[0] / walls[1])
    assert re.search(rf"parallel, 2 jobs, [^,]+, {at_end[2]}× as fast$", text, re.MULTILINE), "as at the end of the run"
    assert f", {at_end[2]}× as fast as " in text
    ends = [max(at for at, letter in enumerate(line) if letter in "█▄")
            for line in text.splitlines() if line.startswith("✓ c ")]  # fmt: skip
    assert len(ends) == 2 and ends[1] < ends[0], "on one scale the shorter run is the shorter picture"
    root = ElementTree.fromstring(place.run("timeline", first, second, "--format", "svg").out)
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(ids) == len(set(ids))
    path = Path(place.run("timeline", first, second, "--format", "html").out.strip())
    assert path.parent.name == first and path.stat().st_mode & 0o777 == 0o600
    window = Window(browser, path)
    assert window.page.title().endswith(f"the second {at_end[2]}× as fast")
    assert [row.inner_text().split("\t")[1] for row in window.page.locator("tbody tr").all()] == [
        "sequential", "parallel, 2 jobs",
    ]  # fmt: skip
    assert window.page.locator("svg.stagebook").count() == 1
    assert window.page.evaluate("getComputedStyle(document.querySelector('.stagebook .ok')).fill") != "rgb(0, 0, 0)"
    assert (window.complaints, window.asked) == ([], [])
    window.close()


def test_runs_of_several_files_are_told_apart_by_their_names(place: Place) -> None:
    place.pipeline({"a": "true"}, name="video")
    (place.folder / "line.yaml").write_text((place.folder / "stagebook.yaml").read_text())
    for words in ((), ("line.yaml",)):
        assert place.run("run", *words, "-j", "8", "--quiet").code == 0
    both = sorted(place.run_ids())
    told = place.run("timeline", *both).out
    assert "parallel, 8 jobs, stagebook.yaml, " in told and "parallel, 8 jobs, line.yaml, " in told
    page = Path(place.run("timeline", *both, "--format", "html").out.strip()).read_text()
    assert "parallel, 8 jobs, line.yaml" in page
    assert "stagebook.yaml, " not in place.run("timeline", both[0], both[0]).out, "one file needs no name"


def test_a_run_is_compared_only_with_one_that_did_as_much(place: Place) -> None:
    stages: dict[str, Any] = {
        "a": {"run": "sleep 0.6; cp in out", "inputs": ["in"], "outputs": ["out"]}, "b": "sleep 0.6",
    }  # fmt: skip
    place.pipeline(stages)
    (place.folder / "in").write_text("x")
    assert place.run("run", "--sequential", "--quiet").code == 0
    assert "against  run" not in place.run("run", "-j", "2").out, "a was up to date"
    assert "against  run" in place.run("run", "-j", "2", "--force").out
    assert "against  run" not in place.run("run", "-j", "2", "--force", "--skip", "b").out
    place.pipeline({**stages, "b": "sleep 0.7"})
    assert "against  run" not in place.run("run", "-j", "2", "--force").out, "the file is another one"


def test_formats_that_hold_one_run_are_refused_for_two(place: Place) -> None:
    place.pipeline({"a": "true"})
    place.run("run", "--quiet")
    done = place.run("timeline", "last", "last", "--format", "csv")
    assert done.code == 2 and "several runs side by side are one of text, html, svg, json" in done.err
