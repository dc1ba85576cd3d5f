"""What was approved is what is shipped: files that change after an approval take it back, whoever goes on with the run,
and no selection passes a gate.
"""

from __future__ import annotations

import getpass
import json
from typing import Any

import pytest
from tests.door import waiting
from tests.door.place import Place, by_stage, noted, outcomes, reasons

ME = getpass.getuser()
NO_LONGER = f"the approval of {ME} is void: out/app is no longer what was shown"


def ship(**gate: Any) -> dict[str, Any]:
    return {
        "build": {"run": noted("mkdir -p out; echo artifact > out/app"), "outputs": "out/app"},
        "ship": {"gate": {"prompt": "Ship it?", **gate}, "needs": ["build"]},
        "deploy": {"run": noted("sh bring.sh"), "inputs": ["out/app", "bring.sh"], "needs": "ship"},
    }


def left_open(place: Place, stages: dict[str, Any] | None = None, *more: str) -> None:
    (place.folder / "bring.sh").write_text("cat out/app\n")
    place.pipeline(stages or ship())
    done = place.run("run", "--no-wait", *more)
    assert done.code == 3, done.said


def chain(place: Place) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place.folder / ".stagebook" / "audit.jsonl").read_text().splitlines()]


def tamper(place: Place, file: str = "out/app") -> None:
    (place.folder / file).write_text("something else\n")


# Between the approval and the start ----------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["out/app", "bring.sh"])
def test_g24_what_changes_after_the_approval_takes_it_back_and_it_is_asked_anew(place: Place, file: str) -> None:
    left_open(place)
    assert place.run("approve", "last", "ship", "--record-only").code == 0
    tamper(place, file)
    done = place.run("run", "--resume", "last", "--no-wait")
    said = f"the approval of {ME} is void: {file} is no longer what was shown"
    assert done.code == 3 and f"ship: {said}" in done.out, done.said
    assert "deploy" not in place.began()
    assert [(each["what"], each.get("code")) for each in chain(place)] == [("approved", None), ("void", "artifacts")]
    void, (first, second) = place.events("gate.void")[0], place.events("gate.asked")
    assert (void["for"], void["changed"], void["reason"]) == ("deploy", [file], said)
    assert first["nonce"] != second["nonce"]
    shown = place.show()
    assert (shown["waiting"], by_stage(shown)["ship"]["gate"]["approvals"]) == ("gate", [])
    assert f"ship: {said}; it is asked anew" in shown["warnings"] or any(said in each for each in shown["warnings"])
    assert place.run("audit", "--verify").code == 0


def test_g24_put_back_it_can_be_approved_again_and_the_run_goes_on(place: Place) -> None:
    left_open(place)
    place.run("approve", "last", "ship", "--record-only")
    tamper(place)
    place.run("run", "--resume", "last", "--no-wait")
    refused = place.run("approve", "last", "ship")
    assert refused.code == 2 and "out/app is no longer what was shown; put it back" in refused.err
    (place.folder / "out" / "app").write_text("artifact\n")
    done = place.run("approve", "last", "ship")
    assert done.code == 0, done.said
    assert place.began() == ["build", "deploy"]
    assert place.run("run", "--resume", "last", "--json").json["outcome"] == "success", "the record replays"


def test_g24_an_input_that_has_come_since_takes_the_approval_back(place: Place) -> None:
    stages = ship()
    stages["deploy"]["inputs"] = ["out/app", "*.sh"]
    left_open(place, stages)
    place.run("approve", "last", "ship", "--record-only")
    tamper(place, "another.sh")
    done = place.run("run", "--resume", "last", "--no-wait")
    assert done.code == 3 and "another.sh is no longer what was shown" in done.out


def test_g24_what_waits_for_its_turn_after_the_approval_is_looked_at_when_it_starts(place: Place) -> None:
    """With an engine: another stage has the one pool that deploy needs."""
    stages = ship()
    stages["busy"] = {"run": 'touch "$BASE/busy"; while [ ! -e "$BASE/go" ]; do sleep 0.02; done'}
    for name in ("busy", "deploy"):
        stages[name]["resources"] = {"pools": {"host": 1}}
    (place.folder / "bring.sh").write_text("cat out/app\n")
    place.pipeline(stages, pools={"host": 1})
    command = place.start("run", "--json")
    waiting.until(lambda: (place.base / "busy").exists() and place.events("gate.asked"), "a question at the gate")
    assert place.run("approve", "last", "ship").code == 0
    tamper(place)
    (place.base / "go").touch()
    waiting.until(lambda: len(place.events("gate.asked")) == 2, "another question")
    assert place.show()["waiting"] == "gate" and "deploy" not in place.began()
    assert place.run("reject", "last", "ship").code == 0
    run = command.wait()
    assert run.code == 1
    assert outcomes(run.json) == {"build": "success", "busy": "success", "ship": "failure", "deploy": "skip"}


@pytest.mark.parametrize("by", ["somebody", "prep", "generated"])
def test_g24_what_changes_while_stages_behind_the_gate_run_stops_those_further_behind(place: Place, by: str) -> None:
    stages = {**ship(), "prep": {"run": noted("echo more > prepared"), "outputs": "prepared", "needs": "ship"}}
    stages["deploy"]["needs"] = "prep"
    if by == "somebody":
        stages["prep"]["run"] = noted('touch "$BASE/begun"; while [ ! -e "$BASE/go" ]; do sleep 0.02; done; > prepared')
    elif by == "prep":
        stages["prep"]["run"] = noted("echo evil > out/app; > prepared")
    else:
        written = '{"stages": {"late": {"run": "echo evil > out/app"}}}'
        stages["prep"] = {"generate": {"run": f"echo '{written}' > $STAGEBOOK_GENERATE"}, "needs": "ship"}
    left_open(place, stages)
    command = place.start("approve", "last", "ship")
    if by == "somebody":
        waiting.until((place.base / "begun").exists, "the stage behind the gate")
        tamper(place)
        (place.base / "go").touch()
    waiting.until(lambda: len(place.events("gate.asked")) == 2, "another question")
    assert "deploy" not in place.began() and place.events("gate.void")[0]["for"] == "deploy"
    (place.folder / "out" / "app").write_text("artifact\n")
    assert place.run("approve", "last", "ship").code == 0
    assert command.wait().code == 0
    assert place.began().count("deploy") == 1 and place.began().count("prep") == (by != "generated")


def test_g24_an_item_that_is_no_longer_the_file_that_was_approved_fails_alone(place: Place) -> None:
    stages = ship()
    stages["build"] = {"run": "mkdir -p out; for each in a b c; do echo fine > out/$each; done", "outputs": "out/*"}
    wait = 'echo $ITEM >> "$BASE/tried"; while [ ! -e "$BASE/go" ]; do sleep 0.02; done; cat $ITEM >> shipped'
    each = {"items": {"glob": "out/*"}, "on-item-failure": "skip", "steps": [{"bring": {"run": wait}}]}
    stages["deploy"] = {"each": each, "needs": "ship"}
    left_open(place, stages)
    command = place.start("approve", "last", "ship")
    waiting.until((place.base / "tried").exists, "the first item")
    tamper(place, "out/b")
    (place.base / "go").touch()
    run = command.wait()
    assert (place.base / "tried").read_text().split() == ["out/a", "out/c"], run.said
    assert (place.folder / "shipped").read_text() == "fine\nfine\n"
    told = place.run("items", "last", "deploy")
    assert "out/b is no longer what was shown at ship" in told.said, told.said


def test_what_a_stage_behind_the_gate_makes_anew_is_no_longer_what_was_approved_and_goes_on(place: Place) -> None:
    stages = ship()
    stages["build"]["outputs"] = "out/**"
    stages["sign"] = {"run": noted("echo signed >> out/app"), "outputs": "out/*", "needs": "ship"}
    stages["deploy"] = {"run": noted("cat out/app"), "needs": "sign"}
    left_open(place, stages)
    done = place.run("approve", "last", "ship")
    assert "void" not in done.said, done.said


def test_a_file_that_a_stage_makes_meanwhile_is_no_part_of_what_is_approved(place: Place) -> None:
    stages = ship()
    stages["notes"] = {"run": 'while [ ! -e "$BASE/go" ]; do sleep 0.02; done; echo notes > notes.md',
                       "outputs": "notes.md"}  # fmt: skip
    stages["deploy"] |= {"needs": ["ship", "notes"], "inputs": ["out/app", "*.md", "bring.sh"]}
    (place.folder / "bring.sh").write_text("cat out/app notes.md\n")
    place.pipeline(stages)
    command = place.start("run", "--json")
    waiting.until(lambda: place.run_ids() and place.events("gate.asked"), "a question at the gate")
    assert [row[0] for row in place.events("gate.asked")[0]["inputs"]] == ["bring.sh"]
    assert place.run("approve", "last", "ship").code == 0
    (place.base / "go").touch()
    assert command.wait().code == 0


def test_g24_much_that_is_bound_is_looked_at_beside_the_run(place: Place) -> None:
    stages = ship()
    stages["build"] |= {"run": "mkdir -p out; head -c 6000000 /dev/zero > out/app"}
    stages["deploy"]["inputs"] = ["out/app", "**/*.sh"]
    left_open(place, stages)
    assert [row[0] for row in place.events("gate.asked")[0]["inputs"]] == ["bring.sh"]
    place.run("approve", "last", "ship", "--record-only")
    with open(place.folder / "out" / "app", "r+b") as file:
        file.seek(5_000_000)
        file.write(b"x")
    assert place.run("run", "--resume", "last", "--no-wait").code == 3
    with open(place.folder / "out" / "app", "r+b") as file:
        file.seek(5_000_000)
        file.write(b"\0")
    assert place.run("approve", "last", "ship").code == 0


@pytest.mark.parametrize("output", ["out/", "out/*", "out"])
def test_g24_a_file_that_has_come_where_all_were_shown_takes_the_approval_back(place: Place, output: str) -> None:
    stages = {**ship(), "deploy": {"run": noted("cat out/*"), "needs": "ship"}}
    stages["build"]["outputs"] = output
    left_open(place, stages)
    assert place.run("approve", "last", "ship", "--record-only").code == 0
    tamper(place, "out/z")
    done = place.run("run", "--resume", "last", "--no-wait")
    assert done.code == 3 and "out/z is no longer what was shown" in done.out, done.said
    refused = place.run("approve", "last", "ship")
    assert refused.code == 2 and "out/z is no longer what was shown" in refused.err
    (place.folder / "out" / "z").unlink()
    assert place.run("approve", "last", "ship").code == 0
    assert place.began() == ["build", "deploy"]


def test_g24_what_other_stages_make_in_the_same_folder_takes_no_approval_back(place: Place) -> None:
    stages = {**ship(), "note": {"run": noted("echo x > out/note"), "outputs": "out/note", "needs": "ship"}}
    stages["build"]["outputs"] = "out/"
    stages["side"] = {"run": noted("mkdir -p out; echo x > out/side"), "outputs": "out/side", "needs": "build"}
    stages["deploy"] = {"run": noted("cat out/*; echo x > out/new"), "outputs": "out/new", "needs": ["ship", "note"]}
    left_open(place, stages)
    done = place.run("approve", "last", "ship")
    assert done.code == 0, done.said


@pytest.mark.parametrize("is_changed", [True, False])
def test_g24_the_default_approves_only_what_was_shown(place: Place, is_changed: bool) -> None:
    left_open(place, ship(timeout="500ms", default="approve"))
    if is_changed:
        tamper(place)
    run = place.run("run", "--resume", "last", "--json")
    end = by_stage(run.json)["ship"]
    if not is_changed:
        assert (run.code, end["outcome"], end["reason"]) == (0, "success", "nobody decided in time: approve")
        return
    assert (run.code, end["outcome"], end["gate"]["decision"]) == (1, "failure", "rejected")
    assert end["reason"].startswith("nobody decided in time: approve is refused, out/app is no longer what was shown")
    assert "deploy" not in place.began()
    assert [(each["what"], each.get("code")) for each in chain(place)] == [("refused", "artifacts"), ("answered", None)]


def test_g24_with_accepted_changes_it_is_asked_anew(place: Place) -> None:
    stages = ship()
    left_open(place, stages)
    place.run("approve", "last", "ship", "--record-only")
    stages["deploy"]["run"] = noted("sh bring.sh; echo more")
    place.pipeline(stages)
    done = place.run("run", "--resume", "last", "--accept-changes", "--no-wait")
    assert done.code == 3, done.said
    assert place.began() == ["build"] and len(place.events("gate.asked")) == 2


def test_g23_the_name_of_an_input_keeps_no_secret(place: Place) -> None:
    stages = ship()
    stages["deploy"] |= {"inputs": ["*.sh"], "secrets": ["TOKEN"]}
    (place.folder / "t0ken-7f3a9b2c.sh").touch()
    place.pipeline(stages, secrets=["TOKEN"])
    env = {"TOKEN": "t0ken-7f3a9b2c"}
    done = place.run("run", "--no-wait", env=env)
    assert done.code == 3 and "holds a secret" in done.out and not place.events("gate.asked")[0]["inputs"]
    assert place.run("approve", "last", "ship", env=env).code == 1, "its start refuses the name"
    for path in (place.folder / ".stagebook").rglob("*.jsonl"):
        assert b"t0ken" not in path.read_bytes(), path


# What is selected ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option", [("--only", "deploy"), ("--from", "deploy"), ("--until", "deploy", "--skip", "build")]
)
def test_g24_no_selection_takes_a_gate_for_approved(place: Place, option: tuple[str, ...]) -> None:
    left_open(place)
    assert place.run("reject", "last", "ship").code == 1
    done = place.run("run", *option, "--no-wait", "--json")
    assert done.code == 3, done.said
    assert outcomes(done.json) == {"build": "skip", "ship": None, "deploy": None}
    rows = place.events("gate.asked")[0]["artifacts"]
    assert [row[0] for row in rows] == ["out/app"], "what lies there is what is approved, whoever made it"
    assert place.run("approve", "last", "ship").code == 0
    assert place.began() == ["build", "deploy"]


def test_g24_what_did_not_succeed_is_approved_again_and_bound(place: Place) -> None:
    stages = ship()
    stages["deploy"]["run"] = noted('[ -e "$BASE/mended" ]')
    left_open(place, stages)
    assert place.run("approve", "last", "ship").code == 1
    (place.base / "mended").touch()
    assert place.run("run", "--failed-of", "last", "--no-wait").code == 3
    place.run("approve", "last", "ship", "--record-only")
    tamper(place)
    assert place.run("run", "--resume", "last", "--no-wait").code == 3
    first, second = place.events("gate.asked")
    assert first["artifacts"] != second["artifacts"], "no stage of this run made it: what lies there is asked about"
    assert place.began().count("deploy") == 1


def test_g24_between_a_gate_and_what_is_selected_nothing_counts_as_done_too_early(place: Place) -> None:
    stages = ship()
    stages["check"] = {"run": noted(), "needs": "ship"}
    stages["deploy"]["needs"] = "check"
    left_open(place, stages)
    done = place.run("run", "--only", "deploy", "--no-wait", "--json")
    assert done.code == 3 and "deploy" not in place.began()
    assert place.run("approve", "last", "ship", "--record-only").code == 0
    tamper(place)
    assert place.run("run", "--resume", "last", "--no-wait").code == 3
    assert place.run("reject", "last", "ship").code == 1
    assert outcomes(place.show())["deploy"] == "skip" and "deploy" not in place.began()


def test_g24_a_gate_is_not_skipped_for_others(place: Place) -> None:
    place.pipeline({**ship(), "cleanup": {"run": noted(), "needs": "deploy", "always": True}})
    done = place.run("run", "--skip", "ship", "--json")
    assert done.code == 2 and place.began() == []
    (error,) = done.json["errors"]
    assert error["code"] == "skipped-gate"
    assert "`ship` is a gate and `deploy` needs it" in error["message"] and "--skip deploy" in error["message"]
    assert place.run("run", "--skip", "ship", "--skip", "deploy").code == 0
    assert sorted(place.began()) == ["build", "cleanup"]


def test_a_gate_that_is_up_to_date_before_binds_what_was_made_then(place: Place) -> None:
    """A stage that did not run, as it is up to date, is approved as one that did."""
    stages = ship()
    stages["build"]["inputs"] = ["source"]
    (place.folder / "source").touch()
    left_open(place, stages)
    left_open(place, stages)
    assert reasons(place.show())["build"] == "up to date"
    assert [row[0] for row in place.events("gate.asked")[0]["artifacts"]] == ["out/app"]
    tamper(place)
    assert place.run("approve", "last", "ship").code == 2
