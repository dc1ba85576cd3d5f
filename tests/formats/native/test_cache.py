"""The plan cache: fast when sound, and as if not there when anything is odd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stagebook.formats.native import cache
from stagebook.formats.native.read import load, load_plain
from stagebook.model import plain
from stagebook.model.problem import InputError

SRC = Path(__file__).parents[3] / "src"
TEXT = (Path(__file__).parent / "ok" / "mapping.yaml").read_text()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "stagebook.yaml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "plans").iterdir())


def test_the_second_read_comes_from_the_cache_and_is_the_same(file: Path, folder: Path) -> None:
    first = load_plain(str(file), str(folder))
    second = load_plain(str(file), str(folder))
    assert (first.cached, second.cached) == (False, True)
    assert second.pipeline == first.pipeline == load(str(file), None)
    assert second.plain == first.plain
    assert plain.from_plain(json.loads(second.plain)) == first.pipeline
    assert b"\n" not in first.plain
    assert first.plain.isascii()


def test_warnings_and_notes_come_from_the_cache_too(file: Path, folder: Path) -> None:
    file.write_text("stages: {deploy: x, a: {run: x, isolate: {ports: [y]}}}")
    first, second = (load(str(file), str(folder)) for _ in range(2))
    assert second.problems == first.problems != ()
    assert second.unbuilt == first.unbuilt != ()


def test_a_wrong_file_is_never_kept(file: Path, folder: Path) -> None:
    file.write_text("stages: {a: {run: x, need: b}}")
    with pytest.raises(InputError):
        load(str(file), str(folder))
    assert not (folder / "plans").exists()


def test_another_content_or_place_is_another_entry(file: Path, folder: Path) -> None:
    load(str(file), str(folder))
    file.write_text(TEXT + "# changed\n")
    assert not load_plain(str(file), str(folder)).cached
    other = file.parent.parent / "other" / "stagebook.yaml"
    other.parent.mkdir()
    other.write_text("stages: {a: x}")
    assert load(str(other), str(folder)).name == "other"
    moved = file.with_name("moved.yaml")
    file.rename(moved)
    assert not load_plain(str(moved), str(folder)).cached
    assert len(entries(folder)) == 4


def test_another_version_reads_anew(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(str(file), str(folder))
    monkeypatch.setattr(cache, "__version__", "9.9.9")
    assert not load_plain(str(file), str(folder)).cached


def test_any_flipped_bit_is_noticed(file: Path, folder: Path) -> None:
    file.write_text("stages: {a: x, b: {run: y, needs: a}}")
    expected = load(str(file), str(folder))
    entry = entries(folder)[0]
    sound = entry.read_bytes()
    for position in range(len(sound) * 8):
        damaged = bytearray(sound)
        damaged[position // 8] ^= 1 << position % 8
        entry.write_bytes(damaged)
        assert cache.fetch(str(folder), expected.digest, str(file)) is None, position


def test_any_torn_entry_is_read_anew_and_mended(file: Path, folder: Path) -> None:
    expected = load(str(file), str(folder))
    entry = entries(folder)[0]
    sound = entry.read_bytes()
    for length in (0, 1, 32, 33, 34, len(sound) // 2, len(sound) - 1):
        entry.write_bytes(sound[:length])
        again = load_plain(str(file), str(folder))
        assert (again.cached, again.pipeline) == (False, expected)
        assert entry.read_bytes() == sound


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b'{"likes": 1}', b"[" * 100_000, b'{"likes": [], "stages": [1]}']
)
def test_what_hashes_right_but_is_no_pipeline_is_ignored(file: Path, folder: Path, body: bytes) -> None:
    expected = load(str(file), str(folder))
    entries(folder)[0].write_bytes(cache.digest(body).encode() + b"\n" + body)
    assert cache.fetch(str(folder), expected.digest, str(file)) is None


def test_an_entry_of_another_file_under_this_name_is_ignored(file: Path, folder: Path) -> None:
    pipeline = load(str(file), str(folder))
    body = cache.encode(pipeline._replace(file="/elsewhere/stagebook.yaml"))
    entries(folder)[0].write_bytes(cache.digest(body).encode() + b"\n" + body)
    assert cache.fetch(str(folder), pipeline.digest, str(file)) is None


@pytest.mark.parametrize("kind", ["file", "missing", "directory", "fifo"])
def test_where_nothing_can_be_kept_the_file_is_read_all_the_same(file: Path, folder: Path, kind: str) -> None:
    expected = load(str(file), None)
    if kind == "file":
        folder.write_text("in the way")
    elif kind == "missing":
        folder = Path("/proc/none/such")
    else:
        load(str(file), str(folder))
        entry = entries(folder)[0]
        entry.unlink()
        entry.mkdir() if kind == "directory" else os.mkfifo(entry)
    assert load(str(file), str(folder)) == expected
    assert load(str(file), str(folder)) == expected


def test_nothing_is_left_half_written(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_from: str, _to: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    load(str(file), str(folder))
    assert entries(folder) == []


def test_links_that_stand_in_the_way_are_not_followed(file: Path, folder: Path, tmp_path: Path) -> None:
    load(str(file), str(folder))
    entry = entries(folder)[0]
    entry.unlink()
    canary = tmp_path / "canary"
    canary.write_text("mine")
    os.symlink(canary, f"{entry}.{os.getpid()}.tmp")
    load(str(file), str(folder))
    assert canary.read_text() == "mine"
    load(str(file), str(folder))
    assert load_plain(str(file), str(folder)).cached


def test_files_that_are_not_ours_are_never_pruned(file: Path, folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for index in range(cache.ENTRIES_MAX + 20):
        (home / f"letter-{index}").write_text("mine")
    folder.mkdir()
    os.symlink(home, folder / "plans")
    load(str(file), str(folder))
    assert len(list(home.iterdir())) == cache.ENTRIES_MAX + 20
    (folder / "plans").unlink()
    home.rename(folder / "plans")
    load(str(file), str(folder))
    assert len(entries(folder)) == cache.ENTRIES_MAX + 21


def test_the_number_of_entries_is_bounded_and_the_oldest_go(file: Path, folder: Path) -> None:
    for index in range(cache.ENTRIES_MAX + 5):
        file.write_text(f"stages: {{a: echo {index}}}")
        load(str(file), str(folder))
        for each in entries(folder):
            if each.stat().st_mtime > 2_000_000_000 or each.stat().st_mtime < 1_000_000_000:
                continue
            os.utime(each, (500_000_000 + index, 500_000_000 + index))
    assert len(entries(folder)) == cache.ENTRIES_MAX
    assert load_plain(str(file), str(folder)).cached
    file.write_text("stages: {a: echo 0}")
    assert not load_plain(str(file), str(folder)).cached


def test_yaml_and_checks_are_not_imported_where_the_cache_answers(file: Path, folder: Path) -> None:
    load(str(file), str(folder))
    script = (
        "import sys\n"
        "from stagebook.formats.native.read import load_plain\n"
        "assert load_plain(sys.argv[1], sys.argv[2]).cached\n"
        "unwanted = [each for each in sys.modules if each.split('.')[0] in "
        "('yaml', 'hashlib', '_hashlib', 'difflib', 'dataclasses', 'inspect', 'pathlib', 'tempfile')"
        " or each.startswith('stagebook.formats.native.') and each.split('.')[-1] not in ('read', 'cache')]\n"
        "print(unwanted)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", script, str(file), str(folder)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SRC)},
        check=True,
    )
    assert ran.stdout == "[]\n"


def test_difflib_is_for_mistakes_only(file: Path) -> None:
    script = (
        "import sys\n"
        "from stagebook.formats.native.read import load\n"
        "load(sys.argv[1], None)\n"
        "print([each for each in ('difflib', 'dataclasses', 'inspect', 'hashlib') if each in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )  # fmt: skip
    assert ran.stdout == "[]\n"
