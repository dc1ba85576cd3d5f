"""Every key that a document has stands in the reference."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "json.md").read_text()
PIPELINE = """\
version: 1
stages:
  first: {run: touch made, outputs: [made]}
  again: {run: "test $STAGEBOOK_ATTEMPT = 2", needs: first, retry: {attempts: 2}}
  work: {each: {items: {range: [1, 2]}, on-item-failure: dead-letter, steps: [{one: "test $ITEM = 1"}]}}
  cell: {run: "true", needs: again, matrix: {value: [a, b]}, locks: {one: exclusive}}
  nod: {gate: {prompt: "Well?"}}
"""
#: keys under these are names of the user's
NAMES = {"waiting_by", "matrix", "utilisation", "waits_s"}


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in NAMES:
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, stagebook: str) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "stagebook.yaml").write_text(PIPELINE)
    (folder / "other.yaml").write_text("stages: {first: 'true', gone: {run: 'true', needs: first}, again: 'true'}\n")
    (folder / "ci.gitlab-ci.yml").write_text("a: {environment: production, script: ./deploy.sh}\n")
    (folder / "told.yaml").write_text("notify: [{command: ['true']}]\nstages: {first: 'true'}\n")
    (folder / "wrong.yaml").write_text("version: 1\nstage: {}\n")
    subprocess.run([stagebook, "run", "--quiet", "--no-wait"], cwd=folder, check=False, stdout=subprocess.DEVNULL)
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["show", "last"],
        ["approve", "last", "nod", "--record-only"],
        ["runs"],
        ["items", "last", "work"],
        ["map"],
        ["plan", "--scale", "cell=3", "--arrivals", "9/h"],
        ["map", "--diff", "other.yaml"],
        ["flaky"],
        ["notify", "wait"],
        ["notify", "test", "told.yaml"],
        ["lint"],
        ["lint", "wrong.yaml"],
        ["show", "nosuchrun"],
        ["cache", "ls"],
        ["cache", "verify"],
        ["gc", "--cache-limit", "0B", "--dry-run"],
        ["audit", "--verify"],
        ["experiment", "--pairs", "1", "--warm-up", "0"],
        ["patch", "ci.gitlab-ci.yml"],
        ["plan", "--diff", "other.yaml"],
    ],
    ids=" ".join,
)
def test_every_key_of_a_document_is_explained(words: list[str], folder: Path, stagebook: str) -> None:
    done = subprocess.run([stagebook, *words, "--json"], cwd=folder, stdout=subprocess.PIPE, check=False)
    found = set(keys(json.loads(done.stdout)))
    assert found
    explained = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", PAGE))))
    assert found - explained == set()
