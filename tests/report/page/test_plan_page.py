"""The text of a plan's page: what it says, that it is one file, and that no text of anybody's can act in it."""

from __future__ import annotations

import html
import re
from base64 import b64decode
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report import planned
from tests.report.export import hostile
from tests.report.page.test_render import elements

from stagebook.report.page import frame
from stagebook.report.page.plan import chart
from stagebook.report.page.plan import text as render


def said(plan: dict[str, Any]) -> str:
    """Its words, a space between elements."""
    body = render.render(plan).partition("<main>")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body)).replace("\u00a0", " "))


def test_it_says_what_to_do_what_it_saves_and_on_what_evidence() -> None:
    text = said(planned.release())
    assert text.lstrip().startswith("With build taking 0.5 times as long, without lint: ~7 m 24 s instead of ~8 m 45 s")
    assert "The bottleneck stays the critical path" in text
    assert said(planned.release() | {"what_if": None}).lstrip().startswith("Run 3 jobs: 8 m 45 s instead of 18 m 41 s")
    for part in (
        "run 3 jobs: 8 m 45 s instead of 18 m 41 s", "in the file: integration no longer needs image",
        "−9 m 56 s against sequential",
        "stagebook run -j 3 ci/release.yaml",
        "2 Let integration follow build, not image −57 s", "declared · line 43 · confidence 0.90",
        "3 Let docs follow checkout? −4 s would save", "no evidence · line 43 · confidence 0.20",
        "stagebook plan --apply --accept 'lint→docs' ci/release.yaml",
        "Check first: stagebook experiment --part lint,docs",
        "4 Keep smoke, approve and deploy in order keep would save 25 s",
        "If: build taking 0.5 times as long, without lint", "3 8 m 45 s 7 m 24 s 8 m 10 s −1 m 21 s",
        "Stages 18 → 17; critical path 7 m 53 s → 7 m 00 s; knee at 4 jobs → 3 jobs.",
        "build 1 m 47 s image 58 s integration 2 m 38 s",
        "Runs in parallel were predicted within 4 % (median of 4, each by what was known without it).",
        "Alone on an idle machine, without the time in which a stage waited for a core.",
        "How fast the disk is: no stage wrote alone",
    ):  # fmt: skip
        assert part in text, part


def test_the_table_has_the_numbers_of_the_chart() -> None:
    text = said(planned.release())
    for part in (
        "p50 18 m 41 s 18:41 9 m 43 s 9:43 8 m 45 s 8:45",
        "changed – – 7 m 48 s 7:48 7 m 45 s 7:45 – –",
        "speed-up 1.00× 1.92× 2.14×",
        "gain – 48 % 10 % 1 % 0 % −4 %",
        "SLA 10 m no p50 p95 p95 p95 p95", "6 ? 8 ?", "? more at once than was ever measured",
    ):  # fmt: skip
        assert part in text, part


def points(plan: dict[str, Any], size: chart.Size = chart.WIDE) -> list[tuple[float, float]]:
    found = re.findall(r'<circle class="[^"]*" cx="([^"]*)" cy="([^"]*)"', chart.draw(plan, size))
    return [(float(x), float(y)) for x, y in found]


@pytest.mark.parametrize("size", [chart.WIDE, chart.NARROW])
def test_points_are_where_the_simulation_had_them(size: chart.Size) -> None:
    """Also where more jobs are slower: nothing is smoothed."""
    plan = planned.release()
    found = points(plan, size)
    rows = [row["makespan_s"] for row in plan["sweep"]]
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    order = sorted(range(len(rows)), key=lambda at: rows[at])
    assert order == sorted(range(len(rows)), key=lambda at: -found[at][1])
    scale = (found[0][1] - found[1][1]) / (rows[0] - rows[1])
    for (_, y), middle in zip(found, rows):
        assert y == pytest.approx(found[0][1] + (middle - rows[0]) * scale, abs=0.2)


def test_knee_sla_and_critical_path_are_lines_with_names() -> None:
    text = chart.draw(planned.release(), chart.WIDE)
    for part in (
        "knee: 3 jobs",
        "4 save 1\u00a0%",
        "SLA 10 m",
        "critical path 7 m 53 s on an idle machine",
        'class="sla"',
        'class="least"',
    ):
        assert part in text
    assert text.count("dot beyond") == 2
    far = planned.release() | {"sla": {"target_s": 86_400.0, "probability": None, "met": True}}
    assert "SLA 1 d, far above" in chart.draw(far, chart.WIDE)
    assert "SLA" not in chart.draw(planned.release() | {"sla": None}, chart.WIDE)


def test_an_sla_that_is_not_met_is_said() -> None:
    plan = planned.release()
    plan["sla"] = {"target_s": 60.0, "probability": None, "met": False}
    assert "The SLA of 1 m 00 s is not met." in said(plan)


def test_nothing_to_gain_is_an_answer() -> None:
    text = said(planned.unchanged())
    assert "Sequential is right here: 40 s, within the SLA of 5 m" in text
    assert "no change against sequential" in text and "stagebook run --sequential" in text
    assert "If:" not in text and "SLA" not in text.partition("Recommendation")[0].replace("the SLA of 5 m", "")


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=60))
def test_whatever_a_name_is_the_page_has_the_same_elements(name: str) -> None:
    fixed = planned.hostile(["x"])
    plan = planned.hostile([name + "</script>"])
    assert elements(render.render(plan)) == elements(render.render(fixed))


def test_it_is_alone_and_the_rule_allows_this_style_and_this_script_only() -> None:
    for plan in (planned.release(), planned.unchanged(), planned.hostile(hostile.NAMES)):
        text = render.render(plan)
        head = re.sub(r"<title>.*?</title>|<main>.*?</main>|<b>.*?</b>", "", text, flags=re.DOTALL)
        assert not re.search(
            r"https?://(?!www\.w3\.org/2000/svg)|@import|@font-face|src=|<link|<iframe|<img|<base", head
        )
        assert " style=" not in text
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
        assert policy is not None
        rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
        assert rules["default-src"] == "'none'"
        for name, tag in (("style-src", "style"), ("script-src", "script")):
            allowed = re.fullmatch(r"'sha256-(.*)'", rules[name])
            (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
            assert allowed is not None and b64decode(allowed[1]) == sha256(inner.encode()).digest()


def test_parts_are_ascii() -> None:
    for name in ("plan.html", "plan.css"):
        assert frame.part(name, render.FOLDER).isascii()
