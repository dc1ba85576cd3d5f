"""A run on a terminal: one region at the bottom, painted at most ten times a second, lines above it scroll away.

The region is never taller than the screen and never wider; a resize is noticed at the next painting. It holds a
header, a row for each stage that is free to start, and a footer with keys. All of what it knows comes from events.
"""

from __future__ import annotations

import os
import time

from stagebook.report import timeline
from stagebook.report.durations import Form, part, plural, span_us
from stagebook.report.harmless import cells, cut, harmless, line_of_output, pad, wrap
from stagebook.report.lanes import ACTIVE, DONE, Lane, Lanes
from stagebook.report.rows import Row
from stagebook.report.style import Style
from stagebook.report.watch import Document, Outlet, Tail, Watcher, short_id
from stagebook.report.words import ending, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Callable, Sequence

    from stagebook.model.outcome import AttemptEnd, ItemsTold

_REPAINT_US = 100_000
_GROW_US = 1_000_000  #: nothing having happened, bars grow once a second
_LAST_LINE_AT = 120  #: from so many columns on, each running stage shows its last line
_PANE_LINES = 6
_HEAD_MIN = 20  #: cells for the pipeline and the run before the estimate has to go
_SPARKS = "▁▂▃▄▅▆▇█"
_COMMENT_MAX = 300
_GATE_KEYS = "[a] approve  [r] reject  "
_KEYS = "[l] log  [w] waits  [f] fold  [c] cancel  [?] keys"
_HELP = "l output of a running stage, again: the next · w waits only · f only what is active · c cancel · ? close"
_FAILED = frozenset({"failure", "error", "timeout"})


class Live(Watcher):
    """`cpu` gives cores in use and cores there are, or None. `keys`: what a person types comes to `key`, so the footer
    may offer it. `size` gives columns and lines of the terminal."""

    interval_us = _REPAINT_US
    wants_keys = True
    follows_waits = True

    def __init__(
        self,
        stream: IO[str],
        style: Style,
        *,
        tail: Tail | None = None,
        cpu: Callable[[], tuple[float, float] | None] | None = None,
        short: Callable[[str], str] | None = None,
        keys: bool = False,
        size: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self._outlet = Outlet(stream)
        self._style = style
        self._tail = tail
        self._cpu = cpu
        self._has_keys = keys
        self._short = short or short_id
        self._size = size or (lambda: os.get_terminal_size(stream.fileno()))
        self._lanes = Lanes(())
        self._widest = 0  #: cells of the longest name, so that columns do not move
        self._head = ""
        self._jobs: int | None = None
        self._expected_us = 0
        self._now_us = 0
        self._painted: list[int] = []  #: width of each line of the region as it stands on the screen
        self._columns = style.width
        self._height = 24
        self._above: list[str] = []
        self._is_stale = True
        self._painted_us = -_GROW_US
        self._load: list[float] = []
        self._load_text = ""
        self._asks_cancel = self._shows_help = self._only_waits = self._only_active = False
        self._gates: dict[str, Document] = {}  #: those that are open
        self._answering: tuple[str, bool, str] | None = None  #: a gate, the answer, and what was typed of its comment
        self._pane: str | None = None  #: the stage whose output is shown

    @property
    def failed(self) -> int | None:
        return self._outlet.failed

    # What happens -----------------------------------------------------------------------------------------------

    def began(self, facts: Document) -> None:
        self._lanes = Lanes(facts["stages"])
        self._widest = max([cells(self._style.plain(harmless(lane.name))) for lane in self._lanes.all], default=0)
        self._jobs = facts.get("jobs")
        sequential = facts.get("mode") == "sequential"
        mode = "sequential" if sequential else f"parallel, {plural(self._jobs or 1, 'job')}"
        self._head = f"{harmless(str(facts['pipeline']))} {self._short(str(facts['run']))}  {mode}"
        self._expected_us = round((facts.get("expected_s") or 0) * 1e6)
        if facts.get("jobs_because") or facts.get("policy_because") or facts.get("policy") == "lenient":
            from stagebook.report.summary import chosen

            self._above += map(self._style.plain, chosen(facts))

    def started(self, stage_id: str, attempt: int, us: int, wait_us: int, waited: str | None) -> None:
        self._lanes.started(stage_id, attempt, us, wait_us if waited else 0)
        self._is_stale = True

    def waits(self, stage_id: str, reason: str, holder: str | None) -> None:
        self._lanes.waits(stage_id, reason, holder, self._now_us)
        self._is_stale = True

    def grew(self, maker: str, news: Sequence[Document], count: int) -> None:
        self._lanes.grew(news)
        names = [cells(self._style.plain(harmless(str(facts["stage"])))) for facts in news]
        self._widest = max([self._widest, *names])
        self._above.append(self._style.plain(f"{harmless(maker)} generated {plural(count, 'stage')}"))
        self._is_stale = True

    def gate(self, card: Document) -> None:
        self._gates[str(card["stage"])] = card
        self._lanes.asks(str(card["stage"]), self._now_us)
        self._is_stale = True

    def reading(self, stage_id: str, told: tuple[int, int, str] | None) -> None:
        words = "" if told is None else f"{told[2]}, {part(told[0], told[1])}"
        self._lanes.reads(stage_id, words, self._now_us)
        self._is_stale = True

    def items(self, stage_id: str, told: ItemsTold) -> None:
        from stagebook.report import items

        self._lanes.reads(stage_id, items.progress(told), self._now_us)
        self._is_stale = True

    def exited(self, end: AttemptEnd) -> None:
        stage_id, attempt, attempts, us, outcome, reason, exit, wall_us, retry_in_us = end
        self._lanes.exited(stage_id, us, outcome, wall_us, retry_in_us is not None)
        if outcome in _FAILED:
            glyph = self._style.paint(self._style.glyph(outcome), outcome)
            text = f"{harmless(stage_id)}: {ending(outcome, reason, exit) or outcome}, {span_us(wall_us)}"
            if retry_in_us is not None:
                text += f"; attempt {attempt + 1} of {attempts} in {span_us(retry_in_us)}"
            self._above.append(f"{glyph} {self._style.plain(text)}")
        self._is_stale = True

    def ended(self, stage_id: str, outcome: str, reason: str | None, us: int) -> None:
        self._lanes.ended(stage_id, outcome, us).reads = ""
        self._gates.pop(stage_id, None)
        self._is_stale = True

    def note(self, text: str) -> None:
        self._above.append(f"{self._style.paint('warning', 'warning')}: {self._style.plain(harmless(text))}")
        self._is_stale = True

    def key(self, char: str) -> str | None:
        if self._answering is not None:
            self._is_stale = True
            return self._type(*self._answering, char)
        if self._asks_cancel:
            self._asks_cancel = False
            self._is_stale = True
            return "cancel" if char in ("y", "Y") else None
        if char == "c":
            self._asks_cancel = True
        elif char == "?":
            self._shows_help = not self._shows_help
        elif char == "w":
            self._only_waits = not self._only_waits
        elif char == "f":
            self._only_active = not self._only_active
        elif char == "l":
            self._pane = self._next_pane()
        elif char in ("a", "r") and self._gates:
            self._answering = next(iter(self._gates)), char == "a", ""
        else:
            return None
        self._is_stale = True
        return None

    def _type(self, gate: str, approved: bool, text: str, char: str) -> str | None:
        """A letter of the comment to an answer, or its end."""
        self._answering = None
        if gate not in self._gates or char == "\x1b":
            return None
        if char in ("\r", "\n"):
            self.typed = gate, approved, text.strip() or None
            return "answer"
        if char in ("\x7f", "\b"):
            text = text[:-1]
        elif char.isprintable() and len(text) < _COMMENT_MAX:
            text += char
        self._answering = gate, approved, text
        return None

    def _next_pane(self) -> str | None:
        running = [lane.name for lane in self._lanes.shown if lane.state == "running"]
        if self._pane in running:
            running = running[running.index(self._pane) + 1 :]
        return running[0] if running else None

    def _measured(self) -> tuple[int, int]:
        try:
            return self._size()
        except OSError:
            return self._columns, self._height  # the terminal is gone

    def tick(self, us: int) -> None:
        self._now_us = us
        if self._outlet.is_behind:
            return  # to draw more would not be seen sooner
        size = self._measured()
        if size != (self._columns, self._height):
            self._is_stale = True
        due_us = _REPAINT_US if self._is_stale else _GROW_US
        if us - self._painted_us < due_us - 5_000:  # timers may be a little early
            return
        self._lanes.settle(us, self._jobs)
        self._read_load()
        self._paint(size)
        self._painted_us = us
        self._is_stale = False

    def flush(self) -> bool:
        return self._outlet.flush()

    def hurry(self) -> None:
        self._outlet.hurry()

    def finished(self, document: Document) -> None:
        from stagebook.report import summary

        self._outlet.parts.append(self._erase(self._columns))
        self._painted = []
        size = self._measured()
        self._style.width = max(40, size[0])
        lines = summary.render(document, self._style, excerpt=self._tail, short=self._short(str(document["run"])))
        self._outlet.parts.append("\n".join([*self._above, *lines]) + "\n")
        self._above = []
        self._outlet.end()

    # The picture ------------------------------------------------------------------------------------------------

    def _erase(self, columns: int) -> str:
        """Back to the first line of the region, and nothing below it. Narrower screens have broken its lines."""
        if not self._painted:
            return ""
        lines = sum(max(1, -(-width // columns)) for width in self._painted)
        return ("\r" if lines < 2 else f"\r\x1b[{lines - 1}A") + "\x1b[J"

    def _paint(self, size: tuple[int, int]) -> None:
        columns, height = max(1, size[0]), max(1, size[1])
        text = self._erase(columns)
        self._columns, self._height = columns, height
        self._style.width = max(20, columns)
        if self._above:
            text += "".join(line + "\n" for line in self._above)
            self._above = []
        lines = [cut(line, columns) if cells(line) > columns else line for line in self.region(columns, height)]
        self._painted = [cells(line) for line in lines]
        self._outlet.parts.append(text + "\n".join(lines))
        self._outlet.flush()

    def region(self, columns: int, height: int) -> list[str]:
        """The lines of the region, fewer than `height`."""
        top = [self._header(columns)]
        bottom = self._footer(columns)
        pane = self._pane_lines(columns)
        number, following = self._lanes.blocked()
        more = []
        if number:
            text = f"{number} more wait for these"
            if following is not None:
                text += f"; next: {self._style.plain(harmless(following.name))}"
            more = [f"{self._style.paint(self._style.glyph('needs').ljust(self._style.glyph_width), 'mute')} {text}"]
        cards = self._cards()[: max(0, height - 4 - len(top) - len(bottom))]
        room = height - 2 - len(top) - len(bottom) - len(pane) - len(more) - len(cards) - 1
        body = self._body(columns, room) if room > 0 else []
        lines = [*top, *body, *more, *pane, *cards, "", *bottom]
        return lines[: max(1, height - 1)]

    def _cards(self) -> list[str]:
        """The open gates, and how to answer."""
        if not self._gates:
            return []
        from stagebook.report import gate

        now_us = time.time_ns() // 1000
        known = self._gates.values()
        return [
            line
            for each in known
            for line in ["", *gate.card(each, self._style, self._short(each["run"]), now_us, self.look)]
        ]

    def _header(self, columns: int) -> str:
        done = f"{self._lanes.done} of {len(self._lanes.all)}"
        right = f"{span_us(self._now_us)}   {done}"
        if self._expected_us:
            longer = f"{span_us(self._now_us)} of about {span_us(self._expected_us)}   {done}"
            if cells(longer) + _HEAD_MIN <= columns:
                right = longer
        left = cut(self._style.plain(self._head), max(0, columns - cells(right) - 2), self._style.mark("cut"))
        return f"{left}{' ' * max(2, columns - cells(left) - cells(right))}{right}"

    def _footer(self, columns: int) -> list[str]:
        if self._asks_cancel:
            return ["cancel this run? [y] yes  [any other key] no"]
        if self._answering is not None:
            gate, approved, text = self._answering
            asks = f"{'approve' if approved else 'reject'} {harmless(gate)}; comment: {harmless(text)}_"
            return [*wrap(self._style.plain(asks), max(1, columns - 1)), "[Enter] answer  [Esc] do not"]
        text = self._style.plain(_HELP.replace("·", "-") if self._style.ascii else _HELP)
        lines = wrap(text, max(1, columns - 1)) if self._shows_help else []
        keys = (_GATE_KEYS if self._gates else "") + _KEYS if self._has_keys else ""
        load = self._load_text
        if cells(load) + len(keys) + 1 > columns:
            load = ""
        return [*lines, f"{load}{keys:>{max(0, columns - cells(load))}}" if keys else load]

    def _body(self, columns: int, room: int) -> list[str]:
        """The axis and at most `room` rows."""
        style = self._style
        lanes = self._chosen(room)
        rows = [lane.row(self._now_us) for lane in lanes]
        total_us = self._scale_us()
        forms = Form(max([row.wait_us for row in rows], default=0)), Form(max([row.work_us for row in rows], default=0))
        figures = [(style.plain(forms[0].text(row.wait_us)), style.plain(forms[1].text(row.work_us))) for row in rows]
        wide = columns >= _LAST_LINE_AT
        width = 79 + (columns - _LAST_LINE_AT) // 2 if wide else columns
        names = [style.plain(harmless(row.name)) for row in rows]
        frame = timeline.Frame(
            style,
            self._widest,
            max([len(text) for pair in figures for text in pair], default=0),
            width,
        )
        lines = [timeline.header(frame, total_us) + ("  last line" if wide else "")]
        for lane, row, name, (wait, work) in zip(lanes, rows, names, figures):
            if not wide and (lane.reads or (self._only_waits and lane.state == "slot")):
                bar = pad(self._in_words(lane, frame.bar), frame.bar)
            else:
                bar = self._bar(lane, row, frame.bar, total_us)
            line = f"{self._label(row, name, frame)}{bar} {wait:>{frame.figure}}  {work:>{frame.figure}}"
            if wide:
                line += self._last_line(lane, columns - frame.width - 2)
            lines.append(line.rstrip())
        hidden = len([lane for lane in self._lanes.shown if lane.state in DONE]) - sum(
            1 for lane in lanes if lane.state in DONE
        )
        if hidden and not (self._only_active or self._only_waits):
            glyph = style.paint(style.glyph("success").ljust(style.glyph_width), "mute")
            lines.insert(1, f"{glyph} {hidden} finished")
        return lines

    def _label(self, row: Row, name: str, frame: timeline.Frame) -> str:
        style = self._style
        room = frame.name - style.glyph_width - 2
        shown = pad(cut(name, room, style.mark("cut")), room)
        glyph = style.paint(style.glyph(row.state).ljust(style.glyph_width), row.state)
        return f"{glyph} {style.paint(shown, 'bold') if row.critical else shown} "

    def _chosen(self, room: int) -> list[Lane]:
        """The rows that are shown: when too many, those that passed go first, oldest first, then waiting ones."""
        lanes = self._lanes.shown
        if self._only_waits:
            lanes = [lane for lane in lanes if lane.wait_us or lane.state in ("slot", "backoff")]
        if self._only_active:
            lanes = [lane for lane in lanes if lane.state in ACTIVE or lane.state in _FAILED]
        surplus = len(lanes) - room + 1  # one line says how many are hidden
        if len(lanes) <= room:
            return lanes
        dropped: set[int] = set()
        for states in (DONE - _FAILED, frozenset({"slot", "backoff"}), _FAILED):
            for lane in lanes:
                if len(dropped) < surplus and lane.state in states and not lane.reads:
                    dropped.add(lane.index)
        kept = [lane for lane in lanes if lane.index not in dropped]
        return kept[: max(0, room - 1)]

    def _scale_us(self) -> int:
        """How much time the axis spans. It grows in steps, so that bars do not move at every painting."""
        total_us = max(self._expected_us, 10_000_000)
        while total_us < self._now_us * 21 // 20:
            total_us = total_us * 3 // 2
        return total_us

    def _bar(self, lane: Lane, row: Row, width: int, total_us: int) -> str:
        bar = timeline.bar_cells(row, width, total_us)
        used: set[str] = set()
        if lane.state != "running":
            return timeline.paint_bar(bar, row, self._style, used)
        now = min(width - 1, self._now_us * width // total_us)
        text = timeline.paint_bar(bar[:now], row, self._style, used) + self._style.paint(
            self._style.mark("now"), "running"
        )
        end = lane.open_us + lane.expected_us
        ahead = max(0, min(width, (2 * end * width + total_us) // (2 * total_us)) - now - 1) if lane.expected_us else 0
        return (
            text + self._style.paint(self._style.mark("expected") * ahead, "running") + " " * (width - now - 1 - ahead)
        )

    def _last_line(self, lane: Lane, room: int) -> str:
        if lane.reads:
            return "  " + self._in_words(lane, room) if room > 0 else ""
        if lane.state == "running" and self._tail is not None:
            found = self._tail(lane.name, lane.attempt, 1)
            text = line_of_output(found[-1][1]) if found else ""
        elif lane.state == "slot":
            return "  " + self._in_words(lane, room) if room > 0 else ""
        else:
            return ""
        return "  " + cut(self._style.plain(text), room, self._style.mark("cut")) if room > 0 else ""

    def _in_words(self, lane: Lane, room: int) -> str:
        """What a stage waits for, and who has it; or how far its files are read."""
        words = lane.reads or waiting(lane.reason, lane.holder)
        return cut(self._style.plain(words), room, self._style.mark("cut"))

    def _pane_lines(self, columns: int) -> list[str]:
        lane = self._lanes.by_name.get(self._pane or "")
        if lane is None or lane.state != "running" or self._tail is None:
            return []
        bar = self._style.mark("bar")
        shown = [line_of_output(data) for _, data in self._tail(lane.name, max(1, lane.attempt), _PANE_LINES)]
        lines = [f"  {bar} {cut(self._style.plain(text), columns - 5, self._style.mark('cut'))}" for text in shown]
        return [f"  {self._style.paint(cut(harmless(lane.name), columns - 3), 'bold')}", *lines]

    def _read_load(self) -> None:
        if self._cpu is None or self._now_us - self._painted_us < _GROW_US // 2:
            return
        found = self._cpu()
        if found is None:
            return
        used, there = found
        self._load = [*self._load[-15:], used / there if there else 0.0]
        sparks = "".join(_SPARKS[min(7, max(0, int(share * 8)))] for share in self._load)
        spark = "" if self._style.ascii else sparks.ljust(1) + " "
        self._load_text = f"cpu {spark}{used:.1f} of {there:g}"
