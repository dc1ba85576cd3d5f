"""One journal as rows of the history. Writes nothing, and knows nothing of the database but its columns.

A journal of one engine without gaps, as nearly all are, is read straight from its lines, in a third of the time that
its story takes. Any other one, of a run that was gone on with or was measured, with a torn tail or damaged, is left to
`record`, which has the last word on what it says. Both ways end in the same attempts, so in the same rows.
"""

from __future__ import annotations

import json
import os
from zlib import crc32

from stagebook.model.outcome import OUTCOMES
from stagebook.model.pipeline import MEASURED
from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import lock, measured, reader, runs
from stagebook.record.clock import epoch_us
from stagebook.record.line import time_us
from stagebook.record.reasons import is_no_part
from stagebook.record.retelling import ODD, retell, usage_of
from stagebook.record.shapes import fault
from stagebook.record.state import journal_path, open_regular
from stagebook.record.story import UNKNOWN, Attempt, End

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable, Iterable, Mapping, TypeAlias

    from stagebook.record.story import Story

Row: TypeAlias = "tuple[Any, ...]"
#: Of one stage its attempts, its end, and what was around the last of its attempts.
Told: TypeAlias = "tuple[tuple[Attempt, ...], End | None, Mapping[str, Any] | None]"

_SEAL = b',"crc":"'
_SEAL_LENGTH = len(_SEAL) + 8 + 2
_EVENT = b'"event":"'
_EVENT_FROM = 60  #: no line has its event before this byte
_PLAN = (b',"choice":', b',"plan":')
_DEAD_OF = b'"dead_of":'
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_TOLD = (b"stage.", b"usage", b"run.", b"journal.synced", b"stages.")


class Journal(NamedTuple):
    """What one journal says. `run` holds values of columns of `runs`; `stages` and `attempts` are rows without
    `run_id`, in the order of `STAGE` and `ATTEMPT`."""

    run: dict[str, Any]
    stages: list[Row]
    attempts: list[Row]
    path: str


STAGE = (
    "stage", "outcome", "reason", "flaky", "attempts", "started_us", "wall_us", "wait_us", "waited", "work_us",
    "cpu_us", "rss_bytes", "company", "delay_us", "others_cores", "device_busy", "read_bytes", "write_bytes",
)  # fmt: skip
ATTEMPT = (
    "stage", "attempt", "outcome", "reason", "exit", "signal", "started_us", "wall_us", "wait_us", "waited", "cpu_us",
    "rss_bytes", "rss_method", "read_bytes", "write_bytes", "method", "log", "taken_back", "company",
)  # fmt: skip


class _Odd(Exception):
    """This journal is not one that can be read straight from its lines."""


def read(directory: str, is_careful: bool = False) -> Journal | None:
    """The rows of a run; None if nothing of it was ever recorded. What is damaged is said in the column `damaged`. With
    `is_careful` numbers too are looked at that no database can hold."""
    path = journal_path(directory)
    try:
        if is_careful:
            raise _Odd
        with open_regular(path) as file:
            told = _straight(file, os.path.basename(directory))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (_Odd, StopIteration, OSError, *ODD):
        try:
            told = _by_story(directory, path)
        except (SurroundingsError, OSError, *ODD) as error:
            return _damaged(directory, path, error)
    return None if told is None else told._replace(path=path)


def _damaged(directory: str, path: str, error: Exception) -> Journal | None:
    summary = runs.summarise(directory)
    if summary is None:
        return None
    why = str(error) if isinstance(error, SurroundingsError) else "it holds lines that this version cannot read"
    run = {"run": os.path.basename(directory), "is_final": False, "damaged": why}
    run |= {name: summary[name] for name in ("pipeline", "file", "mode", "jobs", "policy", "outcome")}
    if summary["started"]:
        run["started_us"] = epoch_us(summary["started"])
    return Journal(run, [], [], path)


# Straight from the lines ------------------------------------------------------------------------------------------


def _straight(file: BinaryIO, name: str) -> Journal | None:
    first: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    attempts: dict[str, list[Attempt]] = {}
    ends: dict[str, End] = {}
    arounds: dict[str, Mapping[str, Any] | None] = {}  #: of the last attempt of each stage
    is_synced = False
    number = 0
    mark = b'"run":"' + name.encode() + b'"'
    for line in file:
        number += 1
        body = line[: -_SEAL_LENGTH - 1]
        if line[-_SEAL_LENGTH - 1 :] != b'%b%08x"}\n' % (_SEAL, crc32(body)):
            raise _Odd
        if not body.startswith(b'{"v":1,"seq":%d,' % number) or mark not in body[:100]:
            raise _Odd
        at = body.find(_EVENT, _EVENT_FROM) + len(_EVENT)
        if not body.startswith(_TOLD, at):
            continue
        if number == 1:
            if _DEAD_OF in body and _DEAD_OF + b'""' not in body:  # which is in its choice
                raise _Odd
            first = _first(body)
            continue
        record = _scan(f"{body.decode()}}}", 0)[0]  # as json.loads does, less looking for an encoding
        event = record["event"]
        is_synced = event == "journal.synced" or (is_synced and event == "usage")
        if event == "stage.started":
            _started(attempts, ends, record)
            arounds.pop(record["stage"], None)
        elif event == "stage.exited":
            _exited(attempts, record)
            arounds[record["stage"]] = record.get("around")
        elif event == "stage.ended":
            ends[record["stage"]] = _end(record)
            known = attempts.get(record["stage"])
            if known and known[-1].finished_us is None:  # it worked through items, which tell what it used
                raise _Odd
        elif event == "usage":
            _used(attempts, record)
        elif event == "run.ended":
            last = record
            if fault(record) is not None:
                raise _Odd
        elif event in ("run.resumed", "stages.added"):
            raise _Odd
    if first is None:
        if number:
            raise _Odd
        return None
    epoch = epoch_us(first["at"]) - time_us(first)
    found = {
        stage: (tuple(attempts.get(stage, ())), ends.get(stage), arounds.get(stage)) for stage in {**attempts, **ends}
    }
    told = _journal(first, last if is_synced else None, found, lambda us: epoch + us)
    for names, rows in ((STAGE, told.stages), (ATTEMPT, told.attempts)):
        if any((*map(type, row),) not in _sound and not _is_sound(names, row) for row in rows):
            raise _Odd
    if not _ENDS.issuperset([row[1] for row in told.stages]):
        raise _Odd
    return told


#: Types of the cells of rows that are sound: to look at these, and not at each line, costs next to nothing. That a
#: number is too large for a database is seen when it is put there.
_sound: set[tuple[type, ...]] = set()


def _is_sound(names: tuple[str, ...], row: Row) -> bool:
    """Whether the cells of a row are of the types that such columns have."""
    if not all(type(cell) in _types(name) for name, cell in zip(names, row)):
        return False
    _sound.add((*map(type, row),))
    return True


def _types(name: str) -> tuple[type, ...]:
    if name in ("stage", "outcome", "reason", "waited", "rss_method", "method", "log"):
        return str, type(None)
    if name in ("flaky", "taken_back"):
        return (bool,)
    return int, type(None), *((float,) if name in ("company", "others_cores", "device_busy") else ())


_ENDS = frozenset([*OUTCOMES, None])


def _first(body: bytes) -> dict[str, Any]:
    """The members of the first line that sum up a run: those before the plan, which grows with the pipeline."""
    cut = body
    for key in _PLAN:
        cut = cut.partition(key)[0]
    try:
        record = json.loads(cut + b"}")
    except ValueError:  # a parameter may be called as these keys are
        record = json.loads(body + b"}")
    if record["event"] != "run.started" or record.get("format") == MEASURED or fault(record) is not None:
        raise _Odd
    known: dict[str, Any] = record
    return known


def _started(attempts: dict[str, list[Attempt]], ends: dict[str, End], record: dict[str, Any]) -> None:
    us = time_us(record)
    ready = record.get("ready")
    ready_us = us if ready is None else min(us, round(ready * 1_000_000))
    begun = Attempt(record["attempt"], ready_us, us, record.get("waited"), record.get("log"))
    attempts.setdefault(record["stage"], []).append(begun)
    ends.pop(record["stage"], None)


def _exited(attempts: dict[str, list[Attempt]], record: dict[str, Any]) -> None:
    us, known = time_us(record), attempts.setdefault(record["stage"], [])
    if known and known[-1].number == record["attempt"] and known[-1].finished_us is None:
        begun = known.pop()
    else:
        ready = record.get("ready")
        ready_us = us if ready is None else min(us, round(ready * 1_000_000))
        begun = Attempt(record["attempt"], ready_us, us, record.get("waited"), None)
    outcome, reason, usage = record["outcome"], record.get("reason"), usage_of(record.get("usage")) or UNKNOWN
    known.append(Attempt(*begun[:5], us, outcome, reason, record.get("exit"), record.get("signal"), usage))


def _used(attempts: dict[str, list[Attempt]], record: dict[str, Any]) -> None:
    known = attempts.get(record["stage"], [])
    for index, attempt in enumerate(known):
        if attempt.number == record["attempt"]:
            known[index] = attempt._replace(usage=usage_of(record) or UNKNOWN)


def _end(record: dict[str, Any]) -> End:
    ready = record.get("ready")
    return End(
        time_us(record), record["outcome"], record.get("reason"), record.get("flaky", False),
        None if ready is None else round(ready * 1_000_000),
    )  # fmt: skip


# By the story -----------------------------------------------------------------------------------------------------


def _by_story(directory: str, path: str) -> Journal | None:
    recording = reader.load(path)
    if not recording.records:
        return None
    story = retell(recording.records, path)
    first = recording.records[0]
    last = next((record for record in reversed(recording.records) if record["event"] == "run.ended"), None)
    told = [record["event"] for record in recording.records if record["event"] != "usage"]
    is_over = story.outcome is not None and told[-1] == "journal.synced"
    if story.pipeline.format == MEASURED and not is_over and not lock.is_shared(directory):
        measured.settle(story)
        closing = {"event": "run.ended", **json.loads("{" + story.closing() + "}")}
        last = closing | {"at": story.stamp(story.end_us or 0)}
        journal = _journal(first, last, _of_story(story), lambda us: epoch_us(story.stamp(us)))
        journal.run["is_final"] = False  # more may be measured
        return journal
    return _journal(first, last if is_over else None, _of_story(story), lambda us: epoch_us(story.stamp(us)))


def _of_story(story: Story) -> dict[str, Told]:
    return {
        stage.id: (attempts, end, attempts[-1].around._asdict() if attempts and attempts[-1].around else None)
        for stage, attempts, end in zip(story.pipeline.stages, story.attempts, story.ends)
        if attempts or end is not None
    }


# Both -------------------------------------------------------------------------------------------------------------


def _journal(
    first: dict[str, Any], last: dict[str, Any] | None, found: Mapping[str, Told], wall: Callable[[int], int]
) -> Journal:
    every = [attempt for attempts, _, _ in found.values() for attempt in attempts]
    imported = first.get("imported")  #: its jobs had machines of their own, so none was in company
    company = [None] * len(every) if imported else _company(every)
    stages, rows = [], []
    at = 0
    for stage, (attempts, end, around) in found.items():
        told = [_attempt(attempt, company[at + index], wall) for index, attempt in enumerate(attempts)]
        at += len(attempts)
        rows += [(stage, *row) for row in told]
        stages.append((stage, *_stage(attempts, end, around or {}, told, wall)))
    run = {
        "run": first["run"],
        "pipeline": first["pipeline"],
        "file": first.get("file"),
        "format": first.get("format"),
        "digest": first.get("digest"),
        "mode": first.get("mode"),
        "jobs": first.get("jobs"),
        "policy": first.get("policy"),
        "is_final": False,
        "started_us": epoch_us(first["at"]) - time_us(first),
        "stages": len(stages) if first.get("stages") is None else first["stages"],
        "part": _is_part(first, [end for _, end, _ in found.values()]),
        "ran": sum([bool(attempts) for attempts, _, _ in found.values()]),
        "commit_sha": first.get("commit"),
        "branch": first.get("branch"),
        "dirty": first.get("dirty"),
        "imported": _system(imported) if imported else None,
    }
    if last is not None:
        beside = last.get("around") or {}
        run |= {
            "outcome": last["outcome"],
            "reason": last.get("reason"),
            "is_final": last["outcome"] not in ("error", "cancellation"),
            "finished_us": epoch_us(last["at"]),
            "wall_us": _us(last.get("wall_s")),
            "critical_path_us": _us(last.get("critical_path_s")),
            "sum_us": _us(last.get("sum_s")),
            "cpu_us": _us(last.get("cpu_s")),
            "max_parallel": last.get("max_parallel"),
            "others_cores": beside.get("others_cores"),
            "autogroup": beside.get("autogroup"),
        }
    return Journal(run, stages, rows, "")


def _system(origin: Any) -> str:
    found = origin.get("system") if isinstance(origin, dict) else None
    return found if isinstance(found, str) else "another system"


def _is_part(first: Mapping[str, Any], ends: Iterable[End | None]) -> bool:
    if any(end is not None and is_no_part(end.reason) for end in ends):
        return True
    return bool((first.get("choice") or {}).get("dead_of"))


def _stage(
    attempts: tuple[Attempt, ...], end: End | None, around: Mapping[str, Any], told: list[Row],
    wall: Callable[[int], int],
) -> Row:  # fmt: skip
    wall_us = wait_us = None
    if attempts:
        wait_us = sum([attempt.started_us - attempt.ready_us for attempt in attempts])
        if end is not None:
            wall_us = end.us - attempts[0].started_us
    elif end is not None and end.ready_us is not None:
        wait_us = end.us - end.ready_us
    last = told[-1] if told else (None,) * (len(ATTEMPT) - 1)
    return (
        end.outcome if end is not None else None,
        end.reason if end is not None else None,
        end is not None and end.flaky,
        len(attempts),
        wall(attempts[0].started_us) if attempts else None,
        wall_us,
        wait_us,
        next((attempt.waited for attempt in attempts if attempt.waited), None),
        last[6],
        last[9],
        last[10],
        last[17],
        _us(around.get("run_delay_s")),
        around.get("others_cores"),
        around.get("device_busy"),
        last[12],
        last[13],
    )


def _attempt(attempt: Attempt, company: float | None, wall: Callable[[int], int]) -> Row:
    (
        number, ready_us, started_us, waited, log, finished_us, outcome, reason, exit, signal, usage, _, taken_back,
    ) = attempt  # fmt: skip
    user_s, system_s, rss, read, written, _, _, method, rss_method = usage
    return (
        number,
        outcome,
        reason,
        exit,
        signal,
        wall(started_us),
        None if finished_us is None else finished_us - started_us,
        started_us - ready_us,
        waited,
        None if user_s is None or system_s is None else round((user_s + system_s) * 1_000_000),
        rss,
        rss_method,
        read,
        written,
        method,
        log,
        taken_back,
        company,
    )


def _company(attempts: list[Attempt]) -> list[float | None]:
    """For each attempt how many others ran meanwhile, on the average over its time; None for one without length.

    Of one stage only one attempt runs at a time, so others are other stages.
    """
    spans = [(one.started_us, one.finished_us) for one in attempts if one.finished_us is not None]
    edges = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    until: dict[int, int] = {}  #: time to how much had been worked by then, all attempts together
    at = worked = running = 0
    for us, step in edges:
        worked += running * (us - at)
        until[us] = worked
        at, running = us, running + step
    return [
        (until[one.finished_us] - until[one.started_us]) / (one.finished_us - one.started_us) - 1
        if one.finished_us is not None and one.finished_us > one.started_us
        else None
        for one in attempts
    ]


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1_000_000)


def parts(journal: Journal) -> dict[str, tuple[str, str]]:
    """Suite and `2/4` for each stage that is the second of four parts of it. Reads the plan, which the rows do
    without."""
    from stagebook.record.retelling import header, pipeline_of

    try:
        first = next(reader.read(journal.path))
        plan = pipeline_of(header(first, journal.path))
    except (SurroundingsError, StopIteration):
        return {}
    return {
        stage.id: (stage.split.suite, f"{stage.split.part}/{stage.split.shards}")
        for stage in plan.stages
        if stage.split is not None
    }
