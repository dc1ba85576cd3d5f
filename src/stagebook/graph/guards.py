"""Which stages that act outside can start before a test has ended, or a gate been answered. On bits, so that thousands
of tests cost little."""

from __future__ import annotations

from stagebook.graph import duty
from stagebook.graph.intent import is_test
from stagebook.graph.reach import bits_of
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

    from stagebook.graph.shape import Needs
    from stagebook.model.pipeline import Pipeline, Stage

_BITS_MAX = 2_000_000_000  #: stages times what is kept of each
_LOOKS_MAX = 1_000_000
_STEPS_MAX = 2_000_000
LISTED_MAX = 50  #: tests that are named of one stage


class Open(NamedTuple):
    """A stage that acts outside, the first of the tests and gates that it does not wait for, how many there are, and
    whether it waits for others."""

    stage: int
    guards: list[int]
    total: int
    waits: bool = False


def missing(
    pipeline: Pipeline, needs: Needs, order: Sequence[int], outside: Mapping[str, str]
) -> tuple[list[Open], list[str]]:
    """The stages that act outside and do not wait for a test or gate, by place; and what was not looked for.

    A test that waits for what such a stage does is not meant: one that tries what was deployed, or another deployment
    than those that the stage itself waits for. Nor is one whose failure is allowed, or a clean-up; nor, on GitLab, one
    of a later stage or of another pipeline, which GitLab lets no job need.
    """
    stages = pipeline.stages
    acting = [
        index for index, stage in enumerate(stages)
        if stage.id in outside and (stage.job is None or _has_to_wait(stage, outside[stage.id]))
    ]  # fmt: skip
    guards = [
        index
        for index, stage in enumerate(stages)
        if stage.id not in outside
        and (
            (stage.kind == "gate" and not stage.id.endswith(":play"))  # of a job by hand, for itself alone
            or (is_test(stage) and not stage.allow_failure and stage.quarantine is None)
        )
        and (stage.job is None or duty.tries(stage))
        and not stage.always
    ]
    if not acting or not guards:
        return [], []
    if len(stages) * (len(acting) + len(guards)) > _BITS_MAX:
        return [], ["which tests a deployment does not wait for: there are too many of both"]
    before_out = _before(pipeline, needs, order, acting, False)
    by_place: dict[int, int] = {}  # guards that wait for the same of what acts outside, as bits
    for bit, guard in enumerate(guards):
        by_place[before_out[guard]] = by_place.get(before_out[guard], 0) | 1 << bit
    before = _before(pipeline, needs, order, guards, True)
    by_last: dict[int, list[int]] = {}  # these places by their last bit, which a stage must have to have them all
    for place in by_place:
        by_last.setdefault(place.bit_length(), []).append(place)
    found: list[Open] = []
    looks = 0
    places = _Places(pipeline, guards)
    for stage in acting:
        if stages[stage].always:
            continue
        here = before_out[stage]
        wanted = 0
        for last in (0, *(bit + 1 for bit in bits_of(here))):
            for place in by_last.get(last, ()):
                looks += 1
                if not place & ~here:
                    wanted |= by_place[place]
        if looks > _LOOKS_MAX:
            return [], ["which tests a deployment does not wait for: there are too many of both"]
        left = places.needable(stage, wanted & ~before[stage])
        if left:
            found.append(
                Open(stage, [guards[bit] for bit in bits_of(left, LISTED_MAX)], left.bit_count(), bool(before[stage]))
            )
    return found, []


class _Places:
    """Where jobs of GitLab stand: in which of the pipelines that are put in one another, and in which of its stages."""

    def __init__(self, pipeline: Pipeline, guards: Sequence[int]) -> None:
        self._pipeline = pipeline
        self._guards = guards
        names = pipeline.context.get("stages") if pipeline.format == "gitlab" else None
        self._at: dict[str, int] = {name: at for at, name in enumerate(names)} if isinstance(names, list) else {}
        self._ids = {stage.id.replace("[", "(").replace("]", ")") for stage in pipeline.stages} if self._at else set()
        self._masks: dict[tuple[str, int], int] = {}

    def needable(self, stage: int, wanted: int) -> int:
        """Those of the guards, as bits, that a stage can need as far as its place goes."""
        if not self._at or not wanted:
            return wanted
        own = self._place(stage)
        if own not in self._masks:
            mask = 0
            for bit, guard in enumerate(self._guards):
                inside, at = self._place(guard)
                if inside == own[0] and 0 <= at <= own[1]:
                    mask |= 1 << bit
            self._masks[own] = mask
        return wanted & self._masks[own]

    def _place(self, stage: int) -> tuple[str, int]:
        """The job that starts its pipeline, empty for the outermost, and the place of its stage there: below all if it
        is not known, as nothing is sound advice then. Of other pipelines than the outermost all are at one."""
        each = self._pipeline.stages[stage]
        end = each.id.rfind("/")
        while end >= 0 and each.id[:end] not in self._ids:
            end = each.id.rfind("/", 0, end)
        if end >= 0:
            return each.id[:end], 0
        return "", 0 if each.job is None else self._at.get(each.job.stage or "", -1)


def _has_to_wait(stage: Stage, why: str) -> bool:
    """A job that a person starts by hand does not: that person looks."""
    by_hand = f"{stage.id}:play" in stage.needs
    return duty.deploys(stage, why) and not duty.is_of_documents(stage) and not by_hand


def _before(
    pipeline: Pipeline, needs: Needs, order: Sequence[int], marked: Sequence[int], is_strict: bool
) -> list[int]:
    """For each stage which of `marked` come before it, as bits. `is_strict`: a stage that starts when any of its needs
    is done waits only for what all of them wait for."""
    own = [0] * len(needs)
    for bit, index in enumerate(marked):
        own[index] = 1 << bit
    found = [0] * len(needs)
    for node in order:
        each = needs[node]
        if not each:
            continue
        word = found[each[0]] | own[each[0]]
        if is_strict and pipeline.stages[node].join == "any":
            for need in each[1:]:
                word &= found[need] | own[need]
        else:
            for need in each[1:]:
                word |= found[need] | own[need]
        found[node] = word
    return found


class Keeper:
    """Says which guards would be lost with an edge, up to a budget for all questions together."""

    def __init__(
        self, pipeline: Pipeline, needs: Needs, at: Mapping[str, int], outside: Mapping[str, str]
    ) -> None:  # fmt: skip
        self._pipeline = pipeline
        self._needs = needs
        self._at = at
        self._outside = outside
        self._dependents: list[list[int]] | None = None
        self._left = _STEPS_MAX

    def lost(self, need: str, stage: str) -> tuple[tuple[str, str], ...]:
        """The needs that stages which act outside must have in place of the edge, where the need is a test that comes
        before them by no other way: pairs of the test and the stage. Empty beyond the budget."""
        stages = self._pipeline.stages
        test = self._at[need]
        if not self._outside or not is_test(stages[test]) or self._left <= 0:
            return ()
        if self._dependents is None:
            self._dependents = [[] for _ in self._needs]
            for node, each in enumerate(self._needs):
                for one in each:
                    self._dependents[one].append(node)
        over = self._reached(self._at[stage], -1, -1)
        if not any(stages[node].id in self._outside for node in over):
            return ()
        still = self._reached(test, test, self._at[stage])
        lost = [node for node in sorted(over - still) if stages[node].id in self._outside]
        behind = set(lost)
        first = [node for node in lost if not behind.intersection(self._needs[node])]
        return tuple((need, stages[node].id) for node in first)

    def _reached(self, start: int, without: int, to: int) -> set[int]:
        """What `start` leads to, itself too; not over the edge from `without` to `to`."""
        assert self._dependents is not None
        seen, todo = {start}, [start]
        while todo and self._left > 0:
            node = todo.pop()
            self._left -= 1 + len(self._dependents[node])
            for dependent in self._dependents[node]:
                if dependent not in seen and not (node == without and dependent == to):
                    seen.add(dependent)
                    todo.append(dependent)
        return seen
