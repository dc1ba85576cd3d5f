"""Documents of `plan` in the door's shape, made by hand: the release that DESIGN shows, and others for tests."""

from __future__ import annotations

from typing import Any, Sequence

Document = dict[str, Any]


def rows(*took: tuple[int, float, float], sequential_s: float, measured: int = 2) -> list[Document]:
    """Job count, median, 95th percentile."""
    found: list[Document] = []
    for jobs, makespan_s, p95_s in took:
        before_s = found[-1]["makespan_s"] if found else None
        found.append({
            "jobs": jobs, "makespan_s": makespan_s, "p95_s": p95_s, "low_s": makespan_s * 0.97,
            "high_s": makespan_s * 1.03, "speedup": sequential_s / makespan_s,
            "efficiency": sequential_s / makespan_s / jobs, "gain": before_s and 1 - makespan_s / before_s,
            "utilisation": {"slot": 0.9, "pool:db": 0.97}, "beyond": jobs > measured, "draws": 300, "cost": None,
        })  # fmt: skip
    return found


def change(kind: str, stages: Sequence[str], change: str, why: str, saves_s: float | None, **more: Any) -> Document:
    return {
        "kind": kind, "stages": list(stages), "change": change, "why": why, "saves_s": saves_s, "confidence": 0.9,
        "evidence": [{"source": "declared", "n": 40, "text": "neither reads or makes what the other makes"}],
        "question": False, "check": None, "line": 43, "without": [], "with": [], **more,
    }  # fmt: skip


def stage(name: str, p50_s: float, slack_s: float, **more: Any) -> Document:
    return {
        "stage": name, "source": "history", "runs": 40, "p50_s": p50_s, "p10_s": p50_s * 0.9, "p90_s": p50_s * 1.2,
        "slack_s": slack_s, "cores": 1.02, "disk": 0.1, "contention": None, "max_rss_bytes": 1 << 28, "failed": 0,
        "ran": 40, "trend": "steady", **more,
    }  # fmt: skip


SWEEP = ((1, 1121, 1193), (2, 583, 626), (3, 525, 577), (4, 518, 567), (6, 519, 571), (8, 530, 590))


def release(**more: Any) -> Document:
    sweep = rows(*SWEEP, sequential_s=1121, measured=4)
    return {
        "pipeline": "release", "file": "/p/stagebook.yaml",
        "profile": {
            "runs": 40, "source": "history", "enough": 5, "others_cores": 0.4, "cores": 4, "measured_jobs": 4,
            "error": 0.04, "error_runs": 4,
            "lacks": ["docs has 1 run, 5 are needed: stagebook run --sequential, 4 more times"],
            "assumed": ["approve waits for a person: that time is not counted"],
            "stages": [
                stage("build", 107, 0, contention=0.3), stage("integration", 158, 0, failed=2, ran=42, trend="slower"),
                stage("docs", 32, 432, runs=1, p10_s=None, p90_s=None, trend=None),
                stage("approve", 0, 0, source="declared", runs=0, p10_s=None, p90_s=None, cores=0.0, ran=0, trend=None),
            ],
        },
        "sequential_s": 1121, "critical_path": ["build", "integration"], "critical_path_s": 473, "sweep": sweep,
        "knee": {"jobs": 3, "binds": ["pool:db", "path"], "waits_s": {"pool:db": 80}},
        "as_is": {"jobs": 4, "mode": "parallel", "makespan_s": 518, "p95_s": 567, "failed": 0.0}, "optimum": None,
        "sla": {"target_s": 600, "probability": None, "met": True, "met_as_is": True},
        "recommendation": {
            "jobs": 3, "mode": "parallel", "makespan_s": 525, "p95_s": 577,
            "low_s": 509, "high_s": 541, "unknown": 0, "if_waiting": None,
            "reasons": [
                "run 3 jobs: ~8 m 45 s instead of ~18 m 41 s one by one, the SLA of 10 m 00 s held in 95 of 100 runs",
                "8 jobs lose 1 %: pool db binds",
            ],
            "changes": [
                change(
                    "parallel", ["integration", "image"], "start integration earlier: it needs nothing of image",
                    "saves ~57 s in the simulated run", 57,
                ),
                change(
                    "parallel", ["docs", "lint"], "does docs need anything of lint?", "saves ~32 s", 32, question=True,
                    check="stagebook run --until docs --skip lint",
                    evidence=[{"source": "none", "n": 40, "text": "nothing in the file says why this order stands"}],
                ),
            ],
            "kept": [
                change(
                    "sequential", ["smoke", "deploy"], "keep smoke → deploy", "ordering: strict, it reaches users",
                    None, evidence=[{"source": "declared", "n": 40, "text": "ordering: strict, it reaches users"}],
                )
            ],
            "sweep": rows((1, 1121, 1193), (2, 560, 600), (3, 468, 520), (4, 462, 515), sequential_s=1121, measured=4),
        },
        "what_if": None, "arrivals": None, **more,
    }  # fmt: skip


def fifty() -> Document:
    """What if there were fifty of a service."""
    before = release()
    return {
        "supposed": ["50 of service"], "stages": 58,
            "unknown": 0, "if_waiting": None,
            "sequential_s": 6100, "critical_path": ["build", "service[7]"],
        "critical_path_s": 500, "sweep": rows((1, 6100, 6200), (2, 3200, 3300), (4, 2100, 2200), sequential_s=6100),
        "knee": {"jobs": 4, "binds": ["pool:db"], "waits_s": {"pool:db": 9000}},
        "before": {
            "stages": 18, "sequential_s": 1121, "critical_path": ["build"], "critical_path_s": 473,
            "sweep": before["sweep"], "knee": {"jobs": 3, "binds": ["path"], "waits_s": {}},
        },
    }  # fmt: skip


def met(name: str, added_s: float | None = None, **more: Any) -> Document:
    return {
        "pipeline": name, "file": f"/{name}/stagebook.yaml", "per_h": 6.0, "alone_s": 525.0, "run_s": 561.0,
        "run_p95_s": 1049.0, "wait_s": 0.0, "wait_p95_s": 282.0, "before_s": added_s and 525.0, "added_s": added_s,
        "added_p95_s": added_s and added_s * 3, **more,
    }  # fmt: skip


def arrivals(*pipelines: Document, **more: Any) -> Document:
    return {
        "runners": 4, "own": True, "scarce": "slot", "used": 0.42, "per_h": 6.0, "stable_per_h": 14.1, "grows": False,
        "grows_per_h": 0.0, "runs": 600, "hours": 100.0, "pipelines": [*pipelines] or [met("release")], **more,
    }  # fmt: skip


def assembly_line(**more: Any) -> Document:
    """Segments of a video: one worker of the middle step is too few."""

    def step(name: str, item_s: float, workers: int | None, per_s: float, use: float, should: int) -> Document:
        return {
            "step": f"segments.{name}", "item_s": item_s, "failed": 0.0, "workers": workers, "per_s": per_s,
            "use": use, "should": should,
        }  # fmt: skip

    return {
        "stage": "segments", "total": 1200, "run": "01KYAK7Q", "per_s": 2.0, "binds": "segments.transcode",
        "best_per_s": 6.0, "best_binds": "slot",
        "steps": [
            step("fetch", 0.2, 2, 10.0, 0.2, 2), step("transcode", 0.5, 1, 2.0, 1.0, 3),
            step("package", 0.0004, None, 12500.0, 0.0, 1),
        ], **more,
    }  # fmt: skip
