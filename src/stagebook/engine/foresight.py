"""What would be decided now of each stage's files, for `--dry-run` and `why`. Starts, writes and ends nothing."""

from __future__ import annotations

from stagebook.artifact.state import Last
from stagebook.condition.outputs import Absent, value
from stagebook.engine.environment import Environment
from stagebook.engine.freshness import NO_INPUTS, UNSEEN, VALUES, Freshness
from stagebook.graph.artifacts import read_of
from stagebook.model.pipeline import OutputOf, Pipeline, Stage
from stagebook.model.value import NamedTuple
from stagebook.scheduler.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

#: What differences begin with that are of files which others may make.
_OF_FILES = ("changed: ", "new: ", "gone: ", "program ")


class Outlook(NamedTuple):
    """`verdict` is `run`, `skip`, or `later` where it depends on stages that would run: `reasons` are then these."""

    verdict: str
    reasons: tuple[str, ...] = ()
    last: Last | None = None

    def __bool__(self) -> bool:
        return self.verdict == "skip"

    @property
    def is_for_good(self) -> bool:
        """Whether it runs whatever its files hold."""
        return self.reasons in ((NO_INPUTS,), (UNSEEN,))

    @property
    def words(self) -> str:
        if self.verdict != "later":
            return ", ".join(self.reasons)
        stages = self.reasons
        together = stages[0] if len(stages) == 1 else f"{', '.join(stages[:-1])} and {stages[-1]}"
        return f"decided when {together} {'has' if len(stages) == 1 else 'have'} ended"


class Foresight:
    """Looks at the files of a pipeline as they are now. Without a `plan` all stages are taken to take part."""

    def __init__(
        self, pipeline: Pipeline, cache: str, params: Mapping[str, str], plan: Plan | None = None,
        is_forced: bool = False, versions: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._pipeline = pipeline
        self._plan = plan
        self._is_forced = is_forced
        self._at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
        self._freshness = Freshness(pipeline, cache, Environment(pipeline, "", params, None), params, versions)
        self._known: dict[int, Outlook] = {}

    def reads(self, index: int) -> bool:
        """Whether the stage declares what it reads: without that there is nothing to look at."""
        return bool(self._pipeline.stages[index].inputs)

    def of(self, index: int) -> Outlook:
        """Of the stage with that number; its producers are looked at first."""
        todo = [index]
        while todo:
            stage = todo[-1]
            fresh = [need for need in self._sources(stage) if need not in self._known]
            if fresh:
                todo += fresh
                continue
            todo.pop()
            if stage not in self._known:
                self._known[stage] = self._judge(stage)
        return self._known[index]

    def _sources(self, index: int) -> list[int]:
        """Stages that make what it reads, or say what it is given, and take part."""
        stage = self._pipeline.stages[index]
        given = {of.stage for of in (*stage.env_from.values(), *stage.cmd_from.values())}
        outputs = {need: self._pipeline.stages[self._at[need]].outputs for need in stage.needs}
        names = [need for need in stage.needs if need in given or read_of(stage.inputs, outputs[need])]
        needs = [self._at[name] for name in names]
        return [need for need in needs if self._plan is None or self._plan.stages[need].skip is None]

    def _judge(self, index: int) -> Outlook:
        stage = self._pipeline.stages[index]
        why = self._freshness.settled(index)
        if why is not None or self._is_forced:
            return Outlook("run", (why or "--force",))
        running = [self._pipeline.stages[need].id for need in self._sources(index) if not self._known[need]]
        seen = self._freshness.look(index, self._freshness.known_of(index), is_child=True)
        seen = self._freshness.own(index, seen)
        self._freshness.remember((*seen.inputs, *seen.outputs))
        differences = self._freshness.differences(self._filled(stage), index, seen)
        if running:
            certain = [text for text in differences if not self._is_open(stage, text)]
            return (
                Outlook("run", tuple(certain), self._freshness.last(index))
                if certain
                else Outlook("later", tuple(running))
            )
        return Outlook("run" if differences else "skip", tuple(differences), self._freshness.last(index))

    def _is_open(self, stage: Stage, difference: str) -> bool:
        """Whether stages that would run may undo it: what they make or say is not known before."""
        if difference.startswith("env "):
            return difference.split(" ")[1] in stage.env_from
        return difference.startswith(_OF_FILES) or (difference.startswith("command") and bool(stage.cmd_from))

    def _filled(self, stage: Stage) -> Stage:
        """With what it is given of stages that are up to date."""
        if not (stage.env_from or stage.cmd_from):
            return stage
        try:
            env = {name: self._value(of) for name, of in stage.env_from.items()}
            words = list(stage.command)
            for place, of in stage.cmd_from.items():
                words[int(place)] = self._value(of)
        except Absent:
            return stage
        return stage._replace(
            env={**stage.env, **env}, command=tuple(words) if stage.cmd_from else stage.command
        )  # fmt: skip

    def _value(self, of: OutputOf) -> str:
        last = self._freshness.last(self._at[of.stage])
        return value(of, last.parts.get(VALUES, {}) if last is not None and last.parts is not None else {})
