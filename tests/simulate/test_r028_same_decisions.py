"""R28: real and simulated runs are decided by the same machine, so their decision logs agree, event for event.

A journal's batches are fed to a new machine, which must decide what the journal says was decided; then the plan is
simulated with the durations, outcomes and delays of that run, and must be decided in the same way again.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Sequence

import pytest
from tests.door.place import Place
from tests.sim.world import World
from tests.simulate.plans import same

from stagebook.record import replay as replaying
from stagebook.record.line import time_us
from stagebook.record.reader import load
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import (
    Began,
    Decision,
    Ended,
    Event,
    Exited,
    Judge,
    Judged,
    Kill,
    RunEnded,
    SetTimer,
    Shortage,
    Start,
    TimerFired,
)
from stagebook.simulate.play import go_on, play
from stagebook.simulate.work import Draw, Work

REAL = 20
INVENTED = 180

NEVER = Work(1e6)  #: of an attempt that is killed


class Log(NamedTuple):
    """What a machine was told and decided, batch by batch, and when, in microseconds."""

    plan: Plan
    batches: list[tuple[tuple[Event, ...], list[Decision]]]
    times_us: list[int]

    def decided(self) -> list[list[str]]:
        """By batch; in one batch the order in which ends came is chance."""
        return [sorted(map(repr, decisions)) for _, decisions in self.batches if decisions]


def journaled(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Log, list[dict[str, Any]]]:
    """What a new machine decides on a journal, fed by `record.replay`; and the journal's records."""
    noted: list[tuple[tuple[Event, ...], list[Decision]]] = []

    class Noting(Machine):
        __slots__ = ()

        def feed(self, *events: Event) -> list[Decision]:
            decisions = super().feed(*events)
            noted.append((events, decisions))
            return decisions

    monkeypatch.setattr(replaying, "Machine", Noting)
    recording = load(str(path))
    plan = replaying.replay(recording).plan
    times: dict[int, int] = {}
    for record in recording.records:
        if record["event"] in replaying._EVENTS:
            times.setdefault(record["batch"], time_us(record))
    assert len(times) == len(noted)
    times_us: list[int] = []
    for us in times.values():
        times_us.append(max(us, times_us[-1] + 1) if times_us else us // 1000 * 1000)
    return Log(plan, noted, times_us), recording.records


def at_one_time(log: Log) -> Log:
    """The same batches with all that is in one at its beginning, ends by stage and timers last: within a batch, order
    and time are chance, and a simulation has it so."""

    def turn(event: Event) -> tuple[int, int]:
        return (1, event.stage) if isinstance(event, Exited) else (2 if isinstance(event, TimerFired) else 0, 0)

    machine = Machine(log.plan)
    batches: list[tuple[tuple[Event, ...], list[Decision]]] = []
    for (events, _), us in zip(log.batches, log.times_us):
        placed = tuple(event._replace(at=us // 1000) for event in sorted(events, key=turn))
        batches.append((placed, machine.feed(*placed)))
    return Log(log.plan, batches, log.times_us)


def simulated(log: Log) -> Log:
    """The plan again, with what took how long in `log`."""
    at: dict[tuple[str, object], int] = {}
    works: dict[tuple[int, int], Work] = {}
    verdicts: dict[int, tuple[str, str | None]] = {}
    lags: dict[tuple[str, object], float] = {}
    for (events, decisions), us in zip(log.batches, log.times_us):
        for event in events:
            if isinstance(event, Exited) and (event.stage, event.attempt) not in works:
                key = event.stage, event.attempt
                work = Work((us - at["start", key]) / 1e6, event.outcome, event.exit, event.reason)
                works[key] = NEVER if ("kill", key) in at else work
                if ("kill", key) in at:
                    lags["kill", key] = (us - at["kill", key]) / 1e6
            elif isinstance(event, Judged):
                verdicts[event.stage] = event.verdict, event.reason
                lags["judge", event.stage] = (us - at["judge", event.stage]) / 1e6
            elif isinstance(event, TimerFired):
                lags["timer", event.timer] = (us - at["timer", event.timer]) / 1e6
        for decision in decisions:
            at[keyed(decision)] = decision.at * 1000 if isinstance(decision, SetTimer) else us
    batches: list[tuple[tuple[Event, ...], list[Decision]]] = []
    go_on(
        Machine(log.plan),
        [Began(log.times_us[0] // 1000)],
        lambda stage, attempt: works[stage, attempt],
        verdicts=verdicts.__getitem__,
        lag=lambda decision: max(0.0, lags.get(keyed(decision), 0.0)),
        onlooker=lambda events, decisions, machine: batches.append((tuple(events), list(decisions))),
    )
    return Log(log.plan, batches, [])


def keyed(decision: Decision) -> tuple[str, object]:
    if isinstance(decision, Start):
        return "start", (decision.stage, decision.attempt)
    if isinstance(decision, Kill):
        return "kill", (decision.stage, decision.attempt)
    if isinstance(decision, Judge):
        return "judge", decision.stage
    if isinstance(decision, SetTimer):
        return "timer", decision.timer
    return type(decision).__name__, decision


def told(records: Sequence[dict[str, Any]], plan: Plan) -> Iterator[tuple[object, ...]]:
    """The decisions that stand in a journal."""
    position = {stage.id: index for index, stage in enumerate(plan.stages)}
    for record in records:
        if record["event"] == "stage.started":
            yield "start", position[record["stage"]], record["attempt"], record["waited"]
        elif record["event"] == "stage.ended":
            yield "end", position[record["stage"]], record["outcome"], record.get("reason"), record["flaky"]
        elif record["event"] == "run.ended":
            yield "over", record["outcome"], record.get("reason")


def decided(log: Log) -> Iterator[tuple[object, ...]]:
    for _, decisions in log.batches:
        for decision in decisions:
            if isinstance(decision, Start):
                yield "start", decision.stage, decision.attempt, decision.waited
            elif isinstance(decision, Ended):
                yield ("end", *decision)
            elif isinstance(decision, RunEnded):
                yield ("over", *decision)


def ends_and_starts(log: Log) -> list[list[tuple[int, object]]]:
    """By batch: who starts which attempt, and who ends as what."""
    return [
        sorted(((each.stage, each[1]) for each in decisions if isinstance(each, (Start, Ended))), key=repr)
        for _, decisions in log.batches
    ]


# ------------------------------------------------------------------ real runs


def pipeline(chance: random.Random) -> dict[str, Any]:
    """A dozen small stages: some fail, some only at first, some hang, wait for a pool, or have a condition."""
    stages: dict[str, Any] = {}
    for at in range(chance.randint(6, 12)):
        takes = f"sleep 0.0{chance.randint(1, 9)}"
        at_first = f"if mkdir once-{at}; then exit 75; fi"
        ends = chance.choice(("true", "true", "true", "true", "exit 3", at_first, "sleep 60"))
        stage: dict[str, Any] = {"run": f"{takes}; {ends}"}
        needs = chance.sample(range(at), min(at, chance.choice((0, 1, 1, 2))))
        if needs:
            stage["needs"] = [f"s{need}" for need in sorted(needs)]
            if chance.random() < 0.3:
                stage["when"] = f'stages["s{needs[0]}"].outcome == "{chance.choice(("success", "failure"))}"'
        if chance.random() < 0.5:
            stage["retry"] = {"attempts": 2, "backoff": chance.choice(("10ms", "30ms"))}
        if ends == "sleep 60":
            stage["timeout"] = "60ms"
        if chance.random() < 0.4:
            stage["resources"] = {"pools": {"db": 1}}
        if chance.random() < 0.2:
            stage["allow-failure"] = True
        stages[f"s{at}"] = stage
    return {"stages": stages, "pools": {"db": 1}, "policy": chance.choice(("strict", "lenient"))}


@pytest.mark.parametrize("chunk", range(4))
def test_r028_real_runs_are_decided_as_their_journals_are_replayed_and_simulated(
    chunk: int, tmp_path: Path, stagebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    for seed in range(chunk, REAL, 4):
        chance = random.Random(seed)
        place = Place(tmp_path / f"place-{seed}", stagebook)
        try:
            made = pipeline(chance)
            place.pipeline(made.pop("stages"), **made)
            place.run("run", "--quiet", "-j", str(chance.randint(1, 4)))
            log, records = journaled(place.journal_path(), monkeypatch)
        finally:
            place.close()
        assert sorted(told(records, log.plan), key=repr) == sorted(decided(log), key=repr), f"seed {seed}"
        if not any(isinstance(event, Shortage) for events, _ in log.batches for event in events):
            placed = at_one_time(log)
            assert simulated(placed).decided() == placed.decided(), f"seed {seed}"
            assert ends_and_starts(placed) == ends_and_starts(log), f"seed {seed}"
            seen.update(type(decision).__name__ for _, decisions in log.batches for decision in decisions)
    assert {"Start", "Ended", "SetTimer", "RunEnded"} <= seen


# ------------------------------------------------------------------ invented ones


@pytest.mark.parametrize("chunk", range(3))
def test_r028_simulated_runs_are_decided_alike_when_replayed_and_when_played_with_their_durations(chunk: int) -> None:
    for seed in range(chunk, INVENTED, 3):
        world = World(seed)
        plan = world.plan
        batches: list[tuple[tuple[Event, ...], list[Decision]]] = []
        machines: list[Machine] = []

        def look(events: Sequence[Event], decisions: Sequence[Decision], machine: Machine) -> None:
            batches.append((tuple(events), list(decisions)))  # noqa: B023
            machines.append(machine)  # noqa: B023

        played = play(plan, _drawn(seed), same(0.37), onlooker=look, verdicts=_verdict)
        fresh = Machine(plan)
        for events, decisions in batches:
            assert fresh.feed(*events) == decisions, f"seed {seed}: a replay decides otherwise"
        assert fresh.snapshot() == machines[-1].snapshot(), f"seed {seed}"
        spans = {(span.stage, span.attempt): span for span in played.spans}
        again: list[list[Decision]] = []

        def recorded(stage: int, attempt: int) -> Work:
            span = spans[stage, attempt]  # noqa: B023
            work = _drawn(seed)(stage, attempt)  # noqa: B023
            return NEVER if span.outcome in ("timeout", "cancellation") else work._replace(
                wall_s=span.end_s - span.start_s
            )  # fmt: skip

        play(plan, recorded, onlooker=lambda _, decisions, __: again.append(list(decisions)), verdicts=_verdict)  # noqa: B023
        assert again == [decisions for _, decisions in batches], f"seed {seed}"


def _verdict(stage: int) -> tuple[str, str | None]:
    return ("skip", "when: x") if stage % 4 == 3 else ("run", None)


def _drawn(seed: int) -> Draw:
    def draw(stage: int, attempt: int) -> Work:
        chance = random.Random(seed * 1000 + stage * 10 + attempt)
        return Work(chance.randint(0, 20_000) / 1e6, chance.choice(("success", "success", "failure", "error")))

    return draw
