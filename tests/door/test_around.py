"""What the machine did around a run is recorded with each attempt and with the run, and shown."""

from __future__ import annotations

import os

import pytest
from tests.door.place import Document, Place, by_stage

HAS_PRESSURE = os.path.exists("/proc/pressure/cpu")


def around(document: Document, name: str) -> Document | None:
    found: Document | None = by_stage(document)[name]["attempts"][-1]["around"]
    return found


@pytest.mark.parametrize("accounting", ["auto", "wait4"])
def test_r071_it_is_recorded_for_each_attempt_and_the_run(place: Place, accounting: str) -> None:
    place.pipeline({"long": "sleep 0.4", "short": {"cmd": ["true"]}})
    document = place.run("run", "--json", env={"STAGEBOOK_ACCOUNTING": accounting}).json
    told = around(document, "long")
    assert told is not None and 0.35 < told["over_s"] < 5
    assert told["pressure_method"] in (("cgroup", "machine") if HAS_PRESSURE else (None,))
    assert accounting == "auto" or told["pressure_method"] != "cgroup"
    assert told["others_cores"] is None or told["others_cores"] >= 0
    assert told["network_bytes"] is None, "unknown is never 0"
    assert document["around"].keys() == told.keys()
    shown = place.run("show", "last", "--json").json
    assert shown["around"] == document["around"]
    assert [stage["attempts"] for stage in shown["stages"]] == [stage["attempts"] for stage in document["stages"]]


def test_the_journal_holds_what_is_known(place: Place) -> None:
    place.pipeline({"long": "sleep 0.3"})
    place.run("run")
    (told,) = [line["around"] for line in place.events("stage.exited")]
    assert None not in told.values()
    (whole,) = [line["around"] for line in place.events("run.ended")]
    assert whole["over_s"] >= told["over_s"]


@pytest.mark.skipif(not HAS_PRESSURE, reason="the kernel tells of no stalls")
def test_r071_a_crowd_is_named_when_the_run_is_shown(place: Place) -> None:
    burn = "python3 -S -c 'import time\nwhile time.process_time() < 0.3: pass'"
    place.pipeline({"crowd": " & ".join([burn] * (3 * (os.cpu_count() or 1))) + " & wait"})
    document = place.run("run", "--json").json
    told = around(document, "crowd")
    assert told is not None and told["cpu_some"] > 0.3
    assert "pressure cpu " in place.run("show", "last").out
    assert "stall cpu" in place.run("show", "last", "--metrics").out
