"""Which stages a change of files concerns, and which changes are taken for the stages' own."""

from __future__ import annotations

import pytest

from stagebook.cli.affected import ADDED, DELETED, MODIFIED, Concern, Own, Pattern
from stagebook.model.pipeline import Output, Pipeline, Stage
from stagebook.scheduler.plan import Choice


@pytest.mark.parametrize(
    ("glob", "path", "is_met"),
    [
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/a/b/c.py", True),
        ("src/**/*.py", "src/a/b/c.md", False),
        ("src/**", "src/a/b", True),
        ("src/**", "source/a", False),
        ("src", "src/a/b", True),
        ("src/", "src/a", True),
        ("./a.py", "a.py", True),
        ("*.py", "a.py", True),
        ("*.py", "src/a.py", False),
        ("**/*.py", "a.py", True),
        ("src/*", "src/a/b", False),
        ("a[0-9].txt", "a5.txt", True),
        ("**", "any/thing", True),
    ],
)
def test_patterns(glob: str, path: str, is_met: bool) -> None:
    assert Pattern(glob).meets(path) == is_met


def test_a_pattern_may_be_meant_from_the_stages_own_folder() -> None:
    assert Pattern("*.py", "app").meets("app/a.py")
    assert Pattern("*.py", "./app/").meets("a.py")
    assert not Pattern("*.py", "app").meets("other/a.py")


def stage(
    name: str, *needs: str, changed: tuple[str, ...] = (), inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()
) -> Stage:
    made = tuple(map(Output, outputs))
    return Stage(name, name, 1, 1, "run", "x", needs=needs, changed=changed, inputs=inputs, outputs=made)


PIPELINE = Pipeline(
    "p", "/p/stagebook.yaml", "native", "d",
    (
        stage("publish", "wheel", "docs", changed=("release.txt",)),
        stage("wheel", inputs=("src/**",), outputs=("dist/*.whl",)),
        stage("docs", changed=("docs",)),
        stage("lint", "free"),
        stage("free"),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("paths", "again"),
    [
        (["src/a"], ["publish", "wheel", "lint", "free"]),
        (["docs/a/b"], ["publish", "docs", "lint", "free"]),
        (["release.txt"], ["publish", "lint", "free"]),
        (["other"], ["lint", "free"]),
        (["src/a", "docs/a"], None),
    ],
)
def test_a_change_concerns_who_reads_it_who_says_nothing_and_who_needs_them(
    paths: list[str], again: list[str] | None
) -> None:
    assert Concern(PIPELINE, Choice(cores=1)).stages(paths) == again


def test_what_was_not_picked_stays_out() -> None:
    picked = Concern(PIPELINE, Choice(cores=1, until=("publish",)))
    assert picked.stages(["other"]) == []
    assert picked.stages(["release.txt"]) == ["publish"]
    assert picked.stages(["src/a"]) == ["publish", "wheel"]
    assert picked.stages(["src/a", "docs/a"]) is None
    assert Concern(PIPELINE, Choice(cores=1, only=("nobody",))).stages(["src/a", "docs/a"]) is None


def test_outputs_and_inputs_are_told_apart() -> None:
    concern = Concern(PIPELINE, Choice(cores=1))
    assert concern.is_output("dist/a.whl") and not concern.is_output("src/a")
    assert concern.is_input("src/a") and not concern.is_input("dist/a.whl")


def test_what_is_new_is_a_stages_own_unless_it_is_an_input() -> None:
    own = Own()
    during = {"log": ADDED, "src/new": ADDED, "old": MODIFIED, "gone": DELETED}
    assert own.foreign(during, lambda path: path.startswith("src/")) == (["src/new", "old", "gone"], [])
    assert own.foreign({"log": MODIFIED}, lambda path: False) == ([], [])
    own.forget(["log"])
    assert own.foreign({"log": MODIFIED}, lambda path: False) == (["log"], [])


def test_what_changes_during_three_runs_in_a_row_is_a_stages_own() -> None:
    own = Own()
    for _ in range(2):
        assert own.foreign({"a": MODIFIED, "b": MODIFIED}, bool) == (["a", "b"], [])
    assert own.foreign({"b": MODIFIED, "c": MODIFIED}, bool) == (["c"], ["b"])
    for _ in range(2):
        assert own.foreign({"a": MODIFIED, "b": MODIFIED}, bool) == (["a"], [])
    assert own.foreign({"a": MODIFIED, "b": MODIFIED}, bool) == ([], ["a"])


def test_new_inputs_with_ever_new_names_are_learned_by_the_innermost_folder_that_they_share() -> None:
    own = Own()
    for run in range(2):
        assert own.foreign({f"gen/{run}/x.py": ADDED}, lambda path: True) == ([f"gen/{run}/x.py"], [])
    assert own.foreign({"gen/2/x.py": ADDED}, lambda path: True) == ([], ["gen/"])
    assert own.foreign({"gen/3/x.py": ADDED, "src/x.py": ADDED}, lambda path: True) == (["src/x.py"], [])
