"""What a user picked: `--only`, `--from`, `--until`, `--skip` and `--param`, checked against the pipeline.

A name is a stage, a matrix (all its cells), one cell with its values in any order, or a group. What was not picked
stays in the plan as skipped, `not selected`, and counts as done. But no pick takes a gate for approved: one that
something picked needs takes part, and cannot be skipped.
"""

from __future__ import annotations

from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import InputError, Problem
from stagebook.scheduler.plan import Choice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable


def select(pipeline: Pipeline, choice: Choice, needs: list[tuple[int, ...]]) -> tuple[list[bool], list[Problem]]:
    """Whether each stage runs. `only` is exact, `from_` adds dependents, `until` adds needs.

    `from_` and `until` together mean what lies between them; `only` adds to either.
    """
    count = len(pipeline.stages)
    if not (choice.only or choice.from_ or choice.until or choice.skip):
        return [True] * count, []
    names = _names(pipeline)
    problems: list[Problem] = []
    only = _resolve(pipeline, names, "--only", choice.only, problems)
    start = _resolve(pipeline, names, "--from", choice.from_, problems)
    until = _resolve(pipeline, names, "--until", choice.until, problems)
    left_out = _resolve(pipeline, names, "--skip", choice.skip, problems)
    if choice.from_ or choice.until:
        picked = set(range(count))
        if choice.from_:
            followers: list[list[int]] = [[] for _ in needs]
            for index, stage_needs in enumerate(needs):
                for need in stage_needs:
                    followers[need].append(index)
            picked = _reach(start, followers)
        if choice.until:
            picked &= _reach(until, needs)
        picked |= only
    else:
        picked = only if choice.only else set(range(count))
    picked -= left_out
    _add_made(pipeline, picked, left_out)
    _add_gates(pipeline, needs, picked, left_out, problems)
    return [index in picked for index in range(count)], problems


def _add_made(pipeline: Pipeline, picked: set[int], left_out: set[int]) -> None:
    """What a stage has generated takes part as it does, unless it is left out by its own name."""
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    for index, stage in enumerate(pipeline.stages):  # makers stand before what they have made
        if stage.made_by is not None and at.get(stage.made_by) in picked and index not in left_out:
            picked.add(index)


def _add_gates(
    pipeline: Pipeline, needs: list[tuple[int, ...]], picked: set[int], left_out: set[int], problems: list[Problem]
) -> None:
    """The nearest gates above what was picked, through whatever was not. What cleans up goes on without them."""
    stages = pipeline.stages
    if not any(stage.kind == "gate" for stage in stages):
        return
    for index in sorted(picked):
        if _asks_nobody(stages[index]):
            continue
        above, seen = [need for need in needs[index] if need not in picked], set(picked)
        while above:
            need = above.pop()
            if need in seen:
                continue
            seen.add(need)
            if stages[need].kind != "gate":
                above += needs[need]
            elif need not in left_out:
                picked.add(need)
            else:
                gate, name = stages[need].id, stages[index].id
                text = (
                    f"--skip: `{gate}` is a gate and `{name}` needs it, so it cannot be left out; answer it when it "
                    f"asks (stagebook approve last {gate}), or leave out `{name}` as well (--skip {name})"
                )
                problems.append(Problem(pipeline.file, 0, 0, "skipped-gate", "error", text))


def _asks_nobody(stage: Stage) -> bool:
    """Whether it runs whatever is decided at a gate that it needs."""
    return stage.always or stage.join == "done"


def _is_end_of_approval(stage: Stage) -> bool:
    """Whether neither it nor what needs it goes on by what was approved above it."""
    return stage.kind == "gate" or _asks_nobody(stage)


def is_judged(stage: Stage) -> bool:
    """Whether it is asked, once its needs are done, whether it runs."""
    return stage.when is not None or bool(stage.changed or stage.inputs or (stage.split and stage.split.is_shard))


def behind_gates(
    pipeline: Pipeline, needs: list[tuple[int, ...]], selected: list[bool]
) -> tuple[set[int], set[int]]:  # fmt: skip
    """The stages that go on by what was approved at a gate, up to the next one; and of those that do not take part, the
    ones that only gates which do keep from counting as done."""
    stages = pipeline.stages
    gates = [index for index, stage in enumerate(stages) if stage.kind == "gate" and selected[index]]
    if not gates:
        return set(), set()
    followers: list[list[int]] = [[] for _ in needs]
    for index, stage_needs in enumerate(needs):
        for need in stage_needs:
            followers[need].append(index)

    def behind(passes: Callable[[int], bool]) -> set[int]:
        found: set[int] = set()
        left = [follower for gate in gates for follower in followers[gate]]
        while left:
            index = left.pop()
            if index not in found:
                found.add(index)
                left += followers[index] if passes(index) else ()
        return found

    run_by_it = {
        index
        for index in behind(lambda index: not selected[index] or not _is_end_of_approval(stages[index]))
        if selected[index] and not _is_end_of_approval(stages[index])
    }
    return run_by_it, {index for index in behind(lambda index: not selected[index]) if not selected[index]}


def named(pipeline: Pipeline, option: str, name: str) -> list[int]:
    """The stages that go by one name, in file order. InputError where there is none, which says that `option` asked."""
    problems: list[Problem] = []
    found = _resolve(pipeline, _names(pipeline), option, (name,), problems)
    if problems:
        raise InputError(problems[0].message, problems)
    return sorted(found)


def refused(pipeline: Pipeline, text: str) -> InputError:
    return InputError(text, [Problem(pipeline.file, 0, 0, "selection", "error", text)])


def left_out(stage: Stage) -> str:
    """Why a stage that was not picked does not run."""
    if stage.job is not None and stage.job.unplayable:
        return f"cannot run here: {stage.job.unplayable}"
    return "not selected"


def _names(pipeline: Pipeline) -> dict[str, list[int]]:
    """Every name that a user may give, to positions. An id wins over a group of the same name."""
    position = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    names: dict[str, list[int]] = {group: [position[id] for id in ids] for group, ids in pipeline.groups.items()}
    cells: dict[str, list[int]] = {}
    for index, stage in enumerate(pipeline.stages):
        if stage.cell is not None:
            cells.setdefault(stage.name, []).append(index)
            names[_cell_key(stage.name, [f"{key}={value}" for key, value in stage.cell.items()])] = [index]
    names.update(cells)
    names.update((id, [index]) for id, index in position.items())
    return names


def _cell_key(name: str, values: Iterable[str]) -> str:
    return f"{name}[{','.join(sorted(value.strip() for value in values))}]"


def _resolve(
    pipeline: Pipeline, names: dict[str, list[int]], option: str, given: tuple[str, ...], problems: list[Problem]
) -> set[int]:
    found: set[int] = set()
    for name in given:
        places = names.get(name)
        if places is None and name.endswith("]"):
            stage, _, values = name[:-1].partition("[")
            places = names.get(_cell_key(stage, values.split(",")))
        if places is None:
            text = f"{option}: no stage `{name}`"
            parts = name.split(",")
            if len(parts) > 1 and names.keys() >= set(parts):
                text += "; one at a time: " + " ".join([f"{option} {part}" for part in parts])
            else:
                text += suggestion(name, names) or _later(pipeline)
            problems.append(Problem(pipeline.file, 0, 0, "unknown-stage", "error", text))
        else:
            found.update(places)
    return found


def _later(pipeline: Pipeline) -> str:
    """That it may be one which nobody can name before the run."""
    makers = [stage.id for stage in pipeline.stages if stage.kind == "generate"]
    return f"; what `{makers[0]}` generates takes part as it does, and has no name before it has run" if makers else ""


def _reach(start: set[int], neighbours: list[tuple[int, ...]] | list[list[int]]) -> set[int]:
    """All that can be reached, the start included."""
    reached = set(start)
    stack = sorted(start)
    while stack:
        for neighbour in neighbours[stack.pop()]:
            if neighbour not in reached:
                reached.add(neighbour)
                stack.append(neighbour)
    return reached


def param_problems(pipeline: Pipeline, given: tuple[tuple[str, str], ...]) -> list[Problem]:
    """Unknown parameters, values that are no choice, and parameters without a value."""
    problems = []
    values = dict(given)
    for name, value in values.items():
        param = pipeline.params.get(name)
        if param is None:
            text = f"unknown parameter `{name}`{suggestion(name, pipeline.params)}"
        elif param.choices and value not in param.choices:
            text = f"parameter `{name}` cannot be `{value}`, expected one of {', '.join(param.choices)}"
        else:
            continue
        problems.append(Problem(pipeline.file, 0, 0, "parameter", "error", text))
    for name, param in pipeline.params.items():
        if param.default is None and name not in values:
            text = f"parameter `{name}` needs a value: --param {name}=VALUE"
            problems.append(Problem(pipeline.file, 0, 0, "parameter", "error", text))
    for stage in pipeline.stages:
        if stage.each is not None and stage.each.items.kind == "param":
            problems += _series_problems(pipeline, stage.each.items.text, values)
    return problems


def _series_problems(pipeline: Pipeline, name: str, given: dict[str, str]) -> list[Problem]:
    """What a parameter that names items is to say."""
    from stagebook.model.series import series

    param = pipeline.params.get(name)
    value = given.get(name, None if param is None else param.default)
    if value is None:
        return []
    try:
        series(value)
    except ValueError as error:
        return [Problem(pipeline.file, 0, 0, "parameter", "error", f"parameter `{name}`: {error}")]
    return []


def suggestion(name: str, known: Iterable[str]) -> str:
    """`, did you mean ...?` with the nearest known name, or nothing."""
    import difflib

    near = difflib.get_close_matches(name, known)
    return f", did you mean `{near[0]}`?" if near else ""
