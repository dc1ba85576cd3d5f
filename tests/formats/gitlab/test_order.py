"""What waits for what: stages, needs, manual jobs, and whose artifacts a job gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.formats.gitlab.reading import Project, spec

from stagebook.formats.gitlab.read import parse
from stagebook.formats.request import NOTHING
from stagebook.model.job import Datum


def test_stages_wait_for_those_before_them(project: Project) -> None:
    needs = project.needs("""
        stages: [build, test, deploy]
        compile: {stage: build, script: make}
        assets: {stage: build, script: make assets}
        unit: {script: pytest}
        ship: {stage: deploy, script: ./ship}
        first: {stage: .pre, script: ./first}
        last: {stage: .post, script: ./last}
    """)
    assert needs == {
        "first": [], "compile": ["first"], "assets": ["first"], "unit": ["assets", "compile"], "ship": ["unit"],
        "last": ["ship"],
    }  # fmt: skip


def test_order_of_stages_is_told_from_needs(project: Project) -> None:
    stages = project.stages("""
        build: {stage: build, script: make}
        lint: {stage: build, script: ruff}
        unit: {stage: test, script: pytest, needs: [build]}
        docs:
          stage: test
          script: make docs
    """)
    assert stages["unit"].job.by_order == ()  # type: ignore[union-attr]
    assert stages["unit"].need_lines == (4,)
    assert stages["docs"].job.by_order == ("build", "lint")  # type: ignore[union-attr]
    assert stages["docs"].need_lines == (6, 6)


def test_a_job_freed_by_needs_is_waited_for_beside_its_stage(project: Project) -> None:
    """`early` is in a stage before `ship`, but nothing else before `ship` waits for it."""
    needs = project.needs("""
        build: {stage: build, script: make}
        unit: {script: pytest}
        early: {script: ./early, needs: []}
        ship: {stage: deploy, script: ./ship}
    """)
    assert needs["early"] == []
    assert needs["ship"] == ["early", "unit"]


def test_lines_are_those_of_the_jobs_keys(project: Project) -> None:
    stages = project.stages("a: {script: x}\n\n'b c':\n  script: y\n")
    assert {id_: (each.line, each.col) for id_, each in stages.items()} == {"a": (1, 1), "b c": (3, 1)}


def test_needs_of_what_is_left_out(project: Project) -> None:
    text = """
        build: {script: make, rules: [{if: $CI_COMMIT_TAG}]}
        test: {script: pytest, needs: [%s]}
    """
    assert project.needs(text % "{job: build, optional: true}") == {"test": []}
    assert project.needs(text % "build", ref="refs/tags/v1")["test"] == ["build"]
    [(line, said)] = project.errors(text % "build")
    assert line == 3
    assert "test needs build, which is not in a pipeline of a push to main; give both the same rules" in said


def test_needs_of_what_a_variable_of_the_project_may_let_in(project: Project) -> None:
    text = "build: {script: make, rules: [{if: $NIGHTLY}]}\ntest: {script: pytest, needs: [build]}\n"
    assert project.needs(text) == {"test": []}
    [(line, said)] = project.said(text, "warning")
    assert line == 2
    assert said.endswith("it asks for $NIGHTLY, which nothing here sets (--var NIGHTLY=…)")
    assert project.needs(text, variables={"NIGHTLY": "1"})["test"] == ["build"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: {script: x, needs: [b]}", 1, "a needs b, which does not exist"),
        ("a: {script: x, needs: [a]}", 1, "a needs itself"),
        ("a: {script: x, needs: [b]}\nb: {script: y, needs: [a]}", 1, "in a circle: a → b → a"),
        ("a: {stage: build, script: x, needs: [b]}\nb: {script: x}", 1, "b, which is in a later stage: test"),
        ("a: {script: x, dependencies: [b]}", 1, "b of `dependencies` does not exist"),
        ("a: {script: x, dependencies: [b]}\nb: {stage: deploy, script: x}", 1, "not in an earlier stage"),
        ("a: {stage: ship, script: x}", 1, "stage ship does not exist; the stages are .pre, build, test, deploy"),
        (
            "b: {stage: build, script: x}\nc: {stage: build, script: x}\na: {script: x, needs: [b], dependencies: [c]}",
            3,
            "c of `dependencies` must be one of its `needs`",
        ),
    ],
)
def test_wrong_order(project: Project, text: str, line: int, said: str) -> None:
    [(at, message)] = project.errors(text)
    assert at == line
    assert said in message


def test_artifacts_of_all_earlier_stages_or_as_dependencies_say(project: Project) -> None:
    stages = project.stages("""
        one: {stage: build, script: x, artifacts: {paths: [one/], reports: {dotenv: one.env}}}
        two: {stage: build, script: x, artifacts: {paths: ["./two/$NAME"]}}
        bare: {stage: build, script: x}
        all: {script: x}
        some: {script: x, dependencies: [two]}
        none: {script: x, dependencies: []}
        needy: {script: x, needs: [{job: one, artifacts: false}, two, bare]}
    """)
    assert spec(stages["all"])["artifacts_from"] == ["one", "two"]
    assert spec(stages["some"])["artifacts_from"] == ["two"]
    assert spec(stages["none"])["artifacts_from"] == []
    assert spec(stages["needy"])["artifacts_from"] == ["two", "bare"]
    assert stages["all"].job.reads == (  # type: ignore[union-attr]
        Datum("artifact", "one/", 2), Datum("dotenv", "one.env", 2), Datum("artifact", "two/$NAME", 3, True),
    )  # fmt: skip
    assert stages["none"].job.reads == ()  # type: ignore[union-attr]


def test_caches_are_read_and_written_by_policy(project: Project) -> None:
    stages = project.stages("""
        both: {script: x, cache: {key: deps, paths: [node_modules]}}
        pull: {script: x, cache: [{key: {files: [lock], prefix: $OS}, paths: [x], policy: pull}]}
    """)
    both, pull = stages["both"].job, stages["pull"].job
    assert both is not None and pull is not None
    assert both.reads == both.writes == (Datum("cache", "deps", 2),)
    assert pull.reads == (Datum("cache", "$OS-lock", 3, True),)
    assert pull.writes == ()


def test_manual_jobs(project: Project) -> None:
    text = """
        build: {stage: build, script: make}
        try: {script: ./try, when: manual}
        after: {script: ./after, needs: [try]}
        ask: {script: ./ask, when: manual, allow_failure: false, manual_confirmation: Really?}
        ship: {stage: deploy, script: ./ship}
    """
    stages = project.stages(text)
    assert stages["try"].when is not None and stages["try"].when.text == "manual"
    assert stages["after"].when is not None and stages["after"].when.language == "gitlab"
    assert stages["ask:play"].kind == "gate"
    assert stages["ask:play"].gate is not None and stages["ask:play"].gate.prompt == "Really?"
    assert stages["ask:play"].needs == ("build",)
    assert set(stages["ask"].needs) == {"build", "ask:play"}
    assert stages["ship"].needs == ("after", "ask")  # nobody waits for `try`
    assert [line for line, said in project.said(text, "note") if said.startswith("try is started by hand")] == [3]

    played = project.stages(text, play=("try", "ask"))
    assert played["try"].when is None
    assert "ask:play" not in played


def test_a_rule_makes_a_manual_job_one_that_is_waited_for(project: Project) -> None:
    stages = project.stages("""
        ask: {script: x, rules: [{when: manual}]}
        try: {script: x, rules: [{when: manual, allow_failure: true}]}
    """)
    assert {"ask:play", "ask", "try"} == set(stages)


def test_what_runs_whatever_its_needs_did(project: Project) -> None:
    stages = project.stages("""
        build: {stage: build, script: make}
        mend: {script: ./mend, when: on_failure}
        clean: {script: ./clean, when: always}
        tell: {script: ./tell, needs: [mend]}
        ship: {stage: deploy, script: ./ship}
    """)
    assert (stages["mend"].join, stages["mend"].always, stages["mend"].when.text) == ("done", False, "on_failure")  # type: ignore[union-attr]
    assert (stages["clean"].join, stages["clean"].always, stages["clean"].when) == ("done", True, None)
    assert (stages["tell"].join, stages["tell"].when.text) == ("all", "on_failure")  # type: ignore[union-attr]
    assert (stages["ship"].join, stages["ship"].when) == ("all", None)


def test_a_job_that_runs_after_failures_hides_none(project: Project) -> None:
    """`ship` must not start when `build` has failed, though all of the stage before it have run well."""
    needs = project.needs("""
        build: {stage: build, script: make}
        mend: {script: ./mend, when: on_failure}
        clean: {script: ./clean, when: always}
        ship: {stage: deploy, script: ./ship}
        last: {stage: .post, script: ./last}
    """)
    assert needs["ship"] == ["build", "clean", "mend"]
    assert needs["last"] == ["ship"]


_names = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True)


@given(_names, st.data())
def test_every_job_waits_for_all_of_the_stages_before_it(names: list[str], data: st.DataObject) -> None:
    """Directly or by others; and no order is said twice."""
    stage = {name: data.draw(st.integers(0, 3)) for name in names}
    free = {name for name in names if data.draw(st.booleans())}
    lines = ["stages: [s0, s1, s2, s3]"]
    for name in names:
        lines.append(f"{name}: {{stage: s{stage[name]}, script: x{', needs: []' if name in free else ''}}}")
    pipeline, _ = parse("\n".join(lines).encode(), "/nowhere/.gitlab-ci.yml", NOTHING)
    assert pipeline is not None
    needs = {each.id: set(each.needs) for each in pipeline.stages}

    def before(name: str) -> set[str]:
        return {above for need in needs[name] for above in (need, *before(need))}

    for name in names:
        expected = set() if name in free else {each for each in names if stage[each] < stage[name]}
        assert before(name) == expected
        for need in needs[name]:
            assert not any(need in before(other) for other in needs[name] - {need})
