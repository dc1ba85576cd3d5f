"""Verdicts: what a condition makes of a stage, before and after those that it asks about, and in which words."""

from __future__ import annotations

from typing import Mapping

import pytest
from tests.condition.reading import pipeline

from stagebook.condition.court import Court, Verdict
from stagebook.condition.facts import Facts
from stagebook.condition.policy import choose
from stagebook.model.problem import InputError

FACTS = Facts(
    params={"channel": "beta", "my-name": "x"},
    env={"CI": "true", "TOKEN": "hush", "SHARED": "outside"},
    branch="dev",
    event="push",
    message="Fix it\n\n[skip tests]",
    sha="1" * 40,
    files=("docs/a.md",),
    changed=("docs/a.md", "src/b.py"),
    base="main",
)
HEAD = """\
params: {channel: {default: beta}, my-name: {default: x}}
secrets: [TOKEN]
env: {SHARED: pipeline}
stages:
  build: make
  test: make test
"""


def court(keys: str, facts: Facts = FACTS) -> Court:
    return Court(pipeline(f"{HEAD}  it: {{run: x, needs: [build, test], {keys}}}\n"), facts)


def when(text: str) -> str:
    return f"when: '{text.replace(chr(39), chr(39) * 2)}'"


def judge(
    keys: str, outcomes: Mapping[str, str] | None = None, outputs: Mapping[str, Mapping[str, str]] | None = None,
    facts: Facts = FACTS, run_outcome: str = "success",
) -> Verdict:  # fmt: skip
    known = {"build": "success", "test": "success"} if outcomes is None else outcomes
    return court(keys, facts).verdict(2, known.get, lambda name: (outputs or {}).get(name, {}), run_outcome)


def test_what_holds_runs_and_what_does_not_is_skipped_with_its_text() -> None:
    assert judge(when('branch == "dev"')) == Verdict("run")
    assert judge(when('branch == "main"')) == Verdict("skip", 'when: branch == "main"')


@pytest.mark.parametrize(
    ("text", "outcomes", "verdict"),
    [
        ('stages["build"].outcome == "failure"', {"build": "failure", "test": "skip"}, "run"),
        ('stages["build"].outcome == "failure"', {"build": "success", "test": "skip"}, "skip"),
        ('stages["build"].outputs.version == "2"', None, "run"),
        ('run.outcome == "success"', None, "run"),
        ('env.SHARED == "pipeline" && env.PARAM_MY_NAME == "x" && env.CI == "true"', None, "run"),
        ("has(env.TOKEN)", None, "error"),
        ('"TOKEN" in env', None, "skip"),
        ('!commit.message.contains("[skip tests]")', None, "skip"),
        ('commit.branch == "dev" && commit.sha.size() == 40 && commit.files.size() == 1', None, "run"),
    ],
)
def test_what_it_may_speak_of(text: str, outcomes: Mapping[str, str] | None, verdict: str) -> None:
    assert judge(when(text), outcomes, {"build": {"version": "2"}}).verdict == verdict


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('stages["build"].outputs.version == "2"', "no such key: version"),
        ('env.NIX == "x"', "no such key: NIX"),
        ("env.CI", "a condition is true or false, this is text"),
        ("{'a': 'x'}.a", "the answer is neither true nor false"),
        ("int(env.CI) == 1", "int: the value cannot be converted"),
        ("size(commit.files) / (1 - 1) == 1", "division by zero"),
        ("branch.matches(env.CI + \"(\")", "bad pattern: missing ): true("),
        ('stages["test"].outcome == "success"', "no such key: test"),
    ],
)  # fmt: skip
def test_what_has_no_answer_is_an_error_with_its_reason(text: str, reason: str) -> None:
    assert judge(when(text), {"build": "success"}) == Verdict("error", f"when: {text}: {reason}")


def test_a_condition_that_lint_would_refuse_is_an_error_too() -> None:
    assert judge(when("brunch == 1")).verdict == "error"
    assert judge(when("branch ==")).verdict == "error"


def test_a_reason_is_one_line_of_some_length() -> None:
    reason = judge(f"when: '{'true && ' * 50}\n\n  false'").reason
    assert reason is not None and "\n" not in reason and len(reason) < 220 and reason.endswith("…")


def test_matrix_values_are_in_the_environment() -> None:
    made = Court(pipeline("stages: {a: {run: x, matrix: {n: ['1', '2']}, when: env.MATRIX_N == '2'}}"), FACTS)
    assert [made.foresee(index) for index in (0, 1)] == [Verdict("skip", "when: env.MATRIX_N == '2'"), Verdict("run")]


def test_changed_runs_what_matches_and_skips_the_rest() -> None:
    assert judge("changed: ['docs/**']") == Verdict("run")
    assert judge("changed: [lib/**, '*.toml']") == Verdict("skip", "changed: no file matches lib/**, *.toml since main")
    assert judge(f"changed: ['docs/**'], {when('false')}") == Verdict("skip", "when: false")


def test_where_git_cannot_say_what_changed_the_stage_runs_and_that_is_said() -> None:
    facts = Facts(note="this is not a git repository", unsaid="this is not a git repository")
    assert judge("changed: [lib/**]", facts=facts) == Verdict("run", "changed: this is not a git repository")
    assert judge(f"changed: [lib/**], {when('false')}", facts=facts).verdict == "skip"
    made = court("changed: [lib/**]", facts)
    assert made.warnings() == ("changed: this is not a git repository, so stages with `changed` run",)
    assert made.explain(2) == "runs: changed: this is not a git repository"
    assert court(when("true"), Facts(note="git is not installed")).warnings() == ("git is not installed",)
    assert court(when("true")).warnings() == ()


def test_before_the_first_commit_the_commit_is_empty() -> None:
    facts = Facts(params=FACTS.params, branch="main")
    text = 'commit.message == "" && commit.branch == "" && commit.sha == "" && commit.files == [] && branch == "main"'
    assert judge(when(text), facts=facts) == Verdict("run")


@pytest.mark.parametrize(
    ("keys", "foreseen", "explained"),
    [
        (when('branch == "dev"'), "run", "runs: when: branch == \"dev\": branch is 'dev'"),
        (when('branch == "main"'), "skip", "skipped: when: branch == \"main\": branch is 'dev'"),
        (
            when('params.channel == "x" || size(commit.files) == 0'),
            "skip",
            'skipped: when: params.channel == "x" || size(commit.files) == 0: '
            "params.channel is 'beta', commit.files has 1 file",
        ),
        (when('env.NIX == "x"'), "error", 'error: when: env.NIX == "x": no such key: NIX'),
        (when('stages["build"].outcome == "success"'), None, "decided when build has ended"),
        (
            when('stages["build"].outcome == stages["test"].outcome'), None, "decided when build and test have ended"
        ),
        (when('run.outcome == "success"'), None, "decided when its needs have ended"),
        (when('has(stages["build"].outputs.x)'), None, "decided when build has ended"),
        (when('branch == "main" && stages["build"].outcome == "success"'), "skip",
         'skipped: when: branch == "main" && stages["build"].outcome == "success": branch is \'dev\''),
        (when('branch == "dev" || stages["build"].outcome == "success"'), "run",
         'runs: when: branch == "dev" || stages["build"].outcome == "success": branch is \'dev\''),
        ("changed: ['docs/**']", "run", "runs: changed matches docs/a.md"),
        ("changed: [lib/**]", "skip", "skipped: changed: no file matches lib/** since main"),
        ("priority: 1", "run", ""),
    ],
)  # fmt: skip
def test_what_can_be_told_before_anything_runs(keys: str, foreseen: str | None, explained: str) -> None:
    made = court(keys)
    verdict = made.foresee(2)
    assert (verdict and verdict.verdict) == foreseen
    assert made.explain(2) == explained


RULES = """\
policy:
  - {when: "branch == 'main'", use: strict}
  - {when: "env.STAGE == 'x' && event == 'push'", use: fail-fast}
  - {use: lenient}
stages: {a: x}
"""


def test_the_first_rule_that_holds_is_chosen_and_says_why() -> None:
    made = pipeline(RULES)
    assert choose(made, Facts(branch="main")) == ("strict", "branch == 'main' (line 2): branch is 'main'")
    assert choose(made, Facts(branch="dev", env={"STAGE": "y"})) == ("lenient", "no rule before it holds")
    assert choose(pipeline("stages: {a: x}\n"), Facts()) is None
    assert choose(pipeline("policy: [{when: 'false', use: lenient}]\nstages: {a: x}\n"), Facts()) is None


def test_a_rule_without_an_answer_is_the_users_mistake_with_its_line() -> None:
    with pytest.raises(InputError, match="no such key: STAGE") as refused:
        choose(pipeline(RULES), Facts(branch="dev", event="push", env={}))
    (problem,) = refused.value.problems
    assert (problem.line, problem.col) == (3, 13)
