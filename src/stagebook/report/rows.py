"""A run's document as rows of a timeline: what each stage did when, which rows fold, which stages share one line.

No drawing here, and no text but names: `timeline` draws, `live` keeps rows of its own while the run goes on.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.report.durations import instant_us

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, TypeAlias

    from stagebook.report.steps import Strip

FAILED = frozenset({"failure", "error", "timeout"})
CELLS_SHOWN = 3  #: a matrix with more cells is one row
ROWS_MAX = 60  #: beyond this, levels that passed fold
_CRITICAL_MAX = 24  #: of the critical stages that passed, so many stay when there are too many for all
_FAILURES_MAX = 24
_TOGETHER = 200  #: what lies within this part of a run began together


class Segment(NamedTuple):
    """`kind` is wait, backoff, work, failed (an attempt that another one followed), stopped (one that somebody or
    something ended before it was done) or gate (a person was asked)."""

    kind: str
    from_us: int
    to_us: int


class Row(NamedTuple):
    """One line. `state` picks the glyph; a row without segments shows `text` where the bar would be. `strips` are lanes
    below it."""

    state: str
    name: str
    segments: tuple[Segment, ...]
    wait_us: int
    work_us: int
    critical: bool = False
    text: str = ""
    strips: tuple[Strip, ...] = ()


class Shape(NamedTuple):
    """`rows` in order, `total_us` from the run's beginning to its end."""

    rows: list[Row]
    total_us: int


def instants() -> Callable[[str], int]:
    """`instant_us` for the many times of one run, most of which share their minute."""
    minutes: dict[str, int] = {}

    def read(text: str) -> int:
        if len(text) != 32 or text[19] != ".":
            return instant_us(text)
        key = text[:17] + text[26:]
        base = minutes.get(key)
        if base is None:
            base = minutes[key] = instant_us(text[:17] + "00" + text[26:])
        return base + int(text[17:19]) * 1_000_000 + int(text[20:26])

    return read


def state_of(stage: Mapping[str, Any]) -> str:
    outcome = stage["outcome"]
    if outcome is None:
        attempts = stage["attempts"]
        if attempts and attempts[-1]["outcome"] is None:
            return "interrupted" if stage.get("interrupted") else "running"
        waits = stage.get("waiting")
        if waits == "gate":
            return "person" if attempts else "gate"
        return "needs" if waits in (None, "needs") else "slot"
    return "flaky" if stage["flaky"] and outcome == "success" else str(outcome)


def waited_us(attempt: Mapping[str, Any]) -> int:
    """How long the attempt waited for something that has a name; what a start itself takes is no waiting."""
    return round((attempt.get("wait_s") or 0) * 1e6) if attempt.get("waited") else 0


def shape(document: Mapping[str, Any], now_us: int | None = None) -> Shape:
    """The rows of a run, skipped stages left out. `now_us`, of the wall clock, ends what still runs."""
    read = instants()
    has_clock = any("from_s" in attempt for stage in document["stages"] for attempt in stage["attempts"][:1])
    begin = 0 if has_clock else read(document["started"])
    if now_us is not None:
        now_us += begin - read(document["started"])
    if document["finished"] is not None:
        end = round(document["wall_s"] * 1e6) if has_clock else read(document["finished"])
    else:
        end = now_us if now_us is not None else _latest(document, read, begin)
    path = frozenset(() if is_one_by_one(document) else document["critical_path"])
    drawn: list[tuple[int, int, Mapping[str, Any], Row]] = []
    for index, stage in enumerate(document["stages"]):
        if stage["attempts"]:
            row = _row(stage, read, begin, end, path)
            drawn.append((row.segments[0].from_us, index, stage, row))
            end = max(end, begin + row.segments[-1].to_us)
        elif stage.get("gate") and stage["gate"]["from_s"] is not None and has_clock:
            row = _gate_row(stage, end)
            drawn.append((row.segments[0].from_us, index, stage, row))
        elif stage["outcome"] not in ("skip", None):
            waited = _waited_in_vain(document, stage, read)
            wait_us = waited[0].to_us - waited[0].from_us if waited else 0
            row = Row(state_of(stage), stage["stage"], waited, wait_us, 0, False)
            drawn.append((waited[0].from_us if waited else end - begin, index, stage, row))
    drawn = _settled(drawn, max(1, (end - begin) // _TOGETHER))
    rows = _fold_matrices([(stage, row) for _, _, stage, row in drawn])
    if len(rows) > ROWS_MAX:
        rows = _fold_levels(rows)
    return Shape([row for _, row in rows], max(1, end - begin))


def busy_us(document: Mapping[str, Any]) -> int:
    """How long at least one attempt ran or waited for capacity: all of a run's time but what people took to answer."""
    read = instants()
    spans = [(_begin(attempt, read) - waited_us(attempt), _end(attempt, read))
             for stage in document["stages"] for attempt in stage["attempts"]]  # fmt: skip
    found, until = 0, 0
    for begin, end in sorted((begin, end) for begin, end in spans if end is not None):
        found += max(0, end - max(begin, until))
        until = max(until, end)
    return found


def _gate_row(stage: Mapping[str, Any], end: int) -> Row:
    """How long people took is no waiting for capacity, so it is in no figure."""
    gate = stage["gate"]
    to_us = end if gate["to_s"] is None else round(gate["to_s"] * 1e6)
    segment = Segment("gate", round(gate["from_s"] * 1e6), max(to_us, round(gate["from_s"] * 1e6)))
    return Row(state_of(stage), stage["stage"], (segment,), 0, 0, False)


def is_one_by_one(document: Mapping[str, Any]) -> bool:
    """Whether the run was asked to be sequential, so that no chain in it is longer than the others."""
    return document["mode"] == "sequential" and not document.get("measured")


Drawn: TypeAlias = "tuple[int, int, Mapping[str, Any], Row]"


def _settled(drawn: list[Drawn], grain: int) -> list[Drawn]:
    """By when they began; what began together stays in the order of the file, though clocks tell microseconds apart."""
    found: list[Drawn] = []
    together: list[Drawn] = []
    for item in sorted(drawn, key=lambda item: item[0]):
        if together and item[0] - together[0][0] > grain:
            found += sorted(together, key=lambda item: item[1])
            together = []
        together.append(item)
    return found + sorted(together, key=lambda item: item[1])


def spans(stage: Mapping[str, Any], read: Callable[[str], int]) -> list[tuple[int, int | None]]:
    """From when to when each attempt ran, in microseconds on one clock; None where it still does."""
    return [span_of(attempt, read) for attempt in stage["attempts"]]


def span_of(attempt: Mapping[str, Any], read: Callable[[str], int]) -> tuple[int, int | None]:
    return _begin(attempt, read), _end(attempt, read)


def _begin(attempt: Mapping[str, Any], read: Callable[[str], int]) -> int:
    """On the run's own clock where the document has it, else on the wall's."""
    return round(attempt["from_s"] * 1e6) if "from_s" in attempt else read(attempt["started"])


def _end(attempt: Mapping[str, Any], read: Callable[[str], int]) -> int | None:
    if "to_s" in attempt:
        to_s = attempt["to_s"]
        return round(to_s * 1e6) if to_s is not None else None
    return read(attempt["finished"]) if attempt["finished"] is not None else None


def _latest(document: Mapping[str, Any], read: Callable[[str], int], begin: int) -> int:
    attempts = [attempt for stage in document["stages"] for attempt in stage["attempts"]]
    ends = [_end(attempt, read) for attempt in attempts]
    return max([*[_begin(attempt, read) for attempt in attempts], *[end for end in ends if end is not None], begin])


def _row(stage: Mapping[str, Any], read: Callable[[str], int], begin: int, end: int, path: frozenset[str]) -> Row:
    """What the stage did, in microseconds since `begin`; a running attempt goes on until `end`."""
    segments: list[Segment] = []
    wait_us = work_us = 0
    failed_us: int | None = None  #: when an attempt failed that this one retries
    attempts = stage["attempts"]
    for number, attempt in enumerate(attempts, 1):
        started = _begin(attempt, read) - begin
        ended = _end(attempt, read)
        finished = max(started, (end if ended is None else ended) - begin)
        outcome = attempt["outcome"]
        ready = started - round((attempt.get("wait_s") or 0) * 1e6)
        if failed_us is not None and failed_us < ready:
            segments.append(Segment("backoff", failed_us, ready))
        if ready < started and attempt.get("waited"):
            segments.append(Segment("wait", ready, started))
            wait_us += started - ready
        failed_us = None
        if outcome == "cancellation" or (ended is None and stage.get("interrupted")):
            kind = "stopped"
        else:
            kind = "work"
            if outcome in FAILED and number < len(attempts):
                kind = "failed"
                if attempt["reason"] != "interrupted" and not attempt.get("taken_back"):
                    failed_us = finished
            work_us += finished - started
        segments.append(Segment(kind, started, finished))
    name = stage["stage"]
    return Row(state_of(stage), name, tuple(segments), wait_us, work_us, name in path, "", _strips(stage))


def _strips(stage: Mapping[str, Any]) -> tuple[Strip, ...]:
    if not stage.get("steps"):
        return ()
    from stagebook.report import steps

    return steps.strips(stage)


def _waited_in_vain(
    document: Mapping[str, Any], stage: Mapping[str, Any], read: Callable[[str], int]
) -> tuple[Segment, ...]:
    """Of a stage that could have started and never did: from when to when it waited, since the run began."""
    if not stage.get("wait_s") or not stage.get("finished"):
        return ()
    to_us = max(0, read(stage["finished"]) - read(document["started"]))
    return (Segment("wait", max(0, to_us - round(stage["wait_s"] * 1e6)), to_us),)


Pair: TypeAlias = "tuple[Mapping[str, Any], Row]"


def matrix_of(stage_id: str) -> str:
    """The matrix that a cell belongs to; empty where the id is not a cell's. Names have no brackets of their own."""
    return stage_id[: stage_id.index("[")] if stage_id.endswith("]") and "[" in stage_id else ""


def _fold_matrices(rows: list[Pair]) -> list[Pair]:
    """A matrix of more than three cells becomes one row; cells that failed or are critical stay below it."""
    members: dict[str, list[Pair]] = {}
    for pair in rows:
        matrix = matrix_of(pair[1].name)
        if matrix:
            members.setdefault(matrix, []).append(pair)
    members = {name: cells for name, cells in members.items() if len(cells) > CELLS_SHOWN}
    if not members:
        return rows
    folded: list[Pair] = []
    for pair in rows:
        cells = members.get(matrix_of(pair[1].name))
        if cells is None:
            folded.append(pair)
        elif pair is cells[0]:
            folded.extend(_folded(matrix_of(pair[1].name), cells))
    return folded


def _folded(name: str, cells: list[Pair]) -> list[Pair]:
    rows = [row for _, row in cells]
    failed = [pair for pair in cells if pair[1].state in FAILED]
    open_ones = [row for row in rows if row.state in ("running", "interrupted", "slot")]
    state = failed[0][1].state if failed else open_ones[0].state if open_ones else _commonest(rows)
    segments = tuple(segment for row in rows for segment in row.segments)
    whole = Row(
        state,
        f"{name} ×{len(rows)}",
        segments,
        sum(row.wait_us for row in rows),
        sum(row.work_us for row in rows),
        any(row.critical for row in rows),
    )
    result = [(cells[0][0], whole)]
    if failed:
        note = f"{len(failed)} of {len(rows)} failed"
        result.append((cells[0][0], Row("", "", (), 0, 0, False, note)))
    return result + [pair for pair in cells if pair[1].state in FAILED or pair[1].state in ("running", "interrupted")]


def _commonest(rows: list[Row]) -> str:
    return "flaky" if any(row.state == "flaky" for row in rows) else rows[0].state


def _fold_levels(rows: list[Pair]) -> list[Pair]:
    """Too many rows: what passed and is not critical becomes one line for each run of levels in between."""
    kept = {id(row) for _, row in rows if row.state not in ("success", "skip") or row.critical or not row.name}
    critical = [row for _, row in rows if row.critical and row.state in ("success", "flaky")]
    if len(critical) > _CRITICAL_MAX:
        critical.sort(key=lambda row: row.work_us + row.wait_us)
        kept.difference_update(id(row) for row in critical[:-_CRITICAL_MAX])
    failures = [row for _, row in rows if id(row) in kept and row.state not in ("success", "flaky", "")]
    kept.difference_update(id(row) for row in failures[_FAILURES_MAX:])

    by_level = sorted(rows, key=lambda pair: pair[0].get("level") or 0)
    result: list[Pair] = []
    hidden: list[Pair] = []
    for pair in by_level:
        if id(pair[1]) in kept:
            result.extend(_hidden_line(hidden))
            hidden = []
            result.append(pair)
        else:
            hidden.append(pair)
    result.extend(_hidden_line(hidden))
    return result


def _hidden_line(hidden: list[Pair]) -> list[Pair]:
    if not hidden:
        return []
    if len(hidden) == 1:
        return hidden
    first, last = (pair[0].get("level") or 0 for pair in (hidden[0], hidden[-1]))
    counted: dict[str, int] = {}
    for _, row in hidden:
        word = "passed" if row.state in ("success", "flaky") else row.state
        counted[word] = counted.get(word, 0) + 1
    levels = f"level {first}" if first == last else f"level {first} to {last}"
    text = ", ".join(f"{number} {word}" for word, number in counted.items())
    state = "success" if set(counted) == {"passed"} else "failure"
    return [(hidden[0][0], Row(state, f"{levels}, {text}", (), 0, 0))]
