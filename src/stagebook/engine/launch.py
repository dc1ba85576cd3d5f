"""Begins a run, or goes on with one, and leads it to its end: what stands around the loop, in order. Decides nothing.

A new run: directory, lock, journal with the plan in its first line, loop. A resume: lock, journal repaired and
replayed, survivors of the dead engine ended, what was running reported as interrupted, loop.
"""

from __future__ import annotations

import os
import signal
from time import monotonic, sleep, time_ns
from typing import Callable, NamedTuple

from stagebook.engine import kernel
from stagebook.engine.clock import Clock
from stagebook.engine.control import Control
from stagebook.engine.environment import Environment, trace_of
from stagebook.engine.loop import Engine, Watcher
from stagebook.engine.spawn import Spawner
from stagebook.engine.wakeup import Wakeup
from stagebook.model.outcome import OUTCOMES
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import DEFECT, FAILED, OK, SIGNAL_EXITS, SURROUNDINGS, WAITING, SurroundingsError
from stagebook.observe.cgroup import Groups
from stagebook.record import lock, reader, replay, retelling, state
from stagebook.record.clock import boot_id, new_run_id
from stagebook.record.growth import Growth
from stagebook.record.line import members, quote
from stagebook.record.story import Story
from stagebook.record.writer import Writer
from stagebook.scheduler import build
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Choice, Plan
from stagebook.scheduler.vocabulary import Began, Exited, RerunAnswered, Resumed, RunEnded

SURVIVORS_S = 3.0  #: how long the processes of a dead engine may take to end


class Ways(NamedTuple):
    """How to go about it: `accounting` is `auto` or `wait4`, `durability` `normal` or `full`."""

    accounting: str = "auto"
    durability: str = "normal"


class Result(NamedTuple):
    """A run that has ended, or (`over` None) that waits for a person."""

    run: str
    directory: str
    story: Story
    over: RunEnded | None
    waiting: Callable[[int], str | None]


def start(
    pipeline: Pipeline,
    plain: str,
    choice: Choice,
    plan: Plan,
    state_directory: str,
    ways: Ways,
    watch: Callable[[Story], Watcher],
) -> Result:
    """Run a pipeline. `plain` is the pipeline as JSON text, as the journal keeps it. Raises SurroundingsError."""
    run = new_run_id()
    directory = state.make_run(state_directory, run)
    held = lock.take(directory)
    clock = Clock()
    story = _story(pipeline, plan, run, time_ns() // 1000, state.logs_directory(directory))
    writer = Writer(state.journal_path(directory), run, story.epoch_us, durability=ways.durability)
    header = members(
        pipeline=pipeline.name, mode=story.mode, jobs=story.jobs, policy=plan.policy, stages=len(plan.stages),
        file=pipeline.file, format=pipeline.format, boot=boot_id(), pid=os.getpid(), accounting=ways.accounting,
        digest=pipeline.digest, params=dict(choice.params), critical=story.critical,
        choice=replay.choice_to_plain(choice),
    )  # fmt: skip
    engine = _engine(pipeline, plan, Machine(plan), story, writer, clock, directory, choice, ways, watch)
    writer.next_batch()
    engine.happened(Began(0), "run.started", 0, tail=f'{header},"plan":{plain}')
    return _drive(engine, writer, clock, held, directory, story)


def resume(
    state_directory: str,
    run: str,
    ways: Ways,
    watch: Callable[[Story], Watcher],
    again: tuple[str, ...] = (),
    done: tuple[str, ...] = (),
) -> Result:
    """Go on with a run. `again` and `done` are stages a person has judged. Raises SurroundingsError, InputError."""
    directory = state.run_directory(state_directory, run)
    held = lock.take(directory)
    path = state.journal_path(directory)
    recording = reader.load(path)
    reader.repair(path, recording)
    told = replay.replay(recording)
    end_survivors(run)
    story = retelling.retell(recording.records, path)
    position = recording.position
    clock = Clock(position.us)
    epoch_us = time_ns() // 1000 - position.us
    writer = Writer(path, run, epoch_us, position, ways.durability)
    if recording.tail_text:
        story.warn(recording.tail_text)
    machine = told.machine
    engine = _engine(told.pipeline, told.plan, machine, story, writer, clock, directory, told.choice, ways, watch)
    engine.catch_up(told.owed, told.timers)
    writer.next_batch()
    us = clock.us()
    again_waiting = _waits_again(recording, us // 1000)
    names = [told.plan.stages[index].id for index in again_waiting]
    engine.happened(
        Resumed(us // 1000), "run.resumed", us, tail=members(boot=boot_id(), pid=os.getpid(), waits_again=names)
    )
    story.resumed(again_waiting, us, epoch_us)
    for stage in machine.outstanding():
        if machine.state(stage) not in ("running", "killing"):
            continue
        attempt = machine.attempt(stage)
        engine.happened(
            Exited(us // 1000, stage, attempt, "error", None, None, "interrupted"), "stage.exited", us, stage, attempt,
            '"outcome":"error","reason":"interrupted","exit":null,"signal":null,"usage":null',
        )  # fmt: skip
        story.exited(stage, attempt, us, "error", "interrupted")
    ids = {planned.id: index for index, planned in enumerate(told.plan.stages)}
    for stage_id, is_again in [(name, True) for name in again] + [(name, False) for name in done]:
        engine.happened(
            RerunAnswered(us // 1000, ids[stage_id], is_again), "gate.answered", us, ids[stage_id], None,
            members(rerun=is_again),
        )  # fmt: skip
    return _drive(engine, writer, clock, held, directory, story)


def end_survivors(run: str) -> None:
    """End what a dead engine's stages left alive, found by the run's mark, before anything of it starts again.

    Raises SurroundingsError if something will not die: never two copies at once.
    """
    mark = b"STAGEBOOK_RUN=" + run.encode()
    deadline = monotonic() + SURVIVORS_S
    while alive := kernel.marked(mark):
        for pid in alive:
            kernel.send(pid, signal.SIGKILL)
        if monotonic() > deadline:
            names = ", ".join(f"{kernel.command_of(pid)} (pid {pid})" for pid in alive)
            raise SurroundingsError(f"processes of run {run} still live and cannot be ended: {names}")
        sleep(0.005)


def exit_code(over: RunEnded | None) -> int:
    """The exit status that tells how a run ended."""
    if over is None:
        return WAITING
    if over.outcome == "cancellation":
        return next((code for name, code in SIGNAL_EXITS.items() if name in (over.reason or "")), FAILED)
    return {"success": OK, "skip": OK, "failure": FAILED, "timeout": FAILED, "error": SURROUNDINGS}.get(
        over.outcome, DEFECT
    )


def _story(pipeline: Pipeline, plan: Plan, run: str, epoch_us: int, logs: str) -> Story:
    return Story(
        pipeline, run, epoch_us, mode=build.mode(plan), jobs=plan.pools[0].size, policy=plan.policy,
        critical=build.critical_planned(plan), needs=[stage.needs for stage in plan.stages], logs_directory=logs,
    )  # fmt: skip


def _engine(
    pipeline: Pipeline, plan: Plan, machine: Machine, story: Story, writer: Writer, clock: Clock, directory: str,
    choice: Choice, ways: Ways, watch: Callable[[Story], Watcher],
) -> Engine:  # fmt: skip
    environment = Environment(pipeline, story.run, dict(choice.params), trace_of(os.environ))
    groups = Groups.open(story.run) if ways.accounting == "auto" else None
    outputs = os.path.join(directory, "outputs")
    os.makedirs(outputs, 0o700, exist_ok=True)
    folder = os.path.dirname(pipeline.file)
    spawner = Spawner(environment, folder, groups, outputs)
    names = [quote(stage.id) for stage in plan.stages]
    control = Control(directory, {stage.id: index for index, stage in enumerate(plan.stages)})
    growth = Growth(state.logs_directory(directory))
    return Engine(
        pipeline,
        plan,
        machine,
        story,
        writer,
        spawner,
        clock,
        watch(story),
        control,
        growth,
        directory,
        Wakeup(),
        names,
    )


def _drive(engine: Engine, writer: Writer, clock: Clock, held: int, directory: str, story: Story) -> Result:
    try:
        over = engine.run()
        writer.close(clock.us())
    except BaseException:
        writer.abandon()
        raise
    finally:
        engine.close()
        lock.release(held)
    return Result(story.run, directory, story, over, engine.machine.waiting)


def _waits_again(recording: reader.Recording, at_ms: int) -> list[int]:
    """Stages whose recorded ends a resume takes back: tried out on a machine of its own, as the line that names them
    is written before the real one is told."""
    if not any(record["event"] == "run.cancel" for record in recording.records):
        return []
    machine = replay.replay(recording).machine
    ended = [index for index in range(len(machine.plan.stages)) if machine.state(index) in OUTCOMES]
    machine.feed(Resumed(at_ms))
    return [index for index in ended if machine.state(index) not in OUTCOMES]
