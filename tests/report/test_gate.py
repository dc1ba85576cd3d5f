"""The card of a gate that waits: what it asks, how long it has, who has approved, how to answer."""

from __future__ import annotations

from typing import Any

from stagebook.report import gate
from stagebook.report.durations import instant_us
from stagebook.report.style import Style

ASKED = "2026-11-25T10:00:00.000000+00:00"
NOW = instant_us("2026-11-25T10:14:00.000000+00:00")


def stage(**more: Any) -> dict[str, Any]:
    asked = {
        "prompt": "Ship it?", "needed": 2, "approvals": [{"by": "ops-1", "at": ASKED, "comment": None}],
        "decision": None, "asked": ASKED, "expires": "2026-11-27T09:14:00.000000+00:00", "default": "reject",
        "green": ["integration", "e2e", "smoke", "scan"], "warnings": [], "approvers": [],
    }  # fmt: skip
    return {"stage": "approve", "outcome": None, "waiting": "gate", "gate": {**asked, **more}}


def test_the_card_has_four_lines_that_can_be_copied() -> None:
    assert gate.card(stage(), Style(), "01KYALT9", NOW) == [
        "‖ approve: Ship it?               run 01KYALT9, waiting 14 m 00 s, no slot held",
        "  passed   integration, e2e, smoke, scan     approvals 1 of 2 (ops-1)",
        '  answer   stagebook approve 01KYALT9 approve --comment "…"',
        "           stagebook reject 01KYALT9 approve   else: reject in 1 d 23 h",
    ]


def test_without_time_or_approvals_it_says_less() -> None:
    lines = gate.card(stage(expires=None, approvals=[], green=[]), Style(ascii=True), "01KYALT9", NOW, " --dir d")
    assert lines[0].startswith("gate approve: Ship it?")
    assert "approvals 0 of 2" in lines[1] and "else:" not in "".join(lines)
    assert lines[-1].endswith("stagebook reject 01KYALT9 approve --dir d")


def test_where_not_everybody_may_answer_it_says_who_is_asked() -> None:
    asked = stage(approvers=["editors", "ann\x1b[2J"])
    assert gate.card(asked, Style(), "01KYALT9", NOW)[2] == "  asked    editors, ann\\x1b[2J"
    assert gate.line(asked, "01KYALT9") == (
        "waits for a person: Ship it? (asked: editors, ann\\x1b[2J; approvals 1 of 2 (ops-1)); "
        "stagebook approve 01KYALT9 approve, or reject"
    )


def test_a_narrow_terminal_breaks_no_command_by_its_comment() -> None:
    lines = gate.card(stage(), Style(width=54), "01KYALT9", NOW)
    assert "  answer   stagebook approve 01KYALT9 approve" in lines
    assert all(len(line) < 54 for line in lines)


def test_names_do_no_harm() -> None:
    odd = stage(prompt="\x1b[2J", green=["\x1b[31mx"]) | {"stage": "a\nb"}
    text = "\n".join(gate.card(odd, Style(), "01KYALT9", NOW))
    assert "\x1b" not in text and "a\nb" not in text
    assert "\n" not in gate.line(odd, "01KYALT9")


def test_the_verdict_names_the_first_and_counts_the_others() -> None:
    first, second = stage(), stage() | {"stage": "other"}
    document = {"stages": [first, second, stage() | {"outcome": "success", "waiting": None}]}
    assert gate.verdict(gate.open_gates(document)) == "waits for a person at approve and 1 other gate"
