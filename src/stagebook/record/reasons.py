"""What a run's document concludes: what kept the run from being shorter, and which failures it put up with.

Pure: a story goes in, names and indices come out. The words around them are the reports' business.
"""

from __future__ import annotations

from collections import Counter

from stagebook.model.pipeline import MEASURED
from stagebook.record.story import FAILED, Attempt, Story

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator, Mapping, Sequence

CRITICAL_PATH = "critical path"
UP_TO_DATE = "up to date"  #: the reason of a stage that need not run
NOT_SELECTED = "not selected"  #: of one that is no part of the run
CANNOT_RUN = "cannot run here: "  #: what that of one begins with which only its CI system can run
#: A chain that fills so much of the run leaves no other reason for its length.
_FILLS = 0.9
_NEARLY_FILLS = 0.8
#: Waiting below this share of the run is not what made it long.
_MATTERS = 0.05


def is_stopped(attempt: Attempt) -> bool:
    """Whether somebody ended the attempt, so that what it did is no work of the run."""
    return attempt.outcome == "cancellation"


def is_no_part(reason: str | None) -> bool:
    """Whether a stage was left out of its run for that reason."""
    return reason == NOT_SELECTED or (reason is not None and reason.startswith(CANNOT_RUN))


def is_retried(attempt: Attempt) -> bool:
    """Whether what follows the attempt is a retry, not a resume that takes it up again."""
    return attempt.outcome in FAILED and attempt.reason != "interrupted" and not attempt.taken_back


def waiting_by(attempts: Iterable[Sequence[Attempt]]) -> Counter[str]:
    """Microseconds of waiting of some stages by what was waited for: a capacity or lock by its name, `backoff` between
    attempts, `start` for what passed between being free to start and a process."""
    waits: Counter[str] = Counter()
    for known in attempts:
        before: Attempt | None = None
        for attempt in known:
            waits[attempt.waited or "start"] += attempt.started_us - attempt.ready_us
            if before is not None and before.finished_us is not None and is_retried(before):
                waits["backoff"] += max(0, attempt.ready_us - before.finished_us)
            before = attempt
    return waits


def waiting_for_needs_us(story: Story) -> int:
    """How long stages that ran had waited, all together, for what they need to be done."""
    known = zip(story.needs, story.attempts)
    return sum([attempts[0].ready_us for needs, attempts in known if needs and attempts])


def waiting_for_person_us(story: Story) -> int:
    """How long a gate was open while no attempt ran or waited for capacity."""
    now_us = story.end_us or 0
    turns: list[tuple[int, int, int]] = []
    for gate, asked in story.gates.items():
        end = story.ends[gate]
        turns += [(asked.us, 1, 0), (now_us if end is None else end.us, -1, 0)]
    if turns:
        for each in [attempt for known in story.attempts for attempt in known]:
            over_us = each.started_us if each.finished_us is None else each.finished_us
            turns += [(each.ready_us, 0, 1), (over_us, 0, -1)]
    found = before_us = opened = busy = 0
    for us, gates, attempts in sorted(turns):
        if opened and not busy:
            found += us - before_us
        before_us, opened, busy = us, opened + gates, busy + attempts
    return found


def bound_by(story: Story, chain: Sequence[int], chain_us: int, waits: Mapping[str, int]) -> str | None:
    """What a parallel run could not be shorter for: `critical path`, or the name of what was waited for.

    The work of the critical path where it is nearly all of the run; else what the stages on that path waited for
    longest; else what all stages did, which is `waits`. None where nothing stands out, or the run was stopped or
    sequential.
    """
    wall_us = (story.end_us or 0) - waiting_for_person_us(story)
    if wall_us <= 0 or story.mode == "sequential" or story.outcome == "cancellation":
        return None
    if story.pipeline.format == MEASURED:
        return None
    if chain_us >= _FILLS * wall_us:
        return CRITICAL_PATH
    on_path = waiting_by([story.attempts[stage] for stage in chain])
    everywhere = Counter(waits)
    del everywhere["backoff"]
    for waited in (on_path, everywhere):
        del waited["start"]
        name, us = next(iter(waited.most_common(1)), ("", 0))
        if us >= _MATTERS * wall_us:
            return name
    return CRITICAL_PATH if chain_us >= _NEARLY_FILLS * wall_us else None


def tolerated(story: Story) -> frozenset[int]:
    """Stages that failed and do not fail the run: allowed ones, and under `lenient` those off the critical set that no
    critical stage was skipped or cancelled for."""
    failed = [stage for stage, end in enumerate(story.ends) if end is not None and end.outcome in FAILED]
    if not failed:
        return frozenset()
    counting = _counting(story) if story.policy == "lenient" else None
    return frozenset(
        stage for stage in failed if _is_allowed(story, stage) or (counting is not None and stage not in counting)
    )


def _is_allowed(story: Story, stage: int) -> bool:
    planned = story.pipeline.stages[stage]
    return planned.allow_failure or (planned.quarantine is not None and planned.quarantine.holds(story.today))


def warned(story: Story, gate: int) -> list[dict[str, str]]:
    """What did not go quite well in the stages before a gate, and in others that were green when it was asked: rows of
    `stage` and `warning`, in the order of the file."""
    before, found = {gate}, [gate]
    while found:
        more = set(story.needs[found.pop()]) - before
        before |= more
        found += more
    green = frozenset(story.gates[gate].green) if gate in story.gates else frozenset()
    return [
        {"stage": stage.id, "warning": text}
        for index, stage in enumerate(story.pipeline.stages)
        if index != gate and (index in before or stage.id in green)
        for text in _warnings(story, index)
    ]


def _warnings(story: Story, stage: int) -> Iterator[str]:
    end, planned, head = story.ends[stage], story.pipeline.stages[stage], f"{story.pipeline.stages[stage].id}: "
    if end is None:
        return
    book = story.items.get(stage)
    if end.outcome == "success" and book is not None and book.failed and planned.each is not None:
        what = "dead" if planned.each.on_failure == "dead-letter" else "left out"
        yield f"{book.failed} of {book.known + book.skipped} items {what}"
    if end.flaky:
        yield f"flaky: passed on attempt {len(story.attempts[stage])}"
    if end.outcome in FAILED:
        about = story.about(stage, end.outcome)
        yield end.reason or end.outcome if about is None else about.removeprefix(head)


def skipped_by_conditions(story: Story) -> list[int]:
    """Stages that did not run because of what the file says of when they do."""
    ends = enumerate(story.ends)
    return [stage for stage, end in ends if end is not None and end.outcome == "skip" and _is_condition(end.reason)]


def _is_condition(reason: str | None) -> bool:
    return reason is not None and reason.startswith(("when: ", "changed: "))


def _counting(story: Story) -> set[int]:
    """The critical stages, and those to whose ends the ends of critical ones go back."""
    at = {stage.id: index for index, stage in enumerate(story.pipeline.stages)}
    found: set[int] = set()
    open_ones = [at[name] for name in story.critical if name in at]
    while open_ones:
        stage = open_ones.pop()
        if stage in found:
            continue
        found.add(stage)
        end = story.ends[stage]
        origin = at.get(_origin(end.reason)) if end is not None and end.reason else None
        if origin is not None:
            open_ones.append(origin)
    return found


def _origin(reason: str) -> str:
    """The stage that `needs X (failure)` or `fail-fast: X (failure)` names; empty for any other reason."""
    for head in ("needs ", "fail-fast: "):
        if reason.startswith(head):
            return reason[len(head) :].rpartition(" (")[0]
    return ""


def did(story: Story) -> dict[str, int]:
    """How much was done, and how much was up to date: runs that agree in it may be compared."""
    ran = sum(bool(attempts) and end is not None and end.outcome == "success"
              for attempts, end in zip(story.attempts, story.ends))  # fmt: skip
    fresh = sum(end is not None and end.reason == UP_TO_DATE for end in story.ends)
    return {
        "stages": ran,
        "items": sum(book.done for book in story.items.values()),
        "up_to_date": fresh + sum(book.skipped for book in story.items.values()),
    }
