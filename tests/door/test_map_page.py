"""`map --format html`, opened in Chromium: what it says, what its keys do, and that it is alone and harmless."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Callable

import pytest
from playwright.sync_api import Browser
from tests.door.browser import Window
from tests.door.place import Place
from tests.report import mapped
from tests.report.export import hostile

from stagebook.report.page.map import text as render

Opener = Callable[..., Window]


@pytest.fixture
def open_map(open_page: Opener) -> Opener:
    return lambda document, **settings: open_page(render.render(document), **settings)


def test_it_is_written_where_it_is_told_and_opens(place: Place, browser: Browser) -> None:
    place.pipeline({
        "make": {"run": "true", "outputs": ["dist/a"], "duration": "2s"},
        "read": {"run": "true", "inputs": ["dist/a"], "duration": "3s"},
        "spell": {"run": "true", "needs": "make", "inputs": ["docs/*"], "duration": "9s"},
    })  # fmt: skip
    goal = place.base / "map.html"
    assert place.run("map", "--format", "html", "-o", str(goal)).said == ""
    assert place.run("map", "--format", "html").out.strip() == goal.read_text().strip()
    window = Window(browser, goal)
    assert "3 stages, 2 edges, 2 levels, at most 2 at once" in window.text(".sub")
    assert window.text("h1").startswith("11 s is the least this order allows; 2 s of it")
    assert sorted(nodes(window)) == ["make", "read", "spell"]
    assert "Needless order: make → spell" in window.text("#findings")
    assert window.page.locator("#map .e.needless").count() == 1
    window.close()
    picture = place.run("map", "--format", "svg").out
    assert picture.startswith("<svg ") and "Needless order: make → spell" in picture


def in_sight(window: Window) -> list[float]:
    return [float(part) for part in str(window.page.get_attribute("#map", "viewBox")).split()]


def nodes(window: Window, which: str = ".n") -> list[str]:
    found: list[str] = window.page.eval_on_selector_all(
        f"#map {which}",
        "(all) => all.map((one) => [...one.querySelectorAll('.nm')].map((t) => t.textContent).join(''))",
    )
    return found


def chosen(window: Window) -> str:
    return "".join(nodes(window, ".n.on"))


def test_it_opens_with_the_verdict_the_map_the_path_and_what_was_found(open_map: Opener) -> None:
    window = open_map(mapped.release())
    assert window.text("h1") == "7 m 53 s is the least this order allows; 41 s of it has no reason in the file"
    assert len(nodes(window)) == 17
    assert nodes(window, ".n.crit")[:3] == ["checkout", "build", "image"]
    assert window.page.locator("#map .e.needless").count() == 1
    assert window.page.locator("#map .bd").all_text_contents() == ["1", "2", "3", "4"]
    assert "integration" in window.text("#path") and "7 m 53 s" in window.text("#path")
    assert "Let integration follow build" in window.text("#finding-1")
    assert window.page.locator("#legend > span").all_text_contents() == [
        "critical path", "needs", "needless as far as the file says", "possible coupling", "missing guard",
    ]  # fmt: skip
    x, y, width, height = in_sight(window)
    assert x <= 0 and y <= 0 and width >= 1100 and height >= 250  # all of it can be seen


def test_zoom_and_pan_change_what_is_in_sight(open_map: Opener) -> None:
    window = open_map(mapped.release())
    whole = in_sight(window)
    window.press("+")
    near = in_sight(window)
    assert near[2] < whole[2] and near[3] < whole[3]
    window.press("ArrowRight")
    assert in_sight(window)[0] > near[0]
    window.page.click('[data-key="0"]')
    window.settle()
    assert in_sight(window) == pytest.approx(whole, abs=1)
    window.press("+", "+")
    box = window.page.locator("#map").bounding_box()
    assert box is not None
    before = in_sight(window)
    window.page.mouse.move(box["x"] + 500, box["y"] + 100)
    window.page.mouse.down()
    window.page.mouse.move(box["x"] + 300, box["y"] + 90, steps=4)
    window.page.mouse.up()
    assert in_sight(window)[0] > before[0] + 50
    window.page.keyboard.down("Control")
    window.page.mouse.wheel(0, -200)
    window.page.keyboard.up("Control")
    window.settle()
    assert in_sight(window)[2] < before[2]


def test_find_dims_the_rest_and_opens_a_path(open_map: Opener) -> None:
    window = open_map(mapped.release())
    window.press("/")
    window.page.keyboard.type("smoke")
    window.settle()
    assert nodes(window, ".n.hit") == ["smoke"]
    assert len(nodes(window, ".n.off")) == 16
    assert window.text("#said").startswith("1 of 18 stages")
    window.press("Enter")
    names = nodes(window)
    assert {"checkout", "unit[python=3.11]", "smoke", "cleanup"} <= set(names)
    assert not {"docs", "scan", "contract", "migrate"} & set(names)
    assert chosen(window) == "smoke"
    assert window.text("#said").endswith(f"Path of smoke: {len(names)} stages. esc shows the whole map")
    window.press("Escape", "Escape")
    assert len(nodes(window)) == 17
    window.page.fill("#find", "is:found level:3")
    window.settle()
    assert sorted(nodes(window, ".n.hit")) == ["contract", "e2e", "integration"]
    window.page.fill("#find", "is:nonsense")
    assert "is: takes critical" in window.text("#said")


def test_keys_move_along_needs_and_open_what_is_known(open_map: Opener) -> None:
    window = open_map(mapped.release())
    window.page.focus("#map")
    window.press("ArrowRight")
    assert chosen(window) == "checkout"
    window.press("ArrowRight")
    assert chosen(window) == "build"
    window.press("ArrowRight", "ArrowRight", "ArrowUp")
    assert chosen(window) in ("e2e", "contract")
    active = window.page.get_attribute("#map", "aria-activedescendant")
    assert "needs image" in str(window.page.get_attribute(f"#{active}", "aria-label"))
    window.press("ArrowDown", "Enter")
    panel = window.text("#panel")
    for said in ("integration", "2 m 38 s", "image – no reason in the file, line 3", "lint – it reads dist/lint.tar"):
        assert said in panel
    assert "1. Needless order: image → integration" in panel
    window.press("Escape")
    assert window.page.evaluate("document.activeElement.id") == "map"
    window.press("p")
    assert "Path of integration" in window.text("#said")


def test_pointing_tells_needs_reasons_and_figures(open_map: Opener) -> None:
    window = open_map(mapped.release())
    window.page.hover("#map .n >> nth=8")
    tip = window.text("#tip")
    assert tip.startswith("migrate")
    assert "needs build – it reads dist/build.tar" in tip and "1 m 06 s" in tip and "Missing guard" in tip
    window.page.hover("h1")
    assert window.page.is_hidden("#tip")


def test_findings_and_the_map_lead_to_each_other(open_map: Opener) -> None:
    window = open_map(mapped.release())
    window.page.click("#finding-4 button")
    window.settle()
    assert chosen(window) == "deploy-staging"
    window.page.click("#map .bd >> nth=0")
    assert window.page.evaluate("document.activeElement.id") == "finding-1"
    window.press("n")
    assert window.text("#said") == "2. Possible coupling: integration ↔ e2e"
    window.press("n", "N", "N", "N")
    assert window.text("#said").startswith("4. ")


def test_folds_open_and_the_table_says_the_same(open_map: Opener) -> None:
    window = open_map(mapped.release())
    window.press("f")
    assert len(nodes(window)) == 18 and "unit[python=3.13]" in nodes(window)
    window.press("f", "c")
    assert set(nodes(window, ".n:not(.off)")) == set(nodes(window, ".n.crit"))
    window.press("c", "t")
    assert window.page.is_hidden("#mapbox")
    rows = window.page.locator("#table tbody tr")
    assert rows.count() == 18
    assert rows.nth(0).locator("td").nth(0).inner_text() == "0"
    window.page.fill("#find", "unit")
    assert rows.count() == 2
    window.page.fill("#find", "")
    window.page.click("#table >> text=unit[python=3.11]")
    assert "Possible coupling" in window.text("#panel")


def test_a_difference_is_drawn(open_map: Opener) -> None:
    window = open_map(mapped.changed())
    assert nodes(window, ".n.added") == ["audit"] and nodes(window, ".n.removed") == ["spell"]
    assert window.page.locator("#map .e.added").count() == window.page.locator("#map .e.removed").count() == 2
    assert "against HEAD~1" in window.text("h1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_and_dark_narrow_and_still(open_map: Opener, scheme: str) -> None:
    window = open_map(mapped.release(), color_scheme=scheme, reduced_motion="reduce")
    colour = window.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert colour == {"light": "rgb(250, 249, 246)", "dark": "rgb(15, 19, 23)"}[scheme]
    before = in_sight(window)
    window.page.keyboard.press("+")
    assert in_sight(window) != before  # at once
    window.page.click("#theme")
    assert window.page.evaluate("document.documentElement.dataset.theme") == "dark"
    narrow = open_map(mapped.release(), width=360, color_scheme=scheme)
    assert narrow.page.is_hidden("#mapbox") and narrow.page.is_visible("#levels")
    assert narrow.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    narrow.page.click("#levels >> text=migrate")
    assert "needs" in narrow.text("#panel").lower()
    narrow.page.click("#panel .row-b button")
    narrow.settle()
    assert narrow.page.is_visible("#mapbox")


def test_controls_have_names_and_no_order_of_their_own(open_map: Opener) -> None:
    window = open_map(mapped.release())
    window.press("?")
    window.page.keyboard.press("Escape")
    unnamed = window.page.evaluate("""
      [...document.querySelectorAll("button,input,[role=application],[role=img],dialog,aside")]
      .filter((one) => !one.ariaLabel && !one.textContent.trim() && !one.labels?.length)
      .filter((one) => !one.getAttribute("aria-labelledby")).map((one) => one.outerHTML.slice(0, 80))""")
    assert unnamed == []
    assert (
        window.page.evaluate("[...document.querySelectorAll('[tabindex]')].filter((one) => one.tabIndex > 0).length")
        == 0
    )
    ids = window.page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    assert window.page.evaluate("document.querySelectorAll('h1').length") == 1
    seen = []
    for _ in range(40):
        window.page.keyboard.press("Tab")
        seen.append(
            window.page.evaluate("document.activeElement.id || document.activeElement.textContent.slice(0, 12)")
        )
        if seen[-1] == "map":
            break
    assert seen[-1] == "map" and "find" in seen
    outline = window.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "2px"


def test_g10_nothing_that_anybody_wrote_acts(open_map: Opener) -> None:
    window = open_map(mapped.hostile(hostile.NAMES))
    window.press("t", "t", "f", "c", "n")
    window.page.fill("#find", "alert")
    window.press("Enter")
    window.page.evaluate("stages.forEach((one) => open_stage(one.index))")
    assert window.page.evaluate("document.querySelectorAll('img, script[src], b b').length") == 0


def test_a_thousand_stages_are_fluid(open_map: Opener) -> None:
    begun = time.perf_counter()
    window = open_map(mapped.layered(1000))
    assert time.perf_counter() - begun < 10
    assert window.worked_s() < 2
    assert 20 < len(nodes(window)) <= 200
    window.press("f")
    assert len(nodes(window)) == 1000
    frames = window.frames_s("pan(at % 2 ? 0.01 : -0.01, 0, true)")
    assert frames[len(frames) // 2] < 0.1  # of CPU; on an idle machine it is 0.03
    window.page.fill("#find", "s777")
    window.press("Enter")
    assert chosen(window) == "s777"


def test_g15_ten_thousand_stages_open_as_a_table(open_map: Opener) -> None:
    window = open_map(mapped.layered(10_000))
    assert window.worked_s() < 3
    assert window.page.locator("#table tbody tr").count() == 500
    assert "first 500 of 10 000 stages" in window.text("#table").replace("\u2009", " ")
    window.page.fill("#find", "s5000")
    assert window.page.locator("#table tbody tr").count() == 1
    window.press("Enter")
    assert chosen(window) == "s5000" and window.page.is_visible("#mapbox")
    assert re.search(r"further away left out", window.text("#said"))


def test_without_a_script_all_is_there(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "map.html"
    path.write_text(render.render(mapped.release()), encoding="utf-8")
    window = Window(browser, path, java_script_enabled=False)
    assert "unit ×2" in window.page.inner_text("#levels")
    assert window.page.is_hidden("#mapbox")
    window._context.close()
