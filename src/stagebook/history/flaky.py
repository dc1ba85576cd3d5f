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
    from typing import Any

    from sqlalchemy import Connection, Select

FAILED = ("failure", "error", "timeout")
COMMITS_MAX = 20  #: of one flake that are listed
_WHO = ("pipeline", "stage", "classname", "name")


def find(connection: Connection, pipeline: str | None = None, since_us: int | None = None) -> dict[str, Any]:
    """The document: flakes with most evidence first, and what there was to look at."""
    found: list[dict[str, Any]] = []
    looked_at: dict[str, dict[str, int]] = {}
    for kind, tries in (("test", _of_tests(pipeline, since_us)), ("stage", _of_stages(pipeline, since_us))):
        found += _flakes(connection, kind, tries)
        looked_at[f"{kind}s"] = _looked_at(connection, tries)
    found.sort(key=lambda one: (-one["mixed"], -one["failed"]["low"], one["stage"], one["classname"], one["name"]))
    return {"flaky": found, "looked_at": looked_at, "enough": figures.ENOUGH}


def _key(has_digest: bool) -> Any:
    """Within what two tries are of the same thing: one text a commit or a run."""
    commit = literal("commit ") + runs.c.commit_sha
    if has_digest:
        commit = commit + " " + func.coalesce(runs.c.digest, "")
    is_known = and_(runs.c.commit_sha.is_not(None), or_(runs.c.dirty.is_(None), runs.c.dirty.is_(False)))
    return case((is_known, commit), else_=literal("run ") + runs.c.run).label("key")


def _of_tests(pipeline: str | None, since_us: int | None) -> Select[Any]:
    """One row a try: who, within what, when, and whether it passed."""
    stage = case((tests.c.shard.is_(None), tests.c.stage), else_="").label("stage")
    columns = (runs.c.pipeline, stage, tests.c.classname, tests.c.name, _key(False), runs.c.started_us)
    asked = select(*columns, (tests.c.outcome == "success").label("passed")).join_from(
        tests, runs, runs.c.id == tests.c.run_id
    )
    return _within(asked.where(tests.c.outcome.in_(("success", *FAILED))), pipeline, since_us)


def _of_stages(pipeline: str | None, since_us: int | None) -> Select[Any]:
    """Attempts. One that was interrupted, or whose end a resume took back, says nothing of the stage."""
    nothing = literal("")
    columns = (
        runs.c.pipeline, attempts.c.stage, nothing.label("classname"), nothing.label("name"), _key(True),
        func.coalesce(attempts.c.started_us, runs.c.started_us).label("started_us"),
    )  # fmt: skip
    asked = select(*columns, (attempts.c.outcome == "success").label("passed")).join_from(
        attempts, runs, runs.c.id == attempts.c.run_id
    )
    counts = and_(
        attempts.c.outcome.in_(("success", *FAILED)),
        attempts.c.taken_back.is_(False),
        func.coalesce(attempts.c.reason, "") != "interrupted",
    )
    return _within(asked.where(counts), pipeline, since_us)


def _within(asked: Select[Any], pipeline: str | None, since_us: int | None) -> Select[Any]:
    if pipeline is not None:
        asked = asked.where(runs.c.pipeline == pipeline)
    if since_us is not None:
        asked = asked.where(runs.c.started_us >= since_us)
    return asked


def _groups(tries: Select[Any]) -> Any:
    """One row for each commit (or run) of each test or stage that had two tries there at least."""
    row = tries.cte("tries")
    failed_us = case((row.c.passed.is_(False), row.c.started_us))
    return (
        select(
            *[row.c[name] for name in _WHO],
            row.c.key,
            func.sum(case((row.c.passed, 1), else_=0)).label("passed"),
            func.sum(case((row.c.passed, 0), else_=1)).label("failed"),
            func.min(failed_us).label("first_us"),
            func.max(failed_us).label("last_us"),
        )
        .group_by(*[row.c[name] for name in _WHO], row.c.key)
        .having(func.count() > 1)
        .cte("groups")
    )


def _flakes(connection: Connection, kind: str, tries: Select[Any]) -> list[dict[str, Any]]:
    group = _groups(tries)
    who = [group.c[name] for name in _WHO]
    summed = (
        select(
            group,
            func.sum(group.c.passed + group.c.failed).over(partition_by=who).label("of"),
            func.sum(group.c.failed).over(partition_by=who).label("all_failed"),
            func.count().over(partition_by=who).label("groups"),
        )
        .where(group.c.passed > 0)
        .cte("summed")
    )
    by_who: dict[tuple[str, ...], list[Any]] = {}
    for row in connection.execute(select(summed).where(summed.c.failed > 0).order_by(summed.c.last_us.desc())):
        by_who.setdefault(tuple(row[:4]), []).append(row)
    return [_flake(connection, kind, rows) for rows in by_who.values()]


def _flake(connection: Connection, kind: str, rows: list[Any]) -> dict[str, Any]:
    """`rows` are its groups with both outcomes, the latest first."""
    pipeline, stage, classname, name = rows[0][:4]
    last = _last_failure(connection, pipeline, stage, classname, name) if kind == "test" else (None, None, stage)
    return {
        "kind": kind,
        "pipeline": pipeline,
        "stage": last[2],
        "classname": classname,
        "name": name,
        "file": last[0],
        "failed": figures.rate(rows[0].all_failed, rows[0].of),
        "mixed": len(rows),
        "tried": rows[0].groups,
        "since": stamp(min(row.first_us for row in rows)),
        "last": stamp(rows[0].last_us),
        "message": last[1],
        "commits": [_evidence(row) for row in rows[:COMMITS_MAX]],
    }


def _evidence(row: Any) -> dict[str, Any]:
    kind, id, *_ = row.key.split(" ")
    of = {"commit": None, "run": None, kind: id}
    return {**of, "failed": row.failed, "of": row.failed + row.passed, "last": stamp(row.last_us)}


def _last_failure(connection: Connection, pipeline: str | None, stage: str, classname: str, name: str) -> Any:
    """File, message and stage of the latest try that failed."""
    where = [tests.c.classname == classname, tests.c.name == name, tests.c.outcome.in_(FAILED)]
    where.append(runs.c.pipeline == pipeline)
    where.append(tests.c.stage == stage if stage else tests.c.shard.is_not(None))
    asked = select(tests.c.file, tests.c.message, tests.c.stage).join_from(tests, runs, runs.c.id == tests.c.run_id)
    row = connection.execute(asked.where(*where).order_by(runs.c.started_us.desc(), tests.c.id.desc()).limit(1)).first()
    return row or (None, None, stage)


def _looked_at(connection: Connection, tries: Select[Any]) -> dict[str, int]:
    """How many there are on record, and how many of them were tried twice on one commit, or in one run."""
    row = tries.cte("tries")
    known = select(*[row.c[name] for name in _WHO]).distinct().subquery()
    group = _groups(tries)
    twice = select(*[group.c[name] for name in _WHO]).distinct().subquery()
    return {
        "known": connection.execute(select(func.count()).select_from(known)).scalar_one(),
        "tried_twice": connection.execute(select(func.count()).select_from(twice)).scalar_one(),
    }
