"""What a change of a pipeline comes to: `plan --diff`, code quality reports, and what the action runs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.door.place import Place

ROOT = Path(__file__).resolve().parents[2]
BEFORE = """\
version: 1
stages:
  build: {run: 'true', duration: 60s}
  unit: {run: 'true', duration: 90s, needs: build}
  docs: {run: 'true', duration: 40s}
"""
AFTER = BEFORE.replace("duration: 40s", "duration: 40s, needs: unit")


@pytest.fixture
def changed(place: Place) -> Place:
    place.write(BEFORE)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.email=a@b", "-c", "user.name=a", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=place.folder, check=True)
    place.write(AFTER)
    return place


def test_edges_and_seconds_of_a_change_are_told(changed: Place) -> None:
    told = changed.run("plan", "--diff", "HEAD", "--json").json
    assert told["edges"] == {"added": [{"from": "unit", "to": "docs"}], "removed": []}
    assert (told["before"]["critical_path_s"], told["after"]["critical_path_s"]) == (150.0, 190.0)
    assert (told["change_s"], told["is_slower"], told["unknown"]) == (40.0, None, [])
    assert told["after"]["critical_path"] == ["build", "unit", "docs"]


@pytest.mark.parametrize(("most", "code"), [("41s", 0), ("39s", 1), ("30%", 0), ("20%", 1), ("soon", 2)])
def test_more_than_it_may_is_exit_1(changed: Place, most: str, code: int) -> None:
    done = changed.run("plan", "--diff", "HEAD", "--max-slower", most)
    assert done.code == code, done
    assert (f"than --max-slower {most}" in done.out) == (code == 1)


def test_without_durations_nothing_is_judged(changed: Place) -> None:
    changed.write("stages: {build: 'true', unit: {run: 'true', needs: build}}\n", "old.yaml")
    changed.write("stages: {build: 'true', unit: 'true'}\n")
    told = changed.run("plan", "--diff", "old.yaml", "--max-slower", "1s", "--json")
    assert told.code == 0
    assert (told.json["change_s"], told.json["is_slower"]) == (None, None)
    assert told.json["edges"]["removed"] == [{"from": "build", "to": "unit"}]
    assert "not judged" in " ".join(changed.run("plan", "--diff", "old.yaml", "--max-slower", "1s").out.split())


def test_hostile_names_are_no_markup(place: Place) -> None:
    place.write('stages: {"a`|<b>": {run: "true", duration: 1s}}\n')
    place.write("stages: {c: 'true'}\n", "old.yaml")
    said = place.run("plan", "--diff", "old.yaml", "--format", "markdown").out
    assert "`a··<b>`" in said


def test_findings_as_a_code_quality_report(changed: Place) -> None:
    changed.write("stages: {a: {run: 'true', needs: b}, c: {run: 'true', needs: b}}\n")
    done = changed.run("lint", "--format", "codequality", "-o", "report.json")
    assert done.code == 2
    found = json.loads((changed.folder / "report.json").read_text())
    assert [each["location"] for each in found] == [{"path": "stagebook.yaml", "lines": {"begin": 1}}] * 2
    assert {each["severity"] for each in found} == {"major"}
    assert len({each["fingerprint"] for each in found}) == 2


def test_the_script_of_the_action_sums_up_and_judges(changed: Place, stagebook: str) -> None:
    environment = {**os.environ, "PATH": f"{Path(stagebook).parent}:{os.environ['PATH']}", "BASE": "HEAD"}
    environment |= {"MAX_SLOWER": "10%", "SUMMARY": "summary.md", "SARIF": "found.sarif"}
    done = subprocess.run(
        ["bash", str(ROOT / "tools" / "review.sh")],
        cwd=changed.folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done
    assert "40 s slower, which is more than --max-slower 10%" in (changed.folder / "summary.md").read_text()
    assert json.loads((changed.folder / "found.sarif").read_text())["version"] == "2.1.0"
    changed.write(BEFORE)
    again = subprocess.run(
        ["bash", str(ROOT / "tools" / "review.sh")],
        cwd=changed.folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert (again.returncode, again.stdout) == (0, b"no pipeline file differs from HEAD\n")


def test_action_component_and_hooks_are_what_their_systems_read(place: Place) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    assert all(step["shell"] == "bash" and "${{ inputs" not in step["run"] for step in action["runs"]["steps"])
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in hooks] == ["stagebook-lint", "stagebook-map"]
    text = (ROOT / "templates" / "stagebook.yml").read_text()
    place.write(text, "stagebook.gitlab-ci.yml")
    mapped = place.run(
        "map", "stagebook.gitlab-ci.yml", "--json", "--event", "merge_request_event", "--input", "package=x"
    )  # fmt: skip
    assert [stage["stage"] for stage in mapped.json["stages"]] == ["stagebook"], mapped
