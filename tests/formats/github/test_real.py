"""Real workflow files: read, or refused for what GitHub refuses too."""

from __future__ import annotations

from pathlib import Path

from stagebook.formats.github.read import parse
from stagebook.formats.request import NOTHING
from stagebook.model.job import GRADES


def test_real_files_are_read(shared_data: Path) -> None:
    refused, ignored = [], set()
    for file in sorted((shared_data / "github").iterdir()):
        pipeline, problems = parse(file.read_bytes(), str(file), NOTHING)
        if pipeline is None:
            refused.append((file.name.partition("__")[0], [each.line for each in problems if each.level == "error"]))
            continue
        assert pipeline.stages
        assert {each.grade for each in pipeline.grades} <= set(GRADES)
        ignored |= {each.key for each in pipeline.grades if each.grade == "ignored"}
        known = {each.id for each in pipeline.stages}
        assert len(known) == len(pipeline.stages)
        for stage in pipeline.stages:
            assert set(stage.needs) <= known and len(stage.needs) == len(stage.need_lines)
            assert stage.job is not None and (stage.job.steps or stage.job.unplayable)
            assert all(place < number for number, step in enumerate(stage.job.steps) for place in step.after)
    assert refused == [("dbt-labs", [20, 34])]
    assert not {
        each for each in ignored if each.rpartition(".")[2] in ("needs", "if", "matrix", "concurrency", "group")
    }
