"""The text after a run: its order, its last lines, and that it never grows wider or slower than promised."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from tests.record.play import Play, pipeline, some_pipeline, stage
from tests.record.scribe import Scribe
from tests.report import documents, golden

from stagebook.record.story import Story
from stagebook.report import summary
from stagebook.report.harmless import cells, without_color
from stagebook.report.style import Style
from stagebook.scheduler.plan import Choice

SHORT = "01KYAK7Q"


def render(document: dict[str, Any], width: int = 80, **style: bool) -> list[str]:
    return summary.render(document, Style(width=width, **style), excerpt=documents.output, short=SHORT)


@pytest.mark.parametrize("width", [80, 120])
def test_the_summary_looks_as_designed(width: int) -> None:
    golden.check(f"summary-{width}", render(documents.release(), width))


def test_the_summary_in_ascii_has_only_ascii() -> None:
    lines = render(documents.release(), ascii=True)
    golden.check("summary-80-ascii", lines)
    assert all(line.isascii() for line in lines)


def test_colours_add_to_the_text_and_change_nothing_in_it() -> None:
    colored = render(documents.release(), color=True)
    golden.check("summary-80-color", colored)
    assert [without_color(line) for line in colored] == render(documents.release())


def test_the_last_fifteen_lines_say_where_to_look() -> None:
    last = "\n".join(render(documents.release())[-15:])
    assert "integration" in last
    assert "exit 1" in last
    assert "1 failed, 211 passed" in last
    assert "stagebook run --only integration" in last
    assert "stagebook.yaml:41" in last


def test_the_first_stage_to_end_badly_is_the_one_told_of() -> None:
    stages = [
        documents.stage("late", documents.attempt(0, 9, outcome="failure", exit=2)),
        documents.stage("early", documents.attempt(0, 3, outcome="timeout", exit=None, signal=15)),
    ]
    lines = render(documents.run(stages, 9.0, outcome="timeout"))
    assert "also failed: late (exit 2)" in lines
    assert any(line.startswith("◷ early: signal 15 (SIGTERM) after 3 s") for line in lines)
    assert lines[-2:] == ["Run 01KYAK7Q took 9 s.", "release timed out: early, signal 15 (SIGTERM), and 1 more."]


def test_a_race_is_only_suspected_where_the_record_holds_a_pair_that_overlapped() -> None:
    assert any("perhaps a race" in line for line in render(documents.release()))
    assert not any("race" in line for line in render(documents.release(coupling=[])))
    apart = [{"stages": ["checkout", "integration"], "resource": "db:orders", "evidence": []}]
    assert not any("race" in line for line in render(documents.release(coupling=apart)))


def test_a_stage_with_a_name_that_a_shell_would_read_is_quoted_in_commands() -> None:
    stages = [documents.stage("it's; rm -rf ~", documents.attempt(0, 1, outcome="failure", exit=1))]
    lines = render(documents.run(stages, 1.0, outcome="failure"))
    assert "  again  stagebook run --only 'it'\\''s; rm -rf ~'" in lines


def test_another_file_than_the_usual_one_is_named_in_the_command() -> None:
    stages = [documents.stage("a", documents.attempt(0, 1, outcome="failure", exit=1))]
    lines = render(documents.run(stages, 1.0, outcome="failure", file="/x/my ci.yaml"))
    assert "  again  stagebook run 'my ci.yaml' --only a" in lines


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"outcome": "success"}, "release passed. Run 01KYAK7Q took 2 s."),
        (
            {"outcome": "cancellation", "reason": "cancelled by SIGINT"},
            "release cancelled by SIGINT. Run 01KYAK7Q took 2 s.",
        ),
        ({"outcome": None, "wall_s": None, "finished": None}, "release is not over. Run 01KYAK7Q."),
        (
            {"outcome": None, "wall_s": None, "finished": None, "state": "interrupted"},
            "release was interrupted. Run 01KYAK7Q.",
        ),
        ({"outcome": "timeout", "reason": "timeout"}, "release timed out: timeout. Run 01KYAK7Q took 2 s."),
    ],
)
def test_the_closing_line(facts: dict[str, Any], words: str) -> None:
    stages = [documents.stage("a", documents.attempt(0, 2))]
    assert render(documents.run(stages, 2.0, **facts))[-1] == words


@pytest.mark.parametrize(
    ("facts", "commands"),
    [
        ({"outcome": "cancellation", "reason": "cancelled by SIGTERM"}, ["stagebook run --resume 01KYAK7Q"]),
        ({"outcome": "cancellation", "reason": "cancelled by cancel"}, []),
        ({"outcome": "error"}, ["stagebook run --resume 01KYAK7Q"]),
        ({"outcome": "error", "reason": "timeout"}, []),
        ({"outcome": "error", "measured": True}, []),
        ({"outcome": None, "state": "running"}, []),
        ({"outcome": None, "state": "interrupted"}, ["stagebook run --resume 01KYAK7Q"]),
        ({"outcome": "failure"}, []),
    ],
)
def test_a_run_that_can_go_on_says_by_which_command(facts: dict[str, Any], commands: list[str]) -> None:
    stages = [documents.stage("a", documents.attempt(0, 2))]
    lines = render(documents.run(stages, 2.0, **facts))
    assert [line.split("  ")[-1] for line in lines if "--resume" in line] == commands


def test_a_person_is_asked_with_the_two_commands_that_answer() -> None:
    interrupted = documents.attempt(0, 2, outcome="error", reason="interrupted", exit=None)
    stages = [documents.stage("deploy", interrupted, outcome=None, waiting="gate")]
    lines = render(documents.run(stages, None, outcome=None, waiting="gate"))
    assert lines[-4:] == [
        "  again  stagebook run --resume 01KYAK7Q --again deploy",
        "  done   stagebook run --resume 01KYAK7Q --done deploy",
        "Run 01KYAK7Q.",
        "release waits for you: deploy was interrupted and is not retry-safe.",
    ]


def test_a_run_of_skips_only_passed_and_says_so() -> None:
    stages = documents.skipped(("a", "up to date"), ("b", "up to date"))
    lines = render(documents.run(stages, 0.1))
    assert any(line.startswith("» 2 skipped") and line.endswith("a, b: up to date") for line in lines)
    assert lines[-1] == "release passed, 2 stages skipped. Run 01KYAK7Q took 100 ms."


def test_failures_that_do_not_count_are_named_although_the_run_passed() -> None:
    stages = [
        documents.stage("build", documents.attempt(0, 2)),
        documents.stage("docs", documents.attempt(0, 1, outcome="failure", exit=1)),
    ]
    stages[1]["tolerated"] = True
    lenient = documents.run(stages, 2.0, policy="lenient", critical_planned=["build"], critical_by="number of stages")
    assert "critical build (by number of stages)" in render(lenient)
    assert render(lenient)[-1] == "release passed with 1 failure off the critical path: docs."
    strict = documents.run(stages, 2.0)
    assert render(strict)[-1].startswith("release passed with 1 allowed failure: docs.")


def test_a_failure_that_counts_is_told_of_before_one_that_is_allowed() -> None:
    stages = [
        documents.stage("flaky-docs", documents.attempt(0, 1, outcome="failure", exit=9)),
        documents.stage("unit", documents.attempt(0, 2, outcome="failure", exit=1)),
    ]
    stages[0]["tolerated"] = True
    lines = render(documents.run(stages, 2.0, outcome="failure"))
    assert "also failed: flaky-docs (exit 9, tolerated)" in lines
    assert "  again  stagebook run --only unit" in lines
    assert lines[-1] == "release failed: unit, exit 1. Run 01KYAK7Q took 2 s."


def test_a_lenient_run_tells_allowed_failures_from_those_off_the_critical_path() -> None:
    stages = [
        documents.stage(name, documents.attempt(0, 1, outcome="failure", exit=1)) for name in ("docs", "spelling")
    ]
    stages[1]["critical"] = True
    lines = render(documents.run(stages, 2.0, policy="lenient", critical_planned=["spelling"]))
    assert "with 1 failure off the critical path: docs, and 1 allowed failure: spelling." in " ".join(lines[-2:])


def test_a_run_whose_engine_is_gone_has_nothing_running() -> None:
    open_one = documents.attempt(0, None, outcome=None, exit=None)
    stages = [documents.stage("a", documents.attempt(0, 3)), documents.stage("b", open_one, outcome=None)]
    stages[1]["interrupted"] = True
    lines = render(documents.run(stages, None, outcome=None, state="interrupted"))
    assert "✓ 1 success  ! 1 interrupted" in lines
    assert any(line.startswith("! b") and "▒" in line for line in lines)
    assert "  go on  stagebook run --resume 01KYAK7Q" in lines
    assert lines[-1] == "release was interrupted: its engine is gone, 1 stage had no end. Run 01KYAK7Q."


def test_an_attempt_that_was_stopped_is_neither_work_nor_followed_by_a_retry() -> None:
    stopped = documents.attempt(0, 5, outcome="cancellation", exit=None, signal=15, reason="cancelled by SIGTERM")
    stages = [documents.stage("a", stopped, documents.attempt(7, 10, number=2))]
    lines = render(documents.run(stages, 10.0))
    assert "▒" in lines[1] and "░" not in lines[1] and lines[1].endswith("–     3.0 s")
    assert lines[2] == "▄ work  ▒ stopped attempt"


def test_a_run_that_was_stopped_claims_no_speed_up() -> None:
    facts = {"sum_s": 6.0, "effective_parallel": {"stages": 3.0, "cpu": None}, "outcome": "cancellation"}
    text = "\n".join(render(documents.run([documents.stage("a", documents.attempt(0, 2))], 2.0, **facts)))
    assert "speed-up" not in text and "effective" not in text


def test_a_sequential_run_has_work_one_after_another_and_no_critical_path() -> None:
    stages = [documents.stage(f"s{i}", documents.attempt(i, i + 1, wait=i, waited="slot")) for i in range(4)]
    facts = {"mode": "sequential", "sum_s": 4.0, "critical_path": ["s3"], "critical_path_s": 1.0}
    lines = render(documents.run(stages, 4.1, waiting_by={"slot": 6.0}, **facts))
    assert "one after another: 4 s of work in 4.1 s" in lines
    text = "\n".join(lines)
    assert "critical path" not in text and "█" not in text and "waiting  slot" not in text
    measured = "\n".join(render(documents.run(stages, 4.1, measured=True, **facts)))
    assert "critical path 1 s" in measured, "the order of what was measured is its own"


def test_the_legend_names_what_was_waited_for() -> None:
    for waited, words in (("lock:db", "lock"), ("cpu", "cpu"), ("matrix:test", "matrix")):
        stages = [documents.stage("a", documents.attempt(4, 9, wait=4, waited=waited))]
        assert render(documents.run(stages, 9.0))[2] == f"▄ work  ░ waiting for {words}"
    stages.append(documents.stage("b", documents.attempt(4, 9, wait=4, waited="pool:db")))
    stages.append(documents.stage("c", documents.attempt(4, 9, wait=4, waited="slot")))
    assert render(documents.run(stages, 9.0))[4] == "▄ work  ░ waiting for slot, pool or matrix"


def test_a_folded_matrix_shows_its_waiting() -> None:
    cell = [documents.stage(f"t[n={i}]", documents.attempt(4, 8, wait=4, waited="slot")) for i in range(5)]
    assert "░" in render(documents.run(cell, 8.0))[1]


def test_parallel_that_is_not_effective_says_what_bound_it() -> None:
    stages = [
        documents.stage(f"s{i}", documents.attempt(i, i + 1, wait=i, waited="lock:db" if i else None)) for i in range(4)
    ]
    facts: dict[str, Any] = {"sum_s": 4.0, "effective_parallel": {"stages": 1.0, "cpu": None}, "bound_by": "lock:db"}
    facts["waiting_by"] = {"lock:db": 6.0, "start": 0.4}
    text = " ".join(render(documents.run(stages, 4.0, **facts)))
    assert "declared parallel 4, effective 1.0: bound by lock db" in text
    assert "speed-up 1.00× against the sum of stages" in text
    assert "waiting  lock db 6 s ✓" in text, "what a start takes is no wait"


def test_warnings_stand_before_the_closing_line_and_are_harmless() -> None:
    stages = [documents.stage("a", documents.attempt(0, 2))]
    lines = render(documents.run(stages, 2.0, warnings=["left behind: sleep\x1b]0;owned\x07"]))
    assert "warning: left behind: sleep\\x1b]0;owned\\x07" in lines


@pytest.mark.parametrize("width", [40, 57, 80, 120, 200])
@pytest.mark.parametrize("is_ascii", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, is_ascii: bool) -> None:
    name = "ein sehr langer Name mit 漢字漢字漢字漢字漢字漢字漢字 und 👩‍🚀 darin, der kein Ende findet"
    failing = documents.attempt(0, 5, outcome="failure", exit=1, wait=0, waited="pool:größer")
    stages = [
        documents.stage(name, failing, reason="x" * 300),
        documents.stage("b", documents.attempt(0, 1)),
        *documents.skipped(*((f"{name}{i}", f"needs {name} (failure)") for i in range(9))),
    ]
    document = documents.run(
        stages, 5.0, outcome="failure", pipeline="名" * 60, warnings=["漢" * 90], waiting_by={"pool:größer": 3.0}
    )
    lines = summary.render(
        document, Style(width=width, ascii=is_ascii), excerpt=lambda *_: [(1, "漢字".encode() * 99)], short=SHORT
    )
    assert [line for line in lines if cells(line) >= width] == []


def test_a_thousand_stages_fold_to_a_screen_or_two_and_hide_neither_failures_nor_the_path() -> None:
    lines = render(documents.wide(1000, failing=2))
    golden.check("summary-1000", lines)
    assert len(lines) < 70
    text = "\n".join(lines)
    assert "stage-0998" in text and "stage-0999" in text
    assert all(f"stage-{level * 100:04d}" in text for level in range(10))
    assert "level 0, 99 passed" in text


def test_levels_without_anything_to_see_become_one_line() -> None:
    document = documents.wide(300, levels=30)
    document["critical_path"] = ["stage-0000"]
    text = "\n".join(render(document))
    assert "level 0 to 29, 299 passed" in text


def test_a_matrix_is_one_row_with_what_failed_in_it_below() -> None:
    cell = [documents.stage(f"test[n={i}]", documents.attempt(0, 1 + i)) for i in range(8)]
    cell[3] = documents.stage("test[n=3]", documents.attempt(0, 4, outcome="failure", exit=1))
    lines = render(documents.run(cell, 8.0, outcome="failure"))
    assert lines[1].startswith("✗ test ×8")
    assert lines[2].strip() == "1 of 8 failed"
    assert lines[3].startswith("✗ test[n=3]")
    assert not any("n=2" in line for line in lines)


def test_the_whole_summary_of_a_thousand_stages_takes_a_moment() -> None:
    document = documents.wide(1000, failing=3)
    style = Style(width=80)
    took = []
    for _ in range(7):
        begin = time.process_time()
        summary.render(document, style, excerpt=documents.output, short=SHORT)
        took.append(time.process_time() - begin)
    assert min(took) <= 0.045  # 15 ms on a quiet machine; three times that is a change in kind


@pytest.mark.parametrize("seed", range(12))
def test_an_outline_gives_the_same_summary_as_the_whole_document(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    cancel_at_us = chance.choice([None, 2_000_000])
    play = Play.begin(Scribe(tmp_path), some_pipeline(chance, 70), Choice(cores=2, jobs=3), seed, cancel_at_us)
    for _ in range(60):
        play.step()
    for is_over in (False, True):
        if is_over:
            play.finish()
        whole, outline = play.story.document(play.machine.waiting), play.story.outline(play.machine.waiting)
        assert render(outline) == render(whole)
        for some, all_of_it in zip(outline.pop("stages"), whole.pop("stages"), strict=True):
            for one, other in zip(some.pop("attempts"), all_of_it["attempts"], strict=True):
                assert one == {key: other[key] for key in one}
            assert some == {key: all_of_it[key] for key in some}
        assert outline == whole


def test_what_a_document_sums_up_is_counted_again_after_a_resume() -> None:
    told = Story(pipeline(stage("a")), "R", 0, mode="parallel", jobs=1)
    told.started(0, 1, 0, 0)
    told.exited(0, 1, 1_000_000, "cancellation", "cancelled by SIGINT")
    told.ended(0, 1_000_000, "cancellation", "cancelled by SIGINT")
    told.finished(1_000_000, "cancellation", "cancelled by SIGINT")
    assert '"sum_s":0.0' in told.closing()
    told.resumed((0,), us=1_000_000, epoch_us=0)
    told.started(0, 2, 1_000_000, 1_000_000)
    told.exited(0, 2, 3_000_000, "success")
    told.ended(0, 3_000_000, "success")
    told.finished(3_000_000, "success")
    assert told.document()["sum_s"] == 2.0
