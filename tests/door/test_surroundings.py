"""Surroundings that give way in unusual places: each is told in one line, with the right exit code, hiding nothing."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from tests.door.place import Place, noted


def test_a_journal_that_is_deleted_meanwhile_is_no_success(place: Place) -> None:
    place.pipeline(
        {"a": noted('while ! [ -e "$BASE/gone" ]; do sleep 0.01; done'), "b": {"run": noted(), "needs": "a"}}
    )
    command = place.start("run")
    place.wait_for("a")
    (run,) = place.run_ids()
    (place.folder / ".stagebook" / "runs" / run / "journal.jsonl").unlink()
    (place.base / "gone").touch()
    done = command.wait()
    assert done.code == 4
    assert "deleted while the run went on" in done.err


def test_one_bad_run_directory_hides_no_other(place: Place) -> None:
    place.pipeline({"a": noted()})
    assert place.run("run").code == 0
    runs = place.folder / ".stagebook" / "runs"
    (runs / "01XX").mkdir()
    os.mkfifo(runs / "01XX" / "journal.jsonl")
    (runs / "01YY" / "journal.jsonl").mkdir(parents=True)
    listed = place.run("runs", "--json", within_s=20)
    assert listed.code == 0
    assert [one["state"] for one in listed.json["runs"]] == ["damaged", "damaged", "ended"]
    assert place.run("run", "--resume", within_s=20).code == 0


def test_a_current_directory_that_is_gone_is_named_in_one_document(place: Place) -> None:
    file = place.pipeline({"a": noted()})
    here = place.base / "here"
    here.mkdir()
    script = f'cd "{here}" && rmdir "{here}" && exec "{place.command}" run "{file}" --json'
    done = place.start(prefix=("sh", "-c", script, "sh")).wait()
    assert done.code == 4
    assert "the current directory cannot be used" in done.json["errors"][0]["message"]
    assert place.began() == []


def test_an_error_document_that_cannot_be_written_is_named(place: Place) -> None:
    place.pipeline({"a": {"run": "true", "needs": ["zz"]}})
    with open("/dev/full", "wb") as full:
        done = place.run("run", "--json", stdout=full)
    assert done.code == 2
    assert done.err == "error: standard output: No space left on device\n"


def test_too_few_descriptors_are_the_systems_fault(place: Place) -> None:
    place.pipeline({f"s{index}": {"run": "sleep 0.2", "log-limit": "1KiB"} for index in range(60)})
    for limit in (10, 50):
        done = place.run("run", "-j", "60", "--json", prefix=("sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh"))
        assert done.code == 4, (limit, done)
        assert "Traceback" not in done.err
    assert "Too many open files" in json.dumps(done.json)


def test_a_dry_run_prints_no_escape(place: Place) -> None:
    place.write('name: "n\\e]0;t\\a"\nstages: {"a\\u202eb": "true"}\n')
    done = place.run("run", "--dry-run")
    assert done.code == 0
    assert not {"\x1b", "\x07", "\u202e"}.intersection(done.out)


def put(path: Path, kind: str) -> None:
    """Something that is no regular file, in the place of one."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        os.mknod(path, 0o600 | stat.S_IFSOCK)


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket"])
@pytest.mark.parametrize("name", ["cache/durations.json", ".gitignore"])
def test_what_is_no_file_where_one_is_kept_keeps_no_run_from_its_end(place: Place, name: str, kind: str) -> None:
    place.pipeline({"a": noted()})
    assert place.run("run").code == 0
    put(place.folder / ".stagebook" / name, kind)
    done = place.run("run", within_s=20)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket"])
@pytest.mark.parametrize("name", ["journal.jsonl", "lock", "logs/a.1.log", "logs/growth"])
def test_what_is_no_file_in_the_place_of_a_record_holds_up_nobody(place: Place, name: str, kind: str) -> None:
    place.pipeline({"a": noted()})
    assert place.run("run").code == 0
    put(place.folder / ".stagebook" / "runs" / place.run_ids()[0] / name, kind)
    for words in (["runs"], ["show", "last"], ["logs", "last"], ["logs", "last", "--merge"], ["run", "--resume"]):
        done = place.run(*words, within_s=20)
        assert done.code in (0, 4), words
        assert "Traceback" not in done.err and "details" not in done.err, words


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket"])
@pytest.mark.parametrize("name", ["stagebook.toml", "pyproject.toml"])
def test_settings_that_are_no_file_hold_up_nobody(place: Place, name: str, kind: str) -> None:
    place.pipeline({"a": noted()})
    put(place.folder / name, kind)
    assert place.run("run", within_s=20).code == 0


def test_a_script_whose_interpreter_is_missing_is_not_called_missing_itself(place: Place) -> None:
    place.pipeline({"a": "./script"})
    place.write("#!/no/such/interpreter\n", "script").chmod(0o755)
    done = place.run("run", "--json")
    assert done.code == 4
    (stage,) = done.json["stages"]
    assert stage["reason"].endswith("script: the program that its first line names is not there")


def test_of_many_processes_that_were_left_behind_a_few_are_named(place: Place) -> None:
    place.pipeline({"a": "for n in $(seq 40); do sleep 313 & done"})
    done = place.run("run", "--json")
    (warning,) = done.json["warnings"]
    assert warning.count("sleep 313") == 10
    assert warning.endswith(" and 30 more")


def test_a_stage_that_waited_in_vain_is_drawn_with_its_wait(place: Place) -> None:
    place.pipeline({
        "holds": {"run": "sleep 1.2", "priority": 5},
        "starves": {"run": "true", "timeout": {"queue": "500ms"}},
    })  # fmt: skip
    assert place.run("run", "-j", "1").code == 1
    (row,) = [line for line in place.run("timeline", "last").out.splitlines() if " starves " in line]
    assert "░░" in row and " ms " in row


def test_memory_that_is_not_there_is_the_surroundings_fault(place: Place) -> None:
    place.pipeline({"a": "true"})
    for kilobytes in (16_000, 20_000, 24_000):
        done = place.run("run", prefix=("sh", "-c", 'ulimit -v $0; exec "$@"', str(kilobytes)))
        assert done.code != 5, done
