"""`lint` on files of CI systems: what `map` finds, as a report for people and for code scanners."""

from __future__ import annotations

import json

import pytest
from tests.door.place import Place
from tests.door.test_map_ci import GITHUB, GITLAB, WORKFLOW, repository

__all__ = ["repository"]


@pytest.fixture
def both(repository: Place) -> Place:
    repository.write(GITHUB, WORKFLOW)
    repository.write(GITLAB, ".gitlab-ci.yml")
    return repository


def test_without_words_all_of_them_are_looked_at(both: Place) -> None:
    done = both.run("lint")
    assert done.code == 0, done.said
    assert ".github/workflows/ci.yml:24: warning: job build puts github.event.pull_request.title into shell" in done.err
    assert ".gitlab-ci.yml:22: warning: two pipelines may do deploy at once" in done.err
    assert ".github/workflows/ci.yml: ok: 5 stages, 5 edges" in done.out
    assert ".gitlab-ci.yml: ok: 6 stages, 7 edges" in done.out
    assert both.run("lint", "--strict").code == 1


def test_sarif_has_each_with_its_line(both: Place) -> None:
    run = json.loads(both.run("lint", "--sarif").out)["runs"][0]
    places = {
        (each["ruleId"], place["artifactLocation"]["uri"], place["region"]["startLine"])
        for each in run["results"]
        for place in [each["locations"][0]["physicalLocation"]]
    }
    assert ("script-injection", WORKFLOW, 24) in places
    assert ("stage-order", ".gitlab-ci.yml", 7) in places


def test_json_has_notes_and_grades(both: Place) -> None:
    found = both.run("lint", "--json").json
    assert found["ok"] is True
    assert {each["code"] for each in found["notes"]} >= {"missing-guard", "no-concurrency", "no-timeout", "stage-order"}
    assert [each["format"] for each in found["files"]] == ["github", "gitlab"]
    assert found["files"][0]["grades"]["keys"] > 30


def test_a_file_of_a_system_that_is_not_read_yet(repository: Place) -> None:
    file = repository.write("version: 2.1\njobs: {a: {docker: []}}\n", "config.yml")
    done = repository.run("lint", str(file))
    assert done.code == 2
    assert "CircleCI, which cannot be read yet" in done.err


def test_hostile_names_are_shown_harmlessly(repository: Place) -> None:
    escape = "\\e[31m"
    repository.write(
        f'on: [push, issues]\njobs:\n  a:\n    name: "x{escape}\\u202e"\n    runs-on: x\n'
        f'    environment: "production{escape}"\n'
        f'    steps:\n      - name: "s{escape}\\nb"\n        run: "echo {escape} ${{{{ github.event.issue.title }}}}"\n'
        f'      - uses: actions/download-artifact@v4\n        with: {{name: "n{escape}"}}\n      - run: pytest\n',
        WORKFLOW,
    )
    for words in (["map", "--steps", "-v"], ["map", "--format", "mermaid"], ["lint"], ["map", "--grades"]):
        done = repository.run(*words)
        assert done.code == 0, done.said
        assert "\x1b" not in done.said
        assert "\u202e" not in done.said


def test_what_ran_is_found_from_any_folder(repository: Place) -> None:
    repository.write("on: push\njobs: {a: {runs-on: x, steps: [{run: echo hello}]}}\n", WORKFLOW)
    below = repository.folder / "src"
    below.mkdir()
    done = repository.run("run", "--yes", cwd=below)
    assert done.code == 0, done.said
    assert (repository.folder / ".stagebook").is_dir()
    assert not (below / ".stagebook").exists()
    assert [each["outcome"] for each in repository.run("runs", "--json", cwd=below).json["runs"]] == ["success"]
    assert repository.run("why", "a", "--json", cwd=below).json["then"]["outcome"] == "success"
    assert "hello" in repository.run("logs", "last", "a", cwd=below).out


def test_what_a_called_file_has_is_said_of_that_file(repository: Place) -> None:
    upload = "{uses: actions/upload-artifact@v4, with: {name: wheel}}"
    repository.write(
        "on: workflow_call\njobs:\n  b:\n    runs-on: x\n    strategy: {matrix: {n: [1, 2]}}\n"
        f"    steps:\n      - run: make\n      - {upload}\n",
        ".github/workflows/build.yml",
    )
    ci = repository.write(
        "on: push\njobs:\n  call: {uses: ./.github/workflows/build.yml}\n", ".github/workflows/ci.yml"
    )
    assert ".github/workflows/build.yml:8: warning: all 2 cells of call/b upload" in repository.run("lint", str(ci)).err
    found = repository.run("map", str(ci), "--json").json
    steps = found["stages"][0]["steps"]
    assert [(each["file"].partition(".github")[2], each["line"]) for each in steps] == [
        ("/workflows/build.yml", 7), ("/workflows/build.yml", 8),
    ]  # fmt: skip
    said = repository.run("map", str(ci), "--steps").out
    assert "build.yml:7" in said and "build.yml:8" in said


def test_what_a_called_file_lacks_is_told_with_its_file(repository: Place) -> None:
    repository.write(
        "on: workflow_call\njobs:\n  far: {uses: a/b/.github/workflows/x.yml@v1}\n", ".github/workflows/build.yml"
    )
    ci = repository.write(
        "on: push\njobs:\n  call: {uses: ./.github/workflows/build.yml}\n", ".github/workflows/ci.yml"
    )
    assert "build.yml:3: the workflow a/b" in repository.run("map", str(ci)).out
    (missing,) = repository.run("map", str(ci), "--json").json["missing"]
    assert missing["line"] == 3 and missing["file"].endswith("/build.yml")
