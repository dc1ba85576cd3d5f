"""The text of a map's page: one file, alone, in which no text of anybody's can act, whatever it is."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from hashlib import sha256
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report import mapped
from tests.report.export import hostile
from tests.report.page.test_render import elements, facts_in

from stagebook.report.page import frame
from stagebook.report.page.map import text as render

FIXED = render.render(mapped.release())


def facts(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(facts_in(render.render(document)))
    return found


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=60), st.text(max_size=60))
def test_whatever_a_name_or_a_reason_is_the_page_has_the_same_elements(name: str, reason: str) -> None:
    document = mapped.release()
    document["pipeline"] = name + "</title>"
    document["stages"][6]["stage"] = name + "</script>"
    document["edges"][5]["to"] = name + "</script>"
    document["edges"][5]["reasons"] = [{"kind": "stated", "text": reason + "\u2028<!--"}]
    document["findings"][0] |= {"message": reason, "fix": name + "x", "shared": reason + "x"}
    text = render.render(document)
    assert elements(text) == elements(FIXED)
    assert not set("<>&\u2028") & set(facts_in(text))
    assert facts_in(text).isascii()
    json.loads(facts_in(text))


def test_nothing_in_it_leads_outside() -> None:
    for text in (FIXED, render.render(mapped.hostile(hostile.NAMES))):
        page = text.replace(facts_in(text), "").replace("http://www.w3.org/2000/svg", "")
        head = re.sub(r"<title>.*?</title>|<main>.*?</main>|<b>.*?</b>", "", page, flags=re.DOTALL)
        assert "http://" not in head and "https://" not in head
        assert not re.search(r"@import|@font-face|src=|<link|<iframe|<img|<base|url\((?!#h-)", head)
        assert " style=" not in page
        elements(text)  # none of which has a handler


def test_the_rule_allows_this_style_and_this_script_only() -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', FIXED)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        allowed = re.fullmatch(r"'sha256-(.*)'", rules[name])
        assert allowed is not None
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", FIXED, re.DOTALL)
        assert b64decode(allowed[1]) == sha256(inner.encode()).digest()


def test_parts_are_ascii_and_only_add_text_as_text() -> None:
    for name in ("map.html", "map.css", *render.SCRIPTS):
        source = frame.part(name[1:]) if name.startswith("/") else frame.part(name, render.FOLDER)
        assert source.isascii(), name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser", source
        )
        assert not name.endswith("js") or source.startswith(("/*", '"use strict";\n/*')), name


def test_without_a_script_levels_path_and_findings_are_there() -> None:
    body = FIXED.partition("<main>")[2].partition("</main>")[0]
    for said in (
        "level 8",
        "unit ×2",
        "Critical path",
        "Needless order: image → integration",
        "Let integration follow",
    ):
        assert said in body


def test_what_changes_nothing_is_only_counted() -> None:
    document = mapped.release()
    document["findings"][0]["minor"] = True
    text = render.render(document)
    assert 'id="finding-2"' in text and 'id="finding-1"' not in text
    assert "Also 1 need without a reason in the file" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert [one["number"] for one in facts(document)["findings"]] == [2, 3, 4]
    assert [badge[0] for badge in facts(document)["folded"]["badges"]] == [2, 3, 4]


def test_of_very_many_findings_the_weightiest_are_marked_and_all_are_listed() -> None:
    document = mapped.layered(1000)
    names = [stage["stage"] for stage in document["stages"]]
    document["findings"] = [
        mapped.finding(at, "missing-guard" if at % 50 == 0 else "possible-coupling", names[at], names[at + 1],
                       level="error" if at % 50 == 0 else "warning")
        for at in range(1, 226)
    ]  # fmt: skip
    marked = [badge[0] for badge in facts(document)["folded"]["badges"]]
    assert len(marked) <= 36 and {50, 100, 150, 200} <= set(marked) and 60 not in marked
    assert render.render(document).count('id="finding-') == 224


def test_what_is_folded_comes_unfolded_as_well_up_to_two_thousand_stages() -> None:
    assert facts(mapped.document([("a", [], 1.0)]))["open"] is None
    small, large = facts(mapped.layered(600)), facts(mapped.layered(2001))
    assert len(small["folded"]["nodes"]) <= 200 and len(small["open"]["nodes"]) == 600 and not small["is_large"]
    assert large["open"] is None and large["is_large"]
    assert len(large["stages"]) == 2001


def test_numbers_stay_with_their_units() -> None:
    body = FIXED.partition("<main>")[2].partition("</main>")[0]
    assert not re.search(
        r"\d (ms|s|m|h|d)\b", re.sub(r"<[^>]*>", " ", body.partition("</h1>")[2].replace("9 levels", ""))
    )
