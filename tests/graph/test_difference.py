"""What differs between two pipelines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.graph.difference import Difference, difference
from stagebook.model.pipeline import Condition, Pipeline, Retry, Stage


def stage(name: str, *needs: str, **more: Any) -> Stage:
    return Stage(name, name, more.pop("line", 1), 3, "run", more.pop("run", "work"), needs, **more)


def pipeline(*stages: Stage) -> Pipeline:
    return Pipeline("p", "/p/stagebook.yaml", "native", "0", stages)


def test_stages_and_edges_come_and_go() -> None:
    base = pipeline(stage("a"), stage("b", "a"), stage("old", "b"))
    now = pipeline(stage("a"), stage("new", "a"), stage("b", "new"))
    assert difference(base, now) == Difference(
        ["new"], ["old"], [], [("a", "new"), ("new", "b")], [("a", "b"), ("b", "old")], []
    )


def test_what_a_stage_says_is_named_as_in_the_file() -> None:
    base = pipeline(
        stage("a", duration_ms=5, when=Condition("branch == 'x'", 3, 4), more={"isolate": {"ports": ["a"]}})
    )
    now = pipeline(
        stage(
            "a", run="other", duration_ms=6, retry=Retry(3), retry_safe=False, when=Condition("branch == 'y'", 3, 4),
            more={"isolate": {"ports": ["b"]}},
        )
    )  # fmt: skip
    [(name, what)] = difference(base, now).changed
    assert (name, what) == ("a", ["command", "when", "retry", "duration", "retry-safe", "isolate"])


def test_places_and_order_in_the_file_are_no_difference() -> None:
    base = pipeline(stage("a", when=Condition("true", 3, 4)), stage("b", "a", need_lines=(2,)))
    now = pipeline(stage("b", "a", need_lines=(9,), line=9), stage("a", when=Condition("true", 8, 9), line=7))
    assert difference(base, now) == Difference([], [], [], [], [], [])


def test_an_edge_over_another_path_has_turned() -> None:
    base, now = (pipeline(stage("a"), stage("b", "a", via={"a": path})) for path in ("x", "y"))
    assert difference(base, now).turned == [("a", "b")]


names = st.sampled_from("abcdef")


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    chosen = draw(st.lists(names, unique=True))
    return pipeline(
        *(
            stage(name, *sorted(draw(st.sets(st.sampled_from(chosen[:at]))) if at else ()), run=draw(names))
            for at, name in enumerate(chosen)
        )
    )


@given(pipelines(), pipelines())
def test_the_way_back_is_the_way_there_turned_round(one: Pipeline, other: Pipeline) -> None:
    there, back = difference(one, other), difference(other, one)
    assert (sorted(there.added), sorted(there.removed)) == (sorted(back.removed), sorted(back.added))
    assert sorted(there.edges_added) == sorted(back.edges_removed)
    assert sorted(there.changed) == sorted(back.changed)
    edges = [{(need, stage.id) for stage in each.stages for need in stage.needs} for each in (one, other)]
    assert (edges[0] - set(there.edges_removed)) | set(there.edges_added) == edges[1]


JOBS = """\
on: push
jobs:
  first: {runs-on: x, steps: [{run: make}]}
  second: {runs-on: x, steps: [{run: make test}]}
"""


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (JOBS.replace("jobs:", "\n\njobs:"), []),
        (JOBS.replace("second: {", "second: {needs: first, "), []),
        (JOBS.replace("make test", "make tests"), [("second", ["command", "steps"])]),
        (JOBS.replace("first: {runs-on: x", "first: {runs-on: y"), [("first", ["runs-on"])]),
    ],
)
def test_jobs_are_compared_without_places_and_needs(now: str, changed: list[tuple[str, list[str]]]) -> None:
    from stagebook.formats.load import parse

    made = [parse(text.encode(), "/p/.github/workflows/ci.yml")[0] for text in (JOBS, now)]
    assert made[0] is not None and made[1] is not None
    assert difference(made[0], made[1]).changed == changed
