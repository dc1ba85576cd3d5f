"""What the lines of a journal come to: who is told of what, and when; never twice, never too late."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stagebook.model.pipeline import Pipeline, Stage
from stagebook.notify.message import Occasion
from stagebook.notify.news import GATHER_S, HOLD_S, NEVER_S, Forecast, News


def line(event: str, t: float, **members: Any) -> dict[str, Any]:
    return {"event": event, "t": t, **members}


def ended(stage: str, t: float, outcome: str = "success") -> dict[str, Any]:
    return line("stage.ended", t, stage=stage, outcome=outcome, reason=None, flaky=False)


def over(t: float, outcome: str = "success") -> dict[str, Any]:
    return line("run.ended", t, outcome=outcome)


def of(found: list[Occasion]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.event, one.about, one.stages) for one in found]


def test_a_failure_waits_for_the_end_of_its_run() -> None:
    news = News()
    news.heard(ended("a", 1.0, "failure"))
    assert news.due(1.0 + HOLD_S / 2) == []
    assert news.look_at_s == 1.0 + HOLD_S
    news.heard(over(2.0, "failure"))
    assert of(news.due(2.0)) == [("failure", "run", ("a",))]
    assert news.look_at_s == NEVER_S
    assert news.due(99.0) == []


def test_failures_at_about_the_same_time_are_told_together_while_the_run_goes_on() -> None:
    news = News()
    news.heard(ended("a", 1.0, "failure"))
    news.heard(ended("b", 2.0, "timeout"))
    assert of(news.due(1.0 + HOLD_S)) == [("failure", "stage", ("a", "b"))]
    news.heard(ended("c", 9.0, "error"))
    news.heard(over(9.5, "error"))
    assert of(news.due(9.5)) == [("failure", "run", ("c",))]


def test_a_run_that_goes_on_takes_failures_back() -> None:
    news = News()
    news.heard(ended("a", 1.0, "error"))
    news.heard(line("run.resumed", 1.5, waits_again=["a"]))
    assert news.due(60.0) == []
    news.heard(over(61.0))
    assert of(news.due(61.0)) == [("success", "run", ()), ("recovery", "run", ())]


def test_an_engine_that_is_gone() -> None:
    news = News()
    news.heard(ended("a", 1.0, "failure"))
    news.gone()
    assert of(news.due(1.0)) == [("failure", "gone", ("a",))]


def test_dead_items_are_gathered() -> None:
    news = News()
    for number in range(12):
        members = {"step": 1, "item": number, "outcome": "failure", "exit": 3, "reason": None}
        news.heard(line("items.dead", 1.0 + number / 10, stage="each", **members))
    assert news.due(2.5) == []
    [found] = news.due(1.0 + GATHER_S)
    assert (found.event, found.stages, found.more["count"]) == ("dead-letter", ("each",), 12)
    assert [each["item"] for each in found.more["items"]] == [*range(8)]
    news.heard(line("items.dead", 9.0, stage="each", step=0, item=99, outcome="timeout", exit=None, reason="timeout"))
    news.heard(ended("each", 9.1))
    assert [[each["item"] for each in one.more["items"]] for one in news.due(9.1)] == [[99]]


def pipeline(**needs: tuple[str, ...]) -> Pipeline:
    stages = [Stage(name, name, at, 1, "run", needs=above) for at, (name, above) in enumerate(needs.items(), 1)]
    return Pipeline("p", "/p/stagebook.yaml", "native", "x", tuple(stages), sla_ms=10_000)


def test_a_run_that_will_be_late_is_told_at_once_and_when_it_is() -> None:
    news = News()
    news.expect(pipeline(a=(), b=("a",), c=("a",)), {"a": 3000, "b": 5000, "c": 1000})
    news.heard(line("run.started", 0.0))
    assert news.due(0.1) == []
    news.heard(line("stage.started", 0.2, stage="a"))
    assert news.due(1.5) == []
    assert news.due(5.0) == []  # a has taken 2 s longer, which leaves none
    assert of(news.due(6.5)) == [("sla-risk", "risk", ())]
    assert news.due(9.9) == []
    assert of(news.due(10.1)) == [("sla-risk", "late", ())]
    assert news.due(99.0) == []


def test_what_was_late_only_at_its_end_is_told_then() -> None:
    news = News()
    news.expect(pipeline(a=()), {})
    news.heard(over(11.0))
    assert of(news.due(11.0))[0] == ("sla-risk", "late", ())


@given(st.lists(st.tuples(st.integers(0, 20), st.lists(st.integers(0, 8), max_size=3)), min_size=1, max_size=9))
def test_the_rest_is_the_longest_way_through_what_is_left(rows: list[tuple[int, list[int]]]) -> None:
    names = [f"s{at}" for at in range(len(rows))]
    needs = {
        name: tuple({names[need] for need in some if need < at})
        for at, (name, (_, some)) in enumerate(zip(names, rows))
    }
    took = {name: seconds * 1000 for name, (seconds, _) in zip(names, rows)}
    forecast = Forecast(pipeline(**needs), took)

    def longest(name: str) -> float:
        return took[name] / 1000 + max([longest(need) for need in needs[name]], default=0.0)

    before = forecast.rest_s(0.0)
    assert before == max(map(longest, names))
    for name in names:
        forecast.started(name, 0.0)
        now = forecast.rest_s(took[name] / 1000)
        forecast.ended(name)
        after = forecast.rest_s(took[name] / 1000)
        assert after <= now <= before
        before = forecast.rest_s(0.0)
    assert forecast.rest_s(0.0) == 0.0
