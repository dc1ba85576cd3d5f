"""A group a stage, where this user may write one; and that it is asked for and given up without a trace."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from stagebook.observe import cgroup, cores
from stagebook.record.clock import new_run_id
from stagebook.record.story import UNKNOWN

BURN = "import os\nfor _ in range(20):\n if os.fork() == 0:\n  [i * i for i in range(60_000)]; os._exit(0)\n os.wait()"


@pytest.fixture
def groups() -> cgroup.Groups:
    made = cgroup.Groups.open(new_run_id())
    if made is None:
        # Not every machine lets a user make groups; the engine then counts by wait4, which has tests of its own.
        pytest.skip("no writable cgroup v2 here")
    return made


def test_a_child_is_born_in_its_group_and_counted_with_its_children(groups: cgroup.Groups) -> None:
    here = Path("/proc/self/cgroup").read_text()
    group = groups.make("0.1")
    assert group is not None
    try:
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", BURN], os.environ)
    finally:
        groups.leave()
    assert Path("/proc/self/cgroup").read_text() == here
    _, status, rusage = os.wait4(pid, 0)
    used = cgroup.usage(group, UNKNOWN._replace(method="wait4"))
    assert status == 0 and used.method == "cgroup"
    assert used.cpu_user_s is not None and used.cpu_system_s is not None
    counted, waited = used.cpu_user_s + used.cpu_system_s, rusage.ru_utime + rusage.ru_stime
    assert counted == pytest.approx(waited, rel=0.05, abs=0.02)
    assert cgroup.processes(group) == [] and cgroup.remove(group)
    groups.close()


def test_a_group_is_killed_whole(groups: cgroup.Groups) -> None:
    group = groups.make("1.1")
    assert group is not None
    try:
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "trap '' TERM; sleep 100 & setsid sleep 100 & wait"], os.environ)
    finally:
        groups.leave()
    cgroup.kill(group)
    _, status, _ = os.wait4(pid, 0)
    assert os.WTERMSIG(status) == 9
    while cgroup.processes(group):
        os.sched_yield()
    assert cgroup.remove(group)
    groups.close()


def test_usable_cores_are_at_least_one_and_no_more_than_there_are() -> None:
    assert 1 <= cores.usable() <= (os.cpu_count() or 1)
