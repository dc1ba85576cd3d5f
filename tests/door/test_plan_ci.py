"""`plan` of CI files: no figure where nothing is known, no advice that their systems cannot take, checks that work."""

from __future__ import annotations

import subprocess

import pytest
from tests.door.place import Place

FILE = ".github/workflows/ci.yml"
WORKFLOW = """\
on: push
jobs:
  one: {runs-on: ubuntu-latest, steps: [{run: sleep 0.3}]}
  unit: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}, {run: python3 -m unittest -h && sleep 0.3}]}
  three: {runs-on: ubuntu-latest, steps: [{run: sleep 0.3}]}
  accept: {needs: unit, runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}, {run: sleep 0.3}]}
"""


@pytest.fixture
def repository(place: Place) -> Place:
    place.write(WORKFLOW, FILE)
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "First"]):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *words], cwd=place.folder, env=place.env, check=True)
    return place


def test_a_file_without_recordings_has_no_figures(repository: Place) -> None:
    done = repository.run("plan", FILE)
    assert done.code == 0
    said = " ".join(done.out.split())
    assert said.startswith("Insufficient data")
    assert "stagebook import runs github" in said
    assert not [word for word in ("knee", "declared", "one by one", "cores", "p50", "~") if word in said]
    plan = repository.run("plan", FILE, "--json").json
    assert plan["profile"]["source"] is None
    assert plan["profile"]["cores"] is None
    assert (plan["sweep"], plan["sequential_s"], plan["critical_path"], plan["critical_path_s"]) == (
        [],
        None,
        None,
        None,
    )
    found = plan["recommendation"]
    assert (found["jobs"], found["mode"], found["makespan_s"], found["changes"]) == (None, None, None, [])
    assert [stage["p50_s"] for stage in plan["profile"]["stages"]] == [None] * 4
    page = repository.run("plan", FILE, "--format", "html").out
    assert "Insufficient data" in page
    assert "simulated runs" not in page


def test_jobs_that_were_run_here_have_a_machine_each(repository: Place) -> None:
    assert repository.run("run", FILE, "--yes", "-q", "-j", "1").code == 0
    done = repository.run("plan", FILE, "--json")
    plan = done.json
    assert plan["profile"]["own_machines"]
    assert "cores" not in plan["knee"]["binds"]
    assert plan["sweep"][-1]["jobs"] == 3
    assert plan["sweep"][-1]["makespan_s"] < 0.7 * plan["sequential_s"]
    assert "limits.jobs" not in done.out
    [question] = [change for change in plan["recommendation"]["changes"] if change["question"]]
    check = question["check"]
    assert f"git -C {repository.folder} archive" in check
    assert f"stagebook run {FILE} --until accept" in check


def test_jobs_that_never_run_for_the_event_are_in_no_figure(repository: Place) -> None:
    """Of the map as of the plan."""
    text = WORKFLOW + (
        "  ship:\n    needs: accept\n    if: startsWith(github.ref, 'refs/tags/')\n    runs-on: ubuntu-latest\n"
        "    steps: [{run: sleep 9}]\n"
    )
    repository.write(text, FILE)
    assert repository.run("run", FILE, "--yes", "-q").code == 0
    found = repository.run("map", FILE, "--json").json
    assert found["not_run"] == ["ship"]
    assert found["critical_path"] == ["unit", "accept"]
    assert found["figures"]["others"] == 0
    assert found["sequential_s"] == pytest.approx(sum(each["known_s"] or 0 for each in found["stages"]))
    assert "ship taken not to run, by its condition" in " ".join(repository.run("map", FILE).out.split())
    assert "ship is taken not to run" in repository.run("plan", FILE, "--json").out
    tagged = repository.run("map", FILE, "--ref", "refs/tags/v1", "--json").json
    assert (tagged["not_run"], tagged["figures"]["others"]) == ([], 1)
    assert tagged["critical_path"] == ["unit", "accept", "ship"]
