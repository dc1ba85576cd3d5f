"""What to try where nobody says: the part of a pipeline with the largest predicted gain that nothing speaks against.
Also what is predicted of arms. Starts nothing."""

from __future__ import annotations

from stagebook.graph.acting import may_outside
from stagebook.graph.shape import shape
from stagebook.model.value import NamedTuple
from stagebook.plan import forecast, orders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.known import Known
    from stagebook.scheduler.plan import Choice

RUNS = 60  #: simulated runs of each way: the largest gain is looked for, not its last percent
LEVELS_MAX = 24  #: levels that are tried, those with the most work first
STAGES_MAX = 500  #: of a larger pipeline no part is sought: who has one knows which


class Proposal(NamedTuple):
    """`saves_s`: predicted, in parallel against one after another. `evidence`: `declared` where all of them say what
    they read and make, else `none`: no order stands in the file, and nothing that they name is shared."""

    stages: tuple[str, ...]
    saves_s: float
    evidence: str


def propose(pipeline: Pipeline, choice: Choice, known: Known) -> Proposal | None:
    """None where durations are not known, or no part gains; stages that may act outside are in no part."""
    if len(pipeline.stages) > STAGES_MAX:
        return None
    outside = may_outside(pipeline)
    judge = orders.Independence(pipeline)
    took = [found.median_s for found in known.profile.stages]
    levels: dict[int, list[int]] = {}
    for at, level in enumerate(shape(orders.needs_of(pipeline)).level):
        stage = pipeline.stages[at]
        is_known = known.profile.stages[at].source != "guess"
        if is_known and stage.kind != "gate" and stage.id not in outside and not stage.always:
            levels.setdefault(level, []).append(at)
    parts = [part for part in (_apart(judge, level) for level in levels.values()) if len(part) > 1]
    parts.sort(key=lambda part: -sum(took[at] for at in part))
    best = None
    for part in parts[:LEVELS_MAX]:
        names = tuple(pipeline.stages[at].id for at in part)
        alone, together = forecast.forecasts(
            pipeline,
            [choice._replace(only=names, sequential=True, jobs=None), choice._replace(only=names)],
            known.basis,
            runs=RUNS,
        )
        saves = alone.makespan_s - together.makespan_s
        if saves > 0 and (best is None or saves > best.saves_s):
            words = {judge.of(a, b)[0] for a in part for b in part if a != b}
            best = Proposal(names, saves, "declared" if words == {"declared"} else "none")
    return best


def _apart(judge: orders.Independence, level: Sequence[int]) -> list[int]:
    """Those of a level that nothing in the file sets against one before them."""
    part: list[int] = []
    for at in level:
        if all(judge.of(other, at)[0] is not None for other in part):
            part.append(at)
    return part


def predict(pipeline: Pipeline, choice: Choice, known: Known) -> float | None:
    """The median of simulated runs in seconds; None where the duration of a stage that runs is only guessed."""
    from stagebook.scheduler.build import build

    plan = build(pipeline, choice)
    guessed = [found.source == "guess" for stage, found in zip(plan.stages, known.profile.stages) if stage.skip is None]
    if not guessed or any(guessed):
        return None
    return round(forecast.forecast(pipeline, choice, known.basis).makespan_s, 6)
