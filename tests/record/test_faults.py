"""Faults happen at the hit that was asked for, and never otherwise."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from typing import Iterator

import pytest

from stagebook.model.problem import InputError
from stagebook.record import faults


@pytest.fixture(autouse=True)
def unarmed() -> Iterator[None]:
    yield
    faults.arm(None)


def failing(point: str, hits: int) -> list[int]:
    """Which of so many hits fail."""
    failed = []
    for number in range(1, hits + 1):
        try:
            faults.hit(point)
        except OSError:
            failed.append(number)
    return failed


def test_nothing_fails_when_nothing_is_set() -> None:
    assert failing("spawn", 5) == []
    assert not faults.counts()


def test_the_nth_hit_fails_once() -> None:
    faults.arm("journal.append:3:ENOSPC")
    assert failing("journal.append", 6) == [3]
    assert failing("journal.sync", 6) == []


def test_a_plus_fails_every_later_hit_too() -> None:
    faults.arm("journal.sync:3+:EIO")
    assert failing("journal.sync", 6) == [3, 4, 5, 6]


def test_several_faults_count_each_point_apart() -> None:
    faults.arm("spawn:1:EAGAIN;log.open:2:EIO;spawn:4:ENOMEM")
    assert failing("spawn", 5) == [1, 4]
    assert failing("log.open", 5) == [2]
    assert faults.counts() == {"spawn": 5, "log.open": 5}


def test_the_error_is_the_one_that_was_named() -> None:
    faults.arm("log.open:1:ENOSPC")
    with pytest.raises(OSError, match="No space left on device") as caught:
        faults.hit("log.open")
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("journal.append:17", "not POINT:N:ERROR"),
        ("journal.apend:1:EIO", "no point `journal.apend`"),
        ("spawn:0:EIO", "`0` is not a number from 1"),
        ("spawn:-1:EIO", "`-1` is not a number from 1"),
        ("spawn:1:ENOSUCH", "`ENOSUCH` is neither"),
        ("spawn:1:errorcode", "`errorcode` is neither"),
        ("spawn:1:EIO;", "`` is not POINT:N:ERROR"),
    ],
)
def test_a_wrong_fault_is_refused_with_the_part_that_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        faults.arm(text)


def test_the_variable_sets_faults_and_kill_kills() -> None:
    program = (
        "from stagebook.record.faults import hit\nhit('spawn')\nprint('one', flush=True)\nhit('spawn')\nprint('two')"
    )
    child = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env={**os.environ, "STAGEBOOK_FAULT": "spawn:2:KILL"},
        capture_output=True,
        text=True,
    )
    assert (child.stdout, child.returncode) == ("one\n", -signal.SIGKILL)
