"""Test suites that would be done sooner in parts, each of which pays the set-up once more: simulated, said how, never
written into a file."""

from __future__ import annotations

from heapq import heapify, heapreplace
from shlex import quote
from statistics import median

from stagebook.model.value import NamedTuple
from stagebook.plan.forecast import typical
from stagebook.plan.recommendation import Change, Evidence, confidence
from stagebook.report.durations import plural, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.history.suites import Tested
    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.known import Known
    from stagebook.scheduler.plan import Choice

#: Into so many parts at most.
PARTS_MAX = 16
#: A split is more than a word in a file: less than this share of a run is not worth one.
WORTH = 0.05
#: A part more that saves less than this share is one too many.
TOLERANCE = 0.05
SUITES_MAX = 5


class Suite(NamedTuple):
    """The tests of one stage: how long each takes (the median), what the stage takes beside them, over `runs` runs."""

    stage: str
    tests_s: tuple[float, ...]
    setup_s: float
    runs: int


def suites(tested: Sequence[Tested]) -> list[Suite]:
    """What is known of each suite, the longest first."""
    by_stage: dict[str, list[Tested]] = {}
    for one in tested:
        by_stage.setdefault(one.stage, []).append(one)
    found = []
    for stage, runs in by_stage.items():
        now = runs[-1].tests
        tests = [median([run.tests[name] for run in runs if name in run.tests]) for name in now]
        setup_s = median([max(0.0, run.wall_s - sum(run.tests.values())) for run in runs])
        found.append(Suite(stage, tuple(tests), setup_s, len(runs)))
    return sorted(found, key=lambda suite: (-sum(suite.tests_s), suite.stage))[:SUITES_MAX]


def dealt(tests_s: Sequence[float], parts: int) -> list[float]:
    """How long each part's tests take, dealt as the engine does: the longest first, to the part with least (Graham,
    *Bounds on multiprocessing timing anomalies*, 1969)."""
    loads = [0.0] * parts
    heapify(loads)
    for each in sorted(tests_s, reverse=True):
        heapreplace(loads, loads[0] + each)
    return sorted(loads, reverse=True)


def changes(found: Sequence[Suite], pipeline: Pipeline, choice: Choice, known: Known) -> list[Change]:
    """One for each suite that is worth a split; of those parts the fewest that save about as much as any more."""
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    before_s = _run_s(pipeline, known, choice)
    made = []
    for suite in found:
        index = at.get(suite.stage)
        if index is None or pipeline.stages[index].split is not None or pipeline.stages[index].cell is not None:
            continue
        took: dict[int, float] = {}
        for parts in range(2, min(PARTS_MAX, len(suite.tests_s), max(2, choice.cores)) + 1):
            took[parts] = _split_s(suite, index, parts, pipeline, choice, known)
        if not took:
            continue
        best_s = min(took.values())
        parts = next(parts for parts, end_s in sorted(took.items()) if end_s <= best_s * (1 + TOLERANCE))
        saves_s = before_s - took[parts]
        if saves_s >= before_s * WORTH:
            made.append(_change(suite, parts, saves_s, pipeline, index))
    return made


def _change(suite: Suite, parts: int, saves_s: float, pipeline: Pipeline, index: int) -> Change:
    tests = plural(len(suite.tests_s), "test")
    of_tests = f"{tests} take {span(sum(suite.tests_s))}, all else in the stage {span(suite.setup_s)}"
    command = pipeline.stages[index].command
    said = command if isinstance(command, str) else " ".join(map(quote, command))
    return Change(
        "split",
        (suite.stage,),
        f"split the tests of {suite.stage} in {parts}, each paying its own set-up of ~{span(suite.setup_s)}",
        f"saves ~{span(saves_s)} in the simulated run; written by hand, in the file: "
        f"split: {{list: COMMAND that prints the tests, run: {said.splitlines()[0][:60]} … $STAGEBOOK_SPLIT, "
        f"shards: {parts}, report: its report}} instead of run",
        saves_s,
        (Evidence("history", suite.runs, of_tests),),
        confidence(1.0, suite.runs),
        line=pipeline.stages[index].line,
    )


def _run_s(pipeline: Pipeline, known: Known, choice: Choice) -> float:
    return typical(pipeline, choice, known.basis).end_s


def _split_s(suite: Suite, index: int, parts: int, pipeline: Pipeline, choice: Choice, known: Known) -> float:
    """A usual run in which the stage is so many stages instead."""
    from stagebook.plan.known import known_by

    whole, profile = pipeline.stages[index], known.profile.stages[index]
    ids = [f"{whole.id}[shard={number}]" for number in range(1, parts + 1)]
    loads = dealt(suite.tests_s, parts)
    of_all = suite.setup_s + sum(suite.tests_s) or 1.0
    stages, profiles = [], []
    for stage, one in zip(pipeline.stages, known.profile.stages):
        if stage.id == whole.id:
            for id_, load_s in zip(ids, loads):
                stages.append(whole._replace(id=id_))
                took_s = profile.median_s * (suite.setup_s + load_s) / of_all
                profiles.append(profile._replace(stage=id_, walls_s=(took_s,), runs_at=(), company=(), skipped_at=()))
        else:
            needs = [other for need in stage.needs for other in (ids if need == whole.id else [need])]
            lines = (stage.line,) * len(needs)
            stages.append(stage._replace(needs=tuple(needs), need_lines=lines))
            profiles.append(one)
    made = pipeline._replace(stages=tuple(stages))
    found = known.profile._replace(stages=tuple(profiles))
    return _run_s(made, known_by(made, found, known.calibration, known.cores, count=1), choice)
