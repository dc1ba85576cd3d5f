"""A run without processes: the real machine, writer and story, a virtual clock, and chance from a seed.

It does what the engine does, in the order in which the engine does it, so that a journal comes to be that replays.
"""

from __future__ import annotations

import heapq
import json
import random
from typing import Callable

from tests.record.scribe import EPOCH_US, Scribe

from stagebook.model.pipeline import Pipeline, Retry, Stage, Timeouts
from stagebook.model.plain import to_plain
from stagebook.record import reader
from stagebook.record.line import members, quote
from stagebook.record.replay import replay
from stagebook.record.story import Around, Story, Usage
from stagebook.record.writer import Writer
from stagebook.scheduler import build
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import RULES, Choice
from stagebook.scheduler.vocabulary import (
    Announced,
    Began,
    CancelAsked,
    Decision,
    Ended,
    Event,
    Exited,
    Kill,
    Resumed,
    RunEnded,
    SetTimer,
    Start,
    Started,
    TimerFired,
)

USED = Usage(0.25, 0.5, 4096, 0, 512, 3, 1, "wait4")
#: Also of an attempt too short for any, and of the machine of an older journal or kernel.
AROUND = (
    None, Around(0.5, "cgroup", 0.1, others_cores=0.4, run_delay_s=0.0125, device="vda", device_busy=0.3),
    Around(0.5, others_cores=0.25), Around(0.5, run_delay_s=0.5),
)  # fmt: skip


def pipeline(*stages: Stage, file: str = "/p/stagebook.yaml", **more: object) -> Pipeline:
    return Pipeline("p", file, "native", "d1", stages, **more)  # type: ignore[arg-type]


def stage(name: str, *needs: str, **more: object) -> Stage:
    return Stage(name, name, 1, 1, "run", "true", needs, (1,) * len(needs), **more)  # type: ignore[arg-type]


def some_pipeline(chance: random.Random, count: int, has_early: bool = False) -> Pipeline:
    stages = []
    for index in range(count):
        needs = [f"s{need}" for need in range(max(0, index - 4), index) if chance.random() < 0.4]
        retry = Retry(chance.choice([1, 1, 2, 3]), chance.choice([0, 500]), 2.0)
        timeout = Timeouts(attempt_ms=chance.choice([None, 400]))
        safe, allow = chance.random() < 0.9, chance.random() < 0.2
        early = tuple(need for need in needs if has_early and chance.random() < 0.7)
        stages.append(
            stage(
                f"s{index}", *needs, retry=retry, timeouts=timeout, retry_safe=safe, allow_failure=allow, early=early,
                via={need: f"out/{need}" for need in early},
            )
        )  # fmt: skip
    return pipeline(*stages, policy=chance.choice(["strict", "lenient", "fail-fast"]))


class Play:
    """One run, played batch by batch; `step` returns False when there is nothing more to come."""

    def __init__(self, scribe: Scribe, machine: Machine, story: Story, writer: Writer, seed: int, fails: bool) -> None:
        self.scribe = scribe
        self.machine = machine
        self.plan = machine.plan
        self.story = story
        self.writer = writer
        self.chance = random.Random(seed)
        self.outcomes = ["success", "success", "success", "failure" if fails else "success"]
        self.names = [quote(planned.id) for planned in self.plan.stages]
        self.us = 0
        self.over: RunEnded | None = None
        self.heap: list[tuple[int, int, Callable[[], None]]] = []
        self.order = 0
        self.running: dict[int, int] = {}
        self.batch: list[Event] = []

    @classmethod
    def begin(
        cls, scribe: Scribe, pipe: Pipeline, choice: Choice, seed: int, cancel_at_us: int | None = None,
        fails: bool = True,
    ) -> Play:  # fmt: skip
        plan = build.build(pipe, choice)
        critical = build.critical_planned(plan)
        mode, jobs = build.mode(plan), build.jobs(plan)
        story = Story(
            pipe, scribe.run, EPOCH_US, mode=mode, jobs=jobs, policy=plan.policy, critical=critical,
            logs_directory=scribe.directory + "/logs", critical_by=plan.critical_by,
        )  # fmt: skip
        play = cls(scribe, Machine(plan), story, scribe.open(), seed, fails)
        header = members(
            pipeline=pipe.name, mode=mode, jobs=jobs, policy=plan.policy, file=pipe.file, rules=RULES, boot=None, pid=7,
            digest=pipe.digest, params={}, critical=critical, critical_by=plan.critical_by,
            choice=choice._asdict(),
        )  # fmt: skip
        play.happened(Began(0), "run.started", tail=f'{header},"plan":{json.dumps(to_plain(pipe))}')
        if cancel_at_us is not None:
            play.later(cancel_at_us, play.cancel)
        return play

    @classmethod
    def resume(cls, scribe: Scribe, seed: int, away_us: int, fails: bool = True) -> Play:
        """As a new engine, some time after the old one was gone."""
        recording = reader.load(scribe.path)
        reader.repair(scribe.path, recording)
        told = replay(recording)
        story = Story.from_recording(recording)
        epoch_us = EPOCH_US + away_us
        writer = Writer(scribe.path, scribe.run, epoch_us, recording.position)
        play = cls(scribe, told.machine, story, writer, seed, fails)
        play.us = recording.us
        for owed in told.owed:
            if isinstance(owed, Ended):
                play.ended(owed)
        for timer in told.timers:
            play.later(timer.at * 1000, lambda timer=timer.timer: play.fire(timer))
        again = told.machine.waits_again()
        names = [told.plan.stages[index].id for index in again]
        play.happened(Resumed(play.us // 1000), "run.resumed", tail=members(boot=None, pid=8, waits_again=names))
        story.resumed(again, play.us, epoch_us)
        for stage in told.machine.outstanding():
            if told.machine.state(stage) in ("running", "killing"):
                play.running[stage] = told.machine.attempt(stage)
                play.exit(stage, told.machine.attempt(stage), "error", "interrupted")
        return play

    def step(self) -> bool:
        """One batch: journal, feed, obey, then wait for what comes next."""
        events, self.batch = self.batch, []
        self.writer.write()
        self.obey(self.machine.feed(*events))
        while not self.batch:
            if self.over is not None or not self.heap or self.machine.waits_for_person:
                return False
            at, _, act = heapq.heappop(self.heap)
            self.us = max(self.us, at)
            act()
        return True

    def finish(self) -> None:
        while self.step():
            pass
        if self.over is not None:
            self.story.finished(self.us, *self.over, Around(1.0, others_cores=0.75, autogroup=True))
            self.writer.add("run.ended", self.us, tail=self.story.closing())
        self.writer.close(self.us)

    def happened(
        self, event: Event, name: str, stage: int | None = None, attempt: int | None = None, tail: str = ""
    ) -> None:
        self.batch.append(event)
        self.writer.add(name, self.us, None if stage is None else self.names[stage], attempt, tail)

    def later(self, at_us: int, act: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.heap, (at_us, self.order, act))

    def cancel(self) -> None:
        self.happened(CancelAsked(self.us // 1000, "SIGINT"), "run.cancel", tail='"why":"SIGINT"')

    def obey(self, decisions: list[Decision]) -> None:
        starts = []
        for decision in decisions:
            if isinstance(decision, Start):
                starts.append(decision)
            elif isinstance(decision, Ended):
                self.ended(decision)
            elif isinstance(decision, SetTimer):
                self.later(decision.at * 1000, lambda timer=decision.timer: self.fire(timer))
            elif isinstance(decision, Kill):
                number, why = decision.attempt, decision.why
                act = lambda stage=decision.stage, number=number, why=why: self.exit(stage, number, _KILLED[why])  # noqa: E731
                self.later(self.us + 3_000, act)
            elif isinstance(decision, RunEnded):
                self.over = decision
        self.writer.next_batch()
        for start in starts:
            self.start(start)

    def ended(self, end: Ended) -> None:
        stage, outcome, reason, flaky = end
        tail = members(outcome=outcome, reason=reason, flaky=flaky)
        self.writer.add("stage.ended", self.us, self.names[stage], None, tail)
        self.story.ended(stage, self.us, outcome, reason, flaky)

    def start(self, start: Start) -> None:
        stage, number, ready, waited = start
        self.us += 700
        log = f"s{stage}.{number}.log"
        self.running[stage] = number
        tail = members(pid=100 + stage, start=9, ready=ready / 1e3, waited=waited, log=log)
        self.happened(Started(self.us // 1000, stage, number, 100 + stage, 9), "stage.started", stage, number, tail)
        self.story.started(stage, number, self.us, ready * 1000, waited, log)
        outcome = self.chance.choice(self.outcomes)
        took = self.chance.randrange(1_000, 900_000)
        self.later(self.us + took, lambda: self.exit(stage, number, outcome))
        readers = [reader for reader, planned in enumerate(self.plan.stages) if stage in planned.early]
        if readers:
            some = tuple(self.chance.sample(readers, self.chance.randint(1, len(readers))))
            self.later(self.us + self.chance.randrange(took), lambda: self.announce(stage, number, some))

    def announce(self, stage: int, number: int, readers: tuple[int, ...]) -> None:
        if self.running.get(stage) == number:
            names = [self.plan.stages[reader].id for reader in readers]
            tail = members(outputs=[[f"out/s{stage}", 1, "0"]], early=True, dependents=names)
            event = Announced(self.us // 1000, stage, number, readers)
            self.happened(event, "output.published", stage, number, tail)

    def fire(self, timer: str) -> None:
        self.happened(TimerFired(self.us // 1000, timer), "timer.fired", tail=members(timer=timer))

    def exit(self, stage: int, number: int, outcome: str, reason: str | None = None) -> None:
        if self.running.get(stage) != number:
            return
        del self.running[stage]
        code = {"success": 0, "failure": 1}.get(outcome)
        used = None if reason == "interrupted" else USED
        usage = None if used is None else used._asdict()
        around = None if used is None else self.chance.choice(AROUND)
        more = {} if around is None else {"around": {key: value for key, value in around._asdict().items() if value}}
        tail = members(outcome=outcome, reason=reason, exit=code, signal=None, usage=usage, **more)
        event = Exited(self.us // 1000, stage, number, outcome, code, None, reason)
        self.happened(event, "stage.exited", stage, number, tail)
        self.story.exited(stage, number, self.us, outcome, reason, code, None, used, around=around)


_KILLED = {"timeout": "timeout", "cancelled": "cancellation"}
