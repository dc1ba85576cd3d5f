"""`run --dry-run`: what would start, in which order, and why the rest would not. Starts nothing, writes nothing.

The order comes from the machine itself, told at once of each start that it went well.
"""

from __future__ import annotations

from heapq import heappop, heappush

from stagebook.cli import output
from stagebook.model.outcome import OUTCOMES
from stagebook.model.pipeline import Pipeline
from stagebook.report.harmless import harmless
from stagebook.scheduler import build
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import AskRerun, Began, Event, Exited, Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from stagebook.engine.resume import Outlook


def show(args: argparse.Namespace, pipeline: Pipeline, plan: Plan) -> int:
    """Print it and say that all is well."""
    rows = [_row(pipeline, plan, index) for index in order(plan)]
    rows += [_row(pipeline, plan, index) for index, stage in enumerate(plan.stages) if stage.skip is not None]
    jobs = plan.pools[0].size
    if args.json:
        output.say_json({
            "pipeline": pipeline.name, "mode": build.mode(plan), "jobs": jobs, "policy": plan.policy, "dry_run": True,
            "critical_planned": list(build.critical_planned(plan)), "stages": rows,
        })  # fmt: skip
        return 0
    count = sum(row["action"] == "run" for row in rows)
    lines = [
        f"{harmless(pipeline.name)}: would run {count} of {len(rows)} stages, {jobs} at once, policy {plan.policy}"
    ]
    names = [harmless(row["stage"]) for row in rows]
    width = max(map(len, names), default=0)
    for number, (row, name) in enumerate(zip(rows, names), 1):
        mark = f"{number:>4}" if row["action"] == "run" else "   »" if not args.ascii else "skip"
        lines.append(f"{mark}  {name:<{width}}  {harmless(row['reason'])}")
    output.say(lines)
    return 0


def order(plan: Plan) -> list[int]:
    """The stages that would start, in order, if every one took as long as every other."""
    machine = Machine(plan)
    found: list[int] = []
    batch: list[Event] = [Began(0)]
    while batch:
        starts = [decision for decision in machine.feed(*batch) if isinstance(decision, Start)]
        found += [start.stage for start in starts]
        batch = [Exited(0, start.stage, start.attempt, "success", 0) for start in starts]
    return found


def makespan_ms(plan: Plan, durations_ms: list[int | None]) -> int | None:
    """How long a run would take if every stage took what is known of it; None if one that runs is not known."""
    if any(known is None and stage.skip is None for known, stage in zip(durations_ms, plan.stages)):
        return None
    machine = Machine(plan)
    ends: list[tuple[int, int, int]] = []
    now, batch = 0, [Began(0)]  # type: int, list[Event]
    while batch:
        for decision in machine.feed(*batch):
            if isinstance(decision, Start):
                heappush(ends, (now + (durations_ms[decision.stage] or 0), decision.stage, decision.attempt))
        batch = []
        if ends:
            now, stage, attempt = heappop(ends)
            batch = [Exited(now, stage, attempt, "success", 0)]
    return now


def _row(pipeline: Pipeline, plan: Plan, index: int) -> dict[str, Any]:
    planned = plan.stages[index]
    if planned.skip is not None:
        return {"stage": planned.id, "action": "skip", "reason": planned.skip}
    needs = [plan.stages[need].id for need in planned.needs]
    reason = f"after {', '.join(needs)}" if needs else "needs nothing"
    return {"stage": planned.id, "action": "run", "reason": reason, "needs": needs}


def show_resume(args: argparse.Namespace, run: str, outlook: Outlook) -> int:
    """What going on with a run would do, if all that starts went well."""
    plan, machine, again, lost = outlook.plan, outlook.machine, set(outlook.again), set(outlook.lost)
    over = [machine.state(index) in OUTCOMES for index in range(len(plan.stages))]
    starts: list[int] = []
    asked: set[int] = set()
    batch = outlook.events
    while batch:
        decisions = machine.feed(*batch)
        begun = [decision for decision in decisions if isinstance(decision, Start)]
        starts += [start.stage for start in begun]
        asked.update(decision.stage for decision in decisions if isinstance(decision, AskRerun))
        batch = [Exited(0, start.stage, start.attempt, "success", 0) for start in begun]
    rows = []
    for index in [*starts, *(index for index in range(len(plan.stages)) if index not in starts)]:
        stage, state = plan.stages[index], machine.state(index)
        if index in starts:
            action = "run"
            reason = "interrupted" if stage.id in lost else "waits again" if stage.id in again else "has not ended"
        elif state == "asking":
            action, reason = "ask", "has begun and is not retry-safe: --again or --done"
        elif state not in OUTCOMES:
            action, reason = "wait", "for a stage that asks"
        elif (over[index] and stage.id not in again) or stage.kept is not None:
            action, reason = "stands", state
        elif index in asked or (state == "success" and machine.attempt(index)):
            action, reason = "done", "as a person says"
        else:
            action, reason = "skip" if state == "skip" else "cancel", state
        rows.append({"stage": stage.id, "action": action, "reason": reason})
    if args.json:
        output.say_json({"run": run, "dry_run": True, "stages": rows})
        return 0
    lines = [f"run {run}: would go on with {sum(row['action'] == 'run' for row in rows)} of {len(rows)} stages"]
    width = max([len(harmless(row["stage"])) for row in rows], default=0)
    lines += [f"{row['action']:>6}  {harmless(row['stage']):<{width}}  {row['reason']}" for row in rows]
    output.say(lines)
    return 0
