"""Items of a pipeline that runs again and again: what a stage that is up to date printed before, what is done already,
and what is given by a parameter."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
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


# Backfill -------------------------------------------------------------------------------------------------------------


def backfill(place: Place, items: dict[str, Any], run: str = NOTE, **others: Any) -> None:
    steps = [{"load": {"run": run, "workers": 3}}]
    days = {"default": "2026-02-27..2026-03-02"}
    each = {"items": items, "steps": steps, **{name.replace("_", "-"): value for name, value in others.items()}}
    place.pipeline({"days": {"each": each}}, params={"days": days}, limits={"jobs": 3})


def test_a_backfill_does_the_days_of_a_parameter_that_are_not_done(place: Place) -> None:
    backfill(place, {"param": "days"})
    assert counts(run(place)["days"]) == (4, 0, 0)
    assert sorted(noted(place)) == ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
    found = run(place, "--param", "days=2026-03-01..2026-03-04, 2026-06-01")["days"]
    assert counts(found) == (3, 2, 0), "what is done stays done, whatever else is asked for"
    assert sorted(noted(place)[4:]) == ["2026-03-03", "2026-03-04", "2026-06-01"]
    assert counts(run(place, "--force")["days"]) == (4, 0, 0)


def test_a_day_that_fails_stops_no_other_and_is_listed(place: Place) -> None:
    backfill(place, {"param": "days"}, f'test "$ITEM" != 2026-02-28 && {NOTE}', on_item_failure="dead-letter")
    assert counts(run(place)["days"]) == (3, 0, 1)
    dead = place.run("items", "last", "days", "--dead")
    assert "item 2 2026-02-28: exit 1 in days.load" in dead.out


def test_a_backfill_takes_so_many_at_a_time(place: Place) -> None:
    """None of the first three ends before three have begun and each of them has seen no fourth."""
    place.write(
        """n() { wc -l < "$BASE/$1"; }
        echo "$ITEM" >> "$BASE/items"
        test ! -e "$BASE/seen" || test "$(n seen)" -lt 3 || exit 0
        while test "$(n items)" -lt 3; do sleep 0.02; done
        test "$(n items)" -eq 3
        echo "$ITEM" >> "$BASE/seen"
        while test "$(n seen)" -lt 3; do sleep 0.02; done
        """,
        "load.sh",
    )
    backfill(place, {"values": ["north", "south", "east", "1..x"]}, "sh -e load.sh")
    assert counts(run(place)["days"]) == (4, 0, 0)
    assert noted(place)[3] == "1..x"


def test_a_range_of_the_file_is_of_dates_too(place: Place) -> None:
    backfill(place, {"range": ["2026-02-27", "2026-03-02"]})
    assert counts(run(place)["days"]) == (4, 0, 0)


@pytest.mark.parametrize(
    ("items", "word", "why"),
    [
        ({"param": "days"}, "days=2026-02-01..2026-02-30", "parameter `days`: `2026-02-01..2026-02-30` is no range of"),
        ({"param": "days"}, "days=9..1", "parameter `days`: the range from 9 to 1 holds nothing"),
        ({"param": "day"}, "days=1", "there is no parameter 'day', did you mean 'days'?"),
        ({"range": ["2026-02-30", 7]}, "days=1", "range: a whole number or a date expected, not '2026-02-30'"),
        ({"range": ["2026-02-01", 7]}, "days=1", "a range is of two numbers or of two dates, not of one each"),
        ({"range": ["2026-02-02", "2026-02-01"]}, "days=1", "the range from 2026-02-02 to 2026-02-01 holds nothing"),
        ({"values": []}, "days=1", "values: needs at least 1 in its list"),
    ],
)
def test_what_is_no_range_is_refused_before_anything_starts(
    place: Place, items: dict[str, Any], word: str, why: str
) -> None:
    backfill(place, items)
    refused = place.run("run", "--param", word)
    assert refused.code == 2 and why in refused.err, refused.said
    assert noted(place) == []


# A file that is changed while a run waits to go on --------------------------------------------------------------------


def test_what_is_done_with_an_item_stands_when_something_else_of_the_file_is_changed(place: Place) -> None:
    halt = f'test "$ITEM" -le 2 || test -e "$BASE/go" || {{ touch "$BASE/there"; sleep 60; }}; {NOTE}'

    def write(workers: int, other: str, more: str = "") -> None:
        step = {"run": halt + more, "workers": workers}
        each = {"items": {"range": [1, 5]}, "steps": [{"one": step}]}
        place.pipeline({"other": other, "work": {"each": each, "needs": "other"}, "last": {"run": "true"}})

    write(1, "true")
    command = place.start("run", "--quiet")
    waiting.until((place.base / "there").exists, "the third item")
    command.kill()
    place.left(0)
    (place.base / "go").touch()
    write(2, "echo changed")
    found = run(place, "--resume", "--accept-changes")["work"]
    assert counts(found) == (3, 2, 0)
    assert sorted(noted(place)) == list("12345")
    write(2, "echo changed", "; true")
    assert counts(run(place)["work"]) == (5, 0, 0), "another command is done again with all"


def test_a_source_that_is_changed_is_read_anew_and_its_items_find_nothing_of_others(place: Place) -> None:
    halt = 'test -e "$BASE/go" || { echo old > "$ITEM_DIR/old"; touch "$BASE/there"; sleep 60; }'
    for name in ("a.txt", "b.txt", "a.csv", "b.csv", "c.csv"):
        place.write(name, name)

    def write(pattern: str) -> None:
        steps = [{"one": f'{halt}; test ! -e "$ITEM_DIR/old"; {NOTE}'}]
        place.pipeline({"work": {"each": {"items": {"glob": pattern}, "steps": steps}}})

    write("*.txt")
    command = place.start("run", "--quiet")
    waiting.until((place.base / "there").exists, "the first item")
    command.kill()
    place.left(0)
    (place.base / "go").touch()
    write("*.csv")
    assert counts(run(place, "--resume", "--accept-changes")["work"]) == (3, 0, 0)
    assert noted(place) == ["a.csv", "b.csv", "c.csv"]


# Items of the same text ----------------------------------------------------------------------------------------------


def twins(place: Place, items: dict[str, Any]) -> None:
    step = 'echo "$ITEM" >> "$BASE/items"; test -e "$BASE/go" || ! grep -c a "$BASE/items" | grep -q 2'
    each = {"items": items, "on-item-failure": "dead-letter", "steps": [{"one": {"run": step, "workers": 1}}]}
    place.pipeline({"list": r"printf 'a\nb\na\n'", "json": r"""echo '["a", "b", "a"]'""", "work": {"each": each}})


@pytest.mark.parametrize("items", [{"values": ["a", "b", "a"]}, {"lines": "list"}, {"json": "json"}])
def test_an_item_that_failed_is_not_done_because_one_of_the_same_text_was(place: Place, items: dict[str, Any]) -> None:
    twins(place, items)
    assert counts(run(place)["work"]) == (2, 0, 1)
    (place.base / "go").touch()
    again = place.run("items", "last", "work", "--retry", "--json")
    assert counts(by_stage(again.json)["work"]) == (1, 0, 0), again.said
    assert noted(place) == ["a", "b", "a", "a"]
    assert counts(run(place)["work"]) == (0, 3, 0)


def test_the_next_run_does_only_the_one_of_two_alike_that_failed(place: Place) -> None:
    twins(place, {"values": ["a", "b", "a"]})
    run(place)
    (place.base / "go").touch()
    assert counts(run(place)["work"]) == (1, 2, 0)
    assert noted(place) == ["a", "b", "a", "a"]
