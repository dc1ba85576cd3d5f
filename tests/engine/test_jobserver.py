"""What a stage is told of the cores it reserves: counts, MAKEFLAGS, tokens; and which words of make are left out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stagebook.engine import jobserver
from stagebook.engine.environment import Environment
from stagebook.engine.jobserver import Jobserver, Jobservers, bounded, counts, flags, inherited_flags
from stagebook.model.pipeline import Pipeline, Resources, Stage


@pytest.mark.parametrize(("cpu_milli", "count"), [(1, 1), (999, 1), (1000, 1), (2500, 2), (8000, 8)])
def test_cores_are_rounded_down_and_at_least_one(cpu_milli: int, count: int) -> None:
    assert jobserver.cores(cpu_milli) == count


def test_counts_leave_alone_what_is_set() -> None:
    found = counts(3, {b"GOMAXPROCS": b"7"})
    assert found[b"STAGEBOOK_CPUS"] == found[b"OMP_NUM_THREADS"] == b"3"
    assert b"GOMAXPROCS" not in found


def test_a_stage_that_reserves_nothing_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    made = Environment(Pipeline("p", "/p/stagebook.yaml", "native", "d", ()), "0" * 26, {}, None)
    stage = Stage("s", "s", 1, 1, "run", "x")
    assert not {b"STAGEBOOK_CPUS", b"OMP_NUM_THREADS"} & made.of(0, stage, 1, b"/", b"/o").keys()
    reserving = stage._replace(resources=Resources(cpu_milli=1500), env={"CARGO_BUILD_JOBS": "9"})
    env = made.of(0, reserving, 1, b"/", b"/o")
    assert (env[b"STAGEBOOK_CPUS"], env[b"OMP_NUM_THREADS"], env[b"CARGO_BUILD_JOBS"]) == (b"1", b"1", b"9")


def test_a_jobserver_holds_a_token_for_each_core_but_one_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "0.1.jobs"
    before = os.listdir("/proc/self/fd")
    server = Jobserver(os.fsencode(path), 4, True)
    assert server.words == b"--jobserver-auth=fifo:%b" % os.fsencode(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(reader, 99) == b"+++"
    os.close(reader)
    server.close()
    assert (list(tmp_path.iterdir()), os.listdir("/proc/self/fd")) == ([], before)


def test_a_path_that_make_would_read_otherwise_is_named_by_its_descriptor(tmp_path: Path) -> None:
    folder = tmp_path / "a b$(x)\\"
    folder.mkdir()
    server = Jobserver(os.fsencode(folder / "0.1.jobs"), 2, True)
    path = server.words.partition(b"fifo:")[2]
    assert not set(b" $\\") & set(path)
    assert os.path.samefile(path, folder / "0.1.jobs")
    server.close()


def test_an_older_make_is_handed_descriptors(tmp_path: Path) -> None:
    old = tmp_path / "make"
    old.write_bytes(b"\x7fELF --jobserver-auth")
    servers = Jobservers(os.fsencode(tmp_path))
    server = servers.open(0, 1, 2, os.fsencode(old))
    assert server is not None and len(server.passed) == 2
    assert server.words == b"--jobserver-auth=%d,%d" % server.passed
    server.close()
    old.write_bytes(b"\x7fELF --jobserver-auth --jobserver-style fifo:")
    newer = servers.open(0, 2, 2, os.fsencode(old))
    assert newer is not None and newer.passed == () and b"fifo:" in newer.words
    newer.close()


def test_a_jobserver_is_closed_once_its_process_is_gone(tmp_path: Path) -> None:
    servers = Jobservers(os.fsencode(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    for index in range(20):
        server = servers.open(index, 1, 2, None)
        assert server is not None
        child = subprocess.Popen(["true"])
        servers.keep(server, child.pid)
        assert len(list(tmp_path.iterdir())) == 1, "that of the one before is closed"
        child.wait()
    servers.close()
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_core_or_no_room_for_a_fifo_is_no_jobserver(tmp_path: Path) -> None:
    assert Jobservers(os.fsencode(tmp_path)).open(0, 1, 1, None) is None
    assert Jobservers(os.fsencode(tmp_path / "gone")).open(0, 1, 2, None) is None


@pytest.mark.parametrize(
    ("given", "count", "made"),
    [
        (b"", 1, b""),
        (b"", 2, b" -j2"),
        (b"k", 2, b"k -j2"),
        (b"kj8", 2, b"k -j2"),
        (b"-j8", 2, b" -j2"),
        (b"-j 8 -k", 1, b" -k"),
        (b" -j8 --jobserver-auth=3,4 -- CC=a\\ b", 2, b" -j2 -- CC=a\\ b"),
        (b"w -j --jobserver-fds=3,4 --no-print-directory", 3, b"w --no-print-directory -j3"),
        (b"-I/a\\ b --jobs=9", 2, b" -I/a\\ b -j2"),
    ],
)
def test_makeflags_keep_all_that_is_not_about_jobs(given: bytes, count: int, made: bytes) -> None:
    assert flags(given, count, None) == made


def test_a_jobserver_out_of_reach_is_not_passed_on(tmp_path: Path) -> None:
    assert inherited_flags(b"-j8 -k") == b"-j8 -k"
    reading, writing = os.pipe()
    mine = b"k -j8 --jobserver-auth=%d,%d" % (reading, writing)
    assert inherited_flags(mine) == b"k"
    os.set_inheritable(reading, True)
    os.set_inheritable(writing, True)
    assert inherited_flags(mine) == mine
    os.close(reading)
    os.close(writing)
    assert inherited_flags(mine) == b"k"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    outer = b" -j8 --jobserver-auth=fifo:%b" % os.fsencode(fifo)
    assert inherited_flags(outer) == b""
    held = os.open(fifo, os.O_RDWR)
    assert inherited_flags(outer) == outer
    os.close(held)


CALLS = [
    ("make -j", "make"),
    ("make --jobs all", "make all"),
    ("make -kj -C dir all", "make -k -C dir all"),
    ("make -j8", "make -j8"),
    ("make -j 8 all", "make -j 8 all"),
    ("make -f adj -Cj all j", "make -f adj -Cj all j"),
    ("gmake -sj", "gmake -s"),
    ("make", "make"),
]


@pytest.mark.parametrize(("given", "made"), CALLS)
def test_a_bare_j_is_left_out_of_argv(given: str, made: str) -> None:
    assert bounded(tuple(given.split())) == tuple(made.split())
    assert bounded(("/usr/bin/make", "-j")) == ("/usr/bin/make",)
    assert bounded(("ninja", "-j")) == ("ninja", "-j")


@pytest.mark.parametrize(
    "shell", [("/bin/sh", "-e", "-c"), ("bash", "-e", "-o", "pipefail", "-c")], ids="sh bash".split()
)
@pytest.mark.parametrize(("given", "made"), CALLS)
def test_a_shell_leaves_it_out_too(tmp_path: Path, shell: tuple[str, ...], given: str, made: str) -> None:
    for name in ("make", "gmake"):
        program = tmp_path / name
        program.write_text('#!/bin/sh\necho "$(basename "$0") $*" "X=$X"\n')
        program.chmod(0o755)
    argv = bounded((*shell, f"X='a b' {given}\nmake -j 3 'two  words' -j"))
    done = subprocess.run(
        argv, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout == f"{made.strip()} X=a b\nmake -j 3 two  words X=\n".replace("make X", "make  X")


def test_a_text_without_it_is_as_it_was() -> None:
    for text in ("make", "make -j4 all", "echo make -jx", "cmake --build . -j", "make\ncat -jk", "remake -j"):
        assert bounded(("/bin/sh", "-e", "-c", text)) == ("/bin/sh", "-e", "-c", text)
    assert bounded(("sh", "-c", "make -j")) == ("sh", "-c", "make -j"), "a command of the user's own"


def test_a_failing_make_in_a_shell_still_fails_at_its_line(tmp_path: Path) -> None:
    argv = bounded(("/bin/sh", "-e", "-c", "make -j -C nowhere\necho not reached"))
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "not reached" not in done.stdout
    argv = bounded(("/bin/sh", "-e", "-c", "true\nfi; make -j"))
    assert ": 2: " in subprocess.run(argv, capture_output=True, text=True, check=False).stderr


def test_the_make_that_is_here_is_known(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    said = subprocess.run([make, "--version"], capture_output=True, text=True, check=True).stdout
    is_new = tuple(map(int, said.split()[2].split(".")[:2])) >= (4, 4)
    server = Jobservers(os.fsencode(tmp_path)).open(0, 1, 2, os.fsencode(make))
    assert server is not None and (server.passed == ()) == is_new
    server.close()
