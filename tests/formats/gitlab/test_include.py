"""Files that a file includes, inputs, and child pipelines."""

from __future__ import annotations

import os

import pytest
from tests.formats.gitlab.reading import Project, spec

from stagebook.formats.gitlab.read import parse
from stagebook.formats.request import Request


def test_local_files_are_merged_under_the_file(project: Project) -> None:
    project.write({
        "ci/base.yml": "include: /ci/more.yml\nlint: {stage: build, script: ruff, tags: [x]}\nvariables: {A: base}\n",
        "ci/more.yml": "docs:\n  script: mkdocs\n",
    })  # fmt: skip
    text = "include:\n- local: ci/base.yml\n\nlint: {script: ruff check}\ntest: {script: pytest}\n"
    pipeline = project.pipeline(text)
    stages = {stage.id: stage for stage in pipeline.stages}
    assert list(stages) == ["docs", "lint", "test"]
    assert (spec(stages["lint"])["script"], spec(stages["lint"])["tags"]) == (["ruff check"], ["x"])
    assert stages["test"].needs == ("lint",)
    assert (stages["docs"].line, stages["lint"].line) == (2, 4)  # of an included job: where it is brought in
    assert {os.path.basename(file) for file in pipeline.files} == {"base.yml", "more.yml"}
    assert all(len(digest) == 32 for digest in pipeline.files.values())


def test_errors_name_the_file_in_which_they_are(project: Project) -> None:
    project.write({"ci/bad.yml": "a: {script: x}\nb: {skript: x}\n", "ci/broken.yml": "a: [\n"})
    _, problems = project.parsed("include: [ci/bad.yml, ci/broken.yml]\nc: {script: x}\n")
    found = {(os.path.basename(each.file), each.line) for each in problems}
    assert found == {("bad.yml", 2), ("broken.yml", 2)}


def test_wildcards(project: Project) -> None:
    project.write({"ci/a.yml": "a: {script: x}", "ci/deep/b.yml": "b: {script: x}", "ci/c.yaml": "c: {script: x}"})
    assert list(project.stages("include: ci/*.yml")) == ["a"]
    assert list(project.stages("include: ci/**.yml")) == ["a", "b"]
    assert list(project.stages("include: 'ci/**/*.yml'")) == ["b"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none.yml", "does not exist"),
        ("./a.yml", "write its path from the project's root on"),
        ("../a.yml", "write its path from the project's root on"),
        ("x/../../a.yml", "write its path from the project's root on"),
        ("a.txt", "ends in .yml"),
        ("link.yml", "does not exist"),
        ("/.gitlab-ci.yml", "includes itself"),
        ("b.yml", "includes itself"),
    ],
)
def test_local_files_that_cannot_be_included(project: Project, path: str, said: str) -> None:
    outside = project.folder.parent / "secret.yml"
    outside.write_text("s: {script: x}")
    (project.folder / "link.yml").symlink_to(outside)
    project.write({"b.yml": "include: b.yml\n", ".gitlab-ci.yml": ""})
    (project.folder / ".git").mkdir()
    found = project.errors(f"a: {{script: x}}\ninclude:\n  - {path}\n")
    assert len(found) == 1
    assert said in found[0][1]


@pytest.mark.parametrize("name", [".gitlab-ci.yml", "theirs.yml"])
def test_without_the_repository_local_files_are_only_not_at_hand(project: Project, name: str) -> None:
    project.file = project.folder / name
    pipeline = project.pipeline("include: [a.yml, b.yml, ci/*.yml]\na: {script: x}\n")
    assert [(each.code, each.message) for each in pipeline.missing] == [
        ("include", "local file a.yml is not at hand"),
        ("include", "local file b.yml is not at hand"),
        ("include", "local files ci/*.yml: no file matches"),
    ]


def test_with_the_repository_a_missing_file_is_an_error_whatever_else_is_missing(project: Project) -> None:
    (project.folder / ".git").mkdir()
    text = "include: [{project: our/ci, file: /x.yml}, gone.yml]\na: {script: x}\n"
    assert project.errors(text) == [(1, "local file gone.yml does not exist")]


def test_each_template_that_is_not_there_is_told_at_its_place(project: Project) -> None:
    text = "include: gone.yml\na:\n  extends:\n    - .one\n    - .two\n  script: x\n"
    _, problems = project.parsed(text)
    assert [(each.line, each.col, each.message.partition(";")[0]) for each in problems] == [
        (4, 7, ".one is extended and not there"),
        (5, 7, ".two is extended and not there"),
    ]
    assert "it may be in the file of line 1, which could not be read" in problems[0].message


def test_without_the_files_with_the_jobs_no_pipeline_is_only_a_note(project: Project) -> None:
    text = "include: {project: our/ci, file: /x.yml}\na: {script: x, rules: [{if: $NEVER}]}\n"
    assert project.said(text, "warning") == []
    assert "none of the jobs at hand is in a pipeline of a push to main" in project.said(text, "note")[0][1]


def test_the_pipeline_of_another_occasion_says_why_it_is_that_one(project: Project) -> None:
    text = "include: {project: our/ci, file: /x.yml}\na: {script: x, rules: [{if: $CI_COMMIT_TAG}]}\n"
    assert project.said(text, "note")[0][1].startswith(
        "none of the jobs at hand is in a pipeline of a push to main, so this is the pipeline of a push of tag"
    )


def test_rules_and_variables_of_an_include(project: Project) -> None:
    project.write({"on.yml": "on_: {script: x}", "off.yml": "off_: {script: x}", "Dockerfile": ""})
    text = """
        include:
          - local: $WHICH.yml
            rules: [{if: $CI_COMMIT_BRANCH == "main", exists: [Dockerfile]}]
          - {local: off.yml, rules: [{if: $NONE}]}
          - {local: off.yml, rules: [{when: never}]}
        a: {script: x}
    """
    assert list(project.stages(text, variables={"WHICH": "on"})) == ["on_", "a"]
    pipeline = project.pipeline(text)
    assert [each.message for each in pipeline.missing] == [
        "local file $WHICH.yml: what its variables are is not known; set them with --var"
    ]


def test_what_is_not_at_hand_is_named_and_nothing_is_an_error_for_it(project: Project) -> None:
    text = """
        include:
          - {project: acme/ci, file: [/a.yml, /b.yml], ref: v1}
          - remote: https://example.org/x.yml
          - template: Jobs/Build.gitlab-ci.yml
          - component: $CI_SERVER_FQDN/acme/parts/scan@1.0
        job: {extends: .theirs, needs: [theirs], stage: their}
    """
    pipeline = project.pipeline(text)
    assert [(each.line, each.message.partition(";")[0]) for each in pipeline.missing] == [
        (3, "file /a.yml of project acme/ci is not at hand"),
        (3, "file /b.yml of project acme/ci is not at hand"),
        (4, "remote file https://example.org/x.yml is not at hand"),
        (5, "template Jobs/Build.gitlab-ci.yml is not at hand"),
        (6, "component $CI_SERVER_FQDN/acme/parts/scan@1.0 is not at hand"),
    ]
    notes = [said.partition(";")[0] for line, said in project.said(text, "note") if line == 7]
    assert notes == [
        ".theirs is extended and not there",
        "theirs is needed and not there",
        "stage their is none of the usual ones",
    ]
    assert pipeline.stages[0].job is not None and pipeline.stages[0].job.unplayable


def test_checkouts_of_other_projects(project: Project) -> None:
    acme = Project(project.folder.parent / "acme")
    acme.write({
        "a.yml": "include: /inner.yml\n.theirs: {image: base}\n",
        "inner.yml": "theirs: {script: x}\n",
        "templates/scan.yml":
            "spec: {inputs: {stage: {default: test}, level: {type: number}}}\n---\n"
            "'scan-$[[ inputs.level ]]': {stage: '$[[ inputs.stage ]]', script: './scan $[[ component.name ]]'}\n",
        "templates/other/template.yml": "other: {script: x}\n",
    })  # fmt: skip
    project.write({"copy.yml": "remote: {script: x}\n"})
    stages = project.stages(
        """
        include:
          - {project: acme/ci, file: /a.yml}
          - {component: gitlab.local/acme/parts/scan@1.0, inputs: {level: 3, stage: build}}
          - component: gitlab.local/acme/parts/other@main
          - remote: https://example.org/x.yml
        job: {extends: .theirs, needs: [theirs], script: y}
        """,
        includes={
            "acme/ci": str(acme.folder), "acme/parts": str(acme.folder),
            "https://example.org/x.yml": str(project.folder / "copy.yml"),
        },
    )  # fmt: skip
    assert set(stages) == {"theirs", "scan-3", "other", "remote", "job"}
    assert spec(stages["scan-3"])["script"] == ["./scan scan"]
    assert spec(stages["job"])["image"]["name"] == "base"


def test_inputs_of_the_file_itself(project: Project) -> None:
    text = """
        spec:
          inputs:
            name: {default: world, regex: "^w", description: who}
            list: {type: array, default: [a b, c]}
            loud: {type: boolean, default: false}
        ---
        greet:
          script:
            - echo $[[ inputs.name | truncate(0, 3) ]] $[[ inputs.list ]]
            - $[[ inputs.list ]]
            - echo $[[ inputs.name | expand_vars | posix_escape ]]
          allow_failure: $[[ inputs.loud ]]
    """
    stage = project.stages(text)["greet"]
    assert spec(stage)["script"] == ['echo wor ["a b", "c"]', "a b", "c", "echo world"]
    assert not stage.allow_failure
    assert spec(project.stages(text, inputs={"name": "w x", "loud": "true"})["greet"])["script"][-1] == "echo 'w x'"
    listed = project.stages(text, inputs={"list": "[x, 'y z']"})["greet"]
    assert spec(listed)["script"][1:3] == ["x", "y z"]
    assert "does not match ^w" in project.errors(text, inputs={"name": "x"})[0][1]
    assert "is neither true nor false" in project.errors(text, inputs={"loud": "maybe"})[0][1]
    assert "input who is not declared" in project.errors(text, inputs={"who": "me"})[0][1]


@pytest.mark.parametrize(
    ("spec_", "use", "said"),
    [
        ("{a: }", "x", "input a: a value is required, none given"),
        ("{a: {default: x, type: map}}", "x", "type map is unknown"),
        ("{a: {default: x, regex: '('}}", "x", "pattern '/(/'"),
        ("{a: {default: x}}", "$[[ inputs.b ]]", "there is no inputs.b"),
        ("{a: {default: x}}", "$[[ inputs.a | shout ]]", "shout is no function"),
        (
            "{a: {default: x}}",
            "$[[ inputs.a | posix_escape | posix_escape | posix_escape | posix_escape ]]",
            "at most 3",
        ),
    ],
)
def test_wrong_inputs(project: Project, spec_: str, use: str, said: str) -> None:
    found = project.errors(f"spec: {{inputs: {spec_}}}\n---\nj: {{script: 'echo {use}'}}\n")
    assert any(said in message for _, message in found)


def test_a_template_on_its_own_is_no_error(project: Project) -> None:
    text = b"spec: {inputs: {level: }}\n---\nscan: {extends: .base, script: './scan $[[ inputs.level ]]'}\n"
    pipeline, _ = parse(text, str(project.folder / "scan.yml"), Request())
    assert pipeline is not None
    assert [stage.id for stage in pipeline.stages] == ["scan"]
    assert len(pipeline.missing) == 2
    project.write({".gitlab-ci.yml": "a: {script: x}"})
    _, problems = parse(text, str(project.folder / "scan.yml"), Request())
    assert [each.code for each in problems if each.level == "note"] == ["part"]


CHILD = """\
prep: {stage: build, script: make}
run: {script: './run $MODE', variables: {MODE: slow}, rules: [{if: $MODE == "fast"}]}
"""


def test_child_pipelines_are_put_in(project: Project) -> None:
    project.write({"child.yml": CHILD})
    text = """
        first: {stage: build, script: x}
        waits: {trigger: {include: child.yml, strategy: depend}, variables: {MODE: fast}}
        goes: {trigger: {include: [{local: child.yml}], forward: {yaml_variables: false}}, variables: {MODE: fast}}
        last: {stage: deploy, script: x}
    """
    stages = project.stages(text)
    assert {name: list(stage.needs) for name, stage in stages.items()} == {
        "first": [], "waits": ["first"], "waits/prep": ["waits"], "waits/run": ["waits/prep"], "goes": ["first"],
        "goes/prep": ["goes"], "last": ["goes", "waits/run"],
    }  # fmt: skip
    assert spec(stages["waits/run"])["variables"] == {"MODE": "fast"}
    assert stages["last"].job is not None and "waits/run" in stages["last"].job.by_order
    assert len(stages["last"].needs) == len(stages["last"].need_lines)


def test_a_trigger_that_waits_hides_no_failure_of_its_child(project: Project) -> None:
    project.write({"child.yml": "x: {stage: build, script: make}\ny: {script: clean, when: always}\n"})
    needs = project.needs("a: {trigger: {include: child.yml, strategy: depend}}\nb: {stage: deploy, script: x}\n")
    assert needs["b"] == ["a/x", "a/y"]


def test_child_pipelines_of_triggers_that_do_not_run(project: Project) -> None:
    project.write({"child.yml": "x: {stage: build, script: make}\ny: {script: make, when: always}\n"})
    stages = project.stages("""
        a: {trigger: {include: child.yml}, when: manual}
        b: {trigger: {include: child.yml}, rules: [{changes: [src/*]}]}
    """)
    assert [stages[id_].when.text for id_ in ("a", "a/x", "a/y")] == ["manual"] * 3  # type: ignore[union-attr]
    assert [stages[id_].changed for id_ in ("b", "b/x", "b/y")] == [("src/*",)] * 3
    played = project.stages("a: {trigger: {include: child.yml}, when: manual}\n", play=("a",))
    assert played["a/y"].when is None


def test_pipelines_that_only_the_server_starts(project: Project) -> None:
    text = """
        make: {stage: build, script: ./gen, artifacts: {paths: [child.yml]}}
        made: {trigger: {include: [{artifact: child.yml, job: make}]}}
        theirs: {trigger: acme/shop}
        named: {trigger: {project: acme/shop, branch: main}, needs: [{pipeline: $UP, job: x}]}
        shown: {needs: {pipeline: acme/shop}}
    """
    stages = project.stages(text)
    assert all(stages[name].job.unplayable for name in ("made", "theirs", "named", "shown"))  # type: ignore[union-attr]
    assert stages["shown"].needs == ("make",)
    assert [line for line, _ in project.said(text, "note")] == [3, 4, 5, 5]


def test_child_pipelines_that_never_end(project: Project) -> None:
    project.write({"child.yml": "again: {trigger: {include: child.yml}}\n"})
    [(_, said)] = project.errors("a: {trigger: {include: child.yml}}")
    assert said == "again: child pipelines go 2 deep at most"
