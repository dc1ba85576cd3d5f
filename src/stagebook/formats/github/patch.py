"""Changes of a workflow file, as small edits of its text. What to change and why, and whether what came out is what was
meant, is said elsewhere (`formats.patch`)."""

from __future__ import annotations

from stagebook.formats import sharding
from stagebook.formats.changes import FailFast, Lock, MaxParallel, Needs, Split, Timeout
from stagebook.formats.source.edits import Edits
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.formats.changes import Change
    from stagebook.formats.source.words import Value

_FRONT = ("name", "if", "runs-on", "uses")
_BEHIND_RUNNER = ("runs-on",)


def made(source: Source, changes: Sequence[Change]) -> bytes:
    """The file with the changes made. InputError where no small edit does one."""
    return _Patch(source).made(changes)


class _Patch:
    def __init__(self, source: Source) -> None:
        self.edits = Edits(source)
        root = source.documents[0] if source.documents else None
        self.jobs = root.get("jobs") if root is not None else None

    def made(self, changes: Sequence[Change]) -> bytes:
        for change in changes:
            job = self._job(change.job)
            if isinstance(change, Needs):
                self._needs(job, change)
            elif isinstance(change, Timeout):
                self._runs(job, "timeout-minutes")
                self.edits.set_entry(job, "timeout-minutes", change.minutes, _BEHIND_RUNNER)
            elif isinstance(change, FailFast):
                self.edits.set_entry(self._strategy(job), "fail-fast", change.on, ("matrix",))
            elif isinstance(change, MaxParallel):
                self.edits.set_entry(self._strategy(job), "max-parallel", change.most, ("fail-fast", "matrix"))
            elif isinstance(change, Lock):
                self._lock(job, change)
            elif isinstance(change, Split):
                self._split(job, change)
            else:
                self.edits.refuse(job, f"a workflow has no way to say that {change}")
        return self.edits.made()

    def _job(self, name: str) -> Node:
        found = self.jobs.entry(name) if self.jobs is not None else None
        if found is None:
            self.edits.refuse(self.jobs, f"the file has no job `{name}` of its own")
        if found[1].kind != MAP:
            self.edits.refuse(found[1], f"job `{name}` is no mapping")
        if self.edits.is_alias(*found):
            self.edits.refuse(found[0], f"job `{name}` is an alias, so another job would change too")
        return found[1]

    def _runs(self, job: Node, key: str) -> None:
        if job.get("uses") is not None:
            self.edits.refuse(job, f"a job that calls another workflow takes no `{key}`")

    def _needs(self, job: Node, change: Needs) -> None:
        edits = self.edits
        for need in change.remove:
            if (reader := _reading(job, need)) is not None:
                edits.refuse(reader, f"`{change.job}` reads `needs.{need}` here, so it has to need it")
        own = edits.own(job, "needs")
        if own is None or own[1].is_null:
            wanted = [need for need in change.add if need not in change.remove]
            if wanted:
                edits.set_entry(job, "needs", wanted if len(wanted) > 1 else wanted[0], _FRONT)
            return
        key, node = own
        had = node.texts
        more = [need for need in change.add if need not in had]
        left = [need for need in had if need not in change.remove]
        if edits.is_alias(key, node):
            edits.set_entry(job, "needs", [*left, *more])
        elif not left and not more:
            edits.remove_entry(job, "needs")
        elif left and node.kind == LIST:
            which = [place for place, each in enumerate(node) if each.text in change.remove]
            if which:
                edits.remove_items(node, which)
            if more:
                edits.add_items(node, more)
        elif left:
            edits.add_items(node, more)
        elif node.kind == SCALAR or node.flow:
            edits.set_value(node, more if len(more) > 1 or node.kind == LIST else more[0])
        else:
            edits.refuse(node, "all items of this list would be others")

    def _strategy(self, job: Node) -> Node:
        strategy = job.get("strategy")
        if strategy is None or strategy.kind != MAP or strategy.get("matrix") is None:
            self.edits.refuse(job, "the job has no matrix that is written out")
        return strategy

    def _lock(self, job: Node, change: Lock) -> None:
        own = self.edits.own(job, "concurrency")
        if own is not None and own[1].kind == MAP and not self.edits.is_alias(*own):
            self.edits.set_entry(own[1], "group", change.group)
        elif own is not None:
            self.edits.set_entry(job, "concurrency", change.group)
        else:
            value: Value = {"group": change.group, "cancel-in-progress": False}
            self.edits.add_entry(job, "concurrency", value, ("environment", *_BEHIND_RUNNER, "uses"))

    def _split(self, job: Node, change: Split) -> None:
        edits = self.edits
        self._runs(job, "strategy.matrix")
        for key, why in (
            ("outputs", "it has outputs, and only one part's would be seen"),
            ("concurrency", "it has a concurrency group, in which its parts would wait for each other"),
        ):
            if (entry := job.entry(key)) is not None:
                edits.refuse(entry[0], f"`{change.job}` cannot be split: {why}")
        strategy = job.get("strategy")
        matrix = strategy.get("matrix") if strategy is not None else None
        if strategy is not None and (matrix is None or matrix.kind != MAP or not matrix.value):
            edits.refuse(strategy, f"`{change.job}` cannot be split: its matrix is not written out")
        for key in ("include", "exclude", "part"):
            if matrix is not None and (entry := matrix.entry(key)) is not None:
                edits.refuse(entry[0], f"`{change.job}` cannot be split: `{key}` of its matrix would mean other cells")
        steps = [step for step in job.get("steps") or () if step.kind == MAP]
        for step in steps:
            uses = step.get("uses")
            if uses is not None and (uses.text or "").startswith("actions/upload-artifact@"):
                edits.refuse(uses, "its parts would upload artifacts of the same name")
        whole = "\n".join([step.get("run").text or "" for step in steps if step.get("run") is not None])  # type: ignore[union-attr]
        found = sharding.line_of(whole, whole)
        if found is None:
            edits.refuse(job, "no one line of it starts a test program that takes a part of its suite")
        line, option = found
        for step in steps:
            run = step.get("run")
            if run is not None and line in (run.text or ""):
                said = option.format(part="${{ matrix.part }}", parts=change.parts)
                edits.append_to_line(run, line, f" {said}")
        parts = list(range(1, change.parts + 1))
        if matrix is not None:
            edits.add_entry(matrix, "part", parts)
        else:
            edits.add_entry(job, "strategy", {"matrix": {"part": parts}}, _BEHIND_RUNNER)


def _reading(node: Node, need: str) -> Node | None:
    """Where a job speaks of a need in an expression."""
    waiting = [node]
    said = (f"needs.{need}.", f"needs['{need}']", "toJSON(needs)", "needs.*")
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if each.kind == SCALAR and any(part in str(each.value) for part in said):
            return each
        if each.kind == MAP:
            waiting += [value for _, value in each.entries()]
        elif each.kind == LIST:
            waiting += each.value
    return None
