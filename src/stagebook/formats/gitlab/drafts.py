"""Jobs as they are in one pipeline: defaults taken over, rules decided, one draft a job with its cells. What joins them
is not yet there.
"""

from __future__ import annotations

import re

from stagebook.formats.gitlab import expression, parallel, rules
from stagebook.formats.gitlab.keywords import DEFAULTS, check_environments, check_job, is_job, mirrors
from stagebook.formats.gitlab.parallel import Cell
from stagebook.formats.gitlab.reading import Reading, map_of
from stagebook.formats.gitlab.rules import Facts, Verdict
from stagebook.formats.gitlab.scalars import truth
from stagebook.formats.gitlab.variables import Occasion, Variables
from stagebook.formats.gitlab.variables import read as read_variables
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

DEFAULT_STAGES = ("build", "test", "deploy")
PRE, POST = ".pre", ".post"
_UNSET_MAX = 6
_duration = re.compile(
    r"(\d+(?:\.\d+)?)\s*(weeks?|w|days?|d|hours?|hrs?|hr|h|minutes?|mins?|min|m(?!o)|seconds?|secs?|sec|s|months?|mos?|"
    r"years?|y)?(?=[\s\d,]|and\b|$)[\s,]*(?:and\s+)?", re.I,
)  # fmt: skip
_UNITS = {"y": 31_557_600, "mo": 2_592_000, "w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}


class Draft:
    """`node` has the defaults in it. `position` is that of its stage, None where the order of stages is not known.
    `variables` are those of the file, the job and its rule, `ruled` those of its rule alone. `is_manual` and
    `is_optional`: a person starts it; nobody waits for that."""

    __slots__ = (
        "cells", "changed", "codes", "id", "is_allowed", "is_manual", "is_optional", "key", "lacks_base", "mirrors",
        "name", "needs", "node", "position", "ruled", "stage", "start_in", "values", "variables", "when",
    )  # fmt: skip

    def __init__(self, name: str, key: Node, node: Node) -> None:
        self.name = name
        self.id = name.replace("[", "(").replace("]", ")")
        self.key = key
        self.node = node
        self.stage = "test"
        self.position: int | None = None
        self.when = "on_success"
        self.is_allowed = False
        self.codes: list[int] = []
        self.is_manual = False
        self.is_optional = False
        self.start_in: str | None = None
        self.changed: tuple[str, ...] = ()
        self.variables = Variables()
        self.ruled = Variables()
        self.values: dict[str, str] = {}
        self.needs: Node | None = None
        self.cells: list[Cell] = []
        self.lacks_base = False
        self.mirrors = False

    def get(self, name: str) -> Node | None:
        """The value of a key; None also where it is null, which is as if it were not there."""
        found = self.node.get(name)
        return None if found is None or found.is_null else found

    def text(self, name: str) -> str | None:
        found = self.get(name)
        return None if found is None else found.text

    def alone(self, cell: Cell) -> Draft:
        """The same job with one of its cells only."""
        part = Draft(self.name, self.key, self.node)
        part.id, part.stage, part.position, part.lacks_base = self.id, self.stage, self.position, self.lacks_base
        part.cells = [cell]
        return part

    def asked(self) -> list[str]:
        """The variables that its rules speak of."""
        names: dict[str, None] = {}
        for word in ("rules", "only", "except"):
            node = self.get(word)
            for text in _scalars(node) if node is not None else ():
                names |= dict.fromkeys(sorted(expression.names(text)))
        return list(names)

    def unset(self) -> list[str]:
        """A few of those that nobody sets: the project may."""
        return [name for name in self.asked() if name not in self.values and not _is_gitlabs(name)][:_UNSET_MAX]


def _is_gitlabs(name: str) -> bool:
    return name.startswith(("CI_", "GITLAB_"))


def _scalars(node: Node, depth: int = 0) -> Iterator[str]:
    if node.kind == SCALAR:
        yield str(node.value)
    elif depth < 20:
        for each in (value for _, value in node.entries()) if node.kind == MAP else node:
            yield from _scalars(each, depth + 1)


class Config:
    """A file with all that it includes, references and templates resolved. `lacking`: jobs that extend what could not
    be read."""

    def __init__(self, reading: Reading, root: Node, lacking: set[str]) -> None:
        self.reading = reading
        self.root = root
        self.lacking = lacking
        self.variables = read_variables(reading, root.get("variables"), "the file")
        self.stages, self.are_declared = self._stages()
        self.jobs: dict[str, Draft] = {}
        self._cells: dict[str, list[Cell]] = {}
        for name, key, node in root.items():
            if is_job(name, node):
                check_job(reading, name, key, node, name in lacking)
                self.jobs[name] = self._draft(name, key, node)
        check_environments(reading, {name: draft.node for name, draft in self.jobs.items()})
        self._check_stages()

    def _stages(self) -> tuple[list[str], bool]:
        node = self.root.get("stages")
        if node is None or node.is_null:
            return [PRE, *DEFAULT_STAGES, POST], False
        if node.kind != LIST or len(node.texts) < len(node.value):
            self.reading.problem(node, "type", "`stages` takes a list of names")
            return [PRE, *DEFAULT_STAGES, POST], False
        names = [name for name in dict.fromkeys(node.texts) if name not in (PRE, POST)]
        return [PRE, *names, POST], True

    def _draft(self, name: str, key: Node, node: Node) -> Draft:
        draft = Draft(name, key, self._with_defaults(node))
        draft.lacks_base = name in self.lacking
        draft.stage = draft.text("stage") or "test"
        if draft.stage in self.stages:
            draft.position = self.stages.index(draft.stage)
        return draft

    def _check_stages(self) -> None:
        shown = ", ".join(self.stages)
        for draft in self.jobs.values():
            if draft.position is None and not (draft.get("stage") is None and self._is_half(draft)):
                node = draft.get("stage")
                said = f"job {shorten(draft.name)}: stage {shorten(draft.stage)} does not exist"
                hint = f"; the stages are {shorten(shown)}"
                brief = (
                    f"stage {shorten(draft.stage)} is none of {'the file' if self.are_declared else 'the usual ones'}"
                )
                self.reading.absent(node or draft.key, "stage", said + hint, brief)

    def _is_half(self, draft: Draft) -> bool:
        """Whether the rest of a job is in what could not be read."""
        does = any(draft.get(key) is not None for key in ("script", "run", "trigger"))
        return draft.lacks_base or (self.reading.is_fragment and not does)

    def _with_defaults(self, node: Node) -> Node:
        """The job with what `default:`, or the top of the file, says of keys that it does not have itself."""
        default, inherit = self.root.get("default"), node.get("inherit")
        if default is not None and is_job("default", default):
            default = None
        wanted = inherit.get("default") if inherit is not None else None
        allowed = DEFAULTS
        if wanted is not None:
            allowed = frozenset(wanted.texts) if wanted.kind == LIST else DEFAULTS if truth(wanted) else frozenset()
        if node.get("trigger") is not None:
            allowed = allowed & {"interruptible", "tags"}
        added = []
        for name in sorted(allowed):
            own = node.get(name)
            if own is not None and not own.is_null:
                continue
            found = default.entry(name) if default is not None else None
            if found is None and name in ("image", "services", "cache", "before_script", "after_script"):
                found = self.root.entry(name)
            if found is not None and not found[1].is_null:
                added.append(found)
        if not added:
            return node
        names = {str(key.value) for key, _ in added}
        return map_of(node, [*((key, value) for key, value in node.entries() if key.value not in names), *added])

    # For one occasion ---------------------------------------------------------------------------------------------

    def workflow(self, facts: Facts) -> Verdict:
        """Whether there is a pipeline at all."""
        workflow = self.root.get("workflow")
        node = workflow.get("rules") if workflow is not None else None
        if node is None or node.is_null:
            return Verdict(True)
        return rules.judged(node, facts.knowing(self.variables))

    def drafts(self, facts: Facts, added: Variables, passed: Variables = Variables()) -> Iterator[tuple[Draft, bool]]:
        """Every job with its cells, and whether it is in the pipeline. `facts.values` has what GitLab sets; `added` is
        what the workflow adds to the variables of the file, `passed` what a trigger hands over, which is the
        strongest. A job whose rules ask for the values of its matrix comes once for all cells that are alike."""
        workflow = self.root.get("workflow")
        has_workflow = workflow is not None and workflow.get("rules") is not None
        shared = added.over(self.variables)
        for draft in self.jobs.values():
            own = self._own_variables(draft, added, shared)
            for each, is_in in self._parts(draft, own, facts, has_workflow):
                each.variables = passed.over(each.variables)
                yield each, is_in

    def _parts(self, draft: Draft, own: Variables, facts: Facts, has_workflow: bool) -> Iterator[tuple[Draft, bool]]:
        """The job as a whole, or its cells where rules tell them apart."""
        known = self._cells.get(draft.name)
        if known is None:
            known = parallel.cells(self.reading, draft.name, draft.id, draft.get("parallel"))
            self._cells[draft.name] = known
        draft.cells = list(known)
        axes = {name for cell in draft.cells if not cell.is_numbered for name in cell.values or ()}
        asked = draft.asked() if axes else []
        if axes.isdisjoint(asked):
            draft.variables = own
            told = facts.knowing(own)
            yield draft, self._decide(draft, told, self._verdict(draft, told, has_workflow))
            return
        alike: dict[tuple[object, ...], Draft] = {}
        verdicts: dict[tuple[str | None, ...], Verdict] = {}  # by the values of all that the rules speak of
        for cell in draft.cells:
            part = draft.alone(cell)
            part.variables = Variables(cell.values or {}).over(own)
            told = facts.knowing(part.variables)
            given = tuple([told.values.get(name) for name in asked])
            verdict = verdicts.get(given)
            if verdict is None:
                verdict = verdicts[given] = self._verdict(part, told, has_workflow)
            is_in = self._decide(part, told, verdict)
            part.variables = part.ruled.over(own)
            said = (is_in, part.when, part.is_allowed, part.start_in, part.changed, id(part.needs))
            first = alike.setdefault((*said, *sorted(part.ruled.values.items())), part)
            if first is not part:
                first.cells.append(cell)
        for key, part in alike.items():
            yield part, bool(key[0])

    def _own_variables(self, draft: Draft, added: Variables, shared: Variables) -> Variables:
        inherit = draft.get("inherit")
        wanted = inherit.get("variables") if inherit is not None else None
        if wanted is not None and wanted.kind == LIST:
            names = set(wanted.texts)
            shared = Variables({name: text for name, text in shared.values.items() if name in names}, shared.raw)
        elif truth(wanted) is False:
            shared = Variables()
        quiet_name = f"job {shorten(draft.name)}"
        return read_variables(self.reading, draft.get("variables"), quiet_name).over(shared)

    def _verdict(self, draft: Draft, facts: Facts, has_workflow: bool) -> Verdict:
        node = draft.get("rules")
        if node is not None:
            return rules.judged(node, facts)
        if draft.get("only") is None and draft.get("except") is None and has_workflow:
            return Verdict(True)
        return rules.chosen(draft.get("only"), draft.get("except"), facts)

    def _decide(self, draft: Draft, facts: Facts, verdict: Verdict) -> bool:
        """Whether it is there. `facts` know the variables that it has without its rules."""
        node = draft.get("rules")
        draft.ruled = verdict.variables
        if draft.ruled.values:
            draft.variables = draft.ruled.over(draft.variables)
            facts = facts.knowing(draft.variables)
        draft.values = dict(facts.values)
        draft.when = verdict.when or draft.text("when") or "on_success"
        draft.changed = verdict.changed
        draft.needs = verdict.needs if verdict.needs is not None else draft.get("needs")
        draft.mirrors = mirrors(draft.needs)
        if draft.mirrors and draft.needs is not None and len(draft.needs.value) <= 1:
            draft.needs = None  # it has no job of its own pipeline to wait for, so its stage has it wait
        draft.is_manual = draft.when == "manual"
        draft.start_in = verdict.start_in or draft.text("start_in")
        allowed = draft.get("allow_failure")
        if verdict.allow_failure is not None:
            draft.is_allowed = verdict.allow_failure
        elif allowed is not None and allowed.kind == MAP:
            codes = allowed.get("exit_codes")
            draft.codes = [int(text) for text in codes.texts if text.isdigit()] if codes is not None else []
            draft.is_allowed = False
        elif allowed is not None:
            draft.is_allowed = truth(allowed) is True
        else:
            draft.is_allowed = draft.is_manual and node is None
        draft.is_optional = draft.is_manual and draft.is_allowed
        return verdict.included and draft.when != "never"


def known_occasions(default_branch: str, branch: str) -> list[Occasion]:
    """For what a pipeline file usually is, the most usual first."""
    other = branch if branch != default_branch else "feature"
    return [
        Occasion("push", default_branch, default_branch),
        Occasion("merge_request_event", other, default_branch),
        Occasion("push", other, default_branch),
        Occasion("push", "v1.0.0", default_branch, True),
        Occasion("schedule", default_branch, default_branch),
        Occasion("web", default_branch, default_branch),
    ]


def milliseconds(text: str | None) -> int | None:
    """`1h 30m`, `90 minutes`, `3 days`: None where it is no duration. A bare number is seconds."""
    total, at = 0.0, 0
    text = (text or "").strip()[:200]
    while at < len(text):
        found = _duration.match(text, at)
        if found is None or found.end() == at:
            return None
        unit = (found[2] or "s").lower()
        total += float(found[1]) * _UNITS["mo" if unit.startswith("mo") else unit[0]]
        at = found.end()
    return round(total * 1000) if text and total < 1e10 else None
