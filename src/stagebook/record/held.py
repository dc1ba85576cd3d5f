"""Who held what an attempt waited for, told afterwards from what is on record. Asks no machine and decides nothing.

A stage holds the pools, locks and matrix that its plan names for as long as one of its attempts runs. Another run's
share of a pool of the machine is not in this journal, and so not told.
"""

from __future__ import annotations

from bisect import bisect_left

from stagebook.model.pipeline import MEASURED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.model.pipeline import Pipeline, Stage
    from stagebook.record.story import Story

NAMES_MAX = 3  #: of several who held it, those that did so last
_LOOK_BACK = 200  #: attempts that began before the one that waited


def holders(story: Story) -> dict[tuple[int, int], list[str]]:
    """(stage, attempt) to ids of those who held it while that attempt waited, the last first."""
    waits = [
        (index, attempt)
        for index, attempts in enumerate(story.attempts)
        for attempt in attempts
        if attempt.waited is not None and attempt.waited.partition(":")[0] in ("pool", "lock", "matrix")
    ]
    if not waits or story.pipeline.format == MEASURED:
        return {}
    held: dict[str, list[tuple[int, int, int]]] = {attempt.waited: [] for _, attempt in waits if attempt.waited}
    for index, attempts in enumerate(story.attempts):
        names = _takes(story.pipeline.stages[index], story.pipeline) & held.keys() if attempts else ()
        for name in names:
            for attempt in attempts:
                held[name].append((attempt.started_us, attempt.finished_us or 1 << 62, index))
    for spans in held.values():
        spans.sort()
    found = {}
    for index, attempt in waits:
        spans = held[attempt.waited or ""]
        end = bisect_left(spans, (attempt.started_us,))
        before = [
            span for span in spans[max(0, end - _LOOK_BACK) : end] if span[1] > attempt.ready_us and span[2] != index
        ]
        before.sort(key=lambda span: -span[1])
        ids = dict.fromkeys(story.pipeline.stages[span[2]].id for span in before)
        found[index, attempt.number] = list(ids)[:NAMES_MAX]
    return found


def _takes(stage: Stage, pipeline: Pipeline) -> set[str]:
    """As waits name it; a pool inside another takes of that one too."""
    names = {f"lock:{name}" for name in stage.locks}
    for pool in stage.resources.pools:
        inner: str | None = pool
        while inner is not None and f"pool:{inner}" not in names:
            names.add(f"pool:{inner}")
            known = pipeline.pools.get(inner)
            inner = known.inside if known is not None else None
    return names | {f"matrix:{stage.name}"}
