"""JUnit reports, as strangers' tools write them, read case by case. What is made of the cases is elsewhere.

A report may be as large as it likes: it is read in pieces, and what stages printed is passed over. A document type, and
with it every entity, is refused. Of a damaged report the cases before the damage are given, and one note.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from stagebook.model.problem import Problem
from stagebook.model.value import NamedTuple
from stagebook.record.state import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Mapping

_CHUNK = 1 << 18
_TOKEN_MAX = 8 << 20  #: bytes of one tag; the parser has to hold a tag as a whole
_DEPTH_MAX = 200
_TEXT_MAX = 500  #: characters of a message, and of every name
_ROOTS = ("testsuites", "testsuite")
_OUTCOMES = {"skipped": "skip", "failure": "failure", "error": "error"}
_WORSE = ("success", "skip", "failure", "error")
#: Elements of surefire: an earlier try, of a case that passed in the end or of one that never did.
_EARLIER = {"flakyFailure": "failure", "flakyError": "error", "rerunFailure": "failure", "rerunError": "error"}
_NOT_RUN = frozenset({"notrun", "skipped", "suppressed", "disabled"})
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_NUMBER = re.compile(r"\d*[.,]?\d+(?:[eE][-+]?\d{1,2})?|\d+[.,]", re.ASCII)


class Case(NamedTuple):
    """One try of one test. `outcome` is success, failure, error or skip; what a report does not say is None. A test
    that was tried several times, as its report says, gives as many cases, in order."""

    classname: str
    name: str
    file: str | None
    outcome: str
    seconds: float | None
    message: str | None


class _Refused(Exception):
    pass


def read(path: str, notes: list[Problem] | None = None) -> Iterator[Case]:
    """The cases of a report, one by one. What keeps it from being read to its end is added to `notes`; nothing is
    raised."""
    parser = expat.ParserCreate()
    handler = _Handler(parser)
    try:
        with open_regular(path) as file:
            fed = 0
            while chunk := file.read(_CHUNK):
                parser.Parse(chunk, False)
                yield from handler.taken()
                fed += len(chunk)
                if fed - parser.CurrentByteIndex > _TOKEN_MAX:
                    raise _Refused(f"a tag of more than {_TOKEN_MAX >> 20} MiB")
            parser.Parse(b"", True)
        yield from handler.taken()
    except (expat.ExpatError, _Refused, OSError, ValueError, LookupError) as error:
        yield from handler.taken()
        if notes is not None:
            notes.append(_note(path, parser, error))


def _note(path: str, parser: expat.XMLParserType, error: Exception) -> Problem:
    line = col = 0
    if isinstance(error, OSError):
        why = error.strerror or str(error)
    elif isinstance(error, expat.ExpatError):
        why, line, col = expat.ErrorString(error.code), error.lineno, error.offset + 1
    else:
        why, line, col = str(error), parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
    return Problem(path, line, col, "junit", "warning", f"not read as a JUnit report any further: {why}")


def seconds(text: str | None) -> float | None:
    """A time as reports write it: `0.012`, `1,234.5`, `1,234` (of surefire, from a thousand on), `0,5`."""
    text = (text or "").strip()
    if _THOUSANDS.fullmatch(text):
        return float(text.replace(",", ""))
    return float(text.replace(",", ".")) if len(text) < 40 and _NUMBER.fullmatch(text) else None


class _Handler:
    """Gathers cases while the parser reads; only the texts of failures are looked at."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self._path: list[str] = []
        self._suites: list[tuple[str, str | None]] = []  #: name and file, of those around
        self._case: Case | None = None
        self._earlier: list[Case] = []
        self._text = ""
        self._done: list[Case] = []
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = _refuse_doctype

    def taken(self) -> list[Case]:
        done, self._done = self._done, []
        return done

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if not self._path and tag not in _ROOTS:
            raise _Refused(f"the root is <{_short(tag)}>, expected <testsuites> or <testsuite>")
        if len(self._path) == _DEPTH_MAX:
            raise _Refused(f"elements in each other, more than {_DEPTH_MAX} deep")
        self._path.append(tag)
        if tag == "testcase":
            self._begin_case(attributes)
        elif self._case is None:
            if tag in _ROOTS:
                above = self._suites[-1] if self._suites else ("", None)
                self._suites.append((attributes.get("name") or above[0], attributes.get("file") or above[1]))
        elif self._path[-2] == "testcase" and (tag in _OUTCOMES or tag in _EARLIER):
            self._text = (attributes.get("message") or "").strip()
            if not self._text:
                self._parser.CharacterDataHandler = self._take_text
            if tag in _EARLIER:
                took = seconds(attributes.get("time"))
                self._earlier.append(self._case._replace(outcome=_EARLIER[tag], seconds=took, message=None))

    def _begin_case(self, attributes: Mapping[str, str]) -> None:
        suite, file = self._suites[-1] if self._suites else ("", None)
        is_run = _NOT_RUN.isdisjoint(attributes.get(key, "").lower() for key in ("status", "result"))
        file = attributes.get("file") or file
        self._case = Case(
            _short(attributes.get("classname") or suite),
            _short(attributes.get("name") or ""),
            file and _short(file),
            "success" if is_run else "skip",
            seconds(attributes.get("time")),
            None,
        )
        self._earlier = []

    def _take_text(self, text: str) -> None:
        if len(self._text) < _TEXT_MAX:
            self._text = (self._text + text[: 2 * _TEXT_MAX]).lstrip()

    def _end(self, _: str) -> None:
        tag = self._path.pop()
        if tag == "testcase":
            if self._case is not None:
                self._done += [*self._earlier, self._case]
            self._case = None
        elif self._case is None:
            if tag in _ROOTS and self._suites:
                self._suites.pop()
        elif self._path[-1] == "testcase" and (tag in _OUTCOMES or tag in _EARLIER):
            self._parser.CharacterDataHandler = None
            message = _short(self._text.partition("\n")[0].rstrip()) or None
            if tag in _EARLIER:
                self._earlier[-1] = self._earlier[-1]._replace(message=message)
            elif _WORSE.index(_OUTCOMES[tag]) > _WORSE.index(self._case.outcome):
                self._case = self._case._replace(outcome=_OUTCOMES[tag], message=message)


def _refuse_doctype(*_: object) -> None:
    raise _Refused("it has a document type, which could define entities")


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"
