"""Outputs that are announced before their stage ends: R22. A consumer starts then, and what is announced must stay."""

from __future__ import annotations

import pytest
from tests.door import waiting
from tests.door.place import Document, Place, by_stage, noted, outcomes, reasons

BUILD = {
    "run": noted("sleep 0.4; mkdir -p dist; echo wheel > dist/app.whl; echo ready=dist/app.whl >> $STAGEBOOK_OUTPUT"
                 "\nsleep 1; $AFTER"),
    "outputs": [{"path": "dist/app.whl", "ready": "early"}],
}  # fmt: skip


def seconds(document: Document) -> dict[str, tuple[float, float]]:
    return {
        stage["stage"]: (stage["attempts"][0]["from_s"], stage["attempts"][-1]["to_s"])
        for stage in document["stages"]
        if stage["attempts"]
    }


def test_r022_a_consumer_starts_when_the_output_is_announced(place: Place) -> None:
    place.pipeline({
        "build": {"run": "sleep 2; echo wheel > app.whl; echo ready=app.whl >> $STAGEBOOK_OUTPUT; sleep 4",
                  "outputs": [{"path": "app.whl", "ready": "early"}]},
        "integration": {"run": noted("grep -q wheel app.whl"), "inputs": ["app.whl"]},
        "after": {"run": "true", "needs": ["build"]},
    })  # fmt: skip
    done = place.run("run", "--json", "-j", "4")
    assert done.code == 0, done
    at = seconds(done.json)
    assert 2.0 <= at["integration"][0] - at["build"][0] < 2.6
    assert at["after"][0] >= at["build"][1]
    early, last = place.events("output.published")
    assert (early["stage"], early["early"], early["dependents"]) == ("build", True, ["integration"])
    assert early["outputs"][0][:2] == ["app.whl", 6]
    assert last["early"] is False
    assert early["outputs"] == last["outputs"]


def test_a_path_may_be_said_from_the_stage_s_own_folder_or_whole(place: Place) -> None:
    (place.folder / "sub").mkdir()
    for said in ("out", "$PWD/out", "../sub/out"):
        place.pipeline({
            "make": {"run": f"echo x > out; echo ready={said} >> $STAGEBOOK_OUTPUT; sleep 1", "dir": "sub",
                     "outputs": [{"path": "out", "ready": "early"}]},
            "use": {"run": "cat sub/out", "inputs": ["sub/out"]},
        })  # fmt: skip
        done = place.run("run", "--json", "-j", "2", "--force")
        at = seconds(done.json)
        assert at["use"][0] < at["make"][1], said


@pytest.mark.parametrize(
    ("after", "what"),
    [("sh -c 'echo other > dist/app.whl'", "changed after it was announced, and integration has used it"),
     ("rm dist/app.whl", "was not made")],
)  # fmt: skip
def test_what_was_announced_must_not_change(place: Place, after: str, what: str) -> None:
    place.pipeline({
        "build": {**BUILD, "run": str(BUILD["run"]).replace("$AFTER", after)},
        "integration": {"run": noted("cat dist/app.whl"), "inputs": ["dist/app.whl"]},
    })  # fmt: skip
    done = place.run("run", "--json", "-j", "2")
    assert done.code == 1
    assert outcomes(done.json)["build"] == "failure"
    said = reasons(done.json)["build"] or ""
    assert said.startswith(f"integrity: dist/app.whl {what}"), said


def test_what_is_announced_and_no_early_output_is_warned_of(place: Place) -> None:
    said = "ready=b\\nready=../../etc/passwd\\nready=a"
    place.pipeline({
        "build": {"run": f"echo x > a; echo x > b; printf '{said}' >> $STAGEBOOK_OUTPUT; sleep 0.3",
                  "outputs": [{"path": "a", "ready": "early"}, "b"]},
        "use": {"run": "cat a", "inputs": ["a"]},
    })  # fmt: skip
    done = place.run("run", "--json", "-j", "2")
    assert done.code == 0
    assert [text for text in done.json["warnings"] if "ready=" in text] == [
        "build: ready=b is none of its outputs that are `ready: early`",
        "build: ready=../../etc/passwd is none of its outputs that are `ready: early`",
    ]
    assert [line["early"] for line in place.events("output.published")] == [False], "its line never ended"


def test_a_failure_after_the_announcement_takes_the_output_away(place: Place) -> None:
    place.pipeline({
        "build": {**BUILD, "run": str(BUILD["run"]).replace("$AFTER", "exit 3")},
        "integration": {"run": noted("sleep 3; true"), "inputs": ["dist/app.whl"]},
        "later": {"run": noted(), "needs": ["integration"]},
    })  # fmt: skip
    done = place.run("run", "--json", "-j", "2")
    assert done.code == 1
    assert outcomes(done.json)["build"] == "failure"
    assert outcomes(done.json)["integration"] != "success", by_stage(done.json)["integration"]
    assert not (place.folder / "dist" / "app.whl").exists()
    assert "later" not in place.began()


def test_a_resume_after_a_kill_announces_again(place: Place) -> None:
    place.pipeline({
        "build": {**BUILD, "run": str(BUILD["run"]).replace("$AFTER", "true")},
        "integration": {"run": noted("cat dist/app.whl"), "inputs": ["dist/app.whl"]},
    })  # fmt: skip
    command = place.start("run", "-j", "2")
    place.wait_for("integration")
    command.kill()
    done = place.run("run", "--resume", "--json")
    assert done.code == 0, done
    assert outcomes(done.json) == {"build": "success", "integration": "success"}


def test_a_consumer_of_several_early_outputs_waits_for_those_it_reads(place: Place) -> None:
    say = "echo {0} > dist/{0}; echo ready=dist/{0} >> $STAGEBOOK_OUTPUT; sleep 0.7"
    place.pipeline({
        "build": {"run": "\n".join(["mkdir -p dist", *(say.format(name) for name in "abc"), "sleep 0.5"]),
                  "outputs": [{"path": f"dist/{name}", "ready": "early"} for name in "abc"]},
        "first": {"run": "cat dist/a", "inputs": ["dist/a"]},
        "two": {"run": "cat dist/a dist/b", "inputs": ["dist/a", "dist/b"]},
        "all": {"run": "cat dist/*", "inputs": ["dist"]},
    })  # fmt: skip
    done = place.run("run", "--json", "-j", "4")
    assert done.code == 0, done
    at = seconds(done.json)
    assert at["first"][0] < at["two"][0] - 0.4 < at["all"][0] - 0.8
    assert at["all"][0] < at["build"][1]


USE = {"run": "cat o > r", "inputs": ["o"], "outputs": ["r"]}
EARLY = [{"path": "o", "ready": "early"}]


def test_r022_the_next_attempt_may_not_publish_something_else_than_was_used(place: Place) -> None:
    again = "echo ready=o >> $STAGEBOOK_OUTPUT; sleep 0.6; [ $STAGEBOOK_ATTEMPT = 2 ]"
    build = {"run": f"echo $STAGEBOOK_ATTEMPT > o; {again}", "outputs": EARLY, "retry": {"attempts": 3}}
    place.pipeline({"p": build, "c": USE})
    done = place.run("run", "--json", "-j", "2")
    assert done.code == 1, done
    assert reasons(done.json)["p"] == "integrity: o changed after it was announced, and c has used it"
    assert len(by_stage(done.json)["p"]["attempts"]) == 2, "such an end is final"
    assert place.run("run", "--resume", "--json").code == 1
    place.pipeline({"p": {**build, "run": f"echo same > o; {again}"}, "c": USE})
    done = place.run("run", "--json", "-j", "2")
    assert outcomes(done.json) == {"p": "success", "c": "success"}, done
    assert (by_stage(done.json)["p"]["flaky"], done.json["warnings"]) == (True, [])
    place.pipeline({"p": {**build, "run": "echo same > o; echo ready=o >> $STAGEBOOK_OUTPUT"}, "c": USE})
    assert outcomes(place.run("run", "--json", "-j", "2").json)["c"] == "skip", "its success was kept"


def test_a_resume_knows_what_was_used_before(place: Place) -> None:
    place.pipeline({
        "p": {"run": noted("date +%N > o; echo ready=o >> $STAGEBOOK_OUTPUT; sleep 2"), "outputs": EARLY},
        "c": USE,
    })  # fmt: skip
    command = place.start("run", "-j", "2")
    waiting.until(lambda: any(line["stage"] == "c" for line in place.events("stage.ended")), "the end of c")
    command.kill()
    done = place.run("run", "--resume", "--json")
    assert done.code == 1, done
    assert reasons(done.json)["p"] == "integrity: o changed after it was announced, and c has used it"


def test_what_was_announced_and_never_published_was_used_in_vain(place: Place) -> None:
    fails = {"run": "echo x > o; echo ready=o >> $STAGEBOOK_OUTPUT; sleep 0.7; exit 1", "outputs": EARLY}
    place.pipeline({"p": {**fails, "allow-failure": True}, "c": USE})
    done = place.run("run", "--json", "-j", "2")
    assert outcomes(done.json) == {"p": "failure", "c": "success"}, done
    assert "c used o, which p announced and then did not publish" in done.json["warnings"]
    place.write("x", "o")
    assert outcomes(place.run("run", "--json", "--only", "c").json)["c"] == "failure", "it was never a success"
    place.pipeline({"p": {**fails, "allow-failure": True}, "c": {**USE, "run": "cat o > r; sleep 2"}})
    done = place.run("run", "--json", "-j", "2")
    assert outcomes(done.json) == {"p": "failure", "c": "failure"}, done
    assert reasons(done.json)["c"] == "integrity: o was withdrawn: p did not end well"
