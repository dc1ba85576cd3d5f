"""Edges that look needless and bear a load are not given up on a file's word; those that are needless are found."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.plan.planned import planned, read
from tests.plan.planted import NEEDLESS, PLANTED, Planted, text_of


def made(folder: Path, plant: Planted) -> str:
    folder.mkdir()
    text = text_of(plant.write(folder))
    (folder / "stagebook.yaml").write_text(text)
    return text


def done(folder: Path, plant: Planted, names: list[str]) -> dict[str, Any]:
    """What there is after the commands of these stages, in this order."""
    home = folder.parent / f"{folder.name}.home"
    home.mkdir()
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    codes = []
    for name in names:
        command = plant.stages[name][0]
        ended = subprocess.run(
            ["/bin/sh", "-e", "-c", command], cwd=folder, env=env, capture_output=True, timeout=30, check=False
        )
        codes.append(ended.returncode == 0)
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }
    return {"passed": all(codes), "files": files}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.name)
def test_an_order_that_bears_a_load_is_not_given_up(plant: Planted, tmp_path: Path) -> None:
    in_order, other_way = tmp_path / "a" / "in-order", tmp_path / "b" / "other-way"
    for folder in (in_order, other_way):
        folder.parent.mkdir()
        text = made(folder, plant)
    pipeline = read(text, str(in_order / "stagebook.yaml"))
    advised = planned(pipeline)
    assert advised.pipeline.stages == pipeline.stages, advised.found.changes
    for change in advised.found.changes:
        assert change.question
        assert [each.source for each in change.evidence] == ["none"]
    names = list(plant.stages)
    right = done(in_order, plant, names)
    assert right["passed"], "the plant itself is wrong"
    assert done(other_way, plant, names[::-1]) != right, "its order bears no load"


@pytest.mark.parametrize("plant", NEEDLESS, ids=lambda plant: plant.name)
def test_a_needless_order_between_stages_that_declare_all_is_given_up(plant: Planted, tmp_path: Path) -> None:
    text = made(tmp_path / "place", plant)
    pipeline = read(text, str(tmp_path / "place" / "stagebook.yaml"))
    advised = planned(pipeline)
    change = advised.found.changes[0]
    assert (change.kind, change.question, change.evidence[0].source) == ("parallel", False, "declared")
    assert ("first", "second") in change.edges
    assert advised.forecast.makespan_s < advised.sequential.makespan_s * 0.7
