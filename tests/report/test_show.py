"""One recorded run, many runs, and the rows that a timeline folds."""

from __future__ import annotations

import time
from typing import Any, Iterator

import pytest
from tests.report import documents, golden

from stagebook.report import listing, show, words
from stagebook.report.harmless import cells
from stagebook.report.rows import ROWS_MAX, Segment, shape
from stagebook.report.style import Style


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs are dated by the reader's clock."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_a_shown_run_names_the_chain_of_each_skip() -> None:
    stages = [
        documents.stage("build", documents.attempt(0, 2, outcome="failure", exit=2)),
        *documents.skipped(("package", "needs build (failure)"), ("deploy", "needs package (skip)")),
    ]
    lines = show.render(documents.run(stages, 2.0, outcome="failure"), Style(), documents.output, "01KYAK7Q")
    assert "deploy skipped ← package skipped ← build failed (exit 2)" in lines
    assert "package skipped ← build failed (exit 2)" in lines


def test_a_shown_run_looks_as_designed() -> None:
    golden.check("show-80", show.render(documents.release(), Style(), documents.output, "01KYAK7Q"))


@pytest.mark.parametrize("width", [80, 140])
def test_metrics_name_the_method_and_never_call_the_unknown_zero(width: int) -> None:
    lines = show.metrics(documents.release(), Style(width=width))
    golden.check(f"metrics-{width}", lines)
    assert "cgroup" in "\n".join(lines)
    assert [line for line in lines if cells(line) >= width] == []


def test_a_run_that_goes_on_shows_what_runs_and_what_waits_for_what() -> None:
    stages = [
        documents.stage("a", documents.attempt(0, 4)),
        documents.stage("b", documents.attempt(4, None, outcome=None, exit=None), outcome=None),
        documents.stage("c", outcome=None, waiting="pool:db"),
        documents.stage("d", outcome=None, waiting="needs"),
    ]
    going_on = documents.run(stages, None, outcome=None, state="running")
    lines = show.render(going_on, Style(), None, "01KYAK7Q")
    golden.check("show-running", lines)
    assert "c waits for pool db" in lines
    assert any(line.startswith("● b") for line in lines)
    assert lines[-1] == "release is not over. Run 01KYAK7Q."


def test_a_stage_that_waits_for_a_person_is_no_gate() -> None:
    interrupted = documents.attempt(0, 2, outcome="error", reason="interrupted", exit=None)
    stages = [documents.stage("deploy", interrupted, outcome=None, waiting="gate")]
    asked = documents.run(stages, None, outcome=None, state="waiting", waiting="gate")
    lines = show.render(asked, Style(), None, "01KYAK7Q")
    assert "‖ 1 waiting for you" in lines
    assert "deploy waits for a person" in lines
    assert "  again  stagebook run --resume 01KYAK7Q --again deploy" in lines
    assert "  done   stagebook run --resume 01KYAK7Q --done deploy" in lines
    (line,) = listing.render([asked], Style(width=120), lambda run: run[:8])
    assert "‖ waiting" in line and line.endswith("for you: stagebook show 01KYAK7Q")


def test_a_chain_that_leads_in_a_circle_or_to_nobody_ends() -> None:
    one = documents.stage("a", outcome="skip", reason="needs b (skip)")
    two = documents.stage("b", outcome="skip", reason="needs a (skip)")
    both = {"a": one, "b": two}
    assert words.chain(one, both, words.roots_of(both)).startswith("a skipped ← b skipped ← a skipped")
    assert words.chain(one, {"a": one}, words.roots_of({"a": one})) == "a skipped ← b skipped"
    assert set(words.roots_of(both)) == {"a", "b"}


def test_names_with_brackets_and_arrows_are_found_in_reasons() -> None:
    assert words.cause("needs unit[python=3.11] (failure)") == ("unit[python=3.11]", "failure")
    assert words.cause("needs a (b) (timeout)") == ("a (b)", "timeout")
    assert words.cause("up to date") is None
    assert words.cause(None) is None


def runs(**more: Any) -> list[dict[str, Any]]:
    def summary(run: str, **facts: Any) -> dict[str, Any]:
        return {**documents.run([], 361.0), "state": "ended", **facts, "run": run}

    return [
        summary("01KYAK7Q3V8W9XAYBZC0D1E2F3"),
        summary("01KYAK7P00000000000000000A", outcome="failure", mode="sequential", wall_s=0.64),
        summary("01KYAK7N00000000000000000A", outcome=None, state="running", wall_s=None, finished=None),
        summary("01KYAK7M00000000000000000A", outcome=None, state="interrupted", wall_s=None, finished=None),
        summary(
            "01KYAK7L00000000000000000A", outcome="cancellation", reason="cancelled by SIGINT", pipeline="x\x1b[2J"
        ),
    ]


def test_many_runs_are_one_line_each() -> None:
    lines = listing.render(runs(), Style(), lambda run: run[:8], more=3)
    golden.check("runs-80", lines)
    assert not any("\x1b" in line for line in lines)
    assert listing.render([], Style(), lambda run: run)[0].startswith("no runs yet")


def test_attempts_become_segments_with_wait_and_backoff_in_their_places() -> None:
    first = documents.attempt(3, 5, wait=2, waited="slot", outcome="failure", exit=1)
    second = documents.attempt(9, 10, wait=1, waited="slot", number=2)
    rows, total_us = shape(documents.run([documents.stage("a", first, second)], 10.0))
    assert total_us == 10_000_000
    assert rows[0].segments == (
        Segment("wait", 1_000_000, 3_000_000),
        Segment("failed", 3_000_000, 5_000_000),
        Segment("backoff", 5_000_000, 8_000_000),
        Segment("wait", 8_000_000, 9_000_000),
        Segment("work", 9_000_000, 10_000_000),
    )
    assert (rows[0].state, rows[0].wait_us, rows[0].work_us) == ("flaky", 3_000_000, 3_000_000)


def test_stages_that_began_together_stand_in_the_order_of_the_file() -> None:
    stages = [
        documents.stage("z", documents.attempt(1.000_3, 4)),
        documents.stage("a", documents.attempt(1.000_1, 4)),
        documents.stage("m", documents.attempt(0, 1)),
    ]
    rows, _ = shape(documents.run(stages, 4.0))
    assert [row.name for row in rows] == ["m", "z", "a"]


@pytest.mark.parametrize("count", [100, 1000, 5000])
@pytest.mark.parametrize("failing", [0, 2, 90])
def test_however_many_stages_the_rows_stay_few(count: int, failing: int) -> None:
    rows, _ = shape(documents.wide(count, failing=failing))
    assert len(rows) <= ROWS_MAX


def test_a_long_chain_of_critical_stages_keeps_its_longest() -> None:
    stages = [
        documents.stage(f"s{index}", documents.attempt(index, index + (2 if index == 40 else 1)), level=index)
        for index in range(200)
    ]
    rows, _ = shape(documents.run(stages, 202.0, critical_path=[one["stage"] for one in stages]))
    assert len(rows) <= ROWS_MAX
    assert "s40" in [row.name for row in rows]


def test_a_long_chain_names_its_ends_and_is_walked_once() -> None:
    count = 30_000
    names = [f"s{index}" for index in range(count)]
    by_id = {
        name: {"stage": name, "outcome": "skip" if index else "failure", "attempts": [],
               "reason": f"needs {names[index - 1]} ({'skip' if index > 1 else 'failure'})" if index else "exit 1"}
        for index, name in enumerate(names)
    }  # fmt: skip
    roots = words.roots_of(by_id)
    assert len(roots) == count - 1 and set(roots.values()) == {("s0", "failure")}
    text = words.chain(by_id["s20000"], by_id, roots)
    assert text.startswith("s20000 skipped ← s19999 skipped ← ")
    assert text.endswith(" ← … ← s0 failed (exit 1)")
    assert words.chain(by_id["s6"], by_id, roots).count("←") == 6
