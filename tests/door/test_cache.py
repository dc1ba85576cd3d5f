"""What is kept of outputs: listed, verified, given up when there is too much of it; and never in a run's way."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from tests.door.place import Place, by_stage

STAGES: dict[str, Any] = {
    "build": {"run": "mkdir -p dist; cat src > dist/app", "inputs": ["src"], "outputs": ["dist/app"]},
    "pack": {"run": "cat dist/app dist/app > pack", "inputs": ["dist/app"], "outputs": ["pack"]},
}


@pytest.fixture
def built(place: Place) -> Place:
    """A run has made two outputs."""
    place.write("four", "src")
    place.pipeline(STAGES)
    done = place.run("run", "--json")
    assert done.code == 0, done
    return place


def object_path(place: Place, content: bytes) -> Path:
    digest = blake3(content).hexdigest()
    return place.folder / ".stagebook/cache/objects" / digest[:2] / digest[2:]


def age(path: Path, seconds: float) -> None:
    when = path.lstat().st_mtime - seconds
    os.utime(path, (when, when), follow_symlinks=False)


def test_restore_puts_back_what_a_stage_made_and_leaves_alone_what_is_whole(built: Place) -> None:
    app = built.folder / "dist" / "app"
    before = app.stat()
    done = built.run("cache", "restore", "build")
    assert (done.code, done.out) == (0, "1 output of build: 0 put back, 1 whole already\n")
    assert app.stat().st_mtime_ns == before.st_mtime_ns
    app.write_text("f0ur")
    (built.folder / "pack").unlink()
    assert built.run("cache", "restore", "build", "--json").json["files"][0]["restored"] is True
    assert built.run("cache", "restore", "pack").code == 0
    assert (app.read_text(), (built.folder / "pack").read_text()) == ("four", "fourfour")
    assert {stage["reason"] for stage in built.run("run", "--json").json["stages"]} == {"up to date"}


def test_restore_says_what_it_cannot_do(built: Place) -> None:
    kept = object_path(built, b"four")
    kept.chmod(0o600)
    kept.write_bytes(b"f0ur")
    (built.folder / "dist" / "app").unlink()
    done = built.run("cache", "restore", "build")
    assert done.code == 1
    assert "dist/app is not restored: corrupt: expected" in done.out
    assert "dist/app is not restored: No such file or directory" in built.run("cache", "restore", "build").out
    assert not (built.folder / "dist" / "app").exists()
    for words, said in ((("restore",), "needs a STAGE"), (("restore", "biuld"), "did you mean 'build'?"),
                        (("ls", "build"), "takes no STAGE")):  # fmt: skip
        done = built.run("cache", *words)
        assert done.code == 2
        assert said in done.err


def test_ls_says_what_is_kept_and_whose_it_is(built: Place) -> None:
    document = built.run("cache", "ls", "--json").json
    assert document["size_bytes"] == 12
    assert document["limit_bytes"] == 10 * 2**30
    pack, build = document["objects"]
    assert (build["digest"], build["size_bytes"]) == (blake3(b"four").hexdigest(), 4)
    assert (build["stage"], build["path"]) == ("build", "dist/app")
    assert (pack["stage"], pack["path"]) == ("pack", "pack")
    assert 0 <= build["age_s"] < 60
    done = built.run("cache", "ls")
    assert done.code == 0
    lines = done.out.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith(build["digest"][:12])
    assert lines[1].endswith("build: dist/app")
    assert lines[2] == "2 objects, 12 B of 10 GiB"
    assert stat.S_IMODE(object_path(built, b"four").stat().st_mode) == 0o400


def test_what_no_stage_names_any_more_is_listed_without_one(built: Place) -> None:
    built.write("five!", "src")
    assert built.run("run").code == 0
    objects = {each["digest"]: each["stage"] for each in built.run("cache", "ls", "--json").json["objects"]}
    assert objects[blake3(b"four").hexdigest()] is None
    assert objects[blake3(b"five!").hexdigest()] == "build"


def test_the_commands_make_nothing_where_there_is_nothing(place: Place) -> None:
    assert place.run("cache", "ls").out == "the cache is empty\n"
    assert place.run("cache", "verify").out == "0 objects, 0 B: all whole\n"
    assert place.run("gc").out == "nothing to remove\n0 B of 10 GiB are kept in the cache\n"
    assert list(place.folder.iterdir()) == []


def test_g20_verify_finds_a_flipped_bit_and_removes_the_object(built: Place) -> None:
    path = object_path(built, b"four")
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"gour")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = built.run("cache", "verify")
    assert done.code == 1
    assert done.out.splitlines() == [
        f"corrupt: expected {blake3(b'four').hexdigest()}",
        f"         got {blake3(b'gour').hexdigest()}; removed",
        "2 objects, 12 B: 1 damaged",
    ]
    assert not path.exists()
    again = built.run("cache", "verify", "--json")
    assert again.code == 0
    assert again.json == {"objects": 1, "size_bytes": 8, "damaged": []}


def test_verify_says_damage_as_json(built: Place) -> None:
    path = object_path(built, b"four")
    path.chmod(0o644)
    path.write_bytes(b"")
    done = built.run("cache", "verify", "--json", "--quiet")
    assert done.code == 1
    assert done.json["damaged"] == [{"digest": blake3(b"four").hexdigest(), "got": blake3(b"").hexdigest()}]
    assert done.err == ""


def test_gc_keeps_the_limit_and_says_what_it_would_do_first(built: Place) -> None:
    built.write("five!", "src")
    assert built.run("run").code == 0
    would = built.run("gc", "--dry-run", "--cache-limit", "20B", "--json").json
    assert would["dry_run"]
    assert {each["digest"] for each in would["objects"]} <= {
        blake3(b"four").hexdigest(),
        blake3(b"fourfour").hexdigest(),
    }
    assert built.run("cache", "ls", "--json").json["size_bytes"] == 27
    done = built.run("gc", "--json", env={"STAGEBOOK_CACHE_LIMIT": "20B"})
    assert done.json == {**would, "dry_run": False}
    assert done.json["kept_bytes"] == built.run("cache", "ls", "--json").json["size_bytes"] <= 20
    assert built.run("gc", "--cache-limit", "0B").out == "removed 2 objects (15 B)\n0 B of 0 B are kept in the cache\n"


def test_gc_lets_go_what_was_not_used_for_long_unless_a_stage_names_it(built: Place) -> None:
    built.write("five!", "src")
    assert built.run("run").code == 0
    for content in (b"four", b"five!"):
        age(object_path(built, content), 40 * 86_400)
    assert built.run("gc", "--cache-age", "50d", "--json").json["objects"] == []
    gone = built.run("gc", "--json").json["objects"]
    assert [each["digest"] for each in gone] == [blake3(b"four").hexdigest()]
    assert object_path(built, b"five!").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gc", "--cache-limit", "10"), "--cache-limit: '10' is not a size such as 512MiB or 10GiB"),
        (("gc", "--cache-age", "soon"), "--cache-age: 'soon' is not a duration such as 12h or 30d"),
        (("gc", "--runs-older-than", "90"), "--runs-older-than: `90` has no unit; write `90s` or `90m`"),
        (("cache", "verfy"), "unknown argument 'verfy'; did you mean 'verify'?"),
        (("cache",), "the following arguments are required: ls|verify"),
    ],
)
def test_wrong_words_are_refused(place: Place, words: tuple[str, ...], said: str) -> None:
    done = place.run(*words)
    assert done.code == 2
    assert said in done.err


def test_wrong_settings_are_refused_with_their_place(place: Place) -> None:
    place.write("cache-limit = 10\n", "stagebook.toml")
    done = place.run("gc")
    assert done.code == 2
    assert "stagebook.toml:1:1: error: cache-limit: 10 is not a size such as 512MiB or 10GiB" in done.err
    place.write('cache-age = "1h"\ncache-limit = "3MiB"\n', "stagebook.toml")
    assert place.run("gc", "--json").json["limit_bytes"] == 3 * 2**20


# Runs, and what they left


def test_gc_removes_old_runs_only_when_asked_and_only_those_that_are_over(place: Place) -> None:
    place.pipeline({"a": "true"})
    assert place.run("run").code == 0
    place.pipeline({"a": {"run": "exit 1"}})
    assert place.run("run").code == 1
    over = place.run_ids()
    place.pipeline({"a": "sleep 30"})
    killed = place.start("run")
    place_journal(place, 3)
    killed.kill("engine")
    held = place.start("run")
    place_journal(place, 4)
    assert place.run("gc", "--json").json["runs"] == []
    would = place.run("gc", "--dry-run", "--runs-older-than", "0s", "--json").json
    assert sorted(would["runs"]) == over
    assert would["runs_bytes"] > 100
    assert place.run("gc", "--runs-older-than", "1d", "--json").json["runs"] == []
    done = place.run("gc", "--runs-older-than", "0s")
    assert done.code == 0
    assert done.out.startswith("removed 2 runs (")
    assert len(place.run_ids()) == 2
    assert place.run("show", over[0]).code == 2
    assert not (place.folder / ".stagebook/cache/removed").exists()
    held.send(signal.SIGTERM)
    assert held.wait().code == 143


def test_gc_keeps_a_run_of_which_a_record_is_damaged(place: Place) -> None:
    place.pipeline({"a": "true", "b": "true", "c": "true"})
    assert place.run("run").code == 0
    path = place.journal_path()
    data = bytearray(path.read_bytes())
    data[data.index(b'"stage.started"') + 3] ^= 1
    path.write_bytes(data)
    assert place.run("show", "last").code == 4
    for words in (["--dry-run"], []):
        assert place.run("gc", "--runs-older-than", "0s", "--json", *words).json["runs"] == []
    assert path.read_bytes() == data


def place_journal(place: Place, runs: int) -> None:
    """Wait until so many runs are there, the newest with a stage that has started."""
    from tests.door import waiting

    waiting.until(lambda: len(place.run_ids()) == runs and place.events("stage.started"), "a stage that runs")


def test_g21_removing_a_run_never_follows_a_link(place: Place) -> None:
    place.pipeline({"a": "true"})
    assert place.run("run").code == 0
    outside = place.base / "outside"
    outside.mkdir()
    (outside / "canary").write_text("canary")
    (run,) = place.run_ids()
    (place.runs_folder / run / "logs/link").symlink_to(outside)
    (place.runs_folder / run / "set-aside").symlink_to(outside)
    (place.runs_folder / ("0" * 26)).symlink_to(outside)
    assert place.run("gc", "--cache-age", "0s", "--runs-older-than", "0s", "--json").json["runs"] == [run]
    assert (outside / "canary").read_text() == "canary"
    assert place.run_ids() == ["0" * 26]


def test_gc_removes_what_was_set_aside_by_its_age_alone(place: Place) -> None:
    place.pipeline({"a": {"run": "echo half > out; exit 1", "outputs": ["out"]}})
    assert place.run("run").code == 1
    (run,) = place.run_ids()
    left = place.runs_folder / run / "set-aside"
    assert [path.read_text() for path in left.rglob("out*") if path.is_file()] == ["half\n"]
    told = place.run("gc", "--runs-older-than", "0s", "--cache-age", "0s", "--json").json
    assert (told["set_aside"], told["runs"], told["runs_kept"]) == ([], [], [run])
    for folder in [left, *[path for path in left.rglob("*") if path.is_dir()]]:
        age(folder, 40 * 86_400)
    assert place.run("gc", "--dry-run").out.startswith("would remove 1 run's files set aside (5 B)\n")
    told = place.run("gc", "--runs-older-than", "0s", "--json").json
    assert (told["set_aside"], told["set_aside_bytes"]) == ([run], 5)
    assert not left.exists()
    assert place.run("gc", "--runs-older-than", "0s", "--json").json["runs"] == [run]


def test_what_was_set_aside_is_put_back_where_nothing_stands(place: Place) -> None:
    place.pipeline({"a": {"run": "mkdir -p d; echo $STAGEBOOK_ATTEMPT > d/out; ln -s d/out link; exit 1",
                          "outputs": ["d/**", "link"], "retry": {"attempts": 2}}})  # fmt: skip
    done = place.run("run")
    assert done.code == 1 and "cache restore a --set-aside" in done.out
    told = place.run("show", "last", "--json").json["set_aside"]
    assert [(each["stage"], each["attempt"], each["path"], each["bytes"]) for each in told] == [
        ("a", 2, "link", 5), ("a", 2, "d/out", 2), ("a", 1, "link", 5), ("a", 1, "d/out", 2),
    ]  # fmt: skip
    assert Path(told[1]["at"]).read_text() == "2\n" and Path(told[1]["at"]).stat().st_mode & 0o777 == 0o600
    assert not (place.folder / "d/out").exists()
    place.write("mine\n", "d/out")
    assert place.run("cache", "restore", "a", "--set-aside", "last").code == 1
    assert (place.folder / "d/out").read_text() == "mine\n" and (place.folder / "link").is_symlink()
    assert place.run("cache", "restore", "a", "--set-aside", "last", "--force").code == 0
    assert (place.folder / "d/out").read_text() == "2\n"
    for words in (["nobody", "--set-aside", "last"], ["a", "--force"]):
        assert place.run("cache", "restore", *words).code == 2


# In no run's way


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("for_good", ["", "+"], ids=["once", "for-good"])
def test_g04_a_store_that_cannot_be_written_fails_no_run(new_place: Any, error: str, for_good: str) -> None:
    """The n-th write of the cache fails, for every n until one is not met."""
    for at in range(1, 30):
        place = new_place()
        place.write("four", "src")
        place.pipeline(STAGES)
        done = place.run("run", "--json", env={"STAGEBOOK_FAULT": f"cache.write:{at}{for_good}:{error}"})
        assert done.code == 0, done
        assert {each["outcome"] for each in by_stage(done.json).values()} == {"success"}
        assert (place.folder / "pack").read_text() == "fourfour"
        warned = [text for text in done.json["warnings"] if "not kept in" in json.dumps(text)]
        if not warned:
            assert at > 3
            break
        assert place.run("run", "--json").code == 0
        assert place.run("cache", "verify").code == 0
    else:
        raise AssertionError("the fault was met every time")


def test_r067_a_run_killed_while_it_keeps_outputs_leaves_nothing_half(new_place: Any) -> None:
    for at in range(1, 8):
        place = new_place()
        place.write("four", "src")
        place.pipeline(STAGES)
        done = place.run("run", env={"STAGEBOOK_FAULT": f"cache.write:{at}:KILL"})
        assert place.run("cache", "verify").code == 0
        assert place.run("run", "--resume").code == 0
        assert (place.folder / "pack").read_text() == "fourfour"
        if done.code == 0:
            assert at > 3
            return
    raise AssertionError("the fault was met every time")


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_what_is_no_file_in_the_place_of_an_object_is_damage(built: Place, kind: str) -> None:
    path = object_path(built, b"four")
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(built.folder / "src")
    (built.folder / "dist" / "app").unlink()
    done = built.run("cache", "restore", "build")
    assert (done.code, done.err.count("\n")) == (4, 1), done
    assert f"{path} is no regular file" in done.err
    assert not (built.folder / "dist" / "app").exists()
    done = built.run("cache", "verify")
    assert done.code == 1
    assert f"corrupt: expected {blake3(b'four').hexdigest()}" in done.out
    assert "2 objects, 8 B: 1 damaged" in done.out
    assert not path.is_symlink() and not path.exists()
    assert (built.folder / "src").read_text() == "four"
