"""What runs come to: when an experiment stops, and with which decision and sentence."""

from __future__ import annotations

import math
from typing import Any, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.study.imagined import failed, pairs, run, set_up

from stagebook.report.verdict import verdict
from stagebook.study import result

FAST = [8.5 + 0.1 * math.sin(at) for at in range(20)]
SLOW = [18.2 + 0.2 * math.cos(at) for at in range(20)]


def told(records: Sequence[dict[str, Any]], **others: Any) -> tuple[dict[str, Any], str]:
    document = result.document(set_up(**others), records)
    return document, verdict(document)


def usage(peak: int | None, method: str | None = "wait4") -> dict[str, Any]:
    return {"max_rss_bytes": peak, "method": method, "read_bytes": 1, "write_bytes": 1}


def peak(*used: dict[str, Any]) -> Any:
    stages = [{"stage": "a", "outcome": "success", "tolerated": False, "attempts": [{"usage": one}]} for one in used]
    return result.measured({"stages": stages, "started": "now"})["max_rss_bytes"]


def test_the_largest_peak_is_known_where_others_were_too_small_to_be() -> None:
    assert peak(usage(None), usage(90 << 20), usage(60 << 20)) == 90 << 20
    assert peak(usage(None), usage(None)) is None
    assert peak(usage(90 << 20), usage(None, None)) is None  # was not measured: it may have been larger


def test_beside_nothing_there_is_no_ratio() -> None:
    records = [
        {**each, "read_bytes": 4096 if each["arm"] == "parallel" else 8192 if each["pair"] == 3 else 0}
        for each in pairs(SLOW, FAST)
    ]
    document, _ = told(records)
    assert document["comparisons"][0]["resources"]["read_bytes"] is None
    assert document["comparisons"][0]["resources"]["write_bytes"] is not None


def test_r106_a_gain_is_adopted_as_soon_as_it_is_shown() -> None:
    records = pairs(SLOW, FAST)
    stops = [count for count in range(21) if told(records[: 2 * count])[0]["stopped"] is not None]
    assert stops[0] == 7
    document, text = told(records[:16])
    assert (document["stopped"], document["decision"]) == ("shown", "adopt")
    assert document["ratio"]["low"] < document["ratio"]["median"] < document["ratio"]["high"] < 1
    assert text.startswith("parallel is 0.47× [0.")
    assert text.endswith("of sequential in 8 pairs: adopt")
    assert [arm["median_s"] for arm in document["arms"]] == [pytest.approx(18.2, abs=0.2), pytest.approx(8.5, abs=0.1)]


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ({"lacks": ["a", "b"]}, "only sequential runs a, b"),
        ({"adds": ["c"]}, "only parallel runs c"),
        ({"lacks": [f"s{at}" for at in range(9)], "adds": ["c"]},
         "only sequential runs s0, s1, s2, s3 and 5 more, only parallel runs c"),
    ],
)  # fmt: skip
def test_a_gain_by_other_work_is_not_adopted(work: dict[str, list[str]], said: str) -> None:
    made = set_up()
    made["arms"][1].update(work)
    document = result.document(made, pairs(SLOW, FAST)[:16])
    assert (document["stopped"], document["decision"]) == ("shown", "open")
    text = verdict(document)
    assert text.startswith("parallel is 0.47× [0.") and text.endswith(f"but they do not do the same work: {said}")


def test_what_is_slower_is_not_adopted() -> None:
    document, text = told(pairs(FAST, SLOW)[:16])
    assert document["decision"] == "keep"
    assert text.endswith("in 8 pairs: keep sequential")


def test_r107_no_difference_shown_is_a_result_and_says_how_many_more() -> None:
    both = [10 + 3 * math.sin(5 * at) for at in range(20)]
    document, text = told(pairs(both, [10 + 3 * math.sin(7 * at + 1) for at in range(20)]))
    assert (document["stopped"], document["decision"]) == ("most", "open")
    assert text.startswith("no difference shown (20 pairs); ")
    assert " more would " in text


def test_arms_that_are_the_same_are_said_to_be_after_enough_pairs() -> None:
    document, text = told(pairs([10 + 0.01 * math.sin(5 * at) for at in range(20)], [10.0] * 20))
    assert (document["stopped"], document["decision"], document["pairs"]) == ("shown", "keep", 20)
    assert text.startswith("no difference above 5 %: parallel is 1.00× [")


def test_a_gain_below_the_tolerance_is_no_reason_to_change() -> None:
    document, text = told(pairs([10.0 + 0.01 * at for at in range(20)], [9.8 + 0.01 * at for at in range(20)]))
    assert document["decision"] == "keep"
    assert text.endswith("keep sequential")


def test_faster_but_failing_is_not_adopted_yet() -> None:
    records = pairs(SLOW, FAST)
    records = [
        failed(each, "e2e") if each["arm"] == "parallel" and each["pair"] in (3, 8) else each for each in records
    ]
    document, text = told(records)
    assert document["decision"] == "not yet"
    assert text.startswith("do not adopt yet: parallel is 0.47×")
    assert text.endswith("but 2 of 20 runs failed")
    assert document["arms"][1]["failed_stages"] == {"e2e": 2}
    assert document["ratio"] is not None and document["comparisons"][0]["pairs"] == 18


def test_failing_more_often_ends_it_whatever_the_time() -> None:
    records = [
        failed(each, "e2e") if each["arm"] == "parallel" and each["pair"] > 1 else each for each in pairs(SLOW, FAST)
    ]
    document, text = told(records[:18])
    assert (document["stopped"], document["decision"]) == ("shown", "keep")
    assert text == "parallel fails more often, 8 of 9 runs failed against 0 of 9: keep sequential"


def test_an_arm_that_always_fails_gives_no_ratio_and_ends_it_soon() -> None:
    records = [failed(each, "build") if each["arm"] == "parallel" else each for each in pairs(SLOW, FAST)]
    assert told(records[:4])[0]["stopped"] is None
    document, text = told(records[:6])
    assert (document["stopped"], document["decision"], document["ratio"]) == ("fails always", "none", None)
    assert text == "no ratio: parallel failed in all 3 runs"
    assert told(records[:2], pairs=1)[0]["fails_always"] == ["parallel"]


def test_warm_ups_do_not_count_and_a_broken_pair_does_not_either() -> None:
    records = pairs(SLOW, FAST)[:6]
    more = [run("parallel", 1, 900.0) | {"kind": "warm-up"}, *records, run("parallel", 4, 900.0)]
    document, _ = told(more)
    assert (document["pairs"], document["broken_off"]) == (3, 1)
    assert document["arms"][1]["most_s"] < 10
    document, _ = told([*more, run("sequential", 4, 18.0) | {"try": 2}, run("parallel", 4, 8.0, 1) | {"try": 2}])
    assert (document["pairs"], document["broken_off"]) == (4, 1)


def test_r98_a_clock_that_is_set_changes_no_figure() -> None:
    records = pairs(SLOW, FAST)[:16]
    jumped = [{**each, "began": "1999-01-01T00:00:00.000000+00:00", "clock_jump_s": -9e8} if each["pair"] > 4 else each
              for each in records]  # fmt: skip
    one, other = told(records)[0], told(jumped)[0]
    for name in ("arms", "ratio", "comparisons", "drift", "decision"):
        assert one[name] == other[name], name


def test_several_arms_share_the_level() -> None:
    names = ("sequential", "three", "four")
    records = pairs(SLOW, FAST, names)
    records += [run("four", number, 6.0 + 0.01 * number, 2) for number in range(1, 21)]
    document = result.document(set_up(*names), records[:])
    assert [each["arm"] for each in document["comparisons"]] == ["three", "four"]
    assert {each["ratio"]["confidence"] for each in document["comparisons"]} == {0.975}
    assert document["comparisons"][0]["evidence_needed"] == 40
    assert verdict(document).startswith("four is 0.34× [")
    assert "(2 comparisons, each at 97.5 %): adopt" in verdict(document)


def test_predictions_stand_beside_what_was_observed() -> None:
    made = set_up()
    made["arms"][1]["predicted_s"] = 9.35
    arm = result.document(made, pairs(SLOW, FAST))["arms"][1]
    assert arm["error"] == pytest.approx(9.35 / arm["median_s"] - 1, abs=1e-5)


def test_drift_is_told_as_scipy_tells_it() -> None:
    from scipy import stats

    slower = [10 + at + 5 * math.sin(3 * at) for at in range(20)]
    drift = told(pairs(slower, [0.9 * wall for wall in slower]))[0]["drift"]
    walls = [wall * factor for wall in slower for factor in (1.0, 1.0001)]
    expected = stats.kendalltau(range(40), walls)
    assert drift["tau"] == pytest.approx(expected.statistic, abs=0.05)
    assert drift["p"] < 0.001 and expected.pvalue < 0.001
    assert told(pairs(slower[::-1], slower[::-1]))[0]["drift"]["tau"] < -0.2
    assert told(pairs(SLOW, FAST))[0]["drift"]["p"] > 0.05


@settings(max_examples=20)
@given(st.integers(0, 24), st.lists(st.booleans(), min_size=24, max_size=24), st.integers(1, 12))
def test_any_record_has_a_document_and_a_sentence(count: int, bad: list[bool], most: int) -> None:
    records = [failed(each) if is_bad else each for each, is_bad in zip(pairs(SLOW, FAST), bad)][:count]
    document, text = told(records, pairs=most)
    assert text and "None" not in text
    assert document["pairs"] == count // 2
    assert (document["stopped"] is None) <= (document["pairs"] < most)


@settings(max_examples=10)
@given(st.lists(st.floats(0.01, 100), min_size=12, max_size=12), st.floats(0.1, 10))
def test_a_machine_twice_as_fast_has_the_same_ratio(walls: list[float], by: float) -> None:
    one = told(pairs(walls, FAST[:12]))[0]["ratio"]
    other = told(pairs([by * wall for wall in walls], [by * wall for wall in FAST[:12]]))[0]["ratio"]
    assert other["median"] == pytest.approx(one["median"], rel=1e-4)
