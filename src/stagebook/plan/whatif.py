"""A pipeline as it would be: stages faster or slower, gone, or more of them, with what is known of each carried along.

Pure: a pipeline and its profile become another pipeline and its profile, which are then simulated like any other.
Nothing of it is ever written to a file or recommended.
"""

from __future__ import annotations

from stagebook.graph.shape import order
from stagebook.model.pipeline import Matrix, Pipeline, Stage
from stagebook.model.value import NamedTuple
from stagebook.plan.profile import Profile, StageProfile
from stagebook.scheduler import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterator, Mapping, Sequence

#: More stages than this are no question any more.
STAGES_MAX = 100_000


class Retimed(NamedTuple):
    """Stages of that name take `factor` times as long, or, where that is None, `seconds` in the median."""

    name: str
    factor: float | None
    seconds: float | None = None


class Scaled(NamedTuple):
    """`many` of what goes by that name, in place of however many there are."""

    name: str
    many: int


class Asked(NamedTuple):
    """What to suppose. Done in this order: `without`, `retimed`, `scaled`. A name is a stage, a matrix or a group."""

    retimed: tuple[Retimed, ...] = ()
    without: tuple[str, ...] = ()
    scaled: tuple[Scaled, ...] = ()


class Supposed(NamedTuple):
    """`profile` is of `pipeline`, stage by stage. `of` gives the stage of the file that each one is, or is a copy of.
    `words` say what was supposed, in the order in which it was done."""

    pipeline: Pipeline
    profile: Profile
    of: Mapping[str, str]
    words: tuple[str, ...]


def suppose(pipeline: Pipeline, profile: Profile, asked: Asked) -> Supposed:
    """Do what is asked. InputError for names that are not there, and where no stage or too many would be left."""
    words: list[str] = []
    of = {stage.id: stage.id for stage in pipeline.stages}
    if asked.without:
        gone = {id for name in asked.without for id in _named(pipeline, "--without", name)}
        if len(gone) == len(pipeline.stages):
            raise select.refused(pipeline, "--without: no stage is left")
        pipeline, profile = _without(pipeline, profile, gone)
        words += [f"{name} gone" for name in asked.without]
    for each in asked.retimed:
        named = set(_named(pipeline, "--change", each.name))
        stages = [_retimed(stage, each) if stage.stage in named else stage for stage in profile.stages]
        profile = profile._replace(stages=tuple(stages))
        took = f"{each.seconds:g} s" if each.factor is None else f"{each.factor:g} times as long"
        words.append(f"{each.name} taking {took}")
    for scaled in asked.scaled:
        pipeline, profile = _scaled(pipeline, profile, scaled, of)
        words.append(f"{scaled.many} of {scaled.name}")
    return Supposed(pipeline, profile, of, tuple(words))


def _named(pipeline: Pipeline, option: str, name: str) -> list[str]:
    return [pipeline.stages[at].id for at in select.named(pipeline, option, name)]


def _retimed(stage: StageProfile, asked: Retimed) -> StageProfile:
    """Its scatter stays what it was, in proportion. What it asks of the machine is per second, and stays too."""
    if asked.factor is not None:
        return stage._replace(walls_s=tuple([wall_s * asked.factor for wall_s in stage.walls_s]))
    seconds = asked.seconds or 0.0
    median_s = stage.median_s
    if median_s <= 0:
        return stage._replace(walls_s=(seconds,) * len(stage.walls_s))
    return stage._replace(walls_s=tuple([wall_s * seconds / median_s for wall_s in stage.walls_s]))


# Fewer ------------------------------------------------------------------------------------------------------------


def _without(pipeline: Pipeline, profile: Profile, gone: Collection[str]) -> tuple[Pipeline, Profile]:
    """What needed a stage that is gone needs what that one needed: the rest of the order stays."""
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    needs: dict[str, tuple[str, ...]] = {}
    for index in order([[at[need] for need in stage.needs] for stage in pipeline.stages]):
        stage = pipeline.stages[index]
        found: dict[str, None] = {}
        for need in stage.needs:
            found.update(dict.fromkeys(needs[need] if need in gone else (need,)))
        needs[stage.id] = tuple(found)
    stages = [_needing(stage, needs[stage.id]) for stage in pipeline.stages if stage.id not in gone]
    groups = {name: tuple([id for id in ids if id not in gone]) for name, ids in pipeline.groups.items()}
    matrices = {
        name: matrix._replace(cells=tuple([id for id in matrix.cells if id not in gone]))
        for name, matrix in pipeline.matrices.items()
    }
    left = [stage for stage in profile.stages if stage.stage not in gone]
    return (
        pipeline._replace(
            stages=tuple(stages),
            groups={name: ids for name, ids in groups.items() if ids},
            matrices={name: matrix for name, matrix in matrices.items() if matrix.cells},
        ),
        profile._replace(stages=tuple(left)),
    )


def _needing(stage: Stage, needs: tuple[str, ...]) -> Stage:
    if needs == stage.needs:
        return stage
    lines = dict(zip(stage.needs, stage.need_lines))
    return stage._replace(
        needs=needs,
        need_lines=tuple([lines.get(need, stage.line) for need in needs]),
        via={need: path for need, path in stage.via.items() if need in needs},
        declared=tuple([need for need in stage.declared if need in needs]),
        early=tuple([need for need in stage.early if need in needs]),
    )


# More -------------------------------------------------------------------------------------------------------------


def _scaled(pipeline: Pipeline, profile: Profile, asked: Scaled, of: dict[str, str]) -> tuple[Pipeline, Profile]:
    """Members that do not need each other are repeated in turn until there are enough; a group with an order of its own
    is repeated as a whole. Whatever needs a member needs its copies."""
    members = _named(pipeline, "--scale", asked.name)
    by_id = {stage.id: stage for stage in pipeline.stages}
    inside = set(members)
    has_order = any(need in inside for id in members for need in by_id[id].needs)
    if not has_order and asked.many < len(members):
        return _without(pipeline, profile, set(members[asked.many :]))
    more = len(members) * (asked.many - 1) if has_order else asked.many - len(members)
    if len(pipeline.stages) + more > STAGES_MAX:
        raise select.refused(pipeline, f"--scale {asked.name}={asked.many}: that is more than {STAGES_MAX} stages")
    copies: dict[str, list[str]] = {id: [] for id in members}
    made: list[tuple[str, Stage]] = []
    for round_ids in _rounds(members, more, has_order):
        names: dict[str, str] = {}
        for number, id in round_ids:
            names[id] = _new_id(by_id[id], number, of)
            of[names[id]] = of[id]
        for id, new in names.items():
            stage = by_id[id]
            wanted = tuple([names.get(need, need) for need in stage.needs]) if has_order else stage.needs
            made.append((id, _needing(stage, wanted)._replace(id=new)))
            copies[id].append(new)
    return _with(pipeline, profile, members, made, copies)


def _rounds(members: Sequence[str], more: int, has_order: bool) -> Iterator[list[tuple[int, str]]]:
    """Which members to copy together, each with the number that its copy has among all."""
    for number in range(0, more, len(members) if has_order else 1):
        if has_order:
            yield [(number // len(members) + 2, id) for id in members]
        else:
            yield [(len(members) + number + 1, members[number % len(members)])]


def _new_id(stage: Stage, number: int, known: Mapping[str, str]) -> str:
    id = f"{stage.name}[{number}]"
    while id in known:
        id += "'"
    return id


def _with(
    pipeline: Pipeline, profile: Profile, members: Sequence[str], made: Sequence[tuple[str, Stage]],
    copies: Mapping[str, Sequence[str]],
) -> tuple[Pipeline, Profile]:  # fmt: skip
    """The copies stand behind the last member, in file order."""
    known = {stage.stage: stage for stage in profile.stages}
    inside, last = set(members), members[-1]
    stages: list[Stage] = []
    found: list[StageProfile] = []
    for stage in pipeline.stages:
        if stage.id not in inside and any(copies.get(need) for need in stage.needs):
            stage = _needing(stage, tuple([id for need in stage.needs for id in (need, *copies.get(need, ()))]))
        stages.append(stage)
        found.append(known[stage.id])
        if stage.id == last:
            stages += [copy for _, copy in made]
            found += [known[id]._replace(stage=copy.id) for id, copy in made]

    def grown(ids: Sequence[str]) -> tuple[str, ...]:
        return (*ids, *[copy for id in ids for copy in copies.get(id, ())])

    matrices = {name: Matrix(grown(each.cells), *each[1:]) for name, each in pipeline.matrices.items()}
    groups = {name: grown(ids) for name, ids in pipeline.groups.items()}
    return (
        pipeline._replace(stages=tuple(stages), groups=groups, matrices=matrices),
        profile._replace(stages=tuple(found)),
    )
