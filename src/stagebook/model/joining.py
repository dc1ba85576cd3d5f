"""Stages that a stage has generated, joined to the pipeline that they came up in: who waits for them, and how deep they
lie. Pure; that they may join is checked elsewhere.

Whoever needs a stage by its name, or stands after it in a list, waits for all that it generates as well, and so on to
any depth. Whoever only reads a file of it waits for the stage alone.
"""

from __future__ import annotations

from stagebook.model.pipeline import Pipeline, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Sequence


def joined(pipeline: Pipeline, part: Pipeline, maker: str) -> Pipeline:
    """The pipeline with all stages, groups, matrices and locks of `part` after its own; `part` is what the stage
    `maker` has generated. Ids of `part` are new."""
    ids = tuple(stage.id for stage in part.stages)
    stages = [_waiting(stage, maker, ids) if waits(stage, maker) else stage for stage in pipeline.stages]
    machine_locks = dict.fromkeys((*pipeline.machine_locks, *part.machine_locks))
    return pipeline._replace(
        stages=(*stages, *part.stages),
        groups={**pipeline.groups, **part.groups},
        matrices={**pipeline.matrices, **part.matrices},
        machine_locks=tuple(machine_locks),
    )


def waits(stage: Stage, maker: str) -> bool:
    """Whether a stage waits for what `maker` generates."""
    return maker in stage.needs and (maker not in stage.via or maker in stage.declared)


def _waiting(stage: Stage, maker: str, ids: Sequence[str]) -> Stage:
    known = set(stage.needs)
    more = [each for each in ids if each not in known]
    at = stage.needs.index(maker)
    line = stage.need_lines[at] if at < len(stage.need_lines) else stage.line
    return stage._replace(needs=(*stage.needs, *more), need_lines=(*stage.need_lines, *[line] * len(more)))


def as_read(pipeline: Pipeline) -> Pipeline:
    """The pipeline without what was generated."""
    made = {stage.id for stage in pipeline.stages if stage.made_by is not None}
    if not made:
        return pipeline
    kept = [stage for stage in pipeline.stages if stage.made_by is None]
    left = {stage.id for stage in kept}
    return pipeline._replace(
        stages=tuple(_without(stage, made) if made.intersection(stage.needs) else stage for stage in kept),
        groups={name: ids for name, ids in pipeline.groups.items() if not ids or not made.issuperset(ids)},
        matrices={name: each for name, each in pipeline.matrices.items() if left.issuperset(each.cells)},
    )


def _without(stage: Stage, made: set[str]) -> Stage:
    pairs = list(zip(stage.needs, stage.need_lines))
    return stage._replace(
        needs=tuple([need for need in stage.needs if need not in made]),
        need_lines=tuple([line for need, line in pairs if need not in made]),
    )


def taken_over(pipeline: Pipeline, before: Pipeline, makers: Collection[str]) -> Pipeline:
    """The pipeline, of which nothing was generated yet, with what those of `makers` that it has had generated in
    `before`, and so on. ValueError, which names it, where it has a stage of such a name itself."""
    queue = [stage.id for stage in pipeline.stages if stage.id in makers and stage.kind == "generate"]
    while queue:
        maker = queue.pop(0)
        part = part_of(before, maker)
        taken = {stage.name for stage in pipeline.stages} | pipeline.groups.keys()
        clash = next((stage.name for stage in part.stages if stage.name in taken), None)
        if clash is not None:
            raise ValueError(f"`{clash}` is a stage of the file now, and {maker} had generated one of that name")
        if part.stages:
            pipeline = joined(pipeline, part, maker)
        queue += [stage.id for stage in part.stages if stage.id in makers and stage.kind == "generate"]
    return pipeline


def part_of(pipeline: Pipeline, maker: str) -> Pipeline:
    """What `maker` has generated, as it was joined: its stages alone, with their groups, matrices and locks."""
    stages = tuple(stage for stage in pipeline.stages if stage.made_by == maker)
    ids = {stage.id for stage in stages}
    locks = {name for stage in stages for name in stage.locks}
    return pipeline._replace(
        stages=stages,
        groups={name: members for name, members in pipeline.groups.items() if members and ids.issuperset(members)},
        matrices={name: each for name, each in pipeline.matrices.items() if ids.issuperset(each.cells)},
        machine_locks=tuple(name for name in pipeline.machine_locks if name in locks),
    )


def depth(pipeline: Pipeline, stage: str) -> int:
    """How many stages lie above a stage that were generated one by the other; 0: it stands in the file."""
    makers = {each.id: each.made_by for each in pipeline.stages}
    found = 0
    maker = makers.get(stage)
    while maker is not None:
        found += 1
        maker = makers.get(maker)
    return found


def in_order(stages: Sequence[Stage]) -> list[int]:
    """Positions in the order of the file, each stage directly followed by what it has generated."""
    if not any(stage.made_by is not None for stage in stages):
        return list(range(len(stages)))
    made: dict[str, list[int]] = {}
    tops: list[int] = []
    ids = {stage.id for stage in stages}
    for index, stage in enumerate(stages):
        if stage.made_by in ids:
            made.setdefault(stage.made_by or "", []).append(index)
        else:
            tops.append(index)
    order: list[int] = []
    stack = tops[::-1]
    while stack:
        index = stack.pop()
        order.append(index)
        stack += made.get(stages[index].id, [])[::-1]
    return order
