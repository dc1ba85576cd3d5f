"""Drafts and what they wait for as stages of a pipeline: gates for what a person starts, conditions, locks, retries.
What drafts mean is decided before.
"""

from __future__ import annotations

from stagebook.formats.gitlab import content
from stagebook.formats.gitlab.drafts import Draft, milliseconds
from stagebook.formats.gitlab.needs import Need, Needs
from stagebook.formats.gitlab.parallel import Cell
from stagebook.formats.gitlab.reading import Reading
from stagebook.formats.gitlab.variables import expanded
from stagebook.formats.native.nodes import is_nameable, shorten
from stagebook.formats.source.nodes import MAP, Node
from stagebook.model.job import Datum, Job, JobStep
from stagebook.model.pipeline import Condition, Gate, Matrix, Retry, Secret, Stage, Timeouts
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

LANGUAGE = "gitlab"
#: Reasons to try again that occur here; all others are of GitLab's runners and its server.
_HERE = frozenset(("always", "unknown_failure", "script_failure"))
_TIMEOUTS = frozenset(("stuck_or_timeout_failure", "job_execution_timeout"))


class Made(NamedTuple):
    """`ends`: the ids of those that nothing else in it waits for, whatever runs although others have failed left
    aside."""

    stages: tuple[Stage, ...] = ()
    matrices: Mapping[str, Matrix] = {}
    locks: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()

    @property
    def ends(self) -> list[str]:
        needed = {need for stage in self.stages if stage.join == "all" for need in stage.needs}
        return [stage.id for stage in self.stages if stage.id not in needed]

    @property
    def starts(self) -> list[str]:
        return [stage.id for stage in self.stages if not stage.needs]


class Maker:
    """`prefix` goes before ids and titles: of a child pipeline, the id of its trigger and a slash."""

    def __init__(self, reading: Reading, drafts: list[Draft], needs: Needs, prefix: str = "") -> None:
        self.reading = reading
        self.drafts = drafts
        self.needs = needs
        self.prefix = prefix
        self.of = {cell.id: draft for draft in drafts for cell in draft.cells}
        self.writes: dict[str, tuple[Datum, ...]] = {}
        self.reads: dict[str, tuple[Datum, ...]] = {}
        self.locks: dict[str, None] = {}
        self.secrets: dict[str, Secret] = {}
        self.gates: set[str] = set()
        self.steps: dict[Draft, tuple[JobStep, ...]] = {}
        self.unplayed = self._unplayed()
        self.after_failure = self._with_dependents([draft for draft in drafts if draft.when == "on_failure"])

    def made(self) -> Made:
        for draft in self.drafts:
            self.reads[draft.name], self.writes[draft.name] = content.data(self.reading, draft)
        stages: list[Stage] = []
        matrices: dict[str, Matrix] = {}
        for draft in self.drafts:
            gate = self.gate(draft)
            if gate is not None:
                stages.append(gate)
            for cell in draft.cells:
                stages.append(self.stage(draft, cell, gate))
            if draft.cells[0].values is not None:
                known = matrices.get(self.prefix + draft.id, Matrix(()))
                ids = (*known.cells, *(self.prefix + cell.id for cell in draft.cells))
                matrices[self.prefix + draft.id] = Matrix(ids, None, False)
        return Made(tuple(stages), matrices, tuple(self.locks), tuple(self.secrets.values()))

    # Manual jobs --------------------------------------------------------------------------------------------------

    def is_played(self, draft: Draft) -> bool:
        names = self.reading.request.play
        return draft.name in names or draft.id in names or any(cell.title in names for cell in draft.cells)

    def _unplayed(self) -> dict[Draft, Draft | None]:
        """Optional manual jobs that nobody plays, and all that needs one."""
        found = self._with_dependents(
            [draft for draft in self.drafts if draft.is_optional and not self.is_played(draft)]
        )
        for draft, base in found.items():
            shown = shorten(draft.name)
            if base is None:
                said = f"{shown} is started by hand, and nobody waits for it; `run --play` with its name starts it"
            else:
                said = f"{shown} needs {shorten(base.name)}: it does not run before that is played"
            self.reading.note(draft.key, "manual", said)
        return found

    def _with_dependents(self, drafts: list[Draft]) -> dict[Draft, Draft | None]:
        """These, and all that names one of them in its needs, to what each of the latter needs."""
        found: dict[Draft, Draft | None] = dict.fromkeys(drafts)
        if not found:
            return found
        dependents: dict[Draft, dict[Draft, None]] = {}
        for draft in self.drafts:
            for cell in draft.cells if draft.needs is not None else ():
                for need in self.needs.found[cell.id]:
                    dependents.setdefault(self.of[need.id], {})[draft] = None
        todo = list(found)
        for base in todo:
            for draft in dependents.get(base, ()):
                if draft not in found:
                    found[draft] = base
                    todo.append(draft)
        return found

    def gate(self, draft: Draft) -> Stage | None:
        """The person who starts a job that others wait for."""
        if not draft.is_manual or draft.is_optional or self.is_played(draft):
            return None
        needs: dict[str, Need] = {}
        for cell in draft.cells:
            needs |= {need.id: need for need in self.needs.found[cell.id]}
        line, col = self.reading.spot(draft.key)
        prompt = draft.text("manual_confirmation") or f"Start {draft.name}?"
        id_ = f"{self.prefix}{draft.id}:play"
        while id_.removeprefix(self.prefix) in self.of or id_ in self.gates:
            id_ += " by hand"
        self.gates.add(id_)
        return Stage(
            id_, id_, line, col, "gate",
            needs=tuple(self.prefix + need for need in needs), need_lines=tuple(need.line for need in needs.values()),
            gate=Gate(prompt),
        )  # fmt: skip

    # Stages -------------------------------------------------------------------------------------------------------

    def stage(self, draft: Draft, cell: Cell, gate: Stage | None) -> Stage:
        reading = self.reading
        line, col = reading.spot(draft.key)
        found = self.needs.found[cell.id]
        needs = {self.prefix + need.id: need.line for need in found}
        if gate is not None:
            needs[gate.id] = line
        when, join, is_always = self.condition(draft)
        job = self.job(draft, cell, found)
        timeout = milliseconds(draft.text("timeout"))
        if timeout is None and draft.text("timeout") is not None:
            said = f"job {shorten(draft.name)}: `timeout: {shorten(draft.text('timeout') or '')}` is no duration"
            reading.problem(draft.get("timeout"), "timeout", said)
        return Stage(
            self.prefix + cell.id, self.prefix + draft.id, line, col, "job",
            command="\n".join(step.text for step in job.steps),
            needs=tuple(needs), need_lines=tuple(needs.values()), join=join, always=is_always, cell=cell.values,
            locks=self.lock(draft, cell), when=when, changed=draft.changed, retry=self.retry(draft),
            timeouts=Timeouts(attempt_ms=timeout), allow_failure=draft.is_allowed, shell="bash",
            secrets=self.secret(draft), job=job,
        )  # fmt: skip

    def condition(self, draft: Draft) -> tuple[Condition | None, str, bool]:
        node = draft.get("when") or draft.get("rules") or draft.key
        line, col = self.reading.spot(node)
        if draft in self.unplayed:
            return Condition("manual", line, col, LANGUAGE), "all", False
        if draft.when == "on_failure":
            return Condition("on_failure", line, col, LANGUAGE), "done", False
        if draft.when == "always":
            return None, "done", True
        if draft in self.after_failure:  # what needs a job that does not run does not either
            return Condition("on_failure", line, col, LANGUAGE), "all", False
        return None, "all", False

    def steps_of(self, draft: Draft) -> tuple[JobStep, ...]:
        """The same of all its cells."""
        known = self.steps.get(draft)
        if known is None:
            known = self.steps[draft] = content.steps(self.reading, draft)
        return known

    def job(self, draft: Draft, cell: Cell, needs: list[Need]) -> Job:
        spec = content.spec(draft, cell)
        sources = self.needs.sources[cell.id]
        spec["artifacts_from"] = [self.prefix + id_ for id_ in sources]
        reads = dict.fromkeys(self.reads[draft.name])
        for id_ in sources:
            other = self.of[id_]
            reads |= dict.fromkeys(each for each in self.writes[other.name] if each.kind in ("artifact", "dotenv"))
        trigger = draft.get("trigger")
        environment = spec["environment"]
        image = spec["image"]
        deploys_to = environment["name"] if environment is not None and environment["action"] == "start" else None
        return Job(
            "gitlab", self.prefix + cell.title if self.prefix else cell.title,
            self.steps_of(draft), tuple(reads), self.writes[draft.name],
            tuple(self.prefix + need.id for need in needs if need.by_order),
            ", ".join(spec["tags"]), image["name"] if image is not None else None, draft.stage,
            deploys_to, self.unplayable(draft, trigger), spec,
        )  # fmt: skip

    def unplayable(self, draft: Draft, trigger: Node | None) -> str | None:
        if trigger is not None:
            kind = content.kind_of_trigger(trigger)
            if kind == "project":
                return "it starts a pipeline of another project, which only the server can"
            if kind == "artifact":
                return "it starts a pipeline that an earlier job writes, which is known only at run time"
            return None
        if draft.get("run") is not None:
            said = f"{shorten(draft.name)}: steps of `run` are only for GitLab's step runner"
            self.reading.note(draft.get("run"), "server", said)
            return "its `run:` has steps of GitLab's step runner, which is not here"
        if draft.get("script") is None and draft.mirrors:
            return "it shows how a pipeline of another project ends, which is known only on the server"
        if draft.get("script") is None:
            return "its script is in a file that could not be read"
        return None

    def lock(self, draft: Draft, cell: Cell) -> dict[str, str]:
        text = draft.text("resource_group")
        if not text:
            return {}
        spec = content.spec(draft, cell)["predefined"]
        name = expanded(text, {**draft.values, **spec, **(cell.values or {})}).strip()
        if not name or not is_nameable(name):
            said = f"job {shorten(draft.name)}: `resource_group: {shorten(text)}` has no usable name here"
            self.reading.warn(draft.get("resource_group"), "resource-group", said)
            return {}
        self.locks[name] = None
        return {name: "exclusive"}

    def retry(self, draft: Draft) -> Retry:
        made = content.retry(draft.get("retry"))
        if not made["max"]:
            return Retry()
        only = [f"exit {code}" for code in made["exit_codes"]]
        words = set(made["when"])
        if not words.isdisjoint(_HERE):
            only = []
        elif not words.isdisjoint(_TIMEOUTS):
            only.append("timeout")
        elif words and not only:
            return Retry()
        return Retry(made["max"] + 1, only=tuple(only))

    def secret(self, draft: Draft) -> tuple[str, ...]:
        names = []
        for word in ("secrets", "id_tokens"):
            node = draft.get(word)
            for name, key, _ in node.items() if node is not None and node.kind == MAP else ():
                names.append(name)
                self.secrets.setdefault(name, Secret(name, None, self.reading.spot(key)[0]))
        return tuple(dict.fromkeys(names))
