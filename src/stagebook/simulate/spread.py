"""Many simulated runs, spread over the cores of this machine: a run is a plan and a draw, and gives its end.

Each run is by itself and has its own draw, so what comes out does not depend on how many processes there are, nor on
which of them played what. Processes are forked: plans and draws are inherited and never sent.
"""

from __future__ import annotations

import signal

from stagebook.model.value import NamedTuple
from stagebook.simulate.play import play

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor
    from typing import Mapping, Sequence, TypeAlias

    from stagebook.scheduler.plan import Plan
    from stagebook.simulate.play import Verdicts
    from stagebook.simulate.work import Draw, ItemWork, Speeds

_Job: TypeAlias = (
    "tuple[Sequence[Plan], Sequence[Draw], Speeds | None, Verdicts | None, Sequence[Mapping[int, ItemWork]]]"
)

#: With fewer attempts to play, another process would cost more than it saves.
STAGES_MIN = 10_000
#: One message holds about so many attempts: long enough to be worth it, short enough to share well.
STAGES_CHUNK = 4_000


class End(NamedTuple):
    """How one run ended: after how many seconds, and as what (None: it waits for a person)."""

    end_s: float
    outcome: str | None


class Spread:
    """A context manager. What is played: every plan with every draw, all with the same speeds and verdicts; `items` is
    what stages work through, by plan."""

    __slots__ = ("_executor", "_job", "_workers")

    def __init__(
        self, plans: Sequence[Plan], draws: Sequence[Draw], speeds: Speeds | None, verdicts: Verdicts | None,
        workers: int, items: Sequence[Mapping[int, ItemWork]] = (),
    ) -> None:  # fmt: skip
        self._job = plans, draws, speeds, verdicts, items or [{} for _ in plans]
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Spread:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def ends(self, begin: int, end: int) -> list[list[End]]:
        """By plan, the ends with the draws from `begin` to before `end`."""
        plans = self._job[0]
        stages = sum([len(plan.stages) for plan in plans]) * (end - begin)
        if self._workers < 2 or (stages < STAGES_MIN and self._executor is None):
            return [_play(self._job, at, begin, end) for at in range(len(plans))]
        chunks = [
            (at, first, min(end, first + step))
            for at, plan in enumerate(plans)
            for step in (max(1, STAGES_CHUNK // max(1, len(plan.stages))),)
            for first in range(begin, end, step)
        ]
        found: list[list[End]] = [[] for _ in plans]
        try:
            if self._executor is None:
                self._executor = _executor(self._job, self._workers)
            for (at, _, _), some in zip(chunks, self._executor.map(_play_chunk, chunks)):
                found[at] += some
        except (OSError, ImportError, RuntimeError):  # no more processes, no semaphores, or one was killed
            self._workers, self._executor = 1, None
            return self.ends(begin, end)
        return found


def _executor(job: _Job, workers: int) -> ProcessPoolExecutor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin, (job,))


_inherited: list[_Job] = []  #: in a forked process, by one that began there


def _begin(job: _Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is interrupted is the parent, and it ends this
    _inherited.append(job)


def _play_chunk(chunk: tuple[int, int, int]) -> list[End]:
    return _play(_inherited[0], *chunk)


def _play(job: _Job, at: int, begin: int, end: int) -> list[End]:
    plans, draws, speeds, verdicts, items = job
    played = (
        play(plans[at], draws[number], speeds, verdicts=verdicts, items=items[at]) for number in range(begin, end)
    )
    return [End(each.end_s, each.outcome) for each in played]
