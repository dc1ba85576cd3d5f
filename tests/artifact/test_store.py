"""The store holds what it says or nothing, whatever happens to it, and never stands in a run's way (G4, G20, R67)."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator, NoReturn

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagebook.artifact import store as module
from stagebook.artifact.digest import File, hash_files
from stagebook.artifact.store import Entry, Store
from stagebook.record import faults


@pytest.fixture(autouse=True)
def unarmed() -> Iterator[None]:
    yield
    faults.arm(None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "dist").mkdir(parents=True)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "cache"))


def make(root: Path, name: str, data: bytes | str) -> File:
    path = root / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return hash_files(str(root), [name])[0]


def drafts(store: Store) -> list[str]:
    folder = os.path.join(store.objects, "tmp")
    return os.listdir(folder) if os.path.isdir(folder) else []


def test_what_is_put_can_be_got_whole_with_its_mode(root: Path, store: Store) -> None:
    file = make(root, "dist/app", os.urandom(3 * 2**20 + 1))
    (root / "dist/app").chmod(0o755)
    (file,) = hash_files(str(root), ["dist/app"])
    assert store.put(str(root), file) is None
    assert store.has(file.digest)
    data = (root / "dist/app").read_bytes()
    (root / "dist/app").unlink()
    (root / "dist").rmdir()
    assert store.get(str(root), file) is None
    assert (root / "dist/app").read_bytes() == data
    assert os.access(root / "dist/app", os.X_OK)
    assert drafts(store) == []


def test_a_link_is_kept_as_a_link(root: Path, store: Store) -> None:
    (root / "dist/latest").symlink_to("app-1\udcff")
    (file,) = hash_files(str(root), ["dist/latest"])
    assert store.put(str(root), file) is None
    (root / "dist/latest").unlink()
    assert store.get(str(root), file) is None
    assert os.readlink(root / "dist/latest") == "app-1\udcff"
    assert store.verify().damaged == {}


def test_objects_cannot_be_written_and_folders_not_be_looked_into(root: Path, store: Store) -> None:
    file = make(root, "dist/app", "x")
    store.put(str(root), file)
    assert stat.S_IMODE(os.stat(store.path(file.digest)).st_mode) == 0o400
    for folder in (store.objects, os.path.dirname(store.path(file.digest)), os.path.join(store.objects, "tmp")):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_the_same_content_is_kept_once_and_counts_as_used(root: Path, store: Store) -> None:
    one, other = make(root, "a", "x"), make(root, "b", "x")
    store.put(str(root), one)
    os.utime(store.path(one.digest), (1, 1))
    assert store.put(str(root), other) is None
    (entry,) = store.entries()
    assert entry.used > 1


def test_an_object_of_the_wrong_size_is_put_again(root: Path, store: Store) -> None:
    file = make(root, "a", "good")
    store.put(str(root), file)
    os.chmod(store.path(file.digest), 0o644)
    Path(store.path(file.digest)).write_text("ba")
    assert store.put(str(root), file) is None
    assert Path(store.path(file.digest)).read_text() == "good"


def test_what_is_larger_than_the_limit_is_not_kept(root: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "cache"), limit_bytes=3)
    assert store.put(str(root), make(root, "a", "four")) is None
    assert store.put(str(root), make(root, "b", "two")) is None
    assert [entry.size for entry in store.entries()] == [3]


# Trouble is a sentence, and nothing half is ever there


def test_what_changed_since_it_was_hashed_is_not_kept(root: Path, store: Store) -> None:
    file = make(root, "a", "good")
    (root / "a").write_text("evil")
    assert store.put(str(root), file) == "a is not kept in the cache: it changed after it was hashed"
    assert list(store.entries()) == []
    assert drafts(store) == []


@pytest.mark.parametrize("what", ["gone", "folder", "fifo", "link", "way"])
def test_g21_what_is_no_file_any_more_is_not_kept_and_not_followed(root: Path, store: Store, what: str) -> None:
    file = make(root, "dist/a", "good")
    (root.parent / "outside").mkdir()
    (root.parent / "outside/a").write_text("good")
    (root / "dist/a").unlink()
    if what == "folder":
        (root / "dist/a").mkdir()
    elif what == "fifo":
        os.mkfifo(root / "dist/a")
    elif what == "link":
        (root / "dist/a").symlink_to("../../outside/a")
    elif what == "way":
        (root / "dist").rmdir()
        (root / "dist").symlink_to("../outside")
    warning = store.put(str(root), file)
    assert warning is not None
    assert warning.startswith("dist/a is not kept in ")
    assert list(store.entries()) == []


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
def test_g04_a_full_store_is_a_warning(root: Path, store: Store, error: str) -> None:
    file = make(root, "a", "x")
    faults.arm(f"cache.write:1:{error}")
    warning = store.put(str(root), file)
    assert warning is not None
    assert warning.startswith(f"a is not kept in {store.objects}: ")
    assert list(store.entries()) == []
    assert store.put(str(root), file) is None


def test_g04_a_store_that_cannot_be_made_is_a_warning(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = make(root, "a", "x")
    warning = Store(str(tmp_path / "file")).put(str(root), file)
    assert warning is not None
    assert "Not a directory" in warning
    os.chmod(tmp_path / "file", 0o444)
    assert Store(str(tmp_path / "file")).tidy() is None
    assert Store("/proc/nowhere").put(str(root), file) is not None


def test_g20_a_damaged_object_is_not_given_out(root: Path, store: Store) -> None:
    file = make(root, "a", "good")
    store.put(str(root), file)
    os.chmod(store.path(file.digest), 0o644)
    Path(store.path(file.digest)).write_text("evil")
    (root / "a").unlink()
    got = blake3(b"evil").hexdigest()
    assert store.get(str(root), file) == f"corrupt: expected {file.digest} got {got}"
    assert not (root / "a").exists()
    assert not store.has(file.digest)
    assert store.get(str(root), file) == "No such file or directory"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_g20_verify_finds_every_flip_of_a_bit(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("flips")
    store = Store(str(folder / "cache"))
    sizes = data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=5))
    files = [make(folder, f"{number}", bytes([number]) * size) for number, size in enumerate(sizes)]
    for file in files:
        store.put(str(folder), file)
    victim = data.draw(st.sampled_from(files))
    bit = data.draw(st.integers(0, victim.size * 8 - 1))
    path = Path(store.path(victim.digest))
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    told: list[tuple[int, int, int]] = []
    found = store.verify(lambda *progress: told.append(progress))
    assert found.objects == len(files)
    assert found.damaged == {victim.digest: blake3(bytes(content)).hexdigest()}
    assert told[-1][1] == told[-1][2] == sum(sizes)
    assert not store.has(victim.digest)
    assert store.verify().damaged == {}


def test_verify_goes_on_after_what_cannot_be_read(root: Path, store: Store, monkeypatch: Any) -> None:
    files = [make(root, name, name) for name in "abc"]
    for file in files:
        store.put(str(root), file)
    victim = sorted(file.digest for file in files)[1]
    hashing = module.hash_files

    def failing(root: str, paths: Any, **more: Any) -> Any:
        if f"{victim[:2]}/{victim[2:]}" in paths:
            raise module.Unsound(f"{victim[:2]}/{victim[2:]}", "Input/output error")
        return hashing(root, paths, **more)

    monkeypatch.setattr(module, "hash_files", failing)
    assert store.verify().damaged == {victim: "Input/output error"}
    assert len(list(store.entries())) == 2


# Side by side, and killed


def leave_with(work: Callable[[], object]) -> NoReturn:
    """End a forked process, come what may: one that went on would be a second pytest."""
    code = 2
    try:
        code = work() is not None
    finally:
        os._exit(code)


def test_two_that_put_the_same_at_once_both_succeed(root: Path, store: Store) -> None:
    file = make(root, "a", os.urandom(2**20))
    for _ in range(20):
        pids = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                leave_with(lambda: store.put(str(root), file))
            pids.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
        assert store.verify().damaged == {}
        assert drafts(store) == []
        os.unlink(store.path(file.digest))


def test_r067_killed_at_any_moment_leaves_nothing_half(root: Path, store: Store) -> None:
    """Forty processes that put, each killed at some moment: what has an object's name is whole."""
    files = [make(root, str(number), os.urandom(200_000)) for number in range(8)]
    draw = random.Random(4)
    for _ in range(40):
        pid = os.fork()
        if pid == 0:
            leave_with(lambda: [store.put(str(root), file) for file in files] and None)
        time.sleep(draw.random() * 0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert store.verify().damaged == {}
        for entry in list(store.entries()):
            if draw.random() < 0.7:
                os.unlink(store.path(entry.digest))
    left = drafts(store)
    assert store.collect().temporaries == ()
    assert len(store.collect(now=time.time() + 7200).temporaries) == len(left)
    assert drafts(store) == []


# Making room


def filled(root: Path, store: Store, *used: float) -> list[File]:
    """Objects of ten bytes each, used at these times."""
    files = []
    for number, when in enumerate(used):
        files.append(make(root, str(number), f"{number:010}"))
        store.put(str(root), files[-1])
        os.utime(store.path(files[-1].digest), (when, when))
    return files


def test_what_was_not_used_for_long_goes_unless_a_stage_names_it(root: Path, store: Store) -> None:
    old, named, fresh = filled(root, store, 100, 100, 900)
    found = store.collect(10**9, 500, now=1000, named={named.digest})
    assert [entry.digest for entry in found.objects] == [old.digest]
    assert found.kept_bytes == 20
    assert {entry.digest for entry in store.entries()} == {named.digest, fresh.digest}


def test_beyond_the_limit_the_least_recently_used_go_first_and_what_is_named_last(root: Path, store: Store) -> None:
    named, old, newer, newest = filled(root, store, 100, 200, 300, 400)
    found = store.collect(25, 10**9, dry_run=True, now=1000, named={named.digest})
    assert [entry.digest for entry in found.objects] == [old.digest, newer.digest]
    assert len(list(store.entries())) == 4
    store.collect(25, 10**9, now=1000, named={named.digest})
    assert {entry.digest for entry in store.entries()} == {named.digest, newest.digest}
    store.collect(10, 10**9, now=1000, named={named.digest})
    assert [entry.digest for entry in store.entries()] == [named.digest]
    store.collect(0, 10**9, now=1000, named={named.digest})
    assert list(store.entries()) == []


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=8), st.integers(0, 90), st.integers(0, 100))
def test_what_is_collected_keeps_the_limit_and_no_more_is_than_has_to(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, bool]], limit: int, age: int
) -> None:
    folder = tmp_path_factory.mktemp("collect")
    store = Store(str(folder / "cache"))
    files = filled(folder, store, *[when for when, _ in made])
    named = {file.digest for file, (_, is_named) in zip(files, made) if is_named}
    found = store.collect(limit, age, now=100, named=named)
    kept = list(store.entries())
    assert found.kept_bytes == sum(entry.size for entry in kept) <= limit
    assert all(entry.digest in named or 100 - entry.used <= age for entry in kept)
    for gone in found.objects:
        assert 100 - gone.used > age or found.kept_bytes + gone.size > limit or gone.digest not in named
    if any(gone.digest in named for gone in found.objects):
        assert all(entry.digest in named for entry in kept)


def test_strange_things_in_the_store_are_left_alone_unless_they_are_named_as_objects(root: Path, store: Store) -> None:
    filled(root, store, 100)
    (Path(store.objects) / "README").write_text("x")
    (Path(store.objects) / "zz").mkdir()
    (Path(store.objects) / "ab").mkdir(exist_ok=True)
    (Path(store.objects) / "ab/short").write_text("x")
    (Path(store.objects) / "ab" / ("0" * 62)).symlink_to("/etc/passwd")
    assert len(list(store.entries())) == 1
    assert len(store.collect(0, 0).objects) == 1
    assert store.verify().damaged == {"ab" + "0" * 62: "a link"}
    assert store.verify().objects == 0
    assert Path("/etc/passwd").exists()
    assert not (Path(store.objects) / "ab" / ("0" * 62)).is_symlink()


@pytest.mark.parametrize("name", ["", "objects", "objects/tmp", "objects/ab"])
def test_g21_a_link_in_the_store_leads_nowhere(root: Path, tmp_path: Path, store: Store, name: str) -> None:
    """A checkout may bring one: nothing is written, listed or removed behind it."""
    outside = tmp_path / "outside"
    canaries = (
        "0" * 62,
        "1-1-a",
        "ab/" + "0" * 62,
        "tmp/1-1-a",
        "stages-0123456789abcdef.jsonl.1.tmp",
        "objects/tmp/1-1-a",
    )
    for canary in canaries:
        (outside / canary).parent.mkdir(parents=True, exist_ok=True)
        (outside / canary).write_text("canary")
        os.utime(outside / canary, (1, 1))
    link = Path(store.objects).parent / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    before = {path: path.stat() for path in outside.rglob("*") if path.is_file()}
    for number in range(300 if name == "objects/ab" else 1):
        store.put(str(root), make(root, "a", str(number)))
    store.collect(0, 0)
    assert store.verify().damaged == {}
    store.tidy()
    assert {path: path.stat() for path in outside.rglob("*") if path.is_file()} == before


def test_what_cannot_be_removed_is_said(root: Path, store: Store, monkeypatch: Any) -> None:
    (file,) = filled(root, store, 100)

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(module, "_unlink", refuse)
    with pytest.raises(PermissionError):
        store.collect(0, 0)
    assert store.tidy(max_age_s=1) is None
    assert store.has(file.digest)


@pytest.mark.parametrize("cloned", [b"good", b"evil"])
def test_blocks_that_were_shared_are_read_back(root: Path, store: Store, monkeypatch: Any, cloned: bytes) -> None:
    """As on btrfs and XFS, whose clone is as good as what is found in it."""
    file = make(root, "a", b"good" * 2**15)

    def clone(source: int, fd: int) -> bool:
        os.pwrite(fd, cloned * 2**15, 0)
        return True

    monkeypatch.setattr(module, "_cloned", clone)
    assert (store.put(str(root), file) is None) == (cloned == b"good")
    assert store.has(file.digest) == (cloned == b"good")


def test_a_store_is_tidied_once_a_day_or_when_much_was_put(root: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "cache"), limit_bytes=100)
    assert store.tidy() is None
    assert not os.path.exists(store.objects)
    (file,) = filled(root, store, 100)
    assert store.tidy(max_age_s=10**12) == ((), (), 10)
    assert store.tidy() is None
    os.utime(os.path.join(store.objects, "tidied"), (1, 1))
    assert store.tidy(max_age_s=10**12) == ((), (), 10)
    (other,) = filled(root, Store(str(tmp_path / "cache")), 200)
    assert other.digest == file.digest
    assert store.tidy() is None  # what was there is not counted again
    store.put(str(root), make(root, "more", "eleven more"))
    found = store.tidy(max_age_s=1)
    assert found is not None
    assert Entry(file.digest, 10, 200.0) in found.objects


def test_memory_is_flat_whatever_is_put(tmp_path: Path) -> None:
    with open(tmp_path / "big", "wb") as file:
        file.truncate(300 * 2**20)
    code = f"""
from stagebook.artifact.digest import hash_files
from stagebook.artifact.store import Store
(file,) = hash_files({str(tmp_path)!r}, ["big"])
store = Store({str(tmp_path / "cache")!r})
assert store.put({str(tmp_path)!r}, file) is None
assert store.get({str(tmp_path)!r}, file) is None
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert int(said) < 60
