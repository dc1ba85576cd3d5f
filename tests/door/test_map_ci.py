"""`map` on files of CI systems, as a user of a repository without a file of ours meets it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.door.place import Place

GITHUB = """\
name: CI
on:
  push: {branches: [main]}
  pull_request_target:

jobs:
  lint:
    runs-on: ubuntu-latest
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@v4
      - run: ruff check

  build:
    runs-on: ubuntu-latest
    outputs:
      version: ${{ steps.v.outputs.version }}
    steps:
      - uses: actions/checkout@v4
      - id: v
        run: echo "version=1.0" >> "$GITHUB_OUTPUT"
      - run: |
          make
          echo "building ${{ github.event.pull_request.title }}"
      - uses: actions/upload-artifact@v4
        with: {name: wheel, path: dist/}

  test:
    needs: [lint, build]
    runs-on: ubuntu-latest
    strategy:
      matrix: {python: ["3.11", "3.13"]}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/download-artifact@v4
        with: {name: wheel}
      - name: Types
        run: mypy src
      - name: Tests
        run: pytest

  deploy:
    needs: build
    runs-on: ubuntu-latest
    environment: production
    timeout-minutes: 20
    if: github.event_name == 'push'
    steps:
      - uses: actions/checkout@v4
      - run: ./deploy.sh ${{ needs.build.outputs.version }}
"""
GITHUB_MAP = """\
level   stage                   slack     needs
    0   ┏ lint                  –
        ┃  build [2]            –
    1   ┗ test ×2 ▸ [1][5]      –         lint, build
           deploy [1][3]        –         build

┃ critical path   ▸ folded, -v opens

[1] guard      deploy can start before test ×2 end: it acts outside
               (environment production)
               let deploy need it                                     ci.yml:42

[2] injection  job build puts github.event.pull_request.title into shell code:
               whoever causes `pull_request_target` chooses that text, and the
               job has the repository's rights
               hand it over as a variable of `env:` and use that, quoted
                                                                      ci.yml:24

[3] overtakes  two runs may do deploy at once, and the older one may end last:
               it deploys (environment production) and has no concurrency group
               give it `concurrency: {group: deploy-production,
               cancel-in-progress: false}`                            ci.yml:42

[4] timeout    build and test have no timeout: a job that hangs is stopped
               after 6 hours only, and holds its machine until then
               set `timeout-minutes` to two or three times what it usually
               takes                                                  ci.yml:14

[5] steps      step 3 of test (`Types`) only checks, in each of 2 cells: it
               needs nothing but the set-up, and no later step uses what it
               leaves
               move it to a job of its own, which repeats 1 set-up step, and
               does it once instead of in each cell                   ci.yml:37

also 1 need without a reason in the file, saving little alone: -v lists them
"""
GITLAB = """\
stages: [check, build, test, deploy]

lint:
  stage: check
  script: ruff check

wheel:
  stage: build
  script: make wheel
  artifacts: {paths: [dist/]}

docs:
  stage: build
  script: make docs

unit:
  stage: test
  parallel: {matrix: [{PYTHON: ["3.11", "3.13"]}]}
  needs: [wheel]
  script: pytest

deploy:
  stage: deploy
  environment: production
  script: ./deploy.sh
"""
GITLAB_MAP = """\
level   stage                   slack     needs
    0   ┏ lint                  –
        ┇
    1   ┣ wheel [1]             –         lint
        ┃  docs [1]             1 stage   lint
    2   ┣ unit ×2 ▸             –         wheel
    3   ┗ deploy [2]            –         docs, unit

┃ critical path   ┇ needless order   ▸ folded, -v opens

[1] stages     wheel and docs wait for lint by the order of stages only: they
               get no artifact and no variable of it; the longest chain becomes
               1 shorter
               `needs: []` in wheel lets it start earlier, and so for the
               other, unless the wait is to spare runs after a failure
                                                               .gitlab-ci.yml:7

[2] overtakes  two pipelines may do deploy at once: it deploys to production
               and has no resource group
               give it `resource_group: production`           .gitlab-ci.yml:22
"""
RELEASE = """\
name: Release
on:
  workflow_run: {workflows: [CI], types: [completed], branches: [main]}
jobs:
  notes:
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps: [{run: ./notes.sh}]
"""
NIGHTLY = """\
on: {schedule: [{cron: "0 1 * * *"}]}
jobs:
  slow: {runs-on: ubuntu-latest, timeout-minutes: 90, steps: [{run: make slow}]}
"""
WORKFLOW = ".github/workflows/ci.yml"


@pytest.fixture
def repository(place: Place) -> Place:
    subprocess.run(["git", "init", "-q", "-b", "main", place.folder], check=True)
    return place


def table(out: str) -> str:
    """From the table on: what stands above it is counts."""
    return out[out.index("level   stage") :]


def test_a_workflow_in_full(repository: Place) -> None:
    repository.write(GITHUB, WORKFLOW)
    done = repository.run("map")
    assert done.code == 0, done.said
    assert done.out.startswith("CI  5 stages, 5 edges, 2 levels, at most 3 at once\n")
    assert " keys: " in done.out
    assert table(done.out) == GITHUB_MAP


def test_a_pipeline_of_gitlab_in_full(repository: Place) -> None:
    repository.write(GITLAB, ".gitlab-ci.yml")
    done = repository.run("map")
    assert done.code == 0, done.said
    assert table(done.out) == GITLAB_MAP


def test_json_has_the_format_the_kinds_and_the_steps(repository: Place) -> None:
    repository.write(GITHUB, WORKFLOW)
    found = repository.run("map", "--json").json
    assert found["format"] == "github"
    by_id = {stage["stage"]: stage for stage in found["stages"]}
    assert by_id["deploy"]["kind"] == "job"
    assert by_id["deploy"]["condition"] == "github.event_name == 'push'"
    assert by_id["test[python=3.13]"]["matrix"] == {"python": "3.13"}
    assert by_id["deploy"]["line"] == 42
    assert [step["setup"] for step in by_id["test[python=3.13]"]["steps"]] == [True, False, False, False]
    reasons = {(edge["from"], edge["to"]): [each["kind"] for each in edge["reasons"]] for edge in found["edges"]}
    assert reasons["build", "test[python=3.13]"] == ["artifact"]
    assert reasons["lint", "test[python=3.13]"] == []
    assert "value" in reasons["build", "deploy"]
    grades = found["grades"]
    assert grades["keys"] == sum(grades[each] for each in ("exact", "approximated", "ignored", "server"))
    assert {each["code"] for each in found["notes"]} >= {"missing-guard", "script-injection", "no-timeout"}


def test_the_order_of_stages_is_an_edge_of_its_own_kind(repository: Place) -> None:
    repository.write(GITLAB, ".gitlab-ci.yml")
    kinds = {(edge["from"], edge["to"]): edge["kind"] for edge in repository.run("map", "--json").json["edges"]}
    assert kinds["lint", "wheel"] == "order"
    assert kinds["wheel", "unit[PYTHON=3.11]"] == "needs"


def test_several_workflows_are_one_map_each_and_from_any_folder(repository: Place) -> None:
    for text, name in ((GITHUB, "ci"), (RELEASE, "release"), (NIGHTLY, "nightly")):
        repository.write(text, f".github/workflows/{name}.yml")
    below = repository.folder / "src" / "deep"
    below.mkdir(parents=True)
    found = repository.run("map", "--json", cwd=below).json
    assert [Path(each["file"]).name for each in found["pipelines"]] == ["ci.yml", "nightly.yml", "release.yml"]
    text = repository.run("map", cwd=repository.folder).out
    assert text.index(WORKFLOW) < text.index("CI  5 stages") < text.index(".github/workflows/nightly.yml")
    refused = repository.run("run", cwd=below)
    assert refused.code == 2
    assert "stagebook run ../../.github/workflows/ci.yml" in refused.err
    assert "release.yml" in refused.err


def test_what_several_files_have_alike_is_told_once_and_small_ones_in_few_lines(repository: Place) -> None:
    for number in range(12):
        repository.write(
            f"on: push\njobs:\n  job{number}:\n    runs-on: x\n"
            f"    steps: [{{uses: actions/checkout@v4}}, {{name: Try {number}, run: make}}]\n",
            f".github/workflows/w{number:02}.yml",
        )
    repository.write(GITHUB, WORKFLOW)
    done = repository.run("map")
    assert (done.code, done.err) == (0, "")
    assert "    Run actions/checkout@v4 → Try 3\n" in done.out
    assert done.out.count("no timeout") == 1
    told = done.out[done.out.index("13 workflows: no timeout") :]
    assert "w00.yml:3, " in told
    assert "ci.yml:14" in told
    assert "13 files, " in told
    assert "[1] guard      deploy can start before" in done.out  # what one file alone has is still told with it
    assert len(done.out.splitlines()) < 90
    assert repository.run("map", "-v").out.count("no timeout") == 13
    assert len(repository.run("map", "--json").json["pipelines"]) == 13


def test_no_deployment_is_told_to_start_before_the_tests(repository: Place) -> None:
    """The stage, a name or a script that it calls says enough for that."""
    for stage, name, script in (
        ("deploy", "staging", "./bin/rollout staging"), ("production", "eu", "./bin/go"), ("last", "ship", "./bin/go"),
        ("last", "eu", "./bin/rollout"),
    ):  # fmt: skip
        repository.write(
            f"stages: [test, {stage}]\nunit: {{stage: test, script: make test}}\n"
            f"{name}: {{stage: {stage}, script: {script}}}\n",
            ".gitlab-ci.yml",
        )
        assert repository.run("map", ".gitlab-ci.yml", "--json").json["findings"] == [], (stage, name)
        repository.write(
            f"on: push\njobs:\n  unit: {{runs-on: x, timeout-minutes: 5, steps: [{{run: make test}}]}}\n"
            f"  ship:\n    runs-on: x\n    needs: unit\n    timeout-minutes: 5\n    steps: [{{run: {script}}}]\n",
            WORKFLOW,
        )
        found = repository.run("map", WORKFLOW, "--json").json["findings"]
        assert "needless-order" not in {each["code"] for each in found}, script


def test_one_map_of_all_that_an_event_starts(repository: Place) -> None:
    for text, name in ((GITHUB, "ci"), (RELEASE, "release"), (NIGHTLY, "nightly")):
        repository.write(text, f".github/workflows/{name}.yml")
    found = repository.run("map", "--event", "push", "--ref", "main", "--json").json
    ids = [stage["stage"] for stage in found["stages"]]
    assert ids == ["ci.lint", "ci.build", "ci.test[python=3.11]", "ci.test[python=3.13]", "ci.deploy", "release.notes"]
    later = [edge for edge in found["edges"] if edge["to"] == "release.notes"]
    assert {edge["from"] for edge in later} == {"ci.test[python=3.11]", "ci.test[python=3.13]", "ci.deploy"}
    assert all(edge["kind"] == "order" and edge["reasons"] for edge in later)
    assert [each["workflow"] for each in found["not_started"]] == ["nightly"]
    assert "ci.deploy" in repository.run("map", "--event", "push", "--format", "mermaid").out
    on_other = repository.run("map", "--event", "push", "--ref", "topic")
    assert on_other.code == 2
    assert "no workflow of these starts on push to topic" in on_other.err


def test_what_could_not_be_included_is_said_before_any_advice(repository: Place) -> None:
    theirs = "include: {project: our/templates, file: [all.yml, more.yml]}\n"
    by_hand = "".join(f"j{number}: {{extends: .b{number}, when: manual, script: x}}\n" for number in range(4))
    repository.write(theirs + GITLAB + by_hand, ".gitlab-ci.yml")
    done = repository.run("map")
    assert "2 files that it includes could not be read, so no order is called needless" in done.out
    assert "each of 2 files (all.yml, more.yml) of project our/templates is not at hand" in " ".join(done.out.split())
    assert "each of 4 (j0, j1, j2, j3) is started by hand, and nobody waits for it" in done.err
    assert "each of 4 (.b0, .b1, .b2, .b3) is extended and not there" in done.err
    assert "stages  " not in done.out
    assert done.out.index("our/templates") < done.out.index("level   stage")


def test_a_difference_shows_edges(repository: Place) -> None:
    file = repository.write(GITHUB, WORKFLOW)
    base = repository.write(GITHUB.replace("needs: [lint, build]", "needs: [build]"), "base.yml")
    done = repository.run("map", str(file), "--diff", str(base))
    assert done.code == 0, done.said
    assert "edges +2 -0" in done.out
    assert "+ lint → test[python=3.11]" in done.out


def committed(repository: Place) -> None:
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run([*git, "add", "."], cwd=repository.folder, check=True)
    subprocess.run([*git, "commit", "-qm", "first"], cwd=repository.folder, check=True)


def test_what_a_file_includes_is_compared_as_it_was(repository: Place) -> None:
    main = "stages: [build, test]\ninclude: {local: ci/jobs.yml}\nbuild: {stage: build, script: make}\n"
    gitlab = repository.write(main, ".gitlab-ci.yml")
    jobs = "unit: {stage: test, script: pytest}\nlint: {stage: test, script: ruff, needs: []}\n"
    repository.write(jobs, "ci/jobs.yml")
    called = "on: workflow_call\njobs:\n  one: {runs-on: x, steps: [{run: make}]}\n"
    repository.write(called, ".github/workflows/called.yml")
    call = "on: push\njobs:\n  call: {uses: ./.github/workflows/called.yml}\n"
    caller = repository.write(call, ".github/workflows/caller.yml")
    committed(repository)
    jobs = "unit: {stage: test, script: pytest, needs: []}\nmore: {stage: test, script: x, needs: []}\n"
    repository.write(jobs, "ci/jobs.yml")
    called += "  two: {runs-on: x, needs: one, steps: [{run: make}]}\n"
    repository.write(called, ".github/workflows/called.yml")
    diff = repository.run("map", str(gitlab), "--diff", "HEAD", "--json").json["diff"]
    assert (diff["stages"]["added"], [each["stage"] for each in diff["stages"]["removed"]]) == (["more"], ["lint"])
    assert (diff["stages"]["changed"], diff["edges"]["added"]) == ([], [])
    assert [(each["from"], each["to"]) for each in diff["edges"]["removed"]] == [("build", "unit")]
    diff = repository.run("map", str(caller), "--diff", "HEAD", "--json").json["diff"]
    assert (diff["stages"]["added"], diff["stages"]["removed"], diff["stages"]["changed"]) == (["call/two"], [], [])


def test_a_new_workflow_among_others_is_all_added(repository: Place) -> None:
    repository.write(GITHUB, WORKFLOW)
    committed(repository)
    repository.write(NIGHTLY, ".github/workflows/nightly.yml")
    found = repository.run("map", "--diff", "HEAD", "--json").json["pipelines"]
    assert [each["diff"]["stages"]["added"] for each in found] == [[], ["slow"]]


def test_one_broken_file_does_not_hide_the_others(repository: Place) -> None:
    repository.write(GITHUB, WORKFLOW)
    repository.write("on: push\njobs: 5\n", ".github/workflows/bad.yml")
    done = repository.run("map")
    assert done.code == 2
    assert "CI  5 stages" in done.out
    assert "bad.yml:2" in done.err


def recorded(took: dict[str, list[tuple[str, int]]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Five runs, synthetic, as the API of GitHub answers: of each job its steps and their seconds."""
    runs, jobs = [], []
    for number in range(1, 6):
        some = []
        for at, (name, steps) in enumerate(took.items()):
            now, told = 0, []
            for step, seconds in steps:
                ends = [f"2026-01-{number:02}T10:{each // 60:02}:{each % 60:02}Z" for each in (now, now + seconds)]
                told.append({"name": step, "status": "completed", "conclusion": "success", "number": len(told) + 1,
                             "started_at": ends[0], "completed_at": ends[1]})  # fmt: skip
                now += seconds
            some.append({
                "id": number * 100 + at, "run_id": number, "run_attempt": 1, "name": name, "status": "completed",
                "conclusion": "success", "created_at": told[0]["started_at"], "started_at": told[0]["started_at"],
                "completed_at": told[-1]["completed_at"], "labels": ["ubuntu-latest"], "steps": told,
            })  # fmt: skip
        day = f"2026-01-{number:02}T10:00:00Z"
        runs.append({
            "id": number, "name": "CI", "path": WORKFLOW, "event": "push", "head_branch": "main", "head_sha": "0" * 40,
            "status": "completed", "conclusion": "success", "run_attempt": 1, "run_number": number, "created_at": day,
            "run_started_at": day, "updated_at": day,
        })  # fmt: skip
        jobs.append({"total_count": len(some), "jobs": some})
    return {"total_count": 5, "workflow_runs": runs}, jobs


def test_recorded_runs_say_what_a_job_of_its_own_would_save(repository: Place) -> None:
    repository.write(GITHUB, WORKFLOW)
    setup = [("Run actions/checkout@v4", 10), ("Run actions/download-artifact@v4", 5)]
    tests = [*setup, ("Types", 90), ("Tests", 240)]
    runs, jobs = recorded({"lint": setup, "build": setup, "test (3.11)": tests, "test (3.13)": tests, "deploy": setup})
    for name, value in (("runs.json", runs), ("jobs.json", jobs)):
        repository.write(json.dumps(value), name)
    done = repository.run("import", "runs", "github", "runs.json", "jobs.json")
    assert done.code == 0, done.said
    found = repository.run("map", "--json").json
    by_id = {stage["stage"]: stage for stage in found["stages"]}
    assert by_id["test[python=3.11]"]["took_s"] == 345
    assert [step["took_s"] for step in by_id["test[python=3.11]"]["steps"]] == [10, 5, 90, 240]
    (split,) = [each for each in found["findings"] if each["code"] == "split-steps"]
    assert (split["saves_s"], split["costs_s"]) == (90, 0)  # one check of 90 s instead of two
    (needless,) = [each for each in found["findings"] if each["code"] == "needless-order"]
    assert needless["edges"][0]["from"] == "lint"
    assert repository.run("plan", "--json").json["profile"]["runs"] == 5


def test_a_plan_of_a_file_without_recorded_runs_says_where_to_get_some(repository: Place) -> None:
    repository.write(GITHUB, WORKFLOW)
    done = repository.run("plan")
    assert done.code == 0, done.said
    assert "stagebook import runs github" in done.out
