"""Documents of plans made by hand: a release that gains up to three jobs, one that gains nothing, hostile ones."""

from __future__ import annotations

import os
from typing import Any, Iterable


def row(
    jobs: int, middle_s: float, high_s: float, sequential_s: float, gain: float | None, **keys: Any
) -> dict[str, Any]:
    return {
        "jobs": jobs, "makespan_s": middle_s, "p95_s": high_s, "low_s": middle_s * 0.97, "high_s": middle_s * 1.03,
        "speedup": sequential_s / middle_s, "efficiency": sequential_s / middle_s / jobs, "gain": gain,
        "utilisation": {"slot": 0.7}, "beyond": False, "draws": 3000, "cost": None,
    } | keys  # fmt: skip


def change(kind: str, said: str, *stages: str, **keys: Any) -> dict[str, Any]:
    return {
        "kind": kind, "stages": list(stages), "change": said, "why": f"why {said}", "saves_s": None, "evidence": [],
        "confidence": 0.9, "question": False, "check": None, "line": 43, "without": [], "with": [],
    } | keys  # fmt: skip


def stage(name: str, took_s: float | None, **keys: Any) -> dict[str, Any]:
    return {
        "stage": name, "source": "history", "runs": 40, "p50_s": took_s, "slack_s": 0.0, "cores": 1.0, "disk": 0.0,
        "contention": 0.0, "max_rss_bytes": None, "failed": 1, "ran": 40, "trend": None,
    } | keys  # fmt: skip


def release() -> dict[str, Any]:
    """Eight jobs are a little slower than six, as simulated; six and eight are more than was ever measured."""
    return {
        "pipeline": "release", "file": os.path.abspath("ci/release.yaml"),
        "profile": {
            "runs": 40, "source": "history", "others_cores": 0.3, "cores": 4, "measured_jobs": 4,
            "error": 0.04, "error_runs": 4, "enough": 5,
            "lacks": ["how fast the disk is: no stage wrote alone"],
            "stages": [stage("build", 107.0), stage("image", 58.0), stage("integration", 158.0), stage("new", None)],
        },
        "sequential_s": 1121.0,
        "critical_path": ["build", "image", "integration"],
        "critical_path_s": 473.0,
        "sweep": [
            row(1, 1121, 1193, 1121, None), row(2, 583, 626, 1121, 0.48), row(3, 525, 577, 1121, 0.1),
            row(4, 518, 567, 1121, 0.013), row(6, 519, 571, 1121, -0.002, beyond=True),
            row(8, 540, 590, 1121, -0.04, beyond=True),
        ],
        "knee": {"jobs": 3, "binds": ["path", "pool:db"]},
        "optimum": None,
        "sla": {"target_s": 600.0, "probability": None, "met": True},
        "recommendation": {
            "jobs": 3, "mode": "parallel", "makespan_s": 525.0, "p95_s": 577.0,
            "low_s": 510.0, "high_s": 540.0, "unknown": 0, "if_waiting": None,
            "reasons": ["run 3 jobs: 8 m 45 s instead of 18 m 41 s", "a 4th saves 1 %, as pool db binds"],
            "changes": [
                change("parallel", "let integration follow build, not image", "integration", saves_s=57.0,
                       evidence=[{"source": "declared", "n": 0, "text": "it reads nothing that image makes"}],
                       without=[["image", "integration"]]),
                change("parallel", "let docs follow checkout", "docs", question=True, saves_s=4.0, confidence=0.2,
                       evidence=[{"source": "none", "n": 0, "text": "the file does not say what docs reads"}],
                       without=[["lint", "docs"]], check="stagebook experiment --part lint,docs"),
            ],
            "sweep": [row(3, 468, 520, 1121, None), row(4, 465, 520, 1121, 0.01)],
            "kept": [change("sequential", "keep smoke, approve and deploy in order", "deploy", saves_s=25.0,
                            evidence=[{"source": "declared", "n": 0, "text": "ordering: strict in the file"}])],
        },
        "what_if": {
            "supposed": ["build taking 0.5 times as long", "without lint"], "stages": 17,
            "unknown": 0, "if_waiting": None,
            "sequential_s": 1030.0,
            "critical_path": ["build", "image", "integration"], "critical_path_s": 420.0,
            "sweep": [row(1, 1030, 1090, 1030, None), row(3, 444, 490, 1030, 0.57)],
            "knee": {"jobs": 3, "binds": ["path"], "waits_s": {}},
            "before": {
                "stages": 18, "sequential_s": 1121.0, "critical_path": ["build"], "critical_path_s": 473.0,
                "sweep": [row(1, 1121, 1193, 1121, None), row(3, 525, 577, 1121, 0.1)],
                "knee": {"jobs": 4, "binds": ["path"]},
            },
        },
    }  # fmt: skip


def unchanged() -> dict[str, Any]:
    """One row, nothing to gain, nothing known but what the file declares."""
    return {
        "pipeline": "payments", "file": os.path.abspath("stagebook.yaml"),
        "profile": {
            "runs": 0, "source": "declared", "others_cores": None, "cores": 2, "measured_jobs": 0,
            "error": None, "error_runs": 0, "enough": 5,
            "lacks": [], "stages": [stage("validate", 0.0, source="declared", runs=0, ran=0, failed=0, cores=None)],
        },
        "sequential_s": 0.0, "critical_path": ["validate"], "critical_path_s": 0.0,
        "sweep": [row(1, 0.0001, 0.0001, 0.0001, None)],
        "knee": {"jobs": 1, "binds": []}, "optimum": None, "sla": None,
        "recommendation": {
            "jobs": 1, "mode": "sequential", "makespan_s": 0.0, "p95_s": 0.0, "changes": [], "kept": [],
            "sweep": None, "low_s": 0.0, "high_s": 0.0, "unknown": 0, "if_waiting": None,
            "reasons": ["sequential is right here: 40 s, within the SLA of 5 m"],
        },
        "what_if": None,
    }  # fmt: skip


def hostile(names: Iterable[str]) -> dict[str, Any]:
    some = list(names)
    found = release()
    found["pipeline"] = "".join(some)
    found["critical_path"] = some
    found["knee"]["binds"] = [f"pool:{name}" for name in some[:3]]
    found["profile"] |= {"lacks": some, "stages": [stage(name, 2.0) for name in some]}
    found["recommendation"]["reasons"] = some
    found["recommendation"]["changes"] = [
        change("parallel", name, name, why=name, question=True, check=name, without=[[name, name]],
               evidence=[{"source": "none", "n": 1, "text": name}])
        for name in some
    ]  # fmt: skip
    found["what_if"]["supposed"] = some
    return found
