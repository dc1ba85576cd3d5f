"""What the machine did meanwhile: the arithmetic on a machine made of files, and the real one really loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from tests.observe.machines import Machine

from stagebook.observe import cgroup, cores, world
from stagebook.observe.world import LOOK_US, SHORTEST_US, World, between
from stagebook.record.line import members
from stagebook.record.story import Around, around_of

SOURCE = str(Path(world.__file__).parents[2])
TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def opened(machine: Machine, base: str | None = None) -> World:
    place = None if base is None else str(machine.root / base)
    return World(str(machine.folder), place, str(machine.root))


def load(machine: Machine, step: int) -> None:
    """The machine after so many seconds of: 1.5 cores busy, half of the time somebody waits for a core."""
    machine.stat(int(step * 1.5 * 1_000_000 / TICK_US) + 100)
    machine.pressure("cpu", step * 500_000 + 7, 0)
    machine.pressure("memory", step * 20_000, step * 10_000)
    machine.pressure("io", step * 250_000, step * 125_000)
    machine.disk(step * 300)


# A machine made of files ------------------------------------------------------------------------------------------


def test_shares_are_of_the_time_between_two_looks(machine: Machine) -> None:
    load(machine, 0)
    seen = opened(machine)
    a = seen.look(0)
    load(machine, 2)
    b = seen.look(2_000_000)
    around = between(a, b)
    assert around is not None
    assert around.over_s == 2.0 and around.pressure_method == "machine"
    assert (around.cpu_some, around.cpu_full) == (0.5, None), "of the whole machine the kernel has no full for cpu"
    assert (around.memory_some, around.memory_full, around.io_some, around.io_full) == (0.02, 0.01, 0.25, 0.125)
    assert around.device_busy == 0.3
    assert around.network_bytes is None and around.run_delay_s is None and around.throttled_s is None
    seen.close()
    seen.close()


def test_the_rest_of_the_machine_is_what_our_group_did_not_use(machine: Machine) -> None:
    machine.write("base/cpu.stat", "usage_usec 1000000\nuser_usec 0\n")
    load(machine, 0)
    seen = opened(machine, "base")
    a = seen.look(0)
    load(machine, 2)
    machine.write("base/cpu.stat", "usage_usec 2600000\nuser_usec 0\n")
    around = between(a, seen.look(2_000_000))
    # 3 s were worked, 1.6 of them by our stages; what this process used itself is little
    assert around is not None and around.others_cores == pytest.approx(0.7, abs=0.1)
    machine.write("base/cpu.stat", "usage_usec 99000000\n")
    around = between(a, seen.look(2_000_000 + LOOK_US))
    assert around is not None and around.others_cores == 0.0, "clocks differ a little; it is never less than nothing"


def test_an_attempt_in_a_group_of_its_own_has_the_stalls_of_that_group(machine: Machine) -> None:
    load(machine, 0)
    seen = opened(machine)
    began = seen.look(0)
    load(machine, 1)
    for name, some, full in (("cpu", 100_000, 50_000), ("memory", 0, 0), ("io", 9_000_000, 0)):
        machine.pressure(name, some, full, place="group")
    around = seen.around_attempt(began, 0, 1_000_000, str(machine.root / "group"), 12_345_000)
    assert around is not None and around.pressure_method == "cgroup"
    assert (around.cpu_some, around.cpu_full, around.memory_some) == (0.1, 0.05, 0.0)
    assert around.io_some == 1.0, "no more than all of the time"
    assert around.run_delay_s == 0.012345 and around.device_busy == 0.3
    gone = seen.around_attempt(began, 0, 1_000_000, str(machine.root / "no-such-group"), None)
    assert gone is not None and gone.pressure_method == "machine" and gone.run_delay_s is None


def test_the_run_has_the_stalls_of_its_group_since_it_began(machine: Machine) -> None:
    machine.pressure("cpu", 5_000_000, 5_000_000, place="base")
    load(machine, 0)
    machine.write("proc/sys/kernel/sched_autogroup_enabled", "1\n")
    seen = opened(machine, "base")
    assert seen.around_run(0) is None, "nothing can be said of no time"
    machine.pressure("cpu", 5_250_000, 5_000_000, place="base")
    around = seen.around_run(1_000_000)
    assert around is not None and around.pressure_method == "cgroup"
    assert (around.cpu_some, around.cpu_full) == (0.25, 0.0)
    assert (around.memory_some, around.io_some) == (None, None), "the group does not tell"
    assert around.autogroup is True and around.cpu_limit_cores is None


def test_the_tightest_limit_above_us_is_the_one_that_counts(machine: Machine) -> None:
    group = machine.groups("/a/b")
    machine.write(f"{group}/cpu.max", "200000 100000\n")
    machine.write("cg/cpu.max", "max 100000\n")
    machine.write("cg/a/cpu.max", "150000 100000\n")
    machine.write("cg/a/cpu.stat", "usage_usec 1\nnr_throttled 3\nthrottled_usec 100000\n")
    machine.write(f"{group}/cpu.stat", "usage_usec 1\nthrottled_usec 0\n")
    load(machine, 0)
    seen = opened(machine)
    a = seen.look(0)
    machine.write("cg/a/cpu.stat", "usage_usec 1\nnr_throttled 4\nthrottled_usec 350000\n")
    around = between(a, seen.look(1_000_000))
    assert around is not None and around.throttled_s == 0.25
    whole = seen.around_run(1_000_000)
    assert whole is not None and whole.cpu_limit_cores == 1.5


def test_a_limit_of_v1_is_seen_from_within_a_container(machine: Machine) -> None:
    group = machine.old_groups("cpu")
    machine.write(f"{group}/cpu.cfs_quota_us", "50000\n")
    machine.write(f"{group}/cpu.cfs_period_us", "100000\n")
    machine.write(f"{group}/cpu.stat", "nr_periods 1\nthrottled_time 1000000000\n")
    load(machine, 0)
    seen = opened(machine)
    a = seen.look(0)
    machine.write(f"{group}/cpu.stat", "nr_periods 1\nthrottled_time 1400000000\n")
    around = between(a, seen.look(1_000_000))
    whole = seen.around_run(1_000_000)
    assert around is not None and around.throttled_s == 0.4
    assert whole is not None and whole.cpu_limit_cores == 0.5


def test_where_there_is_no_limit_nothing_was_withheld_which_is_known(machine: Machine) -> None:
    group = machine.groups("/a")
    machine.write(f"{group}/cpu.stat", "usage_usec 1\nthrottled_usec 0\n")
    seen = opened(machine)
    around = between(seen.look(0), seen.look(1_000_000))
    assert around is not None and around.throttled_s == 0.0


def test_without_the_files_everything_is_unknown_and_nothing_is_an_error(machine: Machine) -> None:
    seen = opened(machine)
    around = between(seen.look(0), seen.look(1_000_000))
    assert around == Around(over_s=1.0)
    assert world.encode(around) == '{"over_s":1.0}'
    assert seen.around_run(1_000_000) == Around(over_s=1.0)


@pytest.mark.parametrize("text", ["", "\n", "some\n", "some total=\nfull total=x\n", "cpu 1 2\n", "\x00\xff" * 300])
def test_nonsense_is_unknown(machine: Machine, text: str) -> None:
    for name in ("stat", "pressure/cpu", "pressure/memory", "pressure/io", "self/cgroup", "self/mountinfo"):
        machine.write(f"proc/{name}", text)
    machine.write(machine.device, text)
    seen = opened(machine)
    around = between(seen.look(0), seen.look(1_000_000))
    assert around is not None and around._replace(over_s=None, device=None) == Around()


def test_a_group_that_goes_while_we_look_is_unknown(machine: Machine) -> None:
    machine.write("base/cpu.stat", "usage_usec 5\n")
    load(machine, 0)
    seen = opened(machine, "base")
    a = seen.look(0)
    machine.write("base/cpu.stat", "")
    around = between(a, seen.look(1_000_000))
    assert around is not None and around.others_cores is None and around.cpu_some == 0.0


def test_the_journal_holds_what_is_known_and_gives_it_back() -> None:
    around = Around(over_s=1.25, pressure_method="cgroup", cpu_some=0.0, device="vda", autogroup=True)
    told = json.loads(world.encode(around))
    assert told == {"over_s": 1.25, "pressure_method": "cgroup", "cpu_some": 0.0, "device": "vda", "autogroup": True}
    assert around_of(told) == around
    assert world.encode(around._replace(device=None, autogroup=False)).endswith('"autogroup":false}')
    assert world.encode(None) == "" and around_of(None) is None
    assert around_of(json.loads("{" + members(around=around._asdict()) + "}")["around"]) == around


# What it costs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often the system was asked, by name of the call."""
    counted: dict[str, int] = {}

    def count(name: str) -> None:
        real = getattr(os, name)

        def counting(*args: Any, **named: Any) -> Any:
            counted[name] = counted.get(name, 0) + 1
            return real(*args, **named)

        monkeypatch.setattr(os, name, counting)

    for name in ("open", "pread", "read", "close", "stat", "listdir"):
        count(name)
    return counted


@pytest.mark.parametrize("base", [None, "base"])
def test_a_thousand_attempts_of_half_a_millisecond_cost_some_looks(
    machine: Machine, calls: dict[str, int], base: str | None
) -> None:
    load(machine, 0)
    machine.write("base/cpu.stat", "usage_usec 5\n")
    seen = opened(machine, base)
    calls.clear()
    for us in range(0, 500_000, 500):
        began = seen.look(us)
        assert seen.around_attempt(began, us, us + 450, None, None) is None
    looks = 500_000 // LOOK_US
    assert calls.pop("pread") <= looks * 7
    assert sum(calls.values()) <= looks * 2, "files stay open; only children are asked for, where there is no group"


def test_an_attempt_is_told_of_once_it_is_long_enough(machine: Machine) -> None:
    load(machine, 0)
    seen = opened(machine)
    began = seen.look(0)
    assert seen.look(LOOK_US - 1) is began
    assert seen.around_attempt(began, 0, SHORTEST_US - 1, None, None) is None
    late = seen.around_attempt(began, 5_000, SHORTEST_US + 5_000, None, None)
    assert late is not None and late.over_s is not None and abs(late.over_s - 0.1) <= LOOK_US / 1e6


# The real machine -------------------------------------------------------------------------------------------------

#: The run: it looks, lets a child work or wait, looks again, and tells what was around. It is a process of its own, so
#: that whatever else the test starts is none of it.
RUN = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from stagebook.observe.world import World, between
from time import monotonic_ns, process_time
def us(): return monotonic_ns() // 1000
world = World.open(sys.argv[2], None)
a = world.look(us())
children = [os.posix_spawn("/bin/sh", ["sh", "-c", sys.argv[3]], os.environ) for _ in range(int(sys.argv[4]))]
for pid in children[:1]:
    os.wait4(pid, 0)
b = world.look(us() + 20_000)
for pid in children[1:]:
    os.kill(pid, 9)
    os.wait4(pid, 0)
print(json.dumps(between(a, b)._asdict()))
"""
SPIN = "while :; do :; done"


def run(folder: Path, stage: str, count: int = 1) -> dict[str, Any]:
    command = [sys.executable, "-c", RUN, SOURCE, str(folder), stage, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture
def hogs() -> Iterator[None]:
    """Two for each core, in a session of their own."""
    started = [subprocess.Popen(["/bin/sh", "-c", SPIN], start_new_session=True) for _ in range(2 * CORES)]
    yield
    for hog in started:
        hog.kill()
        hog.wait()


@pytest.mark.usefixtures("hogs")
def test_a_hog_beside_a_stage_is_seen_as_work_of_others_and_as_pressure(tmp_path: Path) -> None:
    told = run(tmp_path, "sleep 0.5")
    assert told["others_cores"] > 0.8 * cores.usable()
    if os.path.exists("/proc/pressure/cpu"):
        assert told["pressure_method"] == "machine" and told["cpu_some"] > 0.5


@pytest.mark.parametrize("count", [1, CORES], ids=["the dead", "the living too"])
def test_what_the_run_itself_does_is_not_work_of_others(tmp_path: Path, count: int) -> None:
    """However busy the rest of the machine is, it cannot have had what the run used."""
    burn = f"{sys.executable} -c 'import time\nwhile time.process_time() < 0.6: pass'"
    began = time.monotonic()
    told = run(tmp_path, f"{burn}; {burn}", count=count)
    wall = time.monotonic() - began
    own_cores = 1.2 / wall  # of the first one, which ran to its end; the others, killed, used about as much each
    assert told["others_cores"] <= CORES - 0.7 * own_cores


def test_a_stage_that_writes_makes_its_device_busy(tmp_path: Path) -> None:
    write = f"dd if=/dev/zero of={tmp_path}/big bs=1M count=200 oflag=direct || dd if=/dev/zero of={tmp_path}/big bs=1M"
    told = run(tmp_path, f"({write} count=200 conv=fsync) 2> /dev/null")
    if told["device"] is None:  # a file system in memory has no device
        assert told["device_busy"] is None
    else:
        assert told["device_busy"] > 0.05
        if told["pressure_method"] is not None:
            assert told["io_some"] > 0.02


@pytest.fixture
def limited() -> Iterator[str]:
    """A control group, in v1 or v2, whose processes get a fifth of a core."""
    for controller, limits in (
        ("", (("cpu.max", "20000 100000"),)),
        ("cpu", (("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "20000"))),
    ):
        home = cgroup.own_group(controller)
        if home is None:
            continue
        group = f"{home}/stagebook-test-{os.getpid()}"
        try:
            os.mkdir(group)
            for name, text in limits:
                if not os.path.exists(f"{group}/{name}"):
                    raise FileNotFoundError(name)
                Path(f"{group}/{name}").write_text(text)
        except OSError:
            if os.path.isdir(group):
                os.rmdir(group)
            continue
        yield group
        os.rmdir(group)
        return
    # Not every machine lets a user limit a group; the arithmetic has tests of its own.
    pytest.skip("no group here whose CPU time this user may limit")


def test_time_that_a_limit_withholds_is_told(limited: str, tmp_path: Path) -> None:
    burn = f"{sys.executable} -c 'import time\nwhile time.process_time() < 0.2: pass'"
    enter = f"import os\nopen({limited + '/cgroup.procs'!r}, 'w').write('0')\n"
    command = [sys.executable, "-c", enter + RUN, SOURCE, str(tmp_path), burn, "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["throttled_s"] > 0.05


def test_the_time_a_process_waited_for_a_core_is_known_until_it_is_reaped() -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    delay = world.run_delay_ns(pid)
    os.wait4(pid, 0)
    assert world.run_delay_ns(pid) is None
    if not os.path.exists("/proc/self/schedstat"):
        assert delay is None
        return
    assert delay is not None and delay >= 0
    own = Path("/proc/self/schedstat")
    before = int(own.read_text().split()[1])
    told = world.run_delay_ns(os.getpid())
    assert told is not None and before <= told <= int(own.read_text().split()[1])


def test_more_processes_than_can_be_looked_at_leave_the_rest_unknown(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(machine, 0)
    me = os.getpid()
    monkeypatch.setattr(world, "_PROCESSES_MAX", 3)
    machine.write(f"proc/{me}/task/{me}/children", "11 12 13")
    for pid in range(11, 16):
        machine.write(f"proc/{pid}/stat", f"{pid} (a) b) S 1 1 1 0 -1 0 0 0 0 0 {pid} 1 1 1 20 0 1 0 9\n")
        machine.write(f"proc/{pid}/task/{pid}/children", "")
    seen = opened(machine)
    a = seen.look(0)
    load(machine, 1)
    around = between(a, seen.look(1_000_000))
    assert around is not None and around.others_cores == pytest.approx(1.5, abs=0.2)
    machine.write("proc/13/task/13/children", "14 15")
    around = between(a, seen.look(2_000_000))
    assert around is not None and around.others_cores is None
