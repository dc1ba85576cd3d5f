"""The tests are tested: each known mistake in the machine is found by the worlds, within a bounded number of seeds."""

from __future__ import annotations

import pytest
from tests.sim.drive import play
from tests.sim.mutants import Mutant, load, read_mutants

SEEDS = 4000
MUTANTS = read_mutants()


def test_there_are_mutants() -> None:
    assert len(MUTANTS) > 50


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_the_worlds_notice(mutant: Mutant) -> None:
    machine = load(mutant)
    for seed in range(SEEDS):
        try:
            play(seed, machine)
        except Exception:
            return
    pytest.fail(f"`{mutant.name}` lives through {SEEDS} worlds")


def test_a_copy_without_a_mistake_lives() -> None:
    machine = load(Mutant("none", "machine", "self._began = True", "self._began = True"))
    for seed in range(300):
        play(seed, machine)
