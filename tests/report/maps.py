"""Map documents for tests of pictures: a release as in the design, one with hostile names, one that differs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tests.report.export import hostile

from stagebook.graph.difference import difference
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.report.map import add_difference, document


def stage(name: str, seconds: float | None, *needs: str, **more: Any) -> Stage:
    cell = {"python": name[name.index("=") + 1 : -1]} if name.endswith("]") else None
    return Stage(
        id=name, name=name.split("[")[0], line=3, col=3, kind=more.pop("kind", "run"), needs=needs, cell=cell,
        duration_ms=None if seconds is None else int(seconds * 1000), **more,
    )  # fmt: skip


def pipeline(*stages: Stage, **more: Any) -> Pipeline:
    return Pipeline(name="release", file="/x/stagebook.yaml", format="native", digest="0", stages=stages, **more)


RELEASE = pipeline(
    stage("checkout", 9),
    stage("lint", 38, "checkout"),
    stage("unit[python=3.11]", 122, "checkout"),
    stage("unit[python=3.13]", 131, "checkout"),
    stage("build", 107, "checkout"),
    stage("scan", 51, "checkout"),
    stage("docs", 32, "checkout"),
    stage("image", 58, "build"),
    stage("migrate", 66, "build"),
    stage("package", 23, "unit[python=3.11]", "unit[python=3.13]", "build"),
    stage("integration", 158, "image", "lint"),
    stage("e2e", 117, "image"),
    stage("contract", 52, "image"),
    stage("deploy-staging", 48, "integration", "e2e", "package"),
    stage("smoke", 25, "deploy-staging"),
    stage("approve", None, "smoke", kind="gate"),
    stage("deploy", 61, "approve"),
    stage("cleanup", 7, "deploy", always=True),
)


def hostile_pipeline() -> Pipeline:
    """A chain of names that are meant to break out, each over a path of that name; the last one needs all."""
    names = hostile.NAMES
    stages = [stage(names[0], 1)]
    for before, name in pairwise(names):
        stages.append(stage(name, 1, before, via={before: name}))
    stages.append(stage("deploy", 1, *names, kind="gate"))
    return pipeline(*stages)._replace(name="".join(names))


def compared(base: Pipeline, now: Pipeline) -> dict[str, Any]:
    made = document(now)
    add_difference(made, document(base), "HEAD~1", difference(base, now))
    return made


def changed() -> dict[str, Any]:
    """The release without `lint`, with `sbom`, with a longer `e2e` that follows `package` too."""
    stages = [one for one in RELEASE.stages if one.id != "lint"]
    at = {one.id: index for index, one in enumerate(stages)}
    stages[at["integration"]] = stages[at["integration"]]._replace(needs=("image",))
    stages[at["e2e"]] = stages[at["e2e"]]._replace(needs=("image", "package"), duration_ms=150_000)
    stages.insert(at["package"] + 1, stage("sbom", 12, "package"))
    return compared(RELEASE, pipeline(*stages))
