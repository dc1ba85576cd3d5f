"""Which part is tried where nobody says, and what is predicted of an arm."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stagebook.formats.native.read import parse
from stagebook.plan import known
from stagebook.scheduler.plan import Choice
from stagebook.study import proposal

CHOICE = Choice(cores=2)


def proposed(stages: dict[str, Any]) -> proposal.Proposal | None:
    pipeline, problems = parse(json.dumps({"version": 1, "stages": stages}).encode(), "/w/stagebook.yaml")
    assert pipeline is not None, problems
    return proposal.propose(pipeline, CHOICE, known.known(pipeline, None, 2, count=20))


def stage(seconds: float, *needs: str, **others: Any) -> dict[str, Any]:
    return {"run": "true", "duration": f"{round(seconds * 1000)}ms", "needs": list(needs), **others}


def test_the_level_with_the_largest_gain() -> None:
    found = proposed({
        "a": stage(1), "b": stage(1), "join": stage(9, "a", "b"), "c": stage(5, "join"), "d": stage(4, "join"),
    })  # fmt: skip
    assert found is not None
    assert (found.stages, found.evidence) == (("c", "d"), "none")
    assert found.saves_s == pytest.approx(4, rel=0.05)


def test_declared_inputs_and_outputs_are_evidence() -> None:
    apart = [{"inputs": [f"{name}/in"], "outputs": [f"{name}/out"]} for name in "ab"]
    found = proposed({"a": stage(2, **apart[0]), "b": stage(2, **apart[1]), "c": stage(1, "a", "b")})
    assert found is not None and (found.stages, found.evidence) == (("a", "b"), "declared")


@pytest.mark.parametrize(
    "stages",
    [
        {"a": stage(1), "b": stage(1, "a")},
        {"a": {"run": "true"}, "b": {"run": "true"}},
        {"deploy": stage(1), "publish": stage(1)},
        {"a": stage(1, **{"retry-safe": False}), "b": stage(1)},
        {"a": stage(1, locks={"db": "exclusive"}), "b": stage(1, locks={"db": "exclusive"})},
    ],
    ids=["a chain", "unknown durations", "acting outside", "unsafe", "one lock"],
)
def test_no_part_without_a_gain_or_against_the_file(stages: dict[str, Any]) -> None:
    assert proposed(stages) is None


def test_a_prediction_needs_durations() -> None:
    stages = {"a": stage(2), "b": stage(1), "c": {"run": "x"}}
    pipeline, _ = parse(json.dumps({"version": 1, "stages": stages}).encode(), "/w/stagebook.yaml")
    assert pipeline is not None
    found = known.known(pipeline, None, 2, count=20)
    assert proposal.predict(pipeline, CHOICE, found) is None
    assert proposal.predict(pipeline, CHOICE._replace(only=("a", "b"), sequential=True), found) == pytest.approx(
        3, rel=0.05
    )
    assert proposal.predict(pipeline, CHOICE._replace(only=("a", "b")), found) == pytest.approx(2, rel=0.05)
