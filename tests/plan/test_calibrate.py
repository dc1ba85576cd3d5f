"""Calibration by replay: what runs in parallel teach, out of runs that a known machine made."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

import pytest

from stagebook.formats.native.read import load
from stagebook.history.samples import Run, Sample, Samples
from stagebook.model.pipeline import Pipeline
from stagebook.plan import calibrate, profile
from stagebook.plan.contention import UNTAUGHT, Capacity, Demand, Shares, capacity, demand
from stagebook.scheduler.build import build
from stagebook.scheduler.plan import Choice
from stagebook.simulate.play import play
from stagebook.simulate.work import Work

CORES = 4


def read(folder: Path, text: str) -> Pipeline:
    path = folder / "stagebook.yaml"
    path.write_text(text)
    return load(str(path), None)


@pytest.fixture
def fan(tmp_path: Path) -> Pipeline:
    stages = "".join(f"  s{number}: 'true'\n" for number in range(8))
    return read(tmp_path, f"version: 1\nstages:\n{stages}")


class World:
    """A machine whose stages ask for `demands` and take `wall_s` alone, and the runs made on it."""

    def __init__(self, pipeline: Pipeline, machine: Capacity, demands: Mapping[str, Demand], wall_s: float = 2.0):
        self.pipeline = pipeline
        self.machine = machine
        self.demands = [demands.get(stage.id, Demand(1.0)) for stage in pipeline.stages]
        self.wall_s = wall_s
        self.runs: list[Run] = []
        self.rows: list[Sample] = []

    def seconds(self, jobs: int) -> float:
        return self._play(jobs).end_s

    def _play(self, jobs: int):  # type: ignore[no-untyped-def]
        plan = build(self.pipeline, Choice(CORES, jobs, jobs == 1))
        return play(plan, lambda stage, attempt: Work(self.wall_s), Shares(self.demands, self.machine))

    def run(self, jobs: int, slower: float = 1.0, **changes: object) -> None:
        """Make a run; `slower`: all of it took so many times as long as it should."""
        played = self._play(jobs)
        number = len(self.runs)
        mode = "sequential" if jobs == 1 else "parallel"
        run = Run(f"r{number}", "d", mode, jobs, "success", number, played.end_s * slower, 0.0, jobs, None, True)
        self.runs.append(run._replace(**changes))  # type: ignore[arg-type]
        for span in played.spans:
            asked = self.demands[span.stage]
            took_s = (span.end_s - span.start_s) * slower
            beside = [min(span.end_s, each.end_s) - max(span.start_s, each.start_s) for each in played.spans]
            company = sum(max(0.0, each) for each in beside) * slower / took_s - 1
            self.rows.append(Sample(
                number, self.pipeline.stages[span.stage].id, "success", 1, took_s, 0.0,
                asked.cores * self.wall_s * (1 + asked.gamma * min(1.0, company)), 0.0, company, 0.0,
                asked.disk * self.wall_s / took_s, 1 << 20, 0, 10_000_000 if asked.disk else 0,
            ))  # fmt: skip

    def calibration(self) -> calibrate.Calibration:
        found = Samples(tuple(self.runs), tuple(self.rows), 0)
        self.profile = profile.build(self.pipeline, found)
        return calibrate.calibrate(self.pipeline, self.profile, found, CORES)

    def predicted(self, jobs: int) -> float:
        """From what is on record alone."""
        taught = self.calibration()
        demands = [demand(stage, taught) for stage in self.profile.stages]
        works = [stage.median_s for stage in self.profile.stages]
        plan = build(self.pipeline, Choice(CORES, jobs, jobs == 1))
        shares = Shares(demands, capacity(CORES, None, taught))
        return play(plan, lambda stage, attempt: Work(works[stage]), shares).end_s


def everywhere(pipeline: Pipeline, one: Demand) -> dict[str, Demand]:
    return {stage.id: one for stage in pipeline.stages}


LOCKED = Demand(0.05, waiting=0.95)


def test_r092_a_lock_that_nobody_declared_is_effectively_sequential_once_a_parallel_run_has_shown_it(
    fan: Pipeline,
) -> None:
    world = World(fan, Capacity(CORES, waiting=1.0), everywhere(fan, LOCKED))
    for _ in range(3):
        world.run(1)
    assert world.predicted(4) == pytest.approx(world.seconds(1) / 4, rel=0.02), "nothing on record says otherwise"
    world.run(2)
    taught = world.calibration()
    assert (taught.waiting, taught.disk, taught.at_jobs, taught.runs) == (1.0, 1.0, 2, 1)
    assert world.predicted(4) == pytest.approx(world.seconds(4), rel=0.02)
    assert world.predicted(4) > 0.9 * world.seconds(1), "as good as sequential"


def test_what_stages_took_while_they_held_each_other_up_is_not_what_they_take_alone(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES, waiting=1.0), everywhere(fan, LOCKED))
    for jobs in (1, 2, 2, 2, 4, 4):
        world.run(jobs)
    for jobs in (1, 2, 4, 8):
        assert world.predicted(jobs) == pytest.approx(world.seconds(jobs), rel=0.02)


def test_r092_a_disk_that_slows_down_with_every_reader_makes_two_beat_four_or_do_as_well(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES, disk=0.8), everywhere(fan, Demand(0.2, disk=0.8)))
    world.run(1)
    world.run(2)
    assert world.calibration().disk == pytest.approx(0.8)
    assert world.predicted(4) >= world.predicted(2) * 0.999
    assert world.predicted(4) == pytest.approx(world.seconds(4), rel=0.02)


def test_waiting_that_nobody_shares_stays_private(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES), everywhere(fan, LOCKED))
    world.run(1)
    world.run(2)
    assert world.calibration().waiting is None
    assert world.predicted(4) == pytest.approx(world.seconds(4), rel=0.02)


def test_one_run_that_took_a_little_long_is_no_sharing(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES), everywhere(fan, LOCKED))
    world.run(1)
    world.run(2, slower=1.05)
    assert world.calibration().waiting is None


def test_cpu_time_that_is_dearer_in_company_is_known_by_stage(fan: Pipeline) -> None:
    demands = {"s0": Demand(1.0, gamma=0.4), "s1": Demand(1.0, gamma=0.01)}
    world = World(fan, Capacity(CORES), demands)
    world.run(1)
    world.run(4)
    assert world.calibration().gamma == {"s0": pytest.approx(0.4, abs=0.01)}
    assert world.predicted(4) == pytest.approx(world.seconds(4), rel=0.02)


def test_the_error_on_record_is_told(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES), {})
    world.run(1)
    world.run(4, slower=1.25)
    assert world.calibration().error == pytest.approx(0.2, abs=0.01)


def test_r090_a_run_that_taught_something_was_predicted_without_it(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES, waiting=1.0), everywhere(fan, LOCKED))
    world.run(1)
    before_s = world.predicted(2)
    world.run(2)
    after = world.calibration()
    assert after.waiting == 1.0 and world.predicted(2) == pytest.approx(world.seconds(2), rel=0.02), "it is known now"
    assert after.error == pytest.approx(1 - before_s / world.seconds(2), abs=0.02) and after.error > 0.4
    world.run(2)
    again = world.calibration()
    assert again.error == pytest.approx(0.0, abs=0.02), "either was foretold by the other"
    assert len(again.misses) == 2


def test_a_run_is_predicted_with_the_load_beside_the_others(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES), {})
    world.run(1)
    world.run(4)
    world.run(4)
    assert world.calibration().error == pytest.approx(0.0, abs=0.01)
    world.machine = Capacity(CORES, others=4.0)
    world.run(4, others_cores=2.0)
    taught = world.calibration()
    assert max(taught.misses) > 0.4, "nobody knew that others would come"
    assert taught.others_range is not None and taught.others_range[0] == 0.0 and taught.others_range[1] >= 2.0


def test_runs_one_by_one_are_predicted_as_well_where_another_tells_what_the_stages_take(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES), {})
    world.run(1)
    world.run(4)
    assert world.calibration().misses_alone == (), "without it nothing would be known of what they take alone"
    world.run(1, slower=1.2)
    assert max(world.calibration().misses_alone) == pytest.approx(0.18, abs=0.01)


def test_runs_that_did_little_say_little_of_the_load(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES), {})
    world.run(1, others_cores=1.5)
    usual = world.calibration().others
    assert usual is not None and usual >= 1.5
    for _ in range(3):
        world.run(1, others_cores=None)
    assert world.calibration().others == usual, "of these nobody knows"
    world.rows = [row for row in world.rows if row.run == 0 or row.stage == "s0"]
    world.runs[1:] = [run._replace(others_cores=0.0, wall_s=0.1) for run in world.runs[1:]]
    assert world.calibration().others == usual


def test_without_a_run_in_parallel_nothing_is_taught(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES), {})
    assert calibrate.calibrate(fan, profile.build(fan, None), None, CORES) == UNTAUGHT
    world.run(1)
    taught = world.calibration()
    assert (taught.at_jobs, taught.runs, taught.error, taught.gamma) == (1, 0, None, {})
    assert taught.by_group, "each stage is a session, and the kernel deals cores to sessions first"


@pytest.mark.parametrize(
    "changes", [{"outcome": "failure"}, {"max_parallel": 1}, {"max_parallel": None}, {"wall_s": 0.0}]
)
def test_runs_that_say_nothing_of_company_are_left_out(fan: Pipeline, changes: dict[str, object]) -> None:
    world = World(fan, Capacity(CORES, waiting=1.0), everywhere(fan, LOCKED))
    world.run(1)
    world.run(2, **changes)
    assert world.calibration().runs == 0


def test_only_the_latest_state_of_the_file_is_replayed(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES, waiting=1.0), everywhere(fan, LOCKED))
    world.run(1)
    world.run(2, digest="older")
    world.machine = Capacity(CORES)
    world.run(2)
    taught = world.calibration()
    assert (taught.runs, taught.waiting) == (1, None)


def test_a_run_of_some_stages_is_replayed_as_such(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES), {})
    world.run(1)
    world.run(2)
    gone = {"s6", "s7"}
    world.rows = [row for row in world.rows if row.run == 0 or row.stage not in gone]
    world.runs[1] = world.runs[1]._replace(wall_s=world.wall_s * 3)
    assert world.calibration().error == pytest.approx(0.0, abs=0.01)


def test_a_run_of_a_part_teaches_and_is_no_measure_of_how_well_runs_are_predicted(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES, waiting=1.0), everywhere(fan, LOCKED))
    world.run(1)
    world.run(2, slower=1.5, part=True)
    taught = world.calibration()
    assert (taught.runs, taught.misses, taught.error) == (1, (), None)
    world.run(2)
    assert len(world.calibration().misses) == 1


def test_a_gate_ends_a_replay_and_is_no_error(tmp_path: Path) -> None:
    text = "version: 1\nstages:\n  a: 'true'\n  b: 'true'\n  ok: {gate: {prompt: Go?}, needs: [a, b]}\n"
    pipeline = read(tmp_path, text)
    world = World(pipeline, Capacity(CORES), {})
    world.run(1)
    world.run(2)
    assert world.calibration().at_jobs in (1, 2)


def test_parameters_without_a_default_and_stages_that_are_gone_are_no_trouble(tmp_path: Path) -> None:
    text = "version: 1\nparams: {channel: {choices: [beta, stable]}}\nstages:\n  a: 'true'\n  b: 'true'\n"
    pipeline = read(tmp_path, text)
    run = Run("r", "d", "parallel", 2, "success", 0, 1.0, 0.0, 2)
    row = Sample(0, "a", "success", 1, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1, 0, 0)
    for rows in ((row, row._replace(stage="b")), (row, row._replace(stage="gone"))):
        found = Samples((run,), rows, 0)
        assert calibrate.calibrate(pipeline, profile.build(pipeline, found), found, CORES).runs == 0


@pytest.mark.parametrize(("most", "runs", "waiting"), [(1000, 3, 1.0), (130, 2, 1.0), (64, 1, 1.0), (50, 1, None)])
def test_of_large_pipelines_less_is_replayed(
    fan: Pipeline, monkeypatch: pytest.MonkeyPatch, most: int, runs: int, waiting: float | None
) -> None:
    monkeypatch.setattr(calibrate, "STAGES_MAX", most)
    world = World(fan, Capacity(CORES, waiting=1.0), everywhere(fan, LOCKED))
    for jobs in (1, 2, 2, 2):
        world.run(jobs)
    taught = world.calibration()
    assert (taught.runs, taught.waiting) == (runs, waiting)


@pytest.mark.parametrize(
    ("used", "wanted_s", "expected"),
    [
        (0.0, 4.0, 0.0),
        (0.5, 2.0, 0.5),  # there was room: they got what they wanted
        (2.0, 2.0, 2.0),  # as many of ours as of theirs, half the cores each
        (1.0, 9.0, 3.0),  # nine of ours got three cores, so three of theirs got one
    ],
)
def test_what_others_wanted_is_told_by_what_ours_had_to_wait(used: float, wanted_s: float, expected: float) -> None:
    run = Run("r", "d", "parallel", 4, "success", 0, 1.0, used, 4)
    rows = [Sample(0, "a", "success", 1, 1.0, 0.0, wanted_s / 4, wanted_s / 4, 1.0, 0.0, 0.0, 1, 0, 0)] * 2
    assert calibrate.others_in(run, rows, CORES) == pytest.approx(expected)


# What only a run in parallel can tell -----------------------------------------------------------------------------


def test_stages_that_wait_and_could_run_at_once_are_named_until_there_is_a_parallel_run(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES), {"s1": LOCKED, "s2": LOCKED, "s3": LOCKED, "s4": LOCKED, "s5": LOCKED})
    world.run(1)
    (told,) = world.calibration().lacks
    assert told.startswith("s1, s2, s3 and 2 more mostly wait") and told.endswith("stagebook plan --probe")
    world.run(2)
    assert world.calibration().lacks == ()


def test_stages_that_wait_one_after_another_need_no_probe(tmp_path: Path) -> None:
    text = "version: 1\nstages:\n- a: 'true'\n- b: 'true'\n- c: 'true'\n"
    world = World(read(tmp_path, text), Capacity(CORES), {"a": LOCKED, "b": LOCKED, "c": LOCKED})
    world.run(1)
    assert world.calibration().lacks == ()


def test_one_that_waits_among_others_that_work_needs_no_probe(fan: Pipeline) -> None:
    world = World(fan, Capacity(CORES), {"s1": LOCKED})
    world.run(1)
    assert world.calibration().lacks == ()
