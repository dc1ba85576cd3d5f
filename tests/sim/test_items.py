"""Worlds with items: what is promised of them is checked from outside, and each known mistake is noticed.

`STAGEBOOK_SIM_SEED=n pytest tests/sim/test_items.py` plays one world again.
"""

from __future__ import annotations

import os

import pytest
from tests.sim.items import play
from tests.sim.mutants import Mutant, load, read_mutants

CHUNK = 100
CHUNKS = 4
SEEDS = 500
IS_MUTATED = "MUTANT_UNDER_TEST" in os.environ
#: Seeds that failed once, kept for ever. Each is also told in words in tests/scheduler.
FAILED_ONCE = (211420, 212703)
MUTANTS = [] if IS_MUTATED else read_mutants("items_mutants.txt")


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_promises_of_items_hold_in_every_world(chunk: int) -> None:
    only = os.environ.get("STAGEBOOK_SIM_SEED")
    seeds = range(chunk * CHUNK, (chunk + 1) * CHUNK) if only is None else [int(only)]
    for seed in seeds:
        play(seed)


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_a_world_of_items_that_once_failed_holds(seed: int) -> None:
    play(seed)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_the_worlds_of_items_notice(mutant: Mutant) -> None:
    machine = load(mutant)
    for seed in range(SEEDS):
        try:
            play(seed, machine)
        except Exception:
            return
    pytest.fail(f"`{mutant.name}` lives through {SEEDS} worlds")
