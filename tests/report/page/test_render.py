"""The text of a page: one file, alone, in which no text of anybody's can act, whatever it is."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from hashlib import sha256
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from tests.report import documents
from tests.report.export import hostile

from stagebook.report.page import frame, render

FIXED = "".join(render.render(documents.release()))


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        assert not [name for name, _ in attributes if name.startswith("on")]


def elements(text: str) -> list[str]:
    parser = Elements()
    parser.feed(text)
    return parser.found


def facts_in(text: str) -> str:
    return text.partition('id="facts">')[2].partition("</script>")[0]


@given(st.text(st.characters(codec=None), max_size=60), st.text(max_size=60))
def test_whatever_a_name_or_a_reason_is_the_page_has_the_same_elements(name: str, reason: str) -> None:
    document = documents.release()
    document["pipeline"] = name + "</title>"
    document["warnings"] = []
    stage = document["stages"][12]
    stage["stage"], stage["reason"] = name + "</script>", reason + "\u2028<!--"
    text = "".join(render.render(document))
    assert [tag for tag in elements(text) if tag != "li"] == [tag for tag in elements(FIXED) if tag != "li"]
    assert not set("<>&\u2028") & set(facts_in(text))
    assert facts_in(text).isascii()
    json.loads(facts_in(text))


def test_nothing_in_it_leads_outside() -> None:
    for text in (FIXED, "".join(render.render(hostile.run()))):
        page = text.replace(facts_in(text), "").replace("http://www.w3.org/2000/svg", "")
        head = re.sub(r"<title>.*?</title>|<h1>.*?</h1>|<p class=\"sub\".*?</p>|<noscript>.*?</noscript>", "", page)
        assert "//" not in re.sub(r" // [^\n]*", "", head).replace("https://", "//") or "http" not in head
        assert not re.search(r"url\(|@import|@font-face|src=|<link|<iframe|<img|<base", head)


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


def test_all_of_the_page_but_names_is_ascii() -> None:
    """So that it means the same in every encoding, `--ascii` among them."""
    for name in ("page.html", "base.css", "page.css", *render.SCRIPTS):
        assert frame.part(name.strip("/")).isascii(), name


def test_parts_of_the_script_only_add_text_as_text() -> None:
    for name in render.SCRIPTS:
        source = frame.part(name.strip("/"))
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser", source
        )
        assert source.startswith(("/*", '"use strict";\n/*')), f"{name} opens with what lives there"
