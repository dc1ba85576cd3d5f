"""What a live view knows of each stage while a run goes on: told by events, without a document or a drawing."""

from __future__ import annotations

from stagebook.report.rows import Row, Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping

DONE = frozenset({"success", "flaky", "failure", "error", "timeout", "cancellation", "skip"})
_PATIENCE_US = 50_000
ACTIVE = frozenset({"running", "slot", "backoff", "gate"})


class Lane:
    """One stage. `state` is as in the table of glyphs; `open` is its running attempt's or wait's beginning."""

    __slots__ = (
        "name", "index", "state", "critical", "needs", "expected_us", "segments", "ready_us", "open_us", "attempt",
        "reason", "holder", "wait_us", "work_us", "failed_before", "unmet", "free_us", "reads",
    )  # fmt: skip

    def __init__(self, index: int, facts: Mapping[str, Any]) -> None:
        self.name: str = facts["stage"]
        self.index = index
        self.state = "needs"
        self.critical = bool(facts.get("critical"))
        self.needs: tuple[str, ...] = tuple(facts.get("needs") or ())
        expected = facts.get("expected_s")
        self.expected_us = round(expected * 1e6) if expected else 0
        self.segments: list[Segment] = []
        self.ready_us = -1  #: when it was first free to start; -1: not yet
        self.open_us = 0
        self.attempt = 0
        self.reason = ""
        self.holder: str | None = None
        self.wait_us = 0
        self.work_us = 0
        self.failed_before = False
        self.reads = ""  #: which of its files are read just now, and how far that is, where it takes long
        self.unmet = len(self.needs)
        self.free_us = -1  #: when the last of its needs was done; -1: not yet

    def row(self, now_us: int) -> Row:
        """As it stands; what is open goes on until now."""
        segments = self.segments
        wait_us, work_us = self.wait_us, self.work_us
        if self.state == "running":
            segments = [*segments, Segment("work", self.open_us, now_us)]
            work_us += now_us - self.open_us
        elif self.state == "gate":
            segments = [*segments, Segment("gate", self.open_us, now_us)]
        elif self.state in ("slot", "backoff"):
            segments = [*segments, Segment("wait", self.open_us, now_us)]
            if self.state == "slot":
                wait_us += now_us - self.open_us
        return Row(self.state, self.name, tuple(segments), wait_us, work_us, self.critical)


class Lanes:
    """All stages of a run; every method is called as the event happens. `shown` are those that were free to start."""

    def __init__(self, stages: Iterable[Mapping[str, Any]]) -> None:
        known = list(stages)
        self.all = [Lane(index, facts) for index, facts in enumerate(known)]
        self.by_name = {lane.name: lane for lane in self.all}
        self.shown: list[Lane] = []
        self.done = 0
        self.running = 0
        self._unseen = 0  #: ended without ever having been free to start
        self._needed_by: dict[str, list[Lane]] = {}
        self._free: list[Lane] = []  #: their needs are done, and nothing was heard of them since
        for lane in self.all:
            for need in lane.needs:
                self._needed_by.setdefault(need, []).append(lane)
            if not lane.needs:
                self._free.append(lane)
        for facts, lane in zip(known, self.all):
            if facts.get("outcome"):  # it ended before an engine went on with this run
                self.ended(lane.name, facts["outcome"], -1)

    def grew(self, news: Iterable[Mapping[str, Any]]) -> None:
        """There are more stages than before, and some of before wait for them."""
        known = dict(self.by_name)
        for facts in news:
            lane = self.by_name.get(facts["stage"])
            if lane is None:
                lane = Lane(len(self.all), facts)
                self.all.append(lane)
                self.by_name[lane.name] = lane
        for facts in news:
            lane = self.by_name[facts["stage"]]
            before = lane.needs if lane.name in known else ()
            lane.needs = tuple(facts["needs"])
            more = [need for need in lane.needs if need not in set(before)]
            lane.unmet = (lane.unmet if lane.name in known else 0) + sum(
                self.by_name[need].state not in ("success", "flaky", "skip") for need in more
            )
            for need in more:
                self._needed_by.setdefault(need, []).append(lane)
            if not lane.unmet and lane.state == "needs":
                self._free.append(lane)

    def _show(self, lane: Lane, ready_us: int) -> None:
        if lane.ready_us < 0:
            lane.ready_us = ready_us
            self.shown.append(lane)
            if len(self.shown) > 1 and self.shown[-2].ready_us > ready_us:
                self.shown.sort(key=lambda one: (one.ready_us, one.index))

    def started(self, name: str, attempt: int, us: int, wait_us: int) -> None:
        lane = self.by_name[name]
        ready_us = us - wait_us
        self._show(lane, ready_us)
        if lane.state == "backoff" and ready_us > lane.open_us:
            lane.segments.append(Segment("backoff", lane.open_us, ready_us))
        if wait_us:
            lane.segments.append(Segment("wait", ready_us, us))
            lane.wait_us += wait_us
        lane.state, lane.open_us, lane.attempt = "running", us, attempt
        self.running += 1

    def waits(self, name: str, reason: str, holder: str | None, us: int) -> None:
        lane = self.by_name[name]
        self._show(lane, us)
        if lane.state != "slot":
            lane.open_us = us
        lane.state, lane.reason, lane.holder = "slot", reason, holder

    def asks(self, name: str, us: int) -> None:
        """A person is asked at this gate."""
        lane = self.by_name[name]
        if lane.state != "gate":
            self._show(lane, us)
            lane.state, lane.open_us = "gate", us

    def reads(self, name: str, words: str, us: int) -> None:
        """Before it starts, that is a wait as others are."""
        lane = self.by_name[name]
        if words and lane.state == "needs":
            self.waits(name, "slot or pool", None, us)
        lane.reads = words

    def exited(self, name: str, us: int, outcome: str, wall_us: int, again: bool) -> Lane:
        lane = self.by_name[name]
        begun = us - wall_us
        if lane.state == "running":
            begun = lane.open_us
            self.running -= 1
        self._show(lane, begun)
        kind = "failed" if again else "stopped" if outcome == "cancellation" else "work"
        lane.segments.append(Segment(kind, begun, us))
        if kind != "stopped":
            lane.work_us += us - begun
        lane.failed_before = lane.failed_before or again
        lane.state, lane.open_us = ("backoff" if again else _state(outcome, lane)), us
        return lane

    def ended(self, name: str, outcome: str, us: int) -> Lane:
        lane = self.by_name[name]
        lane.state = _state(outcome, lane)
        self.done += 1
        self._unseen += lane.ready_us < 0
        if outcome in ("success", "skip"):
            for waiting in self._needed_by.get(name, ()):
                waiting.unmet -= 1
                if not waiting.unmet:
                    waiting.free_us = us
                    self._free.append(waiting)
        return lane

    def settle(self, now_us: int, jobs: int | None) -> None:
        """A stage whose needs were done a while ago, and which does not run, waits for a slot or a pool: nobody else
        tells, as telling it of each stage would cost more than it is worth."""
        still: list[Lane] = []
        for lane in self._free:
            if lane.state != "needs" or lane.ready_us >= 0:
                continue
            if lane.free_us < 0:
                lane.free_us = now_us
            if now_us - lane.free_us < _PATIENCE_US:
                still.append(lane)
                continue
            self._show(lane, lane.free_us)
            is_full = jobs is not None and self.running >= jobs
            lane.state, lane.open_us, lane.reason = "slot", lane.free_us, "slot" if is_full else "slot or pool"
        self._free = still

    def blocked(self) -> tuple[int, Lane | None]:
        """How many wait for needs, and which of them is the nearest: it waits for the fewest that are not shown yet,
        and of those for the fewest that are not done."""
        number = len(self.all) - len(self.shown) - self._unseen
        best: Lane | None = None
        least = (0, 0)
        for active in self.shown:
            if active.state not in ACTIVE:
                continue
            for lane in self._needed_by.get(active.name, ()):
                if lane.ready_us < 0 and lane.state == "needs":
                    needs = [self.by_name[need] for need in lane.needs if need in self.by_name]
                    left = (sum(need.state == "needs" for need in needs), sum(need.state not in DONE for need in needs))
                    if best is None or (left, lane.index) < (least, best.index):
                        best, least = lane, left
        return number, best


def _state(outcome: str, lane: Lane) -> str:
    return "flaky" if outcome == "success" and lane.failed_before else outcome
