"""The table of legal moves, and that nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.scheduler.plans import Run, plan_of, stage

from stagebook.model.outcome import OUTCOMES
from stagebook.model.problem import DefectError
from stagebook.scheduler.moves import LEGAL, MOVES, NAMES, SKIP, STATE_COUNT, SUCCESS, WAITING


def test_the_ends_are_the_outcome_words_in_their_order() -> None:
    assert NAMES[SUCCESS:] == OUTCOMES


def test_every_state_has_a_row_and_can_be_reached() -> None:
    assert sorted(MOVES) == list(range(STATE_COUNT))
    reached = {new for row in MOVES.values() for new in row} | {WAITING}
    assert reached == set(MOVES)


def test_no_stage_stays_where_it_is_and_ends_are_left_only_to_wait_again() -> None:
    for old, row in MOVES.items():
        assert old not in row
        if old >= SUCCESS:
            assert set(row) <= {WAITING}


def test_the_flat_table_is_the_readable_one() -> None:
    legal = {(at // STATE_COUNT, at % STATE_COUNT) for at, value in enumerate(LEGAL) if value}
    assert legal == {(old, new) for old, row in MOVES.items() for new in row}


def test_the_page_draws_every_move_and_no_other() -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation" / "scheduler.md"
    drawn = [line.strip() for line in page.read_text().splitlines() if " --> " in line and "[*]" not in line]
    assert drawn == [f"{NAMES[old]} --> {NAMES[new]}: {why}" for old, row in MOVES.items() for new, why in row.items()]


def test_another_move_is_a_defect_that_names_stage_and_states() -> None:
    run = Run(plan_of(stage("build")))
    with pytest.raises(DefectError) as caught:
        run.machine._move(0, SKIP)
    assert str(caught.value) == "`build` cannot go from running to skip"
    assert run.state("build") == "running"
