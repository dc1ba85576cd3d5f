"""The parts of the engine's items that need no run: keys that were done, sources, what adjusts itself, logs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.engine.items import literal
from stagebook.engine.items.balance import CALL_US, LOOK_US, Balance, Lot
from stagebook.engine.items.done import KEYS_MAX, Doing, Done
from stagebook.engine.items.kept import SPARE_MAX, Kept, read_names
from stagebook.engine.items.logs import LOG_KEPT, Logs
from stagebook.engine.items.logs import LOOK_US as LOOK_AT_LOGS_US
from stagebook.engine.items.origin import KEY_BYTES, NoSource, Origin, items
from stagebook.engine.items.watch import is_written
from stagebook.record.cut import LOG_MAX, left_out
from stagebook.scheduler.lane import StepItems


def key(number: int) -> bytes:
    return number.to_bytes(KEY_BYTES, "big")


# What was done --------------------------------------------------------------------------------------------------------


def test_keys_survive_a_torn_write_and_the_file_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "keys")
    doing = Doing(path)
    doing.add([key(1), key(2)])
    doing.close()
    with open(path, "ab") as file:
        file.write(b"torn")
    doing = Doing(path)
    doing.add([key(3)])
    doing.close()
    done = Done(path)
    assert key(1) not in Done(str(tmp_path / "none"))
    assert [number for number in range(6) if key(number) in done and number] == [1, 2, 3]
    monkeypatch.setattr("stagebook.engine.items.done.KEYS_MAX", 3)
    Doing(path).close()
    assert key(3) in Done(path) and key(1) not in Done(path), "the older half is forgotten"
    assert KEYS_MAX * KEY_BYTES < 1 << 26


def test_names_are_found_by_number_and_what_nobody_was_told_of_is_cut(tmp_path: Path) -> None:
    kept = Kept(str(tmp_path), "work", 2, 0)
    kept.add([("a", key(1)), ({"b": 1}, None), ("c\udcff", key(3))])
    first = kept.directory(1)
    assert os.path.isdir(first) and kept.items[2].text == '{"b":1}'
    kept.say(1, 0, {"x": "1"}, False)
    kept.close()
    again = Kept(str(tmp_path), "work", 2, 2, {1, 2})
    assert sorted(again.items) == [1, 2] and again.outputs(1, 1) == {"x": "1"}
    again.add([("other", None)])
    assert [value for _, value, _ in read_names(again.folder)] == ["a", {"b": 1}, "other"]
    again.directory(1)
    assert again.done([1]) == [key(1)] and not os.path.exists(again.output(1, 0))
    assert again.directory(3) != first and not os.path.exists(first), "an empty directory goes on to the next"
    again.close()
    with pytest.raises(OSError, match="missing"):
        Kept(str(tmp_path), "work", 2, 4, {1})
    assert SPARE_MAX < 10_000


# Where items come from ------------------------------------------------------------------------------------------------


def origin(tmp_path: Path, kind: str, text: str = "", **others: object) -> Origin:
    return Origin(kind, text, str(tmp_path), listed=str(tmp_path / "listed"), **others)  # type: ignore[arg-type]


def test_every_source_goes_on_behind_a_position(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\n\nb\xff\na")
    (tmp_path / "json").write_text(json.dumps(["a", {"k": 1}, {"k": 1}]))
    for name in ("x", "y", "z"):
        (tmp_path / f"{name}.in").write_text(name)
    sources = [
        origin(tmp_path, "range", first=3, last=5),
        origin(tmp_path, "lines", "s", log=str(tmp_path / "log")),
        origin(tmp_path, "json", "s", log=str(tmp_path / "json")),
        origin(tmp_path, "glob", "*.in"),
        origin(tmp_path, "values", '["a", "a", "b"]'),
        origin(tmp_path, "series", "1..2,1"),
    ]
    for source in sources:
        whole = list(items(source, lambda text: None))
        assert len(whole) == 3 and len({one.key for one in whole}) == 3
        for at, one in enumerate(whole):
            rest = list(items(source._replace(after=one.position), lambda text: None))
            assert rest == whole[at + 1 :], source.kind
    (tmp_path / "new.in").touch()
    assert len(list(items(sources[3], lambda text: None))) == 3, "what is listed once stays"


def test_a_key_is_of_the_item_and_of_what_is_done_with_it(tmp_path: Path) -> None:
    one = next(items(origin(tmp_path, "range", first=1, last=1), print))
    other = next(items(origin(tmp_path, "range", first=1, last=1, fingerprint=b"x"), print))
    assert one.key != other.key


@given(
    st.recursive(
        st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
        | st.text().map(lambda text: json.dumps(text, ensure_ascii=False)),
        lambda some: (
            st.lists(some).map(lambda each: f"[{','.join(each)}]")
            | st.dictionaries(st.from_regex(r"[a-z ]*", fullmatch=True), some).map(
                lambda each: "{" + ",".join(f'"{name}":{value}' for name, value in each.items()) + "}"
            )
        ),
    )
)
def test_json_is_written_as_it_was_read(text: str) -> None:
    value = literal.read(text.encode("utf-8", "surrogatepass"))
    assert literal.write(value) == text
    assert literal.write(literal.read(literal.write(value, is_ascii=True).encode())) == text


def test_a_line_that_can_be_no_item_ends_the_source(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\nb\0c\n")
    with pytest.raises(NoSource, match="NUL"):
        list(items(origin(tmp_path, "lines", "s", log=str(tmp_path / "log")), print))
    with pytest.raises(NoSource, match="as it was skipped"):
        list(items(origin(tmp_path, "lines", "s"), print))


def test_a_file_that_is_open_for_writing_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with open(path, "w") as file:
        assert is_written(str(path))
        file.write("x")
    assert not is_written(str(path))
    with open(path):
        assert not is_written(str(path)), "a reader is no writer"


# How many workers -----------------------------------------------------------------------------------------------------


def step(workers: int, running: int, queued: int, done: int, lacks: str | None = None) -> StepItems:
    return StepItems("s", workers, running, queued, queued, 0, 0, done, 0, 0, lacks)


def play(per_worker: float, useful: int, most: int = 16, looks: int = 60, lacks: str | None = None) -> list[int]:
    """Workers over time where more than so many bring nothing."""
    balance, workers, done, found = Balance(most, 0), 1, 0.0, [1]
    for look in range(1, looks):
        done += per_worker * min(workers, useful) * LOOK_US / 1e6
        changed = balance.look(look * LOOK_US, step(workers, workers, 9, int(done), lacks))
        workers = changed[0] if changed else workers
        found.append(workers)
    return found


def test_workers_grow_as_long_as_it_helps() -> None:
    assert play(50, useful=16)[-1] == 16
    grown = play(200, useful=4)
    assert 4 <= grown[-1] <= 6 and max(grown) <= 9, grown


def test_workers_that_wait_for_a_job_do_not_grow() -> None:
    assert set(play(50, useful=16, lacks="slot")) == {1}


def test_idle_workers_become_fewer() -> None:
    balance, workers = Balance(8, 0), 8
    for look in range(1, 60):
        changed = balance.look(look * LOOK_US, step(workers, 1, 0, look))
        if changed is not None:
            assert changed[0] == workers - 1 and "idle" in changed[1]
            workers = changed[0]
    assert 2 <= workers < 8


# How many items to a call ---------------------------------------------------------------------------------------------


@given(item_us=st.integers(1, 400_000), call_us=st.integers(0, 9_000), later_us=st.integers(1, 400_000))
def test_a_lot_comes_to_take_about_as_long_as_a_call_should_and_follows_a_change(
    item_us: int, call_us: int, later_us: int
) -> None:
    lot, size = Lot(256, 1), 1
    for us in (item_us, later_us):
        for _ in range(200):
            size = lot.took(size, call_us + us * size) or size
        assert size in (1, 256) or CALL_US / 2 <= call_us + us * size <= 2 * CALL_US
        assert size > 1 or call_us + us > CALL_US / 2, "it could be more"
        assert size < 256 or call_us + us * size <= 2 * CALL_US


def test_one_slow_call_is_enough_to_take_less() -> None:
    lot = Lot(256, 64)
    assert lot.took(64, 6_400_000) == 1


# Logs -----------------------------------------------------------------------------------------------------------------


def test_a_log_is_cut_to_its_newest_lines_while_it_is_written_to(tmp_path: Path) -> None:
    logs = Logs(str(tmp_path))
    with open(tmp_path / "a", "ab", buffering=0) as log:
        log.write(b"small\n")
        assert logs.look(0, ["a", "none"]) == {} and logs.look_at_us == LOOK_AT_LOGS_US
        log.write(b"x" * 79 + b"\n")
        for _ in range(LOG_MAX // 80):
            log.write(b"y" * 79 + b"\n")
        less = logs.look(LOOK_AT_LOGS_US, ["a"])["a"]
        assert logs.look_at_us < 2 * LOOK_AT_LOGS_US, "it grows fast"
        log.write(b"last\n")
    first, *lines = (tmp_path / "a").read_bytes().splitlines()
    assert first.startswith(b"[stagebook: ") and b"bytes left out here" in first
    assert lines[-1] == b"last" and set(lines[:-1]) == {b"y" * 79} and 80 * len(lines) <= LOG_KEPT + 80
    assert less > LOG_MAX - LOG_KEPT - 200
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert logs.cut("link") == 0


def test_what_is_left_out_of_a_log_counts_from_its_beginning_however_often_it_is_cut(tmp_path: Path) -> None:
    logs = Logs(str(tmp_path))
    whole = b""
    for size in (3 * LOG_KEPT, LOG_KEPT, 5):
        said = b"".join(b"%d %d\n" % (size, number) for number in range(size // 10 + 1))
        whole += said
        with open(tmp_path / "a", "ab") as log:
            log.write(said)
        logs.cut("a")
        there = (tmp_path / "a").read_bytes()
        gone, note = left_out(there[:200])
        assert gone and there[note:] == whole[gone:]
    assert left_out(b"[stagebook: 7 bytes left out here, log-limit 7]\n") == (0, 0)
    assert left_out(b"") == (0, 0)


def test_what_is_written_while_a_log_is_read_to_be_cut_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, log = os.pread, tmp_path / "a"
    log.write_bytes(b"line\n" * LOG_KEPT)

    def read_while_written_to(fd: int, count: int, at: int) -> bytes:
        data = read(fd, count, at)
        if count > LOG_KEPT:
            with open(log, "ab") as more:
                more.write(b"late\n")
        return data

    monkeypatch.setattr(os, "pread", read_while_written_to)
    Logs(str(tmp_path)).cut("a")
    assert log.read_bytes().endswith(b"line\nlate\n")


def test_what_an_item_that_is_done_has_left_goes_and_what_one_that_failed_has_left_stays(tmp_path: Path) -> None:
    kept = Kept(str(tmp_path), "work", 2, 0)
    kept.add([(str(number), None) for number in range(1, 5)])
    for number in range(1, 5):
        Path(kept.directory(number), "file").touch()
        kept.say(number, 0, {"x": "1"}, False)
    Path(kept.folder, "0.0.items").touch()
    kept.close()
    again = Kept(str(tmp_path), "work", 2, 4, {2})
    asked: list[int] = []

    def is_dead(number: int) -> bool:
        asked.append(number)
        return number == 3

    again.add([("fresh", None)])
    again.directory(5)
    again.done([5])
    assert os.listdir(again.directory(2)) == ["file"], "what was spared goes to others"
    again.tidy(is_dead)
    assert sorted(os.listdir(again.folder)) == ["2", "2.0.out", "3", "names.jsonl"] and sorted(asked) == [1, 3, 4]
    assert again.done([2]) == [] and sorted(os.listdir(again.folder)) == ["3", "names.jsonl"]
    again.close()
