"""Pipelines as they would be: what becomes of needs, figures and names when stages change, go, or are many."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plan.known import of, walls
from tests.plan.past import stage

from stagebook.graph.shape import shape
from stagebook.model.pipeline import Matrix, Pipeline, Stage
from stagebook.model.problem import InputError
from stagebook.plan import profile
from stagebook.plan.orders import needs_of
from stagebook.plan.whatif import STAGES_MAX, Asked, Retimed, Scaled, Supposed, suppose
from stagebook.scheduler.build import build
from stagebook.scheduler.plan import Choice

CELLS = ("unit[py=3.11]", "unit[py=3.13]")


def needing(id: str, *needs: str, **more: Any) -> Stage:
    return stage(id)._replace(needs=needs, need_lines=(4,) * len(needs), **more)


def cell(id: str) -> Stage:
    return needing(id, "build", name="unit", cell={"py": id[8:12]})


RELEASE = of()._replace(
    stages=(needing("build"), *map(cell, CELLS), needing("e2e", "build"), needing("deploy", *CELLS, "e2e")),
    matrices={"unit": Matrix(CELLS, 2)},
    groups={"tests": (*CELLS, "e2e")},
)
CHAIN = of()._replace(
    stages=(needing("build"), needing("a", "build"), needing("b", "a"), needing("done", "b")),
    groups={"pair": ("a", "b")},
)


def supposed(pipeline: Pipeline, **asked: Any) -> Supposed:
    took = {stage.id: [1.0 + at, 3.0 + at] for at, stage in enumerate(pipeline.stages)}
    return suppose(pipeline, profile.build(pipeline, walls(took)), Asked(**asked))


def needs(found: Supposed) -> dict[str, tuple[str, ...]]:
    return {stage.id: stage.needs for stage in found.pipeline.stages}


def medians(found: Supposed) -> dict[str, float]:
    return {stage.stage: stage.median_s for stage in found.profile.stages}


def test_r098_a_stage_is_faster_slower_or_takes_so_long() -> None:
    found = supposed(RELEASE, retimed=(Retimed("build", 0.5), Retimed("e2e", None, 60.0)))
    assert medians(found) == {"build": 1.0, CELLS[0]: 3.0, CELLS[1]: 4.0, "e2e": 60.0, "deploy": 6.0}
    build = found.profile.stages[0]
    assert build.walls_s == (0.5, 1.5) and build.runs == 2, "its scatter is in proportion, its runs are those it had"
    assert found.words == ("build taking 0.5 times as long", "e2e taking 60 s")


@pytest.mark.parametrize("name", ["unit", "tests"])
def test_a_change_may_be_of_a_matrix_or_a_group(name: str) -> None:
    found = medians(supposed(RELEASE, retimed=(Retimed(name, None, 9.0),)))
    assert {id for id, took in found.items() if took == 9.0} == {*CELLS, *(("e2e",) if name == "tests" else ())}


def test_what_took_no_time_can_take_some() -> None:
    known = profile.build(CHAIN, walls({stage.id: [0.0, 0.0] for stage in CHAIN.stages}))
    found = suppose(CHAIN, known, Asked((Retimed("a", None, 5.0), Retimed("b", 2.0))))
    assert medians(found) == {"build": 0.0, "a": 5.0, "b": 0.0, "done": 0.0}


def test_r098_without_a_stage_the_order_of_the_rest_stays() -> None:
    found = supposed(CHAIN, without=("a",))
    assert needs(found) == {"build": (), "b": ("build",), "done": ("b",)}
    assert found.pipeline.groups == {"pair": ("b",)}
    assert needs(supposed(CHAIN, without=("pair",))) == {"build": (), "done": ("build",)}
    assert [stage.stage for stage in found.profile.stages] == ["build", "b", "done"]


def test_without_a_matrix_nothing_of_it_is_left() -> None:
    found = supposed(RELEASE, without=("unit",))
    assert needs(found) == {"build": (), "e2e": ("build",), "deploy": ("build", "e2e")}
    assert found.pipeline.matrices == {}


def test_r098_a_matrix_has_more_cells_and_who_needs_it_needs_all_of_them() -> None:
    found = supposed(RELEASE, scaled=(Scaled("unit", 5),))
    more = ["unit[3]", "unit[4]", "unit[5]"]
    assert [stage.id for stage in found.pipeline.stages] == ["build", *CELLS, *more, "e2e", "deploy"]
    assert [stage.stage for stage in found.profile.stages] == [stage.id for stage in found.pipeline.stages]
    assert needs(found)["unit[4]"] == ("build",)
    assert set(needs(found)["deploy"]) == {*CELLS, *more, "e2e"}
    assert found.of["unit[3]"] == CELLS[0] and found.of["unit[4]"] == CELLS[1]
    assert medians(found)["unit[4]"] == medians(found)[CELLS[1]]
    plan = build(found.pipeline, Choice(cores=8))
    assert [pool.size for pool in plan.pools if pool.name == "matrix:unit"] == [2], "max-parallel holds for all of them"


def test_fewer_of_a_matrix() -> None:
    assert needs(supposed(RELEASE, scaled=(Scaled("unit", 1),)))["deploy"] == (CELLS[0], "build", "e2e")


def test_a_stage_becomes_many() -> None:
    found = supposed(CHAIN, scaled=(Scaled("b", 3),))
    assert needs(found) == {
        "build": (), "a": ("build",), "b": ("a",), "b[2]": ("a",), "b[3]": ("a",), "done": ("b", "b[2]", "b[3]"),
    }  # fmt: skip


def test_a_group_with_an_order_of_its_own_is_repeated_as_a_whole() -> None:
    found = needs(supposed(CHAIN, scaled=(Scaled("pair", 2),)))
    assert (found["a[2]"], found["b[2]"], found["done"]) == (("build",), ("a[2]",), ("b", "b[2]"))


def test_a_copy_takes_no_name_that_is_taken() -> None:
    taken = CHAIN._replace(stages=(*CHAIN.stages, needing("b[2]")))
    assert "b[2]'" in needs(supposed(taken, scaled=(Scaled("b", 2),)))


def test_things_are_done_in_the_order_that_is_promised() -> None:
    found = supposed(CHAIN, scaled=(Scaled("b", 2),), retimed=(Retimed("b", None, 7.0),), without=("a",))
    assert medians(found)["b[2]"] == 7.0 and needs(found)["b[2]"] == ("build",)
    assert found.words == ("a gone", "b taking 7 s", "2 of b")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"without": ("nope",)}, "--without: no stage `nope`"),
        ({"without": ("buil",)}, "did you mean `build`?"),
        ({"retimed": (Retimed("nope", 2.0),)}, "--change: no stage `nope`"),
        ({"scaled": (Scaled("nope", 2),)}, "--scale: no stage `nope`"),
        ({"scaled": (Scaled("build", STAGES_MAX),)}, "more than 100000 stages"),
        ({"without": ("build", "a", "b", "done")}, "no stage is left"),
    ],
)
def test_what_cannot_be_supposed_is_said(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as told:
        supposed(CHAIN, **asked)
    assert said in str(told.value)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    count = draw(st.integers(2, 9))
    stages = []
    for at in range(count):
        before = draw(st.sets(st.integers(0, at - 1), max_size=3)) if at else set()
        stages.append(needing(f"s{at}", *[f"s{each}" for each in sorted(before)]))
    return of()._replace(stages=tuple(stages))


@given(pipelines(), st.data())
def test_without_stages_the_others_stay_in_order(pipeline: Pipeline, data: st.DataObject) -> None:
    """Who came after whom still does, and nobody else."""
    ids = [stage.id for stage in pipeline.stages]
    gone = data.draw(st.sets(st.sampled_from(ids), min_size=1, max_size=len(ids) - 1))
    left = supposed(pipeline, without=tuple(sorted(gone))).pipeline

    def before(of: Pipeline) -> set[tuple[str, str]]:
        reach: dict[str, set[str]] = {}
        for each in of.stages:  # in file order, which is one of order
            reach[each.id] = set(each.needs).union(*[reach[need] for need in each.needs])
        return {(need, id) for id, all_needs in reach.items() for need in all_needs}

    assert before(left) == {(one, other) for one, other in before(pipeline) if one not in gone and other not in gone}


@given(pipelines(), st.data(), st.integers(1, 6))
def test_more_of_a_stage_is_no_longer_a_path(pipeline: Pipeline, data: st.DataObject, many: int) -> None:
    name = data.draw(st.sampled_from([stage.id for stage in pipeline.stages]))
    found = supposed(pipeline, scaled=(Scaled(name, many),))
    assert len(found.pipeline.stages) == len(pipeline.stages) + many - 1
    took = [medians(found)[stage.id] for stage in found.pipeline.stages]
    assert shape(needs_of(found.pipeline), took).length == pytest.approx(
        shape(needs_of(pipeline), [medians(found)[stage.id] for stage in pipeline.stages]).length
    )
