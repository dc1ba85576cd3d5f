"""The latest runs of one pipeline file as a profile needs them, out of journals as they lie on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.plan.past import HOUR_US, MEASURED_ONE, NOW_US, RELEASE, Did, Past, pipeline, stage

from stagebook.history import store
from stagebook.history.samples import Run, Sample, Samples, samples

FILE = RELEASE.file
AROUND = {"over_s": 10.0, "others_cores": 0.4, "run_delay_s": 0.25, "device": "vda", "device_busy": 0.6}


def asked(past: Past, file: str = FILE, **more: Any) -> Samples:
    return store.ask(past.state, lambda connection: samples(connection, file, **more))


def test_r090_a_row_a_stage_a_run_with_all_that_was_around_it(tmp_path: Path) -> None:
    past = Past(tmp_path)
    path = past.run(
        RELEASE, NOW_US, Did("build", 0, 10, ready_s=0, cpu_s=4, rss=7, moved=4096, around=AROUND), Did("unit", 5, 15),
        around={"others_cores": 0.5, "autogroup": True},
    )  # fmt: skip
    found = asked(past)
    assert found.left_out == 0
    run = path.parent.name
    assert found.runs == (Run(run, RELEASE.digest, "parallel", 8, "success", NOW_US, 15.0, 0.5, 2, None, True),)
    assert found.rows == (
        Sample(0, "build", "success", 1, 10.0, 0.0, 4.0, 0.25, 0.5, 0.4, 0.6, 7, 4096, 0),
        Sample(0, "unit", "success", 1, 10.0, 0.0, None, None, 0.5, None, None, None, None, None),
    )


def test_only_the_last_attempt_counts(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(
        RELEASE, NOW_US, Did("build", 0, 2, reason="x", around=AROUND | {"run_delay_s": 1.5}),
        Did("build", 3, 9, attempt=2, around=AROUND),
    )  # fmt: skip
    (row,) = asked(past).rows
    assert (row.outcome, row.attempts, row.wall_s, row.delay_s) == ("success", 2, 6.0, 0.25)


def test_the_latest_runs_of_that_file_oldest_first(tmp_path: Path) -> None:
    past = Past(tmp_path)
    paths = [past.run(RELEASE, NOW_US + hour * HOUR_US, Did("build", 0, hour + 1)) for hour in range(5)]
    other = pipeline(stage("build"), file="/p/other.yaml")
    past.run(other, NOW_US + 9 * HOUR_US, Did("build", 0, 99))
    found = asked(past, limit=3)
    assert [run.run for run in found.runs] == [path.parent.name for path in paths[2:]]
    assert [(row.run, row.wall_s) for row in found.rows] == [(0, 3.0), (1, 4.0), (2, 5.0)]
    assert [row.wall_s for row in asked(past, other.file).rows] == [99.0]
    assert asked(past, "/p/none.yaml") == Samples((), (), 0)


def test_runs_that_say_nothing_are_counted_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US, Did("build", 0, 1), outcome="cancellation")
    damaged = past.run(RELEASE, NOW_US, Did("build", 0, 2))
    damaged.write_bytes(damaged.read_bytes().replace(b'"stage.ended"', b'"stage.endad"'))
    past.run(RELEASE, NOW_US, Did("build", 0, 3), Did("unit", 0, None), is_over=False)
    past.run(MEASURED_ONE._replace(file=FILE), NOW_US, Did("build", 0, 3))
    past.run(RELEASE, NOW_US, Did("build", 0, 4), outcome="failure")
    found = asked(past)
    assert [(run.outcome, run.wall_s) for run in found.runs] == [("failure", 4.0)]
    assert [row.wall_s for row in found.rows] == [4.0]
    assert found.left_out == 3


def test_r090_what_is_over_counts_in_a_run_that_waits_for_a_person(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US, Did("build", 0, 3), is_over=False)
    found = asked(past)
    assert [(run.outcome, run.wall_s) for run in found.runs] == [("", 0.0)]
    assert [(row.stage, row.wall_s) for row in found.rows] == [("build", 3.0)]
    assert found.worked_s() == [0.0], "nobody knows how long it took as a whole"


def test_runs_in_which_nothing_ran_tell_nothing_however_many_there_are(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US, Did("build", 0, 4))
    for hour in range(1, 4):
        past.run(RELEASE, NOW_US + hour * HOUR_US)
    found = asked(past, limit=2)
    assert [run.wall_s for run in found.runs] == [4.0]
    assert found.left_out == 3


def test_a_journal_from_before_anything_was_noted_around(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US, Did("build", 0, 10, cpu_s=1))
    found = asked(past)
    assert (found.runs[0].others_cores, found.runs[0].autogroup) == (None, None)
    (row,) = found.rows
    assert (row.cpu_s, row.delay_s, row.others_cores, row.disk_busy) == (1.0, None, None, None)
