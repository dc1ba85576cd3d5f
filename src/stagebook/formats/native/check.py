"""Nodes against the grammar's table: plain values out, every mistake noted with its place. Knows no stage or pipeline.

Values come out in the units of the model: durations in ms, sizes in bytes, cores in thousandths, shares as fractions.
`BAD` stands where a value was wrong; what was said about it is in `problems`, so callers only leave it out.
"""

from __future__ import annotations

import re

from stagebook.formats.native import grammar
from stagebook.formats.native.grammar import Either, Key, ListOf, MapOf, Open, Record, Scalar, Type, Word
from stagebook.formats.native.nodes import Node, col_of, is_nameable, line_of, shorten
from stagebook.model import quantity, versions
from stagebook.model.problem import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Collection, Iterable, Mapping


class _Bad:
    def __repr__(self) -> str:
        return "BAD"


BAD: Any = _Bad()

#: Messages kept; a file with more mistakes is not read by anyone, and each costs memory.
PROBLEMS_MAX = 200
#: Suggestions looked for, and names compared for them in all: difflib takes up to half a millisecond for each.
SUGGESTIONS_MAX = 20
COMPARED_MAX = 2_000

_trap_words = frozenset("yes no on off ~ null".split())
#: Patterns stay text until something is held against them: to make them ready costs more than to check most files.
_TRAP_NUMBER = r"[-+]?([0-9][0-9_]*\.[0-9]*0|0[0-9]+|[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?|0x[0-9a-fA-F]+|[0-9]+_[0-9_]+)"
_INTEGER = r"[-+]?(0|[1-9][0-9]{0,14})"
_NUMBER = r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?"
_DECIMAL = r"[0-9]{1,4}(\.[0-9]{1,4})?"
_FUNCTION = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_REASON = r"failure|error|timeout|exit ([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])"
_OUTPUT_OF = (
    r"""stages(?:\["([^"\[\]]+(?:\[[^"\[\]]*\])?)"\]|\['([^'\[\]]+(?:\[[^'\[\]]*\])?)'\]|\.([A-Za-z_]\w*))"""
    r"""\.outputs\.([A-Za-z_]\w*)"""
)
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"


class Checker:
    """Collects the problems of one file. `subject` names what is being checked, as in "stage `deploy`"."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.unbuilt: list[Problem] = []
        self.unsaid = 0
        self.suggested = 0
        self.compared = 0
        self.subject = ""
        self._memo: dict[tuple[str, str], Any] = {}

    # Noting

    def error(self, place: int, code: str, message: str) -> None:
        if len(self.errors) < PROBLEMS_MAX:
            self.errors.append(Problem(self.file, line_of(place), col_of(place), code, "error", message))
        else:
            self.unsaid += 1

    def warn(self, place: int, code: str, message: str) -> None:
        if len(self.warnings) < PROBLEMS_MAX:
            self.warnings.append(Problem(self.file, line_of(place), col_of(place), code, "warning", message))

    def not_built(self, place: int, key: str, within: str = "") -> None:
        of = f" of {self.subject}" if self.subject else f" of `{shorten(within)}`" if within else ""
        message = f"`{key}`{of} is checked but not built yet; `run` refuses it"
        if len(self.unbuilt) < PROBLEMS_MAX:
            self.unbuilt.append(Problem(self.file, line_of(place), col_of(place), "not-built", "note", message))

    def nearest(self, word: str, known: Iterable[str]) -> str:
        """ ", did you mean 'needs'?" or nothing. difflib comes in only here: a sound file must not pay for it."""
        if self.suggested >= SUGGESTIONS_MAX or len(word) > 100:
            return ""
        self.suggested += 1
        import difflib

        near = _promising(word, known, min(COMPARED_MAX - self.compared, 1_000))
        self.compared += len(near)
        found = difflib.get_close_matches(word, near, 1, 0.6 if len(word) > 2 else 0.5)
        if not found:
            lowered = word.lower().replace("_", "-")
            found = [each for each in near if each.lower() == lowered]
        return f", did you mean '{shorten(found[0])}'?" if found else ""

    # Values

    def value(self, node: Node, type_: Type, label: str) -> Any:
        """The value of `node` as `type_`, or BAD. `label` is what the user called it."""
        if type(type_) is Either:
            held = node[0]
            inner = type_.scalar if type(held) is str else type_.list if type(held) is list else type_.map
            if inner is None:
                self.error(node[1], "type", f"{shorten(label)}: {self.expected(type_)} expected, not {found(node)}")
                return BAD
            type_ = inner
        return _CHECKS[type(type_)](self, node, type_, label)

    def scalar(self, node: Node, type_: Scalar, label: str) -> Any:
        text, place, plain = node
        if type(text) is not str:
            self.error(place, "type", f"{shorten(label)}: {self.expected(type_)} expected, not {found(node)}")
            return BAD
        kind, low, high = type_
        if kind == "text" or kind == "command" or kind == "value":
            return self.text(node, kind, label)
        if not plain and kind in _UNQUOTED:
            said = f"{self.expected(type_)} expected, not text in quotes"
            self.error(place, "value", f"{shorten(label)}: {said}")
            return BAD
        memo = self._memo.get((kind, text), self)
        if memo is self:
            try:
                memo = _CONVERTERS[kind](text)
            except ValueError as error:
                memo = error
            if len(self._memo) < 10_000:
                self._memo[kind, text] = memo
        if isinstance(memo, ValueError):
            self.error(place, "value", f"{shorten(label)}: {memo}")
            return BAD
        if low is not None and memo < low or high is not None and memo > high:
            if kind == "duration":
                self.error(place, "value", f"{shorten(label)}: must be longer than 0")
            else:
                span = f"at least {low}" if high is None or memo < low else f"at most {high}"
                self.error(place, "value", f"{shorten(label)}: must be {span}, not {shorten(text)}")
            return BAD
        return memo

    def text(self, node: Node, kind: str, label: str) -> Any:
        text, place, plain = node
        if kind == "value":
            if plain:
                self.traps(node, label)
            return text
        if not text or text.isspace():
            self.error(place, "empty", f"{shorten(label)}: is empty")
            return BAD
        if kind == "command":
            if "${{" in text:
                why = "a value must never become code; take it from the environment, as $PARAM_NAME or $MATRIX_NAME"
                self.error(place, "expression", f"{shorten(label)}: `${{{{` is not replaced here: {why}")
                return BAD
        return text

    def traps(self, node: Node, label: str) -> None:
        """Warns of text without quotes that other YAML readers take for something else. Here it stays as written."""
        text, place, _ = node
        if not text:
            self.warn(
                place,
                "yaml-trap",
                f'{shorten(label)}: nothing stands here and is read as null; write "" for empty text',
            )
        elif len(text) < 30:
            if text.lower() in _trap_words:
                read = "null" if text in ("~", "null", "Null", "NULL") else "a boolean"
                self.warn(place, "yaml-trap", f"{shorten(label)}: {text} is read as {read}; quote it ({_TOLD})")
            elif re.fullmatch(_TRAP_NUMBER, text):
                read = _as_number(text)
                if read != text:
                    self.warn(place, "yaml-trap", f"{shorten(label)}: {text} is read as {read}; quote it ({_TOLD})")

    def word(self, node: Node, type_: Word, label: str) -> Any:
        text = node[0]
        if type(text) is not str:
            self.error(node[1], "type", f"{shorten(label)}: {self.expected(type_)} expected, not {found(node)}")
            return BAD
        if text not in type_.choices:
            near = self.nearest(text, type_.choices)
            self.error(node[1], "value", f"{shorten(label)}: '{shorten(text)}' is not {self.expected(type_)}{near}")
            return BAD
        return text

    def list_of(self, node: Node, type_: ListOf, label: str) -> Any:
        items = node[0]
        if type(items) is not list:
            self.error(node[1], "type", f"{shorten(label)}: {self.expected(type_)} expected, not {found(node)}")
            return BAD
        if len(items) < type_.least:
            self.error(node[1], "empty", f"{shorten(label)}: needs at least {type_.least} in its list")
            return BAD
        inner = type_.item
        check = _CHECKS[type(inner)]
        checked = [check(self, item, inner, label) for item in items]
        return [each for each in checked if each is not BAD]

    def map_of(self, node: Node, type_: MapOf, label: str) -> Any:
        items = node[0]
        if type(items) is not dict:
            self.error(node[1], "type", f"{shorten(label)}: {self.expected(type_)} expected, not {found(node)}")
            return BAD
        checked = {}
        for key, (place, value) in items.items():
            if self.own_name(place, key, type_, label):
                result = self.value(value, type_.value, key)
                if result is not BAD:
                    checked[key] = result
        return checked

    def own_name(self, place: int, key: str, type_: MapOf, label: str) -> bool:
        """Whether a key of the user's can be what `type_` says, as a variable's or a pool's name."""
        if not key or not is_nameable(key) or (type_.names == "axis" and ("[" in key or "]" in key)):
            self.error(place, "name", f"{shorten(label)}: '{shorten(key)}' is no name for {_article(type_.names)}")
        elif type_.names == "environment variable" and ("=" in key or key in RESERVED_ENV):
            why = "holds `=`" if "=" in key else "is set by Stagebook itself"
            self.error(place, "name", f"{shorten(label)}: '{shorten(key)}' {why}")
        else:
            return True
        return False

    def record(self, node: Node, type_: Record, label: str) -> Any:
        if type(node[0]) is not dict:
            self.error(node[1], "type", f"{shorten(label)}: {self.expected(type_)} expected, not {found(node)}")
            return BAD
        bad = len(self.errors) + self.unsaid
        checked = self.keys(node, type_.keys, type_.others, label)
        items = node[0]
        for key in type_.required:
            if key not in items:
                self.error(node[1], "missing-key", f"{shorten(label)}: `{key}` is missing")
        if type_.one_of:
            self.exactly_one(node[1], [key for key in items if key in type_.one_of], type_.one_of, shorten(label))
        return checked if len(self.errors) + self.unsaid == bad else BAD

    def exactly_one(self, place: int, there: list[str], of: tuple[str, ...], label: str) -> bool:
        if len(there) == 1:
            return True
        if there:
            self.error(place, "kind", f"{label}: only one of {_listed(there, 'and')} can stand here")
        else:
            self.error(place, "kind", f"{label}: one of {_listed(of, 'or')} is missing")
        return False

    def keys(
        self, node: Node, keys: Mapping[str, Key], others: MapOf | None = None, within: str = ""
    ) -> dict[str, Any]:
        """The values of a mapping with known keys; unknown ones are said, or are values of `others`."""
        checked: dict[str, Any] = {}
        checks = _CHECKS
        for key, (place, value) in node[0].items():
            spec = keys.get(key)
            if spec is None:
                if others is None:
                    self.unknown_key(place, key, keys)
                elif self.own_name(place, key, others, "matrix"):
                    checked[key] = self.value(value, others.value, key)
                continue
            type_ = spec.type
            result = checks[type(type_)](self, value, type_, key)
            if result is not BAD:
                checked[key] = result
            if not spec.built:
                self.not_built(place, key, within)
        return checked

    def unknown_key(self, place: int, key: str, keys: Collection[str]) -> None:
        ours = grammar.ELSEWHERE.get(key.lower().replace("_", "-"))
        near = f", did you mean '{ours}'?" if ours in keys else self.nearest(key, keys)
        self.error(place, "unknown-key", f"unknown key '{shorten(key)}'{near}")

    def open(self, node: Node, type_: Open, label: str) -> Any:
        return plain(node)

    def expected(self, type_: Type) -> str:
        if isinstance(type_, Scalar):
            return _EXPECTED[type_.kind]
        if isinstance(type_, Word):
            return type_.choices[0] if len(type_.choices) == 1 else f"one of {_listed(type_.choices, 'or', '')}"
        if isinstance(type_, ListOf):
            return "a list"
        if isinstance(type_, Either):
            forms = [self.expected(each) for each in type_ if each is not None]
            return " or ".join(dict.fromkeys(forms))
        return "a mapping"


def _promising(word: str, known: Iterable[str], most: int) -> list[str]:
    """Names of about the same length; where they are too many, those with a longer beginning in common."""
    near = [each for each in known if abs(len(each) - len(word)) <= 3]
    for length in range(1, len(word)):
        if len(near) <= most:
            break
        near = [each for each in near if each.startswith(word[:length])] or near
    return near[:most]


def plain(node: Node) -> Any:
    """A node as JSON-able value: text as written, but `true` and `false` without quotes are booleans."""
    value = node[0]
    if type(value) is str:
        return value if not node[2] or value not in ("true", "false") else value == "true"
    if type(value) is list:
        return [plain(item) for item in value]
    return {key: plain(item) for key, (_, item) in value.items()}


def found(node: Node) -> str:
    """What stands there, for a message."""
    if type(node[0]) is str:
        return f"'{shorten(node[0])}'" if node[0] else "nothing"
    return "a list" if type(node[0]) is list else "a mapping"


def env_name(name: str) -> str:
    """The name of a parameter or matrix axis in the environment: upper-case, other characters `_`."""
    return re.sub(r"[^A-Z0-9_]", "_", name.upper())


#: What the engine sets itself for every stage.
RESERVED_ENV = frozenset(
    ["TRACEPARENT"]
    + ["STAGEBOOK_" + each for each in "RUN STAGE ATTEMPT WORKSPACE OUTPUT GENERATE SPLIT SHARDS".split()]
)

_TOLD = "other YAML readers do; here it stays as written"


def _article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _listed(words: Iterable[str], last: str, quote: str = "`") -> str:
    each = [f"{quote}{word}{quote}" for word in words]
    return each[0] if len(each) == 1 else ", ".join(each[:-1]) + f" {last} " + each[-1]


def _as_number(text: str) -> str:
    """What YAML 1.1 makes of it."""
    bare = text.replace("_", "")
    sign = -1 if bare[0] == "-" else 1
    bare = bare.lstrip("+-")
    if ":" in bare:
        total = 0.0
        for part in bare.split(":"):
            total = total * 60 + float(part)
        return f"{sign * total:.15g}"
    if bare.startswith("0x"):
        return str(sign * int(bare, 16))
    if "." in bare:
        return repr(sign * float(bare))
    if len(bare) > 1 and bare[0] == "0":
        return str(sign * int(bare, 8)) if all(c in "01234567" for c in bare) else text
    return str(sign * int(bare))


def _bool(text: str) -> bool:
    if text == "true":
        return True
    if text == "false":
        return False
    hint = (
        "; only `true` and `false` are booleans" if text.lower() in ("yes", "no", "on", "off", "true", "false") else ""
    )
    raise ValueError(f"true or false expected, not '{shorten(text)}'{hint}")


def _int(text: str) -> int:
    if not re.fullmatch(_INTEGER, text):
        raise ValueError(f"a whole number expected, not '{shorten(text)}'")
    return int(text)


def _float(text: str) -> float:
    if not re.fullmatch(_NUMBER, text):
        raise ValueError(f"a number expected, not '{shorten(text)}'")
    return float(text)


def _port(text: str) -> int | str:
    """A port's number, or `HOST:PORT`."""
    number = text.rpartition(":")[2]
    if not re.fullmatch(r"[0-9]{1,5}", number) or not 0 < int(number) < 65_536:
        raise ValueError(f"a port from 1 to 65535 expected, not '{shorten(text)}'")
    return int(text) if number == text else text


def _workers(text: str) -> int | str:
    if text == "auto":
        return text
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text):
        raise ValueError(f"a number of workers or auto expected, not '{shorten(text)}'")
    return int(text)


def _rate(text: str) -> list[int]:
    """As a list, since these values are kept as JSON."""
    return list(quantity.rate(text))


def _output_of(text: str) -> list[str]:
    """`stages["build"].outputs.version` to the stage and the output's name."""
    found = re.fullmatch(_OUTPUT_OF, text.strip())
    if found is None:
        raise ValueError(f"""an output such as stages["build"].outputs.version expected, not '{shorten(text)}'""")
    return [found[1] or found[2] or found[3], found[4]]


def _bound(text: str) -> int | str:
    """A whole number, or a day as it is written."""
    from stagebook.model.series import day_of

    if day_of(text) is not None:
        return text
    if re.fullmatch(_INTEGER, text):
        return int(text)
    raise ValueError(f"a whole number or a date expected, not '{shorten(text)}'")


def _date(text: str) -> str:
    """A day that the calendar has."""
    import datetime

    try:
        if re.fullmatch(_DATE, text):
            return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ValueError(f"a date such as 2027-01-31 expected, not '{shorten(text)}'")


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{expected} expected, not '{shorten(text)}'")
        return text

    return convert


def _version(text: str) -> str:
    if is_newer(text):
        raise ValueError(
            f"this file is of version {text} and needs another Stagebook; this one reads version {grammar.VERSION}"
        )
    if text != str(grammar.VERSION):
        raise ValueError(f"version {grammar.VERSION} expected, not '{shorten(text)}'")
    return text


def is_newer(text: Any) -> bool:
    """Whether a scalar is a version after the one known here."""
    return type(text) is str and bool(re.fullmatch(_DECIMAL, text)) and float(text) > grammar.VERSION


_UNQUOTED = frozenset(["bool", "int", "number", "version"])

_CONVERTERS: dict[str, Callable[[str], Any]] = {
    "bool": _bool,
    "int": _int,
    "number": _float,
    "cpu": quantity.cpu_milli,
    "duration": quantity.duration_ms,
    "size": quantity.size_bytes,
    "share": quantity.share,
    "rate": _rate,
    "port": _port,
    "workers": _workers,
    "function": _matching(_FUNCTION, "module:function"),
    "retry-reason": _matching(_REASON, "failure, error, timeout or `exit N`"),
    "versions": _matching(versions.PATTERN, versions.EXPECTED),
    "output-of": _output_of,
    "date": _date,
    "bound": _bound,
    "version": _version,
}

_EXPECTED = {
    "text": "text",
    "value": "text",
    "command": "a command",
    "bool": "true or false",
    "int": "a whole number",
    "number": "a number",
    "cpu": "a number of cores",
    "duration": "a duration such as `10m`",
    "size": "a size such as `512MiB`",
    "share": "a share such as `80%`",
    "rate": "a rate such as `10/s`",
    "port": "a port",
    "workers": "a number of workers or auto",
    "function": "module:function",
    "retry-reason": "failure, error, timeout or `exit N`",
    "versions": versions.EXPECTED,
    "output-of": "an output of an earlier stage",
    "date": "a date",
    "bound": "a whole number or a date",
    "version": f"version {grammar.VERSION}",
}

_CHECKS: dict[type, Callable[[Checker, Node, Any, str], Any]] = {
    Scalar: Checker.scalar,
    Word: Checker.word,
    ListOf: Checker.list_of,
    MapOf: Checker.map_of,
    Record: Checker.record,
    Either: Checker.value,
    Open: Checker.open,
}
