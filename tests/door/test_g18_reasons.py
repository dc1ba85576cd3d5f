"""G18: the reason is true. Each way to end has words of its own."""

from __future__ import annotations

import signal

import pytest
from tests.door.place import Place, by_stage, note, noted, reasons

HOLD = "while :; do sleep 0.02; done"


def test_g18_seven_ways_to_end_have_seven_reasons(place: Place) -> None:
    place.pipeline({
        "exits-137": "exit 137",
        "killed": "kill -9 $$",
        "segfault": "kill -SEGV $$",
        "slow": {"run": "sleep 701", "timeout": "400ms"},
        "missing": "no-such-program --at-all",
        "missing-in-shell": {"run": "no-such-program; true", "shell": "bash"},
        "cancelled": f"{note('begin')}\n{HOLD}",
        "nowhere": {"run": "true", "dir": "not/there"},
    }, limits={"jobs": 8})  # fmt: skip
    command = place.start("run", "--json")
    place.wait_for("cancelled")
    assert place.run("cancel", "last", "cancelled").code == 0
    done = command.wait()
    assert done.code == 4
    stages = by_stage(done.json)
    outcome = {name: stage["outcome"] for name, stage in stages.items()}
    assert outcome == {
        "exits-137": "failure", "killed": "failure", "segfault": "failure", "slow": "timeout", "missing": "error",
        "missing-in-shell": "failure", "cancelled": "cancellation", "nowhere": "error",
    }  # fmt: skip
    assert len(set(reasons(done.json).values())) == len(stages)
    attempt = {name: stage["attempts"][-1] for name, stage in stages.items() if stage["attempts"]}
    assert (attempt["exits-137"]["exit"], attempt["exits-137"]["signal"]) == (137, None)
    assert (attempt["killed"]["exit"], attempt["killed"]["signal"]) == (None, signal.SIGKILL)
    assert (attempt["segfault"]["exit"], attempt["segfault"]["signal"]) == (None, signal.SIGSEGV)
    assert attempt["exits-137"]["reason"] == "exit 137"
    assert "signal 9" in attempt["killed"]["reason"]
    assert "SIGSEGV" in attempt["segfault"]["reason"]
    assert "timeout" in attempt["slow"]["reason"]
    assert "no-such-program" in stages["missing"]["reason"]
    assert "not/there" in stages["nowhere"]["reason"]
    assert stages["cancelled"]["reason"] == "cancelled"


def test_a_missing_program_is_an_error_when_started_directly_and_127_a_failure_from_a_shell(place: Place) -> None:
    place.pipeline({"direct": "no-such-program"})
    done = place.run("run", "--json")
    assert (done.code, by_stage(done.json)["direct"]["outcome"]) == (4, "error")
    place.pipeline({"shell": "no-such-program | cat; exit 127"})
    done = place.run("run", "--json")
    assert (done.code, by_stage(done.json)["shell"]["outcome"]) == (1, "failure")
    assert by_stage(done.json)["shell"]["attempts"][0]["exit"] == 127
    place.pipeline({"forced": {"run": "no-such-program", "shell": "always"}})
    assert place.run("run", "--json").code == 1


def test_a_file_that_may_not_be_executed_is_an_error_that_says_so(place: Place) -> None:
    (place.folder / "plain.txt").write_text("not a program\n")
    place.pipeline({"a": "./plain.txt"})
    done = place.run("run", "--json")
    assert (done.code, by_stage(done.json)["a"]["outcome"]) == (4, "error")
    assert "ermission denied" in by_stage(done.json)["a"]["reason"]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [({"run": "true", "dir": "missing"}, "directory "), ({"cmd": ["no-such-program"]}, "program not found: ")],
)
def test_a_stage_that_cannot_start_has_waited_all_the_same(
    place: Place, broken: dict[str, object], reason: str
) -> None:
    place.pipeline({"first": noted(), "broken": broken})
    done = place.run("run", "--sequential", "--json")
    assert done.code == 4
    for document in (done.json, place.show()):
        first, second = (by_stage(document)[name] for name in ("first", "broken"))
        assert second["outcome"] == "error" and second["reason"].startswith(reason)
        assert second["waited"] == second["attempts"][0]["waited"] == "slot"
        assert second["wait_s"] == second["attempts"][0]["wait_s"] >= first["wall_s"] > 0
        assert document["waiting_by"]["slot"] == second["wait_s"]


def test_r038_a_skipped_stage_names_its_whole_chain_of_causes(place: Place) -> None:
    place.pipeline([{"build": "exit 2"}, {"package": "true"}, {"deploy": "true"}])
    done = place.run("run", "--json")
    assert reasons(done.json) == {
        "build": "exit 2",
        "package": "needs build (failure)",
        "deploy": "needs package (skip)",
    }
    shown = place.run("show", "last")
    assert "deploy skipped ← package skipped ← build failed (exit 2)" in shown.out
    assert None not in {stage["outcome"] for stage in done.json["stages"]}


def test_r039_the_last_lines_of_a_failed_run_say_where_to_look(place: Place) -> None:
    place.pipeline({
        "ok": "true",
        "unit": {"run": "for i in 1 2 3; do echo line $i; done; echo boom >&2; exit 7", "needs": "ok"},
        "later": {"run": "true", "needs": "unit"},
    })  # fmt: skip
    done = place.run("run")
    assert done.code == 1
    last = "\n".join(done.out.splitlines()[-15:])
    for words in ("unit", "exit 7", "line 3", "boom", "stagebook run --only unit", "stagebook logs"):
        assert words in last, (words, last)
