"""G8: a stage ends when its main process ends. What it left behind is ended and named, and holds nothing up."""

from __future__ import annotations

import pytest
from tests.door.place import Place, by_stage

LEFT = {
    "redirected": "sleep 501 > /dev/null 2>&1 &",
    "inherited": "sleep 502 &",
    "daemonised": "setsid sh -c 'exec sleep 503' &",
    "double-fork": "(setsid sleep 504 &)",
    "deaf": "sh -c 'trap \"\" TERM HUP; sleep 505; sleep 506' &",
}


@pytest.mark.parametrize("accounting", ["auto", "wait4"])
@pytest.mark.parametrize("way", LEFT)
def test_g08_left_behind_processes_are_ended_and_named(place: Place, way: str, accounting: str) -> None:
    place.pipeline({"leaves": f"{LEFT[way]}\nsleep 0.3\necho last words", "next": {"run": "true", "needs": "leaves"}})
    done = place.run("run", "--json", env={"STAGEBOOK_ACCOUNTING": accounting})
    assert done.code == 0, done
    stages = by_stage(done.json)
    assert stages["leaves"]["outcome"] == stages["next"]["outcome"] == "success"
    assert done.json["wall_s"] < 5
    assert place.left(0) == []
    number = LEFT[way].split("sleep ")[1][:3]
    [warning] = [text for text in done.json["warnings"] if "left" in text]
    assert "leaves" in warning
    assert f"sleep {number}" in warning
    assert "pid " in warning
    with open(stages["leaves"]["attempts"][0]["log"]) as log:
        assert log.read() == "last words\n"


def test_g08_a_held_output_pipe_does_not_hang_a_stage_that_is_read_through_a_pipe(place: Place) -> None:
    place.pipeline({"leaves": {"run": "echo before; sleep 507 &", "log-limit": "1MB"}})
    done = place.run("run", "--json")
    assert done.code == 0
    assert done.json["wall_s"] < 5
    with open(by_stage(done.json)["leaves"]["attempts"][0]["log"]) as log:
        assert log.read() == "before\n"
    assert place.left(0) == []


def test_g08_many_children_left_at_once_are_all_ended(place: Place) -> None:
    place.pipeline({"leaves": "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do setsid sleep 508 & done; sleep 0.3"})
    done = place.run("run", "--json")
    assert done.code == 0
    assert place.left(0) == []
    assert any("sleep 508" in text for text in done.json["warnings"])


def test_g08_a_stage_is_not_blamed_for_children_that_ended_by_themselves(place: Place) -> None:
    place.pipeline({"tidy": "for i in 1 2 3; do true & done; wait"})
    assert place.run("run", "--json").json["warnings"] == []
