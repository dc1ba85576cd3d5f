"""Finds in the lines of a journal what is to be told, and when. Pure: lines and times go in, occasions come out.

A failure is held back for a moment, as the run's end often follows and says more; what then has been told of is not
told again at the end. How long what is left will take at least is the longest way through stages that are not over, by
what they took before: of running ones what is left of it.
"""

from __future__ import annotations

from stagebook.notify.message import Occasion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.model.pipeline import Pipeline

FAILED = ("failure", "error", "timeout")
HOLD_S = 2.0  #: how long a failed stage waits for the end of its run, or for others that fail
SAID_MAX = 8  #: dead items that are named
GATHER_S = 5.0  #: how long dead items wait for others
LOOK_MIN_S, LOOK_MAX_S = 1.0, 30.0  #: how often it is asked whether the run will be late
#: Lines that matter; all others are not even decoded. What is expected needs that of `STARTED` too.
EVENTS = frozenset(["run.started", "run.resumed", "run.ended", "stage.ended", "gate.asked", "items.dead"])
STARTED = "stage.started"
NEVER_S = float("inf")


class News:
    """What one run has come to. Times are seconds since it began, by its own clock."""

    def __init__(self) -> None:
        self.outcome: str | None = None
        self.is_begun = False
        self._ready: list[Occasion] = []
        self._failed: dict[str, float] = {}
        self._dead: dict[str, tuple[float, int, list[Mapping[str, Any]]]] = {}
        self._forecast: Forecast | None = None
        self._look_at_s = NEVER_S

    def expect(self, pipeline: Pipeline, known_ms: Mapping[str, int]) -> None:
        """By which durations to say whether a run will be late; nothing is said where no time is set."""
        if pipeline.sla_ms is not None:
            self._forecast = Forecast(pipeline, known_ms)
            self._look_at_s = 0.0

    def heard(self, record: Mapping[str, Any]) -> None:
        """A line of the journal, in order."""
        event, at_s = record["event"], float(record["t"])
        self.is_begun = True
        if event == "run.ended":
            self.outcome = record["outcome"]
            self._end(at_s)
        elif event == "run.resumed":
            self.outcome = None
            self._ready.clear()  # what had come to be by then was told by who followed it then
            for stage in record.get("waits_again", ()):
                self._failed.pop(stage, None)
                if self._forecast is not None:
                    self._forecast.waits(stage)
        elif event == STARTED and self._forecast is not None:
            self._forecast.started(record["stage"], at_s)
            self._look_at_s = min(self._look_at_s, at_s + LOOK_MIN_S)
        elif event == "stage.ended":
            if self._forecast is not None:
                self._forecast.ended(record["stage"])
            if record["outcome"] in FAILED:
                self._failed[record["stage"]] = at_s
            self._tell_dead(record["stage"])
        elif event == "gate.asked":
            self._ready.append(Occasion("gate", "stage", (record["stage"],), record))
        elif event == "items.dead":
            first_s, count, said = self._dead.get(record["stage"], (at_s, 0, []))
            if len(said) < SAID_MAX:
                said = [*said, record]
            self._dead[record["stage"]] = first_s, count + 1, said

    def gone(self) -> None:
        """The engine is, and the run has no end."""
        for stage in list(self._dead):
            self._tell_dead(stage)
        self._ready.append(Occasion("failure", "gone", tuple(self._failed)))
        self._failed.clear()

    def due(self, now_s: float) -> list[Occasion]:
        """What is to be told by now, each once."""
        if self.outcome is None:
            if self._failed and now_s >= min(self._failed.values()) + HOLD_S:
                self._ready.append(Occasion("failure", "stage", tuple(self._failed)))
                self._failed.clear()
            for stage, (first_s, _, _) in list(self._dead.items()):
                if now_s >= first_s + GATHER_S:
                    self._tell_dead(stage)
            if now_s >= self._look_at_s:
                self._foresee(now_s)
        found, self._ready = self._ready, []
        return found

    @property
    def look_at_s(self) -> float:
        """When `due` may have something that no line brings."""
        if self.outcome is not None:
            return NEVER_S
        times = [at_s + HOLD_S for at_s in self._failed.values()]
        times += [first_s + GATHER_S for first_s, _, _ in self._dead.values()]
        return min([self._look_at_s, *times])

    def _end(self, at_s: float) -> None:
        for stage in list(self._dead):
            self._tell_dead(stage)
        if self._forecast is not None and at_s > self._forecast.sla_s:
            self._ready.append(self._late(at_s))
        if self.outcome in FAILED:
            self._ready.append(Occasion("failure", "run", tuple(self._failed)))
        elif self.outcome == "cancellation":
            self._ready.append(Occasion("cancel"))
        else:
            self._ready += [Occasion("success"), Occasion("recovery")]
        self._failed.clear()

    def _tell_dead(self, stage: str) -> None:
        if stage in self._dead:
            _, count, items = self._dead.pop(stage)
            self._ready.append(Occasion("dead-letter", "stage", (stage,), {"count": count, "items": items}))

    def _foresee(self, now_s: float) -> None:
        forecast = self._forecast
        if forecast is None:
            self._look_at_s = NEVER_S
            return
        if now_s > forecast.sla_s:
            self._ready.append(self._late(now_s))
            self._look_at_s = NEVER_S
            return
        rest_s = forecast.rest_s(now_s)
        left_s = forecast.sla_s - now_s - rest_s
        if left_s < 0:
            more = {"sla_s": forecast.sla_s, "gone_s": now_s, "rest_s": rest_s}
            self._ready.append(Occasion("sla-risk", "risk", (), more))
            self._look_at_s = forecast.sla_s + 0.001
        else:
            self._look_at_s = min(now_s + min(max(LOOK_MIN_S, left_s), LOOK_MAX_S), forecast.sla_s + 0.001)

    def _late(self, now_s: float) -> Occasion:
        sla_s = self._forecast.sla_s if self._forecast is not None else 0.0
        return Occasion("sla-risk", "late", (), {"sla_s": sla_s, "gone_s": now_s, "rest_s": 0.0})


class Forecast:
    """How long what is left will take at the least."""

    def __init__(self, pipeline: Pipeline, known_ms: Mapping[str, int]) -> None:
        from stagebook.graph.shape import order

        self.sla_s = (pipeline.sla_ms or 0) / 1000
        self._ids = [stage.id for stage in pipeline.stages]
        at = {stage: index for index, stage in enumerate(self._ids)}
        self._needs = [[at[need] for need in stage.needs if need in at] for stage in pipeline.stages]
        self._order = order(self._needs)
        self._took_s = {
            stage.id: known_ms.get(stage.id, stage.duration_ms or 0) / 1000 for stage in pipeline.stages
        }  # fmt: skip
        self._since_s: dict[str, float] = {}
        self._over: set[str] = set()

    def started(self, stage: str, at_s: float) -> None:
        self._since_s[stage] = at_s

    def ended(self, stage: str) -> None:
        self._over.add(stage)

    def waits(self, stage: str) -> None:
        self._over.discard(stage)
        self._since_s.pop(stage, None)

    def rest_s(self, now_s: float) -> float:
        """The longest way through stages that are not over, in seconds; unknown durations are 0."""
        rest = [0.0] * len(self._ids)
        for index in self._order:
            stage = self._ids[index]
            if stage in self._over:
                continue
            own_s = self._took_s[stage]
            if stage in self._since_s:
                own_s = max(0.0, own_s - (now_s - self._since_s[stage]))
            rest[index] = own_s + max([rest[need] for need in self._needs[index]], default=0.0)
        return max(rest, default=0.0)
