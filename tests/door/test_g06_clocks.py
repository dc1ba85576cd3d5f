"""G6: clocks. Durations and timeouts follow the monotonic clock, whatever the wall clock does meanwhile."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from tests.door import waiting
from tests.door.place import Document, Place, attempts, by_stage, noted

DAY_S = 86_400


class WallClock:
    """A wall clock of the engine's own that a test can set while it runs; the monotonic one stays as it is."""

    def __init__(self, file: Path) -> None:
        found = shutil.which("faketime")
        assert found, "the Debian package faketime is missing: make setup"
        library = None
        for _ in range(5):  # it gives up where a process of its number has left something in shared memory
            shown = subprocess.run([found, "-f", "+0", "env"], capture_output=True, text=True, check=False).stdout
            library = library or re.search(r"^LD_PRELOAD=(.*)$", shown, re.MULTILINE)
        assert library
        self._file = file
        self.set(0)
        self.env = {
            "LD_PRELOAD": library[1], "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "FAKETIME_SKIP_CMDS": "sleep,sh,date",
        }  # fmt: skip

    def set(self, offset_s: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        new.rename(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path / "clock")


def seconds(document: Document, key: str) -> float:
    return datetime.fromisoformat(document[key]).timestamp()


def test_the_clock_of_this_test_really_jumps(place: Place, clock: WallClock) -> None:
    place.pipeline({"a": "true"})
    clock.set(DAY_S)
    ahead = place.run("run", "--json", env=clock.env).json
    now = place.run("run", "--json").json
    assert seconds(ahead, "started") - seconds(now, "started") == pytest.approx(DAY_S, abs=60)


@pytest.mark.parametrize("jump", [DAY_S, -DAY_S, 3600, -3600])
def test_g06_a_jump_of_the_wall_clock_moves_no_timeout_and_makes_no_negative_time(
    place: Place, clock: WallClock, jump: int
) -> None:
    place.pipeline({
        "before": noted(),
        "times-out": {"run": "sleep 801", "timeout": "1500ms", "grace": "1s", "needs": "before"},
        "goes-on": {"run": noted('while [ ! -e "$BASE/go" ]; do sleep 0.02; done'), "needs": "before"},
        "after": {"run": noted(), "needs": "goes-on"},
        "retried": {"run": "exit 1", "retry": {"attempts": 3, "backoff": "300ms"}},
    })  # fmt: skip
    command = place.start("run", "--json", "-j", "4", env=clock.env)
    place.wait_for("goes-on")
    waiting.until(lambda: any(r["stage"] == "times-out" for r in place.events("stage.started")), "the timed stage")
    clock.set(jump)
    waiting.until(lambda: any(r["stage"] == "times-out" for r in place.events("stage.exited")), "the timeout")
    (place.base / "go").touch()
    document = command.wait().json
    stages = by_stage(document)
    assert stages["times-out"]["outcome"] == "timeout"
    assert 1.45 <= stages["times-out"]["wall_s"] < 4
    assert 0.55 <= stages["retried"]["wall_s"] < 4
    assert document["wall_s"] < 30
    for name, attempt in attempts(document):
        assert attempt["usage"]["cpu_s"] is None or attempt["usage"]["cpu_s"] >= 0, name
    for stage in document["stages"]:
        assert stage["wall_s"] >= 0
        assert stage["wait_s"] >= 0
    times = [record["t"] for record in place.journal()]
    assert times == sorted(times)
    assert times[0] == 0
    assert abs(document["clock_jump_s"]) == pytest.approx(abs(jump), abs=30)
    assert any("clock" in text for text in document["warnings"]), document["warnings"]


@pytest.mark.parametrize("jump", [DAY_S, -DAY_S])
def test_g06_a_resume_under_another_wall_clock_goes_on_never_back(place: Place, clock: WallClock, jump: int) -> None:
    place.pipeline([{"a": noted()}, {"b": noted('[ "$STAGEBOOK_ATTEMPT" != 1 ] || sleep 802')}, {"c": noted()}])
    command = place.start("run", env=clock.env)
    place.wait_for("b")
    command.kill()
    clock.set(jump)
    done = place.run("run", "--resume", "--json", env=clock.env)
    assert done.code == 0, done
    assert place.began() == ["a", "b", "b", "c"]
    times = [record["t"] for record in place.journal()]
    assert times == sorted(times)
    assert done.json["wall_s"] >= 0
    assert all(stage["wall_s"] >= 0 and stage["wait_s"] >= 0 for stage in done.json["stages"])


def test_g06_run_ids_still_tell_runs_apart_when_the_clock_went_back(place: Place, clock: WallClock) -> None:
    place.pipeline({"a": "true"})
    for offset in (0, -DAY_S, DAY_S):
        clock.set(offset)
        assert place.run("run", env=clock.env).code == 0
    assert len(place.run_ids()) == 3
