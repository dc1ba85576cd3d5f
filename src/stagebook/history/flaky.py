"""What passed and failed on the same commit: tests and stages that nobody changed between the two. Writes nothing.

Tries are compared within one commit, and within one run where its commit is not known or files were changed without
being committed. A test that failed on one commit and passed on another is no flake: the commit may have mended it.

A rate is of the tries on commits (or in runs) that had at least two of them, one of which passed: where it never passed
it may simply have been broken. Each matrix cell is by itself; the shards of a suite are one, as tests move among them.
"""

from __future__ import annotations

from sqlalchemy import and_, case, func, literal, or_, select

from stagebook.history import figures
from stagebook.history.schema import attempts, runs, tests
from stagebook.record.clock import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from sqlalchemy import Connection

FAILED = ("failure", "error", "timeout")
COMMITS_MAX = 20  #: of one flake that are listed
_WHAT = ("stage", "classname", "name", "file")  #: what a test is told from others by; `stage` is its suite


def _file() -> Any:
    return func.coalesce(tests.c.file, "")


def find(connection: Connection, pipeline: str | None = None, since_us: int | None = None) -> dict[str, Any]:
    """The document: flakes with most evidence first. What there was to look at is said where nothing was found."""
    chosen = []
    if pipeline is not None:
        chosen.append(runs.c.pipeline == pipeline)
    if since_us is not None:
        chosen.append(runs.c.started_us >= since_us)
    found = [
        *_flakes(connection, "test", _tests(), chosen),
        *_flakes(connection, "stage", _attempts(), chosen),
    ]
    found.sort(key=lambda one: (-one["mixed"], -one["failed"]["low"], one["stage"], one["classname"], one["name"]))
    return {
        "flaky": found,
        "looked_at": None if found else _looked_at(connection, chosen),
        "enough": figures.ENOUGH,
    }


def _of_one_commit(of: Any) -> Any:
    is_known = and_(of.c.commit_sha.is_not(None), or_(of.c.dirty.is_(None), of.c.dirty.is_(False)))
    return case((is_known, of.c.commit_sha))


def _keys(chosen: Sequence[Any]) -> Any:
    """Each run with the number of that within which its tries are of the same thing: the first run of its commit and of
    its pipeline file, or itself."""
    commit = _of_one_commit(runs)
    first = func.min(runs.c.id).over(partition_by=(commit, runs.c.digest, runs.c.file))
    key = case((commit.is_(None), runs.c.id), else_=first).label("key")
    return select(runs.c.id, runs.c.pipeline, runs.c.started_us, key).where(*chosen).cte("keys")


def _tests() -> Any:
    """What tries there are: who, which run, and how each ended."""
    stage, file = func.coalesce(tests.c.suite, tests.c.stage).label("stage"), _file().label("file")
    passed = (tests.c.outcome == "success").label("passed")
    counts = tests.c.outcome.in_(("success", *FAILED))
    return select(tests.c.run_id, stage, tests.c.classname, tests.c.name, file, passed).where(counts).cte("tries")


def _attempts() -> Any:
    """The same of stages. An attempt that was interrupted, or whose end a resume took back, says nothing of it."""
    nothing = literal("")
    passed = (attempts.c.outcome == "success").label("passed")
    counts = and_(
        attempts.c.outcome.in_(("success", *FAILED)),
        attempts.c.taken_back.is_(False),
        or_(attempts.c.reason.is_(None), attempts.c.reason != "interrupted"),
    )
    which = [nothing.label(name) for name in _WHAT[1:]]
    return select(attempts.c.run_id, attempts.c.stage, *which, passed).where(counts).cte("tries")


def _flakes(connection: Connection, kind: str, tries: Any, chosen: Sequence[Any]) -> list[dict[str, Any]]:
    ever_failed = select(*[tries.c[name] for name in _WHAT]).where(tries.c.passed.is_(False)).distinct().cte("failing")
    keys = _keys(chosen)
    who = [keys.c.pipeline, *[tries.c[name] for name in _WHAT]]
    failed_us = case((tries.c.passed.is_(False), keys.c.started_us))
    group = (
        select(
            *who,
            keys.c.key,
            func.sum(case((tries.c.passed, 1), else_=0)).label("passed"),
            func.sum(case((tries.c.passed, 0), else_=1)).label("failed"),
            func.min(failed_us).label("first_us"),
            func.max(failed_us).label("last_us"),
        )
        .join_from(tries, ever_failed, and_(*[tries.c[name] == ever_failed.c[name] for name in _WHAT]))
        .join(keys, keys.c.id == tries.c.run_id)
        .group_by(*who, keys.c.key)
        .having(func.count() > 1)
        .cte("groups")
    )
    whole = [group.c.pipeline, *[group.c[name] for name in _WHAT]]
    summed = (
        select(
            group,
            func.sum(group.c.passed + group.c.failed).over(partition_by=whole).label("of"),
            func.sum(group.c.failed).over(partition_by=whole).label("all_failed"),
            func.count().over(partition_by=whole).label("groups"),
        )
        .where(group.c.passed > 0)
        .cte("summed")
    )
    asked = select(summed, runs.c.run, _of_one_commit(runs).label("commit")).join_from(
        summed, runs, runs.c.id == summed.c.key
    )
    by_who: dict[tuple[str, ...], list[Any]] = {}
    for row in connection.execute(asked.where(summed.c.failed > 0).order_by(summed.c.last_us.desc())):
        by_who.setdefault(tuple(row[: 1 + len(_WHAT)]), []).append(row)
    return [_flake(connection, kind, rows) for rows in by_who.values()]


def _flake(connection: Connection, kind: str, rows: list[Any]) -> dict[str, Any]:
    """`rows` are its groups with both outcomes, the latest first."""
    pipeline, stage, classname, name, file = rows[0][: 1 + len(_WHAT)]
    message, last_stage = None, stage
    if kind == "test":
        message, last_stage = _last_failure(connection, pipeline, stage, classname, name, file)
    return {
        "kind": kind,
        "pipeline": pipeline,
        "stage": last_stage,
        "classname": classname,
        "name": name,
        "file": file or None,
        "failed": figures.rate(rows[0].all_failed, rows[0].of),
        "mixed": len(rows),
        "tried": rows[0].groups,
        "since": stamp(min(row.first_us for row in rows)),
        "last": stamp(rows[0].last_us),
        "message": message,
        "commits": [_evidence(row) for row in rows[:COMMITS_MAX]],
    }


def _evidence(row: Any) -> dict[str, Any]:
    return {
        "commit": row.commit,
        "run": row.run if row.commit is None else None,
        "failed": row.failed,
        "of": row.failed + row.passed,
        "last": stamp(row.last_us),
    }


def _last_failure(
    connection: Connection, pipeline: str | None, stage: str, classname: str, name: str, file: str
) -> Any:
    """Message and stage of the latest try that failed."""
    where = [tests.c.classname == classname, tests.c.name == name, tests.c.outcome.in_(FAILED)]
    where.append(runs.c.pipeline == pipeline)
    where += [func.coalesce(tests.c.suite, tests.c.stage) == stage, _file() == file]
    asked = select(tests.c.message, tests.c.stage).join_from(tests, runs, runs.c.id == tests.c.run_id)
    row = connection.execute(asked.where(*where).order_by(runs.c.started_us.desc(), tests.c.id.desc()).limit(1)).first()
    return row or (None, stage)


def _looked_at(connection: Connection, chosen: Sequence[Any]) -> dict[str, int]:
    """How many tests and stages are on record, and on how many commits there was more than one run."""
    counts = {}
    for name, tries in (("tests", _tests()), ("stages", _attempts())):
        known = select(*[tries.c[name] for name in _WHAT]).join_from(tries, runs, runs.c.id == tries.c.run_id)
        known = known.where(*chosen).distinct()
        counts[name] = connection.execute(select(func.count()).select_from(known.subquery())).scalar_one()
    commit = _of_one_commit(runs).label("commit")
    again = select(commit).where(*chosen, commit.is_not(None)).group_by(commit).having(func.count() > 1)
    counts["commits"] = connection.execute(select(func.count()).select_from(again.subquery())).scalar_one()
    return counts
