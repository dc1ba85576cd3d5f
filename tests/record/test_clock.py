"""Run ids sort by time and never repeat; time stamps can be read back."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.record import clock


def test_run_ids_of_one_process_grow_and_differ() -> None:
    ids = [clock.new_run_id() for _ in range(2000)]
    assert ids == sorted(set(ids))
    assert all(map(clock.is_run_id, ids))


def test_run_ids_grow_when_the_wall_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = clock.new_run_id()
    monkeypatch.setattr(clock.time, "time_ns", lambda: 1_000_000_000 * 10**9)
    assert clock.new_run_id() > before


def test_a_run_id_tells_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_last_id", 0)
    before_ms = time.time_ns() // 1_000_000
    told_ms = 0
    for letter in clock.new_run_id()[:10]:
        told_ms = told_ms * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
    assert before_ms <= told_ms <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("text", ["", "last", "01M86ACQ6N2NG1B6NHNQHWE88", "01M86ACQ6N2NG1B6NHNQHWE88U"])
def test_other_words_are_no_run_ids(text: str) -> None:
    assert not clock.is_run_id(text)


@given(st.integers(0, 253_402_300_799_999_999))
def test_a_stamp_is_iso_8601_and_can_be_read_back(us: int) -> None:
    text = clock.stamp(us)
    assert clock.epoch_us(text) == us
    read = datetime.fromisoformat(text)
    assert read.tzinfo == UTC
    assert (read - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() == pytest.approx(us / 1e6)


@pytest.mark.parametrize("text", ["", "2026-01-31", "2026-01-31T08:15:59.204518Z", "2026-01-31 08:15:59.204518+00:00"])
def test_what_no_stamp_wrote_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time stamp"):
        clock.epoch_us(text)


def test_a_process_is_told_from_every_other_by_when_it_began() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    ours = clock.start_time_of(os.getpid())
    child = clock.start_time_of(pid)
    os.waitpid(pid, 0)
    assert 0 < ours <= child
    assert clock.start_time_of(os.getpid()) == ours
    assert clock.start_time_of(pid) == 0
