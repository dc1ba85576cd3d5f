"""What is done for a shard before its attempt begins and after it has ended, by children, while the loop goes on. What
that is, is `split`; how a child is led, `hasher`. What comes of it is told to the loop (`Ear`), which decides nothing.
"""

from __future__ import annotations

from stagebook.engine.attempts import Finished
from stagebook.engine.hasher import Failed, Hasher
from stagebook.engine.split import Place, Suites, Undealt
from stagebook.engine.wakeup import Wakeup
from stagebook.model.pipeline import Pipeline
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.vocabulary import Kill, Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from stagebook.engine.attempt import Attempt
    from stagebook.record.mask import Mask
else:
    Protocol = object

CHILDREN_MAX = 4  #: copies at once: a disk gives no more to many


class Ear(Protocol):
    """Who is told. Any of these may be called before the question returns."""

    def cleared(self, start: Start, place: Place) -> None: ...
    def closed(self, stage: int, attempt: int, end: Finished, process: Attempt | None) -> None: ...
    def warned(self, text: str) -> None: ...


class Errands:
    """Those of one run. `ear` is set before anything is asked."""

    ear: Ear

    def __init__(
        self, pipeline: Pipeline, machine: Machine, directory: str, wakeup: Wakeup, mask: Mask | None = None
    ) -> None:  # fmt: skip
        """`directory` is that of the run; `mask` hides its secrets."""
        self.hasher = Hasher(wakeup, CHILDREN_MAX)
        self._suites = Suites(pipeline, machine, directory, mask)
        self._shards = {index for index, stage in enumerate(pipeline.stages) if stage.split and stage.split.is_shard}
        self._before: dict[int, tuple[Start, Place]] = {}
        self._after: dict[int, tuple[Attempt, Finished]] = {}

    @property
    def is_busy(self) -> bool:
        return bool(self._before or self._after)

    def grew(self, pipeline: Pipeline) -> None:
        """The run has further stages."""
        self._suites.grew(pipeline)
        self._shards.update(
            index for index, stage in enumerate(pipeline.stages) if stage.split and stage.split.is_shard
        )  # fmt: skip

    def concerns(self, stage: int) -> bool:
        return stage in self._shards

    def judge(self, stage: int) -> tuple[str, str | None]:
        """Whether a shard has anything to do."""
        verdict = self._suites.verdict(stage)
        for text in self._suites.take_warnings():
            self.ear.warned(text)
        return verdict

    def begin(self, start: Start) -> None:
        """Make its workspace."""
        stage, attempt = start.stage, start.attempt
        try:
            self._before[stage] = start, self._suites.place(stage, attempt)
        except (Undealt, OSError) as error:
            self.ear.closed(stage, attempt, Finished("error", str(error)), None)
            return
        self.hasher.begin((stage, "before"), lambda: self._suites.make(stage, attempt))

    def kill(self, decision: Kill) -> bool:
        """End an attempt that has no process yet, or none any more; False if it has one, or is not known here."""
        stage = decision.stage
        if stage in self._after:
            return True  # that its report is read takes no longer because of it
        if self._before.pop(stage, None) is None:
            return False
        self.hasher.stop((stage, "before"))
        outcome = "timeout" if decision.why == "timeout" else "cancellation"
        self.ear.closed(stage, decision.attempt, Finished(outcome, decision.why), None)
        return True

    def take(self, attempt: Attempt, end: Finished) -> bool:
        """After the end of a process; False if that is no shard's."""
        stage, number, is_well = attempt.stage, attempt.number, end.outcome == "success"
        if stage not in self._shards:
            return False
        self._after[stage] = attempt, end
        self.hasher.begin((stage, "after"), lambda: self._suites.settle(stage, number, is_well))
        return True

    def pump(self, fd: int) -> bool:
        """Take what a child says; False if the descriptor is of none."""
        finished = self.hasher.pump(fd)
        for (stage, when), answer in finished or ():
            if when == "before":
                self._made(*self._before.pop(stage), answer)
            else:
                self._settled(*self._after.pop(stage), answer)
        return finished is not None

    def _made(self, start: Start, place: Place, answer: Any) -> None:
        if isinstance(answer, Failed):
            self.ear.closed(start.stage, start.attempt, Finished("error", str(answer)), None)
            return
        for text in answer:
            self.ear.warned(text)
        self.ear.cleared(start, place)

    def _settled(self, attempt: Attempt, end: Finished, answer: Any) -> None:
        warnings = [f"{attempt.name}: {answer}"] if isinstance(answer, Failed) else answer
        self.ear.closed(attempt.stage, attempt.number, end._replace(warnings=(*end.warnings, *warnings)), attempt)

    def close(self) -> None:
        self.hasher.close()
