"""R018: whoever answers at a gate is told what did not go quite well before it."""

from __future__ import annotations

import json
from typing import Any

from tests.door.place import Place, by_stage

DEAD = {"stage": "work", "warning": "1 of 6 items dead"}
LINT = {"stage": "lint", "warning": "failure, allowed"}
FLAKY = {"stage": "unit", "warning": "flaky: passed on attempt 2"}


def open_gate(place: Place) -> dict[str, Any]:
    """A run at its gate; the member `gate` of that."""
    step = {"run": 'test "$ITEM" != 2'}
    work = {"each": {"items": {"range": [1, 6]}, "on-item-failure": "dead-letter", "steps": [{"s": step}]}}
    once = 'test -e "$BASE/once" || { touch "$BASE/once"; exit 1; }'
    place.pipeline({
        "work": work, "unit": {"run": once, "retry": {"attempts": 2, "backoff": "0s"}, "retry-safe": True},
        "lint": {"run": "exit 1", "allow-failure": True},
        "flip": {"run": "exit 1", "quarantine": {"owner": "ann", "until": "2999-12-31"}},
        "pack": {"run": "true", "needs": ["work", "unit"]}, "aside": "true",
        "ship": {"gate": {"prompt": "Ship it?"}, "needs": ["pack", "lint", "flip"]},
        "after": {"run": "true", "needs": "ship"},
    }, notify=[{"command": ["tee", f"{place.base}/told"]}])  # fmt: skip
    done = place.run("run", "--no-wait", "--json")
    assert done.code == 3, done
    gate: dict[str, Any] = by_stage(done.json)["ship"]["gate"]
    return gate


def test_r018_dead_items_flaky_and_allowed_failures_are_told_where_it_is_asked(place: Place) -> None:
    gate = open_gate(place)
    flip = {"stage": "flip", "warning": "failure, quarantined: ann, until 2999-12-31"}
    assert sorted(gate["warnings"], key=str) == sorted([DEAD, LINT, FLAKY, flip], key=str)
    assert set(gate["green"]) == {"work", "unit", "pack", "aside"}
    for words in (("show", "last"), ("approve", "last", "ship", "--record-only")):
        done = place.run(*words)
        said = " ".join((done.out + done.err).split())
        assert "work (1 of 6 items dead), unit (flaky: passed on attempt 2)" in said, said
        assert "lint (failure, allowed), flip (failure, quarantined: ann, until 2999-12-31)" in said, said


def test_r018_the_line_of_a_pipe_and_the_document_of_the_answer_tell_it_too(place: Place) -> None:
    open_gate(place)
    run = place.run("run", "--no-wait")
    assert run.code == 3
    assert "work (1 of 6 items dead)" in " ".join(run.out.split()), run.out
    done = place.run("approve", "last", "ship", "--record-only", "--json")
    assert DEAD in done.json["shown"]["warnings"] and LINT in done.json["shown"]["warnings"]


def test_r018_who_is_told_that_a_gate_waits_is_told_it_too(place: Place) -> None:
    open_gate(place)
    assert place.run("notify", "wait").code == 0
    body = json.loads((place.base / "told").read_text())["body"]
    assert "warned: work: 1 of 6 items dead" in body and "warned: lint: failure, allowed" in body, body


def test_r018_where_all_went_well_nothing_is_warned_of(place: Place) -> None:
    place.pipeline({"work": "true", "ship": {"gate": {}, "needs": "work"}})
    done = place.run("run", "--no-wait", "--json")
    assert by_stage(done.json)["ship"]["gate"]["warnings"] == []
    assert "warned" not in place.run("show", "last").out
