"""Artifacts and caches: what globs name, what is kept, and that nothing leads out of a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stagebook.runner import matching
from stagebook.runner.artifacts import Artifacts
from stagebook.runner.caches import Caches
from stagebook.runner.copying import copy, copy_tree


def made(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


@pytest.mark.parametrize(
    ("globs", "exclude", "found"),
    [
        (["out"], [], ["out/a.txt", "out/b.log", "out/deep/c.txt"]),
        (["out/"], ["out/**/*.txt"], ["out/b.log"]),
        (["out/*"], [], ["out/a.txt", "out/b.log", "out/deep/c.txt"]),
        (["**/*.txt"], [], ["out/a.txt", "out/deep/c.txt", "top.txt"]),
        (["*.txt", "./out/b.log"], [], ["out/b.log", "top.txt"]),
        (["out/*.{txt,log}"], [], ["out/a.txt", "out/b.log"]),
        (["."], ["out"], ["out/a.txt", "out/b.log", "out/deep/c.txt", "top.txt"]),
        (["../outside", "/etc/hostname", "nothing"], [], []),
    ],
)
def test_what_globs_name(tmp_path: Path, globs: list[str], exclude: list[str], found: list[str]) -> None:
    made(tmp_path / "work", "out/a.txt", "out/b.log", "out/deep/c.txt", "top.txt", ".git/config", ".stagebook/x")
    made(tmp_path, "outside")
    assert matching.find(str(tmp_path / "work"), globs, exclude)[0] == found


def test_globs_that_name_nothing_are_told_and_the_root_may_stand_before_one(tmp_path: Path) -> None:
    made(tmp_path, "a")
    root = str(tmp_path)
    assert matching.find(root, [f"{root}/a", "b", "../c"]) == (["a"], ["b", "../c"])


def test_a_link_is_kept_as_a_link_and_never_followed(tmp_path: Path) -> None:
    work = made(tmp_path / "work", "real/x")
    made(tmp_path / "other", "secret")
    (work / "away").symlink_to(tmp_path / "other")
    (work / "near").symlink_to("real")
    store = Artifacts(str(tmp_path / "run"))
    put = store.put("job", str(work), ["**", "away/secret"])
    assert put.barren == ["away/secret"]
    assert store.get("job", str(tmp_path / "into")) == 3
    assert (tmp_path / "into" / "near").readlink() == Path("real")
    assert (tmp_path / "into" / "away").is_symlink()


def test_what_is_fetched_is_not_written_through_a_link(tmp_path: Path) -> None:
    made(tmp_path / "work", "out/x")
    store = Artifacts(str(tmp_path / "run"))
    store.put("job", str(tmp_path / "work"), ["out"])
    aim = made(tmp_path / "aim", "x")
    into = tmp_path / "into"
    into.mkdir()
    (into / "out").symlink_to(aim)
    store.get("job", str(into))
    assert (into / "out" / "x").read_text() == "out/x"
    assert (aim / "x").read_text() == "x"


def test_modes_and_odd_names_are_kept(tmp_path: Path) -> None:
    work = made(tmp_path / "work", "run.sh")
    (work / "run.sh").chmod(0o755)
    odd = os.fsencode(work) + b"/\xff\n"
    with open(odd, "w") as file:
        file.write("odd")
    store = Artifacts(str(tmp_path / "run"))
    name = "a/b: [\x1b, ü]" * 20
    assert store.put(name, str(work), ["*"]).files == 2
    assert store.names() == [name]
    store.get(name, str(tmp_path / "into"))
    assert stat.S_IMODE((tmp_path / "into" / "run.sh").stat().st_mode) == 0o755
    assert os.path.exists(os.fsencode(tmp_path / "into") + b"/\xff\n")


def test_a_second_artifact_takes_the_place_of_the_first(tmp_path: Path) -> None:
    work = made(tmp_path / "work", "a")
    store = Artifacts(str(tmp_path / "run"))
    store.put("job", str(work), ["*"])
    (work / "a").rename(work / "b")
    store.put("job", str(work), ["*"])
    store.get("job", str(tmp_path / "into"))
    assert os.listdir(tmp_path / "into") == ["b"]
    with pytest.raises(KeyError):
        store.get("other", str(tmp_path / "into"))


def test_a_fifo_is_left_out_and_said(tmp_path: Path) -> None:
    work = made(tmp_path / "work", "a")
    os.mkfifo(work / "pipe")
    assert copy(["a", "pipe", "gone"], str(work), str(tmp_path)) == ["left out pipe: no file"]
    assert copy_tree(str(work), str(tmp_path / "tree"), skip=(".git",)) == ["left out pipe: no file"]


def test_a_cache_is_found_by_its_key_else_by_the_latest_that_begins_so(tmp_path: Path) -> None:
    work = made(tmp_path / "work", "deps/a")
    caches = Caches(str(tmp_path / "state"))
    for age, key in enumerate(("py-1", "py-2", "node-1")):
        caches.save(key, str(work), ["deps"])
        entry = Path(caches._entry(key)) / "key"
        os.utime(entry, (1000 + age, 1000 + age))
    into = str(tmp_path / "into")
    assert caches.restore("py-1", into) == "py-1"
    assert caches.restore("py-9", into) is None
    os.utime(Path(caches._entry("py-1")) / "key", (1, 1))
    assert caches.restore("py-9", into, ["java-", "py-", "node-"]) == "py-2"
    assert (tmp_path / "into" / "deps" / "a").read_text() == "deps/a"
    assert caches.save("py-1", str(work), ["deps"], replace=False) is None
    assert caches.save("empty", str(work), ["nothing"]) is None


def test_the_least_used_cache_goes_first(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "data").write_bytes(b"x" * 1000)
    caches = Caches(str(tmp_path / "state"), limit_bytes=2500)
    for age, key in enumerate("abc"):
        caches.save(key, str(work), ["data"])
        os.utime(Path(caches._entry(key)) / "key", (1000 + age, 1000 + age))
    caches.save("d", str(work), ["data"])
    assert [key for key in "abcd" if caches.find(key)] == ["c", "d"]


def test_a_link_in_the_place_of_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state" / "cache").mkdir(parents=True)
    (tmp_path / "state" / "cache" / "ci").symlink_to(tmp_path)
    made(tmp_path / "work", "a")
    with pytest.raises(OSError, match="link"):
        Caches(str(tmp_path / "state")).save("key", str(tmp_path / "work"), ["a"])
