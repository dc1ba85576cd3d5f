"""What is concluded of stages from samples of their runs, and what is said to be unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plan.known import of, row, run, samples, walls
from tests.plan.past import pipeline, stage

from stagebook.history.samples import Sample, Samples
from stagebook.plan import profile
from stagebook.plan.profile import Profile, StageProfile, build

PROBE = (
    "no parallel run is on record, so nothing can tell whether stages that wait share what they wait for: "
    "stagebook plan --probe"
)


def one_profile(*rows: Sample) -> Profile:
    return build(of("unit"), samples(rows))


def one(*rows: Sample) -> StageProfile:
    (found,) = one_profile(*rows).stages
    return found


# Where durations come from ----------------------------------------------------------------------------------------


def test_r090_what_ran_is_known_from_history_what_never_did_is_declared_or_guessed() -> None:
    pipe = pipeline(stage("a"), stage("b"), stage("c")._replace(duration_ms=2500), stage("d"))
    found = build(pipe, walls({"a": [1.0, 3.0, 2.0], "b": [4.0]}))
    assert [(each.source, each.median_s, each.runs) for each in found.stages] == [
        ("history", 2.0, 3), ("history", 4.0, 1), ("declared", 2.5, 0), ("guess", 2.5, 0)
    ]  # fmt: skip
    assert (found.source, found.runs) == ("history", 3)
    assert found.stages[0].walls_s == (1.0, 3.0, 2.0)
    assert found.stages[0].runs_at == (0, 1, 2)


@pytest.mark.parametrize("known", [None, Samples((), (), 3)])
def test_without_a_run_there_is_what_the_file_says(known: Samples | None) -> None:
    found = build(pipeline(stage("a")._replace(duration_ms=0), stage("b")._replace(duration_ms=4000)), known)
    assert (found.source, found.runs, found.others_cores, found.jobs_seen) == ("declared", 0, None, 1)
    assert [each.walls_s for each in found.stages] == [(0.0,), (4.0,)]
    assert found.lacks == (
        "no run of this file is on record, so durations are those that are declared: stagebook run --sequential",
    )


def test_where_nothing_at_all_is_known_every_stage_is_alike() -> None:
    found = build(of("a", "b"), None)
    assert [(each.source, each.walls_s) for each in found.stages] == [("guess", (1.0,)), ("guess", (1.0,))]
    assert found.lacks == (
        "no run of this file is on record and no duration is declared, so each stage is taken to last 1 s: "
        "stagebook run --sequential",
    )
    assert build(pipeline(), None) == Profile((), "declared", 0)


def test_timings_in_the_file_are_said_to_be() -> None:
    assert build(pipeline(stage("a")._replace(duration_ms=1000))._replace(format="psplib"), None).source == "file"


def test_a_stage_that_never_passed_has_a_declared_or_a_guessed_duration_and_its_failures() -> None:
    found = build(
        pipeline(stage("ok"), stage("bad")._replace(duration_ms=9000)),
        samples([row(0, "ok", 2.0), row(0, "bad", 5.0, "failure", attempts=3), row(1, "bad", 5.0, "timeout")]),
    )
    bad = found.stages[1]
    assert (bad.source, bad.walls_s, bad.failed, bad.ran, bad.runs) == ("declared", (9.0,), 4, 4, 0)
    assert "bad has never passed: 4 of 4 attempts failed" in found.lacks
    alone = one_profile(row(0, "unit", 5.0, "failure"), row(1, "unit", 5.0, "failure"))
    assert alone.lacks == (
        "in 2 runs of this file no stage has passed and no duration is declared, so each stage is taken to last 1 s: "
        "stagebook run --sequential",
        "unit has never passed: 2 of 2 attempts failed",
    )


# One stage --------------------------------------------------------------------------------------------------------


def test_time_spent_waiting_for_a_core_is_no_work() -> None:
    found = one(row(0, "unit", 3.0, delay_s=1.0, cpu_s=2.0), row(1, "unit", 2.0, delay_s=None, cpu_s=2.0))
    assert found.walls_s == (2.0, 2.0)
    assert found.cores == 1.0


def test_a_run_of_which_more_waiting_is_told_than_it_took_took_nothing() -> None:
    assert one(row(0, "unit", 0.1, delay_s=0.2)).walls_s == (0.0,)


def test_cores_are_those_of_the_runs_alone() -> None:
    alone = [row(number, "unit", 2.0, cpu_s=6.0) for number in range(2)]
    others = [row(2 + number, "unit", 4.0, cpu_s=7.5, company=1.0) for number in range(2)]
    assert one(*alone, *others).cores == 3.0
    assert one(row(0, "unit", 2.0, cpu_s=None)).cores is None
    assert one(*[each._replace(run=0) for each in others[:1]]).cores == 7.5 / 4


def test_the_median_is_of_runs_alone_if_there_is_one() -> None:
    others = [row(1 + number, "unit", 5.0, company=2.0) for number in range(8)]
    assert one(row(0, "unit", 1.0), *others).median_s == 1.0
    assert one(*[each._replace(run=each.run - 1) for each in others]).median_s == 5.0


MIB = 1 << 20


@pytest.mark.parametrize(
    ("more", "disk"),
    [
        ({"read_bytes": 100 * MIB, "disk_busy": 0.6, "cpu_s": 0.2}, 0.6),
        ({"write_bytes": 100 * MIB, "disk_busy": 0.9, "cpu_s": 1.0}, 0.5),  # no more than is left beside its work
        ({"write_bytes": 100 * MIB, "disk_busy": 0.9, "cpu_s": 4.0}, 0.0),
        ({"read_bytes": MIB, "disk_busy": 0.9, "cpu_s": 0.2}, 0.0),  # somebody else's
        ({"read_bytes": 100 * MIB, "disk_busy": 0.3, "cpu_s": 0.1, "delay_s": 1.0}, 0.6),  # of its clean time
        ({"read_bytes": 100 * MIB, "disk_busy": None, "cpu_s": 0.2}, None),
        ({"read_bytes": None, "write_bytes": None, "disk_busy": 0.9}, None),
        ({"read_bytes": None, "write_bytes": 100 * MIB, "disk_busy": 0.7, "cpu_s": None}, 0.7),
    ],
)
def test_the_disk_is_the_stages_own_only_where_it_moved_something(
    more: dict[str, float | None], disk: float | None
) -> None:
    assert one(row(0, "unit", 2.0, **more)).disk == (None if disk is None else pytest.approx(disk))


def test_a_disk_that_was_busy_in_company_may_have_been_so_for_others() -> None:
    moved = {"read_bytes": 100 * MIB, "cpu_s": 0.0}
    crowd = [row(number, "unit", disk_busy=busy, company=1.0, **moved) for number, busy in enumerate([0.9, 0.4, 0.8])]
    assert one(*crowd).disk == 0.4
    assert one(*crowd, row(3, "unit", disk_busy=0.6, **moved)).disk == 0.6


def test_gamma_is_how_much_more_work_it_is_in_company() -> None:
    alone = [row(number, "unit", cpu_s=cpu_s) for number, cpu_s in enumerate([0.9, 1.0, 9.0])]
    others = [row(3 + number, "unit", cpu_s=cpu_s, company=1.5) for number, cpu_s in enumerate([1.3, 1.2, 1.9])]
    assert one(*alone, *others).gamma == pytest.approx(0.3)
    assert one(*alone).gamma is None
    assert one(*[each._replace(run=each.run - 3) for each in others]).gamma is None
    less = [each._replace(cpu_s=0.5) for each in others]
    assert one(*alone, *less).gamma == 0.0


def test_memory_is_the_most_it_took() -> None:
    assert one(row(0, "unit", rss_bytes=5), row(1, "unit", rss_bytes=9), row(2, "unit", rss_bytes=None)).rss_bytes == 9


def test_failures_are_counted_by_attempts_and_who_was_stopped_did_not_fail() -> None:
    found = one(
        row(0, "unit", attempts=3), row(1, "unit", 1.0, "failure", attempts=2), row(2, "unit", 1.0, "cancellation"),
        row(3, "unit", 1.0, "cancellation", attempts=2),
    )  # fmt: skip
    assert (found.failed, found.ran) == (5, 6)
    assert found.walls_s == (1.0,)


@pytest.mark.parametrize(
    ("before", "after", "trend"),
    [(1.0, 1.5, "slower"), (1.5, 1.0, "faster"), (1.0, 1.01, "steady"), (1.0, 1.0, "steady")],
)
def test_r090_a_trend_is_a_difference_that_is_sure_and_matters(before: float, after: float, trend: str) -> None:
    took = [level + (number % 3) * 0.001 for level in (before, after) for number in range(8)]
    assert build(of("unit"), walls({"unit": took})).stages[0].trend == trend


def test_a_few_runs_have_no_trend_and_company_makes_none() -> None:
    assert one(*[row(number, "unit", 1.0 + number) for number in range(6)]).trend is None
    alone = [row(number, "unit") for number in range(15)]
    others = [row(15 + number, "unit", 2.0, company=1.0) for number in range(14)]
    assert one(*alone, *others).trend == "steady"


# Runs in which it did not run -------------------------------------------------------------------------------------


def skip(number: int, reason: str) -> Sample:
    return row(number, "unit", None, "skip", attempts=0, cpu_s=None, reason=reason)


def test_a_condition_that_held_now_and_then() -> None:
    found = one(
        row(0, "unit"), skip(1, "when: branch == 'main'"), skip(2, "changed: no file matches src since HEAD"),
        row(3, "unit", 5.0),
    )  # fmt: skip
    assert (found.ran_share, found.skipped_at, found.runs_at, found.walls_s) == (0.5, (1, 2), (0, 3), (1.0, 5.0))


def test_a_condition_that_never_held() -> None:
    found = build(
        of("a", "unit"), samples([*[row(number, "a") for number in range(5)], skip(0, "when: x"), skip(1, "when: x")])
    )
    assert (found.stages[1].ran_share, found.stages[1].source) == (0.0, "guess")
    assert found.lacks == ("unit never ran, as its condition kept it from that in 2 runs", PROBE)


def test_other_reasons_not_to_run_say_nothing() -> None:
    found = one(row(0, "unit"), skip(1, "up to date"), skip(2, "not selected"), skip(3, "needs build (failure)"))
    assert (found.ran_share, found.skipped_at, found.runs, found.ran) == (1.0, (), 1, 1)


# Changes of the file ----------------------------------------------------------------------------------------------


def changed(before: list[float], after: list[float], company: float = 0.0) -> Profile:
    rows = [row(number, "unit", wall_s) for number, wall_s in enumerate(before)]
    rows += [row(len(before) + number, "unit", wall_s, company=company) for number, wall_s in enumerate(after)]
    digests = ["old"] * len(before) + ["new"] * len(after)
    known = samples(rows)
    return build(of("unit"), known._replace(runs=tuple([run(number, digest) for number, digest in enumerate(digests)])))


def test_after_a_change_that_shows_only_the_later_runs_count() -> None:
    found = changed([1.0, 1.2, 1.1, 1.0], [3.0, 3.2, 3.1])
    assert found.stages[0].walls_s == (3.0, 3.2, 3.1)
    assert found.lacks[-1] == (
        "unit takes 3 times as long since the file was changed: what it took before that, in 4 runs, is left out"
    )
    assert changed([3.0] * 4, [1.0] * 3).lacks[-1].startswith("unit takes 0.33 times as long")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([1.0, 1.2, 1.1, 1.0], [1.1, 1.3, 1.0]),
        ([1.0, 1.2, 1.1, 1.0], [2.5]),  # one busy run
        ([1.0, 1.2, 1.1, 1.0], [1.3, 1.3, 1.3]),  # sure, but little
    ],
)
def test_after_a_change_that_does_not_show_all_runs_count(before: list[float], after: list[float]) -> None:
    found = changed(before, after)
    assert found.stages[0].walls_s == (*before, *after)
    assert not any("changed" in text for text in found.lacks)


def test_many_stages_that_changed_are_told_in_one_sentence() -> None:
    took = {name: [1.0] * 4 + [4.0] * 5 for name in "abcd"}
    runs = tuple([run(number, "old" if number < 4 else "new", max_parallel=2) for number in range(9)])
    assert build(of(*"abcd"), walls(took)._replace(runs=runs)).lacks == (
        "4 stages (a, b, c …) take another time since the file was changed: what they took before that is left out",
    )


def test_what_company_costs_is_no_change_of_the_file() -> None:
    assert changed([1.0] * 6, [4.0] * 6, company=1.0).stages[0].runs == 12


def test_a_level_that_changed_without_the_file_stays() -> None:
    assert build(of("unit"), walls({"unit": [1.0] * 8 + [4.0] * 8})).stages[0].runs == 16


# The machine ------------------------------------------------------------------------------------------------------


def test_others_use_is_that_of_the_latest_runs() -> None:
    rows = [row(number, "unit") for number in range(14)]
    loads = [3.0, 3.0, 3.0, 3.0, *[0.5] * 5, None, *[0.7] * 4]
    runs = tuple([run(number, others_cores=load) for number, load in enumerate(loads)])
    assert build(of("unit"), Samples(runs, tuple(rows), 0)).others_cores == 0.5
    assert build(of("unit"), samples(rows, others_cores=None)).others_cores is None


# What is not known ------------------------------------------------------------------------------------------------


def test_r090_too_few_runs_are_said_with_what_to_run() -> None:
    rows = [row(0, name) for name in "abcde"] + [row(number, "f") for number in range(4)]
    rows += [row(number, "g") for number in range(9)]
    found = build(of(*"abcdefghi"), samples(rows, max_parallel=4))
    assert found.jobs_seen == 4
    assert found.lacks == (
        "nothing is known of h and i, so the median of the others is taken: stagebook run --sequential",
        "5 stages (a, b, c …) have 1 run, 5 are needed: stagebook run --sequential, 4 more times",
        "f has 4 runs, 5 are needed: stagebook run --sequential, 1 more time",
    )


def test_r090_only_a_parallel_run_tells_what_stages_share() -> None:
    known = walls({"a": [1.0] * 5, "b": [1.0] * 5})
    assert build(of("a", "b"), known).lacks == (PROBE,)
    chain = pipeline(stage("a"), stage("b")._replace(needs=("a",)))
    assert build(chain, known).lacks == (), "in a chain nothing is shared"
    assert build(of("a", "b"), known._replace(runs=tuple([run(0, max_parallel=2)] * 5))).lacks == ()


def test_what_never_ran_alone_is_said() -> None:
    found = build(of("a"), samples([row(number, "a", company=1.0) for number in range(5)], max_parallel=2))
    assert found.lacks == (
        "a always ran beside others, so what it takes alone is not known: stagebook run --sequential",
    )


# Whatever is on record --------------------------------------------------------------------------------------------

seconds = st.one_of(st.none(), st.floats(0, 1e6))
rows = st.builds(
    Sample,
    st.integers(0, 6), st.sampled_from("abc"), st.sampled_from(["success", "failure", "skip", "cancellation"]),
    st.integers(0, 4), seconds, seconds, seconds, seconds, seconds, seconds, st.one_of(st.none(), st.floats(0, 1)),
    *[st.one_of(st.none(), st.integers(0, 1 << 40))] * 3, st.sampled_from([None, "when: x", "up to date"]),
)  # fmt: skip


@given(st.lists(rows, unique_by=lambda each: each[:2]), st.lists(st.sampled_from("xy"), min_size=7, max_size=7))
def test_a_profile_can_always_be_made_and_is_sound(some: list[Sample], digests: list[str]) -> None:
    runs = tuple([run(number, digest) for number, digest in enumerate(digests)])
    found = build(of(*"abc"), Samples(runs, tuple(sorted(some, key=lambda each: each[:2])), 0))
    for each in found.stages:
        assert each.walls_s
        assert min(each.walls_s) >= 0
        assert each.source != "history" or len(each.walls_s) == len(each.runs_at) == len(each.company)
        assert each.median_s >= 0
        assert each.disk is None or 0 <= each.disk <= 1 - min(1, each.cores or 0)
        assert each.gamma is None or each.gamma >= 0
        assert 0 <= each.failed <= each.ran
        assert 0 <= each.ran_share <= 1
        assert not {*each.skipped_at} & {*each.runs_at}
    assert found.runs == max(each.runs for each in found.stages)
    assert profile.ENOUGH == 5
