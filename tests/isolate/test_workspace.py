"""Copies of a folder: what is in them, what is not, and that neither copying nor removing follows a link (G21)."""

from __future__ import annotations

import os
import resource
import socket
import threading
from pathlib import Path

import pytest

from stagebook.isolate import workspace
from stagebook.model.problem import SurroundingsError
from stagebook.record import lock, state

RUN = "01M89G84" + "0" * 18


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    (made / "src" / "deep").mkdir(parents=True)
    (made / "src" / "a.py").write_text("a = 1\n")
    (made / "src" / "deep" / "tool").write_text("#!/bin/sh\n")
    (made / "src" / "deep" / "tool").chmod(0o751)
    (made / "empty").mkdir(mode=0o555)
    return made


def made(folder: Path, name: str = "a.1") -> tuple[Path, list[str]]:
    target = Path(workspace.directory(str(folder / ".stagebook"), RUN)) / name
    return target, workspace.make(str(folder), str(target), str(folder / ".stagebook"))


def test_a_copy_has_content_permissions_and_times(folder: Path) -> None:
    (folder / "big").write_bytes(os.urandom(3 << 20))
    os.utime(folder / "src" / "a.py", ns=(1_000_000_007, 2_000_000_009))
    os.utime(folder / "src" / "deep", ns=(3_000_000_001, 4_000_000_001))
    target, notes = made(folder)
    assert notes == []
    assert (target / "big").read_bytes() == (folder / "big").read_bytes()
    for name in ("src/a.py", "src/deep", "src/deep/tool", "empty", "big"):
        before, after = (folder / name).stat(), (target / name).stat()
        assert (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns), name
    for private in (target, target.parent, target.parent.parent):
        assert private.stat().st_mode & 0o777 == 0o700


def test_a_write_in_a_copy_is_nobody_else_s(folder: Path) -> None:
    os.link(folder / "src" / "a.py", folder / "src" / "b.py")
    target, _ = made(folder)
    with open(target / "src" / "a.py", "a") as file:
        file.write("more\n")
    assert (folder / "src" / "a.py").read_text() == (target / "src" / "b.py").read_text() == "a = 1\n"


def test_what_is_ours_and_git_s_is_left_out(folder: Path) -> None:
    for name in (".git", ".stagebook/runs", "src/.stagebook", "src/.git", "elsewhere/runs"):
        (folder / name).mkdir(parents=True)
    target = folder / "elsewhere" / "workspaces" / RUN / "a.1"
    workspace.make(str(folder), str(target), str(folder / "elsewhere"))
    assert sorted(os.listdir(target)) == ["empty", "src"]
    assert sorted(os.listdir(target / "src")) == [".git", "a.py", "deep"]


def test_g21_links_are_copied_as_links(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("theirs")
    (folder / "out").symlink_to(outside)
    (folder / "dangling").symlink_to("nowhere")
    target, notes = made(folder)
    assert (os.readlink(target / "out"), os.readlink(target / "dangling")) == (str(outside), "nowhere")
    assert workspace.remove(str(target))
    assert notes == []
    assert (outside / "file").read_text() == "theirs"


def test_what_is_no_file_is_left_out_and_told(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as made_socket:
        made_socket.bind(str(folder / "s"))
        target, notes = made(folder)
    assert sorted(notes) == ["pipe (a FIFO)", "s (a socket)"]
    assert sorted(os.listdir(target)) == ["empty", "src"]


def test_names_of_any_bytes(folder: Path) -> None:
    for name in (b"line\nbreak", b"\xff\xfe", b"-rf", b" "):
        (folder / os.fsdecode(name)).write_text("x")
    target, _ = made(folder)
    assert set(os.listdir(target)) == set(os.listdir(folder)) - {".stagebook"}


def test_a_copy_that_cannot_be_made_leaves_nothing(folder: Path) -> None:
    at = folder
    for _ in range(600):
        at = at / "d"
    os.makedirs(at)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 200, hard))
    try:
        with pytest.raises(SurroundingsError, match=r"cannot make the workspace .*Too many open files"):
            made(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert list((folder / ".stagebook" / "workspaces" / RUN).iterdir()) == []


def test_g21_removing_goes_through_no_link_and_past_no_permission(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "file").write_text("theirs")
    target, _ = made(folder)
    (target / "link").symlink_to(outside)
    (target / "src" / "link").symlink_to(outside / "file")
    (target / "src").chmod(0)
    (target / "empty").chmod(0)
    assert workspace.remove(str(target))
    assert not target.exists()
    assert (outside / "file").read_text() == "theirs"
    (target.parent / "b").symlink_to(outside)
    assert workspace.remove(str(target.parent / "b"))
    assert os.listdir(outside)
    assert workspace.remove(str(target.parent / "never there"))


def test_leftovers_go_with_their_run_and_not_while_an_engine_holds_it(folder: Path) -> None:
    place = str(folder / ".stagebook")
    state.make_run(place, RUN)
    target, _ = made(folder)
    held = lock.take(state.run_directory(place, RUN))
    assert (workspace.sweep(place), workspace.leftovers(place)) == ([], [])
    assert target.is_dir()
    lock.release(held)
    assert workspace.size_bytes(str(target)) >= 4096
    assert workspace.leftovers(place) == [RUN]
    assert workspace.sweep(place, but=RUN) == []
    assert workspace.sweep(place) == [RUN]
    assert list(target.parent.parent.iterdir()) == []


def test_leftovers_of_a_run_that_is_gone_and_what_a_killed_sweep_left(folder: Path) -> None:
    target, _ = made(folder)
    os.rename(target.parent, f"{target.parent}.4711")
    made(folder)
    (target.parent.parent / "mine").mkdir()
    assert workspace.sweep(str(folder / ".stagebook")) == [RUN]
    assert os.listdir(target.parent.parent) == ["mine"]


def test_g21_a_link_in_place_of_the_workspaces_is_not_followed(folder: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / RUN).mkdir(parents=True)
    (folder / ".stagebook").mkdir()
    (folder / ".stagebook" / "workspaces").symlink_to(theirs)
    assert workspace.sweep(str(folder / ".stagebook")) == []
    with pytest.raises(SurroundingsError, match="is a link"):
        made(folder)
    assert os.listdir(theirs) == [RUN]
    assert os.listdir(theirs / RUN) == []


def test_g21_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("theirs")
    for number in range(50):
        (folder / "many" / str(number)).mkdir(parents=True)
        (folder / "many" / str(number) / "file").write_text("ours")
    is_over = threading.Event()

    def swap() -> None:
        while not is_over.is_set():
            for number in range(50):
                at, aside = folder / "many" / str(number), folder / f"aside-{number}"
                at.rename(aside)
                at.symlink_to(outside)
                at.unlink()
                aside.rename(at)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for number in range(30):
            target, _ = made(folder, f"a.{number}")
            for path in target.rglob("file"):
                if not any(above.is_symlink() for above in path.parents):
                    assert path.read_text() == "ours"
            assert workspace.remove(str(target))
    finally:
        is_over.set()
        swapper.join()
    assert (outside / "file").read_text() == "theirs"
