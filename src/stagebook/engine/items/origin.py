"""Where items come from, read one by one in a child of the engine: a glob, lines, JSON, ranges, values. Starts none.

An item comes with its position in the source, by which a resume goes on behind it, and with its key: what was done with
an item of the same key need not be done again. For files that is what they hold, for all else the item itself.
"""

from __future__ import annotations

import json
import os

from stagebook.artifact.paths import Unsound, found
from stagebook.engine.items import literal
from stagebook.model.value import NamedTuple

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

KEY_BYTES = 16  #: of a key
NTH_BYTES = 2  #: the last of them: how many of the same text came before
TEXTS_MAX = 1 << 21  #: so many texts are told apart; behind them an item has no key
LINE_MAX = 1 << 20  #: no line of a stage's output is a longer item
JSON_MAX = 1 << 30  #: nobody reads a longer list
_CHUNK = 1 << 20


class NoSource(Exception):
    """Why there are no (more) items; `outcome` is that of the stage."""

    def __init__(self, why: str, outcome: str = "failure") -> None:
        super().__init__(why)
        self.outcome = outcome


class Origin(NamedTuple):
    """What is read. `kind` and `text` are those of the pipeline's `Items`; `root` is the stage's directory, `log` what
    the named stage has printed, `listed` where the files of a glob are listed once for all, `after` the position from
    which to go on, `seen` the keys (hex) of what a watch has had before, by name."""

    kind: str
    text: str
    root: str
    first: int = 0
    last: int = 0
    until: str | None = None
    log: str | None = None
    listed: str = ""
    after: int = 0
    seen: dict[str, str] = {}
    fingerprint: bytes = b""  #: of all that is done with an item


class One(NamedTuple):
    """One item. `value` is what a worker is given, text but for JSON; `key` is None where it cannot be known."""

    position: int
    value: Any
    key: bytes | None


def items(origin: Origin, warn: Callable[[str], None]) -> Iterator[One]:
    """The items behind `origin.after`, in order. Raises NoSource, OSError."""
    if origin.kind == "range":
        return _range(origin)
    if origin.kind in ("series", "values"):
        return _values(origin)
    if origin.kind == "glob":
        return _glob(origin, warn)
    if origin.kind == "listed":
        return _listed(origin)
    if origin.kind == "lines":
        return _lines(origin, warn)
    if origin.kind == "json":
        return _json(origin)
    from stagebook.engine.items.watch import watch

    return watch(origin, warn)


def key_of(origin: Origin, text: str, content: bytes = b"", nth: int = 0) -> bytes:
    """By which an item is known again; `nth` of the same text came before it."""
    data = text.encode("utf-8", "surrogatepass")
    made = blake2b(origin.fingerprint, digest_size=KEY_BYTES - NTH_BYTES, person=b"stagebook-item")
    made.update(b"%d:" % len(data) + data + content)
    return made.digest() + nth.to_bytes(NTH_BYTES, "big")


def nth_of(key: str | None) -> int | None:
    """How many of the same text came before the item of that key (hex); None where it is not known."""
    return None if key is None else int(key[-2 * NTH_BYTES :], 16)


class _Keys:
    """Those of the items of a source in which a text may come twice, from its first item on."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._seen: set[int] = set()
        self._again: dict[int, int] = {}

    def of(self, text: str) -> bytes | None:
        key = key_of(self._origin, text)
        mark = int.from_bytes(key[:8], "big")  # of a whole key a set would be twice as large
        if mark not in self._seen:
            if len(self._seen) >= TEXTS_MAX:
                return None
            self._seen.add(mark)
            return key
        nth = self._again[mark] = self._again.get(mark, 0) + 1
        return key_of(self._origin, text, nth=nth) if nth < 1 << 8 * NTH_BYTES else None


def content_of(path: str) -> bytes | None:
    """A hash of what a regular file holds; None where it is none, or gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    made = blake2b(digest_size=32)
    try:
        while data := os.read(fd, _CHUNK):
            made.update(data)
    except OSError:
        return None
    finally:
        os.close(fd)
    return made.digest()


def _range(origin: Origin) -> Iterator[One]:
    for position in range(origin.after, origin.last - origin.first + 1):
        text = str(origin.first + position)
        yield One(position + 1, text, key_of(origin, text))


def _values(origin: Origin) -> Iterator[One]:
    from stagebook.model import series

    if origin.kind == "values":
        texts = iter(json.loads(origin.text))
    else:
        parts = series.series(origin.text)
        if len(parts) == 1:  # of one range no text comes twice
            for position, text in enumerate(series.items(parts, origin.after), origin.after + 1):
                yield One(position, text, key_of(origin, text))
            return
        texts = series.items(parts, 0)
    keys = _Keys(origin)
    for position, text in enumerate(texts, 1):
        key = keys.of(text)
        if position > origin.after:
            yield One(position, text, key)


def _glob(origin: Origin, warn: Callable[[str], None]) -> Iterator[One]:
    """Listed once for a run, so that a resume counts the same files."""
    if not os.path.exists(origin.listed):
        try:
            names = found(origin.root, [origin.text])
        except Unsound as unsound:
            raise NoSource(f"glob {origin.text}: {unsound.words}", "error") from None
        with open(f"{origin.listed}.new", "wb") as file:
            for name in names:
                file.write(json.dumps(name).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{origin.listed}.new", origin.listed)
    yield from _listed(origin._replace(text="glob"))


def _listed(origin: Origin) -> Iterator[One]:
    """What a file lists, a line each: the name of a file, or a value and how many of its text came before it. Of these
    `origin.text` is the kind of source that they once came from."""
    is_file = origin.text in ("glob", "watch")
    with open(origin.listed, "rb") as file:
        for position, line in enumerate(file, 1):
            if position <= origin.after:
                continue
            value, nth = literal.read(line) if origin.kind == "listed" else (json.loads(line), 0)
            text = literal.text_of(value)
            content = content_of(os.path.join(origin.root, text)) if is_file else b""
            is_known = content is not None and nth is not None
            yield One(position, value, key_of(origin, text, content or b"", nth) if is_known else None)


def _lines(origin: Origin, warn: Callable[[str], None]) -> Iterator[One]:
    """Lines as they were printed, byte for byte, without their ends; empty ones are none."""
    keys = _Keys(origin)
    with open(_log(origin), "rb") as file:
        odd = at = 0
        while line := file.readline(LINE_MAX + 1):
            at += len(line)
            if len(line) > LINE_MAX:
                raise NoSource(f"line at byte {at - len(line)} of what `{origin.text}` printed is longer than 1 MiB")
            line = line.removesuffix(b"\n")
            if not line:
                continue
            if b"\0" in line:
                raise NoSource(f"line at byte {at - len(line)} of what `{origin.text}` printed holds a NUL byte")
            text = os.fsdecode(line)
            key = keys.of(text)
            if at <= origin.after:
                continue
            odd += not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text)
            if odd == 1:
                odd += 1
                warn(f"items: lines of `{origin.text}` that are not UTF-8 are handed on byte for byte")
            yield One(at, text, key)


def _json(origin: Origin) -> Iterator[One]:
    path = _log(origin)
    if os.stat(path).st_size > JSON_MAX:
        raise NoSource(f"`{origin.text}` printed more than 1 GiB, which is no list to read")
    try:
        with open(path, "rb") as file:
            values = literal.read(file.read())
    except (ValueError, RecursionError) as error:
        raise NoSource(f"what `{origin.text}` printed is no JSON: {error}") from None
    if type(values) is not list:
        raise NoSource(f"what `{origin.text}` printed is JSON, but no list")
    keys = _Keys(origin)
    for position, value in enumerate(values, 1):
        if value is None or type(value) is bool or value == "" or (type(value) is str and "\0" in value):
            raise NoSource(f"entry {position} of what `{origin.text}` printed is no item: text, a number or an object")
        text = literal.text_of(value)
        try:
            os.fsencode(text)
        except UnicodeEncodeError:
            raise NoSource(f"entry {position} of what `{origin.text}` printed holds half a character") from None
        key = keys.of(text)
        if position > origin.after:
            yield One(position, value, key)


def _log(origin: Origin) -> str:
    if origin.log is None:
        raise NoSource(f"`{origin.text}` printed nothing in this run, as it was skipped", "error")
    return origin.log
