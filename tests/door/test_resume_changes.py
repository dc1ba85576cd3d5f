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
