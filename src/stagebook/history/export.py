"""The tables of the history for other programs: rows with names and units as JSON documents have them, and Parquet.

Times become ISO 8601, durations seconds; a row names its run by its id. What only the index needs is left out.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Float, Integer, String, select

from stagebook.history.schema import TABLES, runs
from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record.clock import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from sqlalchemy import Connection

_INNER = frozenset(["id", "run_id", "is_final", "journal_size", "journal_ino", "journal_mtime_ns", "journal_ctime_ns"])
_TIMES = frozenset(["started_us", "finished_us"])
#: Parquet holds so many rows in one group.
GROUP = 50_000


class Column(NamedTuple):
    """`kind` is `text`, `time`, `whole`, `number` or `flag`; `say` makes of what is stored what is told."""

    name: str
    kind: str
    say: Callable[[Any], Any]


def columns(table: str) -> list[Column]:
    """Of `runs`, `stages`, `attempts` or `tests`; of all but the first, `run` and `pipeline` stand before the rest."""
    own = [_column(column) for column in TABLES[table].columns if column.name not in _INNER]
    if table == "runs":
        return own
    return [Column("run", "text", _same), Column("pipeline", "text", _same), *own]


def rows(connection: Connection, table: str) -> Iterator[list[Any]]:
    """All rows, those of the oldest run first, in the order of `columns`; a part of them at a time is in memory."""
    of = TABLES[table]
    known = [column for column in of.columns if column.name not in _INNER]
    if table == "runs":
        asked = select(*known).order_by(runs.c.run)
    else:
        asked = select(runs.c.run, runs.c.pipeline, *known).join_from(runs, of, of.c.run_id == runs.c.id)
        order = [of.c[name] for name in ("stage", "attempt", "id") if name in of.c]
        asked = asked.order_by(runs.c.run, *order)
    say = [column.say for column in columns(table)]
    for row in connection.execution_options(yield_per=5000).execute(asked):
        yield [None if value is None else one(value) for one, value in zip(say, row)]


def write_parquet(connection: Connection, table: str, path: str) -> None:
    """Write a table to a file. Raises SurroundingsError where pyarrow is missing, OSError."""
    try:
        import pyarrow  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError:
        raise SurroundingsError(
            "--format parquet needs pyarrow, which is not installed: pip install 'stagebook[parquet]'"
        ) from None
    kinds = {
        "text": pyarrow.string(), "time": pyarrow.timestamp("us", tz="UTC"), "whole": pyarrow.int64(),
        "number": pyarrow.float64(), "flag": pyarrow.bool_(),
    }  # fmt: skip
    known = columns(table)
    schema = pyarrow.schema([(column.name, kinds[column.kind]) for column in known])
    with parquet.ParquetWriter(path, schema) as writer:
        for some in _grouped(rows(connection, table)):
            arrays = [_array(pyarrow, column, values, kinds[column.kind]) for column, values in zip(known, zip(*some))]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _array(pyarrow: Any, column: Column, values: tuple[Any, ...], kind: Any) -> Any:
    if column.kind == "time":
        from stagebook.record.clock import epoch_us

        return pyarrow.array([None if each is None else epoch_us(each) for each in values], pyarrow.int64()).cast(kind)
    if column.kind == "text":  # a name may hold what is not UTF-8
        values = tuple(each and each.encode("utf-8", "backslashreplace").decode() for each in values)
    return pyarrow.array(values, kind)


def _grouped(told: Iterator[list[Any]]) -> Iterator[list[list[Any]]]:
    some: list[list[Any]] = []
    for row in told:
        some.append(row)
        if len(some) == GROUP:
            yield some
            some = []
    if some:
        yield some


def _column(column: Any) -> Column:
    name: str = column.name
    if name in _TIMES:
        return Column(name.removesuffix("_us"), "time", stamp)
    if name.endswith("_us"):
        return Column(f"{name.removesuffix('_us')}_s", "number", _seconds)
    if isinstance(column.type, Boolean):
        return Column(name, "flag", bool)
    if isinstance(column.type, Float):
        return Column(name, "number", _same)
    if isinstance(column.type, Integer):
        return Column(name, "whole", _same)
    assert isinstance(column.type, String), f"a column of a kind that is not told: {name}"
    return Column(name, "text", _same)


def _seconds(us: int) -> float:
    return us / 1e6


def _same(value: Any) -> Any:
    return value
