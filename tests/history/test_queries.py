"""Questions of the history, over runs that were written down: which fit, how pipelines go, how a stage does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.plan.past import DAY_US, NOW_US, RELEASE, Did, Past, pipeline, stage

from stagebook.history import queries, store
from stagebook.history.queries import Wanted
from stagebook.report import trend
from stagebook.report.style import Style


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Ten runs of release, a day apart, of which two failed in e2e; and one of another pipeline."""
    made = Past(tmp_path)
    for day in range(10):
        reason = "exit 1" if day in (3, 4) else None
        made.run(
            RELEASE, NOW_US - day * DAY_US,
            Did("build", 0, 10 + day, cpu_s=4, rss=1 << 20), Did("unit", 10, 30, ready_s=8, waited="slot"),
            Did("e2e", 10, 20, reason=reason),
        )  # fmt: skip
    made.run(pipeline(stage("build"), name="other"), NOW_US - 100 * DAY_US, Did("build", 0, 1000))
    return made


def found(past: Past, wanted: Wanted, limit: int | None = None) -> queries.Found:
    return store.ask(past.state, lambda connection: queries.find(connection, wanted, limit))


def test_runs_that_fit(past: Past) -> None:
    assert found(past, Wanted()).total == 11
    assert found(past, Wanted(pipeline="other")).total == 1
    assert found(past, Wanted(outcome="success")).total == 11
    since = found(past, Wanted(since_us=NOW_US - 3 * DAY_US, until_us=NOW_US))
    assert since.total == 3
    some = found(past, Wanted(pipeline="release"), 2)
    assert (len(some.rows), some.total) == (2, 10)
    assert some.rows[0]["run"] > some.rows[1]["run"]
    with_stage = found(past, Wanted(stage="unit"))
    assert with_stage.total == 10
    assert {row["stage_wall_us"] for row in with_stage.rows} == {20_000_000}
    nothing = found(past, Wanted(stage="unti", pipeline="other"))
    assert (nothing.rows, nothing.total) == ([], 0)
    assert (sorted(nothing.pipelines), nothing.stages) == (["other", "release"], ["build", "e2e", "unit"])


def test_r069_stats_of_a_stage(past: Past) -> None:
    told = store.ask(past.state, lambda connection: queries.stats(connection, "e2e"))
    assert told is not None
    assert told["outcomes"] == {"success": 8, "error": 2}
    assert (told["failed"]["count"], told["failed"]["of"]) == (2, 10)
    assert told["failed"]["low"] == pytest.approx(0.0567, abs=1e-4)
    assert told["failed"]["high"] == pytest.approx(0.5098, abs=1e-4)
    assert (told["wall_s"]["n"], told["wall_s"]["median"], told["wall_s"]["max"]) == (8, 10, 10)
    assert told["cpu_s"] == {"n": 0, "median": None, "p95": None, "min": None, "max": None}
    assert {name: one["n"] for name, one in told["company"].items()} == {"solo": 0, "with 1": 3, "with 2+": 5}


def test_stats_may_be_of_one_pipeline(past: Past) -> None:
    both = store.ask(past.state, lambda connection: queries.stats(connection, "build"))
    assert both is not None
    assert both["pipelines"] == {"release": 10, "other": 1}
    assert (both["runs"], both["wall_s"]["max"]) == (11, 1000)
    one = store.ask(past.state, lambda connection: queries.stats(connection, "build", "release"))
    assert one is not None
    assert one["pipelines"] == {"release": 10}
    assert (one["runs"], one["wall_s"]["max"], one["wall_s"]["median"]) == (10, 19, 14.5)
    assert (one["cpu_s"]["median"], one["max_rss_bytes"]["p95"]) == (4, 1 << 20)
    assert store.ask(past.state, lambda connection: queries.stats(connection, "unit", "other")) is None


def test_waiting_is_apart_from_work(past: Past) -> None:
    told = store.ask(past.state, lambda connection: queries.stats(connection, "unit"))
    assert told is not None
    assert (told["wait_s"]["median"], told["wall_s"]["median"]) == (2, 20)


def test_a_trend_says_a_change_only_where_it_is_shown(past: Past) -> None:
    release, other = store.ask(past.state, lambda connection: queries.trend(connection, Wanted(), 30))
    assert (release["pipeline"], other["pipeline"]) == ("release", "other")
    assert release["wall_s"]["n"] == 10
    assert release["change"]["wall"] is None, "five runs are too few for the interval of a median"
    assert other["wall_s"]["median"] is None
    for day in range(20):
        past.run(RELEASE, NOW_US + (day + 1) * DAY_US, Did("build", 0, 60 if day < 10 else 70))
    (release,) = store.ask(past.state, lambda connection: queries.trend(connection, Wanted("release"), 20))
    assert release["change"]["wall"] == "more"
    assert (release["change"]["before"]["wall_s"]["median"], release["change"]["after"]["wall_s"]["median"]) == (60, 70)
    (build,) = store.ask(past.state, lambda connection: queries.trend(connection, Wanted("release", stage="build"), 10))
    assert build["change"]["wall"] is None
    assert build["wall_s"]["n"] == 30


def test_a_trend_holds_runs_against_each_other_in_which_as_much_ran(past: Past) -> None:
    """Half of the later runs were of one stage only, which takes a tenth."""
    for day in range(24):
        both = (Did("build", 0, 60), Did("unit", 60, 600 + day % 2))
        past.run(RELEASE, NOW_US + (day + 1) * DAY_US, *both[: 1 if day > 11 and day % 2 else 2])
    (release,) = store.ask(past.state, lambda connection: queries.trend(connection, Wanted("release"), 24))
    assert release["change"]["wall"] == "none shown"
    assert release["change"]["ran"] == 2
    assert [release["change"][half]["wall_s"]["n"] for half in ("before", "after")] == [12, 6]
    told = "\n".join(trend.render([release], Style(width=200), 5))
    assert "(12 and 6 successes in which 2 stages ran)" in told


def test_company_has_three_words() -> None:
    words = [queries.company_word(company) for company in (None, 0.0, 0.49, 0.5, 1.49, 1.5, 12.0)]
    assert words == [None, "solo", "solo", "with 1", "with 1", "with 2+", "with 2+"]


def test_fifty_thousand_rows_are_asked_in_a_moment(tmp_path: Path) -> None:
    """A coarse guard against looking at every row of every stage; the figures are in benchmarks/indexing.py."""
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US, Did("build", 0, 10))

    def fill(connection: object) -> None:
        cursor = connection.connection.cursor()  # type: ignore[attr-defined]
        cursor.executemany(
            "INSERT INTO stages (stage, run_id, outcome, flaky, attempts, work_us) VALUES (?, ?, 'success', 0, 1, ?)",
            ((f"s{number % 50}", number // 50 + 2, number) for number in range(50_000)),
        )

    store.ask(past.state, fill, is_change=True)
    began = time.process_time()
    told = store.ask(past.state, lambda connection: queries.stats(connection, "s7"))
    names = store.ask(past.state, queries.stage_names)
    assert time.process_time() - began < 0.5
    assert told is not None
    assert told["wall_s"]["n"] == 1000
    assert len(names) == 51
