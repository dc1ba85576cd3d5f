"""Every kind of line that runs write fits `stagebook schema journal`, and what does not fit is refused by it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.door import waiting
from tests.door.place import Place, note, noted

#: Lines that only a machine brings about that is short, or that no run writes today.
ELSEWHERE = {"machine.short", "usage"}
HOLD = 'while [ ! -e "$BASE/go" ]; do sleep 0.02; done'


@pytest.fixture
def validator(place: Place) -> Draft202012Validator:
    schema = place.run("schema", "journal").json
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_r076_real_journals_fit_the_schema(place: Place, validator: Draft202012Validator) -> None:
    records = [record for run in all_runs(place) for record in run]
    for record in records:
        errors = [error.message for error in validator.iter_errors(record)]
        causes = [str(cause.message) for error in validator.iter_errors(record) for cause in error.context or ()]
        assert errors == [], (record["event"], [cause for cause in causes if "was expected" not in cause])
    known = set(validator.schema["properties"]["event"]["enum"])
    assert known - {record["event"] for record in records} <= ELSEWHERE


def test_what_is_no_line_does_not_fit(place: Place, validator: Draft202012Validator) -> None:
    place.pipeline({"a": "true"})
    assert place.run("run").code == 0
    ended = next(record for record in place.journal() if record["event"] == "stage.ended")
    assert validator.is_valid(ended)
    wrong: list[dict[str, Any]] = [
        {**ended, "more": 1}, {**ended, "event": "stage.lost"}, {**ended, "outcome": "fine"}, {**ended, "t": "1"},
        {key: value for key, value in ended.items() if key != "crc"},
        {key: value for key, value in ended.items() if key != "stage"},
    ]  # fmt: skip
    assert [validator.is_valid(record) for record in wrong] == [False] * len(wrong)


def test_the_schema_of_something_else_is_asked_for_in_vain(place: Place) -> None:
    done = place.run("schema", "nothing")
    assert done.code == 2 and "pipeline" in done.err
    assert place.run("schema").json == place.run("schema", "pipeline").json


def all_runs(place: Place) -> list[list[dict[str, Any]]]:
    """Runs in which everything happens that can happen to one."""
    place.pipeline({
        "flaky": {"run": '[ "$STAGEBOOK_ATTEMPT" = 2 ]', "retry": {"attempts": 2, "backoff": "20ms"}},
        "slow": {"run": "sleep 971", "timeout": "100ms", "allow-failure": True},
        "asked": {"run": "true", "when": "branch == 'x'"},
        "late": {"run": HOLD, "retry-safe": False},
        "missing": {"cmd": ["no-such-program"], "allow-failure": True},
        "shared": {"run": "true", "resources": {"pools": {"m": 1}}},
        "leaves": "sleep 972 & echo",
        "early": {
            "run": "echo > e.txt; echo ready=e.txt >> $STAGEBOOK_OUTPUT; sleep 0.3; echo > f.txt",
            "outputs": [{"path": "e.txt", "ready": "early"}, "f.txt"],
        },
        "reads": {"run": "cat e.txt", "inputs": ["e.txt"]},
    }, pools={"m": {"size": 1, "machine": True}})  # fmt: skip
    killed = place.start("run", "-j", "9")
    _wait_started(place, "late")
    killed.kill()
    assert place.run("run", "--resume").code == 3
    (place.base / "go").touch()
    assert place.run("run", "--resume", "--again", "late").code == 0
    _leases(place)
    _cancelled(place)
    _changed(place)
    _asked(place)
    _items(place)
    done = place.run("measure", "--run", "k", "--name", "one", "--", "true")
    assert done.code == 0, done
    assert place.run("measure", "--run", "k", "--name", "two", "--needs", "one", "--", "false").code == 1
    return [place.journal(run) for run in place.run_ids()]


def _wait_started(place: Place, stage: str) -> None:
    def look() -> list[dict[str, Any]]:
        return [record for record in place.events("stage.started") if record["stage"] == stage]

    waiting.until(look, f"{stage} started")


def _leases(place: Place) -> None:
    hold = f"{note('holds')}; {HOLD.replace('/go', '/on')}"
    place.pipeline(
        {"a": {"run": hold, "resources": {"pools": {"m": 1}}}},
        pools={"m": {"size": 1, "machine": True}},
    )
    first = place.start("run")
    place.wait_for("a", "holds")
    second = place.start("run")
    waiting.until(lambda: place.events("lease.refused"), "a refusal")
    (place.base / "on").touch()
    assert first.wait().code == 0 and second.wait().code == 0


def _items(place: Place) -> None:
    steps = [{"one": {"run": "sleep 0.1; test $ITEM != 3", "workers": "auto"}}, {"two": "true"}]
    items = {"items": {"range": [1, 12]}, "on-item-failure": "dead-letter", "steps": steps}
    place.pipeline({"work": {"each": items}})
    assert place.run("run", "-j", "4").code == 0
    assert place.run("run", "-j", "4").code == 0, "most are up to date"
    quick = {"run": """while read -r line; do echo '{"ok": true}'; done""", "worker": True}
    place.pipeline({"work": {"each": {"items": {"range": [1, 400]}, "steps": [{"one": quick}]}}})
    assert place.run("run").code == 0, "calls grow"


def _asked(place: Place) -> None:
    place.pipeline(
        {
            "nod": {"gate": {"prompt": "All well?", "timeout": "1h"}},
            "after": {"run": "true", "needs": "nod", "inputs": ["shipped"]},
        }
    )
    (place.folder / "shipped").write_text("one\n")
    assert place.run("run", "--no-wait").code == 3
    assert place.run("approve", "last", "nod", "--record-only").code == 0
    (place.folder / "shipped").write_text("another\n")
    assert place.run("run", "--resume", "last", "--no-wait").code == 3
    assert place.run("approve", "last", "nod", "--comment", "fine").code == 0


def _cancelled(place: Place) -> None:
    place.pipeline({"a": "sleep 973", "b": "sleep 974"})
    command = place.start("run")
    _wait_started(place, "b")
    assert place.run("cancel", "last", "a").code == 0
    assert place.run("cancel", "last").code == 0
    assert command.wait().code == 1


def _changed(place: Place) -> None:
    place.pipeline({"a": noted(), "b": {"run": f"{note('begin')}; sleep 975", "needs": "a"}})
    command = place.start("run")
    place.wait_for("b")
    command.kill()
    place.pipeline({"a": noted(), "b": {"run": noted(), "needs": "a"}})
    assert place.run("run", "--resume", "--accept-changes").code == 0
    assert json.dumps(place.events("run.resumed")[-1]["kept"]) != "{}"
