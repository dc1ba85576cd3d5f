"""What stages of one run said about themselves, for conditions and for the stages that are given it. Writes nothing."""

from __future__ import annotations

from stagebook.model.pipeline import OutputOf, Stage
from stagebook.scheduler.machine import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping

    from stagebook.record.mask import Mask


class Outputs:
    """The outputs of the latest attempt of each stage, read when they are asked for. `folder` holds their files."""

    def __init__(self, folder: str, places: Mapping[str, int], machine: Machine) -> None:
        self.folder = folder
        self._places = places
        self._machine = machine
        self.mask: Mask | None = None  #: hides the secrets of the run
        self._known: dict[tuple[int, int], dict[str, str]] = {}
        #: What a stage that does not run, as it is up to date, said when it ran; None for any other.
        self.values_before: Callable[[int], dict[str, str] | None] | None = None
        self.warnings: list[str] = []  #: what was wrong with a file that was read, once each: for `Answers` to hand on

    def index(self, stage: str) -> int | None:
        return self._places.get(stage)

    def path(self, index: int, attempt: int) -> str:
        """The `STAGEBOOK_OUTPUT` file of an attempt."""
        return f"{self.folder}/{index}.{attempt}"

    def of(self, stage: str) -> Mapping[str, str]:
        """By the stage's id; empty for a stage that has not run."""
        index = self._places.get(stage)
        if index is None:
            return {}
        attempt = self._machine.attempt(index)
        known = self._known.get((index, attempt))
        if known is None and self.values_before is not None:
            before = self.values_before(index)
            if before is not None:
                return before
        if known is None:
            from stagebook.condition import outputs

            known, warnings = outputs.read(self.path(index, attempt))
            if self.mask:  # of a stage that still runs nobody has masked the file yet
                known = {name: self.mask.text(value) for name, value in known.items()}
            self.warnings += [f"{stage}: {warning}" for warning in warnings]
            self._known[index, attempt] = known
        return known

    def filled(self, stage: Stage) -> Stage:
        """The stage with the outputs that it is given in their places. Raises `condition.outputs.Absent`."""
        env = {name: self._value(of) for name, of in stage.env_from.items()}
        command = stage.command
        if stage.cmd_from:
            words = list(command)
            for place, of in stage.cmd_from.items():
                words[int(place)] = self._value(of)
            command = tuple(words)
        return stage._replace(env={**stage.env, **env}, command=command)

    def _value(self, of: OutputOf) -> str:
        from stagebook.condition import outputs

        return outputs.value(of, self.of(of.stage), self._without(of.stage))

    def _without(self, stage: str) -> str:
        """Why a stage has no outputs."""
        index = self._places.get(stage)
        if index is None or self._machine.attempt(index):
            return "it has none"
        if self._machine.state(index) == "skip":
            return f"it was {self._machine.plan.stages[index].skip or 'skipped'}"
        return "it has not run"
