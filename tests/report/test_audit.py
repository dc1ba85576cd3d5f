"""What `audit` and `gate-link` look like, to the cell."""

from __future__ import annotations

from typing import Any

import pytest
from tests.report import golden

from stagebook.report import gate_link
from stagebook.report.audit import listing
from stagebook.report.harmless import cells
from stagebook.report.style import Style

RUN = "01KYALT9ABCDEFGHJKMNPQRSTV"


def entry(at: int, what: str, **more: Any) -> dict[str, Any]:
    time = f"2026-11-25T20:{at:02d}:41.123456+00:00"
    return {"n": at, "at": time, "what": what, "run": RUN, "gate": "ship", "hash": f"{at:064x}", **more}


ENTRIES = [
    entry(
        1, "link", by="root", **{"for": "ops-1", "expires": "2026-11-26T20:00:41.000000+00:00", "from": {"via": "link"}}
    ),
    entry(2, "refused", code="origin", reason="a decision is taken from the page of the link only"),
    entry(3, "refused", by="eve \x1b[31m", code="not-listed", reason="eve is no approver of ship; asked are ops"),
    entry(4, "approved", by="ops-1", comment="read\nit", **{"from": {"via": "link"}}),
    entry(5, "approved", by="ops-2", decides=True),
    {**entry(6, "repaired", cut_bytes=41), "run": None, "gate": None},
    entry(7, "rejected", by="ops-1", gate="a gate with quite a long name", comment="日本語"),
]
WELL: dict[str, Any] = {
    "path": "/x/.stagebook/audit.jsonl", "holds": True, "length": 7, "fault": None, "torn_bytes": 0,
    "counts": {"link": 1, "refused": 2, "approved": 2, "rejected": 1, "repaired": 1}, "last": ENTRIES[-1]["hash"],
    "verified": True, "journals": 12, "votes": 3, "missing": [], "uncounted": [], "unread": [], "entries": ENTRIES,
}  # fmt: skip
FAULT = {**WELL, "holds": False, "fault": {"line": 8, "offset": 3021, "why": "its number is 9"}}
MISSING = {**WELL, "holds": False, "missing": [{"run": RUN, "gate": "ship", "by": "ops-2", "hash": "ab" * 32}]}


OTHERS = {"torn_bytes": 12, "unread": ["/x/j: broken"], "uncounted": MISSING["missing"]}


@pytest.mark.parametrize("width", [80, 120])
def test_the_chain_looks_as_designed(width: int) -> None:
    lines = listing(WELL, Style(width=width))
    assert max(map(cells, lines)) < width
    golden.check(f"audit-{width}", lines)


def test_with_ascii_only() -> None:
    lines = listing(WELL, Style(width=60, ascii=True))
    assert all(line.isascii() for line in lines)
    assert max(map(cells, lines)) < 60
    golden.check("audit-60-ascii", lines)


def test_what_does_not_hold_comes_first() -> None:
    style = Style(color=True)
    lines = [*listing(FAULT, style, True), "", *listing(MISSING, style, True), ""]
    golden.check("audit-faults", [*lines, *listing({**WELL, **OTHERS}, style, True)])


def test_what_gate_link_says() -> None:
    shown = {
        "gate": "ship", "prompt": "Ship it?\x1b[2J", "run": RUN, "approvals": [1], "needed": 2, "person": "ops-1",
        "link_expires": "2026-11-26T20:00:41.000000+00:00",
    }  # fmt: skip
    style = Style(color=True)
    lines = gate_link.announced(shown, style, 1_795_723_200.0)
    lines += [
        gate_link.ended("ship", "ann", decision, is_used, "the link has expired")
        for decision, is_used in ((True, True), (False, True), (None, True), (None, False))
    ]
    golden.check("gate-link", lines)
