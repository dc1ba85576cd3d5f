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
    last = place.run("logs", "last", "publish" if system == "gitlab" else "accept").out.splitlines()[-1]
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
