"""The benchmark of scale: what it plays is what it says, and is judged."""

from __future__ import annotations

from pathlib import Path

import scale
from measured import Bench
from section import Section
from table import Goals

from stagebook.formats.native.read import load


def test_its_file_is_a_pipeline_of_so_many_stages(tmp_path: Path) -> None:
    file = tmp_path / "stagebook.yaml"
    file.write_text(scale._file(300))
    pipeline = load(str(file), str(tmp_path / "cache"))
    assert len(pipeline.stages) == 300 and sum(len(stage.needs) for stage in pipeline.stages) == 600


def test_runs_are_timed_and_judged(tmp_path: Path) -> None:
    with Bench(str(tmp_path)) as bench:
        section = Section(bench, Goals(), 1, True, {})
        scale.rates(section)
        assert len(section.goals.judged) == 2
        assert all(goal["median"] > 0 for goal in section.goals.judged)
        assert len(section.raw["rates"]["stages for themselves"]["spread_ms"]) == 1
