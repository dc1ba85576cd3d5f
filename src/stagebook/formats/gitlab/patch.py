"""Changes of a GitLab file, as small edits of its text. What to change and why, and whether what came out is what was
meant, is said elsewhere (`formats.patch`).

`needs` do more than `stages`: a job is given the artifacts of those alone that it needs, and a pipeline is refused
where one of them is left out, unless that is said to be well. Both is seen to here.
"""

from __future__ import annotations

from stagebook.formats import sharding
from stagebook.formats.changes import Interruptible, Lock, Needs, NeedsOnly, Split, Timeout
from stagebook.formats.gitlab.said import Said
from stagebook.formats.source.edits import Edits
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Sequence

    from stagebook.formats.changes import Change
    from stagebook.formats.request import Request
    from stagebook.formats.source.words import Value
    from stagebook.model.pipeline import Pipeline

NEEDS_MAX = 50  #: of one job, as GitLab has it unless its owner says otherwise
_FRONT = ("stage", "extends", "<<", "image")


def made(
    source: Source, data: bytes, request: Request, before: Pipeline, changes: Sequence[Change]
) -> tuple[bytes, list[Change]]:
    """The file with the changes made, and the changes with what they bring along. InputError where no small edit does
    one."""
    patch = _Patch(source, Said(source, data, request), before)
    done = [patch.make(change) for change in changes]
    return patch.edits.made(), done


class _Patch:
    def __init__(self, source: Source, said: Said, before: Pipeline) -> None:
        self.edits = Edits(source)
        self.said = said
        self.before = before
        self.seen = {stage.name for stage in before.stages}

    def make(self, change: Change) -> Change:
        job = self._job(change.job)
        if isinstance(change, Needs):
            return self._needs(job, change)
        if isinstance(change, NeedsOnly):
            return self._needs_only(job, change.job, change.needs)
        if isinstance(change, Timeout):
            if self.said.get(change.job, "trigger") is not None:
                self.edits.refuse(job, "a job that starts another pipeline takes no `timeout`")
            self.edits.set_entry(job, "timeout", f"{change.minutes} minutes", ("tags", *_FRONT))
        elif isinstance(change, Lock):
            self.edits.set_entry(job, "resource_group", change.group, ("environment", *_FRONT))
        elif isinstance(change, Interruptible):
            self.edits.set_entry(job, "interruptible", change.on, _FRONT)
        elif isinstance(change, Split):
            self._split(job, change)
        else:
            self.edits.refuse(job, f"GitLab has no way to say that {change}")
        return change

    def _job(self, name: str) -> Node:
        found = self.said.own(name)
        if found is None:
            self.edits.refuse(None, f"the file has no job `{name}` of its own; it comes from another")
        if found[1].kind != MAP:
            self.edits.refuse(found[1], f"job `{name}` is no mapping")
        if self.edits.is_alias(*found):
            self.edits.refuse(found[0], f"job `{name}` is an alias, so another job would change too")
        return found[1]

    # Needs

    def _needs(self, job: Node, change: Needs) -> Change:
        edits, name = self.edits, change.job
        if not self.said.has_needs(name):
            return self._instead(job, change)
        said = self.said.get(name, "needs")
        depends = self.said.get(name, "dependencies")
        for need in change.remove:
            if depends is not None and need in depends.texts:
                edits.refuse(job, f"`{name}` is given artifacts of `{need}` by `dependencies`, so it has to need it")
        own = edits.own(job, "needs")
        had = [_job_of(each) for each in said] if said is not None and said.kind == LIST else []
        if said is None or said.kind != LIST or None in had:
            edits.refuse(job, f"the needs of `{name}` are not plain")
        more: list[Value] = [self._item(need) for need in change.add if need not in had]
        which = [place for place, each in enumerate(had) if each in change.remove]
        if not more and not which:
            edits.refuse(job, f"the needs of `{name}` name other jobs, or cells of them")
        if own is None or edits.is_alias(*own):
            kept = [self._value(job, each) for place, each in enumerate(said) if place not in which]
            edits.set_entry(job, "needs", [*kept, *more], _FRONT)
        elif len(which) == len(had) and had:
            if more:
                edits.refuse(own[0], "all items of this list would be others")
            edits.clear_list(job, "needs")
        else:
            if len(own[1].value) != len(had):
                edits.refuse(own[0], f"the needs of `{name}` are not plain")
            if which:
                edits.remove_items(own[1], which)
            if more:
                edits.add_items(own[1], more)
        return change

    def _instead(self, job: Node, change: Needs) -> Change:
        """Needs that say what the order of stages said, and what is changed about that."""
        earlier = self._earlier(job, change.job)
        for need in change.add:
            if need in earlier:
                self.edits.refuse(job, f"`{change.job}` waits for `{need}` already, by the order of stages")
        kept = [name for name in earlier if name not in change.remove]
        return self._needs_only(job, change.job, (*kept, *change.add), change.remove)

    def _needs_only(self, job: Node, name: str, needs: Sequence[str], without: Collection[str] = ()) -> Change:
        edits, said = self.edits, self.said
        if said.has_needs(name):
            edits.refuse(job, f"`{name}` has `needs` already")
        earlier = self._earlier(job, name)
        depends = said.get(name, "dependencies")
        given = depends.texts if depends is not None else [each for each in earlier if said.has_artifacts(each)]
        unseen = [each for each in earlier if each not in self.seen]
        wanted = dict.fromkeys((*needs, *given, *unseen))
        for each in without:
            if each in wanted:
                why = f"`{name}` is given artifacts of `{each}`, so it has to need it"
                edits.refuse(job, f"{why}; `dependencies` can say otherwise")
        wanted = dict.fromkeys([*[each for each in earlier if each in wanted], *wanted])
        if len(wanted) > NEEDS_MAX:
            edits.refuse(job, f"`{name}` would have {len(wanted)} needs, and GitLab takes {NEEDS_MAX}")
        edits.set_entry(job, "needs", [self._item(each) for each in wanted], _FRONT)
        return NeedsOnly(name, tuple(wanted))

    def _earlier(self, job: Node, name: str) -> list[str]:
        """The jobs that it waits for by the order of stages, whichever of them a pipeline has."""
        edits = self.edits
        if self.before.missing:
            edits.refuse(job, f"the file includes others that could not be read; `{name}` may wait for jobs in them")
        place = self.said.jobs[name].position if name in self.said.jobs else None
        if place is None:
            edits.refuse(job, f"the stage of `{name}` is not among `stages`")
        found = []
        for each, draft in self.said.jobs.items():
            manual = self.said.is_manual(each)
            if draft.position is None or draft.lacks_base or (draft.position < place and manual is None):
                edits.refuse(job, f"whether `{name}` waits for `{each}` depends on rules")
            if draft.position < place and not manual:
                found.append(each)
        return found

    def _item(self, need: str) -> Value:
        """A need, which a pipeline may be without where rules may leave it out."""
        return {"job": need, "optional": True} if self.said.is_conditional(need) else need

    def _value(self, job: Node, node: Node) -> Value:
        if node.tag is not None:
            self.edits.refuse(job, "its needs are not plain")
        if node.kind == MAP:
            return {str(key.value): self._value(job, each) for key, each in node.entries()}
        if node.kind == LIST:
            return [self._value(job, each) for each in node]
        text = str(node.value)
        return text == "true" if node.plain and text in ("true", "false") else text

    # Parts

    def _split(self, job: Node, change: Split) -> None:
        edits = self.edits
        for key, why in (
            ("parallel", "it is parallel already"),
            ("resource_group", "its parts would wait for each other in its resource group"),
            ("trigger", "it starts another pipeline"),
        ):
            if self.said.get(change.job, key) is not None:
                edits.refuse(job, f"`{change.job}` cannot be split: {why}")
        artifacts = self.said.get(change.job, "artifacts")
        if artifacts is not None and artifacts.get("paths") is not None:
            edits.refuse(job, "its parts would leave artifacts at the same paths")
        own = edits.own(job, "script")
        lines = own[1] if own is not None else None
        nodes = [] if lines is None else [lines] if lines.kind == SCALAR else list(lines)
        whole = "\n".join([node.text or "" for node in nodes])
        found_line = sharding.line_of(whole, whole)
        if found_line is None:
            edits.refuse(job, "no one line of it starts a test program that takes a part of its suite")
        line, option = found_line
        for node in nodes:
            if line in (node.text or ""):
                edits.append_to_line(node, line, f" {option.format(part='$CI_NODE_INDEX', parts='$CI_NODE_TOTAL')}")
        edits.add_entry(job, "parallel", change.parts, _FRONT)


def _job_of(node: Node) -> str | None:
    """Which job of this pipeline an item of `needs` names; empty for one of another, None for what is not plain."""
    if node.tag is not None or node.kind == LIST:
        return None
    if node.kind == SCALAR:
        return node.text
    job = node.get("job")
    return "" if job is None or node.get("project") is not None or node.get("pipeline") is not None else job.text
