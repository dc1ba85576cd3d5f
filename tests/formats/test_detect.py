"""Which format a file is taken for: real files of four systems, our own, and what only looks alike."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stagebook.formats import detect
from stagebook.model.problem import InputError

ROOT = Path(__file__).resolve().parent.parent.parent
#: Rules of a tool for commit messages, which GitLab never reads.
NO_PIPELINE = "GNOME__gnome-shell__gitlab-ci_commit-rules.yml"


def taken(data: bytes, file: str = "/somewhere/pipeline.yaml") -> str:
    try:
        return detect.format_of(data, file)
    except InputError as refused:
        return str(refused)


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_real_files_are_told_by_their_content(shared_data: Path, system: str) -> None:
    files = sorted((shared_data / system).iterdir())
    assert len(files) > 50
    assert [each.name for each in files if taken(each.read_bytes(), "/x/ci.yml") != system] in ([], [NO_PIPELINE])


@pytest.mark.parametrize(("system", "name"), [("circleci", "CircleCI"), ("jenkins", "Jenkins")])
def test_systems_that_are_not_read_yet_are_refused_by_name(shared_data: Path, system: str, name: str) -> None:
    for file in (shared_data / system).iterdir():
        assert f"is a file of {name}, which cannot be read yet" in taken(file.read_bytes(), str(file)), file.name


def test_our_own_files_are_ours() -> None:
    files = [*ROOT.glob("tests/formats/native/*/*.yaml"), *ROOT.glob("examples/*/*.yaml"), ROOT / "stagebook.yaml"]
    ours = [each for each in files if "people" not in each.name]
    assert len(ours) > 60
    assert [each.name for each in ours if taken(each.read_bytes(), str(each.with_name("x.yaml"))) != "native"] == []


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("stages:\n  build: make\n", "native"),
        ("stages:\n- build: make\n", "native"),
        ("stages: [build, test]\n", "gitlab"),
        ("stages:\n  # first\n  - build\nrun:\n  script: make\n", "gitlab"),
        ("build:\n  script: make\n", "gitlab"),
        ("include:\n  - local: a.yml\n", "gitlab"),
        ("spec:\n  inputs:\n    x:\n---\n$[[ inputs.x ]]:\n  script: make\n", "gitlab"),
        (".rules:\n  rules:\n    - if: $CI_COMMIT_TAG\n", "gitlab"),
        ("a: {stage: test, script: [a]}\n", "gitlab"),
        ("'a b': {'script': [a]}\n", "gitlab"),
        ("a: {extends: .b}\n", "gitlab"),
        ("# one\n---\n{a: {stage: test, script: [a]}, b: {image: c}}\n", "gitlab"),
        ('{"stages":["build"],"a":{"script":"make"}}', "gitlab"),
        ('{"on":"push","jobs":{"a":{"steps":[]}}}', "github"),
        ('{"stages": {"a": {"run": "script: x, {"}}}', "native"),
        ("{\n  stages: {a: make}, # script\n  name: x\n}\n", "native"),
        ("stages: {a: {run: make}}\n", "native"),
        ("on: push\njobs:\n  a: {}\n", "github"),
        ("'on':\n  push:\n'jobs':\n  a: {}\n", "github"),
        ("on: push\n", "github"),
        ("\ufeffon: push\r\njobs:\r\n", "github"),
        ("version: 2.1\njobs: {}\nworkflows: {}\n", "CircleCI"),
        ("name: x\nruns:\n  steps: []\n  using: composite\n", "describes an action"),
        ("#!/usr/bin/env groovy\n/* a\n*/\npipeline {\n", "Jenkins"),
        ("", "native"),
        ("stagse:\n  build: make\n", "native"),
    ],
)
def test_keys_at_the_left_edge_tell(text: str, format: str) -> None:
    assert format in taken(text.encode())


@pytest.mark.parametrize(
    ("file", "format"),
    [
        ("/p/.github/workflows/a.yml", "github"),
        ("/p/.gitlab-ci.yml", "gitlab"),
        ("/p/.gitlab/rules.yml", "gitlab"),
        ("/p/.circleci/config.yml", "CircleCI"),
        ("/p/ci/Jenkinsfile.nightly", "Jenkins"),
    ],
)
def test_a_place_tells_where_content_does_not(file: str, format: str) -> None:
    assert format in taken(b"a: 1\n", file)


@pytest.mark.parametrize(
    "piece", [b" ", b"a ", b"a:", b"- ", b"\n", b"- if: $", b"/*", b"stages:\n#\n", b"x (\n", b"a: {,", b"{a:{", b"{'"]
)
def test_no_text_takes_long(piece: bytes) -> None:
    began = time.monotonic()
    taken(piece * (1_000_000 // len(piece)))
    assert time.monotonic() - began < 5


def test_files_of_a_folder_that_are_known_by_name(tmp_path: Path) -> None:
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    for name in ("b.yml", "a.yaml", "note.md"):
        (workflows / name).write_text("on: push\n")
    (tmp_path / ".gitlab-ci.yml").write_text("a:\n  script: b\n")
    assert [Path(each).name for each in detect.all_in(str(tmp_path))] == ["a.yaml", "b.yml", ".gitlab-ci.yml"]
    (tmp_path / "stagebook.yaml").write_text("stages: {a: b}\n")
    assert Path(detect.all_in(str(tmp_path))[0]).name == "stagebook.yaml"
    assert [Path(each).name for each in detect.all_in(str(workflows))] == ["a.yaml", "b.yml"]
    assert detect.all_in(str(tmp_path / "nowhere")) == []
