"""Workflows that mean harm, or are broken in ways that nobody writes by hand: clean errors with lines, soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.formats.github.read import parse
from stagebook.formats.request import NOTHING

HEAD = "on: push\njobs:\n"
STEPS = "runs-on: x, steps: [{run: x}]"
MANY = ", ".join(f"x{number}: [1, 2]" for number in range(20))
LONG = ", ".join(f"{{x: {number % 250}, z: {number}}}" for number in range(4000))
BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (HEAD + f"  a: {{{STEPS}, strategy: {{matrix: {{{MANY}}}}}}}\n", "limit"),
        (HEAD + f"  a: {{{STEPS}, strategy: {{matrix: {{x: {list(range(300))}}}}}}}\n", "limit"),
        (HEAD + f"  a: {{{STEPS}, if: '" + "(" * 5000 + "'}\n", "expression"),
        (HEAD + f"  a: {{{STEPS}, if: '" + "!" * 30000 + "true'}\n", "expression"),
        (HEAD + f"  a: {{{STEPS}, name: \"${{{{ " + "a." * 9000 + "b }}\"}\n", "expression"),
        (HEAD + '  "a\\e[31mb": {' + STEPS + "}\n", "name"),
        (HEAD + '  "a\\nb": {' + STEPS + "}\n", "name"),
        (HEAD + "  ? [a]\n  : {" + STEPS + "}\n", "key"),
        (HEAD + f"  a: {{{STEPS}}}\n  a: {{{STEPS}}}\n", "duplicate-key"),
        (HEAD + "".join(f"  j{n}: {{{STEPS}, needs: j{(n + 1) % 3000}}}\n" for n in range(3000)), "cycle"),
        (HEAD + f"  a: {{{STEPS}, strategy: {{matrix: {{x: {list(range(250))}, include: [{LONG}]}}}}}}\n", "limit"),
        (HEAD + f"  a: {{{STEPS}, strategy: {{matrix: {{x: {list(range(250))}, exclude: [{LONG}]}}}}}}\n", "limit"),
        (BOMB, "limit"),
        ("on: push\njobs: [", "yaml"),
        ("on: push\njobs: 5\n", "type"),
        ("on: push\njobs: {a: 5}\n", "type"),
        ("on: push\njobs: {a: {runs-on: x, steps: {run: x}}}\n", "type"),
        ("\x00", "control-character"),
        ("on: push\n---\njobs: {}\n", "documents"),
    ],
)  # fmt: skip
def test_it_is_refused_soon_and_in_words_that_can_be_shown(text: str, code: str) -> None:
    began = time.perf_counter()
    pipeline, problems = parse(text.encode(), "/nowhere/ci.yml", NOTHING)
    assert time.perf_counter() - began < 5
    assert pipeline is None
    assert code in {each.code for each in problems}
    assert all(each.message.isprintable() and len(each.message) < 500 for each in problems)
    assert len(problems) < 600


def test_a_file_that_is_too_large_is_refused_at_once() -> None:
    text = HEAD + "  a:\n    runs-on: x\n    steps:\n" + "".join(f"    - run: echo {n}\n" for n in range(150_000))
    began = time.process_time()
    pipeline, problems = parse(text.encode(), "/nowhere/ci.yml", NOTHING)
    assert time.process_time() - began < 0.5
    assert pipeline is None and [each.code for each in problems] == ["limit"] and "2 MiB" in problems[0].message


def test_a_number_of_thousands_of_digits_is_read() -> None:
    text = HEAD + f"  a: {{{STEPS}, timeout-minutes: 0x{'1' * 5000}}}\n"
    assert parse(text.encode(), "/nowhere/ci.yml", NOTHING)[0] is not None


def test_names_that_are_shown_are_harmless() -> None:
    text = HEAD + f'  a: {{{STEPS}, name: "x\\e[31m\\u202e\\ny", concurrency: "g\\r", runs-on: "\\a"}}\n'.replace(
        "runs-on: x, ", ""
    )
    pipeline, _ = parse(text.encode(), "/nowhere/ci.yml", NOTHING)
    assert pipeline is not None
    job = pipeline.stages[0].job
    assert job is not None
    assert all(each.isprintable() for each in (job.title, job.runner, *pipeline.stages[0].locks))


def test_files_beside_the_repository_are_not_read(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / ".github/workflows").mkdir(parents=True)
    (root / ".git").mkdir()
    outside = "on: workflow_call\njobs: {x: {runs-on: x, steps: [{run: x}]}}\n"
    (tmp_path / "outside.yml").write_text(outside)
    (root / "link.yml").symlink_to(tmp_path / "outside.yml")
    (tmp_path / "action.yml").write_text("runs: {using: composite, steps: [{run: stolen}]}\n")
    text = HEAD + "  a: {uses: ./../outside.yml}\n  b: {uses: ./link.yml}\n"
    pipeline, _ = parse(text.encode(), str(root / ".github/workflows/ci.yml"), NOTHING)
    assert pipeline is not None
    assert [each.id for each in pipeline.stages] == ["a", "b"]
    assert not pipeline.files
    assert [each.line for each in pipeline.missing] == [3, 4]


def test_an_action_must_lie_in_its_repository(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "inside").mkdir()
    (root / "file").mkdir()
    (tmp_path / "action.yml").write_text("runs: {using: composite, steps: [{shell: sh, run: stolen}]}\n")
    (root / "link").symlink_to(tmp_path)
    (root / "near").symlink_to("inside")
    (root / "file/action.yml").symlink_to(tmp_path / "action.yml")
    uses = ["./../", "./../../outact", "./link", "./near", "./file", "./inside", "$/../"]
    steps = "\n".join(f"      - uses: {each}" for each in uses)
    text = HEAD + f"  a:\n    runs-on: x\n    steps:\n{steps}\n"
    pipeline, problems = parse(text.encode(), str(root / "ci.yml"), NOTHING)
    assert pipeline is None
    found = [each.line for each in problems if "leads out of the repository" in each.message]
    assert found == [6, 7, 8, 10, 12]


_scalars = st.sampled_from(["x", "", "1", "true", "null", "${{ github.ref }}", "${{ matrix.x }}", "${{", "push", "./a"])
_keys = st.sampled_from(
    ["on", "jobs", "name", "needs", "if", "steps", "run", "uses", "with", "strategy", "matrix", "include", "exclude",
     "env", "outputs", "services", "container", "concurrency", "group", "parallel", "wait", "push", "schedule", "cron",
     "workflow_call", "inputs", "a", "b", "runs-on", "permissions", "defaults", "secrets", "environment"]
)  # fmt: skip
_trees = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4), max_leaves=20
)


@settings(max_examples=120, deadline=None)
@given(on=_trees, first=_trees, second=_trees, rest=st.dictionaries(_keys, _trees, max_size=2))
def test_whatever_stands_where_ends_in_a_pipeline_or_in_problems(
    on: object, first: object, second: object, rest: dict[str, object]
) -> None:
    import json

    text = json.dumps({"on": on, "jobs": {"a": first, "b": {"runs-on": "x", "steps": second, **rest}}, **rest})
    pipeline, problems = parse(text.encode(), "/nowhere/ci.yml", NOTHING)
    assert pipeline is not None or any(each.level == "error" for each in problems)
    assert all(each.line >= 0 and each.message for each in problems)
