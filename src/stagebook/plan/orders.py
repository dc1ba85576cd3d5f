"""Which stages could start earlier, and what of the order must stay: needs loosened pair by pair. Simulates nothing.

That two stages come one after the other is told by their file for every pair, directly or over others. To let a
stage start earlier is to drop some of its pairs and to keep all others, which may take needs that the file does not
have yet: in a list `lint, unit, package`, where unit is freed of lint, package must be told to wait for lint.

Whether a pair may be dropped is judged by what the file declares. `declared`: both say what they read, the first one
also what it makes, nothing that either makes is touched by the other, and their commands name nothing in common.
`none`: nothing speaks for the order, and nothing against it. Never dropped are pairs with a reason, and those of a
stage that acts outside, waits for a person, must not run twice, states its order, or cleans up.
"""

from __future__ import annotations

import re

from stagebook.graph import findings
from stagebook.graph.artifacts import read_of
from stagebook.graph.shape import order, shape
from stagebook.model.globs import Globs
from stagebook.model.pipeline import Output, Pipeline, Stage
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterable, Sequence

#: Of larger pipelines only needs that stand in the file are looked at, not every pair.
PAIRS_MAX = 1_000

#: What two commands may have in common without touching the same thing is a plain word; these are not.
_TELLING = re.compile(r"[^\s'\"=(){}<>|&;,]*[./:$@~][^\s'\"=(){}<>|&;,]*")


class Freed(NamedTuple):
    """A stage that could start earlier: without what (`of`, direct and indirect), on whose word. `evidence`:
    `declared` or `none`."""

    stage: int
    of: tuple[int, ...]
    evidence: str


def freed(pipeline: Pipeline) -> list[Freed]:
    """All stages that could start earlier, in file order; of one stage what is declared and what is not apart."""
    stages = pipeline.stages
    at = {stage.id: index for index, stage in enumerate(stages)}
    needs = needs_of(pipeline)
    reasoned = {(at[edge.need], at[edge.stage]) for edge in findings.edges(pipeline) if edge.reasons}
    stays = [is_kept(stage) is not None for stage in stages]
    before = _before(needs) if len(stages) <= PAIRS_MAX else [_mask(each) for each in needs]
    found = []
    for index, stage in enumerate(stages):
        if stays[index]:
            continue
        by: dict[str, list[int]] = {"declared": [], "none": []}
        for need in _members(before[index]):
            if not stays[need] and (need, index) not in reasoned:
                evidence = independent(stages[need], stage)
                if evidence is not None:
                    by[evidence].append(need)
        found += [Freed(index, tuple(of), evidence) for evidence, of in by.items() if of]
    return found


def is_kept(stage: Stage) -> str | None:
    """Why nothing of the order around a stage is ever given up; None if it may be."""
    if stage.ordering is not None:
        return f"ordering: strict, {stage.ordering}"
    if stage.kind == "gate":
        return "a person decides there"
    if not stage.retry_safe:
        return "retry-safe: false, an error there cannot be taken back"
    if stage.always:
        return "it cleans up"
    return findings.acts_outside(stage)


def independent(first: Stage, second: Stage) -> str | None:
    """On whose word the second does not need the first: `declared` or `none`; None if it does need it."""
    made, makes = _paths(first.outputs), _paths(second.outputs)
    if (
        read_of(second.inputs, first.outputs)
        or read_of(first.inputs, second.outputs)
        or read_of(made, second.outputs)
        or set(first.locks) & set(second.locks)
    ):
        return None
    if not (first.inputs and made and second.inputs) or in_common(first, second):
        return "none"
    return "declared" if makes or not _writes_by_name(second) else "none"


def in_common(first: Stage, second: Stage) -> set[str]:
    """What the commands and variables of both name that looks like a place (a path, an address, a variable), apart from
    files that both only read."""
    return {
        word for word in _named(first) & _named(second) if not (_only_reads(first, word) and _only_reads(second, word))
    }


def loosened(needs: Sequence[Sequence[int]], dropped: Collection[tuple[int, int]]) -> list[list[int]]:
    """The needs without the pairs in `dropped` (before, after), each other pair still in order, direct needs kept
    where they can be. A pair stays where another one that stays leads over it."""
    drop = [0] * len(needs)
    for first, second in dropped:
        drop[second] |= 1 << first
    before = _before(needs)
    kept = [0] * len(needs)
    made: list[list[int]] = [[] for _ in needs]
    for node in order(needs):
        direct = before[node] & ~drop[node]
        reach = direct
        for each in _members(direct):
            reach |= kept[each]
        kept[node] = reach
        made[node] = own = [need for need in needs[node] if reach >> need & 1]
        covered = _mask(own)
        for need in own:
            covered |= kept[need]
        open_ = reach & ~covered
        for need in sorted(_members(open_), key=lambda each: -kept[each].bit_count()):
            if not covered >> need & 1:
                own.append(need)
                covered |= 1 << need | kept[need]
    return made


def needs_of(pipeline: Pipeline) -> list[list[int]]:
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    return [[at[need] for need in stage.needs] for stage in pipeline.stages]


def changed(pipeline: Pipeline, needs: Sequence[Sequence[int]]) -> Pipeline:
    """The pipeline with other needs."""
    ids = [stage.id for stage in pipeline.stages]
    stages = []
    for stage, each in zip(pipeline.stages, needs):
        wanted = tuple([ids[need] for need in each])
        if wanted != stage.needs:
            lines = dict(zip(stage.needs, stage.need_lines))
            stage = stage._replace(
                needs=wanted,
                need_lines=tuple([lines.get(need, stage.line) for need in wanted]),
                via={need: path for need, path in stage.via.items() if need in wanted},
                early=tuple([need for need in stage.early if need in wanted]),
            )
        stages.append(stage)
    return pipeline._replace(stages=tuple(stages))


def _before(needs: Sequence[Sequence[int]]) -> list[int]:
    """For each node all that come before it, as a mask of bits."""
    before = [0] * len(needs)
    for node in order(needs):
        mask = 0
        for need in needs[node]:
            mask |= 1 << need | before[need]
        before[node] = mask
    return before


def _mask(nodes: Iterable[int]) -> int:
    mask = 0
    for node in nodes:
        mask |= 1 << node
    return mask


def _members(mask: int) -> list[int]:
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def _paths(outputs: Sequence[Output]) -> tuple[str, ...]:
    return tuple([output.path for output in outputs])


def _named(stage: Stage) -> set[str]:
    texts = [stage.command] if isinstance(stage.command, str) else [*stage.command]
    texts += [value for value in stage.env.values() if "/" in value or ":" in value]
    return {word.lstrip("./") for text in texts for word in _TELLING.findall(text) if len(word) > 1}


def _only_reads(stage: Stage, word: str) -> bool:
    path = word if stage.dir is None else f"{stage.dir.rstrip('/')}/{word}"
    return Globs(stage.inputs).first([path]) is not None and Globs(_paths(stage.outputs)).first([path]) is None


def _writes_by_name(stage: Stage) -> bool:
    """Whether a command of a stage that declares no outputs sends its output somewhere all the same."""
    texts = [stage.command] if isinstance(stage.command, str) else []
    return any(re.search(r">\s*[^&\s]|\btee\b|--out|\s-o\s", text) for text in texts)


def width(needs: Sequence[Sequence[int]]) -> int:
    """The size of the largest level: so many can run at once for certain."""
    return max(1, shape(needs).width) if needs else 1
