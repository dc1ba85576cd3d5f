"""`cancel`: stop a run or one stage of it, whether an engine holds the run or none does."""

from __future__ import annotations

import signal

from tests.door import processes, waiting
from tests.door.place import Command, Place, by_stage, note, noted, outcomes, reasons

UNTIL_GO = f'{note("begin")}\nwhile [ ! -e "$BASE/go" ]; do sleep 0.02; done\n{note("end")}'

STAGES = {
    "first": noted(),
    "long": {"run": UNTIL_GO, "needs": "first"},
    "other": {"run": UNTIL_GO, "needs": "first"},
    "after": {"run": noted(), "needs": "long"},
    "beside": {"run": noted(), "needs": "other"},
    "cleanup": {"run": noted(), "needs": ["after", "beside"], "always": True},
}


def begun(place: Place) -> Command:
    """A run whose two long stages are under way."""
    place.pipeline(STAGES)
    command = place.start("run", "-j", "4", "--json")
    for stage in ("long", "other"):
        place.wait_for(stage)
    return command


def killed(place: Place) -> str:
    """A run whose engine and keeper are gone half way, its two long stages left alone; its id."""
    begun(place).kill()
    return place.run_ids()[-1]


def cancels(place: Place) -> list[dict[str, object]]:
    return [{key: record.get(key) for key in ("stage", "pending")} for record in place.events("run.cancel")]


# An engine holds the run --------------------------------------------------------------------------------------------


def test_r036_a_run_is_cancelled_by_its_engine_in_order(place: Place) -> None:
    command = begun(place)
    done = place.run("cancel", "last")
    assert (done.code, done.out) == (0, f"run {place.run_ids()[0]} is being cancelled\n")
    assert cancels(place) == [{"stage": None, "pending": None}], "on record when the command returns"
    run = command.wait()
    assert run.code == 1
    assert (run.json["outcome"], run.json["reason"]) == ("cancellation", "cancelled by stagebook cancel")
    assert outcomes(run.json) == {
        "first": "success", "long": "cancellation", "other": "cancellation", "after": "skip", "beside": "skip",
        "cleanup": "success",
    }  # fmt: skip
    assert place.left(2) == []


def test_r036_a_cancelled_run_is_over_for_good(place: Place) -> None:
    command = begun(place)
    place.run("cancel", "last")
    command.wait()
    before = place.journal()
    again = place.run("run", "--resume", "last", "--json")
    assert (again.code, again.json["outcome"]) == (1, "cancellation")
    assert place.journal() == before


def test_r036_one_stage_is_cancelled_and_the_others_go_on(place: Place) -> None:
    command = begun(place)
    done = place.run("cancel", "last", "long", "--json")
    assert done.code == 0
    assert done.json["cancel"] == {"stage": "long", "by": "engine"}
    assert done.json["run"] == place.run_ids()[0]
    waiting.until(lambda: any(record["stage"] == "long" for record in place.events("stage.ended")), "the end of long")
    (place.base / "go").touch()
    run = command.wait()
    assert outcomes(run.json) == {
        "first": "success", "long": "cancellation", "other": "success", "after": "skip", "beside": "success",
        "cleanup": "success",
    }  # fmt: skip
    assert reasons(run.json)["long"] == "cancelled"


def test_a_stage_that_waits_is_cancelled_before_it_begins(place: Place) -> None:
    command = begun(place)
    assert place.run("cancel", "last", "after").code == 0
    (place.base / "go").touch()
    assert outcomes(command.wait().json)["after"] == "cancellation"
    assert "after" not in place.began()


def test_to_cancel_twice_is_to_end_at_once(place: Place) -> None:
    place.pipeline({"deaf": {"run": f"trap '' TERM\n{UNTIL_GO}", "grace": "60s"}})
    command = place.start("run", "--json")
    place.wait_for("deaf")
    assert place.run("cancel", "last").code == 0
    waiting.still(lambda: command.process.poll() is None, "the stage has a minute", 0.3)
    assert place.run("cancel", "last").code == 0
    assert command.wait(10).json["outcome"] == "cancellation"


# What cannot be cancelled -------------------------------------------------------------------------------------------


def test_an_unknown_stage_is_refused_with_a_suggestion_and_nothing_is_cancelled(place: Place) -> None:
    command = begun(place)
    for name, hint in (("lnog", "did you mean `long`?"), ("zzzz", "lists its stages")):
        done = place.run("cancel", "last", name)
        assert (done.code, f"no stage `{name}`" in done.err, hint in done.err) == (2, True, True), done
    assert place.run("cancel", "last", "first").code == 2, "it is over"
    assert cancels(place) == []
    (place.base / "go").touch()
    assert command.wait().code == 0


def test_a_run_that_is_over_and_one_that_is_not_there_are_refused(place: Place) -> None:
    place.pipeline({"a": "true"})
    assert place.run("run").code == 0
    done = place.run("cancel", "last")
    assert (done.code, "is over: success" in done.err) == (2, True), done
    as_json = place.run("cancel", "nonsense", "--json")
    assert (as_json.code, as_json.err) == (2, "")
    assert as_json.json["errors"][0]["level"] == "error"


# No engine holds the run --------------------------------------------------------------------------------------------


def test_a_run_whose_engine_died_is_cancelled_and_led_to_its_end_here(place: Place) -> None:
    run = killed(place)
    done = place.run("cancel", run, "--json")
    assert done.code == 1
    assert (done.json["run"], done.json["outcome"]) == (run, "cancellation")
    assert outcomes(done.json)["cleanup"] == "success", "`always` stages run"
    assert place.began().count("first") == place.began().count("long") == 1
    assert "after" not in place.began()
    assert cancels(place) == [{"stage": None, "pending": True}, {"stage": None, "pending": None}]
    assert place.left(2) == []


def test_one_stage_of_a_run_whose_engine_died_is_cancelled_and_the_rest_is_done(place: Place) -> None:
    run = killed(place)
    (place.base / "go").touch()
    done = place.run("cancel", run, "long", "--json")
    assert outcomes(done.json) == {
        "first": "success", "long": "cancellation", "other": "success", "after": "skip", "beside": "success",
        "cleanup": "success",
    }  # fmt: skip
    assert done.code == 0 or done.json["outcome"] == "cancellation"
    assert place.began().count("other") == 2, "it was interrupted"


def test_with_record_only_the_decision_waits_for_whoever_goes_on(place: Place) -> None:
    run = killed(place)
    for _ in range(2):
        done = place.run("cancel", run, "--record-only")
        assert (done.code, "is cancelled on record" in done.out) == (0, True)
    assert place.began().count("cleanup") == 0
    assert place.show()["outcome"] is None
    again = place.run("run", "--resume", run, "--json")
    assert (again.code, again.json["outcome"]) == (1, "cancellation")
    assert outcomes(again.json)["cleanup"] == "success"
    assert by_stage(again.json)["long"]["attempts"][0]["reason"] == "interrupted"


def test_a_decision_is_taken_up_though_the_engine_that_begins_to_is_killed_at_every_record(place: Place) -> None:
    run = killed(place)
    assert place.run("cancel", run, "--record-only").code == 0
    for n in range(1, 6):
        place.run("run", "--resume", run, env={"STAGEBOOK_FAULT": f"journal.append:{n}:KILL"})
        if place.events("run.ended"):
            break
    document = place.run("run", "--resume", run, "--json").json
    assert document["outcome"] == "cancellation"
    assert place.began().count("long") == 1


def test_a_torn_tail_is_cut_before_the_decision_is_added(place: Place) -> None:
    run = killed(place)
    with open(place.journal_path(run), "ab") as file:
        file.write(b'{"v":1,"seq":99,"batch":99,"ru')
    assert place.run("cancel", run, "--record-only").code == 0
    assert place.journal(run)[-2]["event"] == "run.cancel"
    assert place.run("run", "--resume", run).code == 1


def test_a_run_that_waits_for_a_person_can_be_cancelled(place: Place) -> None:
    place.pipeline({"deploy": {"run": UNTIL_GO, "retry-safe": False}, "note": {"run": noted(), "needs": "deploy"}})
    command = place.start("run")
    place.wait_for("deploy")
    command.kill()
    assert place.run("run", "--resume", "last").code == 3
    done = place.run("cancel", "last", "--json")
    assert (done.code, outcomes(done.json)["deploy"]) == (1, "cancellation")
    assert place.began() == ["deploy"]


def test_an_engine_that_does_not_answer_is_told_of_and_obeys_when_it_can(place: Place) -> None:
    command = begun(place)
    engine = command.engine
    processes.signal_to(engine, signal.SIGSTOP)
    done = place.run("cancel", "last")
    processes.signal_to(engine, signal.SIGCONT)
    assert (done.code, f"(pid {engine}) has not answered" in done.err) == (4, True), done
    assert command.wait().code == 1
