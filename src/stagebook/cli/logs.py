"""`stagebook logs RUN [STAGE]`: what stages printed, byte for byte; on a terminal made harmless. Follows a live run.

Which lines, and in which order, is chosen here; how logs of parallel stages are put in order of time is in `merge`.
"""

from __future__ import annotations

import os
import sys
from collections import deque

from stagebook.cli import merge, output, place
from stagebook.cli.words import nearest, usage_error
from stagebook.model.problem import SurroundingsError
from stagebook.record import runs
from stagebook.record.cut import NOTE_MAX, left_out
from stagebook.report.harmless import harmless, line_of_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Callable, Collection, Iterable

    from stagebook.cli.grep import Grep
    from stagebook.report.style import Style

EXAMPLE = """
stagebook logs last unit --tail 20
stagebook logs last --merge --grep '[Ee]rror'
stagebook logs last --format json --stage unit --stage lint
stagebook logs last -f"""

_CHUNK = 1 << 18
_POLL_S = 0.1
_LOOK_S = 0.5  #: how often the record is read again while a run goes on
_AGE_US = 300_000  #: what is younger may yet be joined by something older: logs are noted every 100 ms


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("one", nargs="?", metavar="STAGE", help="default: all stages, one after another")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run has ended")
    parser.add_argument("--merge", action="store_true", help="all lines in order of time, each with its stage")
    parser.add_argument("--stage", action="append", default=[], metavar="STAGE", help="this one; may be repeated")
    parser.add_argument("--grep", metavar="PATTERN", help="lines that match, a regular expression of RE2")
    parser.add_argument("--tail", type=int, metavar="N", help="the last N lines: of all with --merge, else of each log")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="json: one object a line, in order of time"
    )


def execute(args: Namespace) -> int:
    directory = place.run_directory(args, args.run)
    if args.follow and args.json:
        raise usage_error("--follow prints until the run has ended, --json prints one document; choose one")
    if args.tail is not None and not 0 <= args.tail <= sys.maxsize:
        raise usage_error(f"--tail {args.tail}: a number of lines expected")
    grep = None
    if args.grep is not None:
        from stagebook.cli.grep import Grep

        grep = Grep(args.grep)
    document = runs.document(directory)
    asked = [*args.stage, *([args.one] if args.one is not None else [])]
    only = _stages(asked, document) if asked else None
    if args.json:
        output.say_json({"run": document["run"], "logs": [_facts(*one) for one in attempts(document, only)]})
        return 0
    if document.get("measured"):
        output.say(["measure does not keep what commands print: it went where the script wanted it"], sys.stderr)
        return 0
    if args.merge or args.format == "json":
        _print_merged(args, directory, merge.Merger(directory, only, grep, args.tail), grep)
        return 0
    write = _writer(args, grep)
    if args.follow:
        one = only is not None and len(only) == 1
        Follower(directory, document, only, write, is_alone=one, grep=grep, tail=args.tail).run()
    else:
        _print(document, only, write, grep, args.tail)
    return 0


def _stages(asked: list[str], document: dict[str, Any]) -> frozenset[str]:
    """The ids that are meant: of a stage, or of all cells of a matrix."""
    known = [*(one["stage"] for one in document["stages"]), *sorted(steps(document))]
    found: set[str] = set()
    for stage in asked:
        meant = [one for one in known if one == stage or one.startswith(f"{stage}[")]
        if not meant:
            near = nearest(stage, known)
            raise usage_error(
                f"run {document['run']} has no stage '{stage}'" + (f", did you mean '{near}'?" if near else "")
            )
        found.update(meant)
    return frozenset(found)


def _print_merged(args: Namespace, directory: str, merger: merge.Merger, grep: Grep | None) -> None:
    write = _writer(args, grep)
    tell = write.line
    while True:
        is_over = not args.follow or _is_over(directory)
        for line in merger.more(None if is_over else _AGE_US):
            if args.format == "json":
                _put(_as_json(merger.run, line))
            else:
                tell(merge.label(line), line.data)
        sys.stdout.flush()
        if is_over:
            return
        _pause(_POLL_S * 2)


def _is_over(directory: str) -> bool:
    summary = runs.summarise(directory)
    return summary is None or summary["state"] != "running"


def _as_json(run: str, line: merge.Line) -> bytes:
    import json

    from stagebook.record.clock import stamp

    text = line.data.decode("utf-8", "backslashreplace")
    document = {
        "run": run, "stage": line.stage, "attempt": line.attempt, "t": line.us / 1e6, "at": stamp(line.at_us),
        "text": text,
    }  # fmt: skip
    return json.dumps(document).encode() + b"\n"


def attempts(document: dict[str, Any], only: Collection[str] | None) -> list[tuple[str, int, str]]:
    """(stage, attempt, path) of every log, in the order in which attempts began; of a step, with its worker."""
    found = [
        (attempt["started"], index, one["stage"], attempt["attempt"], attempt["log"])
        for index, one in enumerate(document["stages"])
        if only is None or one["stage"] in only
        for attempt in one["attempts"]
        if attempt["log"]
    ]
    found += [
        (one["attempts"][0]["started"], index, step["step"], slot, path)
        for index, one in enumerate(document["stages"])
        for step in one.get("steps", ())
        if only is None or one["stage"] in only or step["step"] in only
        for slot, path in enumerate(step["logs"], 1)
        if os.path.exists(path)
    ]
    return [(name, number, path) for _, _, name, number, path in sorted(found)]


def steps(document: dict[str, Any], is_running: bool = False) -> frozenset[str]:
    """Ids of the steps of stages that work through items; each has a log for every worker."""
    return frozenset(
        step["step"]
        for one in document["stages"]
        if not is_running or one["outcome"] is None
        for step in one.get("steps", ())
    )


def _facts(stage: str, attempt: int, path: str) -> dict[str, Any]:
    try:
        size = os.stat(path).st_size
    except OSError:
        size = None
    return {"stage": stage, "attempt": attempt, "log": path, "size_bytes": size}


class _Raw:
    """Standard output as bytes: nothing is changed."""

    def __init__(self) -> None:
        sys.stdout.flush()

    def head(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def data(self, data: bytes) -> None:
        _put(data)

    def line(self, label: str, data: bytes) -> None:
        _put(label.encode("utf-8", "surrogateescape") + data + b"\n")

    def end(self) -> None:
        """Bytes have no end of their own."""


class _Shown:
    """A terminal: lines that cannot act. A line without an end yet is kept back until it has one, or is very long."""

    def __init__(self, style: Style, grep: Grep | None) -> None:
        self._style = style
        self._color = style.color
        self._grep = grep
        self._rest = b""

    def head(self, text: str) -> None:
        sys.stdout.write(harmless(text) + "\n")

    def data(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        sys.stdout.write("".join([line_of_output(line, self._color) + "\n" for line in whole]))
        if len(self._rest) > _CHUNK:
            self.end()
        sys.stdout.flush()

    def line(self, label: str, data: bytes) -> None:
        text = line_of_output(data, self._color) if self._grep is None else self._marked(data, self._grep)
        sys.stdout.write(f"{harmless(label)}{text}\n")

    def _marked(self, data: bytes, grep: Grep) -> str:
        """A line with what matches made plain; the stage's own colours go, so that the two cannot mix."""
        parts, at = [], 0
        for begin, end in grep.spans(data):
            parts.append(line_of_output(data[at:begin]))
            parts.append(self._style.paint(line_of_output(data[begin:end]), "failure-bold"))
            at = end
        return "".join([*parts, line_of_output(data[at:])])

    def end(self) -> None:
        if self._rest:
            rest, self._rest = self._rest, b""
            sys.stdout.write(line_of_output(rest, self._color) + "\n")


def _put(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]


def _writer(args: Namespace, grep: Grep | None) -> _Raw | _Shown:
    return _Shown(output.style_for(sys.stdout, args), grep) if sys.stdout.isatty() else _Raw()


def _print(
    document: dict[str, Any], only: Collection[str] | None, write: _Raw | _Shown, grep: Grep | None, tail: int | None
) -> None:  # fmt: skip
    found = attempts(document, only)
    of_steps = steps(document)
    for name, number, path in found:
        if len(found) > 1:
            write.head(f"==> {name}, {'worker' if name in of_steps else 'attempt'} {number} <==")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise SurroundingsError(f"cannot read {path}: {error.strerror}") from None
        try:
            if grep is not None:
                matching = merge.lines_of(path, grep)
                for line in matching if tail is None else deque(matching, tail):
                    write.line("", line)
                continue
            if tail is not None:
                os.lseek(fd, merge.begin_of_tail(path, tail), os.SEEK_SET)
            while data := os.read(fd, _CHUNK):
                write.data(data)
        finally:
            os.close(fd)
        write.end()


class Follower:
    """Prints what is there, then what comes, until the run has ended. Logs of several stages get labels."""

    def __init__(
        self,
        directory: str,
        document: dict[str, Any],
        only: frozenset[str] | None,
        write: _Raw | _Shown,
        is_alone: bool = False,
        grep: Grep | None = None,
        tail: int | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        """`is_alone`: there is one stage only, whose output needs no label."""
        self._directory = directory
        self._document = document
        self._only = only
        self._write = write
        self._is_alone = is_alone
        self._grep = grep
        self._pause = pause or _pause
        self._told: dict[str, int] = {}  #: bytes of all that a log has had, those left out of it included
        self._rest: dict[str, bytes] = {}
        if tail is not None:
            for _, _, path in attempts(document, only):
                self._told[path] = _told_before(path, merge.begin_of_tail(path, tail))

    def run(self) -> None:
        while True:
            is_over = self._is_over()
            for name, _, path in attempts(self._document, self._only):
                self._copy(name, path, is_over)
            if is_over:
                return
            waited = 0.0
            while waited < _LOOK_S:
                self._pause(_POLL_S)
                waited += _POLL_S
                for name, _, path in self._open():
                    self._copy(name, path, False)
            self._document = runs.document(self._directory)

    def _is_over(self) -> bool:
        if self._document["state"] != "running":
            return True
        if self._only is None:
            return False
        return all(
            one["outcome"] is not None
            for one in self._document["stages"]
            if not self._only.isdisjoint([one["stage"], *[step["step"] for step in one.get("steps", ())]])
        )

    def _open(self) -> Iterable[tuple[str, int, str]]:
        running = {
            (one["stage"], attempt["attempt"])
            for one in self._document["stages"]
            for attempt in one["attempts"]
            if attempt["finished"] is None
        }
        of_steps = steps(self._document, is_running=True)
        return [one for one in attempts(self._document, self._only) if one[:2] in running or one[0] in of_steps]

    def _copy(self, name: str, path: str, is_over: bool) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return
        try:
            self._told[path] = self._copied(name, path, fd, self._told.get(path, 0))
        finally:
            os.close(fd)
        if is_over:
            if rest := self._rest.pop(path, b""):
                self._tell(name, rest)
            elif self._is_alone:
                self._write.end()
        sys.stdout.flush()

    def _copied(self, name: str, path: str, fd: int, told: int) -> int:
        """The log of a step may be cut meanwhile: what was told is not told again, and what is lost is said."""
        while True:
            gone, note = left_out(os.pread(fd, NOTE_MAX, 0))
            offset = told - gone + note if told >= gone else 0
            data = os.pread(fd, _CHUNK, offset)
            if not data or left_out(os.pread(fd, NOTE_MAX, 0)) != (gone, note):
                return told
            if told < gone and self._rest.get(path):
                self._give(name, path, b"\n")
            self._give(name, path, data)
            told = offset + len(data) - note + gone

    def _give(self, name: str, path: str, data: bytes) -> None:
        if self._is_alone and self._grep is None:
            self._write.data(data)
            return
        *whole, self._rest[path] = (self._rest.get(path, b"") + data).split(b"\n")
        for line in whole:
            self._tell(name, line)

    def _tell(self, name: str, line: bytes) -> None:
        if self._grep is None or self._grep.is_in(line):
            self._write.line("" if self._is_alone else f"{name} | ", line)


def _told_before(path: str, offset: int) -> int:
    """What of all that a log has had comes before a place in its file."""
    try:
        with open(path, "rb") as file:
            gone, note = left_out(file.read(NOTE_MAX))
    except OSError:
        return 0
    return offset - note + gone if offset >= note else 0


def _pause(seconds: float) -> None:
    import select

    select.select([], [], [], seconds)
