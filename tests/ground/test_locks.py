"""The locks pin everything by hash, cover what pyproject.toml asks for, and leave the package index to the machine."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {name: (ROOT / "requirements" / f"{name}.lock").read_text() for name in ("test", "bench")}
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==\S+", re.MULTILINE)


def normal(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def asked_for(group: str) -> set[str]:
    return {normal(entry) for entry in PROJECT["dependency-groups"][group]}


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_every_group_is_locked(name: str) -> None:
    pinned = {normal(pin) for pin in PIN.findall(LOCKS[name])}
    assert asked_for(name) | {normal(entry) for entry in PROJECT["project"]["dependencies"]} <= pinned


def test_the_build_backend_is_locked_so_that_nothing_unpinned_is_fetched() -> None:
    assert {normal(entry) for entry in PROJECT["build-system"]["requires"]} <= asked_for("test")


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_every_pin_has_a_hash_and_no_line_an_address(name: str) -> None:
    entries = re.split(r"\n(?=\S)", LOCKS[name].strip())
    assert entries
    for entry in entries:
        assert PIN.match(entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in LOCKS[name]


def test_the_locks_agree_where_they_overlap() -> None:
    versions = [dict(re.findall(r"^([a-z0-9._-]+)==(\S+) *\\?$", text, re.MULTILINE)) for text in LOCKS.values()]
    common = set(versions[0]) & set(versions[1])
    assert common
    assert {name: versions[0][name] for name in common} == {name: versions[1][name] for name in common}


def test_set_up_names_no_host_and_needs_no_variable() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
    files = [name for name in listed.split("\0") if name]
    setup = [name for name in files if name in ("Makefile", "pyproject.toml") or name.startswith((".ci/", "tools/"))]
    assert len(setup) > 3
    for name in setup:
        assert "://" not in (ROOT / name).read_text(), name


def test_the_package_needs_few_others_to_run() -> None:
    needed = [normal(entry) for entry in PROJECT["project"]["dependencies"]]
    assert needed == [
        "pyyaml", "cel-python", "google-re2", "watchfiles", "blake3", "sqlalchemy", "alembic", "defusedxml", "numpy",
        "fast-sugiyama", "itsdangerous", "apprise",
    ]  # fmt: skip
