"""Five sources, each stronger than the one before, and each value knows where it came from (R121)."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from stagebook.cli import parser, run
from stagebook.cli.settings import KNOWN, Settings, load, project_file, user_file
from stagebook.model.problem import InputError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / ".config" / "stagebook"
    folder.mkdir(parents=True)
    return folder


def resolve(tmp_path: Path, environ: dict[str, str] | None = None, **options: Any) -> Settings:
    work = tmp_path / "work"
    (work / ".git").mkdir(parents=True, exist_ok=True)
    return load(Namespace(**options), str(work), {"HOME": str(tmp_path / "home"), **(environ or {})})


def test_each_source_is_stronger_than_the_one_before(tmp_path: Path, home: Path) -> None:
    work = tmp_path / "work"
    settings = resolve(tmp_path)
    assert (settings.jobs, str(settings.origins["jobs"])) == (None, "default")
    (home / "config.toml").write_text("jobs = 2\n")
    settings = resolve(tmp_path)
    assert (settings.jobs, settings.origins["jobs"]) == (2, ("user", str(home / "config.toml")))
    (work / "pyproject.toml").write_text("[tool.stagebook]\njobs = 3\n")
    settings = resolve(tmp_path)
    assert (settings.jobs, settings.origins["jobs"]) == (3, ("project", str(work / "pyproject.toml")))
    settings = resolve(tmp_path, {"STAGEBOOK_JOBS": "4"})
    assert (settings.jobs, settings.origins["jobs"]) == (4, ("environment", "STAGEBOOK_JOBS"))
    settings = resolve(tmp_path, {"STAGEBOOK_JOBS": "4"}, jobs=5)
    assert (settings.jobs, settings.origins["jobs"]) == (5, ("option", "--jobs"))


def test_defaults_are_those_of_the_door(tmp_path: Path) -> None:
    settings = resolve(tmp_path)
    assert {name: settings.value(name) for name in KNOWN} == {
        "jobs": None,
        "policy": None,
        "accounting": "auto",
        "durability": "normal",
        "admission": "auto",
        "color": "auto",
        "dir": None,
        "output": "fail-only",
        "cache-limit": "10GiB",
        "cache-age": "30d",
    }


def test_an_own_file_goes_before_pyproject_and_both_are_found_upward_to_the_work_tree(tmp_path: Path) -> None:
    work = tmp_path / "work"
    deep = work / "a" / "b"
    deep.mkdir(parents=True)
    (work / ".git").mkdir()
    (tmp_path / "stagebook.toml").write_text("jobs = 9\n")
    assert project_file(str(deep)) is None
    (work / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert project_file(str(deep)) is None
    (work / "pyproject.toml").write_text("[tool.stagebook]\n")
    assert project_file(str(deep)) == str(work / "pyproject.toml")
    (work / "stagebook.toml").write_text("")
    assert project_file(str(deep)) == str(work / "stagebook.toml")


def test_the_users_file_is_where_linux_has_it() -> None:
    assert user_file({"HOME": "/h"}) == "/h/.config/stagebook/config.toml"
    assert user_file({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == "/x/stagebook/config.toml"
    assert user_file({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}) == "/h/.config/stagebook/config.toml"
    assert user_file({}) is None


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("\njob = 2\n", 2, "unknown setting 'job', did you mean 'jobs'?"),
        ("jobs = 0\n", 1, "jobs: 0 is not a whole number from 1 to 1000000"),
        ("jobs = true\n", 1, "jobs: True is not a whole number from 1 to 1000000"),
        ("jobs = 1.5\n", 1, "jobs: 1.5 is not a whole number from 1 to 1000000"),
        ("color = 'pink'\n", 1, "color: 'pink' is not one of auto, always, never"),
        ("dir = 3\n", 1, "dir: 3 is not text"),
        ("jobs = \n", 0, "not TOML: Invalid value (at line 1, column 8)"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, home: Path, text: str, line: int, message: str) -> None:
    (home / "config.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        resolve(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.message) == (str(home / "config.toml"), line, message)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"STAGEBOOK_JOBS": "many"}, "STAGEBOOK_JOBS: 'many' is not a whole number from 1 to 1000000"),
        ({"STAGEBOOK_ACCOUNTING": "magic"}, "STAGEBOOK_ACCOUNTING: 'magic' is not one of auto, wait4"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, environ: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(tmp_path, environ)


@pytest.mark.parametrize("jobs", ["0", "-3", "1.5", "x", "1000001", "999999999999", "9" * 5000])
def test_jobs_out_of_range_are_refused_with_the_range(tmp_path: Path, jobs: str) -> None:
    args = parser.parser_of("run", "run a pipeline", run).parse_args(["-j", jobs])
    with pytest.raises(InputError) as caught:
        resolve(tmp_path, jobs=args.jobs)
    assert str(caught.value) == f"--jobs: '{jobs}' is not a whole number from 1 to 1000000"


def test_an_empty_variable_is_no_variable(tmp_path: Path) -> None:
    assert resolve(tmp_path, {"STAGEBOOK_JOBS": ""}).jobs is None
