"""What a `generate` stage wrote, as the part of a pipeline that it becomes: held against the grammar as a pipeline's
file is, and against the pipeline that it joins. Reads no file.

Stages of before are drafts among the new ones while needs, names, files and cycles are looked at, and are left out of
what is given back.
"""

from __future__ import annotations

import os
import re

from stagebook.formats.native import cache, grammar
from stagebook.formats.native.check import BAD, Checker, env_name, found
from stagebook.formats.native.expand import Expander, Stages
from stagebook.formats.native.nodes import Node, line_of, place, read_nodes, shorten
from stagebook.formats.native.stage import Draft, Setting
from stagebook.graph.cycles import find_cycle
from stagebook.model.joining import depth, waits
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Mapping

    from stagebook.formats.native.files import Reads

DEPTH_MAX = 8  #: so many stages may lie above one that were generated one by the other

_PAIR = rb"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})"


def read(data: bytes, name: str, pipeline: Pipeline, maker: str) -> Pipeline:
    """The stages in `data`, with their groups, matrices and locks, as the stage `maker` of the pipeline generated them.
    Problems call the file `name`. Raises InputError with all of them."""
    check = Checker(pipeline.file)
    try:
        part = _judge(check, data, pipeline, maker)
    except InputError as refused:
        raise _refused(name, refused.problems) from None
    errors = sorted(set(check.errors)) + sorted(check.unbuilt)
    if check.unsaid:
        errors.append(Problem(name, 0, 0, "limit", "error", f"{check.unsaid} more errors are not shown"))
    if errors:
        raise _refused(name, errors)
    warnings = tuple(problem._replace(file=name) for problem in sorted(set(check.warnings)))
    return part._replace(problems=warnings)


def _refused(name: str, problems: Iterable[Problem]) -> InputError:
    said = [problem._replace(file=name, level="error") for problem in problems]
    return InputError(f"{name}: {len(said)} error{'s' if len(said) != 1 else ''}", said)


def _judge(check: Checker, data: bytes, pipeline: Pipeline, maker: str) -> Pipeline:
    part = Pipeline(pipeline.name, pipeline.file, pipeline.format, cache.digest(data), ())
    if len(data) <= grammar.BYTES_MAX and not data.strip():
        check.error(0, "empty", 'it is empty; write {"stages": {}} where there is nothing to do')
        return part
    root, problems = read_nodes(_as_yaml(data), pipeline.file)
    check.errors += problems
    stages = _stages(check, root)
    if stages is None or (not stages[1][0] and type(stages[1][0]) is not str):
        return part
    if depth(pipeline, maker) >= DEPTH_MAX:
        said = f"stages that generate stages are nested deeper than {DEPTH_MAX} levels, the limit"
        check.error(stages[0], "limit", said)
        return part
    variables = {"PARAM_" + env_name(each): each for each in pipeline.params}
    setting = Setting(dict(pipeline.defaults), pipeline.limits, pipeline.pools, tuple(pipeline.pools), variables)
    setting.secrets = {secret.name: secret for secret in pipeline.secrets}
    made = _Joining(check, setting, pipeline, maker).expand(*stages)
    return part._replace(
        stages=tuple(stage._replace(made_by=maker) for stage in made.stages),
        groups=made.groups, matrices=made.matrices, machine_locks=made.machine_locks,
    )  # fmt: skip


def _as_yaml(data: bytes) -> bytes:
    """JSON as YAML reads it: tabs between values as blanks, characters beyond the first plane as one."""
    if data.lstrip()[:1] not in (b"{", b"["):
        return data
    if b"\t" in data:
        data = re.sub(rb"(?m)^[ \t]+", lambda blanks: blanks[0].replace(b"\t", b" "), data)
    return re.sub(_PAIR, lambda pair: _character(*pair.groups()), data, flags=re.IGNORECASE)


def _character(high: bytes, low: bytes) -> bytes:
    return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00).encode()


def _stages(check: Checker, root: Node) -> tuple[int, Node] | None:
    """The value of `stages` with its place; None where there is none, which has been said."""
    if type(root[0]) is list:
        return root[1], root
    if type(root[0]) is not dict:
        check.error(root[1], "type", f"a mapping with `stages`, or a list of stages, expected, not {found(root)}")
        return None
    for key, (key_place, value) in root[0].items():
        if key == "version":
            if check.value(value, grammar.PIPELINE_KEYS["version"].type, "version") is BAD:
                return None  # all else in it may have another meaning
        elif key in grammar.PIPELINE_KEYS and key != "stages":
            check.error(key_place, "unknown-key", f"`{key}` belongs into the pipeline's file; here stand only stages")
        elif key != "stages":
            check.unknown_key(key_place, key, ("stages", "version"))
    if "stages" not in root[0]:
        check.error(root[1], "missing-key", "`stages` is missing")
        return None
    stages: tuple[int, Node] = root[0]["stages"]
    return stages


class _Known(Draft):
    """A stage of before."""

    __slots__ = ("stage", "waits")

    def __init__(self, stage: Stage, maker: str) -> None:
        super().__init__(stage.id, place(stage.line, stage.col))
        self.stage = stage
        self.waits = waits(stage, maker)  #: for all that is generated
        if stage.outputs:
            self.fields = {"outputs": stage.outputs}
            self.outputs = [self.place] * len(stage.outputs)


class _Joining(Expander):
    """One pass over generated stages, of which the names and places are those of all stages of the run."""

    def __init__(self, check: Checker, setting: Setting, pipeline: Pipeline, maker: str) -> None:
        super().__init__(check, setting)
        self.pipeline = pipeline
        self.maker = maker
        self.at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
        self.known = [_Known(stage, maker) for stage in pipeline.stages]
        for draft in self.known:
            self.named.setdefault(draft.stage.id, draft)
        for name, ids in pipeline.groups.items():
            self.named.setdefault(name, [self.known[self.at[each]] for each in ids])
        for name, matrix in pipeline.matrices.items():
            self.named.setdefault(name, [self.known[self.at[each]] for each in matrix.cells])
        self.taken = {*self.named, *[stage.name for stage in pipeline.stages]}

    def name(self, name: str, place: int) -> bool:
        if name in self.taken:
            stage = next((each for each in self.pipeline.stages if name in (each.id, each.name)), None)
            whose = "a group" if stage is None else "a stage"
            maker = None if stage is None else stage.made_by
            by = "of the file" if maker is None else f"that {maker} generated"
            said = f"the name `{shorten(name)}` is taken by {whose} {by}; names are unique in a run"
            self.check.error(place, "duplicate-name", said)
            return False
        return super().name(name, place)

    def resolve(self, place: int) -> Stages:
        for draft in self.drafts:
            self._inside(draft)
        self.drafts = [*self.known, *self.drafts]
        made = super().resolve(place)
        groups = {name: ids for name, ids in made.groups.items() if name not in self.taken}
        return Stages(made.stages[len(self.known) :], groups, made.matrices, made.machine_locks)

    def _inside(self, draft: Draft) -> None:
        """What somebody wrote into the pipeline's file may lie anywhere; what a program wrote, in its folder."""
        folder = draft.fields.get("dir")
        if folder is None or folder == self.pipeline.defaults.get("dir"):
            return
        root = os.path.dirname(self.pipeline.file)
        if _is_inside(os.path.normpath(os.path.join(root, folder)), root):
            if _is_inside(os.path.realpath(os.path.join(root, folder)), os.path.realpath(root)):
                return
        said = f"stage `{shorten(draft.name)}`: `dir: {shorten(folder)}` leads out of the pipeline's folder"
        self.check.error(draft.place, "path", said)

    def needs_of(self, draft: Draft, cells: Mapping[str, int], room: int) -> dict[int, int]:
        line = line_of(draft.place)
        if isinstance(draft, _Known):
            needs = {self.at[need]: line for need in draft.stage.needs}
            if draft.waits:
                for own in self.drafts[len(self.known) :]:
                    needs.update(dict.fromkeys(range(own.first, own.first + own.count), line))
            return needs
        needs = super().needs_of(draft, cells, room)
        if needs and draft.fields.get("join") == "any":
            return needs  # the stage that generates it is none of those of which one will do
        return {self.at[self.maker]: line, **needs}

    def cycles(self, flat: list[dict[int, int]], reads: Mapping[int, Reads]) -> None:
        """One is said: which needs of a generated stage to take away shows there."""
        owner = [index for index, draft in enumerate(self.drafts) for _ in range(draft.count)]
        circle = find_cycle([list({owner[each]: None for each in of}) for of in flat])
        if circle is not None:
            self.cycle(circle, flat, owner, reads)

    def cycle(self, found: list[int], flat: list[dict[int, int]], owner: list[int], reads: Mapping[int, Reads]) -> None:
        edges = []
        for index, of in zip(found[1:] + found[:1], found):
            draft, need = self.drafts[index], self.drafts[of]
            if not isinstance(draft, _Known):
                place, line = next((each, line) for each, line in flat[draft.first].items() if owner[each] == of)
                why = "needs"
                if index in reads and place in reads[index].added:
                    why = f"reads {shorten(reads[index].links[of].path)} of"
                edges.append(f"{_id(draft)} {why} {_id(need)} on line {line}")
            elif isinstance(need, _Known):
                edges.append(f"{_id(draft)} needs {_id(need)}")
            else:
                edges.append(f"{_id(draft)} waits for all that {shorten(self.maker)} generates")
        names = [_id(self.drafts[index]) for index in found]
        at = next(self.drafts[index].place for index in found if not isinstance(self.drafts[index], _Known))
        self.check.error(at, "cycle", f"cycle: {' → '.join([*names, names[0]])} ({'; '.join(edges)})")


def _id(draft: Draft) -> str:
    return shorten(draft.stage.id if isinstance(draft, _Known) else draft.name)


def _is_inside(path: str, root: str) -> bool:
    return path == root or path.startswith(os.path.join(root, ""))
