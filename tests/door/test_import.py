"""`import SYSTEM FILE`: a native file on standard output that `lint` and `run` take."""

from __future__ import annotations

import pytest
from tests.door.place import Place, outcomes

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
    assert (done.code, done.err) == (0, "")
    place.write(done.out)
    assert place.run("lint").code == 0
    run = place.run("run", "--json")
    assert run.code == 0, run
    assert outcomes(run.json) == {"build": "success", "test[n=1]": "success", "test[n=2]": "success"}
    assert sorted((place.folder / "seen.txt").read_text().split()) == ["1", "2"]


def test_what_is_lost_is_said_counted_and_may_be_an_error(place: Place) -> None:
    place.write(WORKFLOW.replace("actions/checkout@v4", "some/action@v1"), FILE)
    done = place.run("import", "github", FILE, "--strict", "-o", "made.yaml")
    assert done.code == 1 and done.out == "" and "1 thing not carried over" in done.err
    assert "# line 6: uses some/action@v1: not carried over" in (place.folder / "made.yaml").read_text()
    report = place.run("import", "github", FILE, "--report")
    assert report.code == 0 and "3 stages" in report.out and "6: build: uses some/action@v1" in report.out
    document = place.run("import", "github", FILE, "--json").json
    assert sum(document["counts"].values()) == len(document["grades"]) > 5
    assert [each["line"] for each in document["lost"]] == [6] and document["text"].startswith("# Made by")


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
