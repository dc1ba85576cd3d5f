"""What a stage generates, read: as a pipeline's file is, against the pipeline that it joins."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.formats.native import generated
from stagebook.formats.native.read import parse
from stagebook.model.joining import as_read, depth, in_order, joined, part_of, taken_over
from stagebook.model.pipeline import Pipeline
from stagebook.model.plain import from_plain, to_plain
from stagebook.model.problem import InputError

FILE = """
secrets: [TOKEN]
pools: {db: 2}
params: {level: {default: "1"}}
stages:
  setup: echo
  plan: {generate: {run: ./split.py}, needs: setup}
  unit: {run: x, matrix: {a: ["1", "2"]}}
  made: {run: x, outputs: [o.txt]}
  checks: {parallel: [{spell: x}, {links: x}]}
  ship: {run: x, needs: plan}
  after: {run: x, needs: ship}
  reader: {run: x, inputs: [p.txt]}
"""


def pipeline(text: str = FILE) -> Pipeline:
    found, problems = parse(text.encode(), "/place/stagebook.yaml")
    assert found is not None, problems
    return found


def read(stages: object, maker: str = "plan", of: Pipeline | None = None) -> Pipeline:
    return generated.read(json.dumps({"stages": stages}).encode(), "out.json", of or pipeline(), maker)


def refused(data: bytes | object) -> list[str]:
    text = data if isinstance(data, bytes) else json.dumps({"stages": data}).encode()
    with pytest.raises(InputError) as trouble:
        generated.read(text, "out.json", pipeline(), "plan")
    assert {problem.file for problem in trouble.value.problems} == {"out.json"}
    return [f"{problem.line}:{problem.col} {problem.message}" for problem in trouble.value.problems]


def test_needs_lead_to_new_stages_and_to_those_of_the_file() -> None:
    part = read({"a": {"run": "x", "needs": ["b", "unit", "checks", "unit[a=1]"]}, "b": "y",
                 "c": {"run": "x", "inputs": ["o.txt"]}})  # fmt: skip
    assert [stage.needs for stage in part.stages] == [
        ("plan", "b", "unit[a=1]", "unit[a=2]", "spell", "links"), ("plan",), ("plan", "made"),
    ]  # fmt: skip
    assert {stage.made_by for stage in part.stages} == {"plan"}
    assert part.stages[2].via == {"made": "o.txt"} and part.groups == {}


def test_yaml_and_lists_will_do() -> None:
    part = generated.read(b"- one: x\n- {two: y}\n", "out.json", pipeline(), "plan")
    assert [(stage.id, stage.needs) for stage in part.stages] == [("one", ("plan",)), ("two", ("plan", "one"))]
    part = generated.read(b'{"stages": {"\\ud83d\\ude80": "x",\n\t"tab": "y"}}', "out.json", pipeline(), "plan")
    assert [stage.id for stage in part.stages] == ["\U0001f680", "tab"]


@pytest.mark.parametrize("data", [b'{"stages": {}}', b"[]", b"stages: []", b'{"version": 1, "stages": {}}'])
def test_nothing_to_do_is_fine(data: bytes) -> None:
    assert generated.read(data, "out.json", pipeline(), "plan").stages == ()


def test_each_mistake_has_its_own_place() -> None:
    assert refused(b'{"stages": {\n "a": {"runn": "x"}}}') == [
        "2:2 stage `a`: one of `run`, `cmd`, `python`, `gate`, `service`, `pipeline`, `generate`, `each`, `split`, "
        "`parallel` or `sequence` is missing",
        "2:8 unknown key 'runn', did you mean 'run'?",
    ]  # fmt: skip
    assert refused(b"a: 1") == ["1:1 `stages` is missing", "1:1 unknown key 'a'"]
    assert refused(b"env: {}\nstages: {}")[0].endswith("belongs into the pipeline's file; here stand only stages")
    assert "not valid YAML" in refused(b"{")[0]
    assert "the limit is 16777216" in refused(b"x" * (16 * 2**20 + 1))[0]
    assert "it is empty" in refused(b" \n")[0]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"run": "x", "needs": "after"}, "cycle: ship → after → a → ship"),
        ({"run": "x", "needs": "ship"}, "cycle: ship → a → ship"),
        ({"run": "x", "outputs": ["o.txt"]}, "declared by two stages"),
        ({"run": "x", "outputs": ["/tmp/o"]}, "they begin at the stage's folder"),
        ({"run": "x", "dir": "../up"}, "leads out of the pipeline's folder"),
        ({"run": "x", "dir": "/usr"}, "leads out of the pipeline's folder"),
        ({"run": "x", "env": {"PARAM_LEVEL": "2"}}, "is set by the parameter"),
        ({"run": "x", "env": {"TOKEN": "2"}}, "is a secret"),
        ({"run": "x", "resources": {"pools": {"db": 3}}}, "asks for 3 of pool `db`, which has 2"),
        ({"service": {"run": "x"}}, "not built yet"),
    ],
)
def test_what_the_pipeline_forbids(stage: dict[str, Any], said: str) -> None:
    assert any(said in each for each in refused({"a": stage})), refused({"a": stage})


@pytest.mark.parametrize("name", ["setup", "unit", "checks", "plan", "spell"])
def test_a_name_of_the_run_is_taken(name: str) -> None:
    assert f"the name `{name}` is taken by" in refused({name: "x"})[0]


def test_who_waits_and_who_does_not() -> None:
    text = FILE.replace("ship: {run: x, needs: plan}", "ship: {run: x, needs: plan, inputs: [q.txt]}")
    whole = pipeline(text.replace("{run: ./split.py}", "{run: ./split.py}, outputs: [p.txt, q.txt]"))
    at = {stage.id: stage for stage in joined(whole, read({"a": "x"}, of=whole), "plan").stages}
    assert at["ship"].needs == ("plan", "a") and at["ship"].need_lines == (11, 11)
    assert at["reader"].needs == ("plan",)  # a file of the generator is there before what it generates


def test_what_was_joined_can_be_taken_off_and_on() -> None:
    first = pipeline()
    once = joined(first, read({"gen": {"generate": {"run": "x"}}, "m": {"run": "x", "matrix": {"k": ["1", "2"]}},
                               "g": {"parallel": [{"p": "x"}]}}), "plan")  # fmt: skip
    twice = joined(once, read({"deep": "x"}, "gen", once), "gen")
    assert as_read(twice) == first
    assert depth(twice, "deep") == 2 and depth(twice, "ship") == 0
    assert taken_over(first, twice, {"plan", "gen"}) == twice
    assert taken_over(first, twice, {"plan"}) == once
    assert taken_over(first, twice, set()) == first
    assert list(part_of(twice, "plan").groups) == ["g"] and list(part_of(twice, "plan").matrices) == ["m"]
    names = [twice.stages[index].id for index in in_order(twice.stages)]
    assert names[:7] == ["setup", "plan", "gen", "deep", "m[k=1]", "m[k=2]", "p"]
    assert from_plain(json.loads(json.dumps(to_plain(twice)))) == twice
    with pytest.raises(ValueError, match="`gen` is a stage of the file now"):
        taken_over(pipeline(FILE + "  gen: x\n"), twice, {"plan"})


names = st.sampled_from([f"n{number}" for number in range(6)])


@given(st.dictionaries(names, st.lists(names, max_size=3), min_size=1))
def test_needs_of_any_shape_make_a_part_or_a_cycle(needs: dict[str, list[str]]) -> None:
    """Either all is well and every need stands before in some order, or what is wrong is said; nothing else."""
    stages = {name: {"run": "x", "needs": some} for name, some in needs.items()}
    try:
        part = read(stages)
    except InputError as trouble:
        said = " ".join(problem.message for problem in trouble.problems)
        assert "cycle: n" in said or "unknown stage 'n" in said
        return
    placed = {"plan"}
    for _ in part.stages:
        placed.update(stage.id for stage in part.stages if placed.issuperset(stage.needs))
    assert placed == {"plan", *needs}
