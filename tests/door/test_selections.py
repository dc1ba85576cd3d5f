"""Partial runs and dry runs: which stages run, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest
from tests.door.place import Place, noted, outcomes, reasons

#: build → unit, lint → package → deploy, and docs beside it all.
DIAMOND: dict[str, Any] = {
    "build": noted(),
    "unit": {"run": noted(), "needs": "build"},
    "lint": {"run": noted(), "needs": "build"},
    "package": {"run": noted(), "needs": ["unit", "lint"]},
    "deploy": {"run": noted(), "needs": "package"},
    "docs": noted(),
}


@pytest.mark.parametrize(("words", "ran"), [
    (["--only", "package"], {"package"}),
    (["--only", "unit", "--only", "deploy"], {"unit", "deploy"}),
    (["--from", "unit"], {"unit", "package", "deploy"}),
    (["--until", "unit"], {"build", "unit"}),
    (["--until", "package"], {"build", "unit", "lint", "package"}),
    (["--skip", "docs"], {"build", "unit", "lint", "package", "deploy"}),
    (["--until", "package", "--skip", "lint"], {"build", "unit", "package"}),
    (["--from", "unit", "--until", "package"], {"unit", "package"}),
])  # fmt: skip
def test_r023_a_selection_runs_exactly_those(place: Place, words: list[str], ran: set[str]) -> None:
    place.pipeline(DIAMOND)
    done = place.run("run", *words, "--json")
    assert done.code == 0, done
    assert set(place.began()) == ran
    assert len(place.began()) == len(ran)
    assert {name for name, outcome in outcomes(done.json).items() if outcome == "success"} == ran
    others = {name: reason for name, reason in reasons(done.json).items() if name not in ran}
    assert set(others.values()) <= {"not selected"}


def test_r023_only_takes_needs_as_done_and_order_still_holds_within(place: Place) -> None:
    place.pipeline(DIAMOND)
    assert place.run("run", "--only", "deploy", "--only", "unit", "--only", "package", "-j", "4").code == 0
    assert place.began() == ["unit", "package", "deploy"]


def test_r023_failed_of_runs_the_failed_stages_and_their_dependents_only(place: Place) -> None:
    stages = {**DIAMOND, "unit": {"run": noted('[ -e "$BASE/fixed" ]'), "needs": "build"}}
    place.pipeline(stages)
    assert place.run("run").code == 1
    (place.base / "fixed").touch()
    before = len(place.began())
    done = place.run("run", "--failed-of", "last", "--json")
    assert done.code == 0
    assert place.began()[before:] == ["unit", "package", "deploy"]
    assert outcomes(done.json)["build"] == "skip"


def test_r023_failed_of_a_run_in_which_nothing_failed_is_exit_2(place: Place) -> None:
    place.pipeline({"a": "true"})
    assert place.run("run").code == 0
    done = place.run("run", "--failed-of", "last")
    assert done.code == 2
    assert "nothing failed" in done.err


def test_failed_of_runs_what_was_cancelled_and_never_begun_before_anything_that_needs_it(place: Place) -> None:
    place.pipeline({
        "unit": {
            "run": noted('[ "$MATRIX_V" != 1 ] || [ -e "$BASE/fixed" ]'),
            "matrix": {"v": ["1", "2", "3"], "max-parallel": 1},
        },
        "publish": {"run": noted(), "needs": "unit", "retry-safe": False},
    })  # fmt: skip
    first = place.run("run", "--json")
    assert outcomes(first.json) == {
        "unit[v=1]": "failure", "unit[v=2]": "cancellation", "unit[v=3]": "cancellation", "publish": "skip"
    }  # fmt: skip
    (place.base / "fixed").touch()
    before = len(place.began())
    assert place.run("run", "--failed-of", "last").code == 0
    assert place.began()[before:] == ["unit[v=1]", "unit[v=2]", "unit[v=3]", "publish"]


def test_failed_of_runs_what_fail_fast_left_undone(place: Place) -> None:
    place.pipeline(
        {
            "early": noted('[ -e "$BASE/fixed" ]'),
            "late": {"run": noted(), "needs": "done"},
            "done": noted(),
            "last": {"run": noted(), "needs": ["early", "late"]},
        },
        policy="fail-fast",
    )
    assert place.run("run", "--sequential").code == 1
    (place.base / "fixed").touch()
    assert place.run("run", "--failed-of", "last", "--sequential").code == 0
    assert place.began() == ["early", "early", "done", "late", "last"]


def test_failed_of_a_run_that_still_goes_on_is_refused(place: Place) -> None:
    place.pipeline({"a": noted("sleep 30")})
    going = place.start("run")
    place.wait_for("a")
    done = place.run("run", "--failed-of", "last")
    assert done.code == 4
    assert "still goes on" in done.err
    going.send(15)
    assert going.wait().code == 143
    (place.folder / "stagebook.yaml").write_text("stages: {a: 'echo a 1 1 begin >> $LEDGER'}")
    assert place.run("run", "--failed-of", "last").code == 0
    assert place.began() == ["a", "a"]


@pytest.mark.parametrize("option", ["--only", "--from", "--until", "--skip"])
def test_an_unknown_stage_in_a_selection_is_exit_2_with_the_nearest(place: Place, option: str) -> None:
    place.pipeline(DIAMOND)
    done = place.run("run", option, "packge")
    assert done.code == 2
    assert "packge" in done.err
    assert "package" in done.err
    assert place.began() == []


def test_a_group_or_a_matrix_can_be_selected_as_a_whole(place: Place) -> None:
    place.pipeline({
        "checks": {"parallel": [{"spell": noted()}, {"links": noted()}]},
        "unit": {"run": noted(), "matrix": {"n": ["1", "2"]}},
        "other": noted(),
    })  # fmt: skip
    assert place.run("run", "--only", "checks").code == 0
    assert sorted(place.began()) == ["links", "spell"]
    place.ledger_path.write_text("")
    assert place.run("run", "--only", "unit").code == 0
    assert sorted(place.began()) == ["unit[n=1]", "unit[n=2]"]


def test_a_run_in_which_every_stage_is_skipped_is_success(place: Place) -> None:
    place.pipeline({"a": noted(), "b": noted()})
    done = place.run("run", "--skip", "a", "--skip", "b", "--json")
    assert (done.code, done.json["outcome"]) == (0, "success")
    assert set(outcomes(done.json).values()) == {"skip"}
    assert place.began() == []


def test_r025_a_dry_run_says_order_and_reasons_and_starts_nothing(place: Place) -> None:
    place.pipeline({**DIAMOND, "needs-a-tool": "no-such-program --version"})
    done = place.run("run", "--dry-run", "--skip", "docs")
    assert done.code == 0, done
    assert place.began() == []
    assert place.run_ids() == []
    text = done.out
    order = [text.index(name) for name in ("build", "package", "deploy")]
    assert order == sorted(order)
    assert "not selected" in text
    assert "needs-a-tool" in text


def test_r025_a_dry_run_as_json_names_every_stage(place: Place) -> None:
    place.pipeline(DIAMOND)
    done = place.run("run", "--dry-run", "--json", "--only", "unit")
    assert done.code == 0
    document = done.json
    assert "unit" in str(document)
    assert "not selected" in str(document)
    assert place.began() == []


def test_r009_sequential_and_jobs_1_differ_in_priorities_only(place: Place) -> None:
    place.pipeline({"a": noted(), "b": {"run": noted(), "priority": 5}, "c": noted()})
    assert place.run("run", "--sequential").code == 0
    assert place.run("run", "-j", "1").code == 0
    assert place.began()[:3] == ["a", "b", "c"]
    assert place.began()[3] == "b"
    assert place.run("run", "--sequential", "-j", "4").code == 2


@pytest.mark.parametrize(("given", "value", "code"), [
    ([], "beta", 0), (["--param", "channel=stable"], "stable", 0), (["--param", "channel=nightly"], "", 2),
    (["--param", "chanel=stable"], "", 2),
])  # fmt: skip
def test_parameters_have_defaults_and_choices(place: Place, given: list[str], value: str, code: int) -> None:
    place.pipeline(
        {"a": 'echo "$PARAM_CHANNEL" > "$BASE/channel"'},
        params={"channel": {"default": "beta", "choices": ["beta", "stable"]}},
    )
    done = place.run("run", *given)
    assert done.code == code, done
    if code == 0:
        assert (place.base / "channel").read_text() == f"{value}\n"
    else:
        assert not (place.base / "channel").exists()


def test_a_parameter_without_a_default_must_be_given(place: Place) -> None:
    place.pipeline({"a": 'echo "$PARAM_X" > "$BASE/x"'}, params={"x": {}})
    done = place.run("run")
    assert done.code == 2
    assert "x" in done.err
    assert place.run("run", "--param", "x=1=2").code == 0
    assert (place.base / "x").read_text() == "1=2\n"


def test_several_stages_in_one_word_are_answered_with_how_to_write_them(place: Place) -> None:
    place.pipeline(DIAMOND)
    done = place.run("run", "--only", "unit,lint")
    assert done.code == 2
    assert "no stage `unit,lint`; one at a time: --only unit --only lint" in done.err
