"""What messages say, to the letter: with GOLDEN=write they are written anew, to be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.report.documents import attempt, release, stage

from stagebook.notify.message import Facts, Message, Occasion, Past, compose, more_message, said_of_past, trial
from stagebook.report.harmless import harmless

HERE = Path(__file__).parent / "golden"
LINES = [f"tests/test_orders.py::test_{number} FAILED" for number in range(11)] + ["E   assert 3 == 4", "x" * 500]


def check(name: str, message: Message) -> None:
    text = f"{message.title}\n\n{message.body}\n"
    path = HERE / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def facts(document: dict[str, Any], **more: Any) -> Facts:
    return Facts(
        document, "main", "3f2c8e1d9a7b", "build-7", "/srv/release", before=("01KYAM00", "passed"), **more,
    )  # fmt: skip


def went_on(document: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {**document, "outcome": None, "finished": None, "wall_s": None, **members}


def test_r116_a_run_that_failed() -> None:
    document = release()
    failed = [one["stage"] for one in document["stages"] if one["outcome"] in ("failure", "error", "timeout")]
    assert failed
    said = facts(document, tails={failed[0]: LINES}, pasts={failed[0]: Past(("success", "failure"), ("success",))})
    check("failure", compose(Occasion("failure", "run", tuple(failed)), said))


def test_r116_many_failed_stages() -> None:
    document = release()
    names = [f"unit[python=3.{number}]" for number in range(20)]
    stages = [stage(name, attempt(0, 2 + at, outcome="failure", exit=1)) for at, name in enumerate(names)]
    document = {**document, "stages": stages}
    check("failure-many", compose(Occasion("failure", "run", tuple(names)), facts(document)))


def test_r116_a_stage_that_failed_while_the_run_goes_on() -> None:
    document = went_on(release(), state="running")
    said = facts(document, tails={"integration": ["refused"]}, option=" --dir /srv/state")
    check("failure-early", compose(Occasion("failure", "stage", ("integration",)), said))


def test_r116_an_engine_that_is_gone() -> None:
    stages = [stage("build", attempt(0, None, outcome=None, exit=None))]
    document = went_on({**release(), "stages": stages}, state="interrupted")
    check("failure-gone", compose(Occasion("failure", "gone"), facts(document)))


def test_r116_recovery_success_and_cancel() -> None:
    passed = {**release(), "outcome": "success", "stages": [stage("build", attempt(0, 2))]}
    said = facts(passed, failing=3, since="2026-07-11T08:15:09.000000+00:00")
    check("recovery", compose(Occasion("recovery", "run", ("integration", "lint")), said))
    check("success", compose(Occasion("success"), facts(passed)))
    stopped = {**passed, "outcome": "cancellation", "reason": "cancelled by stagebook cancel"}
    check("cancel", compose(Occasion("cancel"), facts(stopped)))


def test_r116_a_gate_that_waits() -> None:
    document = went_on(release(), state="running")
    more = {
        "prompt": "Ship it?",
        "quorum": 2,
        "approvers": ["ops", "lead"],
        "timeout_s": 172_800.0,
        "default": "reject",
    }
    check("gate", compose(Occasion("gate", "stage", ("ship now",), more), facts(document)))


def test_r116_a_time_that_will_not_be_kept() -> None:
    stages = [stage("build", attempt(0, None, outcome=None, exit=None))]
    document = went_on({**release(), "stages": stages}, state="running")
    more = {"sla_s": 900.0, "gone_s": 540.0, "rest_s": 480.0}
    check("sla-risk", compose(Occasion("sla-risk", "risk", (), more), facts(document)))
    check("sla-late", compose(Occasion("sla-risk", "late", (), {**more, "rest_s": 0.0}), facts(document)))


def test_r116_dead_letters() -> None:
    more = {
        "count": 12,
        "items": [
            {"item": number, "step": 0, "text": f"in/{number}.ts", "exit": 3, "outcome": "failure"}
            for number in range(12)
        ],
    }
    check("dead-letter", compose(Occasion("dead-letter", "stage", ("segments",), more), facts(release())))


def test_what_was_left_out_and_what_is_a_test() -> None:
    check("more", more_message("release", [f"✗ release failed: s{number}" for number in range(23)], 20, "build-7"))
    check("test", trial("release", "ops", "build-7"))
    assert trial("release", "ops", "build-7").facts["test"] is True


@pytest.mark.parametrize(
    ("past", "said"),
    [
        (None, []),
        (Past(), []),
        (Past(("success", "success")), ["it passed in the last 2 runs"]),
        (Past(("failure", "failure", "success")), ["it failed in the 2 runs before as well"]),
        (Past(("success", "failure", "success")), ["it passed in 2 of the last 3 runs"]),
        (Past(("success", "success"), (), 1), ["flaky: in 1 of the last 2 runs it passed on a later attempt only"]),
        (Past(("failure", "success"), ("success", "success")), ["flaky: on this commit it passed 2 times before"]),
    ],
)
def test_flaky_or_not(past: Past | None, said: list[str]) -> None:
    assert said_of_past(past) == said


NAMES = st.text(st.characters(blacklist_characters="[]"), min_size=1, max_size=30)


@given(NAMES, NAMES, NAMES)
def test_nothing_in_a_message_acts_where_it_is_read(name: str, pipeline: str, branch: str) -> None:
    document = {**release(), "pipeline": pipeline, "stages": [stage(name, attempt(0, 2, outcome="failure", exit=1))]}
    message = compose(Occasion("failure", "run", (name,)), facts(document)._replace(branch=branch))
    assert harmless(message.title) == message.title and len(message.title) <= 160
    assert all(harmless(line) == line for line in message.body.split("\n"))
    json.dumps(message.facts)
