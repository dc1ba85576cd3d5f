"""Debian's Chromium for tests that look at pages: it is offline, and whatever it asks for or complains of counts."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


class Window:
    """One page in a window of its own. `asked` are requests for anything but the file, `complaints` what the console
    and the page's own errors said, `dialogs` what a script would have shown."""

    def __init__(self, browser: Browser, path: Path, width: int = 1280, height: int = 800, **settings: Any) -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self._context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **settings)
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self._ask(request.url))
        self._metrics = self._context.new_cdp_session(self.page)
        self._metrics.send("Performance.enable")  # which counts from now on
        self._url = path.as_uri()
        self.page.goto(self._url)
        if settings.get("java_script_enabled", True):
            self.settle()

    def _ask(self, url: str) -> None:
        if url != self._url:
            self.asked.append(url)

    def settle(self) -> None:
        """Until what was asked for is drawn: zooms ease for 150 ms, then a frame."""
        self.page.evaluate(
            "new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 170))"
        )

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector).replace("\u00a0", " ").replace("\u202f", " ")

    def rows(self) -> list[str]:
        """The names of the rows that are drawn and not thin, from above."""
        found: list[str] = self.page.eval_on_selector_all(
            "#rows .row:not(.thin)",
            "(rows) => rows.sort((a, b) => a.offsetTop - b.offsetTop)"
            ".map((row) => row.querySelector('.nm > span').textContent)",
        )
        return found

    def chosen(self) -> str:
        return str(self.page.evaluate("document.querySelector('.cur-row .nm > span')?.textContent ?? ''"))

    def find(self, question: str) -> list[str]:
        self.page.fill("#find", question)
        self.settle()
        return self.rows()

    def worked_s(self) -> float:
        """CPU seconds of the page's main thread until now, for script, style, layout and paint."""
        found = self._metrics.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in found if one["name"] == "ThreadTime"))

    def frames_s(self, act: str, count: int = 40) -> list[float]:
        """CPU seconds of so many frames, each after `act`; the quickest first."""
        drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        taken = []
        for at in range(count):
            before = self.worked_s()
            self.page.evaluate(f"(at) => {{ {act}; return {drawn}; }}", at)
            taken.append(self.worked_s() - before)
        return sorted(taken)

    def close(self) -> None:
        """Nothing was fetched, nothing complained, no script of anybody's ran."""
        self._context.close()
        assert self.asked == []
        assert self.complaints == []
        assert self.dialogs == []
