"""Renews what priorities and expected ends come from, the cache of durations, from the history: the median of the last
`LATELY` successes of each stage. Runs keep it up by themselves; it is renewed when the history is made anew."""

from __future__ import annotations

import os

from sqlalchemy import select

from stagebook.history import figures, queries
from stagebook.history.schema import runs, stages
from stagebook.record import durations as kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlalchemy import Connection

LATELY = 20


def renew(connection: Connection, cache: str) -> int:
    """Write the cache anew; for how many pipeline files."""
    known: dict[str, dict[str, int]] = {}
    for stage in queries.stage_names(connection):
        asked = (
            select(runs.c.file, stages.c.work_us, runs.c.part)
            .join_from(stages, runs, runs.c.id == stages.c.run_id)
            .where(stages.c.stage == stage, stages.c.outcome == "success", stages.c.work_us.is_not(None))
            .where(runs.c.imported.is_(None))  # other machines take other times
            .order_by(stages.c.run_id.desc())
        )
        took: dict[str, tuple[list[int], list[int]]] = {}
        for file, work_us, part in connection.execute(asked):
            lately = took.setdefault(file or "", ([], []))[bool(part)]
            if len(lately) < LATELY:
                lately.append(work_us)
        for file, (whole, parts) in took.items():
            lately = whole or parts
            if file:
                known.setdefault(file, {})[stage] = round(figures.quantile(sorted(lately), 0.5) / 1000)
    try:
        os.unlink(os.path.join(cache, kept.NAME))
    except OSError:
        pass
    for file, durations in known.items():
        kept.update(cache, file, durations)
    return len(known)
