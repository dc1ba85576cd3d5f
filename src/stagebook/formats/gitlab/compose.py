"""A file's content as the stages of one pipeline: files included, templates resolved, child pipelines put in. The steps
of it are in the modules beside this one.
"""

from __future__ import annotations

from stagebook.formats.gitlab import event, keywords
from stagebook.formats.gitlab.content import kind_of_trigger
from stagebook.formats.gitlab.drafts import Config, Draft
from stagebook.formats.gitlab.files import Project
from stagebook.formats.gitlab.include import Includer
from stagebook.formats.gitlab.needs import Needs
from stagebook.formats.gitlab.reading import Reading, map_of, measured, scalar
from stagebook.formats.gitlab.rules import Facts
from stagebook.formats.gitlab.scalars import truth
from stagebook.formats.gitlab.stages import Made, Maker
from stagebook.formats.gitlab.templates import Extender, References
from stagebook.formats.gitlab.variables import Occasion, Variables, circle
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import MAP, Node
from stagebook.graph.cycles import find_cycle
from stagebook.model.pipeline import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping

CHILDREN_MAX = 2  #: how deep child pipelines go


def config(reading: Reading, includer: Includer, root: Node, stack: tuple[str, ...] = ()) -> Config:
    """A root with its includes, references and templates resolved, and checked."""
    whole = includer.merged(root, includer.home, stack)
    reading.is_fragment = reading.is_fragment or bool(reading.missing)
    whole = References(reading, whole).resolved()
    measured(whole, reading)
    extender = Extender(reading, whole)
    whole = extender.resolved()
    measured(whole, reading)
    keywords.check_root(reading, whole)
    return Config(reading, whole, extender.lacking)


class Composer:
    """`facts_of` gives what is known of an occasion."""

    def __init__(
        self, reading: Reading, facts_of: Callable[[Occasion], Facts], includer_of: Callable[[Occasion], Includer]
    ) -> None:
        self.reading = reading
        self.facts_of = facts_of
        self.includer_of = includer_of

    def pipeline(
        self, found: Config, occasion: Occasion, passed: Variables = Variables(), prefix: str = "", depth: int = 0
    ) -> Made:
        """The stages of one pipeline. What is wrong is in the reading. `passed`: what its trigger hands over."""
        facts = self.facts_of(occasion)
        facts = facts._replace(strong=passed.over(facts.strong))
        verdict = found.workflow(facts)
        if not verdict.included:
            return Made()
        drafts: list[Draft] = []
        left_out: dict[str, Draft] = {}
        for draft, is_in in found.drafts(facts, verdict.variables, passed):
            if is_in:
                drafts.append(draft)
                self.check_variables(draft)
            else:
                left_out[draft.name] = draft
        for draft in drafts:
            left_out.pop(draft.name, None)
        self.same_ids(drafts)
        needs = Needs(self.reading, drafts, left_out, occasion.text)
        made = Maker(self.reading, drafts, needs, prefix).made()
        if not self.is_circle(drafts, needs):
            made = self.with_children(found, made, drafts, facts, prefix, depth)
        return made

    def check_variables(self, draft: Draft) -> None:
        names = circle(draft.variables)
        if names:
            shown = " → ".join(f"${shorten(name)}" for name in [*names, names[0]][:12])
            said = f"job {shorten(draft.name)}: variables speak of each other in a circle: {shown}"
            self.reading.problem(draft.get("variables") or draft.key, "variable", said)

    def same_ids(self, drafts: list[Draft]) -> None:
        seen: dict[str, Draft] = {}
        for draft in drafts:
            for cell in draft.cells:
                other = seen.setdefault(cell.id, draft)
                if other is not draft:
                    said = f"job {shorten(draft.name)} cannot be told from {shorten(other.name)}"
                    self.reading.problem(draft.key, "duplicate-name", said)

    def is_circle(self, drafts: list[Draft], needs: Needs) -> bool:
        """Whether jobs wait for each other, which is said then."""
        ids = [cell.id for draft in drafts for cell in draft.cells]
        of = {cell.id: draft for draft in drafts for cell in draft.cells}
        at = {id_: place for place, id_ in enumerate(ids)}
        circle = find_cycle([[at[need.id] for need in needs.found[id_]] for id_ in ids])
        if circle is None:
            return False
        names = list(dict.fromkeys(of[ids[place]].name for place in circle))
        shown = " → ".join(shorten(name) for name in [*names, names[0]][:12])
        self.reading.problem(of[ids[circle[0]]].key, "cycle", f"jobs need each other in a circle: {shown}")
        return True

    # Child pipelines ----------------------------------------------------------------------------------------------

    def with_children(
        self, found: Config, made: Made, drafts: list[Draft], facts: Facts, prefix: str, depth: int
    ) -> Made:
        """The jobs of local child pipelines, each behind the job that triggers it, and before what waits for that if
        the trigger waits itself."""
        for draft in drafts:
            trigger = draft.get("trigger")
            if trigger is None:
                continue
            if kind_of_trigger(trigger) != "child":
                what = trigger.text or (trigger.get("project") or trigger).text or ""
                said = f"{shorten(draft.name)} starts a pipeline of {shorten(what) or 'what a job writes'}"
                self.reading.note(draft.key, "server", f"{said}: that is only on the server")
                continue
            if depth >= CHILDREN_MAX:
                said = f"{shorten(draft.name)}: child pipelines go {CHILDREN_MAX} deep at most"
                self.reading.problem(draft.key, "trigger", said)
                continue
            for cell in draft.cells:
                missing = len(self.reading.missing)
                child = self.child(draft, trigger, cell.values or {}, facts, prefix + cell.id, depth)
                if not child.stages and len(self.reading.missing) > missing:
                    made = _unplayable(made, prefix + cell.id, "what its child pipeline is made of is not at hand")
                made = _joined(made, child, prefix + cell.id, trigger)
        return made

    def child(self, draft: Draft, trigger: Node, cell: Mapping[str, str], facts: Facts, id_: str, depth: int) -> Made:
        include = trigger.get("include")
        assert include is not None
        occasion = facts.occasion._replace(source="parent_pipeline")
        includer = self.includer_of(occasion)
        includer.variables = {**includer.variables, **draft.values, **cell}
        inputs = trigger.get("inputs")
        if inputs is not None and include.kind == MAP and include.get("inputs") is None:
            include = map_of(include, [*include.entries(), (scalar(inputs, "inputs"), inputs)])
        root = map_of(include, [(scalar(include, "include"), include)])
        missing, problems = len(self.reading.missing), len(self.reading.problems)
        was = self.reading.is_fragment
        found = config(self.reading, includer, root)
        if len(self.reading.missing) == missing and not found.jobs and len(self.reading.problems) == problems:
            self.reading.problem(include, "trigger", f"{shorten(draft.name)}: its child pipeline has no jobs")
        forward = trigger.get("forward")
        passes = forward.get("yaml_variables") if forward is not None else None
        passed = Variables() if truth(passes) is False else draft.variables
        passed = Variables({**passed.values, **cell}, passed.raw)
        inner = id_.replace("[", "(").replace("]", ")") + "/"  # an id has brackets at its end only
        made = self.pipeline(found, occasion, passed, inner, depth + 1)
        self.reading.is_fragment = was
        return made


def _joined(made: Made, child: Made, id_: str, trigger: Node) -> Made:
    """A pipeline with a child put behind the stage `id_`."""
    strategy = trigger.get("strategy")
    waits = strategy is not None and strategy.text in ("depend", "mirror")
    starts = set(child.starts)
    inside = {stage.id for stage in child.stages}
    ends = child.ends
    stages: list[Stage] = []
    for stage in made.stages:
        if waits and id_ in stage.needs and stage.id not in inside:
            stage = _behind(stage, id_, ends)
        stages.append(stage)
        if stage.id == id_:
            for each in child.stages:
                if each.id in starts:
                    each = each._replace(needs=(id_,), need_lines=(stage.line,))
                stages.append(_if_triggered(each, stage))
    return Made(
        tuple(stages), {**made.matrices, **child.matrices}, tuple(dict.fromkeys((*made.locks, *child.locks))),
        (*made.secrets, *(each for each in child.secrets if each.name not in {own.name for own in made.secrets})),
    )  # fmt: skip


def _if_triggered(stage: Stage, trigger: Stage) -> Stage:
    """A stage of a child pipeline that is not there where its trigger does not run: a stage that is skipped by its
    condition counts as done."""
    if stage.kind == "job" and stage.when is None:
        stage = stage._replace(when=trigger.when)
    return stage if stage.changed else stage._replace(changed=trigger.changed)


def _unplayable(made: Made, id_: str, why: str) -> Made:
    stages = tuple(
        stage._replace(job=stage.job._replace(unplayable=why)) if stage.id == id_ and stage.job is not None else stage
        for stage in made.stages
    )
    return made._replace(stages=stages)


def _behind(stage: Stage, id_: str, ends: list[str]) -> Stage:
    """A stage that waits for a trigger, and now for the ends of its child pipeline too; they wait for it themselves, so
    where only the order of stages has it wait, they take its place."""
    lines = dict(zip(stage.needs, stage.need_lines))
    line = lines[id_]
    job = stage.job
    is_ordered = job is None or id_ in job.by_order
    if job is not None and id_ in job.by_order:
        job = job._replace(by_order=(*(each for each in job.by_order if each != id_), *ends))
    if is_ordered and ends:
        del lines[id_]
    for each in ends:
        lines.setdefault(each, line)
    return stage._replace(needs=tuple(lines), need_lines=tuple(lines.values()), job=job)


def facts_maker(
    reading: Reading, home: Project, known: Callable[[Occasion], dict[str, str]]
) -> Callable[[Occasion], Facts]:
    """`known`: the variables that GitLab sets."""
    changed = event.changed(reading.request.payload)

    def facts(occasion: Occasion) -> Facts:
        strong = Variables(reading.request.variables)
        return Facts(occasion, {**known(occasion), **reading.request.variables}, home, changed, strong)

    return facts
