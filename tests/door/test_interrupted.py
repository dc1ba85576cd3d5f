"""What is said of a run whose engine is gone: nothing runs, who is asked is named, what goes on is announced once."""

from __future__ import annotations

from tests.door.place import Place, noted
from tests.door.waiting import until


def killed(place: Place, **more: object) -> None:
    place.pipeline({"long": {"run": noted("sleep 971"), **more}})
    command = place.start("run")
    place.wait_for("long")
    until(lambda: place.events("stage.started"), "the line of a stage that has begun")
    command.kill("both")


def test_a_run_whose_engine_is_gone_is_called_interrupted(place: Place) -> None:
    killed(place)
    shown = place.run("show", "last").out
    assert "! 1 interrupted" in shown and "running" not in shown
    assert "was interrupted: its engine is gone, 1 stage had no end." in shown
    assert "! interrupted" in place.run("runs").out
    place.pipeline({"long": noted()})
    assert place.run("run", "--resume", "last", "--accept-changes").code == 0


def test_a_stage_that_is_not_safe_to_repeat_makes_the_run_wait_for_a_person(place: Place) -> None:
    killed(place, **{"retry-safe": False})
    done = place.run("run", "--resume", "last")
    assert done.code == 3, done
    for text in (done.out, place.run("show", "last").out):
        assert "‖ 1 waiting for you" in text
        assert "--again long" in text and "--done long" in text
    assert "‖ waiting" in place.run("runs").out
    assert place.run("run", "--resume", "last", "--done", "long").code == 0


def test_a_run_that_goes_on_by_another_plan_is_announced_once(place: Place) -> None:
    killed(place)
    place.pipeline({"long": noted(), "more": noted()})
    done = place.run("run", "--resume", "last", "--accept-changes")
    assert done.code == 0, done
    assert [line.split(", ")[1] for line in done.out.splitlines() if ": run " in line] == ["2 stages"]
