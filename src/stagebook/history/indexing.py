"""Brings the tables up to what the journals say: of the runs that are new, have grown or were damaged. Reads the rest
of the disk as little as it can.

The size, inode and times of a journal tell whether it is as it was when it was read. Of runs that are over for good,
which only damage changes, only the latest are looked at: to look at a hundred thousand takes a second. Whether
there are new ones is told by the time of the folder of runs, unless that is too fresh to trust. Rows of runs whose
directories are gone stay; of a damaged one there is nothing but that it is damaged.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from itertools import islice
from operator import itemgetter

from sqlalchemy import bindparam, delete, func, insert, select
from sqlalchemy import update as update_rows

from stagebook.history import reading
from stagebook.history.schema import attempts, meta, runs, stages, storable, tests
from stagebook.record.runs import ids
from stagebook.record.state import (
    first_report,
    journal_path,
    report_name,
    reports_directory,
    run_directory,
    runs_directory,
    workspaces_directory,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator

    from sqlalchemy import Connection, Table

LOOKED_AT = 5000  #: of the latest runs, also those that are over for good
AT_ONCE = 500  #: runs that are written together
ROWS_MAX = 50_000  #: rows of a table that are kept before they are written
#: A folder that was changed so little ago may change once more without another time.
FRESH_NS = 2_000_000_000
YOUNG_S = 86_400.0  #: a directory without a journal that is older will not get one
_FOLDER = "runs_mtime_ns"
_REPORT = ".xml"


class Damaged(Exception):
    """A database that can only be made anew."""


def update(
    connection: Connection, state: str, progress: Callable[[int, int], None], unread: Callable[[str], None]
) -> None:
    """Read what is new, in transactions of its own; `unread` is told which report was not read to its end, and why.
    Raises DBAPIError, Damaged, SurroundingsError."""
    todo, folder_ns = _to_read(connection, state)
    connection.rollback()
    done = 0
    waiting = iter(todo)
    while some := list(islice(waiting, AT_ONCE)):
        progress(done, len(todo))
        try:
            with connection.begin():
                is_one_to_come = _write(connection, state, some, unread)
        except OverflowError:
            with connection.begin():
                is_one_to_come = _write(connection, state, some, unread, is_careful=True)
        if is_one_to_come:
            folder_ns = None  # a journal that begins in a folder does not change the folder above
        done += len(some)
    if folder_ns is not None:
        with connection.begin():
            connection.execute(delete(meta).where(meta.c.key == _FOLDER))
            connection.execute(insert(meta), {"key": _FOLDER, "value": str(folder_ns)})


def _to_read(connection: Connection, state: str) -> tuple[list[tuple[str, int | None]], int | None]:
    """Runs to read, each with its id where it has one; and the time of the folder of runs, if it is to be noted."""
    folder = runs_directory(state)
    try:
        folder_ns = os.stat(folder).st_mtime_ns
    except OSError:
        return [], None
    now_ns = time.time_ns()
    is_settled = 0 <= folder_ns < now_ns - FRESH_NS
    noted = connection.execute(select(meta.c.value).where(meta.c.key == _FOLDER)).scalar()
    todo: list[tuple[str, int | None]] = []
    is_noted = noted == str(folder_ns)
    if not is_noted:
        known = {row[0] for row in connection.execute(select(runs.c.run))}
        todo = [(name, None) for name in reversed(ids(state)) if name not in known]
    gone = []
    columns = [runs.c.id, runs.c.run, runs.c.is_final, *[runs.c[name] for name in _FIGURES]]
    open_ones = connection.execute(select(*columns).where(runs.c.is_final == 0)).all()
    latest = connection.execute(select(*columns).order_by(runs.c.run.desc()).limit(LOOKED_AT)).all()
    for id, run, is_final, *before in {row.id: row for row in (*open_ones, *latest)}.values():
        if type(run) is not str:
            raise Damaged(f"it has a run that is called {run!r}")
        found = _figures(journal_path(run_directory(state, run)))
        if found is not None and before != found:
            todo.append((run, id))
        elif found is None and not is_final:
            gone.append({"gone": id})
    connection.rollback()
    if gone:
        with connection.begin():
            connection.execute(update_rows(runs).where(runs.c.id == bindparam("gone")).values(is_final=True), gone)
    return todo, folder_ns if is_settled and not is_noted else None


def _write(
    connection: Connection, state: str, some: list[tuple[str, int | None]], unread: Callable[[str], None],
    is_careful: bool = False,
) -> bool:  # fmt: skip
    """Read these runs and put them in the place of what is known of them; whether one has a journal yet to come."""
    next_id = (connection.execute(select(func.max(runs.c.id))).scalar() or 0) + 1
    fresh = _Fresh(connection, unread)
    is_one_to_come = False
    for name, id in some:
        directory = run_directory(state, name)
        path = journal_path(directory)
        figures = _figures(path)
        journal = None if figures is None else reading.read(directory, is_careful)
        if journal is None and figures is not None and id is not None:
            journal = reading.Journal({"is_final": False, "damaged": f"{path}: nothing is left in it"}, [], [], path)
        if journal is None or figures is None:
            is_one_to_come = is_one_to_come or _is_young(directory)
            continue
        if id is None:
            id, next_id = next_id, next_id + 1
        else:
            for table in (stages, attempts, tests):
                connection.execute(delete(table).where(table.c.run_id == id))
        fresh.add(id, journal, {**dict(zip(_FIGURES, figures)), "run": name, "id": id}, directory)
    fresh.write()
    return is_one_to_come


class _Fresh:
    """Rows that are to be written, many at once, but never so many that memory would tell."""

    def __init__(self, connection: Connection, unread: Callable[[str], None]) -> None:
        self._connection = connection
        self._unread = unread
        self._columns = [column.name for column in runs.columns]
        self._rows: dict[str, list[tuple[Any, ...]]] = {"runs": [], "stages": [], "attempts": [], "tests": []}

    def add(self, id: int, journal: reading.Journal, more: dict[str, Any], directory: str) -> None:
        rows = self._rows
        rows["runs"].append(tuple(map((journal.run | more).get, self._columns)))
        rows["stages"] += [(id, *row) for row in journal.stages]
        rows["attempts"] += [(id, *row) for row in journal.attempts]
        for case in _cases(directory, id, journal, self._unread):
            rows["tests"].append(case)
            if len(rows["tests"]) >= ROWS_MAX:
                self.write()
        if len(rows["attempts"]) >= ROWS_MAX:
            self.write()

    def write(self) -> None:
        rows, of_stage = self._rows, itemgetter(1)
        _insert(self._connection, runs, self._columns, rows["runs"])
        _insert(self._connection, stages, ("run_id", *reading.STAGE), sorted(rows["stages"], key=of_stage))
        _insert(self._connection, attempts, ("run_id", *reading.ATTEMPT), rows["attempts"])
        _insert(self._connection, tests, _CASE, rows["tests"])
        for each in rows.values():
            each.clear()


_FIGURES = ("journal_size", "journal_ino", "journal_mtime_ns", "journal_ctime_ns")


def _figures(path: str) -> list[int] | None:
    """What tells whether a journal has changed; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]


def _is_young(directory: str) -> bool:
    try:
        return os.stat(directory).st_mtime > time.time() - YOUNG_S
    except OSError:
        return False


def _insert(connection: Connection, table: Table, columns: Iterable[str], rows: list[tuple[Any, ...]]) -> None:
    """Many rows at once, as the driver takes them: to go through each one's columns would take as long as all else."""
    if rows:
        statement = insert(table).prefix_with("OR REPLACE").values({name: bindparam(name) for name in columns})
        compiled = statement.compile(connection.engine, column_keys=list(columns))
        order = [list(columns).index(name) for name in compiled.positiontup or ()]
        if order != sorted(order):
            rows = [tuple([row[at] for at in order]) for row in rows]
        try:
            connection.exec_driver_sql(str(compiled), rows)
        except UnicodeEncodeError:
            rows = [tuple([storable(cell) if isinstance(cell, str) else cell for cell in row]) for row in rows]
            connection.exec_driver_sql(str(compiled), rows)


# Test cases -------------------------------------------------------------------------------------------------------

_CASE = (
    "run_id", "stage", "attempt", "shard", "classname", "name", "file", "outcome", "seconds", "message", "commit_sha",
    "suite",
)  # fmt: skip


def _cases(
    directory: str, id: int, journal: reading.Journal, unread: Callable[[str], None]
) -> Iterator[tuple[Any, ...]]:
    """The test cases in the reports that attempts of a run left, each from the first report of an attempt that has it;
    shards of a suite are one there. What is no report is left out."""
    folder = reports_directory(directory)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_REPORT))
    except OSError:
        return
    if not names or journal.run.get("damaged") is not None:
        return
    from stagebook.model.problem import Problem, StagebookError

    junit = __import__("stagebook.history.junit", fromlist=("read",))
    stage_at, attempt_at = (reading.ATTEMPT.index(column) for column in ("stage", "attempt"))
    owners = {report_name(row[stage_at], row[attempt_at]): (row[stage_at], row[attempt_at]) for row in journal.attempts}
    parts = reading.parts(journal)
    commit = journal.run.get("commit_sha")
    told = []
    for name in names:
        first = first_report(name)
        stage, attempt = owners.get(first, (first.removesuffix(_REPORT), None))
        suite, shard = parts.get(stage, (None, None))
        told.append((name, stage, attempt, suite, shard))
    lots = Counter((suite or stage, attempt) for _, stage, attempt, suite, _ in told)
    known: dict[tuple[Any, ...], str] = {}  #: in which report a test was first, where there are several to look in
    for name, stage, attempt, suite, shard in told:
        lot = (suite or stage, attempt)
        notes: list[Problem] = []
        try:
            for case in junit.read(os.path.join(folder, name), notes):
                file = _in_workspace(directory, case.file)
                if lots[lot] > 1 and known.setdefault((*lot, case.classname, case.name, file), name) != name:
                    continue
                yield (
                    id, stage, attempt, shard, case.classname, case.name, file, case.outcome, case.seconds,
                    case.message, commit, suite,
                )  # fmt: skip
        except (StagebookError, OSError, ValueError):
            continue
        for note in notes:
            unread(f"{note.file}{f':{note.line}' if note.line else ''}: {note.message}")


def _in_workspace(directory: str, file: str | None) -> str | None:
    """The path of a test's file; of one in a workspace, which is another each time, the path in there."""
    if file is None or not file.startswith("/"):
        return file
    state, run = os.path.dirname(os.path.dirname(directory)), os.path.basename(directory)
    above = f"{os.path.join(workspaces_directory(state), run)}/"
    return file[len(above) :].partition("/")[2] if file.startswith(above) else file
