"""Who is told of an occasion: filters, each once, a gate's question, and nothing secret. No process is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.report.documents import attempt, release, stage

from stagebook.formats.native.read import parse
from stagebook.model.pipeline import Notify, Pipeline
from stagebook.notify.message import Occasion
from stagebook.notify.targets import Circle, destination, last_lines, mask_for

FILE = """\
name: release
secrets: [API]
notify:
  - {to: $OPS}
  - {to: "json://127.0.0.1:9/hook", name: builders, stages: [build, "unit*"], on: [failure, gate]}
stages:
  build: "true"
  unit: {run: "true", matrix: {p: ["1", "2"]}}
  ship: {gate: {prompt: "Ship it?", approvers: [ops, lead], quorum: 2, timeout: 2h}}
"""


@pytest.fixture
def circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Circle:
    monkeypatch.setenv("OPS", "json://user:pass5f2c@127.0.0.1:9/tok-5f2c8e1d")
    monkeypatch.setenv("API", "api-5f2c8e1d")
    directory = tmp_path / ".stagebook" / "runs" / "01KYAK7Q3V8W9XAYBZC0D1E2F3"
    directory.mkdir(parents=True)
    return Circle(str(directory), pipeline(tmp_path), {"branch": "main", "commit": None})


def pipeline(folder: Path) -> Pipeline:
    made, _ = parse(FILE.encode(), str(folder / "stagebook.yaml"))
    assert made is not None
    return made


def failed(*names: str, **members: Any) -> dict[str, Any]:
    stages = [stage(name, attempt(0, 2, outcome="failure", exit=1, reason="says api-5f2c8e1d")) for name in names]
    return {**release(), "stages": stages, **members}


def told(circle: Circle, occasion: Occasion, document: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.name, mine.stages) for one, mine, _ in circle.messages(occasion, document)]


def test_each_hears_of_its_stages_and_once(circle: Circle) -> None:
    occasion = Occasion("failure", "run", ("lint",))
    assert told(circle, occasion, failed("lint")) == [("OPS", ("lint",))]
    assert told(circle, occasion, failed("lint")) == []
    both = Occasion("failure", "run", ("lint", "unit[p=1]"))
    assert told(circle, both, failed("lint", "unit[p=1]")) == [
        ("OPS", ("lint", "unit[p=1]")), ("builders", ("unit[p=1]",)),
    ]  # fmt: skip
    assert told(circle, Occasion("success"), release(outcome="success")) == []


def test_a_failure_without_stages_is_of_the_run(circle: Circle) -> None:
    document = {**release(), "outcome": "timeout", "reason": "timeout", "stages": []}
    assert told(circle, Occasion("failure"), document) == [("OPS", ())]
    assert told(circle, Occasion("failure"), document) == []


def test_a_gate_asks_with_what_the_file_says(circle: Circle) -> None:
    document = {**release(), "outcome": None, "wall_s": None, "state": "running", "stages": [stage("ship")]}
    line = {"nonce": "n0nce-5f2c8e1d", "expires": "2026-07-12T09:15:00.000000+00:00"}
    [(one, _, message)] = circle.messages(Occasion("gate", "stage", ("ship",), line), document)
    assert one.name == "OPS"
    assert message.title == "‖ release waits for you: ship: Ship it?"
    for part in ("needs 2 approvals", "who may answer: ops, lead", "without an answer by 2026-07-12 09:15 UTC: reject",
                 "stagebook approve 01KYAK7Q3V8W9XAYBZC0D1E2F3 ship"):  # fmt: skip
        assert part in message.body
    assert message.facts["prompt"] == "Ship it?"
    assert "n0nce" not in str(message)


def test_what_is_secret_is_in_no_message(circle: Circle) -> None:
    for _, _, message in circle.messages(Occasion("failure", "run", ("unit[p=1]",)), failed("unit[p=1]")):
        assert "says ***" in message.body and "5f2c8e1d" not in str(message)


def test_no_part_of_an_address_is_in_an_error(circle: Circle) -> None:
    one = circle.pipeline.notify[0]
    said = "refused: http://127.0.0.1:9/tok-5f2c8e1d for user:pass5f2c, 127.0.0.1"  # user is too short to tell
    assert mask_for(one, circle.values).text(said) == "refused: http://127.0.0.1:9/*** for user:***, 127.0.0.1"


def test_a_command_has_only_its_secrets(circle: Circle) -> None:
    environ = {"API": "api-5f2c8e1d", "OPS": "json://", "HOME": "/root"}
    assert destination(Notify(command=("x",)), circle.values, "/f", environ).environ == {"HOME": "/root"}
    to = destination(Notify(command=("x",), secrets=("API",)), circle.values, "/f", environ)
    assert to.environ == {"HOME": "/root", "API": "api-5f2c8e1d"}
    assert destination(circle.pipeline.notify[0], circle.values, "/f", environ).address.startswith("json://user")


def test_last_lines_of_any_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 100_000 + b"\n" + b"".join(b"%d\n" % n for n in range(30)) + b"10%\r100%\n\n\xff\x1b[2J")
    assert last_lines(str(path)) == [*map(str, range(22, 30)), "100%", "\\xff\\x1b[2J"]
    assert last_lines(str(tmp_path / "none")) == []


def test_that_the_engine_is_gone_is_told_also_where_what_failed_was_told_before(circle: Circle) -> None:
    document = failed("lint", outcome=None, finished=None, wall_s=None, state="running")
    assert told(circle, Occasion("failure", "stage", ("lint",)), document) == [("OPS", ("lint",))]
    gone = Occasion("failure", "gone", ("lint",))
    assert told(circle, gone, {**document, "state": "interrupted"}) == [("OPS", ("lint",))]
    assert told(circle, gone, {**document, "state": "interrupted"}) == []
    assert told(circle, gone, {**document, "state": "waiting"}) == []


@pytest.mark.parametrize(
    ("outcome", "reason", "is_good"),
    [
        ("success", None, True),
        ("skip", "up to date", True),
        ("skip", "not selected", False),
        ("skip", "when: x", False),
    ],
)
def test_a_recovery_is_of_what_passed_or_need_not_run(
    circle: Circle, outcome: str, reason: str | None, is_good: bool
) -> None:
    assert told(circle, Occasion("failure", "run", ("lint",)), failed("lint")) == [("OPS", ("lint",))]
    document = {**failed("lint"), "outcome": "success"}
    document["stages"][0] |= {"outcome": outcome, "reason": reason}
    assert told(circle, Occasion("recovery"), document) == ([("OPS", ("lint",))] if is_good else [])
