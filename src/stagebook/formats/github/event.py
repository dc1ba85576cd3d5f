"""The workflows that one event starts, as one pipeline: those that are started when another has ended come after it.

Stages are called `WORKFLOW.JOB`, by the name of the workflow's file; nothing else of them changes.
"""

from __future__ import annotations

from stagebook.formats.github.triggers import starts
from stagebook.model.pipeline import Matrix, Pipeline
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping, Sequence

    from stagebook.model.pipeline import Stage

AFTER = "workflow_run"  #: in `Job.spec`: the workflows whose end starts this one


class Workflow(NamedTuple):
    """`triggers`: its `on`, as `triggers_of` has it. `title`: the `name` in its file, by which others ask for it;
    without one it is its path. `line`: that of `on`."""

    pipeline: Pipeline
    triggers: Mapping[str, Mapping[str, Any]]
    title: str | None = None
    line: int = 0

    @property
    def short(self) -> str:
        """What its stages are called by."""
        return self.pipeline.file.rpartition("/")[2].rpartition(".")[0]


class Together(NamedTuple):
    """`files`: of each stage the file that it is in. `others`: workflows that the event does not start."""

    pipeline: Pipeline
    workflows: tuple[Workflow, ...]
    files: Mapping[str, str]
    others: tuple[Workflow, ...]


def together(workflows: Sequence[Workflow], event: str, ref: str | None) -> Together | None:
    """None where the event starts none of them. A workflow that would come after itself comes once."""
    chosen = [each for each in workflows if starts(each.triggers, event, ref) is not False]
    if not chosen:
        return None
    after: dict[str, list[Workflow]] = {}
    at = 0
    while at < len(chosen):  # it grows meanwhile
        for other in workflows:
            if other in chosen[: at + 1] or not _comes_after(other, chosen[at]):
                continue
            if starts(other.triggers, AFTER, ref) is False:
                continue
            if other not in chosen or other.short in after:
                after.setdefault(other.short, []).append(chosen[at])
            if other not in chosen:
                chosen.append(other)
        at += 1
    stages = [stage for each in chosen for stage in _stages(each, after.get(each.short, []))]
    files = {f"{each.short}.{stage.id}": each.pipeline.file for each in chosen for stage in each.pipeline.stages}
    first = chosen[0].pipeline
    made = first._replace(
        name=event if ref is None else f"{event} to {ref}",
        file=first.file.rpartition("/")[0],
        stages=tuple(stages),
        matrices={
            f"{each.short}.{name}": Matrix(
                tuple(f"{each.short}.{cell}" for cell in matrix.cells), matrix.max_parallel, matrix.fail_fast
            )
            for each in chosen for name, matrix in each.pipeline.matrices.items()
        },
        problems=tuple(problem for each in chosen for problem in each.pipeline.problems if problem.code != "event"),
        missing=tuple(problem for each in chosen for problem in each.pipeline.missing),
        grades=tuple(grade for each in chosen for grade in each.pipeline.grades),
        groups={},
    )  # fmt: skip
    return Together(made, tuple(chosen), files, tuple(each for each in workflows if each not in chosen))


def _comes_after(workflow: Workflow, other: Workflow) -> bool:
    asked = workflow.triggers.get(AFTER, {}).get("workflows", ())
    names = [str(each) for each in asked] if isinstance(asked, list) else [str(asked)]
    if other.title is not None:
        return other.title in names
    return any(name.startswith(".github/") and other.pipeline.file.endswith(f"/{name}") for name in names)


def _stages(workflow: Workflow, before: Sequence[Workflow]) -> Iterator[Stage]:
    """Those of one workflow; its first ones need the last ones of the workflows before it."""
    last = tuple(id for each in before for id in _last(each))
    names = [each.title or each.short for each in before]
    for stage in workflow.pipeline.stages:
        needs = tuple(f"{workflow.short}.{need}" for need in stage.needs)
        job = stage.job
        if job is not None:
            job = job._replace(by_order=tuple(f"{workflow.short}.{need}" for need in job.by_order))
        lines = stage.need_lines
        if last and not needs:
            needs, lines = last, (workflow.line,) * len(last)
            if job is not None:
                job = job._replace(by_order=last, spec={**job.spec, AFTER: names})
        yield stage._replace(
            id=f"{workflow.short}.{stage.id}",
            name=f"{workflow.short}.{stage.name}",
            needs=needs,
            need_lines=lines,
            job=job,
        )


def _last(workflow: Workflow) -> list[str]:
    needed = {need for stage in workflow.pipeline.stages for need in stage.needs}
    return [f"{workflow.short}.{stage.id}" for stage in workflow.pipeline.stages if stage.id not in needed]
