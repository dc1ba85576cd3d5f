"""`parallel` and what needs parts of it: ids, titles, limits."""

from __future__ import annotations

import pytest
from tests.formats.gitlab.reading import Project, spec


def test_numbered(project: Project) -> None:
    pipeline = project.pipeline("""
        split: {script: x, parallel: 3}
        after: {script: y, needs: [split]}
        second: {script: y, needs: ["split 2/3"]}
    """)
    cells = [stage for stage in pipeline.stages if stage.name == "split"]
    assert [stage.id for stage in cells] == ["split[index=1]", "split[index=2]", "split[index=3]"]
    assert [stage.job.title for stage in cells if stage.job] == ["split 1/3", "split 2/3", "split 3/3"]
    assert spec(cells[1])["predefined"]["CI_NODE_INDEX"] == "2"
    assert spec(cells[1])["predefined"]["CI_NODE_TOTAL"] == "3"
    assert pipeline.matrices["split"].cells == tuple(stage.id for stage in cells)
    assert pipeline.stages[3].needs == tuple(stage.id for stage in cells)
    assert pipeline.stages[4].needs == ("split[index=2]",)


MATRIX = """
    build:
      stage: build
      script: make
      parallel:
        matrix:
          - OS: [linux, mac]
            ARCH: [arm, x86]
          - OS: bsd
"""


def test_matrix(project: Project) -> None:
    stages = project.stages(MATRIX)
    assert list(stages) == [
        "build[OS=linux,ARCH=arm]", "build[OS=linux,ARCH=x86]", "build[OS=mac,ARCH=arm]", "build[OS=mac,ARCH=x86]",
        "build[OS=bsd]",
    ]  # fmt: skip
    mac = stages["build[OS=mac,ARCH=x86]"]
    assert mac.job is not None and mac.job.title == "build: [mac, x86]"
    assert mac.cell == {"OS": "mac", "ARCH": "x86"}
    assert spec(mac)["variables"] == {"OS": "mac", "ARCH": "x86"}


@pytest.mark.parametrize(
    ("need", "found"),
    [
        ("{job: build, parallel: {matrix: [{OS: mac}]}}", ["build[OS=mac,ARCH=arm]", "build[OS=mac,ARCH=x86]"]),
        ("{job: build, parallel: {matrix: [{OS: [bsd]}]}}", ["build[OS=bsd]"]),
        ("{job: build, parallel: {matrix: [{OS: $WHICH}]}}", ["build[OS=bsd]"]),
        ("'build: [linux, arm]'", ["build[OS=linux,ARCH=arm]"]),
    ],
)
def test_needs_of_some_cells(project: Project, need: str, found: list[str]) -> None:
    text = f"{MATRIX}\n    test: {{script: x, variables: {{WHICH: bsd}}, needs: [{need}]}}\n"
    assert project.needs(text)["test"] == found


def test_cells_that_need_their_like(project: Project) -> None:
    text = f"""{MATRIX}
    test:
      script: x
      parallel: {{matrix: [{{OS: [linux, mac]}}]}}
      needs: [{{job: build, parallel: {{matrix: [{{OS: "$[[ matrix.OS ]]", ARCH: arm}}]}}}}]
    """
    needs = project.needs(text)
    assert needs["test[OS=linux]"] == ["build[OS=linux,ARCH=arm]"]
    assert needs["test[OS=mac]"] == ["build[OS=mac,ARCH=arm]"]


@pytest.mark.parametrize(
    ("parallel", "said"),
    [
        ("0", "between 1 and 200"),
        ("201", "between 1 and 200"),
        ("1000000", "between 1 and 200"),
        ("{matrix: []}", "takes a number or `matrix`"),
        ("{matrix: [{A: []}]}", "A has no value"),
        ("{matrix: [x]}", "a list of mappings"),
        ("{matrix: [{A: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], B: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], C: [1, 2, 3]}]}", "200"),
    ],
)
def test_wrong_numbers(project: Project, parallel: str, said: str) -> None:
    [(line, message)] = project.errors(f"a:\n  script: x\n  parallel: {parallel}\n")
    assert line == 3
    assert said in message


def test_values_are_what_yaml_1_1_makes_of_them(project: Project) -> None:
    text = "a:\n  script: x\n  parallel:\n    matrix:\n      - PY: [3.9, 3.10, '3.10', 0644, yes]\n"
    stages = project.stages(text)
    assert [stage.job.title for stage in stages.values() if stage.job] == [
        "a: [3.9]", "a: [3.1]", "a: [3.10]", "a: [420]", "a: [true]",
    ]  # fmt: skip
    assert [said for _, said in project.said(text, "warning")] == [
        '3.10 without quotes is the number 3.1 to GitLab; write "3.10" if that is meant',
        '0644 without quotes is the number 420 to GitLab; write "0644" if that is meant',
    ]
    text = "a: {script: x, variables: {SIZE: 40_000}}"
    assert project.said(text, "warning") == []
    assert [said.partition(" to ")[0] for _, said in project.said(text, "note")] == [
        "40_000 without quotes is the number 40000"
    ]


def test_brackets_in_names(project: Project) -> None:
    [stage] = project.stages("'a [b]': {script: x, parallel: {matrix: [{V: '[1]'}]}}").values()
    assert stage.id == "a (b)[V=%5B1%5D]"
    assert stage.job is not None and stage.job.title == "a [b]: [[1]]"


def test_rules_that_ask_for_values_of_the_matrix(project: Project) -> None:
    text = """
        build:
          stage: build
          script: x
          parallel: {matrix: [{OS: [linux, mac, win]}]}
          rules:
            - {if: $OS == "win", when: never}
            - {if: $OS == "mac", allow_failure: true, variables: {SLOW: "1"}}
            - {when: on_success}
        test: {script: y, needs: [build]}
        one: {script: y, needs: ["build: [linux]"]}
    """
    pipeline = project.pipeline(text)
    stages = {stage.id: stage for stage in pipeline.stages}
    assert list(stages) == ["build[OS=linux]", "build[OS=mac]", "test", "one"]
    assert [stages[f"build[OS={name}]"].allow_failure for name in ("linux", "mac")] == [False, True]
    assert spec(stages["build[OS=mac]"])["variables"] == {"OS": "mac", "SLOW": "1"}
    assert spec(stages["build[OS=linux]"])["variables"] == {"OS": "linux"}
    assert stages["test"].needs == ("build[OS=linux]", "build[OS=mac]")
    assert pipeline.matrices["build"].cells == ("build[OS=linux]", "build[OS=mac]")
    assert pipeline.context["left_out"] == []
    [(line, said)] = project.errors(text.replace("build: [linux]", "build: [win]"))
    assert (line, "build: [win], which is not in a pipeline of a push to main" in said) == (11, True)


def test_manual_cells_have_gates_of_their_own(project: Project) -> None:
    stages = project.stages("""
        go:
          script: x
          parallel: {matrix: [{TO: [a, b, c]}]}
          rules:
            - {if: $TO == "a", when: manual}
            - {if: $TO == "b", when: manual, variables: {V: "1"}}
            - {when: on_success}
    """)
    assert stages["go[TO=a]"].needs == ("go:play",)
    assert stages["go[TO=b]"].needs == ("go:play by hand",)
    assert stages["go[TO=c]"].needs == ()
