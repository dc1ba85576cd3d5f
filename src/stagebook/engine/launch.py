"""Begins a run and leads it to its end: directory, lock, journal with the plan in its first line, loop.

What stands around the loop is put together here, for a resume (`resume`) too. Decides nothing.
"""

from __future__ import annotations

import os
from time import time_ns

from stagebook.engine import keeper
from stagebook.engine.account import Account, Watcher
from stagebook.engine.answers import Answers
from stagebook.engine.attempts import Attempts, hide
from stagebook.engine.clock import Clock
from stagebook.engine.control import Control
from stagebook.engine.environment import Environment
from stagebook.engine.head import head
from stagebook.engine.loop import Engine
from stagebook.engine.outputs import Outputs
from stagebook.engine.spawn import Spawner
from stagebook.engine.wakeup import Wakeup
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import DEFECT, FAILED, OK, SIGNAL_EXITS, SURROUNDINGS, WAITING
from stagebook.model.value import NamedTuple
from stagebook.observe.cgroup import Groups
from stagebook.observe.world import World
from stagebook.record import lock, state, trace
from stagebook.record.clock import boot_id, new_run_id
from stagebook.record.line import members, quote
from stagebook.record.story import Story
from stagebook.record.writer import Writer
from stagebook.scheduler import build
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import RULES, Choice, Plan
from stagebook.scheduler.vocabulary import Began, RunEnded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Container, Mapping

    from stagebook.condition.facts import Facts
    from stagebook.engine.artifacts import Artifacts
    from stagebook.engine.secrets import Secrets

SURVIVORS_S = 3.0  #: how long the processes of a dead engine may take to end


class Ways(NamedTuple):
    """How to go about it: `accounting` is `auto` or `wait4`, `durability` `normal` or `full`; `keys` is a terminal
    on which a person may type, for the watcher; `facts` are what the conditions of the file were judged by so far;
    `versions` are those found of the tools that stages require; `secrets` are read by `with_secrets`; `cache_limit` and
    `cache_age` say how much of what stages made is kept, and how long what nobody uses; `admission` is `auto`, or `off`
    where nothing is to wait for a shortage of the machine. Not `waits`: at gates the engine ends, once all else is
    done."""

    accounting: str = "auto"
    durability: str = "normal"
    keys: int | None = None
    admission: str = "auto"
    facts: Facts | None = None
    versions: Mapping[str, str] = {}
    secrets: Secrets | None = None
    cache_limit: str = "10GiB"
    cache_age: str = "30d"
    waits: bool = True


class Result(NamedTuple):
    """A run that has ended, or (`over` None) that waits for a person."""

    run: str
    directory: str
    story: Story
    over: RunEnded | None
    machine: Machine


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
    ways = with_versions(with_secrets(ways, pipeline, plan, choice), pipeline, plan)
    at = head(pipeline.folder)
    if ways.secrets is not None:
        text = ways.secrets.mask.text
        at = at._replace(commit=text(at.commit or "") or None, branch=text(at.branch or "") or None)
        choice = choice._replace(policy_because=text(choice.policy_because or "") or None)
    by = None
    if any(stage.gate is not None or stage.kind == "generate" for stage in pipeline.stages):
        from stagebook.approval import origin

        by = origin.account()
    run = new_run_id()
    directory = state.make_run(state_directory, run)
    held = lock.take(directory)
    clock = Clock()
    story = _story(pipeline, plan, choice, run, time_ns() // 1000, state.logs_directory(directory), by)
    writer = Writer(state.journal_path(directory), run, story.epoch_us, durability=ways.durability)
    experiment = os.environ.get(state.EXPERIMENT_VARIABLE)
    whose = {state.OF_EXPERIMENT: experiment} if experiment else {}
    header = members(
        pipeline=pipeline.name, mode=story.mode, jobs=story.jobs, policy=plan.policy, stages=len(plan.stages),
        file=pipeline.file, format=pipeline.format, rules=RULES, **whose, boot=boot_id(), pid=os.getpid(),
        accounting=ways.accounting, digest=pipeline.digest, params=dict(choice.params), critical=story.critical,
        critical_by=story.critical_by, jobs_because=plan.jobs_because,
        policy_because=choice.policy_because, **at._asdict(),
        traceparent=story.traceparent, **({"by": by} if by is not None else {}), choice=choice._asdict(),
    )  # fmt: skip
    engine = assemble(pipeline, plan, Machine(plan), story, writer, clock, directory, choice, ways, watch)
    writer.next_batch()
    engine.happened(Began(0), "run.started", 0, tail=f'{header},"plan":{plain}')
    return drive(engine, writer, clock, held, directory, story)


def with_secrets(ways: Ways, pipeline: Pipeline, plan: Plan, choice: Choice) -> Ways:
    """With the values of the pipeline's secrets, unless it has them. Raises SurroundingsError, InputError."""
    if not pipeline.secrets or ways.secrets is not None:
        return ways
    from stagebook.engine import secrets

    selected = {stage.id for stage in plan.stages if stage.skip is None}
    said = (*choice.params, *([("--base", choice.base)] if choice.base is not None else []))
    return ways._replace(secrets=secrets.read(pipeline, said, selected))


def with_versions(ways: Ways, pipeline: Pipeline, plan: Plan, over: Container[int] = ()) -> Ways:
    """With the versions of the tools that stages which are not `over` require. Raises SurroundingsError where one is
    missing or will not do."""
    if not any(stage.requires for stage in pipeline.stages):
        return ways
    from stagebook.engine import requires

    return ways._replace(versions=requires.check(pipeline, plan, over))


def exit_code(over: RunEnded | None) -> int:
    """The exit status that tells how a run ended."""
    if over is None:
        return WAITING
    if over.outcome == "cancellation":
        return next((code for name, code in SIGNAL_EXITS.items() if name in (over.reason or "")), FAILED)
    return {"success": OK, "skip": OK, "failure": FAILED, "timeout": FAILED, "error": SURROUNDINGS}.get(
        over.outcome, DEFECT
    )


def _story(
    pipeline: Pipeline, plan: Plan, choice: Choice, run: str, epoch_us: int, logs: str, by: str | None
) -> Story:  # fmt: skip
    return Story(
        pipeline, run, epoch_us, mode=build.mode(plan), jobs=plan.pools[0].size, policy=plan.policy,
        critical=build.critical_planned(plan), needs=[stage.needs for stage in plan.stages], logs_directory=logs,
        critical_by=plan.critical_by, jobs_because=plan.jobs_because, policy_because=choice.policy_because,
        today=choice.today, known_ms=dict(choice.durations_ms), traceparent=trace.caller(os.environ),
        started_by=by,
    )  # fmt: skip


def assemble(
    pipeline: Pipeline, plan: Plan, machine: Machine, story: Story, writer: Writer, clock: Clock, directory: str,
    choice: Choice, ways: Ways, watch: Callable[[Story], Watcher], begun: Mapping[str, int] | None = None,
) -> Engine:  # fmt: skip
    """The engine of a run whose directory is there and held. `begun`: attempts from before its file was changed."""
    secrets = ways.secrets
    values = secrets.values if secrets is not None else None
    environment = Environment(pipeline, story.run, dict(choice.params), story.traceparent, values)
    groups = None
    if ways.accounting == "auto":
        keeper.note(story.run)
        groups = Groups.open(story.run)
    output_folder = os.path.join(directory, "outputs")
    os.makedirs(output_folder, 0o700, exist_ok=True)
    places = {stage.id: index for index, stage in enumerate(plan.stages)}
    outputs = Outputs(output_folder, places, machine)
    folder = pipeline.folder
    spawner = Spawner(environment, folder, groups, outputs)
    names = [quote(stage.id) for stage in plan.stages]
    control = Control(directory, places)
    wakeup = Wakeup()
    if ways.keys is not None:
        wakeup.watch(ways.keys)
    account = Account(plan, machine, story, writer, clock, watch(story), names)
    wakeup.hurry = account.watcher.hurry
    if any(stage.job is not None for stage in pipeline.stages):
        from stagebook.engine.steps import Steps

        account.steps = Steps(directory, clock)
    attempts = Attempts(spawner, wakeup, clock, state.logs_directory(directory), World.open(folder, groups))
    answers = Answers(
        pipeline, plan, machine, story.run, choice, outputs, ways.facts, ways.admission == "auto"
    )  # fmt: skip
    if secrets is not None:
        _hide(secrets, machine, story, outputs, directory)
        writer.mask = attempts.mask = answers.mask = outputs.mask = secrets.mask
    generates = any(stage.kind == "generate" for stage in pipeline.stages)
    artifacts = shards = None
    if generates or any(stage.inputs or stage.outputs for stage in pipeline.stages):
        artifacts = _artifacts(pipeline, machine, story, outputs, environment, wakeup, directory, choice, ways)
    if generates or any(stage.split is not None for stage in pipeline.stages):
        from stagebook.engine.errands import Errands

        shards = Errands(pipeline, machine, directory, wakeup, outputs.mask)
    gates = None
    if generates or any(stage.gate is not None for stage in pipeline.stages):
        from stagebook.engine.gates import Gates

        gates = Gates(pipeline, machine, story, account, directory, wakeup, clock)
    streams = None
    if generates or any(stage.each is not None for stage in pipeline.stages):
        from stagebook.engine.items.streams import Streams

        streams = Streams(
            pipeline, machine, directory, attempts, wakeup, clock, story.items, dict(choice.params), choice.force,
            choice.dead_of, secrets.mask if secrets is not None else None,
        )  # fmt: skip
        streams.printed = artifacts.printed if artifacts is not None else None
        streams.approved = gates.approved if gates is not None else None
    generation = None
    if generates:
        from stagebook.engine.generation import Generation

        generation = Generation(pipeline, plan, choice, directory, wakeup, secrets, begun or {})
        generation.last = artifacts.last if artifacts is not None else None
    return Engine(
        pipeline, plan, machine, account, attempts, clock, control, wakeup, answers, artifacts, shards, gates,
        ways.waits, streams, generation,
    )  # fmt: skip


def _hide(secrets: Secrets, machine: Machine, story: Story, outputs: Outputs, directory: str) -> None:
    """What a dead engine may have left as it was said."""
    from stagebook.engine import leftovers

    leftovers.clear(os.path.dirname(os.path.dirname(directory)), story.run)
    for index in range(len(story.pipeline.stages)):
        if secrets.mask and machine.attempt(index):
            hide(outputs.path(index, machine.attempt(index)), secrets.mask)
    for warning in secrets.warnings:
        story.warn(warning)


def _artifacts(
    pipeline: Pipeline, machine: Machine, story: Story, outputs: Outputs, environment: Environment, wakeup: Wakeup,
    directory: str, choice: Choice, ways: Ways,
) -> Artifacts:  # fmt: skip
    """What is asked of the files of stages."""
    from stagebook.artifact.store import Store
    from stagebook.engine.artifacts import Artifacts
    from stagebook.engine.freshness import Freshness
    from stagebook.model.quantity import duration_ms, size_bytes

    cache = os.path.join(os.path.dirname(os.path.dirname(directory)), "cache")
    freshness = Freshness(pipeline, cache, environment, dict(choice.params), ways.versions)
    artifacts = Artifacts(
        pipeline, machine, freshness, outputs, wakeup, story.run, directory, choice.force,
        Store(cache, size_bytes(ways.cache_limit)), duration_ms(ways.cache_age) / 1000,
    )  # fmt: skip
    if ways.secrets is not None:
        artifacts.hide(ways.secrets)
    artifacts.restore(story)
    return artifacts


def drive(engine: Engine, writer: Writer, clock: Clock, held: int, directory: str, story: Story) -> Result:
    """Lead it to its end, and let go of everything in any case."""
    try:
        over = engine.run()
        writer.close(clock.us())
    except BaseException:
        writer.abandon()
        raise
    finally:
        engine.close()
        lock.release(held)
    return Result(story.run, directory, story, over, engine.machine)
