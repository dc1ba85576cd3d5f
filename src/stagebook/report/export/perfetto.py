"""A run as Chrome trace events in JSON, which ui.perfetto.dev and chrome://tracing open.

A track a stage holds its waits, pauses and attempts; flows lead from needs to what needed them; the run itself, its
critical path and its counters are a process of their own. Times are microseconds since the run began.
"""

from __future__ import annotations

import json

from stagebook.report.export import phases
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator, Mapping, TypeAlias

    from stagebook.report.export.phases import Course, Phase

Document: TypeAlias = "Mapping[str, Any]"
Event: TypeAlias = "dict[str, Any]"

_RUN, _STAGES = 1, 2  # processes
_WHOLE, _PATH = 1, 2  # threads of the first
_POINTS_MAX = 5000  #: of a counter over the whole run
_USAGE = ("cpu_s", "max_rss_bytes", "read_bytes", "write_bytes", "method")


def render(
    document: Document, now_us: int | None = None, growth: Iterable[tuple[int, int, int, int]] = ()
) -> Iterator[str]:
    """Line by line, an event a line. `growth` are notes of when which log grew: microseconds, stage, attempt, bytes."""
    known = phases.courses(document, now_us)
    yield f'{{"displayTimeUnit":"ms","otherData":{_json(_about(document))},"traceEvents":[\n'
    separator = ""
    for event in _events(document, known.courses, known.total_us, growth):
        yield separator + _json(event)
        separator = ",\n"
    yield "\n]}\n"


def _json(value: Any) -> str:
    """ASCII only, and nothing that would end a script which the text is put into."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _about(document: Document) -> dict[str, Any]:
    skipped = {
        harmless(stage["stage"]): harmless(stage["reason"] or "")
        for stage in document["stages"]
        if stage["outcome"] == "skip"
    }
    return {
        "run": document["run"],
        "pipeline": harmless(document["pipeline"]),
        "outcome": document["outcome"],
        "started": document["started"],
        "finished": document["finished"],
        "clock": "microseconds since the run began, by a clock that nobody can set; it stands still between engines",
        "skipped": skipped,
    }


def _events(
    document: Document, known: list[Course], total_us: int, growth: Iterable[tuple[int, int, int, int]]
) -> Iterator[Event]:
    run = harmless(f"{document['pipeline']} {document['run']}")
    yield from _named(_RUN, f"run {run}", 0)
    yield _thread(_RUN, _WHOLE, "run")
    yield _thread(_RUN, _PATH, "critical path")
    yield from _named(_STAGES, "stages", 1)
    args = {"outcome": document["outcome"], "reason": document["reason"], "mode": document["mode"]}
    yield _slice(_RUN, _WHOLE, run, "run", 0, total_us, args, document["outcome"] is None)
    ordered = sorted(known, key=lambda course: course.phases[0].from_us)
    tracks = {course.stage["stage"]: (track, course) for track, course in enumerate(ordered, 1)}
    yield from _path(document, tracks)
    path = frozenset(document["critical_path"])
    for track, course in tracks.values():
        name = harmless(course.stage["stage"])
        yield _thread(_STAGES, track, name)
        mark = ",critical" if course.stage["stage"] in path else ""
        for phase in _apart(course.phases):
            yield _phase(_STAGES, track, phase, name, mark)
    yield from _flows(tracks)
    yield from _counters(known)
    yield from _log_sizes(growth, total_us)


def _named(process: int, name: str, place: int) -> Iterator[Event]:
    yield {"ph": "M", "pid": process, "tid": 0, "name": "process_name", "args": {"name": name}}
    yield {"ph": "M", "pid": process, "tid": 0, "name": "process_sort_index", "args": {"sort_index": place}}


def _thread(process: int, track: int, name: str) -> Event:
    """Tracks stand in the order of their numbers."""
    return {"ph": "M", "pid": process, "tid": track, "name": "thread_name", "args": {"name": name}}


def _apart(some: Iterable[Phase]) -> Iterator[Phase]:
    """In time; what a track cannot hold, a wait that begins before the last phase has ended, begins with its end."""
    end_us = 0
    for phase in some:
        yield phase._replace(from_us=min(max(phase.from_us, end_us), phase.to_us)) if phase.kind == "wait" else phase
        end_us = phase.to_us


def _phase(process: int, track: int, phase: Phase, name: str, mark: str) -> Event:
    attempt = phase.attempt
    if phase.kind not in phases.WORK:
        args = {"stage": name, "for": harmless(attempt["waited"]) if phase.kind == "wait" else "retry"}
        return _slice(process, track, phases.said(phase), phase.kind + mark, phase.from_us, phase.to_us, args)
    number = attempt.get("attempt", 1)
    shown = name if number == 1 else f"{name}, attempt {number}"
    if attempt["outcome"] not in ("success", None):
        shown += f": {phases.ending(attempt)}"
    used = attempt.get("usage") or {}
    told: dict[str, Any] = {
        "stage": name,
        **{key: attempt.get(key) for key in ("attempt", "outcome", "reason", "exit", "signal")},
    }
    told.update({key: used.get(key) for key in _USAGE})
    return _slice(process, track, shown, phase.kind + mark, phase.from_us, phase.to_us, told, phase.is_open)


def _slice(
    process: int,
    track: int,
    name: str,
    kind: str,
    from_us: int,
    to_us: int,
    args: dict[str, Any],
    is_open: bool = False,
) -> Event:
    """A complete event; of what still goes on the beginning only, which viewers draw until the end of all."""
    known = {key: harmless(value) if isinstance(value, str) else value for key, value in args.items()}
    event: Event = {"ph": "B" if is_open else "X", "pid": process, "tid": track, "ts": from_us}
    if not is_open:
        event["dur"] = to_us - from_us
    return {**event, "name": name, "cat": kind, "args": {k: v for k, v in known.items() if v is not None}}


def _path(document: Document, tracks: Mapping[str, tuple[int, Course]]) -> Iterator[Event]:
    end_us = 0
    for name in document["critical_path"]:
        if name not in tracks:
            continue
        for phase in tracks[name][1].phases:
            if phase.from_us >= end_us:  # an edited plan may leave a chain whose links lie side by side
                yield _phase(_RUN, _PATH, phase, harmless(name), "")
                end_us = phase.to_us


def _flows(tracks: Mapping[str, tuple[int, Course]]) -> Iterator[Event]:
    """From within the last moment of a need to the first of what needed it: a flow holds on to the slice around it."""
    number = 0
    for track, course in tracks.values():
        begin_us = course.phases[0].from_us
        for need in course.stage.get("needs") or ():
            if need not in tracks or (last := tracks[need][1].phases[-1]).to_us > begin_us or last.is_open:
                continue
            number += 1
            flow = {"name": "needs", "cat": "needs", "id": number, "pid": _STAGES}
            yield {"ph": "s", **flow, "tid": tracks[need][0], "ts": max(last.from_us, last.to_us - 1)}
            yield {"ph": "f", "bp": "e", **flow, "tid": track, "ts": begin_us}


def _counters(known: list[Course]) -> Iterator[Event]:
    """Attempts at one time; and where their use is known, their CPU as the mean of each, their memory as the sum of
    their peaks, which is the most that it can have been."""
    steps: dict[str, dict[int, float]] = {
        "stages at once": {},
        "CPU (cores, mean of each attempt)": {},
        "memory (bytes, sum of peaks)": {},
    }
    at_once, cpu, memory = steps.values()
    for course in known:
        for phase in course.works:
            if phase.from_us == phase.to_us:
                continue
            _step(at_once, phase, 1)
            used = phase.attempt.get("usage") or {}
            if used.get("cpu_s") is not None:
                _step(cpu, phase, used["cpu_s"] * 1e6 / (phase.to_us - phase.from_us))
            if used.get("max_rss_bytes") is not None:
                _step(memory, phase, used["max_rss_bytes"])
    for name, changes in steps.items():
        level = 0.0
        for us in sorted(changes):
            level += changes[us]
            yield _counter(name, us, round(abs(level), 3) if name.startswith("CPU") else round(level))


def _step(steps: dict[int, float], phase: Phase, height: float) -> None:
    steps[phase.from_us] = steps.get(phase.from_us, 0) + height
    steps[phase.to_us] = steps.get(phase.to_us, 0) - height


def _log_sizes(growth: Iterable[tuple[int, int, int, int]], total_us: int) -> Iterator[Event]:
    grain = max(1, total_us // _POINTS_MAX)
    sizes: dict[tuple[int, int], int] = {}
    total, shown_us = 0, -grain
    pending: Event | None = None
    for us, stage, attempt, size in growth:
        total += size - sizes.get((stage, attempt), 0)
        sizes[stage, attempt] = size
        pending = _counter("output (bytes in logs)", us, total)
        if us - shown_us >= grain:
            yield pending
            pending, shown_us = None, us
    if pending is not None:
        yield pending


def _counter(name: str, us: int, value: float) -> Event:
    return {"ph": "C", "pid": _RUN, "tid": 0, "ts": us, "name": name, "args": {"value": value}}
