"""Steps of a job: what passes between them, and which could be a job of their own."""

from __future__ import annotations

import pytest

from stagebook.graph import steps
from stagebook.graph.shape import shape
from stagebook.model.job import Job, JobStep
from stagebook.model.pipeline import Matrix, Pipeline, Stage

CHECKOUT = JobStep("checkout", 3, 3, "uses", "actions/checkout@v4", is_setup=True)


def run(text: str, **of: object) -> JobStep:
    return JobStep(text, 9, 9, "run", text)._replace(**of)


def made(*some: JobStep, cells: int = 1) -> Pipeline:
    stages = tuple(
        Stage(f"a[x={n}]" if cells > 1 else "a", "a", 1, 1, "job", job=Job("github", "a", some)) for n in range(cells)
    )
    matrices = {"a": Matrix(tuple(stage.id for stage in stages))} if cells > 1 else {}
    return Pipeline("p", "/p", "github", "", stages, matrices=matrices)


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (run("x", id="v"), run("echo ${{ steps.v.outputs.name }}"), "value"),
        (run("x"), run("y", condition="steps.v.outcome == 'failure'"), None),
        (run("x", id="v"), run("y", condition="steps.v.outcome == 'failure'"), "value"),
        (run('echo "TAG=1" >> "$GITHUB_ENV"'), run("push $TAG"), "value"),
        (run('echo "TAG=1" >> $GITHUB_ENV'), run("push ${{ env.TAG }}"), "value"),
        (run('echo "TAG=1" >> $GITHUB_ENV'), run("push $TAGS"), None),
        (run("make > out/log.txt"), run("cat out/log.txt"), "file"),
        (run("make"), run("ls"), None),
        (CHECKOUT, run("ls"), "setup"),
    ],
)
def test_what_passes_between_steps(first: JobStep, second: JobStep, kind: str | None) -> None:
    found = steps.links(Job("github", "a", (first, second)))
    assert [(each.need, each.step, each.kind) for each in found] == ([] if kind is None else [(0, 1, kind)])


@pytest.mark.parametrize(
    ("some", "moved"),
    [
        ((CHECKOUT, run("ruff check"), run("pytest")), [1]),
        ((CHECKOUT, run("uv run mypy src\nuv run ruff check"), run("pytest")), [1]),
        ((CHECKOUT, run("ruff check"), run("make"), run("./t")), [1]),
        ((CHECKOUT, run("ruff check"), run("mypy")), [1]),
        ((CHECKOUT, run("ruff check")), []),
        ((CHECKOUT, run("pytest"), run("make")), []),
        ((CHECKOUT, run("ruff check --fix"), run("pytest")), []),
        ((CHECKOUT, run("ruff check", id="r"), run("echo ${{ steps.r.outcome }}; pytest")), []),
        ((CHECKOUT, run("ruff check", condition="matrix.x == 1"), run("pytest")), []),
        ((CHECKOUT, run("make && ruff check\n./other"), run("pytest")), []),
    ],
)
def test_checks_that_could_be_a_job(some: tuple[JobStep, ...], moved: list[int]) -> None:
    assert steps.movable(Job("github", "a", some))[0] == moved


def test_what_it_saves_and_costs() -> None:
    pipeline = made(CHECKOUT, run("ruff check"), run("pytest"))
    (one,) = steps.findings(pipeline, {"a": [10_000, 60_000, 100_000]})
    assert (one.saves_ms, one.costs_ms, one.minor, one.line) == (60_000, 10_000, False, 9)
    assert "step 2 of a (`ruff check`) only checks" in one.message
    assert list(steps.findings(pipeline, {"a": [59_000, 3_000, 100_000]})) == []
    (unknown,) = steps.findings(pipeline)
    assert (unknown.saves_ms, unknown.minor) == (None, True)


def test_what_is_not_on_the_longest_path_saves_nothing() -> None:
    one, other = made(CHECKOUT, run("ruff check"), run("pytest")).stages[0], Stage("b", "b", 1, 1, "job")
    pipeline = Pipeline("p", "/p", "github", "", (one, other))
    took = [170_000.0, 150_000.0]
    (found,) = steps.findings(pipeline, {"a": [10_000, 60_000, 100_000]}, took, shape([[], []], took))
    assert (found.saves_ms, found.minor) == (20_000, False)
    took = [170_000.0, 200_000.0]
    (found,) = steps.findings(pipeline, {"a": [10_000, 60_000, 100_000]}, took, shape([[], []], took))
    assert (found.saves_ms, found.minor) == (0, True)


def test_in_a_matrix_it_is_done_in_each_cell() -> None:
    (one,) = steps.findings(made(CHECKOUT, run("ruff check"), run("pytest"), cells=3))
    assert "in each of 3 cells" in one.message
    assert not one.minor
    times = {f"a[x={n}]": [50_000.0, 20_000.0, 100_000.0] for n in range(3)}
    (timed,) = steps.findings(made(CHECKOUT, run("ruff check"), run("pytest"), cells=3), times)
    assert (timed.saves_ms, timed.costs_ms) == (20_000, 10_000)  # a set-up more, and a check instead of three


@pytest.mark.parametrize(
    ("name", "cells", "is_told"),
    [
        ("Run linting checks", 3, True),
        ("scripts/lint", 3, True),
        ("Run linting checks", 1, False),
        ("Splinter", 3, False),
        ("Check", 3, False),
        ("Smoke test lint-imports", 3, False),
    ],
)
def test_a_check_that_each_cell_repeats(name: str, cells: int, is_told: bool) -> None:
    lint = run("scripts/check", line=7)._replace(name=name)
    found = list(steps.findings(made(CHECKOUT, lint, run("scripts/test"), cells=cells)))
    assert [(each.code, each.level, each.line) for each in found] == (
        [("repeated-check", "note", 7)] if is_told else []
    )
    once = lint._replace(condition="matrix.x == 1")
    assert list(steps.findings(made(CHECKOUT, once, run("scripts/test"), cells=cells))) == []
