"""What stages declare that they need, beside what they were measured to take. Changes no declaration.

A peak by `wait4` is that of the largest single process, so it may be less than the stage took: that is said with it.
"""

from __future__ import annotations

from stagebook.model.quantity import size_text
from stagebook.model.value import NamedTuple
from stagebook.record.demand import FAR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.recorded import Attempt

ATTEMPTS_MIN = 5  #: fewer say nothing of a 95th percentile
_CPU_SLACK = 1.25
_MARGIN = 1.2
_WALL_US_MIN = 100_000  #: of shorter attempts, CPU by wall is mostly chance
_MIB = 1 << 20

FITS, TOO_LITTLE, TOO_MUCH, UNKNOWN = "fits", "too little", "too much", "unknown"


class Demand(NamedTuple):
    """One resource of one stage: `memory` in bytes, `cpu` in thousandths of a core. `p95` and `reserve` are None where
    too few attempts are known; `verdict` is of what is declared."""

    stage: str
    resource: str
    declared: int
    attempts: int
    p95: int | None
    peak: int | None
    method: str | None
    reserve: int | None
    verdict: str

    @property
    def is_far_off(self) -> bool:
        return self.verdict in (TOO_LITTLE, TOO_MUCH)


def compare(pipeline: Pipeline, attempts: Iterable[Attempt]) -> list[Demand]:
    """What each stage of the pipeline declares now against its attempts, in the order of the file."""
    memory: dict[str, list[int]] = {}
    cpu: dict[str, list[int]] = {}
    largest: set[str] = set()
    for one in attempts:
        if one.rss_bytes is not None:
            memory.setdefault(one.stage, []).append(one.rss_bytes)
            if one.rss_method == "wait4":
                largest.add(one.stage)
        wall_us = one.to_us - one.from_us
        if one.cpu_us is not None and one.is_over and wall_us >= _WALL_US_MIN:
            cpu.setdefault(one.stage, []).append(one.cpu_us * 1000 // wall_us)
    found = []
    for stage in pipeline.stages:
        if stage.resources.cpu_milli:
            found.append(_cpu(stage.id, stage.resources.cpu_milli, cpu.get(stage.id, [])))
        if stage.resources.memory_bytes:
            method = "wait4" if stage.id in largest else None
            found.append(_memory(stage.id, stage.resources.memory_bytes, memory.get(stage.id, []), method))
    return found


def percentile(values: Sequence[int], share: float) -> int:
    """The nearest rank: the least value that so many of them do not exceed. There must be one."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * round(share * 1000) // 1000) - 1)]


def _memory_verdict(declared: int, peak: int) -> str:
    return TOO_LITTLE if peak > declared else TOO_MUCH if declared > FAR * peak else FITS


def _memory(stage: str, declared: int, known: list[int], method: str | None) -> Demand:
    if not known:
        return Demand(stage, "memory", declared, 0, None, None, None, None, UNKNOWN)
    peak = max(known)
    verdict = _memory_verdict(declared, peak)
    if len(known) < ATTEMPTS_MIN:
        verdict = verdict if verdict == TOO_LITTLE else UNKNOWN  # one peak above what is declared is enough to say so
        return Demand(stage, "memory", declared, len(known), None, peak, method, None, verdict)
    p95 = percentile(known, 0.95)
    return Demand(stage, "memory", declared, len(known), p95, peak, method, _memory_for(p95, peak), verdict)


def _cpu(stage: str, declared: int, known: list[int]) -> Demand:
    if len(known) < ATTEMPTS_MIN:
        return Demand(stage, "cpu", declared, len(known), None, max(known, default=None), None, None, UNKNOWN)
    p95 = percentile(known, 0.95)
    verdict = TOO_LITTLE if p95 > declared * _CPU_SLACK else TOO_MUCH if declared > FAR * max(p95, 1) else FITS
    return Demand(stage, "cpu", declared, len(known), p95, max(known), None, max(500, -(-p95 // 500) * 500), verdict)


def _memory_for(p95: int, peak: int) -> int:
    """A figure to reserve: some room above the 95th percentile, no less than the peak, in steps of an eighth."""
    wanted = max(round(p95 * _MARGIN), peak, _MIB)
    step = max(_MIB, 1 << (wanted.bit_length() - 4))
    return -(-wanted // step) * step


def _text(size: int) -> str:
    """As the file would say it: in whole MiB, from above."""
    return size_text(-(-size // _MIB) * _MIB)
