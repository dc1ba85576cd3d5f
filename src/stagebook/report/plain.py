"""A run as lines, for whatever is not a terminal: one event a line, time and stage first, nothing rewritten or cut.

No escape byte ever comes from here unless colours were asked for by name. Built for a thousand stages a second: an
event costs a few string joins, and nothing is written before `flush`.
"""

from __future__ import annotations

import time

from stagebook.report.durations import plural, size, span_us
from stagebook.report.harmless import harmless, line_of_output
from stagebook.report.style import Style
from stagebook.report.watch import Document, More, Outlet, Tail, Watcher, short_id
from stagebook.report.words import cause, ended_by, ending, resource, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Callable, Sequence

    from stagebook.model.outcome import AttemptEnd, ItemsTold

_FAILED = frozenset({"failure", "error", "timeout"})
_LINES_OF_FAILURE = 20
_MADE_MAX = 10
_ITEMS_S = 10  #: how often it is told how far items are
#: Lines kept back before they are written in any case, so that a burst does not grow without bound.
_BURST = 512


class Plain(Watcher):
    """`output`: `group` prints a stage's output when it ends, `interleave` as it comes, `fail-only` the end of what a
    failed stage printed."""

    def __init__(
        self,
        stream: IO[str],
        style: Style,
        *,
        output: str = "fail-only",
        verbose: bool = False,
        tail: Tail | None = None,
        more: More | None = None,
        short: Callable[[str], str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outlet = Outlet(stream)
        self._parts = self._outlet.parts
        self._style = style
        self._output = output
        self._verbose = verbose
        self._tail = tail
        self._more = more
        self._short = short or short_id
        self._clock = clock
        self._second = -1
        self._stamp = ""
        self._jobs: int | None = None
        self._names: dict[str, str] = {}
        self._said: dict[str, str] = {}  #: stage to the outcome that its last attempt was said to have
        self._running: dict[str, int] = {}
        self._items_at: dict[str, float] = {}  #: when it was last told of a stage how far its items are
        self._read: dict[str, str] = {}  #: stage to what is done to its files, as was said
        self._because = style.mark("because")
        if output == "interleave" and more is not None:
            self.interval_us = 100_000

    @property
    def failed(self) -> int | None:
        """errno of what stopped our words, if anything did."""
        return self._outlet.failed

    def _line(self, stage_id: str, text: str) -> None:
        now = int(self._clock())
        if now != self._second:
            self._second = now
            self._stamp = time.strftime("%H:%M:%S", time.localtime(now))
        name = self._names.get(stage_id)
        if name is None:
            name = self._names[stage_id] = self._style.plain(harmless(stage_id))
        self._parts.append(f"{self._stamp} {name}{text}\n")
        if len(self._parts) > _BURST:
            self._outlet.flush()

    def began(self, facts: Document) -> None:
        self._jobs = facts.get("jobs")
        total = facts.get("total")
        if total is None:
            total = len(facts["stages"])
        jobs = "in sequence" if facts.get("mode") == "sequential" else plural(self._jobs or 1, "job")
        text = f": run {self._short(str(facts['run']))}, {plural(total, 'stage')}, {jobs}"
        if facts.get("jobs_because"):
            text += f" ({harmless(facts['jobs_because'])})"
        if facts.get("policy"):
            text += f", policy {facts['policy']}"
        if facts.get("policy_because"):
            text += f" ({harmless(facts['policy_because'])})"
        self._line(str(facts["pipeline"]), self._style.plain(text))
        if facts.get("policy") == "lenient" and "critical_planned" in facts:
            from stagebook.report.summary import critical_set

            self._line(str(facts["pipeline"]), self._style.plain(": " + critical_set(facts)))

    def started(self, stage_id: str, attempt: int, us: int, wait_us: int, waited: str | None) -> None:
        text = ": started"
        if attempt > 1:
            text += f", attempt {attempt}"
        if waited and wait_us >= 500:
            text += f", waited {span_us(wait_us)}"
            if self._verbose:
                text += f" for {resource(waited)}"
        self._line(stage_id, text)
        if self._output == "interleave":
            self._running[stage_id] = attempt

    def waits(self, stage_id: str, reason: str, holder: str | None) -> None:
        self._line(stage_id, ": " + waiting(reason, holder, self._jobs))

    def grew(self, maker: str, news: Sequence[Document], count: int) -> None:
        made = [harmless(str(facts["stage"])) for facts in news[-count:]]
        shown = ", ".join(made[:_MADE_MAX]) + (f" and {count - _MADE_MAX} more" if count > _MADE_MAX else "")
        self._line(maker, self._style.plain(f": generated {plural(count, 'stage')}: {shown}"))

    def gate(self, card: Document) -> None:
        from stagebook.report import gate

        self._line(card["stage"], self._style.plain(": " + gate.line(card, self._short(str(card["run"])), self.look)))

    def reading(self, stage_id: str, told: tuple[int, int, str] | None) -> None:
        if told is None:
            self._read.pop(stage_id, None)
        elif self._read.get(stage_id) != told[2]:
            self._read[stage_id] = told[2]
            verb, _, what = told[2].partition(" ")
            self._line(stage_id, f": {verb} {size(told[1])} of {what}")

    def items(self, stage_id: str, told: ItemsTold) -> None:
        now = self._clock()
        if now - self._items_at.setdefault(stage_id, now) >= _ITEMS_S:
            from stagebook.report import items

            self._items_at[stage_id] = now
            self._line(stage_id, self._style.plain(f": {items.progress(told)}"))

    def exited(self, end: AttemptEnd) -> None:
        stage_id, attempt, attempts, _, outcome, reason, exit, wall_us, retry_in_us = end
        if self._running.pop(stage_id, 0):
            self._print_more(stage_id, attempt, True)
        if outcome == "success" and reason is None:
            text = f": success, {span_us(wall_us)}"
        else:
            detail = ending(outcome, reason, exit)
            # Of an attempt that a dead engine left nobody knows how long it took
            wall = f", {span_us(wall_us)}" if wall_us or reason != "interrupted" else ""
            text = f": {outcome}, {detail}{wall}" if detail else f": {outcome}{wall}"
        if retry_in_us is not None:
            text += f"; attempt {attempt + 1} of {attempts} in {span_us(retry_in_us)}"
        self._line(stage_id, self._style.plain(text))
        self._said[stage_id] = outcome
        if self._output == "group":
            self._print_more(stage_id, attempt, True)
        elif self._output == "fail-only" and outcome in _FAILED and retry_in_us is None and self._tail is not None:
            for _, data in self._tail(stage_id, attempt, _LINES_OF_FAILURE):
                self._print(stage_id, data)

    def ended(self, stage_id: str, outcome: str, reason: str | None, us: int) -> None:
        if self._said.get(stage_id) == outcome:
            return
        origin = cause(reason)
        if origin is not None:
            text = f": {outcome} {self._because} {harmless(origin[0])} {ended_by(origin[1])}"
        else:
            text = f": {outcome}, {harmless(reason)}" if reason else f": {outcome}"
        self._line(stage_id, self._style.plain(text))

    def note(self, text: str) -> None:
        self._line("warning", self._style.plain(": " + harmless(text)))

    def tick(self, us: int) -> None:
        if self._running and self._more is not None and not self._outlet.is_behind:
            for stage_id, attempt in self._running.items():
                self._print_more(stage_id, attempt, False)
            self._outlet.flush()

    def _print_more(self, stage_id: str, attempt: int, is_over: bool) -> None:
        if self._more is not None:
            for data in self._more(stage_id, attempt, is_over):
                self._print(stage_id, data)

    def _print(self, stage_id: str, data: bytes) -> None:
        self._line(stage_id, self._style.plain(" | " + line_of_output(data, self._style.color)))

    def flush(self) -> bool:
        return self._outlet.flush()

    def hurry(self) -> None:
        self._outlet.hurry()

    def finished(self, document: Document) -> None:
        from stagebook.report import summary

        excerpt = self._tail
        lines = summary.render(document, self._style, excerpt=excerpt, short=self._short(str(document["run"])))
        self._parts.append("\n" + "\n".join(lines) + "\n")
        self._outlet.end()
