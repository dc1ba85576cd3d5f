"""What a job waits for: its `needs`, or else the stages before its own; and whose artifacts it gets. What a job is
otherwise is not looked at.
"""

from __future__ import annotations

import re

from stagebook.formats.gitlab import parallel
from stagebook.formats.gitlab.drafts import Draft
from stagebook.formats.gitlab.parallel import Cell
from stagebook.formats.gitlab.reading import Reading
from stagebook.formats.gitlab.scalars import truth
from stagebook.formats.gitlab.templates import flattened
from stagebook.formats.native.grammar import EDGES_MAX
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import MAP, SCALAR, Node
from stagebook.model.value import NamedTuple

_KEYS = frozenset(("job", "artifacts", "optional", "parallel", "pipeline", "project", "ref"))
_CELL = re.compile(r"\A(?P<job>.+?)(?:: \[.*\]| \d+/\d+)\Z", re.S)


class Need(NamedTuple):
    id: str
    line: int
    has_artifacts: bool = True
    by_order: bool = False


class Needs:
    """`left_out`: names of jobs that the file has and this pipeline has not."""

    def __init__(self, reading: Reading, drafts: list[Draft], left_out: dict[str, Draft], occasion: str) -> None:
        self.reading = reading
        self.drafts = drafts
        self.by_name = {draft.name: draft for draft in drafts}
        self.cells: dict[str, list[Cell]] = {}
        for draft in drafts:
            self.cells.setdefault(draft.name, []).extend(draft.cells)
        self.left_out = left_out
        self.occasion = occasion
        self.by_title = {cell.title: (draft, cell) for draft in drafts for cell in draft.cells}
        self.found: dict[str, list[Need]] = {}
        self.sources: dict[str, list[str]] = {}  #: ids, to those of the jobs whose artifacts it gets
        self.makers = [draft for draft in drafts if draft.get("artifacts") is not None]
        self.count = 0
        self._walls: dict[int, list[str]] = {}
        for draft in drafts:
            for cell in draft.cells:
                self.found[cell.id] = self.declared(draft, cell)
        for draft in drafts:
            if draft.needs is None:
                self.by_stage(draft)
        for draft in drafts:
            self.artifacts(draft)

    # needs --------------------------------------------------------------------------------------------------------

    def declared(self, draft: Draft, own: Cell) -> list[Need]:
        """Those that the job names. A need of a job is one of all its cells."""
        found: dict[str, Need] = {}
        node = draft.needs
        if node is None:
            return []
        items = flattened(node)
        for item in (node,) if node.kind == MAP else items:
            for cell, has_artifacts in self.of(draft, own, item):
                known = found.get(cell.id)
                if cell.id == own.id:
                    self.reading.problem(item, "needs", f"job {shorten(draft.name)} needs itself")
                elif known is None or has_artifacts:
                    line = self.reading.spot(item)[0]
                    found[cell.id] = Need(cell.id, line, has_artifacts)
        self.spend(draft, len(found))
        return list(found.values())

    def of(self, draft: Draft, own: Cell, item: Node) -> list[tuple[Cell, bool]]:
        """The cells that one entry of `needs` means, and whether their artifacts come along."""
        reading, shown = self.reading, shorten(draft.name)
        if item.is_null:
            reading.problem(item, "needs", f"job {shown}: an entry of `needs` is empty")
            return []
        if item.kind == SCALAR:
            return [(cell, True) for cell in self.named(draft, item, item.text or "", False)]
        if item.kind != MAP:
            reading.problem(item, "needs", f"job {shown}: an entry of `needs` is a job's name or a mapping")
            return []
        for key, at, _ in item.items():
            if key not in _KEYS:
                reading.problem(at, "unknown-key", f"job {shown}: `needs` has no key `{shorten(key)}`")
        job, artifacts, optional = item.get("job"), item.get("artifacts"), item.get("optional")
        if item.get("pipeline") is not None or item.get("project") is not None:
            what = item.get("project") or item.get("pipeline")
            said = f"job {shown}: what it needs of {shorten((what.text if what else None) or '')} is only on the server"
            reading.note(item, "server", said)
            return []
        if job is None or job.text is None:
            reading.problem(item, "needs", f"job {shown}: an entry of `needs` has no `job`")
            return []
        cells = self.named(draft, job, job.text, truth(optional) is True)
        if cells and item.get("parallel") is not None:
            cells = parallel.selected(reading, draft.name, item, own, cells, draft.values)
        return [(cell, truth(artifacts) is not False) for cell in cells]

    def named(self, draft: Draft, at: Node, name: str, is_optional: bool) -> list[Cell]:
        reading, shown = self.reading, shorten(draft.name)
        other = self.by_name.get(name)
        if other is None and name in self.by_title:
            other, cell = self.by_title[name]
            cells = [cell]
        elif other is not None:
            cells = self.cells[name]
        else:
            base = _CELL.match(name)
            gone = self.left_out.get(name)
            if gone is None and base is not None:
                gone = self.left_out.get(base["job"]) or self.by_name.get(base["job"])
            if gone is not None:
                if not is_optional:
                    self.without(draft, at, gone, name)
                return []
            if not is_optional:
                said = f"job {shown} needs {shorten(name)}, which does not exist"
                reading.absent(at, "needs", said, f"{shorten(name)} is needed and not there")
            return []
        if draft.position is not None and other.position is not None and other.position > draft.position:
            said = f"job {shown} needs {shorten(name)}, which is in a later stage: {shorten(other.stage)}"
            reading.problem(at, "needs", said)
            return []
        return cells

    def without(self, draft: Draft, at: Node, gone: Draft, name: str) -> None:
        """A need is not in the pipeline: there is none then, unless the project has a variable that lets it in."""
        said = f"job {shorten(draft.name)} needs {shorten(name)}, which is not in a pipeline of {self.occasion}"
        unset = gone.unset()
        if unset and not self.reading.is_fragment:
            hint = f"; it asks for ${shorten(unset[0])}, which nothing here sets (--var {shorten(unset[0])}=…)"
            self.reading.warn(at, "needs", said + hint)
        else:
            self.reading.absent(at, "needs", f"{said}; give both the same rules, or say `optional: true`", said)

    # Stages -------------------------------------------------------------------------------------------------------

    def by_stage(self, draft: Draft) -> None:
        """Without `needs` it waits for all jobs of all stages before its own, except those that a person may start:
        for those among them that no other one of them waits for."""
        if draft.position is None:
            return
        line = self.reading.spot(draft.get("stage") or draft.key)[0]
        needs = [Need(id_, line, True, True) for id_ in self.wall(draft.position)]
        for cell in draft.cells:
            self.found[cell.id] = needs
            self.spend(draft, len(needs))

    def wall(self, position: int) -> list[str]:
        """The last of all jobs before a position. Those of one stage without `needs` stand for all before them; one
        that runs although others have failed stands for itself alone."""
        known = self._walls.get(position)
        if known is None:
            before = [
                draft for draft in self.drafts
                if draft.position is not None and draft.position < position and not draft.is_optional
            ]  # fmt: skip
            reached: set[str] = set()
            covered = -1
            for draft in before:
                if draft.when in ("always", "on_failure"):
                    continue
                if draft.needs is None and draft.position is not None:
                    covered = max(covered, draft.position)
                else:
                    reached.update(need.id for cell in draft.cells for need in self.found[cell.id])
            known = [
                cell.id for draft in before for cell in draft.cells
                if cell.id not in reached and not (draft.position is not None and draft.position < covered)
            ]  # fmt: skip
            self._walls[position] = known
        return known

    def spend(self, draft: Draft, count: int) -> None:
        self.count += count
        if self.count > EDGES_MAX:
            self.reading.refuse(draft.key, "limit", f"the jobs have more than {EDGES_MAX} needs, the limit")

    # Artifacts ----------------------------------------------------------------------------------------------------

    def artifacts(self, draft: Draft) -> None:
        """Those of all stages before its own, or of its needs; of them only what `dependencies` names."""
        reading, shown = self.reading, shorten(draft.name)
        node = draft.get("dependencies")
        wanted: set[str] | None = None
        if node is not None:
            wanted = set()
            for item in node:
                name = item.text or ""
                other = self.by_name.get(name)
                if other is None and name in self.by_title:
                    wanted.add(self.by_title[name][1].id)
                    continue
                if other is None:
                    if name not in self.left_out:
                        said = f"job {shown}: {shorten(name)} of `dependencies` does not exist"
                        brief = f"{shorten(name)} is named by `dependencies` and not there"
                        reading.absent(item, "dependencies", said, brief)
                    else:
                        said = f"job {shown}: {shorten(name)} of `dependencies` is not in a pipeline of {self.occasion}"
                        reading.warn(item, "dependencies", said)
                    continue
                if None not in (draft.position, other.position) and not self.is_before(other, draft):
                    said = f"job {shown}: {shorten(name)} of `dependencies` is not in an earlier stage"
                    reading.problem(item, "dependencies", said)
                    continue
                ids = {cell.id for cell in self.cells[name]}
                if (
                    self.found[draft.cells[0].id]
                    and draft.needs is not None
                    and not any(need.id in ids for need in self.found[draft.cells[0].id])
                ):
                    said = f"job {shown}: {shorten(name)} of `dependencies` must be one of its `needs`"
                    reading.problem(item, "dependencies", said)
                wanted |= ids
        for cell in draft.cells:
            if draft.needs is not None:
                found = [need.id for need in self.found[cell.id] if need.has_artifacts]
            elif draft.position is None:
                found = []
            else:
                found = [
                    each.id for other in self.makers
                    if other.position is not None and other.position < draft.position for each in other.cells
                ]  # fmt: skip
            self.sources[cell.id] = [id_ for id_ in found if wanted is None or id_ in wanted]
            self.spend(draft, len(self.sources[cell.id]))

    def is_before(self, other: Draft, draft: Draft) -> bool:
        if other.position is None or draft.position is None:
            return True
        if other.position < draft.position:
            return True
        return draft.needs is not None and other.position == draft.position and other is not draft
