"""Takes the values of secrets out of text, in whatever form they stand there: `***` remains. Knows no pipeline.

Each value is looked for raw, by line, in base64 (also wrapped), URL-, JSON-, XML- and shell-quoted. What is found is
the union of all occurrences of all forms, so that the order of looking cannot matter, nor how a stream was cut.

Beginnings of forms go into one automaton (RE2: the time is linear in the text, however many secrets there are), and
only where one of them stands the forms themselves are compared. Imported only by runs that have secrets.
"""

from __future__ import annotations

import json
import os
import re
from binascii import b2a_base64
from contextlib import suppress
from html import escape
from urllib.parse import quote as url_quote
from urllib.parse import quote_plus

from stagebook.record.line import quote
from stagebook.record.state import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Collection, Iterable, Iterator

HIDDEN = "***"
SHORT = 4  #: characters: a value that has fewer is looked for as it is and in no other form
_HIDDEN = HIDDEN.encode()
_CHUNK = 1 << 18
_HEAD = 12  #: bytes of a form that the automaton knows
_LINE_ENDS = b"\r\n"
_BREAK = rb"(?:\r?\n)?"
_MEMORY = 512 << 20  #: for the automaton; a thousand secrets take a fiftieth of it


class Mask:
    """Hides some values. One without values is false, and changes nothing."""

    __slots__ = ("_exact", "_find", "_heads", "_lengths", "_longest", "_wrapped", "_wrapped_heads", "_wrapped_lengths")

    def __init__(self, values: Iterable[str]) -> None:
        """`values` may hold bytes that are no UTF-8, as `surrogateescape` carries them; empty ones are nothing."""
        exact, wrapped = _all_forms(values)
        self._exact = _by_head(exact)
        self._wrapped = _by_head(wrapped)
        self._lengths = sorted({len(head) for head in self._exact})
        self._wrapped_lengths = sorted({len(head) for head in self._wrapped})
        self._heads = frozenset(head[:end] for head in self._exact for end in range(1, len(head)))
        self._wrapped_heads = frozenset(head[:end] for head in self._wrapped for end in range(1, len(head)))
        self._longest = max((*map(len, exact), *map(_window, wrapped)), default=0)
        self._find = _automaton(self._exact, self._wrapped) if exact else None

    def __bool__(self) -> bool:
        return self._find is not None

    def data(self, data: bytes) -> bytes:
        """All of some bytes at once."""
        return self._masked(data, True)[0] if self._find is not None else data

    def text(self, text: str) -> str:
        if self._find is None or not text:
            return text
        try:
            return self.data(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # surrogates that stand for no byte
            return self.data(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def json_text(self, text: str, kept: Collection[str] = ()) -> str:
        """A JSON document with all its texts masked, keys too, and numbers as they are. What stands under one of the
        keys `kept` stays."""
        if self._find is None or self.first(text.encode("utf-8", "surrogatepass")) is None:
            return text
        return json.dumps(self._walked(json.loads(text), kept), separators=(",", ":"))

    def first(self, data: bytes) -> int | None:
        """Where the first occurrence begins; None where there is none."""
        return next((start for start, _ in self._found(data)), None)

    def is_in(self, path: str) -> bool:
        """Whether anything of it is in a regular file. Raises OSError."""
        rest = b""
        with open_regular(path) as file:
            while data := file.read(_CHUNK):
                data = rest + data
                if self.first(data) is not None:
                    return True
                rest = data[-self._longest :]
        return False

    def copy(self, source: str, target: str, most: int | None = None) -> None:
        """A masked copy of a regular file, or of its first `most` bytes, for its owner only; what stands at `target`
        goes. Raises OSError."""
        draft = f"{target}.{os.getpid()}.tmp"
        with open_regular(source) as file:
            try:
                out = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with open(out, "wb") as masked:
                    stream = self.stream()
                    while data := file.read(_CHUNK):
                        masked.write(stream.feed(data))
                        if most is not None and file.tell() >= most:
                            break  # what may have begun here is left out
                    else:
                        masked.write(stream.end())
                os.replace(draft, target)
            except OSError:
                with suppress(OSError):
                    os.unlink(draft)
                raise

    def stream(self) -> Stream:
        """For bytes that come in pieces."""
        return Stream(self._masked)

    def _walked(self, value: Any, kept: Collection[str]) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._walked(each, kept) for each in value]
        if isinstance(value, dict):
            return {
                self.text(key): each if key in kept else self._walked(each, kept) for key, each in value.items()
            }  # fmt: skip
        return value

    def _found(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Each occurrence in a text that is whole, by where it begins; they may overlap."""
        at = 0
        while self._find is not None and (match := self._find(data, at)) is not None:
            end, _ = self._end(data, match.start())
            if end is not None:
                yield match.start(), end
            at = match.start() + 1

    def _masked(self, data: bytes, is_whole: bool) -> tuple[bytes, bytes]:
        """What is certain, masked, and the rest, in which a form may have begun; no rest if `is_whole`."""
        if self._find is None:
            return data, b""
        size = len(data)
        partial = size if is_whole else self._partial(data)  # where the first begins that may be one
        out: list[bytes] = []
        done = 0
        match = self._find(data)
        while match is not None and (start := match.start()) < partial:
            end, is_open = self._end(data, start)
            if is_open and not is_whole:
                partial = min(partial, start)
                break
            if end is None:
                match = self._find(data, start + 1)
                continue
            match = self._find(data, start + 1)
            while match is not None and match.start() < end:  # what overlaps belongs to it
                other, is_open = self._end(data, match.start())
                if is_open and not is_whole:
                    partial = min(partial, match.start())
                    break
                end = max(end, other or 0)
                match = self._find(data, match.start() + 1)
            if partial < end:
                partial = start
                break
            out += (data[done:start], _HIDDEN)
            done = end
        out.append(data[done:partial])
        return b"".join(out), data[partial:]

    def _end(self, data: bytes, start: int) -> tuple[int | None, bool]:
        """Where the longest form ends that begins at `start`, and whether a longer one would with more to come."""
        end: int | None = None
        is_open = False
        left = len(data) - start
        for length in self._lengths:
            for form in self._exact.get(data[start : start + length], ()):
                if data.startswith(form, start):
                    end = max(end or 0, start + len(form))
                    break  # the others are shorter
                is_open = is_open or (left < len(form) and form.startswith(data[start:]))
        if data[start] in _LINE_ENDS:
            return end, is_open
        head = data[start : start + 3 * _HEAD].translate(None, _LINE_ENDS)
        for length in self._wrapped_lengths:
            for form in self._wrapped.get(head[:length], ()):
                window = data[start : start + _window(form)]
                is_all = len(window) == left
                window = window.translate(None, _LINE_ENDS)
                if window.startswith(form):
                    end = max(end or 0, _behind(data, start, len(form)))
                    break
                is_open = is_open or (is_all and len(window) < len(form) and form.startswith(window))
        return end, is_open

    def _partial(self, data: bytes) -> int:
        """Where the first head begins of which the end is yet to come."""
        size = len(data)
        for at in range(max(0, size - 3 * _HEAD), size):
            tail = data[at:]
            if len(tail) < _HEAD and tail in self._heads:
                return at
            if tail[0] not in _LINE_ENDS and tail.translate(None, _LINE_ENDS) in self._wrapped_heads:
                return at
        return size


class Stream:
    """Masks bytes that come in pieces. It keeps back only what may be the beginning of a form, at most the longest."""

    __slots__ = ("_masked", "_rest")

    def __init__(self, masked: Callable[[bytes, bool], tuple[bytes, bytes]]) -> None:
        self._masked = masked
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """What is certain by now, masked."""
        out, self._rest = self._masked(self._rest + data if self._rest else data, False)
        return out

    def end(self) -> bytes:
        """What is left when nothing more will come."""
        rest, self._rest = self._rest, b""
        return self._masked(rest, True)[0]


def _automaton(exact: Iterable[bytes], wrapped: Iterable[bytes]) -> Callable[..., Any]:
    import re2  # type: ignore[import-untyped,unused-ignore]

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = _MEMORY
    heads = [b"".join([b"\\x%02x" % byte for byte in head]) for head in exact]
    heads += [_BREAK.join([b"\\x%02x" % byte for byte in head]) for head in wrapped]
    search: Callable[..., Any] = re2.compile(b"|".join(heads), options).search
    return search


def _by_head(forms: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """By what they begin with; the longest first."""
    found: dict[bytes, list[bytes]] = {}
    for form in sorted(forms, key=len, reverse=True):
        found.setdefault(form[:_HEAD], []).append(form)
    return found


def _window(form: bytes) -> int:
    """So many bytes a form takes at most when it is broken into lines."""
    return len(form) * 3 // 2 + 8


def _behind(data: bytes, start: int, count: int) -> int:
    """Where `count` bytes that are no line ends have passed."""
    end = start + count
    while (lacking := count - len(data[start:end].translate(None, _LINE_ENDS))) > 0:
        end += lacking
    return end


# Forms --------------------------------------------------------------------------------------------------------


def _all_forms(values: Iterable[str]) -> tuple[set[bytes], set[bytes]]:
    """All forms of all values: those that stand as they are, and those that may be broken into lines anywhere."""
    exact: set[bytes] = set()
    wrapped: set[bytes] = set()
    for value in dict.fromkeys(values):
        if not value:
            continue
        if len(value) < SHORT:
            exact.add(_bytes(value))
            continue
        exact.update(map(_bytes, _texts(value)))
        wrapped.update(_base64(_bytes(value)))
        if "\n" in value or "\r" in value:
            lines = {line.strip() for line in re.split("[\r\n]+", value)}
            exact.update(_bytes(form) for line in lines if len(line) >= SHORT for form in _texts(line))
    return exact, wrapped


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _texts(value: str) -> Iterator[str]:
    """A value as programs write it."""
    yield value
    if value.isalnum() and value.isascii():
        return
    yield from _url(value)
    for quoted in (json.dumps(value), json.dumps(value, ensure_ascii=False), quote(value)):
        yield quoted[1:-1]
        yield quoted[1:-1].replace("/", "\\/")
        yield json.dumps(quoted[1:-1])[1:-1]
    yield escape(value, quote=False)
    yield escape(value)
    yield escape(value, quote=False).replace('"', "&quot;")
    yield escape(value).replace("&#x27;", "&apos;")
    yield repr(value)[1:-1]
    yield repr(_bytes(value))[2:-1]
    yield from _shell(value)


def _url(value: str) -> Iterator[str]:
    for safe in ("", "/", "!'()*", "/:?#[]@!$&'()*+,;="):
        for quoted in (url_quote(_bytes(value), safe), quote_plus(_bytes(value), safe)):
            yield quoted
            yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)


def _shell(value: str) -> Iterator[str]:
    """As `set -x` and `printf %q` show it, between whatever quotes they put around."""
    yield value.replace("'", "'\"'\"'")
    yield re.sub("'+", lambda match: f"'\"{match[0]}\"'", value)
    yield value.replace("'", "'\\''")
    for unquoted in ("\\w@%+=:,./-", "\\w@%+=:./-", "\\w@%+:./-", "\\w@%+:,./-"):
        yield re.sub(f"[^{unquoted}]", lambda match: "\\" + match[0], value)
    yield re.sub('["$`\\\\]', lambda match: "\\" + match[0], value)
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v", "\x1b": "\\E"}
    named.update({"\\": "\\\\", "'": "\\'"})
    for is_wide_plain in (True, False):
        yield "".join(
            named.get(letter) or (letter if _is_plain(letter, is_wide_plain) else _octal(letter)) for letter in value
        )


def _is_plain(letter: str, is_wide_plain: bool) -> bool:
    return letter.isprintable() and (is_wide_plain or letter.isascii())


def _octal(letter: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in _bytes(letter))


def _base64(value: bytes) -> Iterator[bytes]:
    """What of its base64 is the same whatever stands before and after it, for each of the three ways in which it may
    lie across the groups of three bytes; and with its end, where it stands alone."""
    for before in range(3):
        plain = b2a_base64(bytes(before) + value, newline=False)
        begin = (0, 2, 3)[before]
        for text in (plain, plain.translate(_URL_SAFE)):
            yield text[begin : (before + len(value)) * 8 // 6]
            yield text[begin:].rstrip(b"=")
            yield text[begin:]


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
