"""DOOR, "Resume": with a changed file resume names the changed stages and exits 2; `--accept-changes` runs them and
their dependents again, all else stands."""

from __future__ import annotations

from tests.door import waiting
from tests.door.place import Place, noted, outcomes

SLEEPS = noted("sleep 962")


def killed_in_b(place: Place) -> None:
    place.pipeline(
        {"a": noted(), "side": noted(), "b": {"run": SLEEPS, "needs": "a"}, "c": {"run": noted(), "needs": "b"}}
    )
    command = place.start("run", "-j1")
    place.wait_for("b")
    command.kill("engine")


def changed(place: Place, **more: object) -> None:
    place.pipeline({
        "a": noted(), "side": noted(), "b": {"run": noted("true # changed"), "needs": "a"},
        "c": {"run": noted(), "needs": "b"}, **more,
    })  # fmt: skip


def test_a_changed_file_is_named_and_nothing_runs(place: Place) -> None:
    killed_in_b(place)
    before = place.began()
    changed(place, new={"run": noted(), "needs": "c"})
    done = place.run("run", "--resume")
    assert done.code == 2
    assert "b, new" in done.err and "--accept-changes" in done.err
    assert place.began() == before


def test_accepted_changes_run_again_with_their_dependents_and_all_else_stands(place: Place) -> None:
    killed_in_b(place)
    changed(place, new={"run": noted(), "needs": "c"})
    run = place.run_ids()[-1]
    done = place.run("run", "--resume", "--accept-changes", "--json")
    assert done.code == 0
    assert done.json["run"] == run
    assert sorted(place.began()) == ["a", "b", "b", "c", "new", "side"]
    assert outcomes(done.json) == dict.fromkeys(("a", "side", "b", "c", "new"), "success")
    attempts = {stage["stage"]: [one["reason"] for one in stage["attempts"]] for stage in done.json["stages"]}
    assert attempts["b"] == ["interrupted", None]
    shown = place.run("show", run, "--json").json
    assert {key: shown[key] for key in done.json if key != "state"} == done.json


def test_a_run_that_went_on_changed_can_be_killed_and_go_on_again(place: Place) -> None:
    killed_in_b(place)
    changed(place, c={"run": noted('[ "$STAGEBOOK_ATTEMPT" != 1 ] || sleep 963'), "needs": "b"})
    command = place.start("run", "--resume", "--accept-changes")
    place.wait_for("c")
    command.kill("both")
    done = place.run("run", "--resume", "--json")
    assert done.code == 0
    assert sorted(place.began()) == ["a", "b", "b", "c", "c", "side"]


def test_a_comment_or_a_moved_line_is_no_change(place: Place) -> None:
    first_sleeps = "[ $STAGEBOOK_ATTEMPT != 1 ] || { touch $BASE/b; sleep 964; }"
    file = place.pipeline({"a": "echo x >> $BASE/a", "b": {"run": first_sleeps, "needs": "a"}})
    command = place.start("run")
    waiting.until((place.base / "b").exists, "the start of b")
    command.kill("engine")
    place.write("# now with a comment\n" + file.read_text())
    assert place.run("run", "--resume").code == 0
    assert (place.base / "a").read_text() == "x\n"


def test_what_the_record_has_ended_stands_also_where_the_engine_died_before_it_said_so(place: Place) -> None:
    """Killed after `stage.exited`, before `stage.ended`: the end is owed, and known to the new plan."""
    stages = {"a": noted(), "deploy": {"run": noted(), "needs": "a", "retry-safe": False}, "other": noted()}
    for at in range(2, 9):
        place.ledger_path.write_text("")
        place.pipeline(stages)
        place.run("run", "--sequential", env={"STAGEBOOK_FAULT": f"journal.append:{at}:KILL"})
        exited = {record["stage"] for record in place.events("stage.exited")}
        place.pipeline({**stages, "other": noted("true # changed")})
        done = place.run("run", "--resume", "last", "--accept-changes", "--json")
        asks = "a" in exited and "deploy" not in exited  # whether it had begun nobody knows
        assert done.code == (3 if asks else 0), (at, done)
        assert place.began().count("deploy") <= 1
        assert all(place.began().count(stage) == 1 for stage in exited - {"other"}), (at, place.began())
        shown = place.show()
        assert {key: shown[key] for key in done.json} == done.json
        lines = [(line.stage, line.attempt) for line in place.ledger() if line.word == "begin"]
        assert len(set(lines)) == len(lines), "an attempt is numbered twice"
        for stage in done.json["stages"]:
            assert all(attempt["outcome"] for attempt in stage["attempts"]), (at, stage)
        assert done.json["max_parallel"] == 1


def test_an_answer_holds_beside_a_change(place: Place) -> None:
    stages = {"deploy": {"run": noted("sleep 965"), "retry-safe": False}, "other": noted()}
    place.pipeline(stages)
    command = place.start("run", "-j1")
    place.wait_for("deploy")
    command.kill()
    place.pipeline({**stages, "other": noted("true # changed")})
    done = place.run("run", "--resume", "--accept-changes", "--done", "deploy", "--json")
    assert (done.code, outcomes(done.json)) == (0, {"deploy": "success", "other": "success"}), done
    assert place.began() == ["deploy", "other"]


def test_cells_that_failed_and_were_cancelled_for_it_stand_beside_a_change(place: Place) -> None:
    stages = {
        "m": {
            "run": 'test "$MATRIX_V" = b && exec sleep 966; exit 1', "matrix": {"v": ["a", "b"], "fail-fast": True},
        },
        "tool": {"cmd": ["./tool.sh"]},
    }  # fmt: skip
    place.pipeline(stages, limits={"jobs": 3})
    assert place.run("run").code == 4
    place.pipeline({**stages, "tool": noted()}, limits={"jobs": 3})
    done = place.run("run", "--resume", "--accept-changes", "--json")
    assert done.code == 1, done
    assert outcomes(done.json) == {"m[v=a]": "failure", "m[v=b]": "cancellation", "tool": "success"}
    again = place.run("run", "--resume", "last", "--json")
    assert (again.code, again.json["outcome"]) == (1, "failure")


def test_a_cancel_on_record_holds_beside_a_change(place: Place) -> None:
    killed_in_b(place)
    assert place.run("cancel", "last", "--record-only").code == 0
    changed(place)
    done = place.run("run", "--resume", "--accept-changes", "--json")
    assert (done.code, done.json["outcome"]) == (1, "cancellation"), done
    assert place.began() == ["a", "b"]
