"""What is proposed for a CI file and on whose word, and what a split is worth: on pipelines made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from stagebook.formats.changes import Lock, MaxParallel, Needs, NeedsOnly, Split, Timeout
from stagebook.graph.findings import Finding
from stagebook.graph.traps import Cap
from stagebook.model.job import Datum, Job, JobStep
from stagebook.model.pipeline import Condition, Matrix, Pipeline, Stage
from stagebook.model.problem import InputError, Problem
from stagebook.plan import splitting
from stagebook.plan.patching import Asked, Known, Proposal, proposals


def job(name: str, *needs: str, command: str = "make", **more: Any) -> Stage:
    system = more.pop("system", "github")
    of = Job(system, name, (JobStep("Run it", 5, 5, "run", command),), **more.pop("job", {}))
    cell = more.pop("cell", None)
    id_ = f"{name}[{','.join(f'{key}={value}' for key, value in cell.items())}]" if cell else name
    return Stage(id_, name, 4, 3, "job", command, needs=needs, job=of, cell=cell, **more)


def pipeline(*stages: Stage, format: str = "github", **more: Any) -> Pipeline:
    return Pipeline("ci", "/p/.github/workflows/ci.yml", format, "digest", stages, **more)


def wide(name: str, count: int, runner: str = "ubuntu-latest") -> tuple[list[Stage], dict[str, Matrix]]:
    cells = [job(name, cell={"n": str(number)}, job={"runner": runner}) for number in range(count)]
    return cells, {name: Matrix(tuple(cell.id for cell in cells))}


def of_kind(found: list[Proposal], kind: str) -> list[Proposal]:
    return [each for each in found if each.kind == kind]


@pytest.mark.parametrize(
    ("runner", "most"),
    [("ubuntu-latest", 16), ("macos-15", 4), ("self-hosted, linux", None)],
)
def test_a_matrix_is_capped_at_four_fifths_of_what_its_machines_allow(runner: str, most: int | None) -> None:
    cells, matrices = wide("unit", 24, runner)
    caps = (Cap(20, "github-free (as of 2026-01-31)"), Cap(5, "github-free (as of 2026-01-31)", ("macos",)))
    found = of_kind(proposals(pipeline(*cells, matrices=matrices), (), Known(caps=caps), Asked()), "max-parallel")
    assert [each.change for each in found] == ([] if most is None else [MaxParallel("unit", most)])
    assert of_kind(proposals(pipeline(*cells, matrices=matrices), (), Known(), Asked()), "max-parallel") == []


def test_what_fewer_at_once_and_too_short_a_timeout_cost_is_told() -> None:
    cells, matrices = wide("unit", 4)
    known = Known({cell.id: 60.0 for cell in cells}, {cell.id: 70.0 for cell in cells}, 5)
    words = Asked(settings=(("unit", "max-parallel", "2"), ("unit", "timeout", "1m"), ("unit", "timeout", "2m")))
    some = proposals(pipeline(*cells, matrices=matrices), (), known, words)
    assert [(each.kind, each.costs_s, each.price) for each in some] == [
        ("max-parallel", 60.0, ""), ("timeout", None, "a run on record took 70 s, which it would end"),
        ("timeout", None, ""),
    ]  # fmt: skip
    assert proposals(pipeline(*cells, matrices=matrices), (), Known(), words)[0].costs_s is None


def test_timeouts_are_three_times_the_longest_or_asked_for() -> None:
    some = pipeline(job("a"), job("b"))
    found = [Finding("no-timeout", "note", 4, "a and b have no timeout", ("a", "b"))]
    known = Known({"a": 100.0}, {"a": 250.0}, 9)
    first, second = proposals(some, found, known, Asked())
    assert (first.change, first.evidence.source, first.evidence.n, first.ask) == (Timeout("a", 15), "history", 9, "")
    assert (second.evidence.source, second.ask) == ("none", "--timeout 60m")
    asked = proposals(some, found, known, Asked(timeout_min=20))
    assert [(each.change, each.ask) for each in asked] == [(Timeout("a", 15), ""), (Timeout("b", 20), "")]


def test_groups_are_named_for_the_place_and_never_given_to_a_matrix() -> None:
    cells, matrices = wide("many", 2)
    stages = [job("ship", job={"environment": "production"}), job("one", job={"environment": "test"}),
              job("two", job={"environment": "test"}), *cells]  # fmt: skip
    found = [Finding("no-concurrency", "warning", 4, "twice", (stage.id,), "it deploys") for stage in stages]
    changes = [each.change for each in proposals(pipeline(*stages, matrices=matrices), found, Known(), Asked())]
    assert changes == [Lock("ship", "deploy-production"), Lock("one", "deploy-one"), Lock("two", "deploy-two")]


def test_artifacts_that_are_named_are_waited_for_and_guards_are_asked_about() -> None:
    stages = [job("build"), job("test", when=Condition("github.event_name == 'push'", language="github")), job("ship")]
    found = [
        Finding("early-artifact", "warning", 9, "ship downloads artifact dist", ("ship", "build")),
        Finding("missing-guard", "warning", 9, "ship can start before test ends", ("ship", "test")),
    ]
    known = Known({"build": 60.0, "test": 90.0, "ship": 30.0})
    sure, asked = proposals(pipeline(*stages), found, known, Asked())
    assert (sure.change, sure.ask, sure.costs_s) == (Needs("ship", ("build",)), "", 0.0)
    assert (asked.change, asked.ask, asked.costs_s) == (Needs("ship", ("test",)), "--add 'test→ship'", 30.0)
    assert asked.price == "where the condition of test does not hold, ship is skipped too"


def gitlab(**more: Any) -> Pipeline:
    """lint and build, then unit, by the order of stages; unit is given what build leaves."""
    out = Datum("artifact", "out", 3)
    return pipeline(
        job("lint", system="gitlab"),
        job("build", system="gitlab", job={"writes": (out,)}),
        job("unit", "lint", "build", system="gitlab", job={"reads": (out,), "by_order": ("lint", "build")}),
        format="gitlab", **more,
    )  # fmt: skip


KNOWN = Known({"lint": 200.0, "build": 60.0, "unit": 30.0}, runs=5)


def test_an_order_of_stages_goes_by_declaration_or_word_only() -> None:
    [asked] = of_kind(proposals(gitlab(), (), KNOWN, Asked()), "order")
    assert (asked.change, asked.ask, asked.saves_s) == (NeedsOnly("unit", ("build",)), "--accept 'lint→unit'", 30.0)
    for known, words, source in (
        (KNOWN, Asked((("lint", "unit"),)), "accepted"),
        (KNOWN._replace(sayers=frozenset(["unit"])), Asked(), "declared"),
    ):
        [made] = of_kind(proposals(gitlab(), (), known, words), "order")
        assert (made.change, made.ask, made.evidence.source) == (NeedsOnly("unit", ("build",)), "", source)


def test_nothing_is_called_needless_where_files_are_missing() -> None:
    lacking = gitlab(missing=(Problem("/p/x.yml", 1, 1, "include", "note", "not there"),))
    assert of_kind(proposals(lacking, (), KNOWN, Asked()), "order") == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (Asked((("build", "unit"),)), "is given what build leaves"),
        (Asked((("unit", "lint"),)), "does not wait for"),
        (Asked((("nobody", "unit"),)), "no job `nobody`"),
        (Asked(added=(("unit", "lint"),)), "would be a cycle"),
        (Asked(settings=(("unit", "split", "1"),)), "split=N"),
        (Asked(settings=(("unit", "timeout", "0s"),)), "0s"),
    ],
)
def test_what_cannot_be_is_refused(words: Asked, why: str) -> None:
    with pytest.raises(InputError, match=why):
        proposals(gitlab(), (), KNOWN, words)


def test_a_split_counts_what_its_parts_repeat_and_how_minutes_are_rounded() -> None:
    assert splitting.billed(10, 12, "job") == 12
    assert splitting.billed(120, 1, "job") == splitting.billed(10, 12, "none") == 2
    assert splitting.worth(600, 60, 3, "job") == (360.0, "+2 billed minutes")
    assert splitting.worth(600, None, 3, "job")[0] is None
    assert splitting.best(600, 500, "job") is None
    assert splitting.best(600, None, "job") is None
    parts, saves, _ = splitting.best(600, 60, "job") or (0, 0.0, "")
    assert (parts, saves) == (3, 360.0)
    steps = (JobStep("Install", 1, 1, "run", is_setup=True), JobStep("Test", 2, 2, "run"))
    assert splitting.setup_s(steps, {"Set up job": 2000, "Install": 40_000, "Test": 90_000, "Post x": 1000}) == 43.0


def test_only_a_suite_on_the_longest_path_is_worth_parts() -> None:
    stages = [job("slow", command="npx jest"), job("fast", command="npx jest")]
    known = Known({"slow": 600.0, "fast": 60.0}, runs=4, rounding="job", setup_s={"slow": 60.0, "fast": 5.0})
    [found] = of_kind(proposals(pipeline(*stages), (), known, Asked()), "split")
    assert (found.change, found.saves_s, found.ask) == (Split("slow", 3), 360.0, "--rename-ok")
