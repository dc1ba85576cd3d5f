"""A probe: what it may run, what it says, and that it is a run like any other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stagebook.formats.native.read import load
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError
from stagebook.plan import probe
from stagebook.plan.profile import Profile, StageProfile

SAFE = """version: 1
stages:
  a: {cmd: [sh, -c, "echo a >> ran"]}
  b: {cmd: [sh, -c, "echo b >> ran"]}
  c: {cmd: [sh, -c, "echo c >> ran"], needs: [a, b]}
"""
UNSAFE = """version: 1
stages:
  a: sleep 1
  b: sleep 1
  ok: {gate: {prompt: "Go?"}}
  pay: {run: ./pay.sh, retry-safe: false}
  deploy: ./deploy.sh
"""


def read(folder: Path, text: str) -> Pipeline:
    path = folder / "stagebook.yaml"
    path.write_text(text)
    return load(str(path), None)


def known(pipeline: Pipeline, *waiting: str) -> Profile:
    stages = tuple(
        StageProfile(stage.id, "history", (1.0,), cores=0.1 if stage.id in waiting else 1.0)
        for stage in pipeline.stages
    )
    return Profile(stages, "history", 1)


def test_it_runs_two_at_once_whether_up_to_date_or_not_and_is_on_record(tmp_path: Path) -> None:
    pipeline = read(tmp_path, SAFE)
    probe.require_safe(pipeline, known(pipeline))
    probed = probe.make(probe.words(pipeline.file))
    assert probed.exit == 0 and probed.document is not None
    assert (probed.document["jobs"], probed.document["outcome"]) == (2, "success")
    assert sorted((tmp_path / "ran").read_text().split()) == ["a", "b", "c"]
    runs = tmp_path / ".stagebook" / "runs"
    assert os.listdir(runs) == [probed.document["run"]]


def test_only_the_stages_named_are_run(tmp_path: Path) -> None:
    pipeline = read(tmp_path, SAFE)
    probed = probe.make(probe.words(pipeline.file, str(tmp_path / "state"), ["b"]))
    assert probed.exit == 0 and (tmp_path / "ran").read_text() == "b\n"
    assert (tmp_path / "state" / "runs").is_dir()


def test_a_stage_that_fails_is_the_run_s_exit(tmp_path: Path) -> None:
    pipeline = read(tmp_path, "version: 1\nstages:\n  a: 'false'\n  b: 'true'\n")
    probed = probe.make(probe.words(pipeline.file))
    assert probed.exit == 1 and probed.document is not None and probed.document["outcome"] == "failure"


def test_a_file_that_run_refuses_begins_nothing(tmp_path: Path) -> None:
    (tmp_path / "stagebook.yaml").write_text("version: 7\n")
    probed = probe.make(probe.words(str(tmp_path / "stagebook.yaml")))
    assert probed.exit == 2 and probed.document is not None
    assert [error["line"] for error in probed.document["errors"]] == [1]


def test_what_it_will_do_is_said_first(tmp_path: Path) -> None:
    pipeline = read(tmp_path, SAFE)
    said = "the probe really runs 3 stages, 2 at once and whether up to date or not: a, b, c"
    assert probe.sentence(pipeline) == said
    assert probe.sentence(pipeline, ["b"]).endswith("what they need is taken as done: b")


def test_what_must_not_run_for_a_probe_is_refused_at_its_line_and_what_may_is_offered(tmp_path: Path) -> None:
    pipeline = read(tmp_path, UNSAFE)
    with pytest.raises(InputError) as refused:
        probe.require_safe(pipeline, known(pipeline, "a", "b", "pay"))
    assert [problem.line for problem in refused.value.problems] == [5, 6, 7]
    assert "gate" in refused.value.problems[0].message
    assert "retry-safe: false" in refused.value.problems[1].message
    assert "--yes" in refused.value.problems[2].message
    assert str(refused.value).endswith("stagebook plan --probe --only a --only b")


def test_consent_allows_what_only_looks_like_it_and_nothing_else(tmp_path: Path) -> None:
    pipeline = read(tmp_path, UNSAFE)
    profile = known(pipeline)
    with pytest.raises(InputError) as refused:
        probe.require_safe(pipeline, profile, agreed=True)
    assert [problem.line for problem in refused.value.problems] == [5, 6]
    probe.require_safe(pipeline, profile, ["a", "b"])
    probe.require_safe(pipeline, profile, ["a", "deploy"], agreed=True)
    with pytest.raises(InputError, match="must not"):
        probe.require_safe(pipeline, profile, ["a", "pay"], agreed=True)


def test_what_may_act_outside_is_refused_at_its_line_and_runs_on_a_word(tmp_path: Path) -> None:
    pipeline = read(tmp_path, "version: 1\nstages:\n  a: sleep 1\n  order: curl -X POST http://h\n  send: ./x\n")
    with pytest.raises(InputError) as refused:
        probe.require_safe(pipeline, known(pipeline))
    assert [problem.line for problem in refused.value.problems] == [4, 5]
    assert "`order` may act outside (its command: curl POST)" in refused.value.problems[0].message
    assert "--yes" in refused.value.problems[0].message and "--only" in str(refused.value)
    probe.require_safe(pipeline, known(pipeline), agreed=True)


def test_an_unknown_stage_is_said(tmp_path: Path) -> None:
    pipeline = read(tmp_path, SAFE)
    with pytest.raises(InputError, match="nowhere"):
        probe.require_safe(pipeline, known(pipeline), ["nowhere"])
