"""`import SYSTEM FILE`: a native file on standard output that `lint` and `run` take."""

from __future__ import annotations

import subprocess

import pytest
from tests.door.place import Place, by_stage, outcomes

WORKFLOW = """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo built > out.txt
  test:
    needs: build
    strategy: {matrix: {n: [1, 2]}}
    runs-on: ubuntu-latest
    steps:
      - run: 'test "$(cat out.txt)" = built && echo ${{ matrix.n }} >> seen.txt'
"""
FILE = ".github/workflows/ci.yml"


def test_what_is_printed_is_a_pipeline_that_runs(place: Place) -> None:
    place.write(WORKFLOW, FILE)
    done = place.run("import", "github", FILE)
    assert done.code == 0 and "1 thing not carried over" in done.err, "cells share a folder"
    place.write(done.out)
    assert place.run("lint").code == 0
    run = place.run("run", "--json")
    assert run.code == 0, run
    assert outcomes(run.json) == {"build": "success", "test[n=1]": "success", "test[n=2]": "success"}
    assert sorted((place.folder / "seen.txt").read_text().split()) == ["1", "2"]


def test_what_is_lost_is_said_counted_and_may_be_an_error(place: Place) -> None:
    place.write(WORKFLOW.replace("actions/checkout@v4", "some/action@v1"), FILE)
    done = place.run("import", "github", FILE, "--strict", "-o", "made.yaml")
    assert done.code == 1 and done.out == "" and "2 things not carried over" in done.err
    assert "# line 6: uses some/action@v1: not carried over" in (place.folder / "made.yaml").read_text()
    report = place.run("import", "github", FILE, "--report")
    assert report.code == 0 and "3 stages" in report.out and "6: build: uses some/action@v1" in report.out
    document = place.run("import", "github", FILE, "--json").json
    assert sum(document["counts"].values()) == len(document["grades"]) > 5
    assert [each["line"] for each in document["lost"]] == [0, 6] and document["text"].startswith("# Made by")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["import"], 2, "required"),
        (["import", "circleci", "x.yml"], 2, "unknown"),
        (["import", "github"], 2, "takes one file"),
        (["import", "github", "a.yml", "b.yml"], 2, "takes one file"),
        (["import", "github", "missing.yml"], 2, "missing.yml"),
        (["import", "github", "broken.yml"], 2, "broken.yml:"),
    ],
)
def test_wrong_words_are_said(place: Place, words: list[str], code: int, says: str) -> None:
    place.write("on: push\njobs: {a: {needs: b, runs-on: x, steps: []}}\n", "broken.yml")
    done = place.run(*words)
    assert done.code == code and says in done.err, done


MATRIX = """\
name: CI
on: push
jobs:
  build:
    strategy: {matrix: {n: [1, 2]}}
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: make    # the one that matters
  test:
    needs: build
    runs-on: ubuntu-latest
    steps:
      - run: make test
  other:
    runs-on: windows-latest
    steps: [{run: dir}]
"""


def test_a_diff_has_each_job_measured(place: Place) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=place.folder, check=True)
    place.write(MATRIX, FILE)
    done = place.run("import", "github", FILE, "--instrument")
    assert done.code == 0 and "not measured: other: it runs on Windows" in done.err
    before = place.run("map", FILE, "--json").json
    subprocess.run(["git", "apply"], cwd=place.folder, input=done.out.encode(), check=True)
    text = (place.folder / FILE).read_text()
    assert 'measure --name \\"build (${{ join(matrix.*' in text and "# the one that matters" in text
    assert text.count("actions/upload-artifact@v4") == 2
    after = place.run("map", FILE, "--json").json
    assert [stage["needs"] for stage in after["stages"]] == [stage["needs"] for stage in before["stages"]]
    assert place.run("import", "gitlab", FILE, "--instrument").code == 2


def test_what_was_measured_on_many_machines_is_one_run(place: Place) -> None:
    """Each job leaves a journal of its own, under the key that the CI system gives."""
    (place.folder / ".git").mkdir()
    place.write(MATRIX, FILE)
    env = {"GITHUB_RUN_ID": "77", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_WORKFLOW": "CI"}
    for number, (name, command) in enumerate([("build (1)", "true"), ("build (2)", "true"), ("test", "false")]):
        words = ("measure", "--dir", str(place.base / f"m{number}"), "--name", name, "--", command)
        assert place.run(*words, env=env).code == (command == "false")
    files = [str(path) for path in sorted(place.base.glob("m*/runs/*/journal.jsonl"))]
    told = place.run("import", "runs", "measured", *files, "--json").json
    assert (told["added"], told["pipelines"][0]["unmatched"]) == (1, [])
    assert place.run("import", "runs", "measured", *files, "--json").json["known"] == 1
    shown = place.show()
    stages = by_stage(shown)
    assert (shown["imported"]["system"], shown["outcome"]) == ("github", "failure")
    assert outcomes(shown) == {"build[n=1]": "success", "build[n=2]": "success", "test": "failure"}
    assert stages["test"]["needs"] == ["build[n=1]", "build[n=2]"]
    assert all(stage["attempts"][0]["usage"]["cpu_s"] is not None for stage in stages.values())
    assert place.run("import", "runs", "measured", FILE).code == 2
