"""Which jobs are in a pipeline: rules, only and except, workflow, and what the occasion is."""

from __future__ import annotations

import pytest
from tests.formats.gitlab.reading import Project, spec

from stagebook.formats.gitlab.expression import ExpressionError, holds

VARIABLES = {"A": "one", "EMPTY": "", "P": "/^o/", "B": "one", "SLASH": "a/b"}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("$A", True), ("$EMPTY", False), ("$NONE", False), ("$NONE == null", True), ("$EMPTY == null", False),
        ('$EMPTY == ""', True), ("$A == 'one'", True), ("$A != \"one\"", False), ("$A == $B", True),
        ("$A == $NONE", False), ('"one" == $A', True), ("$A =~ /^O/", False), ("$A =~ /^O/i", True),
        ("$A !~ /two/", True), ("$NONE =~ /x/", False), ("$NONE !~ /x/", True), ("$A =~ $P", True),
        ("$A =~ $NONE", False), ("$A =~ $B", False), ("$A !~ $B", False), ("$A =~ $B || $A", False),
        (r"$SLASH =~ /a\/b/", True), ("$A && $NONE", False), ("$A || $NONE", True),
        ("$NONE && $NONE || $A", True), ("$A || $NONE && $NONE", True), ("($A || $NONE) && $NONE", False),
        ('$A == "x" || $B == "one" && $A != "x"', True), ("!$NONE", True), ("!($A)", False), ("  $A\n&& $B ", True),
    ],
)  # fmt: skip
def test_expressions(text: str, verdict: bool) -> None:
    assert holds(text, VARIABLES) is verdict


@pytest.mark.parametrize(
    "text",
    ["", "$A ==", "== $A", "$A $B", "($A", "$A)", "${A}", "$A = 'x'", "$A =~ /(/", "A", "'open", "$A && "],
)
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(ExpressionError):
        holds(text, VARIABLES)


def test_expressions_end() -> None:
    assert not holds("$A =~ /^(a+)+$/", {"A": "a" * 50_000 + "b"})
    for text in ("(" * 4000 + "$A" + ")" * 4000, "!" * 9000 + "$A", "$A || " * 5000 + "$A"):
        with pytest.raises(ExpressionError):
            holds(text, VARIABLES)


RULES = """
    both: {script: x, rules: [{if: $CI_COMMIT_BRANCH}, {if: $CI_COMMIT_TAG}]}
    main: {script: x, rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]}
    merge: {script: x, rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event"}]}
    night: {script: x, rules: [{if: $CI_PIPELINE_SOURCE == "schedule"}]}
    never: {script: x, rules: [{if: $CI_COMMIT_BRANCH, when: never}, {when: on_success}]}
    plain: {script: x}
    only: {script: x, only: [tags, /^feat/]}
    except: {script: x, except: [main]}
    refs: {script: x, only: {refs: [schedules, merge_requests], variables: [$X]}}
"""


@pytest.mark.parametrize(
    ("request_", "jobs"),
    [
        ({}, "both main plain"),
        ({"event": "push", "ref": "feature"}, "both plain only except"),
        ({"event": "merge_request_event"}, "merge never"),
        ({"event": "schedule", "variables": {"X": "1"}}, "both main night plain refs"),
        ({"ref": "refs/tags/v1"}, "both never plain only except"),
        ({"event": "tag_push", "payload": {"ref": "refs/tags/v2"}}, "both never plain only except"),
    ],
)
def test_jobs_by_occasion(project: Project, request_: dict[str, object], jobs: str) -> None:
    assert list(project.stages(RULES, **request_)) == jobs.split()


def test_what_is_left_out_is_named(project: Project) -> None:
    pipeline = project.pipeline(RULES)
    assert pipeline.context["left_out"] == ["merge", "night", "never", "only", "except", "refs"]
    notes = [said for _, said in project.said(RULES, "note")]
    assert "night is not in a pipeline of a push to main; it is in one of a schedule" in notes


def test_variables_that_nobody_sets_are_named(project: Project) -> None:
    text = """
        a: {script: x}
        b: {script: x, rules: [{if: $FULL == "1" && $CI_COMMIT_BRANCH}]}
        c: {script: x, only: {variables: [$FULL]}}
    """
    assert project.said(text, "note") == [
        (3, "2 jobs (b, c) are not in a pipeline of a push to main, nor of any usual one; nothing here sets $FULL "
            "(--var FULL=…)"),
    ]  # fmt: skip
    assert list(project.stages(text, variables={"FULL": "1"})) == ["a", "b", "c"]


def test_two_pipelines_for_one_push(project: Project) -> None:
    text = "a: {script: x, rules: [{if: $A, when: manual}, {when: always}]}\nb: {script: x, rules: [{when: never}]}\n"
    assert [line for line, said in project.said(text, "note") if "makes two pipelines" in said] == [1]
    both = "workflow: {rules: [{if: $CI_COMMIT_BRANCH}]}\n"
    assert not [said for _, said in project.said(both + text, "note") if "two pipelines" in said]


def test_variables_of_the_project_are_stronger_than_those_of_the_file(project: Project) -> None:
    text = 'variables: {A: file}\na: {script: x, variables: {B: job}, rules: [{if: \'$A == "file" && $B == "job"\'}]}\n'
    assert list(project.stages(text)) == ["a"]
    assert project.stages(text, variables={"A": "project"}) == {}
    assert project.stages(text, variables={"B": "project"}) == {}


def test_the_pipeline_is_one_that_has_jobs(project: Project) -> None:
    text = "workflow: {rules: [{if: $CI_PIPELINE_SOURCE == 'merge_request_event'}]}\na: {script: x}\n"
    assert list(project.stages(text)) == ["a"]
    assert project.said(text, "note") == [
        (0, "this is the pipeline of a merge request; choose another with --event, --ref")
    ]
    assert project.stages(text, event="push") == {}
    [(_, said)] = project.said(text, "warning", event="push")
    assert said == "there is no pipeline for a push to main; there is one for a merge request"


def test_a_rule_says_how(project: Project) -> None:
    stages = project.stages("""
        variables: {SHARED: file, OWN: file}
        workflow:
          rules: [{if: $CI_COMMIT_BRANCH, variables: {SHARED: flow, FLOW: "1"}}]
        base: {stage: build, script: x}
        a:
          script: x
          variables: {OWN: job}
          rules:
            - if: $NONE
            - if: $FLOW && $OWN == "job"
              when: always
              allow_failure: true
              variables: {OWN: rule}
              needs: []
    """)
    a = stages["a"]
    assert (a.always, a.allow_failure, a.needs) == (True, True, ())
    assert spec(a)["variables"] == {"SHARED": "flow", "FLOW": "1", "OWN": "rule"}


def test_changes_are_kept_for_when_they_are_known(project: Project) -> None:
    text = """
        some: {script: x, rules: [{changes: ["src/**/*.{c,h}", /docs/*]}]}
        any: {script: x, rules: [{changes: [src/*], variables: {V: "1"}}, {when: on_success}]}
        old: {script: x, only: {changes: [Makefile]}}
    """
    stages = project.stages(text)
    assert stages["some"].changed == ("src/**/*.c", "src/**/*.h", "docs/*")
    assert stages["any"].changed == ()
    assert stages["old"].changed == ("Makefile",)
    told = project.stages(text, event="push", payload={"commits": [{"added": ["src/a/b.c"], "modified": []}]})
    assert {name: each.changed for name, each in told.items()} == {"some": (), "any": ()}


def test_exists_looks_into_the_project(project: Project) -> None:
    project.write({"src/deep/a.go": "", "Dockerfile": ""})
    stages = project.stages("""
        go: {script: x, rules: [{exists: ["**/*.go"]}]}
        docker: {script: x, rules: [{exists: [$NAME]}], variables: {NAME: Dockerfile}}
        none: {script: x, rules: [{exists: ["*.go", ../shop/Dockerfile2]}]}
    """)
    assert set(stages) == {"go", "docker"}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("[]", "`rules` is empty"),
        ("[{if: $A ==}]", "rules:if: it ends where a value is expected"),
        ("[{if: ${A}}]", "without braces"),
        ("[{iff: $A}]", "a rule has no key `iff`"),
        ("[{when: sometimes}]", "is none of on_success"),
        ("x", "`rules` takes a list"),
        ("[x]", "a rule is a mapping"),
    ],
)
def test_wrong_rules(project: Project, rules: str, said: str) -> None:
    errors = project.errors(f"a:\n  script: x\n  rules: {rules}\n".replace("${A}", "'${A}'"))
    assert len(errors) == 1
    assert errors[0][0] == 3
    assert said in errors[0][1]


def test_rules_do_not_go_with_only(project: Project) -> None:
    [(line, said)] = project.errors("a:\n  script: x\n  rules: [{when: always}]\n  only: [main]\n")
    assert (line, "`rules`, which cannot go with `only`" in said) == (4, True)


def test_what_a_webhook_tells(project: Project) -> None:
    text = """
        skip: {script: x, rules: [{if: $CI_COMMIT_MESSAGE =~ /skip/, when: never}, {when: always}]}
        title: {script: x, rules: [{if: $CI_COMMIT_TITLE == "Mend it"}]}
        next: {script: x, rules: [{if: $CI_MERGE_REQUEST_TARGET_BRANCH_NAME == "next"}]}
        label: {script: x, rules: [{if: "$CI_MERGE_REQUEST_LABELS =~ /big/"}]}
    """
    push = {"ref": "refs/heads/topic", "commits": [{"message": "Mend it\n\nskip"}], "before": None}
    assert list(project.stages(text, event="push", payload=push)) == ["title"]
    merge = {
        "object_attributes": {"source_branch": "t", "target_branch": "next", "iid": 7, "labels": [{"title": "big"}]}
    }
    pipeline = project.pipeline(text, event="merge_request", payload=merge)
    assert [stage.id for stage in pipeline.stages] == ["skip", "next", "label"]
    assert pipeline.context["predefined"]["CI_MERGE_REQUEST_IID"] == "7"
    odd = {"object_attributes": 3, "commits": [1, {"added": 4}], "ref": 5, "project": [], "labels": "x"}
    assert list(project.stages(text, event="push", payload=odd)) == ["skip"]


def test_events_that_gitlab_has_not(project: Project) -> None:
    [(_, said)] = project.errors("a: {script: x}", event="pull_requests")
    assert said.startswith("event pull_requests is none of GitLab's: ")


def test_branches_of_the_repository(project: Project) -> None:
    git = project.folder / ".git"
    project.write({".git/HEAD": "ref: refs/heads/topic\n", ".git/refs/heads/topic": "a" * 40 + "\n"})
    project.write({".git/refs/remotes/origin/HEAD": "ref: refs/remotes/origin/trunk\n"})
    assert git.is_dir()
    text = "a: {script: x}\nb: {script: x, only: [topic]}\nc: {script: x, only: [trunk]}\n"
    assert list(project.stages(text)) == ["a", "c"]
    assert list(project.stages(text, event="push")) == ["a", "b"]
    assert project.pipeline(text).context["predefined"]["CI_COMMIT_BRANCH"] == "trunk"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("git@gitlab.example.org:acme/tools/shop.git", "acme/tools/shop"),
        ("https://gitlab.example.org/acme/shop", "acme/shop"),
        ("ssh://git@gitlab.example.org:2222/acme/shop.git/", "acme/shop"),
        ("/srv/git/shop.git", "local/shop"),
    ],
)
def test_the_projects_name_is_that_of_its_remote(project: Project, url: str, path: str) -> None:
    config = f'[core]\n\tbare = false\n[remote "fork"]\n\turl = x:y/z\n[remote "origin"]\n\turl = {url}\n'
    project.write({".git/HEAD": "ref: refs/heads/main\n", ".git/config": config})
    text = f"a: {{script: x, rules: [{{if: '$CI_PROJECT_PATH == \"{path}\"'}}]}}"
    assert list(project.stages(text)) == ["a"]


def test_without_a_repository_it_is_the_project_of_which_the_file_speaks(project: Project) -> None:
    text = """
        a: {script: x, rules: [{if: $CI_PROJECT_NAMESPACE == "acme" && $CI_COMMIT_BRANCH == "master"}]}
    """
    assert list(project.stages(text)) == ["a"]
