"""`patch` through the command: a diff that git takes, written files, whose word a change stands on, clean refusals."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.door.place import Place
from tests.recordings import synthetic

CI = ".github/workflows/ci.yml"
WORKFLOW = """\
# What runs on every push.
name: CI
on:
  push:   # all branches
jobs:
  lint:
    runs-on: &machine ubuntu-latest   # anchors stay
    steps: [{run: make lint}]
  build:
    runs-on: *machine
    needs: lint   # a habit
    steps:
      - uses: actions/checkout@v4
      - run: make
      - uses: actions/upload-artifact@v4
        with: {name: dist, path: dist}
  unit:
    runs-on: *machine
    needs: [lint, build]
    steps:
      - uses: actions/checkout@v4
      - run: npx jest
  deploy:
    runs-on: ubuntu-latest
    environment: production
    needs: [unit]
    steps:
      - uses: actions/download-artifact@v4
        with: {name: dist}
      - run: ./deploy.sh
"""
GITLAB = """\
stages: [build, check, test]   # in order
build:
  stage: build
  script: make
  artifacts: {paths: [out]}
style:
  stage: check
  script: ruff check .
  dependencies: []   # nothing of it
unit:
  stage: test
  script: make test
"""


@pytest.fixture
def repository(place: Place) -> Place:
    git(place, "init", "-q")
    place.write(WORKFLOW, CI)
    place.write(GITLAB, ".gitlab-ci.yml")
    return place


def git(place: Place, *words: str, text: str = "") -> str:
    done = subprocess.run(["git", *words], cwd=place.folder, input=text.encode(), capture_output=True, check=True)
    return done.stdout.decode()


def edges(place: Place, file: str) -> set[tuple[str, str]]:
    return {(edge["from"], edge["to"]) for edge in place.run("map", file, "--json").json["edges"]}


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_r115_the_diff_applies_and_shows_the_intended_graph_only(repository: Place, eol: str) -> None:
    file = repository.folder / CI
    file.write_bytes(WORKFLOW.replace("\n", eol).encode())
    before = edges(repository, CI)
    words = ["--accept", "lint→build", "--add", "lint->deploy", "--timeout", "30m"]
    done = repository.run("patch", CI, *words)
    assert done.code == 0, done
    assert done.out.startswith(f"--- a/{CI}\n+++ b/{CI}\n")
    sub = repository.folder / ".github"
    assert repository.run("patch", "workflows/ci.yml", *words, "--diff", cwd=sub).out == done.out
    git(repository, "apply", text=done.out)
    after = file.read_bytes().decode()
    assert after == (
        WORKFLOW.replace("    needs: lint   # a habit\n", "    timeout-minutes: 30\n    # a habit\n")
        .replace("anchors stay\n", "anchors stay\n    timeout-minutes: 30\n")
        .replace("*machine\n    needs: [lint", "*machine\n    timeout-minutes: 30\n    needs: [lint")
        .replace("ubuntu-latest\n    environment: production\n", "ubuntu-latest\n    timeout-minutes: 30\n"
                 "    environment: production\n    concurrency:\n      group: deploy-production\n"
                 "      cancel-in-progress: false\n")
        .replace("[unit]", "[unit, lint]").replace("\n", eol)
    )  # fmt: skip
    assert edges(repository, CI) == before - {("lint", "build")} | {("lint", "deploy")}
    repository.run("patch", CI, *words[2:], "--write")
    again = repository.run("patch", CI, "--timeout", "30m", "--quiet")
    assert (again.code, again.out) == (0, "")


def test_it_is_written_as_a_whole_and_told_as_one_document(repository: Place) -> None:
    file = repository.folder / ".gitlab-ci.yml"
    file.chmod(0o640)
    done = repository.run("patch", ".gitlab-ci.yml", "--write", "--json")
    assert done.code == 0, done
    change, question = done.json["changes"]
    assert (question["change"], question["ask"]) == (
        "unit needs build instead of all earlier stages", "--accept 'style→unit'",
    )  # fmt: skip
    assert done.json["written"]
    assert (change["kind"], change["job"], change["in_patch"], change["saves_s"]) == ("order", "style", True, None)
    assert change["evidence"]["source"] == "declared"
    assert file.read_text() == GITLAB.replace("check\n  script", "check\n  needs: []\n  script")
    assert file.stat().st_mode & 0o777 == 0o640
    assert edges(repository, ".gitlab-ci.yml") == {("style", "unit"), ("build", "unit")}
    again = repository.run("patch", ".gitlab-ci.yml", "--write")
    assert (again.code, again.out) == (0, "")
    repository.write("a: {script: make}\n", ".gitlab-ci.yml")
    none = repository.run("patch", ".gitlab-ci.yml", "--write")
    assert (none.code, none.out, none.err) == (0, "", "nothing to change\n")


def test_no_edge_goes_without_declared_evidence_or_a_word(repository: Place) -> None:
    shown = repository.run("patch", CI, "--change", "order", "--change", "needs", "--json").json
    assert shown["diff"] == ""
    asked = {change["change"]: change["ask"] for change in shown["changes"]}
    assert asked["build no longer needs lint"] == "--accept 'lint→build'"
    number = next(change["number"] for change in shown["changes"] if "build no longer" in change["change"])
    refused = repository.run("patch", CI, "--change", "order", "--change", "needs", "--only", str(number))
    assert refused.code == 2
    assert "--accept 'lint→build'" in refused.err


def test_a_group_has_one_name_and_is_not_for_jobs_that_run_once_a_version(repository: Place) -> None:
    """Of three tags that are pushed quickly, a group would drop the middle one."""
    repository.write(
        "on: push\njobs:\n  deploy: {runs-on: x, steps: [{run: kubectl apply -f x}]}\n"
        "  deploy-after: {needs: deploy-tag, runs-on: x, steps: [{run: kubectl apply -f z}]}\n"
        "  deploy-tag:\n    if: startsWith(github.ref, 'refs/tags/v')\n    runs-on: x\n"
        "    steps: [{run: kubectl apply -f y}]\n"
        "  deploy-step: {runs-on: x, steps: [{if: github.ref_type == 'tag', run: kubectl apply -f z}]}\n",
        ".github/workflows/cd.yml",
    )
    repository.write(
        "stages: [go]\ngo: {stage: go, script: helm upgrade x, environment: production}\n"
        "more: {stage: go, script: helm upgrade y, environment: production}\n",
        "cd/.gitlab-ci.yml",
    )
    for file, jobs, group in (
        (".github/workflows/cd.yml", ["deploy"], "{group: deploy, "),
        ("cd/.gitlab-ci.yml", ["go", "more"], "resource_group: production`"),
    ):
        told = [each for each in repository.run("map", file, "--json").json["findings"]
                if each["code"] == "no-concurrency"]  # fmt: skip
        assert ([each["stages"] for each in told], group in told[0]["fix"]) == ([jobs], True)
        made = repository.run("patch", file, "--json").json["changes"]
        name = "deploy" if "deploy" in jobs else "production"
        assert [each["change"] for each in made if each["kind"] == "concurrency"] == [
            f"{job} runs alone in {name}" for job in jobs
        ]


def test_recorded_runs_give_seconds_timeouts_and_what_a_split_costs(repository: Place) -> None:
    jobs = (
        synthetic.Job("lint", 40), synthetic.Job("build", 180, ("lint",)), synthetic.Job("unit", 600, ("build",)),
        synthetic.Job("deploy", 60, ("unit",)),
    )  # fmt: skip
    listed, told = synthetic.github(6, jobs=jobs, failing=0.0)
    files = [str(repository.write(json.dumps(each), name)) for each, name in ((listed, "r.json"), (told, "j.json"))]
    assert repository.run("import", "runs", "github", *files, "--file", CI).code == 0
    shown = repository.run("patch", CI, "--json").json
    by = {(change["kind"], change["job"]): change for change in shown["changes"]}
    assert by["timeout", "build"]["evidence"]["source"] == "history"
    assert "timeout-minutes: 10\n" in shown["diff"]
    assert 30 < by["needs", "build"]["saves_s"] < 50
    split = by["split", "unit"]
    assert (split["in_patch"], split["ask"]) == (False, "--rename-ok")
    assert split["saves_s"] > 200 and "billed minutes" in split["price"]
    done = repository.run("patch", CI, "--change", "split", "--rename-ok", "--json").json
    assert "+      - run: npx jest --shard=${{ matrix.part }}/" in done["diff"]
    assert done["longest_s"] - done["longest_after_s"] == pytest.approx(split["saves_s"], abs=1)


def test_a_result_keeps_to_the_vendors_schema(repository: Place) -> None:
    import check_jsonschema

    folder = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
    settings = ("lint.timeout=90s", "lint.concurrency=one", "unit.split=2")
    words = [word for text in settings for word in ("--set", text)]
    assert repository.run("patch", CI, *words, "--rename-ok", "--write").code == 0
    words = ["--set", "style.timeout=2h", "--set", "unit.concurrency=one", "--set", "unit.interruptible=true"]
    assert repository.run("patch", ".gitlab-ci.yml", *words, "--write").code == 0
    for name, file in (("github-workflows", CI), ("gitlab-ci", ".gitlab-ci.yml")):
        document: Any = yaml.load((repository.folder / file).read_text().replace("\non:", "\n'on':"), yaml.CSafeLoader)
        schema = json.loads((folder / f"{name}.json").read_text())
        jsonschema.validators.validator_for(schema)(schema).validate(document)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([CI, "--change", "colour"], "no such kind"),
        ([CI, "--set", "lint"], "JOB.KEY=VALUE"),
        ([CI, "--set", "lint.colour=red"], "one of timeout=30m"),
        ([CI, "--set", "nobody.timeout=5m"], "no job `nobody`"),
        ([CI, "--set", "unit.split=2"], "--rename-ok"),
        ([CI, "--set", "lint.fail-fast=true"], "ci.yml:7:5: error: change it by hand: the job has no matrix"),
        ([CI, "--accept", "build→lint"], "does not wait for"),
        ([CI, "--accept", "unit→deploy"], "deploy acts outside"),
        ([CI, "--accept", "build"], "two jobs with an arrow"),
        ([CI, "--add", "deploy→lint"], "would be a cycle"),
        ([CI, "--only", "99"], "--only 99"),
        ([CI, "--timeout", "soon"], "soon"),
        ([CI, "--write", "--diff"], "choose one"),
        (["stagebook.yaml"], "plan --apply"),
        (["nowhere.yml"], "nowhere.yml"),
        ([CI, "--provider", "nobody"], "nobody"),
    ],
)
def test_wrong_words_are_exit_2_and_change_nothing(repository: Place, words: list[str], said: str) -> None:
    repository.write("stages: {a: 'true'}\n")
    done = repository.run("patch", *words)
    assert done.code == 2, done
    assert said in done.err
    assert "Traceback" not in done.err
    assert (repository.folder / CI).read_text() == WORKFLOW


def test_what_an_anchor_shares_is_left_to_the_user_and_the_rest_is_made(repository: Place) -> None:
    shared = WORKFLOW.replace("needs: [unit]", "needs: &after [unit]").replace("needs: [lint, build]", "needs: lint")
    repository.write(shared + "  report:\n    runs-on: x\n    needs: *after\n    steps: [{run: echo}]\n", CI)
    done = repository.run("patch", CI, "--json").json
    left = [change for change in done["changes"] if change["by_hand"]]
    assert [(change["change"], change["in_patch"]) for change in left] == [("deploy needs build", False)]
    assert "anchor" in left[0]["by_hand"]
    assert "group: deploy-production" in done["diff"]


def test_hostile_names_do_no_harm(repository: Place) -> None:
    name = "a\\e[31m\\u202e"
    repository.write(f'on: push\njobs:\n  "{name}":\n    runs-on: x\n    steps: [{{run: echo}}]\n', CI)
    done = repository.run("patch", CI, "--timeout", "5m", "--color", "never")
    assert done.code in (0, 2)
    assert "\x1b" not in done.said and "\u202e" not in done.err
