"""Use against caps: figures worked out by hand for histories that are written down here."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from tests.plan.past import DAY_US, HOUR_US, MEASURED_ONE, MIB, NOW_US, RELEASE, Did, Past, pipeline, stage

from stagebook.model.pipeline import Limits, Pipeline, Pool
from stagebook.plan import limits, providers, recorded
from stagebook.record.clock import epoch_us


def plan(past: Past, of: Pipeline = RELEASE, now_us: int = NOW_US, days: int = 7, cores: int = 2) -> dict[str, Any]:
    asked = limits.Asked(now_us, days, cores)
    found = recorded.read(past.state, of.file, asked.since_us, asked.now_us)
    return limits.document(of, found, providers.of(of), asked)


def rows(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{row['name']} {row['basis'] or ''}".strip(): row for row in document["limits"]["use"]}


def wide(count: int, **more: Any) -> Pipeline:
    return pipeline(*[stage(f"s{number}", **more) for number in range(count)], limits=Limits(provider="github-free"))


def week(past: Past, of: Pipeline, *did: Did, runs: int = 7) -> None:
    """One run a day, the latest an hour ago."""
    for day in range(runs):
        past.run(of, NOW_US - day * DAY_US - HOUR_US, *did)


def test_the_document_begins_with_the_keys_of_the_door(tmp_path: Path) -> None:
    past = Past(tmp_path)
    week(past, RELEASE, Did("build", 0, 60))
    found = plan(past)
    assert list(found) == ["pipeline", "profile", "limits"]
    assert found["pipeline"] == "release"
    assert found["profile"] == {"runs": 7, "source": "history"}
    assert found["limits"]["from"] == "2026-11-18T11:00:00.000000+00:00"
    assert found["limits"]["to"] == "2026-11-25T11:00:00.000000+00:00"


def test_peak_quantiles_line_and_recommendation_of_jobs(tmp_path: Path) -> None:
    """Ten stages: all of them for 1 minute, then one alone for 59: 95 % of the time no more than one."""
    past = Past(tmp_path)
    of = wide(10)
    week(past, of, *[Did(f"s{number}", 0, 60) for number in range(1, 10)], Did("s0", 0, 3600))
    row = rows(plan(past, of))["jobs"]
    assert (row["cap"], row["line"], row["cap_of"]) == (20, 16, "github-free")
    assert (row["peak"], row["p95"], row["p95_all"], row["runs"]) == (10, 1, 0, 7)
    assert row["peak_at"] == "2026-11-19T10:00:00.000000+00:00"
    assert (row["crossed"], row["above"], row["above_line_s"]) == (False, [], 0.0)
    assert row["recommended"] == 10, "no run had more to do at once"


def test_runs_that_overlap_add_up_and_crossing_is_told_with_its_times(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = wide(10)
    week(past, of, *[Did(f"s{number}", 0, 60) for number in range(10)])
    past.run(of, NOW_US - DAY_US - HOUR_US + 30_000_000, *[Did(f"s{number}", 0, 60) for number in range(10)])
    found = plan(past, of)
    row = rows(found)["jobs"]
    assert (row["peak"], row["crossed"], row["above_line_s"], row["above_cap_s"]) == (20, True, 30.0, 0.0)
    assert row["above"] == [
        {"from": "2026-11-24T10:00:30.000000+00:00", "to": "2026-11-24T10:01:00.000000+00:00", "peak": 20}
    ]
    assert limits.crossed(found)


def test_what_waits_for_a_slot_is_wanted_too(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = wide(4)
    did = [Did("s0", 0, 60), Did("s1", 60, 120, 0, "slot"), Did("s2", 120, 180, 0, "slot"), Did("s3", 180, 240, 0)]
    week(past, of, *did)
    found = plan(past, of)
    row = rows(found)["jobs"]
    assert (row["peak"], row["wanted_peak"]) == (1, 3), "what waited for something else would not have used a slot"
    assert found["limits"]["jobs"]["recommended"] == 3


def test_others_leave_less_and_runs_at_once_share_it(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = wide(20)
    other = pipeline(*[stage(f"o{number}") for number in range(6)], file="/other/stagebook.yaml", name="other")
    did = [Did(f"s{number}", 0, 600) for number in range(20)]
    week(past, of, *did)
    assert plan(past, of)["limits"]["jobs"]["recommended"] == 16
    week(past, other, *[Did(f"o{number}", 0, 600) for number in range(6)])
    found = plan(past, of)["limits"]["jobs"]
    assert found["recommended"] == 10
    assert "other pipelines want 6 of them in 95 % of the time of these runs" in found["because"]
    week(past, of, *did)  # the same again at the same time
    found = plan(past, of)["limits"]["jobs"]
    assert found["recommended"] == 5
    assert "up to 2 runs go on at once" in found["because"]


def test_others_at_other_times_take_nothing(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = wide(20)
    other = pipeline(*[stage(f"o{number}") for number in range(6)], file="/other/stagebook.yaml", name="other")
    week(past, of, *[Did(f"s{number}", 0, 600) for number in range(20)])
    week(past, other, *[Did(f"o{number}", 700, 1300) for number in range(6)])
    assert plan(past, of)["limits"]["jobs"]["recommended"] == 16


def test_an_account_that_is_full_leaves_one(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = wide(4)
    other = pipeline(*[stage(f"o{number}") for number in range(18)], file="/other/stagebook.yaml", name="other")
    week(past, of, *[Did(f"s{number}", 0, 600) for number in range(4)])
    week(past, other, *[Did(f"o{number}", 0, 600) for number in range(18)])
    found = plan(past, of)["limits"]["jobs"]
    assert found["recommended"] == 1
    assert any("bottleneck" in said for said in found["because"])


@pytest.mark.parametrize(
    ("given", "cap", "line", "of"),
    [
        (Limits(provider="github-free"), 20, 16, "github-free"),
        (Limits(provider="github"), 20, 16, "github (taken as github-free)"),
        (Limits(provider="azure-free"), 1, 1, "azure-free"),
        (Limits(provider="github-pro", share=0.5), 40, 20, "github-pro"),
        (Limits(jobs=10), 10, 8, "limits.jobs"),
        (Limits(jobs=2), 2, 1, "limits.jobs"),
        (Limits(), 4, 3, "cores of this machine"),
        (Limits(provider="gitlab-free"), 4, 3, "cores of this machine"),
    ],
)
def test_where_the_cap_of_jobs_comes_from(given: Limits, cap: int, line: int, of: str, tmp_path: Path) -> None:
    row = rows(plan(Past(tmp_path), pipeline(limits=given), cores=4))["jobs"]
    assert (row["cap"], row["line"], row["cap_of"]) == (cap, line, of)
    assert row["named"] == (of != "cores of this machine")


def test_a_provider_and_jobs_of_the_file_are_both_caps_and_the_tighter_one_counts(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = wide(20)._replace(limits=Limits(provider="github-free", jobs=5))
    week(past, of, *[Did(f"s{number}", 0, 60) for number in range(20)])
    found = plan(past, of)
    jobs = [(row["cap_of"], row["line"]) for row in found["limits"]["use"] if row["name"] == "jobs"]
    assert jobs == [("github-free", 16), ("limits.jobs", 4)]
    assert found["limits"]["jobs"]["recommended"] == 4


def test_cpu_and_memory_reserved_and_measured(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = pipeline(
        stage("a", cpu_milli=1500, memory_bytes=2 * MIB), stage("b", cpu_milli=2000, memory_bytes=4 * MIB),
        limits=Limits(cpu_milli=4000, memory_bytes=10 * MIB),
    )  # fmt: skip
    week(past, of, Did("a", 0, 100, cpu_s=50, rss=MIB), Did("b", 0, 100, cpu_s=175, rss=3 * MIB))
    found = rows(plan(past, of))
    cpu, used = found["cpu reserved"], found["cpu measured"]
    assert (cpu["peak"], cpu["cap"], cpu["line"], cpu["crossed"], cpu["recommended"]) == (3.5, 4.0, 3.2, True, 3.2)
    assert (used["peak"], used["crossed"], used["recommended"]) == (2.25, False, None)
    memory, used = found["memory reserved"], found["memory measured"]
    assert (memory["peak"], memory["cap"], memory["line"]) == (6 * MIB, 10 * MIB, 8 * MIB)
    assert (memory["recommended"], used["peak"]) == (6 * MIB, 4 * MIB)


def test_without_limits_the_cores_are_no_promise_and_memory_has_no_cap(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = pipeline(stage("a", cpu_milli=4000, memory_bytes=MIB))
    week(past, of, Did("a", 0, 100))
    found = plan(past, of, cores=4)
    cpu, memory = rows(found)["cpu reserved"], rows(found)["memory reserved"]
    assert (cpu["cap"], cpu["crossed"], cpu["named"], cpu["recommended"]) == (4.0, True, False, None)
    assert (memory["cap"], memory["line"], memory["above_line_s"], memory["crossed"]) == (None, None, None, False)
    assert not limits.crossed(found)


def test_a_pool_may_be_used_up_but_not_by_two_runs_beyond_its_size(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = pipeline(stage("a", pools={"db": 3}), stage("b", pools={"db": 1}), pools={"db": Pool(4), "idle": Pool(2)})
    week(past, of, Did("a", 0, 100), Did("b", 0, 100))
    found = plan(past, of)
    row = rows(found)["pool:db reserved"]
    assert (row["peak"], row["cap"], row["line"], row["crossed"], row["recommended"]) == (4, 4, 4, False, 4)
    assert (rows(found)["pool:idle reserved"]["peak"], rows(found)["pool:idle reserved"]["runs"]) == (None, 0)
    past.run(of, NOW_US - HOUR_US, Did("a", 50, 70))
    row = rows(plan(past, of))["pool:db reserved"]
    assert (row["peak"], row["crossed"], row["above_cap_s"]) == (7, True, 20.0)


def test_a_pool_holds_what_is_taken_from_those_inside_it(tmp_path: Path) -> None:
    past = Past(tmp_path)
    pools = {"server": Pool(4), "db": Pool(3, inside="server"), "schema": Pool(2, inside="db")}
    of = pipeline(stage("a", pools={"schema": 1}), stage("b", pools={"db": 2}), pools=pools)
    week(past, of, Did("a", 0, 100), Did("b", 50, 100))
    found = rows(plan(past, of))
    assert {name: found[f"pool:{name} reserved"]["peak"] for name in pools} == {"server": 3, "db": 3, "schema": 1}


@pytest.mark.parametrize("machine", [False, True])
def test_pools_of_other_pipelines_count_where_they_are_the_machines(machine: bool, tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = pipeline(stage("a", pools={"db": 1}), pools={"db": Pool(1, machine=machine)})
    week(past, of, Did("a", 0, 100))
    week(past, of._replace(file="/other/stagebook.yaml", digest="another"), Did("a", 0, 100))
    row = rows(plan(past, of))["pool:db reserved"]
    assert (row["peak"], row["crossed"]) == ((2, True) if machine else (1, False))


def test_jobs_of_the_file_are_for_its_own_runs(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = wide(20)._replace(limits=Limits(jobs=5))
    week(past, of, *[Did(f"s{number}", 0, 60) for number in range(3)])
    week(past, of._replace(file="/other/stagebook.yaml"), *[Did(f"s{number}", 0, 60) for number in range(9)])
    found = plan(past, of)
    assert (rows(found)["jobs"]["peak"], found["limits"]["jobs"]["recommended"]) == (3, 3)


def test_where_only_others_ran_nothing_is_recommended(tmp_path: Path) -> None:
    past = Past(tmp_path)
    week(past, RELEASE._replace(file="/other/stagebook.yaml"), Did("build", 0, 60))
    found = plan(past)["limits"]
    assert (found["enough"], found["own_runs"], found["jobs"]["recommended"]) == (True, 0, None)
    assert found["jobs"]["because"] == ["no run of this pipeline is on record in this time, only others are"]


def test_measured_runs_count(tmp_path: Path) -> None:
    past = Past(tmp_path)
    week(past, MEASURED_ONE, Did("one", 0, 60), Did("two", 0, 60), Did("three", 0, 60))
    found = plan(past)
    assert (found["limits"]["own_runs"], rows(found)["jobs"]["peak"]) == (7, 3)
    assert found["limits"]["jobs"]["recommended"] == 3


@pytest.mark.parametrize(
    ("runs", "spread_h", "enough"), [(5, 12, True), (4, 24, False), (9, 5, False), (0, 0, False), (1, 0, False)]
)
def test_it_says_when_it_knows_too_little(runs: int, spread_h: int, enough: bool, tmp_path: Path) -> None:
    past = Past(tmp_path)
    for number in range(runs):
        past.run(RELEASE, NOW_US - HOUR_US - number * spread_h * HOUR_US, Did("build", 0, 60))
    found = plan(past)
    assert found["limits"]["enough"] == enough
    jobs = found["limits"]["jobs"]
    if enough:
        assert jobs["recommended"] == 1
    else:
        assert jobs["recommended"] is None
        assert "5 runs over 2 days are needed" in jobs["because"][0] or "5 over 2 days are needed" in jobs["because"][0]
        assert all(row["recommended"] is None for row in found["limits"]["use"])


def test_an_empty_history_knows_nothing_but_the_caps(tmp_path: Path) -> None:
    found = plan(Past(tmp_path))
    assert found["profile"] == {"runs": 0, "source": "declared"}
    assert {name: (row["cap"], row["peak"], row["p95"]) for name, row in rows(found).items()} == {
        "jobs": (20, None, None),
        "pool:db reserved": (4, None, None),
    }
    assert found["limits"]["minutes"]["forecast"] is None
    assert found["limits"]["notes"] == []


# Minutes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounding", "minutes"), [("job", 5.0), ("second", 132 / 60), ("none", 2.1709), ("sum", 2.0), (None, 2.1709)]
)
def test_minutes_are_rounded_as_the_provider_does(rounding: str | None, minutes: float) -> None:
    lengths = [10_000_000, 60_000_000, 60_250_000, 4_000]
    assert limits.counted(lengths, rounding) == pytest.approx(minutes, abs=1e-4)


def test_twelve_short_jobs_are_twelve_minutes_where_each_is_rounded() -> None:
    assert limits.counted([10_000_000] * 12, "job") == 12
    assert limits.counted([120_000_000], "job") == 2
    assert limits.counted([10_000_000] * 12, "none") == 2


def test_only_attempts_that_ended_in_this_month_are_counted(tmp_path: Path) -> None:
    past = Past(tmp_path)
    month = epoch_us("2026-11-01T00:00:00.000000+00:00")
    past.run(RELEASE, month - 2 * HOUR_US, Did("build", 0, 3600))  # over in October
    past.run(RELEASE, month - 60_000_000, Did("build", 0, 90))  # over in November, by 30 s
    past.run(RELEASE, month + DAY_US, Did("build", 0, 61), Did("unit", 0, 59), Did("e2e", 0, None), is_over=False)
    past.run(RELEASE, NOW_US - HOUR_US, Did("build", 0, 90, reason="interrupted"))
    found = plan(past)["limits"]["minutes"]
    assert (found["month"], found["used"], found["included"], found["rounding"]) == ("2026-11", 2 + 2 + 1, 2000, "job")
    assert found["since"] is None, "October is on record, so November is whole"


def test_the_forecast_goes_on_as_the_days_did(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US - 8 * DAY_US, Did("build", 0, 60))
    week(past, RELEASE, Did("build", 0, 600))
    found = plan(past)["limits"]["minutes"]
    left = 5 + 13 / 24
    assert found["used"] == 1 + 7 * 10
    assert found["days"] == 7
    assert found["forecast"] == pytest.approx(71 + 10 * left, abs=0.06)
    assert (found["low"], found["high"]) == (found["forecast"], found["forecast"]), "every day was the same"


def test_the_range_of_the_forecast_is_that_of_its_days() -> None:
    """Of months of days that are drawn at random some nine of ten end within the range."""
    chance = random.Random(3)
    inside = 0
    for _ in range(400):
        days = [chance.gauss(100, 20) for _ in range(7)]
        _, low, high = limits._forecast(0, days, 10)
        assert low is not None
        assert high is not None
        inside += low <= sum(chance.gauss(100, 20) for _ in range(10)) <= high
    assert 0.85 <= inside / 400 <= 0.95


def test_a_short_history_gives_no_forecast(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US - HOUR_US, Did("build", 0, 600))
    found = plan(past)["limits"]["minutes"]
    assert (found["used"], found["forecast"], found["low"]) == (10, None, None)
    assert found["since"] == "2026-11-25T10:00:00.000000+00:00"


@pytest.mark.parametrize(
    ("now", "begins", "ends"),
    [
        ("2026-11-25T11:00:00", "2026-11-01", "2026-12-01"),
        ("2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("2028-02-29T00:00:00", "2028-02-01", "2028-03-01"),
        ("2026-03-01T00:00:00", "2026-03-01", "2026-04-01"),
    ],
)
def test_a_month_is_one_of_the_calendar(now: str, begins: str, ends: str) -> None:
    asked = limits.Asked(epoch_us(f"{now}.000000+00:00"), 7, 2)
    assert asked.month_us == epoch_us(f"{begins}T00:00:00.000000+00:00")
    assert asked.month_end_us == epoch_us(f"{ends}T00:00:00.000000+00:00")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "EST5EDT,M3.2.0,M11.1.0"])
def test_where_one_lives_changes_nothing(zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The week holds the night in which clocks in New York go back."""
    now_us = epoch_us("2026-11-04T11:00:00.000000+00:00")
    past = Past(tmp_path)
    for hour in range(1, 7 * 24, 5):
        past.run(RELEASE, now_us - hour * HOUR_US, Did("build", 0, 60), Did("unit", 30, 400))
    here = plan(past, now_us=now_us)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        there = plan(past, now_us=now_us)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert here == there


# Beside the figures -----------------------------------------------------------------------------------------------


def test_what_the_figures_do_not_hold_is_noted(tmp_path: Path) -> None:
    past = Past(tmp_path)
    week(past, RELEASE, Did("build", 0, 60, cpu_s=3, rss=MIB), Did("unit", 0, 60))
    past.run(RELEASE, NOW_US - HOUR_US, Did("e2e", 0, None), is_over=False)
    notes = plan(past, days=5)["limits"]["notes"]
    assert any(note.startswith("no end is on record of 1 of") for note in notes)
    assert any(note.startswith("CPU time is not known of 5 of 10 attempts") for note in notes)
    assert any("of their largest process only" in note for note in notes)
    assert any("whole weeks" in note for note in notes)


def test_a_tiny_cap_is_warned_of(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = RELEASE._replace(limits=Limits(jobs=2))
    week(past, of, Did("build", 0, 60))
    assert any(note.startswith("80% of 2 is 1") for note in plan(past, of)["limits"]["notes"])


def test_journals_that_are_left_out_are_named(tmp_path: Path) -> None:
    past = Past(tmp_path)
    path = past.run(RELEASE, NOW_US - HOUR_US, Did("build", 0, 60))
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"stage":"build"', b'"stage":"BUILD"', 1))
    (said,) = plan(past)["limits"]["left_out"]
    assert "is damaged at record 2" in said
