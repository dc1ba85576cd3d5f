"""Runs are listed by head and tail alone, found by what a user calls them, and told for what they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from tests.record.play import Play, pipeline, stage
from tests.record.scribe import Scribe

from stagebook.model.pipeline import Gate, Pipeline, Stage
from stagebook.model.problem import InputError, SurroundingsError
from stagebook.record import lock, reader, runs, state
from stagebook.record.replay import replay
from stagebook.scheduler.plan import RULES, Choice

TWO = Choice(cores=2, jobs=2)
THREE = pipeline(stage("a"), stage("b", "a"), stage("c", "a"))


def play(tmp_path: Path, pipe: Pipeline = THREE, **more: Any) -> tuple[Scribe, Play]:
    scribe = Scribe(tmp_path)
    return scribe, Play.begin(scribe, pipe, TWO, 0, fails=False, **more)


def ended(tmp_path: Path, pipe: Pipeline = THREE, **more: Any) -> Scribe:
    scribe, one = play(tmp_path, pipe, **more)
    one.finish()
    return scribe


def broken_off(tmp_path: Path, pipe: Pipeline = THREE) -> Scribe:
    scribe, one = play(tmp_path, pipe)
    one.step()
    one.step()
    one.writer.abandon()
    return scribe


def place(tmp_path: Path) -> str:
    return str(tmp_path / ".stagebook")


def test_runs_come_newest_first_with_the_shape_of_show(tmp_path: Path) -> None:
    made = [ended(tmp_path) for _ in range(3)]
    listed = list(runs.summaries(place(tmp_path)))
    assert [one["run"] for one in listed] == [scribe.run for scribe in reversed(made)]
    for scribe, summary in zip(reversed(made), listed):
        shown = runs.document(scribe.directory)
        shown.pop("stages")
        assert shown.pop("set_aside") == []
        assert summary == shown


def test_a_run_of_very_many_stages_is_summarised_whole(tmp_path: Path) -> None:
    pipe = pipeline(stage("s0"), *[stage(f"s{index}", f"s{index - 1}") for index in range(1, 2000)])
    scribe = ended(tmp_path, pipe)
    shown = runs.document(scribe.directory)
    shown.pop("stages")
    assert shown.pop("set_aside") == []
    assert len(shown["critical_path"]) == len(shown["critical_planned"]) == 2000
    assert runs.summarise(scribe.directory) == shown


def test_states_of_runs_without_an_end(tmp_path: Path) -> None:
    scribe = broken_off(tmp_path)
    for told in (runs.summarise(scribe.directory), runs.document(scribe.directory)):
        assert told is not None
        assert (told["state"], told["outcome"], told["finished"]) == ("interrupted", None, None)
    held = lock.take(scribe.directory)
    for told in (runs.summarise(scribe.directory), runs.document(scribe.directory)):
        assert told is not None
        assert (told["state"], told["outcome"]) == ("running", None)
    lock.release(held)


def test_a_run_that_goes_on_says_what_its_stages_wait_for(tmp_path: Path) -> None:
    scribe, one = play(tmp_path, pipeline(stage("a"), stage("b"), stage("c"), stage("d", "c")))
    one.step()
    one.writer.write()
    held = lock.take(scribe.directory)
    told = runs.document(scribe.directory)
    assert [each["waiting"] for each in told["stages"]] == [None, "slot", None, "needs"], "c goes first: d needs it"
    lock.release(held)
    one.writer.abandon()


def test_a_run_that_waits_for_a_person_says_so(tmp_path: Path) -> None:
    scribe, one = play(tmp_path, pipeline(Stage("ok", "ok", 1, 1, "gate", "", gate=Gate("Ship it?"))))
    one.writer.add("gate.asked", one.us, '"ok"')
    one.writer.close(one.us)
    summary = runs.summarise(scribe.directory)
    assert summary is not None
    assert (summary["state"], summary["waiting"]) == ("waiting", "gate")


def test_a_torn_tail_is_told(tmp_path: Path) -> None:
    scribe = broken_off(tmp_path)
    with open(scribe.path, "ab") as file:
        file.write(b"half a line")
    warning = runs.document(scribe.directory)["warnings"][-1]
    assert warning.startswith("the journal's last 11 bytes")
    assert runs.summarise(scribe.directory) is not None


def test_what_never_began_is_left_out_and_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    first = ended(tmp_path)
    Scribe(tmp_path)
    for torn in (b"", Path(first.path).read_bytes()[:-1].partition(b"\n")[0]):
        Path(Scribe(tmp_path).path).write_bytes(torn)
    damaged = ended(tmp_path)
    data = Path(damaged.path).read_bytes()
    Path(damaged.path).write_bytes(b"\x00" * 30 + data[30:])
    (tmp_path / ".stagebook" / "runs" / "a file").touch()
    listed = list(runs.summaries(place(tmp_path)))
    assert [(one["run"], one["state"]) for one in listed] == [(damaged.run, "damaged"), (first.run, "ended")]
    assert listed[0].keys() == listed[1].keys()


def test_words_for_a_run(tmp_path: Path) -> None:
    first, second = ended(tmp_path), ended(tmp_path)
    Scribe(tmp_path)
    known = place(tmp_path)
    assert runs.resolve(known, "last") == second.directory, "of a later one nothing was recorded"
    assert runs.resolve(known, first.run) == runs.resolve(known, first.run.lower()) == first.directory


def test_the_beginning_of_one_id_is_enough_and_of_several_is_not(tmp_path: Path) -> None:
    known = place(tmp_path)
    for name in ("01AAA", "01AAB", "01BAA"):
        (tmp_path / ".stagebook" / "runs" / name).mkdir(parents=True)
    assert runs.resolve(known, "01b") == state.run_directory(known, "01BAA")
    with pytest.raises(InputError, match="`01A` is the beginning of 2 runs: `01AAB`, `01AAA`"):
        runs.resolve(known, "01A")
    with pytest.raises(InputError, match="no run `01BAB`; the nearest are `01BAA`, `01AAB`, `01AAA`"):
        runs.resolve(known, "01BAB")
    for word in ("", "../..", "01BAA/..", "."):
        with pytest.raises(InputError, match="no run"):
            runs.resolve(known, word)


def test_without_runs_that_is_said(tmp_path: Path) -> None:
    known = place(tmp_path)
    assert list(runs.summaries(known)) == []
    for word in ("last", "01"):
        with pytest.raises(InputError, match=r"there is no run in .*stagebook yet"):
            runs.resolve(known, word)


def by_other_rules(scribe: Scribe) -> Scribe:
    """As if a Stagebook of before had begun it."""
    path = Path(scribe.path)
    first, rest = path.read_bytes().split(b"\n", 1)
    body = first[: first.rindex(b',"crc"')].replace(b'"rules":%d,' % RULES, b"")
    path.write_bytes(b'%b,"crc":"%08x"}\n%b' % (body, crc32(body), rest))
    return scribe


def test_a_run_of_other_rules_is_told_and_is_to_be_resumed_only_as_the_latest(tmp_path: Path) -> None:
    known = place(tmp_path)
    scribe = by_other_rules(broken_off(tmp_path))
    with pytest.raises(SurroundingsError, match=rf"scheduler rules 1, here {RULES}\)"):
        replay(reader.load(scribe.path))
    for told in (runs.summarise(scribe.directory), runs.document(scribe.directory)):
        assert told is not None and told["state"] == "interrupted"
    held = lock.take(scribe.directory)  # by an engine of before, say
    assert runs.document(scribe.directory)["state"] == "running"
    lock.release(held)
    assert to_resume(known) == (scribe.run, 0)
    ended(tmp_path)
    assert to_resume(known) is None


def to_resume(known: str) -> tuple[str, int] | None:
    found = runs.latest_to_resume(known, THREE.file)
    return None if found is None else (found[0]["run"], found[1])


def test_the_run_to_resume_is_the_latest_of_the_file_that_can_go_on(tmp_path: Path) -> None:
    known = place(tmp_path)
    other = pipeline(stage("a"), file="/elsewhere/stagebook.yaml")
    assert to_resume(known) is None
    ended(tmp_path)
    assert to_resume(known) is None
    stopped = ended(tmp_path, cancel_at_us=1)
    summary = runs.summarise(stopped.directory)
    assert summary is not None
    assert (summary["outcome"], summary["reason"]) == ("cancellation", "cancelled by SIGINT")
    ended(tmp_path)
    broken_off(tmp_path, other)
    assert to_resume(known) == (stopped.run, 1)
    latest = broken_off(tmp_path)
    Path(Scribe(tmp_path).path).write_bytes(b'{"v":1,"seq":1,"batch":1')
    assert to_resume(known) == (latest.run, 0)


def test_a_list_reads_little_of_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = pipeline(*[stage(f"s{index}") for index in range(500)])
    scribe = ended(tmp_path, pipe)
    read = 0
    pread = os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        nonlocal read
        data = pread(fd, size, offset)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    assert runs.summarise(scribe.directory) is not None
    assert os.path.getsize(scribe.path) > 300_000
    assert read < 100_000


def test_what_is_shown_was_made_durable_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scribe = broken_off(tmp_path)
    synced: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    runs.document(scribe.directory)
    assert synced == [scribe.path]


def test_show_does_not_change_the_journal(tmp_path: Path) -> None:
    scribe = broken_off(tmp_path)
    before = Path(scribe.path).read_bytes()
    runs.document(scribe.directory)
    assert Path(scribe.path).read_bytes() == before
    assert reader.load(scribe.path).clean
