"""Traps of CI systems that show in the shape: what is found, at which line, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.formats import load
from stagebook.formats.load import parse
from stagebook.graph import duty, steps, traps
from stagebook.graph.findings import Finding, judge
from stagebook.graph.shape import shape
from stagebook.graph.traps import Cap
from stagebook.model.job import Datum, Job, JobStep
from stagebook.model.pipeline import Matrix, Pipeline, Stage

CAPS = (Cap(20, "a plan", ()), Cap(5, "a plan", ("macos",)))


def job(id: str, *needs: str, system: str = "github", name: str = "", line: int = 1, **of: object) -> Stage:
    made = Job(system, id, steps=(JobStep("checkout", line, line, "uses", "actions/checkout@v4", is_setup=True),))
    cell = {"x": id} if name else None
    return Stage(id, name or id, line, 1, "job", needs=needs, cell=cell, job=made._replace(**of))


def pipeline(*stages: Stage, **of: object) -> Pipeline:
    return Pipeline("p", "/p.yml", "github", "", stages)._replace(**of)


def found(made: Pipeline, took: list[float] | None = None) -> list[Finding]:
    at = {stage.id: index for index, stage in enumerate(made.stages)}
    needs = [[at[need] for need in stage.needs] for stage in made.stages]
    of = shape(needs, took)
    judged = judge(made, took=took, found=of)
    return [*judged.findings, *traps.find(made, judged.edges, of, took, CAPS)]


def codes(made: Pipeline) -> list[str]:
    return [each.code for each in found(made) if not each.minor]


def artifact(name: str, line: int = 3, is_open: bool = False) -> Datum:
    return Datum("artifact", name, line, is_open)


def test_an_order_of_stages_that_needs_would_free() -> None:
    lint = job("lint", system="gitlab", stage="check")
    made = job("made", system="gitlab", stage="check", writes=(artifact("dist/"),))
    unit = job("unit", "lint", "made", system="gitlab", stage="test", line=9, by_order=("lint", "made"),
               reads=(artifact("dist/"),))  # fmt: skip
    (one,) = found(pipeline(lint, made, unit), [90_000.0, 10_000.0, 60_000.0])
    assert (one.code, one.level, one.line, one.edges) == ("stage-order", "warning", 9, (("lint", "unit"),))
    assert one.saves_ms == 60_000  # unit then begins at 10 s, so that lint's 90 s are the longest
    assert "`needs: [made]` in unit" in one.fix
    (unknown,) = found(pipeline(lint, made, unit))
    assert (unknown.level, unknown.saves_ms) == ("note", None)


def test_no_order_is_called_needless_where_files_are_missing() -> None:
    from stagebook.model.problem import Problem

    lint = job("lint", system="gitlab", stage="check")
    unit = job("unit", "lint", system="gitlab", stage="test", by_order=("lint",))
    gone = Problem("/p.yml", 1, 1, "include", "note", "not here")
    made = pipeline(lint, unit, missing=(gone,))._replace(format="gitlab")
    assert found(made) == []
    assert "1 file that it includes could not be read" in judge(made).unsaid[0]
    of_another = gone._replace(code="extends")
    assert "1 thing that it refers to is not in the file" in judge(made._replace(missing=(of_another,))).unsaid[0]


def test_deployments_keep_the_order_of_stages() -> None:
    unit = job("unit", system="gitlab", stage="test")
    ship = job("ship", "unit", system="gitlab", stage="deploy", by_order=("unit",), environment="production")
    assert codes(pipeline(unit, ship)) == ["no-concurrency"]
    assert codes(pipeline(unit, ship._replace(locks={"production": "exclusive"}))) == []


@pytest.mark.parametrize(
    ("cells", "runner", "most", "expected"),
    [(21, "ubuntu-latest", None, 20), (20, "ubuntu-latest", None, None), (21, "ubuntu-latest", 4, None),
     (6, "macos-14", None, 5), (5, "macos-14", None, None), (30, "self-hosted, macos", None, None)],
)  # fmt: skip
def test_a_matrix_wider_than_the_cap(cells: int, runner: str, most: int | None, expected: int | None) -> None:
    stages = [job(f"m[x={n}]", name="m", line=7, runner=runner) for n in range(cells)]
    matrix = Matrix(tuple(stage.id for stage in stages), most)
    some = [each for each in found(pipeline(*stages, matrices={"m": matrix})) if each.code == "wide-matrix"]
    assert [(each.line, f"runs {expected}" in each.message) for each in some] == (
        [] if expected is None else [(7, True)]
    )


def test_an_artifact_that_is_read_before_it_is_written() -> None:
    made = job("made", writes=(artifact("wheel"),))
    early = job("early", reads=(artifact("wheel", 12),))
    late = job("late", "made", reads=(artifact("wheel", 20),))
    one = found(pipeline(made, early, late))[0]
    assert (one.code, one.line, one.stages) == ("early-artifact", 12, ("early", "made"))


def test_an_artifact_that_nobody_uploads() -> None:
    reader = job("reader", reads=(artifact("weel", 12),))
    assert codes(pipeline(job("made", writes=(artifact("wheel"),)), reader)) == ["unwritten-artifact"]
    assert codes(pipeline(job("made", writes=(artifact("w-${{ matrix.x }}", 3, True),)), reader)) == []
    unknown = JobStep("x", 1, 1, "uses", "some/packer@v1")
    assert codes(pipeline(job("made", steps=(unknown,)), reader)) == []


def test_one_artifact_of_all_cells() -> None:
    def cells(*sure: bool | None) -> list[str]:
        some = [
            job(f"m[x={n}]", name="m", writes=(artifact("wheel", 5)._replace(is_sure=each),))
            for n, each in enumerate(sure)
        ]
        return [each.message for each in found(pipeline(*some)) if not each.minor]

    assert cells(True, True) == ["all 2 cells of m upload an artifact called wheel"]
    assert cells(True, False, True) == ["2 of the 3 cells of m upload an artifact called wheel"]
    assert cells(True, False) == cells(None, None) == cells(True, None) == []


def test_caches_that_miss_each_other() -> None:
    def cache(name: str) -> Datum:
        return Datum("cache", name, 4)

    fills, reads = job("fills", writes=(cache("a"),)), job("reads", reads=(cache("a"),))
    after = reads._replace(needs=("fills",), need_lines=(1,))
    alone = job("alone", reads=(cache("b"),), writes=(cache("b"),))
    for some, expected in (
        ((fills, reads), ["early-cache"]),
        ((fills, after), []),
        ((alone,), []),
        ((reads,), ["unwritten-cache"]),
        ((fills,), ["unread-cache"]),
    ):
        assert [each.code for each in found(pipeline(*some)) if each.code.endswith("cache")] == expected


def test_an_artifact_that_no_job_reads_is_minor() -> None:
    (one,) = found(pipeline(job("made", writes=(artifact("report"),))))
    assert (one.code, one.minor) == ("unread-artifact", True)
    (one,) = found(pipeline(job("made", writes=(artifact("*", is_open=True),))))
    assert one.message == "made uploads an artifact, which no job of this file reads"


def test_a_deployment_that_waits_for_some_tests_is_a_note() -> None:
    unit, e2e, ship = job("unit"), job("e2e"), job("ship", "unit", environment="production")
    assert [(each.code, each.level) for each in found(pipeline(unit, e2e, ship))] == [("missing-guard", "note")]


def test_a_deployment_cannot_need_a_test_of_a_later_stage_of_gitlab() -> None:
    unit = job("unit", system="gitlab", stage="test")
    ship = job("ship", system="gitlab", stage="publish", environment="production")
    child = job("ship/unit", "ship", system="gitlab", stage="test")

    def is_told(stages: list[str], test: Stage) -> bool:
        return "missing-guard" in codes(pipeline(ship, test, format="gitlab", context={"stages": stages}))

    assert is_told(["test", "publish"], unit)
    assert not is_told(["publish", "test"], unit)
    assert not is_told(["test"], unit)  # in which stage it is a file says that is not at hand
    assert not is_told(["test", "publish"], child)


def test_actions_that_nobody_knows_may_pass_something() -> None:
    def uses(name: str) -> tuple[JobStep, ...]:
        return (JobStep("c", 1, 1, "uses", "actions/checkout@v4"), JobStep("x", 1, 1, "uses", name))

    for first, second, is_bare in (
        ("our/ci/save@v1", "our/ci/restore@v1", False),
        ("Swatinem/rust-cache@v2", "Swatinem/rust-cache@v2", True),
        ("our/ci/save@v1", "our/ci/other@v1", False),
        ("our/ci/save@v1", "Swatinem/rust-cache@v2", True),
        ("our/ci/save@v1", "pnpm/action-setup@v4", True),
        ("./build", "./test", False),
    ):
        made = pipeline(job("first", steps=uses(first)), job("second", "first", steps=uses(second)))
        assert [not edge.reasons for edge in judge(made).edges] == [is_bare], (first, second)


@pytest.mark.parametrize(
    ("uses", "is_told"),
    [
        ("some/winget-releaser@v2", True),
        ("mislav/bump-homebrew-formula-action@v3", True),
        ("goreleaser/goreleaser-action@v6", True),
        ("some/publish-unit-test-result-action@v2", False),
        ("release-drafter/release-drafter@v6", False),
    ],
)
def test_what_publishes_by_an_action_waits_for_the_tests(uses: str, is_told: bool) -> None:
    made = job("winget", "build", steps=(JobStep("x", 1, 1, "uses", uses),))
    assert ("missing-guard" in codes(pipeline(job("build"), job("test"), made))) is is_told


def test_a_deployment_by_hand_need_not_wait_for_tests() -> None:
    unit, ship = job("unit"), job("ship", environment="production")
    assert codes(pipeline(unit, ship)) == ["missing-guard"]
    gate = Stage("ship:play", "ship:play", 1, 1, "gate")
    by_hand = ship._replace(needs=("ship:play",), need_lines=(1,))
    assert codes(pipeline(unit, gate, by_hand)) == []


def needed(text: str) -> list[tuple[str, str]]:
    """Needs of a workflow that are without a reason."""
    made, problems = parse(text.encode(), "/p/.github/workflows/ci.yml")
    assert made is not None, problems
    return [(edge.need, edge.stage) for edge in judge(made).edges if not edge.reasons]


JOBS = """\
on: push
jobs:
  first:
    runs-on: x
    outputs: {v: "${{ steps.s.outputs.v }}"}
    steps: [{uses: actions/checkout@v4}, {id: s, run: make}]
  second:
    runs-on: x
    needs: first
    %s
"""


@pytest.mark.parametrize(
    ("body", "is_bare"),
    [
        ("steps: [{uses: actions/checkout@v4}, {run: make}]", True),
        ("steps: [{uses: actions/checkout@v4}, {run: 'make ${{ needs.first.outputs.v }}'}]", False),
        ("steps: [{run: 'test ${{ needs.first.result }} = success'}]", False),
        ("steps: [{uses: some/all-green@v1, with: {jobs: '${{ toJSON(needs) }}'}}]", False),
        ("steps: [{run: exit 0}]", False),
        ("if: failure()\n    steps: [{uses: actions/checkout@v4}, {run: make}]", False),
        ("environment: production\n    steps: [{uses: actions/checkout@v4}, {run: make}]", False),
        ("uses: other/place/.github/workflows/x.yml@v1", False),
    ],
)
def test_reasons_of_needs_between_jobs(body: str, is_bare: bool) -> None:
    text = JOBS % body
    text = text.replace("    runs-on: x\n    needs: first\n    uses", "    needs: first\n    uses")
    assert needed(text) == ([("first", "second")] if is_bare else [])


@pytest.mark.parametrize(
    ("name", "environment", "deploys"),
    [("deploy", None, True), ("deploy-prod", None, True), ("release", None, True), ("create-release", None, True),
     ("build-release", None, False), ("clippy-release", None, False), ("test-deploy", None, False),
     ("prepare-release", None, False), ("ship", "production", True), ("ship", "ci", False),
     ("ship", "${{ inputs.env }}", False), ("docs", None, False), ("deploy-preview", None, False)],
)  # fmt: skip
def test_what_is_taken_for_a_deployment(name: str, environment: str | None, deploys: bool) -> None:
    stage = job(name, environment=environment)
    why = duty.acts(stage, None)
    assert (why is not None and duty.deploys(stage, why)) is deploys


@pytest.mark.parametrize(
    ("name", "of_stage", "run", "why", "deploys"),
    [
        ("staging", "deploy", "./bin/x staging", "its stage: deploy", True),
        ("eu", "production", "./x", "its stage: production", True),
        ("eu", "go-live", "./x", "its stage: go-live", False),
        ("ship", None, "./bin/rollout staging", "its script: rollout", True),
        ("x", None, "set -e\nbash ci/deploy.sh --now", "its script: deploy.sh", True),
        ("x", None, "make publish", "its script: publish", False),
        ("ship", None, "./x", "its name: ship", False),
        ("staging", None, "./x", "its name: staging", True),
        ("x", None, "echo to production", None, False),
        ("build:production", "build", "./x", None, False),
        ("test-staging", "test", "./x", None, False),
        ("x", None, "make test-deploy", None, False),
        ("x", "test", "cargo build --release && ls target/release", None, False),
        ("x", "build-release", "./x", None, False),
    ],
)
def test_stages_scripts_and_places_say_what_acts_outside(
    name: str, of_stage: str | None, run: str, why: str | None, deploys: bool
) -> None:
    stage = job(name, stage=of_stage, system="gitlab")._replace(command=run)
    assert duty.acts(stage, None) == why
    assert (why is not None and duty.deploys(stage, why)) is deploys


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_on_real_files_findings_name_stages_edges_and_lines_that_are_there(shared_data: Path, system: str) -> None:
    files = sorted((shared_data / system).iterdir())[::8]
    for file in files:
        data = file.read_bytes()
        made, _ = parse(data, str(file), format=system)
        if made is None:
            continue
        ids = {stage.id for stage in made.stages}
        pairs = {(need, stage.id) for stage in made.stages for need in stage.needs}
        lines = data.count(b"\n") + 1
        is_whole = not any("/" in id for id in ids) and not made.files
        for each in [*found(made), *steps.findings(made), *load.traps(made)]:
            assert ids.issuperset(each.stages), (file.name, each)
            assert pairs.issuperset(each.edges), (file.name, each)
            assert not is_whole or 0 < each.line <= lines, (file.name, each)
            assert each.level in ("warning", "note"), (file.name, each)


@given(st.data())
def test_whatever_jobs_pass_findings_stay_within_the_graph(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    names = st.sampled_from(["a", "b", "*", "x-${{ matrix.y }}"])
    stages = []
    for number in range(count):
        needs = data.draw(st.lists(st.sampled_from([f"j{n}" for n in range(number)]), unique=True)) if number else []
        some = [
            tuple(artifact(name, 3, "$" in name) for name in data.draw(st.lists(names, max_size=2))) for _ in range(2)
        ]
        by_order = tuple(data.draw(st.lists(st.sampled_from(needs), unique=True))) if needs else ()
        system = data.draw(st.sampled_from(["github", "gitlab"]))
        stages.append(job(f"j{number}", *needs, system=system, reads=some[0], writes=some[1], by_order=by_order))
    made = pipeline(*stages)
    took = data.draw(st.none() | st.lists(st.floats(0, 1e6), min_size=count, max_size=count))
    ids = {stage.id for stage in made.stages}
    for each in found(made, took):
        assert ids.issuperset(each.stages)
        assert each.saves_ms is None or 0 <= each.saves_ms <= sum(took or ())
