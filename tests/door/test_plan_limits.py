"""`stagebook plan --limits` as a user calls it: over runs that were made, over a week written down, over none."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from tests.door.place import Place
from tests.plan.past import DAY_US, HOUR_US, MIB, Did, Past

from stagebook.formats.native.read import load
from stagebook.model.pipeline import Pipeline

FILE = """\
version: 1
name: release
limits: {provider: github-free}
pools: {db: 4}
stages:
  build: {run: "true", resources: {memory: 1GiB}}
"""
STAGES = "".join(f"  cell-{number}: {{run: 'true', needs: build}}\n" for number in range(17))
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "json.md").read_text()


@pytest.fixture
def of(place: Place) -> Pipeline:
    return load(str(place.write(FILE + STAGES)), None)


def week(place: Place, of: Pipeline, cells: int, runs: int = 7) -> None:
    past, now_us = Past(place.folder), time.time_ns() // 1000
    for number in range(runs):
        did = [Did(f"cell-{cell}", 60, 360, 60, cpu_s=9, rss=64 * MIB) for cell in range(cells)]
        past.run(of, now_us - number * DAY_US - HOUR_US, Did("build", 0, 60, cpu_s=30, rss=200 * MIB), *did)


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key != "classes":
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_a_week_against_the_caps_of_a_provider(place: Place, of: Pipeline) -> None:
    week(place, of, 12)
    done = place.run("plan", "--limits", "--json")
    assert (done.code, done.err) == (0, "")
    found = done.json
    assert (found["pipeline"], found["profile"]) == ("release", {"runs": 7, "source": "history"})
    jobs = found["limits"]["use"][0]
    assert (jobs["cap"], jobs["line"], jobs["peak"], jobs["recommended"], jobs["runs"]) == (20, 16, 12, 12, 7)
    text = place.run("plan", "--limits").out
    assert text.startswith("release stays within its limits\n")
    assert "80 % line" in text
    assert re.search(r"jobs, github-free +12 +12 +20 +16 +12 +7$", text, re.MULTILINE)
    said = " ".join(text.split())
    assert (
        "build: memory declared 1.0 GiB, measured p95 200 MiB by largest process in 7 attempts: reserve 240 MiB" in said
    )


def test_every_key_is_explained(place: Place, of: Pipeline) -> None:
    week(place, of, 17)
    explained = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", PAGE))))
    assert set(keys(place.run("plan", "--limits", "--json").json)) - explained == set()


@pytest.mark.parametrize(("cells", "code"), [(16, 0), (17, 1)])
def test_check_is_whether_the_line_was_crossed(cells: int, code: int, place: Place, of: Pipeline) -> None:
    week(place, of, cells)
    assert place.run("plan", "--limits", "--check").code == code
    assert place.run("plan", "--limits", "--check", "--json").json["limits"]["use"][0]["crossed"] == bool(code)
    assert place.run("plan", "--limits").code == 0


def test_days_say_how_far_back(place: Place, of: Pipeline) -> None:
    week(place, of, 3, runs=14)
    for days in (1, 3, 14):
        assert place.run("plan", "--limits", "--days", str(days), "--json").json["profile"]["runs"] == days
    for days in ("0", "-3", "1000", "x"):
        done = place.run("plan", "--limits", f"--days={days}")
        assert (done.code, done.out) == (2, ""), days


def test_no_runs_yet_and_nothing_is_written(place: Place) -> None:
    place.write(FILE)
    done = place.run("plan", "--limits", "--json")
    assert done.code == 0
    assert done.json["profile"] == {"runs": 0, "source": "declared"}
    assert place.run("plan", "--limits", "--check").code == 0
    assert not (place.folder / ".stagebook" / "runs").exists()


def test_a_folder_that_cannot_be_written_is_read(place: Place, of: Pipeline) -> None:
    week(place, of, 3)
    before = sorted(place.runs_folder.rglob("*"))
    for folder in (place.folder, place.folder / ".stagebook"):
        folder.chmod(0o500)
    try:
        assert place.run("plan", "--limits", "--json").json["profile"]["runs"] == 7
    finally:
        for folder in (place.folder, place.folder / ".stagebook"):
            folder.chmod(0o700)
    assert sorted(place.runs_folder.rglob("*")) == before


def test_runs_and_measured_commands_count(place: Place) -> None:
    place.write(FILE.replace("limits: {provider: github-free}\n", "").replace(", resources: {memory: 1GiB}", ""))
    assert place.run("run", "--quiet").code == 0
    for _ in range(2):
        assert place.run("measure", "--run", "ci-1", "--", "true").code == 0
    found = place.run("plan", "--limits", "--json").json["limits"]
    assert (found["runs"], found["own_runs"], found["attempts"]) == (2, 2, 3)
    assert found["jobs"]["recommended"] is None
    assert found["enough"] is False


def test_a_damaged_journal_is_named_and_the_others_count(place: Place, of: Pipeline) -> None:
    week(place, of, 3)
    path = place.journal_path(place.run_ids()[2])
    path.write_bytes(path.read_bytes().replace(b'"event":"stage.exited"', b'"event":"stage.Exited"', 1))
    done = place.run("plan", "--limits")
    assert done.code == 0
    assert "6 runs" in done.out
    assert f"note: 1 journal not counted: {place.run_ids()[2]}" in done.out


def test_an_unknown_provider_is_told_at_its_line(place: Place) -> None:
    place.write(FILE.replace("github-free", "githup-free"))
    done = place.run("plan", "--limits")
    assert (done.code, done.out) == (2, "")
    assert "stagebook.yaml:3:20: error: unknown provider `githup-free`, did you mean `github-free`?" in done.err
    (error,) = place.run("plan", "--limits", "--json").json["errors"]
    assert (error["line"], error["col"], error["code"]) == (3, 20, "unknown-provider")


def test_a_provider_without_a_cap_on_jobs_is_said_on_stderr(place: Place) -> None:
    place.write(FILE.replace("github-free", "gitlab-free"))
    done = place.run("plan", "--limits", "--json")
    assert done.code == 0
    assert done.err.startswith("stagebook.yaml:3:20: warning: no cap on jobs at once is known of gitlab-free")
    row = done.json["limits"]["use"][0]
    assert (row["cap_of"], row["named"]) == ("cores of this machine", False)
    assert place.run("plan", "--limits", "--quiet").err == ""


def test_a_file_of_ones_own_is_found_from_anywhere(place: Place) -> None:
    place.write(FILE.replace("github-free", "./caps/ours.toml"))
    place.write("jobs = 12\nas_of = 2026-11-01\n", "caps/ours.toml")
    found = place.run("plan", "--limits", "project/stagebook.yaml", "--json", cwd=place.base).json["limits"]
    assert (found["use"][0]["cap"], found["use"][0]["line"], found["provider"]["as_of"]) == (12, 9, "2026-11-01")


def test_long_reading_says_how_far_it_is_on_stderr_only(place: Place, of: Pipeline) -> None:
    """A thousand journals are read in less than the second of silence, or it says so; the answer is the same."""
    past, now_us = Past(place.folder), time.time_ns() // 1000
    for number in range(1000):
        past.run(of, now_us - number * 600_000_000 - HOUR_US, Did("build", 0, 60))
    done = place.run("plan", "--limits", "--json")
    assert done.json["profile"]["runs"] == 1000
    assert all(re.fullmatch(r"read \d+ of 1000 journals", line) for line in done.err.splitlines())
