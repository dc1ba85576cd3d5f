"""Pairs of stages that ran at the same time in runs that failed, and seldom in runs that passed. Writes nothing.

Of each pair it is asked whether a run fails more often when the two overlap, by Fisher's exact test, one-sided, among
the runs in which both ran (R. A. Fisher, J. R. Stat. Soc. 85 (1922) 87). As there are many pairs, what counts is p
corrected for their number (S. Holm, Scand. J. Stat. 6 (1979) 65): of all findings on pairs that have nothing to do with
failures, one in twenty histories has any. It shows that two things go together, not which one is the cause, so it is a
question and no finding.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Sequence, TypeAlias

    from sqlalchemy import Connection

    #: Of one run its attempts: stage, when it began and when it ended.
    Spans: TypeAlias = "Sequence[tuple[str, int, int]]"

ALPHA = 0.05
RUNS_MAX = 500
#: Overlaps that are counted in all: of wider pipelines fewer runs are looked at.
OVERLAPS_MAX = 2_000_000
FAILED = ("failure", "timeout")
_ASKED_MAX = 10


class Pair(NamedTuple):
    """Two stages. They overlapped in `failed` of `of_failed` runs that failed, and in `passed` of `of_passed` others.
    `p` is that of this pair alone, `corrected` for how many pairs there are."""

    stages: tuple[str, str]
    failed: int
    of_failed: int
    passed: int
    of_passed: int
    p: float
    corrected: float


def suspects(runs: Iterable[tuple[bool, Spans]], alpha: float = ALPHA) -> list[Pair]:
    """Of runs, each with whether it failed: the pairs of which chance is no good explanation, clearest first."""
    failed = passed = 0
    ran: dict[str, int] = {}
    overlapped: dict[tuple[str, str], int] = {}
    left = OVERLAPS_MAX
    for number, (is_failed, spans) in enumerate(runs):
        bit = 1 << number
        if is_failed:
            failed |= bit
        else:
            passed |= bit
        for stage, _, _ in spans:
            ran[stage] = ran.get(stage, 0) | bit
        for pair in _overlaps(spans):
            overlapped[pair] = overlapped.get(pair, 0) | bit
            left -= 1
        if left <= 0:
            break
    found = [_pair(pair, mask, ran[pair[0]] & ran[pair[1]], failed, passed) for pair, mask in overlapped.items()]
    return [pair for pair in holm([pair for pair in found if pair is not None]) if pair.corrected <= alpha]


def _overlaps(spans: Spans) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    running: list[tuple[int, str]] = []
    for stage, begun, ended in sorted(spans, key=lambda span: (span[1], span[2])):
        running = [each for each in running if each[0] > begun]
        for _, other in running:
            if other != stage and ended > begun:
                found.add((other, stage) if other < stage else (stage, other))
        running.append((ended, stage))
    return found


def _pair(stages: tuple[str, str], mask: int, both: int, failed: int, passed: int) -> Pair | None:
    """None where the two always overlapped, or where all runs failed or passed: then nothing can be told."""
    one, other = both & failed, both & passed
    counts = (mask & one).bit_count(), one.bit_count(), (mask & other).bit_count(), other.bit_count()
    if not counts[1] or not counts[3] or counts[0] + counts[2] == counts[1] + counts[3]:
        return None
    p = fisher(*counts)
    return Pair(stages, *counts, p, p)


@lru_cache(maxsize=100_000)
def fisher(hits: int, of: int, other_hits: int, of_others: int) -> float:
    """How likely so many of all hits, or more, are among the first lot, if it is chance which lot they are in."""
    total = hits + other_hits
    ways = sum([comb(of, each) * comb(of_others, total - each) for each in range(hits, min(of, total) + 1)])
    return ways / comb(of + of_others, total)


def holm(pairs: Sequence[Pair]) -> list[Pair]:
    """With what each p comes to among so many, smallest first."""
    ordered = sorted(pairs, key=lambda pair: (pair.p, pair.stages))
    found: list[Pair] = []
    least = 0.0
    for number, pair in enumerate(ordered):
        least = max(least, min(1.0, pair.p * (len(ordered) - number)))
        found.append(pair._replace(corrected=least))
    return found


def of_file(connection: Connection, file: str) -> list[dict[str, Any]]:
    """The same of the latest runs of a pipeline file, as documents have it; a question for `store.ask`."""
    from sqlalchemy import select

    from stagebook.history.schema import attempts, runs, storable

    asked = (
        select(runs.c.id, runs.c.outcome)
        .where(runs.c.file == storable(file), runs.c.outcome.in_(("success", *FAILED)), runs.c.damaged.is_(None))
        .order_by(runs.c.run.desc())
        .limit(RUNS_MAX)
    )
    outcomes = {row.id: row.outcome for row in connection.execute(asked)}
    if len(set(outcomes.values())) < 2:
        return []
    spans: dict[int, list[tuple[str, int, int]]] = {id: [] for id in outcomes}
    times = select(attempts.c.run_id, attempts.c.stage, attempts.c.started_us, attempts.c.wall_us).where(
        attempts.c.run_id.in_(outcomes), attempts.c.started_us.is_not(None), attempts.c.wall_us > 0
    )
    for id, stage, started_us, wall_us in connection.execute(times):
        spans[id].append((stage, started_us, started_us + wall_us))
    return [plain(pair) for pair in suspects((outcomes[id] in FAILED, spans[id]) for id in outcomes)][:_ASKED_MAX]


def plain(pair: Pair) -> dict[str, Any]:
    return {
        "stages": list(pair.stages),
        "failed": {"overlapped": pair.failed, "of": pair.of_failed},
        "passed": {"overlapped": pair.passed, "of": pair.of_passed},
        "p": round(pair.p, 9),
        "p_corrected": round(pair.corrected, 9),
    }
