"""examples/github and examples/gitlab as they stand: mapped, and run whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.door.place import Place, outcomes, reasons

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = {"github": ".github/workflows/ci.yml", "gitlab": ".gitlab-ci.yml"}


@pytest.fixture(params=FILES)
def example(request: pytest.FixtureRequest, place: Place) -> tuple[Place, str]:
    left_out = shutil.ignore_patterns(".stagebook", "__pycache__")
    shutil.copytree(EXAMPLES / request.param, place.folder, dirs_exist_ok=True, ignore=left_out)
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "First"]):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *words], cwd=place.folder, env=place.env, check=True)
    return place, request.param


def test_an_example_runs_whole_and_leaves_the_work_tree_as_it_was(example: tuple[Place, str]) -> None:
    place, system = example
    done = place.run("run", FILES[system], "--yes", "--json", within_s=120)
    assert done.code == 0, done
    found = outcomes(done.json)
    left_out = {"announce"} if system == "gitlab" else set()
    assert {id for id, outcome in found.items() if outcome != "success"} == left_out, reasons(done.json)
    last = place.run("logs", "last", "publish" if system == "gitlab" else "note").out.splitlines()[-1]
    assert last.split(" has ")[0] == {"gitlab": "tides.pyz", "github": "postage.pyz"}[system]
    assert int(last.split(" has ")[1].split()[0]) > 500
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=place.folder, env=place.env, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


def test_what_its_page_says_of_a_part_is_so(example: tuple[Place, str]) -> None:
    place, system = example
    page = (EXAMPLES / system / "README.md").read_text()
    words = {
        "gitlab": (["--job", "try: [745]"], {"build", "try[NOW=745]"}),
        "github": (["--job", "test", "--matrix", "flags=-O"], {"test[flags=-O]"}),
    }[system]
    assert " ".join(words[0]).replace("try: [745]", '"try: [745]"') in page
    done = place.run("run", FILES[system], "--yes", "--json", *words[0], within_s=120)
    assert {id for id, outcome in outcomes(done.json).items() if outcome == "success"} == words[1]


def test_what_its_page_finds_is_found_and_mended(example: tuple[Place, str]) -> None:
    """One order that the file itself says is none; with the patch no such thing is left, and only that edge is gone."""
    place, system = example
    page = (EXAMPLES / system / "README.md").read_text()
    file, edge = FILES[system], {"gitlab": ("build", "syntax"), "github": ("manual", "accept")}[system]
    code = {"gitlab": "stage-order", "github": "needless-order"}[system]
    before = place.run("map", file)
    told = [line.strip() for line in page.splitlines() if line.startswith("    [1]")]
    assert len(told) == 1
    assert told[0] in before.out
    assert "[2]" not in before.out
    was = place.run("map", file, "--json").json
    assert [each["code"] for each in was["findings"] if not each["minor"]] == [code]
    assert place.run("patch", file, "--write").code == 0
    changed = subprocess.run(
        ["git", "diff", "-U0"], cwd=place.folder, env=place.env, capture_output=True, text=True, check=True
    )
    lines = [line for line in changed.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert lines
    assert all(line in page for line in lines)
    now = place.run("map", file, "--json").json
    assert [each for each in now["findings"] if not each["minor"]] == []
    pairs = [{(each["from"], each["to"]) for each in document["edges"]} for document in (was, now)]
    assert pairs[0] - pairs[1] == {edge}
    assert pairs[1] <= pairs[0]
