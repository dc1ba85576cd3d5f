from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.model import plain
from stagebook.model.pipeline import (
    Condition,
    Limits,
    Matrix,
    OutputOf,
    Param,
    Pipeline,
    PolicyRule,
    Pool,
    Quarantine,
    Rate,
    Resources,
    Retry,
    Stage,
    Timeouts,
)
from stagebook.model.problem import Problem

words = st.text(max_size=8)
counts = st.integers(0, 2**53)
maybe = st.none() | counts
maps = st.dictionaries(words, words, max_size=2)
anything = st.recursive(
    st.none() | st.booleans() | counts | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)


outputs = st.dictionaries(words, st.builds(OutputOf, words, words), max_size=2)
conditions = st.builds(Condition, words, counts, counts)
rates = st.builds(Rate, counts, counts)


@st.composite
def stages(draw: Any) -> Stage:
    needs = draw(st.lists(words, max_size=3))
    return Stage(
        id=draw(words), name=draw(words), line=draw(counts), col=draw(counts), kind=draw(words),
        command=draw(words | st.lists(words, min_size=1, max_size=3).map(tuple)),
        needs=tuple(needs), need_lines=tuple(draw(st.lists(counts, min_size=len(needs), max_size=len(needs)))),
        join=draw(words), always=draw(st.booleans()), cell=draw(st.none() | maps), group=draw(st.none() | words),
        priority=draw(counts),
        resources=Resources(draw(counts), draw(counts), draw(st.dictionaries(words, counts, max_size=2))),
        locks=draw(maps), when=draw(st.none() | conditions),
        changed=tuple(draw(st.lists(words, max_size=2))),
        quarantine=draw(st.none() | st.builds(Quarantine, words, words)),
        retry=Retry(
            draw(counts), draw(counts), draw(st.floats(1, 9)), draw(maybe), draw(st.floats(0, 1)),
            tuple(draw(st.lists(words, max_size=2))),
        ),
        timeouts=Timeouts(draw(maybe), draw(maybe), draw(maybe)), grace_ms=draw(counts), duration_ms=draw(maybe),
        env=draw(maps), env_from=draw(outputs), cmd_from=draw(outputs),
        dir=draw(st.none() | words), shell=draw(words), critical=draw(st.booleans()),
        allow_failure=draw(st.booleans()), retry_safe=draw(st.booleans()), ordering=draw(st.none() | words),
        log_limit_bytes=draw(maybe), more=draw(st.dictionaries(words, anything, max_size=2)),
    )  # fmt: skip


problems = st.builds(Problem, words, counts, counts, words, words, words)
pipelines = st.builds(
    Pipeline,
    name=words,
    file=words,
    format=words,
    digest=words,
    stages=st.lists(stages(), max_size=4).map(tuple),
    params=st.dictionaries(
        words, st.builds(Param, st.none() | words, st.lists(words, max_size=2).map(tuple)), max_size=2
    ),
    env=maps,
    limits=st.builds(
        Limits,
        maybe,
        maybe,
        maybe,
        st.none() | st.floats(0, 1),
        counts,
        st.floats(0, 1),
        st.none() | rates,
        st.none() | words,
    ),
    pools=st.dictionaries(
        words, st.builds(Pool, counts, st.none() | rates, st.booleans(), st.none() | words), max_size=2
    ),
    machine_locks=st.lists(words, max_size=2).map(tuple),
    policy=words,
    policies=st.lists(st.builds(PolicyRule, words, st.none() | conditions), max_size=2).map(tuple),
    timeout_ms=maybe,
    sla_ms=maybe,
    groups=st.dictionaries(words, st.lists(words, max_size=2).map(tuple), max_size=2),
    matrices=st.dictionaries(
        words, st.builds(Matrix, st.lists(words, max_size=2).map(tuple), maybe, st.booleans()), max_size=2
    ),
    problems=st.lists(problems, max_size=2).map(tuple),
    unbuilt=st.lists(problems, max_size=2).map(tuple),
    more=st.dictionaries(words, anything, max_size=2),
)


@given(pipelines)
def test_a_pipeline_comes_back_from_json_as_it_was(pipeline: Pipeline) -> None:
    text = json.dumps(plain.to_plain(pipeline))
    assert plain.from_plain(json.loads(text)) == pipeline
    assert all(type(stage) is Stage for stage in plain.from_plain(json.loads(text)).stages)


def test_defaults_are_left_out() -> None:
    stage = Stage("a", "a", 3, 5, "run", "make")
    made = plain.to_plain(Pipeline("p", "/p/stagebook.yaml", "native", "00", (stage, stage._replace(id="b", name="b"))))
    assert made == {
        "name": "p",
        "file": "/p/stagebook.yaml",
        "format": "native",
        "digest": "00",
        "likes": [{"kind": "run"}],
        "stages": [
            {"id": "a", "line": 3, "col": 5, "command": "make"},
            {"id": "b", "line": 3, "col": 5, "command": "make"},
        ],
    }


def test_equal_values_come_back_as_one_object() -> None:
    one = Stage("a", "a", 1, 1, "run", retry=Retry(3), resources=Resources(1000))
    made = plain.to_plain(Pipeline("p", "", "native", "", (one, one._replace(id="b"))))
    first, second = plain.from_plain(made).stages
    assert first.retry is second.retry
    assert first.resources is second.resources


@pytest.mark.parametrize(
    "damage",
    [
        {}, {"stages": []}, {"likes": [], "stages": [{}]}, {"likes": [{}], "stages": []},
        {"likes": [{"kind": "run", "x": 1}], "stages": []},
    ],
)  # fmt: skip
def test_what_to_plain_did_not_make_is_an_error(damage: dict[str, Any]) -> None:
    with pytest.raises((LookupError, TypeError, ValueError, AttributeError)):
        plain.from_plain(damage)
