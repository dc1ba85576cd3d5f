"""What a page says of a run, as plain values for its script: words are chosen here, places and widths there.

Every text of anybody's is made harmless here. Times are microseconds on the run's own clock, which stands still
between two engines.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.report import around, failure, gate, rows, steps, summary, words
from stagebook.report.durations import NO_BREAK, plural, span, span_us
from stagebook.report.export import phases
from stagebook.report.harmless import harmless, line_of_output
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence, TypeAlias

    from stagebook.report.export.phases import Course, Phase

Document: TypeAlias = "Mapping[str, Any]"
Facts: TypeAlias = "dict[str, Any]"


class Log(NamedTuple):
    """Lines of what one attempt printed, each with its number or 0: its first, its last, and how large all of it is."""

    first: Sequence[tuple[int, bytes]] = ()
    last: Sequence[tuple[int, bytes]] = ()
    size: int | None = None


#: by stage and attempt; an attempt that is missing has no lines in the page
Logs: TypeAlias = "Mapping[tuple[str, int], Log]"

_WIDE = Style(width=1_000_000)
_USAGE = (
    "cpu_s",
    "cpu_user_s",
    "cpu_system_s",
    "max_rss_bytes",
    "max_rss_method",
    "read_bytes",
    "write_bytes",
    "method",
)
_AROUND = ("cpu_some", "memory_some", "io_some")
_TEXT_MAX = 4000  #: characters of one text


def facts(document: Document, now_us: int | None, *, as_of_us: int | None, short: str, logs: Logs) -> Facts:
    courses, total_us = phases.courses(document, now_us)
    known = {course.stage["stage"]: course for course in courses}
    by_id = {stage["stage"]: stage for stage in document["stages"]}
    index_of = {name: index for index, name in enumerate(by_id)}
    roots = words.roots_of(by_id)
    read = rows.instants()
    short = short or str(document["run"])[:8]
    return {
        "run": document["run"],
        "short": short,
        "pipeline": _text(document["pipeline"]),
        "file": _text((document.get("file") or "").rsplit("/", 1)[-1]),
        "from": document.get("from_here") or {},
        "verdict": verdict(document, short, total_us),
        "state": _state(document),
        "is_measured": bool(document.get("measured")),
        "is_chain": not rows.is_one_by_one(document),
        "started_us": read(document["started"]),
        "as_of_us": as_of_us if document.get("state") == "running" else None,
        "total_us": total_us,
        "about": _about(document),
        "stood_still_us": _stood_still_us(document, read),
        "totals": _totals(document, courses),
        "lines": _lines(document),
        "warnings": [_text(warning) for warning in document.get("warnings") or ()],
        "path": [index_of[name] for name in document["critical_path"] if name in index_of],
        "together": _together(document, index_of),
        "stages": [
            _stage(document, stage, known.get(name), index_of, by_id, roots, read, total_us)
            for name, stage in by_id.items()
        ],
        "failed": [index_of[stage["stage"]] for stage in failure.failures(document)],
        "logs": {
            f"{index_of[name]}.{number}": _log(log) for (name, number), log in logs.items() if name in index_of
        },
    }  # fmt: skip


def verdict(document: Document, short: str, total_us: int) -> str:
    """The one sentence that answers what became of it."""
    outcome = document["outcome"]
    counting = [stage for stage in failure.failures(document) if not stage.get("tolerated")]
    if outcome in rows.FAILED and counting:
        return _failed(document, counting)
    if outcome is None and document.get("state") == "running":
        return _under_way(document, counting, total_us)
    said = summary.verdict(document, short)
    if said.startswith("passed") and document["wall_s"] is not None:
        said = f"passed in {span(document['wall_s'], NO_BREAK)}{said[6:]}"
    return f"{_text(document['pipeline'], 200)} {said}"[:_TEXT_MAX]


def _failed(document: Document, failed: Sequence[Document]) -> str:
    """`integration failed, exit 1, after 2 m 38 s on the critical path`."""
    stage = failed[0]
    verb, how = words.ended_by(stage["outcome"]), failure.how(stage)
    text = f"{_text(stage['stage'], 200)} {verb}"
    if how != stage["outcome"]:
        text += f", {_text(how, 300)}"
    if stage["attempts"]:
        begin, end = rows.span_of(stage["attempts"][-1], rows.instants())
        if end is not None:
            text += f"{',' if how != stage['outcome'] else ''} after {span_us(end - begin, NO_BREAK)}"
    if stage["stage"] in document["critical_path"] and not rows.is_one_by_one(document):
        text += " on the critical path"
    return text + (f", and {len(failed) - 1} more" if len(failed) > 1 else "")


def _under_way(document: Document, failed: Sequence[Document], total_us: int) -> str:
    """`9 of 18 done after 4 m 22 s; integration and e2e run`."""
    stages = document["stages"]
    done = sum(stage["outcome"] is not None for stage in stages)
    running = [stage["stage"] for stage in stages if rows.state_of(stage) == "running"]
    text = f"{done} of {len(stages)} done after {span_us(total_us, NO_BREAK)}"
    if running:
        text += f"; {words.names(running)} {'runs' if len(running) == 1 else 'run'}"
    return f"{_failed(document, failed)}; {text}" if failed else text


def _state(document: Document) -> str:
    outcome = document["outcome"]
    if outcome is not None:
        return str(outcome)
    state = document.get("state")
    return "interrupted" if state == "interrupted" else "gate" if state == "waiting" else "running"


def _about(document: Document) -> list[str]:
    if document.get("measured"):
        found = ["measured"]
    else:
        found = ["sequential" if document["mode"] == "sequential" else f"parallel, {plural(document['jobs'], 'job')}"]
        if document.get("policy"):
            found.append(f"policy {_text(document['policy'])}")
    if document["wall_s"] is not None:
        found.append(f"took {span(document['wall_s'], NO_BREAK)}")
    return found


def _stood_still_us(document: Document, read: Callable[[str], int]) -> int | None:
    """How much longer it was from beginning to end than the run's own clock ran: no engine held it meanwhile."""
    if document["finished"] is None or document["wall_s"] is None or document.get("clock_jump_s"):
        return None
    gap = read(document["finished"]) - read(document["started"]) - round(document["wall_s"] * 1e6)
    return gap if gap >= 1_000_000 else None


def _totals(document: Document, courses: Sequence[Course]) -> list[list[str]]:
    """`critical path`, `5 m 32 s`, `+ 22 s waiting`: label, figure, and what belongs to it."""
    found: list[list[str]] = []
    on_path = frozenset(document["critical_path"])
    waited = sum(
        phase.to_us - phase.from_us
        for course in courses if course.stage["stage"] in on_path
        for phase in course.phases if phase.kind == "wait"
    )  # fmt: skip
    if not rows.is_one_by_one(document) and on_path:
        more = f"+ {span_us(waited, NO_BREAK)} waiting" if waited >= 500 else ""
        found.append(["critical path", span(document["critical_path_s"], NO_BREAK), more])
    if document.get("sum_s") is not None:
        found.append(["work", span(document["sum_s"], NO_BREAK), ""])
    mean = (document.get("effective_parallel") or {}).get("stages")
    if document["max_parallel"] and mean is not None:
        found.append(["at once", f"{mean:.1f} mean, {document['max_parallel']} most", ""])
    waits = sum(seconds for name, seconds in (document.get("waiting_by") or {}).items() if name != "start")
    found.append(["waited", span(waits, NO_BREAK) if waits >= 0.0005 else "–", ""])
    return found


def _lines(document: Document) -> list[str]:
    """The rest of what sums it up, as the terminal has it, and what the machine around did."""
    lines = summary.totals(document, _WIDE)
    beside = around.line(document.get("around"))
    return [line[:_TEXT_MAX] for line in [*lines, *([f"around: {beside}"] if beside else [])]]


def _together(document: Document, index_of: Mapping[str, int]) -> list[Any] | None:
    """A pair that is on record as sharing something, of the first stage that failed: stages and what they share."""
    failed = failure.failures(document)
    for pair in (document.get("coupling") or ()) if failed else ():
        names = list(pair["stages"])
        if failed[0]["stage"] in names and len(names) == 2 and all(name in index_of for name in names):
            return [index_of[names[0]], index_of[names[1]], words.resource(str(pair["resource"]))]
    return None


def _stage(
    document: Document, stage: Document, course: Course | None, index_of: Mapping[str, int],
    by_id: words.Stages, roots: Mapping[str, tuple[str, str]], read: Callable[[str], int], total_us: int,
) -> Facts:  # fmt: skip
    state, reason = rows.state_of(stage), stage.get("reason")
    found: Facts = {
        "name": _text(stage["stage"]),
        "matrix": _text(rows.matrix_of(stage["stage"])),
        "state": state,
        "level": stage.get("level") or 0,
        "line": stage.get("line"),
        "needs": [index_of[need] for need in stage["needs"] if need in index_of],
        "attempts": [_attempt(attempt) for attempt in stage["attempts"]],
        "word": failure.quoted(stage["stage"])[:_TEXT_MAX],
    }
    if course is not None:
        found["phases"] = [_phase(phase, stage, index_of) for phase in course.phases]
    elif gate.was_asked(stage):
        begin_us, end_s = round(stage["gate"]["from_s"] * 1e6), stage["gate"]["to_s"]
        end_us = total_us if end_s is None else round(end_s * 1e6)
        found["phases"] = [["gate", begin_us, max(begin_us, end_us), -1, _text(gate.decided(stage))]]
    elif (vain := _in_vain(stage, document, read)) is not None:
        found["phases"] = [vain]
    if lanes := steps.strips(stage):
        found["steps"] = [_step(strip) for strip in lanes]
    if state in rows.FAILED:
        found["said"] = _text(failure.how(stage))
    elif reason:
        found["said"] = _text(reason)
    if stage.get("tolerated"):
        found["tolerated"] = True
    if stage["stage"] in roots:
        found["cause"] = _text(words.chain(stage, by_id, roots))
        found["root"] = index_of.get(roots[stage["stage"]][0])
    if aside := _aside(stage, roots, document):
        found["aside"] = aside
    if stage.get("expected_s") and state == "running":
        found["expected_us"] = round(stage["expected_s"] * 1e6)
    return found


def _step(strip: steps.Strip) -> Facts:
    return {
        "name": _text(steps.heading(strip)),
        "said": _text(steps.figures(strip)),
        "workers": strip.workers,
        "from": strip.from_us,
        "grain": strip.grain_us,
        "levels": [round(level, 3) for level in strip.levels],
    }


def _aside(stage: Document, roots: Mapping[str, tuple[str, str]], document: Document) -> str | None:
    """What stands where the bar would be, the same for all stages that share the cause."""
    if stage["outcome"] is None and stage.get("waiting"):
        waits = str(stage["waiting"])
        if waits == "needs":
            return "waits for needs"
        return _text(words.waiting(waits, words.names(stage.get("held_by") or ()) or None, document["jobs"]))
    if stage["outcome"] is None or stage["attempts"]:
        return None
    if root := roots.get(stage["stage"]):
        return _text(f"← {root[0]} {words.ended_by(root[1])}")
    return _text(stage.get("reason") or "")


def _in_vain(stage: Document, document: Document, read: Callable[[str], int]) -> list[Any] | None:
    """The wait of a stage that could have started and never did."""
    if stage["outcome"] in ("skip", None) or not stage.get("wait_s") or not stage.get("finished"):
        return None
    to_us = max(0, read(stage["finished"]) - read(document["started"]))
    return ["wait", max(0, to_us - round(stage["wait_s"] * 1e6)), to_us, -1, "waited and never started"]


def _phase(phase: Phase, stage: Document, index_of: Mapping[str, int]) -> list[Any]:
    """Kind, from, to, which attempt, words; of a wait also what was waited for, and the stages that held it."""
    attempt = phase.attempt
    place = next(index for index, one in enumerate(stage["attempts"]) if one is attempt)
    if phase.kind == "wait":
        said = words.waiting(attempt["waited"], words.names(attempt.get("held_by") or ()) or None)
        said = "waited" + said.removeprefix("waits") if said.startswith("waits") else said
        held = [index_of[name] for name in attempt.get("held_by") or () if name in index_of]
        return ["wait", phase.from_us, phase.to_us, place, _text(said), _text(attempt["waited"]), held]
    if phase.kind == "backoff":
        return ["backoff", phase.from_us, phase.to_us, place, "waited to try again"]
    return ["open" if phase.is_open else phase.kind, phase.from_us, phase.to_us, place, _text(phases.said(phase))]


def _attempt(attempt: Document) -> Facts:
    used, beside = attempt.get("usage") or {}, attempt.get("around") or {}
    found: Facts = {
        "number": attempt.get("attempt", 1),
        "outcome": attempt["outcome"],
        "said": _text(phases.ending(attempt)) if attempt["outcome"] is not None else "",
        "has_log": bool(attempt.get("log")),
    }
    if any(used.get(key) is not None for key in _USAGE):
        found["usage"] = {key: used.get(key) for key in _USAGE}
    if any(beside.get(key) is not None for key in _AROUND):
        found["around"] = {key: beside.get(key) for key in _AROUND} | {"text": around.line(beside)}
    return found


def _log(log: Log) -> Facts:
    return {
        "first": [[number, _line(data)] for number, data in log.first],
        "last": [[number, _line(data)] for number, data in log.last],
        "size": log.size,
    }


def _line(data: bytes) -> str:
    """Colours are left out: they are the terminal's."""
    return line_of_output(data)[: 2 * _TEXT_MAX]


def _text(text: str, most: int = _TEXT_MAX) -> str:
    text = harmless(str(text))
    return text if len(text) <= most else text[: most - 1] + "…"
