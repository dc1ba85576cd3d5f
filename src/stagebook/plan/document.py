"""The JSON of `stagebook plan`, out of what was found. Its keys are described in docs/reference/json.md."""

from __future__ import annotations

from stagebook.graph.shape import shape
from stagebook.plan import orders, sweep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.advise import Advised
    from stagebook.plan.known import Known
    from stagebook.plan.profile import StageProfile
    from stagebook.plan.recommendation import Change
    from stagebook.plan.sweep import Sweep


def document(pipeline: Pipeline, known: Known, swept: Sweep, advised: Advised) -> dict[str, Any]:
    """`optimum`, the probability of `sla` and each `cost` are null: nothing works them out yet."""
    took = [stage.median_s for stage in known.profile.stages]
    found = shape(orders.needs_of(pipeline), took)
    recommended = advised.found
    sla_s = None if pipeline.sla_ms is None else pipeline.sla_ms / 1000
    return {
        "pipeline": pipeline.name,
        "profile": {
            "runs": known.profile.runs,
            "source": known.profile.source,
            "others_cores": known.profile.others_cores,
            "cores": known.cores,
            "measured_jobs": known.calibration.at_jobs,
            "error": known.calibration.error,
            "lacks": [*known.profile.lacks, *known.calibration.lacks],
            "stages": [_stage(stage, slack) for stage, slack in zip(known.profile.stages, found.slack)],
        },
        "sequential_s": swept.sequential.makespan_s,
        "critical_path": [pipeline.stages[index].id for index in found.critical],
        "critical_path_s": found.length,
        "sweep": [sweep.plain(row) for row in swept.rows],
        "knee": {"jobs": swept.rows[swept.knee].forecast.jobs, "binds": list(swept.binds)},
        "optimum": None,
        "sla": None if sla_s is None else {"target_s": sla_s, "probability": None, "met": advised.met},
        "recommendation": {
            "jobs": recommended.jobs,
            "mode": recommended.mode,
            "makespan_s": advised.forecast.makespan_s,
            "p95_s": advised.forecast.p95_s,
            "reasons": list(recommended.reasons),
            "changes": [_change(change) for change in recommended.changes],
            "kept": [_change(change) for change in recommended.kept],
        },
    }


def _stage(stage: StageProfile, slack_s: float) -> dict[str, Any]:
    return {
        "stage": stage.stage, "source": stage.source, "runs": stage.runs, "p50_s": stage.median_s, "slack_s": slack_s,
        "cores": stage.cores, "disk": stage.disk, "contention": stage.gamma, "max_rss_bytes": stage.rss_bytes,
        "failed": stage.failed, "ran": stage.ran, "trend": stage.trend,
    }  # fmt: skip


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind, "stages": list(change.stages), "change": change.change, "why": change.why,
        "saves_s": change.saves_s, "evidence": [each._asdict() for each in change.evidence],
        "confidence": change.confidence, "question": change.question, "check": change.check, "line": change.line,
        "without": [list(edge) for edge in change.edges], "with": [list(edge) for edge in change.instead],
    }  # fmt: skip
