"""The page of a plan, opened in Chromium: chart over its table, light and dark, narrow, alone and harmless."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from playwright.sync_api import Browser
from tests.door.browser import Window
from tests.door.place import Place
from tests.report import planned
from tests.report.export import hostile

from stagebook.report.page.plan import text as render

Opener = Callable[..., Window]


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def open_plan(open_page: Opener) -> Opener:
    return lambda plan, **settings: open_page(render.render(plan), **settings)


def test_the_command_writes_it_and_what_was_asked_is_on_it(place: Place, browser: Browser) -> None:
    place.pipeline({
        "build": {"run": "true", "duration": "10s"},
        "test": {"run": "true", "needs": "build", "duration": "20s", "matrix": {"n": ["1", "2", "3", "4"]}},
    })  # fmt: skip
    goal = place.base / "plan.html"
    done = place.run("plan", "--format", "html", "--scale", "test=8", "-o", str(goal))
    assert (done.code, done.out) == (0, "")
    window = Window(browser, goal)
    told = place.run("plan", "--json").json
    assert window.page.locator(".swp thead th").count() == len(told["sweep"]) + 1
    assert window.text("h1").startswith("With 8 of test: ~")
    assert told["recommendation"]["reasons"][0] in window.text(".sub") and "The bottleneck " in window.text(".sub")
    assert "Stages 5 \u2192 9" in window.text(".wf")
    assert "declared durations" in window.text(".stands")
    window.close()


def test_a_sweep_with_changes_and_arrivals_are_on_it(place: Place, browser: Browser) -> None:
    file = ROOT / "examples" / "etl" / "grown.yaml"
    goal = place.base / "plan.html"
    words = (str(file), "--arrivals", "6/h", "--shared", "runners=4")
    assert place.run("plan", *words, "--format", "html", "-o", str(goal)).code == 0
    told = place.run("plan", *words, "--json").json
    after = told["recommendation"]["sweep"]
    assert [row["jobs"] for row in told["sweep"]] == [1] and len(after) > 1
    window = Window(browser, goal)
    heads = window.page.eval_on_selector_all(".swp thead th", "(all) => all.map((one) => parseInt(one.textContent))")
    assert heads[1:] == [row["jobs"] for row in after]
    changed = window.page.locator(".swp tr", has=window.page.locator("th", has_text="changed")).locator("td")
    assert "—" not in "".join(changed.all_text_contents())
    assert window.text("h1").startswith("4 runners keep up with 6.0 runs/h: a run takes ~")
    assert "4 runners keep up with 6.0 runs/h" in " ".join(window.text("[aria-label='Many runs']").split())
    window.close()


_OFFSETS = """() => {
  const middle = (one) => { const box = one.getBoundingClientRect(); return box.left + box.width / 2; };
  const dots = [...document.querySelectorAll(".chart .dot")].filter((one) => one.getClientRects().length);
  const cells = [...document.querySelectorAll(".swp thead th")].slice(1);
  return cells.map((cell, at) => Math.abs(middle(cell) - middle(dots[at])));
}"""


@pytest.mark.parametrize("width", [1280, 900, 360])
def test_each_point_stands_over_its_column(open_plan: Opener, width: int) -> None:
    window = open_plan(planned.release(), width=width)
    offsets = window.page.evaluate(_OFFSETS)
    assert len(offsets) == 6 and max(offsets) < 3
    assert window.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    cut = window.page.evaluate(
        "[...document.querySelectorAll('.swp td, .swp th')].filter((one) => one.scrollWidth > one.clientWidth + 1)"
        ".map((one) => one.textContent)"
    )
    assert cut == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_and_dark(open_plan: Opener, scheme: str) -> None:
    window = open_plan(planned.release(), color_scheme=scheme)
    colour = window.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert colour == {"light": "rgb(250, 249, 246)", "dark": "rgb(15, 19, 23)"}[scheme]
    window.page.click("#theme")
    assert window.page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_it_reads_in_order_and_its_parts_have_names(open_plan: Opener) -> None:
    window = open_plan(planned.release())
    assert window.text("h1").startswith("With build taking 0.5 times as long, without lint: ~7 m 24 s")
    names = window.page.eval_on_selector_all("section", "(all) => all.map((one) => one.ariaLabel)")
    assert names == ["Sweep", "Critical path", "What this stands on", "Recommendation", "What if"]
    assert window.page.locator(".chart >> visible=true").count() == 1
    window.page.click("summary")
    assert "integration" in window.text(".stands table")


def test_g10_nothing_that_anybody_wrote_acts(open_plan: Opener) -> None:
    for width in (1280, 360):
        window = open_plan(planned.hostile(hostile.NAMES), width=width)
        assert window.page.evaluate("document.querySelectorAll('main img, main script, main link').length") == 0
        assert window.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_a_plan_of_one_job_and_no_time_is_drawn(open_plan: Opener) -> None:
    window = open_plan(planned.unchanged())
    assert "no change" in window.text(".rec")
    assert window.page.evaluate(_OFFSETS)[0] < 3
