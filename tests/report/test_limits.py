"""What `plan --limits` looks like, to the cell: over one history that is written down here."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from tests.plan.past import DAY_US, HOUR_US, MIB, NOW_US, RELEASE, Did, Past, pipeline, stage
from tests.report import golden

from stagebook.model.pipeline import Pipeline
from stagebook.plan import limits, providers, recorded
from stagebook.report.harmless import cells
from stagebook.report.limits import render
from stagebook.report.style import Style

OTHER = pipeline(*[stage(f"cell-{number}") for number in range(18)], file="/other/stagebook.yaml", name="other")
DID = (
    Did("build", 0, 130, cpu_s=150, rss=200 * MIB),
    Did("unit", 130, 300, 130, None, 80, 210 * MIB),
    Did("e2e", 160, 400, 130, "slot", 20, 90 * MIB),
)


def document(past: Past, of: Pipeline = RELEASE, days: int = 7) -> dict[str, Any]:
    asked = limits.Asked(NOW_US, days, 2)
    found = recorded.read(past.state, of.file, asked.since_us, asked.now_us)
    return limits.document(of, found, providers.of(of), asked)


@pytest.fixture(scope="module")
def a_week(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    past, chance = Past(tmp_path_factory.mktemp("week")), random.Random(1)
    past.run(RELEASE, NOW_US - 8 * DAY_US, *DID)
    for day in range(7):
        for _ in range(chance.randrange(2, 7)):
            past.run(RELEASE, NOW_US - day * DAY_US - chance.randrange(HOUR_US, 20 * HOUR_US), *DID)
        past.run(
            OTHER, NOW_US - day * DAY_US - 5 * HOUR_US, *[Did(f"cell-{number}", 0, 600 + number) for number in range(9)]
        )
    past.run(OTHER, NOW_US - 5 * HOUR_US, *[Did(f"cell-{number}", 0, 600 + number) for number in range(9, 18)])
    past.run(RELEASE, NOW_US - 2 * HOUR_US, Did("build", 0, 130), Did("unit", 130, None), is_over=False)
    return document(past)


@pytest.mark.parametrize("width", [80, 120])
def test_it_looks_as_designed(width: int, a_week: dict[str, Any]) -> None:
    lines = render(a_week, Style(width=width))
    assert max(map(cells, lines)) < width
    golden.check(f"limits-{width}", lines)


def test_with_ascii_only_and_in_a_narrow_terminal(a_week: dict[str, Any]) -> None:
    lines = render(a_week, Style(width=70, ascii=True))
    assert all(line.isascii() for line in lines)
    assert max(map(cells, lines)) < 70
    golden.check("limits-70-ascii", lines)


def test_with_colour_it_says_the_same(a_week: dict[str, Any]) -> None:
    from stagebook.report.harmless import without_color

    plain, coloured = render(a_week, Style()), render(a_week, Style(color=True))
    assert plain != coloured
    assert [without_color(line) for line in coloured] == plain


def test_a_quiet_week(tmp_path: Path) -> None:
    past = Past(tmp_path)
    for day in range(7):
        past.run(RELEASE, NOW_US - day * DAY_US - HOUR_US, *DID)
    lines = render(document(past), Style())
    assert lines[0] == "release stays within its limits"
    assert not any(line.startswith("above") for line in lines)


def test_too_little_and_nothing(tmp_path: Path) -> None:
    past = Past(tmp_path)
    nothing = render(document(past), Style())
    assert nothing[0] == "release: no runs in the last 7 days; `stagebook run` makes one"
    past.run(RELEASE, NOW_US - HOUR_US, *DID)
    few = render(document(past), Style())
    golden.check("limits-few", ["nothing:", *nothing, "", "one run:", *few])


def test_names_do_no_harm(tmp_path: Path) -> None:
    past = Past(tmp_path)
    of = pipeline(stage("a\x1b[31m\u202eb", memory_bytes=1), name="evil\x1b]0;x\x07")
    past.run(of, NOW_US - HOUR_US, Did("a\x1b[31m\u202eb", 0, 9, rss=MIB))
    lines = render(document(past, of), Style())
    assert not any(letter in line for line in lines for letter in "\x1b\x07\u202e")


def test_the_page_shows_what_is_drawn(a_week: dict[str, Any]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "limits.md").read_text()
    assert "\n".join(render(a_week, Style(width=80))) in page
