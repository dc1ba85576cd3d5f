"""Goes on with a run: lock, journal repaired and replayed, survivors of the dead engine ended, what was running
reported as interrupted, loop. Of what is on record as ended only that is repeated which the machine takes back; what
is unknown is called unknown.
"""

from __future__ import annotations

import json
import os
import signal
from time import monotonic, sleep, time_ns

from stagebook.engine import kernel
from stagebook.engine.account import Watcher
from stagebook.engine.clock import Clock
from stagebook.engine.launch import Result, Ways, assemble, drive, with_secrets, with_versions
from stagebook.engine.loop import Engine
from stagebook.model.joining import taken_over
from stagebook.model.outcome import OUTCOMES
from stagebook.model.pipeline import Pipeline
from stagebook.model.plain import to_plain
from stagebook.model.problem import InputError, SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.observe.cgroup import Groups
from stagebook.record import lock, measured, reader, replay, retelling, state
from stagebook.record.clock import boot_id
from stagebook.record.line import members
from stagebook.record.story import Story
from stagebook.record.writer import Writer
from stagebook.scheduler import build, replan
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import (
    Began,
    CancelAsked,
    Ended,
    Event,
    Exited,
    GateAnswered,
    RerunAnswered,
    Resumed,
    RunEnded,
    SetTimer,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

SURVIVORS_S = 3.0  #: how long the processes of a dead engine may take to end


class Asked(NamedTuple):
    """What a person says of interrupted stages that are not safe to repeat: run again, or done."""

    again: tuple[str, ...] = ()
    done: tuple[str, ...] = ()


class Change(NamedTuple):
    """A pipeline that takes the place of the one a run began with; `plain` is it as JSON text, `changed` are ids."""

    pipeline: Pipeline
    plain: str
    changed: tuple[str, ...]


class Outlook(NamedTuple):
    """What a resume would do: feed these events to this machine. `again` are stages whose ends it would take back,
    `lost` those whose attempts are interrupted."""

    plan: Plan
    machine: Machine
    events: list[Event]
    again: list[str]
    lost: list[str]


def foresee(state_directory: str, run: str, asked: Asked = Asked(), change: Change | None = None) -> Outlook:
    """The same as `resume` up to the point where it would begin; nothing is written, ended or started."""
    directory = state.run_directory(state_directory, run)
    holder = lock.holder(directory)
    if holder is not None:
        raise SurroundingsError(f"run {run} is held by another engine (pid {holder})")
    path = state.journal_path(directory)
    recording = reader.load(path)
    measured.refuse(recording)
    told = replay.replay(recording)
    machine, us, at = told.machine, recording.us, recording.us // 1000
    is_cancelled = machine.is_cancelled or None in told.cancels
    again = [] if is_cancelled else machine.waits_again()
    lost = [stage for stage in machine.outstanding() if machine.state(stage) in ("running", "killing")]
    names = [[told.plan.stages[index].id for index in some] for some in (again, lost)]
    answers, cancels = _answers(told, asked), told.cancels
    exits = [Exited(at, stage, machine.attempt(stage), "error", None, None, "interrupted") for stage in lost]
    if change is None or is_cancelled:
        said = _sayings(at, answers, cancels)
        decided, _ = _of_gates(told, retelling.retell(recording.records, path), us)
        said = [*(each._replace(at=at) for each in decided), *said]
        return Outlook(told.plan, machine, [Resumed(at, not is_cancelled), *exits, *said], *names)
    story = retelling.retell(recording.records, path)
    for end in told.owed:
        if isinstance(end, Ended):
            story.ended(end.stage, us, end.outcome, end.reason)
    for stage in lost:
        story.exited(stage, machine.attempt(stage), us, "error", "interrupted")
    story.resumed(again)
    plan, _, _ = _replan(told, story, _with_generated(told, story, change))
    said = _sayings(at, *_translated(told.plan, plan, answers, cancels))
    return Outlook(plan, Machine(plan), [Began(at), *said], *names)


def resume(
    state_directory: str,
    run: str,
    ways: Ways,
    watch: Callable[[Story], Watcher],
    asked: Asked = Asked(),
    change: Change | None = None,
) -> Result:
    """Go on with a run. Raises SurroundingsError, and InputError for a stage in `asked` that asks nothing."""
    state.refuse_links(state_directory)
    directory = state.run_directory(state_directory, run)
    held = lock.take(directory)
    path = state.journal_path(directory)
    recording = reader.load(path)
    measured.refuse(recording)
    told = replay.replay(recording)
    answers = _answers(told, asked)
    ways = _with_versions(ways, told, change)
    reader.repair(path, recording)
    end_survivors(run)
    if any(pool.machine for pool in told.plan.pools):
        from stagebook.engine import lease

        lease.clear(run)
    story = retelling.retell(recording.records, path)
    clock = Clock(recording.us)
    epoch_us = time_ns() // 1000 - recording.us
    writer = Writer(path, run, epoch_us, recording.position, ways.durability)
    if recording.tail_text:
        story.warn(recording.tail_text)
    if story.outcome is not None and not told.machine.can_go_on:
        return _announce(writer, held, directory, story, told.machine)
    is_cancelled = told.machine.is_cancelled or None in told.cancels
    again = [] if is_cancelled else told.machine.waits_again()
    if change is not None and not is_cancelled:
        change = _with_generated(told, story, change)
        if change.pipeline.secrets:
            plan = build.build(change.pipeline, told.choice)
            ways = with_secrets(ways, change.pipeline, plan, told.choice)
        return _go_on_changed(told, story, change, writer, clock, held, directory, ways, watch, again, answers)
    ways = with_secrets(ways, told.pipeline, told.plan, told.choice)
    engine = assemble(
        told.pipeline, told.plan, told.machine, story, writer, clock, directory, told.choice, ways, watch, told.begun
    )  # fmt: skip
    decided, timers = _of_gates(told, story, clock.us())
    engine.catch_up(told.owed, timers)
    writer.next_batch()
    us = clock.us()
    names = [told.plan.stages[index].id for index in again]
    tail = members(boot=boot_id(), pid=os.getpid(), waits_again=names, takes_back=not is_cancelled)
    engine.happened(Resumed(us // 1000, not is_cancelled), "run.resumed", us, tail=tail)
    story.resumed(again, us, epoch_us)
    _report_interrupted(engine, us)
    for answer in decided:
        tail = members(approved=answer.approved, reason=answer.reason)
        engine.happened(answer._replace(at=us // 1000), "gate.answered", us, answer.stage, tail)
    _say(engine, us, answers, told.cancels)
    return drive(engine, writer, clock, held, directory, story)


def _of_gates(told: replay.Replay, story: Story, us: int) -> tuple[list[GateAnswered], list[SetTimer]]:
    """What people have decided at gates since the dead engine last heard of them, and all timers as they are now."""
    if not story.gates:
        return [], told.timers
    from stagebook.engine import gates

    return gates.decided(told.pipeline, told.machine, story), gates.left_ms(told.timers, story, us // 1000)


def _with_versions(ways: Ways, told: replay.Replay, change: Change | None) -> Ways:
    """With those of the tools that what is still to do requires. Raises SurroundingsError."""
    if change is not None:
        return with_versions(ways, change.pipeline, build.build(change.pipeline, told.choice))
    again = told.machine.waits_again()
    stages = range(len(told.plan.stages))
    over = {index for index in stages if told.machine.state(index) in OUTCOMES and index not in again}
    return with_versions(ways, told.pipeline, told.plan, over)


def _say(engine: Engine, us: int, answers: list[tuple[int, bool]], cancels: list[int | None]) -> None:
    """What people have said since the dead engine last heard of them."""
    for event in _sayings(us // 1000, answers, cancels):
        if isinstance(event, RerunAnswered):
            engine.happened(event, "gate.answered", us, event.stage, members(rerun=event.again))
        else:
            engine.happened(event, "run.cancel", us, event.stage, '"why":"cancel"')


def _sayings(
    at: int, answers: list[tuple[int, bool]], cancels: list[int | None]
) -> list[RerunAnswered | CancelAsked | GateAnswered]:  # fmt: skip
    said = [RerunAnswered(at, index, is_again) for index, is_again in answers]
    return [*said, *[CancelAsked(at, "cancel", stage) for stage in cancels]]


def _translated(
    old: Plan, new: Plan, answers: list[tuple[int, bool]], cancels: list[int | None]
) -> tuple[list[tuple[int, bool]], list[int | None]]:
    """The same by the places of another plan; what is said of stages that are gone is left out."""
    at = {planned.id: index for index, planned in enumerate(new.stages)}
    place = {index: at[planned.id] for index, planned in enumerate(old.stages) if planned.id in at}
    answers = [(place[index], is_again) for index, is_again in answers if index in place]
    return answers, [place[stage] for stage in cancels if stage in place]


def _with_generated(told: replay.Replay, story: Story, change: Change) -> Change:
    """With what stages have generated that stand. What one that is changed had generated is gone: it generates anew.
    Raises InputError."""
    makers = {stage.made_by for stage in told.pipeline.stages if stage.made_by is not None}
    if not makers:
        return change
    ended = {
        planned.id
        for planned, end, attempts in zip(told.plan.stages, story.ends, story.attempts)
        if end is not None and end.outcome == "success" and attempts
    }
    try:
        while True:
            whole = taken_over(change.pipeline, told.pipeline, makers)
            fresh = build.build(whole, told.choice)
            ends = {stage.id: ("success", None) for stage in fresh.stages if stage.id in ended}
            standing = makers & replan.standing(fresh, change.changed, ends).keys()
            if standing == makers:
                break
            makers = standing
    except ValueError as clash:
        raise InputError(f"{change.pipeline.file}: {clash}; give it another one") from None
    if len(whole.stages) == len(change.pipeline.stages):
        return change
    plain = json.dumps(to_plain(whole), separators=(",", ":"))
    return Change(whole, plain, change.changed)


def _replan(
    told: replay.Replay, story: Story, change: Change
) -> tuple[Plan, dict[str, tuple[str, str | None]], dict[str, int]]:
    """The changed plan with what stands, the ends that stand, and the attempts that were begun."""
    ends = {
        planned.id: (end.outcome, end.reason)
        for planned, end, attempts in zip(told.plan.stages, story.ends, story.attempts)
        if end is not None and end.outcome != "skip" and attempts
    }
    begun = {planned.id: len(attempts) for planned, attempts in zip(told.plan.stages, story.attempts)}
    fresh = build.build(change.pipeline, told.choice)
    kept = replan.standing(fresh, change.changed, ends)
    plan = replan.keep(fresh, kept, begun)
    Machine(plan).feed(Began(0))  # what no machine can begin with must not get into the journal
    return plan, kept, begun


def _go_on_changed(
    told: replay.Replay, story: Story, change: Change, writer: Writer, clock: Clock, held: int, directory: str,
    ways: Ways, watch: Callable[[Story], Watcher], again: list[int], answers: list[tuple[int, bool]],
) -> Result:  # fmt: skip
    """Go on by another plan: first the old one's account is closed, then a new machine begins with what stands."""
    old = assemble(told.pipeline, told.plan, told.machine, story, writer, clock, directory, told.choice, ways, watch)
    old.catch_up(told.owed, [])
    writer.next_batch()
    us = clock.us()
    _report_interrupted(old, us)
    old.give_way()
    story.resumed(again)
    plan, kept, begun = _replan(told, story, change)
    critical = build.critical_planned(plan)
    story.replanned(change.pipeline, critical, kept, us, writer.epoch_us, plan.critical_by)
    engine = assemble(
        change.pipeline, plan, Machine(plan), story, writer, clock, directory, told.choice, ways, watch, begun
    )  # fmt: skip
    writer.next_batch()
    tail = members(
        boot=boot_id(), pid=os.getpid(), digest=change.pipeline.digest, critical=critical,
        critical_by=plan.critical_by, kept=kept, begun=begun,
    )  # fmt: skip
    engine.happened(Began(us // 1000), "run.resumed", us, tail=f'{tail},"plan":{change.plain}')
    _say(engine, us, *_translated(told.plan, plan, answers, told.cancels))
    return drive(engine, writer, clock, held, directory, story)


def _announce(writer: Writer, held: int, directory: str, story: Story, machine: Machine) -> Result:
    """The run had ended, and its engine with it before the end was durable: make it so, nothing is run again."""
    assert story.end_us is not None and story.outcome is not None
    try:
        reader.settle(writer.path)
        writer.add("journal.synced", story.end_us)
        writer.close(story.end_us)
    finally:
        writer.abandon()
        lock.release(held)
    return Result(story.run, directory, story, RunEnded(story.outcome, story.reason), machine)


def _answers(told: replay.Replay, asked: Asked) -> list[tuple[int, bool]]:
    """Stages by index with what is to become of each: those that have begun, are not safe to repeat, and have no end
    or one that is taken back."""
    again = set(told.machine.waits_again())
    places = {planned.id: index for index, planned in enumerate(told.plan.stages)}
    found = []
    for stage, is_again in [(stage, True) for stage in asked.again] + [(stage, False) for stage in asked.done]:
        index = places.get(stage)
        if index is None:
            raise InputError(f"no stage `{stage}` in run {told.header.run}")
        is_over = told.machine.state(index) in OUTCOMES and index not in again
        if told.plan.stages[index].retry_safe or not told.machine.attempt(index) or is_over:
            raise InputError(f"`{stage}` does not wait for an answer; it is {told.machine.state(index)}")
        if not is_again and told.plan.stages[index].each is not None:
            _refuse_items_left(told, index)
        found.append((index, is_again))
    return found


def _refuse_items_left(told: replay.Replay, index: int) -> None:
    """A stage is not done while some of its items have not even begun."""
    items, stage = told.machine.items(index), told.plan.stages[index].id
    left = len(told.machine.on_way(index))
    if left or not items.is_all:
        more = "" if items.is_all else ", and more may come"
        raise InputError(
            f"`{stage}` works through items, and {left} that have come are not done{more}; `--again {stage}` does "
            "these, and those that were under way once more"
        )


def _report_interrupted(engine: Engine, us: int) -> None:
    """Attempts that the record has begun and not ended."""
    for stage in engine.machine.outstanding():
        if engine.machine.state(stage) in ("running", "killing"):
            engine.interrupted(stage, us)


def end_survivors(run: str) -> None:
    """End what a dead engine's stages left alive, found by the run's mark, before anything of it starts again.

    Raises SurroundingsError if something will not die: never two copies at once.
    """
    mark = b"STAGEBOOK_RUN=" + run.encode()
    Groups.kill_left(run)
    deadline = monotonic() + SURVIVORS_S
    while alive := kernel.marked(mark):
        for pid in alive:
            kernel.send(pid, signal.SIGKILL)
        if monotonic() > deadline:
            names = ", ".join(f"{kernel.command_of(pid)} (pid {pid})" for pid in alive)
            raise SurroundingsError(f"processes of run {run} still live and cannot be ended: {names}")
        sleep(0.005)
