"""A summary for a CI page: tables and Mermaid only, in which a user's text is text, and short enough for a comment."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from tests.report import documents, golden
from tests.report.export import hostile, runs
from tests.report.export.test_mermaid import tasks

from stagebook.report.export import markdown

COMMENT_MAX = 65_536  #: characters of a comment, where they are counted
_CODE = re.compile(r"`[^`|\n]+`")
_ESCAPED = re.compile(r"\\[\\`*_\[\]<>|~$&#]")


def render(document: dict[str, Any], *more: Any) -> str:
    """The page, if it is nothing but headings, whole tables and one chart, with no markup in any text."""
    text = "".join(markdown.render(document, *more))
    assert len(text) < COMMENT_MAX
    page, chart = text.split("\n```mermaid\n")
    assert chart.endswith("```\n")
    tasks([line + "\n" for line in chart.splitlines()[:-1]])
    columns = 0
    for line in page.splitlines():
        bare = _ESCAPED.sub("-", _CODE.sub("code", line))
        if not line:
            columns = 0
        elif line.startswith("|"):
            found = bare.count("|")
            assert columns in (0, found), line
            columns = found
        else:
            assert re.match(r"#{2,3} \S", line), line
            bare = bare.lstrip("#")
        inert(bare.replace("**code**", "code").replace("|", ""), line)
    return text


def inert(bare: str, line: str) -> None:
    bare = re.sub(r"\*\*([^*]*)\*\*", r"\1", bare)
    assert not re.search(r"[`*_\[\]<>~$&]", bare), line
    assert not re.search(r"[@#!%]\w|://|www\.", bare), line
    assert bare.replace("\u200b", "").isprintable(), line


def test_a_page_looks_as_designed() -> None:
    golden.check("export-markdown", render(documents.release()).splitlines())


def test_a_run_under_way_too() -> None:
    golden.check("export-markdown-live", render(runs.live(), runs.LIVE_US).splitlines())


@pytest.mark.parametrize("seed", range(10))
def test_every_stage_that_ran_has_a_row(tmp_path: Path, seed: int) -> None:
    document, _ = runs.played(tmp_path, seed)
    text = render(document)
    for stage in document["stages"]:
        assert not stage["attempts"] or f"`{stage['stage']}`" in text
    assert render(runs.nothing())


def test_hostile_names_do_nothing() -> None:
    text = render(hostile.run())
    assert "@\u200bsum" in text or "`@sum(1)`" in text
    assert "| a\\|b\\`c\\`\\`d |" in text


def test_of_ten_thousand_stages_those_that_matter_have_rows() -> None:
    document = documents.wide(10_000, failing=40)
    begun = time.perf_counter()
    text = render(document)
    assert time.perf_counter() - begun < 5
    for stage in document["stages"][-40:]:
        assert f"| ✗ | `{stage['stage']}` | failed, exit 1 |" in text
    for name in document["critical_path"]:
        assert f"| ✓ | **`{name}`** | success |" in text
    assert "9900 stages that passed or waited less" in text


def test_no_run_is_too_long_for_a_comment() -> None:
    """Every text that counts at its worst: each character has to be escaped."""
    name = "*" * 300
    stages = [documents.stage(f"{n}{name}", documents.attempt(0, 1, wait=1, waited=f"pool:{n}{name}", outcome="failure",
                                                              exit=1, reason=name)) for n in range(300)]  # fmt: skip
    stages += documents.skipped(*[(f"{n}{name} later", f"when: {n}{name}") for n in range(300)])
    render(documents.run(stages, 2.0, outcome="failure", pipeline=name, warnings=[name] * 300, waiting_by={name: 1.0},
                         critical_path=[stage["stage"] for stage in stages[:300]]))  # fmt: skip
