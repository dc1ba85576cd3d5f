"""What `plan` looks like, to the cell: sweep, recommendation, what if, many runs; wide, narrow and in ASCII."""

from __future__ import annotations

from typing import Any

import pytest
from tests.report import golden
from tests.report.plans import arrivals, assembly_line, fifty, met, release, rows, stage

from stagebook.report.harmless import cells
from stagebook.report.plan import render
from stagebook.report.style import Style


@pytest.mark.parametrize("width", [80, 120])
def test_a_plan(width: int) -> None:
    golden.check(f"plan-{width}", render(release(), Style(width=width)))


def test_a_plan_in_ascii_without_colours() -> None:
    lines = render(release(), Style(ascii=True, width=80), is_open=True)
    golden.check("plan-80-ascii", lines)
    assert all(line.isascii() and "\x1b" not in line for line in lines)


def test_colours_add_nothing_but_colour() -> None:
    painted = render(release(), Style(color=True, width=80))
    assert [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in painted] == render(release(), Style())


def test_what_is_known_of_each_stage_is_shown_when_asked_for() -> None:
    golden.check("plan-open-140", render(release(), Style(width=140), is_open=True))
    assert not any("p10 to p90" in line for line in render(release(), Style(width=140)))


def test_what_if_stands_side_by_side_with_what_is() -> None:
    golden.check("plan-what-if-80", render(release(what_if=fifty()), Style(width=80)))


def test_what_if_has_the_doubts_of_its_own_figures() -> None:
    asked = fifty() | {"unknown": 52, "if_waiting": {"jobs": 50, "makespan_s": 600}}
    asked["sweep"][2] |= {"low_s": 100, "high_s": 9000, "beyond": True}
    plan = release(what_if=asked)
    plan["profile"] |= {"error": 2.73, "runs": 2}
    text = " ".join(" ".join(render(plan, Style(width=80))).split())
    for said in (
        "at 4 jobs; ~10 m 00 s with 50 jobs if stages only wait.",
        "what 52 stages use is not known; each is taken to keep a core busy",
        "~35 m 00 s may as well be anything from 1 m 40 s to 2 h 30 m",
        "predicted within 273 %: do not trust these figures",
        "insufficient data (2 runs, need 5)", "more at once than was ever measured: above that it is extrapolated",
        "with 4 jobs 97 % in use",
    ):  # fmt: skip
        assert said in text, said


def test_a_change_says_what_it_does_to_the_file() -> None:
    plan = release()
    plan["recommendation"]["changes"][0] |= {
        "without": [["image", "integration"]], "with": [["build", "integration"], ["image", "deploy"]],
    }  # fmt: skip
    text = " ".join(" ".join(render(plan, Style(width=80))).split())
    assert "in the file: integration no longer needs image; integration needs build; deploy needs image" in text


def test_an_assembly_line_says_what_holds_it_up_and_what_workers_it_should_have() -> None:
    nothing = {"per_s": None, "binds": None, "best_per_s": None, "best_binds": None, "steps": []}
    lines = render(
        release(
            streams=[
                assembly_line(),
                assembly_line(stage="nightly", per_s=0.05, best_per_s=0.05, binds="pool:gpu"),
                assembly_line(stage="new", run=None, **nothing),
                assembly_line(stage="quick", **nothing),
            ]
        ),
        Style(width=80),
    )
    golden.check("plan-streams-80", lines)


def test_runs_that_keep_up_and_runs_that_do_not() -> None:
    grows = arrivals(per_h=30.0, used=2.12, grows=True, grows_per_h=15.9)
    lines = [
        *render(release(arrivals=arrivals()), Style(width=80)), "",
        *render(release(arrivals=grows), Style(width=80)), "",
        *render(release(arrivals=arrivals(met("release", 12.0), met("nightly", 65.0))), Style(width=110)), "",
        *render(release(arrivals=arrivals(used=0.97, own=False, scarce="pool:db")), Style(width=80)),
    ]  # fmt: skip
    golden.check("plan-arrivals", lines)


@pytest.mark.parametrize("width", [40, 50, 60, 72, 80, 100, 120, 200])
@pytest.mark.parametrize("ascii", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, ascii: bool) -> None:
    several = arrivals(met("release", 12.0), met("nightly-of-everything", 65.0))
    for plan in (release(), release(what_if=fifty()), release(arrivals=several)):
        lines = render(plan, Style(ascii=ascii, width=width), is_open=True)
        assert [line for line in lines if cells(line) >= width] == []


@pytest.mark.parametrize("width", [40, 80, 120])
def test_names_that_would_act_only_show(width: int) -> None:
    bad = "\x1b[2J\u202ename\n"
    plan = release()
    plan["profile"]["stages"][0] = stage(bad, 3, 0)
    plan["profile"]["lacks"], plan["profile"]["assumed"] = [bad], [bad]
    plan["knee"]["binds"] = [f"pool:{bad}"]
    for change in (*plan["recommendation"]["changes"], *plan["recommendation"]["kept"]):
        change |= {"change": bad, "why": bad, "check": bad, "evidence": [{"source": "none", "n": 0, "text": bad}]}
    plan["recommendation"]["reasons"] = [bad, bad]
    plan["applied"] = {"file": bad, "edits": [bad], "diff": f"-{bad}"}
    what_if = fifty() | {"supposed": [bad], "knee": fifty()["knee"] | {"binds": [f"pool:{bad}"]}}
    for each in (plan, plan | {"what_if": what_if}, plan | {"arrivals": arrivals(met(bad), met(bad, 3.0))}):
        text = "".join(render(each, Style(width=width), is_open=True))
        assert text.isprintable() and "\\x1b" in text


def test_what_is_not_monotone_is_shown_and_said() -> None:
    plan = release(sweep=rows((1, 100, 101), (2, 60, 61), (4, 70, 72), (8, 55, 56), sequential_s=100))
    plan["knee"]["jobs"] = 8
    text = " ".join(render(plan, Style(width=80)))
    assert "4 jobs take 17 % longer than 2: as simulated, not smoothed" in text and "1 m 10 s" in text


@pytest.mark.parametrize(
    ("p95_s", "makespan_s", "word"), [(590, 500, "held"), (610, 590, "at risk"), (700, 650, "missed")]
)
def test_the_sla_is_held_at_risk_or_missed(p95_s: float, makespan_s: float, word: str) -> None:
    plan = release(
        sweep=rows((1, makespan_s, p95_s), sequential_s=makespan_s), knee={"jobs": 1, "binds": [], "waits_s": {}}
    )
    plan["recommendation"]["sweep"] = None
    assert any(line.startswith("   1 ") and f" {word} ◀" in line for line in render(plan, Style(width=80)))


def test_a_cost_has_a_column_only_where_there_is_one() -> None:
    plan = release()
    assert not any("cost" in line for line in render(plan, Style()))
    plan["sweep"][0]["cost"] = 0.15
    assert any(line.endswith("cost") for line in render(plan, Style(width=80)))


@pytest.mark.parametrize("more", [{"sweep": rows((1, 0.0004, 0.0005), sequential_s=0.0004)}, {}])
def test_next_to_no_time_has_its_row_too(more: dict[str, Any]) -> None:
    plan = release(sla=None, knee={"jobs": 1, "binds": [], "waits_s": {}}, **more)
    assert any("1.00×" in line for line in render(plan, Style(width=80)))


def test_a_wide_interval_and_poor_predictions_are_said_at_eighty_columns() -> None:
    plan = release()
    plan["recommendation"] |= {"low_s": 300, "high_s": 900}
    plan["profile"]["error"] = 0.82
    text = " ".join(" ".join(render(plan, Style(width=80))).split())
    assert "~8 m 45 s may as well be anything from 5 m 00 s to 15 m 00 s, in 95 of 100 cases" in text
    assert "predicted within 82 %: do not trust these figures; a few more runs would help" in text
    assert "do not trust" not in " ".join(render(release(), Style(width=80)))


def test_stages_that_are_taken_not_to_run_for_one_reason_are_one_sentence() -> None:
    plan = release()
    names = ["deploy", "arm[a=1]", "arm[a=2]", "arm[a=3]", "scan"]
    plan["profile"]["assumed"] = [
        "ask waits", *(f"{name} is taken not to run: when: manual" for name in names), "x is taken not to run: when: y",
    ]  # fmt: skip
    text = " ".join(" ".join(render(plan, Style(width=80))).split())
    assert text.count("assumed: ") == 3
    assert "assumed: 5 stages are taken not to run: when: manual (deploy, arm ×3 and scan)" in text
    assert "assumed: x is taken not to run: when: y" in text
