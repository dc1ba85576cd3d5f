"""Policies strict, fail-fast and lenient; `always`; matrices. What a failure does to the rest, and to the exit code."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
from tests.door.place import Place, by_stage, note, noted, outcomes

#: Runs until something else lets it go, and says when it is told to stop.
HOLD = f"""
trap '{note("stopped")}; exit 1' TERM
{note("begin")}
while [ ! -e "$BASE/go" ]; do sleep 0.02; done
{note("end")}
"""
RELEASE = 'touch "$BASE/go"'


def test_r029_strict_one_failing_side_branch_fails_the_run_and_others_go_on_to_their_end(place: Place) -> None:
    place.pipeline({
        "side": noted("exit 1"),
        "after-side": {"run": noted(), "needs": "side"},
        "main": noted("sleep 0.1"),
        "package": {"run": noted(), "needs": "main"},
        "deploy": {"run": noted(), "needs": "package"},
    })  # fmt: skip
    done = place.run("run", "--json", "-j", "2")
    assert (done.code, done.json["outcome"]) == (1, "failure")
    assert outcomes(done.json) == {
        "side": "failure", "after-side": "skip", "main": "success", "package": "success", "deploy": "success",
    }  # fmt: skip


def test_r031_fail_fast_cancels_what_runs_and_starts_nothing_more(place: Place) -> None:
    place.pipeline({
        "fails": noted('while ! grep -q "runs 1 .* begin" "$LEDGER"; do sleep 0.01; done; exit 3'),
        "runs": HOLD,
        "later": {"run": noted(), "needs": "runs"},
        "free": {"run": noted(), "priority": -5},
        "cleanup": {"run": noted(), "needs": "later", "always": True},
    }, policy="fail-fast", limits={"jobs": 2})  # fmt: skip
    done = place.run("run", "--json")
    assert (done.code, done.json["outcome"]) == (1, "failure")
    stages = outcomes(done.json)
    assert (stages["fails"], stages["runs"], stages["cleanup"]) == ("failure", "cancellation", "success")
    assert {stages["later"], stages["free"]} <= {"cancellation", "skip"}
    assert sorted(place.began()) == ["cleanup", "fails", "runs"]
    assert ("runs", "stopped") in [(line.stage, line.word) for line in place.ledger()]


def test_r031_without_fail_fast_all_four_linters_finish_and_every_failure_is_listed(place: Place) -> None:
    linters = {f"lint-{i}": noted(f"sleep 0.0{i}; exit {i % 2}") for i in range(4)}
    place.pipeline(linters)
    done = place.run("run")
    assert done.code == 1
    assert sorted(place.began()) == sorted(linters)
    failed = sorted(re.findall(r"^(?:✗|also failed:) (lint-[0-9])(?::| \()", done.out, re.MULTILINE))
    assert failed == ["lint-1", "lint-3"], done.out
    document = place.show()
    assert [name for name, outcome in outcomes(document).items() if outcome == "failure"] == ["lint-1", "lint-3"]


def test_r031_with_fail_fast_the_other_linters_are_cancelled(place: Place) -> None:
    wait = 'while [ "$(grep -c begin "$LEDGER")" -lt 4 ]; do sleep 0.01; done; exit 1'
    place.pipeline({"lint-0": noted(wait), **{f"lint-{i}": HOLD for i in (1, 2, 3)}}, limits={"jobs": 4})
    done = place.run("run", "--json", "--policy", "fail-fast")
    assert done.code == 1
    assert outcomes(done.json) == {
        "lint-0": "failure", "lint-1": "cancellation", "lint-2": "cancellation", "lint-3": "cancellation",
    }  # fmt: skip


def test_lenient_a_failed_branch_stops_its_own_dependents_and_only_a_critical_stage_fails_the_run(place: Place) -> None:
    stages: dict[str, Any] = {
        "docs": noted("exit 1"),
        "publish-docs": {"run": noted(), "needs": "docs"},
        "build": {"run": noted(), "critical": True},
        "deploy": {"run": noted(), "needs": "build"},
    }
    place.pipeline(stages, policy="lenient")
    done = place.run("run", "--json")
    assert (done.code, done.json["outcome"]) == (0, "success")
    assert done.json["critical_planned"] == ["build"]
    assert outcomes(done.json) == {"docs": "failure", "publish-docs": "skip", "build": "success", "deploy": "success"}
    assert any("docs" in text for text in done.json["warnings"])
    stages["build"]["run"] = noted("exit 1")
    place.pipeline(stages, policy="lenient")
    assert place.run("run").code == 1


def test_lenient_a_critical_stage_that_is_skipped_for_a_failed_need_fails_the_run(place: Place) -> None:
    place.pipeline({
        "build": noted("exit 1"), "deploy": {"run": noted(), "needs": "build", "critical": True},
    }, policy="lenient")  # fmt: skip
    done = place.run("run", "--json")
    assert (done.code, done.json["outcome"]) == (1, "failure")


def test_lenient_without_marks_the_longest_chain_is_critical_and_the_summary_says_so(place: Place) -> None:
    place.pipeline({
        "a": noted(), "b": {"run": noted(), "needs": "a"}, "c": {"run": noted(), "needs": "b"}, "side": noted("exit 1"),
    }, policy="lenient")  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 0
    assert done.json["critical_planned"] == ["a", "b", "c"]
    assert done.json["critical_by"] == "number of stages"
    assert "critical a, b, c (by number of stages)" in place.run("show", "last").out
    assert "by known durations" in place.run("show", place.run("run", "--json").json["run"]).out


def test_lenient_says_at_the_start_and_at_the_end_what_chose_the_critical_set(place: Place) -> None:
    place.pipeline({
        "long": {"run": noted(), "duration": "3m"}, "short": {"run": noted(), "duration": "3s"},
    }, policy="lenient")  # fmt: skip
    done = place.run("run")
    assert done.out.count("critical long (by declared durations)") == 2
    place.pipeline({"a": {"run": noted(), "critical": True}, "b": noted()}, policy="lenient")
    assert place.run("run").out.count("critical a (marked)") == 2


@pytest.mark.parametrize(("policy", "word"), [("strict", 1), ("lenient", 0), ("fail-fast", 1)])
def test_a_policy_on_the_command_line_wins_over_the_file(place: Place, policy: str, word: int) -> None:
    place.pipeline({"a": "exit 1", "b": {"run": "true", "critical": True}}, policy="strict")
    assert place.run("run", "--policy", policy).code == word


def test_the_worst_outcome_is_the_runs(place: Place) -> None:
    place.pipeline({"fails": "exit 1", "slow": {"run": "sleep 951", "timeout": "200ms"}})
    done = place.run("run", "--json")
    assert (done.code, done.json["outcome"]) == (1, "timeout")
    place.pipeline({
        "fails": "exit 1", "slow": {"run": "sleep 952", "timeout": "200ms"}, "missing": "no-such-program",
    })  # fmt: skip
    done = place.run("run", "--json")
    assert (done.code, done.json["outcome"]) == (4, "error")


@pytest.mark.parametrize("ending", ["success", "failure", "timeout", "cancel", "signal", "skip"])
def test_r037_cleanup_runs_after_every_kind_of_end(place: Place, ending: str) -> None:
    work = {
        "success": noted(), "failure": noted("exit 1"), "timeout": HOLD, "cancel": HOLD, "signal": HOLD,
        "skip": noted("exit 1"),
    }[ending]  # fmt: skip
    stages: dict[str, Any] = {
        "work": {"run": work, **({"timeout": "300ms"} if ending == "timeout" else {})},
        "cleanup": {"run": noted('touch "$BASE/cleaned"'), "needs": "work", "always": True},
    }
    if ending == "skip":
        stages["middle"] = {"run": noted(), "needs": "work"}
        stages["cleanup"]["needs"] = "middle"
    place.pipeline(stages)
    command = place.start("run", "--json")
    if ending in ("cancel", "signal"):
        place.wait_for("work")
        if ending == "cancel":
            assert place.run("cancel", "last").code == 0
        else:
            command.send(signal.SIGINT)
    done = command.wait()
    assert done.code == {"success": 0, "signal": 130}.get(ending, 1)
    assert (place.base / "cleaned").exists()
    assert by_stage(done.json)["cleanup"]["outcome"] == "success"
    assert place.began()[-1] == "cleanup"


def test_r037_cleanup_has_its_own_timeout_and_its_failure_fails_the_run(place: Place) -> None:
    place.pipeline(
        {"work": "true", "cleanup": {"run": "sleep 953", "needs": "work", "always": True, "timeout": "200ms"}}
    )
    done = place.run("run", "--json")
    assert (done.code, done.json["outcome"]) == (1, "timeout")


# Matrices -------------------------------------------------------------------------------------------------------


def test_r012_a_matrix_has_a_cell_for_each_combination_less_excluded_plus_included(place: Place) -> None:
    place.pipeline({"test": {
        "run": noted('echo "$MATRIX_PY $MATRIX_OS $MATRIX_EXTRA" >> "$BASE/cells"'),
        "matrix": {
            "py": ["3.11", "3.12"], "os": ["linux", "mac"],
            "exclude": [{"py": "3.11", "os": "mac"}],
            "include": [{"py": "3.12", "os": "linux", "extra": "yes"}, {"py": "3.13", "os": "linux"}],
        },
    }, "after": {"run": noted(), "needs": "test"}})  # fmt: skip
    done = place.run("run", "--json", "-j", "4")
    assert done.code == 0, done
    cells = sorted((place.base / "cells").read_text().splitlines())
    assert cells == ["3.11 linux ", "3.12 linux yes", "3.12 mac ", "3.13 linux "]
    assert place.began()[-1] == "after"
    assert len(done.json["stages"]) == 5
    mapped = {entry["stage"]: entry["matrix"] for entry in place.run("map", "--json").json["stages"]}
    assert {"py": "3.12", "os": "mac"} in mapped.values()


def test_r012_a_single_cell_runs_by_its_id(place: Place) -> None:
    place.pipeline({"test": {"run": noted(), "matrix": {"py": ["3.11", "3.12"], "os": ["linux"]}}})
    done = place.run("run", "--only", "test[py=3.12,os=linux]", "--json")
    assert done.code == 0, done
    assert place.began() == ["test[py=3.12,os=linux]"]


def test_r012_max_parallel_bounds_the_cells_that_run_at_once(place: Place) -> None:
    place.pipeline({"t": {"run": noted("sleep 0.05"), "matrix": {"n": list("123456"), "max-parallel": 2}}})
    assert place.run("run", "-j", "6").code == 0
    running = most = 0
    for line in place.ledger():
        running += 1 if line.word == "begin" else -1
        most = max(most, running)
    assert most == 2


@pytest.mark.parametrize("fail_fast", [True, False])
def test_r012_r031_a_matrix_cancels_the_other_cells_or_not(place: Place, fail_fast: bool) -> None:
    wait = 'while [ "$(grep -c begin "$LEDGER")" -lt 3 ]; do sleep 0.01; done'
    body = f"""
        {note("begin")}
        {wait}
        if [ "$MATRIX_N" = 1 ]; then {"" if fail_fast else RELEASE}; exit 1; fi
        while [ ! -e "$BASE/go" ]; do sleep 0.02; done
        {note("end")}
    """.replace("then ;", "then")
    place.pipeline({"t": {"run": body, "matrix": {"n": ["1", "2", "3"], "fail-fast": fail_fast}}}, limits={"jobs": 3})
    done = place.run("run", "--json")
    assert done.code == 1
    others = "cancellation" if fail_fast else "success"
    assert outcomes(done.json) == {"t[n=1]": "failure", "t[n=2]": others, "t[n=3]": others}
