"""What passes between jobs of a CI system, as far as their file says it: artifacts, outputs, caches, and one that asks
how another ended. Pure.

Jobs run on machines of their own, so what their commands share there by name they do not share.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from stagebook.graph.actions import unknown_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from stagebook.model.job import Datum, Job
    from stagebook.model.pipeline import Stage

_TEXTS_MAX = 200_000  #: characters of a job that are looked through
_brings = re.compile(r"\bgit (?:clone|fetch|init)\b|\bgh (?:repo clone|run download)|\b(?:curl|wget|docker pull)\b")
_tells = re.compile(
    r"(?:^|[^a-z])(status|success|succeeded|notify|notification|report|summary|summarize|finish|finalize|finalise|green|"
    r"passed|aggregate|collect|combine|complete|completed|conclusion|cleanup|clean-up|teardown)(?:[^a-z]|$)",
    re.IGNORECASE,
)
_asks = re.compile(r"\bneeds\s*(?:\.\s*([\w*-]+)|\[\s*'([^']*)'\s*\]|(?=[\s,)}\]]))", re.IGNORECASE)


class Given:
    """Keeps what has been found of each job: the cells of a matrix say the same."""

    def __init__(self) -> None:
        self._asked: dict[int, frozenset[str]] = {}

    def reasons(self, need: Stage, stage: Stage) -> Iterator[tuple[str, str]]:
        """Kind and text of each reason why a job needs another: see `findings.Reason`."""
        if need.job is None or stage.job is None:
            return
        if (found := passed(need.job.writes, stage.job.reads)) is not None:
            kind = "value" if found.kind in ("output", "dotenv") else "artifact"
            yield kind, in_words(found) if found.name else found.kind
        elif (name := _output_of(need, stage.job.reads)) is not None:
            yield "value", f"output {name}"
        elif (datum := _perhaps(need.job, stage.job.reads)) is not None:
            yield "artifact", f"{in_words(datum)}, perhaps"
        elif (left := unknown_in(need.job)) is not None and (found_by := unknown_in(stage.job)) is not None:
            yield "called", f"whether {left} leaves something for {found_by} is not known"
        asked = self._of(stage)
        if "*" in asked or not asked.isdisjoint(_names(need)):
            yield "value", f"it asks what became of {need.name}"
        elif stage.when is not None and stage.join == "done" and not stage.always:
            yield "value", "its condition asks how its needs ended"
        if (started := stage.job.spec.get("workflow_run")) and need.id in stage.job.by_order:
            yield "value", f"it starts when {' or '.join(started)} has ended"
        if stage.id.startswith(f"{need.id}/"):
            yield "value", f"{need.name} starts the pipeline that it is in"
        if stage.job.spec.get("trigger"):
            yield "called", f"{stage.name} starts another pipeline, which may be a deployment"
        for each in (need, stage):
            if is_elsewhere(each):
                yield "called", f"what {each.name} calls is not here"
                break
        else:
            if has_no_work(stage.job):
                yield "value", "it works on nothing of its own, so it is about what comes before it"
            elif (word := _tells.search(stage.name)) is not None:
                yield "value", f"it sums up, or ends, what comes before it (its name: {word[1].lower()})"

    def _of(self, stage: Stage) -> frozenset[str]:
        known = self._asked.get(id(stage.job))
        if known is None:
            known = self._asked[id(stage.job)] = frozenset(_asked(stage))
        return known


def is_elsewhere(stage: Stage) -> bool:
    """Whether it calls a workflow, or a pipeline, that could not be read."""
    job = stage.job
    if job is None or job.steps:
        return False
    return bool(job.spec.get("uses")) or job.spec.get("trigger") in ("project", "artifact")


def has_no_work(job: Job) -> bool:
    """Whether it neither checks out nor reads anything: it tells, sums up or starts something."""
    if job.system != "github" or not job.steps or job.reads:
        return False
    return not any(step.kind == "uses" and "checkout" in step.text.lower() for step in job.steps) and not any(
        _brings.search(step.text) for step in job.steps if step.kind == "run"
    )


def _output_of(need: Stage, reads: tuple[Datum, ...]) -> str | None:
    """An output that a job reads of another whose own text does not say what it makes."""
    names = _names(need)
    return next((each.name for each in reads if each.kind == "output" and each.name.partition(".")[0] in names), None)


def _perhaps(need: Job, reads: tuple[Datum, ...]) -> Datum | None:
    """An artifact that a job reads and another may have uploaded by an action whose inside is not known."""
    some = [each for each in reads if each.kind == "artifact"]
    return some[0] if some and unknown_in(need) is not None else None


def in_words(datum: Datum) -> str:
    """`artifact wheel`; `an artifact`, where its name is known at run time only."""
    if datum.name.strip("*"):
        return f"{datum.kind} {datum.name}"
    return f"{'an' if datum.kind[:1] in 'aeiou' else 'a'} {datum.kind}"


def passed(writes: tuple[Datum, ...], reads: tuple[Datum, ...]) -> Datum | None:
    """The first that one leaves and another finds."""
    for read in reads:
        for written in writes:
            if meet(written, read):
                return written
    return None


def meet(written: Datum, read: Datum) -> bool:
    """Whether they may be the same thing: names known only at run time fit any, and so does no name at all."""
    if written.kind != read.kind:
        return False
    if written.name == read.name or not read.name:
        return True
    if written.is_open or read.is_open:
        return _skeleton(written.name, read.name)
    return fnmatchcase(written.name, read.name) or fnmatchcase(read.name, written.name)


_expression = re.compile(r"\$\{\{.*?\}\}|\$\{\w+\}|\$\w+", re.DOTALL)


def _skeleton(one: str, other: str) -> bool:
    """Whether two names may be equal, where what stands in `${{ }}` or behind `$` may be anything."""
    patterns = [_expression.sub("*", each) for each in (one, other)]
    if all(each.strip("*") == "" for each in patterns):
        return True
    return any(fnmatchcase(a.replace("*", "x"), b) or fnmatchcase(a, b) for a, b in (patterns, patterns[::-1]))


def _names(need: Stage) -> set[str]:
    """What another job may call it by: its id in the file."""
    spec = need.job.spec if need.job is not None else {}
    return {need.name, need.name.rpartition("/")[2], need.name.partition("/")[0], str(spec.get("job", need.name))}


def _asked(stage: Stage) -> Iterator[str]:
    """Jobs that a job of GitHub speaks of by `needs.NAME`; `*` where it speaks of all of them."""
    left = _TEXTS_MAX
    for text in _texts(stage):
        if "needs" in text:
            for found in _asks.finditer(text[:left]):
                yield found[1] or found[2] or "*"
        left -= len(text)
        if left <= 0:
            return


def _texts(stage: Stage) -> Iterator[str]:
    if stage.job is None or stage.job.system != "github":
        return
    if stage.when is not None:
        yield stage.when.text
    for step in stage.job.steps:
        yield step.text
        yield step.condition or ""
    todo: list[Any] = [{key: value for key, value in stage.job.spec.items() if key not in ("needs", "call")}]
    call = stage.job.spec.get("call")
    if isinstance(call, dict):
        todo.append(call.get("with"))
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            if "${{" in value:
                yield value
        elif isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value
