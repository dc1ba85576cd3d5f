"""The child that reads where items come from, and the end of its pipe: nothing is read here before it is wanted, so
that a full pipe is what holds the child back. What it says is a line of JSON each.

`["i", position, value, key]` is an item, `["s", position, count]` so many that are up to date, `["w", text]` something
to tell, `["e"]` the end, `["x", why, outcome]` that there is no more for a reason. A pipe that ends without one of the
last two is that of a child that died.
"""

from __future__ import annotations

import json
import os

from stagebook.engine import hasher, kernel
from stagebook.engine.items import literal
from stagebook.engine.items.done import Done
from stagebook.engine.items.origin import NoSource, Origin, items
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_CHUNK = 1 << 16
SKIPS_MAX = 1000  #: so many that are up to date are told together


class Taken(NamedTuple):
    """What a source has given: values with their keys, how many were left out as up to date, up to which position, and
    what is to be told. `is_last`: no other will come. `failed` is why, and the outcome, if that is no good end."""

    values: list[tuple[Any, bytes | None]]
    skipped: int
    position: int
    warnings: list[str]
    is_last: bool
    failed: tuple[str, str] | None

    @property
    def is_nothing(self) -> bool:
        return not (self.values or self.skipped or self.warnings or self.is_last or self.failed)


class Source:
    """One source while it is read. `fd` is to be watched only while something is wanted."""

    def __init__(self, origin: Origin, done: str) -> None:
        """`done` is a file of keys that need not be done again, empty: all are. Raises OSError."""
        parent = os.getpid()
        self.fd, mouth = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.fd, False)
        self.pid = 0
        try:
            self.pid = os.fork()
        finally:
            if self.pid:
                os.close(mouth)
        if not self.pid:
            _be_child(mouth, origin, done, parent)
        hasher.lead(self.pid)
        self._position = origin.after
        #: Only values of JSON hold numbers that have to stay as they are, and to look at each has its price.
        self._decode = literal.read if origin.kind in ("json", "listed") else json.loads
        self._data = bytearray()
        self._lines: list[list[Any]] = []  #: that have come and are not taken, the latest first
        self._is_over = False

    def take(self, most: int) -> Taken:
        """At most so many of the items that are there now."""
        values: list[tuple[Any, bytes | None]] = []
        skipped, warnings, failed = 0, [], None
        while len(values) < most and not self._is_over:
            if not self._lines and not self._read():
                break
            if not self._lines:
                continue
            kind, *said = self._lines.pop()
            if kind == "i":
                self._position, value, key = said
                values.append((value, None if key is None else bytes.fromhex(key)))
            elif kind == "s":
                self._position = said[0]
                skipped += said[1]
            elif kind == "w":
                warnings.append(said[0])
            else:
                self._is_over = True
                failed = (said[0], said[1]) if kind == "x" else None
        return Taken(values, skipped, self._position, warnings, self._is_over, failed)

    def _read(self) -> bool:
        """More lines; False where there are none for now."""
        try:
            data = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._lines = [["x", "the process that reads the items died", "error"]]
            return True
        *lines, rest = (bytes(self._data) + data).split(b"\n")
        self._data = bytearray(rest)
        self._lines = self._decode(b"[%b]" % b",".join(lines))[::-1]
        return True

    def close(self) -> None:
        hasher.kill(self.pid)
        os.close(self.fd)


def _be_child(mouth: int, origin: Origin, done: str, parent: int) -> None:
    """In the child: never returns."""
    code = 1
    try:
        kernel.end_with_parent()
        hasher.lead(0)
        if os.getppid() == parent:
            hasher.let_go(mouth)
            _tell(mouth, origin, done)
            code = 0
    finally:
        os._exit(code)


def _tell(mouth: int, origin: Origin, done: str) -> None:
    """In the child: say all there is to say, as fast as it is taken."""
    with open(mouth, "wb", closefd=False) as out:
        is_slow = origin.kind == "watch"

        def say(*words: Any) -> None:
            out.write(literal.write(words, is_ascii=True).encode() + b"\n")
            if is_slow:
                out.flush()

        try:
            _say_items(say, origin, Done(done))
        except NoSource as why:
            say("x", str(why), why.outcome)
        except (OSError, MemoryError) as error:
            path, text = getattr(error, "filename", None), getattr(error, "strerror", None) or type(error).__name__
            say("x", f"items: {os.fsdecode(path)}: {text}" if path else f"items: {text}", "error")
        except Exception as error:
            say("x", f"items: {type(error).__name__}: {error}", "error")
        else:
            say("e")


def _say_items(say: Callable[..., None], origin: Origin, done: Done) -> None:
    skipped = behind = 0
    for position, value, key in items(origin, lambda text: say("w", text)):
        if key is not None and key in done:
            skipped, behind = skipped + 1, position
            if skipped == SKIPS_MAX or origin.kind == "watch":
                say("s", behind, skipped)
                skipped = 0
            continue
        if skipped:
            say("s", behind, skipped)
            skipped = 0
        say("i", position, value, None if key is None else key.hex())
    if skipped:
        say("s", behind, skipped)
