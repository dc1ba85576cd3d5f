"""What is kept of an experiment, and what of it survives."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.study.imagined import run, set_up

from stagebook.model.problem import InputError, SurroundingsError
from stagebook.record import faults
from stagebook.study import kept


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return kept.begin(str(tmp_path / "state"), "01AB", set_up())


def test_what_was_appended_is_read_again(directory: str) -> None:
    ledger = kept.Ledger(directory)
    ledger.append(run("sequential", 1, 2.0))
    ledger.append(run("naïve \ud800", 1, 2.0))
    ledger.close()
    assert [record["arm"] for record in kept.read(directory)] == ["sequential", "naïve \ud800"]
    assert kept.set_up_of(directory)["seed"] == 11


@pytest.mark.parametrize("cut", [1, 40, 0])
def test_a_last_line_without_an_end_is_cut_off(directory: str, cut: int) -> None:
    ledger = kept.Ledger(directory)
    ledger.append(run("sequential", 1, 2.0))
    ledger.append(run("parallel", 1, 1.0))
    ledger.close()
    path = Path(directory) / kept.PAIRS
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut] if cut else whole + b"\0\0\0\n")
    ledger = kept.Ledger(directory)
    ledger.append(run("parallel", 1, 3.0))
    ledger.close()
    walls = [record["wall_s"] for record in kept.read(directory)]
    assert walls == ([2.0, 3.0] if cut else [2.0, 1.0, 3.0])


def test_damage_before_the_last_line_is_refused_with_its_place(directory: str) -> None:
    path = Path(directory) / kept.PAIRS
    path.write_bytes(b'{"kind"\n{"kind": "pair"}\n')
    with pytest.raises(SurroundingsError, match=r"pairs\.jsonl:1 is damaged"):
        kept.Ledger(directory)
    assert path.read_bytes().startswith(b'{"kind"\n')


def test_a_full_disk_takes_nothing_of_what_was_there(directory: str) -> None:
    ledger = kept.Ledger(directory)
    ledger.append(run("sequential", 1, 2.0))
    faults.arm("experiment.append:1:ENOSPC")
    try:
        with pytest.raises(SurroundingsError, match="No space left"):
            ledger.append(run("parallel", 1, 1.0))
    finally:
        faults.arm(None)
    ledger.append(run("parallel", 1, 1.5))
    ledger.close()
    assert [record["wall_s"] for record in kept.read(directory)] == [2.0, 1.5]


def test_one_process_conducts_it(directory: str) -> None:
    ledger = kept.Ledger(directory)
    assert kept.goes_on(directory)
    with pytest.raises(SurroundingsError, match="goes on already"):
        kept.Ledger(directory)
    ledger.close()
    assert not kept.goes_on(directory)
    kept.Ledger(directory).close()


def test_it_is_found_by_the_beginning_of_its_id(directory: str, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    kept.begin(state, "01AC", set_up())
    assert kept.resolve(state, "last").endswith("01AC")
    assert kept.resolve(state, "01ab") == directory
    for text in ("01", "x", ""):
        with pytest.raises(InputError):
            kept.resolve(state, text)
    with pytest.raises(InputError, match="no experiment"):
        kept.resolve(str(tmp_path), "last")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v": 1', '{"v": 99}'])
def test_a_damaged_set_up_is_said(directory: str, text: str) -> None:
    (Path(directory) / kept.SET_UP).write_text(text)
    with pytest.raises(SurroundingsError):
        kept.set_up_of(directory)
