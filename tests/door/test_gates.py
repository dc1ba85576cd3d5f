"""Gates: everything else goes on while a person is asked; an answer counts once, for what was shown, with or without an
engine, and after a kill.
"""

from __future__ import annotations

import getpass
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import pytest
from tests.door import waiting
from tests.door.place import Command, Done, Place, by_stage, note, noted, outcomes, reasons
from tests.door.terminal import Terminal

ME = getpass.getuser()


def ship(**gate: Any) -> dict[str, Any]:
    return {
        "build": noted("mkdir -p out; echo artifact > out/app"),
        "notes": noted(),
        "ship": {"gate": {"prompt": "Ship it?", **gate}, "needs": ["build"]},
        "deploy": {"run": noted(), "needs": "ship"},
    }


def asked(place: Place, times: int = 1) -> dict[str, Any]:
    """The question, once it is on record."""

    def look() -> list[dict[str, Any]]:
        return place.events("gate.asked") if place.run_ids() else []

    return waiting.until(lambda: look()[times - 1 : times], "a question at the gate")[0]


def left_open(place: Place, **gate: Any) -> Done:
    place.pipeline(ship(**gate))
    done = place.run("run", "--no-wait")
    assert done.code == 3, done.said
    return done


def waits(place: Place, *more: str, **gate: Any) -> Command:
    place.pipeline(ship(**gate))
    command = place.start("run", "--json", *more)
    asked(place)
    return command


# While it waits ------------------------------------------------------------------------------------------------------


def test_r018_the_other_branches_end_while_the_gate_waits_and_an_approval_starts_what_it_kept(place: Place) -> None:
    command = waits(place)
    waiting.until(lambda: outcomes(place.show())["notes"] == "success", "the end of the other branch")
    shown = place.show()
    assert (shown["waiting"], by_stage(shown)["ship"]["waiting"]) == ("gate", "gate")
    assert "deploy" not in place.began()
    done = place.run("approve", "last", "ship", "--comment", "ok")
    assert (done.code, done.out) == (0, f"ship of run {place.run_ids()[0][:8]} is approved\n")
    run = command.wait()
    assert run.code == 0
    gate = by_stage(run.json)["ship"]
    assert (gate["outcome"], gate["attempts"], gate["reason"]) == ("success", [], f"approved by {ME}: ok")
    told = gate["gate"]
    assert (told["prompt"], told["needed"], told["decision"]) == ("Ship it?", 1, "approved")
    assert [(each["by"], each["comment"]) for each in told["approvals"]] == [(ME, "ok")]
    assert place.began() == ["build", "notes", "deploy"] or place.began() == ["notes", "build", "deploy"]


def test_rejected_the_rest_is_skipped_and_the_run_has_failed(place: Place) -> None:
    command = waits(place)
    assert place.run("reject", "last", "ship", "--comment", "not on Friday").code == 0
    run = command.wait()
    assert run.code == 1
    assert outcomes(run.json) == {"build": "success", "notes": "success", "ship": "failure", "deploy": "skip"}
    assert reasons(run.json)["ship"] == f"rejected by {ME}: not on Friday"
    assert by_stage(run.json)["ship"]["gate"]["decision"] == "rejected"
    assert "again  stagebook run\n" in place.run("show", "last").out, "a yes to the gate alone would do nothing"


def test_without_waiting_it_exits_3_after_all_else_and_says_how_to_answer(place: Place) -> None:
    done = left_open(place)
    run = place.run_ids()[0][:8]
    assert sorted(place.began()) == ["build", "notes"]
    assert f'stagebook approve {run} ship --comment "…"' in done.out and f"stagebook reject {run} ship" in done.out
    assert "waits for a person at ship" in done.out
    shown = place.run("show", "last").out
    assert "‖ ship: Ship it?" in shown and "no slot held" in shown and "approvals 0 of 1" in shown
    assert place.run("runs").out.count("waiting") == 1


def test_r018_approved_where_no_engine_is_the_run_goes_on_in_the_foreground(place: Place) -> None:
    left_open(place)
    done = place.run("approve", "last", "ship", "--json")
    assert done.code == 0
    assert done.json["outcome"] == "success" and place.began()[-1] == "deploy"
    again = place.run("approve", "last", "ship")
    assert (again.code, again.out) == (2, "")
    assert again.err == f"refused: ship is decided already: approved by {ME}\n"
    assert place.began().count("deploy") == 1


def test_recorded_only_the_next_engine_takes_it_up(place: Place) -> None:
    left_open(place)
    done = place.run("approve", "last", "ship", "--record-only")
    assert done.code == 0 and "stagebook run --resume" in done.out
    assert place.began().count("deploy") == 0
    assert place.run("reject", "last", "ship").code == 2, "it is decided, though nobody has gone on"
    assert place.run("run", "--resume", "last").code == 0
    assert place.began().count("deploy") == 1


def test_the_record_of_a_gate_replays(place: Place) -> None:
    left_open(place)
    place.run("approve", "last", "ship", "--record-only")
    place.run("run", "--resume", "last")
    assert place.run("run", "--resume", "last", "--json").json["outcome"] == "success"
    vote, answer = place.events("gate.vote")[0], place.events("gate.answered")[0]
    assert (vote["by"], vote["accepted"], vote["decides"], vote["nonce"]) == (
        ME, True, True, place.events("gate.asked")[0]["nonce"],
    )  # fmt: skip
    assert {"uid", "host", "tty", "via"} <= set(vote["from"]) and vote["from"]["uid"] == os.getuid()
    assert len(vote["audit"]) == 64 and len(vote["nonce"]) == 32
    assert (answer["approved"], answer["reason"]) == (True, f"approved by {ME}")


def test_what_a_person_took_is_in_no_speed_up(place: Place) -> None:
    place.pipeline({
        "build": "sleep 0.5",
        "ship": {"gate": {"timeout": "2s", "default": "approve"}, "needs": "build"},
        "aside": {"run": "sleep 1", "needs": "build"},
        "after": {"run": "true", "needs": "ship"},
    })  # fmt: skip
    assert place.run("run", "-j", "2").code == 0
    document = place.show()
    assert document["wall_s"] > 2.4
    assert 0.5 < document["waiting_for_person_s"] < 1.2, "only while nothing else goes on"
    assert document["effective_parallel"]["stages"] > 0.75, document["effective_parallel"]
    said = place.run("show", "last").out
    assert float(said.partition("speed-up ")[2].partition("×")[0]) > 0.75, said
    assert " of it waiting for a person, " in said


# On a terminal -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keys", "code", "said"), [(b"a", 0, "approved"), (b"r", 1, "rejected")])
def test_r018_on_a_terminal_the_card_is_shown_and_a_key_answers(
    place: Place, keys: bytes, code: int, said: str
) -> None:  # fmt: skip
    place.pipeline(ship())
    terminal = Terminal(place, "run", size=(100, 30))
    try:
        waiting.until(lambda: "[a] approve" in terminal.text(), "the keys that answer")
        assert "‖ ship: Ship it?" in terminal.text() and "no slot held" in terminal.text()
        terminal.type(keys)
        waiting.until(lambda: "[Enter] answer" in terminal.text(), "a line for a comment")
        terminal.type(b"alrigth\x7f\x7fht\r")
        assert terminal.wait() == code
        vote = place.events("gate.vote")[0]
        assert (vote["accepted"], vote["comment"], vote["from"]["via"]) == (True, "alright", "terminal")
        assert reasons(place.show())["ship"] == f"{said} by {ME}: alright"
    finally:
        terminal.close()


def test_on_a_terminal_a_refusal_is_shown_and_the_run_waits_on(place: Place) -> None:
    place.pipeline(ship(approvers=["somebody-else"]))
    terminal = Terminal(place, "run", size=(100, 30))
    try:
        waiting.until(lambda: "[a] approve" in terminal.text(), "the keys that answer")
        terminal.type(b"a\r")
        waiting.until(lambda: f"refused: {ME} is no approver of ship" in terminal.text(), "the refusal")
        assert place.show()["waiting"] == "gate"
        terminal.type(b"cy")
        assert terminal.wait() == 130
    finally:
        terminal.close()


# Kept through a kill -------------------------------------------------------------------------------------------------


def test_r019_killed_while_it_waits_it_still_waits_and_holds_nothing(place: Place) -> None:
    stages = ship()
    stages["deploy"]["resources"] = {"pools": {"host": 1}}
    place.pipeline(stages, pools={"host": 1})
    command = place.start("run", "--json")
    first = asked(place)
    waiting.until(lambda: outcomes(place.show())["notes"] == "success", "the end of the other branch")
    command.kill()
    shown = place.show()
    assert (shown["state"], shown["waiting"]) == ("waiting", "gate")
    assert by_stage(shown)["ship"]["held_by"] in (None, [])
    assert not any(attempt["finished"] is None for stage in shown["stages"] for attempt in stage["attempts"])
    again = place.start("run", "--resume", "last", "--json")
    waiting.until(lambda: place.events("run.resumed"), "a new engine")
    assert place.run("approve", "last", "ship").code == 0
    assert again.wait().code == 0
    assert [each["nonce"] for each in place.events("gate.asked")] == [first["nonce"]], "it is the same question"


def test_g24_after_another_boot_the_question_stands(place: Place) -> None:
    """The record has another boot id, as after a reboot."""
    command = waits(place)
    command.kill()
    path = place.journal_path()
    boot = place.journal()[0]["boot"]
    first, *rest = path.read_bytes().splitlines(keepends=True)
    body = first.replace(boot.encode(), b"0" * 8 + boot[8:].encode()).rpartition(b',"crc"')[0]
    path.write_bytes(b"".join([b'%b,"crc":"%08x"}\n' % (body, crc32(body)), *rest]))
    assert place.show()["state"] == "waiting"
    assert place.run("approve", "last", "ship").code == 0
    assert place.began()[-1] == "deploy"


def test_ctrl_c_at_a_gate_is_as_anywhere_and_it_can_be_gone_on_with(place: Place) -> None:
    command = waits(place)
    command.send(signal.SIGINT)
    assert command.wait(5).code == 130
    assert reasons(place.show())["ship"] == "cancelled by SIGINT"
    again = place.start("run", "--resume", "last", "--json")
    question = asked(place, times=2)
    assert question["nonce"] != place.events("gate.asked")[0]["nonce"], "it is asked anew"
    assert place.run("approve", "last", "ship").code == 0
    assert again.wait().code == 0


def test_g24_a_waiting_gate_is_cancelled_at_once(place: Place) -> None:
    command = waits(place)
    assert place.run("cancel", "last", "ship").code == 0
    run = command.wait(5)
    assert outcomes(run.json)["ship"] == "cancellation" and outcomes(run.json)["deploy"] == "skip"


def test_r019_a_newer_run_does_not_cancel_a_waiting_gate(place: Place) -> None:
    command = waits(place)
    old = place.run_ids()[0]
    assert place.run("run", "--no-wait").code == 3
    assert place.run("approve", old, "ship").code == 0
    assert command.wait().code == 0


# Time ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("default", "code", "outcome"), [("approve", 0, "success"), ("reject", 1, "timeout")])
def test_r019_when_nobody_answers_in_time_the_default_does(
    place: Place, default: str, code: int, outcome: str
) -> None:  # fmt: skip
    place.pipeline(ship(timeout="300ms", default=default))
    run = place.run("run", "--json")
    assert run.code == code
    gate = by_stage(run.json)["ship"]
    assert (gate["outcome"], gate["reason"]) == (outcome, f"nobody decided in time: {default}")
    assert place.run("approve", "last", "ship").code == 2


def test_the_time_of_a_gate_goes_on_while_no_engine_lives(place: Place) -> None:
    left_open(place, timeout="1s")
    expires = datetime.fromisoformat(asked(place)["expires"])
    waiting.until(lambda: datetime.now(UTC) > expires, "the end of the time to answer")
    assert "the time to answer ship is over" in place.run("approve", "last", "ship").err
    run = place.run("run", "--resume", "last", "--json")
    assert by_stage(run.json)["ship"]["reason"] == "nobody decided in time: reject"


# Who and what --------------------------------------------------------------------------------------------------------


def test_r020_after_a_failed_need_an_approval_is_refused(place: Place) -> None:
    stages = ship()
    stages["build"] = "exit 1"
    place.pipeline(stages)
    assert place.run("run").code == 1
    done = place.run("approve", "last", "ship")
    assert (done.code, done.err) == (1, "refused: needs build (failed)\n")
    assert "deploy" not in place.began()


def test_g24_who_is_not_listed_is_refused_and_it_is_on_record(place: Place) -> None:
    left_open(place, approvers=["somebody-else"])
    done = place.run("approve", "last", "ship", "--json")
    assert done.code == 2
    assert done.json["errors"][0]["code"] == "not-listed" and ME in done.json["errors"][0]["message"]
    chain = (place.folder / ".stagebook" / "audit.jsonl").read_text()
    assert '"refused"' in chain and '"not-listed"' in chain
    assert outcomes(place.show())["ship"] is None


def test_g24_of_its_own_run_nobody_approves_where_that_is_asked(place: Place) -> None:
    left_open(place, **{"self-approval": False})
    done = place.run("approve", "last", "ship")
    assert done.code == 2 and f"{ME} started the run" in done.err
    assert place.run("reject", "last", "ship").code == 1, "to reject starts nothing"


@pytest.mark.parametrize(("mode", "code"), [(0o777, 2), (0o770, 2), (0o1777, 0), (0o755, 0)])
def test_g24_a_list_of_approvers_that_others_can_replace_lists_nobody(place: Place, mode: int, code: int) -> None:
    folder = place.folder / "who"
    folder.mkdir()
    (folder / "people.yaml").write_text(f"ops: [{ME}]\n")
    (folder / "people.yaml").chmod(0o644)
    folder.chmod(mode)
    left_open(place, approvers=["ops"], **{"approvers-file": "who/people.yaml"})
    done = place.run("approve", "last", "ship")
    assert done.code == code, done.said
    if code:
        assert f"refused: nobody can approve: its folder {folder} can be written by others; chmod go-w it" in done.err


def test_off_a_terminal_what_is_decided_about_is_said_before(place: Place) -> None:
    stages = ship()
    stages["build"] = {"run": stages["build"], "outputs": "out/app"}
    stages["deploy"] |= {"inputs": ["bring.sh"]}
    (place.folder / "bring.sh").write_text("cat out/app\n")
    place.pipeline(stages)
    assert place.run("run", "--no-wait").code == 3
    (question,) = place.events("gate.asked")
    digests = {path: digest for path, _, digest in question["artifacts"] + question["inputs"]}
    said = place.run("approve", "last", "ship", "--record-only")
    assert said.code == 0 and said.err.startswith("‖ ship: Ship it?\n")
    assert all(path in said.err and digest[:16] in said.err for path, digest in digests.items()), said.err
    assert "passed   build, notes" in said.err and "no earlier run" in said.err or "no git work tree" in said.err
    assert place.run("run", "--no-wait").code == 3
    told = place.run("approve", "last", "ship", "--json")
    assert told.code == 0 and told.json["outcome"] == "success"
    shown = told.json["shown"]
    assert {file["path"]: file["digest"] for file in shown["artifacts"] + shown["inputs"]} == digests
    assert place.run("run", "--no-wait").code == 3
    quiet = place.run("approve", "last", "ship", "--record-only", "--quiet")
    assert (quiet.code, quiet.said) == (0, "")


def test_a_quorum_takes_different_persons(place: Place) -> None:
    left_open(place, quorum=2)
    first = place.run("approve", "last", "ship")
    assert (first.code, first.out) == (0, f"ship has approvals 1 of 2 ({ME}), and waits for more\n")
    second = place.run("approve", "last", "ship")
    assert second.code == 2 and "another person has to" in second.err
    assert outcomes(place.show())["ship"] is None


def test_g24_a_file_that_was_changed_meanwhile_is_not_approved(place: Place) -> None:
    left_open(place)
    stages = ship()
    stages["deploy"]["run"] = "echo something else"
    place.pipeline(stages)
    done = place.run("approve", "last", "ship")
    assert done.code == 2 and "the pipeline file was changed since the run began" in done.err
    place.pipeline(ship())
    assert place.run("approve", "last", "ship").code == 0


def test_g24_an_artifact_that_is_no_longer_what_was_shown_is_not_approved(place: Place) -> None:
    stages = ship()
    stages["build"] = {"run": stages["build"], "outputs": "out/app"}
    place.pipeline(stages)
    assert place.run("run", "--no-wait").code == 3
    assert [row[0] for row in place.events("gate.asked")[0]["artifacts"]] == ["out/app"]
    (place.folder / "out" / "app").write_text("another\n")
    done = place.run("approve", "last", "ship")
    assert done.code == 2 and "\nrefused: out/app is no longer what was shown" in done.err
    (place.folder / "out" / "app").write_text("artifact\n")
    assert place.run("approve", "last", "ship").code == 0


def test_g24_of_two_who_answer_at_once_exactly_one_counts(place: Place) -> None:
    command = waits(place)
    with ThreadPoolExecutor(4) as pool:
        words = ["approve", "reject", "approve", "reject"]
        done = list(pool.map(lambda word: place.run(word, "last", "ship"), words))
    assert sorted(each.code for each in done) == [0, 2, 2, 2], [each.said for each in done]
    command.wait()
    assert len(place.events("gate.answered")) == 1
    assert sum(vote["accepted"] for vote in place.events("gate.vote")) == 1


@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_an_answer_that_ends_the_run_before_it_is_looked_for_is_an_answer_all_the_same(
    place: Place, answer: str
) -> None:  # fmt: skip
    """The engine hears it, and is gone when the command looks for what came of it."""
    command = waits(place)
    done = place.run(answer, "last", "ship", "--json", env={"STAGEBOOK_FAULT": "ask.wait:1+:SLOW"})
    assert (done.code, done.json["vote"]["decision"]) == (0, f"{answer}ed".replace("ee", "e")), done.said
    assert command.wait().code == (0 if answer == "approve" else 1)
    assert not place.events("run.resumed")


@pytest.mark.parametrize(
    ("gate", "says"),
    [("build", "`build` is no gate of run"), ("nope", "`nope` is no stage of run")],
)
def test_what_is_no_gate_is_named(place: Place, gate: str, says: str) -> None:
    left_open(place)
    done = place.run("approve", "last", gate)
    assert done.code == 2 and says in done.err and "its gates are `ship`" in done.err


def test_before_it_asks_nobody_can_answer(place: Place) -> None:
    stages = ship()
    stages["build"] = f'{note("begin")}\nwhile [ ! -e "$BASE/go" ]; do sleep 0.02; done'
    place.pipeline(stages)
    command = place.start("run", "--no-wait")
    place.wait_for("build")
    done = place.run("approve", "last", "ship")
    assert done.code == 2 and "ship does not ask yet: it needs build" in done.err
    (place.base / "go").touch()
    assert command.wait().code == 3


def test_a_comment_that_fits_no_line_is_refused(place: Place) -> None:
    left_open(place)
    done = place.run("approve", "last", "ship", "--comment", "x" * 5000)
    assert done.code == 2 and "too long" in done.err


@pytest.mark.parametrize("is_held", [True, False])
def test_g23_a_comment_keeps_no_secret(place: Place, is_held: bool) -> None:
    stages = ship()
    stages["deploy"]["secrets"] = ["TOKEN"]
    place.pipeline(stages, secrets=["TOKEN"])
    env = {"TOKEN": "t0ken-7f3a9b2c"}
    if is_held:
        command = place.start("run", env=env)
        asked(place)
    else:
        assert place.run("run", "--no-wait", env=env).code == 3
    done = place.run("approve", "last", "ship", "--record-only", "--comment", "fine, t0ken-7f3a9b2c", env=env)
    assert done.code == 0, done.said
    if is_held:
        assert command.wait().code == 0
    kept = place.journal_path().read_bytes() + (place.folder / ".stagebook" / "audit.jsonl").read_bytes()
    assert b"fine, " in kept and b"t0ken" not in kept


def test_in_sequence_a_gate_keeps_back_only_what_waits_for_it(place: Place) -> None:
    place.pipeline({
        "ship": {"gate": {"prompt": "Ship it?"}}, "deploy": {"run": noted(), "needs": "ship"},
        "notes": noted(), "scan": noted(),
    })  # fmt: skip
    assert place.run("run", "--sequential", "--no-wait").code == 3
    assert place.began() == ["notes", "scan"]


@pytest.mark.parametrize("default", ["reject", "approve"])
def test_r019_without_waiting_the_default_holds_once_its_time_is_over(place: Place, default: str) -> None:
    place.pipeline({
        "ship": {"gate": {"prompt": "Ship it?", "timeout": "300ms", "default": default}},
        "deploy": {"run": noted(), "needs": "ship"},
    })  # fmt: skip
    assert place.run("run", "--no-wait").code == 3
    expires = datetime.fromisoformat(place.events("gate.asked")[0]["expires"])
    waiting.until(lambda: datetime.now(UTC) > expires, "its time")
    done = place.run("run", "--resume", "last", "--no-wait", "--json")
    assert done.code == (0 if default == "approve" else 1), done.said
    assert by_stage(done.json)["ship"]["reason"] == f"nobody decided in time: {default}"
    assert place.began() == (["deploy"] if default == "approve" else [])
