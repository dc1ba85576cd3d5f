"""The tables of `history.db`, as they are in this version. How a database gets to it is `migrations`; reads nothing.

Times are whole microseconds: `…_us` of a start or an end since 1970, all others durations. NULL is unknown.
`stages` is kept in the order of its key, so that all runs of one stage lie together: that is what is asked most.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table

#: The version of the schema, which is the name of the last revision in `migrations/versions`.
VERSION = 6

metadata = MetaData()

#: One row a run. `is_final`: it is over, and nobody can go on with it. `damaged`: why its journal cannot be read; then
#: only what its first line says and the journal's figures are known, and it is in no other table. `journal_size` is -1
#: where the journal must be read again. `others_cores`: cores that others than the run kept busy meanwhile, from the
#: start of its last engine on; `autogroup`: whether the kernel dealt cores to sessions before threads. `part`: some of
#: its stages were not selected, or of items only those that had failed before. `imported`: the system that recorded it.
runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String, nullable=False, unique=True),
    Column("pipeline", String),
    Column("file", String),
    Column("format", String),
    Column("digest", String),
    Column("mode", String),
    Column("jobs", Integer),
    Column("policy", String),
    Column("outcome", String),
    Column("reason", String),
    Column("is_final", Boolean, nullable=False),
    Column("started_us", Integer),
    Column("finished_us", Integer),
    Column("wall_us", Integer),
    Column("critical_path_us", Integer),
    Column("sum_us", Integer),
    Column("cpu_us", Integer),
    Column("max_parallel", Integer),
    Column("stages", Integer),
    Column("ran", Integer),
    Column("damaged", String),
    Column("journal_size", Integer, nullable=False),
    Column("journal_ino", Integer, nullable=False),
    Column("journal_mtime_ns", Integer, nullable=False),
    Column("journal_ctime_ns", Integer),
    Column("commit_sha", String),
    Column("branch", String),
    Column("dirty", Boolean),
    Column("others_cores", Float),
    Column("autogroup", Boolean),
    Column("part", Boolean),
    Column("imported", String),
)
Index("runs_started", runs.c.started_us)
Index("runs_file", runs.c.file, runs.c.run)
Index("runs_open", runs.c.is_final, sqlite_where=runs.c.is_final == 0)

#: One row a stage of a run that began or ended. `wall_us` and `wait_us` are those of its document; `work_us`, what it
#: used and what was around it are those of its last attempt. `company`: how many other stages ran meanwhile, on the
#: average; `delay_us`: how long its first process waited for a core; `device_busy`: share of the time for which the
#: disk under it was busy, whoever kept it so.
stages = Table(
    "stages",
    metadata,
    Column("stage", String, primary_key=True),
    Column("run_id", Integer, primary_key=True),
    Column("outcome", String),
    Column("reason", String),
    Column("flaky", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("started_us", Integer),
    Column("wall_us", Integer),
    Column("wait_us", Integer),
    Column("waited", String),
    Column("work_us", Integer),
    Column("cpu_us", Integer),
    Column("rss_bytes", Integer),
    Column("company", Float),
    Column("delay_us", Integer),
    Column("others_cores", Float),
    Column("device_busy", Float),
    Column("read_bytes", Integer),
    Column("write_bytes", Integer),
    sqlite_with_rowid=False,
)
Index("stages_run", stages.c.run_id)

#: One row an attempt.
attempts = Table(
    "attempts",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column("stage", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("outcome", String),
    Column("reason", String),
    Column("exit", Integer),
    Column("signal", Integer),
    Column("started_us", Integer),
    Column("wall_us", Integer),
    Column("wait_us", Integer),
    Column("waited", String),
    Column("cpu_us", Integer),
    Column("rss_bytes", Integer),
    Column("rss_method", String),
    Column("read_bytes", Integer),
    Column("write_bytes", Integer),
    Column("method", String),
    Column("log", String),
    Column("taken_back", Boolean, nullable=False),
    Column("company", Float),
    sqlite_with_rowid=False,
)

#: One row a test case in a report that an attempt left. `attempt` is NULL where the report cannot be told to belong to
#: one; `shard` is `2/4` for the second of four parts of a suite, and `suite` its name. `commit_sha` is that of the run.
tests = Table(
    "tests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", Integer, nullable=False),
    Column("stage", String, nullable=False),
    Column("attempt", Integer),
    Column("shard", String),
    Column("classname", String, nullable=False),
    Column("name", String, nullable=False),
    Column("file", String),
    Column("outcome", String, nullable=False),
    Column("seconds", Float),
    Column("message", String),
    Column("commit_sha", String),
    Column("suite", String),
)
Index("tests_run", tests.c.run_id)
Index("tests_case", tests.c.classname, tests.c.name, tests.c.commit_sha, tests.c.outcome)

#: What is known of the database itself: `written_by`, the Stagebook that made or upgraded it; `runs_mtime_ns`, when the
#: folder of runs had last changed by the time all of it was known here.
meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
    sqlite_with_rowid=False,
)

TABLES = {"runs": runs, "stages": stages, "attempts": attempts, "tests": tests}


def storable(text: str) -> str:
    """`text` as a database keeps it: a lone surrogate, which is no character, becomes an escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
