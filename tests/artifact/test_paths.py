"""Globs find what they mean and nothing outside; what may be an artifact, and what may not (R132, G21)."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.artifact import paths
from stagebook.artifact.paths import Folders, Unsound, clash, found, is_case_blind, refusal
from stagebook.model.globs import Globs

NAMES = ["a", "b", "a.py", "b.py", ".c", "A", "x y"]
PATTERNS = ["*", "**", "a", "b", "*.py", "?", "[ab]", "[!a]*", ".c", "a*", "x y", ".", ""]


def fill(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def everything(root: Path) -> list[str]:
    """All regular files, as an oracle: by os.walk, and nothing is pruned."""
    return sorted(os.path.relpath(os.path.join(at, name), root) for at, _, names in os.walk(root) for name in names)


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three levels of folders, in each a file of every name that is no folder."""
    root = tmp_path_factory.mktemp("forest")

    def grow(folder: Path, depth: int) -> None:
        folder.mkdir(exist_ok=True)
        for name in NAMES:
            if depth < 3 and name in ("a", "b", ".c"):
                grow(folder / name, depth + 1)
            else:
                (folder / name).touch()

    grow(root, 1)
    return root


@given(st.lists(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=5).map("/".join), min_size=1, max_size=3))
def test_a_walk_finds_just_what_the_globs_match(forest: Path, globs: list[str]) -> None:
    every = everything(forest)
    wanted = [path for path in every if Globs(globs).first([path]) is not None]
    assert found(str(forest), globs) == wanted


def test_a_path_is_that_file_or_what_lies_below_that_folder(tmp_path: Path) -> None:
    fill(tmp_path, "dist/app", "dist/lib/x", "distant")
    assert found(str(tmp_path), ["dist/app"]) == ["dist/app"]
    assert found(str(tmp_path), ["dist", "dist/app", "dist/lib/"]) == ["dist/app", "dist/lib/x"]
    assert found(str(tmp_path), ["dist/app/"]) == found(str(tmp_path), ["dist/ap"]) == found(str(tmp_path), []) == []


def test_the_record_and_git_are_never_entered(tmp_path: Path) -> None:
    fill(tmp_path, ".stagebook/x", ".git/x", "sub/.git/x", "sub/.stagebook/x", "sub/.github/x")
    assert found(str(tmp_path), ["**", ".git/x", ".stagebook/**", "*/.git/*", ".g*/*"]) == ["sub/.github/x"]


@pytest.mark.parametrize("glob", ["../x", "../*", "**/../x", "sub/../../x", "/etc/passwd", "..", "../root/x"])
def test_g21_no_glob_leads_out(tmp_path: Path, glob: str) -> None:
    root = tmp_path / "root"
    fill(tmp_path, "x", "root/sub/y")
    assert found(str(root), [glob]) == []


def test_links_are_found_and_not_followed(tmp_path: Path) -> None:
    fill(tmp_path, "real/x", "f")
    (tmp_path / "dir").symlink_to("real")
    (tmp_path / "file").symlink_to("f")
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "real/up").symlink_to("..")
    assert found(str(tmp_path), ["**"]) == ["dir", "f", "file", "lost", "real/up", "real/x"]
    assert found(str(tmp_path), ["dir/x", "dir/*", "dir/**"]) == []


def test_what_is_no_file_is_told_apart(tmp_path: Path) -> None:
    fill(tmp_path, "out/f")
    os.mkfifo(tmp_path / "out/fifo")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "out/socket"))
    odd: list[str] = []
    assert found(str(tmp_path), ["out/*"], odd) == ["out/f"]
    assert sorted(odd) == ["out/fifo", "out/socket"]
    odd.clear()
    assert found(str(tmp_path), ["out/fifo"], odd) == []
    assert odd == ["out/fifo"]
    listening.close()


HOSTILE = ["a\nb", "-rf", "\x1b[31m", "ä\u202e", "x" * 255, "a\\b", "\udcff\udcfe", "%0a", "'\"", "~", "a:b", " "]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_g21_any_name_that_the_system_takes_is_taken(tmp_path: Path, name: str) -> None:
    os.mkdir(os.path.join(tmp_path, "out"))
    path = os.path.join(tmp_path, "out", name)
    with open(path, "w") as file:
        file.write("x")
    assert found(str(tmp_path), ["out/**"]) == [f"out/{name}"]
    assert refusal(str(tmp_path), f"out/{name}") is None
    with Folders(str(tmp_path)) as folders:
        os.close(folders.open(f"out/{name}"))


def test_only_folders_in_which_something_can_match_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "src/a/x.py", "src/b/y.txt", "node_modules/z.py", "dist/deep/er/w.py")
    listed: list[str] = []
    scan = os.scandir

    def noted(path: str) -> object:
        listed.append(os.path.relpath(path, tmp_path))
        return scan(path)

    monkeypatch.setattr(paths.os, "scandir", noted)
    assert found(str(tmp_path), ["src/**/*.py", "dist/deep/*.py", "README.md"]) == ["src/a/x.py"]
    assert sorted(listed) == ["dist/deep", "src", "src/a", "src/b"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "src/a/x.py")

    def refuse(path: str) -> object:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(paths.os, "scandir", refuse)
    with pytest.raises(Unsound, match="Permission denied") as caught:
        found(str(tmp_path), ["src/a/*.py"])
    assert caught.value.path == "src/a"


def test_ten_thousand_files_are_found_in_a_moment(tmp_path: Path) -> None:
    for folder in range(100):
        (tmp_path / "src" / str(folder)).mkdir(parents=True)
        for name in range(100):
            (tmp_path / "src" / str(folder) / f"{name}.py").touch()
    began = time.process_time()
    assert len(found(str(tmp_path), ["src/**/*.py"])) == 10_000
    assert time.process_time() - began < 1


# What may be an artifact


def of_file(path: Path) -> None:
    path.write_text("x")


def of_link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def of_hard_link(path: Path) -> None:
    (path.parent / "other").write_text("x")
    os.link(path.parent / "other", path)


def of_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (of_file, None),
        (of_hard_link, None),
        (of_link("sibling"), None),
        (of_link("../beside"), None),
        (of_link("nowhere"), None),
        (of_link("../../canary"), "it is a link out of the pipeline's folder, to ../../canary"),
        (of_link("/etc/passwd"), "it is a link out of the pipeline's folder, to /etc/passwd"),
        (of_link("../../nowhere"), "it is a link out of the pipeline's folder, to ../../nowhere"),
        (of_link("app"), "it is a link that leads nowhere: Too many levels of symbolic links"),
        (os.mkfifo, "it is a FIFO"),
        (of_socket, "it is a socket"),
        (os.mkdir, "it is a directory"),
    ],
)
def test_g21_what_may_not_be_an_artifact(tmp_path: Path, make: Callable[[Path], None], why: str | None) -> None:
    root = tmp_path / "root"
    (root / "dist").mkdir(parents=True)
    make(root / "dist/app")
    assert refusal(str(root), "dist/app") == why


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "it is no path"),
        ("a\0b", "it is no path"),
        ("/etc/passwd", "it begins at the root of the file system"),
        ("../x", "it leads out of the pipeline's folder"),
        ("a/../../x", "it leads out of the pipeline's folder"),
        ("a/..", "it leads out of the pipeline's folder"),
        (".git/config", "it lies in .git"),
        ("sub/.stagebook/x", "it lies in .stagebook"),
        ("a//b", "it is no plain path"),
        ("./a", "it is no plain path"),
        ("not/there", None),
    ],
)
def test_g21_paths_that_are_refused_as_they_are(tmp_path: Path, path: str, why: str | None) -> None:
    assert refusal(str(tmp_path), path) == why


def test_g21_a_link_on_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/app").write_text("x")
    (tmp_path / "root/dist").symlink_to("../outside")
    assert refusal(str(tmp_path / "root"), "dist/app") == "dist on the way to it is a link"


def test_g21_a_device_is_refused() -> None:
    assert refusal("/dev", "null") == "it is a device"


def test_g21_names_that_differ_in_case_alone_clash() -> None:
    assert clash(["a/X", "b", "a/x"]) == ("a/X", "a/x")
    assert clash(["Straße", "STRASSE"]) == ("Straße", "STRASSE")
    assert clash(["\u00e9", "e\u0301"]) == ("\u00e9", "e\u0301")
    assert clash(["a", "b", "a"]) is None


def test_this_file_system_tells_cases_apart(tmp_path: Path) -> None:
    (tmp_path / ".stagebook").mkdir()
    assert not is_case_blind(str(tmp_path))
    os.symlink(".stagebook", tmp_path / ".STAGEBOOK")  # another file all the same
    assert not is_case_blind(str(tmp_path))
    assert not is_case_blind(str(tmp_path / "nowhere"))


# Opening below a root


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "link/x", "a/link/x", "x", "a"])
def test_g21_nothing_is_opened_outside(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "x").write_text("canary")
    (root / "link").symlink_to("..")
    (root / "a/link").symlink_to("/etc")
    (root / "x").symlink_to("../x")
    with Folders(str(root)) as folders:
        try:
            fd = folders.open(path)
        except OSError:
            return
        assert path == "a"  # a folder, which is not read
        os.close(fd)


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    fill(tmp_path, "a/b/c/x", "a/y", "z")
    before = len(os.listdir("/proc/self/fd"))
    with Folders(str(tmp_path)) as folders:
        for path in ("a/b/c/x", "a/y", "z", "a/b/c/x", "a/no/x", "no/x", "a/b/c/x"):
            try:
                os.close(folders.open(path))
            except FileNotFoundError:
                pass
            assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def swapping(tmp_path: Path) -> Iterator[Path]:
    """A root in which a folder and a link out of it change places all the time."""
    root = tmp_path / "root"
    fill(tmp_path, "root/dist/app", "outside/app")
    (root / "link").symlink_to("../outside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(root / "dist", root / "aside")
            os.rename(root / "link", root / "dist")
            os.rename(root / "dist", root / "link")
            os.rename(root / "aside", root / "dist")

    thread = threading.Thread(target=swap)
    thread.start()
    yield root
    stop.set()
    thread.join()


def test_g21_a_swap_does_not_lead_out(swapping: Path) -> None:
    opened = refused = 0
    until = time.monotonic() + 20
    while (opened < 200 or refused < 20) and time.monotonic() < until:
        with Folders(str(swapping)) as folders:
            try:
                fd = folders.open("dist/app")
            except OSError:
                refused += 1
                continue
            assert os.read(fd, 100) == b"root/dist/app"
            os.close(fd)
            opened += 1
    assert opened
    assert refused
