"""What jobs leave about their steps: on the run's clock, and whatever a file holds."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic_ns

import pytest

from stagebook.engine.clock import Clock
from stagebook.engine.steps import STEPS_MAX, Steps


def test_steps_are_told_in_seconds_of_the_run(tmp_path: Path) -> None:
    clock = Clock(5_000_000)  # the run is five seconds old
    now_ns = monotonic_ns()
    (tmp_path / "steps").mkdir()
    lines = [["Build", "success", now_ns - 2 * 10**9, now_ns - 10**9], ["Tëst", "failure", now_ns - 10**9, now_ns]]
    (tmp_path / "steps" / "3.1").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = json.loads(Steps(str(tmp_path), clock).of(3, 1))
    assert [step[:2] for step in found] == [["Build", "success"], ["Tëst", "failure"]]
    assert found[0][2:] == pytest.approx([3, 4], abs=0.5)
    assert found[1][2] - found[0][2] == pytest.approx(1)
    assert Steps(str(tmp_path), clock).of(3, 2) == ""


@pytest.mark.parametrize(
    "text", ["", "nonsense\n", "[1]\n", '["a", "b", "c", "d"]\n', '["a", "b", null, 1]\n', "[" * 9000]
)
def test_what_is_no_list_of_steps_is_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "0.1").write_text(text)
    assert Steps(str(tmp_path), Clock()).of(0, 1) == ""


def test_too_many_are_cut(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "0.1").write_text('["a","success",1,2]\n' * (STEPS_MAX + 5))
    assert len(json.loads(Steps(str(tmp_path), Clock()).of(0, 1))) == STEPS_MAX
