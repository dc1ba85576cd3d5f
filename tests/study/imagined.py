"""Experiments that nobody conducted: a set-up and records, as a ledger would hold them."""

from __future__ import annotations

from typing import Any, Sequence


def set_up(*names: str, **others: Any) -> dict[str, Any]:
    return {
        "v": 1, "experiment": "01EXPERIMENT", "pipeline": "release", "file": "/w/stagebook.yaml", "cwd": "/w",
        "digests": {}, "part": [], "proposed": None, "skip": [], "cache": "cold", "pairs": 20, "seed": 11, "warm_up": 0,
        "confidence": 0.95, "began": "2026-11-21T09:00:00.000000+00:00",
        "machine": {"host": "ci-07", "cores": 4, "memory_bytes": 8 << 30, "system": "Linux 6.12", "python": "3.13.1"},
        "arms": [
            {"name": name, "options": options, "words": options.split(), "file": "/w/stagebook.yaml",
             "names_file": False, "params": [], "predicted_s": None}
            for name, options in zip(names or ("sequential", "parallel"), ("--sequential", "-j 3", "-j 4"))
        ],
        **others,
    }  # fmt: skip


def run(arm: str, pair: int, wall_s: float, place: int = 0, **others: Any) -> dict[str, Any]:
    return {
        "kind": "pair", "pair": pair, "try": 1, "place": place, "arm": arm, "run": f"01RUN{pair:03}{place}",
        "outcome": "success", "reason": None, "mode": "parallel", "jobs": 3, "wall_s": wall_s, "cpu_s": 0.9 * wall_s,
        "max_parallel": 2, "clock_jump_s": None, "began": f"2026-11-21T09:{pair % 60:02}:00.000000+00:00",
        "max_rss_bytes": 50 << 20, "read_bytes": 0, "write_bytes": 1 << 20, "others_cores": 0.3, "failed": [], **others,
    }  # fmt: skip


def pairs(first: Sequence[float], second: Sequence[float], names: Sequence[str] = ("sequential", "parallel")) -> Any:
    """The runs of so many pairs, in an order that changes from pair to pair."""
    records = []
    for number, walls in enumerate(zip(first, second), start=1):
        both = list(zip(names, walls))
        for place, (arm, wall) in enumerate(both if number % 3 else reversed(both)):
            records.append(run(arm, number, wall, place))
    return records


def failed(record: dict[str, Any], *stages: str) -> dict[str, Any]:
    return {**record, "outcome": "failure", "failed": list(stages)}
