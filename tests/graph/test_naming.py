"""Which words of commands speak for an order: what one makes and the other names."""

from __future__ import annotations

from typing import Any

import pytest

from stagebook.graph.findings import edges, findings
from stagebook.graph.naming import Names
from stagebook.model.pipeline import Each, Items, Output, Pipeline, Stage, Step


def stage(name: str, command: str | tuple[str, ...], *needs: str, **more: Any) -> Stage:
    kind = "cmd" if isinstance(command, tuple) else "run"
    return Stage(name, name, 1, 1, kind, command=command, needs=needs, **more)


def made(*stages: Stage) -> Pipeline:
    return Pipeline("p", "/p.yaml", "native", "", stages)


TAR = {"outputs": (Output(".work/app.tar"),)}


@pytest.mark.parametrize(
    ("need", "then", "path"),
    [
        (stage("build", "make", **TAR), stage("scan", "tar -tf .work/app.tar > .work/scan.txt"), ".work/app.tar"),
        (stage("build", "make", outputs=(Output("dist"),)), stage("sign", ("sign", "dist/a.whl")), "dist/a.whl"),
        (stage("build", "make", outputs=(Output("*.whl"),)), stage("sign", "sign a.whl"), "a.whl"),
        (stage("list", "ls > out/names"), stage("count", "wc -l out/names"), "out/names"),
        (stage("staging", "sh bring.sh staging"), stage("smoke", "grep -q app .work/staging"), ".work/staging"),
        (stage("list", "ls > names.txt", dir="a"), stage("count", "wc -l a/names.txt"), "a/names.txt"),
        (stage("build", "make", **TAR), stage("notes", "date > .work/app.tar"), None),  # it makes one itself
        (stage("build", "make", **TAR), stage("unit", "pytest tests/unit"), None),
        (stage("lint", "ruff check src tests"), stage("unit", "pytest tests/unit.py"), None),  # both read
        (stage("up", "up"), stage("then", "cat a/up"), None),  # too short to mean anything
    ],
)
def test_a_command_that_names_what_the_other_makes_speaks_for_the_order(
    need: Stage, then: Stage, path: str | None
) -> None:
    assert Names().of(need, then) == path
    both = made(need, then._replace(needs=(need.id,)))
    [edge] = edges(both)
    assert [(reason.kind, reason.text) for reason in edge.reasons] == ([] if path is None else [("named", path)])
    assert any(each.code == "needless-order" for each in findings(both)) == (path is None)


def test_the_source_of_items_is_a_reason() -> None:
    for kind in ("lines", "json"):
        each = Each(Items(kind, "gen"), (Step("a", 1, "run", "true"),))
        both = made(stage("gen", "seq 3"), Stage("work", "work", 2, 1, "each", each=each, needs=("gen",)))
        [edge] = edges(both)
        assert [reason.text for reason in edge.reasons] == ["its items are what gen prints"]


def test_what_steps_name_counts_as_what_a_command_names() -> None:
    each = Each(Items("range", first=1, last=2), (Step("a", 1, "run", "cp names.txt $ITEM_DIR"),))
    of = Stage("work", "work", 2, 1, "each", each=each, needs=("list",))
    assert Names().of(stage("list", "ls > names.txt"), of) == "names.txt"
