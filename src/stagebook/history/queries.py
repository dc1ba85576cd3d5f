"""What is asked of the history: which runs fit, how pipelines go, how a stage does. Writes nothing.

Each function takes a connection, so it is a question for `store.ask`.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy import func, literal, select

from stagebook.history import figures
from stagebook.history.schema import runs, stages, storable
from stagebook.model.outcome import OUTCOMES
from stagebook.model.value import NamedTuple
from stagebook.record.clock import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, TypeAlias

    from sqlalchemy import ColumnElement, Connection

    _Row: TypeAlias = "tuple[int | None, str | None, int | None, int | None]"

FAILED = ("failure", "error", "timeout")
RAN = ("success", *FAILED)  #: the outcomes that a rate is of: what was skipped or cancelled says nothing
LATELY = 30  #: runs that a trend looks at
#: For how many others ran meanwhile on the average, rounded to a whole number, what it is called.
COMPANY = ("solo", "with 1", "with 2+")


class Wanted(NamedTuple):
    """Which runs: all that fit each of these; None fits all. Times are microseconds since 1970."""

    pipeline: str | None = None
    outcome: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    stage: str | None = None


class Found(NamedTuple):
    """`rows` are those asked for, newest first; `total` is how many fit. `pipelines`, all names on record, and
    `stages`, are only known where nothing fits, so that what is near can be named."""

    rows: list[Mapping[str, Any]]
    total: int
    pipelines: list[str]
    stages: list[str]


def find(connection: Connection, wanted: Wanted, limit: int | None) -> Found:
    """The runs that fit, each with the columns of `runs`, and with `stage_…` for the stage that was asked for."""
    wanted = _storable(wanted)
    where = _where(wanted)
    columns: list[Any] = [*runs.columns]
    of: Any = runs
    if wanted.stage is not None:
        of = runs.join(stages, (stages.c.run_id == runs.c.id) & (stages.c.stage == wanted.stage))
        columns += [
            stages.c[name].label(f"stage_{name}") for name in ("stage", "outcome", "reason", "wall_us", "wait_us")
        ]
    asked = select(*columns).select_from(of).where(*where).order_by(runs.c.run.desc())
    rows: list[Mapping[str, Any]] = [
        dict(row._mapping) for row in connection.execute(asked if limit is None else asked.limit(limit))
    ]
    total = len(rows)
    if limit is not None and len(rows) == limit:
        total = connection.execute(select(func.count()).select_from(of).where(*where)).scalar_one()
    if total:
        return Found(rows, total, [], [])
    return Found(rows, 0, pipelines(connection), stage_names(connection) if wanted.stage is not None else [])


def pipelines(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute(select(runs.c.pipeline).distinct()) if row[0] is not None]


def stage_names(connection: Connection) -> list[str]:
    """All stages on record, hopping from name to name: to look at each row would take as long as there are runs."""
    first = select(func.min(stages.c.stage).label("stage")).cte("names", recursive=True)
    after = select(func.min(stages.c.stage)).where(stages.c.stage > first.c.stage).correlate(first).scalar_subquery()
    names = first.union_all(select(after).where(first.c.stage.is_not(None)))
    return [row[0] for row in connection.execute(select(names.c.stage)) if row[0] is not None]


def _storable(wanted: Wanted) -> Wanted:
    pipeline, stage = (None if name is None else storable(name) for name in (wanted.pipeline, wanted.stage))
    return wanted._replace(pipeline=pipeline, stage=stage)


def _where(wanted: Wanted) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.pipeline is not None:
        where.append(runs.c.pipeline == wanted.pipeline)
    if wanted.outcome is not None:
        where += [runs.c.outcome == wanted.outcome, runs.c.damaged.is_(None)]  # whose last line is nobody's word
    if wanted.since_us is not None:
        where.append(runs.c.started_us >= wanted.since_us)
    if wanted.until_us is not None:
        where.append(runs.c.started_us < wanted.until_us)
    return where


# Trend ------------------------------------------------------------------------------------------------------------


def trend(connection: Connection, wanted: Wanted, lately: int) -> list[dict[str, Any]]:
    """How each pipeline goes, those with the latest run first; with a stage, how that stage of it goes. Runs of a part
    of a pipeline are only counted."""
    wanted = _storable(wanted)
    if wanted.stage is None:
        asked = select(runs.c.pipeline, runs.c.part, runs.c.started_us, runs.c.outcome, runs.c.wall_us, runs.c.ran)
    else:
        asked = select(
            runs.c.pipeline, literal(False), runs.c.started_us, stages.c.outcome, stages.c.work_us, literal(1)
        ).join_from(runs, stages, (stages.c.run_id == runs.c.id) & (stages.c.stage == wanted.stage))
    found: dict[str, list[_Row]] = {}
    parts: Counter[str] = Counter()
    for pipeline, part, *row in connection.execute(
        asked.where(*_where(wanted), runs.c.damaged.is_(None)).order_by(runs.c.run)
    ):
        rows = found.setdefault(pipeline or "", [])
        if part:
            parts[pipeline or ""] += 1
        else:
            rows.append((row[0], row[1], row[2], row[3]))
    told = [_trend(name, rows, lately, wanted.stage) | {"parts": parts[name]} for name, rows in found.items()]
    return sorted(told, key=lambda one: str(one["last"] or ""), reverse=True)


def _trend(pipeline: str, rows: Sequence[_Row], lately: int, stage: str | None) -> dict[str, Any]:
    """`rows` are start, outcome and length of its runs, and how many stages ran, oldest first."""
    outcomes: dict[str, int] = {word: sum(row[1] == word for row in rows) for word in OUTCOMES}
    walls = [row[2] for row in rows if row[1] == "success" and row[2] is not None]
    latest = [row for row in rows if row[1] in RAN][-lately:]
    half = len(latest) // 2
    starts = [row[0] for row in rows if row[0] is not None]
    return {
        "pipeline": pipeline,
        "stage": stage,
        "runs": len(rows),
        "first": stamp(min(starts)) if starts else None,
        "last": stamp(max(starts)) if starts else None,
        "outcomes": {word: count for word, count in outcomes.items() if count},
        "success": figures.rate(outcomes["success"], sum(outcomes[word] for word in RAN)),
        "wall_s": figures.spread(walls, 1e6),
        "lately": [{"outcome": row[1], "wall_s": None if row[2] is None else row[2] / 1e6} for row in latest],
        "change": _change(latest[:half], latest[half:]),
    }


def _change(before: Sequence[Any], after: Sequence[Any]) -> dict[str, Any]:
    """The later half against the earlier one. `wall` and `failures` say `more`, `less`, `none shown`, or null where
    too little is known. Lengths are held against each other of those successes only in which as many stages ran as in
    most of them: what was up to date, or not selected, takes no time. `ran` is how many, null where all are alike."""
    counts = Counter(row[3] for row in (*before, *after) if row[1] == "success" and row[2] is not None)
    ran = max(counts, key=lambda count: (counts[count], count or 0), default=None)
    old, new = (
        [row[2] for row in rows if row[1] == "success" and row[2] is not None and row[3] == ran]
        for rows in (before, after)
    )
    failed = [sum(row[1] in FAILED for row in rows) for rows in (before, after)]
    one, other = figures.wilson(failed[0], len(before)), figures.wilson(failed[1], len(after))
    shown = None
    if one is not None and other is not None and len(before) >= figures.ENOUGH:
        shown = 1 if other[0] > one[1] else -1 if other[1] < one[0] else 0
    words = {None: None, 1: "more", -1: "less", 0: "none shown"}
    return {
        "before": {"runs": len(before), "failed": failed[0], "wall_s": figures.spread(old, 1e6)},
        "after": {"runs": len(after), "failed": failed[1], "wall_s": figures.spread(new, 1e6)},
        "wall": words[figures.differs(old, new)],
        "failures": words[shown],
        "ran": ran if len(counts) > 1 else None,
    }


# One stage --------------------------------------------------------------------------------------------------------


def stats(connection: Connection, stage: str, pipeline: str | None = None) -> dict[str, Any] | None:
    """How a stage did in all its runs; None where it is in none. Durations and use are of the attempts with which it
    passed, one a run; waiting is of all runs in which it could have started."""
    stage, pipeline = storable(stage), None if pipeline is None else storable(pipeline)
    columns = (
        stages.c.run_id, stages.c.outcome, stages.c.flaky, stages.c.started_us, stages.c.wait_us, stages.c.work_us,
        stages.c.cpu_us, stages.c.rss_bytes, stages.c.company, stages.c.delay_us,
    )  # fmt: skip
    asked = select(*columns).where(stages.c.stage == stage)
    if pipeline is not None:
        asked = asked.join(runs, runs.c.id == stages.c.run_id).where(runs.c.pipeline == pipeline)
    rows = connection.execute(asked).all()
    if not rows:
        return None
    ids = connection.execute(
        select(runs.c.pipeline, func.count())
        .join_from(stages, runs, runs.c.id == stages.c.run_id)
        .where(stages.c.stage == stage)
        .group_by(runs.c.pipeline)
    )
    of = {name or "": count for name, count in ids if pipeline is None or name == pipeline}
    outcomes: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
    flaky = going = 0
    walls: list[int] = []
    waits: list[int] = []
    cpus: list[int] = []
    delays: list[int] = []
    peaks: list[int] = []
    starts: list[int] = []
    apart: dict[str | None, list[int]] = {name: [] for name in (*COMPANY, None)}
    for _, outcome, is_flaky, started_us, wait_us, work_us, cpu_us, rss_bytes, company, delay_us in rows:
        if outcome is None:
            going += 1
            continue
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        flaky += bool(is_flaky)
        if started_us is not None:
            starts.append(started_us)
        if wait_us is not None:
            waits.append(wait_us)
        if outcome != "success" or work_us is None:
            continue
        walls.append(work_us)
        apart[company_word(company)].append(work_us)
        if cpu_us is not None:
            cpus.append(cpu_us)
        if delay_us is not None:
            delays.append(delay_us)
        if rss_bytes is not None:
            peaks.append(rss_bytes)
    return {
        "stage": stage,
        "pipelines": of,
        "runs": len(rows),
        "going": going,
        "first": stamp(min(starts)) if starts else None,
        "last": stamp(max(starts)) if starts else None,
        "outcomes": {word: count for word, count in outcomes.items() if count},
        "flaky": flaky,
        "failed": figures.rate(sum(outcomes[word] for word in FAILED), sum(outcomes[word] for word in RAN)),
        "wall_s": figures.spread(walls, 1e6),
        "cpu_s": figures.spread(cpus, 1e6),
        "delay_s": figures.spread(delays, 1e6),
        "max_rss_bytes": figures.spread(peaks),
        "wait_s": figures.spread(waits, 1e6),
        "company": {name: figures.spread(apart[name], 1e6) for name in COMPANY},
        "company_unknown": len(apart[None]),
        "enough": figures.ENOUGH,
    }


def company_word(company: float | None) -> str | None:
    """`solo` for fewer than half another stage on the average, `with 1` for fewer than one and a half."""
    if company is None:
        return None
    return COMPANY[0] if company < 0.5 else COMPANY[1] if company < 1.5 else COMPANY[2]
