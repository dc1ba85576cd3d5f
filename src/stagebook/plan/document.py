"""The JSON of `stagebook plan`, out of what was found. Its keys are described in docs/reference/json.md."""

from __future__ import annotations

from stagebook.graph.shape import shape
from stagebook.plan import orders, sweep
from stagebook.plan.forecast import quantile
from stagebook.plan.profile import ENOUGH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.advise import Advised
    from stagebook.plan.forecast import Forecast
    from stagebook.plan.known import Idle, Known
    from stagebook.plan.profile import Profile, StageProfile
    from stagebook.plan.recommendation import Change
    from stagebook.plan.sweep import Sweep
    from stagebook.plan.whatif import Supposed


def document(
    pipeline: Pipeline, known: Known, swept: Sweep, advised: Advised, *, as_is: Forecast, after: Sweep | None = None,
    unsaid: Sequence[str] = (), idle: tuple[int, Idle | None] = (0, None),
) -> dict[str, Any]:  # fmt: skip
    """`optimum`, the probability of `sla` and each `cost` are null: nothing works them out yet. `as_is` is what `run`
    would do without a word, `after` the sweep with all that is recommended, `unsaid` what is counted in nothing, `idle`
    what `known.idle` gives."""
    slack = shape(orders.needs_of(pipeline), _medians(known.profile)).slack
    recommended = advised.found
    sla_s = None if pipeline.sla_ms is None else pipeline.sla_ms / 1000
    return {
        "pipeline": pipeline.name,
        "file": pipeline.file,
        "profile": {
            "runs": known.profile.runs,
            "source": known.profile.source,
            "enough": ENOUGH,
            "system": known.profile.system,
            "own_machines": known.profile.own_machines,
            "queue_s": known.profile.queue_s and dict(zip(("median", "p95"), known.profile.queue_s)),
            "others_cores": known.profile.others_cores,
            "cores": None if known.profile.own_machines else known.cores,
            "measured_jobs": known.calibration.at_jobs,
            "error": known.calibration.error,
            "error_runs": len(known.calibration.misses),
            "lacks": [*known.profile.lacks, *known.calibration.lacks],
            "assumed": list(unsaid),
            "stages": [_stage(stage, slack_s) for stage, slack_s in zip(known.profile.stages, slack)],
        },
        **_swept(pipeline, known, swept),
        "as_is": {
            "jobs": as_is.jobs,
            "mode": "sequential" if as_is.sequential else "parallel",
            "makespan_s": as_is.makespan_s,
            "p95_s": as_is.p95_s,
            "failed": as_is.failed,
        },
        "optimum": None,
        "sla": None
        if sla_s is None
        else {
            "target_s": sla_s,
            "probability": None,
            "met": advised.met,
            "met_as_is": None if advised.met is None else as_is.p95_s <= sla_s,
        },
        "recommendation": {
            "jobs": recommended.jobs,
            "mode": recommended.mode,
            "makespan_s": advised.forecast.makespan_s,
            "p95_s": advised.forecast.p95_s,
            "low_s": advised.forecast.low_s,
            "high_s": advised.forecast.high_s,
            "unknown": idle[0],
            "if_waiting": _if_waiting(idle[1], advised.forecast.makespan_s),
            "reasons": list(recommended.reasons),
            "changes": [_change(change) for change in recommended.changes],
            "kept": [_change(change) for change in recommended.kept],
            "sweep": None if after is None else [sweep.plain(row) for row in after.rows],
        },
    }


def blank(pipeline: Pipeline, known: Known, said: str, unsaid: Sequence[str]) -> dict[str, Any]:
    """The same where nothing at all is known: no figure is made up, and `said` tells how to come by some."""
    runs = max([stage.ran for stage in known.profile.stages], default=0)
    lack = "no job of this file has passed yet" if runs else "no run of this file is on record"
    lack = f"{lack}: stagebook import runs {pipeline.format}"
    stages = [
        {**dict.fromkeys(_stage(stage, 0.0)), "stage": stage.stage, "runs": 0, "failed": stage.failed, "ran": stage.ran}
        for stage in known.profile.stages
    ]
    nothing: dict[str, Any] = dict.fromkeys(
        ("sequential_s", "critical_path", "critical_path_s", "knee", "as_is", "optimum", "sla", "what_if", "arrivals")
    )
    profile: dict[str, Any] = dict.fromkeys(
        ("source", "system", "queue_s", "others_cores", "cores", "measured_jobs", "error")
    )
    figures = ("jobs", "mode", "makespan_s", "p95_s", "low_s", "high_s", "if_waiting", "sweep")
    timed = [stage for stage in pipeline.stages if stage.kind != "gate"]
    return {
        "pipeline": pipeline.name,
        "file": pipeline.file,
        "profile": {
            **profile, "runs": 0, "enough": ENOUGH, "own_machines": True, "error_runs": 0, "lacks": [lack],
            "assumed": list(unsaid), "stages": stages,
        },
        **nothing,
        "sweep": [],
        "recommendation": {
            **dict.fromkeys(figures), "unknown": len(timed), "reasons": [said], "changes": [], "kept": [],
        },
        "together": [],
        "streams": [],
    }  # fmt: skip


def _if_waiting(idle: Idle | None, makespan_s: float) -> dict[str, Any] | None:
    """None where it is as good as the same."""
    if idle is None or idle.makespan_s >= makespan_s * (1 - sweep.TOLERANCE):
        return None
    return {"jobs": idle.jobs, "makespan_s": idle.makespan_s}


def what_if(
    supposed: Supposed, known: Known, swept: Sweep, base: Mapping[str, Any], idle: tuple[int, Idle | None] = (0, None)
) -> dict[str, Any]:
    """What would be, with the same keys as what is, which stands beside it under `before`."""
    kept = ("sequential_s", "critical_path", "critical_path_s", "sweep", "knee")
    return {
        "supposed": list(supposed.words),
        "stages": len(supposed.pipeline.stages),
        "unknown": idle[0],
        "if_waiting": _if_waiting(idle[1], swept.rows[swept.knee].forecast.makespan_s),
        **_swept(supposed.pipeline, known, swept),
        "before": {"stages": len(base["profile"]["stages"]), **{key: base[key] for key in kept}},
    }


def _swept(pipeline: Pipeline, known: Known, swept: Sweep) -> dict[str, Any]:
    found = shape(orders.needs_of(pipeline), _medians(known.profile))
    return {
        "sequential_s": swept.sequential.makespan_s,
        "critical_path": [pipeline.stages[index].id for index in found.critical],
        "critical_path_s": found.length,
        "sweep": [sweep.plain(row) for row in swept.rows],
        "knee": {
            "jobs": swept.rows[swept.knee].forecast.jobs,
            "binds": list(swept.binds),
            "waits_s": swept.rows[-1].forecast.waits_s,
        },
    }


def _medians(profile: Profile) -> list[float]:
    return [stage.median_s for stage in profile.stages]


def _stage(stage: StageProfile, slack_s: float) -> dict[str, Any]:
    ascending = sorted(stage.walls_s) if stage.runs >= ENOUGH else []
    return {
        "stage": stage.stage, "source": stage.source, "runs": stage.runs, "p50_s": stage.median_s,
        "p10_s": quantile(ascending, 0.1) if ascending else None,
        "p90_s": quantile(ascending, 0.9) if ascending else None,
        "slack_s": max(0.0, slack_s), "cores": stage.cores, "disk": stage.disk, "contention": stage.gamma,
        "max_rss_bytes": stage.rss_bytes, "failed": stage.failed, "ran": stage.ran, "trend": stage.trend,
    }  # fmt: skip


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind, "stages": list(change.stages), "change": change.change, "why": change.why,
        "saves_s": change.saves_s, "evidence": [each._asdict() for each in change.evidence],
        "confidence": change.confidence, "question": change.question, "check": change.check, "line": change.line,
        "without": [list(edge) for edge in change.edges], "with": [list(edge) for edge in change.instead],
    }  # fmt: skip
