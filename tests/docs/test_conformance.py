"""The page of conformance has a dated table of every set that the benchmark knows."""

from __future__ import annotations

import importlib.util
import re
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "conformance.md"


def test_the_table_has_a_date_and_a_row_of_each_set() -> None:
    spec = importlib.util.spec_from_file_location("conformance", ROOT / "benchmarks" / "conformance.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = PAGE.read_text()
    table = text[text.index("<!-- table: begin -->") : text.index("<!-- table: end -->")]
    said = re.search(r"^Of (\S+)\.$", table, re.MULTILINE)
    assert said is not None
    date.fromisoformat(said[1])
    head, _, *rows = [line for line in table.splitlines() if line.startswith("|")]
    assert head == module.table([])[0]
    assert len(rows) > 50
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert all(len(row) == 5 for row in cells)
    first = {row[0].partition(",")[0] for row in cells}
    by_part = {"act_runs": "act", "gitlab_ci_local_runs": "gitlab-ci-local"}
    wanted = {by_part.get(name, name.replace("_", "-")) for name in module.SETS}
    assert wanted <= first
    assert any("run" in row[1].split() for row in cells if row[0] == "act")
    assert any("run" in row[1].split() for row in cells if row[0] == "gitlab-ci-local")
