"""`history.db` through its life: made, kept up, upgraded with a copy, refused when newer, set aside when damaged, and
asked although it is held by somebody else or cannot be written."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest
from sqlalchemy import create_engine, inspect, text
from tests.plan.past import DAY_US, NOW_US, RELEASE, Did, Past

from stagebook.history import indexing, schema, store
from stagebook.model.problem import SurroundingsError
from stagebook.record import lock

AROUND = {"run_delay_s": 0.5}
ROWS = [
    Did("build", 0, 10, cpu_s=4, around=AROUND), Did("unit", 10, 30, around=AROUND),
    Did("e2e", 10, 20, attempt=2, around=AROUND),
]  # fmt: skip


@pytest.fixture
def past(tmp_path: Path) -> Past:
    made = Past(tmp_path)
    for day in range(3):
        made.run(RELEASE, NOW_US - day * DAY_US, *ROWS)
    return made


class Told(store.Voice):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        super().__init__(self.notes.append)


def counts(state: str, voice: store.Voice | None = None, **more: Any) -> dict[str, int]:
    def question(connection: Any) -> dict[str, int]:
        return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar() for name in schema.TABLES}

    return store.ask(state, question, voice, **more)


WHOLE = {"runs": 3, "stages": 9, "attempts": 9, "tests": 0}


def database(past: Past) -> Path:
    return Path(past.state) / store.NAME


def test_it_is_made_and_then_only_what_is_new_is_read(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = Told()
    assert counts(past.state, voice) == WHOLE
    read: list[str] = []
    real = indexing.reading.read
    monkeypatch.setattr(indexing.reading, "read", lambda path, *more: (read.append(path), real(path, *more))[1])
    assert counts(past.state, voice) == WHOLE
    assert read == []
    path = past.run(RELEASE, NOW_US, *ROWS)
    assert counts(past.state, voice)["runs"] == 4
    assert read == [str(path.parent)]
    assert voice.notes == []


def test_a_run_that_grew_is_read_again(past: Past) -> None:
    path = past.run(RELEASE, NOW_US, *ROWS)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    before = counts(past.state)
    path.write_bytes(whole)
    after = counts(past.state)
    assert after["stages"] == before["stages"] + 2
    outcome = f"SELECT outcome FROM runs WHERE run = '{path.parent.name}'"
    assert store.ask(past.state, lambda connection: connection.execute(text(outcome)).scalar()) == "success"


def test_of_a_run_that_gets_damaged_nothing_is_kept_but_that(past: Past) -> None:
    """Also where the size and the time of its journal are as they were."""
    path = past.run(RELEASE, NOW_US, Did("build", 0, 10))
    before = counts(past.state)
    assert before["stages"] == 10
    found = path.stat()
    with path.open("r+b") as file:
        file.write(path.read_bytes().replace(b'"stage.ended"', b'"stage.endad"'))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert counts(past.state) == before | {"stages": 9, "attempts": 9}
    why = text("SELECT damaged FROM runs WHERE damaged IS NOT NULL")
    assert "is damaged" in store.ask(past.state, lambda connection: connection.execute(why).scalar())


def test_rows_of_runs_whose_directories_are_gone_stay(past: Past) -> None:
    open_one = past.run(RELEASE, NOW_US, Did("build", 0, None), is_over=False)
    before = counts(past.state)
    shutil.rmtree(open_one.parent.parent)
    assert counts(past.state) == before
    assert counts(past.state) == before


def test_a_journal_that_comes_late_is_not_missed(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FRESH_NS", 0)
    path = past.run(RELEASE, NOW_US, *ROWS)
    path.rename(path.with_name("aside"))
    assert counts(past.state)["runs"] == 3
    path.with_name("aside").rename(path)
    assert counts(past.state)["runs"] == 4


def test_a_folder_whose_time_lies_ahead_is_looked_at_each_time(past: Past) -> None:
    """As after the clock went back."""
    counts(past.state)
    ahead = NOW_US / 1e6 + 400 * 86_400
    folder = Path(past.state) / "runs"
    os.utime(folder, (ahead, ahead))
    counts(past.state)
    past.run(RELEASE, NOW_US, *ROWS)
    os.utime(folder, (ahead, ahead))
    assert counts(past.state)["runs"] == 4


def test_without_a_state_directory_nothing_is_made(tmp_path: Path) -> None:
    voice = Told()
    assert counts(str(tmp_path / ".stagebook"), voice)["runs"] == 0
    assert list(tmp_path.iterdir()) == []
    assert voice.notes == []


@pytest.mark.parametrize("damage", ["nothing", "torn"])
def test_a_rebuild_remembers_nothing_of_a_damaged_run(damage: str, past: Past) -> None:
    path = past.run(RELEASE, NOW_US, Did("build", 0, 10))
    counts(past.state)
    path.write_bytes(b"" if damage == "nothing" else path.read_bytes().replace(b'"stage.ended"', b'"stage.endad"'))
    assert store.rebuild(past.state) == (3, [path.parent.name])
    assert counts(past.state)["stages"] == 9
    assert store.rebuild(past.state) == (3, [path.parent.name] if damage == "torn" else [])


def test_a_journal_that_was_emptied_leaves_nothing(past: Past) -> None:
    path = past.run(RELEASE, NOW_US, Did("build", 0, 10))
    counts(past.state)
    path.write_bytes(b"")
    assert counts(past.state) == WHOLE | {"runs": 4}


# Versions ---------------------------------------------------------------------------------------------------------


def test_the_revisions_lead_to_the_tables_of_this_version(past: Past) -> None:
    counts(past.state)
    wanted = create_engine("sqlite://")
    schema.metadata.create_all(wanted)
    made = create_engine(f"sqlite:///{database(past)}")
    one, other = inspect(wanted), inspect(made)
    assert {*other.get_table_names()} == {*one.get_table_names(), "alembic_version"}
    for table in schema.metadata.sorted_tables:
        for look in ("get_pk_constraint", "get_unique_constraints"):
            assert getattr(other, look)(table.name) == getattr(one, look)(table.name), (table.name, look)
        indexes = [
            [(index["name"], index["column_names"], *map(str, index["dialect_options"].values())) for index in found]
            for found in (one.get_indexes(table.name), other.get_indexes(table.name))
        ]
        assert indexes[0] == indexes[1]
        columns = [
            sorted(
                (column["name"], str(column["type"]), column["nullable"]) for column in looked.get_columns(table.name)
            )
            for looked in (one, other)
        ]
        assert columns[0] == columns[1]
    for engine in (wanted, made):
        engine.dispose()


#: What each revision added: columns by table, indices, tables.
ADDED: dict[int, tuple[dict[str, tuple[str, ...]], tuple[str, ...], tuple[str, ...]]] = {
    5: ({"runs": ("part",)}, (), ()),
    6: ({"runs": ("imported",)}, (), ()),
    4: (
        {"runs": ("others_cores", "autogroup", "ran"),
         "stages": ("delay_us", "others_cores", "device_busy", "read_bytes", "write_bytes")},
        ("runs_file",), (),
    ),
    3: ({"runs": ("journal_ctime_ns",), "tests": ("suite",)}, (), ()),
    2: (
        {"runs": ("commit_sha", "branch", "dirty"), "stages": ("company",), "attempts": ("company",)},
        ("tests_run", "tests_case"), ("tests",),
    ),
}  # fmt: skip


def older(past: Past, version: int) -> None:
    """Take the database back to that schema, as a Stagebook of that time would have left it."""
    counts(past.state)
    raw = sqlite3.connect(database(past))
    for number in range(schema.VERSION, version, -1):
        columns, indices, tables = ADDED[number]
        for name in indices:
            raw.execute(f"DROP INDEX {name}")
        for table, names in columns.items():
            for name in names:
                raw.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        for name in tables:
            raw.execute(f"DROP TABLE {name}")
    raw.execute(f"UPDATE alembic_version SET version_num = '{version}'")
    raw.commit()
    raw.close()


@pytest.mark.parametrize(("version", "new"), [(1, "company"), (3, "delay_us")])
def test_r081_an_older_one_is_upgraded_and_a_copy_kept(version: int, new: str, past: Past) -> None:
    older(past, version)
    gone = sorted((Path(past.state) / "runs").iterdir())[0]
    shutil.rmtree(gone)
    voice = Told()
    assert counts(past.state, voice) == WHOLE
    copies = list(Path(past.state).glob(f"history.db.v{version}-*"))
    assert len(copies) == 1
    assert voice.notes == [
        f"history.db is upgraded from schema {version} to {schema.VERSION}; {copies[0].name} is a copy of the old one"
    ]
    copy = sqlite3.connect(copies[0])
    assert copy.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    assert copy.execute("SELECT version_num FROM alembic_version").fetchone() == (str(version),)
    assert new not in {row[1] for row in copy.execute("PRAGMA table_info(stages)")}
    copy.close()
    known = text(f"SELECT run_id, count({new}) FROM stages GROUP BY run_id ORDER BY run_id")
    found = store.ask(past.state, lambda connection: [tuple(row) for row in connection.execute(known)])
    assert sorted(count for _, count in found) == [0, 3, 3], "what is new is read again where the journal is there"
    assert counts(past.state, voice) == WHOLE
    assert len(voice.notes) == 1


def test_a_newer_one_is_refused_and_left_as_it_is(past: Past) -> None:
    counts(past.state)
    raw = sqlite3.connect(database(past))
    raw.execute("UPDATE alembic_version SET version_num = '7'")
    raw.execute("UPDATE meta SET value = '4.2' WHERE key = 'written_by'")
    raw.commit()
    raw.close()
    before = database(past).read_bytes()
    with pytest.raises(SurroundingsError, match=r"history\.db has schema 7; .* it takes Stagebook 4\.2 or newer"):
        counts(past.state)
    assert database(past).read_bytes() == before


# Damage -----------------------------------------------------------------------------------------------------------


def spoil_head(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def spoil_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def lose_a_table(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute("DROP TABLE stages")
    raw.commit()
    raw.close()


def name_no_version(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute("UPDATE alembic_version SET version_num = 'x'")
    raw.commit()
    raw.close()


@pytest.mark.parametrize("spoil", [spoil_head, spoil_middle, cut, lose_a_table, name_no_version])
def test_a_damaged_one_is_set_aside_and_made_anew(spoil: Any, past: Past) -> None:
    counts(past.state)
    spoil(database(past))
    before = database(past).read_bytes()
    voice = Told()
    assert counts(past.state, voice) == WHOLE
    kept = [path for path in Path(past.state).glob("history.db.damaged-*") if not path.name.endswith(("-wal", "-shm"))]
    assert len(kept) == 1
    assert len(kept[0].read_bytes()) == len(before)
    assert len(voice.notes) == 1
    assert kept[0].name in voice.notes[0]
    assert "was damaged" in voice.notes[0]
    assert counts(past.state, voice) == WHOLE
    assert len(voice.notes) == 1


def test_nobody_else_may_read_it(past: Past) -> None:
    counts(past.state)
    assert database(past).stat().st_mode & 0o777 == 0o600


def test_one_that_is_empty_is_filled(past: Past) -> None:
    database(past).touch()
    assert counts(past.state) == WHOLE


def test_r081_it_is_made_anew_on_demand_and_an_interrupted_draft_is_no_harm(past: Past) -> None:
    counts(past.state)
    raw = sqlite3.connect(database(past))
    raw.execute("DELETE FROM stages")
    raw.commit()
    raw.close()
    (Path(past.state) / "history.db.new").write_bytes(b"half")
    assert counts(past.state)["stages"] == 0
    assert store.rebuild(past.state) == (3, [])
    assert counts(past.state) == WHOLE
    assert [path.name for path in Path(past.state).glob("history.db*")] == ["history.db"]


def test_made_anew_it_still_remembers_runs_whose_directories_are_gone(past: Past) -> None:
    counts(past.state)
    for run in sorted((Path(past.state) / "runs").iterdir())[:2]:
        shutil.rmtree(run)
    past.run(RELEASE, NOW_US, Did("build", 0, 1))
    voice = Told()
    assert store.rebuild(past.state, voice) == (2, [])
    assert counts(past.state, voice) == {"runs": 4, "stages": 10, "attempts": 10, "tests": 0}
    assert voice.notes == []
    spoil_middle(database(past))
    assert store.rebuild(past.state, voice) == (2, [])
    assert counts(past.state)["runs"] == 2
    assert "is lost" in voice.notes[0]


def test_a_newer_one_is_not_made_anew_over(past: Past) -> None:
    counts(past.state)
    raw = sqlite3.connect(database(past))
    raw.execute("UPDATE alembic_version SET version_num = '7'")
    raw.commit()
    raw.close()
    with pytest.raises(SurroundingsError, match="has schema 7"):
        store.rebuild(past.state)
    assert database(past).exists()
    assert not list(Path(past.state).glob("*.new*"))


# Held by others ---------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PATIENCE_S", 0.2)


@pytest.fixture
def writer(past: Past) -> Iterator[sqlite3.Connection]:
    """Another process that is writing: readers are not in its way."""
    counts(past.state)
    raw = sqlite3.connect(database(past), isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    yield raw
    raw.close()


def test_while_another_writes_what_is_there_answers(past: Past, writer: sqlite3.Connection) -> None:
    past.run(RELEASE, NOW_US, *ROWS)
    voice = Told()
    assert counts(past.state, voice) == WHOLE
    assert voice.notes == ["history.db is held by another process; what follows is as of before"]
    writer.execute("ROLLBACK")
    assert counts(past.state, voice)["runs"] == 4


def test_while_another_keeps_it_to_itself_the_journals_answer(past: Past) -> None:
    counts(past.state)
    raw = sqlite3.connect(database(past), isolation_level=None)
    raw.execute("PRAGMA locking_mode = EXCLUSIVE")
    raw.execute("BEGIN EXCLUSIVE")
    raw.execute("DELETE FROM stages")
    voice = Told()
    assert counts(past.state, voice) == WHOLE
    assert len(voice.notes) == 2
    with pytest.raises(SurroundingsError, match="held by another process"):
        counts(past.state, is_change=True)
    raw.close()


def test_one_at_a_time_brings_it_up_to_date(past: Past) -> None:
    counts(past.state)
    fd = os.open(Path(past.state) / "cache" / "history.lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    past.run(RELEASE, NOW_US, *ROWS)
    voice = Told()
    assert counts(past.state, voice) == WHOLE
    assert "brought up to date by another process" in voice.notes[0]
    with pytest.raises(SurroundingsError, match="another process"):
        store.rebuild(past.state)
    os.close(fd)
    assert counts(past.state, voice)["runs"] == 4


def test_many_at_once_agree(past: Past, stagebook: str) -> None:
    asking = [
        subprocess.Popen(
            [stagebook, "stats", "build", "--json", "--dir", past.state],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(past.state).parent, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    answers = [process.communicate(timeout=60) for process in asking]
    assert {process.returncode for process in asking} == {0}
    assert {out for out, _ in answers} == {answers[0][0]}
    assert '"runs": 3' in answers[0][0]


# No room, no right ------------------------------------------------------------------------------------------------


def test_where_nothing_can_be_written_what_is_there_and_what_has_come_since_answers(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts(past.state)
    past.run(RELEASE, NOW_US, *ROWS)
    before = database(past).read_bytes()
    monkeypatch.setattr(store, "_is_writable", lambda state: False)
    voice = Told()
    assert counts(past.state, voice)["runs"] == 4
    assert voice.notes == [f"{database(past)} cannot be written; the journals are read for this answer only"]
    assert database(past).read_bytes() == before
    with pytest.raises(SurroundingsError, match="cannot write"):
        counts(past.state, is_change=True)
    spoil_head(database(past))
    assert counts(past.state)["runs"] == 4


def test_a_name_that_is_no_text_is_kept_as_an_escape(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE._replace(name="odd \udcff\0 '; DROP TABLE runs"), NOW_US, Did("build", 0, 1))
    name = store.ask(past.state, lambda connection: connection.execute(text("SELECT pipeline FROM runs")).scalar())
    assert name == "odd \\udcff\0 '; DROP TABLE runs"


def test_a_state_directory_may_be_called_anything(tmp_path: Path) -> None:
    odd = Past(tmp_path / "a ?mode=ro&x #%41 \udcfe")
    odd.run(RELEASE, NOW_US, *ROWS)
    assert counts(odd.state)["runs"] == 1
    assert database(odd).exists()


def test_a_running_run_is_never_held_up(past: Past) -> None:
    path = past.run(RELEASE, NOW_US, Did("build", 0, None), is_over=False)
    held = lock.take(str(path.parent))
    assert counts(past.state)["runs"] == 4
    lock.release(held)
