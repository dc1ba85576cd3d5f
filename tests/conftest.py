"""What every test may ask for: the data sets, the installed command, and the rule that CI skips nothing.

Tests of one room keep their own fixtures beside them.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Callable, Generator, NoReturn, TypeVar

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
Report = TypeVar("Report")
Reporting = Generator[None, Report, Report]

IN_CI = os.environ.get("CI") == "true"

# The project's own pipeline runs these tests as stages: what it told them must not reach the runs they make.
for name in [name for name in os.environ if name.startswith("STAGEBOOK_")]:
    if not name.startswith("STAGEBOOK_TEST_") and name != "STAGEBOOK_SIM_SEED":
        del os.environ[name]

# Under nohup, or in the background of sh, signals are ignored, and so they would be by the commands that tests start.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("here", deadline=None, print_blob=True)
settings.load_profile("ci" if IN_CI else "here")


#: What takes seconds a test begins first, so that no worker is left alone with it in the end. The others end with rooms
#: whose tests take milliseconds: those are what one worker takes from another.
SLOW_FIRST = (
    "tests/docs/test_tutorial.py",
    "tests/ground/",
    "tests/benchmarks/",
    "tests/sim/test_mutants.py",
    "tests/door/",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow rooms first; within a room the order stays, and so do the fixtures that a file shares."""

    def rank(item: pytest.Item) -> int:
        where = [place for place, slow in enumerate(SLOW_FIRST) if item.nodeid.startswith(slow)]
        return where[0] if where else len(SLOW_FIRST)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The directory of foreign data sets: `../shared/data` beside the checkout, else $STAGEBOOK_TEST_DATA."""
    beside = ROOT.parent / "shared" / "data"
    named = os.environ.get("STAGEBOOK_TEST_DATA")
    for candidate in (beside, Path(named) if named else None):
        if candidate is not None and candidate.is_dir():
            return candidate
    pytest.skip(f"no data sets: neither {beside} nor $STAGEBOOK_TEST_DATA is a directory")


@pytest.fixture(scope="session")
def stagebook() -> str:
    """The installed command, as a user would call it."""
    command = Path(sys.executable).with_name("stagebook")
    assert command.exists(), f"{command} is missing: run `make setup`, then .venv/bin/pytest"
    return str(command)


UNAVAILABLE = "unavailable here: "  #: how the reason of such a skip begins


def unavailable(capability: str) -> NoReturn:
    """Leave a test out because this machine forbids what it needs (a namespace, a full tmpfs, a writable cgroup).

    Such a test is listed at the end with its reason. It does not count as passed, and is no failure in CI.
    Ask for it as the fixture `unavailable` where the test is; data that is missing is never a reason.
    """
    pytest.skip(UNAVAILABLE + capability)


@pytest.fixture(name="unavailable", scope="session")
def _unavailable() -> Callable[[str], NoReturn]:
    return unavailable


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what this machine could not try, each with its reason."""
    reports = [report for report in terminalreporter.stats.get("skipped", []) if _is_unavailable(report)]
    if reports:
        terminalreporter.section("unavailable here: not tried, not passed")
        for report in reports:
            terminalreporter.line(f"{report.nodeid}: {_skip_reason(report).partition(UNAVAILABLE)[2]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Reporting[pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Reporting[pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI whatever a test needs is there, so a skip would only hide that it is not; but a machine may forbid it."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and not _is_unavailable(report):
        reason = _skip_reason(report)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: skipped, which counts as a failure with CI=true: {reason}"


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    place = report.longrepr
    return place[2] if isinstance(place, tuple) else str(place)


def _is_unavailable(report: pytest.TestReport | pytest.CollectReport) -> bool:
    return report.skipped and UNAVAILABLE in _skip_reason(report)
