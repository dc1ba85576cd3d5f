"""`split`: one key in the file, a group of stages in the pipeline."""

from __future__ import annotations

import json

import pytest
from tests.formats.native.reading import needs, read, refused

from stagebook.model import plain
from stagebook.model.pipeline import Split

BASE = 'list: collect, run: test @"$STAGEBOOK_SPLIT", shards: 2, report: r.xml'
UNIT = f"split: {{{BASE}}}"


def test_r027_a_suite_is_a_group_of_what_lists_it_and_its_shards() -> None:
    made = read(f"stages: {{build: make, unit: {{{UNIT}, needs: build}}, after: {{run: x, needs: unit}}}}")
    ids = ("unit[shard=list]", "unit[shard=1]", "unit[shard=2]")
    assert made.groups == {"unit": ids}
    assert [stage.command for stage in made.stages[1:4]] == ["collect", *['test @"$STAGEBOOK_SPLIT"'] * 2]
    assert [stage.split for stage in made.stages[1:4]] == [
        Split("unit", part, 2, "r.xml") for part in ("list", "1", "2")
    ]
    assert [stage.cell for stage in made.stages[1:4]] == [{"shard": "list"}, {"shard": "1"}, {"shard": "2"}]
    assert made.matrices == {}
    assert [list(stage.needs) for stage in made.stages[1:]] == [["build"], [ids[0]], [ids[0]], list(ids)]
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(made)))) == made


def test_files_need_nobody_to_list_them() -> None:
    made = read("stages: [a: x, unit: {split: {files: [t/*.py, u/*.py], run: y, shards: 2, by: file}}, b: z]")
    assert [stage.id for stage in made.stages] == ["a", "unit[shard=1]", "unit[shard=2]", "b"]
    assert made.stages[1].split == Split("unit", "1", 2, None, ("t/*.py", "u/*.py"), True)
    assert made.stages[1].needs == ("a",)
    assert made.stages[3].needs == ("unit[shard=1]", "unit[shard=2]")


def test_in_a_list_and_a_group_its_place_counts_as_any_stage_s() -> None:
    text = f"stages: [a: x, checks: {{parallel: [unit: {{{UNIT}}}, lint: y]}}, b: z]"
    found = needs(text)
    assert found["unit[shard=list]"] == ["a"]
    assert found["unit[shard=2]"] == ["unit[shard=list]"]
    assert found["b"] == ["unit[shard=list]", "unit[shard=1]", "unit[shard=2]", "lint"]
    assert needs(f"stages: {{unit: {{{UNIT}}}, b: {{run: x, needs: ['unit[shard=2]']}}}}")["b"] == ["unit[shard=2]"]


def test_what_is_for_work_is_not_for_listing() -> None:
    keys = "resources: {cpu: 1}, locks: {t: shared}, log-limit: 1MiB, duration: 1m, retry: {attempts: 2}, priority: 3"
    lists, first, second = read(f"stages: {{unit: {{{UNIT}, {keys}, join: any, needs: []}}}}").stages
    assert (lists.resources.cpu_milli, lists.locks, lists.log_limit_bytes, lists.duration_ms) == (0, {}, None, None)
    assert (first.resources.cpu_milli, dict(first.locks), first.duration_ms) == (1000, {"t": "shared"}, 60_000)
    assert {(stage.retry.attempts, stage.priority) for stage in (lists, first, second)} == {(2, 3)}
    assert (lists.join, first.join) == ("any", "all")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{UNIT}, matrix: {{a: [b]}}", "stage `unit`: a suite that is split has no `matrix`: its shards are"),
        (f"{UNIT}, outputs: [r.xml]", "stage `unit`: a suite that is split has no `outputs`: what shards write stays"),
        (f"{UNIT}, inputs: [a]", "stage `unit`: a suite that is split has no `inputs`: a shard's tests are"),
        (f"{UNIT}, run: x", "stage `unit`: only one of `split` and `run` can stand here"),
        (f"{UNIT}, env: {{MATRIX_SHARD: x}}", "stage `unit`: MATRIX_SHARD in `env` is set by its shards"),
        (f"{UNIT}, env: {{STAGEBOOK_SPLIT: x}}", "env: 'STAGEBOOK_SPLIT' is set by Stagebook itself"),
        (f"{UNIT}, dir: ../other", "stage `unit`: its `dir` is not below the pipeline's folder, of which"),
        (UNIT.replace("r.xml", "../r.xml"), "report: '../r.xml' is no file below the stage's directory"),
        (UNIT.replace("r.xml", "/r.xml"), "report: '/r.xml' is no file below the stage's directory"),
        (UNIT.replace("list: collect", "files: [a, ../b]"), "files: '../b' is no file below the stage's directory"),
        (UNIT.replace("shards: 2", "shards: 0"), "shards: must be at least 1, not 0"),
        (UNIT.replace("shards: 2", "shard: 2"), "unknown key 'shard', did you mean 'shards'?"),
        (UNIT.replace("list: collect, ", ""), "split: one of `list` or `files` is missing"),
        (f"{UNIT}, needs: unit", "cycle: stage `unit` needs the group `unit`, which it is part of"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(text: str, said: str) -> None:
    problems = refused(f"stages:\n  unit: {{{text}}}\n")
    assert [each for each in problems if each.message.startswith(said)], problems
