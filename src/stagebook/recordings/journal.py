"""A recorded run as the bytes of a journal, such as a run of our own leaves. The same run and the same pipeline make
the same bytes: no clock is asked. Where it is kept is not known here.

Its stages are those of the jobs that were recorded, with the needs that the pipeline file gives them; a need that has
no record is replaced by what it needs in turn. A job that no stage answers to is a stage of its own without needs.
"""

from __future__ import annotations

from hashlib import blake2b

from stagebook.model.job import Job
from stagebook.model.outcome import SEVERITY
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.plain import to_plain
from stagebook.model.recorded import RecordedTry
from stagebook.model.value import NamedTuple
from stagebook.record.clock import ulid
from stagebook.record.line import encode, members, quote
from stagebook.record.reasons import NOT_SELECTED
from stagebook.record.retelling import usage_of
from stagebook.record.story import Story

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping

    from stagebook.model.recorded import RecordedJob, RecordedRun
    from stagebook.recordings.match import Names

_FAILED = ("failure", "error", "timeout")
_MERGES = ("pull_request", "merge_request_event")
_LONG = 100  #: characters of a name that a file does not have


class Written(NamedTuple):
    """`mark` is the part of the run's id that the recorded run alone decides. `unmatched` are names of jobs that no
    stage answers to."""

    run: str
    mark: str
    journal: bytes
    finished_us: int
    unmatched: tuple[str, ...]
    jobs: int


class _Told(NamedTuple):
    """A stage of the run, and what was recorded of it. `ready_us`: of each try, when it could have begun."""

    stage: Stage
    tries: tuple[RecordedTry, ...]
    ready_us: tuple[int, ...]
    at_us: int  #: of one that never ran: when that was decided


def mark_of(system: str, id: str, attempt: int) -> str:
    """What an imported run's id ends with: that tells it from every other recorded run."""
    return ulid(0, int.from_bytes(blake2b(f"{system}\0{id}\0{attempt}".encode(), digest_size=10).digest(), "big"))[10:]


def write(run: RecordedRun, pipeline: Pipeline | None, names: Names, file: str) -> Written | None:
    """None of a run in which nothing has a time. `file`: the pipeline file that the run belongs to, read or not."""
    by_stage, unmatched = _by_stage(run, names)
    times = [
        us
        for jobs in by_stage.values()
        for one in _merged(jobs).tries
        for us in (one.created_us, one.started_us, one.finished_us)
        if us is not None
    ]
    if not times:
        return None
    told = _told(run, by_stage, pipeline, min(times))
    epoch_us = min([us for each in told for us in (*each.ready_us, each.at_us)])
    mark = mark_of(run.system, run.id, run.attempt)
    id = ulid(epoch_us // 1000, 0)[:10] + mark
    whole = _pipeline(run, pipeline, told, file)
    journal, finished_us = _Lines(id, epoch_us, run, whole).of(told)
    return Written(id, mark, journal, finished_us, tuple(unmatched), sum(len(jobs) for jobs in by_stage.values()))


# Which stages, and when -------------------------------------------------------------------------------------------


def _by_stage(run: RecordedRun, names: Names) -> tuple[dict[str, list[RecordedJob]], list[str]]:
    """Jobs by the id of the stage they are of, and the names of those that are of none."""
    found: dict[str, list[RecordedJob]] = {}
    unmatched: list[str] = []
    seen: dict[str, int] = {}
    for job in run.jobs:
        number = seen[job.name] = seen.get(job.name, -1) + 1
        match = names.find(job.name, number)
        if match is not None:
            found.setdefault(match.stage, []).append(job)
        else:
            unmatched.append(job.name)
            found.setdefault(_own_id(job.name, found), []).append(job)
    return found, unmatched


def _own_id(name: str, taken: Iterable[str]) -> str:
    """The name of a job as an id that no stage has."""
    plain = "".join(letter if letter.isprintable() else " " for letter in name).translate({91: "(", 93: ")"})
    id = plain.strip()[:_LONG] or "job"
    number = 1
    free = id
    while free in taken:
        number += 1
        free = f"{id}#{number}"
    return free


def _merged(jobs: list[RecordedJob]) -> RecordedJob:
    """Several jobs that one stage stands for, as one that began with the first and ended with the last of them."""
    if len(jobs) == 1:
        return jobs[0]
    tries = [job.tries[-1] for job in jobs]
    ran = [one for one in tries if one.started_us is not None and one.finished_us is not None] or tries
    starts, ends = (
        [us for us in of if us is not None] for of in zip(*[(one.started_us, one.finished_us) for one in ran])
    )
    known = [one.created_us for one in ran if one.created_us is not None]
    worst = max(ran, key=lambda one: SEVERITY[one.outcome])
    merged = RecordedTry(
        worst.outcome, min(known, default=None), None, min(starts, default=None), max(ends, default=None), worst.reason
    )
    return jobs[0]._replace(tries=(merged,))


def _told(
    run: RecordedRun, by_stage: Mapping[str, list[RecordedJob]], pipeline: Pipeline | None, first_us: int
) -> list[_Told]:
    """In the order of the pipeline file, those that it has not last; kept ones are skipped as not selected."""
    known = {stage.id: stage for stage in pipeline.stages} if pipeline is not None else {}
    kept = {id for id in run.kept if id in known and id not in by_stage}
    ids = [id for id in known if id in by_stage or id in kept] + [id for id in by_stage if id not in known]
    there = set(ids)
    over: dict[str, int] = {}
    ends: dict[str, str] = {}
    found = []
    for id in _in_order(ids, known):
        stage = _stage(run, id, known.get(id), by_stage.get(id, []), _needs(id, known, there))
        if id in kept:
            found.append(_Told(stage, (RecordedTry("skip", reason=NOT_SELECTED),), (), first_us))
            continue
        job = _merged(by_stage[id])
        needed_us = max([over[need] for need in stage.needs if need in over], default=first_us)
        tries = tuple(one for one in job.tries if one.started_us is not None)
        ready: list[int] = []
        for one in tries:
            ready.append(_ready_us(one, needed_us if not ready else first_us))
        if not tries:
            last = job.tries[-1]
            at_us = last.finished_us or last.created_us or needed_us
            tries, ready = (last._replace(reason=_why(last, stage, ends, known.get(id))),), []
        else:
            at_us = max(one.finished_us or 0 for one in tries)
            over[id] = at_us
        ends[id] = tries[-1].outcome
        found.append(_Told(stage, tries, tuple(ready), at_us))
    place = {id: at for at, id in enumerate(ids)}
    return sorted(found, key=lambda each: place[each.stage.id])


def _in_order(ids: list[str], known: Mapping[str, Stage]) -> list[str]:
    """Needs before what needs them."""
    found: dict[str, None] = {}
    there = set(ids)
    for id in ids:
        stack = [(id, iter(_needs(id, known, there)))]
        while stack:
            at, needs = stack[-1]
            need = next((need for need in needs if need not in found), None)
            if need is None:
                found[at] = None
                stack.pop()
            else:
                stack.append((need, iter(_needs(need, known, there))))
    return list(found)


def _needs(id: str, known: Mapping[str, Stage], there: set[str]) -> tuple[str, ...]:
    """Those that are in the run; in place of one that is not, what it needs."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    open_ones = list(reversed(known[id].needs)) if id in known else []
    while open_ones:
        need = open_ones.pop()
        if need in seen:
            continue
        seen.add(need)
        if need in there:
            found[need] = None
        elif need in known:
            open_ones += reversed(known[need].needs)
    return tuple(found)


def _ready_us(one: RecordedTry, needed_us: int) -> int:
    """When nothing but a runner was missing: by what the system says of the queue, else once it knew of the job and all
    needs were over."""
    assert one.started_us is not None
    if one.queued_us is not None:
        return max(one.started_us - one.queued_us, min(needed_us, one.started_us))
    if one.created_us is None:
        return one.started_us
    return min(one.started_us, max(one.created_us, needed_us))


def _why(last: RecordedTry, stage: Stage, ends: Mapping[str, str], known: Stage | None) -> str | None:
    """Why a job never ran."""
    if last.outcome != "skip":
        return last.reason
    if last.reason is not None:
        return f"when: {last.reason}"
    bad = next((need for need in stage.needs if ends.get(need) in (*_FAILED, "cancellation")), None)
    if bad is not None:
        return f"needs {bad} ({ends[bad]})"
    above = next((need for need in stage.needs if ends.get(need) == "skip"), None)
    if above is not None and (known is None or known.when is None):
        return f"needs {above} (skip)"
    return f"when: {known.when.text}" if known is not None and known.when is not None else "when: it was skipped"


def _stage(run: RecordedRun, id: str, known: Stage | None, jobs: list[RecordedJob], needs: tuple[str, ...]) -> Stage:
    """As much of a stage as tells of a run: no command, no environment."""
    runner = ", ".join(jobs[0].labels) if jobs else ""
    title = jobs[0].name if len(jobs) == 1 else id
    job = Job(run.system, title, runner=runner)
    lines = (0,) * len(needs)
    if known is None:
        allow = bool(jobs) and all(each.allow_failure for each in jobs)
        return Stage(id, id, 0, 0, "job", needs=needs, need_lines=lines, allow_failure=allow, job=job)
    is_allowed = known.allow_failure or (bool(jobs) and all(each.allow_failure for each in jobs))
    return Stage(
        id, known.name, known.line, known.col, "job", needs=needs, need_lines=lines, join=known.join,
        always=known.always, cell=known.cell, group=known.group, locks=known.locks, allow_failure=is_allowed, job=job,
    )  # fmt: skip


def _pipeline(run: RecordedRun, known: Pipeline | None, told: list[_Told], file: str) -> Pipeline:
    stages = tuple(each.stage for each in told)
    name = known.name if known is not None else (run.workflow or run.path or run.system)
    if not name.isprintable():
        name = "".join(letter if letter.isprintable() else " " for letter in name)
    return Pipeline(name, file, run.system, "", stages)


# Lines ------------------------------------------------------------------------------------------------------------


class _Lines:
    """The lines of one journal, and the story that they tell, which sums the run up."""

    def __init__(self, id: str, epoch_us: int, run: RecordedRun, pipeline: Pipeline) -> None:
        self._id, self._epoch_us, self._run, self._pipeline = id, epoch_us, run, pipeline
        self._lines: list[bytes] = []
        self._story = Story(pipeline, id, epoch_us, mode="parallel", jobs=1)
        self._places = {stage.id: index for index, stage in enumerate(pipeline.stages)}

    def of(self, told: list[_Told]) -> tuple[bytes, int]:
        """The journal, and when the run was over."""
        events = sorted(self._events(told), key=lambda event: event[:3])
        most = running = 0
        for _, rank, _, _, _ in events:
            running += (rank == 1) - (rank in (0, 2))
            most = max(most, running)
        self._story.jobs = max(1, most)
        self._begin(max(1, most))
        last_us = 0
        for us, rank, _, each, number in events:
            last_us = us - self._epoch_us
            if rank == 1:
                self._started(each, number, last_us)
            elif rank == 3:
                self._ended(each, last_us)
            else:
                self._exited(each, number, last_us)
        outcome, reason = self._outcome()
        self._story.finished(last_us, outcome, reason)
        self._add("run.ended", last_us, tail=self._story.closing())
        self._add("journal.synced", last_us)
        return b"".join(self._lines), self._epoch_us + last_us

    def _events(self, told: list[_Told]) -> Iterable[tuple[int, int, int, _Told, int]]:
        """Time, rank among those of one time, place, stage, try: an end before a start, but not before its own. What
        never ran makes no run longer."""
        last_us = max([one.finished_us or 0 for each in told if each.ready_us for one in each.tries], default=None)
        for place, each in enumerate(told):
            if not each.ready_us:
                at_us = each.at_us if last_us is None else min(each.at_us, last_us)
                yield max(at_us, self._epoch_us), 3, place, each, 0
                continue
            floor_us = self._epoch_us
            for number, one in enumerate(each.tries):
                started_us = max(one.started_us or 0, floor_us)
                finished_us = floor_us = max(one.finished_us or 0, started_us)
                yield started_us, 1, place, each, number
                yield finished_us, 2 if finished_us == started_us else 0, place, each, number

    def _begin(self, jobs: int) -> None:
        run, pipeline = self._run, self._pipeline
        origin = {
            "system": run.system, "id": run.id, "attempt": run.attempt, "url": run.url, "event": run.event,
            "workflow": run.workflow, "whole": run.is_whole,
        }  # fmt: skip
        # What is tried of a request to merge is its merge, of which only the run itself knows.
        commit = f"{run.sha}+merge" if run.sha is not None and run.event in _MERGES else run.sha
        branch = None if run.ref is None or run.ref.startswith("refs/tags/") else run.ref
        day = self._story.stamp(0)[:10]
        self._add("run.started", 0, tail=members(
            pipeline=pipeline.name, mode="parallel", jobs=jobs, policy=pipeline.policy, stages=len(pipeline.stages),
            file=pipeline.file, format=pipeline.format, boot=None, pid=None, digest="", commit=commit, branch=branch,
            imported=origin, critical=[], jobs_because=f"as many as ran at once on {run.system}",
            choice={"today": day}, plan=to_plain(pipeline),
        ))  # fmt: skip

    def _started(self, each: _Told, number: int, us: int) -> None:
        ready_us = min(us, max(0, each.ready_us[number] - self._epoch_us))
        waited = "slot" if us > ready_us and not each.stage.locks else None
        index = self._at(each)
        self._story.started(index, number + 1, us, ready_us, waited)
        self._add(
            "stage.started", us, each.stage.id, number + 1,
            members(pid=None, start=None, ready=ready_us / 1e6, waited=waited),
        )  # fmt: skip

    def _exited(self, each: _Told, number: int, us: int) -> None:
        one = each.tries[number]
        tail: dict[str, Any] = {"outcome": one.outcome, "reason": one.reason, "exit": None, "signal": None}
        if one.steps:
            tail["steps"] = [
                [step.name, step.outcome, _after(step.started_us, self._epoch_us),
                 _after(step.finished_us, self._epoch_us)] for step in one.steps
            ]  # fmt: skip
        if one.usage is not None:
            tail["usage"] = dict(one.usage)
        used = None if one.usage is None else usage_of(dict(one.usage))
        self._story.exited(self._at(each), number + 1, us, one.outcome, one.reason, usage=used)
        self._add("stage.exited", us, each.stage.id, number + 1, members(**tail))
        if number + 1 == len(each.tries):
            self._ended(each, us)

    def _ended(self, each: _Told, us: int) -> None:
        last = each.tries[-1]
        is_flaky = last.outcome == "success" and len(each.tries) > 1
        self._story.ended(self._at(each), us, last.outcome, last.reason, is_flaky)
        self._add("stage.ended", us, each.stage.id, None, members(
            outcome=last.outcome, reason=last.reason, flaky=is_flaky,
        ))  # fmt: skip

    def _at(self, each: _Told) -> int:
        return self._places[each.stage.id]

    def _outcome(self) -> tuple[str, str | None]:
        """What the system says; else the worst of its jobs that counts. Of a run of which jobs are missing, because
        they were run again, it is not known."""
        if not self._run.is_whole:
            return "error", "incomplete: jobs that were run again are not in what was imported"
        if self._run.outcome is not None:
            return self._run.outcome, None
        counted = [
            state for stage, state in zip(self._pipeline.stages, self._story.state)
            if state in SEVERITY and not (stage.allow_failure and state in _FAILED)
        ]  # fmt: skip
        return max(counted, key=SEVERITY.__getitem__, default="success"), None

    def _add(self, event: str, us: int, stage: str | None = None, attempt: int | None = None, tail: str = "") -> None:
        seq = len(self._lines) + 1
        name = None if stage is None else quote(stage)
        self._lines.append(encode(seq, seq, self._id, us, self._epoch_us, event, name, attempt, tail))


def _after(moment_us: int | None, epoch_us: int) -> float | None:
    return None if moment_us is None else max(0, moment_us - epoch_us) / 1e6
