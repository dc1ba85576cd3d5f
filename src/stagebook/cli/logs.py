"""`stagebook logs RUN [STAGE]`: what stages printed, byte for byte; on a terminal made harmless. Follows a live run."""

from __future__ import annotations

import os
import sys

from stagebook.cli import merge, output, place
from stagebook.cli.words import nearest, usage_error
from stagebook.model.problem import SurroundingsError
from stagebook.record import runs
from stagebook.report.harmless import harmless, line_of_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Callable, Iterable

EXAMPLE = """
stagebook logs last unit
stagebook logs last --merge
stagebook logs last -f"""

_CHUNK = 1 << 18
_POLL_S = 0.1
_LOOK_S = 0.5  #: how often the record is read again while a run goes on


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("stage", nargs="?", metavar="STAGE", help="default: all stages, one after another")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run has ended")
    parser.add_argument("--merge", action="store_true", help="all lines in order of time, each with its stage")


def execute(args: Namespace) -> int:
    directory = place.run_directory(args, args.run)
    if args.follow and args.json:
        raise usage_error("--follow prints until the run has ended, --json prints one document; choose one")
    document = runs.document(directory)
    if args.stage is not None:
        _check_stage(args.stage, document)
    if args.json:
        output.say_json({"run": document["run"], "logs": [_facts(*one) for one in attempts(document, args.stage)]})
        return 0
    if document.get("measured"):
        output.say(["measure does not keep what commands print: it went where the script wanted it"], sys.stderr)
        return 0
    write = _writer(args)
    if args.follow:
        Follower(directory, document, args.stage, write).run()
    elif args.merge:
        for us, stage, line in merge.lines(document, os.path.join(directory, "logs"), args.stage):
            write.line(merge.label(us, stage), line)
    else:
        _print(document, args.stage, write)
    return 0


def _check_stage(stage: str, document: dict[str, Any]) -> None:
    known = [one["stage"] for one in document["stages"]]
    if stage not in known:
        near = nearest(stage, known)
        raise usage_error(
            f"run {document['run']} has no stage '{stage}'" + (f", did you mean '{near}'?" if near else "")
        )


def attempts(document: dict[str, Any], stage: str | None) -> list[tuple[str, int, str]]:
    """(stage, attempt, path) of every log, in the order in which attempts began."""
    found = [
        (attempt["started"], index, one["stage"], attempt["attempt"], attempt["log"])
        for index, one in enumerate(document["stages"])
        if stage is None or one["stage"] == stage
        for attempt in one["attempts"]
        if attempt["log"]
    ]
    return [(name, number, path) for _, _, name, number, path in sorted(found)]


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

    def __init__(self, color: bool) -> None:
        self._color = color
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
        sys.stdout.write(f"{harmless(label)}{line_of_output(data, self._color)}\n")

    def end(self) -> None:
        if self._rest:
            rest, self._rest = self._rest, b""
            sys.stdout.write(line_of_output(rest, self._color) + "\n")


def _put(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]


def _writer(args: Namespace) -> _Raw | _Shown:
    style = output.style_for(sys.stdout, args)
    return _Shown(style.color) if sys.stdout.isatty() else _Raw()


def _print(document: dict[str, Any], stage: str | None, write: _Raw | _Shown) -> None:
    found = attempts(document, stage)
    for name, number, path in found:
        if len(found) > 1:
            write.head(f"==> {name}, attempt {number} <==")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise SurroundingsError(f"cannot read {path}: {error.strerror}") from None
        try:
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
        stage: str | None,
        write: _Raw | _Shown,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._directory = directory
        self._document = document
        self._stage = stage
        self._write = write
        self._pause = pause or _pause
        self._offsets: dict[str, int] = {}
        self._rest: dict[str, bytes] = {}

    def run(self) -> None:
        while True:
            is_over = self._is_over()
            for name, _, path in attempts(self._document, self._stage):
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
        if self._stage is None:
            return False
        return any(one["stage"] == self._stage and one["outcome"] is not None for one in self._document["stages"])

    def _open(self) -> Iterable[tuple[str, int, str]]:
        running = {
            (one["stage"], attempt["attempt"])
            for one in self._document["stages"]
            for attempt in one["attempts"]
            if attempt["finished"] is None
        }
        return [one for one in attempts(self._document, self._stage) if one[:2] in running]

    def _copy(self, name: str, path: str, is_over: bool) -> None:
        offset = self._offsets.get(path, 0)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return
        try:
            while data := os.pread(fd, _CHUNK, offset):
                offset += len(data)
                self._give(name, path, data)
        finally:
            os.close(fd)
        self._offsets[path] = offset
        if is_over:
            if self._stage is not None:
                self._write.end()
            elif rest := self._rest.pop(path, b""):
                self._write.line(f"{name} | ", rest)
        sys.stdout.flush()

    def _give(self, name: str, path: str, data: bytes) -> None:
        if self._stage is not None:
            self._write.data(data)
            return
        *whole, self._rest[path] = (self._rest.get(path, b"") + data).split(b"\n")
        for line in whole:
            self._write.line(f"{name} | ", line)


def _pause(seconds: float) -> None:
    import select

    select.select([], [], [], seconds)
