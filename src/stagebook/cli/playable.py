"""Which jobs and steps of a CI system's file can run here: other operating systems, actions that nothing stands for.
Said before a run begins; what a run does with them is `imported`'s and the runner's.
"""

from __future__ import annotations

import os
import re
import sys

from stagebook.formats.github.equivalents import checkout_of, stands
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

    from stagebook.condition.facts import Facts
    from stagebook.model.job import Job, JobStep
    from stagebook.model.pipeline import Pipeline, Stage
    from stagebook.scheduler.plan import Plan

ACTIONS_MAX = 8  #: actions that are named before a run
EMPTIED = "but for set-up all of its steps are left out"
#: Labels of runners, and tags, that name a system.
_SYSTEM = re.compile(r"(?:^|,\s*)(?:saas-)?(windows|macos)(?=-|,|$)", re.IGNORECASE)
_HERE = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
#: Conditions that hold unless something has failed.
_PLAIN = ("", "success()", "always()", "!cancelled()")
_OWN = ("./", "../", "$/")


def marked(pipeline: Pipeline, is_skipping: bool) -> Pipeline:
    """With `Job.unplayable` of jobs that ask for another operating system; and, where actions without an equivalent are
    left out (`is_skipping`), of those that have nothing left to do."""
    stages = tuple(
        stage._replace(job=stage.job._replace(unplayable=why))
        if stage.job is not None and (why := _why(pipeline, stage.job, is_skipping))
        else stage
        for stage in pipeline.stages
    )
    return pipeline._replace(stages=stages)


def _why(pipeline: Pipeline, job: Job, is_skipping: bool) -> str | None:
    """None where it can run, or cannot for another reason."""
    if job.unplayable is not None:
        return None
    asked = _SYSTEM.search(job.runner)
    if asked is not None and asked.group(1).lower() != _HERE:
        return f"it asks for {job.runner}, and this machine has {_HERE}"
    if not is_skipping or not any(_lacks(pipeline, step) for step in job.steps):
        return None
    return None if any(_works(pipeline, step) for step in job.steps) else EMPTIED


def is_emptied(stage: Stage) -> bool:
    return stage.job is not None and stage.job.unplayable == EMPTIED


def foreseen(pipeline: Pipeline, facts: Facts | None) -> set[int]:
    """The stages that their conditions keep from running, as far as that can be told beforehand."""
    if facts is None:
        return set()
    from stagebook.condition.court import Court

    court = Court(pipeline, facts)
    verdicts = ((index, court.foresee(index)) for index, stage in enumerate(pipeline.stages) if stage.when is not None)
    return {index for index, verdict in verdicts if verdict is not None and verdict.verdict == "skip"}


def without_equivalent(pipeline: Pipeline, plan: Plan, out: set[int]) -> list[Problem]:
    """The actions that jobs of a run use and nothing here stands for, each at its first step: what is left out, and
    what fails if its condition holds. `out`: stages that will not run. InputError for those that would fail for
    certain: nothing is to run for hours before that."""
    if pipeline.format != "github":
        return []
    is_skipping = pipeline.local.get("uses") == "skip"
    found: dict[str, list[tuple[Job, JobStep, bool]]] = {}
    for index, (stage, planned) in enumerate(zip(pipeline.stages, plan.stages)):
        if planned.skip is not None or stage.job is None or stage.job.unplayable or index in out:
            continue
        is_open = stage.when is not None and not _is_plain(stage.when.text)
        for step in stage.job.steps:
            if _lacks(pipeline, step):
                may_not = is_open or not _is_plain(step.condition) or _is_allowed(stage.job, step)
                found.setdefault(step.text, []).append((stage.job, step, not may_not))
    certain = {text for text, uses in found.items() if any(sure for _, _, sure in uses)}
    if certain and not is_skipping:
        problems = list(_named(pipeline, {text: found[text] for text in found if text in certain}, "error"))
        count = f"{len(certain)} action{'s' if len(certain) > 1 else ''}"
        raise InputError(f"nothing here stands for {count} that would be used, nothing was run", problems)
    return list(_named(pipeline, found, "note" if is_skipping else "warning"))


def _named(
    pipeline: Pipeline, found: Mapping[str, list[tuple[Job, JobStep, bool]]], level: str
) -> Iterator[Problem]:  # fmt: skip
    then = {
        "note": "is left out", "warning": "fails if it comes to that; --uses skip leaves it out",
        "error": "cannot run; --uses skip leaves it out",
    }[level]  # fmt: skip
    for text, uses in list(found.items())[:ACTIONS_MAX]:
        _, step, _ = next((each for each in uses if each[2]), uses[0])
        which = "its step" if len(uses) == 1 else f"each of its {len(uses)} steps"
        path = os.path.join(pipeline.folder, step.file) if step.file else pipeline.file
        yield Problem(path, step.line, 0, "action", level, f"nothing here stands for the action {text}: {which} {then}")
    if len(found) > ACTIONS_MAX:
        more = len(found) - ACTIONS_MAX
        yield Problem(pipeline.file, 0, 0, "action", level, f"nor for {more} more action{'s' if more > 1 else ''}")


def _lacks(pipeline: Pipeline, step: JobStep) -> bool:
    """Whether it is an action for which nothing here stands."""
    return step.kind == "uses" and (not stands(step.text, _includes(pipeline)) or _is_program(pipeline, step.text))


def _works(pipeline: Pipeline, step: JobStep) -> bool:
    """Whether it does more than make ready or pass files on."""
    if step.kind == "uses":
        is_own = step.text.startswith(_OWN) or checkout_of(step.text, _includes(pipeline)) is not None
        return is_own and not _is_program(pipeline, step.text)
    return step.kind == "run" and not step.is_setup


def _is_program(pipeline: Pipeline, uses: str) -> bool:
    """Whether an action whose files are at hand runs by something else than steps. One that is made by earlier steps is
    taken to have steps."""
    folder = checkout_of(uses, _includes(pipeline))
    if uses.startswith(_OWN):
        folder = os.path.normpath(os.path.join(pipeline.root or pipeline.folder, uses.removeprefix("$/")))
    if folder is None:
        return False
    from stagebook.formats.github.manifest import manifest

    try:
        found = manifest(folder)
    except InputError:
        return False  # which its step says
    return found is not None and found.using != "composite"


def _includes(pipeline: Pipeline) -> Mapping[str, str]:
    found: Mapping[str, str] = pipeline.local.get("request", {}).get("includes", {})
    return found


def _is_plain(text: str | None) -> bool:
    return (text or "").strip().removeprefix("${{").removesuffix("}}").strip() in _PLAIN


def _is_allowed(job: Job, step: JobStep) -> bool:
    """Whether its job goes on when it fails."""
    raw: list[Any] = [each for each in job.spec.get("steps") or () if isinstance(each, dict)]
    return any(each.get("line") == step.line and each.get("continue-on-error") not in (None, False) for each in raw)
