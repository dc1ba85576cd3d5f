"""Items of a pipeline that runs again and again: what a stage that is up to date printed before, what is done already,
and what is given by a parameter."""

from __future__ import annotations

import shutil
from typing import Any

from tests.door import waiting
from tests.door.place import Document, Place, by_stage


def run(place: Place, *words: str, code: int = 0) -> dict[str, Document]:
    done = place.run("run", *words, "--json")
    assert done.code == code, done.said
    return by_stage(done.json)


def counts(stage: Document) -> tuple[int, int, int]:
    """Items done in this run, up to date, and failed."""
    return stage["items"]["done"], stage["items"]["skipped"], stage["items"]["failed"]


def noted(place: Place) -> list[str]:
    """Items in the order in which they were worked on."""
    path = place.base / "items"
    return path.read_text().split() if path.exists() else []


NOTE = 'echo "$ITEM" >> "$BASE/items"'


# What a stage printed before -----------------------------------------------------------------------------------------


def listed(**others: Any) -> dict[str, Any]:
    return {
        "gen": {"run": "cat list", "inputs": ["list"]},
        "work": {"each": {"items": {"lines": "gen"}, "steps": [{"one": {"run": NOTE, **others}}]}},
    }


def test_a_source_that_is_up_to_date_gives_what_it_printed_when_it_last_ran(place: Place) -> None:
    place.write("ant\nbee\n", "list")
    place.pipeline(listed())
    assert counts(run(place)["work"]) == (2, 0, 0)
    again = run(place)
    assert again["gen"]["reason"] == "up to date"
    assert counts(again["work"]) == (0, 2, 0)
    place.pipeline(listed(env={"OTHER": "1"}))
    assert counts(run(place)["work"]) == (2, 0, 0), "other words, the same items"
    assert noted(place) == ["ant", "bee"] * 2


def test_a_source_whose_log_is_gone_runs_again(place: Place) -> None:
    place.write("ant\n", "list")
    place.pipeline(listed())
    run(place)
    shutil.rmtree(place.runs_folder / place.run_ids()[0])
    done = place.run("run", "--dry-run")
    assert "what it printed, which others read as items, is gone" in done.out, done.said
    again = run(place)
    assert again["gen"]["outcome"] == "success"
    assert counts(again["work"]) == (0, 1, 0)


def test_a_source_that_was_not_chosen_gives_what_it_printed_and_a_skipped_one_nothing(place: Place) -> None:
    place.write("ant\n", "list")
    place.pipeline(listed())
    run(place)
    place.write("ant\nbee\n", "list")
    assert counts(run(place, "--only", "work", "--force")["work"]) == (1, 0, 0)
    stages = listed()
    place.pipeline({**stages, "gen": {**stages["gen"], "when": "false"}})
    refused = run(place, code=4)["work"]
    assert refused["reason"] == "`gen` printed nothing in this run, as it was skipped"


def test_a_run_that_goes_on_reads_the_same_items_though_the_run_of_the_source_is_gone(place: Place) -> None:
    place.write("ant\nbee\ncat\n", "list")
    place.pipeline(listed())
    run(place, "--only", "gen")
    first = place.run_ids()[0]
    halt = f'{NOTE}; test "$ITEM" != bee || test -e "$BASE/go" || {{ touch "$BASE/there"; sleep 60; }}'
    stages = listed(run=halt)
    place.pipeline(stages)
    command = place.start("run", "--quiet")
    waiting.until((place.base / "there").exists, "the second item")
    command.kill()
    place.left(0)
    shutil.rmtree(place.runs_folder / first)
    (place.base / "go").touch()
    assert counts(run(place, "--resume")["work"]) == (3, 0, 0)
    assert noted(place) == ["ant", "bee", "bee", "cat"]
