"""The runs of a state directory: listed, found by a word of the user's, and told as documents. Starts and ends nothing.

A list reads of each journal only its head and its tail, so that ten thousand runs are listed in about a second; what
it gives is what stands in the lines `run.started` and `run.ended`.
"""

from __future__ import annotations

import itertools
import json
import os
import stat

from stagebook.model.pipeline import MEASURED
from stagebook.model.problem import InputError, SurroundingsError
from stagebook.record import lock, measured, notices, reader, set_aside, trace
from stagebook.record.clock import epoch_us, stamp
from stagebook.record.line import BrokenLine, decode, time_us
from stagebook.record.shapes import fault
from stagebook.record.state import NAME, OF_EXPERIMENT, journal_path, open_regular, run_directory, runs_directory
from stagebook.scheduler.plan import RULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, TypeAlias

    from stagebook.record.story import Story

HEAD_BYTES = 4096
TAIL_BYTES = 4096
_TAIL_BYTES_MAX = 1 << 27
_HEAD_BYTES_MAX = 1 << 20
_DEPTH_MAX, _ENTRIES_MAX, _STATES_MAX = 2, 400, 3
#: Members of the first line that a list needs; those after them are not read.
_HEAD_KEYS = ("run", "t", "at", "pipeline", "mode", "jobs", "policy", "file", "critical", "critical_by")
_TOTALS = (
    "critical_path", "critical_path_s", "max_parallel", "sum_s", "did", "cpu_s", "effective_parallel", "bound_by",
    "waiting_by", "waiting_for_needs_s", "waiting_for_person_s", "skipped_by_conditions", "clock_jump_s", "around",
)  # fmt: skip
#: Lines that say nothing about whether a run goes on.
_ASIDE = frozenset(["journal.synced", "usage"])

Summary: TypeAlias = "dict[str, Any]"


def ids(state: str) -> list[str]:
    """The runs that have a directory, newest first."""
    try:
        return sorted(os.listdir(runs_directory(state)), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SurroundingsError(f"cannot read {runs_directory(state)}: {error.strerror}") from error


def summaries(state: str) -> Iterator[Summary]:
    """The documents of all runs without their stages, newest first.

    `state` says `ended`, `running` (an engine holds it), `waiting` (for a person), `interrupted` (its engine is gone)
    or `damaged`. What only the end of a run tells is null before it. Directories without a first line are left out.
    """
    for run in ids(state):
        summary = summarise(run_directory(state, run))
        if summary is not None:
            yield summary


def summarise(directory: str) -> Summary | None:
    """One run's summary; None if nothing of it was ever recorded."""
    try:
        fd = os.open(journal_path(directory), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return _damaged(directory)  # of somebody else, perhaps; one such must not hide all others
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return _damaged(directory)
        size = os.fstat(fd).st_size
        head = _head(fd)
        last, has_lines, is_synced = _last_record(fd, size)
        file = _file_in(fd) if head is None or last is None else None
    finally:
        os.close(fd)
    if not has_lines:
        return None
    if head is None or last is None:
        return _damaged(directory, file=file)
    for record, which in ((head, "first"), (last, "last")):
        wrong = fault(record)
        if wrong is not None:
            file = head["file"] if type(head.get("file")) is str else None
            return _damaged(directory, f"its {which} record is not sound: {wrong}", file)
    return _summary(directory, head, last, is_synced)


def resolve(state: str, text: str) -> str:
    """The directory of the run that `text` means: `last`, an id, or the beginning of one id only.

    Raises InputError, which names what is near.
    """
    known = ids(state)
    if text == "last":
        for run in known:
            if os.path.exists(journal_path(run_directory(state, run))):
                return run_directory(state, run)
        raise InputError(f"there is no run in {state} yet{elsewhere(state)}")
    wanted = text.upper()
    fitting = [run for run in known if run.startswith(wanted)] if wanted else []
    if wanted in fitting:
        return run_directory(state, wanted)
    if len(fitting) == 1:
        return run_directory(state, fitting[0])
    if fitting:
        raise InputError(f"`{text}` is the beginning of {len(fitting)} runs: {_listed(fitting)}")
    if not known:
        raise InputError(f"no run `{text}`; there is no run in {state} yet{elsewhere(state)}")
    raise InputError(f"no run `{text}`; the nearest are {_listed(_near(wanted, known))}")


def elsewhere(state: str) -> str:
    """Where runs lie near the current directory, as the end of an error; empty where `state` has some itself."""
    if ids(state):
        return ""
    inner = os.path.join(state, NAME)
    found = [os.path.relpath(inner)] if ids(inner) else below(os.getcwd())[0][:_STATES_MAX]
    if not found:
        return ""
    from shlex import quote

    return f"; runs lie in {', '.join(found)}: add --dir {quote(found[0])}"


def below(folder: str) -> tuple[list[str], bool]:
    """State directories with runs in the folder and two levels below it, that with the latest run first, as paths from
    the folder; and whether these are all. No more than a few hundred entries are looked at."""
    found, left, is_all = [], _ENTRIES_MAX, True
    levels = [[folder]]
    for depth in range(_DEPTH_MAX + 1):
        levels.append([])
        for path in levels[depth]:
            try:
                known = os.listdir(runs_directory(os.path.join(path, NAME)))
            except OSError:
                known = []
            if known:
                found.append((max(known), os.path.relpath(os.path.join(path, NAME), folder)))
            if depth == _DEPTH_MAX or left <= 0:
                is_all = is_all and left > 0
                continue
            try:
                with os.scandir(path) as entries:
                    for entry in itertools.islice(entries, left):
                        left -= 1
                        is_all = left > 0
                        if entry.name[0] != "." and entry.is_dir(follow_symlinks=False):
                            levels[-1].append(entry.path)
            except OSError:
                pass  # of somebody else
    return [path for _, path in sorted(found, reverse=True)], is_all


def latest_to_resume(state: str, file: str) -> tuple[Summary, int] | None:
    """The latest run of a pipeline file that can go on, and how many newer ones of that file are over; None where
    there is none. One that was begun by other rules is given only where it is the very latest, to be refused.

    Raises SurroundingsError if the latest run of the file is damaged, or may be: what it did is not known, so to begin
    anew must be a decision.
    """
    path = os.path.abspath(file)
    is_latest = True
    newer = 0
    for summary in summaries(state):
        if is_latest and summary["state"] == "damaged" and summary["file"] in (path, None):
            if os.path.isfile(journal_path(run_directory(state, summary["run"]))):  # else it is no run at all
                raise _refused(state, summary)
        if summary["file"] == path:
            if can_go_on(summary):
                first = first_line(run_directory(state, summary["run"]))
                if OF_EXPERIMENT in first:
                    continue  # which has it run anew
                if is_latest or first.get("rules", 1) == RULES:
                    return summary, newer
            newer += summary["state"] == "ended"
            is_latest = False
    return None


def _refused(state: str, summary: Summary) -> SurroundingsError:
    why = summary["warnings"][0]
    try:
        reader.load(journal_path(run_directory(state, summary["run"])))
    except SurroundingsError as error:  # which knows the record
        why = str(error)
    return SurroundingsError(
        f"the latest run, {summary['run']}, cannot be gone on with: {why}; "
        "without --resume a new run begins, --resume RUN goes on with another"
    )


def can_go_on(summary: Summary) -> bool:
    """Whether `run --resume` goes on with a run: it has no recorded end, as its engine was killed or gave way, or a
    signal stopped it, or it ended as `error` within its time. It is the machine that decides what that moves."""
    if summary.get("imported"):
        return False
    if summary["state"] != "ended":
        return bool(summary["state"] != "damaged")
    if summary["outcome"] == "error":
        return summary["reason"] != "timeout" and not summary.get("measured")
    return summary["outcome"] == "cancellation" and "SIG" in (summary["reason"] or "")


def document(directory: str) -> dict[str, Any]:
    """The document that `show --json` prints, read from the whole journal and made durable before it is given.

    `state` is added as in `summaries`. Raises SurroundingsError, DamagedJournal.
    """
    from stagebook.record.story import Story

    path = journal_path(directory)
    recording = reader.load(path)
    reader.settle(path)
    story = Story.from_recording(recording)
    if story.pipeline.format == MEASURED:
        return _measured_document(directory, story, recording)
    state = "ended" if story.outcome is not None else _state(directory)
    waiting = held_by = None
    if state in ("running", "waiting") and recording.records[0].get("rules", 1) == RULES:
        from stagebook.record.holders import Holders
        from stagebook.record.replay import replay

        machine = replay(recording).machine
        waiting, held_by = machine.waiting, Holders(machine).of
    if recording.tail_text is not None and state != "running":
        story.warn(recording.tail_text)
    told = notices.read(directory)
    for warning in notices.warnings(told, story.run):
        story.warn(warning)
    ids = [stage.id for stage in story.pipeline.stages]
    whole = {**story.document(waiting, held_by), **set_aside.document(directory, ids), "state": state}
    if recording.records[0].get("imported"):
        whole["imported"] = recording.records[0]["imported"]
    if told:
        whole["notices"] = notices.document(told)
    if state != "running":
        for stage in whole["stages"]:
            if stage["attempts"] and stage["attempts"][-1]["finished"] is None:
                stage["interrupted"] = True
    return whole


def _measured_document(directory: str, story: Story, recording: reader.Recording) -> dict[str, Any]:
    """No engine says when a measured run is over: it is when nothing is being measured, until more is."""
    if story.outcome is None and not lock.is_shared(directory):
        measured.settle(story)
        if recording.tail_text is not None:
            story.warn(recording.tail_text)
    return {**story.document(), "state": "running" if story.outcome is None else "ended"}


def _summary(directory: str, head: dict[str, Any], last: dict[str, Any], is_synced: bool) -> Summary:
    """An end that was written and never made durable was never announced either: such a run is not over."""
    over = last["event"] == "run.ended" and is_synced
    is_measured = head.get("format") == MEASURED
    if is_measured and not over:
        try:
            whole = document(directory)
        except SurroundingsError as error:
            return _damaged(directory, str(error), head.get("file"))
        del whole["stages"]
        return whole
    end = last if over else {}
    state = "ended" if over else _state(directory)
    traced = trace.of_run(head["run"], head.get("traceparent"))
    return {
        "run": head["run"],
        "pipeline": head["pipeline"],
        "outcome": end.get("outcome"),
        "reason": end.get("reason"),
        "state": state,
        "mode": head.get("mode"),
        "jobs": head.get("jobs"),
        "jobs_because": head.get("jobs_because"),
        "policy": head.get("policy"),
        "policy_because": head.get("policy_because"),
        "file": head.get("file"),
        "trace_id": traced.id,
        "parent_span_id": traced.parent,
        "started": stamp(epoch_us(head["at"]) - time_us(head)),
        "finished": end.get("at"),
        "wall_s": end.get("wall_s"),
        "waiting": "gate" if state == "waiting" else None,
        "critical_planned": head.get("critical"),
        "critical_by": head.get("critical_by"),
        **{name: end.get(name) for name in _TOTALS},
        "warnings": end.get("warnings", []),
        **({"measured": True} if is_measured else {}),
        **({"imported": head["imported"]} if head.get("imported") else {}),
    }


def _file_in(fd: int) -> str | None:
    """The pipeline file that a broken first line still seems to name."""
    _, is_there, rest = os.pread(fd, HEAD_BYTES, 0).decode("utf-8", "replace").partition('"file":')
    try:
        name = json.JSONDecoder().raw_decode(rest)[0] if is_there else None
    except ValueError:
        return None
    return name if isinstance(name, str) else None


def remembered(run: str, **known: Any) -> Summary:
    """The summary of a run of which only so much is known; all else is null. `state` is `gone`: its directory is not
    there any more, and a history remembers it."""
    names = (
        "pipeline", "outcome", "reason", "mode", "jobs", "jobs_because", "policy", "policy_because", "file", "trace_id",
        "parent_span_id", "started", "finished", "wall_s", "waiting", "critical_planned", "critical_by", *_TOTALS,
    )  # fmt: skip
    return {"run": run, **dict.fromkeys(names), "state": "gone", "warnings": [], **known}


def _damaged(directory: str, why: str = "its first record cannot be read", file: str | None = None) -> Summary:
    warning = why if journal_path(directory) in why else f"{journal_path(directory)}: {why}"
    return remembered(os.path.basename(directory), file=file, state="damaged", warnings=[warning])


def _state(directory: str) -> str:
    """What a run without an end is doing."""
    if lock.holder(directory) is not None:
        return "running"
    return "waiting" if _asks_a_person(journal_path(directory)) else "interrupted"


def _asks_a_person(path: str) -> bool:
    """Whether nothing more can happen before a person answers, at a gate or for a stage that is not safe to repeat. The
    machine says so, which is asked only where there is a gate or a run was gone on with: nobody is asked else."""
    from stagebook.model.problem import DefectError
    from stagebook.record.replay import replay

    try:
        with open_regular(path) as file:
            text = file.read()
        if b'"event":"run.resumed"' not in text and b'"event":"gate.asked"' not in text:
            return False
        machine = replay(reader.load(path)).machine
    except (OSError, SurroundingsError, DefectError):
        return False  # the list goes on; who asks for this run by name is told
    return machine.waits_for_person


def refuse_other_rules(directory: str) -> None:
    """Raises SurroundingsError for a run that `replay` would refuse for its rules; the rest of it is not read."""
    from stagebook.record import replay

    first = first_line(directory)
    if first:
        replay.refuse_other_rules(first["run"], first.get("rules", 1))


def first_line(directory: str) -> dict[str, Any]:
    """What the first line of a run's journal says before its choice and plan; empty where it cannot be read."""
    try:
        with open_regular(journal_path(directory)) as file:
            return _head(file.fileno()) or {}
    except OSError:
        return {}


def choice(directory: str) -> dict[str, Any]:
    """What was chosen for a run: which stages, of items which; empty where it cannot be read."""
    try:
        first = next(reader.read(journal_path(directory)), {})
    except (OSError, SurroundingsError):
        return {}
    return dict(first.get("choice") or {})


def _head(fd: int) -> dict[str, Any] | None:
    """The members of the first line that sum up a run, as far as they stand at its beginning; None if it is no such
    line. Its checksum is not looked at: that would mean to read the plan."""
    size = HEAD_BYTES
    while True:
        data = os.pread(fd, size, 0)
        members = _members(data.decode("utf-8", "replace"))
        complete = all(name in members for name in _HEAD_KEYS)
        if complete or "choice" in members or len(data) < size or size >= _HEAD_BYTES_MAX:
            break
        size *= 16
    if members.get("event") != "run.started" or not all(name in members for name in _HEAD_KEYS[:4]):
        return None
    return members


def _members(text: str) -> dict[str, Any]:
    """The whole members at the beginning of a JSON object whose end is missing."""
    scan = json.JSONDecoder().raw_decode
    members: dict[str, Any] = {}
    at = 1
    try:
        while text[at - 1] in "{,":
            name, at = scan(text, at)
            if text[at] != ":":
                break
            if name in ("choice", "plan"):
                members[name] = {}
                break
            value, at = scan(text, at + 1)
            text[at]  # a number that the cut may have shortened is not whole
            members[name] = value
            at += 1
    except (ValueError, IndexError):
        pass
    return members


def _last_record(fd: int, size: int) -> tuple[dict[str, Any] | None, bool, bool]:
    """The last whole record that says whether the run goes on, reading backwards as far as need be; whether there
    is any line at all; and whether the record is known to be durable."""
    window = TAIL_BYTES
    while True:
        start = max(0, size - window)
        is_synced = False
        data = os.pread(fd, size - start, start)
        lines = data.split(b"\n")[:-1]
        for line in reversed(lines if start == 0 else lines[1:]):
            try:
                record = decode(line)
            except BrokenLine:
                continue
            event = record.get("event")
            if type(event) is not str or event not in _ASIDE:
                return record, True, is_synced
            is_synced = is_synced or event == "journal.synced"
        if start == 0 or window >= _TAIL_BYTES_MAX:
            return None, bool(lines), False
        window *= 8


def _listed(runs: list[str]) -> str:
    return ", ".join(f"`{run}`" for run in runs[:3]) + (", …" if len(runs) > 3 else "")


def _near(wanted: str, known: list[str]) -> list[str]:
    """Up to three runs: those that begin most like what was asked for, newest first among equals."""
    return sorted(
        known, key=lambda run: next((-i for i, (a, b) in enumerate(zip(wanted, run)) if a != b), -len(wanted))
    )[:3]
