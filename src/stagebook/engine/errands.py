"""What has to be done for a shard before its attempt begins and after it has ended, by children, while the loop goes
on. What is done is `split`, how a child is led `hasher`; what follows from it is the loop's business.
"""

from __future__ import annotations

from stagebook.engine.attempt import Attempt
from stagebook.engine.attempts import Finished
from stagebook.engine.hasher import Failed, Hasher
from stagebook.engine.split import Place, Suites, Undealt
from stagebook.engine.wakeup import Wakeup
from stagebook.model.value import NamedTuple
from stagebook.scheduler.vocabulary import Kill, Start

CHILDREN_MAX = 4  #: copies at once: a disk gives no more to many


class Ready(NamedTuple):
    """The workspace of an attempt is there, or (`why`) cannot be."""

    start: Start
    place: Place
    warnings: list[str]
    why: str | None


class Settled(NamedTuple):
    """All that was to be done after an attempt is done."""

    attempt: Attempt
    end: Finished


class Errands:
    """Those of one run."""

    def __init__(self, suites: Suites, wakeup: Wakeup, jobs: int) -> None:
        self._suites = suites
        self._hasher = Hasher(wakeup, min(jobs, CHILDREN_MAX))
        self._before: dict[tuple[int, int], tuple[Start, Place]] = {}
        self._after: dict[tuple[int, int], tuple[Attempt, Finished]] = {}

    @property
    def is_busy(self) -> bool:
        return bool(self._before or self._after)

    def has(self, stage: int) -> bool:
        return self._suites.has(stage)

    def prepare(self, start: Start) -> str | None:
        """Before an attempt; it may begin when `pump` gives it back. Why it cannot, where that is known at once."""
        stage, attempt = key = start.stage, start.attempt
        try:
            place = self._suites.place(stage, attempt)
        except (Undealt, OSError) as error:
            return str(error)
        self._before[key] = start, place
        self._hasher.begin(("before", key), lambda: self._suites.make(stage, attempt))
        return None

    def settle(self, attempt: Attempt, end: Finished) -> None:
        """After an attempt; it is over when `pump` gives it back."""
        stage, number = key = attempt.stage, attempt.number
        self._after[key] = attempt, end
        is_well = end.outcome == "success"
        self._hasher.begin(("after", key), lambda: self._suites.settle(stage, number, is_well))

    def stop(self, kill: Kill) -> bool:
        """The attempt is not wanted any more: whether it had not begun, and now never will."""
        key = kill.stage, kill.attempt
        return self._before.pop(key, None) is not None and self._hasher.stop(("before", key))

    def pump(self, fd: int) -> tuple[list[Ready], list[Settled]] | None:
        """Take what there is to read: what can begin, and what is over. None if the descriptor is none of ours."""
        done = self._hasher.pump(fd)
        if done is None:
            return None
        ready: list[Ready] = []
        settled: list[Settled] = []
        for (what, key), result in done:
            why = str(result) if isinstance(result, Failed) else None
            warnings: list[str] = [] if why is not None else result
            if what == "before":
                ready.append(Ready(*self._before.pop(key), warnings, why))
            else:
                attempt, end = self._after.pop(key)
                warnings = warnings if why is None else [f"{attempt.name}: {why}"]
                settled.append(Settled(attempt, end._replace(warnings=(*end.warnings, *warnings))))
        return ready, settled

    def close(self) -> None:
        self._hasher.close()
