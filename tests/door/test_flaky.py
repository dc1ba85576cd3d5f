"""`stagebook flaky`: planted flakes are found with their rates, and what a commit mended or broke is none."""

from __future__ import annotations

import random
import subprocess
from typing import Any

import pytest
from tests.door.place import Place
from tests.history.past import Past

FLAKY = ("tests.test_orders", "test_race")
STEADY = ("tests.test_orders", "test_steady")
MENDED = ("tests.test_orders", "test_mended")
BROKEN = ("tests.test_orders", "test_broken")


def sha(number: int) -> str:
    return f"{number:040x}"


def planted(place: Place, seed: int, share: float, commits: int = 6, runs: int = 8) -> tuple[int, int]:
    """Runs on several commits, one flake among tests that are whole, mended or broken; its failures and tries."""
    chance = random.Random(seed)
    past = Past(place.folder)
    failed = 0
    for commit in range(commits):
        for _ in range(runs):
            fails = chance.random() < share
            failed += fails
            tests = {
                FLAKY: ["failure" if fails else "success"],
                STEADY: ["success"],
                MENDED: ["failure" if commit < commits // 2 else "success"],
                BROKEN: ["error"],
            }
            past.run({"unit": ["failure"]}, {"unit": tests}, commit=sha(commit))
    return failed, commits * runs


@pytest.mark.parametrize("seed", [1, 2])
def test_r105_a_flake_of_one_in_five_is_listed_with_an_interval_that_holds_it(seed: int, place: Place) -> None:
    failed, tries = planted(place, seed, 0.2)
    done = place.run("flaky", "--json")
    assert (done.code, done.err) == (0, "")
    (one,) = done.json["flaky"]
    assert (one["kind"], one["stage"], one["classname"], one["name"]) == ("test", "unit", *FLAKY)
    assert (one["failed"]["count"], one["failed"]["of"]) == (failed, tries)
    assert one["failed"]["low"] < 0.2 < one["failed"]["high"]
    assert one["failed"]["confidence"] == 0.95
    assert one["message"] == "assert 1 == 2"
    assert one["mixed"] == len(one["commits"])
    assert {commit["of"] for commit in one["commits"]} == {8}
    assert all(0 < commit["failed"] < 8 for commit in one["commits"])
    assert one["since"] < one["last"]
    text = place.run("flaky").out
    assert "tests.test_orders::test_race (unit)" in text
    assert f"failed {failed} of {tries} tries" in text
    assert "test_mended" not in text
    assert "test_steady" not in text


def test_intervals_hold_the_rate_nearly_always(place: Place) -> None:
    chance = random.Random(7)
    past = Past(place.folder)
    names = [("m", f"t{number}") for number in range(60)]
    for commit in range(4):
        tests = {name: [chance.choices(("success", "failure"), (4, 1))[0] for _ in range(10)] for name in names}
        past.run({"unit": ["success"]}, {"unit": tests}, commit=sha(commit))
    found = place.run("flaky", "--json").json["flaky"]
    assert len(found) == 60
    held = sum(one["failed"]["low"] <= 0.2 <= one["failed"]["high"] for one in found)
    assert held >= 52  # of 57 to be expected


def test_the_most_evident_comes_first_and_few_tries_get_no_rate(place: Place) -> None:
    past = Past(place.folder)
    for commit in range(4):
        for number in range(3):
            tests: dict[tuple[str, str], list[str]] = {
                ("m", "often"): ["failure" if number == 0 else "success"],
                ("m", "once"): ["failure" if commit == number == 0 else "success"],
            }
            if commit == 0 and number < 2:
                tests["m", "rare"] = ["failure" if number else "success"]
            past.run({"unit": ["success"]}, {"unit": tests}, commit=sha(commit))
    done = place.run("flaky", "--json")
    assert [one["name"] for one in done.json["flaky"]] == ["often", "rare", "once"]
    text = place.run("flaky").out
    assert "3 flaky, most evidence first" in text
    assert "failed 1 of 2: insufficient data for a rate (2 tries, need 5)" in text


def test_a_test_that_is_tried_again_within_one_run_needs_no_commit(place: Place) -> None:
    past = Past(place.folder)
    run = past.run({"unit": ["success"]}, {"unit": {("m", "t"): ["failure", "success"]}})
    past.run({"unit": ["success"]}, {"unit": {("m", "u"): ["failure"]}})
    past.run({"unit": ["success"]}, {"unit": {("m", "u"): ["success"]}})
    (one,) = place.run("flaky", "--json").json["flaky"]
    assert one["name"] == "t"
    assert one["commits"] == [{"commit": None, "run": run, "failed": 1, "of": 2, "last": one["last"]}]


def test_files_that_were_changed_and_not_committed_are_no_one_commit(place: Place) -> None:
    past = Past(place.folder)
    for word in ("failure", "success"):
        past.run({"unit": [word]}, {"unit": {("m", "t"): [word]}}, commit=sha(1), dirty=True)
    assert place.run("flaky", "--json").json["flaky"] == []
    said = "insufficient data: 1 test and 1 stage on record, and no commit with more than one run to compare"
    assert said in " ".join(place.run("flaky").out.split())


def test_stages_are_flaky_by_their_attempts_and_their_runs(place: Place) -> None:
    place.pipeline({"a": "true", "b": "true", "c": "true", "d": "true"}, name="p")
    past = Past(place.folder)
    past.run({"a": ["failure", "timeout", "success"], "b": ["success"], "c": ["failure"], "d": ["error", "success"]},
             commit=sha(1), reasons={"d": "interrupted"})  # fmt: skip
    past.run({"a": ["success"], "b": ["failure"], "c": ["failure"], "d": ["success"]}, commit=sha(1))
    found = {one["stage"]: one for one in place.run("flaky", "--json").json["flaky"]}
    assert set(found) == {"a", "b"}
    assert {one["kind"] for one in found.values()} == {"stage"}
    assert (found["a"]["failed"]["count"], found["a"]["failed"]["of"]) == (2, 4)
    assert (found["b"]["failed"]["count"], found["b"]["failed"]["of"]) == (1, 2)
    assert "stage a (p)" in place.run("flaky").out


def test_cells_of_a_matrix_are_apart(place: Place) -> None:
    past = Past(place.folder)
    tests = {("m", "t"): ["success"]}, {("m", "t"): ["failure"]}
    for _ in range(3):
        past.run({"unit[py=3.12]": ["success"], "unit[py=3.13]": ["failure"]},
                 {"unit[py=3.12]": tests[0], "unit[py=3.13]": tests[1]}, commit=sha(1))  # fmt: skip
    document = place.run("flaky", "--json").json
    assert (document["flaky"], document["looked_at"]) == ([], {"tests": 2, "stages": 2, "commits": 1})
    assert "nothing flaky: 2 tests and 2 stages" in place.run("flaky").out


def test_runs_can_be_chosen(place: Place) -> None:
    place.pipeline({"unit": "true"}, name="release")
    planted(place, 1, 0.5, commits=2)
    assert place.run("flaky", "--pipeline", "release", "--json").json["flaky"] != []
    assert place.run("flaky", "--since", "1d", "--json").json["flaky"] == []
    assert place.run("flaky", "--since", "2026-01-01", "--json").json["flaky"] != []
    for words, said in (
        (["--pipeline", "relaese"], "did you mean 'release'?"),
        (["--since", "soon"], "neither a duration"),
        (["--pipeline", "p\udcff"], "no run of a pipeline 'p"),
    ):
        done = place.run("flaky", *words)
        assert (done.code, done.out) == (2, "")
        assert said in done.err


def test_without_reports_or_runs_it_says_what_is_missing(place: Place) -> None:
    assert place.run("flaky").out.splitlines() == [
        "no tests on record: no stage left a JUnit report", "no stages on record",
    ]  # fmt: skip
    place.pipeline({"a": "true"})
    place.run("run", "--quiet")
    said: Any = place.run("flaky").out
    assert "insufficient data: 1 stage on record" in said


def test_a_real_run_that_passed_on_a_later_attempt_is_evidence(place: Place) -> None:
    place.pipeline({"a": {"run": "test $STAGEBOOK_ATTEMPT = 2", "retry": {"attempts": 2}}})
    assert place.run("run", "--quiet").code == 0
    (one,) = place.run("flaky", "--json").json["flaky"]
    assert (one["kind"], one["stage"], one["failed"]["count"], one["failed"]["of"]) == ("stage", "a", 1, 2)


def test_r080_reports_that_stages_leave_are_read_and_compared_by_commit(place: Place) -> None:
    place.write(
        """\
version: 1
stages:
  "unit tests":
    run: |
      echo x >> "$BASE/count"
      if [ $(wc -l < "$BASE/count") = 2 ]; then verdict='<failure message="assert 3 == 4"/>'; fi
      echo "<testsuite name='s'><testcase classname='m' name='t'>$verdict</testcase></testsuite>" > report.xml
      test -z "$verdict"
    outputs: [report.xml]
"""
    )
    for words in (
        ["init", "-q"],
        ["-c", "user.email=a@b", "-c", "user.name=n", "commit", "-q", "--allow-empty", "-mx"],
    ):
        subprocess.run(["git", *words], cwd=place.folder, check=True)
    assert [place.run("run", "--quiet", "--force").code for _ in range(3)] == [0, 1, 0]
    found = place.run("flaky", "--json").json["flaky"]
    assert [(one["kind"], one["stage"], one["classname"], one["name"]) for one in found] == [
        ("stage", "unit tests", "", ""), ("test", "unit tests", "m", "t"),
    ]  # fmt: skip
    here = subprocess.run(["git", "rev-parse", "HEAD"], cwd=place.folder, stdout=subprocess.PIPE, text=True, check=True)
    for one in found:
        assert (one["failed"]["count"], one["failed"]["of"]) == (1, 3)
        assert [commit["commit"] for commit in one["commits"]] == [here.stdout.strip()]
    assert found[1]["message"] == "assert 3 == 4"


def test_names_do_nothing_on_a_terminal(place: Place) -> None:
    past = Past(place.folder)
    past.run({"unit": ["success"]}, {"unit": {("m\u202e", "t[\x9b31m\u2066]" * 40): ["failure", "success"]}})
    text = place.run("flaky").out
    assert "\\u202e" in text
    assert not {"\u202e", "\x9b", "\u2066"} & set(text)
    assert all(len(line) < 80 for line in text.splitlines())
