"""The page of a gate: everything that is asked is on it, nothing on it can act, and it says who it is for."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from stagebook.report.page import gate

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'`\x1b\u202e@@body@@"
NOW_US = 1_795_640_400_000_000
DOCUMENT: dict[str, Any] = {
    "run": "01KYALT9ABCDEFGHJKMNPQRSTV", "pipeline": "release", "gate": "ship", "prompt": "Ship it?",
    "asked": "2026-11-25T20:46:00.000000+00:00", "expires": None, "default": "reject", "needed": 2,
    "approvers": ["ops"],
    "approvals": [{"by": "ops-1", "at": "2026-11-25T20:50:00.000000+00:00", "comment": "notes read"}],
    "started_by": "ann", "started": "2026-11-25T20:00:00.000000+00:00", "digest": "5f" * 16,
    "green": ["build", "unit[python=3.13]"],
    "warnings": [{"stage": "unit[python=3.13]", "warning": "1 of 6 items dead"},
                 {"stage": "lint", "warning": "failure, allowed"}],
    "artifacts": [{"path": "dist/app.tar.gz", "size_bytes": 1234567, "digest": "ab" * 32}],
    "inputs": [{"path": "deploy/bring.sh", "size_bytes": 321, "digest": "cd" * 32}],
    "changes": {"since": "01KYAK7QABCDEFGHJKMNPQRSTV", "from": "a" * 40, "to": "b" * 40,
                "commits": ["1f2e3d4 Orders are locked"], "more": 3, "stat": "7 files changed", "why": None},
    "person": "ops-2", "link_expires": "2026-11-26T20:46:00.000000+00:00",
}  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data if self.names[-1:] != ["style"] else ""


def hostile(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: each if key in ("at", "asked", "started", "link_expires") else hostile(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [hostile(each) for each in value]
    return HOSTILE if isinstance(value, str) else value


def test_all_that_is_asked_is_shown() -> None:
    text = Elements(gate.question(DOCUMENT, "c5f", now_us=NOW_US)).text
    for said in (
        "ship: Ship it?", "run 01KYALT9, waiting", "for ops-2", "Approvals 1 of 2", "asked: ops; started by ann",
        "ops-1", "notes read", "unit[python=3.13] (1 of 6 items dead)",
        "What did not pass", "lint (failure, allowed)", "dist/app.tar.gz", "1.2 MiB", "ab" * 32,
        "Runs with", "deploy/bring.sh", "cd" * 32,
        "1f2e3d4 Orders are locked",
        "and 3 more commits", "7 files changed", "since run 01KYAK7QABCDEFGHJKMNPQRSTV, aaaaaaaaaa to bbbbbbbbbb",
        "the link expires 2026-11-26 20:46 UTC; without an answer: reject",
    ):  # fmt: skip
        assert said in text, said


def test_nothing_that_anybody_wrote_can_act() -> None:
    usual = Elements(gate.question(DOCUMENT, "c5f", now_us=NOW_US))
    html = gate.question({**hostile(DOCUMENT), "needed": 2}, "c5f", now_us=NOW_US)
    found = Elements(html)
    assert sorted(set(found.names)) == sorted(set(usual.names))
    assert "script" not in found.names
    assert "img" not in found.names
    assert {name for name, _ in found.attributes} == {name for name, _ in usual.attributes}
    assert "alert(1)" in found.text, "it is shown as text"
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert Elements(gate.plain(HOSTILE, HOSTILE)).names.count("script") == 0


@pytest.mark.parametrize(
    ("csrf", "said", "forms"), [("c5f", None, 1), ("", "approved", 0), ("", "rejected", 0), ("", None, 0)]
)
def test_there_is_a_form_only_while_it_can_be_answered(csrf: str, said: str | None, forms: int) -> None:
    found = Elements(gate.question(DOCUMENT, csrf, said, NOW_US))
    assert found.names.count("form") == forms
    assert ("csrf", "c5f") in found.attributes or not forms or ("value", "c5f") in found.attributes
    if said:
        assert f"ship is {said} by ops-2" in found.text


def test_the_policy_names_the_style_of_the_page_and_lets_nothing_else_act() -> None:
    style = re.search(r"<style>(.*?)</style>", gate.plain("a", "b"), re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert gate.policy() == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    assert "style=" not in gate.question(DOCUMENT, "c5f", now_us=NOW_US)
