"""`history.db`: opened, made, upgraded, set aside when damaged, and asked. What is in it comes from `indexing`.

It lies beside `runs/` and can be made anew from there at any time. Whoever asks brings it up to date first, one process
at a time. Nothing that stands in the way keeps an answer back for long: where another process holds the database, what
it held before answers; where nothing can be written, a database of this process alone does. What was done instead is
told in one line. A run never comes here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import time
from functools import partial

from sqlalchemy import create_engine, event, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from stagebook import __version__
from stagebook.history import indexing
from stagebook.history.indexing import Damaged
from stagebook.history.schema import VERSION, attempts, meta, runs, stages, tests
from stagebook.model.problem import SurroundingsError
from stagebook.record.state import journal_path, refuse_links, run_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    from sqlalchemy import Connection, Engine, Table

    Answer = TypeVar("Answer")

NAME = "history.db"
PATIENCE_S = 2.0  #: how long another process that holds the database is waited for
_LOOK_S = 0.02
_ASIDE = ("-wal", "-shm", "-journal")

#: SQLite's result codes, by what they mean here
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
#: What can go wrong with a database; SQLite quotes what it cannot read, so that not even the message need be text.
_ODD = (DBAPIError, Damaged, UnicodeDecodeError)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH)


class Voice:
    """Who is told of what was done otherwise than usual (`note`, one line), how far reading is (`progress`), and of a
    report that was not read to its end (`unread`, one line)."""

    def __init__(
        self, note: Callable[[str], None] | None = None, progress: Callable[[int, int], None] | None = None,
        unread: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self.note = note or (lambda text: None)
        self.progress = progress or (lambda done, total: None)
        self.unread = unread or (lambda text: None)


def ask(
    state: str, question: Callable[[Connection], Answer], voice: Voice | None = None, is_change: bool = False
) -> Answer:
    """What `question` finds in the history of a state directory, once that is up to date as far as it can be.

    It is asked again if the database turns out to be damaged. With `is_change` it changes the database, and is only
    asked where that will last. Raises SurroundingsError.
    """
    voice = voice or Voice()
    if not _is_writable(state):
        if is_change:
            raise SurroundingsError(f"cannot write {os.path.join(state, NAME)}: it is read-only, or not there")
        return _ask_beside(state, question, voice)
    held = _turn(state)
    if held is None:
        if is_change:
            raise SurroundingsError(f"{os.path.join(state, NAME)} is being brought up to date by another process")
        voice.note(f"{NAME} is being brought up to date by another process; what follows is as of before")
        return _ask_held(state, question, voice)
    try:
        return _ask_own(state, question, voice, is_change, held)
    finally:
        os.close(held)


def ask_without(state: str, question: Callable[[Connection], Answer], voice: Voice | None = None) -> Answer:
    """What `question` finds in a database in memory, made of the journals: where `ask` cannot write its own. Raises
    SurroundingsError."""
    return _ask_beside(state, question, voice or Voice())


def rebuild(state: str, voice: Voice | None = None) -> tuple[int, list[str]]:
    """Make the database anew from all journals that are there, and put it in the old one's place; how many runs were
    read, and which journals are damaged. What the old one remembers of runs whose journals are gone is taken over.
    Raises SurroundingsError."""
    voice = voice or Voice()
    path = os.path.join(state, NAME)
    held = _turn(state)
    if held is None:
        raise SurroundingsError(f"{path} is being brought up to date by another process")
    draft = f"{path}.new"
    try:
        _remove(draft)
        engine = _engine(draft)
        try:
            with engine.connect() as connection:
                _migrate(connection)
                indexing.update(connection, state, voice.progress, voice.unread)
                rows = connection.execute(select(runs.c.run, runs.c.damaged)).all()
                connection.rollback()
                damaged = [run for run, why in rows if why is not None]
                empty = _take_over(connection, path, state, voice)
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            engine.dispose()
        for suffix in _ASIDE:
            _unlink(path + suffix)
        os.replace(draft, path)
        return len(rows) - len(damaged), sorted([*damaged, *empty])
    except (OSError, *_ODD) as error:
        raise _failure(path, error) from error
    finally:
        _remove(draft)
        os.close(held)


def _take_over(connection: Connection, path: str, state: str, voice: Voice) -> list[str]:
    """What the database at `path` knows of runs that are not known here: their journals are not there any more. Which
    of them still have one, in which nothing is left; of these nothing is taken over."""
    empty: list[str] = []
    if not os.path.exists(path):
        return empty
    engine = _engine(path)
    try:
        with engine.connect() as old:
            _at_this_version(old, path)
        driver: Any = connection.connection.driver_connection
        driver.execute("ATTACH DATABASE ? AS old", (f"file:{_quoted(path)}?mode=ro",))
        with connection.begin():
            offset = connection.execute(text("SELECT coalesce(max(id), 0) FROM main.runs")).scalar_one()
            asked = text(
                f"SELECT id, run FROM old.runs WHERE {_is_readable(runs)} AND run NOT IN (SELECT run FROM main.runs)"
            )
            gone = []
            for id, run in connection.execute(asked):
                if os.path.exists(journal_path(run_directory(state, run))):
                    empty.append(run)
                else:
                    gone.append({"id": id})
            connection.execute(text("CREATE TEMPORARY TABLE forgotten (id INTEGER PRIMARY KEY)"))
            if gone:
                connection.execute(text("INSERT INTO forgotten VALUES (:id)"), gone)
            for table in (tests, attempts, stages, runs):
                names = [column.name for column in table.columns if table is not tests or column.name != "id"]
                key = "id" if table is runs else "run_id"
                told = ", ".join(f"{name} + {offset}" if name == key else name for name in names)
                connection.execute(
                    text(
                        f"INSERT INTO main.{table.name} ({', '.join(names)}) SELECT {told} FROM old.{table.name} "
                        f"WHERE {key} IN (SELECT id FROM temp.forgotten) AND {_is_readable(table)}"
                    )
                )
    except (sqlite3.Error, *_ODD):
        voice.note(f"{NAME} was damaged: what only it remembered, of runs whose directories are gone, is lost")
    finally:
        engine.dispose()
    return empty


def _is_readable(table: Table) -> str:
    """As SQL: that the cells of a row are of the types of their columns, which SQLite does not ask."""
    kinds = {"VARCHAR": "text", "INTEGER": "integer", "BOOLEAN": "integer", "FLOAT": "integer', 'real"}
    return " AND ".join(f"typeof({column.name}) IN ('null', '{kinds[str(column.type)]}')" for column in table.columns)


# The ways to an answer --------------------------------------------------------------------------------------------


def _ask_own(state: str, question: Callable[[Connection], Answer], voice: Voice, is_change: bool, held: int) -> Answer:
    """While this process alone brings the database up to date. The turn is given back for a question that only reads,
    which may take as long as whoever reads the answer."""
    path = os.path.join(state, NAME)
    for is_last in (False, True):
        if not _wait(held, path):
            raise SurroundingsError(f"{path} is being brought up to date by another process")
        engine = _engine(path)
        try:
            with engine.connect() as connection:
                _bring_up(connection, state, path, voice)
                if not is_change:
                    fcntl.flock(held, fcntl.LOCK_UN)
                return _asked(connection, question)
        except _ODD as error:
            if _means(error, _BUSY):
                if is_change:
                    raise SurroundingsError(f"{path} is held by another process") from error
                voice.note(f"{NAME} is held by another process; what follows is as of before")
                return _ask_held(state, question, voice)
            if is_last or not _is_damage(error):
                raise _failure(path, error) from error
            engine.dispose()
            voice.note(f"{NAME} was damaged: {_set_aside(path)} is what it was, and it is made anew from the journals")
        finally:
            engine.dispose()
    raise AssertionError("the last try answers or raises")


def _bring_up(connection: Connection, state: str, path: str, voice: Voice) -> None:
    """To the schema of this version, and to what the journals say."""
    version = _version(connection)
    if version > VERSION:
        raise _too_new(connection, path, version)
    if version < VERSION:
        if version:
            copy = _copy(connection, path, version)
            voice.note(f"{NAME} is upgraded from schema {version} to {VERSION}; {copy} is a copy of the old one")
        _migrate(connection)
    indexing.update(connection, state, voice.progress, voice.unread)


def _ask_held(state: str, question: Callable[[Connection], Answer], voice: Voice) -> Answer:
    """Of what the database held before; where not even that can be read, of one that is made for this question."""
    engine = _engine(os.path.join(state, NAME), is_read_only=True)
    try:
        with engine.connect() as connection:
            if _version(connection) == VERSION:
                return _asked(connection, question)
    except _ODD:
        pass
    finally:
        engine.dispose()
    return _ask_beside(state, question, voice)


def _ask_beside(state: str, question: Callable[[Connection], Answer], voice: Voice) -> Answer:
    """Of a database that is this process's alone and is gone with it: what the file holds, and what has come since."""
    path = os.path.join(state, NAME)
    if os.path.isdir(state):
        voice.note(f"{path} cannot be written; the journals are read for this answer only")
    for source in (path, None):
        engine = create_engine("sqlite://", creator=partial(_private, source), poolclass=StaticPool)
        _begin_ourselves(engine)
        try:
            with engine.connect() as connection:
                _at_this_version(connection, path)
                indexing.update(connection, state, voice.progress, voice.unread)
                return _asked(connection, question)
        except _ODD as error:
            if source is None:
                raise _failure(path, error) from error
        finally:
            engine.dispose()
    raise AssertionError("the last try answers or raises")


def _asked(connection: Connection, question: Callable[[Connection], Answer]) -> Answer:
    with connection.begin():
        return question(connection)


# SQLite -----------------------------------------------------------------------------------------------------------


def _engine(path: str, is_read_only: bool = False) -> Engine:
    engine = create_engine("sqlite://", creator=partial(_connected, path, is_read_only), poolclass=StaticPool)
    _begin_ourselves(engine)
    return engine


def _connected(path: str, is_read_only: bool) -> sqlite3.Connection:
    if not is_read_only:
        _make_private(path)
    uri = f"file:{_quoted(path)}?mode={'ro' if is_read_only else 'rw'}"
    connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE_S, isolation_level=None)
    try:
        if not is_read_only and connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -65536")
        connection.execute("PRAGMA mmap_size = 1073741824")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_private(path: str) -> None:
    """An empty file for nobody else's eyes; SQLite gives those beside it the same rights. Raises SurroundingsError."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600))
    except OSError as error:
        raise _failure(path, error) from error


def _private(path: str | None) -> sqlite3.Connection:
    """A database in memory, which SQLite moves to a temporary file when it is large; with what the file holds."""
    connection = sqlite3.connect("", isolation_level=None)
    if path is not None and os.path.exists(path):
        try:
            has_log = os.path.exists(path + "-wal") and os.path.getsize(path + "-wal") > 0
            way = "mode=ro" if has_log else "immutable=1"
            source = sqlite3.connect(f"file:{_quoted(path)}?{way}", uri=True, timeout=0.1)
            try:
                source.backup(connection)
            finally:
                source.close()
        except (sqlite3.Error, OSError):
            connection.close()
            connection = sqlite3.connect("", isolation_level=None)
    return connection


def _begin_ourselves(engine: Engine) -> None:
    """Python's driver begins no transaction before DDL; so none is left to it."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")


def _version(connection: Connection) -> int:
    """The number of the schema; 0 for a new file. Raises Damaged for what cannot be the name of a revision."""
    has_table = "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
    if not connection.execute(text(has_table)).scalar():
        connection.rollback()
        return 0
    name = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    connection.rollback()
    if not isinstance(name, str) or not name.isdigit():
        raise Damaged(f"its schema is {name!r}")
    return int(name)


def _migrate(connection: Connection) -> None:
    """Run the revisions that are missing, all in one transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", os.path.join(os.path.dirname(__file__), "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with connection.begin():
        command.upgrade(config, "head")
        connection.execute(meta.delete().where(meta.c.key == "written_by"))
        connection.execute(insert(meta), {"key": "written_by", "value": __version__})


def _at_this_version(connection: Connection, path: str) -> None:
    """To the schema that is known here. Raises SurroundingsError where it has a newer one."""
    version = _version(connection)
    if version > VERSION:
        raise _too_new(connection, path, version)
    if version < VERSION:
        _migrate(connection)


def _too_new(connection: Connection, path: str, version: int) -> SurroundingsError:
    try:
        maker = connection.execute(select(meta.c.value).where(meta.c.key == "written_by")).scalar()
    except DBAPIError:
        maker = None
    need = f"Stagebook {maker} or newer" if maker else "a newer Stagebook"
    return SurroundingsError(
        f"{path} has schema {version}; this Stagebook, {__version__}, knows {VERSION}: it takes {need} to read it, or "
        "move the file away, and it is made anew from the journals"
    )


def _copy(connection: Connection, path: str, version: int) -> str:
    """Keep what there is before it is changed; the name of the copy."""
    target = _free(f"{path}.v{version}-{time.strftime('%Y%m%dT%H%M%S')}")
    source: Any = connection.connection.driver_connection
    _make_private(target)
    copy = sqlite3.connect(f"file:{_quoted(target)}", uri=True)
    try:
        source.backup(copy)
    except sqlite3.Error as error:
        raise _failure(target, error) from error
    finally:
        copy.close()
    return os.path.basename(target)


def _set_aside(path: str) -> str:
    target = _free(f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    try:
        os.rename(path, target)
    except OSError as error:
        raise SurroundingsError(f"cannot move {path} aside: {error.strerror}") from error
    for suffix in _ASIDE:
        if os.path.exists(path + suffix):
            os.rename(path + suffix, target + suffix)
    return os.path.basename(target)


def _free(path: str) -> str:
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = f"{path}-{number}"
    return free


def _quoted(path: str) -> str:
    """A path as it stands in SQLite's file: names, whatever bytes it has."""
    plain = b"/-_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return "".join(chr(byte) if byte in plain else f"%{byte:02x}" for byte in os.fsencode(path))


def _remove(path: str) -> None:
    for name in (path, *(path + suffix for suffix in _ASIDE)):
        _unlink(name)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


# What stands in the way -------------------------------------------------------------------------------------------


def _is_writable(state: str) -> bool:
    path, cache = os.path.join(state, NAME), os.path.join(state, "cache")
    return (
        os.access(state, os.W_OK)
        and (not os.path.exists(path) or os.access(path, os.R_OK | os.W_OK))
        and (not os.path.exists(cache) or os.access(cache, os.W_OK))
    )


def _turn(state: str) -> int | None:
    """The turn to bring the database up to date, until the descriptor is closed; None where another process keeps it.

    Raises SurroundingsError.
    """
    refuse_links(state)
    path = os.path.join(state, "cache", "history.lock")
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise _failure(path, error) from error
    if _wait(fd, path):
        return fd
    os.close(fd)
    return None


def _wait(fd: int, path: str) -> bool:
    """Whether the turn was had in time. Raises SurroundingsError."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)
        except OSError as error:
            raise SurroundingsError(f"cannot lock {path}: {error.strerror}") from error


def _code(error: BaseException) -> int:
    origin: Any = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(origin, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else 0


def _means(error: BaseException, codes: tuple[int, ...]) -> bool:
    return _code(error) in codes


def _is_damage(error: DBAPIError | Damaged | UnicodeDecodeError) -> bool:
    """A file that is no database, or one of ours that lacks what ours have."""
    if isinstance(error, (Damaged, UnicodeDecodeError)):
        return True
    return _means(error, _DAMAGED) or "no such" in str(error.orig) or "already exists" in str(error.orig)


def _is_full(path: str) -> bool:
    """SQLite tells a full disk in several ways."""
    try:
        return os.statvfs(os.path.dirname(path)).f_bavail == 0
    except OSError:
        return False


def _failure(path: str, error: BaseException) -> SurroundingsError:
    if isinstance(error, OSError):
        return SurroundingsError(f"cannot write {path}: {error.strerror}")
    why = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    if isinstance(error, UnicodeDecodeError):
        why = "it is damaged"
    if _means(error, (sqlite3.SQLITE_FULL,)) or (_means(error, _FULL) and _is_full(path)):
        why = os.strerror(errno.ENOSPC)
    return SurroundingsError(f"cannot write {path}: {why}")
