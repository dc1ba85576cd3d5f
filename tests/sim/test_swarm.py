"""Thousands of invented worlds: every promise of the machine is checked from outside after each batch of each.

`STAGEBOOK_SIM_SEED=n pytest tests/sim/test_swarm.py` plays one world again.
"""

from __future__ import annotations

import os

import pytest
from tests.sim.drive import play

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.moves import MOVES, NAMES

CHUNK = 500
CHUNKS = 30  # 15 000 worlds; for every commit more than 10 000 of them
AT_NIGHT = 9
if "MUTANT_UNDER_TEST" in os.environ:
    CHUNKS = 4  # mutmut plays them again for every mutant

#: Seeds that failed once, kept for ever. Each is also told in words in tests/scheduler.
FAILED_ONCE = (56, 66, 119, 3813, 5222, 5640, 8878, 11326, 15894, 17633, 18959, 26085, 39649, 49487, 55614)


BY_DAY = range(CHUNKS - AT_NIGHT if CHUNKS > AT_NIGHT else CHUNKS)
NIGHTLY = [pytest.param(chunk, marks=pytest.mark.nightly) for chunk in range(len(BY_DAY), CHUNKS)]


@pytest.mark.parametrize("chunk", [*BY_DAY, *NIGHTLY])
def test_promises_hold_in_every_world(chunk: int) -> None:
    only = os.environ.get("STAGEBOOK_SIM_SEED")
    seeds = range(chunk * CHUNK, (chunk + 1) * CHUNK) if only is None else [int(only)]
    for seed in seeds:
        play(seed)


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_a_world_that_once_failed_holds(seed: int) -> None:
    play(seed)


class Traced(Machine):
    """Notes every move it makes."""

    __slots__ = ()
    moves: set[tuple[int, int]] = set()

    def _move(self, stage: int, new: int) -> None:
        Traced.moves.add((self._state[stage], new))
        super()._move(stage, new)


def test_the_worlds_make_every_legal_move() -> None:
    """A move that no world makes is untested, or should not be in the table."""
    for seed in range(3000):
        play(seed, Traced)
    missing = {(old, new) for old, to in MOVES.items() for new in to} - Traced.moves
    # The driver of the simulation never reports the first two by itself, and its plans are never changed on the way;
    # tests/scheduler makes all of these.
    told = {("running", "timeout"), ("running", "cancellation"), ("backoff", "waiting")}
    told |= {("held", "waiting"), ("held", "success"), ("leasing", "success")}
    told |= {("judging", "asking"), ("judging", "success")}
    told |= {("waiting", end) for end in ("success", "failure", "error")}
    assert {(NAMES[old], NAMES[new]) for old, new in missing} <= told
