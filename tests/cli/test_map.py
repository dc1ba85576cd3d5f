"""`stagebook map`: text, JSON, files, and what comes later."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Call

FILE = """\
version: 1
name: shop
stages:
  checkout: {run: git clone, duration: 9s}
  lint: {run: ruff, needs: checkout, duration: 38s}
  unit: {run: pytest, needs: checkout, matrix: {python: ["3.11", "3.13"]}, duration: 2m}
  build: {run: make, needs: checkout, duration: 107s}
  deploy: {run: ./deploy, needs: [lint, unit, build], retry-safe: false}
"""


@pytest.fixture(autouse=True)
def file(here: Path) -> None:
    (here / "stagebook.yaml").write_text(FILE)


def test_the_text_shows_levels_and_the_critical_path(call: Call) -> None:
    done = call("map")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("shop  6 stages, 8 edges, 3 levels, at most 4 at once\n")
    assert "┣ unit ×2 ▸" in done.out
    assert "unit[python=3.11]" in call("map", "-v").out


def test_the_json_is_the_doors(call: Call) -> None:
    done = call("map", "--json")
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert {"pipeline", "format", "stages", "edges", "width", "depth", "notes"} <= set(document)
    assert document["stages"][2]["matrix"] == {"python": "3.11"}
    assert json.loads(call("map", "--format", "json").out) == document


def test_it_goes_to_a_file_when_asked(call: Call, here: Path) -> None:
    done = call("map", "-o", "map.txt", "--ascii")
    assert (done.code, done.out) == (0, "")
    assert (here / "map.txt").read_text().isascii()
    failed = call("map", "-o", "no/such/map.txt")
    assert (failed.code, failed.err) == (4, "error: cannot write no/such/map.txt: No such file or directory\n")


@pytest.mark.parametrize(
    "words",
    [
        ("--format", "png"),
        ("--json", "--format", "dot"),
        ("--table", "--format", "svg"),
        ("--table", "--json"),
        ("--table", "--sideways"),
        (".", "--format", "dot", "--table"),
    ],
)
def test_an_unknown_format_and_two_documents_are_wrong_input(call: Call, words: tuple[str, ...]) -> None:
    assert call("map", *words).code == 2


def test_durations_are_those_of_runs_where_there_were_some(call: Call, here: Path) -> None:
    (here / "stagebook.yaml").write_text("stages: {a: 'true', b: {run: 'true', needs: a, duration: 5s}, c: 'true'}\n")
    assert json.loads(call("map", "--json").out)["figures"]["source"] == "declared"
    subprocess.run([sys.executable, "-m", "stagebook", "run", "--quiet"], cwd=here, check=True)
    document = json.loads(call("map", "--json").out)
    assert document["figures"] == {"source": "history", "history": 3, "declared": 0, "others": 0}
    by_id = {stage["stage"]: stage for stage in document["stages"]}
    assert by_id["b"]["duration_s"] == 5.0
    assert by_id["b"]["took_s"] == by_id["b"]["known_s"] < 5
    assert ", by recent runs (weighted, the newest most)" in " ".join(call("map").out.split())
    assert "recent runs (weighted, the newest most)" in call("map", "--format", "svg").out


def test_where_nothing_can_be_written_it_still_answers(call: Call, here: Path) -> None:
    if os.geteuid() == 0:  # root writes anywhere: a file in the place of the directory refuses it as well
        (here / ".stagebook").write_text("")
    else:
        here.chmod(0o500)
    try:
        assert call("map").code == 0
    finally:
        here.chmod(0o700)
