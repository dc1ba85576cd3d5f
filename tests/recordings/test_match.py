"""Names of jobs, as systems show them, and the stages that they mean."""

from __future__ import annotations

import pytest

from stagebook.model.job import Job
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.recordings.match import Names


def names(*stages: tuple[str, str]) -> Names:
    """Of stages given as id and title."""
    made = [Stage(id, id.partition("[")[0], 1, 1, "job", job=Job("github", title)) for id, title in stages]
    return Names(Pipeline("ci", "/r/ci.yml", "github", "", tuple(made)))


KNOWN = names(
    ("lint", "Lint all"),
    ("build[python=3.11,os=ubuntu]", "build (3.11, ubuntu)"),
    ("build[python=3.13,os=ubuntu]", "build (3.13, ubuntu)"),
    ("call/job", "call / job"),
    ("docs", "Docs of ${{ inputs.version }}"),
    ("rspec[1]", "rspec 1/2"),
    ("rspec[2]", "rspec 2/2"),
    ("deploy[region=eu,tier=a]", "deploy: [eu, a]"),
    ("remote", "remote"),
    ("dynamic", "dynamic"),
    ("long", f"{'x' * 90} and more that is cut"),
)


@pytest.mark.parametrize(
    ("name", "stage", "is_part"),
    [
        ("Lint all", "lint", False),
        ("lint", "lint", False),
        ("  Lint   all ", "lint", False),
        ("build (3.11, ubuntu)", "build[python=3.11,os=ubuntu]", False),
        ("build (ubuntu, 3.13)", "build[python=3.13,os=ubuntu]", False),
        ("call / job", "call/job", False),
        ("Docs of 1.2", "docs", False),
        ("rspec 2/2", "rspec[2]", False),
        ("deploy: [eu, a]", "deploy[region=eu,tier=a]", False),
        ("deploy: [a, eu]", "deploy[region=eu,tier=a]", False),
        ("remote / build / deep (1)", "remote", True),
        ("dynamic (a, b)", "dynamic", True),
        ("dynamic 3/7", "dynamic", True),
        (f"{'x' * 90} an...", "long", False),
    ],
)
def test_a_name_means_a_stage(name: str, stage: str, is_part: bool) -> None:
    assert KNOWN.find(name) == (stage, is_part)


@pytest.mark.parametrize(
    "name", ["", "Deploy", "build (3.12, ubuntu)", "build", "linter", "x / lint", "(", "a" * 10_000]
)
def test_what_no_stage_is_called_is_nobodys(name: str) -> None:
    assert KNOWN.find(name) is None


def test_cells_of_one_title_are_told_apart_by_their_order() -> None:
    known = names(("a[x=1]", "build"), ("a[x=2]", "build"))
    assert [known.find("build", number) for number in range(3)] == [
        ("a[x=1]", False), ("a[x=2]", False), ("a[x=2]", True),
    ]  # fmt: skip


def test_without_a_file_nothing_is_known() -> None:
    assert Names(None).find("lint") is None
