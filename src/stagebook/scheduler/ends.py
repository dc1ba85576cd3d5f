"""What ends mean: which failures are tried again, and how the ends of the stages make the end of the run.

Pure leaves: nothing here moves a stage.
"""

from __future__ import annotations

from stagebook.model.outcome import SEVERITY
from stagebook.scheduler.moves import CANCELLATION, NAMES, SKIP, SUCCESS
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import RunEnded


def matches(only: tuple[str, ...], outcome: str, exit: int | None, signal: int | None) -> bool:
    """Whether an attempt's end is one of those named: an outcome word, `exit N` or `signal N`."""
    return (
        outcome in only
        or (exit is not None and f"exit {exit}" in only)
        or (signal is not None and f"signal {signal}" in only)
    )


def run_end(
    plan: Plan, state: bytearray, cause: dict[int, int], fast_cause: dict[int, int], timed_out: bool
) -> RunEnded:
    """The worst outcome that counts: error over timeout over failure over the cancellation of a stage.

    An allowed failure never counts. Under `lenient` only critical stages count, and a critical one that never came
    to its end because of a failure elsewhere (skipped for a need, cancelled with its group) counts as that failure.
    The reason of a run that was out of time is `timeout`, also where an error is worse.
    """
    worst, reason = ("timeout", "timeout") if timed_out else ("success", None)
    lenient = plan.policy == "lenient"
    root = _roots(state, cause, fast_cause)
    for index, stage in enumerate(plan.stages):
        if lenient and not stage.critical:
            continue
        at = root.get(index, index)
        if state[at] < SUCCESS:
            continue
        outcome = NAMES[state[at]]
        if SEVERITY[outcome] <= SEVERITY[worst]:
            continue
        if plan.stages[at].allow_failure and state[at] != CANCELLATION:
            continue
        worst = outcome
        reason = f"{plan.stages[at].id} cancelled" if state[at] == CANCELLATION else "timeout" if timed_out else None
    return RunEnded(worst, reason)


def _roots(state: bytearray, cause: dict[int, int], fast_cause: dict[int, int]) -> dict[int, int]:
    """For each stage that ended because of another, the stage at the root of the chain. Each link is walked once."""
    links = {stage: by for stage, by in fast_cause.items() if state[stage] == CANCELLATION}
    links.update((stage, by) for stage, by in cause.items() if state[stage] == SKIP)
    root: dict[int, int] = {}
    for start in list(links):
        chain = []
        at = start
        while at in links:
            chain.append(at)
            at = links.pop(at)
        end = root.get(at, at)
        for link in chain:
            root[link] = end
    return root
