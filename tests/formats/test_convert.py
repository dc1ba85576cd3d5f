"""Files of CI systems as native ones: the same stages and needs, and what their jobs do as far as a shell can."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.formats import convert, load
from stagebook.formats.convert import Converted
from stagebook.formats.native import read as native
from stagebook.formats.native.write import scalar
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import InputError

GITHUB = """\
name: CI
on: [push, workflow_dispatch]
env: {SHARED: "1"}
jobs:
  build:
    strategy:
      max-parallel: 2
      matrix: {python: ["3.11", "3.13"], os: [linux], include: [{python: "3.14", os: mac}]}
    runs-on: ubuntu-latest
    timeout-minutes: 20
    env: {WHICH: "py${{ matrix.python }}"}
    outputs: {version: "${{ steps.v.outputs.version }}"}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
        with: {node-version: 20.x}
      - name: Install
        working-directory: sub dir
        run: make install
      - id: v
        run: |
          echo 'for ${{ matrix.os }} only' "${{ secrets.TOKEN }}"
          echo version=1 >> "$GITHUB_OUTPUT"
      - uses: codecov/codecov-action@v4
  parallel:
    needs: build
    if: github.ref == 'refs/heads/main' && github.event_name != 'schedule'
    runs-on: ubuntu-latest
    continue-on-error: true
    concurrency: site
    steps: [{run: "./deploy ${{ github.event.number }}"}]
  cleanup:
    needs: [build, parallel]
    if: always()
    runs-on: ubuntu-latest
    steps: [{run: ./clean}]
  odd:
    needs: build
    if: fromJSON(vars.LIST)[0] == 'x'
    runs-on: ubuntu-latest
    steps: [{run: print(1), shell: python}]
"""
GITLAB = """\
stages: [build, test, deploy]
variables: {A: "1", B: "$A/x"}
build: {stage: build, image: "python:3.11", before_script: [prepare], script: [make, 'echo "$CI_COMMIT_SHA"'], retry: 2}
unit:
  stage: test
  script: ["pytest\\necho done"]
  after_script: [rm -rf tmp]
  parallel: {matrix: [{PY: ["1", "2"]}]}
rest: {stage: test, needs: [], script: [a], parallel: 2, allow_failure: true}
deploy: {stage: deploy, script: [./deploy], when: manual, allow_failure: false, resource_group: site, timeout: 10m}
broken: {stage: deploy, script: [tell], when: on_failure}
"""


def made_of(text: str, format: str, tmp_path: Path) -> tuple[Pipeline, Converted, Pipeline]:
    """The pipeline of a file, what was made of it, and that read again."""
    file = tmp_path / "ci.yml"
    file.write_text(text, encoding="utf-8")
    pipeline = load.load(str(file), None, as_=format)
    made = convert.convert(pipeline)
    found, problems = native.parse(made.text.encode(), "stagebook.yaml")
    assert found is not None, (problems, made.text)
    return pipeline, made, found


def by_name(pipeline: Pipeline) -> dict[str, Stage]:
    return {stage.id: stage for stage in pipeline.stages}


def has_the_same_needs(pipeline: Pipeline, made: Converted, found: Pipeline) -> bool:
    wanted = {made.ids[stage.id]: {made.ids[need] for need in stage.needs} for stage in pipeline.stages}
    return wanted == {stage.id: set(stage.needs) for stage in found.stages}


def test_a_workflow(tmp_path: Path) -> None:
    pipeline, made, found = made_of(GITHUB, "github", tmp_path)
    assert has_the_same_needs(pipeline, made, found)
    stages = by_name(found)
    build = stages["build[python=3.11,os=linux]"]
    assert "build[python=3.14,os=mac]" in stages and found.matrices["build"].max_parallel == 2
    assert (build.timeouts.attempt_ms, build.requires, build.secrets) == (1_200_000, {"node": ">=20"}, ("TOKEN",))
    assert build.env["SHARED"] == "1"
    for line in (
        'export WHICH="py${MATRIX_PYTHON}"', 'cd "sub dir"', "make install", "# Install, line 17",
        """echo 'for '"${MATRIX_OS}"' only' "${TOKEN}\"""", 'export GITHUB_OUTPUT="$STAGEBOOK_OUTPUT"',
    ):  # fmt: skip
        assert line in str(build.command), line
    assert made.ids["parallel"] == "parallel_", "which is a reserved word"
    deploy = stages["parallel_"]
    assert deploy.allow_failure and deploy.resources.pools == {"site": 1} and found.pools["site"].machine
    assert deploy.when is not None and deploy.when.text == 'branch == "main" && event != "schedule"'
    assert "${STAGEBOOK_UNKNOWN:?" in str(deploy.command)
    assert stages["cleanup"].always
    assert "python3 - <<'STAGEBOOK_END'\nprint(1)" in str(stages["odd"].command)
    lost = [(each.stage, each.line) for each in made.lost]
    assert ("build", 24) in lost and ("odd", 39) in lost
    assert "# line 24: uses codecov/codecov-action@v4: not carried over" in made.text


def test_a_pipeline_of_gitlab(tmp_path: Path) -> None:
    pipeline, made, found = made_of(GITLAB, "gitlab", tmp_path)
    assert has_the_same_needs(pipeline, made, found)
    stages = by_name(found)
    assert stages["build"].retry.attempts == 3
    assert str(stages["build"].command).splitlines() == [
        'export CI_COMMIT_SHA="$(git rev-parse HEAD)"', 'export B="${A}/x"', "prepare", "make", 'echo "$CI_COMMIT_SHA"',
    ]  # fmt: skip
    assert 'export PY="$MATRIX_PY"' in str(stages["unit[PY=1]"].command)
    assert "trap stagebook_after EXIT" in str(stages["unit[PY=1]"].command)
    assert stages["rest[index=2]"].allow_failure and not stages["rest[index=2]"].needs
    assert stages["deploy:play"].kind == "gate" and stages["deploy"].timeouts.attempt_ms == 600_000
    assert stages["broken"].join == "done" and "outcome in" in str(stages["broken"].when)


def test_cells_that_differ_are_stages_of_their_own(tmp_path: Path) -> None:
    text = """\
stages: [a, b]
a: {stage: a, script: [make], parallel: {matrix: [{X: ["1", "2"]}]}}
b:
  stage: b
  script: [test]
  needs: [{job: a, parallel: {matrix: [{X: ["1"]}]}}]
"""
    pipeline, made, found = made_of(text, "gitlab", tmp_path)
    assert has_the_same_needs(pipeline, made, found)
    assert by_name(found)["b"].needs == ("a[X=1]",)


@pytest.mark.parametrize(
    "part", [0, pytest.param(1, marks=pytest.mark.nightly), pytest.param(2, marks=pytest.mark.nightly)]
)
def test_every_real_file_is_read_again_with_the_same_needs(part: int, shared_data: Path) -> None:
    done = 0
    for system in ("github", "gitlab"):
        for file in sorted((shared_data / system).iterdir())[part::3]:
            try:
                pipeline = load.load(str(file), None, as_=system)
                made = convert.convert(pipeline)
            except InputError:  # a fragment, or wrong in itself
                continue
            found, problems = native.parse(made.text.encode(), "stagebook.yaml")
            assert found is not None, (file.name, problems[:2])
            assert has_the_same_needs(pipeline, made, found), file.name
            done += 1
    assert done > 55


@settings(max_examples=80)
@given(st.text(max_size=30))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    if "\0" in text or any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
        return
    source = f"version: 1\nenv: {{X: {scalar(text)}}}\nstages: {{a: {{run: make}}}}\n"
    found, problems = native.parse(source.encode(), "stagebook.yaml")
    assert found is not None, problems
    assert found.env["X"] == text


names = st.sampled_from(["a", "b", "parallel", "c d", "é", "x:y", "1", "true", "- z", "#h"])


@settings(max_examples=40)
@given(st.dictionaries(names, st.lists(names, max_size=3), min_size=1, max_size=6))
def test_needs_stay_what_they_are(graph: dict[str, list[str]]) -> None:
    order = list(graph)
    stages = tuple(
        Stage(name, name, 1, 1, "job", needs=needs, need_lines=(1,) * len(needs), job=_job())
        for at, name in enumerate(order)
        for needs in [tuple(dict.fromkeys(need for need in graph[name] if need in order[:at]))]
    )
    pipeline = Pipeline("ci", "/r/ci.yml", "gitlab", "", stages)
    made = convert.convert(pipeline)
    found, problems = native.parse(made.text.encode(), "stagebook.yaml")
    assert found is not None, problems
    assert has_the_same_needs(pipeline, made, found)


def _job() -> object:
    from stagebook.model.job import Job

    return Job("gitlab", "x", spec={"script": ["make"]})


def test_hostile_names_are_harmless(tmp_path: Path) -> None:
    bad = '"x\\e[2J [y]"'
    text = f"stages: [test]\n{bad}: {{stage: test, script: [make]}}\nz: {{needs: [{bad}], script: [make]}}\n"
    try:
        pipeline, made, found = made_of(text, "gitlab", tmp_path)
    except InputError:
        return  # the reader has refused it
    assert has_the_same_needs(pipeline, made, found) and "\x1b" not in made.text


@pytest.mark.parametrize("format", ["native", "psplib"])
def test_only_files_of_ci_systems_are_converted(format: str) -> None:
    with pytest.raises(InputError, match="nothing to convert"):
        convert.convert(Pipeline("x", "/r/x", format, "", ()))
