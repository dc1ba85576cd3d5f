"""What is wrong with the conditions of a file is said before anything runs, where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.condition.reading import found, pipeline

from stagebook.condition import has_conditions
from stagebook.condition.expression import problems

HEAD = """\
version: 1
params: {channel: {default: beta, choices: [beta, stable]}, target: {default: x}}
secrets: [TOKEN]
stages:
  build: make
  other: make
  unit: {run: x, matrix: {n: ["1", "2"]}, needs: build}
  checks: {parallel: [{spell: x}]}
"""


def wrong(when: str, file: Path, needs: str = "[build]") -> list[str]:
    """What is said about a condition, each with its place counted from the condition's first character."""
    text = f"{HEAD}  it: {{needs: {needs}, run: x, when: >-\n{when}\n  }}\n".replace("when: >-\n", "when: ")
    start = text.splitlines()[-2].index("when: ") + len("when: ") + 2
    said = found(text.replace(f"when: {when}", f"when: {quoted(when)}"), file)
    return [f"{int(each.split(':')[1]) - start + 1}:{each.split(':', 2)[2]}" for each in said]


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ('brnch == "main"', "1: `when`: unknown name 'brnch', did you mean 'branch'?"),
        ("channel == branch", "1: `when`: unknown name 'channel', did you mean 'params.channel'?"),
        ("files.size() > 1", "1: `when`: unknown name 'files', did you mean 'commit.files'?"),
        ("run.outcome == success", "16: `when`: unknown name 'success', did you mean the text 'success', in quotes?"),
        ('params.chanel == "beta"', "8: `when`: unknown parameter 'chanel', did you mean 'channel'?"),
        ("has(params.nothing)", "12: `when`: unknown parameter 'nothing'"),
        ('params["chanel"] == "beta"', "8: `when`: unknown parameter 'chanel', did you mean 'channel'?"),
        ('params.channel == "stabel"', "19: `when`: parameter 'channel' is never 'stabel', did you mean 'stable'?"),
        ("env.TOKEN == branch", "5: `when`: 'TOKEN' is a secret; a condition cannot read it"),
        ("commit.fils.size() > 1", "8: `when`: commit has no 'fils', did you mean 'files'?"),
        ("run.outputs.x == branch", "5: `when`: run has no 'outputs', only 'outcome'"),
        ('stages["build"].outcom == branch', "17: `when`: a stage has no 'outcom', did you mean 'outcome'?"),
        ('stages["bild"].outcome == branch', "8: `when`: unknown stage 'bild', did you mean 'build'?"),
        ("stages.bild.outcome == branch", "8: `when`: unknown stage 'bild', did you mean 'build'?"),
        (
            'stages["other"].outcome == branch',
            "8: `when`: `it` does not wait for 'other', so its outcome would not be known; add it to `needs`",
        ),
        ('stages["it"].outcome == branch', "8: `when`: stage 'it' asks for itself, before it has run"),
        (
            'stages["unit"].outcome == branch',
            "8: `when`: 'unit' is a matrix; name one of its cells, as in stages[\"unit[n=1]\"]",
        ),
        ('stages["checks"].outcome == branch', "8: `when`: 'checks' is a group; name one of its stages"),
        (
            "stages[branch].outcome == branch",
            '8: `when`: stages[…] takes the name of a stage as text, as in stages["build"]',
        ),
        ('stages.exists(s, s == "x")', '1: `when`: a stage is named, as in stages["build"].outcome'),
        (
            'stages["build"].outcome == "succes"',
            "28: `when`: no outcome is 'succes', did you mean 'success'?",
        ),
        ("branch", "1: `when`: a condition is true or false, this is text"),
        ("1", "1: `when`: a condition is true or false, this is a whole number"),
        ("commit.files", "1: `when`: a condition is true or false, this is a list"),
        ("!branch", "2: `when`: `!` needs true or false, this is text"),
        ("branch && true", "1: `when`: `&&` needs true or false, this is text"),
        (
            "params.target == 3",
            "1: `when`: `==` compares text with a whole number; write the number in quotes, or int(…) around the text",
        ),
        ("params.target == true", "1: `when`: `==` compares text with true or false; write 'true' or 'false' in quo"),
        ("branch - branch == branch", "1: `when`: `-` does not work with text"),
        ("1 / 0 == 1", "5: `when`: division by zero"),
        ("branch.matches(\"(\")", "16: `when`: bad pattern: missing ): ("),
        ("branch.startswith(event)", "8: `when`: unknown function 'startswith()', did you mean 'startsWith'?"),
        ("len(branch) == 1", "1: `when`: unknown function 'len()', there are"),
        ("branch.size == 1", "8: `when`: text has no 'size', did you mean 'size()'?"),
        ("commit.files.contains(branch)", "14: `when`: `contains` is for text, this is a list, did you mean 'exists'?"),
        ("branch in commit.message", "11: `when`: `in` looks into a list or mapping, this is text"),
        ("commit.files.exists(f)", "14: `when`: `exists` takes a name and a condition, as in exists(f, f != '')"),
        ("commit.files.exists(f, f)", "24: `when`: `exists` takes a condition, this is text"),
        ("commit.files.all(f, f == 1)", "21: `when`: `==` compares text with a whole number"),
        ("has(branch)", "1: `when`: `has` takes a field, as in has(env.CI)"),
        ("99999999999999999999 == 1", "1: `when`: 99999999999999999999 is out of range"),
        (".branch == branch", "1: `when`: messages and names with a leading dot have no meaning here"),
        ("branch = event", "8: `when`: unexpected '=', did you mean '=='?"),
        ("branch ==", "10: `when`: the expression ends too early; something is missing here"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_at_its_column(when: str, said: str, tmp_path: Path) -> None:
    first, *_ = wrong(when, tmp_path / "stagebook.yaml")
    assert first.startswith(said)


@pytest.mark.parametrize(
    "when",
    [
        "true",
        'branch == "main" && event != "pull_request" && params.channel == "stable" && env.CI == "true"',
        '!commit.message.contains("[skip tests]") && commit.files.exists(f, f.startsWith("src/"))',
        'stages["build"].outcome == "success" && has(stages.build.outputs.version) && run.outcome != "failure"',
        'stages["build"].outputs.size() > 0 && "channel" in params && params[branch] == "x"',
        'int(env.RETRIES) > 3 ? branch.matches("^v[0-9]+$") : commit.sha.size() == 40',
        'commit.files.filter(f, f.endsWith(".md")).size() == commit.files.size()',
        'commit.files.map(f, f + "x")[0] == "x" && [1, 2].exists_one(n, n % 2 == 0)',
    ],
)
def test_what_is_sound_is_not_complained_about(when: str, tmp_path: Path) -> None:
    assert wrong(when, tmp_path / "stagebook.yaml") == []


def test_a_stage_that_is_waited_for_at_a_distance_may_be_asked(tmp_path: Path) -> None:
    when = 'stages["build"].outcome == "success"'
    assert wrong(when, tmp_path / "stagebook.yaml", needs='["unit[n=2]"]') == []


STYLES = [
    "when: branch == nix",
    "when: 'branch == nix'",
    'when: "branch == nix"',
    "when: 'branch != '''' && branch == nix'",
    'when: "\\x62ranch != \\"\\" && branch == nix"',
    'when: "\\u0062ranch == nix"',
    "when: | # why\n      branch ==\n\n        nix",
    "when: |2\n      branch == nix\n",
    "when: >-\n      branch ==\n      nix",
    "when: 'branch\n      ==\n        nix'",
    "when:\n      branch ==\n      nix",
]


@pytest.mark.parametrize("style", STYLES)
def test_the_place_is_right_however_the_text_is_quoted(style: str, tmp_path: Path) -> None:
    text = f"stages:\n  it:\n    run: x\n    {style}\n"
    at = text.rindex("nix")
    line, col = text.count("\n", 0, at) + 1, at - text.rindex("\n", 0, at)
    (said,) = found(text, tmp_path / "stagebook.yaml")
    assert said.startswith(f"{line}:{col}: `when`: unknown name 'nix'")


def test_without_the_file_the_place_is_counted() -> None:
    made = pipeline("stages:\n  it: {run: x, when: branch == nix}\n")
    assert [(each.line, each.col) for each in problems(made)] == [(2, 32)]


def test_rules_of_a_policy_know_no_outcomes(tmp_path: Path) -> None:
    text = "policy: [{when: \"run.outcome == 'skip'\", use: strict}, {when: brunch == 'x', use: lenient}]\n"
    text += "stages: {a: x}\n"
    assert found(text, tmp_path / "stagebook.yaml") == [
        "1:18: `when`: `run` is not known before the run begins",
        "1:63: `when`: unknown name 'brunch', did you mean 'branch'?",
    ]


@pytest.mark.parametrize("glob", ["/src/**", "!src/x", "src\\\\x", "/", "x" * 5000])
def test_a_glob_that_cannot_be_meant_is_refused(glob: str, tmp_path: Path) -> None:
    (said,) = found(f'stages:\n  it: {{run: x, changed: ["src/**", "{glob}"]}}\n', tmp_path / "stagebook.yaml")
    assert said.startswith("2:3: `changed`: ")


def test_all_mistakes_are_told_at_once_each_once(tmp_path: Path) -> None:
    text = 'stages:\n  it: {run: x, when: "foo && bar", matrix: {n: ["1", "2", "3"]}}\n'
    assert [each.partition(", there")[0] for each in found(text, tmp_path / "stagebook.yaml")] == [
        "2:23: `when`: unknown name 'foo'",
        "2:30: `when`: unknown name 'bar'",
    ]


def test_many_stages_with_one_condition_are_checked_soon(tmp_path: Path) -> None:
    import time

    stages = "".join(f'  - s{n}: {{run: x, when: \'stages["s0"].outcome == "success"\'}}\n' for n in range(1, 2000))
    made = pipeline(f"stages:\n  - s0: x\n{stages}", tmp_path / "stagebook.yaml")
    began = time.process_time()
    assert problems(made) == []
    assert time.process_time() - began < 5


def test_a_pipeline_without_conditions_has_none() -> None:
    assert not has_conditions(pipeline("stages: {a: x}\n"))
    assert has_conditions(pipeline("stages: {a: {run: x, changed: x}}\n"))
    assert has_conditions(pipeline("policy: [{use: lenient}]\nstages: {a: x}\n"))
