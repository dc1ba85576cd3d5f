"""The JSON documents, key by key as DOOR.md has them; and one test for each exit code."""

from __future__ import annotations

import json
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.door.place import Document, Place, by_stage, noted

RUN_KEYS = {
    "run", "pipeline", "outcome", "mode", "jobs", "started", "finished", "wall_s", "critical_path", "critical_path_s",
    "critical_planned", "max_parallel", "stages", "warnings",
}  # fmt: skip
STAGE_KEYS = {
    "stage", "outcome", "flaky", "reason", "started", "finished", "wall_s", "wait_s", "waiting", "attempts",
}  # fmt: skip
ATTEMPT_KEYS = {"outcome", "reason", "exit", "signal", "started", "finished", "log", "usage"}
USAGE_KEYS = {"cpu_s", "max_rss_bytes", "read_bytes", "write_bytes", "method"}
OUTCOMES = {"success", "failure", "error", "timeout", "cancellation", "skip"}

STAGES: dict[str, Any] = {
    "ok": noted("sleep 0.02"),
    "fails": {"run": "exit 3", "needs": "ok"},
    "skipped": {"run": "true", "needs": "fails"},
    "flaky": {"run": "[ $STAGEBOOK_ATTEMPT = 2 ]", "retry": {"attempts": 2}},
    "slow": {"run": "sleep 971", "timeout": "150ms"},
    "missing": "no-such-program",
}


def check_run(document: Document, has_stages: bool = True) -> None:
    """Keys, types and what must hold between them, for a run that is over."""
    assert document.keys() >= (RUN_KEYS if has_stages else RUN_KEYS - {"stages"})
    assert document["outcome"] in OUTCOMES
    assert document["mode"] in ("sequential", "parallel")
    assert is_time(document["started"]) <= is_time(document["finished"])
    assert isinstance(document["wall_s"], float)
    assert all(isinstance(text, str) for text in document["warnings"])
    for stage in document.get("stages", ()):
        check_stage(stage)


def check_stage(stage: Document) -> None:
    assert stage.keys() >= STAGE_KEYS
    assert stage["outcome"] in OUTCOMES
    assert stage["waiting"] is None
    assert isinstance(stage["flaky"], bool)
    assert stage["reason"] is None or stage["reason"]
    if stage["attempts"]:
        assert is_time(stage["started"]) <= is_time(stage["finished"])
        assert stage["wall_s"] >= 0
        assert stage["wait_s"] >= 0
    else:
        assert stage["started"] is None
    for attempt in stage["attempts"]:
        assert attempt.keys() >= ATTEMPT_KEYS
        assert attempt["outcome"] in OUTCOMES
        assert attempt["exit"] is None or isinstance(attempt["exit"], int)
        assert attempt["signal"] is None or isinstance(attempt["signal"], int)
        assert is_time(attempt["started"]) <= is_time(attempt["finished"])
        if attempt["usage"] is not None:
            assert attempt["usage"].keys() >= USAGE_KEYS
            measured = [attempt["usage"][key] for key in USAGE_KEYS - {"method"}]
            assert all(figure is None or figure >= 0 for figure in measured)
            if any(figure is not None for figure in measured):
                assert attempt["usage"]["method"] in ("cgroup", "wait4", "sampled")


def is_time(text: str) -> datetime:
    """ISO 8601 with an offset."""
    time = datetime.fromisoformat(text)
    assert time.utcoffset() is not None
    return time


@pytest.mark.parametrize("accounting", ["auto", "wait4"])
def test_run_and_show_give_the_same_document_with_the_doors_keys(place: Place, accounting: str) -> None:
    place.pipeline(STAGES, name="shop")
    done = place.run("run", "--json", env={"STAGEBOOK_ACCOUNTING": accounting})
    assert done.code == 4
    document = done.json
    check_run(document)
    assert document["pipeline"] == "shop"
    assert [stage["stage"] for stage in document["stages"]] == list(STAGES)
    stages = by_stage(document)
    assert [attempt["exit"] for attempt in stages["flaky"]["attempts"]] == [1, 0]
    assert stages["flaky"]["flaky"] is True
    assert stages["slow"]["attempts"][0]["signal"] == signal.SIGTERM
    shown = place.show()
    assert {key: shown[key] for key in document} == document
    assert Path(stages["ok"]["attempts"][0]["log"]).is_file()


def test_runs_gives_the_same_shape_without_stages(place: Place) -> None:
    place.pipeline({"a": "true"})
    document = place.run("run", "--json").json
    [listed] = place.run("runs", "--json").json["runs"]
    check_run(listed, has_stages=False)
    assert "stages" not in listed
    assert {key: listed[key] for key in RUN_KEYS - {"stages"}} == {key: document[key] for key in RUN_KEYS - {"stages"}}


def test_runs_of_a_place_without_runs_is_an_empty_list(place: Place) -> None:
    place.pipeline({"a": "true"})
    done = place.run("runs", "--json")
    assert (done.code, done.json["runs"]) == (0, [])


def test_figures_are_true(place: Place) -> None:
    place.pipeline({
        "a": "sleep 0.2", "b": {"run": "sleep 0.3", "needs": "a"}, "c": {"run": "sleep 0.05", "needs": "a"},
    })  # fmt: skip
    document = place.run("run", "--json", "-j", "2").json
    assert document["critical_path"] == ["a", "b"]
    assert 0.5 <= document["critical_path_s"] <= document["wall_s"]
    assert document["max_parallel"] == 2
    stages = by_stage(document)
    assert 0.2 <= stages["a"]["wall_s"] < stages["b"]["wall_s"]
    assert document["critical_path_s"] == pytest.approx(stages["a"]["wall_s"] + stages["b"]["wall_s"], abs=0.01)


def test_map_has_the_doors_keys(place: Place) -> None:
    place.pipeline({
        "build": "true",
        "unit": {"run": "true", "needs": "build", "matrix": {"n": ["1", "2"]}},
        "pack": {"cmd": ["true"], "needs": ["unit", "build"]},
        "when": {"run": "true", "when": "params.x == 'y'"},
    }, params={"x": {"default": "y"}})  # fmt: skip
    document = place.run("map", "--json").json
    assert document.keys() >= {"pipeline", "format", "stages", "edges", "width", "depth", "notes"}
    assert document["format"] == "native"
    for stage in document["stages"]:
        assert stage.keys() >= {"stage", "level", "needs", "line", "kind", "condition", "matrix"}
    stages = {stage["stage"]: stage for stage in document["stages"]}
    assert stages["unit[n=1]"]["matrix"] == {"n": "1"}
    assert stages["when"]["condition"] == "params.x == 'y'"
    assert [stages[name]["level"] for name in ("build", "unit[n=2]", "pack")] == [0, 1, 2]
    assert stages["build"]["line"] == next(
        number for number, text in enumerate((place.folder / "stagebook.yaml").read_text().splitlines(), 1)
        if '"build":' in text
    )  # fmt: skip
    for edge in document["edges"]:
        assert set(edge) >= {"from", "to", "kind"}
        assert edge["kind"] in ("needs", "order", "artifact", "gate", "lock")
    assert (document["width"], document["depth"]) == (2 if document["width"] == 2 else 3, 3)
    for note in document["notes"]:
        assert note.keys() >= {"code", "level", "line", "message"}


def test_map_of_a_directory_and_of_nothing(place: Place) -> None:
    assert place.run("map").code == 2
    place.pipeline({"a": "true"})
    document = place.run("map", ".", "--json").json
    assert [each["pipeline"] for each in document["pipelines"]] == ["project"]


def test_json_puts_one_document_on_stdout_and_progress_on_stderr(place: Place) -> None:
    place.pipeline({"a": "echo words"})
    for words in (["run"], ["show", "last"], ["runs"], ["map"], ["lint"], ["schema"], ["doctor"], ["timeline", "last"]):
        done = place.run(*words, "--json")
        assert done.code == 0, (words, done)
        json.loads(done.out)
        assert done.out.count("\n") == 1 or words[0] == "schema", words


def test_quiet_says_only_what_went_wrong(place: Place) -> None:
    place.pipeline({"a": "true"})
    assert place.run("run", "--quiet").said == ""
    place.pipeline({"a": "exit 1"})
    assert "a" in place.run("run", "--quiet").said


def test_r119_one_test_for_each_exit_code(place: Place) -> None:
    place.pipeline({"a": "true"})
    assert place.run("run").code == 0
    place.pipeline({"a": "exit 1"})
    assert place.run("run").code == 1
    place.pipeline({"a": {"rnu": "x"}})
    assert place.run("run").code == 2
    place.pipeline({"a": "no-such-program"})
    assert place.run("run").code == 4
    place.pipeline({"a": {"run": noted("sleep 972"), "retry-safe": False}})
    command = place.start("run")
    place.wait_for("a")
    command.kill("engine")
    assert place.run("run", "--resume").code == 3
    place.pipeline({"a": noted("sleep 973")})
    command = place.start("run")
    place.wait_for("a", times=2)
    command.send(signal.SIGINT)
    assert command.wait().code == 130


def test_r117_every_command_has_help_with_an_example_that_parses(place: Place) -> None:
    place.pipeline({"a": "true"})
    listed = place.run("--help").out
    commands = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2].isalpha()]
    assert {"run", "lint", "map", "show", "runs", "logs", "timeline", "measure", "cancel", "schema"} <= set(commands)
    for command in commands:
        if command == "stagebook":
            continue
        done = place.run(command, "--help")
        assert done.code == 0, (command, done)
        assert f"stagebook {command}" in done.out.partition("example:")[2], command


def test_version_and_help_answer(place: Place) -> None:
    assert place.run("--version").out.startswith("stagebook ")
    assert place.run("help", "run").code == 0
    assert place.run().code == 0


# What a stage used -------------------------------------------------------------------------------------------------

BURN = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"


@pytest.mark.parametrize("accounting", ["auto", "wait4"])
def test_r069_cpu_and_memory_of_a_known_burner_are_within_bounds(place: Place, accounting: str) -> None:
    place.pipeline({"burns": {"cmd": ["python3", "-c", f"block = bytearray(100_000_000)\n{BURN}"]}})
    document = place.run("run", "--json", env={"STAGEBOOK_ACCOUNTING": accounting}).json
    usage = by_stage(document)["burns"]["attempts"][0]["usage"]
    assert 0.5 <= usage["cpu_s"] < 0.9
    if usage["max_rss_bytes"] is not None:
        assert 100_000_000 < usage["max_rss_bytes"] < 160_000_000
    assert usage["method"] == ("wait4" if accounting == "wait4" else usage["method"])


def test_r070_many_short_children_are_counted_and_what_is_unknown_is_null(place: Place) -> None:
    place.pipeline({"forks": "for i in 1 2 3 4 5 6 7 8; do python3 -S -c 'x = sum(range(2_000_000))'; done"})
    auto = place.run("run", "--json").json
    plain = place.run("run", "--json", env={"STAGEBOOK_ACCOUNTING": "wait4"}).json
    used = [by_stage(document)["forks"]["attempts"][0]["usage"] for document in (auto, plain)]
    assert used[0]["cpu_s"] > 0.1
    assert used[0]["cpu_s"] == pytest.approx(used[1]["cpu_s"], rel=0.5)
    for usage in used:
        assert usage["max_rss_bytes"] is None or usage["max_rss_bytes"] > 0
