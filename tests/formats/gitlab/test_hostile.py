"""Files that mean harm: an answer with a line, at once; and the real files, of which none may be too much."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.formats.gitlab.reading import Project

from stagebook.formats.gitlab.read import parse
from stagebook.formats.request import NOTHING

AXES = "".join(f"        A{at}: [{', '.join(map(str, range(10)))}]\n" for at in range(6))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"a:\n  script: x\n  parallel:\n    matrix:\n      -\n{AXES}", 5),
        ("a: {script: " + "[" * 200 + "]" * 200 + "}", 1),
        (".x: " + "[" * 60 + "a" + "]" * 60 + "\n.y: " + "[" * 60 + "!reference [.x]" + "]" * 60
         + "\na: {script: [!reference [.y]]}\n", 2),
        ("a: &a [*b]\n", 1),
        ("a: {script: x, rules: [{if: '" + "!" * 5000 + "$A'}]}", 1),
        ("a: {script: x, rules: [{if: '$CI_COMMIT_BRANCH =~ /((a{1000}){1000}){1000}/'}]}", 1),
        ('"\\x1b[31mred": {script: x}\n', 1),
        ('"two\\nlines": {script: x}\n', 1),
        ("n" * 300 + ": {script: x}\n", 1),
        ("a: !reference [b]\nb: !reference [a]\n", 1),
        ("".join(f"j{at}: {{scrpt: x}}\n" for at in range(1000)), 1),
        ("a: \x00", 1),
        (f"a:\n  script: x\n  allow_failure:\n    exit_codes: {'1' * 5000}\n", 4),
        (f"a:\n  script: x\n  retry:\n    exit_codes: [1, {'1' * 5000}]\n", 4),
        (f"a:\n  script: x\n  retry: {'1' * 5000}\n", 3),
        (f".x: [a]\na:\n  script: [!reference [.x, {'1' * 5000}]]\n", 3),
        ("a: {script: x, retry: \u00b2}", 1),
        ("a: {script: x, allow_failure: {exit_codes: \u00b2}}", 1),
    ],
)  # fmt: skip
def test_an_answer_at_once(project: Project, text: str, line: int) -> None:
    began = time.perf_counter()
    errors = project.errors(text)
    assert time.perf_counter() - began < 2
    assert line in [at for at, _ in errors]
    assert not any(character in said for _, said in errors for character in "\x1b\n\x00")


def test_files_that_include_too_many(project: Project) -> None:
    project.write({f"f{at}.yml": f"include: [f{at + 1}.yml, f{at + 1}.yml]\n" for at in range(15)})
    project.write({"f15.yml": "a: {script: x}\n"})
    assert "more than 150 files" in project.errors("include: f0.yml")[0][1]


def test_many_jobs(project: Project) -> None:
    text = "stages: [a, b]\n" + "".join(f"j{at}: {{stage: {'ab'[at % 2]}, script: x}}\n" for at in range(400))
    assert len(project.pipeline(text).stages) == 400
    edges = "stages: [a, b]\n" + "".join(f"j{at}: {{stage: {'ab'[at % 2]}, script: x}}\n" for at in range(2200))
    assert "more than 1000000 needs" in project.errors(edges)[0][1]


_keys = st.sampled_from(
    ["script", "needs", "rules", "parallel", "extends", "stage", "when", "if", "matrix", "job", "variables",
     "artifacts", "paths", "include", "local", "default", "trigger", "cache", "key", "files", "a", ".b", "retry",
     "environment", "workflow", "spec", "inputs", "services", "image", "name", "allow_failure", "exit_codes", "only",
     "refs"]
)  # fmt: skip
_values = st.recursive(
    st.none()
    | st.integers(-1, 300)
    | st.booleans()
    | st.sampled_from(["x", "$A", "a", ".b", "always", "$[[ inputs.a ]]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_keys, st.dictionaries(_keys, _values, max_size=5) | _values, max_size=5))
def test_any_tree_is_read_or_refused(tree: dict[str, object]) -> None:
    import json

    pipeline, problems = parse(json.dumps(tree).encode(), "/nowhere/.gitlab-ci.yml", NOTHING)
    assert (pipeline is None) == any(each.level == "error" for each in problems)


def test_real_files(shared_data: Path) -> None:
    """None but the one that is no pipeline is refused, and each line of a job is a line of its file."""
    refused = []
    for file in sorted((shared_data / "gitlab").iterdir()):
        pipeline, _ = parse(file.read_bytes(), str(file), NOTHING)
        if pipeline is None:
            refused.append(file.name)
            continue
        text = file.read_text(encoding="utf-8").splitlines()
        for stage in pipeline.stages:
            assert stage.kind == "gate" or stage.name.partition(" ")[0] in text[stage.line - 1]
            assert len(stage.needs) == len(stage.need_lines)
            assert all(0 < line <= len(text) for line in stage.need_lines)
    assert refused == ["GNOME__gnome-shell__gitlab-ci_commit-rules.yml"]
