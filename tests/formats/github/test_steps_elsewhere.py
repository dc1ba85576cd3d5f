"""Steps of called workflows and of actions of the repository: their own lines, and whether they take part in a cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagebook.formats.load import parse
from stagebook.graph.findings import Finding, judge
from stagebook.graph.shape import shape
from stagebook.graph.traps import find
from stagebook.model.pipeline import Pipeline

CALLED = """\
on:
  workflow_call:
    inputs: {test: {type: boolean, default: true}}
jobs:
  b:
    runs-on: x
    timeout-minutes: 5
    strategy: {matrix: {platform: [x, y]}}
    steps:
      - run: ls
      - uses: actions/upload-artifact@v4
        if: CONDITION
        with: {name: wasm}
"""
CALLER = "on: push\njobs:\n  build:\n    uses: ./.github/workflows/build.yml\n    with: {test: TEST}\n"


def read(folder: Path, **files: str) -> Pipeline:
    """The first of the files, of which all are workflows but those whose name has a slash."""
    where = folder / ".github" / "workflows"
    for name, text in files.items():
        path = folder / name / "action.yml" if name == "act" else where / f"{name}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    first = where / f"{next(iter(files))}.yml"
    pipeline, problems = parse(first.read_bytes(), str(first))
    assert pipeline is not None, problems
    return pipeline


def trapped(pipeline: Pipeline) -> list[Finding]:
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    found = shape([[at[need] for need in stage.needs] for stage in pipeline.stages])
    return find(pipeline, judge(pipeline, found=found).edges, found, None)


def clashes(folder: Path, condition: str, test: str = "true") -> list[str]:
    called = CALLED.replace("CONDITION", condition)
    made = read(folder, ci=CALLER.replace("TEST", test), build=called)
    return [each.message for each in trapped(made) if each.code == "artifact-clash"]


@pytest.mark.parametrize(
    ("condition", "clash"),
    [
        ("matrix.platform == 'x'", False),
        ("matrix.platform != 'z'", True),
        ("\"!inputs.test && matrix.platform == 'x'\"", False),
        ("inputs.test", True),
        ("'!inputs.test'", False),
        ("success() && inputs.test", True),
        ("always()", True),
        ("failure()", False),
        ("steps.a.outputs.b", False),
        ("env.X == 'x'", False),
        ("${{ matrix.platform }}", True),
    ],
)
def test_an_artifact_is_left_by_the_cells_whose_condition_holds(tmp_path: Path, condition: str, clash: bool) -> None:
    said = ["all 2 cells of build/b upload an artifact called wasm"] if clash else []
    assert clashes(tmp_path, condition) == said


def test_inputs_are_those_of_the_call(tmp_path: Path) -> None:
    assert clashes(tmp_path, "inputs.test", "false") == []
    assert clashes(tmp_path, "'!inputs.test'", "false") != []


def test_steps_and_findings_have_lines_of_their_own_files(tmp_path: Path) -> None:
    made = read(tmp_path, ci=CALLER.replace("TEST", "true"), build=CALLED.replace("CONDITION", "always()"))
    stage = made.stages[0]
    assert (stage.line, stage.job and [(each.file, each.line, each.end_line) for each in stage.job.steps]) == (
        3, [(".github/workflows/build.yml", 10, 10), (".github/workflows/build.yml", 11, 13)],
    )  # fmt: skip
    (clash,) = [each for each in trapped(made) if each.code == "artifact-clash"]
    assert (clash.file, clash.line) == (".github/workflows/build.yml", 11)


ACTION = """\
name: a
inputs:
  name: {default: wheel}
  keep: {default: 'true'}
runs:
  using: composite
  steps:
    - run: make
      shell: bash
    - uses: actions/upload-artifact@v4
      if: inputs.keep == 'true'
      with: {name: "${{ inputs.name }}"}
"""


def test_steps_of_an_action_have_its_lines_and_its_inputs(tmp_path: Path) -> None:
    text = "on: push\njobs:\n  b:\n    runs-on: x\n    strategy: {matrix: {n: [1, 2]}}\n    steps:\n"
    made = read(tmp_path, ci=f"{text}      - uses: ./act\n        with: {{NAME: sdist}}\n", act=ACTION)
    job = made.stages[0].job
    assert job is not None
    assert [(each.file, each.line) for each in job.steps] == [("act/action.yml", 8), ("act/action.yml", 10)]
    assert [each.name for each in job.writes] == ["sdist"]
    assert [each.message for each in trapped(made) if not each.minor] == [
        "all 2 cells of b upload an artifact called sdist"
    ]
    for given in ("with: {keep: 'false'}", "if: matrix.n == 2"):
        made = read(tmp_path, ci=f"{text}      - uses: ./act\n        {given}\n", act=ACTION)
        assert [each.message for each in trapped(made) if not each.minor] == [], given


def test_what_a_called_workflow_leaves_is_for_its_callers(tmp_path: Path) -> None:
    text = CALLED.replace("CONDITION", "matrix.platform == 'x'")
    reader = (
        "  c:\n    runs-on: x\n    steps:\n      - uses: actions/download-artifact@v4\n        with: {name: other}\n"
    )
    codes = {"unread-artifact", "unwritten-artifact"}
    assert not codes & {each.code for each in trapped(read(tmp_path, build=text + reader))}
    own = text.replace("workflow_call", "workflow_dispatch") + reader
    assert codes == codes & {each.code for each in trapped(read(tmp_path, own=own))}
