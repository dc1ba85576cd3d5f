"""The demo's sentence is computed from the two documents, and honest where parallel is no better."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ci"


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", EXAMPLE / "demo.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def document(wall: float, stages: dict[str, float], bound_by: str | None = "critical path") -> dict[str, Any]:
    """A run of `build`, the suites that need it, and nothing else."""
    longest = max(stages, key=lambda name: stages[name])
    return {
        "wall_s": wall,
        "critical_path": ["build", longest],
        "critical_path_s": stages[longest],
        "bound_by": bound_by,
        "waiting_by": {"slot": 3.0, "pool:db": 1.5},
        "stages": [{"stage": name, "wall_s": seconds} for name, seconds in {"build": 0.0, **stages}.items()],
    }


THREE = {"unit": 2.0, "integration": 4.0, "end-to-end": 3.0}


def test_faster_by_how_much(demo: ModuleType) -> None:
    said = demo.verdict(document(9.0, THREE), document(5.0, THREE))
    assert said.startswith("Parallel is 1.80 × as fast here, 4.0 s less (5.0 s instead of 9.0 s), ")
    assert said.endswith(": worth it.")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("critical path", "bound by the critical path (4.0 s, chiefly integration)"),
        ("slot", "bound by slot (all stages together waited 3.0 s for it)"),
        ("pool:db", "bound by pool db (all stages together waited 1.5 s for it)"),
        (None, "bound by nothing that stands out"),
    ],
)
def test_what_bound_it_is_what_the_run_itself_says(demo: ModuleType, name: str | None, words: str) -> None:
    assert words in demo.verdict(document(9.0, THREE), document(4.6, THREE, name))


def test_slower_is_called_slower(demo: ModuleType) -> None:
    longer = {name: seconds * 2.5 for name, seconds in THREE.items()}
    said = demo.verdict(document(9.0, THREE), document(11.0, longer))
    assert said.startswith("Parallel is slower here, by 2.0 s (11.0 s instead of 9.0 s), ")
    assert said.endswith(": not worth it.")


def test_a_gain_within_chance_is_none(demo: ModuleType) -> None:
    said = demo.verdict(document(9.0, THREE), document(8.8, THREE))
    assert said.startswith("Parallel is as fast as one by one here (8.8 s instead of 9.0 s), ")
    assert said.endswith(": not worth it.")


def test_stages_that_slow_each_other_down_are_named_as_the_price(demo: ModuleType) -> None:
    longer = {name: seconds * 1.2 for name, seconds in THREE.items()}
    said = demo.verdict(document(9.0, THREE), document(6.0, longer))
    assert "although side by side the stages themselves took 20% longer: worth it." in said


def test_one_line_a_stage_is_progress(demo: ModuleType) -> None:
    said = [
        "10:00:08 shop: run 01M86FZ7, 11 stages, 2 jobs, policy strict",
        "10:00:08 unit: waits for a slot, 2 of 2 in use",
        "10:00:08 lint: started, waited 56 ms",
        "10:00:09 lint: success, 118 ms",
        "10:00:10 unit: failure, exit 1, 2 s",
        "",
        "✓ lint        ▄                                                    –     0.1 s",
        "shop failed: unit, exit 1. Run 01M86FZ7 took 2 s.",
    ]
    assert [line for line in said if demo.is_progress(line)] == said[3:5]


def test_the_example_runs_again_and_again_and_promotes_what_it_built(stagebook: str, tmp_path: Path) -> None:
    """Twice, as the second run finds what the first left; smaller suites, as their size is the demo's business."""
    here = tmp_path / "ci"
    shutil.copytree(EXAMPLE, here, ignore=shutil.ignore_patterns(".work", ".stagebook", "__pycache__"))
    for suite, many, few in (
        ("endtoend/test_shop", "3_200", "50"),
        ("integration/test_store", "24_000", "200"),
        ("unit/test_money", "600_000", "600"),
    ):
        path = here / "project" / "tests" / f"{suite}.py"
        text = path.read_text()
        assert many in text
        path.write_text(text.replace(many, few))
    environment = {**os.environ, "PATH": f"{Path(stagebook).parent}:{os.environ.get('PATH', os.defpath)}"}
    for words in (["--sequential"], []):
        command = [stagebook, "run", str(here / "stagebook.yaml"), "--force", "--json", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=False)
        run = json.loads(done.stdout)
        assert done.returncode == 0, run
        assert run["outcome"] == "success"
        assert {stage["outcome"] for stage in run["stages"]} == {"success"}
        site = here / ".work" / "site"
        assert (site / "current").resolve() == (site / "candidate").resolve()
        assert (site / "current" / "shop" / "web.py").is_file()
