"""`timeline --format html`, opened in Chromium: what it says, what its keys do, and that it is alone and harmless."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from playwright.sync_api import Browser
from tests.door import waiting
from tests.door.browser import Window
from tests.door.place import Place
from tests.report import documents
from tests.report.export import hostile, runs

from stagebook.report.page import render
from stagebook.report.page.facts import Log

Opener = Callable[..., Window]
GOOD = "sleep 0.2; echo fine"
FAILING: dict[str, Any] = {
    "prepare": "echo ready; sleep 0.3",
    "migrate": {"run": "sleep 0.5", "needs": "prepare", "resources": {"pools": {"db": 1}}, "priority": 2},
    "again": {"run": 'sleep 0.1; test "$STAGEBOOK_ATTEMPT" = 2', "needs": "prepare",
              "retry": {"attempts": 2, "backoff": "100ms"}},
    "load": {"run": "for i in $(seq 1 60); do echo line $i; done; sleep 0.4; echo 'ValueError: no rows'; exit 3",
             "needs": "prepare", "resources": {"pools": {"db": 1}}},
    "cell": {"run": "true", "needs": "prepare", "matrix": {"n": ["1", "2", "3", "4", "5"]}},
    "pack": {"run": "true", "needs": "load"},
    "ship": {"run": "true", "needs": "pack"},
}  # fmt: skip


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory, stagebook: str) -> Path:
    """The page of a real run that failed."""
    place = Place(tmp_path_factory.mktemp("failed") / "place", stagebook)
    place.pipeline(FAILING, name="release", pools={"db": 1})
    assert place.run("run", "-j", "4", "--quiet").code == 1
    page = written(place)
    place.close()
    return page


def written(place: Place, *words: str) -> Path:
    done = place.run("timeline", "last", "--format", "html", *words)
    assert (done.code, done.err) == (0, "")
    return Path(done.out.rstrip("\n"))


def drawn(tmp_path: Path, document: dict[str, Any], *more: Any, **named: Any) -> Path:
    """The page of a document made by hand."""
    path = tmp_path / "page.html"
    tmp_path.mkdir(exist_ok=True)
    path.write_text("".join(render.render(document, *more, **named)), encoding="utf-8")
    return path


def test_its_path_is_printed_and_it_is_its_owners(failed: Path) -> None:
    assert failed.name == "report.html"
    assert failed.parent.parent.name == "runs"
    assert stat.S_IMODE(os.stat(failed).st_mode) == 0o600
    assert [path.name for path in failed.parent.iterdir() if path.name.startswith("report")] == ["report.html"]


def test_it_goes_where_it_is_told(place: Place) -> None:
    place.pipeline({"a": "true"})
    place.run("run", "--quiet")
    goal = place.base / "there.html"
    assert place.run("timeline", "last", "--format", "html", "-o", str(goal)).said == ""
    assert place.run("timeline", "last", "--format", "html", "-o", "-").out == goal.read_text()
    assert place.run("timeline", "last", "--format", "html", "--json").code == 2
    plain = place.run("timeline", "last", "--format", "html", "-o", "-", "--ascii")
    assert plain.out.isascii()
    os.chmod(place.runs_folder / place.run_ids()[0], 0o500)
    if os.geteuid():
        done = place.run("timeline", "last", "--format", "html")
        assert done.code == 4 and "-o FILE writes elsewhere" in done.err
    os.chmod(place.runs_folder / place.run_ids()[0], 0o700)


def test_r123_it_opens_from_a_file_with_what_failed_why_and_what_to_do(failed: Path, open_page: Opener) -> None:
    window = open_page(failed)
    verdict = r"load failed, exit 3, after \d+ ms on the critical path"
    assert re.fullmatch(verdict, window.text("h1"))
    assert re.match(verdict, window.page.title().replace("\u00a0", " "))
    card = window.text("#failure")
    assert "ValueError: no rows" in card
    assert "last 40 of 61 lines" in card
    assert "waited for pool db, held by migrate" in card
    assert "stagebook run --only load" in card
    assert window.chosen() == "load"
    rows = window.rows()
    assert (rows[0], rows[-1]) == ("prepare", "2 skipped")
    assert sorted(rows[1:-1]) == ["again", "cell ×5", "load", "migrate"]  # began together, all but so
    assert "pack, ship" in window.text("#rows") and "← load failed" in window.text("#rows")
    assert "critical path" in window.text("#totals")
    for word in ("wait for capacity", "failed attempt", "failure", "critical path", "skipped"):
        assert word in window.text("#legend")


def test_what_others_made_is_made_again_after_an_integrity_failure(place: Place, open_page: Opener) -> None:
    make = {"run": "echo x > a", "outputs": ["a"]}
    place.pipeline({"make": make, "spoil": {"run": "echo y > a", "needs": "make"},
                    "use": {"run": "cat a", "inputs": ["a"], "needs": "spoil"}})  # fmt: skip
    assert place.run("run", "--quiet").code == 1
    assert "stagebook run --until use" in open_page(written(place)).text("#failure")


def test_states_differ_by_shape_and_word(failed: Path, open_page: Opener) -> None:
    window = open_page(failed)
    page = window.page
    labels = page.eval_on_selector_all("[role=treeitem]", "(rows) => rows.map((row) => row.getAttribute('aria-label'))")
    spoken = {label.split(",")[0]: label for label in labels}
    assert "failed" in spoken["load"] and "waited for pool db, held by migrate for" in spoken["load"]
    assert "passed, flaky" in spoken["again"]
    assert page.locator(".row.on .bar-i.fb").count() == 1
    assert page.locator(".bar-i.x").count() == 1  # the attempt that failed
    assert page.locator(".hat.wt").count() >= 2  # the pool, and the pause before the second attempt
    assert page.locator(".row.cr .cl").count() >= 2
    assert page.locator(".cp").count() >= 1


def test_keys_move_open_and_go_back(failed: Path, open_page: Opener) -> None:
    window = open_page(failed)
    page = window.page
    rows = window.rows()
    page.focus("#rows")
    window.press("Home")
    assert window.chosen() == "prepare"
    window.press("j", "j")
    assert window.chosen() == rows[2]
    window.press("k")
    assert window.chosen() == rows[1]
    assert page.get_attribute("#rows", "aria-activedescendant") == page.locator(".cur-row").get_attribute("id")
    window.press("n")
    assert window.chosen() == "load"
    window.press("Enter")
    panel = window.text("#panel")
    for word in (
        "load",
        "exit 3",
        "waited for pool db, held by migrate",
        "prepare",
        "pack",
        "line 60",
        "stagebook logs",
    ):
        assert word in panel
    assert page.evaluate("document.activeElement.id") == "panel-title"
    window.press("Escape")
    assert page.is_hidden("#panel")
    assert page.evaluate("document.activeElement.id") == "rows"
    window.press("l")
    assert page.evaluate("document.activeElement.textContent").startswith("Output of attempt 1")
    window.press("Escape", "End", "Enter")
    assert window.rows()[-3:] == ["2 skipped", "pack", "ship"]
    window.press("j", "j", "Enter")
    assert "ship skipped (needs" not in window.text("#panel")
    assert "ship skipped ← pack skipped ← load failed (exit 3)" in window.text("#panel")
    window.press("Escape", "?")
    assert page.is_visible("#help")
    page.uncheck("#help input")
    page.click("#help button")
    window.press("t")
    assert page.is_hidden("#table")


def test_overlap_of_any_two_stages(failed: Path, open_page: Opener) -> None:
    window = open_page(failed)
    window.page.focus("#rows")
    window.find("is:flaky")
    window.press("Enter", "o")
    assert window.text("#said").startswith("1 of 11 stages · again is marked")
    window.press("Escape")
    window.page.click(".nm >> text=migrate", position={"x": 1, "y": 1}, force=True)
    window.press("Escape")
    assert window.chosen() == "migrate"
    said = window.text("#said")
    assert re.fullmatch(r"again and migrate ran together for \d+ ms", said)
    assert window.text(".lapt") == re.sub(r".* for (.*)", r"\1 together", said)
    window.press("Home")
    assert window.text("#said") == "again and prepare never ran at the same time"
    assert window.page.locator(".lap").count() == 0
    window.press("Escape")
    assert window.text("#said") == ""


def test_find_filters_and_keeps_places(failed: Path, open_page: Opener) -> None:
    window = open_page(failed)
    assert window.find("is:failed") == ["load"]
    assert window.page.locator(".row.thin").count() == 5
    assert "1 of 11 stages" in window.text("#said")
    assert sorted(window.find("pool:db")) == ["load", "migrate"]
    assert window.find("is:flaky") == ["again"]
    assert window.find("path:critical is:passed") == ["prepare"]
    assert window.find("attempts:>1") == ["again"]
    assert window.find("wait:>100ms wait:<1h") == ["load"]
    assert window.find("n=3") == ["cell ×5", "cell[n=3]"]
    assert window.find("is:skip ship") == ["2 skipped", "ship"]
    assert window.find("valueerror") == ["load"]
    window.find("is:fialed wait:long")
    assert "is:fialed is none of failed" in window.text("#said")
    assert "wait: takes a duration" in window.text("#said")
    window.press("Escape")
    assert window.page.input_value("#find") == ""
    assert len(window.rows()) == 6
    window.press("c")
    assert set(window.rows()) <= {"prepare", "load", "migrate"}
    window.press("c", "w")
    assert {"again", "load"} <= set(window.rows())
    assert window.page.locator(".dw").count() >= 2


def test_zoom_pan_fold_and_table(failed: Path, open_page: Opener) -> None:
    window = open_page(failed)
    page = window.page
    seen = "[Math.round(view.from), Math.round(view.to)]"
    whole = page.evaluate(seen)
    window.press("+", "+")
    near = page.evaluate(seen)
    assert near[1] - near[0] == pytest.approx((whole[1] - whole[0]) / 4, abs=2)
    window.press("ArrowLeft")
    assert page.evaluate(seen)[0] < near[0]
    window.press("-", "0")
    assert page.evaluate(seen) == whole
    box = page.locator("#mini").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)
    page.mouse.up()
    window.settle()
    assert page.evaluate(seen) == pytest.approx([whole[1] / 4, whole[1] / 2], rel=0.02)
    page.click("[data-key='0']")
    window.settle()
    assert page.evaluate(seen) == whole
    window.press("f")  # the chosen row belongs to no fold: all of them open
    assert sorted(name for name in window.rows() if name.startswith("cell")) == [f"cell[n={n}]" for n in range(1, 6)]
    window.press("t")
    assert page.locator("#table tbody tr").count() == 11
    assert page.is_hidden("#timeline")
    table = window.text("#table")
    assert "needs load (failure)" in table and "passed, flaky" in table
    page.click("#table button:has-text('load')")
    assert "exit 3" in window.text("#panel")
    window.press("Escape", "Escape")
    assert page.is_visible("#timeline")


def test_it_is_light_and_dark_narrow_and_still(failed: Path, open_page: Opener) -> None:
    colours = []
    for scheme in ("light", "dark"):
        window = open_page(failed, color_scheme=scheme)
        colours.append(window.page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        window.page.click("#theme")
        assert window.page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(15, 19, 23)"
    assert colours == ["rgb(250, 249, 246)", "rgb(15, 19, 23)"]
    narrow = open_page(failed, width=360, height=740, reduced_motion="reduce", has_touch=True)
    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert narrow.page.evaluate(sideways) == 0
    assert narrow.page.evaluate("row_height()") == 38
    narrow.page.locator(".row.on .nm").tap()
    assert narrow.page.is_visible("#panel")
    assert narrow.page.evaluate("$('panel').scrollWidth - $('panel').clientWidth") == 0
    narrow.page.click("#panel header button")
    narrow.page.evaluate("zoom(0.5)")
    narrow.page.evaluate("new Promise(requestAnimationFrame)")
    assert narrow.page.evaluate("view.to - view.from < run.total_us * 0.51")  # at once, without easing


def test_controls_have_names_and_no_order_of_their_own(failed: Path, open_page: Opener) -> None:
    window = open_page(failed)
    window.press("Enter")
    controls = "button, input, [role=img], [role=tree], [role=treeitem], pre[tabindex], section, dialog[open]"
    nameless = f"""() => [...document.querySelectorAll('{controls}')]
      .filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length))
      .map((one) => one.outerHTML)"""
    assert window.page.evaluate(nameless) == []
    assert window.page.locator("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").count() == 0
    assert window.page.locator("#rows [tabindex], #rows button").count() == 0  # one stop for all of the timeline
    assert window.page.evaluate(
        "((all) => all.length === new Set(all).size)([...document.querySelectorAll('[id]')].map((one) => one.id))"
    )
    assert window.page.get_attribute("html", "lang") == "en"
    pressed = window.page.eval_on_selector_all("[data-key]", "(all) => all.map((one) => one.dataset.key)")
    assert {"c", "w", "f", "o", "n", "t", "+", "-", "0", "ArrowLeft", "ArrowRight"} == set(pressed)


def test_success_is_said_and_its_output_quoted(place: Place, open_page: Opener) -> None:
    place.pipeline({"one": GOOD, "many": "seq 1 300", "quiet": "true"}, name="small")
    assert place.run("run", "--quiet").code == 0
    window = open_page(written(place))
    assert re.fullmatch(r"small passed in \d+ ms|small passed in [\d.]+ s", window.text("h1"))
    assert window.page.is_hidden("#failure")
    window.find("many")
    window.press("Enter", "Enter")
    panel = window.text("#panel")
    assert "8 of 300 lines" in panel and "292 lines left out" in panel
    assert re.search(r"\b300\s*300\b", panel)


def test_a_run_under_way_then_killed_then_resumed(place: Place, open_page: Opener) -> None:
    go = place.base / "go"
    place.pipeline({"quick": "true", "long": f"touch {place.base}/begun; while [ ! -e {go} ]; do sleep 0.02; done",
                    "after": {"run": "true", "needs": "long"}})  # fmt: skip
    command = place.start("run", "-j", "2", "--quiet")
    waiting.until((place.base / "begun").exists, "a stage that runs")
    window = open_page(written(place))
    assert re.search(r"1 of 3 done after .*; long runs", window.text("h1"))
    assert "as of" in window.text("#as-of")
    assert window.page.locator(".rn-b.bar-i").count() == 1
    assert "waits for needs" in window.text("#rows")
    command.kill()
    window = open_page(written(place))
    assert "was interrupted" in window.text("h1")
    assert window.page.locator(".bar-i.ca").count() == 1
    assert window.page.is_hidden("#as-of")
    time.sleep(1.1)  # as long as it has to stand still to be told
    go.touch()
    assert place.run("run", "--resume", "last", "--quiet").code == 0
    window = open_page(written(place))
    assert "stood still for" in window.text("#about")
    assert "passed in" in window.text("h1")
    window.find("long")
    window.press("Enter", "Enter")
    assert "interrupted" in window.text("#panel") and "attempt 2" in window.text("#panel")


def test_cancelled_and_measured_runs(place: Place, open_page: Opener) -> None:
    place.pipeline({"hang": "sleep 60", "next": {"run": "true", "needs": "hang"}})
    command = place.start("run", "--quiet")
    waiting.until(lambda: place.events("stage.started"), "a stage that runs")
    assert place.run("cancel", "last").code == 0
    command.wait()
    window = open_page(written(place))
    assert "cancelled" in window.text("h1")
    assert window.page.locator(".bar-i.ca").count() == 1
    for stage, work in (("one", "true"), ("two", "false")):
        place.run("measure", "--run", "k", "--name", stage, "--", work)
    window = open_page(written(place))
    assert "measured" in window.text("#about")
    assert "two failed, exit 1" in window.text("h1")
    assert "measure does not keep what commands print" in window.text("#failure")


def test_g10_nothing_that_anybody_wrote_acts(place: Place, open_page: Opener) -> None:
    script = "</script><script>alert(1)</script>"
    names = [script, "javascript:alert(1)", "\"'><img src=x onerror=alert(2)>", "\u202egnp.exe", "<!--", "&lt;b&gt;"]
    log = b"</script><script>alert(3)</script>\x1b[31mred\x1b[0m\x07\x00\xff\xe2\x80\xae<!-- ]]>\r\n"
    printed = "printf '" + "".join(f"\\{byte:03o}" for byte in log) + "'"
    place.pipeline({name: f"{printed}; exit {number + 1}" for number, name in enumerate(names)}, name=script)
    place.run("run", "--quiet")
    path = written(place)
    assert b"\xe2\x80\xae" not in path.read_bytes()
    assert b"\x07" not in path.read_bytes()
    window = open_page(path)
    assert window.text("#pipeline") == script
    assert script in window.rows() and "javascript:alert(1)" in window.rows() and "\\u202egnp.exe" in window.rows()
    assert "</script><script>alert(3)</script>red\\x07\\x00\\xff\\u202e<!-- ]]>" in window.text("#failure")
    for name in names:
        window.page.evaluate(
            "(name) => open_panel(stages.findIndex((one) => one.name === name))", name.replace("\u202e", "\\u202e")
        )
    window.press("Escape", "t")
    assert window.page.locator("img, iframe, a[href], #rows script").count() == 0
    assert window.page.evaluate("document.scripts.length") == 2


def test_g10_hostile_texts_in_every_place_of_a_document(tmp_path: Path, open_page: Opener) -> None:
    document = hostile.run()
    logs = {(name, 1): Log([(1, name.encode("utf-8", "surrogatepass"))], (), 9) for name in hostile.NAMES}
    window = open_page(drawn(tmp_path, document, logs=logs))
    for index in range(0, len(document["stages"]), 3):
        window.page.evaluate(
            "(index) => { open_panel(index, true); show_tip(shown.rows[index], {clientX: 9, clientY: 9}); }", index
        )
    window.press("Escape", "t", "t", "f", "w")
    assert window.page.evaluate("document.scripts.length") == 2


def test_a_script_that_is_slipped_in_does_not_run(failed: Path, tmp_path: Path, browser: Browser) -> None:
    """The rule in the page holds even if a text were to get through."""
    path = tmp_path / "page.html"
    slipped = "<script>alert(1)</script><img src='https://example.org/x.png' onerror='alert(2)'>"
    slipped += "<style>body{display:none}</style>"
    path.write_text(failed.read_text().replace("<main>", f"<main>{slipped}"))
    window = Window(browser, path)
    assert window.dialogs == []
    assert all("Content Security Policy" in text for text in window.complaints) and len(window.complaints) >= 4
    assert window.page.is_visible("h1")


def test_a_thousand_stages_are_fluid(tmp_path: Path, open_page: Opener) -> None:
    """Under 2 s to open, under 32 ms a frame: on the page's own thread, as the machine is shared."""
    path = drawn(tmp_path, documents.wide(1000, levels=25, failing=3))
    window = open_page(path)
    assert window.worked_s() < 2
    assert len(window.rows()) < 120
    window.press("f")
    assert window.page.evaluate("shown.rows.length") == 1000
    assert window.page.locator("#rows .row").count() < 120  # only what is in view
    for act in ("zoom(at % 30 < 15 ? 0.9 : 1 / 0.9, undefined, true)",
                "pan(at % 20 < 10 ? 0.05 : -0.05, true)",
                "scrollBy(0, at % 60 < 30 ? 180 : -180)"):  # fmt: skip
        frames = window.frames_s(act)
        assert frames[len(frames) * 95 // 100] < 0.032, act
    window.press("n")
    assert window.chosen() == "stage-0998"
    assert window.page.evaluate("document.querySelector('.cur-row').getBoundingClientRect().top < innerHeight")


def test_g15_ten_thousand_stages_open_in_two_seconds(tmp_path: Path, open_page: Opener) -> None:
    path = drawn(tmp_path, documents.wide(10_000, levels=20, failing=2))
    window = open_page(path)
    assert window.worked_s() < 2
    assert window.find("is:failed") == ["stage-9998", "stage-9999"]


def test_levels_that_passed_fold_and_open(tmp_path: Path, open_page: Opener) -> None:
    document = documents.wide(300, levels=30)
    document["critical_path"] = ["stage-0000"]
    window = open_page(drawn(tmp_path, document))
    assert window.rows() == ["stage-0000", "level 0 to 29 ×299"]
    assert "299 passed" in window.text("#rows")
    window.page.focus("#rows")
    window.press("End", "f")
    assert "stage-0001" in window.rows()


def test_what_was_not_measured_is_not_drawn_as_nothing(place: Place, open_page: Opener) -> None:
    """Of calls of items their memory is not known: a ground says so, or there is no curve where that is most of it."""
    hold = "python3 -c 'import time; held = bytearray(range(200)) * (1 << 19); time.sleep({})'"

    def opened(alone: float, item: float) -> Any:
        steps = [{"one": {"run": f"sleep {item}", "workers": 2}}, {"two": f"sleep {item}"}]
        work = {"needs": "alone", "each": {"items": {"range": [1, 3]}, "steps": steps}}
        place.pipeline({"alone": hold.format(alone), "work": work})
        assert place.run("run", "-j", "4", "--quiet").code == 0
        return open_page(written(place))

    window = opened(1.5, 0.1)
    assert "Memory" in window.text("#curves") and "Memory of 1 of 2 attempts" in " ".join(window.text("#lines").split())
    grounds = [path.get_attribute("d").count("V") for path in window.page.locator("#curves .gap").all()]
    assert grounds[0] == 1 and max(grounds) > 1, "what ran at once is known all the time, memory is not"
    window = opened(0.3, 0.3)
    assert "Memory" not in window.text("#curves") and "without a curve: memory" in window.text("#lines")
    assert re.search(r"At once\s+stages, calls\s+[2-4] peak", window.text("#curves"))
    about = " ".join(window.text("body").split())
    assert re.search(r"at once ?\d\.\d mean, [2-4] most", about), about


def test_what_shares_something_is_marked_from_the_start(tmp_path: Path, open_page: Opener) -> None:
    logs = {("integration", 1): Log((), documents.output("integration", 1, 5), 93_000)}
    window = open_page(drawn(tmp_path, documents.release(), logs=logs))
    assert window.text("h1") == "integration failed, exit 1, after 2 m 38 s on the critical path"
    assert window.text(".lapt") == "2 m 13 s together"
    assert "Perhaps a race: e2e ran at the same time for 2 m 13 s" in window.text("#failure")
    assert window.text("#totals").split("\n")[0] == "critical path5 m 32 s + 22 s waiting"


def test_every_way_to_end_and_to_wait(tmp_path: Path, open_page: Opener) -> None:
    window = open_page(drawn(tmp_path, runs.live(), runs.LIVE_US, as_of_us=1_784_000_000_000_000))
    page = window.page
    for shape in (".wall", ".bar-i.ca", ".bar-i.er", ".bar-i.fb", ".bar-i.x", ".bar-i.rn-b", ".skp", ".now"):
        assert page.locator(f"#rows {shape}").count() >= 1, shape
    assert "waits for a slot, 4 of 4 in use" in window.text("#rows")
    window = open_page(drawn(tmp_path, runs.nothing()))
    assert window.text("h1") == "release passed in 100 ms, 2 stages skipped"
    assert window.rows() == ["2 skipped"]


#: What of a row's text lies on what is drawn of its time, as the row's name and the text.
_COVERED = """() => [...document.querySelectorAll('#rows .row:not(.thin)')].flatMap((row) => {
  const bars = [...row.querySelectorAll('.bar-i, .wt, .est, .wall, .strip-c path')];
  const drawn = bars.map((one) => one.getBoundingClientRect());
  return [...row.querySelectorAll('.tag')].filter((tag) => {
    const text = tag.getBoundingClientRect();
    return drawn.some((one) => one.left < text.right && text.left < one.right);
  }).map((tag) => `${row.querySelector('.nm > span').textContent}: ${tag.textContent}`);
})"""


@pytest.mark.parametrize("width", [1280, 700, 360])
def test_no_text_lies_on_a_bar(tmp_path: Path, open_page: Opener, width: int) -> None:
    """In a long run each label has room at some zoom and none at another; there it is left out."""
    texts = 0
    for path in (
        drawn(tmp_path / "release", documents.release()),
        drawn(tmp_path / "live", runs.live(), runs.LIVE_US, as_of_us=1_784_000_000_000_000),
        drawn(tmp_path / "wide", documents.wide(300, levels=30, failing=3)),
    ):
        page = open_page(path, width=width, reduced_motion="reduce").page
        for part, centre in [(1, 0.5), *((1 / zoom, at / 8) for zoom in (2, 6) for at in (1, 3, 4, 6))]:
            page.evaluate(
                "([from, to]) => { look(from * run.total_us, to * run.total_us, true); draw(); }",
                [centre - part / 2, centre + part / 2],
            )
            assert page.evaluate(_COVERED) == [], (path.parent.name, part, centre)
            texts += page.locator("#rows .tag").count()
    assert texts > 50


#: Cells of one word or one number, at most 20 characters, that take two lines.
_BROKEN = """(all) => all.filter((one) => {
  const range = document.createRange();
  range.selectNodeContents(one);
  return /^[^ ]{1,20}$/.test(one.textContent.trim()) && range.getBoundingClientRect().height > 26;
}).map((one) => one.textContent)"""


@pytest.mark.parametrize("width", [1280, 760, 360])
def test_numbers_and_words_are_whole(tmp_path: Path, open_page: Opener, width: int) -> None:
    """In the table and the panel a cell breaks between words only, and what does not fit scrolls in its place."""
    window = open_page(drawn(tmp_path, documents.release()), width=width)
    page = window.page
    page.evaluate("stages[0].aside = 'a-word-of-many-characters/'.repeat(20)")
    page.evaluate("""stages.forEach((stage) => stage.attempts.forEach((one) => {
      one.around = {text: "others used 1.8 cores; disk vda busy 13 %, memory short"};
    }))""")
    window.press("t")
    assert page.eval_on_selector_all("#table td", _BROKEN) == []
    again = page.evaluate("stages.findIndex((one) => one.attempts.length > 1)")
    page.evaluate(
        "(index) => { const all = stages[index].attempts; all.push(...all, ...all); open_panel(index); }", again
    )
    assert page.locator("#panel th").count() > 5
    assert page.eval_on_selector_all("#panel td", _BROKEN) == []
    assert page.evaluate("$('panel').scrollWidth - $('panel').clientWidth") == 0
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert not re.search(r"\d (ms|s|m|h|d|%|[KMGT]?i?B)\b", page.inner_text("#lines"))


def test_without_a_script_the_verdict_stands(failed: Path, browser: Browser) -> None:
    window = Window(browser, failed, java_script_enabled=False)
    assert "load failed, exit 3" in window.page.inner_text("h1")
    assert "speed-up" in window.page.inner_text("noscript")
    window._context.close()


def test_the_facts_are_one_json_value(failed: Path) -> None:
    text = failed.read_text()
    facts = text.partition('<script type="application/json" id="facts">')[2].partition("</script>")[0]
    assert not set("<>&") & set(facts)
    assert json.loads(facts)["stages"][0]["name"] == "prepare"
