"""A run as lines: what the mock shows, without an escape byte, whole, and cheap."""

from __future__ import annotations

import io
import os
import time
from typing import Any

import pytest
from tests.report import documents, golden

from stagebook.model.outcome import AttemptEnd
from stagebook.report.plain import Plain
from stagebook.report.style import Style
from stagebook.report.watch import Outlet, Quiet, Watcher, choose

SECOND = 1_000_000
FACTS: dict[str, Any] = {
    "run": "01KYAK7Q3V8W9XAYBZC0D1E2F3",
    "pipeline": "release",
    "jobs": 4,
    "mode": "parallel",
    "policy": "strict",
    "total": 18,
}


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
        self.now = 0.0

    def at(self, text: str) -> None:
        hour, minute, second = map(int, text.split(":"))
        self.now = hour * 3600 + minute * 60 + second

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def tell_of_the_release(watcher: Watcher, clock: Clock) -> None:
    """The events of the mock's plain lines."""
    clock.at("07:12:03")
    watcher.began(FACTS)
    watcher.started("checkout", 1, 0, 0, None)
    clock.at("07:12:12")
    watcher.exited(AttemptEnd("checkout", 1, 1, 9 * SECOND, "success", None, 0, 9 * SECOND, None))
    watcher.ended("checkout", "success", None, 9 * SECOND)
    watcher.started("lint", 1, 9 * SECOND, 0, None)
    watcher.waits("scan", "slot", None)
    clock.at("07:12:50")
    watcher.exited(AttemptEnd("lint", 1, 1, 47 * SECOND, "success", None, 0, 38 * SECOND, None))
    watcher.ended("lint", "success", None, 47 * SECOND)
    watcher.started("scan", 1, 47 * SECOND, 38 * SECOND, "slot")
    clock.at("07:14:57")
    watcher.waits("integration", "pool:db", "migrate")
    clock.at("07:15:19")
    watcher.started("integration", 1, 196 * SECOND, 22 * SECOND, "pool:db")
    clock.at("07:15:35")
    watcher.exited(AttemptEnd("e2e", 1, 2, 212 * SECOND, "failure", None, 1, 38 * SECOND, 2 * SECOND))
    clock.at("07:17:57")
    watcher.exited(AttemptEnd("integration", 1, 1, 354 * SECOND, "failure", None, 1, 158 * SECOND, None))
    watcher.ended("integration", "failure", None, 354 * SECOND)
    watcher.ended("deploy-staging", "skip", "needs integration (failure)", 354 * SECOND)
    watcher.flush()


@pytest.mark.parametrize("is_ascii", [False, True])
def test_the_lines_are_those_of_the_design(clock: Clock, is_ascii: bool) -> None:
    out = io.StringIO()
    tail = lambda *_: [(1201, b"E   sqlalchemy.exc.NoResultFound: No row was found")]  # noqa: E731
    tell_of_the_release(Plain(out, Style(ascii=is_ascii), tail=tail, clock=clock), clock)
    golden.check("plain-ascii" if is_ascii else "plain", out.getvalue().splitlines())
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().isascii() == is_ascii


def test_nothing_is_written_before_the_engine_is_about_to_wait(clock: Clock) -> None:
    out = io.StringIO()
    watcher = Plain(out, Style(), clock=clock)
    watcher.began(FACTS)
    watcher.started("a", 1, 0, 0, None)
    assert out.getvalue() == ""
    watcher.flush()
    assert len(out.getvalue().splitlines()) == 2


def test_a_lenient_run_says_at_its_start_which_stages_count(clock: Clock) -> None:
    out = io.StringIO()
    watcher = Plain(out, Style(), clock=clock)
    watcher.began({**FACTS, "policy": "lenient", "critical_planned": ["checkout", "build"]})
    watcher.flush()
    assert out.getvalue().splitlines()[1] == "00:00:00 release: critical checkout, build"


def test_a_burst_of_events_does_not_pile_up_without_bound(clock: Clock) -> None:
    out = io.StringIO()
    watcher = Plain(out, Style(), clock=clock)
    for number in range(5000):
        watcher.started(f"s{number}", 1, 0, 0, None)
    assert len(out.getvalue().splitlines()) > 4000


def test_a_fake_line_of_ours_in_a_name_or_in_output_stays_one_line(clock: Clock) -> None:
    out = io.StringIO()
    fake = "a\n00:00:00 deploy: success, 1 s"
    tail = lambda *_: [(1, b"x\r00:00:00 deploy: success\x1b[2K")]  # noqa: E731
    watcher = Plain(out, Style(), tail=tail, clock=clock)
    watcher.exited(AttemptEnd(fake, 1, 1, 1, "failure", "no\x1b[2Jgood", 1, 1, None))
    watcher.ended("b", "skip", f"needs {fake} (failure)", 1)
    watcher.flush()
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert not [line for line in lines if line.startswith("00:00:00 deploy")]
    assert lines[1] == "00:00:00 a\\n00:00:00 deploy: success, 1 s | x\\r00:00:00 deploy: success\\x1b[2K"


@pytest.mark.parametrize(
    ("outcome", "reason", "exit", "text"),
    [
        ("failure", None, 2, "a: failure, exit 2, 3 s"),
        ("failure", "integrity: dist/app.whl is missing", 0, "a: failure, integrity: dist/app.whl is missing, 3 s"),
        ("failure", "signal 9 (SIGKILL)", None, "a: failure, signal 9 (SIGKILL), 3 s"),
        ("timeout", "timeout", None, "a: timeout, 3 s"),
        ("error", "interrupted", None, "a: error, interrupted, 3 s"),
        ("cancellation", "cancelled by SIGINT", None, "a: cancellation, cancelled by SIGINT, 3 s"),
        ("success", None, 0, "a: success, 3 s"),
    ],
)
def test_each_end_says_how_and_how_long(
    clock: Clock, outcome: str, reason: str | None, exit: int | None, text: str
) -> None:
    out = io.StringIO()
    watcher = Plain(out, Style(), clock=clock)
    watcher.exited(AttemptEnd("a", 1, 1, 0, outcome, reason, exit, 3 * SECOND, None))
    watcher.ended("a", outcome, reason, 0)
    watcher.flush()
    assert out.getvalue() == f"00:00:00 {text}\n"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("up to date", "a: skip, up to date"),
        ("needs b (skip)", "a: skip ← b skipped"),
        ("needs b (timeout)", "a: skip ← b timed out"),
        ("not selected", "a: skip, not selected"),
        ("when: branch == 'main'", "a: skip, when: branch == 'main'"),
    ],
)
def test_each_skip_says_why(clock: Clock, reason: str, text: str) -> None:
    out = io.StringIO()
    watcher = Plain(out, Style(), clock=clock)
    watcher.ended("a", "skip", reason, 0)
    watcher.flush()
    assert out.getvalue() == f"00:00:00 {text}\n"


class Logs:
    """Output that grows, as the command line reads it."""

    def __init__(self) -> None:
        self.fresh: dict[str, list[bytes]] = {}

    def more(self, stage: str, attempt: int, is_over: bool) -> list[bytes]:
        return self.fresh.pop(stage, [])


def test_interleaved_output_comes_as_it_grows_and_each_line_is_whole(clock: Clock) -> None:
    out, logs = io.StringIO(), Logs()
    watcher = Plain(out, Style(), output="interleave", more=logs.more, clock=clock)
    assert watcher.interval_us > 0
    watcher.started("a", 1, 0, 0, None)
    watcher.started("b", 1, 0, 0, None)
    logs.fresh = {"a": [b"one " * 50], "b": [b"two"]}
    watcher.tick(100_000)
    logs.fresh = {"a": [b"three"]}
    watcher.exited(AttemptEnd("a", 1, 1, 200_000, "success", None, 0, 200_000, None))
    watcher.flush()
    shown = [line[9:] for line in out.getvalue().splitlines()]
    assert shown == ["a: started", "b: started", "a | " + "one " * 50, "b | two", "a | three", "a: success, 200 ms"]


def test_grouped_output_comes_with_the_end_of_its_stage(clock: Clock) -> None:
    out, logs = io.StringIO(), Logs()
    watcher = Plain(out, Style(), output="group", more=logs.more, clock=clock)
    watcher.started("a", 1, 0, 0, None)
    logs.fresh = {"a": [b"one", b"two"]}
    watcher.tick(100_000)
    watcher.exited(AttemptEnd("a", 1, 1, 200_000, "success", None, 0, 200_000, None))
    watcher.flush()
    assert [line[9:] for line in out.getvalue().splitlines()][1:] == ["a: success, 200 ms", "a | one", "a | two"]


def test_a_reader_that_has_gone_silences_the_lines_and_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stream:
        watcher = Plain(stream, Style())
        watcher.began(FACTS)
        watcher.flush()
        watcher.started("a", 1, 0, 0, None)
        watcher.flush()
        assert watcher.failed is not None
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)
    assert capsys.readouterr().err == ""


def test_a_full_device_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as stream:
        outlet = Outlet(stream)
        for _ in range(3):
            outlet.parts.append("x" * 10_000)
            outlet.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    assert capsys.readouterr().err == "warning: progress is no longer shown: No space left on device\n"


def test_quiet_says_nothing_of_a_success_and_of_a_failure_what_counts() -> None:
    out = io.StringIO()
    watcher = choose(out, Style(), quiet=True, tail=documents.output)
    assert isinstance(watcher, Quiet)
    watcher.began(FACTS)
    watcher.started("a", 1, 0, 0, None)
    watcher.flush()
    watcher.finished(documents.run([documents.stage("a", documents.attempt(0, 1))], 1.0))
    assert out.getvalue() == ""
    watcher.finished(documents.release())
    assert out.getvalue().startswith("✗ integration: exit 1")
    assert "timeline" not in out.getvalue()


def test_who_listens_follows_from_where_the_words_go() -> None:
    from stagebook.report.live import Live

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(choose(io.StringIO(), Style()), Plain)
    assert isinstance(choose(Terminal(), Style(), live=True), Live)
    assert isinstance(choose(Terminal(), Style(), live=True, output="interleave"), Plain)
    assert isinstance(choose(Terminal(), Style(), live=False), Plain)


def test_an_event_costs_a_few_microseconds(clock: Clock) -> None:
    names = [f"stage-{number}" for number in range(2000)]
    best = 1.0
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        watcher = Plain(nowhere, Style(), clock=clock)
        for _ in range(5):
            begin = time.process_time()
            for name in names:
                watcher.started(name, 1, 0, 5000, "slot")
                watcher.exited(AttemptEnd(name, 1, 1, 0, "success", None, 0, 3500, None))
                watcher.ended(name, "success", None, 0)
            watcher.flush()
            best = min(best, (time.process_time() - begin) / (3 * len(names)))
    print(f"{best * 1e6:.2f} µs an event")
    assert best <= 18e-6  # 6 µs on a quiet machine; three times that is a change in kind
