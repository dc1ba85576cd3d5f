"""Stages that were generated in an earlier run, for `run --failed-of`: a new run may begin with them, without whoever
generated them. Reads a journal, starts nothing."""

from __future__ import annotations

from stagebook.formats.native import cache
from stagebook.model import changes, joining
from stagebook.model.problem import InputError
from stagebook.record import reader, retelling, runs, state
from stagebook.scheduler.build import build
from stagebook.scheduler.plan import Choice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Container, Mapping

    from stagebook.formats.native.read import Loaded


def begun_with(loaded: Loaded, choice: Choice, place: str, wanted: str) -> tuple[Loaded, Choice]:
    """With the stages that were generated in that run, so that they can be begun with: those of stages that are as they
    were and do not run again. Instead of one that is not there its generator is begun with."""
    journal = state.journal_path(runs.resolve(place, wanted))
    before = retelling.retell(reader.read(journal), journal).pipeline
    made = {stage.id: stage.made_by for stage in before.stages if stage.made_by is not None}
    makers = set(made.values()).difference(changes.changed_stages(joining.as_read(before), loaded.pipeline))
    if not made:
        return loaded, choice
    try:
        while True:
            whole = joining.taken_over(loaded.pipeline, before, makers)
            there = {stage.id for stage in whole.stages}
            asked = choice._replace(from_=tuple([_nearest(stage, made, there) for stage in choice.from_]))
            plan = build(whole, asked)
            again = {planned.id for planned in plan.stages if planned.skip is None} & makers
            if not again:
                return loaded._replace(pipeline=whole, plain=cache.encode(whole), cached=True), asked
            makers -= again
    except ValueError as clash:
        raise InputError(f"--failed-of {wanted}: {clash}") from None


def _nearest(stage: str, made: Mapping[str, str], there: Container[str]) -> str:
    """A stage, or whoever generates it where it is not there."""
    while stage not in there and stage in made:
        stage = made[stage]
    return stage
