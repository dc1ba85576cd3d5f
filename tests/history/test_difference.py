"""What is different between two runs, made from two stories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.plan.past import NOW_US, Did, Past, pipeline, stage

from stagebook.history.difference import Run, compare
from stagebook.record import reader, runs
from stagebook.record.story import Story

OLD = pipeline(stage("build"), stage("unit"), stage("docs"), stage("old"))


def run(past: Past, of: Any, *did: Did) -> Run:
    path = past.run(of, NOW_US, *did)
    recording = reader.load(str(path))
    return Run(runs.document(str(path.parent)), Story.from_recording(recording), recording.records[0])


def compared(tmp_path: Path, old: list[Did], new: list[Did], of: Any = OLD) -> dict[str, Any]:
    past = Past(tmp_path)
    return compare(run(past, OLD, *old), run(past, of, *new))


def test_r082_what_got_slower_comes_first_and_worst_first(tmp_path: Path) -> None:
    old = [Did("build", 0, 10), Did("unit", 10, 20), Did("docs", 0, 5)]
    new = [Did("build", 0, 11), Did("unit", 11, 24), Did("docs", 0, 2)]
    found = compared(tmp_path, old, new)
    assert [(one["stage"], one["change_s"]) for one in found["slower"]] == [("unit", 3), ("build", 1)]
    assert [(one["stage"], one["change_s"]) for one in found["faster"]] == [("docs", -3)]
    assert found["wall_change_s"] == 4


def test_what_single_runs_differ_by_anyway_is_no_difference(tmp_path: Path) -> None:
    old = [Did("build", 0, 10), Did("unit", 10, 10.05)]
    found = compared(tmp_path, old, [Did("build", 0, 10.4), Did("unit", 10.4, 10.5)])
    assert (found["slower"], found["faster"], found["unchanged"]) == ([], [], 2)


def test_waiting_is_told_apart_from_work(tmp_path: Path) -> None:
    old = [Did("build", 0, 10), Did("unit", 1, 5, ready_s=1)]
    new = [Did("build", 0, 10), Did("unit", 9, 13, ready_s=1, waited="slot")]
    found = compared(tmp_path, old, new)
    assert found["slower"] == []
    assert found["waiting"]["by"] == {"slot": [None, 8]}
    assert [(one["stage"], one["change_s"]) for one in found["waiting"]["stages"]] == [("unit", 8)]


def test_stages_that_came_and_went_and_ends_that_changed(tmp_path: Path) -> None:
    of = pipeline(stage("build"), stage("unit"), stage("docs"), stage("new"))
    old = [Did("build", 0, 10), Did("unit", 10, 20)]
    found = compared(tmp_path, old, [Did("build", 0, 10), Did("unit", 10, 12, reason="disk full")], of)
    assert (found["added"], found["removed"]) == (["new"], ["old"])
    (one,) = found["outcomes"]
    assert (one["stage"], one["before"]["outcome"], one["after"]["outcome"]) == ("unit", "success", "error")
    assert one["after"]["reason"] == "disk full"
    assert (found["critical_path"]["before"], found["critical_path"]["after"]) == (["unit"], ["unit"])


def test_what_had_been_changed_in_between_without_any_value_of_the_environment(tmp_path: Path) -> None:
    first = stage("build")
    changed = first._replace(
        command="make -j", needs=("unit",), need_lines=(1,), env={"TOKEN": "geheim"}, grace_ms=1, line=99, col=9,
    )  # fmt: skip
    of = pipeline(changed, stage("unit"), env={"LANG": "C"})
    found = compared(tmp_path, [Did("build", 0, 10)], [Did("build", 0, 10)], of)
    told = [(one["stage"], one["what"], one["before"], one["after"]) for one in found["changes"]]
    assert told == [
        (None, "env LANG", "not set", "set"),
        ("build", "needs", [], ["unit"]),
        ("build", "env TOKEN", "not set", "set"),
        ("build", "command", "true", "make -j"),
        ("build", "grace", None, None),
    ]
    assert "geheim" not in str(found)


def test_a_run_that_goes_on_can_be_compared(tmp_path: Path) -> None:
    past = Past(tmp_path)
    path = past.run(OLD, NOW_US, Did("build", 0, None), is_over=False)
    recording = reader.load(str(path))
    open_one = Run(runs.document(str(path.parent)), Story.from_recording(recording), recording.records[0])
    found = compare(run(past, OLD, Did("build", 0, 10)), open_one)
    assert (found["wall_change_s"], found["slower"], found["unchanged"]) == (None, [], 0)
