"""Test cases of reports that attempts left, in the table `tests`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Iterator, NamedTuple

import pytest
from sqlalchemy import select
from tests.plan.past import NOW_US, RELEASE, Did, Past

from stagebook.history import schema, store
from stagebook.model.problem import SurroundingsError


class Case(NamedTuple):
    classname: str
    name: str
    file: str | None
    outcome: str
    seconds: float | None
    message: str | None


def read(path: str, notes: list[object]) -> Iterator[Case]:
    """Stands for the reader of JUnit: a case a line."""
    for line in Path(path).read_text().splitlines():
        if line == "broken":
            raise SurroundingsError("no report")
        name, outcome = line.split()
        yield Case("tests.test_a", name, None, outcome, 0.5, None)


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("stagebook.history.junit")
    module.read = read  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


def cases(past: Past) -> list[tuple[object, ...]]:
    columns = (schema.tests.c[name] for name in ("stage", "attempt", "classname", "name", "outcome", "seconds"))
    asked = select(*columns).order_by(schema.tests.c.id)
    return store.ask(past.state, lambda connection: [tuple(row) for row in connection.execute(asked)])


def test_cases_belong_to_the_attempt_that_their_report_is_named_after(tmp_path: Path) -> None:
    past = Past(tmp_path)
    path = past.run(RELEASE, NOW_US, Did("build", 0, 10))
    reports = path.parent / "reports"
    reports.mkdir()
    (reports / "build.1.xml").write_text("one passed\ntwo failed\n")
    (reports / "build.1~2.xml").write_text("broken")
    (reports / "build.1~3.xml").write_text("two failed\nfour passed\n")
    (reports / "unknown.3.xml").write_text("three skipped\n")
    (reports / "notes.txt").write_text("no report")
    assert sorted(cases(past)) == [
        ("build", 1, "tests.test_a", "four", "passed", 0.5),
        ("build", 1, "tests.test_a", "one", "passed", 0.5),
        ("build", 1, "tests.test_a", "two", "failed", 0.5),
        ("unknown.3", None, "tests.test_a", "three", "skipped", 0.5),
    ]


def test_a_run_without_reports_has_none(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US, Did("build", 0, 10))
    assert cases(past) == []
