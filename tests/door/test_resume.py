"""R41 and DOOR's "Resume": what goes on, what stands, what waits again, what is shown again."""

from __future__ import annotations

import re
import signal

from tests.door import waiting
from tests.door.place import Place, by_stage, noted, outcomes

#: Sleeps on its first attempt only.
FIRST_SLEEPS = noted('[ "$STAGEBOOK_ATTEMPT" != 1 ] || sleep 961')


def killed(place: Place) -> str:
    """A run of a → b → c that was killed in b."""
    place.pipeline([{"a": noted()}, {"b": FIRST_SLEEPS}, {"c": noted()}])
    before = place.began().count("b")
    command = place.start("run")
    place.wait_for("b", times=before + 1)
    # Its first attempt has to be on record: the word in the ledger may come before it, and then it is no attempt.
    waiting.until(lambda: any(e["stage"] == "b" for e in place.events("stage.started")), "b's start on record")
    command.kill("engine")
    return place.run_ids()[-1]


def test_r041_resume_by_last_by_prefix_and_without_a_name(place: Place) -> None:
    for how in ([], ["last"], ["prefix"], ["full"]):
        run = killed(place)
        word = {"prefix": run[:-3], "full": run}.get(how[0], how[0]) if how else ""
        done = place.run("run", "--resume", *([word] if word else []), "--json")
        assert done.code == 0, (how, done)
        assert done.json["run"] == run


def test_where_nothing_can_go_on_resume_begins_a_new_run(place: Place) -> None:
    place.pipeline({"a": noted()})
    assert place.run("run", "--resume").code == 0
    assert place.run("run", "--resume").code == 0
    assert place.began() == ["a", "a"]
    assert len(place.run_ids()) == 2


def test_resume_takes_the_latest_run_of_this_file_only(place: Place) -> None:
    run = killed(place)
    other = place.write('stages: {z: "true"}\n', "other.yaml")
    assert place.run("run", str(other)).code == 0
    done = place.run("run", "--resume", "--json")
    assert (done.code, done.json["run"]) == (0, run)


def test_a_run_that_ended_otherwise_is_shown_again_and_exits_as_it_did(place: Place) -> None:
    place.pipeline({"a": noted("exit 1")})
    assert place.run("run").code == 1
    again = place.run("run", "--resume", "last", "--json")
    assert (again.code, again.json["outcome"]) == (1, "failure")
    place.pipeline({"a": noted()})
    assert place.run("run").code == 0
    again = place.run("run", "--resume", "last")
    assert again.code == 0
    assert place.began() == ["a", "a"]


def test_a_run_cancelled_by_a_person_stays_cancelled(place: Place) -> None:
    place.pipeline([{"a": noted("sleep 962")}, {"b": noted()}])
    command = place.start("run")
    place.wait_for("a")
    assert place.run("cancel", "last").code == 0
    assert command.wait().code == 1
    again = place.run("run", "--resume", "last", "--json")
    assert (again.code, again.json["outcome"]) == (1, "cancellation")
    assert place.began() == ["a"]


def test_what_a_signal_stopped_and_what_was_skipped_for_it_wait_again(place: Place) -> None:
    place.pipeline({
        "ok": noted(),
        "failed": noted("exit 3"),
        "skipped-for-failed": {"run": noted(), "needs": "failed"},
        "stopped": {"run": FIRST_SLEEPS, "needs": "ok"},
        "later": {"run": noted(), "needs": "stopped"},
    }, limits={"jobs": 3})  # fmt: skip
    command = place.start("run")
    place.wait_for("stopped")
    place.wait_for("failed")
    command.send(signal.SIGTERM)
    assert command.wait().code == 143
    before = place.began()
    done = place.run("run", "--resume", "--json")
    assert done.code == 1
    assert place.began()[len(before) :] == ["stopped", "later"]
    assert outcomes(done.json) == {
        "ok": "success", "failed": "failure", "skipped-for-failed": "skip", "stopped": "success", "later": "success",
    }  # fmt: skip


def test_once_the_program_is_there_a_run_that_ended_as_error_goes_on(place: Place) -> None:
    place.pipeline({
        "ok": noted(),
        "tool": {"cmd": ["./tool"], "needs": "ok"},
        "later": {"run": noted(), "needs": "tool"},
        "clean": {"run": noted(), "needs": ["tool", "ok"], "always": True},
        "apart": {"run": noted(), "needs": "ok", "always": True},
    })  # fmt: skip
    first = place.run("run", "--json")
    assert (first.code, first.json["outcome"]) == (4, "error")
    assert sorted(place.began()) == ["apart", "clean", "ok"]
    tool = place.write(f"#!/bin/sh\n{noted()}\n", "tool")
    tool.chmod(0o755)
    done = place.run("run", "--resume", "--json")
    assert (done.code, done.json["outcome"]) == (0, "success"), done
    assert done.json["run"] == first.json["run"]
    assert sorted(place.began()) == sorted(["apart", "clean", "ok", "tool", "later", "clean"])
    assert not by_stage(done.json)["tool"]["flaky"]
    again = place.run("run", "--resume", first.json["run"], "--json")
    assert (again.code, again.json["outcome"]) == (0, "success")


def test_signal_after_signal_it_can_still_go_on(place: Place) -> None:
    place.pipeline([{"a": noted()}, {"b": noted('[ "$STAGEBOOK_ATTEMPT" -gt 3 ] || sleep 963')}])
    for times in (1, 2, 3):
        command = place.start("run", "--resume")
        place.wait_for("b", times=times)
        command.send(signal.SIGINT)
        assert command.wait().code == 130
    assert place.run("run", "--resume").code == 0
    assert place.began() == ["a", "b", "b", "b", "b"]
    assert len(place.run_ids()) == 1


def test_kill_after_kill_it_can_still_go_on(place: Place) -> None:
    place.pipeline([{"a": noted()}, {"b": noted('[ "$STAGEBOOK_ATTEMPT" -gt 3 ] || sleep 964')}])
    for times in (1, 2, 3):
        command = place.start("run", "--resume")
        place.wait_for("b", times=times)
        command.kill()
    done = place.run("run", "--resume", "--json")
    assert done.code == 0
    assert place.began() == ["a", "b", "b", "b", "b"]
    reasons = [attempt["reason"] for attempt in by_stage(done.json)["b"]["attempts"]]
    assert reasons == ["interrupted", "interrupted", "interrupted", None]


def test_a_changed_file_is_refused_with_the_names_of_the_changed_stages(place: Place) -> None:
    killed(place)
    place.pipeline([{"a": noted()}, {"b": FIRST_SLEEPS}, {"c": noted("echo changed")}])
    done = place.run("run", "--resume")
    assert done.code == 2, done
    assert re.search(r"\bc\b", done.err)
    assert place.began() == ["a", "b"]


def test_a_file_whose_meaning_did_not_change_goes_on(place: Place) -> None:
    killed(place)
    path = place.folder / "stagebook.yaml"
    path.write_text("# a remark\n" + path.read_text() + "\n")
    assert place.run("run", "--resume").code == 0


def test_with_accept_changes_changed_stages_and_their_dependents_run_again_and_all_else_stands(place: Place) -> None:
    stages = {
        "a": noted(), "other": noted(),
        "b": {"run": noted(), "needs": "a"}, "c": {"run": noted(), "needs": "b"},
        "slow": {"run": FIRST_SLEEPS, "needs": ["c", "other"]},
    }  # fmt: skip
    place.pipeline(stages)
    command = place.start("run")
    place.wait_for("slow")
    command.kill("engine")
    stages["b"]["run"] = noted("echo changed")
    place.pipeline(stages)
    before = len(place.began())
    assert place.run("run", "--resume").code == 2
    done = place.run("run", "--resume", "--accept-changes", "--json")
    assert done.code == 0, done
    assert place.began()[before:] == ["b", "c", "slow"]
    assert set(outcomes(done.json).values()) == {"success"}


def test_the_file_may_be_gone_or_broken_and_the_plan_is_in_the_journal(place: Place) -> None:
    run = killed(place)
    (place.folder / "stagebook.yaml").write_text("stages: [")
    done = place.run("run", "--resume", run)
    assert done.code in (0, 2), done
    assert "Traceback" not in done.said


def test_resume_keeps_the_choice_that_the_run_began_with(place: Place) -> None:
    place.pipeline({
        "a": noted(),
        "b": {"run": FIRST_SLEEPS, "needs": "a"},
        "c": {"run": noted('echo "$PARAM_X" > "$BASE/x"'), "needs": "b"},
        "d": noted(),
    }, params={"x": {"default": "no"}})  # fmt: skip
    command = place.start("run", "--sequential", "--param", "x=yes", "--skip", "d")
    place.wait_for("b")
    command.kill()
    done = place.run("run", "--resume", "--json")
    assert done.code == 0
    assert (done.json["mode"], outcomes(done.json)["d"]) == ("sequential", "skip")
    assert (place.base / "x").read_text() == "yes\n"


def test_times_go_on_after_a_resume(place: Place) -> None:
    killed(place)
    assert place.run("run", "--resume").code == 0
    records = place.journal()
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    times = [record["t"] for record in records]
    assert times == sorted(times)
    assert [record["event"] for record in records].count("run.resumed") == 1
    assert {record["run"] for record in records} == {place.run_ids()[-1]}


def test_run_ids_sort_by_time_and_any_unambiguous_prefix_works(place: Place) -> None:
    place.pipeline({"a": "true"})
    runs = []
    for _ in range(4):
        runs.append(place.run("run", "--json").json["run"])
    assert runs == sorted(runs)
    assert [each["run"] for each in place.run("runs", "--json").json["runs"]] == runs[::-1]
    prefixes = [runs[2][:length] for length in range(1, 27)]
    unique = [prefix for prefix in prefixes if sum(run.startswith(prefix) for run in runs) == 1]
    assert place.show(unique[0])["run"] == place.show(unique[0].lower())["run"] == runs[2]
    assert place.run("show", prefixes[0]).code == 2
    assert place.run("show", "zzz").code == 2


def test_the_state_directory_holds_what_the_door_says_and_ignores_itself(place: Place) -> None:
    place.pipeline({"a": "true"})
    assert place.run("run").code == 0
    state = place.folder / ".stagebook"
    assert (state / ".gitignore").read_text().strip() == "*"
    run = state / "runs" / place.run_ids()[0]
    assert (run / "journal.jsonl").is_file()
    assert (run / "logs" / "a.1.log").is_file()
    assert {path.name for path in state.iterdir()} <= {"runs", "cache", "history.db", "workspaces", ".gitignore"}
    for path in (run / "journal.jsonl", run / "logs" / "a.1.log"):
        assert path.stat().st_mode & 0o077 == 0


def test_the_file_is_found_upward_and_stages_run_in_its_folder(place: Place) -> None:
    place.pipeline({"a": 'pwd > "$BASE/where"'})
    below = place.folder / "deep" / "down"
    below.mkdir(parents=True)
    assert place.run("run", cwd=below).code == 0
    assert (place.base / "where").read_text().strip() == str(place.folder)
    assert not (below / ".stagebook").exists()
    assert place.run("show", "last", cwd=below).code == 0


def asking(place: Place) -> None:
    """A program is missing, and the engine is killed in the clean-up, which is not safe to repeat: who resumes is
    asked."""
    place.pipeline({
        "tool": {"cmd": ["./tool"]},
        "clean": {"run": FIRST_SLEEPS, "needs": "tool", "always": True, "retry-safe": False},
    })  # fmt: skip
    command = place.start("run")
    place.wait_for("clean")
    command.kill()
    assert place.run("run", "--resume").code == 3


def mend(place: Place) -> None:
    place.write(f"#!/bin/sh\n{noted()}\n", "tool").chmod(0o755)


def test_an_answer_holds_though_the_stage_waits_again_for_what_was_in_the_way(place: Place) -> None:
    asking(place)
    done = place.run("run", "--resume", "--done", "clean", "--json")
    assert (done.code, outcomes(done.json)) == (4, {"tool": "error", "clean": "success"}), done
    assert place.began() == ["clean"]


def test_an_answer_holds_once_what_was_in_the_way_is_mended(place: Place) -> None:
    asking(place)
    mend(place)
    done = place.run("run", "--resume", "--again", "clean", "--json")
    assert (done.code, done.json["outcome"]) == (0, "success"), done
    assert place.began() == ["clean", "tool", "clean"]


def test_an_error_may_be_answered_for_with_the_resume_itself(place: Place) -> None:
    place.pipeline({"deploy": {"cmd": ["./tool"], "retry-safe": False}})
    assert place.run("run").code == 4
    mend(place)
    done = place.run("run", "--resume")
    assert done.code == 3
    assert "deploy ran before (error) and is not retry-safe" in done.out
    assert "interrupted" not in done.out
    assert "‖ waiting" in place.run("runs").out
    assert place.run("runs", "--json").json["runs"][0]["waiting"] == place.show()["waiting"] == "gate"
    assert place.run("run", "--resume", "--again", "deploy").code == 0
    assert place.began() == ["deploy"]


def test_a_cancel_of_a_run_that_nobody_holds_cancels_what_has_no_end_and_nothing_else(place: Place) -> None:
    place.pipeline({
        "tool": {"cmd": ["./tool"]},
        "clean": {"run": noted(), "needs": "tool", "always": True},
        "long": {"run": noted("sleep 967"), "needs": "clean"},
        "later": {"run": noted(), "needs": "long"},
    })  # fmt: skip
    command = place.start("run")
    place.wait_for("long")
    command.kill()
    done = place.run("cancel", "last", "--json")
    assert (done.code, outcomes(done.json)) == (
        1, {"tool": "error", "clean": "success", "long": "cancellation", "later": "skip"},
    ), done  # fmt: skip
    assert place.began() == ["clean", "long"]
    assert place.show()["outcome"] == "cancellation"


def test_what_waited_for_a_resume_had_no_backoff(place: Place) -> None:
    place.pipeline({"tool": {"cmd": ["./tool"]}})
    assert place.run("run").code == 4
    mend(place)
    done = place.run("run", "--resume", "--json")
    assert done.code == 0
    assert "backoff" not in done.json["waiting_by"]
    assert "backoff" not in place.show()["waiting_by"]


def test_options_that_choose_what_runs_are_refused_where_a_run_goes_on(place: Place) -> None:
    run = killed(place)
    for words in (
        ["--skip", "c"], ["--only", "c"], ["--from", "c"], ["--until", "c"], ["--param", "x=1"], ["-j", "2"],
        ["--policy", "lenient"], ["--sequential"], ["--failed-of", "last"], ["--force"],
    ):  # fmt: skip
        for which in ([], [run]):
            done = place.run("run", "--resume", *which, *words)
            assert done.code == 2, (words, done)
            option = "--jobs" if words[0] == "-j" else words[0]
            assert run in done.err and option in done.err and len(done.err.splitlines()) == 1, done.err
    assert place.began() == ["a", "b"]
    assert place.run("run", "--resume").code == 0


def test_options_hold_for_the_run_that_begins_where_none_can_go_on(place: Place) -> None:
    place.pipeline([{"a": noted()}, {"b": noted()}])
    assert place.run("run", "--resume", "--skip", "b", "-j1").code == 0
    assert place.began() == ["a"]
    assert place.run("run", "--resume", "--skip", "unknown").code == 2
    assert place.run("run", "--resume", "--done", "a").code == 2
    for words in (["--done", "a"], ["--again", "a"], ["--accept-changes"]):
        assert place.run("run", *words).code == 2
    assert place.began() == ["a"]


def test_a_rehearsed_resume_says_what_would_happen_and_starts_nothing(place: Place) -> None:
    asking(place)
    before = place.journal_path().read_bytes()
    for _ in (1, 2):
        done = place.run("run", "--resume", "--dry-run", "--json")
        assert done.code == 0, done
        assert {row["stage"]: row["action"] for row in done.json["stages"]} == {"tool": "run", "clean": "ask"}
        assert (done.json["run"], done.json["dry_run"]) == (place.run_ids()[-1], True)
    said = place.run("run", "--resume", "--dry-run").out
    assert "waits again" in said and "ask" in said
    answered = place.run("run", "--resume", "--dry-run", "--done", "clean", "--json").json["stages"]
    assert {row["stage"]: row["action"] for row in answered} == {"tool": "run", "clean": "done"}
    assert place.began() == ["clean"]
    assert place.journal_path().read_bytes() == before


def test_a_rehearsed_resume_by_a_changed_file_says_what_would_run_again(place: Place) -> None:
    killed(place)
    place.pipeline([{"a": noted()}, {"b": noted("true # changed")}, {"c": noted()}])
    assert place.run("run", "--resume", "--dry-run").code == 2
    done = place.run("run", "--resume", "--dry-run", "--accept-changes", "--json")
    assert {row["stage"]: row["action"] for row in done.json["stages"]} == {"a": "stands", "b": "run", "c": "run"}
    assert place.began() == ["a", "b"]
