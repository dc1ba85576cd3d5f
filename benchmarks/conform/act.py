"""Matrices as `act` expands them, from its own test of strategies, and its workflows of the model: read or refused."""

from __future__ import annotations

from pathlib import Path

from conform.row import Row
from stagebook.formats.github.read import parse
from stagebook.formats.request import NOTHING

#: By job: what the cells have, as the source of the case states it.
STRATEGIES: dict[str, list[dict[str, object]] | None] = {
    "strategy-all": [
        {"datacenter": "site-c", "node-version": "14.x", "site": "staging", "php-version": 5.4},
        {"datacenter": "site-c", "node-version": "16.x", "site": "staging", "php-version": 5.4},
        {"datacenter": "site-d", "node-version": "16.x", "site": "staging", "php-version": 5.4},
        {"datacenter": "site-a", "node-version": "10.x", "site": "prod"},
        {"datacenter": "site-b", "node-version": "12.x", "site": "dev"},
    ],
    "strategy-no-matrix": None,
    "strategy-only-fail-fast": None,
    "strategy-only-max-parallel": None,
}
MOST = {"strategy-all": 2, "strategy-no-matrix": 2, "strategy-only-max-parallel": 2}
FAIL_FAST = {"strategy-only-max-parallel": True}


def measure(data: Path) -> list[Row]:
    folder = data / "conformance" / "act" / "model"
    return [_strategies(folder / "strategy" / "push.yml"), _files(folder)]


def _strategies(file: Path) -> Row:
    pipeline, problems = parse(file.read_bytes(), str(file), NOTHING)
    assert pipeline is not None, problems
    misses = []
    for name, expected in STRATEGIES.items():
        stages = [each for each in pipeline.stages if each.name == name]
        found = [each.job.spec.get("matrix") for each in stages if each.job is not None]
        if found != (expected or [None]):
            misses.append(f"{name}: {found}")
        strategy = stages[0].job.spec["strategy"] if stages and stages[0].job is not None else {}
        if strategy.get("fail-fast") is not FAIL_FAST.get(name, False):
            misses.append(f"{name}: fail-fast {strategy.get('fail-fast')}")
        if name in MOST and expected and pipeline.matrices[name].max_parallel != MOST[name]:
            misses.append(f"{name}: max-parallel {pipeline.matrices[name].max_parallel}")
    count = sum(len(each or [None]) for each in STRATEGIES.values())
    return Row("act", "matrices expand as stated", count, 1 - len(misses) / count, 1.0, misses=tuple(misses))


def _files(folder: Path) -> Row:
    """Names of folders and files say which are invalid."""
    misses = []
    files = sorted(folder.rglob("*.yml"))
    for file in files:
        pipeline, problems = parse(file.read_bytes(), str(file), NOTHING)
        is_wrong = (
            file.name.startswith("invalid") or file.parent.name == "empty-workflow" or not file.read_text().strip()
        )
        if (pipeline is None) is not is_wrong:
            misses.append(f"{file.relative_to(folder)}: {problems[:1]}")
    share = 1 - len(misses) / len(files)
    return Row("act", "files of its model read or refused", len(files), share, None, misses=tuple(misses))
