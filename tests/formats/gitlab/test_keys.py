"""Keys: which there are, how much each means here, and what a job's runner is given."""

from __future__ import annotations

import pytest
from tests.formats.gitlab.reading import Project, spec

from stagebook.formats.gitlab.drafts import milliseconds
from stagebook.model.job import GRADES
from stagebook.model.pipeline import Retry


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: {script: x, skript: y}", 1, "job a contains an unknown key: skript"),
        ("a: {stage: test}", 1, "job a has neither `script` nor `run` nor `trigger`"),
        ("a: {script: x, trigger: y}", 1, "job a has script and trigger, which exclude each other"),
        ("a:\n", 1, "job a is empty"),
        ("a: x\n", 1, "`a` is neither a keyword nor a job"),
        ("stages: test\na: {script: x}", 1, "`stages` takes a list"),
        ("a:\n  script: {b: c}", 2, "`script` takes text or a list"),
        ("a:\n  script:\n    - echo: x", 3, "a line of `script` is text"),
        ("a: {script: []}", 1, "`script` is empty"),
        ("a: {script: x, when: never}", 1, "`when: never` is none of"),
        ("a: {script: x, when: delayed}", 1, "`when: delayed` takes `start_in`"),
        ("a: {script: x, retry: 3}", 1, "`retry` is 0, 1 or 2"),
        ("a: {script: x, retry: {tries: 1}}", 1, "`retry` has no key `tries`"),
        ("a: {script: x, allow_failure: maybe}", 1, "`allow_failure` is true, false or has `exit_codes`"),
        ("a: {script: x, cache: {paths: x}}", 1, "`cache:paths` takes a list"),
        ("a: {script: x, cache: [{key: {files: []}}]}", 1, "`cache:key:files` takes between 1 and 10 files"),
        ("a: {script: x, artifacts: {when: sometimes}}", 1, "`artifacts:when: sometimes` is none of"),
        ("a: {script: x, variables: [b]}", 1, "`variables` takes a mapping"),
        ("a: {script: x, timeout: soon}", 1, "`timeout: soon` is no duration"),
        ("a: {script: x, needs: b}", 1, "`needs` takes a list or a mapping"),
        ("a: {script: x, needs: [null]}", 1, "an entry of `needs` is empty"),
        ("default: {stage: x}\na: {script: x}", 1, "`default` has no key `stage`"),
        ("workflow: {when: x}\na: {script: x}", 1, "`workflow` has no key `when`"),
        ("include: {local: a.yml, remote: b}\na: {script: x}", 1, "takes exactly one of"),
        ("include: {locale: a.yml}\na: {script: x}", 1, "include: unknown key `locale`"),
        ("a: {script: x, environment: {name: e, on_stop: b}}", 1, "`on_stop` names b, which does not exist"),
        ("a: {script: x, environment: {name: e, on_stop: b}}\nb: {script: x}", 1, "which has no environment"),
        (
            "a: {script: x, environment: {name: e, on_stop: b}}\nb: {script: x, environment: {name: e}}",
            1,
            "does not have `action: stop`",
        ),
        (
            "a: {script: x, environment: {name: e, on_stop: b}}\nb: {script: x, environment: {name: f, action: stop}}",
            1,
            "has another environment",
        ),
        (".a: {script: x}", 1, "the file has no job"),
        ("", 0, "the file holds no pipeline"),
        ("- a", 1, "a pipeline file is a mapping"),
        ("a: [", 2, "not valid YAML"),
    ],
)
def test_what_gitlab_refuses(project: Project, text: str, line: int, said: str) -> None:
    assert any(at == line and said in message for at, message in project.errors(text)), project.errors(text)


def test_a_reason_to_try_again_that_is_not_known_is_a_warning(project: Project) -> None:
    text = "a: {script: x, retry: {max: 1, when: [bad_luck, script_failure]}}"
    assert [said for _, said in project.said(text, "warning")] == [
        "job a: `retry:when` knows no bad_luck, as far as is known here"
    ]


@pytest.mark.parametrize(
    ("retry", "made"),
    [
        ("2", Retry(3)),
        ("{max: 1, when: script_failure}", Retry(2)),
        ("{max: 1, when: [runner_system_failure, always]}", Retry(2)),
        ("{max: 1, when: runner_system_failure}", Retry()),
        ("{max: 2, when: job_execution_timeout}", Retry(3, only=("timeout",))),
        ("{max: 2, exit_codes: [7, 8]}", Retry(3, only=("exit 7", "exit 8"))),
        ("0", Retry()),
    ],
)
def test_retries(project: Project, retry: str, made: Retry) -> None:
    assert project.stages(f"a: {{script: x, retry: {retry}}}")["a"].retry == made


def test_all_errors_at_once(project: Project) -> None:
    errors = project.errors("a: {scrpt: x}\nb: {script: x, stage: y}\nc: {script: x, needs: [d]}")
    assert [line for line, _ in errors] == [1, 1, 2, 3]


def test_every_key_has_a_grade(project: Project) -> None:
    pipeline = project.pipeline("""
        stages: [test]
        default: {tags: [x]}
        variables: {A: {value: b, description: c}}
        .base: {script: x}
        job:
          extends: .base
          image: {name: i, entrypoint: [""]}
          rules: [{if: $CI_COMMIT_BRANCH, variables: {B: c}}]
          artifacts: {paths: [p], expire_in: 1 day, reports: {dotenv: e, junit: j}}
          parallel: {matrix: [{OS: [a]}]}
          interruptible: true
    """)
    found = {grade.path: grade for grade in pipeline.grades}
    assert {grade.grade for grade in pipeline.grades} <= set(GRADES)
    assert found["jobs.job.rules[0].if"].key == "jobs.*.rules.if"
    assert found["jobs.job.parallel.matrix[0].OS"].key == "jobs.*.parallel.matrix.*"
    assert found["variables.A"].key == "variables.*"
    assert found["default.tags"].line == 3
    grades = {path: grade.grade for path, grade in found.items()}
    assert grades["jobs.job.extends"] == grades["jobs.job.rules[0].variables.B"] == "exact"
    assert grades["jobs.job.artifacts.reports"] == grades["jobs.job.artifacts.reports.dotenv"] == "exact"
    assert grades["jobs.job.artifacts.reports.junit"] == "server"
    assert grades["jobs.job.image.entrypoint"] == "approximated"
    assert grades["jobs.job.interruptible"] == grades["jobs.job.artifacts.expire_in"] == "server"
    assert all(grade.text for grade in pipeline.grades if grade.grade != "exact")


def test_steps_are_the_lines_of_the_scripts(project: Project) -> None:
    job = project.stages("""
        a:
          before_script:
            - python -m venv v
          script:
            - pip install -r r.txt
            - |
              make
              make test
          after_script: rm -rf v
    """)["a"].job
    assert job is not None
    assert [(step.name, step.line, step.end_line, step.after, step.is_setup) for step in job.steps] == [
        ("python -m venv v", 4, 4, (), True),
        ("pip install -r r.txt", 6, 6, (0,), True),
        ("make", 7, 9, (1,), False),
        ("rm -rf v", 10, 10, (2,), False),
    ]


def test_what_a_runner_is_given(project: Project) -> None:
    stage = project.stages("""
        a:
          script: x
          services: [postgres:16, {name: redis, alias: "cache, store", command: [run], variables: {P: 1}}]
          artifacts: {untracked: yes, when: always, exclude: [tmp/]}
          cache: {key: k, policy: $POLICY, untracked: true, fallback_keys: [f]}
          environment: {name: review/$CI_COMMIT_REF_SLUG, url: https://x, action: prepare}
          release: {tag_name: v1, description: d}
          hooks: {pre_get_sources_script: [echo hi]}
          variables: {GIT_STRATEGY: none}
          retry: {max: 2, when: [stuck_or_timeout_failure], exit_codes: [75]}
          allow_failure: {exit_codes: [3, 4]}
          when: delayed
          start_in: 5 minutes
          tags: [a, b]
          secrets: {TOKEN: {vault: x}}
          id_tokens: {OIDC: {aud: x}}
    """)["a"]
    made = spec(stage)
    assert [each["alias"] for each in made["services"]] == [[], ["cache", "store"]]
    assert made["services"][1]["command"] == ["run"]
    assert made["artifacts"]["untracked"] and made["artifacts"]["exclude"] == ["tmp/"]
    assert (made["cache"][0]["policy"], made["cache"][0]["fallback_keys"]) == ("$POLICY", ["f"])
    assert made["environment"]["action"] == "prepare"
    assert stage.job is not None and stage.job.environment is None  # nothing is deployed there
    assert made["release"] == {"tag_name": "v1", "description": "d"}
    assert (made["pre_get_sources"], made["git_strategy"]) == (["echo hi"], "none")
    assert (made["allow_exit_codes"], stage.allow_failure) == ([3, 4], False)
    assert made["start_in_ms"] == 300_000
    assert stage.retry == Retry(3, only=("exit 75", "timeout"))
    assert stage.secrets == ("TOKEN", "OIDC")
    assert stage.job is not None and stage.job.runner == "a, b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1h 30m", 5_400_000), ("90 minutes", 5_400_000), ("3 hours 30 minutes", 12_600_000), ("1 week", 604_800_000),
        ("45", 45_000), ("2 mos", 5_184_000_000), ("1 hr and 5 secs", 3_605_000), ("soon", None), ("", None),
        (None, None), ("1 hour later", None),
    ],
)  # fmt: skip
def test_durations(text: str | None, said: int | None) -> None:
    assert milliseconds(text) == said
