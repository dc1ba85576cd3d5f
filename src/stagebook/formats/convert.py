"""A pipeline of a CI system as a native file: the same stages and needs, and as much of what jobs do as a shell can.
What the jobs of each system do is in `github.convert` and `gitlab.convert`; how the file is written in `native.write`.

Whatever is not carried over stands in the file as a comment, with its line, and in `lost`.
"""

from __future__ import annotations

import json
import os
import re
from functools import cached_property
from itertools import product

from stagebook.formats.native import matrix, write
from stagebook.formats.native.check import env_name
from stagebook.formats.native.draft import Draft, DraftStage, Lost, variables
from stagebook.formats.native.nodes import is_nameable
from stagebook.model.problem import InputError
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Collection, Mapping, Sequence, TypeAlias

    from stagebook.formats.native.draft import Work
    from stagebook.model.pipeline import Pipeline, Stage

    #: What the job of a stage does, for all cells of its matrix. Ids are mapped to those of the text; then all stages
    #: and what the pipeline knows (`Pipeline.context`).
    Worker: TypeAlias = "Callable[[Stage, Mapping[str, str], Mapping[str, Stage], Mapping[str, Any]], Work]"
    #: Under which conditions it runs, by the ids of all stages before it: keys of a stage, parameters that they speak
    #: of, and what is lost.
    Judge: TypeAlias = (
        "Callable[[Stage, Mapping[str, str], Sequence[str]], tuple[dict[str, Any], dict[str, str | None], list[Lost]]]"
    )

WORK_TREE = "work-tree"  #: the lock of the folder that stages share
_RESERVED = ("parallel", "sequence")
_NOT_A_POOL = re.compile(r"[^A-Za-z0-9_.-]+")
_MATRIX_KEYS = frozenset(("include", "exclude", "max-parallel", "fail-fast"))
_COMMENT_MAX = 200
_CONDITION_MAX = 3_500  #: letters, of the 4096 that a condition may have
_TIMEOUT_MAX = 3650 * 86_400_000  #: ms
_EXPRESSION = "${{"  #: which a native file must not hold in a command


class Converted(NamedTuple):
    """`ids`: those of the pipeline to those that the text has. `lines`: of the stages in the text, in its order, each
    with its line in the file that it comes from."""

    text: str
    lost: tuple[Lost, ...]
    ids: Mapping[str, str]
    lines: tuple[tuple[int, int], ...] = ()


def convert(pipeline: Pipeline, elsewhere: Collection[str] | None = None) -> Converted:
    """`elsewhere`: ids of the stages that a pipeline of some other branch has, where that is known: those that are not
    among them run on this branch only. InputError for a pipeline that is of no CI system, or of which nothing is left.
    """
    if pipeline.format == "github":
        from stagebook.formats.github.convert import condition, head, start, work
    elif pipeline.format == "gitlab":
        from stagebook.formats.gitlab.convert import condition, head, start, work
    else:
        raise InputError(f"{pipeline.file} is no file of a CI system: there is nothing to convert")
    if not pipeline.stages:
        raise InputError(f"{pipeline.file} has no jobs: there is nothing to convert")
    return _Conversion(pipeline, work, condition, start(pipeline), head(pipeline), elsewhere).converted()


class _Conversion:
    def __init__(
        self,
        pipeline: Pipeline,
        work: Worker,
        condition: Judge,
        start: tuple[str, Mapping[str, str | None]],
        head: Sequence[Lost],
        elsewhere: Collection[str] | None,
    ) -> None:
        self._pipeline = pipeline
        self._work = work
        self._condition = condition
        self._lost = [*head, *(Lost(each.line, "server", each.message) for each in pipeline.missing)]
        self._elsewhere = elsewhere
        self._secrets = [each.name for each in pipeline.secrets]
        self._start = start
        self._at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
        self._stages = {stage.id: stage for stage in pipeline.stages}
        needs = [list(dict.fromkeys(self._at[n] for n in each.needs if n in self._at)) for each in pipeline.stages]
        self._before, self._after = _reach(needs)
        self._params: dict[str, str | None] = {}
        self._names: set[str] = set()
        self._groups: list[tuple[str, list[Stage], bool]] = []  #: name, stages, whether they are cells of one matrix
        self._ids: dict[str, str] = {}
        self._group_of: dict[str, int] = {}
        self._is_idle: set[str] = set()  #: those that have nothing to do here
        self._is_shared = False

    def converted(self) -> Converted:
        for of in self._by_name():
            self._group(of)
        stages = self._carried([self._stage(*group) for group in self._groups])
        keys: dict[str, Any] = {"name": _cleared(self._pipeline.name) or "pipeline"}
        if self._params:
            keys["params"] = {name: {"default": value or self._default(name)} for name, value in self._params.items()}
        if self._pipeline.secrets:
            keys["secrets"] = list(dict.fromkeys(each.name for each in self._pipeline.secrets))
        if self._is_shared:
            said = (
                "each job has a checkout of its own there; here all share one folder, so jobs hold the lock "
                f"{WORK_TREE}, one at a time, and find what those before them have left: take it out of `locks` "
                "where a job writes nothing that another one uses"
            )
            self._lost.append(Lost(0, "approximated", said))
        pools = self._pools()
        if pools:
            keys["pools"] = {name: {"size": 1, "machine": True} for name in pools}
        lost = tuple(dict.fromkeys(sorted(self._lost, key=lambda each: (each.line, each.text))))
        head = [f"Made by `stagebook import` from {os.path.basename(self._pipeline.file)}."]
        head += [_said(each) for each in lost if not each.stage]
        draft = Draft(tuple(head), keys, stages)
        sources = [of[0].line for _, of, _ in self._groups]
        return Converted(write.write(draft), lost, self._ids, tuple(zip(write.lines(draft), sources)))

    # Which stages -----------------------------------------------------------------------------------------------

    def _by_name(self) -> list[list[Stage]]:
        """The cells of each matrix, and each other stage by itself."""
        at = {stage.id: stage for stage in self._pipeline.stages}
        found: dict[str, list[Stage]] = {}
        matrix_of = {id: name for name, each in self._pipeline.matrices.items() for id in each.cells if id in at}
        for stage in self._pipeline.stages:
            found.setdefault(matrix_of.get(stage.id, f"\0{stage.id}"), []).append(stage)
        return list(found.values())

    def _group(self, of: list[Stage]) -> None:
        is_matrix = of[0].cell is not None and self._are_alike(of)
        if is_matrix:
            name = self._free(of[0].name)
            self._add(name, of, True)
            for stage in of:
                self._ids[stage.id] = f"{name}[{matrix.label(dict(stage.cell or {}))}]"
            return
        limits = self._pipeline.matrices.get(of[0].name)
        if len(of) > 1 and limits is not None and limits.max_parallel is not None:
            self._lose(of[0], "approximated", f"max-parallel {limits.max_parallel} holds for a matrix only", of[0].name)
        for stage in of:
            name = self._free(stage.id if stage.cell is None else f"{stage.name} ({', '.join(stage.cell.values())})")
            self._add(name, [stage], False)
            self._ids[stage.id] = name

    def _add(self, name: str, of: list[Stage], is_matrix: bool) -> None:
        for stage in of:
            self._group_of[stage.id] = len(self._groups)
        self._groups.append((name, of, is_matrix))

    def _are_alike(self, of: list[Stage]) -> bool:
        """Whether they differ in nothing but the values of their cells, which a native matrix can hold."""
        if len({_same(stage) for stage in of}) > 1:
            return False
        cells = [stage.cell or {} for stage in of]
        names = list(dict.fromkeys(name for cell in cells for name in cell))
        labels = [matrix.label(dict(cell)) for cell in cells]
        keys = [env_name(name) for name in names]
        return (
            all(cells) and len(set(labels)) == len(labels) and len(set(keys)) == len(keys)
            and all(name and is_nameable(name) and "[" not in name and "]" not in name for name in names)
            and not _MATRIX_KEYS.intersection(names)
        )  # fmt: skip

    def _free(self, name: str) -> str:
        plain = _cleared(name).strip() or "job"
        if plain in _RESERVED:
            plain += "_"
        free, number = plain, 1
        while free in self._names:
            number += 1
            free = f"{plain}#{number}"
        self._names.add(free)
        return free

    # One stage --------------------------------------------------------------------------------------------------

    def _stage(self, name: str, of: list[Stage], is_matrix: bool) -> DraftStage:
        first = of[0]
        lost: list[Lost] = []
        keys: dict[str, Any] = {}
        if first.gate is not None:
            keys["gate"] = {"prompt": first.gate.prompt or f"Start {name}?"}
        else:
            work = self._work(first, self._ids, self._stages, self._pipeline.context)
            lost += work.lost
            self._params.update(work.params)
            run = work.run.strip("\n") if work.run.strip() else ":"
            keys["run"] = run.replace(_EXPRESSION, "$ {{") + ("\n" if "\n" in run else "")
            if _EXPRESSION in run:
                lost.append(Lost(first.line, "ignored", "`${{ }}` is left in text for another program, as `$ {{ }}`"))
            keys.update(work.keys)
        needs = self._needs(first)
        if needs:
            keys["needs"] = needs
        if is_matrix:
            keys["matrix"] = self._matrix(first.name, [dict(stage.cell or {}) for stage in of])
        elif first.cell is not None:
            named = variables(first.cell)
            own = {f"MATRIX_{named[axis]}": value for axis, value in first.cell.items()}
            keys["env"] = {**own, **keys.get("env", {})}
        made, params, more = self._condition(first, self._ids, self._earlier(first))
        if "when" in keys:  # it has nothing to do here, and what needs it goes on
            made = {"when": keys.pop("when")}
            self._is_idle.add(first.id)
        keys.update(made)
        if self._elsewhere is not None and first.id not in self._elsewhere and first.job is not None:
            self._on_one_branch(first, keys, lost)
        for param in params:
            self._params.setdefault(param, None)
        lost += more
        if self._start[0] and first.id not in self._is_idle and (not needs or {"join", "always"} & set(keys)):
            self._params.update(self._start[1])
            keys["when"] = f"({self._start[0]}) && ({keys['when']})" if keys.get("when") else self._start[0]
        secret = next((each for each in self._secrets if f"env.{each} " in str(keys.get("when"))), None)
        if secret is not None:
            keys["when"] = "false"
            lost.append(Lost(first.line, "ignored", f"its condition asks for the secret {secret}: it never runs here"))
        if len(str(keys.get("when", ""))) > _CONDITION_MAX:
            keys["when"] = "false"
            said = "its condition is too long for one here: it never runs"
            lost.append(Lost(first.when.line if first.when is not None else first.line, "ignored", said))
        keys.update(self._rules(first, lost))
        if first.job is not None and first.id not in self._is_idle and any(map(self._is_beside_others, of)):
            keys["locks"] = {**keys.get("locks", {}), WORK_TREE: "exclusive"}
            self._is_shared = True
        for each in lost:
            self._lost.append(each._replace(stage=name))
        comments = [_said(each)[:_COMMENT_MAX] for each in dict.fromkeys(lost)]
        return DraftStage(name, keys, tuple(comments))

    def _earlier(self, stage: Stage) -> list[str]:
        """Those before it, where its condition asks how they have ended."""
        asked = stage.when.text if stage.when is not None else ""
        if "failure" not in asked:
            return []
        if stage.job is not None and stage.job.system == "gitlab" and not stage.job.by_order:
            return [self._ids[need] for need in stage.needs if need in self._ids]
        mask = self._before[self._at[stage.id]]
        found = [self._ids[each.id] for at, each in enumerate(self._pipeline.stages) if mask >> at & 1]
        if sum(len(each) + 55 for each in found) < _CONDITION_MAX:
            return found
        said = "it hears of the failure of its own needs only: a condition has no room for all before them"
        self._lose(stage, "approximated", said, self._ids[stage.id])
        near = [self._ids[need] for need in stage.needs if need in self._ids]
        return near if sum(len(each) + 55 for each in near) < _CONDITION_MAX else []

    def _is_beside_others(self, stage: Stage) -> bool:
        return bool(self._beside >> self._at[stage.id] & 1)

    @cached_property
    def _beside(self) -> int:
        """Jobs that can run at the same time as some other, as bits."""
        stages = self._pipeline.stages
        jobs = sum(1 << at for at, stage in enumerate(stages) if stage.job is not None)
        ordered = [before | after for before, after in zip(self._before, self._after)]
        return sum(1 << at for at, mask in enumerate(ordered) if jobs & ~(mask | 1 << at))

    def _on_one_branch(self, stage: Stage, keys: dict[str, Any], lost: list[Lost]) -> None:
        """Its rules were decided for one branch or tag, so it runs there only."""
        ref = str(self._pipeline.context.get("ref") or "")
        if "CI_COMMIT_TAG" in self._pipeline.context.get("predefined", {}):
            self._params.setdefault("git_tag", None)
            text, where = 'params.git_tag != ""', "a tag (`--param git_tag=NAME`)"
        elif ref and ref.isprintable():
            name = ref.removeprefix("refs/heads/")
            text, where = f"branch == {json.dumps(name, ensure_ascii=False)}", f"branch {name[:60]}"
        else:
            return
        keys["when"] = f"{text} && ({keys['when']})" if keys.get("when") else text
        lost.append(Lost(stage.line, "approximated", f"its rules were decided for {where}: here it runs on that only"))

    def _carried(self, made: list[DraftStage]) -> tuple[DraftStage, ...]:
        """Who needs a stage that a condition skips is skipped too, as its system does it: here it would run."""
        firsts = [of[0] for _, of, _ in self._groups]
        skips = [at for at, each in enumerate(firsts) if "when" in made[at].keys and each.id not in self._is_idle]
        after: dict[int, list[int]] = {}
        for at, first in enumerate(firsts):
            if "join" in made[at].keys or "always" in made[at].keys:
                continue
            order = first.job.by_order if first.job is not None else ()
            needs = [need for need in first.needs if need not in order and need in self._at]
            for group in dict.fromkeys(self._group_of[need] for need in needs):
                after.setdefault(group, []).append(at)
        found, parts = set(skips), dict[int, list[str]]()
        while skips:
            at = skips.pop()
            one = json.dumps(self._ids[firsts[at].id], ensure_ascii=False)
            for other in after.get(at, ()):
                parts.setdefault(other, []).append(f'stages[{one}].outcome != "skip"')
                if other not in found and firsts[other].id not in self._is_idle:
                    found.add(other)
                    skips.append(other)
        for at, more in parts.items():
            own = made[at].keys.get("when")
            if own != "false":
                when = " && ".join([*sorted(more), *([f"({own})"] if own else [])])
                if len(when) > _CONDITION_MAX:
                    when = "false"
                    self._lose(firsts[at], "ignored", "too many of its needs have conditions", made[at].name)
                made[at] = made[at]._replace(keys={**made[at].keys, "when": when})
        return tuple(made)

    def _default(self, name: str) -> str:
        """Of an input of the workflow itself."""
        given = self._pipeline.context.get("inputs")
        if isinstance(given, dict) and given.get(name) is not None:
            return _text(given[name])
        started = self._pipeline.more.get("on") or {}
        for event in ("workflow_dispatch", "workflow_call"):
            declared = (started.get(event) or {}).get("inputs")
            one = declared.get(name) if isinstance(declared, dict) else None
            if isinstance(one, dict) and one.get("default") is not None:
                return _text(one["default"])
        return ""

    def _needs(self, stage: Stage) -> list[str]:
        """A matrix as a whole where all of it is needed."""
        wanted = dict.fromkeys(need for need in stage.needs if need in self._ids)
        found: dict[str, None] = {}
        for need in wanted:
            name, of, is_matrix = self._groups[self._group_of[need]]
            is_all = is_matrix and all(each.id in wanted for each in of)
            found[name if is_all else self._ids[need]] = None
        return list(found)

    def _matrix(self, name: str, cells: list[dict[str, str]]) -> dict[str, Any]:
        made = _axes(cells)
        known = self._pipeline.matrices.get(name)
        if known is not None and known.max_parallel is not None:
            made["max-parallel"] = known.max_parallel
        if known is not None and not known.fail_fast:
            made["fail-fast"] = False
        return made

    def _rules(self, stage: Stage, lost: list[Lost]) -> dict[str, Any]:
        """What all systems have in common."""
        keys: dict[str, Any] = {}
        limit = stage.timeouts.attempt_ms
        if limit is not None and 0 < limit <= _TIMEOUT_MAX:
            keys["timeout"] = _duration(limit)
        elif limit is not None:
            said = f"timeout {_duration(limit)}: none here, for it must be longer than 0 and at most 3650d"
            lost.append(Lost(stage.line, "ignored", said))
        if stage.retry.attempts > 1:
            only = {"only": list(stage.retry.only)} if stage.retry.only else {}
            keys["retry"] = {"attempts": stage.retry.attempts, **only}
        if stage.allow_failure:
            keys["allow-failure"] = True
        if stage.changed:
            keys["changed"] = list(stage.changed)
        if stage.secrets:
            keys["secrets"] = list(stage.secrets)
        pools = {_pool(name): 1 for name in stage.locks if name in self._pipeline.machine_locks}
        locks = {name: mode for name, mode in stage.locks.items() if name not in self._pipeline.machine_locks}
        if pools:
            keys["resources"] = {"pools": pools}
        if locks:
            keys["locks"] = locks
        return keys

    def _pools(self) -> list[str]:
        held = {name for stage in self._pipeline.stages for name in stage.locks}
        return list(dict.fromkeys(_pool(name) for name in self._pipeline.machine_locks if name in held))

    def _lose(self, stage: Stage, grade: str, text: str, of: str) -> None:
        self._lost.append(Lost(stage.line, grade, text, of))


def _reach(needs: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """For each stage those that are over before it begins, and those that begin after it, as bits."""
    users: list[list[int]] = [[] for _ in needs]
    for at, each in enumerate(needs):
        for need in each:
            users[need].append(at)
    before, after, left = [0] * len(needs), [0] * len(needs), [len(each) for each in needs]
    order = [at for at, count in enumerate(left) if not count]
    for at in order:
        for user in users[at]:
            before[user] |= before[at] | 1 << at
            left[user] -= 1
            if not left[user]:
                order.append(user)
    for at in reversed(order):
        for need in needs[at]:
            after[need] |= after[at] | 1 << at
    return before, after


def _said(lost: Lost) -> str:
    return f"line {lost.line}: {lost.text}" if lost.line else lost.text


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _same(stage: Stage) -> tuple[Any, ...]:
    """What all cells of a native matrix share."""
    when = None if stage.when is None else stage.when.text
    return (
        frozenset(stage.needs), stage.timeouts, stage.retry, stage.allow_failure, tuple(stage.locks.items()), when,
        stage.join, stage.always, stage.secrets, stage.name,
    )  # fmt: skip


def _cleared(name: str) -> str:
    """As a name of a stage may be."""
    plain = name.translate({ord("["): "(", ord("]"): ")"})
    return plain if is_nameable(plain) else "".join(letter if is_nameable(letter) else " " for letter in plain)


def _pool(name: str) -> str:
    return _NOT_A_POOL.sub("-", name).strip("-") or "lock"


def _axes(cells: list[dict[str, str]]) -> dict[str, Any]:
    """Axes of which the first cells are all combinations, and the others as they are; those alone where there are no
    such axes."""
    for count in range(len(cells), 1, -1):
        some, others = cells[:count], cells[count:]
        names = list(some[0])
        if any(list(cell) != names for cell in some):
            continue
        axes = {name: list(dict.fromkeys(cell[name] for cell in some)) for name in names}
        sizes = 1
        for values in axes.values():
            sizes *= len(values)
        if sizes != count or [dict(zip(names, values)) for values in product(*axes.values())] != some:
            continue
        bound = [{name: value for name, value in cell.items() if name in axes} for cell in others]
        if not any(all(cell[name] == value for name, value in each.items()) for each in bound for cell in some):
            return {**axes, **({"include": others} if others else {})}
    return {"include": cells}


def _duration(ms: int) -> str:
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"
