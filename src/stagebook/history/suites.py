"""What the history holds of the tests in stages that are not split: how long each took, and the stage as a whole.
Concludes nothing."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlalchemy import Connection


class Tested(NamedTuple):
    """One stage in one run: how long it ran, and its tests by name, all in seconds."""

    stage: str
    wall_s: float
    tests: dict[str, float]


def of_stages(connection: Connection, file: str, limit: int) -> list[Tested]:
    """Of the latest `limit` runs of a pipeline file (absolute path) those stages that passed at the first attempt and
    wrote a report of at least two tests, oldest first; a question for `store.ask`."""
    from sqlalchemy import and_, select

    from stagebook.history.schema import runs, stages, storable, tests

    latest = select(runs.c.id).where(runs.c.file == storable(file)).order_by(runs.c.run.desc()).limit(limit)
    ids = [id for (id,) in connection.execute(latest)]
    asked = (
        select(stages.c.run_id, stages.c.stage, stages.c.work_us, tests.c.classname, tests.c.name, tests.c.seconds)
        .join(tests, and_(tests.c.run_id == stages.c.run_id, tests.c.stage == stages.c.stage))
        .where(
            stages.c.run_id.in_(ids), stages.c.outcome == "success", stages.c.attempts == 1,
            stages.c.work_us.is_not(None), tests.c.seconds.is_not(None), tests.c.shard.is_(None),
        )
        .order_by(stages.c.run_id)
    )  # fmt: skip
    found: dict[tuple[int, str], Tested] = {}
    for run, stage, work_us, classname, name, seconds in connection.execute(asked):
        one = found.setdefault((run, stage), Tested(stage, work_us / 1e6, {}))
        key = f"{classname}::{name}"
        one.tests[key] = one.tests.get(key, 0.0) + seconds
    return [one for one in found.values() if len(one.tests) > 1]
