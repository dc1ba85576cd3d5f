"""The live view on a terminal that pyte plays: what stands on the screen, and that it is never more than the screen."""

from __future__ import annotations

import io
from typing import Any

import pyte
import pytest
from tests.report import documents, golden

from stagebook.model.outcome import AttemptEnd
from stagebook.report.live import Live
from stagebook.report.style import Style

SECOND = 1_000_000
NEEDS = {
    "checkout": (), "lint": ("checkout",), "unit[python=3.11]": ("checkout",), "unit[python=3.13]": ("checkout",),
    "build": ("checkout",), "scan": ("checkout",), "image": ("build",), "migrate": ("build",), "package": ("build",),
    "e2e": ("image",), "contract": ("image",), "integration": ("image",), "docs": ("checkout",),
    "deploy-staging": ("integration", "e2e", "package"), "smoke": ("deploy-staging",), "approve": ("smoke",),
    "deploy": ("approve",), "cleanup": ("deploy",),
}  # fmt: skip
PATH = {"checkout", "build", "image", "integration", "deploy-staging", "smoke", "approve", "deploy"}
EXPECTED = {"scan": 51, "e2e": 117, "integration": 158}


class Terminal:
    """A terminal of pyte's with a Live before it."""

    def __init__(self, columns: int = 80, lines: int = 24, **options: Any) -> None:
        self.columns, self.lines = columns, lines
        self.screen = pyte.HistoryScreen(columns, lines, history=500)
        self.screen.set_mode(pyte.modes.LNM)
        self.bytes = pyte.Stream(self.screen)
        self.out = io.StringIO()
        style = options.pop("style", Style(color=False, width=columns))
        self.live = Live(self.out, style, size=lambda: (self.columns, self.lines), **{"keys": True, **options})
        self.us = 0

    def paint(self, us: int) -> list[str]:
        """Let time pass to `us` and give what the screen shows."""
        self.us = us
        self.live.tick(us)
        return self.shown()

    def press(self, char: str) -> str | None:
        result = self.live.key(char)
        self.paint(self.us + SECOND)
        return result

    def shown(self) -> list[str]:
        self.live.flush()
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        assert len(max(text.split("\n"), key=len, default="")) < 2000
        self.bytes.feed(text)
        return [line.rstrip() for line in self.screen.display]

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.screen.resize(lines, columns)


def facts(names: dict[str, tuple[str, ...]] = NEEDS, **more: Any) -> dict[str, Any]:
    stages = [
        {"stage": name, "needs": needs, "critical": name in PATH, "expected_s": EXPECTED.get(name)}
        for name, needs in names.items()
    ]
    return {"run": "01KYAMB2ZZ", "pipeline": "release", "jobs": 3, "mode": "parallel", "stages": stages, **more}


def tell_of_the_release(live: Live) -> None:
    """The mock's live run up to 4 m 22 s: (stage, ready, start, end)."""
    live.began(facts(expected_s=505))
    told: list[tuple[int, int, str, int]] = []
    for name, ready, start, end in (
        ("checkout", 0, 0, 9), ("lint", 9, 9, 47), ("build", 9, 9, 116), ("unit[python=3.13]", 9, 9, 140),
        ("unit[python=3.11]", 9, 47, 169), ("image", 116, 116, 174), ("package", 169, 169, 192),
        ("migrate", 116, 140, 206), ("e2e", 174, 174, 0), ("contract", 174, 192, 244), ("integration", 174, 206, 0),
        ("scan", 9, 244, 0),
    ):  # fmt: skip
        told.append((start, 1, name, start - ready))
        if end:
            told.append((end, 0, name, end - start))
    for second, is_start, name, length in sorted(told):
        us = second * SECOND
        if is_start:
            live.started(name, 1, us, length * SECOND, "slot" if length else None)
        else:
            live.exited(AttemptEnd(name, 1, 1, us, "success", None, 0, length * SECOND, None))
            live.ended(name, "success", None, us)


def tail(stage: str, attempt: int, count: int) -> list[tuple[int, bytes]]:
    lines = {
        "scan": b"scanned 212 of 640 files",
        "e2e": b"[14/31] checkout with voucher",
        "integration": b"test_orders.py::test_refund_limit PASSED in 0.31 s",
    }
    return [(0, lines[stage])] if stage in lines else []


@pytest.mark.parametrize("columns", [80, 120])
def test_the_region_looks_as_designed(columns: int) -> None:
    terminal = Terminal(columns, 30, tail=tail, cpu=lambda: (2.6, 4.0))
    tell_of_the_release(terminal.live)
    for second in range(246, 262):
        terminal.paint(second * SECOND)
    golden.check(f"live-{columns}", terminal.paint(262 * SECOND)[:20])


def test_in_ascii_too() -> None:
    terminal = Terminal(80, 30, tail=tail, cpu=lambda: (2.6, 4.0), style=Style(ascii=True))
    tell_of_the_release(terminal.live)
    shown = terminal.paint(262 * SECOND)
    golden.check("live-80-ascii", shown[:20])
    assert all(line.isascii() for line in shown)


@pytest.mark.parametrize("lines", [3, 5, 8, 12, 24])
@pytest.mark.parametrize("columns", [20, 40, 79, 80, 119, 120, 200])
def test_the_region_is_never_larger_than_the_screen(columns: int, lines: int) -> None:
    terminal = Terminal(columns, lines, tail=tail, cpu=lambda: (2.6, 4.0))
    names = {f"漢字{number} with a name": () for number in range(300)}
    terminal.live.began(facts(names))
    for number, name in enumerate(names):
        terminal.live.started(name, 1, number * 1000, 0, None)
        if number % 3 == 0:
            terminal.live.exited(AttemptEnd(name, 1, 1, number * 1000, "success", None, 0, 1000, None))
            terminal.live.ended(name, "success", None, number * 1000)
    for second in range(1, 6):
        terminal.paint(second * SECOND)
    assert len(terminal.screen.history.top) == 0
    assert len(terminal.live.region(columns, lines)) < max(lines, 2)


def test_when_the_screen_is_too_low_what_passed_goes_first_and_what_runs_or_failed_stays() -> None:
    terminal = Terminal(80, 14)
    terminal.live.began(facts({f"s{number:02d}": () for number in range(40)}))
    for number in range(30):
        name = f"s{number:02d}"
        terminal.live.started(name, 1, 0, 0, None)
        if number < 26:
            outcome = "failure" if number == 3 else "success"
            terminal.live.exited(AttemptEnd(name, 1, 1, SECOND, outcome, None, number == 3, SECOND, None))
            terminal.live.ended(name, outcome, None, SECOND)
    shown = "\n".join(terminal.paint(2 * SECOND))
    for name in ("✗ s03", "● s26", "● s27", "● s28", "● s29"):
        assert name in shown
    assert "finished" in shown
    assert "✓ s00" not in shown


def test_it_paints_at_most_ten_times_a_second_and_once_a_second_when_nothing_happens() -> None:
    terminal = Terminal()
    terminal.live.began(facts())
    terminal.live.started("checkout", 1, 0, 0, None)
    paints = 0
    for us in range(0, 5 * SECOND, 10_000):
        if us < SECOND:
            terminal.live.note("something")
        before = terminal.out.tell()
        terminal.live.tick(us)
        terminal.live.flush()
        paints += terminal.out.tell() != before
    assert paints <= 11 + 5


def test_lines_above_the_region_scroll_and_the_region_stays_at_the_bottom() -> None:
    terminal = Terminal(80, 16)
    terminal.live.began(facts())
    terminal.live.started("checkout", 1, 0, 0, None)
    terminal.paint(SECOND)
    for number in range(30):
        terminal.live.note(f"note {number}")
        terminal.paint((2 + number) * SECOND)
    shown = terminal.shown()
    above = ["".join(cell.data for _, cell in sorted(line.items())).rstrip() for line in terminal.screen.history.top]
    notes = [line for line in [*above, *shown] if line.startswith("warning: ")]
    assert notes == [f"warning: note {number}" for number in range(30)]
    assert sum(line.startswith("release 01KYAMB2") for line in [*above, *shown]) == 1


def test_a_failed_attempt_is_told_above_at_once() -> None:
    terminal = Terminal()
    terminal.live.began(facts())
    terminal.live.started("e2e", 1, 0, 0, None)
    terminal.live.exited(AttemptEnd("e2e", 1, 2, SECOND, "failure", None, 1, SECOND, 2 * SECOND))
    shown = terminal.paint(2 * SECOND)
    assert shown[0] == "✗ e2e: exit 1, 1 s; attempt 2 of 2 in 2 s"
    assert any(line.startswith("░ e2e") for line in shown)


def test_a_stage_whose_needs_are_done_and_that_does_not_run_waits() -> None:
    terminal = Terminal(120)
    terminal.live.began(facts(jobs=1))
    terminal.live.started("checkout", 1, 0, 0, None)
    terminal.live.exited(AttemptEnd("checkout", 1, 1, SECOND, "success", None, 0, SECOND, None))
    terminal.live.ended("checkout", "success", None, SECOND)
    terminal.live.started("lint", 1, SECOND, 0, None)
    shown = terminal.paint(3 * SECOND)
    row = next(line for line in shown if line.startswith("◌ build"))
    assert "2.0 s" in row
    assert row.endswith("waits for a slot")
    assert any("11 more wait for these" in line for line in shown)


def test_told_what_it_waits_for_it_says_so_and_who_has_it() -> None:
    terminal = Terminal(120)
    terminal.live.began(facts())
    terminal.live.waits("integration", "pool:db", "migrate")
    assert any(line.endswith("waits for pool db, held by migrate") for line in terminal.paint(SECOND))


def test_keys_show_a_log_filter_rows_and_ask_before_they_cancel() -> None:
    terminal = Terminal(80, 30, tail=tail)
    tell_of_the_release(terminal.live)
    terminal.paint(262 * SECOND)
    assert terminal.press("l") is None
    assert any("│ scanned 212 of 640 files" in line for line in terminal.shown())
    terminal.press("l")
    assert any("│ [14/31] checkout with voucher" in line for line in terminal.shown())
    terminal.press("l")
    terminal.press("l")
    assert not any("│" in line for line in terminal.shown())
    terminal.press("w")
    assert not any(line.startswith("✓ checkout") for line in terminal.shown())
    assert any(line.startswith("✓ migrate") for line in terminal.shown())
    terminal.press("w")
    terminal.press("f")
    assert not any(line.startswith("✓") for line in terminal.shown())
    terminal.press("f")
    terminal.press("?")
    assert any("output of a running stage" in line for line in terminal.shown())
    terminal.press("c")
    assert any("cancel this run?" in line for line in terminal.shown())
    assert terminal.press("n") is None
    terminal.press("c")
    assert terminal.press("y") == "cancel"
    assert terminal.press("x") is None


@pytest.mark.parametrize("columns", [40, 60, 100, 130])
def test_a_resize_leaves_no_second_header_behind(columns: int) -> None:
    terminal = Terminal(80, 30)
    tell_of_the_release(terminal.live)
    terminal.paint(262 * SECOND)
    terminal.resize(columns, 20)
    terminal.paint(264 * SECOND)
    shown = terminal.paint(266 * SECOND)
    assert sum(line.startswith("release 01KY") for line in shown) == 1


def test_at_the_end_the_region_goes_and_the_summary_stays() -> None:
    terminal = Terminal(80, 60)
    tell_of_the_release(terminal.live)
    terminal.paint(262 * SECOND)
    terminal.live.finished(documents.release())
    shown = terminal.shown()
    assert not any("[l] log" in line for line in shown)
    assert shown[0].startswith("timeline")
    assert "release failed: integration, exit 1. Run 01KYAK7Q took 6 m 01 s." in shown


def test_hostile_names_and_output_reach_the_terminal_as_letters() -> None:
    evil = "x\x1b]0;owned\x07\x1b[2J\u202e\n✓ deploy"
    terminal = Terminal(120, 20, tail=lambda *_: [(1, b"\x1b]52;c;aGk=\x07\x1b[31mred\x9b2J")])
    terminal.live.began(facts({evil: ()}, pipeline=evil))
    terminal.live.started(evil, 1, 0, 0, None)
    terminal.live.note(evil)
    terminal.live.exited(AttemptEnd(evil, 1, 2, SECOND, "failure", evil, 1, SECOND, SECOND))
    terminal.live.started(evil, 2, 2 * SECOND, 0, None)
    shown = terminal.paint(2 * SECOND)
    assert terminal.screen.title == ""
    assert not any(line.startswith("✓") for line in shown)
    assert any("\\x1b]52;c;aGk=" in line for line in shown)


def test_a_resumed_run_begins_with_what_has_ended_before() -> None:
    terminal = Terminal()
    found = facts(jobs=1)
    for stage in found["stages"]:
        if stage["stage"] in ("checkout", "lint", "docs"):
            stage["outcome"] = "success"
    terminal.live.began(found)
    terminal.live.started("build", 1, 60 * SECOND, 0, None)
    terminal.paint(61 * SECOND)
    shown = terminal.paint(63 * SECOND)
    assert shown[0].endswith("3 of 18")
    assert any(line.startswith("● build") for line in shown)
    assert any(line.startswith("◌ scan") and "2.0 s" in line for line in shown)
    assert any("11 more wait for these" in line for line in shown)


def test_keys_that_nobody_hears_are_not_offered() -> None:
    terminal = Terminal(keys=False)
    terminal.live.began(facts())
    assert not any("[c] cancel" in line for line in terminal.paint(SECOND))


def test_a_terminal_that_is_gone_does_not_stop_the_run() -> None:
    terminal = Terminal()
    terminal.live.began(facts())
    terminal.out.close()
    terminal.live.tick(SECOND)
    terminal.live.flush()
    terminal.live.tick(3 * SECOND)
    assert terminal.live.failed is not None


def test_a_lenient_run_says_above_the_region_which_stages_decide_it() -> None:
    terminal = Terminal()
    terminal.live.began(facts(policy="lenient", critical_planned=["checkout", "build"], critical_by="known durations"))
    assert terminal.paint(SECOND)[0] == "critical checkout, build (by known durations)"


def test_what_was_stopped_is_drawn_as_such_and_a_start_is_no_waiting() -> None:
    terminal = Terminal()
    terminal.live.began(facts({"a": ()}))
    terminal.live.started("a", 1, SECOND, SECOND, None)
    terminal.live.exited(AttemptEnd("a", 1, 1, 9 * SECOND, "cancellation", None, None, 8 * SECOND, None))
    (line,) = [line for line in terminal.paint(10 * SECOND) if line.startswith("⊘ a")]
    assert "▒" in line and "▄" not in line and "░" not in line
    assert line.split()[-2:] == ["–", "–"]


def test_waits_only_says_in_words_who_waits_for_what_and_follows_a_change() -> None:
    terminal = Terminal()
    terminal.live.began(facts({"a": (), "b": (), "c": ()}))
    terminal.live.started("a", 1, 0, 0, None)
    terminal.live.waits("b", "pool:db", "a")
    terminal.live.waits("c", "slot", "a")
    terminal.paint(SECOND)
    terminal.press("w")
    shown = "\n".join(terminal.shown())
    assert "b waits for pool db, held by a" in " ".join(shown.split())
    assert "c waits for a slot, held by a" in " ".join(shown.split())
    terminal.live.waits("c", "pool:db", "b")
    shown = "\n".join(terminal.paint(3 * SECOND))
    assert "c waits for pool db, held by b" in " ".join(shown.split())


@pytest.mark.parametrize("columns", [80, 160])
def test_how_far_its_files_are_read_stands_beside_a_stage(columns: int) -> None:
    terminal = Terminal(columns)
    terminal.live.began(facts({"build": (), "test": ("build",)}))
    terminal.live.started("build", 1, 0, 0, None)
    terminal.live.reading("build", (1_288_490_189, 8 << 30, "reading outputs"))
    assert "reading outputs, 1.2 of 8.0 GiB" in next(line for line in terminal.paint(SECOND) if "build" in line)
    terminal.live.reading("build", None)
    terminal.live.exited(AttemptEnd("build", 1, 1, 2 * SECOND, "success", None, 0, 2 * SECOND, None))
    terminal.live.ended("build", "success", None, 2 * SECOND)
    terminal.live.reading("test", (900 << 20, 8 << 30, "reading inputs"))
    shown = terminal.paint(3 * SECOND)
    assert not any("reading outputs" in line for line in shown)
    assert "reading inputs, 900 MiB of 8.0 GiB" in next(line for line in shown if "test" in line)
    terminal.live.reading("test", None)
    assert not any("reading" in line for line in terminal.paint(4 * SECOND))
