"""What runs of a part of a pipeline tell `plan` and `runs --trend`: how long its stages take, and nothing of the whole.

Parts are runs of some stages (`--only`, `--from`), of dead letters (`items --retry`), and pieces that were resumed.
"""

from __future__ import annotations

from typing import Any

from tests.door import waiting
from tests.door.place import Place, by_stage

LINE = """\
version: 1
stages:
  list: seq 6
  work:
    each:
      items: {lines: list}
      on-item-failure: dead-letter
      steps:
        - up: {run: 'sleep 0.2; touch was-$ITEM; test "$ITEM" != 4 || test -e ok'}
  check: {run: sleep 0.1, needs: work}
"""


def plan(place: Place) -> dict[str, Any]:
    done = place.run("plan", "--json", "--quiet")
    assert (done.code, done.err) == (0, ""), done
    return done.json


def test_dead_letters_and_later_stages_alone_are_no_measure_of_a_run(place: Place) -> None:
    place.write(LINE)
    assert place.run("run", "--quiet").code == 0
    before = plan(place)
    (place.folder / "ok").touch()
    assert place.run("items", "last", "work", "--retry", "--quiet").code == 0
    assert place.run("run", "--from", "check", "--quiet").code == 0
    after = plan(place)
    assert before["streams"][0]["total"] == after["streams"][0]["total"] == 6
    assert after["streams"][0]["run"] == before["streams"][0]["run"]
    assert after["sequential_s"] > 6 * 0.2
    assert after["recommendation"]["mode"] == before["recommendation"]["mode"]
    expected = {stage["stage"]: stage["known_s"] for stage in place.run("map", "--json").json["stages"]}
    assert expected["work"] > 6 * 0.2, "nor of how long the stage takes"


def test_dead_letters_of_the_only_stage_are_no_measure_of_it(place: Place) -> None:
    place.write(LINE.replace("{lines: list}", "{range: [1, 6]}").replace("  list: seq 6\n", "").partition("  check")[0])
    assert place.run("run", "--quiet").code == 0
    (place.folder / "ok").touch()
    assert place.run("items", "last", "work", "--retry", "--quiet").code == 0
    found = plan(place)
    assert found["streams"][0]["total"] == 6 and found["sequential_s"] > 6 * 0.2
    [trend] = place.run("runs", "--trend", "--json").json["trend"]
    assert (trend["runs"], trend["parts"], len(trend["lately"])) == (1, 1, 1)


def test_one_item_is_told_as_one(place: Place) -> None:
    place.write(LINE.replace("seq 6", "echo 1"))
    assert place.run("run", "--quiet").code == 0
    assert "1 item takes" in " ".join(place.run("plan").out.split())


def test_a_run_that_was_killed_and_gone_on_with_has_all_its_items(place: Place) -> None:
    place.write(LINE)
    command = place.start("run")
    waiting.until(lambda: len(list(place.folder.glob("was-*"))) >= 2, "two items")
    command.kill()
    assert place.run("run", "--resume", "--quiet").code == 0
    assert by_stage(place.show())["work"]["items"]["done"] == 5
    found = plan(place)
    assert found["streams"][0]["total"] == 6 and found["sequential_s"] > 6 * 0.2


def test_runs_of_other_parts_are_not_held_against_each_other(place: Place) -> None:
    place.pipeline(dict.fromkeys("abcd", "sleep 0.6"))
    one, other = ["--only", "a", "--only", "b"], ["--only", "c", "--only", "d"]
    assert place.run("run", "--sequential", "--quiet", *one).code == 0
    assert "against  run" not in place.run("run", "-j", "2", *other).out
    assert "against  run" in place.run("run", "-j", "2", *one).out


def test_runs_of_a_part_are_left_out_of_the_trend(place: Place) -> None:
    place.write("version: 1\nstages:\n  long: sleep 0.3\n  short: 'true'\n")
    for words in ([], ["--only", "short"], ["--only", "short"]):
        assert place.run("run", "--quiet", *words).code == 0
    [trend] = place.run("runs", "--trend", "--json").json["trend"]
    assert (trend["runs"], trend["parts"], trend["outcomes"]) == (1, 2, {"success": 1})
    assert [run["wall_s"] > 0.25 for run in trend["lately"]] == [True]
    assert "2 runs of a part left out" in " ".join(place.run("runs", "--trend").out.split())
    [trend] = place.run("runs", "--trend", "--stage", "short", "--json").json["trend"]
    assert trend["runs"] == 3, "a stage is whole in them"
