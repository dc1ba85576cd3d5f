"""What a story amounts to: the JSON document of `run` and `show`, its sums and its critical path. Changes no story.

All times in a story are whole microseconds since the run began; in the document they are seconds and ISO 8601.
`from_s` and `to_s` of an attempt are on the run's own clock, which nobody can set and which stands still between two
engines: a picture is drawn from these.
"""

from __future__ import annotations

from itertools import pairwise

from stagebook.graph.shape import order
from stagebook.model.pipeline import MEASURED
from stagebook.record import gates, held, reasons, trace
from stagebook.record.line import members
from stagebook.record.story import FAILED, WAITING, Attempt, Story

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence, TypeAlias

    from stagebook.record.publication import Row

PUBLISHED_MAX = 100  #: so many files of a stage are named

Waiting: TypeAlias = "Callable[[int], str | None]"
Holders: TypeAlias = "Callable[[int], list[str]]"


def document(story: Story, waiting: Waiting | None, held_by: Holders | None = None) -> dict[str, Any]:
    """The whole document. `waiting` says what a stage that is not over waits for, by index (`Machine.waiting`), and
    `held_by` who has it."""
    return _run(story, waiting, _stages(story, waiting, held_by))


def outline(story: Story, waiting: Waiting | None) -> dict[str, Any]:
    """The document, but of its stages only what a summary reads: no wall clock, nothing of what they used."""
    return _run(story, waiting, _outlines(story, waiting))


def _run(story: Story, waiting: Waiting | None, stages: list[dict[str, Any]]) -> dict[str, Any]:
    sums = {**(story.sums or totals(story)), "clock_jump_s": story.clock_jump_s}
    del sums["warnings"]
    is_measured = story.pipeline.format == MEASURED
    traced = trace.of_run(story.run, story.traceparent)
    return {
        "run": story.run,
        "pipeline": story.pipeline.name,
        "outcome": story.outcome,
        "reason": story.reason,
        "mode": ("parallel" if story.max_parallel > 1 else "sequential") if is_measured else story.mode,
        "jobs": max(1, story.max_parallel) if is_measured else story.jobs,
        "jobs_because": story.jobs_because,
        "policy": story.policy,
        "policy_because": story.policy_because,
        "file": story.pipeline.file,
        "trace_id": traced.id,
        "parent_span_id": traced.parent,
        "started": story.stamp(0),
        "finished": story.stamp(story.end_us) if story.end_us is not None else None,
        "wall_s": story.end_us / 1e6 if story.end_us is not None else None,
        "waiting": _run_waits(story, waiting),
        "critical_planned": list(story.critical),
        "critical_by": story.critical_by,
        **sums,
        "stages": stages,
        "warnings": list(story.warnings),
        **({"measured": True, "resumable": False} if is_measured else {}),
    }


def _skipped_by_conditions(story: Story) -> dict[str, Any] | None:
    """What conditions have saved: the stages, and the time that was known of them, together."""
    stages = [story.pipeline.stages[stage].id for stage in reasons.skipped_by_conditions(story)]
    if not stages:
        return None
    known = {stage: story.known_ms[stage] for stage in stages if stage in story.known_ms}
    return {"stages": stages, "took_s": {stage: ms / 1000 for stage, ms in known.items()},
            "saved_s": sum(known.values()) / 1000 if known else None}  # fmt: skip


def closing(story: Story) -> str:
    """The tail of the line `run.ended`: the end and the totals, so that a list of runs need not read whole journals."""
    assert story.end_us is not None, "a run is closed when it is over"
    story.sums = totals(story)
    return members(outcome=story.outcome, reason=story.reason, wall_s=story.end_us / 1e6, **story.sums)


def totals(story: Story) -> dict[str, Any]:
    """What sums a run up, as members of the document."""
    ids = story.pipeline.stages
    chain, chain_us = critical_path(story)
    sum_us = sum([_spent_us(story, stage) for stage in range(len(story.attempts))])
    cpu_s = _cpu_s(story)
    waits = reasons.waiting_by(story.attempts)
    person_us = reasons.waiting_for_person_us(story)
    wall_us = (story.end_us or 0) - person_us
    return {
        "critical_path": [ids[stage].id for stage in chain],
        "critical_path_s": chain_us / 1e6,
        "max_parallel": _most_at_once(story),
        "sum_s": sum_us / 1e6,
        "did": reasons.did(story),
        "cpu_s": cpu_s,
        "effective_parallel": {
            "stages": round(sum_us / wall_us, 3) if wall_us > 0 else None,
            "cpu": round(cpu_s * 1e6 / wall_us, 3) if wall_us > 0 and cpu_s is not None else None,
        },
        "bound_by": reasons.bound_by(story, chain, chain_us, waits),
        "waiting_by": {name: us / 1e6 for name, us in waits.most_common() if us},
        "waiting_for_needs_s": reasons.waiting_for_needs_us(story) / 1e6,
        "waiting_for_person_s": person_us / 1e6,
        "skipped_by_conditions": _skipped_by_conditions(story),
        "clock_jump_s": story.clock_jump_s,
        "around": story.around._asdict() if story.around is not None else None,
        "warnings": list(story.warnings),
    }


def _most_at_once(story: Story) -> int:
    """How many stages and calls of items ran at once; of calls it is known how many did so on average within each
    piece of their step's course."""
    if not any(step.busy.spent_us for book in story.items.values() for step in book.steps):
        return story.max_parallel
    changes: list[tuple[float, float]] = []
    for stage, attempts in enumerate(story.attempts):
        book = story.items.get(stage)
        for attempt in attempts if book is None else ():
            changes.append((attempt.started_us, 1))
            if attempt.finished_us is not None:
                changes.append((attempt.finished_us, -1))
        for step in book.steps if book is not None else ():
            changes += step.busy.changes()
    most = level = 0.0
    for _, change in sorted(changes):
        level += change
        most = max(most, level)
    return max(story.max_parallel, round(most))


def critical_path(story: Story) -> tuple[list[int], int]:
    """The measured chain, first stage first, and its work in microseconds, waiting left out.

    From the stage that ended last, back over the need that ended last (with `join: any` the first one to end), as
    long as they ran. Of one that had announced what the next one reads, the time beside that one does not count.
    """
    last = [_last_us(attempts) for attempts in story.attempts]
    ran = [stage for stage, attempts in enumerate(story.attempts) if attempts]
    if not ran:
        return [], 0
    chain = [max(ran, key=lambda stage: (last[stage], -stage))]
    while before := _nearest_that_ran(story, chain[-1]):
        choose = min if story.pipeline.stages[chain[-1]].join == "any" else max
        chain.append(choose(before, key=lambda need: (last[need], need)))
    chain.reverse()
    work_us = sum([_work_us(story.attempts[stage]) for stage in chain])
    return chain, work_us - sum([_beside_us(story, *pair) for pair in pairwise(chain)])


def _beside_us(story: Story, stage: int, reader: int) -> int:
    """How long a stage went on after the next one of the chain had begun with what it had announced."""
    if story.pipeline.stages[stage].id not in story.pipeline.stages[reader].early:
        return 0
    began_us = story.attempts[reader][0].started_us
    return sum([
        attempt.finished_us - max(attempt.started_us, began_us)
        for attempt in story.attempts[stage]
        if attempt.finished_us is not None and attempt.finished_us > began_us and not reasons.is_stopped(attempt)
    ])  # fmt: skip


def _stages(story: Story, waiting: Waiting | None, held_by: Holders | None) -> list[dict[str, Any]]:
    ids = [stage.id for stage in story.pipeline.stages]
    levels, critical, tolerated = _levels(story.needs), frozenset(story.critical), reasons.tolerated(story)
    holders = held.holders(story)
    told = []
    for index, (stage, known, end) in enumerate(zip(story.pipeline.stages, story.attempts, story.ends)):
        attempts = [_attempt(story, attempt, holders.get((index, attempt.number))) for attempt in known]
        started = finished = outcome = reason = wall_s = wait_s = waited = None
        flaky = False
        if end is not None:
            end_us, outcome, reason, flaky, ready_us = end
            if stage.quarantine is not None:
                reason = _with_quarantine(story, index)
            if known:
                wall_s = (end_us - known[0].started_us) / 1e6
            elif ready_us is not None:
                wait_s = (end_us - ready_us) / 1e6
            finished = story.stamp(end_us)
        if known:
            started = attempts[0]["started"]
            wait_us = 0
            for attempt in known:
                wait_us += attempt.started_us - attempt.ready_us
                waited = waited or attempt.waited
            wait_s = wait_us / 1e6
        waits = _waits(story, index, waiting)
        each = {
            "stage": stage.id,
            "outcome": outcome,
            "flaky": flaky,
            "reason": reason,
            "started": started,
            "finished": finished,
            "wall_s": wall_s,
            "wait_s": wait_s,
            "waiting": waits,
            "held_by": held_by(index) if held_by is not None and waits is not None else None,
            "waited": waited,
            "attempts": attempts,
            "kind": stage.kind,
            "needs": [ids[need] for need in story.needs[index]],
            "level": levels[index],
            "line": stage.line,
        }
        each.update(gates.told(story, index))
        if stage.made_by is not None:
            each["made_by"] = stage.made_by
        if index in story.edges:
            each["edges"] = story.edges[index]
        if index in story.because:
            each["because"] = story.because[index]
        if index in story.published:
            each["published"] = _published(story.published[index])
        if index in story.items:
            each |= _items(story, index)
        each["expected_s"] = story.known_ms[stage.id] / 1000 if stage.id in story.known_ms else None
        each["critical"] = stage.id in critical
        each["tolerated"] = index in tolerated
        told.append(each)
    return told


def _items(story: Story, index: int) -> dict[str, Any]:
    stage = story.pipeline.stages[index]
    assert stage.each is not None
    ids = [f"{stage.id}.{step.name}" for step in stage.each.steps]
    return story.items[index].document(ids, stage.each.on_failure == "dead-letter", story.step_log, story.item_log)


def _published(files: list[Row] | int) -> dict[str, Any]:
    """The first files that a stage published, and how many there are."""
    if isinstance(files, int):
        return {"count": files, "files": [], "more": files}
    listed = [{"path": path, "bytes": size, "digest": digest} for path, size, digest in files[:PUBLISHED_MAX]]
    return {"count": len(files), "files": listed, "more": max(0, len(files) - PUBLISHED_MAX)}


def _outlines(story: Story, waiting: Waiting | None) -> list[dict[str, Any]]:
    levels, critical, tolerated = _levels(story.needs), frozenset(story.critical), reasons.tolerated(story)
    return [
        {
            "stage": stage.id,
            "outcome": end.outcome if end is not None else None,
            "flaky": end is not None and end.flaky,
            "reason": _with_quarantine(story, index),
            "finished": story.stamp(end.us) if end is not None else None,
            "waiting": _waits(story, index, waiting),
            "attempts": [
                {
                    "attempt": attempt.number,
                    "outcome": attempt.outcome,
                    "reason": attempt.reason,
                    "exit": attempt.exit,
                    "signal": attempt.signal,
                    "from_s": attempt.started_us / 1e6,
                    "to_s": attempt.finished_us / 1e6 if attempt.finished_us is not None else None,
                    "wait_s": (attempt.started_us - attempt.ready_us) / 1e6,
                    "waited": attempt.waited,
                    "log": story.log_path(attempt),
                    **({"taken_back": True} if attempt.taken_back else {}),
                }
                for attempt in known
            ],
            "level": levels[index],
            "line": stage.line,
            "critical": stage.id in critical,
            "tolerated": index in tolerated,
            **({"made_by": stage.made_by} if stage.made_by is not None else {}),
            **gates.told(story, index),
            **(_items(story, index) if index in story.items else {}),
        }
        for index, (stage, known, end) in enumerate(zip(story.pipeline.stages, story.attempts, story.ends))
    ]


def _with_quarantine(story: Story, stage: int) -> str | None:
    """Why a stage ended as it did, and of a failure whether a quarantine puts up with it, or does no longer."""
    end, quarantine = story.ends[stage], story.pipeline.stages[stage].quarantine
    if end is None or quarantine is None or end.outcome not in FAILED:
        return None if end is None else end.reason
    said = quarantine.said(story.today)
    return f"{end.reason}, {said}" if end.reason else said


def _attempt(story: Story, attempt: Attempt, holders: list[str] | None) -> dict[str, Any]:
    (
        number, ready_us, started_us, waited, _, finished_us, outcome, reason, exit, signal, usage, around, taken_back,
    ) = attempt  # fmt: skip
    user_s, system_s, rss, read, written, voluntary, involuntary, method, rss_method = usage
    return {
        "attempt": number,
        "outcome": outcome,
        "reason": reason,
        "exit": exit,
        "signal": signal,
        "started": story.stamp(started_us),
        "finished": story.stamp(finished_us) if finished_us is not None else None,
        "from_s": started_us / 1e6,
        "to_s": finished_us / 1e6 if finished_us is not None else None,
        "wait_s": (started_us - ready_us) / 1e6,
        "waited": waited,
        "held_by": holders,
        "log": story.log_path(attempt),
        **({"taken_back": True} if taken_back else {}),
        "usage": {
            "cpu_s": round(user_s + system_s, 6) if user_s is not None and system_s is not None else None,
            "cpu_user_s": user_s,
            "cpu_system_s": system_s,
            "max_rss_bytes": rss,
            "read_bytes": read,
            "write_bytes": written,
            "ctx_voluntary": voluntary,
            "ctx_involuntary": involuntary,
            "method": method,
            "max_rss_method": rss_method,
        },
        "around": around._asdict() if around is not None else None,
    }


def _waits(story: Story, stage: int, waiting: Waiting | None) -> str | None:
    """What a stage waits for, in the words of the document; None for one that runs or is over."""
    if waiting is None or story.state[stage] != WAITING:
        return None
    reason = waiting(stage)
    return "gate" if reason == "person" else reason


def _run_waits(story: Story, waiting: Waiting | None) -> str | None:
    """What the run as a whole waits for: nothing while something runs, else what its first stage waits for."""
    if story.running or story.end_us is not None:
        return None
    reasons = (_waits(story, stage, waiting) for stage in range(len(story.state)))
    return next((reason for reason in reasons if reason not in (None, "needs")), None)


def _nearest_that_ran(story: Story, stage: int) -> list[int]:
    """The needs that ran; in place of one that was skipped, those that it waited for in turn."""
    found: list[int] = []
    seen = set(story.needs[stage])
    open_needs = list(seen)
    while open_needs:
        need = open_needs.pop()
        if story.attempts[need]:
            found.append(need)
        else:
            fresh = [above for above in story.needs[need] if above not in seen]
            seen.update(fresh)
            open_needs += fresh
    return found


def _last_us(attempts: tuple[Attempt, ...]) -> int:
    """When the last attempt ended, or began if it runs; -1 where there is none."""
    if not attempts:
        return -1
    last = attempts[-1]
    return last.finished_us if last.finished_us is not None else last.started_us


def _spent_us(story: Story, stage: int) -> int:
    """What the stage would take with nothing beside anything: of one that works through items, its calls."""
    book = story.items.get(stage)
    if book is not None and any(step.calls for step in book.steps):
        return sum([step.wall_us for step in book.steps])
    return _work_us(story.attempts[stage])


def _work_us(attempts: tuple[Attempt, ...]) -> int:
    """How long processes of a stage ran, all attempts together that ended and that nobody stopped."""
    return sum([
        attempt.finished_us - attempt.started_us
        for attempt in attempts
        if attempt.finished_us is not None and not reasons.is_stopped(attempt)
    ])  # fmt: skip


def _cpu_s(story: Story) -> float | None:
    """CPU seconds of all attempts whose use is known, None if no one's is."""
    known = [
        attempt.usage.cpu_user_s + attempt.usage.cpu_system_s
        for attempts in story.attempts
        for attempt in attempts
        if attempt.usage.cpu_user_s is not None and attempt.usage.cpu_system_s is not None
    ]
    return round(sum(known), 6) if known else None


def _levels(needs: Sequence[Sequence[int]]) -> list[int]:
    """How many needs stand above each stage in its longest chain."""
    levels = [0] * len(needs)
    for stage in order(needs):
        if above := needs[stage]:
            levels[stage] = 1 + max([levels[need] for need in above])
    return levels
