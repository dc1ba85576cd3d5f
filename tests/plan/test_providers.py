"""Tables of providers: those that come along, those of users, and what is said of names that are neither."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from tests.plan.past import pipeline

from stagebook.formats.native.read import load
from stagebook.model.pipeline import Limits
from stagebook.model.problem import InputError
from stagebook.plan import providers
from stagebook.scheduler.plan import Cap

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", providers.names())
def test_every_table_says_whose_it_is_and_where_it_was_read(name: str) -> None:
    found = providers.table(name)
    assert found.name == name
    assert found.title and found.source
    assert "://" not in found.source
    assert found.jobs is not None or found.minutes is not None or found.rounding is not None or found.classes
    if found.jobs is not None:
        assert providers.cap(name) == Cap(name, found.jobs, found.as_of)
        assert found.as_of.startswith("20"), "a cap that runs go by has a date"
    else:
        assert providers.cap(name) is None


@pytest.mark.parametrize(
    ("name", "jobs", "minutes"),
    [
        ("github-free", 20, 2000),
        ("github-pro", 40, 3000),
        ("github-team", 60, 3000),
        ("github-enterprise", 500, 50_000),
        ("circleci-free", 30, None),
        ("circleci-performance", 80, None),
        ("gitlab-free", None, 400),
        ("azure-free", 1, 1800),
        ("bitbucket-standard", None, 2500),
        ("buildkite", None, None),
    ],
)
def test_what_the_tables_say(name: str, jobs: int | None, minutes: int | None) -> None:
    found = providers.table(name)
    assert (found.jobs, found.minutes) == (jobs, minutes)


def test_classes_of_machines() -> None:
    classes = {one.name: one for one in providers.table("github-team").classes}
    assert classes["macos"] == ("macos", 5, 10.0)
    assert classes["linux"] == ("linux", None, 1.0)


def test_a_provider_without_its_plan_is_its_smallest_one_and_that_is_said() -> None:
    assert providers.cap("github") == Cap("github (taken as github-free)", 20, "2026-01-01")


def test_an_unknown_name_is_told_the_nearest_and_all() -> None:
    with pytest.raises(InputError) as caught:
        providers.cap("github-fre")
    said = str(caught.value)
    assert "did you mean `github-free`?" in said
    assert all(name in said for name in providers.names())
    with pytest.raises(InputError, match="unknown provider `acme`; known are azure-free"):
        providers.cap("acme")


def test_an_unknown_provider_is_told_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "stagebook.yaml"
    file.write_text("version: 1\nlimits:\n  jobs: 3\n  provider: gitlub\nstages: {a: 'true'}\n")
    found = load(str(file), None)
    problem = providers.problem(found)
    assert problem is not None
    assert (problem.file, problem.line, problem.col, problem.level) == (str(file), 4, 13, "error")
    with pytest.raises(InputError) as caught:
        providers.cap_of(found)
    assert caught.value.problems == (problem,)


def test_a_provider_without_a_cap_on_jobs_is_no_error_but_is_said() -> None:
    named = pipeline(limits=Limits(provider="gitlab-free"))
    problem = providers.problem(named)
    assert problem is not None
    assert problem.level == "warning"
    assert "no cap on jobs at once is known of gitlab-free" in problem.message
    assert providers.cap_of(named) is None


def test_without_a_provider_there_is_nothing_to_say() -> None:
    assert providers.problem(pipeline()) is None
    assert providers.of(pipeline()) is None
    assert providers.cap_of(pipeline()) is None


def test_a_file_of_ones_own_is_found_from_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "caps.toml").write_text("as_of = 2026-11-01\njobs = 7\n")
    own = pipeline(file=str(tmp_path / "stagebook.yaml"), limits=Limits(provider="./caps.toml"))
    assert providers.cap_of(own) == Cap("./caps.toml", 7, "2026-11-01")
    (tmp_path / "caps.toml").write_text("jobs = 7\n")
    assert providers.cap_of(own) == Cap("./caps.toml", 7, "an unknown day")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jobs = 0", "`jobs` is a whole number from 1"),
        ("jobs = true", "`jobs` is a whole number from 1"),
        ("jobs = 2.5", "`jobs` is a whole number from 1"),
        ("minutes = -5", "`minutes` is a whole number from 1"),
        ("job = 3", "unknown key `job`"),
        ("jobs = ", "not TOML"),
        ("rounding = 'minute'", "unknown rounding `minute`"),
        ("as_of = 'soon'", "`as_of` is a day"),
        ("title = 3", "`title` is text"),
        ("classes = 3", "table of tables"),
        ("classes = {a = {jobs = 1, price = 2}}", "unknown key `price` of class `a`"),
        ("classes = {a = {factor = 'x'}}", "`factor` is a number"),
        ("# " + "x" * 70_000, "larger than 64 KiB"),
        ("x = " + "[" * 20_000, "not TOML"),
    ],
)
def test_a_wrong_file_is_told_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "caps.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        providers.table("./caps.toml", str(tmp_path))
    assert said in str(caught.value)


def test_what_is_no_file_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\0")
    os.mkfifo(tmp_path / "fifo.toml")
    for name, said in [("no.toml", "No such file"), ("folder.toml", "directory"), ("binary.toml", "not TOML")]:
        with pytest.raises(InputError, match=said):
            providers.table(name, str(tmp_path))
    assert providers.table("fifo.toml", str(tmp_path)).jobs is None, "and it did not wait for a writer"


def test_the_tables_are_in_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flit_core import buildapi

    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(tmp_path / buildapi.build_wheel(str(tmp_path))) as wheel:
        files = set(wheel.namelist())
    for name in providers.names():
        assert f"stagebook/plan/providers/{name}.toml" in files
