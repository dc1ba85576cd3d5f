"""When the machine is really short of memory, how that is said, and that it does not flap."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.observe.machines import Machine

from stagebook.observe.shortage import Shortage

MIB, GIB = 1 << 20, 1 << 30


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "machine")
    made.memory(40 * GIB)
    made.pressure("memory", 1, 1)
    return made


def opened(machine: Machine, need_bytes: int = 0) -> Shortage:
    return Shortage(str(machine.root), need_bytes)


def test_what_is_free_is_held_against_the_largest_need(machine: Machine) -> None:
    short = opened(machine, GIB)
    assert short.look(0) == (None, None)
    machine.memory(300 * MIB)
    assert short.look(1) == ("free memory 300 MiB < 1 GiB", 300 * MIB)


def test_without_a_need_some_memory_should_be_free(machine: Machine) -> None:
    short = opened(machine)
    machine.memory(260 * MIB)
    assert short.look(0) == (None, None)
    machine.memory(200 * MIB)
    assert short.look(1) == ("free memory 200 MiB < 256 MiB", 200 * MIB)


def test_a_small_machine_need_not_have_as_much_free(machine: Machine) -> None:
    machine.memory(60 * MIB, total=GIB)
    assert opened(machine).look(0) == (None, None)
    machine.memory(50 * MIB, total=GIB)
    assert opened(machine).look(0)[1] == 50 * MIB


def test_it_does_not_flap_about_the_limit(machine: Machine) -> None:
    short = opened(machine, GIB)
    machine.memory(1023 * MIB)
    first = short.look(0)
    told = [first]
    for us, free in enumerate((1025, 1023, 1100, 1200, 1020, 1270), 1):
        machine.memory(free * MIB)
        told.append(short.look(us))
    assert set(told) == {first}, "neither over nor told anew while it is much the same"
    machine.memory(1281 * MIB)
    assert short.look(8) == (None, None)
    machine.memory(1025 * MIB)
    assert short.look(9) == (None, None)


def test_another_figure_is_told_when_it_differs(machine: Machine) -> None:
    short = opened(machine, GIB)
    machine.memory(800 * MIB)
    short.look(0)
    machine.memory(400 * MIB)
    assert short.look(1) == ("free memory 400 MiB < 1280 MiB", 400 * MIB)


def test_the_limit_of_a_control_group_counts_where_it_is_tighter(machine: Machine) -> None:
    group = machine.groups("/a/b")
    machine.write(f"{group}/memory.max", "max\n")
    machine.write("cg/a/memory.max", f"{4 * GIB}\n")
    machine.write("cg/a/memory.current", f"{4 * GIB - 100 * MIB}\n")
    machine.write("cg/a/memory.stat", f"anon 5\ninactive_file {2 * GIB}\nactive_file 0\n")
    short = opened(machine, GIB)
    assert short.look(0) == (None, None), "files that are cached can be had"
    machine.write("cg/a/memory.stat", f"anon 5\ninactive_file {100 * MIB}\nactive_file {50 * MIB}\n")
    assert short.look(1)[1] == 250 * MIB


def test_the_limit_of_v1_counts_too(machine: Machine) -> None:
    group = machine.old_groups("memory")
    machine.write(f"{group}/memory.limit_in_bytes", f"{GIB}\n")
    machine.write(f"{group}/memory.usage_in_bytes", f"{GIB - 10 * MIB}\n")
    machine.write(f"{group}/memory.stat", f"inactive_file 1\ntotal_inactive_file {10 * MIB}\ntotal_active_file 0\n")
    assert opened(machine).look(0)[1] == 20 * MIB
    machine.write(f"{group}/memory.limit_in_bytes", "9223372036854771712\n")
    assert opened(machine).look(0) == (None, None)


@pytest.mark.parametrize("kind", ["memory.max", "memory.limit_in_bytes"])
def test_a_limit_that_is_lifted_meanwhile_counts_no_longer(machine: Machine, kind: str) -> None:
    is_new = kind == "memory.max"
    group = machine.groups("/a") if is_new else machine.old_groups("memory")
    machine.write(f"{group}/{kind}", f"{GIB}\n")
    used = "memory.current" if is_new else "memory.usage_in_bytes"
    machine.write(f"{group}/{used}", f"{GIB - 10 * MIB}\n")
    short = opened(machine, GIB)
    assert short.look(0)[1] == 10 * MIB
    machine.write(f"{group}/{kind}", f"{3 * GIB}\n")
    assert short.look(1) == (None, None)
    machine.write(f"{group}/{kind}", f"{GIB}\n")
    assert short.look(2)[1] == 10 * MIB
    machine.write(f"{group}/{kind}", "max\n" if is_new else "9223372036854771712\n")
    assert short.look(3) == (None, None)


def test_stalls_for_memory_are_a_shortage_without_a_number_of_bytes(machine: Machine) -> None:
    short = opened(machine)
    told = []
    for us, percent in enumerate((0.0, 9.9, 12.0, 17.0, 6.0, 4.9, 6.0)):
        machine.pressure("memory", 1, 1, percent)
        told.append(short.look(us))
    first = ("memory stalls 12 % of the time", None)
    assert told == [(None, None), (None, None), first, first, first, (None, None), (None, None)]


def test_from_too_little_memory_to_stalls_and_back(machine: Machine) -> None:
    short = opened(machine)
    machine.memory(100 * MIB)
    machine.pressure("memory", 1, 1, 50.0)
    assert short.look(0)[1] == 100 * MIB
    machine.memory(40 * GIB)
    assert short.look(1) == ("memory stalls 50 % of the time", None)
    machine.memory(100 * MIB)
    assert short.look(2)[1] == 100 * MIB
    machine.memory(40 * GIB)
    machine.pressure("memory", 1, 1, 0.0)
    assert short.look(3) == (None, None)


def test_stalls_concern_everybody_so_they_are_told_before_what_only_some_lack(machine: Machine) -> None:
    short = opened(machine, GIB)
    machine.memory(500 * MIB)
    assert short.look(0)[1] == 500 * MIB
    machine.pressure("memory", 1, 1, 50.0)
    assert short.look(1) == ("memory stalls 50 % of the time", None)
    machine.pressure("memory", 1, 1, 1.0)
    assert short.look(2)[1] == 500 * MIB


def test_where_nothing_can_be_read_nothing_is_short(tmp_path: Path) -> None:
    short = Shortage(str(tmp_path), 1 << 50)
    assert short.look(0) == (None, None)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemAvailable: lots\n")
    assert Shortage(str(tmp_path), 1 << 50).look(0) == (None, None)
    short.close()
    short.close()


def test_the_real_machine_has_memory_and_a_need_that_it_cannot_meet_is_said() -> None:
    short = Shortage(need_bytes=1 << 50)
    reason, free = short.look(0)
    assert reason is not None and reason.endswith(" < 1048576 GiB")
    assert free is not None and 0 < free < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_look_reads_two_files_that_are_open(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    short = opened(machine)
    read: list[int] = []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: read.append(1) or real(*args))
    monkeypatch.setattr(os, "open", lambda *args: pytest.fail("a file was opened"))
    short.look(0)
    assert len(read) <= 2
