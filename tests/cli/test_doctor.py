"""`stagebook doctor`: each setting with its origin, each lack with what it costs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.cli.conftest import Call

from stagebook.cli import settings
from stagebook.engine import kernel
from stagebook.observe import cgroup


def test_each_setting_says_where_it_comes_from(call: Call, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "stagebook.toml").write_text("jobs = 3\n")
    monkeypatch.setenv("STAGEBOOK_ACCOUNTING", "wait4")
    found = json.loads(call("doctor", "--json", "--color", "never").out)["settings"]
    told = {one["name"]: (one["value"], one["origin"], one["where"]) for one in found}
    assert set(told) == set(settings.KNOWN)
    assert told["jobs"] == (3, "project", str(here / "stagebook.toml"))
    assert told["accounting"] == ("wait4", "environment", "STAGEBOOK_ACCOUNTING")
    assert told["color"] == ("never", "option", "--color")
    assert told["policy"] == (None, "default", None)


def test_each_lack_says_what_it_costs(call: Call) -> None:
    found = json.loads(call("doctor", "--json").out)["probes"]
    assert {"python", "system", "cores", "signalfd", "cgroup", "state"} <= {one["name"] for one in found}
    assert all(one["state"] in ("ok", "degraded", "missing") for one in found)
    assert all(one["cost"] for one in found if one["state"] != "ok")


def test_without_signalfd_it_is_degraded_and_not_silent(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "signal_descriptor", lambda number: None)
    done = call("doctor")
    assert done.code == 0
    assert any(line.split()[:2] == ["degraded", "signalfd"] for line in done.out.splitlines())


def test_without_pressure_it_says_what_is_lost(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "read", lambda path: b"")
    (line,) = [line for line in call("doctor").out.splitlines() if line.split()[1:2] == ["pressure"]]
    assert line.split()[0] == "degraded"
    assert "stalls for processor, memory and disk are unknown" in line


def test_a_state_directory_that_cannot_be_written_is_exit_4(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    done = call("doctor")
    assert done.code == 4
    assert "cannot be written, so nothing can be run" in done.out


def test_a_wrong_setting_is_wrong_input_even_here(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEBOOK_JOBS", "none")
    done = call("doctor")
    assert (done.code, done.err) == (2, "error: STAGEBOOK_JOBS: 'none' is not a whole number from 1 to 1000000\n")


def test_looking_changes_nothing(call: Call, here: Path) -> None:
    call("doctor")
    assert [path.name for path in here.iterdir()] == [".git"]
