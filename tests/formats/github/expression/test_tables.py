"""The vendor's tables of cases, where they lie beside the checkout."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]


def test_cases_of_the_vendor_evaluate_as_stated(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in [each for each in sys.modules if each.partition(".")[0] == "conform"]:
        monkeypatch.delitem(sys.modules, name)
    from conform import expressions

    (row,) = expressions.measure(shared_data)
    assert row.count >= 1000
    assert row.share >= 0.99, row.misses
