"""Workflow files as pipelines: what GitHub means by them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from stagebook.formats.github.expression import condition, truth
from stagebook.formats.github.read import parse
from stagebook.formats.request import NOTHING, Request
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import Problem

HEAD = "on: push\njobs:\n"


def read(text: str, request: Request = NOTHING, file: str = "/nowhere/ci.yml") -> Pipeline:
    pipeline, problems = parse(dedent(text).encode(), file, request)
    assert pipeline is not None, [each for each in problems if each.level == "error"]
    return pipeline


def said(text: str, request: Request = NOTHING) -> list[Problem]:
    return list(parse(dedent(text).encode(), "/nowhere/ci.yml", request)[1])


def jobs(**bodies: str) -> str:
    """A workflow of jobs with one step each and the given keys, in flow style."""
    return HEAD + "".join(
        f"  {name}: {{runs-on: ubuntu-latest, steps: [{{run: make {name}}}]{', ' + body if body else ''}}}\n"
        for name, body in bodies.items()
    )


def by_id(pipeline: Pipeline) -> dict[str, Stage]:
    return {each.id: each for each in pipeline.stages}


# Jobs and needs -----------------------------------------------------------------------------------------------------


def test_jobs_wait_for_their_needs_only() -> None:
    found = by_id(read(jobs(a="", b="needs: a", c="needs: [A, b]", d="")))
    assert [each.needs for each in found.values()] == [(), ("a",), ("a", "b"), ()]
    assert found["c"].need_lines == (5, 5)
    assert found["a"].kind == "job" and found["a"].job is not None and found["a"].command == "make a"


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        (jobs(a="", b="needs: nobody"), 4, "unknown-need"),
        (jobs(a="needs: b", b="needs: a"), 3, "cycle"),
        (jobs(a="needs: a"), 3, "cycle"),
        (jobs(a="", A=""), 4, "duplicate-key"),
        (HEAD + "  a: {steps: [{run: x}]}\n", 3, "missing-key"),
        (HEAD + "  a: {runs-on: x}\n", 3, "missing-key"),
        (HEAD + "  a: {runs-on: x, steps: [{run: x, uses: y}]}\n", 3, "unknown-key"),
        (HEAD + "  a:\n    runs-on: x\n    stepz: [{run: x}]\n", 5, "unknown-key"),
        ("jobs: {a: {runs-on: x, steps: [{run: x}]}}\n", 1, "missing-key"),
        ("on: push\n", 1, "missing-key"),
        ("runs: {using: composite, steps: []}\nname: x\n", 1, "action"),
        ("", 1, "empty"),
        ("- a\n", 1, "type"),
        ("kind: Deployment\nspec: {}\n", 1, "template"),
    ],
)
def test_what_github_refuses_is_an_error_with_its_line(text: str, line: int, code: str) -> None:
    pipeline, problems = parse(text.encode(), "/nowhere/ci.yml", NOTHING)
    assert pipeline is None
    assert (line, code) in [(each.line, each.code) for each in problems if each.level == "error"]


# Matrix ---------------------------------------------------------------------------------------------------------------


def test_a_matrix_has_cells_with_the_names_that_github_shows() -> None:
    pipeline = read(
        jobs(
            test="strategy: {max-parallel: 2, fail-fast: false, matrix: {python: [3.10, '3.11'], os: [a, b], "
            "exclude: [{python: 3.10, os: b}], include: [{os: a, extra: 1}, {os: c}]}}",
            after="needs: test",
        )
    )
    found = by_id(pipeline)
    assert list(found) == [
        "test[python=3.1,os=a]", "test[python=3.11,os=a]", "test[python=3.11,os=b]", "test[os=c]", "after",
    ]  # fmt: skip
    assert [each.job.title for each in found.values() if each.job] == [
        "test (3.1, a, 1)", "test (3.11, a, 1)", "test (3.11, b)", "test (c)", "after",
    ]  # fmt: skip
    assert found["after"].needs == tuple(list(found)[:4])
    matrix = pipeline.matrices["test"]
    assert (matrix.cells, matrix.max_parallel, matrix.fail_fast) == (tuple(list(found)[:4]), 2, False)


def test_cells_of_objects_are_named_by_all_their_values_up_to_what_github_shows() -> None:
    cells = "{name: core, paths: 'tests/a tests/b'}, {name: other, paths: '" + "x" * 120 + "'}"
    stages = read(jobs(test=f"strategy: {{matrix: {{shard: [{cells}]}}}}")).stages
    titles = [each.job.title for each in stages if each.job is not None]
    assert titles == ["test (core, tests/a tests/b)", f"test (other, {'x' * 84}..."]
    assert [len(titles[1]), *(each.cell for each in stages)][:2] == [100, {"shard": "core tests/a tests/b"}]


def test_a_matrix_that_is_known_only_at_run_time_is_one_stage_and_a_static_one_is_not() -> None:
    text = jobs(
        a="outputs: {m: '${{ steps.x.outputs.m }}'}",
        b="needs: a, strategy: {matrix: '${{ fromJSON(needs.a.outputs.m) }}'}",
        c="strategy: {matrix: {x: \"${{ fromJSON('[1, 2]') }}\"}}",
    )
    pipeline = read(text)
    assert list(by_id(pipeline)) == ["a", "b", "c[x=1]", "c[x=2]"]
    assert [each.line for each in pipeline.problems if each.code == "open-matrix"] == [4]
    assert "open_strategy" in by_id(pipeline)["b"].job.spec  # type: ignore[union-attr]


def test_a_matrix_of_a_million_is_refused_at_once() -> None:
    axes = ", ".join(f"a{place}: {list(range(100))}" for place in range(3))
    assert ("limit", 3) in [(each.code, each.line) for each in said(jobs(a=f"strategy: {{matrix: {{{axes}}}}}"))]


# Conditions -----------------------------------------------------------------------------------------------------------


def test_conditions_say_what_they_wait_for() -> None:
    found = by_id(
        read(
            jobs(
                a="if: \"github.ref == 'x'\"",
                b="needs: a",
                c="needs: b, if: '${{ inputs.x }}'",
                d="needs: b, if: 'always()'",
                e="needs: b, if: '!cancelled()'",
                f="",
            )
        )
    )
    texts = {name: each.when.text if each.when else None for name, each in found.items()}
    assert texts == {
        "a": "github.ref == 'x'",
        "b": "success()",
        "c": "success() && (inputs.x)",
        "d": "always()",
        "e": "!cancelled()",
        "f": None,
    }
    assert [(each.join, each.always) for each in found.values()] == [
        ("all", False), ("all", False), ("all", False), ("done", True), ("done", False), ("all", False),
    ]  # fmt: skip
    assert found["a"].when is not None and (found["a"].when.line, found["a"].when.language) == (3, "github")


def test_a_condition_with_anything_around_its_expression_is_text_that_always_holds() -> None:
    head = "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: a}]\n"
    texts = ["    if: |\n      ${{ false }}\n", "    if: |-\n      ${{ false }}\n", "    if: |\n      false\n"]
    made = [read(head + text).stages[0].when for text in texts]
    assert [each.text if each else None for each in made] == ["${{ false }}\n", "false", "false"]
    assert [truth(condition(each.text), {}) for each in made if each] == [True, False, False]
    assert [[each.code for each in said(head + text) if each.level == "warning"] for text in texts] == [
        ["condition"], [], [],
    ]  # fmt: skip


# Steps ----------------------------------------------------------------------------------------------------------------


def test_steps_in_the_background_make_a_graph() -> None:
    text = """\
        on: push
        jobs:
          a:
            runs-on: x
            steps:
              - uses: actions/checkout@v4
              - {id: db, run: ./db, background: true}
              - parallel:
                  - run: one
                  - run: two
              - wait: db
              - {id: web, run: ./web, background: true}
              - run: three
              - cancel: web
              - wait-all:
        """
    job = read(text).stages[0].job
    assert job is not None
    assert [(each.kind, each.after) for each in job.steps] == [
        ("uses", ()), ("run", (0,)), ("run", (0,)), ("run", (0,)), ("wait", (2, 3, 1)), ("run", (4,)), ("run", (4,)),
        ("cancel", (6, 5)), ("wait", (7,)),
    ]  # fmt: skip
    assert [each.is_setup for each in job.steps][:2] == [True, False]
    assert [step["line"] for step in job.spec["steps"]] == [6, 7, 8, 11, 12, 13, 14, 15]


def test_what_jobs_and_steps_leave_is_found_by_others() -> None:
    text = """\
        on: push
        env: {KIND: dist}
        jobs:
          build:
            runs-on: x
            outputs: {version: "${{ steps.v.outputs.version }}"}
            steps:
              - {id: v, run: "echo version=1 >> $GITHUB_OUTPUT; echo MODE=fast >> $GITHUB_ENV"}
              - run: make $MODE
                name: "Make\twith \\e[31m${{ github.ref_name }} ${{ github.run_id }}"
              - uses: actions/upload-artifact@v4
                with: {name: "${{ env.KIND }}-${{ github.run_id }}"}
          use:
            needs: build
            runs-on: x
            steps:
              - uses: actions/download-artifact@v4
                with: {pattern: dist-*}
              - run: echo ${{ needs.build.outputs.version }}
        """
    build, use = (each.job for each in read(text, Request(ref="main")).stages)
    assert build is not None and use is not None
    assert build.steps[1].name == "Make with \N{REPLACEMENT CHARACTER}[31mmain ${{ github.run_id }}"
    assert [(each.kind, each.name) for each in build.steps[0].writes] == [("dotenv", "MODE"), ("output", "v.version")]
    assert [(each.kind, each.name) for each in build.steps[1].reads] == [("dotenv", "MODE")]
    assert {(each.kind, each.name, each.is_open) for each in build.writes} == {
        ("artifact", "dist-*", True), ("output", "build.version", False),
    }  # fmt: skip
    assert {(each.kind, each.name) for each in use.reads} == {("artifact", "dist-*"), ("output", "build.version")}


# Other files ----------------------------------------------------------------------------------------------------------


def repository(folder: Path, **files: str) -> Path:
    workflows = folder / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (folder / ".git").mkdir()
    for name, text in files.items():
        (workflows / f"{name}.yml").write_text(dedent(text))
    return workflows / "ci.yml"


CALLED = """\
    on:
      workflow_call:
        inputs: {os: {type: string, required: true}, fast: {type: boolean, default: true}}
        secrets: {TOKEN: {required: false}}
        outputs: {url: {value: "${{ jobs.build.outputs.url }}"}}
    jobs:
      build:
        runs-on: ${{ inputs.os }}
        outputs: {url: x}
        steps: [{run: "make ${{ secrets.TOKEN }}"}]
      test: {needs: build, runs-on: x, steps: [{run: make test}]}
    """


def test_a_workflow_of_the_repository_stands_in_place_of_its_call(tmp_path: Path) -> None:
    file = repository(
        tmp_path,
        called=CALLED,
        ci="""\
        on: push
        jobs:
          first: {runs-on: x, steps: [{run: a}]}
          call:
            name: Call it
            needs: first
            if: github.ref_name == 'main'
            strategy: {matrix: {os: [linux, mac]}}
            uses: ./.github/workflows/called.yml
            with: {os: "${{ matrix.os }}"}
            secrets: {TOKEN: "${{ secrets.DEPLOY }}"}
          last: {needs: call, runs-on: x, steps: [{run: "echo ${{ needs.call.outputs.url }}"}]}
        """,
    )
    pipeline = read(file.read_text(), file=str(file))
    found = by_id(pipeline)
    assert list(found) == [
        "first", "call/build[os=linux]", "call/test[os=linux]", "call/build[os=mac]", "call/test[os=mac]", "last",
    ]  # fmt: skip
    build, test, last = found["call/build[os=linux]"], found["call/test[os=linux]"], found["last"]
    assert build.job is not None and test.job is not None and last.job is not None
    assert (build.needs, test.needs) == (("first",), ("call/build[os=linux]",))
    assert build.when is not None and build.when.text == "success()"
    assert build.job.spec["call"]["if"] == "github.ref_name == 'main'"
    assert (build.job.spec["needs"], list(build.job.spec["call"]["needs"])) == ({}, ["first"])
    assert test.when is not None and test.when.text == "success()"
    assert last.needs == tuple(list(found)[1:5])
    assert (build.job.title, build.job.runner) == ("Call it (linux) / build", "linux")
    assert build.secrets == ("DEPLOY",)
    assert build.job.spec["secrets"]["TOKEN"] == "DEPLOY"
    assert last.job.spec["needs"]["call"]["outputs"] == {"url": "${{ jobs.build.outputs.url }}"}
    assert pipeline.groups == {"call": tuple(list(found)[1:5])}
    assert list(pipeline.files) == [str(tmp_path / ".github/workflows/called.yml")]
    (tmp_path / ".github/workflows/called.yml").write_text(dedent(CALLED) + "# more\n")
    assert read(file.read_text(), file=str(file)).digest != pipeline.digest


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("with: {}", "missing-input"),
        ("with: {os: x, nope: 1}", "unknown-input"),
        ("with: {os: x, fast: often}", "input"),
        ("with: {os: x}, secrets: {nope: x}", "unknown-secret"),
    ],
)
def test_what_a_call_gives_is_checked(tmp_path: Path, given: str, code: str) -> None:
    file = repository(tmp_path, called=CALLED, ci="")
    text = f"on: push\njobs:\n  call: {{uses: ./.github/workflows/called.yml, {given}}}\n"
    pipeline, problems = parse(text.encode(), str(file), NOTHING)
    assert pipeline is None
    assert (code, 3) in [(each.code, each.line) for each in problems]


def test_workflows_that_call_each_other_are_refused(tmp_path: Path) -> None:
    file = repository(
        tmp_path,
        ci="on: [push, workflow_call]\njobs: {a: {uses: ./.github/workflows/other.yml}}\n",
        other="on: workflow_call\njobs: {b: {uses: ./.github/workflows/ci.yml}}\n",
    )
    pipeline, problems = parse(file.read_bytes(), str(file), NOTHING)
    assert pipeline is None
    assert [(each.code, Path(each.file).name) for each in problems] == [("recursion", "other.yml")]


def test_what_is_not_here_is_one_stage_that_cannot_run_and_is_told(tmp_path: Path) -> None:
    text = "on: push\njobs:\n  a: {uses: org/repo/.github/workflows/x.yml@v1}\n  b: {needs: a, uses: ./gone.yml}\n"
    pipeline = read(text)
    assert [(each.id, each.needs, bool(each.job and each.job.unplayable)) for each in pipeline.stages] == [
        ("a", (), True), ("b", ("a",), True),
    ]  # fmt: skip
    assert [each.line for each in pipeline.missing] == [3, 4]
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/x.yml").write_text("on: workflow_call\njobs: {i: {runs-on: x, steps: [{run: a}]}}")
    asked = read(text, Request(includes={"org/repo": str(tmp_path)}))
    assert [each.id for each in asked.stages] == ["a/i", "b"]


def test_steps_of_an_action_of_the_repository_are_seen(tmp_path: Path) -> None:
    file = repository(tmp_path, ci="")
    for name, steps in (("one", "[{run: inner, shell: bash}, {uses: ./two}]"), ("two", "[{uses: ./one}, {run: deep}]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "action.yml").write_text(f"runs: {{using: composite, steps: {steps}}}\n")
    text = HEAD + "  a: {runs-on: x, steps: [{run: first}, {uses: ./one}, {run: last}]}\n"
    job = read(text, file=str(file)).stages[0].job
    assert job is not None
    assert [each.text for each in job.steps] == ["first", "inner", "./one", "deep", "last"]
    assert [each.after for each in job.steps] == [(), (0,), (1,), (2,), (3,)]
    assert [each.file for each in job.steps] == [None, *["one/action.yml"], *["two/action.yml"] * 2, None]
    assert [each.line for each in job.steps] == [3, 1, 1, 1, 3]


# What is known --------------------------------------------------------------------------------------------------------


def test_the_event_and_its_inputs_are_known() -> None:
    text = """\
        on:
          push: {branches: [main]}
          workflow_dispatch: {inputs: {level: {type: number, default: 3}, dry: {type: boolean}}}
        jobs: {a: {name: "level ${{ inputs.level }}", runs-on: x, steps: [{run: a}]}}
        """
    assert read(text).context["github"]["event_name"] == "push"
    asked = read(text, Request("workflow_dispatch", "main", inputs={"dry": "true"}))
    assert asked.context["inputs"] == {"level": 3, "dry": True}
    assert asked.context["github"]["event"] == {"inputs": {"level": "3", "dry": "true"}}
    assert asked.context["github"]["ref"] == "refs/heads/main"
    assert asked.stages[0].job is not None and asked.stages[0].job.title == "level 3"


@pytest.mark.parametrize(
    ("given", "code"),
    [({"levl": "1"}, "input"), ({"level": "high"}, "input"), ({"mode": "slow"}, "input"), ({}, "missing-input")],
)
def test_inputs_that_do_not_fit_are_told(given: dict[str, str], code: str) -> None:
    text = """\
        on:
          workflow_dispatch:
            inputs: {level: {type: number, required: true}, mode: {type: choice, options: [fast, exact]}}
        jobs: {a: {runs-on: x, steps: [{run: a}]}}
        """
    found = said(text, Request("" if given else "workflow_dispatch", inputs=given))
    assert [(each.line, each.code) for each in found] == [(1, code)]


def test_locks_timeouts_and_failures_that_are_allowed() -> None:
    text = jobs(
        a="concurrency: {group: 'Deploy-${{ github.ref_name }}'}, timeout-minutes: 1.5, continue-on-error: true",
        b="concurrency: deploy-main, environment: {name: prod}, container: python:3",
    )
    a, b = read(text, Request(ref="main")).stages
    assert a.locks == b.locks == {"deploy-main": "exclusive"}
    assert (a.timeouts.attempt_ms, a.allow_failure, b.allow_failure) == (90_000, True, False)
    assert b.job is not None and (b.job.environment, b.job.image) == ("prod", "python:3")


def test_every_key_has_a_grade() -> None:
    pipeline = read(jobs(a="permissions: {contents: read}, needs: [], env: {X: 1}"))
    grades = {each.path: each.grade for each in pipeline.grades}
    assert grades["jobs.a.permissions.contents"] == "server"
    assert grades["jobs.a.env.X"] == grades["jobs.a.needs"] == grades["jobs.a.steps[0].run"] == "exact"
    assert len(grades) == len(pipeline.grades) == 11


def test_a_called_workflow_waits_as_its_call_does(tmp_path: Path) -> None:
    file = repository(
        tmp_path,
        called="""\
        on: workflow_call
        jobs:
          a: {runs-on: x, steps: [{run: a}]}
          b: {needs: a, runs-on: x, steps: [{run: b}]}
          c: {if: always(), runs-on: x, steps: [{run: c}]}
        """,
        ci="""\
        on: push
        jobs:
          first: {runs-on: x, steps: [{run: a}]}
          plain: {needs: first, uses: ./.github/workflows/called.yml}
          ever: {needs: first, if: always(), uses: ./.github/workflows/called.yml}
        """,
    )
    found = by_id(read(file.read_text(), file=str(file)))
    made = {
        name: (each.when.text if each.when else None, each.join, each.job.spec["call"].get("if"))
        for name, each in found.items()
        if each.job is not None and "call" in each.job.spec
    }
    assert made == {
        "plain/a": (None, "all", "success()"),
        "plain/b": (None, "all", "success()"),
        "plain/c": ("always()", "done", "success()"),
        "ever/a": ("success()", "done", "always()"),
        "ever/b": ("success()", "all", "always()"),
        "ever/c": ("always()", "done", "always()"),
    }
    assert [found[name].always for name in ("plain/c", "ever/a", "ever/c")] == [False, False, True]
