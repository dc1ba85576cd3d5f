"""Whatever happens to a file is noticed, whatever its times are set to; and reading harms nobody (R66, G6, G20)."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagebook.artifact import digest
from stagebook.artifact.digest import File, Moment, hash_files, hash_program, is_settled, moment, total_bytes
from stagebook.artifact.paths import Unsound

OLD_NS = 3_000_000_000


def later(files: list[File], by_ns: int = OLD_NS) -> dict[str, File]:
    """As if they had been read when their stamps were old enough already."""
    known = {}
    for file in files:
        assert file.at is not None
        known[file.path] = file._replace(at=file.at._replace(ns=file.stamp.ctime_ns + by_ns))
    return known


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the moment in which files are looked at be another one."""

    def put(ns: int = 0, ahead_ns: int = 0, boot: str | None = None) -> None:
        here = moment()
        made = Moment(here.ns + ns, here.ahead_ns + ahead_ns, here.boot if boot is None else boot)
        monkeypatch.setattr(digest, "moment", lambda: made)

    return put


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are read."""
    made: list[str] = []
    read = digest._Reader.read

    def noted(self: Any, path: str) -> Any:
        made.append(path)
        return read(self, path)

    monkeypatch.setattr(digest._Reader, "read", noted)
    return made


# What a file holds


@pytest.mark.parametrize("size", [0, 1, 1000, 128 * 1024, 128 * 1024 + 1, 3 * 2**20 + 7, 5 * 2**20])
@pytest.mark.parametrize("workers", [1, 2])
def test_it_is_the_blake3_of_the_content(tmp_path: Path, size: int, workers: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(digest, "SHARED_COST", 1)
    data = os.urandom(size)
    (tmp_path / "f").write_bytes(data)
    (file,) = hash_files(str(tmp_path), ["f"], workers=workers)
    assert (file.path, file.size, file.digest) == ("f", size, blake3(data).hexdigest())


def test_of_a_link_it_is_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "l").symlink_to("f")
    (file,) = hash_files(str(tmp_path), ["l"])
    data = b"link:f\0" + blake3(b"x").hexdigest().encode()
    assert file.digest == blake3(data).hexdigest()
    (tmp_path / "f").write_bytes(data)
    assert hash_files(str(tmp_path), ["f"])[0].word == file.digest != file.word  # and yet no such file is the link


@pytest.mark.parametrize(
    ("text", "end"), [("nowhere", b""), ("../outside", b""), ("folder", b"\0/"), ("loop", b""), ("pipe", b"")]
)
def test_of_a_link_to_no_file_it_is_the_text(tmp_path: Path, text: str, end: bytes) -> None:
    (tmp_path / "outside").write_text("x")
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    (root / "l").symlink_to(text)
    (file,) = hash_files(str(root), ["l"])
    assert file.digest == blake3(b"link:" + text.encode() + end).hexdigest()


def test_of_a_link_the_content_is_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/f").write_text("x")
    (tmp_path / "l").symlink_to("folder/f")
    (one,) = hash_files(str(tmp_path), ["l"])
    (tmp_path / "folder/f").write_text("y")
    (two,) = hash_files(str(tmp_path), ["l"], {"l": one._replace(at=digest.Moment(2**62, 0, ""))})
    assert one.digest != two.digest
    (tmp_path / "folder/f").chmod(0o755)
    assert hash_files(str(tmp_path), ["l"])[0].digest != two.digest


def test_who_may_execute_it_is_part_of_its_word(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (plain,) = hash_files(str(tmp_path), ["f"])
    (tmp_path / "f").chmod(0o755)
    (executable,) = hash_files(str(tmp_path), ["f"], {"f": plain})
    assert plain.digest == executable.digest
    assert plain.word != executable.word


def test_files_come_in_the_order_of_their_paths_however_they_are_read(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(digest, "SHARED_COST", 1)
    paths = []
    for number in range(700):
        paths.append(f"{number % 7}/{number}")
        (tmp_path / str(number % 7)).mkdir(exist_ok=True)
        (tmp_path / paths[-1]).write_text(str(number))
    told: list[tuple[int, int]] = []
    files = hash_files(str(tmp_path), paths, progress=lambda count, size: told.append((count, size)), workers=3)
    assert [file.path for file in files] == paths
    assert [file.digest for file in files] == [blake3(str(number).encode()).hexdigest() for number in range(700)]
    assert told[-1] == (700, sum(file.size for file in files))
    assert told == sorted(told)


# Unchanged


def test_what_is_known_and_settled_is_not_read(tmp_path: Path, clock: Any, reads: list[str]) -> None:
    (tmp_path / "f").write_text("x")
    known = later(hash_files(str(tmp_path), ["f"]))
    clock(ns=2 * OLD_NS)
    reads.clear()
    assert total_bytes(str(tmp_path), ["f"], known) == 0
    assert hash_files(str(tmp_path), ["f"], known) == [known["f"]]
    assert reads == []


@pytest.mark.parametrize(
    ("then_ns", "now"),
    [
        (1_999_999_999, {}),  # looked at too soon after it was written
        (-1, {}),  # its time was in the future
        (OLD_NS, {"ns": 0}),  # the clock went back behind the look
        (OLD_NS, {"ahead_ns": 1_000_000_000}),  # the clock was set
        (OLD_NS, {"ahead_ns": -3_600_000_000_000}),
        (OLD_NS, {"boot": "another"}),
        (OLD_NS, {"boot": ""}),
    ],
)
def test_g06_what_is_not_settled_is_read(
    tmp_path: Path, clock: Any, reads: list[str], then_ns: int, now: dict[str, Any]
) -> None:
    (tmp_path / "f").write_text("x")
    known = later(hash_files(str(tmp_path), ["f"]), then_ns)
    clock(**{"ns": 2 * OLD_NS, **now})
    reads.clear()
    assert total_bytes(str(tmp_path), ["f"], known) > 0
    hash_files(str(tmp_path), ["f"], known)
    assert reads == ["f"]


def test_a_machine_that_does_not_tell_its_boots_is_never_believed() -> None:
    file = File("f", 1, "0" * 64, digest.Stamp(1, 1, 1, 1, 1), digest.PLAIN, Moment(OLD_NS, 0, ""))
    assert not is_settled(file, Moment(2 * OLD_NS, 0, ""))
    assert not is_settled(file._replace(at=None), Moment(2 * OLD_NS, 0, "x"))


def restored(path: Path, change: Callable[[], None]) -> None:
    """Do it, and put back the times that anybody may set."""
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = st.lists(
    st.sampled_from(["write", "flip", "append", "replace", "swap", "touch", "chmod", "wait"]), max_size=6
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_no_change_is_taken_for_none_whatever_its_times_say(tmp_path_factory: Any, changes: list[str]) -> None:
    """With real files, whose change times cannot be set; all times are put back after each change."""
    root = tmp_path_factory.mktemp("changes")
    path, other = root / "f", root / "g"
    path.write_bytes(b"aaaa")
    other.write_bytes(b"bbbb")
    (file,) = hash_files(str(root), ["f"])
    known = {"f": file}
    for change in changes:
        if change == "write":
            restored(path, lambda: path.write_bytes(b"cccc") and None)
        elif change == "flip":
            data = path.read_bytes()
            restored(path, lambda data=data: path.write_bytes(bytes([data[0] ^ 1]) + data[1:]) and None)
        elif change == "append":
            restored(path, lambda: path.write_bytes(path.read_bytes() + b"x") and None)
        elif change == "replace":
            (root / "new").write_bytes(b"dddd")
            restored(path, lambda: os.replace(root / "new", path))
        elif change == "swap":
            os.rename(path, root / "aside")
            os.rename(other, path)
            os.rename(root / "aside", other)
        elif change == "touch":
            path.touch()
        elif change == "chmod":
            path.chmod(path.stat().st_mode ^ 0o100)
        else:
            time.sleep(0.005)
        (seen,) = hash_files(str(root), ["f"], known)
        assert seen.digest == blake3(path.read_bytes()).hexdigest(), change
        assert (seen.mode == digest.EXECUTABLE) == bool(path.stat().st_mode & 0o100)
        known = {"f": seen}


def test_a_settled_file_that_is_changed_with_all_times_put_back_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"aaaa")
    time.sleep(2.05)
    (first,) = hash_files(str(tmp_path), ["f"])
    assert is_settled(first, moment())
    restored(path, lambda: path.write_bytes(b"aaab") and None)
    assert hash_files(str(tmp_path), ["f"], {"f": first})[0].digest == blake3(b"aaab").hexdigest()


# Trouble


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "it is missing"),
        (os.mkdir, "it is a directory"),
        (os.mkfifo, "it is a FIFO"),
        (lambda path: path.with_name("g").write_text("x") and path.symlink_to("g/under"), None),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, make: Callable[[Path], Any], why: str | None, workers: int, monkeypatch: Any
) -> None:
    (tmp_path / "a").write_text("x")
    make(tmp_path / "f")
    (tmp_path / "z").write_text("x")
    if workers > 1:
        monkeypatch.setattr(digest, "_cost", lambda *_: digest.SHARED_COST)
    if why is None:
        assert hash_files(str(tmp_path), ["a", "f", "z"], workers=workers)[1].mode == digest.LINK
        return
    with pytest.raises(Unsound) as caught:
        hash_files(str(tmp_path), ["a", "f", "z"], workers=workers)
    assert (caught.value.path, caught.value.why) == ("f", why)


def test_a_folder_on_the_way_that_is_a_file_or_a_link_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "real").mkdir()
    (tmp_path / "real/f").write_text("x")
    (tmp_path / "link").symlink_to("real")
    for path in ("file/f", "link/f"):
        with pytest.raises(Unsound, match="it is missing"):
            hash_files(str(tmp_path), [path])


def test_a_root_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unsound, match="nowhere"):
        hash_files(str(tmp_path / "nowhere"), ["f"], workers=1)


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Path]:
    """A file that somebody writes to all the time."""
    path = tmp_path / "f"
    path.write_bytes(bytes(8 * 2**20))
    stop = threading.Event()

    def grow() -> None:
        with open(path, "ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"x" * 10)

    thread = threading.Thread(target=grow)
    thread.start()
    yield path
    stop.set()
    thread.join()


def test_a_file_that_always_changes_is_refused_by_name(growing: Path) -> None:
    with pytest.raises(Unsound) as caught:
        for _ in range(50):
            hash_files(str(growing.parent), ["f"])
    assert (caught.value.path, caught.value.why) == ("f", "it changed while it was read, 3 times")


def test_a_file_that_changed_once_while_it_was_read_is_read_again(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a" * 10)
    fstat, looks = os.fstat, []

    def meddling(fd: int) -> os.stat_result:
        looks.append(fd)
        if len(looks) == 2:
            path.write_bytes(b"b" * 10)
        return fstat(fd)

    monkeypatch.setattr(digest.os, "fstat", meddling)
    assert hash_files(str(tmp_path), ["f"])[0].digest == blake3(b"b" * 10).hexdigest()
    assert len(looks) == 4


def test_a_file_that_shrinks_while_it_is_mapped_ends_no_more_than_a_child(tmp_path: Path, monkeypatch: Any) -> None:
    """SIGBUS, for real: the child has mapped the file, and then it is cut."""
    monkeypatch.setattr(digest, "SHARED_COST", 1)
    (tmp_path / "a").write_bytes(b"x")
    path = tmp_path / "f"
    path.write_bytes(bytes(digest._MAPPED_MIN * 2))
    here = os.getpid()
    import mmap

    make = mmap.mmap

    def cutting(*args: Any, **more: Any) -> Any:
        made = make(*args, **more)
        assert os.getpid() != here
        faulthandler.disable()  # the death is wanted
        os.truncate(path, 100)
        return made

    monkeypatch.setattr(mmap, "mmap", cutting)
    with pytest.raises(Unsound) as caught:
        hash_files(str(tmp_path), ["a", "f"], workers=1 + 1)
    assert (caught.value.path, caught.value.why) == ("f", "it shrank while it was read")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_is_killed_is_told_with_its_file_and_leaves_nothing(
    tmp_path: Path, number: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(digest, "SHARED_COST", 1)
    for name in "abc":
        (tmp_path / name).write_bytes(b"x")
    read = digest._Reader.read

    def dying(self: Any, path: str) -> Any:
        if path == "c":
            from stagebook.artifact import share

            assert share.here is not None
            share.here.flush()
            os.kill(os.getpid(), number)
        return read(self, path)

    monkeypatch.setattr(digest._Reader, "read", dying)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Unsound, match=f"the process that read it died .signal {int(number)}") as caught:
        hash_files(str(tmp_path), ["a", "b", "c"], workers=2)
    assert caught.value.path == "c"
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_children_end_when_nobody_waits_for_them(tmp_path: Path) -> None:
    """The process that asked is killed: its children notice between two files."""
    for number in range(50):
        (tmp_path / str(number)).write_bytes(b"x")
    code = f"""
import os, sys, time
from stagebook.artifact import digest
digest.SHARED_COST = 1
read = digest._Reader.read
def slow(self, path):
    time.sleep(0.1)
    return read(self, path)
digest._Reader.read = slow
print("ready", flush=True)
digest.hash_files({str(tmp_path)!r}, [str(number) for number in range(50)], workers=2)
"""
    import subprocess

    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    until = time.monotonic() + 10
    children: list[str] = []
    while len(children) < 2 and time.monotonic() < until:
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            children = file.read().split()
    assert len(children) == 2
    process.kill()
    process.wait()
    process.stdout.close()
    until = time.monotonic() + 3
    while any(os.path.exists(f"/proc/{child}") for child in children) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [child for child in children if os.path.exists(f"/proc/{child}") and not is_over(child)]


def is_over(pid: str) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Of whoever asks and of the children: a file of 512 MiB, with holes, is read within 200 MiB."""
    with open(tmp_path / "big", "wb") as file:
        file.truncate(2**29)
    code = f"""
import resource, sys
from stagebook.artifact.digest import hash_files
for workers in (1, 2):
    hash_files({str(tmp_path)!r}, ["big"], workers=workers)
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
    import subprocess

    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert int(said[0]) < 60
    assert int(said[1]) < 200


# Programs


def test_a_program_is_its_content_wherever_links_lead(tmp_path: Path, clock: Any, reads: list[str]) -> None:
    program = tmp_path / "tool-1.2"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "tool").symlink_to("tool-1.2")
    file = hash_program(str(tmp_path / "tool"))
    assert (file.path, file.digest) == (str(program), blake3(b"#!/bin/sh\n").hexdigest())
    known = later([file])[str(program)]
    clock(ns=2 * OLD_NS)
    reads.clear()
    assert hash_program(str(tmp_path / "tool"), known).digest == file.digest
    assert reads == []
    with pytest.raises(Unsound, match="missing"):
        hash_program(str(tmp_path / "none"))


@pytest.mark.parametrize("workers", [1, 2])
def test_how_far_it_is_can_be_followed_within_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(digest, "_WINDOW", 1 << 20)
    sizes = {"a": 12 << 20, "b": 16 << 20, "c": 10}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(os.urandom(size))
    told: list[tuple[int, int]] = []
    files = hash_files(str(tmp_path), sorted(sizes), {}, lambda *what: told.append(what), workers)
    assert [file.digest for file in files] == [blake3((tmp_path / name).read_bytes()).hexdigest() for name in "abc"]
    assert told[-1] == (3, sum(sizes.values()))
    assert [done for _, done in told] == sorted(done for _, done in told), "it never goes back"
    assert len(told) > len(sizes), "more often than once a file; how often depends on who is quicker"
    assert digest.bytes_to_read(str(tmp_path), sorted(sizes), later(files)) in (0, sum(sizes.values()))
