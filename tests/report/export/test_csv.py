"""One row an attempt, by the rules of CSV, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import pytest
from tests.report import documents, golden
from tests.report.export import hostile, runs

from stagebook.report.export import csv as export


def table(document: dict[str, Any]) -> list[dict[str, str]]:
    text = "".join(export.render(document))
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n")
    lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(line) for line in lines} == {len(export.COLUMNS)}
    assert tuple(lines[0]) == export.COLUMNS
    return [dict(zip(export.COLUMNS, line)) for line in lines[1:]]


def test_the_table_looks_as_designed() -> None:
    golden.check("export-csv", "".join(export.render(documents.release())).split("\r\n")[:-1])


@pytest.mark.parametrize("seed", range(10))
def test_every_attempt_is_a_row_with_the_figures_of_the_record(tmp_path: Path, seed: int) -> None:
    document, _ = runs.played(tmp_path, seed)
    known = [(stage, attempt) for stage in document["stages"] for attempt in stage["attempts"]]
    found = table(document)
    assert len(found) == len(known)
    for row, (stage, attempt) in zip(found, known):
        assert (row["run"], row["stage"], row["attempt"]) == (document["run"], stage["stage"], str(attempt["attempt"]))
        assert (row["started"], row["finished"]) == (attempt["started"], attempt["finished"])
        assert float(row["wall_s"]) == pytest.approx(attempt["to_s"] - attempt["from_s"], abs=1e-6)
        assert float(row["wait_s"]) == attempt["wait_s"]
        assert row["max_rss_bytes"] == str(attempt["usage"]["max_rss_bytes"] or "")


def test_unknown_is_empty_and_never_zero() -> None:
    rows = {row["stage"]: row for row in table(runs.live())}
    assert rows["unit"]["finished"] == rows["unit"]["wall_s"] == rows["unit"]["exit"] == rows["unit"]["outcome"] == ""
    assert rows["build"]["read_bytes"] == ""
    assert rows["build"]["exit"] == "0"
    assert "docs" not in rows


def test_no_cell_is_a_formula_or_breaks_its_row() -> None:
    rows = table(hostile.run())
    assert len(rows) == len(hostile.NAMES)
    for row in rows:
        for cell in row.values():
            assert not cell.lstrip().startswith(tuple("=+-@＝\t\r")), cell
            assert cell.isprintable()
            for part in cell.split(";")[1:]:  # where the semicolon ends a cell
                assert not part.lstrip(" \"'").startswith(tuple("=+-@＝")) or part.lstrip(' "').startswith("'"), cell
    names = [row["stage"] for row in rows]
    assert "'=cmd|'/c calc'!A0" in names
    assert "'-1" in names
    assert "'＝1" in names
    assert "\\t=1" in names
    assert "a;'=1" in names
    assert 'a,b"c' in names


def test_ten_thousand_attempts_take_a_second() -> None:
    begun = time.perf_counter()
    assert sum(1 for _ in export.render(documents.wide(10_000))) == 10_001
    assert time.perf_counter() - begun < 3
