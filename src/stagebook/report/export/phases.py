"""What each stage did when, for exports: waits, attempts and pauses with what they were for, on the run's own clock.

`rows` has the same as segments of a drawing, folded; here nothing is folded and each phase keeps its attempt.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.report import rows, words
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"

WORK = frozenset({"work", "failed", "stopped"})


class Phase(NamedTuple):
    """`kind` as of a Segment: wait, backoff, work, failed or stopped. Microseconds since the run began. `attempt` is
    the document's; of a wait or pause, the attempt that it came before. `is_open`: it goes on, and `to_us` is now."""

    kind: str
    from_us: int
    to_us: int
    attempt: Document
    is_open: bool = False


class Course(NamedTuple):
    """One stage that had an attempt at least."""

    stage: Document
    phases: tuple[Phase, ...]

    @property
    def works(self) -> tuple[Phase, ...]:
        return tuple([phase for phase in self.phases if phase.kind in WORK])


class Courses(NamedTuple):
    """In the order of the document. `total_us` is the run's length until its end or now, 1 at least."""

    courses: list[Course]
    total_us: int


def courses(document: Document, now_us: int | None = None) -> Courses:
    """All stages that ran. What is open goes on until `now_us`, or until the last that is known."""
    read = rows.instants()
    ran = [stage for stage in document["stages"] if stage["attempts"]]
    has_clock = bool(ran) and "from_s" in ran[0]["attempts"][0]
    begin = 0 if has_clock else read(document["started"])
    spans = [(stage, [_span(attempt, read, begin) for attempt in stage["attempts"]]) for stage in ran]
    known = [us for _, times in spans for span in times for us in span if us is not None]
    known += [us for stage in document["stages"] for us in _gate_us(stage)]
    end = max([*known, now_us or 0, 1])
    if document["finished"] is not None:
        end = max(end, round(document["wall_s"] * 1e6))
    return Courses([Course(stage, _phases(stage, times, end)) for stage, times in spans], end)


def _gate_us(stage: Document) -> list[int]:
    """When somebody was asked at a gate, and when that was decided."""
    gate = stage.get("gate") or {}
    return [round(gate[key] * 1e6) for key in ("from_s", "to_s") if gate.get(key) is not None]


def shape(document: Document, now_us: int | None = None) -> rows.Shape:
    """The folded rows of a drawing, with now on the run's own clock."""
    return rows.shape(document, None if now_us is None else rows.instants()(document["started"]) + now_us)


def _span(attempt: Document, read: Callable[[str], int], begin: int) -> tuple[int, int | None]:
    from_us, to_us = rows.span_of(attempt, read)
    return from_us - begin, None if to_us is None else to_us - begin


def _phases(stage: Document, times: list[tuple[int, int | None]], now_us: int) -> tuple[Phase, ...]:
    found: list[Phase] = []
    failed_us: int | None = None  #: when an attempt failed that this one retries
    for number, (attempt, (begun, ended)) in enumerate(zip(stage["attempts"], times), 1):
        finished = max(begun, now_us if ended is None else ended)
        outcome = attempt["outcome"]
        ready = begun - round((attempt.get("wait_s") or 0) * 1e6)
        if failed_us is not None and failed_us < ready:
            found.append(Phase("backoff", failed_us, ready, attempt))
        if ready < begun and attempt.get("waited"):
            found.append(Phase("wait", ready, begun, attempt))
        failed_us = None
        kind = "work"
        if outcome == "cancellation" or (ended is None and stage.get("interrupted")):
            kind = "stopped"
        elif outcome in rows.FAILED and number < len(times):
            kind = "failed"
            if attempt["reason"] != "interrupted":
                failed_us = finished
        found.append(Phase(kind, begun, finished, attempt, ended is None and not stage.get("interrupted")))
    return tuple(found)


def said(phase: Phase) -> str:
    """A phase in words: `waits for pool db`, `waits to try again`, `attempt 1: exit 1`."""
    attempt = phase.attempt
    if phase.kind == "wait":
        return words.waiting(attempt["waited"])
    if phase.kind == "backoff":
        return "waits to try again"
    number = attempt.get("attempt", 1)
    if phase.is_open:
        return f"attempt {number}: running"
    return f"attempt {number}: {ending(attempt)}"


def ending(attempt: Document) -> str:
    """`success`, `exit 1`, `signal 9 (SIGKILL)`, `timeout`: how an attempt ended, as shortly as that can be said."""
    outcome = attempt["outcome"]
    if outcome is None:
        return "no end on record"
    text = words.ending(outcome, attempt["reason"], attempt["exit"], attempt["signal"])
    return text if text and outcome != "success" else str(outcome)


def ended(attempt: Document) -> str:
    """`failed, exit 1`, `timed out`: what follows a name."""
    verb, text = words.ended_by(attempt["outcome"]), ending(attempt)
    if text == attempt["outcome"]:
        return verb
    return text if text.startswith(verb) else f"{verb}, {text}"


class Aside(NamedTuple):
    """Stages that never ran, or wait, with the one thing that they share: `skipped ← integration failed`."""

    state: str
    names: tuple[str, ...]
    text: str


def asides(document: Document) -> list[Aside]:
    """Skipped stages by the stage that they go back to, others that ended before they ran by the reason, then those
    that wait by what they wait for; names harmless."""
    by_id = {stage["stage"]: stage for stage in document["stages"]}
    roots = words.roots_of(by_id)
    over: dict[tuple[str, str], list[str]] = {}
    waiting: dict[tuple[str, str], list[str]] = {}
    for stage in document["stages"]:
        name, outcome, reason = harmless(stage["stage"]), stage["outcome"], harmless(stage["reason"] or "")
        if outcome is None and stage.get("waiting"):
            waits = stage["waiting"]
            text = "waits for its needs" if waits == "needs" else words.waiting(waits)
            waiting.setdefault((rows.state_of(stage), text), []).append(name)
        elif outcome is not None and not stage["attempts"]:
            root = roots.get(stage["stage"])
            cause = f" ← {harmless(root[0])} {words.ended_by(root[1])}" if root else f": {reason}" if reason else ""
            over.setdefault((outcome, words.ended_by(outcome) + cause), []).append(name)
    return [Aside(state, tuple(names), text) for (state, text), names in [*over.items(), *waiting.items()]]
