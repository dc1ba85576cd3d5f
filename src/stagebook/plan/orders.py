"""Which stages could start earlier, and what of the order must stay: needs loosened pair by pair. Simulates nothing.

That two stages come one after the other is told by their file for every pair, directly or over others. To let a
stage start earlier is to drop some of its pairs and to keep all others, which may take needs that the file does not
have yet: in a list `lint, unit, package`, where unit is freed of lint, package must be told to wait for lint.

Whether a pair may be dropped is judged by what the file declares. `declared`: both say what they read and make, the
commands and scripts of both name nothing else (`places`), and nothing that either makes or changes is touched by the
other. `none`: nothing speaks for the order, and nothing against it. Never dropped are pairs with a reason, and those
of a stage that may act outside, waits for a person, must not run twice, states its order, or cleans up. Where the line
is, and why there, is in docs/explanation/orders.md.
"""

from __future__ import annotations

from posixpath import basename, dirname

from stagebook.graph import coupling, findings
from stagebook.graph.acting import may_act_outside
from stagebook.graph.artifacts import TooManyLinksError, TooManyPairsError, links
from stagebook.graph.shape import order, shape
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.value import NamedTuple
from stagebook.plan.places import Account, Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterable, Mapping, Sequence

#: Of larger pipelines only needs that stand in the file are looked at, not every pair.
PAIRS_MAX = 200
#: Of what stages read and write of each other.
LINKS_MAX = 1_000_000

_KINDS = ("run", "cmd", "python", "job")
_WHAT = {"each": "it works through items", "generate": "it generates stages", "split": "it is part of a suite"}
#: Names of stages that prepare what all others work in.
_PREPARES = frozenset(
    "checkout clone setup set-up install init prepare bootstrap deps dependencies fetch source sources".split()
)


class Freed(NamedTuple):
    """A stage that could start earlier: without what (`of`, direct and indirect), on whose word. `evidence`:
    `declared` or `none`; `why`: of `none`, why what is declared is not enough."""

    stage: int
    of: tuple[int, ...]
    evidence: str
    why: str = ""


def freed(pipeline: Pipeline, asked: Mapping[str, Collection[str]] | None = None) -> list[Freed]:
    """All stages that could start earlier, in file order; of one stage what is declared and what is not apart.
    `asked`: for each stage those that its condition asks for (`condition.asked`)."""
    stages = pipeline.stages
    if pipeline.missing and pipeline.format != "github":  # a reason may be in what could not be read
        return []
    needs = needs_of(pipeline)
    reasoned = _reasoned(pipeline, asked or {})
    stays = _that_stay(pipeline, needs)
    before = _before(needs) if len(stages) <= PAIRS_MAX else [_mask(each) for each in needs]
    judge = Independence(pipeline)
    found = []
    for index in range(len(stages)):
        if stays[index]:
            continue
        by: dict[str, list[int]] = {"declared": [], "none": []}
        whys: dict[int, str] = {}
        for need in _members(before[index]):
            if stays[need] or (need, index) in reasoned:
                continue
            evidence, said = judge.of(need, index)
            if evidence is not None:
                by[evidence].append(need)
                whys[need] = said
        why = next((whys[need] for need in (*needs[index], *by["none"]) if whys.get(need)), "")
        found += [Freed(index, tuple(of), how, why if how == "none" else "") for how, of in by.items() if of]
    return found


def parted(units: Iterable[Freed], needs: Sequence[Sequence[int]]) -> list[Freed]:
    """What of each comes about with such needs, be it nothing: pairs that others lead over stay in order."""
    before = _before(needs)
    return [unit._replace(of=tuple([of for of in unit.of if not before[unit.stage] >> of & 1])) for unit in units]


def why_kept(pipeline: Pipeline, first: int, second: int, asked: Mapping[str, Collection[str]]) -> str | None:
    """Why nobody's word gives up that the second of two stages comes after the first; None if it does not."""
    needs = needs_of(pipeline)
    if not _before(needs)[second] >> first & 1:
        return None
    one, other = pipeline.stages[first], pipeline.stages[second]
    gates = gates_of(pipeline)
    for stage in (other, one):
        if (why := is_kept(stage, gates)) is not None:
            return f"{stage.id} keeps its place: {why}"
    if (first, second) in _reasoned(pipeline, asked):
        return "the file gives a reason for that order"
    stays = _that_stay(pipeline, needs)
    if stays[first] or stays[second]:
        return "a later stage starts as soon as some of its needs are done"
    if len(pipeline.stages) > PAIRS_MAX and first not in needs[second]:
        return f"of more than {PAIRS_MAX} stages only needs that stand in the file are given up"
    return f"{other.id} reads or makes what {one.id} makes, or they share a lock"


def _reasoned(pipeline: Pipeline, asked: Mapping[str, Collection[str]]) -> set[tuple[int, int]]:
    """Pairs for whose order the file gives a reason, directly or over others."""
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    found = {(at[edge.need], at[edge.stage]) for edge in findings.edges(pipeline, asked) if edge.reasons}
    for index, stage in enumerate(pipeline.stages):
        named = [of.stage for of in (*stage.env_from.values(), *stage.cmd_from.values())]
        for name in (*named, *asked.get(stage.id, ()), *stage.via):
            if name in at:
                found.add((at[name], index))
    return found


def _that_stay(pipeline: Pipeline, needs: Sequence[Sequence[int]]) -> list[bool]:
    """Of each stage whether nothing of the order around it is given up. Where a later one starts as soon as any of its
    needs is done, another need would change what that means."""
    gates = gates_of(pipeline)
    stays = [is_kept(stage, gates) is not None for stage in pipeline.stages]
    if any(stage.join != "all" for stage in pipeline.stages):
        touchy = [stage.join != "all" for stage in pipeline.stages]
        for node in reversed(order(needs)):
            if touchy[node]:
                for need in needs[node]:
                    touchy[need] = True
        stays = [one or other for one, other in zip(stays, touchy)]
    return stays


def gates_of(pipeline: Pipeline) -> frozenset[str]:
    return frozenset([stage.id for stage in pipeline.stages if stage.kind == "gate"])


def is_kept(stage: Stage, gates: Collection[str] = ()) -> str | None:
    """Why nothing of the order around a stage is ever given up; None if it may be. What it may do outside is told by
    the wider words, as for a measurement: what is lost by a false alarm is a proposal. `gates`: ids."""
    if stage.ordering is not None:
        return f"ordering: strict, {stage.ordering}"
    if stage.kind == "gate":
        return "a person decides there"
    if not stage.retry_safe:
        return "retry-safe: false, an error there cannot be taken back"
    if stage.always:
        return "it cleans up"
    if stage.made_by is not None:
        return f"{stage.made_by} generates it"
    if stage.kind not in _KINDS:
        return _WHAT.get(stage.kind, f"it is no command but a {stage.kind}")
    why = may_act_outside(stage, gates)
    return None if why is None else f"it may act outside ({why})"


class Independence:
    """Judges pairs of one pipeline. Reads the scripts of a stage when it is first asked about."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.places = Places(pipeline)
        self._met = _that_meet(pipeline)
        is_lenient = "lenient" in (pipeline.policy, *(rule.use for rule in pipeline.policies))
        self._by_slack = is_lenient and not any(stage.critical for stage in pipeline.stages)

    def of(self, first: int, second: int) -> tuple[str | None, str]:
        """On whose word the second does not need the first: `declared` or `none`, and of `none` why no more can be
        said; None if it does need it."""
        one, other = self.pipeline.stages[first], self.pipeline.stages[second]
        if self._met is None or (first, second) in self._met or (one.locks and set(one.locks) & set(other.locks)):
            return None, ""
        why = self._why_not_declared(first, second)
        if why is None:
            return "declared", ""
        return (None, "") if not one.outputs and _prepares(one) else ("none", why)

    def _why_not_declared(self, first: int, second: int) -> str | None:
        one, other = self.pipeline.stages[first], self.pipeline.stages[second]
        if one.job is not None and other.job is not None:
            return "no artifact, output or cache passes between them, but an order may spare runs after a failure"
        if self._by_slack:
            return "the policy is lenient and no stage is `critical: true`, so the order says which failures count"
        if not (one.inputs or one.outputs or other.inputs or other.outputs):
            return f"neither {one.id} nor {other.id} declares what it reads and makes"
        if not (one.inputs and one.outputs):
            return f"{one.id} does not declare what it reads and makes"
        if not other.inputs:
            return f"{other.id} does not declare what it reads"
        if set(one.resources.pools) & set(other.resources.pools):
            return f"both use pool {min(set(one.resources.pools) & set(other.resources.pools))}"
        if coupling.kept_apart(self.pipeline, one, other) is not None:
            return "they are kept from running at once"
        said = self.places.account(first), self.places.account(second)
        for each in said:
            if each.why_open is not None:
                return each.why_open
        words = said[0].words & said[1].words
        if words:
            return f"both name {min(words)}"
        for mine, theirs in (said, said[::-1]):
            why = self._reaches(mine, theirs)
            if why is not None:
                return why
        return None

    def _reaches(self, mine: Account, theirs: Account) -> str | None:
        """Why one may depend on what the other does, though neither declares it."""
        for place in sorted(mine.foreign):
            if "*" not in place and (made := self.places.meet(place, theirs.outputs)) is not None:
                return f"both run {min(mine.scripts)}, which names {made}"
        is_same_script = bool(mine.scripts & theirs.scripts)
        named = mine.mentions if is_same_script else mine.mentions | mine.loose
        for made in theirs.outputs:
            if made in named or basename(made) in named:
                return f"one names {basename(made)}, which the other makes"
        for place in sorted(mine.reads | mine.writes):
            if "*" in place and not (is_same_script and place in mine.loose):
                made = self.places.meet(place, theirs.outputs, place in mine.loose)
                if made is not None:
                    return f"one names {place}, which may be {made} of the other"
                if place in mine.loose:
                    return f"a script works out the name of a file, {place}"
        if mine.writes_at_large:
            for place in sorted((mine.reads - mine.scripts) | mine.writes):
                for glob in mine.inputs:
                    is_read = self.places.is_read(place, [glob]) and self.places.meet(place, mine.outputs) is None
                    if is_read and (read := self.places.meet(glob, theirs.inputs, False)) is not None:
                        return f"a script names {read}, which the other reads, and may change it"
        if mine.makes_folders and not theirs.makes_folders:
            shared = _folders(mine) & _folders(theirs)
            if shared:
                return f"one makes the folder {min(shared)}, and the other works there"
        return None


def _that_meet(pipeline: Pipeline) -> set[tuple[int, int]] | None:
    """Pairs of which one reads or makes what the other makes, both ways round; None where there are too many."""
    made = [stage.outputs for stage in pipeline.stages]
    try:
        read = links([stage.inputs for stage in pipeline.stages], made, LINKS_MAX)
        written = links([[output.path for output in each] for each in made], made, LINKS_MAX)
    except (TooManyLinksError, TooManyPairsError):
        return None
    pairs = {(stage, other) for found in (read, written) for stage, others in enumerate(found) for other in others}
    return pairs | {(other, stage) for stage, other in pairs}


def _folders(account: Account) -> set[str]:
    """The folders in which a stage makes or reads something."""
    found = set()
    for glob in (*account.outputs, *account.writes, *account.inputs, *account.reads):
        above = dirname(glob)
        while above not in ("", "/", "."):
            found.add(above)
            above = dirname(above)
    return found


def _prepares(stage: Stage) -> bool:
    return not _PREPARES.isdisjoint(stage.name.lower().replace("_", " ").split())


def loosened(needs: Sequence[Sequence[int]], dropped: Collection[tuple[int, int]]) -> list[list[int]]:
    """The needs without the pairs in `dropped` (before, after), each other pair still in order, direct needs kept
    where they can be. A pair stays where another one that stays leads over it.

    Bits stand for places in topological order, so that the last of those that must come before covers most others.
    """
    in_order = order(needs)
    place = [0] * len(needs)
    for at, node in enumerate(in_order):
        place[node] = at
    drop = [0] * len(needs)
    for first, second in dropped:
        drop[second] |= 1 << place[first]
    before = [0] * len(needs)  # by place, as `kept`
    kept = [0] * len(needs)
    made: list[list[int]] = [[] for _ in needs]
    for at, node in enumerate(in_order):
        for need in needs[node]:
            before[at] |= 1 << place[need] | before[place[need]]
        open_, reach, last = before[at] & ~drop[node], 0, []
        while open_:
            last.append(open_.bit_length() - 1)
            reach |= 1 << last[-1] | kept[last[-1]]
            open_ &= ~reach
        kept[at] = reach
        made[node] = own = [need for need in needs[node] if reach >> place[need] & 1]
        covered = 0
        for need in own:
            covered |= 1 << place[need] | kept[place[need]]
        for each in last:
            if not covered >> each & 1:
                own.append(in_order[each])
                covered |= 1 << each | kept[each]
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


def locked(pipeline: Pipeline, locks: Collection[tuple[str, str]]) -> Pipeline:
    """The pipeline in which stages hold more locks, each alone: (stage, lock)."""
    if not locks:
        return pipeline
    given: dict[str, dict[str, str]] = {}
    for stage_id, lock in locks:
        given.setdefault(stage_id, {})[lock] = "exclusive"
    stages = [stage._replace(locks={**stage.locks, **given.get(stage.id, {})}) for stage in pipeline.stages]
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


def width(needs: Sequence[Sequence[int]]) -> int:
    """The size of the largest level: so many can run at once for certain."""
    return max(1, shape(needs).width) if needs else 1
