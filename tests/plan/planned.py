"""A pipeline's text, planned as the command does, without a process or a file."""

from __future__ import annotations

from typing import Iterable

from stagebook.formats.native.read import parse
from stagebook.model.pipeline import Pipeline
from stagebook.plan import advise, known, sweep
from stagebook.plan.advise import Advised
from stagebook.scheduler.plan import Choice

CORES = 16


def read(text: str, file: str = "/x/stagebook.yaml") -> Pipeline:
    pipeline, problems = parse(text.encode(), file)
    assert pipeline is not None, problems
    return pipeline


def planned(pipeline: Pipeline, accepted: Iterable[tuple[str, str]] = (), cores: int = CORES) -> Advised:
    choice = Choice(cores=cores, params=())
    found = known.known(pipeline, None, cores, count=20)
    swept = sweep.sweep(pipeline, choice, found.basis, workers=1)
    return advise.advise(pipeline, choice._replace(durations_ms=found.durations_ms(pipeline)), found, swept, accepted)


def texts(advised: Advised) -> str:
    """All that is said, in one text."""
    found = advised.found
    changes = [f"{change.change}: {change.why}" for change in (*found.changes, *found.kept)]
    return "\n".join([*found.reasons, *changes])
