"""Conditions in the words of CI systems: what they make of a job, before anything has run and after its needs."""

from __future__ import annotations

from typing import Any, Mapping

import pytest

from stagebook.condition.court import Court, Verdict
from stagebook.condition.expression import problems
from stagebook.condition.facts import Facts, wanted
from stagebook.model.job import Job
from stagebook.model.pipeline import Condition, Pipeline, Stage

CONTEXT = {"github": {"ref": "refs/heads/dev", "event_name": "push"}, "inputs": {}, "vars": {"MODE": "fast"}}


def job(
    name: str, needs: str = "", when: str | None = None, *, language: str = "github",
    spec: dict[str, Any] | None = None,
    allow_failure: bool = False,
) -> Stage:  # fmt: skip
    ids = tuple(needs.split())
    spec = {"needs": {each: {"stages": [each]} for each in ids}} if spec is None else spec
    condition = None if when is None else Condition(when, 3, 5, language)
    return Stage(
        name, name, 1, 1, "job", needs=ids, when=condition, job=Job(language, name, spec=spec),
        allow_failure=allow_failure,
    )  # fmt: skip


def court(*stages: Stage) -> Court:
    return Court(Pipeline("ci", "/x/ci.yml", "github", "0", stages, context=CONTEXT), Facts())


def judge(
    when: str, outcomes: Mapping[str, str], outputs: Mapping[str, Mapping[str, str]] | None = None,
    run_outcome: str = "success", needs: str = "build test",
) -> str:  # fmt: skip
    """Of a job that needs `build` and `test`, where `test` needs `lint` too."""
    stages = (job("lint"), job("build"), job("test", "lint"), job("it", needs, when))
    found = court(*stages).verdict(3, outcomes.get, lambda name: (outputs or {}).get(name, {}), run_outcome)
    return found.verdict


WELL = {"lint": "success", "build": "success", "test": "success"}


@pytest.mark.parametrize(
    ("when", "change", "verdict"),
    [
        ("github.ref == 'refs/heads/dev'", {}, "run"),
        ("github.ref == 'refs/heads/main'", {}, "skip"),
        ("vars.MODE == 'FAST'", {}, "run"),
        ("success()", {}, "run"),
        ("success()", {"build": "skip"}, "skip"),
        ("success()", {"lint": "skip"}, "skip"),
        ("github.event_name == 'push'", {"lint": "skip"}, "skip"),
        ("!cancelled()", {"build": "failure", "test": "skip"}, "run"),
        ("failure()", {"build": "failure"}, "run"),
        ("failure()", {"lint": "failure", "test": "skip"}, "run"),
        ("failure()", {"build": "skip"}, "skip"),
        ("failure()", {}, "skip"),
        ("always()", {"build": "error"}, "run"),
        ("always() && needs.build.result == 'failure'", {"build": "error"}, "run"),
        ("needs.build.result == 'cancelled'", {"build": "timeout"}, "skip"),
        ("always() && needs.build.result == 'cancelled'", {"build": "timeout"}, "run"),
        ("always() && contains(needs.*.result, 'skipped')", {"test": "skip"}, "run"),
        ("always() && needs.lint.result == 'success'", {}, "skip"),
        ("${{ !cancelled() }}", {}, "run"),
    ],
)
def test_an_if_of_github_is_judged_by_the_results_of_all_that_came_before(
    when: str, change: Mapping[str, str], verdict: str
) -> None:
    assert judge(when, {**WELL, **change}) == verdict


def test_outputs_of_needs_decide() -> None:
    assert judge("needs.build.outputs.go == 'yes'", WELL, {"build": {"go": "yes"}}) == "run"
    assert judge("needs.build.outputs.go == 'yes'", WELL, {"build": {"go": "no"}}) == "skip"
    assert judge("fromJSON(needs.build.outputs.go)", WELL, {"build": {"go": "no JSON"}}) == "error"


def test_a_run_that_is_cancelled_is_so_for_conditions() -> None:
    assert judge("cancelled()", WELL, run_outcome="cancellation") == "run"
    assert judge("success()", WELL, run_outcome="cancellation") == "skip"
    assert judge("cancelled()", WELL) == "skip"


def test_a_job_that_may_fail_is_a_success_to_others() -> None:
    stages = (job("build", allow_failure=True), job("it", "build", "needs.build.result == 'success'"))
    assert court(*stages).verdict(1, {"build": "failure"}.get, lambda name: {}, "success") == Verdict("run")


def test_cells_of_a_matrix_are_one_need() -> None:
    spec = {"needs": {"build": {"stages": ["build[os=a]", "build[os=b]"]}}}
    stages = (
        job("build[os=a]"),
        job("build[os=b]"),
        job("it", "", "always() && needs.build.result == 'failure'", spec=spec),
    )
    outcomes = {"build[os=a]": "success", "build[os=b]": "failure"}
    assert court(*stages).verdict(2, outcomes.get, lambda name: {}, "success").verdict == "run"
    spec = {**spec, "needs": {"build": {**spec["needs"]["build"]}}}
    stages = (*stages[:2], job("it", "", "needs.build.outputs.x == 'b' && needs.build.outputs.y == 'a'", spec=spec))
    outputs = {"build[os=a]": {"x": "a", "y": "a"}, "build[os=b]": {"x": "b", "y": ""}}
    both = dict.fromkeys(outcomes, "success")
    assert court(*stages).verdict(2, both.get, lambda name: outputs[name], "success").verdict == "run"


def test_the_if_of_a_call_is_judged_before_that_of_the_called_job() -> None:
    call = {"if": "github.ref == 'refs/heads/main'", "needs": {}, "with": {"x": "${{ github.ref }}"}}
    inner = {"needs": {}, "call": call}
    assert court(job("it", "", "always()", spec=inner)).verdict(0, {}.get, lambda name: {}, "success").verdict == "skip"
    passed = {"needs": {}, "call": {**call, "if": "always()"}}
    stages = (job("it", "", "inputs.x == github.ref", spec=passed),)
    assert court(*stages).verdict(0, {}.get, lambda name: {}, "success").verdict == "run"


def test_what_is_known_before_a_run_is_foreseen() -> None:
    found = court(
        job("off", "", "github.ref == 'refs/heads/main'"),
        job("after", "off", "success()"),
        job("later", "off build", "needs.build.outputs.x == 'y'"),
        job("build"),
        job("open", "build", "needs.build.outputs.x == 'y'"),
        job("any", "build", "always()"),
        job("both", "off", "success() && (vars.MODE == 'slow')"),
    )
    assert found.foresee(0) == Verdict("skip", "if: github.ref == 'refs/heads/main'")
    assert found.foresee(1) == Verdict("skip", "if: success(): off was skipped"), "what it needs is left out"
    assert found.foresee(2) == Verdict("skip", "if: needs.build.outputs.x == 'y': off was skipped")
    assert found.foresee(6) == Verdict("skip", "if: vars.MODE == 'slow': off was skipped"), "as its file has it"
    assert found.foresee(4) is None
    assert found.foresee(5) == Verdict("run")
    assert found.explain(0) == "skipped: if: github.ref == 'refs/heads/main': github.ref is 'refs/heads/dev'"
    assert "decided" in found.explain(4)


def test_a_long_chain_is_foreseen_without_end() -> None:
    stages = [job("s0", "", "github.ref == 'x'")]
    stages += [job(f"s{place}", f"s{place - 1}", "success()") for place in range(1, 300)]
    assert court(*stages).foresee(299) == Verdict("skip", "if: success(): s298 was skipped")


def test_a_mistake_is_a_verdict_and_cel_never_sees_it() -> None:
    wrong = Pipeline("ci", "/x/ci.yml", "github", "0", (job("it", "", "github.ref = 'x'"),))
    assert Court(wrong, Facts()).verdict(0, {}.get, lambda name: {}, "success").verdict == "error"
    assert problems(wrong) == []
    assert wanted(wrong) == frozenset()


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ({"a": "success", "b": "success"}, "skip"),
        ({"a": "failure", "b": "skip"}, "run"),
        ({"a": "success", "b": "timeout"}, "run"),
    ],
)
def test_on_failure_of_gitlab_asks_all_before_it(outcomes: Mapping[str, str], verdict: str) -> None:
    stages = (job("a", spec={}), job("b", "a", spec={}), job("it", "b", "on_failure", language="gitlab", spec={}))
    assert court(*stages).verdict(2, outcomes.get, lambda name: {}, "success").verdict == verdict
    assert court(*stages).foresee(2) is None


def test_on_failure_does_not_count_what_may_fail() -> None:
    stages = (job("a", spec={}, allow_failure=True), job("it", "a", "on_failure", language="gitlab", spec={}))
    assert court(*stages).verdict(1, {"a": "failure"}.get, lambda name: {}, "success").verdict == "skip"
