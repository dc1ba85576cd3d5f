"""`logs`, `show`, `timeline`, `runs` as people read them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.door import waiting
from tests.door.place import Place, by_stage, note, noted

HOLD = 'while [ ! -e "$BASE/go" ]; do sleep 0.02; done'


def test_logs_prints_what_one_stage_printed_byte_for_byte(place: Place) -> None:
    place.pipeline({"a": "printf 'one\\ntwo without newline'", "b": "echo other"})
    assert place.run("run").code == 0
    assert place.run("logs", "last", "a").out.rstrip("\n") == "one\ntwo without newline"
    everything = place.run("logs", "last").out
    for words in ("one\n", "two without newline", "other\n"):
        assert words in everything


def test_logs_of_an_unknown_stage_names_the_nearest(place: Place) -> None:
    place.pipeline({"unit-tests": "true"})
    assert place.run("run").code == 0
    done = place.run("logs", "last", "unit-test")
    assert done.code == 2
    assert "unit-tests" in done.err


def test_logs_f_follows_a_run_to_its_end(place: Place) -> None:
    place.pipeline([{"a": f"echo first; {HOLD}; echo second"}, {"b": "echo third"}])
    run = place.start("run")
    waiting.until(lambda: place.events("stage.started"), "the first stage")
    follow = place.start("logs", "last", "-f")
    waiting.until(lambda: "first" in follow.so_far()[0], "the first line")
    assert "second" not in follow.so_far()[0]
    (place.base / "go").touch()
    assert run.wait().code == 0
    out = follow.wait().out
    assert out.index("first") < out.index("second") < out.index("third")


def test_logs_merge_is_in_the_order_of_time(place: Place) -> None:
    """Sizes are noted every 100 ms while a log grows, so lines further apart than that are in order."""
    place.pipeline({
        "a": "echo a1; sleep 0.5; echo a2; sleep 0.5; echo a3",
        "b": "sleep 0.25; echo b1; sleep 0.5; echo b2; sleep 0.3",
    })  # fmt: skip
    assert place.run("run", "-j", "2").code == 0
    out = place.run("logs", "last", "--merge").out
    assert re.findall(r"\b[ab][123]\b", out) == ["a1", "b1", "a2", "b2", "a3"]


def test_r075_show_and_timeline_draw_every_stage(place: Place) -> None:
    place.pipeline({"first": noted("sleep 0.05"), "second": {"run": noted(), "needs": "first"}})
    assert place.run("run").code == 0
    for command in ("show", "timeline"):
        out = place.run(command, "last").out
        assert "first" in out
        assert "second" in out
        assert "█" in out
    ascii_only = place.run("timeline", "last", "--ascii").out
    assert ascii_only.isascii()


def test_runs_lists_newest_first_with_outcomes(place: Place) -> None:
    for work in ("true", "exit 1"):
        place.pipeline({"a": work})
        place.run("run")
    lines = place.run("runs").out.splitlines()
    assert "failure" in lines[0]
    assert "success" in lines[1]


def test_output_file_of_a_stage_is_its_own_and_empty_at_first(place: Place) -> None:
    body = '[ ! -s "$STAGEBOOK_OUTPUT" ]; echo x=1 >> "$STAGEBOOK_OUTPUT"; echo "$STAGEBOOK_OUTPUT"'
    place.pipeline({"a": body, "b": body})
    done = place.run("run", "--json")
    assert done.code == 0, done
    paths = {Path(stage["attempts"][0]["log"]).read_text().split()[-1] for stage in done.json["stages"]}
    assert len(paths) == 2


def test_a_run_says_what_it_does_while_it_does_it(place: Place) -> None:
    place.pipeline({"a": f"{note('begin')}\n{HOLD}", "b": {"run": "true", "needs": "a"}})
    command = place.start("run")
    place.wait_for("a")
    waiting.until(lambda: "a: started" in command.so_far()[0], "the line that says so")
    assert "b: started" not in command.so_far()[0]
    (place.base / "go").touch()
    done = command.wait()
    assert "b: success" in done.out
    assert by_stage(place.show())["b"]["outcome"] == "success"
