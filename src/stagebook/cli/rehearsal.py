"""`run --dry-run`: what would start, in which order, and why the rest would not. Starts nothing, writes nothing.

The order comes from the machine itself, told at once of each start that it went well, of each lease that it was had,
and of each condition that it holds, unless it can be told beforehand that it does not.
"""

from __future__ import annotations

from stagebook.cli import output, pipelines
from stagebook.model.outcome import OUTCOMES
from stagebook.model.pipeline import Pipeline
from stagebook.report.harmless import harmless
from stagebook.scheduler import build
from stagebook.scheduler.plan import Choice, Plan
from stagebook.scheduler.vocabulary import GateAnswered
from stagebook.simulate.play import go_on, play
from stagebook.simulate.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Callable

    from stagebook.condition.court import Court
    from stagebook.condition.facts import Facts
    from stagebook.engine.foresight import Foresight
    from stagebook.engine.resume import Outlook


#: All goes well, at once.
_NO_WORK = Work(0.0)


def show(args: argparse.Namespace, pipeline: Pipeline, plan: Plan, choice: Choice, facts: Facts | None) -> int:
    """Print it and say that all is well."""
    court: Court | None = None
    if facts is not None:
        from stagebook.condition.court import Court

        court = Court(pipeline, facts)
    foresight = _foresight(args, pipeline, plan, choice)
    played = play(plan, lambda stage, attempt: _NO_WORK, verdicts=_verdicts(court, foresight))
    order = [span.stage for span in played.spans]
    text = pipelines.hider(pipeline)
    choice = choice._replace(policy_because=text(choice.policy_because or "") or None)
    rows = [_row(plan, index, court, foresight) for index in order]
    for row, index in zip(rows, order):
        quarantine = pipeline.stages[index].quarantine
        if quarantine is not None:
            row["reason"] += f"; {quarantine.said(choice.today)}"
    asked = [index for index, stage in enumerate(plan.stages) if stage.gate is not None and index in played.ended
             and played.ended[index][0] == "success"]  # fmt: skip
    rows += [_asked(plan, index, court) for index in asked]
    starting = {*order, *asked}
    rows += [
        _skipped(plan, index, reason or outcome, court)
        for index, (outcome, reason) in sorted(played.ended.items())
        if index not in starting
    ]
    for row in rows:
        row["reason"] = text(row["reason"])
    jobs = plan.pools[0].size
    if args.json:
        output.say_json({
            "pipeline": pipeline.name, "mode": build.mode(plan), "jobs": jobs, "jobs_because": plan.jobs_because,
            "policy": plan.policy, "policy_because": choice.policy_because, "dry_run": True,
            "critical_planned": list(build.critical_planned(plan)),
            "stages": rows,
        })  # fmt: skip
        return 0
    count = sum(row["action"] == "run" for row in rows)
    lines = [
        f"{harmless(pipeline.name)}: would run {count} of {len(rows)} stages, {jobs} at once"
        f"{_because(plan.jobs_because)}, policy {plan.policy}{_because(choice.policy_because)}"
    ]
    names = [harmless(row["stage"]) for row in rows]
    width = max(map(len, names), default=0)
    for number, (row, name) in enumerate(zip(rows, names), 1):
        wide, narrow = {"ask": ("   ‖", "gate")}.get(row["action"], ("   »", "skip"))
        mark = f"{number:>4}" if row["action"] == "run" else narrow if args.ascii else wide
        lines.append(f"{mark}  {name:<{width}}  {harmless(row['reason'])}")
    if court is not None:
        lines += [f"      {harmless(text(warning))}" for warning in court.warnings()]
    output.say(lines)
    return 0


def _foresight(args: argparse.Namespace, pipeline: Pipeline, plan: Plan, choice: Choice) -> Foresight | None:
    """Who can say what is up to date, where anything can be."""
    if not any(stage.inputs for stage in pipeline.stages):
        return None
    from stagebook.cli import place
    from stagebook.engine.foresight import Foresight

    cache = place.cache_directory(args, pipeline.file)
    return Foresight(pipeline, cache, dict(choice.params), plan, choice.force)


def _because(text: str | None) -> str:
    return f" ({harmless(text)})" if text is not None else ""


def _verdicts(court: Court | None, foresight: Foresight | None) -> Callable[[int], tuple[str, str | None]]:
    def verdict(stage: int) -> tuple[str, str | None]:
        foreseen = court.foresee(stage) if court is not None else None
        if foreseen is not None and foreseen.verdict != "run":
            return foreseen
        if foresight is not None and foresight.reads(stage) and foresight.of(stage):
            return "skip", "up to date"
        return "run", None

    return verdict


def makespan_ms(plan: Plan, durations_ms: list[int | None]) -> int | None:
    """How long a run would take if every stage took what is known of it; None if one that runs is not known."""
    if any(known is None and stage.skip is None for known, stage in zip(durations_ms, plan.stages)):
        return None
    played = play(plan, lambda stage, attempt: Work((durations_ms[stage] or 0) / 1000))
    return round(played.end_s * 1000)


def _row(plan: Plan, index: int, court: Court | None, foresight: Foresight | None) -> dict[str, Any]:
    planned = plan.stages[index]
    needs = [plan.stages[need].id for need in planned.needs]
    reason = f"after {', '.join(needs)}" if needs else "needs nothing"
    explained = court.explain(index) if court is not None else ""
    if explained:
        reason += f"; {explained}"
    if foresight is not None and foresight.reads(index):
        reason += f"; {foresight.of(index).words}"
    return {"stage": planned.id, "action": "run", "reason": reason, "needs": needs}


def _asked(plan: Plan, index: int, court: Court | None) -> dict[str, Any]:
    """A gate: what stands behind it would run if it is approved."""
    row = _row(plan, index, court, None)
    return {**row, "action": "ask", "reason": f"a person is asked; {row['reason']}"}


def _skipped(plan: Plan, index: int, reason: str, court: Court | None) -> dict[str, Any]:
    asks = court is not None and plan.stages[index].skip is None and reason != "up to date"
    explained = court.explain(index) if court is not None and asks else ""
    return {"stage": plan.stages[index].id, "action": "skip", "reason": explained or reason}


def show_resume(args: argparse.Namespace, run: str, outlook: Outlook) -> int:
    """What going on with a run would do, if all that starts went well."""
    plan, machine, again, lost = outlook.plan, outlook.machine, set(outlook.again), set(outlook.lost)
    over = [machine.state(index) in OUTCOMES for index in range(len(plan.stages))]
    played = go_on(machine, outlook.events, lambda stage, attempt: _NO_WORK)
    starts, asked = [span.stage for span in played.spans], played.asked
    decided = {event.stage for event in outlook.events if isinstance(event, GateAnswered)}
    rows = []
    for index in [*starts, *(index for index in range(len(plan.stages)) if index not in starts)]:
        stage, state = plan.stages[index], machine.state(index)
        if index in starts:
            action = "run"
            reason = "interrupted" if stage.id in lost else "waits again" if stage.id in again else "has not ended"
        elif stage.gate is not None and not over[index] and state == "success":
            action, reason = ("done", "as a person says") if index in decided else ("ask", "a person is asked")
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
