"""What is shown before an answer at a gate, to the cell."""

from __future__ import annotations

import pytest
from tests.report import golden
from tests.report.page.test_gate import DOCUMENT, NOW_US, hostile

from stagebook.report.harmless import cells
from stagebook.report.shown import lines
from stagebook.report.style import Style


@pytest.mark.parametrize(("width", "ascii"), [(80, False), (120, False), (60, True)])
def test_it_looks_as_designed(width: int, ascii: bool) -> None:
    said = lines(DOCUMENT, Style(width=width, ascii=ascii), NOW_US)
    assert max(map(cells, said)) < max(width, 60)
    golden.check(f"shown-{width}{'-ascii' if ascii else ''}", said)


def test_what_others_wrote_cannot_act() -> None:
    text = "\n".join(lines(hostile(DOCUMENT), Style(), NOW_US))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "alert(1)" in text


def test_what_is_not_known_is_said() -> None:
    changes = {
        **DOCUMENT["changes"],
        "since": None,
        "from": None,
        "commits": [],
        "more": 0,
        "stat": None,
        "why": "no git",
    }
    document = {
        **DOCUMENT,
        "artifacts": [],
        "inputs": [],
        "green": [],
        "warnings": [],
        "approvers": [],
        "approvals": [],
        "started_by": None,
    }
    golden.check("shown-little", lines({**document, "changes": changes, "prompt": ""}, Style(), NOW_US))
