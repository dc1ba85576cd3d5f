"""What makes a stage run again, each thing by its name, and nothing else (R66, G23)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.artifact import key
from stagebook.artifact.digest import EXECUTABLE, LINK, File, Stamp
from stagebook.artifact.state import Last
from stagebook.model.pipeline import Output, OutputOf, Stage

STAMP = Stamp(1, 2, 3, 4, 5)


def file(path: str, digest: str = "0" * 64, mode: int = 0o100644) -> File:
    return File(path, 1, digest, STAMP, mode)


STAGE = Stage(
    "unit", "unit", 1, 1, "run", "make test", cell={"python": "3.13"}, env={"MODE": "fast"}, env_inputs=("LANG",),
    outputs=(Output("dist/app"),), secrets=("TOKEN",), dir="work",
)  # fmt: skip
INPUTS = (file("src/a.py"), file("src/b.py"))
OUTPUTS = (file("dist/app"), file("dist/lib"))
ENVIRON = {"MODE": "fast", "LANG": "C", "TOKEN": "sesame", "HOME": "/root"}


def parts(
    stage: Stage = STAGE, inputs: Any = INPUTS, environ: Any = ENVIRON, params: Any = None, versions: Any = None,
    program: Any = None, outputs: Any = OUTPUTS,
) -> dict[str, Any]:  # fmt: skip
    return key.parts(
        stage, inputs, environ, {"channel": "beta"} if params is None else params, versions, program, outputs
    )


def last(made: dict[str, Any], ended: bool = True) -> Last:
    """As it comes back from the disk."""
    return Last(ended, "RUN", 1, json.loads(json.dumps(made)), INPUTS, OUTPUTS)


CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"inputs": (file("src/a.py", "1" * 64), file("src/c.py"))},
     ["changed: src/a.py", "gone: src/b.py", "new: src/c.py"]),
    ({"inputs": (file("src/a.py", mode=EXECUTABLE), file("src/b.py", mode=LINK))},
     ["changed: src/a.py", "changed: src/b.py"]),
    ({"stage": STAGE._replace(command="make")}, ["command changed"]),
    ({"stage": STAGE._replace(command=("make", "test"), kind="cmd")}, ["command changed", "kind of stage changed"]),
    ({"stage": STAGE._replace(cmd_from={"1": OutputOf("a", "b")})}, ["command changed"]),
    ({"stage": STAGE._replace(shell="bash")}, ["shell changed"]),
    ({"stage": STAGE._replace(dir=None)}, ["dir changed"]),
    ({"stage": STAGE._replace(cell={"python": "3.14"})}, ["matrix value python changed"]),
    ({"stage": STAGE._replace(outputs=())}, ["declared outputs changed"]),
    ({"stage": STAGE._replace(secrets=())}, ["secrets changed"]),
    ({"environ": {**ENVIRON, "LANG": "de"}}, ["env LANG changed"]),
    ({"environ": {name: value for name, value in ENVIRON.items() if name != "LANG"}}, ["env LANG changed"]),
    ({"environ": {**ENVIRON, "LANG": ""}}, ["env LANG changed"]),
    ({"environ": {**ENVIRON, "HOME": "/elsewhere", "TOKEN": "mellon"}}, []),
    ({"stage": STAGE._replace(env={"MODE": "fast", "HOME": "/root"})}, ["env HOME changed"]),
    ({"params": {"channel": "stable"}}, ["param channel changed"]),
    ({"params": {}}, ["param channel changed"]),
    ({"versions": {"node": "20.1"}}, ["node version changed"]),
    ({"program": file("/usr/bin/make")}, ["program changed"]),
    ({"outputs": (file("dist/app", "1" * 64), file("dist/new"))},
     ["output changed: dist/app", "output missing: dist/lib", "output changed: dist/new"]),
    ({"outputs": ()}, ["output missing: dist/app", "output missing: dist/lib"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), CASES, ids=lambda value: None if isinstance(value, dict) else str(value))
def test_r066_each_difference_has_its_words(change: dict[str, Any], said: list[str]) -> None:
    assert key.difference(last(parts()), parts(**change)) == said


def test_without_a_success_there_is_one_reason() -> None:
    assert key.difference(None, parts()) == ["never succeeded here"]
    assert key.difference(Last(False), parts()) == ["the last attempt did not end"]
    assert key.difference(Last(True), parts()) == ["never succeeded here"]


def test_an_attempt_that_did_not_end_is_told_first() -> None:
    assert key.difference(last(parts(), ended=False), parts(inputs=INPUTS[:1])) == [
        "the last attempt did not end",
        "gone: src/b.py",
    ]


def test_what_others_added_to_a_key_is_not_compared() -> None:
    assert key.difference(last({**parts(), "values": {"version": "1"}}), parts()) == []


def test_g23_no_value_is_there_and_of_secrets_nothing_but_the_name() -> None:
    stage = STAGE._replace(env={"MODE": "fast", "TOKEN": "sesame"}, env_inputs=("TOKEN", "LANG"))
    made = parts(stage)
    text = json.dumps(made)
    for value in ("sesame", "fast", "beta"):
        assert value not in text
    assert made["secrets"] == ["TOKEN"]
    assert set(made["env"]) == {"MODE", "LANG"}
    assert parts(stage, environ={**ENVIRON, "TOKEN": "mellon"}) == made


def test_the_same_is_the_same_in_whatever_order_it_is_given() -> None:
    stage = STAGE._replace(env={"B": "2", "A": "1"}, secrets=("Z", "Y"))
    other = STAGE._replace(env={"A": "1", "B": "2"}, secrets=("Y", "Z"))
    environ = {"A": "1", "B": "2"}
    one = parts(stage, environ=environ, params={"a": "1", "b": "2"}, versions={"x": "1", "y": "2"})
    two = parts(other, INPUTS[::-1], dict(reversed(environ.items())), {"b": "2", "a": "1"}, {"y": "2", "x": "1"})
    assert one == two
    assert json.loads(json.dumps(one)) == one


paths = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(["0" * 64, "1" * 64]))


@given(paths, paths, paths, paths)
def test_nothing_is_said_just_where_nothing_differs(
    was_in: dict[str, str], now_in: dict[str, str], was_out: dict[str, str], now_out: dict[str, str]
) -> None:
    before = parts(inputs=[file(*item) for item in was_in.items()], outputs=[file(*item) for item in was_out.items()])
    now = parts(inputs=[file(*item) for item in now_in.items()], outputs=[file(*item) for item in now_out.items()])
    said = key.difference(last(before), now)
    changed = {path for path in {*was_in, *now_in} if was_in.get(path) != now_in.get(path)}
    spoiled = {path for path in {*was_out, *now_out} if was_out.get(path) != now_out.get(path)}
    assert len(said) == len(changed) + len(spoiled)
    assert {words.rpartition(" ")[2] for words in said} == changed | spoiled
